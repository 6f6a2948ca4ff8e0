"""A Conferencing Node that is not there: asks the policy server, keeps conferences, dials, and reports.

The questions and their order are as documented (pexip/README.md: Order during a call). Only ``conference`` and
``lecture`` services are played.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

import httpx

from policy_server.lab.node.dialling import Dial, Dialler, RoutingRule
from policy_server.lab.node.errors import NotFoundError, PinNeededError, RefusedError
from policy_server.lab.node.happenings import (
    ENDED_BY_ADMINISTRATOR,
    ENDED_BY_HOST,
    ICE_FAILED,
    LEFT,
    REMOVED_BY_ADMINISTRATOR,
    REMOVED_BY_HOST,
    TRANSFERRED,
)
from policy_server.lab.node.media import Media
from policy_server.lab.node.meeting import Meeting
from policy_server.lab.node.people import Participant, PinRequired, PinWrong, Presence, Role, check_pin
from policy_server.lab.node.questions import NOT_FOUND, Caller, Questions
from policy_server.lab.node.rooms import INVALID_TOKEN, Room, Rooms, Session, Told, is_shown
from policy_server.lab.node.sink import EventSink, SinkAddress
from policy_server.lab.node.tasks import Tasks
from policy_server.lab.node.views import Entry, View, status_entry
from policy_server.simulator.node import ConferencingNode, Judged, service_fields

PARTICIPANT_LIMIT: Final = "Participant limit reached"
INVALID_ROLE: Final = "Invalid role"

TOKEN_SECONDS: Final = 120.0

_PLAYED: Final = ("conference", "lecture")


class Infinity:
    """The node; enter it before clients come. ``dial`` places automatic participants' calls.

    ``client`` is what it asks and reports with. Times are epoch seconds of ``clock``. Made where an event loop runs.
    """

    def __init__(
        self,
        policy_url: str,
        credentials: tuple[str, str],
        *,
        client: httpx.AsyncClient,
        dial: Dial,
        event_sink: SinkAddress | None = None,
        routing_rules: Sequence[RoutingRule] = (RoutingRule(r"99(\+\d{11})", r"\1@trunk.example"),),
        adp_delay: float = 10.0,
        bulk: bool = False,
        node: str = "127.0.0.1",
        token_seconds: float = TOKEN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock: Final = clock
        self._tasks: Final = Tasks()
        self._media: Final = Media()
        self._sink: Final = EventSink(client, event_sink, node, clock, in_bulk=bulk) if event_sink is not None else None
        self._questions: Final = Questions(ConferencingNode(client, policy_url, *credentials), node)
        self._rooms: Final = Rooms(self._media, self._sink, self._tasks, clock, token_seconds)
        self._referrals: Final[dict[str, Role]] = {}
        self._dialler: Final = Dialler(
            dial,
            routing_rules,
            adp_delay,
            rooms=self._rooms,
            questions=self._questions,
            tasks=self._tasks,
            clock=clock,
        )

    @property
    def exchanges(self) -> deque[Judged]:
        """The newest policy questions, each with its answer and what the node makes of it."""
        return self._questions.kept

    @property
    def meetings(self) -> Mapping[str, Meeting]:
        """The conferences that run, by name."""
        return self._rooms.meetings

    @property
    def token_seconds(self) -> float:
        """How long a token lasts."""
        return self._rooms.token_seconds

    async def __aenter__(self) -> Self:
        if self._sink is not None:
            self._sink.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.disconnect_all("System in maintenance mode")
            # What ends with a room takes a moment.
            await self._tasks.finish()
            await self._media.close_all()
        finally:
            if self._sink is not None:
                await self._sink.stop()

    def disconnect_all(self, reason: str) -> None:
        """Ends every conference."""
        self._rooms.disconnect_all(reason)

    # ------------------------------------------------------------------ tokens

    async def request_token(
        self, alias: str, caller: Caller, pin: str | None, referral: str = ""
    ) -> tuple[str, Session]:
        """Lets somebody in. Raises NotFoundError, PinNeededError, and RefusedError for PINs, rejections and limits.

        A ``referral`` is the token of a transfer: who has one needs no PIN.
        """
        asked = self._questions.about_caller(alias, caller)
        answer = await self._questions.service(asked)
        service = answer.result
        # A discarded answer, a rejection and an empty one are the same to a caller: nobody else knows this alias.
        if answer.verdict.outcome != "service" or service.get("service_type") not in _PLAYED:
            raise NotFoundError(NOT_FOUND)
        match self._referrals.pop(referral, None) or check_pin(service, pin):
            case PinRequired(guest):
                raise PinNeededError(of_guests=guest)
            case PinWrong():
                raise RefusedError("Invalid PIN")
            case role:
                pass
        uuid = str(uuid4())
        asked |= service_fields(service)
        properties = await self._questions.properties(asked, "api", uuid, role)
        newcomer = _newcomer(uuid, alias, caller, role, properties)
        session = self._admit(service, newcomer, asked)
        return self._rooms.renew_token(session), session

    def refresh_token(self, session: Session) -> str:
        """A token in place of the one before, and the time begins anew. Event streams that are open stay so."""
        return self._rooms.renew_token(session)

    def session(self, token: str) -> Session:
        """Whose token that is. Raises RefusedError."""
        return self._rooms.session(token)

    def leave(self, session: Session, reason: str = LEFT) -> None:
        """Somebody leaves the room."""
        self._rooms.leave(session.room, session.uuid, reason)

    def _admit(self, service: Mapping[str, object], newcomer: Participant, asked: dict[str, str]) -> Session:
        known = self._rooms.find(str(service["name"]))
        if known is not None and known.meeting.is_full:
            raise RefusedError(PARTICIPANT_LIMIT)
        room = known or self._rooms.open(service)
        session = Session(room, newcomer.uuid, asked, View.of(room.meeting, newcomer.role))
        # Its own arrival is in the roster of the first stream that it opens.
        self._rooms.apply(room, room.meeting.join(newcomer, self._clock()))
        room.sessions[newcomer.uuid] = session
        if known is None:
            self._dialler.begin(room)
        return session

    # ------------------------------------------------------------------ what clients do in a room

    def listen(self, session: Session) -> "asyncio.Queue[Told | None]":
        """A new event stream: the whole roster, then what happens, ``None`` at its end."""
        stream: asyncio.Queue[Told | None] = asyncio.Queue()
        session.streams.add(stream)
        stream.put_nowait(("participant_sync_begin", None))
        for entry in self.roster(session):
            stream.put_nowait(("participant_create", entry))
        stream.put_nowait(("participant_sync_end", None))
        stream.put_nowait(("conference_update", status_entry(session.room.meeting.status)))
        return stream

    def roster(self, session: Session) -> list[Entry]:
        """Everybody who is there, as somebody is told."""
        listed = [each for each in session.room.meeting.participants if each.is_on_roster]
        return [session.view.entry(each) for each in listed]

    def set_flags(self, session: Session, uuid: str, **flags: bool) -> None:
        """Mutes somebody or not. Raises RefusedError unless it is a Host or it is about themselves."""
        self._check_may(session, uuid)
        self._rooms.apply(session.room, session.room.meeting.update(uuid, **flags))

    def remove(self, session: Session, uuid: str) -> None:
        """Removes somebody from the room. Raises RefusedError as ``set_flags``."""
        self._check_may(session, uuid)
        reason = LEFT if uuid == session.uuid else REMOVED_BY_HOST
        self._rooms.apply(session.room, session.room.meeting.leave(uuid, reason, self._clock()))

    def end(self, session: Session) -> None:
        """Ends the conference for everybody. Raises RefusedError for Guests."""
        self._check_may(session, "")
        self._rooms.apply(session.room, session.room.meeting.disconnect_all(ENDED_BY_HOST))

    def start(self, session: Session) -> None:
        """Starts the conference without media. Raises RefusedError for Guests."""
        self._check_may(session, "")
        self._rooms.apply(session.room, session.room.meeting.start(session.uuid))

    # ------------------------------------------------------------------ what administrators do

    async def call_out(self, alias: str, leg: Mapping[str, object], failure: str = "") -> str:
        """Has the room of an alias call somebody, as ``Dialler.call`` does; returns who that will be.

        The room is the one that runs by this alias, or else the policy says which, and it begins. Raises NotFoundError.
        """
        room = self._rooms.room_dialled_by(alias)
        if room is None:
            answer = await self._questions.service(self._questions.about_call(leg))
            if answer.verdict.outcome != "service" or answer.result.get("service_type") not in _PLAYED:
                raise NotFoundError(NOT_FOUND)
            room = self._rooms.find(str(answer.result["name"])) or self._rooms.open(answer.result)
        return self._dialler.call(room, leg, failure)

    def expel(self, uuid: str) -> None:
        """Removes somebody. Raises NotFoundError."""
        self._rooms.leave(self._room_of(uuid), uuid, REMOVED_BY_ADMINISTRATOR)

    def terminate(self, name: str) -> None:
        """Ends a conference for everybody. Raises NotFoundError."""
        room = self._rooms.find(name)
        if room is None:
            raise NotFoundError(NOT_FOUND)
        self._rooms.apply(room, room.meeting.disconnect_all(ENDED_BY_ADMINISTRATOR))

    async def transfer(self, uuid: str, alias: str, role: Role) -> None:
        """Moves somebody to the room of an alias. Raises NotFoundError.

        A browser is told where to go, with a token in place of a PIN (lab/README.md: Event stream); whom a room called is
        moved as they are.
        """
        room = self._room_of(uuid)
        session = room.sessions.get(uuid)
        asked = session.asked if session is not None else self._questions.about_call({"local_alias": alias})
        answer = await self._questions.service({**asked, "local_alias": alias})
        if answer.verdict.outcome != "service" or answer.result.get("service_type") not in _PLAYED:
            raise NotFoundError(NOT_FOUND)
        if session is not None:
            token = uuid4().hex
            self._referrals[token] = role
            session.tell(("refer", {"alias": alias, "token": token}))
        elif (moved := room.meeting.get(uuid)) is not None:
            placed = room.legs.pop(uuid, None)
            self._rooms.leave(room, uuid, TRANSFERRED)
            target = self._rooms.find(str(answer.result["name"])) or self._rooms.open(answer.result)
            self._rooms.apply(target, target.meeting.dial(replace(moved, role=role, local_alias=alias), self._clock()))
            if placed is not None:
                target.legs[uuid] = placed
            if moved.presence is Presence.IN:
                self._rooms.apply(target, target.meeting.leg_answered(uuid, self._clock()))

    def _room_of(self, uuid: str) -> Room:
        room = self._rooms.room_of(uuid)
        if room is None:
            raise NotFoundError(NOT_FOUND)
        return room

    # ------------------------------------------------------------------ calls

    async def start_call(self, session: Session, uuid: str, offer: str) -> tuple[str, str]:
        """Somebody's media: the uuid of the call and the answer. A call that was there ends.

        Raises RefusedError, OfferError.
        """
        if uuid != session.uuid:
            raise RefusedError(INVALID_ROLE)
        room, meeting = session.room, session.room.meeting
        call = str(uuid4())
        await self._questions.properties(session.asked, "standard", call, session.view.role)
        await self._questions.location({**session.asked, "protocol": "webrtc"})
        self._rooms.apply(room, meeting.disconnect_media(uuid, LEFT, self._clock()))
        control = meeting.get(uuid)
        if control is None:
            raise RefusedError(INVALID_TOKEN)
        answer = await self._media.answer(
            call,
            meeting.name,
            offer,
            is_open=is_shown(control),
            is_filled=session.is_host,
            on_over=lambda has_failed: self._call_is_over(session, call, has_failed),
        )
        if meeting.get(uuid) is None:
            await self._media.close(call)
            raise RefusedError(INVALID_TOKEN)
        room.calls[call] = uuid
        self._rooms.apply(room, meeting.connect_media(uuid, call, self._clock()))
        return call, answer

    async def update_call(self, session: Session, call: str, offer: str) -> str:
        """The answer to another offer of a call. Raises RefusedError, OfferError."""
        return await self._media_of(session, call).update(call, offer)

    async def add_candidate(self, session: Session, call: str, candidate: str, mid: str) -> None:
        """A remote candidate of a call. Raises RefusedError."""
        await self._media_of(session, call).add_candidate(call, candidate, mid)

    def end_call(self, session: Session, call: str, reason: str = LEFT) -> None:
        """Ends a call; nothing happens when it is over."""
        if session.room.calls.get(call) == session.uuid:
            self._rooms.apply(session.room, session.room.meeting.disconnect_media(session.uuid, reason, self._clock()))

    def _call_is_over(self, session: Session, call: str, has_failed: bool) -> None:
        if has_failed:
            session.tell(("call_disconnected", {"call_uuid": call, "reason": ICE_FAILED}))
        self.end_call(session, call, ICE_FAILED if has_failed else LEFT)

    def _media_of(self, session: Session, call: str) -> Media:
        if session.room.calls.get(call) != session.uuid:
            raise RefusedError("Call not found")
        return self._media

    def _check_may(self, session: Session, uuid: str) -> None:
        if not session.is_host and uuid != session.uuid:
            raise RefusedError(INVALID_ROLE)


def _newcomer(uuid: str, alias: str, caller: Caller, role: Role, properties: Mapping[str, object]) -> Participant:
    return Participant(
        uuid=uuid,
        display_name=str(properties.get("remote_display_name") or caller.display_name),
        role=Role(str(properties.get("preauthenticated_role") or role)),
        protocol="api",
        came_at=0.0,
        local_alias=alias,
        remote_alias=str(properties.get("remote_alias") or caller.display_name),
        call_id=uuid,
        conversation_id=uuid,
        call_tag=str(properties.get("call_tag") or caller.call_tag),
        vendor=caller.vendor,
        remote_address=caller.address,
    )

"""A Conferencing Node that is not there: asks the policy server, keeps conferences, dials, and reports.

The questions and their order, automatic participants and Call Routing Rules are as documented (pexip/README.md: Order
during a call, When Pexip dials, Call Routing Rules). Only ``conference`` and ``lecture`` services are played.
"""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias
from uuid import uuid4

import httpx
from starlette.applications import Starlette

from policy_server.lab.node.client_api import VERSION, Caller, RefusedError, client_api
from policy_server.lab.node.media import Media
from policy_server.lab.node.meeting import (
    ENDED_BY_HOST,
    ICE_FAILED,
    LEFT,
    REMOVED_BY_HOST,
    TOKEN_EXPIRED,
    Came,
    Changed,
    Closed,
    Happening,
    KeepAlive,
    Meeting,
    Opened,
    Participant,
    PinRequired,
    PinWrong,
    Presence,
    Role,
    RoomChanged,
    View,
    Went,
    check_pin,
    status_entry,
)
from policy_server.lab.node.sink import EventSink, SinkAddress
from policy_server.pexip.request_types import RequestType
from policy_server.simulator.node import (
    ConferencingNode,
    Fields,
    Judged,
    dial_out_question,
    service_fields,
    web_question,
)

NOT_FOUND: Final = "Neither conference nor gateway found"
PARTICIPANT_LIMIT: Final = "Participant limit reached"
INVALID_TOKEN: Final = "Invalid token"
INVALID_ROLE: Final = "Invalid role"

TOKEN_SECONDS: Final = 120.0
MOST_EXCHANGES: Final = 1000
"""How many policy questions are kept."""

_PLAYED: Final = ("conference", "lecture")
_SCHEME: Final = re.compile(r"(?:sips?|h323):", re.IGNORECASE)

log = logging.getLogger(__name__)

Told: TypeAlias = tuple[str, object]
"""A server-sent event: its name and its data."""


class Leg(Protocol):
    """An outgoing call that was placed."""

    async def hang_up(self) -> None:
        """Ends it. Nothing happens when it is over."""


class Dial(Protocol):
    """Places a call and returns when it is on its way; what becomes of it is told by the callbacks.

    ``on_ended`` gets the reason in Pexip's words, once, and not after ``hang_up``.
    """

    async def __call__(
        self,
        uri: str,
        *,
        from_display_name: str,
        from_user: str,
        on_ringing: Callable[[], None],
        on_answered: Callable[[], None],
        on_ended: Callable[[str], None],
    ) -> Leg:
        """Calls ``uri``."""


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """A Call Routing Rule for outgoing calls: the whole alias must match, whatever its case; ``\\1`` in ``replace``."""

    match: str
    replace: str

    def route(self, alias: str) -> str | None:
        """The alias to call, ``None`` when the rule is not for this one."""
        bare = _SCHEME.sub("", alias, count=1).partition(";")[0]
        found = re.fullmatch(self.match, bare, re.IGNORECASE)
        return found.expand(self.replace) if found else None


@dataclass(slots=True, eq=False)
class _Room:
    meeting: Meeting
    sessions: "dict[str, Session]" = field(default_factory=dict)
    legs: dict[str, Leg] = field(default_factory=dict)
    calls: dict[str, str] = field(default_factory=dict)
    """The uuid of a call to that of the control half."""
    dialling: "asyncio.Task[None] | None" = None
    deadline: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class Session:
    """Somebody who holds a token. ``streams`` are the event streams that are open; ``None`` ends one."""

    room: _Room
    uuid: str
    asked: dict[str, str]
    """The parameters of the questions about this caller."""
    view: View
    streams: "set[asyncio.Queue[Told | None]]" = field(default_factory=set)
    expiry: asyncio.TimerHandle | None = None
    token: str = field(default="", repr=False)

    @property
    def is_host(self) -> bool:
        """Whether it may do what Hosts may."""
        return self.view.role is Role.CHAIR


class Infinity:
    """The node; enter it before its ``app`` is served. ``dial`` places automatic participants' calls.

    ``client`` is what it asks and reports with, one of its own when there is none. Times are epoch seconds of
    ``clock``. Made where an event loop runs.
    """

    def __init__(
        self,
        policy_url: str,
        credentials: tuple[str, str],
        *,
        dial: Dial,
        event_sink: SinkAddress | None = None,
        routing_rules: Sequence[RoutingRule] = (RoutingRule(r"99(\+\d{11})", r"\1@trunk.example"),),
        adp_delay: float = 10.0,
        bulk: bool = False,
        node: str = "127.0.0.1",
        token_seconds: float = TOKEN_SECONDS,
        client: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.exchanges: Final[deque[Judged]] = deque(maxlen=MOST_EXCHANGES)
        self.token_seconds: Final = token_seconds
        self.app: Final[Starlette] = client_api(self)
        self._policy: Final = (policy_url, *credentials)
        self._sink_address: Final = event_sink
        self._in_bulk: Final = bulk
        self._dial: Final = dial
        self._rules: Final = tuple(routing_rules)
        self._adp_delay: Final = adp_delay
        self._node: Final = node
        self._given_client: Final = client
        self._clock: Final = clock
        self._rooms: Final[dict[str, _Room]] = {}
        self._tokens: Final[dict[str, Session]] = {}
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._stack: Final = AsyncExitStack()
        self._asker: ConferencingNode | None = None
        self._sink: EventSink | None = None
        self._media: Final = Media()

    @property
    def meetings(self) -> Mapping[str, Meeting]:
        """The conferences that run, by name."""
        return {name: room.meeting for name, room in self._rooms.items()}

    async def __aenter__(self) -> Self:
        client = self._given_client
        if client is None:
            client = await self._stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        self._asker = ConferencingNode(client, *self._policy)
        if self._sink_address is not None:
            self._sink = EventSink(client, self._sink_address, self._node, self._clock, in_bulk=self._in_bulk)
            self._sink.start()
            self._stack.push_async_callback(self._sink.stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.disconnect_all("System in maintenance mode")
            # What ends with a room takes a moment; a task may start another.
            while self._tasks:
                await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._media.close_all()
        finally:
            await self._stack.aclose()

    async def disconnect_all(self, reason: str) -> None:
        """Ends every conference."""
        for room in tuple(self._rooms.values()):
            self._apply(room, room.meeting.disconnect_all(reason))

    # ------------------------------------------------------------------ tokens

    async def request_token(self, alias: str, caller: Caller, pin: str | None) -> tuple[str, Session]:
        """Lets somebody in. Raises RefusedError: 404 for what Pexip would not find, 403 for PINs, rejections, limits."""
        asked = web_question(
            alias,
            caller.display_name,
            vendor=caller.vendor,
            call_tag=caller.call_tag,
            remote_address=caller.address,
            remote_port=str(caller.port),
            node_ip=self._node,
        )
        answer = await self._ask(RequestType.SERVICE, asked)
        service = answer.result
        # A discarded answer, a rejection and an empty one are the same to a caller: nobody else knows this alias.
        if answer.verdict.outcome != "service" or service.get("service_type") not in _PLAYED:
            raise RefusedError(404, NOT_FOUND)
        match check_pin(service, pin):
            case PinRequired(guest):
                guest_pin = "required" if guest else "none"
                raise RefusedError(403, {"pin": "required", "guest_pin": guest_pin, "version": VERSION})
            case PinWrong():
                raise RefusedError(403, "Invalid PIN")
            case role:
                pass
        uuid = str(uuid4())
        properties = await self._properties({**asked, **service_fields(service)}, "api", uuid, role)
        newcomer = self._newcomer(uuid, alias, caller, role, properties)
        return self._admit(service, newcomer, {**asked, **service_fields(service)})

    def refresh_token(self, session: Session) -> str:
        """A token in place of the one before, and the time begins anew. Event streams that are open stay so."""
        self._tokens.pop(session.token, None)
        token = session.token = uuid4().hex + uuid4().hex
        self._tokens[token] = session
        if session.expiry is not None:
            session.expiry.cancel()
        loop = asyncio.get_running_loop()
        session.expiry = loop.call_later(self.token_seconds, self.leave, session, TOKEN_EXPIRED)
        return token

    def session(self, token: str) -> Session:
        """Whose token that is. Raises RefusedError."""
        if token not in self._tokens:
            raise RefusedError(403, INVALID_TOKEN)
        return self._tokens[token]

    def leave(self, session: Session, reason: str = LEFT) -> None:
        """Somebody leaves the room."""
        self._apply(session.room, session.room.meeting.leave(session.uuid, reason, self._clock()))

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

    def roster(self, session: Session) -> list[dict[str, object]]:
        """Everybody who is there, as somebody is told."""
        listed = [each for each in session.room.meeting.participants if each.is_on_roster]
        return [session.view.entry(each) for each in listed]

    def set_flags(self, session: Session, uuid: str, **flags: bool) -> None:
        """Mutes somebody or not. Raises RefusedError unless it is a Host or it is about themselves."""
        self._check_may(session, uuid)
        self._apply(session.room, session.room.meeting.update(uuid, **flags))

    def remove(self, session: Session, uuid: str) -> None:
        """Removes somebody from the room. Raises RefusedError as ``set_flags``."""
        self._check_may(session, uuid)
        reason = LEFT if uuid == session.uuid else REMOVED_BY_HOST
        self._apply(session.room, session.room.meeting.leave(uuid, reason, self._clock()))

    def end(self, session: Session) -> None:
        """Ends the conference for everybody. Raises RefusedError for Guests."""
        self._check_may(session, "")
        self._apply(session.room, session.room.meeting.disconnect_all(ENDED_BY_HOST))

    def start(self, session: Session) -> None:
        """Starts the conference without media. Raises RefusedError for Guests."""
        self._check_may(session, "")
        self._apply(session.room, session.room.meeting.start(session.uuid))

    # ------------------------------------------------------------------ calls

    async def start_call(self, session: Session, uuid: str, offer: str) -> tuple[str, str]:
        """Somebody's media: the uuid of the call and the answer. A call that was there ends.

        Raises RefusedError, OfferError.
        """
        if uuid != session.uuid:
            raise RefusedError(403, INVALID_ROLE)
        room, meeting = session.room, session.room.meeting
        call = str(uuid4())
        await self._properties(session.asked, "standard", call, session.view.role)
        await self._ask(RequestType.LOCATION, self._location_question({**session.asked, "protocol": "webrtc"}))
        self._apply(room, meeting.disconnect_media(uuid, LEFT, self._clock()))
        control = meeting.get(uuid)
        if control is None:
            raise RefusedError(403, INVALID_TOKEN)
        answer = await self._media.answer(
            call,
            meeting.name,
            offer,
            is_open=_is_shown(control),
            is_filled=session.is_host,
            on_over=lambda has_failed: self._call_is_over(session, call, has_failed),
        )
        if meeting.get(uuid) is None:
            await self._media.close(call)
            raise RefusedError(403, INVALID_TOKEN)
        room.calls[call] = uuid
        self._apply(room, meeting.connect_media(uuid, call, self._clock()))
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
            self._apply(session.room, session.room.meeting.disconnect_media(session.uuid, reason, self._clock()))

    def _call_is_over(self, session: Session, call: str, has_failed: bool) -> None:
        if has_failed:
            _tell(session, ("call_disconnected", {"call_uuid": call, "reason": ICE_FAILED}))
        self.end_call(session, call, ICE_FAILED if has_failed else LEFT)

    def _media_of(self, session: Session, call: str) -> Media:
        if session.room.calls.get(call) != session.uuid:
            raise RefusedError(403, "Call not found")
        return self._media

    def _check_may(self, session: Session, uuid: str) -> None:
        if not session.is_host and uuid != session.uuid:
            raise RefusedError(403, INVALID_ROLE)

    # ------------------------------------------------------------------ policy

    async def _ask(
        self, request_type: RequestType, fields: Fields, running: Mapping[str, object] | None = None
    ) -> Judged:
        if self._asker is None:
            raise RuntimeError("the node asks only inside its context: use 'async with'")
        exchange = await self._asker.ask(request_type, fields, running=running)
        self.exchanges.append(exchange)
        return exchange

    async def _properties(
        self, asked: Mapping[str, str], participant_type: str, uuid: str, role: Role
    ) -> Mapping[str, object]:
        """What the policy changes about a participant, ``{}`` for nothing. Raises RefusedError with its reason."""
        is_media_half = participant_type == "standard" and asked["protocol"] == "api"
        question = {
            **asked,
            "protocol": "webrtc" if is_media_half else asked["protocol"],
            "participant_type": participant_type,
            "participant_uuid": uuid,
            "call_uuid": uuid,
            "preauthenticated_role": str(role),
            "bypass_lock": "False",
            "receive_from_audio_mix": "main",
            "display_count": "",
            "breakout_uuid": "",
            "send_to_audio_mixes_mix_name": "main",
            "send_to_audio_mixes_prominent": "False",
        }
        answer = await self._ask(RequestType.PARTICIPANT, question)
        if answer.verdict.outcome == "reject":
            raise RefusedError(403, str(answer.result.get("reject_reason") or "Call rejected"))
        return answer.result if answer.verdict.outcome == "properties" else {}

    @staticmethod
    def _location_question(asked: Mapping[str, str]) -> dict[str, str]:
        return {**asked, "proxy_node_address": "", "proxy_node_location": "", "request_id": uuid4().hex[:8]}

    # ------------------------------------------------------------------ coming in

    @staticmethod
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

    def _admit(
        self, service: Mapping[str, object], newcomer: Participant, asked: dict[str, str]
    ) -> tuple[str, Session]:
        name = str(service["name"])
        room = self._rooms.get(name)
        is_first = room is None
        if room is None:
            room = self._rooms[name] = _Room(Meeting(service, self._clock()))
        elif room.meeting.is_full:
            raise RefusedError(403, PARTICIPANT_LIMIT)
        session = Session(room, newcomer.uuid, asked, View.of(room.meeting, newcomer.role))
        # Its own arrival is in the roster of the first stream that it opens.
        self._apply(room, room.meeting.join(newcomer, self._clock()))
        room.sessions[newcomer.uuid] = session
        if is_first:
            room.dialling = self._spawn(self._dial_legs(room))
        return self.refresh_token(session), session

    # ------------------------------------------------------------------ automatic participants

    async def _dial_legs(self, room: _Room) -> None:
        await asyncio.sleep(self._adp_delay)
        for leg in room.meeting.legs_to_dial():
            if leg.get("protocol") == "sip" and not room.meeting.is_over:
                self._spawn(self._dial_leg(room, leg))

    async def _dial_leg(self, room: _Room, leg: Mapping[str, object]) -> None:
        """Dials one automatic participant, once."""
        service, uuid = room.meeting.service, str(uuid4())
        role = Role(str(leg.get("role", "guest")))
        question = {**dial_out_question(leg, service), "node_ip": self._node}
        answer = await self._ask(RequestType.SERVICE, question, running=service)
        properties: Mapping[str, object] = {}
        failure = "" if answer.verdict.outcome == "service" else NOT_FOUND
        if not failure:
            try:
                properties = await self._properties(question, "standard", uuid, role)
            except RefusedError:
                failure = "Call rejected"
        if not failure:
            await self._ask(RequestType.LOCATION, self._location_question(question))
        target = self._route(leg)
        if room.meeting.is_over:
            return
        called = Participant(
            uuid=uuid,
            display_name=str(
                properties.get("remote_display_name") or leg.get("remote_display_name") or leg["remote_alias"]
            ),
            role=Role(str(properties.get("preauthenticated_role") or role)),
            protocol="sip",
            came_at=0.0,
            local_alias=str(leg["local_alias"]),
            remote_alias=str(leg["remote_alias"]),
            keep_alive=KeepAlive(str(leg.get("keep_conference_alive") or KeepAlive.IF_MULTIPLE)),
            call_id=uuid,
            conversation_id=uuid,
            call_tag=str(properties.get("call_tag") or ""),
        )
        self._apply(room, room.meeting.dial(called, self._clock()))
        if failure or target is None:
            self._leg_ended(room, uuid, failure or NOT_FOUND)
        else:
            await self._place(room, uuid, leg, target)

    async def _place(self, room: _Room, uuid: str, leg: Mapping[str, object], target: str) -> None:
        name = leg.get("local_display_name") or room.meeting.service.get("local_display_name") or leg["local_alias"]
        try:
            placed = await self._dial(
                f"sip:{_SCHEME.sub('', target, count=1)}",
                from_display_name=str(name),
                from_user=str(leg["local_alias"]),
                on_ringing=lambda: None,
                on_answered=lambda: self._apply(room, room.meeting.leg_answered(uuid, self._clock())),
                on_ended=lambda reason: self._leg_ended(room, uuid, reason),
            )
        except Exception as error:
            log.exception("The leg of %s could not be placed: %s", room.meeting.name, error)
            self._leg_ended(room, uuid, "Call failed")
            return
        if room.meeting.get(uuid) is None:
            await placed.hang_up()
        else:
            room.legs[uuid] = placed

    def _leg_ended(self, room: _Room, uuid: str, reason: str) -> None:
        room.legs.pop(uuid, None)
        self._apply(room, room.meeting.leave(uuid, reason, self._clock()))

    def _route(self, leg: Mapping[str, object]) -> str | None:
        alias = str(leg["remote_alias"])
        if leg.get("routing") != "routing_rule":
            return alias
        return next((routed for rule in self._rules if (routed := rule.route(alias)) is not None), None)

    # ------------------------------------------------------------------ what happened

    def _apply(self, room: _Room, happenings: Sequence[Happening]) -> None:
        """Tells event sink and clients what happened, and ends what must end."""
        for happening in happenings:
            if self._sink is not None:
                self._sink.tell(room.meeting, happening)
            match happening:
                case Came(participant) | Changed(participant):
                    self._announce(room, participant, is_new=isinstance(happening, Came))
                case Went(participant, reason):
                    self._part(room, participant, reason)
                case RoomChanged(status):
                    self._broadcast(room, "conference_update", status_entry(status))
                case Closed():
                    self._close(room)
                case Opened():
                    pass
        self._schedule(room)

    def _announce(self, room: _Room, participant: Participant, *, is_new: bool) -> None:
        if participant.is_on_roster:
            event = "participant_create" if is_new else "participant_update"
            for session in room.sessions.values():
                _tell(session, (event, session.view.entry(participant)))
        else:
            self._media.set_open(participant.uuid, _is_shown(participant))

    def _part(self, room: _Room, participant: Participant, reason: str) -> None:
        if not participant.is_on_roster:
            room.calls.pop(participant.uuid, None)
            self._spawn(self._media.close(participant.uuid))
            return
        session = room.sessions.pop(participant.uuid, None)
        if session is not None:
            _tell(session, ("disconnect", {"reason": reason}), None)
            if session.expiry is not None:
                session.expiry.cancel()
            self._tokens.pop(session.token, None)
        if (leg := room.legs.pop(participant.uuid, None)) is not None:
            self._spawn(leg.hang_up())
        self._broadcast(room, "participant_delete", {"uuid": participant.uuid})

    def _close(self, room: _Room) -> None:
        if room.dialling is not None:
            room.dialling.cancel()
        if self._rooms.get(room.meeting.name) is room:
            del self._rooms[room.meeting.name]

    def _schedule(self, room: _Room) -> None:
        if room.deadline is not None:
            room.deadline.cancel()
            room.deadline = None
        deadline = room.meeting.deadline
        if deadline is not None and not room.meeting.is_over:
            loop = asyncio.get_running_loop()
            room.deadline = loop.call_later(max(0.0, deadline - self._clock()), self._tick, room)

    def _tick(self, room: _Room) -> None:
        self._apply(room, room.meeting.tick(self._clock()))

    @staticmethod
    def _broadcast(room: _Room, event: str, data: object) -> None:
        for session in room.sessions.values():
            _tell(session, (event, data))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("The simulated node failed: %s", error, exc_info=error)


def _is_shown(participant: Participant) -> bool:
    return participant.presence is Presence.IN and not participant.is_video_muted


def _tell(session: Session, *told: Told | None) -> None:
    for stream in session.streams:
        for each in told:
            stream.put_nowait(each)

"""How the node calls a room's automatic participants once each, and whom else it is told to call.

(pexip/README.md: When Pexip dials, Call Routing Rules)
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import uuid4

from policy_server.lab.node.errors import RefusedError
from policy_server.lab.node.people import KeepAlive, Participant, Role
from policy_server.lab.node.questions import CALL_REJECTED, NOT_FOUND, Questions
from policy_server.lab.node.rooms import Leg, Room, Rooms
from policy_server.lab.node.tasks import Tasks

CALL_FAILED: Final = "Call failed"

_SCHEME: Final = re.compile(r"(?:sips?|h323):", re.IGNORECASE)

log = logging.getLogger(__name__)


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


class Dialler:
    """Calls automatic participants through ``dial``, ``delay`` seconds after a room has begun."""

    def __init__(
        self,
        dial: Dial,
        rules: Sequence[RoutingRule],
        delay: float,
        *,
        rooms: Rooms,
        questions: Questions,
        tasks: Tasks,
        clock: Callable[[], float],
    ) -> None:
        self._dial: Final = dial
        self._rules: Final = tuple(rules)
        self._delay: Final = delay
        self._rooms: Final = rooms
        self._questions: Final = questions
        self._tasks: Final = tasks
        self._clock: Final = clock

    def begin(self, room: Room) -> None:
        """Dials a room's automatic participants when it is time; the end of the room puts an end to it."""
        room.dialling = self._tasks.start(self._dial_legs(room))

    def call(self, room: Room, leg: Mapping[str, object], failure: str = "") -> str:
        """Calls somebody at once, described as an automatic participant is; returns who that will be.

        With a ``failure`` nothing is placed, and the call ends with that reason.
        """
        uuid = str(uuid4())
        self._tasks.start(self._dial_leg(room, leg, uuid, failure))
        return uuid

    async def _dial_legs(self, room: Room) -> None:
        await asyncio.sleep(self._delay)
        for leg in room.meeting.legs_to_dial():
            if leg.get("protocol") == "sip" and not room.meeting.is_over:
                self.call(room, leg)

    async def _dial_leg(self, room: Room, leg: Mapping[str, object], uuid: str, failure: str) -> None:
        service = room.meeting.service
        role = Role(str(leg.get("role", "guest")))
        asked = self._questions.about_leg(leg, service)
        answer = await self._questions.service(asked, running=service)
        properties: Mapping[str, object] = {}
        if answer.verdict.outcome != "service":
            failure = NOT_FOUND
        if not failure:
            try:
                properties = await self._questions.properties(asked, "standard", uuid, role)
            except RefusedError:
                failure = CALL_REJECTED
        if not failure:
            await self._questions.location(asked)
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
        self._rooms.apply(room, room.meeting.dial(called, self._clock()))
        if failure or target is None:
            self._ended(uuid, failure or NOT_FOUND)
        else:
            await self._place(room, uuid, leg, target)

    async def _place(self, room: Room, uuid: str, leg: Mapping[str, object], target: str) -> None:
        name = leg.get("local_display_name") or room.meeting.service.get("local_display_name") or leg["local_alias"]
        try:
            placed = await self._dial(
                f"sip:{_SCHEME.sub('', target, count=1)}",
                from_display_name=str(name),
                from_user=str(leg["local_alias"]),
                on_ringing=lambda: None,
                on_answered=lambda: self._answered(uuid),
                on_ended=lambda reason: self._ended(uuid, reason),
            )
        except Exception as error:
            log.exception("The leg of %s could not be placed: %s", room.meeting.name, error)
            self._ended(uuid, CALL_FAILED)
            return
        where = self._rooms.room_of(uuid)
        if where is None:
            await placed.hang_up()
        else:
            where.legs[uuid] = placed

    # Looked for each time: somebody may have been moved to another room.

    def _answered(self, uuid: str) -> None:
        room = self._rooms.room_of(uuid)
        if room is not None:
            self._rooms.apply(room, room.meeting.leg_answered(uuid, self._clock()))

    def _ended(self, uuid: str, reason: str) -> None:
        room = self._rooms.room_of(uuid)
        if room is not None:
            room.legs.pop(uuid, None)
            self._rooms.leave(room, uuid, reason)

    def _route(self, leg: Mapping[str, object]) -> str | None:
        """The alias to call, ``None`` when no rule is for it."""
        alias = str(leg["remote_alias"])
        if leg.get("routing") != "routing_rule":
            return alias
        return next((routed for rule in self._rules if (routed := rule.route(alias)) is not None), None)

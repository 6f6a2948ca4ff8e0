"""Watches the legs of calls, and acts through the Management Node where one fails or a call is over (README.md: Assurance).

Each room whose legs are watched has one action on the agenda, which is due whenever events may have changed something and
whenever a time is up. Whoever has it looks at the events, and only if these say that something is to be done asks the
Management Node, whose word counts. What is done is remembered first.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol, assert_never

from policy_server.conferences.agenda import Done, Later, Remember, Result
from policy_server.conferences.assurance import (
    Action,
    Dial,
    Drop,
    End,
    Move,
    Over,
    Wait,
    learned,
    plan,
    remember,
)
from policy_server.conferences.assurance_memory import FIRST, Memory
from policy_server.conferences.assured import assured
from policy_server.conferences.done import details_of, done_in_words
from policy_server.conferences.due import DueAction
from policy_server.conferences.ending import course_of
from policy_server.conferences.fold import Chronicle, Phase
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import HeldConference
from policy_server.conferences.sightings import Seen, in_breakouts, seen_by_events, seen_by_node, to_move
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.timeline import Note, Step, assurance_acted, assurance_saw
from policy_server.policy.assurance import Assured, Entry
from policy_server.policy.decisions import Serve
from policy_server.policy.services import LEGS

KIND: Final = "assurance"
"""What the agenda calls it."""

CHANGES: Final = frozenset(
    {"conference_started", "conference_ended", "participant_connected", "participant_disconnected"}
)
"""Messages after which a call is looked at again."""

SECONDS: Final = 15.0
"""How long one look may take: two questions to the Management Node and a command."""

AT_ONCE: Final = 20
"""Calls that are looked at at a time."""

AGAIN: Final = timedelta(seconds=1)
"""When a call is looked at again after something was done."""

AWAY: Final = timedelta(seconds=3)
"""When the Management Node is asked again that could not be asked."""

CALM: Final = timedelta(minutes=2)
"""When the Management Node is asked about a call of which nothing is expected but events, and no event came."""

SILENT: Final = timedelta(seconds=10)
"""When the Management Node is asked about a call of which no event was heard."""

UNWRITTEN: Final = timedelta(seconds=60)
"""How long the hold of a room may be on its way to the database."""

log = logging.getLogger(__name__)


# ------------------------------------------------------------------ what the Management Node says


class Told(StrEnum):
    """What became of a command."""

    DONE = "done"
    NOT_DONE = "not_done"
    """Surely not carried out, and of no use to repeat."""
    AWAY = "away"
    """Surely not carried out; it may be given again."""
    UNKNOWN = "unknown"
    """Perhaps carried out."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command; ``detail`` is for people and holds no secret."""

    told: Told
    detail: str = ""


class ManagementNode(Protocol):
    """The Management Node, as far as calls need it."""

    async def look(self, room: str) -> Seen | str | None:
        """The conference of a name, ``None`` if there is none, and why it cannot be asked."""

    async def dial(self, leg: Mapping[str, object], node: str) -> Reply:
        """Has a room call somebody, with the fields of an automatic participant; ``node`` is the one that places the call
        where these name no location. The room is found by the leg's ``local_alias``, from which the call comes.
        """

    async def drop(self, participant: str) -> Reply:
        """Ends one participant's call."""

    async def end(self, conference: str) -> Reply:
        """Ends a conference for everybody."""

    async def move(self, participant: str, alias: str) -> Reply:
        """Moves a participant to the service behind an alias."""


# ------------------------------------------------------------------ what is watched


def watched_id(held: HeldConference) -> str:
    """The id of the action by which the legs of a conference are watched."""
    return f"{KIND}:{held.id}"


def watch(decision: Serve, held: HeldConference, timeline: str, at: datetime) -> DueAction | None:
    """The action by which the legs of a decision are watched; ``None`` if it dials no trunk."""
    found = assured(decision)
    if found is None:
        return None
    dialled = decision.service[LEGS]
    legs = dialled if isinstance(dialled, list) else []
    first: Mapping[str, object] = next((leg for leg in legs if leg["remote_alias"] in found.trunks), {})
    data = {
        "plan": found.plain(),
        "first": first,
        "fallbacks": list(decision.fallbacks),
        "timeline": timeline,
        "memory": {},
    }
    return DueAction(watched_id(held), KIND, held.name, at + SILENT, data)


class Watching(Protocol):
    """What is to be known of the rules."""

    def customers_aliases(self, held: HeldConference) -> frozenset[str]:
        """The aliases by which customers come into a room, as nodes dial them and as events are kept, without domain."""

    def may_be_dialled(self, entries: Sequence[Entry], at: datetime) -> Sequence[bool]:
        """Which entries for when a leg failed may be dialled at a time."""

    @property
    def domains(self) -> frozenset[str]:
        """The domains of the rules."""


# ------------------------------------------------------------------ looking and acting


class LegWatch:
    """Carries out what is due for the legs of calls: a handler of the agenda.

    ``note`` puts something on the timeline of a call or room, ``count`` hears of each step and what became of it, and
    ``over`` of each call that is over, with what was told of it.
    """

    seconds: Final = SECONDS
    at_once: Final = AT_ONCE

    def __init__(
        self,
        store: ConferenceStore,
        node: ManagementNode,
        watching: Watching,
        note: Callable[[str, Note], None],
        clock: Callable[[], datetime],
        count: Callable[[str, Told], None] = lambda step, told: None,
        over: Callable[[Assured, Chronicle], None] = lambda known, told: None,
    ) -> None:
        self.node: Final = node
        self.note: Final = note
        self.clock: Final = clock
        self.count: Final = count
        self.over: Final = over
        self._store: Final = store
        self._watching: Final = watching

    async def carry_out(self, action: DueAction, remember: Remember) -> Result:
        """Looks at one call, and does what is due."""
        now = self.clock()
        found = await self._store.read(_find, action, now)
        if found is None:
            # Its hold is still on its way to the database.
            is_young = action.attempts < UNWRITTEN / AWAY
            return Later(now + AWAY, action.data) if is_young else Done("not held")
        return await _Look(self, self._watching, action, found).carry_out(remember)


@dataclass(frozen=True, slots=True)
class _Found:
    """The conference, what was told of its life, where it is in it, and when a node first asked before it dialled."""

    held: HeldConference
    told: Chronicle
    phase: Phase
    dialled_at: datetime | None


def _find(reader: Reader, action: DueAction, now: datetime) -> _Found | None:
    held = reader.conference(action.id.partition(":")[2])
    if held is None:
        return None
    course = course_of(reader, held, now)
    entries = reader.timeline(str(action.data["timeline"]))
    asked = (entry.at for entry in entries if entry.data.get("call_direction") == "dial_out")
    return _Found(held, course.latest, course.phase, min((at for at in asked if at >= held.held_at), default=None))


class _Look:
    """One look at one call."""

    def __init__(self, watch: LegWatch, watching: Watching, action: DueAction, found: _Found) -> None:
        self._watch: Final = watch
        self._data: Final = action.data
        self._found: Final = found
        self._known: Final = Assured.of(_mapping(action.data["plan"]))
        self._ways: Final = watching.customers_aliases(found.held)
        self._domains: Final = watching.domains
        now = watch.clock()
        self._entries: Final = watching.may_be_dialled(self._known.entries, now)
        self._before: Final = Memory.of(_mapping(action.data["memory"]))

    async def carry_out(self, keep: Remember) -> Result:
        """Looks, and does what is due."""
        found, known, now = self._found, self._known, self._watch.clock()
        events = seen_by_events(found.told, found.phase, self._ways, known, self._domains)
        events = replace(events, dialled_at=found.dialled_at)
        planned = plan(known.assurance, self._entries, self._before, events, now)
        heard_at = found.told.arrived_at or found.held.held_at
        is_silent = not found.told.events or now >= heard_at + CALM
        match planned.step:
            case Over():
                self._watch.over(known, found.told)
                return Done("over", {})
            case Wait(until):
                if not is_silent:
                    self._say_if_exhausted(planned.memory)
                    # Not from now on: what is only said again brings no look with it.
                    return self._later(planned.memory, until or heard_at + CALM)
            case Dial() | Drop() | Move() | End():
                pass
            case _:
                assert_never(planned.step)
        seen = await self._watch.node.look(found.held.name)
        if isinstance(seen, str):
            self._say_once(planned.memory, f"The Management Node cannot be asked: {seen}")
            return self._later(replace(planned.memory, is_hindered=True), now + AWAY)
        now = self._watch.clock()
        if seen is None and not events.is_over and now < heard_at + UNWRITTEN:
            # It begins, or has just ended: events tell which.
            return self._later(self._before, now + AWAY)
        elsewhere = in_breakouts(found.told)
        certain = seen_by_node(seen, events, elsewhere, self._ways, known, self._domains)
        planned = plan(known.assurance, self._entries, self._before, certain, now)
        memory, step = replace(planned.memory, is_hindered=False), planned.step
        match step:
            case Over():
                self._say_what_is_seen(memory, is_over=True)
                self._watch.over(known, found.told)
                return Done("over", {})
            case Wait(until):
                self._say_what_is_seen(memory)
                self._say_if_exhausted(memory)
                unheard = SILENT if not found.told.events else CALM
                return self._later(memory, min(until or now + unheard, now + unheard))
            case Dial() | Drop() | Move() | End():
                self._say_what_is_seen(memory)
                return await self._do(step, remember(memory, step, certain, now), memory, seen, keep)
            case _:
                assert_never(step)

    async def _do(self, step: Action, after: Memory, before: Memory, seen: Seen | None, keep: Remember) -> Result:
        if not await keep({**self._data, "memory": after.plain()}):
            # Another process has it by now, and nothing may be done here.
            return Later(self._watch.clock(), self._data)
        reply = await self._tell(step, seen)
        self._watch.count(type(step).__name__.lower(), reply.told)
        now = self._watch.clock()
        match reply.told:
            case Told.DONE:
                after = learned(after, step)
                self._say(*done_in_words(step, self._known), data={"result": "done", **details_of(step, seen)})
            case Told.UNKNOWN:
                details = {"result": "unknown", "detail": reply.detail, **details_of(step, seen)}
                self._say(*done_in_words(step, self._known), data=details)
            case Told.NOT_DONE:
                text = f"{done_in_words(step, self._known)[1]} It was refused: {reply.detail}."
                self._say(Step.REFUSED, text, data={"result": "refused", "detail": reply.detail})
                if isinstance(step, Dial):
                    # That entry cannot be dialled.
                    return self._later(replace(learned(after, step), failed_at=now), now)
                return self._later(learned(after, step), now + AWAY)
            case Told.AWAY:
                self._say_once(before, f"The Management Node cannot be told: {reply.detail}")
                return self._later(replace(before, is_hindered=True), now + AWAY)
            case _:
                assert_never(reply.told)
        return self._later(after, now + AGAIN)

    async def _tell(self, step: Action, seen: Seen | None) -> Reply:
        node = self._watch.node
        match step:
            case Dial(entry):
                fallbacks = self._data["fallbacks"]
                leg = self._data["first"] if entry == FIRST or not isinstance(fallbacks, list) else fallbacks[entry]
                return await node.dial(_mapping(leg), self._placing_node(seen))
            case Drop(leg_id):
                return await node.drop(leg_id)
            case Move(customers, alias):
                moved = to_move(seen, customers) if seen is not None else sorted(customers)
                replies = [await node.move(one, alias) for one in moved]
                return max(replies, key=lambda reply: _WORST.index(reply.told))
            case End():
                # Without the conference's id there is none to end.
                return await node.end(seen.id) if seen is not None else Reply(Told.DONE)
            case _:
                assert_never(step)

    def _placing_node(self, seen: Seen | None) -> str:
        """The node that told of the call last, or else one that handles it: it runs, and handles the customer."""
        events = self._found.told.events
        handling = (one.node for one in seen.people if one.node) if seen is not None else iter(())
        return events[-1].node if events else next(handling, "")

    def _later(self, memory: Memory, at: datetime) -> Later:
        return Later(at, {**self._data, "memory": memory.plain()})

    def _say_if_exhausted(self, memory: Memory) -> None:
        if memory.is_exhausted and not self._before.is_exhausted:
            self._say(Step.EXHAUSTED, "Nobody could be reached. The customer stays in the room.")

    def _say_once(self, memory: Memory, text: str) -> None:
        if not memory.is_hindered:
            self._say(Step.HINDERED, text)

    def _say_what_is_seen(self, memory: Memory, *, is_over: bool = False) -> None:
        """Notes what the Management Node shows of a call of which no node tells, and did not show before."""
        if self._found.told.events:
            return
        before = self._before
        changes = {
            Step.CUSTOMER_SEEN: memory.is_there and not before.is_there,
            Step.ANSWER_SEEN: memory.is_answered and not before.is_answered,
            Step.CUSTOMER_MISSED: before.is_there and not memory.is_there and not is_over,
            Step.END_SEEN: is_over and memory.has_come,
        }
        for step in (step for step, is_new in changes.items() if is_new):
            self._watch.note(str(self._data["timeline"]), assurance_saw(step))

    def _say(self, step: Step, text: str, data: Mapping[str, object] = {}) -> None:
        self._watch.note(str(self._data["timeline"]), assurance_acted(step, text, data))


_WORST: Final = (Told.DONE, Told.UNKNOWN, Told.NOT_DONE, Told.AWAY)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

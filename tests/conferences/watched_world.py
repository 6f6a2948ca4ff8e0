"""A world for the watch over legs: a customer, a node, trunks, events that are late or lost, and a Management Node.

Time is simulated: whatever takes hours takes milliseconds.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, Final, Literal, TypeVar

from policy_server.conferences.agenda import Done, Later
from policy_server.conferences.assuring import CHANGES, LegWatch, Reply, Told
from policy_server.conferences.due import DueAction
from policy_server.conferences.fold import Chronicle
from policy_server.conferences.records import HeldConference, TimelineEntry
from policy_server.conferences.sightings import Seen, Somebody
from policy_server.conferences.timeline import Note
from policy_server.pexip.events import Event
from policy_server.policy.assurance import Assurance, Assured, Entry
from tests.conferences.event_histories import BEGIN, ended, joined, left, message, started
from tests.conferences.samples import conference

T = TypeVar("T")

CUSTOMERS_ALIAS: Final = "mp…"
LEASE: Final = 20.0
"""Seconds after which another has what a dead process had."""
RING: Final = 60.0
"""Seconds after which a call that nobody answers ends by itself."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """What a trunk does with a call: how soon it ends, or is answered and then for how long."""

    ends_after: float = RING
    reason: str = "No answer"
    answers_after: float | None = None
    talks: float | None = None


BUSY: Final = Trunk(1.0, "486 Busy Here")
SILENT: Final = Trunk()


def answers(after: float = 3.0, talks: float | None = None) -> Trunk:
    """A trunk that answers."""
    return Trunk(answers_after=after, talks=talks)


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, in seconds since the beginning and in parts of one."""

    event_delay: float = 0.0
    events_lost: float = 0.0
    events_doubled: float = 0.0
    has_sink: bool = True
    outages: Sequence[tuple[float, float]] = ()
    dials: Mapping[int, Literal["lost answer", "not carried out", "refused", "accepted only"]] = field(
        default_factory=dict
    )
    crashes: Mapping[int, Literal["before", "between", "after"]] = field(default_factory=dict)
    """By the number of the command: before it is remembered, before it is given, after that."""


DEFAULT: Final = Assurance()
NOTHING_WRONG: Final = Faults()


@dataclass(slots=True)
class Leg:
    """A call from the room, as it really is."""

    id: str
    number: str
    trunk: Trunk
    connected_at: float | None = None

    @property
    def is_connected(self) -> bool:
        """Whether it was answered."""
        return self.connected_at is not None


@dataclass(frozen=True, slots=True)
class Moment:
    """What there was from a time on."""

    at: float
    customers: int
    ringing: int
    connected: int
    is_over: bool


class Crash(BaseException):
    """The process dies."""


class World:
    """A call, from the customer's coming until nothing happens any more."""

    def __init__(
        self,
        trunks: Sequence[Trunk],
        assurance: Assurance = DEFAULT,
        *,
        node_dials_after: float | None = 10.0,
        customer_leaves: float | None = None,
        agent: tuple[float, float] | None = None,
        faults: Faults = NOTHING_WRONG,
        seed: int = 0,
    ) -> None:
        self._made_of: Final = {
            "trunks": trunks,
            "assurance": assurance,
            "node_dials_after": node_dials_after,
            "customer_leaves": customer_leaves,
            "agent": agent,
            "faults": faults,
            "seed": seed,
        }
        self.now = 0.0
        self.trunks: Final = trunks
        self.history: Final[list[Moment]] = []
        self.commands: Final[list[tuple[float, str, str]]] = []
        self.notes: Final[list[str]] = []
        self.messages: Final[list[Event]] = []
        self.legs: Final[dict[str, Leg]] = {}
        self.people: Final[set[str]] = set()
        self.is_over = False
        self.asked: Final[list[TimelineEntry]] = []
        """What is on the timeline: questions of nodes, and what was noted."""
        self.entries: Final = len(trunks) - 1
        self.assurance: Final = assurance
        self.faults: Final = faults
        self.stays: Final = customer_leaves or inf
        self._has_begun = False
        self._random: Final = random.Random(seed)
        self._queue: Final[list[tuple[float, int, Callable[[], None]]]] = []
        self._numbers: Final = itertools.count()
        self._steps = 0
        plan = Assured(
            assurance,
            {f"+1312999800{n}": f"trunk-{n}" for n in range(len(trunks))},
            (),
            tuple(Entry(f"trunk-{n}") for n in range(1, len(trunks))),
        )
        first, *fallbacks = ({"remote_alias": f"+1312999800{n}"} for n in range(len(trunks)))
        self.held: HeldConference = conference(held_at=self._time(0), expires_at=self._time(12 * 3600))
        data = {"plan": plan.plain(), "first": first, "fallbacks": fallbacks, "timeline": "x", "memory": {}}
        self.action = DueAction(f"assurance:{self.held.id}", "assurance", self.held.name, self._time(10), data)
        self._is_taken_until = 0.0
        self.watch: Final = LegWatch(self, self, self, self._note, lambda: self._time(self.now))  # type: ignore[arg-type]
        self.at(0.0, self._customer_comes)
        if node_dials_after is not None:
            self.at(node_dials_after, self._node_dials)
        if customer_leaves is not None:
            self.at(customer_leaves, lambda: self._leave("customer"))
        if agent is not None:
            self.at(agent[0], lambda: self._come("agent", "hcp…"))
            self.at(agent[1], lambda: self._leave("agent"))
        self.at(1.0, self._look)

    def __repr__(self) -> str:
        return f"World(**{self._made_of})"

    # -------------------------------------------------------------- time

    def _time(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(BEGIN, UTC) + timedelta(seconds=seconds)

    def at(self, seconds: float, happen: Callable[[], None]) -> None:
        """Has something happen."""
        heapq.heappush(self._queue, (seconds, next(self._numbers), happen))

    def run(self, seconds: float = 300.0) -> "World":
        """Lets time pass."""
        while self._queue and self._queue[0][0] <= seconds:
            self.now, _, happen = heapq.heappop(self._queue)
            happen()
            connected = sum(leg.is_connected for leg in self.legs.values())
            customers = "customer" in self.people
            self.history.append(Moment(self.now, customers, len(self.legs) - connected, connected, self.is_over))
        return self

    # -------------------------------------------------------------- what happens

    def _tell(self, event: Event) -> None:
        faults, chance = self.faults, self._random
        # The end of the room is what all else waits for; a sink that is silent loses that too.
        if not faults.has_sink or (chance.random() < faults.events_lost and event.name != "conference_ended"):
            return
        for _ in range(1 + (chance.random() < faults.events_doubled)):
            delay = chance.random() * faults.event_delay
            self.at(self.now + delay, lambda: self._arrive(event))

    def _arrive(self, event: Event) -> None:
        self.messages.append(replace(event, arrived_at=self._time(self.now)))
        if event.name in CHANGES and self.action.done_at is None:
            self.action = replace(self.action, due_at=min(self.action.due_at, self._time(self.now)))

    def _customer_comes(self) -> None:
        self._tell(started(BEGIN + self.now, name=self.held.name))
        self._come("customer", CUSTOMERS_ALIAS)
        self._has_begun = True

    def _come(self, who: str, alias: str) -> None:
        if not self.is_over:
            self.people.add(who)
            self._tell(joined(who, BEGIN + self.now, conference=self.held.name, destination_alias=alias))

    def _leave(self, who: str) -> None:
        if who in self.people:
            self.people.discard(who)
            self._tell(left(who, BEGIN + self.now, conference=self.held.name, disconnect_reason="Call disconnected"))
            if not self.people and not self.legs:
                self._end()

    def _node_dials(self) -> None:
        if not self.is_over and "customer" in self.people:
            self._dial(0)

    def _dial(self, number: int) -> None:
        if self.is_over:
            return
        # The node asks before it dials.
        about = {"question": "service", "call_direction": "dial_out"}
        self.asked.append(TimelineEntry("x", self._time(self.now), "policy.answered", about))
        leg = Leg(f"leg-{next(self._numbers)}", f"+1312999800{number}", self.trunks[number])
        self.legs[leg.id] = leg
        told = {"conference": self.held.name, "call_direction": "out", "protocol": "SIP"}
        alias = f"sip:{leg.number}@trunk.example.com"
        self._tell(
            message(
                "participant_connected",
                BEGIN + self.now,
                **told,
                uuid=leg.id,
                destination_alias=alias,
                service_type="connecting",
            )
        )
        trunk = leg.trunk
        if trunk.answers_after is not None:
            self.at(self.now + trunk.answers_after, lambda: self._answer(leg))
        else:
            self.at(self.now + trunk.ends_after, lambda: self._hang_up(leg, trunk.reason))

    def _answer(self, leg: Leg) -> None:
        if leg.id not in self.legs:
            return
        leg.connected_at = now = BEGIN + self.now
        told = {"uuid": leg.id, "conference": self.held.name, "service_type": "conference", "has_media": True}
        self._tell(message("participant_updated", now, **told, connect_time=now))
        if leg.trunk.talks is not None:
            self.at(self.now + leg.trunk.talks, lambda: self._hang_up(leg, "Call disconnected"))

    def _hang_up(self, leg: Leg, reason: str) -> None:
        if self.legs.pop(leg.id, None) is None:
            return
        connected: dict[str, Any] = {"connect_time": leg.connected_at} if leg.is_connected else {}
        self._tell(left(leg.id, BEGIN + self.now, conference=self.held.name, disconnect_reason=reason, **connected))
        if not self.people and not self.legs:
            self._end()

    def _end(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        for leg in list(self.legs.values()):
            self._hang_up(leg, "Conference terminated by an administrator")
        for who in sorted(self.people):
            self._leave(who)
        self._tell(ended(BEGIN + self.now, name=self.held.name))

    # -------------------------------------------------------------- the agenda

    def _look(self) -> None:
        self.at(self.now + 1.0, self._look)
        if self.action.done_at is not None or self.now < self._is_taken_until:
            return
        if self.action.due_at > self._time(self.now):
            return
        self._is_taken_until = self.now + LEASE
        self.action = replace(self.action, attempts=self.action.attempts + 1)
        taken_due = self.action.due_at
        try:
            result = finished(self.watch.carry_out(self.action, self._remember))
        except Crash:
            return
        self._is_taken_until = 0.0
        match result:
            case Done(outcome):
                self.action = replace(self.action, done_at=self._time(self.now), outcome=outcome)
            case Later(at, data):
                is_same = self.action.due_at == taken_due
                self.action = replace(self.action, due_at=at if is_same else self.action.due_at, data=data)

    async def _remember(self, data: Mapping[str, object]) -> bool:
        crash = self.faults.crashes.get(self._steps)
        if crash == "before":
            self._steps += 1
            raise Crash
        self.action = replace(self.action, data=data)
        if crash == "between":
            self._steps += 1
            raise Crash
        return True

    # -------------------------------------------------------------- what the watch reads

    async def read(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """As the store does."""
        return work(self, *arguments)

    def conference(self, conference_id: str) -> HeldConference:
        """As the store's reader does."""
        return self.held

    def told_of(self, held: HeldConference) -> Chronicle:
        """As the store's reader does."""
        return Chronicle(self.messages)

    def told(self, room: str, since: datetime) -> Chronicle:
        """As the store's reader does."""
        return Chronicle(self.messages)

    def timeline(self, key: str) -> Sequence[TimelineEntry]:
        """As the store's reader does."""
        return self.asked

    @property
    def domains(self) -> frozenset[str]:
        """The domains of the rules."""
        return frozenset()

    def customers_aliases(self, held: HeldConference) -> frozenset[str]:
        """How customers come in."""
        return frozenset({CUSTOMERS_ALIAS})

    def may_be_dialled(self, entries: Sequence[Entry], at: datetime) -> Sequence[bool]:
        """Which entries may be dialled: all."""
        return [True for _ in entries]

    def _note(self, key: str, note: Note) -> None:
        self.notes.append(f"{self.now:g} {note.data['text']}")
        self.asked.append(TimelineEntry("x", self._time(self.now), note.kind, note.data))

    # -------------------------------------------------------------- the Management Node

    def _is_away(self) -> bool:
        return any(begin <= self.now < end for begin, end in self.faults.outages)

    async def look(self, room: str) -> Seen | str | None:
        """What is so at this moment."""
        if self._is_away():
            return "it does not answer"
        if self.is_over or not self._has_begun:
            return None
        people = [
            Somebody((who,), False, "api", CUSTOMERS_ALIAS if who == "customer" else "hcp…", True, None, "node-1")
            for who in sorted(self.people)
        ]
        # A browser is two.
        people += [replace(one, ids=(f"{one.ids[0]}-media",), protocol="webrtc") for one in people]
        legs = [
            Somebody((leg.id,), True, "sip", f"sip:{leg.number}@trunk.example.com", leg.is_connected, None)
            for leg in self.legs.values()
        ]
        return Seen("conference-1", [*people, *legs])

    def _command(self, what: str, whom: str, carry_out: Callable[[], None]) -> Reply:
        number, self._steps = self._steps, self._steps + 1
        if self._is_away():
            return Reply(Told.AWAY, "it does not answer")
        self.commands.append((self.now, what, whom))
        dials = sum(command[1] == "dial" for command in self.commands)
        fault = self.faults.dials.get(dials) if what == "dial" else None
        if fault == "refused":
            return Reply(Told.NOT_DONE, "no such location")
        if fault not in {"not carried out", "accepted only"}:
            carry_out()
        if self.faults.crashes.get(number) == "after":
            raise Crash
        return Reply(Told.UNKNOWN if fault in {"lost answer", "not carried out"} else Told.DONE)

    async def dial(self, leg: Mapping[str, object], node: str) -> Reply:
        """Calls a trunk."""
        number = int(str(leg["remote_alias"])[-1])
        if not node:
            return Reply(Told.NOT_DONE, "exactly one of system_location and node must be given")

        def begin() -> None:
            self.at(self.now + 0.3, lambda: self._dial(number))

        return self._command("dial", str(number), begin)

    async def drop(self, participant: str) -> Reply:
        """Ends a call."""

        def end() -> None:
            if participant in self.legs:
                leg = self.legs[participant]
                self.at(self.now + 0.2, lambda: self._hang_up(leg, "Disconnected by an administrator"))

        return self._command("drop", participant, end)

    async def end(self, conference: str) -> Reply:
        """Ends the room."""
        return self._command("end", conference, lambda: self.at(self.now + 0.2, self._end))

    async def move(self, participant: str, alias: str) -> Reply:
        """Moves somebody."""
        return self._command("move", alias, lambda: self.at(self.now + 0.2, lambda: self._leave(participant)))


def finished(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine comes to that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    raise AssertionError("it waits for something")

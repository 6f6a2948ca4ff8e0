"""What is to be done for a call now, so that a leg that fails strands nobody: a pure function of what is seen and remembered.

Whoever carries a step out looks twice (README.md: Assurance): events say that something may be due, and the step is taken
only if the Management Node, asked at that moment, says the same. What is done is remembered before it is done, so that who
takes over after a crash knows that it may have been.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never

from policy_server.conferences.acted import CUSTOMER_GONE
from policy_server.conferences.assurance_memory import FIRST, Memory
from policy_server.policy.assurance import Assurance, Disconnect, Keep, Transfer

DIALS_WITHIN: Final = 15.0
"""Seconds after the customer came within which a node dials the first leg (pexip/README.md: When Pexip dials)."""

LATE: Final = 10.0
"""Seconds more after which it will not: where an agent came first, it may have read the room's legs before there were any
(pexip/README.md: When Pexip dials).
"""


SETTLE: Final = 3.0
"""Seconds after which it shows whether a command was carried out: a dial that was accepted is a leg by then."""


MOVES: Final = 10.0
"""Seconds after which a customer who is still there was not moved: a browser is told where to go, and goes."""


class LegState(StrEnum):
    """Where a leg is in its life."""

    RINGING = "ringing"
    CONNECTED = "connected"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Leg:
    """A call from the room to the contact centre, as events or the Management Node show it.

    ``since`` is when it was connected, or else first seen; ``was_connected`` whether it ever was.
    """

    id: str
    state: LegState
    since: float
    was_connected: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it rings or is connected."""
        return self.state is not LegState.GONE


@dataclass(frozen=True, slots=True)
class Picture:
    """What is seen of a call at a moment.

    ``customers`` are the ids of those who came by the link and are there, and ``others`` how many are there beside them:
    agents by video, and calls that somebody else placed out of the room, but no recorder. ``legs`` are the calls to trunks.
    ``dialled_at`` is when a node first asked about a call out of the room, by our own clock.
    """

    is_over: bool
    customers: frozenset[str] = frozenset()
    others: int = 0
    legs: Sequence[Leg] = ()
    dialled_at: datetime | None = None

    @property
    def live(self) -> list[Leg]:
        """The legs that ring or are connected, those that are connected first and then in the order in which they came."""
        live = [leg for leg in self.legs if leg.is_live]
        return sorted(live, key=lambda leg: (leg.state is not LegState.CONNECTED, leg.since, leg.id))


# ------------------------------------------------------------------ what is to be done


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing, until a time or until something happens; ``None``: nothing but an event can change that."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Dial:
    """The entry of this number among those for when a leg failed is dialled, or ``FIRST``, which no node dialled;
    ``is_repeated`` for want of others, because nobody knows whether it was dialled before.
    """

    entry: int
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """A leg ends that is not wanted any more: one that rings too long, or a second one."""

    leg: str


@dataclass(frozen=True, slots=True)
class Move:
    """Customers go to another service; ``is_repeated`` because nobody knows whether they were told before."""

    customers: frozenset[str]
    alias: str
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """The room ends, with everybody in it; ``reason`` says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing will ever be done for this call any more."""

    reason: str


Step = Wait | Dial | Drop | Move | End | Over

Action = Dial | Drop | Move | End
"""Steps that change something, for which the Management Node is asked."""


# ------------------------------------------------------------------ what is to be done now


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and what to remember of what is seen."""

    memory: Memory
    step: Step


def plan(assurance: Assurance, entries: Sequence[bool], memory: Memory, picture: Picture, now: datetime) -> Plan:
    """What is to be done for a call at a time.

    ``entries`` are those of ``dial_out`` for when a leg failed, in order: whether each may be dialled at this hour.
    """
    memory = _notice(memory, picture, now)
    if picture.is_over:
        return Plan(memory, Over("the call is over"))
    step = _end(assurance, memory, now)
    if isinstance(step, End):
        return Plan(memory, step)
    step = _drop_unwanted(memory, picture, now) or step
    # Nobody is dialled for a customer who is not there. Whether they come back, an event tells.
    if step is None and picture.customers:
        return _reach(assurance, entries, memory, picture, now)
    return Plan(memory, step or Wait(None))


def remember(memory: Memory, step: Action, picture: Picture, now: datetime) -> Memory:
    """What to remember before a step is taken."""
    match step:
        case Dial():
            again = step.entry == memory.entry
            return replace(
                memory,
                entry=memory.entry if step.is_repeated else step.entry,
                attempt=memory.attempt if step.is_repeated else memory.attempt + 1 if again else 1,
                began_at=now,
                before=memory.before | {leg.id for leg in picture.legs},
                failed_at=None,
                doubted=memory.doubted - {step.entry} if step.is_repeated else memory.doubted | {step.entry},
            )
        case Drop():
            return replace(memory, dropped={**memory.dropped, step.leg: now})
        case Move():
            return replace(memory, is_exhausted=True, moved_at=None if step.is_repeated else now)
        case End():
            return replace(memory, ended_at=now)
        case _:
            assert_never(step)


def learned(memory: Memory, step: Action) -> Memory:
    """What to remember when it is known what became of a step."""
    match step:
        case Dial(entry):
            return replace(memory, doubted=memory.doubted - {entry})
        case Move():
            return replace(memory, moved_at=None)
        case Drop() | End():
            return memory
        case _:
            assert_never(step)


def _notice(memory: Memory, picture: Picture, now: datetime) -> Memory:
    """What is seen, and since when."""
    has_come = memory.has_come or bool(picture.customers)
    is_answered = memory.is_answered or any(_is_answer(leg, memory, now) for leg in picture.legs)
    is_seen = any(leg.id not in memory.before for leg in picture.legs)
    began_at = memory.began_at
    if not memory.has_dialled and picture.dialled_at is not None:
        began_at = picture.dialled_at
    elif not memory.has_dialled and picture.legs:
        began_at = now if began_at is None else min(began_at, now)
    elif began_at is None and has_come:
        began_at = now + timedelta(seconds=DIALS_WITHIN)
    # An agent by video, or another call, may be the contact centre's: then the call goes on.
    is_alone = is_answered and not picture.live and not picture.others
    # A leg is dialled for somebody. Where nobody else is there who could be that, they have left without being seen.
    has_left = not picture.customers and (has_come or (bool(picture.live) and not picture.others))
    return replace(
        memory,
        has_come=has_come,
        came_at=memory.came_at or (now if has_come else None),
        is_answered=is_answered,
        doubted=memory.doubted - {memory.entry} if is_seen else memory.doubted,
        began_at=began_at,
        alone_since=(memory.alone_since or now) if is_alone else None,
        left_since=(memory.left_since or now) if has_left else None,
    )


def _is_answer(leg: Leg, memory: Memory, now: datetime) -> bool:
    """Whether a leg has reached the contact centre. One that was answered while it was being ended has not, unless it lives
    on.
    """
    settled = _due(memory.dropped.get(leg.id), SETTLE)
    return leg.was_connected and (settled is None or (leg.is_live and now >= settled))


def _end(assurance: Assurance, memory: Memory, now: datetime) -> Step | None:
    """The end of a call of which one side is gone for good, or the wait for it."""
    if memory.ended_at is not None and now < (settled := memory.ended_at + timedelta(seconds=SETTLE)):
        return Wait(settled)
    waits: list[datetime] = []
    for since, seconds, reason in (
        (memory.left_since, assurance.end_leg_with_customer, CUSTOMER_GONE),
        (memory.alone_since, assurance.end_room_with_leg, "the contact centre's leg is gone"),
    ):
        due = _due(since, seconds)
        if due is not None and now >= due:
            return End(reason)
        if due is not None:
            waits.append(due)
    return Wait(min(waits)) if waits else None


def _drop_unwanted(memory: Memory, picture: Picture, now: datetime) -> Step | None:
    """The end of a leg that is not wanted: beside one that lives, the later of those that we dialled or ended; and one that
    was told to end before it was connected.
    """
    live = picture.live
    unwanted = [
        leg
        for number, leg in enumerate(live)
        if (leg.id in memory.dropped and leg.state is not LegState.CONNECTED)
        or (number and (leg.id in memory.dropped or (memory.has_dialled and leg.id not in memory.before)))
    ]
    for leg in unwanted:
        due = _due(memory.dropped.get(leg.id), SETTLE)
        return Drop(leg.id) if due is None or now >= due else Wait(due)
    return None


def _reach(assurance: Assurance, entries: Sequence[bool], memory: Memory, picture: Picture, now: datetime) -> Plan:
    """What is to be done so that the contact centre is reached, or that the customer goes where nobody could be reached."""
    moved = _due(memory.moved_at, MOVES)
    if moved is not None and isinstance(assurance.on_exhausted, Transfer) and not memory.is_answered:
        again = Move(picture.customers, assurance.on_exhausted.alias, is_repeated=True)
        return Plan(memory, again if now >= moved else Wait(moved))
    if memory.is_answered or memory.is_exhausted or memory.began_at is None:
        return Plan(memory, Wait(None))
    began_at = memory.began_at
    deadline = began_at + timedelta(seconds=assurance.answer_within)
    if live := picture.live:
        # It rings, whatever was thought of it before.
        memory = replace(memory, failed_at=None)
        settled = _due(memory.dropped.get(live[0].id), SETTLE)
        deadline = deadline if settled is None else max(deadline, settled)
        return Plan(memory, Wait(deadline) if now < deadline else Drop(live[0].id))
    is_forgotten = not memory.has_dialled and not picture.legs and picture.dialled_at is None
    if memory.failed_at is None:
        if is_forgotten:
            deadline = began_at + timedelta(seconds=LATE)
        if now < deadline and all(leg.id in memory.before for leg in picture.legs):
            return Plan(memory, Wait(deadline))
        memory = replace(memory, failed_at=now)
    following = Dial(FIRST) if is_forgotten else _next_dial(assurance, entries, memory)
    if following is not None:
        due = _due(memory.failed_at, assurance.pause)
        return Plan(memory, following if due is None or now >= due else Wait(due))
    match assurance.on_exhausted:
        case Keep():
            return Plan(replace(memory, is_exhausted=True), Wait(None))
        case Disconnect():
            return Plan(memory, End("nobody could be reached"))
        case Transfer(alias):
            return Plan(memory, Move(picture.customers, alias))
        case _:
            assert_never(assurance.on_exhausted)


def _next_dial(assurance: Assurance, entries: Sequence[bool], memory: Memory) -> Dial | None:
    if 0 <= memory.entry < len(entries) and memory.attempt < assurance.attempts and entries[memory.entry]:
        return Dial(memory.entry)
    following = next((number for number in range(memory.entry + 1, len(entries)) if entries[number]), None)
    if following is not None:
        return Dial(following)
    # Who was to dial it died, or heard no answer, and no leg of it was seen for as long as one may ring.
    doubted = (number for number in sorted(memory.doubted) if number == FIRST or entries[number])
    return next((Dial(number, is_repeated=True) for number in doubted), None)


def _due(since: datetime | None, seconds: float | None) -> datetime | None:
    return None if since is None or seconds is None else since + timedelta(seconds=seconds)

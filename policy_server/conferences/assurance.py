"""What is to be done for a call now, so that a leg that fails strands nobody: a pure function of what is seen and remembered.

Whoever carries a step out looks twice (README.md: Assurance): events say that something may be due, and the step is taken
only if the Management Node, asked at that moment, says the same. What is done is remembered before it is done, so that who
takes over after a crash knows that it may have been.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self, assert_never

from policy_server.policy.assurance import Assurance, Disconnect, Keep, Transfer

DIALS_WITHIN: Final = 15.0
"""Seconds after the customer came within which a node dials the first leg (pexip/README.md: When Pexip dials)."""

LATE: Final = 10.0
"""Seconds more after which it will not: where an agent came first, it may have read the room's legs before there were any
(pexip/README.md: When Pexip dials).
"""

FIRST: Final = -1
"""The number of the leg that is dialled with the room."""

SETTLE: Final = 3.0
"""Seconds after which it shows whether a command was carried out: a dial that was accepted is a leg by then."""


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
    """The entry of this number among those for when a leg failed is dialled, or ``FIRST``, which no node dialled."""

    entry: int


@dataclass(frozen=True, slots=True)
class Drop:
    """A leg ends that is not wanted any more: one that rings too long, or a second one."""

    leg: str


@dataclass(frozen=True, slots=True)
class Move:
    """Customers go to another service."""

    customers: frozenset[str]
    alias: str


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


# ------------------------------------------------------------------ what is remembered


@dataclass(frozen=True, slots=True)
class Memory:
    """What was done for a call so far, and since when what is seen is so, by our own clock.

    ``entry`` is the one that was dialled last, at first ``FIRST``, which the node dials, and ``attempt`` counts how often.
    ``began_at`` is when that was, ``None`` until the first leg is dialled or the customer is there; it may be ahead, for a
    node takes its time. ``before`` are the legs that were there before, which say nothing about this attempt.
    """

    entry: int = FIRST
    attempt: int = 1
    began_at: datetime | None = None
    before: frozenset[str] = frozenset()
    failed_at: datetime | None = None
    """When this attempt had failed."""
    is_answered: bool = False
    """Whether a leg was ever connected."""
    alone_since: datetime | None = None
    """Since when the customer is alone, after a leg was connected."""
    left_since: datetime | None = None
    """Since when no customer is there any more, after one was."""
    has_come: bool = False
    """Whether a customer was ever there."""
    came_at: datetime | None = None
    """When the first customer was seen."""
    is_exhausted: bool = False
    """Whether all was tried, and what was to become of the customer is done."""
    dropped: Mapping[str, datetime] = field(default_factory=dict)
    """When each leg was told to end."""
    ended_at: datetime | None = None
    """When the room was told to end."""
    is_hindered: bool = False
    """Whether the Management Node could not be asked last time, which was said."""

    @property
    def is_waiting(self) -> bool:
        """Whether a customer is there for whom nobody has answered."""
        return self.has_come and not self.is_answered and self.left_since is None

    @property
    def has_dialled(self) -> bool:
        """Whether the leg of this attempt is ours, and not the one that a node dials."""
        return self.entry != FIRST or self.attempt > 1

    def plain(self) -> dict[str, object]:
        """As JSON."""
        return {
            "entry": self.entry,
            "attempt": self.attempt,
            "began_at": _text(self.began_at),
            "before": sorted(self.before),
            "failed_at": _text(self.failed_at),
            "is_answered": self.is_answered,
            "alone_since": _text(self.alone_since),
            "left_since": _text(self.left_since),
            "has_come": self.has_come,
            "came_at": _text(self.came_at),
            "is_exhausted": self.is_exhausted,
            "dropped": {leg: at.isoformat() for leg, at in self.dropped.items()},
            "ended_at": _text(self.ended_at),
            "is_hindered": self.is_hindered,
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """What ``plain`` made of a memory; nothing remembered of nothing."""
        if not plain:
            return cls()
        return cls(
            entry=plain["entry"],
            attempt=plain["attempt"],
            began_at=_moment(plain["began_at"]),
            before=frozenset(plain["before"]),
            failed_at=_moment(plain["failed_at"]),
            is_answered=plain["is_answered"],
            alone_since=_moment(plain["alone_since"]),
            left_since=_moment(plain["left_since"]),
            has_come=plain["has_come"],
            came_at=_moment(plain["came_at"]),
            is_exhausted=plain["is_exhausted"],
            dropped={leg: datetime.fromisoformat(at) for leg, at in plain["dropped"].items()},
            ended_at=_moment(plain["ended_at"]),
            is_hindered=plain["is_hindered"],
        )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


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
                entry=step.entry,
                attempt=memory.attempt + 1 if again else 1,
                began_at=now,
                before=memory.before | {leg.id for leg in picture.legs},
                failed_at=None,
            )
        case Drop():
            return replace(memory, dropped={**memory.dropped, step.leg: now})
        case Move():
            return replace(memory, is_exhausted=True)
        case End():
            return replace(memory, ended_at=now)
        case _:
            assert_never(step)


def _notice(memory: Memory, picture: Picture, now: datetime) -> Memory:
    """What is seen, and since when."""
    has_come = memory.has_come or bool(picture.customers)
    is_answered = memory.is_answered or any(_is_answer(leg, memory, now) for leg in picture.legs)
    began_at = memory.began_at
    if not memory.has_dialled and (picture.dialled_at or picture.legs):
        dialled_at = picture.dialled_at or now
        began_at = dialled_at if began_at is None else min(began_at, dialled_at)
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
        (memory.left_since, assurance.end_leg_with_customer, "the customer is gone"),
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
    """What is to be done so that the contact centre is reached."""
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
    following = FIRST if is_forgotten else _next_entry(assurance, entries, memory)
    if following is not None:
        due = _due(memory.failed_at, assurance.pause)
        return Plan(memory, Dial(following) if due is None or now >= due else Wait(due))
    match assurance.on_exhausted:
        case Keep():
            return Plan(replace(memory, is_exhausted=True), Wait(None))
        case Disconnect():
            return Plan(memory, End("nobody could be reached"))
        case Transfer(alias):
            return Plan(memory, Move(picture.customers, alias))
        case _:
            assert_never(assurance.on_exhausted)


def _next_entry(assurance: Assurance, entries: Sequence[bool], memory: Memory) -> int | None:
    if 0 <= memory.entry < len(entries) and memory.attempt < assurance.attempts and entries[memory.entry]:
        return memory.entry
    return next((number for number in range(memory.entry + 1, len(entries)) if entries[number]), None)


def _due(since: datetime | None, seconds: float | None) -> datetime | None:
    return None if since is None or seconds is None else since + timedelta(seconds=seconds)

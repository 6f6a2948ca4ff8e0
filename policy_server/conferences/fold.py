"""What is known of a conference, from its event-sink messages (pexip/README.md: Events).

A pure function of the *set* of messages of one conference: any order and any duplicates give the same result. They are
put in order by the time their nodes give, never by the order in which they came.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import groupby
from typing import Final

from policy_server.conferences.attendance import DISCONNECTED, Attendance
from policy_server.conferences.lives import told_since
from policy_server.conferences.participants import (
    Person,
    TrunkLeg,
    as_person,
    as_trunk_leg,
    group_people,
    is_in,
    is_trunk_leg,
    keep_latest,
)
from policy_server.conferences.runs import ENDED, STARTED, UPDATED, Run, Runs
from policy_server.pexip.events import Event

# At one moment the end of a life comes last, so that it wins.
_RANKS: Final = {
    STARTED: 0,
    "participant_connected": 0,
    UPDATED: 1,
    "participant_updated": 1,
    ENDED: 2,
    DISCONNECTED: 2,
}


class Phase(StrEnum):
    """Where a conference is in its life."""

    WAITING = "waiting"
    """Nothing is known of it, or nobody with media is in it."""
    ACTIVE = "active"
    """Somebody with media is in it; the contact centre's leg counts."""
    ENDED = "ended"
    """Every node that started it has ended it, and nobody was heard of since."""


_WORKED_OUT: Final = ("room", "everybody", "kept", "people", "trunk_legs", "phase")
"""What a chronicle works out when it is asked, and forgets when it is told more."""


class Chronicle:
    """What messages tell of a conference, and further ones as they come; whatever was told in which order, the same
    messages tell the same.

    Give it all messages of one service name and its breakout rooms; its lives, when all left and somebody returned, are
    one conference here. Whoever is in a breakout room is with the call, whose start and end are those of the room itself.
    Other messages are ignored. ``arrived_at`` is when the latest of all arrived.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.arrived_at: datetime | None = None
        self._first_at: datetime | None = None
        self._since: dict[datetime, Chronicle] = {}
        self._ordered: list[Event] = []
        self._names: Final[set[str]] = set()
        self._services: dict[str, Runs] = {}
        self._closes: dict[str, tuple[tuple[float, float], ...]] = {}
        self._attendances: dict[str, Attendance] = {}
        self._heard_until = -math.inf
        # Of whoever was not heard of since, by each uuid of a person.
        self._persons: Final[dict[str, Person]] = {}
        self._legs: Final[dict[str, tuple[Attendance, TrunkLeg]]] = {}
        self.tell(events)

    def tell(self, events: Iterable[Event]) -> None:
        """Takes further messages: at the price of these alone if they come in order."""
        some = tuple(events)
        if some:
            arrivals = [event.arrived_at for event in some]
            self.arrived_at = max(filter(None, (self.arrived_at, *arrivals)))
            self._first_at = min(filter(None, (self._first_at, *arrivals)))
        fresh = in_order(some)
        if not fresh:
            return
        self._names.update(name for event in fresh if (name := event.conference))
        if self._ordered and _when(self._ordered[-1]) < _when(fresh[0]):
            for event in fresh:
                if not self._advance(event):
                    # What ended before has not, or at another time, on which may depend who left.
                    self._begin_again(fresh)
                    break
            else:
                self._ordered += fresh
        else:
            self._begin_again(fresh)
        self._forget()

    def _advance(self, event: Event) -> bool:
        """Takes one message, the latest of all; false if that changes what was made of those before."""
        if event.name.startswith("conference_"):
            before = self._closes.get(event.conference, ())
            self._run(event)
            closes = self._closes[event.conference]
            if closes[: len(before)] == before:
                return True
            # Where the last end is another now, that is all the same to those of whom nothing was heard after it.
            return closes[: len(before) - 1] == before[:-1] and self._heard_until <= before[-1][0]
        self._hear(event)
        return True

    def _begin_again(self, fresh: Iterable[Event]) -> None:
        self._ordered = in_order([*self._ordered, *fresh])
        self._services, self._closes, self._attendances = {}, {}, {}
        self._forget_everybody()
        for event in self._ordered:
            if event.name.startswith("conference_"):
                self._run(event)
        for event in self._ordered:
            self._hear(event)

    def _run(self, event: Event) -> None:
        runs = self._services.setdefault(event.conference, Runs())
        runs.tell(event)
        closes = runs.closes
        if closes != self._closes.get(event.conference, ()):
            # With an end go those who were not heard of since.
            self._forget_everybody()
        self._closes[event.conference] = closes

    def _hear(self, event: Event) -> None:
        if uuid := event.participant:
            attendance = self._attendances.get(uuid)
            if attendance is None:
                attendance = self._attendances[uuid] = Attendance(uuid)
            attendance.hear(event, self._closes)
            self._heard_until = event.time
            self._persons.pop(uuid, None)
            self._legs.pop(uuid, None)

    def _forget_everybody(self) -> None:
        self._persons.clear()
        self._legs.clear()

    def _forget(self) -> None:
        self._since.clear()
        for name in _WORKED_OUT:
            self.__dict__.pop(name, None)

    @property
    def events(self) -> Sequence[Event]:
        """The messages, in order."""
        return self._ordered

    def since(self, held_at: datetime) -> "Chronicle":
        """What was told of the life of the room that began when it was held, without that of lives before."""
        if self._first_at is None or self._first_at >= held_at:
            return self
        if held_at not in self._since:
            told = told_since(self._ordered, held_at)
            self._since[held_at] = self if len(told) == len(self._ordered) else Chronicle(told)
        return self._since[held_at]

    @cached_property
    def room(self) -> str:
        """The service that all messages are about: the one whose breakout rooms the others are, if there are others."""
        return min(self._names, key=lambda name: (len(name), name), default="")

    @property
    def runs(self) -> Sequence[Run]:
        """The lives of the room itself."""
        runs = self._services.get(self.room)
        return runs.runs if runs is not None else ()

    @cached_property
    def everybody(self) -> Sequence[Attendance]:
        """All participants."""
        return [attendance.at_last(self._closes) for attendance in self._attendances.values()]

    @cached_property
    def kept(self) -> Sequence[Attendance]:
        """``MAX_PARTICIPANTS`` of them at the most, by when they came."""
        return keep_latest(self.everybody)

    @cached_property
    def people(self) -> Sequence[Person]:
        """The persons among them. One of whom nothing was heard since is the same object as before."""
        legs = {attendance.uuid for attendance, _ in self.trunk_legs}
        return [self._person(halves) for halves in group_people(self.kept, legs)]

    def _person(self, halves: Sequence[Attendance]) -> Person:
        known = self._persons.get(halves[0].uuid)
        is_same = known is not None and all(self._persons.get(half.uuid) is known for half in halves)
        if known is None or not is_same or len(known.halves) != len(halves):
            known = as_person(halves)
            self._persons.update(dict.fromkeys((half.uuid for half in halves), known))
        return known

    @cached_property
    def trunk_legs(self) -> Sequence[tuple[Attendance, TrunkLeg]]:
        """The trunk legs among them. One of which nothing was heard since is the same object as before."""
        return [self._leg(attendance) for attendance in self.kept if is_trunk_leg(attendance)]

    def _leg(self, attendance: Attendance) -> tuple[Attendance, TrunkLeg]:
        known = self._legs.get(attendance.uuid)
        if known is None:
            known = self._legs[attendance.uuid] = attendance, as_trunk_leg(attendance)
        return known

    @cached_property
    def phase(self) -> Phase:
        """Where the conference is in its life."""
        if any(map(is_in, self.everybody)):
            return Phase.ACTIVE
        if self._has_run_out and not any(attendance.is_present for attendance in self.everybody):
            return Phase.ENDED
        return Phase.WAITING

    @property
    def is_ended(self) -> bool:
        """Whether that is its end: nobody has to be looked at for it while a node runs the conference."""
        return self._has_run_out and self.phase is Phase.ENDED

    @property
    def _has_run_out(self) -> bool:
        runs = self.runs
        return bool(runs) and runs[-1].ended_at is not None

    @property
    def started_at(self) -> float | None:
        """The smallest start_time of any node, of its first life when it had several, in epoch seconds by its clock."""
        return self.runs[0].started_at if self.runs else None

    @property
    def ended_at(self) -> float | None:
        """When its last node ended it, in epoch seconds by its clock; ``None`` unless the phase is ended."""
        return self.runs[-1].ended_at if self.is_ended else None


def tells(event: Event) -> bool:
    """Whether it is a message that tells of a conference or participant."""
    return event.name in _RANKS


def in_order(events: Sequence[Event]) -> list[Event]:
    """The messages that tell of conferences and participants, each once, by time.

    Nothing but the set of events decides: what is equal in time and kind is ordered by the lowest seq that any sink
    gave it, by node and by content.
    """
    if len(events) < 2:
        return list(filter(tells, events))
    ordered: list[Event] = []
    for _, same in groupby(sorted(filter(tells, events), key=_when), key=_when):
        moment = list(same)
        if len(moment) > 1:
            different = {event.identity: event for event in sorted(moment, key=_place, reverse=True)}
            moment = [event for _, event in sorted(different.items(), key=lambda item: (*_place(item[1]), item[0]))]
        ordered += moment
    return ordered


def _when(event: Event) -> tuple[float, int]:
    return event.time, _RANKS[event.name]


def _place(event: Event) -> tuple[int, str, str]:
    return event.seq, event.node, event.name

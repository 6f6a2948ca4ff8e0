"""A customer's visit: when the customer was there, which legs were dialled, and who came for the contact centre.

A pure function of what nodes told and what was noted, whatever the order; times are epoch seconds by the nodes' clocks.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from policy_server.conferences.acted import Parting, acted
from policy_server.conferences.attendance import Attendance, Stint
from policy_server.conferences.fold import Chronicle
from policy_server.conferences.participants import NOT_YET_IN, Participant, Person, leg_end
from policy_server.conferences.records import TimelineEntry
from policy_server.conferences.timeline import Doorstep, Kind
from policy_server.light import light_dataclass
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.leg_ends import LegEnd
from policy_server.pexip.request_types import RequestType
from policy_server.policy.decisions import Fail, Reject, Serve

Span = tuple[float, float]
"""From a time to a later one; to infinity while it goes on."""


class Part(StrEnum):
    """What somebody in a room is there for, as far as aliases tell."""

    CUSTOMER = "customer"
    AGENT = "agent"
    JOINING = "joining"
    """Came by a link that joins the call."""
    OTHER = "other"


@light_dataclass(frozen=True, slots=True)
class Cast:
    """By which aliases people come to a room, in normal form.

    ``agents`` is empty where they have none of their own: then nobody can be told from the customer by that. ``dials``:
    the room dials the contact centre by itself. ``has_link``: a customer's link leads to it.
    """

    customers: frozenset[str]
    agents: frozenset[str]
    domains: frozenset[str]
    dials: bool
    has_link: bool
    is_held: bool = False


@light_dataclass(frozen=True, slots=True)
class Attempt:
    """One call to the contact centre."""

    dialled_at: float
    """When it was first heard of, which may be when it was answered or over."""
    answered_at: float | None
    ended_at: float | None
    reason: str
    end: LegEnd | None
    """``None`` while it goes on."""

    @property
    def seconds(self) -> float | None:
        """How long it took to be answered or to fail; ``None`` while it goes on, and where only the end was told."""
        until = self.ended_at if self.answered_at is None else self.answered_at
        return None if until is None or until <= self.dialled_at else until - self.dialled_at


@light_dataclass(frozen=True, slots=True)
class Visit:
    """What became of a customer in a room. ``is_over``: the customer has gone for all that is known, or the room ended."""

    cast: Cast
    parts: Mapping[tuple[str, ...], Part]
    """The part of each person, by their ids."""
    is_over: bool
    customer: tuple[Span, ...]
    """When the customer was in the room."""
    at_the_door: tuple[Participant, ...]
    """Who came for the customer and got no further than a PIN entry, or a lobby where no leg is to open it."""
    legs: tuple[Attempt, ...]
    """The calls to the contact centre, in order."""
    agent: tuple[Span, ...]
    """When somebody was there who came by the agents' alias."""
    together: tuple[Span, ...]
    """When the customer and an answered leg were there together."""
    talk: tuple[Span, ...]
    """When the customer and the contact centre were there together, and as far as can be told an agent."""
    others: int
    """People who are neither."""
    was_served: bool
    """A node was told to let the customer in."""
    was_refused: bool
    """A node was told not to."""
    doors: frozenset[Doorstep]
    """How those who opened the link found the door."""
    was_looked_up: bool
    """An agent asked for the room."""
    was_asked_to_dial: bool
    """A node asked before it dialled for the room."""
    parting: Parting
    """How the customer's visit ended, if it has."""

    @property
    def came_at(self) -> float | None:
        """When the customer first came."""
        return self.customer[0][0] if self.customer else None

    @property
    def left_at(self) -> float | None:
        """When the customer left for good."""
        return self.customer[-1][1] if self.customer and self.customer[-1][1] < math.inf else None

    @property
    def met_at(self) -> float | None:
        """When a leg was first connected while the customer was there."""
        return self.together[0][0] if self.together else None

    @property
    def met(self) -> bool:
        """Whether one ever was."""
        return self.met_at is not None

    @property
    def waited(self) -> float | None:
        """Seconds that the customer was there before anybody came; ``None`` while that goes on."""
        until = self.talk[0][0] if self.talk else math.inf
        return None if self.came_at is None else _finite(_common(self.customer, [(-math.inf, until)]))

    @property
    def talked(self) -> float | None:
        """Seconds of talk; ``None`` while that may go on."""
        return _finite(self.talk) if self.is_over else None

    @property
    def duration(self) -> float | None:
        """Seconds from the customer's first coming to the last leaving; ``None`` while it goes on."""
        came_at, left_at = self.came_at, self.left_at
        return left_at - came_at if came_at is not None and left_at is not None else None

    @property
    def answered_after(self) -> float | None:
        """Seconds from the customer's coming until a leg was answered."""
        answered = [leg.answered_at for leg in self.legs if leg.answered_at is not None]
        return max(0.0, min(answered) - self.came_at) if answered and self.came_at is not None else None


def visit_of(told: Chronicle, entries: Iterable[TimelineEntry], cast: Cast, *, is_ended: bool) -> Visit:
    """The visit that a room's messages and timeline tell of. ``is_ended``: the conference is over."""
    noted = _noted(entries, cast)
    by_assurance = acted(noted.acted)
    is_told = bool(told.events)
    # Of a conference that is over without a word nobody is there after the last one.
    until = told.events[-1].time if is_ended and told.events else math.inf
    customers, agents, others = _parts(told.people, cast)
    outside = [person for person in customers if _is_outside(person.halves, cast)]
    inside = [person for person in customers if person not in outside]
    # Where no node tells of the call, what the Management Node showed is all that is known.
    customer = _there(inside, until) if is_told else _joined(by_assurance.customer)
    agent = _there(agents, until)
    if is_told:
        legs = _attempts(told, until, by_assurance.dropped)
    else:
        placed = by_assurance.placed(noted.asked_to_dial_at)
        legs = tuple(Attempt(*each[:3], "", each.end) for each in placed) if customer else ()
    is_over = is_ended or by_assurance.is_over or (bool(customer) and customer[-1][1] < math.inf)
    together = _common(customer, _answered(legs))
    looked_up = noted.looked_up_at
    if not cast.agents:
        talk = together
    elif agent:
        # From then on whoever speaks on the telephone is that agent.
        talk = _joined([*_common(customer, agent), *_common(together, [(agent[0][0], math.inf)])])
    elif looked_up is not None:
        # By our clock; a node's may be so far from it that nothing would be left.
        talk = _common(together, [(looked_up, math.inf)]) or together
    else:
        talk = ()
    return Visit(
        cast=cast,
        parts=_by_ids(customers, agents, others),
        is_over=is_over,
        customer=customer,
        at_the_door=tuple(person.whole for person in outside),
        legs=legs,
        agent=agent,
        together=together,
        talk=talk,
        others=len(others),
        was_served=noted.was_served or cast.is_held,
        was_refused=noted.was_refused,
        doors=frozenset(noted.doors),
        was_looked_up=looked_up is not None,
        was_asked_to_dial=noted.asked_to_dial_at is not None,
        parting=by_assurance.parting,
    )


# ------------------------------------------------------------------ who is who


def _parts(people: Sequence[Person], cast: Cast) -> tuple[Sequence[Person], Sequence[Person], Sequence[Person]]:
    """The customer, the agents and the others among some people."""
    customers: list[Person] = []
    agents: list[Person] = []
    others: list[Person] = []
    unknown: list[Person] = []
    for person in people:
        whole = person.whole
        alias = normalise_alias(whole.destination_alias, cast.domains)
        # Who came by a link that joins the call is not the customer, whatever a node says of their alias.
        is_incoming = whole.call_direction != "out" and not whole.joining_call
        is_customer, is_agent = is_incoming and alias in cast.customers, is_incoming and alias in cast.agents
        if is_customer:
            customers.append(person)
        if is_agent:
            agents.append(person)
        if not is_customer and not is_agent:
            (others if not is_incoming or (cast.has_link and alias) else unknown).append(person)
    if customers:
        return customers, agents, [*others, *unknown]
    # Where a node does not say what was dialled, and in a room that no link led to.
    return unknown, agents, others


def _by_ids(
    customers: Iterable[Person], agents: Iterable[Person], others: Iterable[Person]
) -> Mapping[tuple[str, ...], Part]:
    parts = {person.whole.uuids: Part.JOINING if person.whole.joining_call else Part.OTHER for person in others}
    parts |= {person.whole.uuids: Part.AGENT for person in agents}
    return parts | {person.whole.uuids: Part.CUSTOMER for person in customers}


def _is_outside(halves: Iterable[Attendance], cast: Cast) -> bool:
    # A Guest of a room that dials is in its lobby until the leg answers, which is the Host: that is waiting for an agent.
    outside = NOT_YET_IN - {"waiting_room"} if cast.dials else NOT_YET_IN
    return all(half.service_type in outside for half in halves)


def _there(people: Iterable[Person], until: float) -> tuple[Span, ...]:
    """When any of some people was there."""
    found = (stay for person in people for stay in person.stays if stay.joined_at is not None)
    return _joined(_span(stay.joined_at, stay.left_at, until) for stay in found)


def _attempts(told: Chronicle, until: float, dropped: frozenset[str]) -> tuple[Attempt, ...]:
    stints = [(stint, attendance.uuid) for attendance, _ in told.trunk_legs for stint in attendance.stints]
    ordered = sorted(stints, key=lambda found: (_dialled_at(found[0]), found[1]))
    return tuple(_attempt(stint, until, was_dropped=uuid in dropped) for stint, uuid in ordered)


def _attempt(stint: Stint, until: float, *, was_dropped: bool) -> Attempt:
    is_over = stint.left_at is not None
    ended_at = stint.left_at if is_over else until if until < math.inf else None
    end = leg_end(stint) if is_over else None if ended_at is None else LegEnd.ENDED
    if was_dropped and stint.connected_at is None and end in {LegEnd.ENDED, LegEnd.UNKNOWN}:
        # It was ended because it was not answered in time, of which its node knows nothing.
        end = LegEnd.NO_ANSWER
    return Attempt(_dialled_at(stint), stint.connected_at, ended_at, stint.reason, end)


def _dialled_at(stint: Stint) -> float:
    return min(stint.seen_at, stint.began_at)


def _answered(legs: Iterable[Attempt]) -> tuple[Span, ...]:
    return _joined(_span(leg.answered_at, leg.ended_at, math.inf) for leg in legs if leg.answered_at is not None)


# ------------------------------------------------------------------ what was noted

_SERVED: Final = (RequestType.SERVICE.value, Serve.word)
_REFUSALS: Final = frozenset(
    {
        # An announcement in place of the room.
        _SERVED,
        (RequestType.SERVICE.value, Reject.word),
        (RequestType.SERVICE.value, Fail.word),
        (RequestType.PARTICIPANT.value, Reject.word),
    }
)


_DOORS: Final = {door.value: door for door in Doorstep}


@dataclass(slots=True)
class _Noted:
    looked_up_at: float | None
    was_served: bool
    was_refused: bool
    asked_to_dial_at: float | None
    doors: set[Doorstep]
    acted: list[TimelineEntry]


def _noted(entries: Iterable[TimelineEntry], cast: Cast) -> _Noted:
    noted = _Noted(None, was_served=False, was_refused=False, asked_to_dial_at=None, doors=set(), acted=[])
    answered, looked_up, opened = Kind.POLICY_ANSWERED, Kind.AGENT_LOOKED_UP, Kind.LINK_OPENED
    by_assurance = Kind.ASSURANCE_ACTED
    for entry in entries:
        kind = entry.kind
        if kind == answered:
            _note_answer(noted, entry.data, cast, entry.at)
        elif kind == looked_up:
            noted.looked_up_at = min(filter(None, (noted.looked_up_at, entry.at.timestamp())))
        elif kind == opened and (door := _DOORS.get(str(entry.data.get("door")))):
            noted.doors.add(door)
        elif kind == by_assurance:
            noted.acted.append(entry)
    return noted


def _note_answer(noted: _Noted, data: Mapping[str, object], cast: Cast, at: datetime) -> None:
    """Takes note of an answer to a node that is about the customer, or about a call out of the room."""
    answer = data.get("question"), data.get("outcome")
    if data.get("call_direction") == "dial_out":
        if answer[0] == RequestType.SERVICE:
            noted.asked_to_dial_at = min(filter(None, (noted.asked_to_dial_at, at.timestamp())))
    elif answer in _REFUSALS and not data.get("joins"):
        if normalise_alias(str(data.get("local_alias", "")), cast.domains) in cast.agents:
            return
        if answer == _SERVED and _is_room(data.get("result")):
            noted.was_served = True
        else:
            noted.was_refused = True


def _is_room(service: object) -> bool:
    """Whether a service that was served is a room, and no announcement or menu."""
    return isinstance(service, Mapping) and service.get("service_type", "conference") in {"conference", "lecture"}


# ------------------------------------------------------------------ spans


def _span(begin: float | None, end: float | None, until: float) -> Span:
    begin = -math.inf if begin is None else begin
    return begin, max(begin, until if end is None else end)


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time, each moment once."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begin, end))
    return tuple(joined)


def _common(some: Sequence[Span], others: Sequence[Span]) -> tuple[Span, ...]:
    """When both are so, as far as it is any time at all. Each must be joined."""
    common: list[Span] = []
    first, second = 0, 0
    while first < len(some) and second < len(others):
        begin = max(some[first][0], others[second][0])
        end = min(some[first][1], others[second][1])
        if begin < end:
            common.append((begin, end))
        if some[first][1] < others[second][1]:
            first += 1
        else:
            second += 1
    return tuple(common)


def _finite(spans: Iterable[Span]) -> float | None:
    seconds = sum(end - begin for begin, end in spans)
    return seconds if seconds < math.inf else None

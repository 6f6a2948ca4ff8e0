"""A call as a picture along time: what everybody did, in lanes one below the other. Pure, and made of what is told of the
call alone: every line of its timeline is in the picture once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from policy_server.conferences.fold import Phase
from policy_server.conferences.lines import TimelineLine
from policy_server.conferences.time_axis import Axis, axis_of
from policy_server.conferences.timeline import Kind
from policy_server.conferences.view import CallDetails, Participant
from policy_server.conferences.visit import Part
from policy_server.pexip.leg_ends import LegEnd

LANES: Final = 8
"""Lanes of a sort; what has no lane of its own shares one more."""


class Sort(StrEnum):
    """What a lane is about, in the order in which lanes stand."""

    CUSTOMER = "customer"
    QUESTIONS = "questions"
    LEG = "leg"
    ACTIONS = "actions"
    LOOKUPS = "lookups"
    AGENT = "agent"
    OTHER = "other"
    ROOM = "room"


_SORTS: Final = {Part.CUSTOMER: Sort.CUSTOMER, Part.AGENT: Sort.AGENT}
_MARKED: Final[Mapping[str, Sort]] = {
    Kind.POLICY_ANSWERED: Sort.QUESTIONS,
    Kind.ASSURANCE_ACTED: Sort.ACTIONS,
    Kind.AGENT_LOOKED_UP: Sort.LOOKUPS,
    Kind.LINK_CREATED: Sort.CUSTOMER,
    Kind.LINK_JOINED: Sort.CUSTOMER,
    Kind.LINK_OPENED: Sort.CUSTOMER,
    Kind.LINK_PREVIEWED: Sort.CUSTOMER,
    Kind.LINK_MOVED: Sort.CUSTOMER,
    Kind.LINK_REVOKED: Sort.CUSTOMER,
}
_LEG_KINDS: Final = frozenset({Kind.TRUNK_DIALLED, Kind.TRUNK_ANSWERED, Kind.TRUNK_ENDED})


@dataclass(slots=True, eq=False)
class Bar:
    """Something that went on: a stay, a leg, a run of the room. ``begin`` and ``end`` are ``None`` where nobody told."""

    begin: datetime | None
    end: datetime | None = None
    answered_at: datetime | None = None
    """Of a leg; before that it rang."""
    leg_end: LegEnd | None = None
    entries: list[int] = field(default_factory=list)
    """The lines of the timeline that tell of it."""

    @property
    def moments(self) -> Iterator[datetime]:
        """When something changed."""
        return (at for at in (self.begin, self.answered_at, self.end) if at is not None)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment, and the line of the timeline that tells of it."""

    at: datetime
    entry: int


@dataclass(slots=True, eq=False)
class Lane:
    """What one of a sort did. ``sharing`` counts those who are in it beside the first, for want of lanes."""

    sort: Sort
    name: str
    bars: list[Bar] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    sharing: int = 0
    names: set[str] = field(default_factory=set)
    """What else nodes call who is in it: what a customer typed need not be the name of the link."""

    def is_of(self, name: str) -> bool:
        """Whether it is the lane of somebody who is called so."""
        return name == self.name or name in self.names


@dataclass(frozen=True, slots=True)
class Picture:
    """Lanes in order, and the axis on which all of it lies."""

    lanes: tuple[Lane, ...]
    axis: Axis


def picture_of(call: CallDetails, now: datetime) -> Picture | None:
    """The picture of a call; ``None`` before anything happened. While it runs its axis ends ``now``."""
    drawn = _Drawn(call)
    for number, line in sorted(enumerate(call["timeline"]), key=lambda each: _at(each[1]["at"])):
        drawn.tell(number, line)
    drawn.finish(call["participants"])
    moments = [at for lane in drawn.lanes for bar in lane.bars for at in bar.moments]
    moments += [mark.at for lane in drawn.lanes for mark in lane.marks]
    if not moments:
        return None
    if call["state"] != Phase.ENDED:
        moments.append(max([now, *moments]))
    order = list(Sort)
    return Picture(tuple(sorted(drawn.lanes, key=lambda lane: order.index(lane.sort))), axis_of(moments))


class _Drawn:
    """Lanes as they fill, line by line in order of time."""

    def __init__(self, call: CallDetails) -> None:
        # Who joins the call of another link is nobody's customer there.
        self._own: Final = Sort.OTHER if call["joins"] else Sort.CUSTOMER
        self.lanes: Final[list[Lane]] = [Lane(self._own, call["customer"]["name"] or "")]
        self._people: Final = {uuid: each for each in call["participants"] for uuid in each["uuids"]}
        self._stays: Final[dict[frozenset[str], list[Bar]]] = {}
        self._legs: Final[dict[str, list[Bar]]] = {}
        self._runs: Final[list[Bar]] = []

    def tell(self, number: int, line: TimelineLine) -> None:
        """Takes one line."""
        kind, at = line["kind"], _at(line["at"])
        if kind in _LEG_KINDS:
            self._tell_of_leg(number, line, at)
        elif kind in {Kind.CONFERENCE_STARTED, Kind.CONFERENCE_ENDED}:
            is_begin = kind == Kind.CONFERENCE_STARTED
            self._tell_of_stay(self._runs, Sort.ROOM, "", number, at, is_begin=is_begin)
        elif (who := _texts(line["data"].get("participants"))) and kind not in _MARKED:
            sort, name = self._person(who), str(line["data"].get("display_name") or "")
            if kind in {Kind.JOINED, Kind.LEFT}:
                stays = self._stays.setdefault(who, [])
                self._tell_of_stay(stays, sort, name, number, at, is_begin=kind == Kind.JOINED)
            else:
                self._lane(sort, name).marks.append(Mark(at, number))
        else:
            sort = _MARKED.get(kind, Sort.ROOM)
            self._lane(self._own if sort is Sort.CUSTOMER else sort).marks.append(Mark(at, number))

    def finish(self, people: Iterable[Participant]) -> None:
        """Draws those of whom no line tells: of a long call the timeline has the latest alone."""
        told = {uuid for who in self._stays for uuid in who}
        for person in people:
            if told.isdisjoint(person["uuids"]) and (person["joined_at"] or person["left_at"]):
                came, left = (_at(at) if at else None for at in (person["joined_at"], person["left_at"]))
                bar = Bar(came, left if left is None or came is None else max(came, left))
                self._put(bar, self._person(frozenset(person["uuids"])), person["display_name"])

    def _tell_of_stay(
        self, stays: list[Bar], sort: Sort, name: str, number: int, at: datetime, *, is_begin: bool
    ) -> None:
        going_on = stays[-1] if stays and stays[-1].end is None else None
        if is_begin and going_on is None:
            stays.append(self._put(Bar(at, entries=[number]), sort, name))
        elif not is_begin and going_on is not None:
            going_on.end = at
            going_on.entries.append(number)
        elif not is_begin and not stays:
            stays.append(self._put(Bar(None, at, entries=[number]), sort, name))
        else:
            # Told twice.
            self._lane(sort, name).marks.append(Mark(at, number))

    def _tell_of_leg(self, number: int, line: TimelineLine, at: datetime) -> None:
        kind, name = line["kind"], str(line["data"].get("number") or "")
        legs = self._legs.setdefault(str(line["data"].get("participant", "")), [])
        rings = next((leg for leg in legs if leg.end is None and leg.answered_at is None), None)
        goes_on = next((leg for leg in legs if leg.end is None), None)
        if kind == Kind.TRUNK_DIALLED:
            leg = Bar(at)
        elif kind == Kind.TRUNK_ANSWERED:
            leg = rings or Bar(at)
            leg.answered_at = at
        else:
            leg = goes_on or Bar(None)
            leg.end = at
            leg.leg_end = next((end for end in LegEnd if end == line["data"].get("leg_end")), LegEnd.UNKNOWN)
        leg.entries.append(number)
        if leg is not rings and leg is not goes_on:
            legs.append(self._put(leg, Sort.LEG, name, is_alone=True))

    def _person(self, who: frozenset[str]) -> Sort:
        known = next((self._people[uuid] for uuid in sorted(who) if uuid in self._people), None)
        return _SORTS.get(known["part"], Sort.OTHER) if known is not None else Sort.OTHER

    def _put(self, bar: Bar, sort: Sort, name: str, *, is_alone: bool = False) -> Bar:
        """Puts a bar into a lane of its name in which nothing else goes on, or into a new one."""
        if not is_alone:
            for lane in self.lanes:
                is_free = all(other.end is not None and _is_after(bar, other.end) for other in lane.bars)
                is_named = lane.is_of(name) or (lane is self.lanes[0] and not lane.bars)
                if lane.sort is sort and is_named and not lane.sharing and is_free:
                    lane.bars.append(bar)
                    lane.name = lane.name or name
                    lane.names.add(name)
                    return bar
        self._new_lane(sort, name).bars.append(bar)
        return bar

    def _new_lane(self, sort: Sort, name: str) -> Lane:
        same = [lane for lane in self.lanes if lane.sort is sort]
        if len(same) > LANES:
            same[-1].sharing += 1
            return same[-1]
        self.lanes.append(Lane(sort, name))
        return self.lanes[-1]

    def _lane(self, sort: Sort, name: str = "") -> Lane:
        """The latest lane of a name, or any of the sort where it has none."""
        same = [lane for lane in self.lanes if lane.sort is sort]
        named = [lane for lane in same if lane.is_of(name)]
        if named or len(same) > LANES:
            return (named or same)[-1]
        return same[0] if same and not name else self._new_lane(sort, name)


def _is_after(bar: Bar, end: datetime) -> bool:
    return bar.begin is not None and bar.begin >= end


def _texts(told: object) -> frozenset[str]:
    return frozenset(map(str, told)) if isinstance(told, list | tuple) else frozenset()


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)

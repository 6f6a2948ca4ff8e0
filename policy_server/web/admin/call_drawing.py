"""A call's picture as a page shows it: every lane with its words and its shapes, all of them placed in per cent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final, assert_never

from policy_server.conferences.call_in_words import entry_in_words
from policy_server.conferences.call_picture import Bar, Lane, Picture, Sort
from policy_server.conferences.fold import Phase
from policy_server.conferences.verdict import told_seconds
from policy_server.conferences.view import CallDetails
from policy_server.pexip.query import clean

_APART: Final = 0.09
_APART_WHERE_NARROW: Final = 0.26
"""How far apart texts at the axis are, as shares of it: on a desk and on a phone."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A bar or a mark: of which look, from where on, how wide, and its words. ``entry`` is the line that tells of it."""

    look: str
    left: str
    width: str = ""
    words: str = ""
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A lane: what it is about, whose it is, what is told of it, and its shapes."""

    sort: str
    title: str
    name: str
    told: str
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """A text at the axis, and where; one that ``is_wide`` is left out where there is little room, one that ``is_last`` ends
    there.
    """

    left: str
    text: str
    is_wide: bool
    is_last: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """All of a picture. ``breaks`` are what is left out: from where, how wide, and how much."""

    rows: tuple[Row, ...]
    lines: tuple[str, ...]
    labels: tuple[Label, ...]
    breaks: tuple[tuple[str, str, Label | None], ...]


def drawing_of(picture: Picture, call: CallDetails, zone: tzinfo | None) -> Drawing:
    """What to draw, with times on the clock of a zone."""
    pen = _Pen(picture, call, zone)
    ticks = list(picture.axis.ticks(zone))
    days = {tick.at.astimezone(zone).date() for tick in ticks}
    date = "%d %b " if len(days) > 1 else ""
    texts = [
        (tick.place, f"{tick.at.astimezone(zone):{date}{'%H:%M' if tick.is_short else '%H:%M:%S'}}") for tick in ticks
    ]
    gaps = [((left + right) / 2, f"{told_seconds(seconds)} later") for left, right, seconds in picture.axis.breaks]
    told = {label.left: label for label in _spread(gaps, 1.6)}
    breaks = [
        (_percent(left), _percent(right - left), told.get(_percent((left + right) / 2)))
        for left, right, _ in picture.axis.breaks
    ]
    legs = sum(lane.sort is Sort.LEG for lane in picture.lanes)
    rows, number = [], 0
    for lane in picture.lanes:
        number += lane.sort is Sort.LEG
        rows.append(pen.row(lane, f"Leg {number}" if legs > 1 else "Leg"))
    return Drawing(
        tuple(rows),
        tuple(_percent(place) for place, _ in texts),
        tuple(_spread(texts, 1.5 if date else 1.0)),
        tuple(breaks),
    )


def _spread(texts: Sequence[tuple[float, str]], length: float) -> Iterator[Label]:
    """Those of some texts that do not overlap, each ``length`` times as long as a time."""
    ended = ended_narrow = -1.0
    for place, text in texts:
        is_last = place > 1 - _APART * length
        apart, apart_narrow = _APART * length, _APART_WHERE_NARROW * length
        if place - (apart if is_last else 0.0) >= ended:
            is_narrow = place - (apart_narrow if is_last else 0.0) >= ended_narrow
            yield Label(_percent(place), text, not is_narrow, is_last)
            ended, ended_narrow = place + apart, place + apart_narrow if is_narrow else ended_narrow


class _Pen:
    """Draws the lanes of one picture."""

    def __init__(self, picture: Picture, call: CallDetails, zone: tzinfo | None) -> None:
        self._axis: Final = picture.axis
        self._call: Final = call
        self._zone: Final = zone
        self._is_over: Final = call["state"] == Phase.ENDED

    def row(self, lane: Lane, leg: str) -> Row:
        """A lane; ``leg`` is what to call it if it is one."""
        marks = [
            Shape(
                "mark", _percent(self._axis.place(mark.at)), words=self._words(mark.at, [mark.entry]), entry=mark.entry
            )
            for mark in lane.marks
        ]
        shapes = [shape for bar in lane.bars for shape in self._shapes(lane.sort, bar)]
        title = leg if lane.sort is Sort.LEG else _TITLES[lane.sort]
        name = clean(lane.name)
        if lane.sharing:
            title, name = _TITLES[lane.sort], f"{lane.sharing + 1} more"
        return Row(lane.sort.value, title, name, self._told(lane), (*shapes, *marks))

    def _shapes(self, sort: Sort, bar: Bar) -> Iterator[Shape]:
        begin = 0.0 if bar.begin is None else self._axis.place(bar.begin)
        end = 1.0 if bar.end is None else self._axis.place(bar.end)
        words = "; ".join(self._line(number) for number in bar.entries)
        entry = bar.entries[0] if bar.entries else None
        if sort is Sort.LEG:
            answered = end if bar.answered_at is None else self._axis.place(bar.answered_at)
            rings = bar.begin is not None or bar.answered_at is None
            if rings:
                look = "vain" if bar.end is not None and bar.answered_at is None else "rings"
                yield Shape(look, _percent(begin), _percent(answered - begin), words, entry)
            if bar.answered_at is not None:
                yield Shape("talks", _percent(answered), _percent(end - answered), words, entry)
            if bar.end is not None and bar.answered_at is None:
                yield Shape("fails", _percent(end), words=words, entry=entry)
        else:
            yield Shape("stays", _percent(begin), _percent(end - begin), words, entry)
        if bar.begin is None:
            yield Shape("before", _percent(begin))
        if bar.end is None:
            yield Shape("after", _percent(end))

    def _told(self, lane: Lane) -> str:
        count = len(lane.marks)
        match lane.sort:
            case Sort.QUESTIONS:
                return f"{count} answered"
            case Sort.ACTIONS:
                return f"{count} step{'s' if count != 1 else ''}"
            case Sort.LOOKUPS:
                return "once" if count == 1 else f"{count} times"
            case Sort.LEG if lane.sharing:
                return ""
            case Sort.LEG:
                return self._told_of_leg(lane.bars[0])
            case Sort.CUSTOMER if not lane.bars:
                return "did not come in"
            case Sort.CUSTOMER | Sort.AGENT | Sort.OTHER | Sort.ROOM:
                return self._told_of_stays(lane)
            case _:
                assert_never(lane.sort)

    def _told_of_stays(self, lane: Lane) -> str:
        if lane.sharing or not lane.bars:
            return ""
        last = lane.bars[-1]
        what = "ran" if lane.sort is Sort.ROOM else "there"
        if last.end is None:
            begin = f" since {self._clock(last.begin)}" if last.begin is not None else ""
            return (
                f"{what}{begin}; nobody said until when"
                if self._is_over
                else f"{'runs' if lane.sort is Sort.ROOM else what}{begin}"
            )
        if lane.bars[0].begin is None:
            return f"{what} until {self._clock(last.end)}"
        length = sum((bar.end - bar.begin).total_seconds() for bar in lane.bars if bar.begin and bar.end)
        times = f", {len(lane.bars)} times" if len(lane.bars) > 1 else ""
        return f"{what} for {told_seconds(length)}{times}"

    def _told_of_leg(self, leg: Bar) -> str:
        answered = leg.answered_at
        rang = (
            ""
            if leg.begin is None or answered in (None, leg.begin)
            else f" after {told_seconds((answered - leg.begin).total_seconds())}"
        )
        if leg.end is None:
            if self._is_over:
                return f"{'answered' + rang if answered else 'dialled'}; nobody said how it ended"
            return f"answered{rang}, is up" if answered else f"rings since {self._clock(leg.begin)}"
        number = str(self._call["timeline"][leg.entries[-1]]["data"].get("number") or "A number that is not known")
        how = self._words_of(leg.entries[-1]).removeprefix(number).strip(" .")
        since = answered or leg.begin
        took = "" if since is None else f" after {told_seconds((leg.end - since).total_seconds())}"
        return f"answered{rang}, {how}{took}" if answered else how + took

    def _line(self, number: int) -> str:
        return self._words(_at(self._call["timeline"][number]["at"]), [number])

    def _words(self, at: datetime, entries: Sequence[int]) -> str:
        return f"{self._clock(at)} " + " ".join(self._words_of(number) for number in entries)

    def _words_of(self, number: int) -> str:
        return entry_in_words(self._call["timeline"][number])

    def _clock(self, at: datetime | None) -> str:
        return "" if at is None else f"{at.astimezone(self._zone):%H:%M:%S}"


_TITLES: Final = {
    Sort.CUSTOMER: "Customer",
    Sort.QUESTIONS: "Questions of nodes",
    Sort.LEG: "Leg",
    Sort.ACTIONS: "Assurance",
    Sort.LOOKUPS: "Looked up",
    Sort.AGENT: "Agent",
    Sort.OTHER: "Also there",
    Sort.ROOM: "Room",
}


def _percent(place: float) -> str:
    return f"{100 * place:.3f}%"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)

"""Opening hours: when a calendar is open, and when it opens next.

Hours are wall-clock hours in the calendar's own time zone. On the night the clocks go forward, the skipped
hour does not happen; on the night they go back, the repeated hour is open both times.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from policy_server.policy.zones import parse_zone, zone_fault

LOOK_AHEAD = timedelta(days=400)
"""How far `Calendar.next_opening` looks: a year of closed dates and some."""

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Span = tuple[int, int]
"""An opening in minutes since 00:00 of the day it begins on: start, and end (not included). The end may be
past 1440, in the next day."""

_FULL_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_NUMBERS = {name: number for names in (DAYS, _FULL_NAMES) for number, name in enumerate(names)}
_DAY = 1440
_MAX_SHOWN = 60
_ONE_DAY = timedelta(days=1)
_HOURS = re.compile(r"\s*([0-9]{2}):([0-9]{2})\s*-\s*([0-9]{2}):([0-9]{2})\s*")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class CalendarFault:
    """What is wrong with a calendar: where in it, a message for its author, and the words allowed there."""

    path: tuple[str | int, ...]
    message: str
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Calendar:
    """Weekly opening hours in a time zone, less some closed dates.

    `week` has a tuple of spans for each day, Monday first; spans may overlap. A closed date is closed from
    its 00:00 to its 24:00, and so is what would go on past midnight of an opening that began on it.
    """

    name: str
    timezone: ZoneInfo
    week: tuple[tuple[Span, ...], ...]
    closed: frozenset[date] = frozenset()
    _today: tuple[tuple[Span, ...], ...] = field(init=False, repr=False, compare=False)
    _until: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.week) != len(DAYS):
            raise ValueError(f"a week has 7 days, not {len(self.week)}")
        for start, end in (span for day in self.week for span in day):
            if not (0 <= start < _DAY and start < end <= start + _DAY):
                raise ValueError(f"an opening from minute {start} to minute {end} is not possible")
        today = tuple(tuple(sorted((start, min(end, _DAY)) for start, end in day)) for day in self.week)
        until = tuple(max((end - _DAY for _, end in self.week[day - 1]), default=0) for day in range(len(DAYS)))
        object.__setattr__(self, "_today", today)
        object.__setattr__(self, "_until", until)

    @property
    def has_openings(self) -> bool:
        """Whether any day of the week has opening hours; a calendar without is never open."""
        return any(self.week)

    def is_open(self, now: datetime) -> bool:
        """Say whether the calendar is open at a moment, given in any time zone.

        Raises `ValueError` for a moment without zone.
        """
        if now.utcoffset() is None:
            raise ValueError(f"{now.isoformat()} needs a time zone")
        return self._is_open_on_wall(now.astimezone(self.timezone))

    def next_opening(self, now: datetime) -> datetime | None:
        """Return the first moment from `now` on that is open, in the calendar's zone.

        That is `now` itself while the calendar is open, and None if it does not open within `LOOK_AHEAD`.
        Raises `ValueError` for a moment without zone.
        """
        if self.is_open(now):
            return now.astimezone(self.timezone)
        if not self.has_openings:
            return None
        moment = now.astimezone(UTC)
        last = moment + LOOK_AHEAD
        # Between two clock changes the wall clock is UTC and a constant, so that the next opening on the wall
        # is the next opening; if the clocks change before it, the search goes on from the change.
        while moment <= last:
            offset = self._offset(moment)
            wall = self._next_on_wall((moment + offset).replace(tzinfo=None), last + offset)
            opening = last if wall is None else wall.replace(tzinfo=UTC) - offset
            change = self._clock_change(moment, min(opening, last))
            if change is None:
                return None if wall is None or opening > last else opening.astimezone(self.timezone)
            if self.is_open(change):
                return change.astimezone(self.timezone)
            moment = change
        return None

    def never_opens(self, after: datetime) -> bool:
        """Say whether the calendar stays closed for `LOOK_AHEAD` from a moment on."""
        return self.next_opening(after) is None

    def _is_open_on_wall(self, wall: datetime) -> bool:
        weekday = wall.weekday()
        minute = wall.hour * 60 + wall.minute
        for start, end in self._today[weekday]:
            if start <= minute < end:
                return wall.date() not in self.closed
        if minute < self._until[weekday]:
            today = wall.date()
            return today not in self.closed and today - _ONE_DAY not in self.closed
        return False

    def _next_on_wall(self, wall: datetime, last: datetime) -> datetime | None:
        """Return the next opening on a wall clock that is never changed, if it comes before the day after `last`."""
        midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
        while midnight.date() <= last.date():
            for start, _ in self._today[midnight.weekday()]:
                opening = midnight + timedelta(minutes=start)
                if opening >= wall and self._is_open_on_wall(opening):
                    return opening
            midnight += _ONE_DAY
        return None

    def _clock_change(self, after: datetime, until: datetime) -> datetime | None:
        """Return the first moment (UTC) after one and not after another at which the offset from UTC changes."""
        offset = self._offset(after)
        while after < until:
            later = min(after + _ONE_DAY, until)
            if self._offset(later) != offset:
                return self._bisect_change(int(after.timestamp()), ceil(later.timestamp()), offset)
            after = later
        return None

    def _bisect_change(self, before: int, after: int, offset: timedelta) -> datetime:
        """Return the change between two seconds since the epoch; before it the offset is the given one."""
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset(datetime.fromtimestamp(middle, UTC)) == offset:
                before = middle
            else:
                after = middle
        return datetime.fromtimestamp(after, UTC)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.timezone).utcoffset() or timedelta(0)


def parse_calendar(
    name: str, timezone: str, open_hours: Mapping[str, Sequence[str]], closed: Sequence[str] = ()
) -> tuple[Calendar | None, tuple[CalendarFault, ...]]:
    """Build a calendar from what an admin wrote, or report everything that is wrong with it.

    Keys of `open_hours` are days, ranges of days and lists of both (`mon`, `mon-fri`, `fri-mon`,
    `sat,sun`), in any case, short or in full; values are lists of `HH:MM-HH:MM`. An end at or before the
    start is in the next day. `closed` holds dates as `YYYY-MM-DD`.
    """
    faults: list[CalendarFault] = []
    zone = _parse_timezone(timezone, faults)
    week = _parse_week(open_hours, faults)
    dates = [_parse_date(text, place, faults) for place, text in enumerate(closed)]
    if faults or zone is None:
        return None, tuple(faults)
    return Calendar(name, zone, week, frozenset(day for day in dates if day is not None)), ()


def _parse_timezone(text: str, faults: list[CalendarFault]) -> ZoneInfo | None:
    zone = parse_zone(text)
    if zone is None:
        message, nearest = zone_fault(text)
        faults.append(CalendarFault(("timezone",), message, nearest))
    return zone


def _parse_week(open_hours: Mapping[str, Sequence[str]], faults: list[CalendarFault]) -> tuple[tuple[Span, ...], ...]:
    week: list[tuple[Span, ...]] = [()] * len(DAYS)
    written: dict[int, str] = {}
    for key, hours in open_hours.items():
        days = _parse_days(key, faults)
        for day in days:
            if day in written:
                where = "twice" if written[day] == key else f"and in {_show(key)}"
                message = f"{DAYS[day]} is in {_show(written[day])} {where}: write each day once"
                faults.append(CalendarFault(("open", key), message))
            written[day] = key
        spans = _parse_hours(key, hours, faults)
        for day in days:
            week[day] = spans
    return tuple(week)


def _parse_days(key: str, faults: list[CalendarFault]) -> list[int]:
    days: list[int] = []
    for part in key.lower().split(","):
        names = [name.strip() for name in part.split("-")]
        unknown = [name for name in names if name not in _DAY_NUMBERS]
        if unknown or len(names) > 2:
            what = f"{_show(unknown[0])} is not a day" if unknown else f"{_show(part)} is not a range of days"
            message = f"{what} in {_show(key)}: write days like 'mon', 'mon-fri' or 'sat,sun'"
            faults.append(CalendarFault(("open", key), message, DAYS))
            continue
        first, last = _DAY_NUMBERS[names[0]], _DAY_NUMBERS[names[-1]]
        days += [(first + step) % len(DAYS) for step in range((last - first) % len(DAYS) + 1)]
    return days


def _parse_hours(key: str, hours: Sequence[str], faults: list[CalendarFault]) -> tuple[Span, ...]:
    if isinstance(hours, str):
        message = f'hours must be a list but are {_show(hours)}: write ["{hours[:_MAX_SHOWN]}"]'
        faults.append(CalendarFault(("open", key), message))
        return ()
    spans: list[Span] = []
    for place, text in enumerate(hours):
        span = _parse_span(text)
        if isinstance(span, str):
            faults.append(CalendarFault(("open", key, place), span))
        else:
            spans.append(span)
    return tuple(sorted(spans))


def _parse_span(text: str) -> Span | str:
    """Return an opening, or what is wrong with its text."""
    match = _HOURS.fullmatch(text)
    if match is None:
        return f"hours must look like '08:00-18:00' but are {_show(text)}"
    start_hour, start_minute, end_hour, end_minute = map(int, match.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start_minute > 59 or end_minute > 59 or end > _DAY or start > _DAY:
        return f"there is no such time of day: {_show(text)} (hours go from 00:00 to 24:00)"
    if start == _DAY:
        return f"an opening cannot start at 24:00, but is {_show(text)}: write 00:00 on the next day"
    if start == end:
        return f"{_show(text)} starts and ends at the same time: for the whole day write '00:00-24:00'"
    return (start, end) if end > start else (start, end + _DAY)


def _parse_date(text: str, place: int, faults: list[CalendarFault]) -> date | None:
    if not _DATE.fullmatch(text):
        message = f"a closed date must look like '2026-12-25' but is {_show(text)}"
    else:
        try:
            return date.fromisoformat(text)
        except ValueError:
            message = f"there is no such date: {_show(text)}"
    faults.append(CalendarFault(("closed", place), message))
    return None


def _show(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")

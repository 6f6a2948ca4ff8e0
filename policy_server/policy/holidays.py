"""Days that are exceptions: single dates, ranges and days of every year, whole or in part, each with its reason."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, NamedTuple, TypeAlias, assert_never

from policy_server.policy.hours import DAY, Span, parse_hours, quoted

DayOfYear: TypeAlias = tuple[int, int]
"""Month and day."""

_ONE_DAY: Final = timedelta(days=1)
_LEAP_YEAR: Final = 2000
_YEAR: Final = tuple(date(_LEAP_YEAR, 1, 1) + timedelta(days=number) for number in range(366))
_WHOLE_DAY: Final[Span] = (0, DAY)
_DAYS: Final = re.compile(r"\s*([0-9-]+)(?:\s*\.\.\s*([0-9-]+))?(?:\s+(\S.*))?", re.DOTALL)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_OF_YEAR: Final = re.compile(r"([0-9]{2})-([0-9]{2})")


class Closing(NamedTuple):
    """A part of a day that is closed, in minutes since its 00:00; the end may be in the next day."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Dates:
    """A date, or all from one to another, both included."""

    first: date
    last: date
    hours: Span = _WHOLE_DAY
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Yearly:
    """A day of every year, or all from one to another, both included; the last may be in the next year."""

    first: DayOfYear
    last: DayOfYear
    hours: Span = _WHOLE_DAY
    reason: str = ""

    def days(self) -> tuple[DayOfYear, ...]:
        """Every day of a leap year that it means."""
        year = ((day.month, day.day) for day in _YEAR)
        if self.first <= self.last:
            return tuple(day for day in year if self.first <= day <= self.last)
        return tuple(day for day in year if day >= self.first or day <= self.last)


Days: TypeAlias = Dates | Yearly


@dataclass(frozen=True, slots=True)
class HolidayList:
    """Days that calendars share under a name."""

    name: str
    days: tuple[Days, ...]

    def knows(self, year: int) -> bool:
        """Whether it has any day in a year or after it."""
        return any(isinstance(days, Yearly) or days.last.year >= year for days in self.days)


@dataclass(frozen=True, slots=True, eq=False)
class ClosedDays:
    """What is closed on which day, found at the cost of a look-up however many days there are."""

    _dates: dict[date, tuple[Closing, ...]] = field(default_factory=dict)
    _yearly: dict[DayOfYear, tuple[Closing, ...]] = field(default_factory=dict)
    _ranges: tuple[tuple[date, date, Closing], ...] = ()
    overnight: bool = False
    """Whether any closing goes on past midnight."""
    _only_dates: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_only_dates", not (self._yearly or self._ranges or self.overnight))

    def on(self, day: date) -> tuple[Closing, ...]:
        """What is closed of a day by closings that begin on it."""
        found = self._dates.get(day, ())
        if self._yearly:
            found += self._yearly.get((day.month, day.day), ())
        if self._ranges:
            found += tuple(closing for first, last, closing in self._ranges if first <= day <= last)
        return found

    def at(self, day: date, minute: int) -> Closing | None:
        """The closing in whose time a minute of a day is."""
        if self._only_dates and day not in self._dates:
            return None
        for closing in self.on(day):
            if closing.start <= minute < closing.end:
                return closing
        if self.overnight:
            for closing in self.on(day - _ONE_DAY):
                if minute < closing.end - DAY:
                    return closing
        return None


NEVER_CLOSED: Final = ClosedDays()


def closed_days(days: Iterable[Days]) -> ClosedDays:
    """Files days by how they are looked up."""
    dates: dict[date, tuple[Closing, ...]] = {}
    yearly: dict[DayOfYear, tuple[Closing, ...]] = {}
    ranges: list[tuple[date, date, Closing]] = []
    overnight = False
    for some in days:
        closing = Closing(*some.hours, some.reason)
        overnight = overnight or closing.end > DAY
        match some:
            case Dates(first, last) if first == last:
                dates[first] = (*dates.get(first, ()), closing)
            case Dates(first, last):
                ranges.append((first, last, closing))
            case Yearly():
                for day in some.days():
                    yearly[day] = (*yearly.get(day, ()), closing)
            case _:
                assert_never(some)
    return ClosedDays(dates, yearly, tuple(ranges), overnight)


def looks_like_days(text: str) -> bool:
    """Whether a text is meant for days rather than for the name of a list."""
    return text[:1].isdigit()


def parse_days(text: str, source: str) -> Days | str:
    """Days, or what is wrong with their text. ``source`` says in their reason where they are written."""
    match = _DAYS.fullmatch(text)
    if match is None:
        return _shape(text)
    begin, end, part = match.groups()
    hours = _WHOLE_DAY if part is None else parse_hours(part)
    if isinstance(hours, str):
        return hours
    first = _parse_day(begin, text)
    last = first if end is None else _parse_day(end, text)
    if isinstance(first, str):
        return first
    if isinstance(last, str):
        return last
    reason = f"{text.strip()} ({source})"
    if isinstance(first, date) and isinstance(last, date):
        if last < first:
            return f"{quoted(text)} ends before it begins"
        return Dates(first, last, hours, reason)
    if isinstance(first, tuple) and isinstance(last, tuple):
        return Yearly(first, last, hours, reason)
    return f"{quoted(text)} has a year on one side alone: write it on both sides, or on neither for every year"


def parse_date(text: str) -> date | str:
    """A date as ``YYYY-MM-DD``, or what is wrong with its text."""
    if not _DATE.fullmatch(text):
        return f"a date must look like '2026-12-25' but is {quoted(text)}"
    try:
        return date.fromisoformat(text)
    except ValueError:
        return f"there is no such date: {quoted(text)}"


def _parse_day(text: str, whole: str) -> date | DayOfYear | str:
    if _DATE.fullmatch(text):
        return parse_date(text)
    match = _DAY_OF_YEAR.fullmatch(text)
    if match is None:
        return _shape(whole)
    month, day = map(int, match.groups())
    try:
        date(_LEAP_YEAR, month, day)
    except ValueError:
        return f"there is no such day of the year: {quoted(text)} (write month and day, as in '12-25')"
    return month, day


def _shape(text: str) -> str:
    return (
        "a day must look like '2026-12-25', '12-25' (every year), '2027-07-19..2027-08-06' or '12-24 12:00-24:00' "
        f"but is {quoted(text)}"
    )

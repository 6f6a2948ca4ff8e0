"""A calendar as a week to look at: what is open on each day, what is not as every week, and what it is now."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from policy_server.policy.calendars import DAYS, Calendar
from policy_server.policy.hours import DAY, written_hours

EXCEPTION_DAYS: Final = 60
"""Days from today on of which exceptions are listed."""
MOST_EXCEPTIONS: Final = 20


@dataclass(frozen=True, slots=True)
class DayRow:
    """A date: its weekday, hours in words, the open parts in minutes from 00:00 with their lengths, and what is special."""

    date: date
    weekday: str
    hours: str
    bars: tuple[tuple[int, int], ...]
    reasons: tuple[str, ...]
    is_today: bool


@dataclass(frozen=True, slots=True)
class Week:
    """A calendar in the week of a moment, Monday first. ``minute`` is that moment's on its day, ``state`` says what is now."""

    name: str
    timezone: str
    is_open: bool
    state: str
    minute: int
    days: tuple[DayRow, ...]
    exceptions: tuple[DayRow, ...]


def week_of(calendar: Calendar, now: datetime) -> Week:
    """The week in which a moment is, in the calendar's zone."""
    local = now.astimezone(calendar.timezone)
    today = local.date()
    monday = today - timedelta(days=today.weekday())
    days = tuple(_row(calendar, monday + timedelta(days=number), today) for number in range(len(DAYS)))
    ahead = (_row(calendar, today + timedelta(days=number), today) for number in range(EXCEPTION_DAYS))
    exceptions = tuple(row for row in ahead if row.reasons)
    is_open = calendar.is_open(now)
    minute = local.hour * 60 + local.minute
    return Week(
        calendar.name,
        calendar.timezone.key,
        is_open,
        _state(calendar, now, is_open=is_open),
        minute,
        days,
        exceptions[:MOST_EXCEPTIONS],
    )


def _state(calendar: Calendar, now: datetime, *, is_open: bool) -> str:
    exception = calendar.exception(now)
    why = f": {exception}" if exception else ""
    if is_open:
        return f"open now{why}"
    opening = calendar.next_opening(now)
    until = f"opens {opening:%a %Y-%m-%d at %H:%M}" if opening is not None else "does not open within a year"
    return f"closed now{why}; {until}"


def _row(calendar: Calendar, day: date, today: date) -> DayRow:
    found = calendar.day(day)
    hours = ", ".join(written_hours(start, end) for start, end in found.open) or "closed"
    bars = tuple((start, min(end, DAY) - start) for start, end in found.open)
    return DayRow(day, DAYS[day.weekday()].capitalize(), hours, bars, found.reasons, day == today)

"""Opening hours: when a calendar is open, why it is not as every week, and when it opens next.

Hours are wall-clock hours in the calendar's own time zone. On the night the clocks go forward, the skipped
hour does not happen; on the night they go back, the repeated hour is open both times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from policy_server.policy.holidays import (
    NEVER_CLOSED,
    ClosedDays,
    Days,
    HolidayList,
    closed_days,
    looks_like_days,
    parse_date,
    parse_days,
)
from policy_server.policy.hours import DAY, Span, parse_hours, quoted
from policy_server.policy.zones import parse_zone, zone_fault
from policy_server.wording.words import one_of

LOOK_AHEAD = timedelta(days=400)
"""How far `Calendar.next_opening` looks: a year of closed dates and some."""

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_FULL_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_NUMBERS = {name: number for names in (DAYS, _FULL_NAMES) for number, name in enumerate(names)}
_MAX_SHOWN = 60
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CalendarFault:
    """What is wrong with a calendar: where in it, a message for its author, and the words allowed there."""

    path: tuple[str | int, ...]
    message: str
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """A date of a calendar: the parts of it that are open, in minutes since 00:00, and why they are not those of every
    week.
    """

    date: date
    open: tuple[Span, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Calendar:
    """Weekly opening hours in a time zone, less what is closed, with other hours on some dates.

    `week` has a tuple of spans for each day, Monday first; spans may overlap. Where a closing lasts until 24:00, what
    would go on past that midnight is closed too. A date of `instead` has these hours whatever else there is; those that
    go on past midnight do so unless the next day has something to say about it.
    """

    name: str
    timezone: ZoneInfo
    week: tuple[tuple[Span, ...], ...]
    closed: ClosedDays = NEVER_CLOSED
    instead: Mapping[date, tuple[Span, ...]] = field(default_factory=dict, hash=False)
    _today: tuple[tuple[Span, ...], ...] = field(init=False, repr=False, compare=False)
    _until: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.week) != len(DAYS):
            raise ValueError(f"a week has 7 days, not {len(self.week)}")
        for start, end in (span for day in (*self.week, *self.instead.values()) for span in day):
            if not (0 <= start < DAY and start < end <= start + DAY):
                raise ValueError(f"an opening from minute {start} to minute {end} is not possible")
        today = tuple(_begun_on(day) for day in self.week)
        until = tuple(_carried_over(self.week[day - 1]) for day in range(len(DAYS)))
        object.__setattr__(self, "_today", today)
        object.__setattr__(self, "_until", until)

    @property
    def has_openings(self) -> bool:
        """Whether any day has opening hours; a calendar without is never open."""
        return any(self.week) or any(self.instead.values())

    def is_open(self, now: datetime) -> bool:
        """Say whether the calendar is open at a moment, given in any time zone.

        Raises `ValueError` for a moment without zone.
        """
        wall = self._wall(now)
        return self._is_open_at(wall.date(), wall.hour * 60 + wall.minute)

    def exception(self, now: datetime) -> str:
        """Why the calendar is not as every week at a moment; `""` where it is.

        Raises `ValueError` for a moment without zone.
        """
        wall = self._wall(now)
        day, minute = wall.date(), wall.hour * 60 + wall.minute
        if day in self.instead:
            return _instead_of_the_week(day)
        if (closing := self.closed.at(day, minute)) is not None:
            return closing.reason
        until, reasons = self._night_before(day)
        of_today = any(start <= minute < end for start, end in self._today[day.weekday()])
        return reasons[0] if minute < until and not of_today else ""

    def day(self, day: date) -> CalendarDay:
        """Say what is open on a date, on a wall clock that is not changed on it."""
        changes = self.possible_changes(day)
        spans: list[Span] = []
        for start, end in zip(changes, (*changes[1:], DAY), strict=True):
            if not self._is_open_at(day, start):
                continue
            begin = spans.pop()[0] if spans and spans[-1][1] == start else start
            spans.append((begin, end))
        if day in self.instead:
            return CalendarDay(day, tuple(spans), (_instead_of_the_week(day),))
        begun = [closing.reason for closing in self.closed.on(day)]
        going_on = [closing.reason for closing in self.closed.on(day - _ONE_DAY) if closing.end > DAY]
        _, of_the_night = self._night_before(day)
        return CalendarDay(day, tuple(spans), tuple(dict.fromkeys((*of_the_night, *going_on, *begun))))

    def possible_changes(self, day: date) -> tuple[int, ...]:
        """The minutes of a date, in order, at which the calendar may open or close; 0 is one of them."""
        today, yesterday = self._hours(day), self._hours(day - _ONE_DAY)
        closed, closed_before = self.closed.on(day), self.closed.on(day - _ONE_DAY)
        minutes = {0, *(minute for span in today for minute in span)}
        minutes.update(end - DAY for _, end in yesterday)
        minutes.update(minute for start, end, _ in closed for minute in (start, end))
        minutes.update(end - DAY for _, end, _ in closed_before)
        return tuple(sorted(minute for minute in minutes if 0 <= minute < DAY))

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

    def _wall(self, now: datetime) -> datetime:
        if now.utcoffset() is None:
            raise ValueError(f"{now.isoformat()} needs a time zone")
        return now.astimezone(self.timezone)

    def _hours(self, day: date) -> tuple[Span, ...]:
        """The hours that begin on a date, before anything is closed."""
        return self.instead.get(day, self.week[day.weekday()])

    def _is_open_at(self, day: date, minute: int) -> bool:
        if self.instead and (hours := self.instead.get(day)) is not None:
            return any(start <= minute < end for start, end in hours)
        for start, end in self._today[day.weekday()]:
            if start <= minute < end:
                return self.closed.at(day, minute) is None
        return minute < self._open_since_yesterday(day) and self.closed.at(day, minute) is None

    def _open_since_yesterday(self, day: date) -> int:
        """The minute of a date until which the hours of the day before go on."""
        if self.instead and (hours := self.instead.get(day - _ONE_DAY)) is not None:
            return _carried_over(hours)
        until = self._until[day.weekday()]
        if until and any(closing.end >= DAY for closing in self.closed.on(day - _ONE_DAY)):
            return 0
        return until

    def _night_before(self, day: date) -> tuple[int, tuple[str, ...]]:
        """Until which minute of a date the hours of the day before do not go on as every week, and why; 0 if they do."""
        until, yesterday = self._until[day.weekday()], day - _ONE_DAY
        if (hours := self.instead.get(yesterday)) is not None:
            carried = _carried_over(hours)
            return (0, ()) if carried == until else (max(carried, until), (_instead_of_the_week(yesterday),))
        reasons = tuple(closing.reason for closing in self.closed.on(yesterday) if closing.end >= DAY)
        return (until, reasons) if until and reasons else (0, ())

    def _next_on_wall(self, wall: datetime, last: datetime) -> datetime | None:
        """Return the next opening on a wall clock that is never changed, if it comes before the day after `last`."""
        midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
        while midnight.date() <= last.date():
            day = midnight.date()
            for minute in self.possible_changes(day):
                opening = midnight + timedelta(minutes=minute)
                if opening >= wall and self._is_open_at(day, minute):
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


def _begun_on(hours: Sequence[Span]) -> tuple[Span, ...]:
    """Hours, as far as they are on the day that they begin on."""
    return tuple(sorted((start, min(end, DAY)) for start, end in hours))


def _carried_over(hours: Sequence[Span]) -> int:
    """The minute until which hours go on on the next day; 0 when they do not."""
    return max(0, max((end - DAY for _, end in hours), default=0))


def _instead_of_the_week(day: date) -> str:
    return f"{day} (instead)"


def parse_calendar(
    name: str,
    timezone: str,
    open_hours: Mapping[str, Sequence[str]],
    closed: Sequence[str] = (),
    instead: Mapping[str, Sequence[str]] | None = None,
    lists: Mapping[str, HolidayList | None] | None = None,
) -> tuple[Calendar | None, tuple[CalendarFault, ...]]:
    """Build a calendar from what an admin wrote, or report everything that is wrong with it.

    Keys of `open_hours` are days, ranges of days and lists of both (`mon`, `mon-fri`, `fri-mon`,
    `sat,sun`), in any case, short or in full; values are lists of `HH:MM-HH:MM`. An end at or before the
    start is in the next day. `closed` holds days as `policy.holidays.parse_days` reads them, and names of `lists` (of
    which those that are None could not be read). `instead` has dates as `YYYY-MM-DD`, each with its hours.
    """
    faults: list[CalendarFault] = []
    zone = _parse_timezone(timezone, faults)
    week = _parse_week(open_hours, faults)
    days = [found for place, text in enumerate(closed) for found in _parse_closed(text, place, lists or {}, faults)]
    other_hours = _parse_instead(instead or {}, faults)
    if faults or zone is None:
        return None, tuple(faults)
    return Calendar(name, zone, week, closed_days(days), other_hours), ()


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
                where = "twice" if written[day] == key else f"and in {quoted(key)}"
                message = f"{DAYS[day]} is in {quoted(written[day])} {where}: write each day once"
                faults.append(CalendarFault(("open", key), message))
            written[day] = key
        spans = _parse_spans(("open", key), hours, faults)
        for day in days:
            week[day] = spans
    return tuple(week)


def _parse_days(key: str, faults: list[CalendarFault]) -> list[int]:
    days: list[int] = []
    for part in key.lower().split(","):
        names = [name.strip() for name in part.split("-")]
        unknown = [name for name in names if name not in _DAY_NUMBERS]
        if unknown or len(names) > 2:
            what = f"{quoted(unknown[0])} is not a day" if unknown else f"{quoted(part)} is not a range of days"
            message = f"{what} in {quoted(key)}: write days like 'mon', 'mon-fri' or 'sat,sun'"
            faults.append(CalendarFault(("open", key), message, DAYS))
            continue
        first, last = _DAY_NUMBERS[names[0]], _DAY_NUMBERS[names[-1]]
        days += [(first + step) % len(DAYS) for step in range((last - first) % len(DAYS) + 1)]
    return days


def _parse_spans(path: tuple[str, str], hours: Sequence[str], faults: list[CalendarFault]) -> tuple[Span, ...]:
    if isinstance(hours, str):
        message = f'hours must be a list but are {quoted(hours)}: write ["{hours[:_MAX_SHOWN]}"]'
        faults.append(CalendarFault(path, message))
        return ()
    spans: list[Span] = []
    for place, text in enumerate(hours):
        span = parse_hours(text)
        if isinstance(span, str):
            faults.append(CalendarFault((*path, place), span))
        else:
            spans.append(span)
    return tuple(sorted(spans))


def _parse_closed(
    text: str, place: int, lists: Mapping[str, HolidayList | None], faults: list[CalendarFault]
) -> tuple[Days, ...]:
    if text in lists:
        found = lists[text]
        return () if found is None else found.days
    if not looks_like_days(text):
        if lists:
            message = one_of("closed", lists, text)
        else:
            message = f"holiday list {quoted(text)} is not defined; define it under holidays, or write a day such as 2026-12-25"
        faults.append(CalendarFault(("closed", place), message))
        return ()
    days = parse_days(text, "closed")
    if isinstance(days, str):
        faults.append(CalendarFault(("closed", place), days))
        return ()
    return (days,)


def _parse_instead(
    instead: Mapping[str, Sequence[str]], faults: list[CalendarFault]
) -> Mapping[date, tuple[Span, ...]]:
    found: dict[date, tuple[Span, ...]] = {}
    for key, hours in instead.items():
        day = parse_date(key)
        spans = _parse_spans(("instead", key), hours, faults)
        if isinstance(day, str):
            faults.append(CalendarFault(("instead", key), day))
        else:
            found[day] = spans
    return found

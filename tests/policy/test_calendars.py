"""Calendars open when the clock on their wall says so, through closed dates, midnights and clock changes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.policy.calendars import (
    DAYS,
    LOOK_AHEAD,
    Calendar,
    CalendarFault,
    parse_calendar,
)
from policy_server.policy.holidays import Dates, Days, HolidayList, Yearly, closed_days
from policy_server.policy.hours import Span

CHICAGO = ZoneInfo("America/Chicago")
MINUTE = timedelta(minutes=1)
# Clock changes by an hour, by half an hour, at midnight, from one date back to another, none, a skipped date.
ZONES = [
    CHICAGO,
    ZoneInfo("Europe/London"),
    ZoneInfo("Australia/Lord_Howe"),
    ZoneInfo("Africa/Cairo"),
    ZoneInfo("America/Sao_Paulo"),
    ZoneInfo("America/St_Johns"),
    ZoneInfo("Pacific/Apia"),
    ZoneInfo("Asia/Kathmandu"),
    ZoneInfo("UTC"),
]
# A clock change of each zone above that has any.
NEAR_CHANGES = [
    datetime(2026, 3, 8, 8, tzinfo=UTC),
    datetime(2026, 11, 1, 7, tzinfo=UTC),
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 4, 23, 22, tzinfo=UTC),
    datetime(2026, 10, 29, 21, tzinfo=UTC),
    datetime(2018, 2, 18, 2, tzinfo=UTC),
    datetime(2018, 11, 4, 3, tzinfo=UTC),
    datetime(2009, 11, 1, 2, 31, tzinfo=UTC),
    datetime(2010, 3, 14, 3, 31, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),
]

spans = st.builds(lambda start, length: (start, start + length), st.integers(0, 1439), st.integers(1, 1440))
weeks = st.tuples(*[st.lists(spans, max_size=2).map(tuple)] * 7)
moments = st.builds(
    lambda near, seconds: near + timedelta(seconds=seconds),
    st.sampled_from(NEAR_CHANGES),
    st.integers(-3 * 86_400, 2 * 86_400),
)


@dataclass(frozen=True)
class Drawn:
    """A calendar, the days it is closed on as they were written, and a moment near them."""

    calendar: Calendar
    closed: tuple[Days, ...]
    now: datetime


@st.composite
def drawn_calendars(draw: st.DrawFn) -> Drawn:
    """Draw a calendar and a moment near a clock change, with closed days of every kind and other hours around it."""
    now = draw(moments)
    dates = st.integers(-3, 4).map(lambda days: (now + timedelta(days=days)).date())
    hours = st.just((0, 1440)) | spans
    closed: list[Days] = []
    for first, last, part, yearly in draw(st.lists(st.tuples(dates, dates, hours, st.booleans()), max_size=3)):
        if yearly:
            closed.append(Yearly((first.month, first.day), (last.month, last.day), part, "yearly"))
        else:
            closed.append(Dates(min(first, last), max(first, last), part, "dates"))
    instead = draw(st.dictionaries(dates, st.lists(spans, max_size=2).map(tuple), max_size=2))
    calendar = Calendar("any", draw(st.sampled_from(ZONES)), draw(weeks), closed_days(closed), instead)
    return Drawn(calendar, tuple(closed), now)


def begins_on(days: Days, day: date) -> bool:
    """Say whether a closing begins on a day, by counting from its first day to its last."""
    if isinstance(days, Dates):
        return day in {days.first + timedelta(days=number) for number in range((days.last - days.first).days + 1)}
    counted, wanted = date(2000, *days.first), days.last
    while (counted.month, counted.day) != (day.month, day.day):
        if (counted.month, counted.day) == wanted:
            return False
        counted += timedelta(days=1)
    return True


def minutes_of(spans_of_day: Iterable[Span]) -> set[int]:
    """List every minute of some hours; those of the next day are past 1440."""
    return {minute for start, end in spans_of_day for minute in range(start, end)}


def model_minutes(drawn: Drawn, today: date) -> set[int]:
    """List every open minute of a date on the wall, as the rules are worded."""
    calendar, yesterday = drawn.calendar, today - timedelta(days=1)
    if today in calendar.instead:
        return minutes_of(calendar.instead[today]) & set(range(1440))
    closed = minutes_of(days.hours for days in drawn.closed if begins_on(days, today))
    closed_before = minutes_of(days.hours for days in drawn.closed if begins_on(days, yesterday))
    begun_before = minutes_of(calendar.instead.get(yesterday, calendar.week[yesterday.weekday()]))
    if 1439 in closed_before and yesterday not in calendar.instead:
        begun_before = set()
    opened = minutes_of(calendar.week[today.weekday()]) | {minute - 1440 for minute in begun_before}
    return (opened & set(range(1440))) - closed - {minute - 1440 for minute in closed_before}


def model_is_open(drawn: Drawn, now: datetime) -> bool:
    """Say whether a calendar is open by looking for the minute on its wall."""
    wall = now.astimezone(drawn.calendar.timezone)
    return wall.hour * 60 + wall.minute in model_minutes(drawn, wall.date())


def parsed(
    open_hours: Mapping[str, Sequence[str]],
    closed: Sequence[str] = (),
    timezone: str = "America/Chicago",
    instead: Mapping[str, Sequence[str]] | None = None,
    lists: Mapping[str, HolidayList | None] | None = None,
) -> Calendar:
    """Parse a calendar that has no faults."""
    calendar, faults = parse_calendar("hours", timezone, open_hours, closed, instead, lists)
    assert faults == ()
    assert calendar is not None
    return calendar


def at(text: str) -> datetime:
    """Read a moment on the wall in Chicago, or with an explicit offset."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=CHICAGO)


CLINIC = {"mon-fri": ["08:00-18:00"], "sat": ["09:00-13:00"]}


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        pytest.param("2026-11-23T07:59:59", False, id="a second before opening"),
        pytest.param("2026-11-23T08:00", True, id="opening"),
        pytest.param("2026-11-23T17:59:59.999999", True, id="last microsecond"),
        pytest.param("2026-11-23T18:00", False, id="closing"),
        pytest.param("2026-11-23T14:00+00:00", True, id="opening, in UTC"),
        pytest.param("2026-11-24T00:30+10:00", True, id="opening hours, seen from Australia where it is tomorrow"),
        pytest.param("2026-11-21T12:59", True, id="Saturday"),
        pytest.param("2026-11-21T13:00", False, id="Saturday afternoon"),
        pytest.param("2026-11-22T10:00", False, id="Sunday"),
        pytest.param("2026-12-25T10:00", False, id="closed date"),
        pytest.param("2026-12-26T03:00+00:00", False, id="closed date, though UTC is a day ahead"),
    ],
)
def test_is_open(moment: str, is_open: bool) -> None:
    """Open from the start to just before the end, by the clock in the calendar's zone, whatever zone asks."""
    assert parsed(CLINIC, ["2026-12-25"]).is_open(at(moment)) is is_open


NIGHT = {"fri": ["22:00-02:00"]}


@pytest.mark.parametrize(
    ("closed", "moment", "is_open"),
    [
        pytest.param([], "2026-11-27T21:59", False, id="before"),
        pytest.param([], "2026-11-27T23:59", True, id="before midnight"),
        pytest.param([], "2026-11-28T00:00", True, id="midnight"),
        pytest.param([], "2026-11-28T01:59", True, id="after midnight"),
        pytest.param([], "2026-11-28T02:00", False, id="end"),
        pytest.param([], "2026-11-27T01:00", False, id="the night before"),
        pytest.param(["2026-11-27"], "2026-11-27T23:00", False, id="closed on the day it begins"),
        pytest.param(["2026-11-27"], "2026-11-28T01:00", False, id="closed on the day it begins, past midnight"),
        pytest.param(["2026-11-28"], "2026-11-27T23:00", True, id="closed the day after, before midnight"),
        pytest.param(["2026-11-28"], "2026-11-28T01:00", False, id="closed the day after, past midnight"),
    ],
)
def test_hours_past_midnight(closed: list[str], moment: str, is_open: bool) -> None:
    """An opening goes on past midnight, unless either of its two dates is closed."""
    assert parsed(NIGHT, closed).is_open(at(moment)) is is_open


def test_sunday_night_goes_on_on_monday() -> None:
    """The week wraps around."""
    calendar = parsed({"sun": ["23:00-01:00"]})
    assert calendar.is_open(at("2026-11-23T00:59"))
    assert not calendar.is_open(at("2026-11-23T01:00"))


@pytest.mark.parametrize(
    ("hours", "moment", "is_open", "opens"),
    [
        pytest.param(
            "02:30-03:30", "2026-03-08T07:59+00:00", False, "2026-03-08T03:00:00-05:00", id="begins in the gap"
        ),
        pytest.param("02:30-03:30", "2026-03-08T08:00+00:00", True, "2026-03-08T03:00:00-05:00", id="end of the gap"),
        pytest.param("02:30-03:30", "2026-03-08T08:29+00:00", True, "2026-03-08T03:29:00-05:00", id="after the gap"),
        pytest.param(
            "02:30-03:30", "2026-03-08T08:30+00:00", False, "2026-03-15T02:30:00-05:00", id="end, after the gap"
        ),
        pytest.param("02:10-02:50", "2026-03-08T07:00+00:00", False, "2026-03-15T02:10:00-05:00", id="inside the gap"),
        pytest.param(
            "02:00-02:30", "2026-03-08T07:00+00:00", False, "2026-03-15T02:00:00-05:00", id="begins with the gap"
        ),
        pytest.param("01:30-02:30", "2026-03-08T08:00+00:00", False, "2026-03-15T01:30:00-05:00", id="ends in the gap"),
        pytest.param(
            "02:30-03:30", "2026-11-01T06:00+00:00", False, "2026-11-01T02:30:00-06:00", id="after the repeat"
        ),
        pytest.param(
            "01:15-01:45", "2026-11-01T06:00+00:00", False, "2026-11-01T01:15:00-05:00", id="first of the repeat"
        ),
        pytest.param(
            "01:15-01:45", "2026-11-01T06:45+00:00", False, "2026-11-01T01:15:00-06:00", id="second of the repeat"
        ),
        pytest.param(
            "00:30-01:30", "2026-11-01T06:30+00:00", False, "2026-11-01T01:00:00-06:00", id="opens by the change"
        ),
        pytest.param(
            "01:30-02:30", "2026-11-01T06:59+00:00", True, "2026-11-01T01:59:00-05:00", id="before the change"
        ),
        pytest.param(
            "01:30-02:30", "2026-11-01T07:00+00:00", False, "2026-11-01T01:30:00-06:00", id="shut by the change"
        ),
        pytest.param(
            "01:30-02:30", "2026-11-01T08:29+00:00", True, "2026-11-01T02:29:00-06:00", id="end after the change"
        ),
    ],
)
def test_clock_changes(hours: str, moment: str, is_open: bool, opens: str) -> None:
    """Skipped minutes do not happen and repeated ones happen twice, as on the clock on the wall."""
    calendar = parsed({"sun": [hours]})
    assert calendar.is_open(at(moment)) is is_open
    opening = calendar.next_opening(at(moment))
    assert opening is not None
    assert opening.isoformat() == opens


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        pytest.param("2026-11-23T10:00", "2026-11-23T10:00:00-06:00", id="open now"),
        pytest.param("2026-11-23T15:59:59+00:00", "2026-11-23T09:59:59-06:00", id="open now, asked in UTC"),
        pytest.param("2026-11-23T06:12:34", "2026-11-23T08:00:00-06:00", id="later today"),
        pytest.param("2026-11-20T18:00", "2026-11-21T09:00:00-06:00", id="tomorrow"),
        pytest.param("2026-11-21T13:00", "2026-11-23T08:00:00-06:00", id="after Sunday"),
        pytest.param("2026-12-24T18:00", "2026-12-26T09:00:00-06:00", id="after a closed date"),
        pytest.param("2026-03-06T18:00", "2026-03-07T09:00:00-06:00", id="before a clock change"),
        pytest.param("2026-03-07T13:00", "2026-03-09T08:00:00-05:00", id="across a clock change"),
    ],
)
def test_next_opening(moment: str, expected: str) -> None:
    """The next open moment, now included, in the calendar's own zone."""
    opening = parsed(CLINIC, ["2026-12-25"]).next_opening(at(moment))
    assert opening is not None
    assert opening.isoformat() == expected
    assert opening.tzinfo is CHICAGO


def test_opening_at_midnight_after_a_closed_date() -> None:
    """Round-the-clock hours open again at the midnight that ends a closed date."""
    calendar = parsed({"mon-sun": ["00:00-24:00"]}, ["2026-12-25"])
    assert str(calendar.next_opening(at("2026-12-25T12:00"))) == "2026-12-26 00:00:00-06:00"
    assert calendar.is_open(at("2026-12-24T23:59"))


def test_skipped_date_is_no_opening() -> None:
    """Samoa had no 30 December 2011: its Friday hours were not, and Saturday began at once."""
    calendar = parsed({"fri": ["08:00-18:00"], "sat": ["06:00-07:00"]}, timezone="Pacific/Apia")
    opening = calendar.next_opening(datetime(2011, 12, 30, 9, tzinfo=UTC))
    assert opening is not None
    assert opening.isoformat() == "2011-12-31T06:00:00+14:00"


@pytest.mark.parametrize(
    "open_hours",
    [pytest.param({}, id="no days"), pytest.param({"mon": [], "tue": []}, id="no hours")],
)
def test_calendar_without_hours_never_opens(open_hours: dict[str, list[str]]) -> None:
    """A calendar without hours can be built, is never open, and says so."""
    calendar = parsed(open_hours)
    assert not calendar.has_openings
    assert calendar.never_opens(at("2026-11-23T10:00"))
    assert calendar.next_opening(at("2026-11-23T10:00")) is None


def test_closed_dates_can_close_a_calendar_for_good() -> None:
    """Hours on closed dates only are as good as none; one date beyond the horizon does not count."""
    now = at("2026-11-23T10:00")
    sundays = [(date(2026, 11, 29) + timedelta(weeks=week)).isoformat() for week in range(57)]
    calendar = parsed({"sun": ["10:00-12:00"]}, sundays)
    assert calendar.has_openings
    assert calendar.never_opens(now)
    assert not calendar.never_opens(now + timedelta(days=7))
    assert not parsed({"sun": ["10:00-12:00"]}, sundays[:-1]).never_opens(now)


def test_horizon_is_exact() -> None:
    """An opening exactly at the horizon is found, and one a minute after it is not."""
    now = datetime(2026, 11, 23, 10, tzinfo=UTC)
    last = now + LOOK_AHEAD
    closed = [(last - timedelta(weeks=week)).date().isoformat() for week in range(1, 60)]
    calendar = parsed({DAYS[last.weekday()]: ["10:00-12:00"]}, closed, timezone="UTC")
    assert calendar.next_opening(now) == last
    assert calendar.next_opening(now - MINUTE) is None


def test_moment_without_zone_is_refused() -> None:
    """A time without zone would mean another moment on every machine."""
    naive = at("2026-11-23T10:00").replace(tzinfo=None)
    calendar = parsed(CLINIC)
    for ask in (calendar.is_open, calendar.exception, calendar.next_opening, calendar.never_opens):
        with pytest.raises(ValueError, match="2026-11-23T10:00:00 needs a time zone"):
            ask(naive)


@given(drawn=drawn_calendars(), minutes=st.lists(st.integers(-4_000, 4_000), min_size=20, max_size=20))
def test_is_open_agrees_with_a_minute_by_minute_model(drawn: Drawn, minutes: list[int]) -> None:
    """Open exactly at the minutes that the rules, taken literally, list."""
    for minute in minutes:
        moment = drawn.now + minute * MINUTE
        assert drawn.calendar.is_open(moment) == model_is_open(drawn, moment)


@given(drawn=drawn_calendars(), days=st.integers(-4, 5))
def test_a_day_has_the_minutes_of_the_model(drawn: Drawn, days: int) -> None:
    """A day is listed with all its open minutes, in order, no span touching the next; only there may it change."""
    today = drawn.now.date() + timedelta(days=days)
    listed = drawn.calendar.day(today).open
    assert minutes_of(listed) == model_minutes(drawn, today)
    assert all(end < start for (_, end), (start, _) in pairwise(listed))
    assert {minute for span in listed for minute in span} <= {*drawn.calendar.possible_changes(today), 1440}


@given(drawn=drawn_calendars(), minutes=st.integers(-1439, 1439))
def test_is_open_does_not_depend_on_the_asking_zone(drawn: Drawn, minutes: int) -> None:
    """The same moment gets the same answer however it is written."""
    elsewhere = drawn.now.astimezone(timezone(timedelta(minutes=minutes)))
    assert drawn.calendar.is_open(elsewhere) == drawn.calendar.is_open(drawn.now)


@given(drawn=drawn_calendars(), data=st.data())
def test_next_opening_is_open_and_the_first(drawn: Drawn, data: st.DataObject) -> None:
    """The moment is open, not in the past, and no minute between now and then is."""
    calendar, now = drawn.calendar, drawn.now
    opening = calendar.next_opening(now)
    # In UTC, because arithmetic within one zone is that of its wall clock, which has gaps.
    last = now + LOOK_AHEAD if opening is None else opening.astimezone(UTC)
    if opening is not None:
        assert opening.tzinfo is calendar.timezone
        assert now <= opening <= now + LOOK_AHEAD
        assert calendar.is_open(opening)
    assert calendar.never_opens(now) == (opening is None)
    waiting = last - now
    near_the_end = [last - timedelta(microseconds=1), *(last - minute * MINUTE for minute in range(1, 200, 7))]
    sampled = [now + waiting * data.draw(st.floats(0, 1)) for _ in range(10)]
    for moment in [now, *near_the_end, *sampled]:
        if now <= moment < last:
            assert not model_is_open(drawn, moment)


HOUSE = {"house": HolidayList("house", (Yearly((12, 24), (12, 24), (720, 1440), "12-24 12:00-24:00 (house)"),))}


@pytest.mark.parametrize(
    ("closed", "moment", "is_open", "exception"),
    [
        pytest.param(["house"], "2026-12-24T11:59", True, "", id="before the part of a day that is closed"),
        pytest.param(["house"], "2026-12-24T12:00", False, "12-24 12:00-24:00 (house)", id="in it"),
        pytest.param(["house"], "2031-12-24T12:00", False, "12-24 12:00-24:00 (house)", id="in another year"),
        pytest.param(["12-24..01-02"], "2026-12-31T10:00", False, "12-24..01-02 (closed)", id="over New Year, before"),
        pytest.param(["12-24..01-02"], "2027-01-01T10:00", False, "12-24..01-02 (closed)", id="over New Year, after"),
        pytest.param(["12-24..01-02"], "2026-12-23T10:00", True, "", id="the day before a range"),
        pytest.param(["12-24..01-02"], "2027-01-04T10:00", True, "", id="after a range"),
        pytest.param(["02-29"], "2028-02-29T10:00", False, "02-29 (closed)", id="leap day"),
        pytest.param(["02-29"], "2027-03-01T10:00", True, "", id="no leap day"),
        pytest.param(
            ["2027-07-19..2027-08-06"], "2027-07-19T10:00", False, "2027-07-19..2027-08-06 (closed)", id="first"
        ),
        pytest.param(
            ["2027-07-19..2027-08-06"], "2027-08-06T10:00", False, "2027-07-19..2027-08-06 (closed)", id="last"
        ),
        pytest.param(["2027-07-19..2027-08-06"], "2028-07-19T10:00", True, "", id="a range of one year"),
        pytest.param(
            ["2026-12-21..2026-12-23 08:00-09:00"],
            "2026-12-22T08:30",
            False,
            "2026-12-21..2026-12-23 08:00-09:00 (closed)",
            id="the same part of each",
        ),
        pytest.param(
            ["2026-12-21 22:00-09:00"],
            "2026-12-22T08:30",
            False,
            "2026-12-21 22:00-09:00 (closed)",
            id="a part past midnight",
        ),
        pytest.param(["2026-12-21 22:00-09:00"], "2026-12-22T09:00", True, "", id="after such a part"),
    ],
)
def test_closed_days(closed: list[str], moment: str, is_open: bool, exception: str) -> None:
    """Days of every year, ranges, parts of days and lists of them close a calendar, each with its reason."""
    calendar = parsed(CLINIC, closed, lists=HOUSE)
    assert calendar.is_open(at(moment)) is is_open
    assert calendar.exception(at(moment)) == exception


@pytest.mark.parametrize(
    ("hours", "moment", "is_open"),
    [
        pytest.param(["08:00-14:00"], "2026-12-25T13:59", True, id="open on a closed day"),
        pytest.param(["08:00-14:00"], "2026-12-25T14:00", False, id="and not longer than that"),
        pytest.param([], "2026-12-25T10:00", False, id="no hours"),
        pytest.param(["20:00-02:00"], "2026-12-26T01:59", True, id="goes on past midnight"),
        pytest.param(["08:00-14:00"], "2026-12-25T01:00", False, id="cuts off the night before"),
    ],
)
def test_other_hours_on_a_date(hours: list[str], moment: str, is_open: bool) -> None:
    """On a date of ``instead`` these hours hold, whatever week and closed days say, and are the exception that is told."""
    calendar = parsed({"thu": ["22:00-02:00"]}, ["12-25"], instead={"2026-12-25": hours})
    assert calendar.is_open(at(moment)) is is_open
    assert calendar.exception(at("2026-12-25T10:00")) == "2026-12-25 (instead)"
    assert calendar.has_openings


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        pytest.param("2026-12-24T13:00", "2026-12-26T09:00:00-06:00", id="after a half day and a holiday"),
        pytest.param("2026-12-22T18:00", "2026-12-23T10:00:00-06:00", id="when a closed morning ends"),
        pytest.param("2026-12-26T14:00", "2026-12-27T07:00:00-06:00", id="hours of a Sunday that has some"),
        pytest.param("2026-12-28T20:00", "2026-12-29T10:00:00-06:00", id="when a closing of the night before ends"),
    ],
)
def test_next_opening_among_exceptions(moment: str, expected: str) -> None:
    """The next opening may be the end of a closing, or one that no other week has."""
    closed = ["house", "12-25", "2026-12-23 00:00-10:00", "2026-12-28 22:00-10:00"]
    opening = parsed(CLINIC, closed, lists=HOUSE, instead={"2026-12-27": ["07:00-08:00"]}).next_opening(at(moment))
    assert opening is not None
    assert opening.isoformat() == expected


def test_a_day_tells_its_reasons_once() -> None:
    """A day that two closings close has both reasons, those of the night before first."""
    calendar = parsed(CLINIC, ["2026-12-23 22:00-09:00", "house", "house", "2026-12-24"], lists=HOUSE)
    day = calendar.day(date(2026, 12, 24))
    assert day.open == ()
    assert day.reasons == ("2026-12-23 22:00-09:00 (closed)", "2026-12-24 (closed)", "12-24 12:00-24:00 (house)")


@pytest.mark.parametrize(
    ("closed", "instead", "hours", "exception"),
    [
        pytest.param([], {}, ((0, 120),), "", id="as every week"),
        pytest.param(["2026-11-27"], {}, (), "2026-11-27 (closed)", id="the day before was closed"),
        pytest.param(
            ["2026-11-27 12:00-24:00"], {}, (), "2026-11-27 12:00-24:00 (closed)", id="its evening was closed"
        ),
        pytest.param(["2026-11-27 12:00-18:00"], {}, ((0, 120),), "", id="its afternoon was closed"),
        pytest.param([], {"2026-11-27": ["20:00-22:00"]}, (), "2026-11-27 (instead)", id="it had other hours"),
        pytest.param(
            [], {"2026-11-27": ["20:00-03:00"]}, ((0, 180),), "2026-11-27 (instead)", id="it had longer hours"
        ),
        pytest.param([], {"2026-11-27": ["23:00-02:00"]}, ((0, 120),), "", id="it had other hours with the same end"),
    ],
)
def test_a_night_that_does_not_go_on_says_why(
    closed: list[str], instead: dict[str, list[str]], hours: tuple[Span, ...], exception: str
) -> None:
    """What ends the night before is the reason of the morning that it should have lasted into."""
    calendar = parsed(NIGHT, closed, instead=instead)
    day = calendar.day(date(2026, 11, 28))
    assert (day.open, day.reasons) == (hours, (exception,) if exception else ())
    assert calendar.exception(at("2026-11-28T01:00")) == exception
    assert calendar.exception(at("2026-11-28T03:00")) == ""


def test_a_list_that_could_not_be_read_is_no_second_fault() -> None:
    """What is wrong with a list is told where it stands."""
    assert parse_calendar("hours", "UTC", CLINIC, ["house"], None, {"house": None})[1] == ()


@pytest.mark.parametrize(
    ("key", "days"),
    [
        pytest.param("mon", "mon", id="one day"),
        pytest.param("mon-fri", "mon tue wed thu fri", id="range"),
        pytest.param("fri-mon", "mon fri sat sun", id="range over the week's end"),
        pytest.param("sat,sun", "sat sun", id="list"),
        pytest.param("mon, wed - fri", "mon wed thu fri", id="list with range and spaces"),
        pytest.param("MON-Fri", "mon tue wed thu fri", id="any case"),
        pytest.param("Monday-wednesday", "mon tue wed", id="full names"),
        pytest.param("tue-tue", "tue", id="range of one day"),
        pytest.param("mon-sun", " ".join(DAYS), id="all week"),
        pytest.param("wed-tue", " ".join(DAYS), id="all week from Wednesday"),
    ],
)
def test_day_keys(key: str, days: str) -> None:
    """Days, ranges and lists, in any case, short or in full."""
    calendar = parsed({key: ["08:00-18:00"]})
    assert [name for name, hours in zip(DAYS, calendar.week, strict=True) if hours] == days.split()


@pytest.mark.parametrize(
    ("text", "span"),
    [
        pytest.param("08:00-18:00", (480, 1080), id="day"),
        pytest.param("08:00 - 18:00", (480, 1080), id="spaces"),
        pytest.param("00:00-24:00", (0, 1440), id="whole day"),
        pytest.param("18:00-24:00", (1080, 1440), id="to 24:00"),
        pytest.param("18:00-00:00", (1080, 1440), id="to 00:00"),
        pytest.param("22:00-02:00", (1320, 1560), id="past midnight"),
        pytest.param("08:00-07:59", (480, 1919), id="almost a day"),
    ],
)
def test_hours(text: str, span: Span) -> None:
    """An end at or before the start is in the next day."""
    assert parsed({"mon": [text]}).week[0] == (span,)


def shape(text: str) -> str:
    """Give the message for hours that do not look like hours."""
    return f"hours must look like '08:00-18:00' but are {text!r}"


def no_day(text: str) -> str:
    """Give the message for what does not look like a day."""
    return (
        "a day must look like '2026-12-25', '12-25' (every year), '2027-07-19..2027-08-06' or '12-24 12:00-24:00' "
        f"but is {text!r}"
    )


@pytest.mark.parametrize(
    ("open_hours", "closed", "expected"),
    [
        pytest.param({"mon": ["8:00-18:00"]}, [], (("open", "mon", 0), shape("8:00-18:00")), id="one-digit hour"),
        pytest.param({"mon": ["08:00\u201318:00"]}, [], (("open", "mon", 0), shape("08:00\u201318:00")), id="en dash"),
        pytest.param({"mon": ["08:00"]}, [], (("open", "mon", 0), shape("08:00")), id="no end"),
        pytest.param({"mon": ["8am-6pm"]}, [], (("open", "mon", 0), shape("8am-6pm")), id="am and pm"),
        pytest.param(
            {"mon": ["\u0968\u0968:00-23:00"]},
            [],
            (("open", "mon", 0), shape("\u0968\u0968:00-23:00")),
            id="other digits",
        ),
        pytest.param(
            {"mon": ["08:00-18:00", "20:00-25:00"]},
            [],
            (("open", "mon", 1), "there is no such time of day: '20:00-25:00' (hours go from 00:00 to 24:00)"),
            id="hour 25",
        ),
        pytest.param(
            {"mon": ["20:00-24:01"]},
            [],
            (("open", "mon", 0), "there is no such time of day: '20:00-24:01' (hours go from 00:00 to 24:00)"),
            id="24:01",
        ),
        pytest.param(
            {"mon": ["20:60-21:00"]},
            [],
            (("open", "mon", 0), "there is no such time of day: '20:60-21:00' (hours go from 00:00 to 24:00)"),
            id="minute 60",
        ),
        pytest.param(
            {"mon": ["24:00-02:00"]},
            [],
            (
                ("open", "mon", 0),
                "hours cannot start at 24:00, but are '24:00-02:00': write 00:00 on the next day",
            ),
            id="start at 24:00",
        ),
        pytest.param(
            {"mon": ["08:00-08:00"]},
            [],
            (
                ("open", "mon", 0),
                "'08:00-08:00' starts and ends at the same time: for the whole day write '00:00-24:00'",
            ),
            id="empty opening",
        ),
        pytest.param(
            {"mon": "08:00-18:00"},
            [],
            (("open", "mon"), "hours must be a list but are '08:00-18:00': write [\"08:00-18:00\"]"),
            id="text for a list",
        ),
        pytest.param(
            {"mon-fri": [], "fri": ["08:00-12:00"]},
            [],
            (("open", "fri"), "fri is in 'mon-fri' and in 'fri': write each day once"),
            id="day in two keys",
        ),
        pytest.param(
            {"mon,mon": []}, [], (("open", "mon,mon"), "mon is in 'mon,mon' twice: write each day once"), id="day twice"
        ),
        pytest.param({}, ["2026-02-30"], (("closed", 0), "there is no such date: '2026-02-30'"), id="30 February"),
        pytest.param(
            {},
            ["2026-12-25", "25.12.2026"],
            (("closed", 1), no_day("25.12.2026")),
            id="other date format",
        ),
        pytest.param(
            {},
            ["20261225"],
            (("closed", 0), no_day("20261225")),
            id="date without hyphens",
        ),
        pytest.param(
            {},
            ["13-01"],
            (("closed", 0), "there is no such day of the year: '13-01' (write month and day, as in '12-25')"),
            id="month 13",
        ),
        pytest.param(
            {},
            ["2027-08-06..2027-07-19"],
            (("closed", 0), "'2027-08-06..2027-07-19' ends before it begins"),
            id="range backwards",
        ),
        pytest.param(
            {},
            ["2026-12-24..01-02"],
            (
                ("closed", 0),
                "'2026-12-24..01-02' has a year on one side alone: write it on both sides, or on neither for every year",
            ),
            id="range with one year",
        ),
        pytest.param({}, ["12-24.."], (("closed", 0), no_day("12-24..")), id="range without end"),
        pytest.param({}, ["12-24 noon"], (("closed", 0), shape("noon")), id="part that is none"),
        pytest.param(
            {},
            ["zurich"],
            (
                ("closed", 0),
                "holiday list 'zurich' is not defined; define it under holidays, or write a day such as 2026-12-25",
            ),
            id="list where there is none",
        ),
    ],
)
def test_fault_names_place_and_remedy(
    open_hours: dict[str, Sequence[str]], closed: list[str], expected: tuple[tuple[str | int, ...], str]
) -> None:
    """Each impossible value is refused, and the fault says where it is and what to write."""
    calendar, faults = parse_calendar("hours", "America/Chicago", open_hours, closed)
    assert calendar is None
    assert [(fault.path, fault.message) for fault in faults] == [expected]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        pytest.param("mo", "'mo' is not a day in 'mo'", id="unknown day"),
        pytest.param("mon-fry", "'fry' is not a day in 'mon-fry'", id="unknown end"),
        pytest.param("mon-wed-fri", "'mon-wed-fri' is not a range of days in 'mon-wed-fri'", id="two hyphens"),
        pytest.param("mon,", "'' is not a day in 'mon,'", id="trailing comma"),
    ],
)
def test_unknown_day_says_which_there_are(key: str, message: str) -> None:
    """A key that is no day carries the names of the days, for the nearest to be suggested."""
    _, faults = parse_calendar("hours", "America/Chicago", {key: ["08:00-18:00"]})
    assert faults == (CalendarFault(("open", key), f"{message}: write days like 'mon', 'mon-fri' or 'sat,sun'", DAYS),)


@pytest.mark.parametrize(
    ("timezone", "nearest"),
    [
        pytest.param("America/Chicgo", "America/Chicago", id="misspelt"),
        pytest.param("america/chicago", "America/Chicago", id="lower case"),
        pytest.param("Chicago", "America/Chicago", id="city alone"),
        pytest.param("New York", "America/New_York", id="city with a space"),
        pytest.param("utc", "UTC", id="UTC in lower case"),
        pytest.param("Lodnon", "Europe/London", id="letters swapped"),
        pytest.param("Europe/Zuerich", "Europe/Zurich", id="umlaut written out"),
        pytest.param("Zürich", "Europe/Zurich", id="umlaut"),
        pytest.param("São Paulo", "America/Sao_Paulo", id="accents"),
        pytest.param("Europe/München", "Europe/Berlin", id="city that is no zone"),
        pytest.param("Schweiz", "Europe/Zurich", id="country"),
        pytest.param("CET", "Europe/Berlin", id="abbreviation"),
        pytest.param("CET/CEST", "Europe/Berlin", id="two abbreviations"),
        pytest.param("GMT", "Europe/London", id="abbreviation that has summer time"),
        pytest.param("EST", "America/New_York", id="abbreviation that has none"),
        pytest.param("W. Europe Standard Time", "Europe/Berlin", id="Windows"),
        pytest.param("(UTC+01:00) Bern, Rom, Wien", "Europe/Zurich", id="Outlook"),
        pytest.param("Eastern Time (US & Canada)", "America/New_York", id="Outlook in words"),
        pytest.param("Central European Time", "Europe/Berlin", id="zone in words"),
    ],
)
def test_unknown_timezone_names_the_nearest(timezone: str, nearest: str) -> None:
    """A zone that does not exist is refused with the one that was probably meant."""
    calendar, faults = parse_calendar("hours", timezone, CLINIC)
    assert calendar is None
    assert [(fault.path, fault.message, fault.allowed[0]) for fault in faults] == [
        (
            ("timezone",),
            f"timezone must be a place like 'America/Chicago' but is {timezone!r} (did you mean '{nearest}'?)",
            nearest,
        )
    ]


@pytest.mark.parametrize(
    ("timezone", "hint"),
    [
        ("UTC+2", "did you mean 'Europe/Athens', or 'Europe/Berlin' in summer?"),
        ("GMT+1", "did you mean 'Europe/Berlin', or 'Europe/London' in summer?"),
        ("UTC\N{MINUS SIGN}05:00", "did you mean 'America/New_York', or 'America/Chicago' in summer?"),
        ("+05:30", "did you mean 'Asia/Kolkata'?"),
        ("Etc/GMT+5", "did you mean 'America/New_York', or 'America/Chicago' in summer?"),
    ],
)
def test_an_offset_is_no_place(timezone: str, hint: str) -> None:
    """An offset, which no clocks follow all year, is refused with places that have it in winter and in summer."""
    _, (fault,) = parse_calendar("hours", timezone, CLINIC)
    told = f"timezone must be a place like 'America/Chicago' but is {timezone!r}, which knows no summer time ({hint})"
    assert fault.message == told


@pytest.mark.parametrize("timezone", ["Europe", "localtime", "UTC+14", "Nowhere"])
def test_nothing_is_suggested_for_a_time_zone_of_nowhere(timezone: str) -> None:
    """A place is named only where one is likely."""
    _, (fault,) = parse_calendar("hours", timezone, CLINIC)
    assert fault.allowed == ()


@pytest.mark.parametrize(
    "timezone", ["", "../../etc/passwd", "/etc/localtime", "localtime", "America", "America/Chicago\0", "x" * 5_000]
)
def test_path_is_no_timezone(timezone: str) -> None:
    """Only names of zones are looked up, never paths."""
    calendar, faults = parse_calendar("hours", timezone, CLINIC)
    assert calendar is None
    assert [fault.path for fault in faults] == [("timezone",)]


@pytest.mark.parametrize(
    ("instead", "expected"),
    [
        pytest.param(
            {"12-23": []}, (("instead", "12-23"), "a date must look like '2026-12-25' but is '12-23'"), id="no year"
        ),
        pytest.param(
            {"2026-02-30": []}, (("instead", "2026-02-30"), "there is no such date: '2026-02-30'"), id="30 February"
        ),
        pytest.param({"2026-12-23": ["8-14"]}, (("instead", "2026-12-23", 0), shape("8-14")), id="hours"),
    ],
)
def test_faults_of_other_hours(instead: dict[str, list[str]], expected: tuple[tuple[str | int, ...], str]) -> None:
    """Dates and hours of ``instead`` are told at their place."""
    calendar, faults = parse_calendar("hours", "America/Chicago", CLINIC, [], instead)
    assert calendar is None
    assert [(fault.path, fault.message) for fault in faults] == [expected]


def test_an_unknown_list_names_the_nearest() -> None:
    """A list that does not exist is refused with those that do."""
    _, (fault,) = parse_calendar("hours", "UTC", CLINIC, ["hause"], None, HOUSE)
    assert fault.message == "closed must be 'house' but is 'hause' (did you mean 'house'?)"


def test_all_faults_at_once() -> None:
    """Zone, days, hours and dates are all reported in one go."""
    _, faults = parse_calendar(
        "hours", "Nowhere", {"mon": ["x", "08:00-18:00", "y"], "noday": ["z"]}, ["2026-12-25", "w", "2026-13-01"]
    )
    assert [fault.path for fault in faults] == [
        ("timezone",),
        ("open", "mon", 0),
        ("open", "mon", 2),
        ("open", "noday"),
        ("open", "noday", 0),
        ("closed", 1),
        ("closed", 2),
    ]


texts = st.text(max_size=12) | st.sampled_from(
    ["mon", "tue-fri", "08:00-18:00", "22:00-02:00", "2026-12-25", "UTC", "12-24 12:00-24:00", "12-24..01-02", "house"]
)


@given(
    timezone=texts,
    open_hours=st.dictionaries(texts, st.lists(texts, max_size=3), max_size=4),
    closed=st.lists(texts, max_size=3),
    instead=st.dictionaries(texts, st.lists(texts, max_size=2), max_size=2),
)
def test_any_text_is_a_calendar_or_faults(
    timezone: str, open_hours: dict[str, list[str]], closed: list[str], instead: dict[str, list[str]]
) -> None:
    """No text makes the parser fail in any other way than with faults."""
    calendar, faults = parse_calendar("hours", timezone, open_hours, closed, instead, HOUSE)
    assert (calendar is None) == bool(faults)
    assert all(fault.message for fault in faults)


@pytest.mark.parametrize(
    ("week", "reason"),
    [
        pytest.param(((),) * 6, "a week has 7 days, not 6", id="six days"),
        pytest.param((((60, 60),), *((),) * 6), "minute 60 to minute 60", id="empty span"),
        pytest.param((((1440, 1500),), *((),) * 6), "minute 1440 to minute 1500", id="start in the next day"),
        pytest.param((((0, 1441),), *((),) * 6), "minute 0 to minute 1441", id="longer than a day"),
    ],
)
def test_impossible_week_cannot_be_made(week: tuple[tuple[Span, ...], ...], reason: str) -> None:
    """Not even code can make a calendar with an impossible week."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        Calendar("hours", CHICAGO, week)

"""A calendar drawn as a week."""

from datetime import UTC, datetime

import pytest

from policy_server.policy.calendars import Calendar
from policy_server.web.admin.week import Week, week_of
from tests.rule_sets import load

CALENDAR = """
calendars:
  hours:
    timezone: Europe/Zurich
    open: { mon-fri: ["08:00-12:00", "13:00-18:00"], sat: ["22:00-02:00"] }
    closed: ["2026-12-25"]
    instead: { "2026-12-23": ["08:00-14:00"] }
service:
  - { id: a, when: { open: hours }, reject: no }
"""


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    """Hours with a night, a closed day and one of other hours."""
    return load(CALENDAR).calendars["hours"]


def week(calendar: Calendar, at: str) -> Week:
    """The week of a moment."""
    return week_of(calendar, datetime.fromisoformat(at))


def test_a_week_begins_on_monday(calendar: Calendar) -> None:
    """Whatever the day, the seven days around it are there, with their hours, and today is marked at its minute."""
    for day in range(21, 28):
        found = week_of(calendar, datetime(2026, 12, day, 11, 30, tzinfo=UTC))
        assert [row.date.day for row in found.days] == list(range(21, 28))
        assert [row.date.day for row in found.days if row.is_today] == [day]
        assert found.minute == 12 * 60 + 30


def test_what_is_not_as_every_week_has_its_reason(calendar: Calendar) -> None:
    """A closed day and one of other hours are what they are on that date, and say why; a night goes on on Sunday."""
    rows = {row.date.day: row for row in week(calendar, "2026-12-21T09:00:00+01:00").days}
    assert [row.hours for row in rows.values()] == [
        "08:00-12:00, 13:00-18:00",
        "08:00-12:00, 13:00-18:00",
        "08:00-14:00",
        "08:00-12:00, 13:00-18:00",
        "closed",
        "22:00-24:00",
        "00:00-02:00",
    ]
    assert [day for day, row in rows.items() if row.reasons] == [23, 25]
    assert rows[23].bars == ((480, 360),)
    assert [row.date.day for row in week(calendar, "2026-12-21T09:00:00+01:00").exceptions] == [23, 25]


@pytest.mark.parametrize(
    ("at", "is_open", "state"),
    [
        ("2026-12-21T09:00:00+01:00", True, "open now"),
        ("2026-12-21T12:30:00+01:00", False, "closed now; opens Mon 2026-12-21 at 13:00"),
        ("2026-12-25T09:00:00+01:00", False, "closed now: 2026-12-25 (closed); opens Sat 2026-12-26 at 22:00"),
        ("2026-12-23T09:00:00+01:00", True, "open now: "),
    ],
    ids=["open", "noon", "closed-day", "other-hours"],
)
def test_what_is_now(calendar: Calendar, at: str, is_open: bool, state: str) -> None:
    """The state says whether it is open, why if that is no usual day, and when it opens."""
    found = week(calendar, at)
    assert found.is_open is is_open
    assert found.state.startswith(state)


def test_a_calendar_that_never_opens_says_so() -> None:
    """There is no next opening to tell."""
    rules = load(
        CALENDAR.replace('open: { mon-fri: ["08:00-12:00", "13:00-18:00"], sat: ["22:00-02:00"] }', "open: {}")
    )
    found = week(rules.calendars["hours"], "2027-06-01T09:00:00+02:00")
    assert found.state == "closed now; does not open within a year"

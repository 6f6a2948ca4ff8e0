"""``calendar``: when a calendar is open, day by day, and why not as every week."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.cli.commands import BAD_RULES, printed_json, put_rules, run

RULES = """
holidays:
  zurich: { country: CH, subdivision: ZH }
  house: ["12-24 12:00-24:00"]
calendars:
  advice-hours:
    timezone: Europe/Zurich
    open: { mon-fri: ["08:00-12:00", "13:00-18:00"], sat: ["22:00-02:00"] }
    closed: [zurich, house]
    instead: { "2026-12-23": ["08:00-14:00"] }
  far-east: { timezone: Pacific/Kiritimati, open: { mon-sun: ["00:00-24:00"] } }
service:
  - { id: opened, when: { open: advice-hours }, reject: x }
  - { id: far, when: { open: far-east }, reject: x }
"""


@pytest.fixture(autouse=True)
def rules(folder: Path) -> Path:
    """The rules of these tests."""
    return put_rules(folder, RULES)


def test_days_with_their_hours_and_reasons() -> None:
    """A line a day, in the calendar's own time zone, with the reason of each exception."""
    result = run("calendar", "advice-hours", "--from", "2026-12-22", "--to", "2026-12-28")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "advice-hours, hours of Europe/Zurich\n"
        "Tue 2026-12-22  08:00-12:00, 13:00-18:00\n"
        "Wed 2026-12-23  08:00-14:00               2026-12-23 (instead)\n"
        "Thu 2026-12-24  08:00-12:00               12-24 12:00-24:00 (house)\n"
        "Fri 2026-12-25  closed                    Christmas Day (zurich)\n"
        "Sat 2026-12-26  closed                    Saint Stephen's Day (zurich)\n"
        "Sun 2026-12-27  closed                    Saint Stephen's Day (zurich)\n"
        "Mon 2026-12-28  08:00-12:00, 13:00-18:00\n"
    )


def test_json_for_a_program() -> None:
    """--json: the calendar, its time zone, and for each day date, weekday, open hours and reasons."""
    value = printed_json(run("calendar", "--json", "advice-hours", "--from", "2026-12-19", "--to", "2026-12-20"))
    assert value == {
        "calendar": "advice-hours",
        "timezone": "Europe/Zurich",
        "days": [
            {"date": "2026-12-19", "weekday": "sat", "open": ["22:00-24:00"], "reasons": []},
            {"date": "2026-12-20", "weekday": "sun", "open": ["00:00-02:00"], "reasons": []},
        ],
    }


def test_two_weeks_from_today_in_the_zone_of_the_calendar() -> None:
    """Without dates it is about the coming fourteen days, where the calendar is."""
    zone = ZoneInfo("Pacific/Kiritimati")
    before = datetime.now(UTC).astimezone(zone).date()
    days = [day["date"] for day in printed_json(run("calendar", "--json", "far-east"))["days"]]
    after = datetime.now(UTC).astimezone(zone).date()
    assert days in [[str(first + timedelta(days=number)) for number in range(14)] for first in (before, after)]


def test_holidays_of_any_year() -> None:
    """Holidays are looked up for the days that are asked about, however far away."""
    result = run("calendar", "advice-hours", "--from", "2070-12-25", "--to", "2070-12-25")
    assert "Christmas Day (zurich)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(
            ["advise-hours"],
            "NAME must be one of 'advice-hours', 'far-east' but is 'advise-hours' (did you mean 'advice-hours'?)",
            id="no such calendar",
        ),
        pytest.param(
            ["far-east", "--from", "24.12.2026"],
            "--from must be a date such as 2026-12-21 but is '24.12.2026'",
            id="no date",
        ),
        pytest.param(
            ["far-east", "--to", "9999-12-31"],
            "--to must be in the years 1970 to 9990 but is '9999-12-31'",
            id="year out of range",
        ),
        pytest.param(
            ["far-east", "--from", "2026-12-24", "--to", "2026-12-23"],
            "--to must not be before the first day, 2026-12-24, but is 2026-12-23",
            id="backwards",
        ),
        pytest.param(
            ["far-east", "--from", "2026-12-24", "--to", "2126-12-24"],
            "from 2026-12-24 to 2126-12-24 there are 36525 days; ask for 3660 at the most",
            id="a century",
        ),
    ],
)
def test_what_cannot_be_shown(arguments: list[str], told: str) -> None:
    """Unusable input is status 2, with the remedy."""
    result = run("calendar", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: {told}\n"


def test_bad_rules(folder: Path) -> None:
    """Rules that cannot be used are status 2, with their problems."""
    put_rules(folder, BAD_RULES)
    result = run("calendar", "advice-hours")
    assert (result.exit_code, result.stdout) == (2, "")
    assert ": error: " in result.stderr


def test_explain_gives_the_reason_of_a_closed_day() -> None:
    """A rule that missed by its calendar says which exception made it so, and one that is open by one, too."""
    value = printed_json(
        run("explain", "--json", "--no-database", "service", "local_alias=x", "--at", "2026-12-24T13:00:00+01:00")
    )
    assert value["findings"][0] == {
        "rule": "opened",
        "outcome": "miss",
        "condition": "open",
        "reason": (
            "calendar advice-hours is closed at Thu 2026-12-24 13:00 (Europe/Zurich): 12-24 12:00-24:00 (house)"
        ),
    }

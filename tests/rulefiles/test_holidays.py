"""Public holidays and other lists of days: what calendars know of them, and for how long."""

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from holidays import list_supported_countries

from policy_server.policy.calendars import Calendar
from policy_server.rulefiles.load import Loaded, load_rules
from policy_server.rulefiles.merge import RuleFiles
from policy_server.rulefiles.public_holidays import (
    YEARS_AROUND,
    country_fault,
    public_holidays,
    subdivision_fault,
)
from policy_server.rulefiles.store import RuleStore

RULES = """
holidays:
  zurich: { country: CH, subdivision: ZH, description: As the canton has them }
  house: ["12-24 12:00-24:00", "2026-12-31"]
calendars:
  hours:
    timezone: Europe/Zurich
    open: { mon-fri: ["08:00-18:00"] }
    closed: [zurich, house]
service:
  - { id: opened, when: { open: hours }, reject: x }
"""


def load(now: datetime, text: str = RULES) -> Loaded:
    """Load rules at a time."""
    return load_rules(RuleFiles({"rules/x.yaml": text.encode()}), now)


def hours(now: datetime, text: str = RULES) -> Calendar:
    """The calendar of rules that were loaded at a time."""
    found = load(now, text)
    assert found.problems == ()
    assert found.ruleset is not None
    return found.ruleset.calendars["hours"]


@pytest.mark.parametrize(
    ("day", "reasons"),
    [
        pytest.param("2026-12-24", ("12-24 12:00-24:00 (house)",), id="own day"),
        pytest.param("2026-12-25", ("Christmas Day (zurich)",), id="holiday of the country"),
        pytest.param("2026-12-26", ("Saint Stephen's Day (zurich)",), id="holiday of the canton"),
        pytest.param("2027-03-26", ("Good Friday (zurich)",), id="holiday that moves"),
        pytest.param("2028-04-14", ("Good Friday (zurich)",), id="the year after next, without a reload"),
        pytest.param("2056-12-25", ("Christmas Day (zurich)",), id="the last year"),
        pytest.param("1996-01-01", ("New Year's Day (zurich)",), id="the first year"),
        pytest.param("2026-11-26", (), id="holiday of another country"),
    ],
)
def test_holidays_close_a_calendar_and_say_why(day: str, reasons: tuple[str, ...]) -> None:
    """Public holidays are those of the part of the country, in English, for years on both sides of the load."""
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert YEARS_AROUND == 30
    assert hours(now).day(date.fromisoformat(day)).reasons == reasons


@pytest.mark.parametrize("language", ["de_CH.UTF-8", "fr_CH.UTF-8", "C"])
def test_names_do_not_follow_the_language_of_the_machine(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules give the same reasons on every machine."""
    for name in ("LANG", "LANGUAGE", "LC_ALL"):
        monkeypatch.setenv(name, language)
    public_holidays.cache_clear()
    assert dict(public_holidays("CH", "ZH", 2026))[date(2026, 12, 25)] == "Christmas Day"


@pytest.mark.slow
@pytest.mark.parametrize("country", sorted(list_supported_countries(include_aliases=False)))
def test_every_country_can_be_written(country: str) -> None:
    """Whatever the library has, and warns of, becomes days with names."""
    assert country_fault(country) is None
    assert all(reason for _, reason in public_holidays(country, None, 2026))


@pytest.mark.parametrize(
    ("country", "meant"),
    [("ch", "CH"), ("Switzerland", "CH"), ("CHE", "CH"), ("UK", "GB"), ("united kingdom", "GB"), ("Germny", "DE")],
)
def test_a_country_that_is_none_is_told_the_nearest_and_all(country: str, meant: str) -> None:
    """Names and codes of three letters lead to the code."""
    fault = country_fault(country)
    assert fault is not None
    assert fault.startswith(f"country must be a code but is {country!r} (did you mean {meant!r}?); there are AD, AE, ")
    assert fault.endswith(", ZM, ZW")


@pytest.mark.parametrize(("subdivision", "meant"), [("zürich", "ZH"), ("Zurich", "ZH"), ("zh", "ZH"), ("geneve", "GE")])
def test_a_part_of_a_country_that_is_none_is_told_the_nearest(subdivision: str, meant: str) -> None:
    """Names lead to the code, however they are spelt."""
    fault = subdivision_fault("CH", subdivision)
    assert fault is not None
    assert f"(did you mean {meant!r}?); there are AG, AI, " in fault


@pytest.mark.parametrize(
    ("now", "known"),
    [
        pytest.param(datetime(2026, 12, 31, 23, 59, tzinfo=UTC), True, id="the last minute of the year before"),
        pytest.param(datetime(2027, 1, 1, tzinfo=UTC), False, id="New Year"),
    ],
)
def test_next_year_is_that_of_the_time_of_the_load(now: datetime, *, known: bool) -> None:
    """A list that has days until 2027 is warned of from 2027 on."""
    problems = load(now, RULES.replace('"12-24 12:00-24:00", "2026-12-31"', '"2027-12-31"')).problems
    told = (
        "holiday list 'house' has no day in 2028 or later; add those of 2028, or write days of every year as in 12-25"
    )
    assert [str(problem) for problem in problems] == ([] if known else [f"rules/x.yaml:4:3: warning: {told}"])


def test_a_reload_takes_what_has_changed(tmp_path: Path) -> None:
    """A new day of a list is a new revision, and counts from the reload on."""
    rules = tmp_path / "x.yaml"
    rules.write_text(RULES, encoding="utf-8")
    store = RuleStore(tmp_path, lambda: datetime(2026, 11, 23, tzinfo=UTC), {})
    before = store.ruleset
    rules.write_text(RULES.replace('"2026-12-31"', '"2026-12-30"'), encoding="utf-8")
    assert store.reload()
    day = date(2026, 12, 30)
    assert before.calendars["hours"].day(day).open == ((480, 1080),)
    assert store.ruleset.calendars["hours"].day(day).open == ()
    assert store.ruleset.revision != before.revision


def test_rules_without_a_country_do_not_import_the_library() -> None:
    """It takes long to import, so only those pay for it who use it."""
    script = (
        "import sys; from datetime import datetime, UTC; from policy_server.cli import main\n"
        "from policy_server.rulefiles.load import load_rules; from policy_server.rulefiles.merge import RuleFiles\n"
        "text = sys.stdin.read()\n"
        "assert load_rules(RuleFiles({'x.yaml': text.encode()}), datetime(2026, 11, 23, tzinfo=UTC)).ruleset\n"
        "print('holidays' in sys.modules)"
    )

    def imported(text: str) -> str:
        done = subprocess.run([sys.executable, "-c", script], input=text, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    without = RULES.replace("{ country: CH, subdivision: ZH, description: As the canton has them }", '["12-25"]')
    assert (imported(RULES), imported(without)) == ("True", "False")

"""The command ``calendar``: when a calendar is open, day by day, and why not as every week."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from policy_server.cli.common import (
    FIRST_YEAR,
    LAST_YEAR,
    Unusable,
    echo,
    environment,
    folder,
    json_option,
    print_json,
    refuse,
    rules_option,
)
from policy_server.policy.calendars import DAYS, Calendar, CalendarDay
from policy_server.policy.hours import written_hours
from policy_server.rulefiles.reader import undefined
from policy_server.rulefiles.store import load_folder
from policy_server.wording.values import shown

_USUAL: Final = 14
"""Days that are printed unless ``--to`` says otherwise."""

_MOST: Final = 3660


@click.command("calendar")
@rules_option
@json_option
@click.option("--from", "begin", metavar="DATE", help="The first day, such as 2026-12-21 (default: today).")
@click.option("--to", "end", metavar="DATE", help=f"The last day (default: {_USUAL} days in all).")
@click.argument("name")
def calendar(rules_folder: Path | None, as_json: bool, begin: str | None, end: str | None, name: str) -> None:
    """Print when a calendar is open, day by day, in its own time zone, and the reason of each exception."""
    first, last = _date("--from", begin), _date("--to", end)
    now = datetime.now(UTC)
    # Public holidays are known for some years around the time for which the rules are loaded.
    loaded_for = now if first is None else datetime(first.year, first.month, first.day, tzinfo=UTC)
    loaded, _ = load_folder(folder(rules_folder), loaded_for, environment=environment())
    if loaded.ruleset is None:
        refuse(loaded.problems)
    found = loaded.ruleset.calendars.get(name)
    if found is None:
        raise Unusable(undefined("NAME", "calendar", name, loaded.ruleset.calendars, "calendars"))
    first = now.astimezone(found.timezone).date() if first is None else first
    days = [found.day(day) for day in _days(first, last)]
    if as_json:
        print_json({"calendar": name, "timezone": found.timezone.key, "days": [_day_json(day) for day in days]})
    else:
        _print(found, days)


def _date(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Unusable(f"{option} must be a date such as 2026-12-21 but is {shown(text)}") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Unusable(f"{option} must be in the years {FIRST_YEAR} to {LAST_YEAR} but is {shown(text)}")
    return day


def _days(first: date, last: date | None) -> list[date]:
    count = _USUAL if last is None else (last - first).days + 1
    if count < 1:
        raise Unusable(f"--to must not be before the first day, {first}, but is {last}")
    if count > _MOST:
        raise Unusable(f"from {first} to {last} there are {count} days; ask for {_MOST} at the most")
    return [first + timedelta(days=number) for number in range(count)]


def _hours(day: CalendarDay) -> list[str]:
    return [written_hours(start, end) for start, end in day.open]


def _day_json(day: CalendarDay) -> dict[str, object]:
    return {
        "date": day.date.isoformat(),
        "weekday": DAYS[day.date.weekday()],
        "open": _hours(day),
        "reasons": list(day.reasons),
    }


def _print(found: Calendar, days: list[CalendarDay]) -> None:
    hours = [", ".join(_hours(day)) or "closed" for day in days]
    width = max(map(len, hours))
    echo(f"{found.name}, hours of {found.timezone.key}")
    for day, text in zip(days, hours, strict=True):
        weekday = DAYS[day.date.weekday()].capitalize()
        echo(f"{weekday} {day.date}  {text:{width}}  {'; '.join(day.reasons)}".rstrip())

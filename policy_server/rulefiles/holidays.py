"""Reading ``holidays:``: lists of days on which calendars are closed."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from policy_server.policy.holidays import Dates, Days, HolidayList, looks_like_days, parse_days
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report, Table, shown_node
from policy_server.rulefiles.schema_sections import HOLIDAY_COUNTRY
from policy_server.wording.values import shown

_WANTED = "a list of days such as 2026-12-25 and 12-25, or {country: CH, subdivision: ZH},"


def read_holidays(
    sections: Mapping[str, tuple[Node, Place]], now: datetime, report: Report
) -> dict[str, HolidayList | None]:
    """Every list by its name; ``None``, and a problem, where it cannot be read."""
    return {name: _read_list(name, node, place, now, report) for name, (node, place) in sections.items()}


def _read_list(name: str, node: Node, place: Place, now: datetime, report: Report) -> HolidayList | None:
    before = report.errors
    about = f"holiday list {shown(name)}: "
    if not name or looks_like_days(name):
        report.error(place, f"{about}a name must not begin with a digit, or it would read like a day")
    days: Iterable[Days]
    if isinstance(node, MappingNode):
        days = _read_country(name, Table(node, "a holiday list", report, about=about), now)
    elif isinstance(node, ScalarNode) and node.value is None:
        report.error(node.place, f"{about}must be {_WANTED} but is empty")
        days = ()
    else:
        items = node.items if isinstance(node, SequenceNode) else (node,)
        days = [found for item in items if (found := _read_days(name, item, about, report)) is not None]
    return HolidayList(name, tuple(days)) if report.errors == before else None


def _read_country(name: str, table: Table, now: datetime) -> Iterable[Days]:
    # Importing the library takes as long as reading hundreds of rules, and few rule files name a country.
    from policy_server.rulefiles.public_holidays import (  # noqa: PLC0415
        country_fault,
        public_holidays,
        subdivision_fault,
    )

    table.finish(HOLIDAY_COUNTRY["properties"])
    table.text("description")
    country = table.text("country", required=True, wanted="a country code such as CH")
    subdivision = table.written("subdivision")
    if country is None:
        return ()
    if fault := country_fault(country):
        table.error("country", fault)
        return ()
    if subdivision is not None and (fault := subdivision_fault(country, subdivision)):
        table.error("subdivision", fault)
        return ()
    return [
        Dates(day, day, reason=f"{holiday} ({name})")
        for day, holiday in public_holidays(country, subdivision, now.year)
    ]


def _read_days(name: str, node: Node, about: str, report: Report) -> Days | None:
    if not isinstance(node, ScalarNode) or node.value is None or isinstance(node.value, bool):
        report.error(node.place, f"{about}a day must be text such as 2026-12-25 or 12-25 but is {shown_node(node)}")
        return None
    days = parse_days(node.text, name)
    if isinstance(days, str):
        report.error(node.place, about + days)
        return None
    return days


def warn_of_holidays(
    sections: Mapping[str, tuple[Node, Place]], lists: Mapping[str, HolidayList | None], now: datetime, report: Report
) -> None:
    """Warns of each list that has nothing to say from next year on."""
    year = now.year + 1
    for name, (node, place) in sections.items():
        found = lists.get(name)
        if found is None or found.knows(year):
            continue
        about = f"holiday list {shown(name)}"
        if isinstance(node, MappingNode):
            report.warning(place, f"{about}: no public holiday of {year} or later is known; write the days yourself")
        else:
            remedy = f"add those of {year}, or write days of every year as in 12-25"
            report.warning(place, f"{about} has no day in {year} or later; {remedy}")

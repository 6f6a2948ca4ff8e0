"""Reading the sections that rules refer to: domains, trunks, calendars, directory, links."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import quote

from policy_server.pexip.properties import check_directory_entry
from policy_server.policy.appointments import AFTER, BEFORE, WINDOW_LIMIT, Window
from policy_server.policy.calendars import Calendar, parse_calendar
from policy_server.policy.directory import DirectoryEntry
from policy_server.policy.holidays import HolidayList
from policy_server.policy.link_aliases import AliasForm, Entrance
from policy_server.policy.links import DEFAULT_TTL, TTL
from policy_server.policy.names import Role
from policy_server.policy.ruleset import LinkType
from policy_server.policy.templates import Template
from policy_server.rulefiles.declared import read_attributes
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode, plain
from policy_server.rulefiles.pages import TemplateFolders
from policy_server.rulefiles.pictures import picture_fault
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report, Table, node_at, shown_node, undefined
from policy_server.rulefiles.schema_sections import (
    CALENDAR,
    DIRECTORY_ENTRY,
    LINK,
    TRUNK,
    URL_PLACEHOLDERS,
    WINDOW,
)
from policy_server.rulefiles.trunk_limits import read_limits
from policy_server.telephony.numbers import NumberFault, parse_number, region_of
from policy_server.telephony.trunks import FORMS, Trunk, parse_trunk
from policy_server.wording.durations import Durations, duration
from policy_server.wording.values import shown
from policy_server.wording.words import did_you_mean, one_of

_ANY_NUMBER: Final = "+12025550100"
_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+\Z")
_AROUND_NAME: Final = re.compile(r"[A-Za-z0-9._-]*\Z")
_WEB_URL: Final = re.compile(r"https?://[^\s/?#{}]+(?:[/?#]\S*)?\Z", re.IGNORECASE)
_NOT_FOR_CUSTOMERS: Final = {
    "pin": "the host PIN",
    "host_pin": "the host PIN",
    "agent": "the agents' key",
    "agent_alias": "the agents' alias",
}


def read_domains(node: Node, report: Report) -> list[str]:
    """Domains in lower case, in order."""
    found: list[str] = []
    items = node.items if isinstance(node, SequenceNode) else (node,)
    for item in items:
        text = item.value if isinstance(item, ScalarNode) else None
        domain = text.lower() if isinstance(text, str) else ""
        if _DOMAIN.match(domain):
            found.append(domain)
        else:
            report.error(
                item.place, f"domains must hold names such as video.example.com, but this is {shown_node(item)}"
            )
    return found


def regions_of(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The countries of trunks that say theirs, by region or by a number with its country code."""
    regions: dict[str, None] = {}
    for node in nodes:
        values = plain(node)
        number = str(values.get("number", "")) if isinstance(values, dict) else ""
        region = values.get("region") if isinstance(values, dict) else None
        with suppress(NumberFault):
            regions[region_of(parse_number(number, region if isinstance(region, str) else None))] = None
    return tuple(region for region in regions if region)


def read_trunk(name: str, table: Table, likely: Iterable[str] = ()) -> Trunk | None:
    """One trunk; ``likely`` are the countries that a number without one may be of."""
    table.finish(TRUNK["properties"])
    before = table.report.errors
    table.text("description")
    number = table.written("number", required=True)
    form = table.text("form")
    if form is not None and form not in FORMS:
        table.error("form", one_of("form", FORMS, form))
        form = None
    trunk, faults = parse_trunk(
        name,
        number or _ANY_NUMBER,
        region=table.text("region"),
        dial_prefix=table.written("dial_prefix") or "",
        termination=table.text("termination") or "",
        form=form,
        likely=likely,
    )
    if number == "":
        table.error("number", "number is empty; write one such as '+1 312 555 0100'")
    for fault in faults:
        _report_fault(table, fault.path, fault.message, fault.allowed)
    limits = read_limits(table)
    return replace(trunk, limits=limits) if trunk is not None and table.report.errors == before else None


def read_calendar(name: str, table: Table, lists: Mapping[str, HolidayList | None], used: set[str]) -> Calendar | None:
    """One calendar. ``lists`` are those of ``holidays``; the names of those that it is closed on go into ``used``."""
    table.finish(CALENDAR["properties"])
    before = table.report.errors
    table.text("description")
    timezone = table.written("timezone", required=True)
    if "open" not in table:
        table.missing("open")
    opening = table.table("open", 'days with their hours such as {mon-fri: ["08:00-18:00"]}')
    hours = {day: opening.texts(day) for day in opening} if opening else {}
    closed = [found for node in table.nodes("closed") if (found := _day_text(node, table)) is not None]
    used.update(text for text, _ in closed)
    other = table.table("instead", 'dates with their hours such as {"2026-12-23": ["08:00-14:00"]}')
    instead = {day: other.texts(day) for day in other} if other else {}
    calendar, faults = parse_calendar(
        name,
        timezone or "UTC",
        {day: [text for text, _ in texts] for day, texts in hours.items()},
        [text for text, _ in closed],
        {day: [text for text, _ in texts] for day, texts in instead.items()},
        lists,
    )
    for fault in faults:
        match fault.path:
            case ("open", str(day), int(number)):
                table.error_at(hours[day][number][1], fault.message)
            case ("open", str(day)) if opening:
                _report_fault(opening, (day,), fault.message, fault.allowed, opening.key_place(day))
            case ("instead", str(day), int(number)):
                table.error_at(instead[day][number][1], fault.message)
            case ("instead", str(day)) if other:
                table.error_at(other.key_place(day), fault.message)
            case ("closed", int(number)):
                table.error_at(closed[number][1], fault.message)
            case _:
                _report_fault(table, fault.path, fault.message, fault.allowed)
    return calendar if table.report.errors == before else None


def _day_text(node: Node, table: Table) -> tuple[str, Place] | None:
    if isinstance(node, ScalarNode) and node.value is not None and not isinstance(node.value, bool):
        return node.text, node.place
    table.wrong("closed", node, "days such as 2026-12-25, and names of lists under holidays,")
    return None


def _report_fault(
    table: Table, path: tuple[str | int, ...], message: str, allowed: tuple[str, ...], place: Place | None = None
) -> None:
    """Reports a fault at a path below the table, with the nearest good word unless the message has it."""
    node = node_at(table.node, path)
    value = node.value if isinstance(node, ScalarNode) else None
    word = value if isinstance(value, str) else str(path[-1]) if path else ""
    hint = "" if "did you mean" in message else did_you_mean(word, allowed)
    table.error_at(place or node.place, message + hint)


def read_directory_entry(table: Table, pictures: Mapping[str, bytes]) -> DirectoryEntry | None:
    """One contact."""
    table.finish(DIRECTORY_ENTRY["properties"])
    before = table.report.errors
    alias = table.text("alias", required=True)
    description = table.text("description")
    fields = {
        "alias": "x" if alias is None else alias,
        "description": (alias if description is None else description) or "",
        "username": table.text("username") or "",
    }
    for fault in check_directory_entry(fields):
        table.error_at(node_at(table.node, fault.path).place, fault.message)
    picture = table.text("avatar")
    if picture is not None and (fault_of_picture := picture_fault(picture, pictures)):
        table.error("avatar", fault_of_picture)
    return DirectoryEntry(**fields, picture=picture or "") if table.report.errors == before else None


def read_link_type(name: str, table: Table, folders: TemplateFolders) -> LinkType | None:
    """One kind of customer link."""
    table.finish(LINK["properties"])
    before = table.report.errors
    table.text("description")
    alias = _link_alias("alias", (Role.SESSION,), table, required=True)
    agent_alias = _link_alias("agent_alias", (Role.AGENT, Role.CALL), table)
    if alias and agent_alias and around_name(alias) == around_name(agent_alias):
        message = "agent_alias is the same as alias, so nobody could tell an agent from a customer; write another one"
        table.error("agent_alias", message)
    ttl = _read_duration("ttl", TTL, table, DEFAULT_TTL)
    window = _read_window(table)
    url = table.template("url")
    for placeholder in url.names if url else ():
        if placeholder not in URL_PLACEHOLDERS:
            secret = _NOT_FOR_CUSTOMERS.get(placeholder)
            hint = f" ({secret} never goes into a customer's link)" if secret else ""
            table.error("url", one_of(f"placeholder {{{placeholder}}}", URL_PLACEHOLDERS, placeholder) + hint)
    if url is not None and not _WEB_URL.match("{}".join(url.literals)):
        table.error("url", f"url must begin with https:// and a host name but is {shown(url.source)}")
    joins = table.text("joins", wanted="the name of a link type") or ""
    if joins and agent_alias is not None:
        message = (
            f"agents have the alias of the link that is joined; leave agent_alias out here, and give {shown(joins)} one"
        )
        table.error("agent_alias", message)
    templates = folders.read(table)
    attributes = read_attributes(table)
    if "templates" in table and "url" not in table:
        table.warning("templates", "templates are the pages of a link's url, and there is none; add url")
    if alias is None or table.report.errors > before:
        return None
    forms = [_alias_form(name, Entrance.CUSTOMER, alias, joins)]
    if agent_alias is not None:
        forms.append(_alias_form(name, Entrance.AGENT, agent_alias))
        if agent_alias.names == (Role.CALL,):
            message = (
                "whoever knows a call id can dial this, and call ids are no secret; write {agent} instead, unless your "
                "widget joins by the caller's name"
            )
            table.warning("agent_alias", message)
    encoded = url.with_defaults(partial(quote, safe="")) if url else None
    return LinkType(name, alias, agent_alias, ttl, encoded, tuple(forms), templates, attributes, window, joins)


def check_joins(name: str, table: Table, joining: Mapping[str, str | None]) -> None:
    """Reports a link type that joins itself, one that does not exist, or one that has no rooms either. ``joining`` says of
    all that there are which one they join, ``None`` for none.
    """
    joins = joining[name]
    if joins is None or (joins != name and joining.get(joins, name) is None):
        return
    others = [each for each, other in joining.items() if other is None]
    if joins == name:
        table.error("joins", f"it joins itself; {one_of('joins', others, joins)}")
    elif joins not in joining:
        table.error("joins", undefined("joins", "link type", joins, others, "links"))
    else:
        theirs = joining[joins]
        hint = f"; write {theirs}" if theirs in others else ""
        table.error("joins", f"link type {shown(joins)} joins {shown(theirs)} and has no rooms of its own{hint}")


def _read_duration(key: str, durations: Durations, table: Table, default: int) -> int:
    """Seconds; those of ``default`` when the key is absent or not one of these durations."""
    node = table.value(key)
    if node is None:
        return default
    seconds = durations.seconds(node.text) if isinstance(node, ScalarNode) else None
    if seconds is None:
        told = shown(node.text) if isinstance(node, ScalarNode) and node.text else shown_node(node)
        table.error(key, durations.fault(key, told))
        return default
    return seconds


def _read_window(table: Table) -> Window | None:
    """When the doors of appointments are open. Without ``before`` they open at the time itself; when they shut must be said."""
    found = table.table("window", "keys and values such as {before: 15m, after: 1h}")
    if found is None:
        return None
    found.finish(WINDOW["properties"])
    if "after" not in found:
        message = (
            "window must say how long after its time an appointment's door is shut; write after, such as after: 1h"
        )
        table.error_at(found.place, message)
    before = _read_duration("before", BEFORE, found, 0)
    after = _read_duration("after", AFTER, found, AFTER.shortest)
    if before + after > WINDOW_LIMIT:
        table.error_at(
            found.place,
            f"window is {duration(before + after)} long, and a door may be open for {duration(WINDOW_LIMIT)}; make before or "
            "after shorter",
        )
    return Window(before, after)


def _link_alias(key: str, roles: tuple[Role, ...], table: Table, *, required: bool = False) -> Template | None:
    template = table.template(key, required=required)
    if template is None:
        return None
    words = " or ".join(f"{{{role}}}" for role in roles)
    if len(template.names) != 1 or template.names[0] not in roles or template.defaults:
        hint = ""
        if Role.SESSION in template.names and Role.SESSION not in roles:
            hint = ": with the customer's session in it, every customer could dial it"
        table.error(
            key, f"{key} must hold {words} once, and no other placeholder, but is {shown(template.source)}{hint}"
        )
        return None
    around = "".join(template.literals)
    if len(around) > 200 or not _AROUND_NAME.match(around):
        table.error(
            key,
            f"{key} must have only letters, digits, '.', '-' and '_' (200 at most) around {words} but is "
            f"{shown(template.source)}",
        )
        return None
    return template


def around_name(template: Template) -> tuple[str, ...]:
    """What stands around the name of the call, by which aliases are told apart."""
    return tuple(literal.lower() for literal in template.literals)


def _alias_form(name: str, entrance: Entrance, template: Template, joins: str = "") -> AliasForm:
    before, placeholder, after = template.pieces
    return AliasForm(name, entrance, Role(placeholder), before.lower(), after.lower(), joins)


def mapping_of(node: Node, where: str, report: Report) -> MappingNode | None:
    """The node as a mapping; anything else is a problem."""
    if isinstance(node, MappingNode):
        return node
    report.error(node.place, f"{where} must be a mapping of keys and values but is {shown_node(node)}")
    return None

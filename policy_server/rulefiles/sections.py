"""Reading the sections that rules refer to: domains, names of the deployment, trunks, calendars, directory, links."""

import re
from collections.abc import Mapping
from typing import Final

from policy_server.pexip.properties import check_directory_entry
from policy_server.policy.calendars import Calendar, parse_calendar
from policy_server.policy.directory import DirectoryEntry
from policy_server.policy.patterns import Pattern, compile_pattern
from policy_server.policy.ruleset import LinkType
from policy_server.policy.templates import Template, backwards
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode, plain
from policy_server.rulefiles.pictures import picture_fault
from policy_server.rulefiles.problems import nearest, one_of, shown
from policy_server.rulefiles.reader import Report, Table, node_at
from policy_server.telephony.trunks import FORMS, Trunk, parse_trunk

DEPLOYMENT_LISTS: Final[Mapping[str, str]] = {
    "locations": "location",
    "themes": "theme",
    "pinning_configs": "pinning_config",
    "identity_provider_groups": "identity_provider_group",
    "sip_proxies": "sip_proxy",
    "h323_gatekeepers": "h323_gatekeeper",
    "mssip_proxies": "mssip_proxy",
    "teams_proxies": "teams_proxy",
    "stun_servers": "stun_server",
    "turn_servers": "turn_server",
    "gms_access_tokens": "gms_access_token",
    "media_playlists": "media_playlist",
}
"""The lists of ``pexip:``, each with the kind of name that it lists."""

TRUNK_KEYS: Final = ("number", "region", "dial_prefix", "termination", "form", "description")
CALENDAR_KEYS: Final = ("timezone", "open", "closed", "description")
DIRECTORY_KEYS: Final = ("alias", "description", "username", "avatar")
LINK_KEYS: Final = ("alias", "agent_alias", "ttl", "url", "description")

URL_PLACEHOLDERS: Final = ("alias", "agent_alias", "name", "session", "guest_pin")

DEFAULT_TTL: Final = 4 * 3600
LONGEST_TTL: Final = 366 * 24 * 3600
_DURATION: Final = re.compile(r"(?:(\d{1,4})d)?\s*(?:(\d{1,5})h)?\s*(?:(\d{1,6})m)?\s*(?:(\d{1,8})s)?\Z")
_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+\Z")
_SESSION: Final = "[a-z0-9]{32}"


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
                item.place, f"domains must hold names such as video.example.com but holds {shown(plain(item))}"
            )
    return found


def read_deployment(table: Table) -> dict[str, set[str]]:
    """The names that exist in the deployment, by kind."""
    names: dict[str, set[str]] = {}
    for key, kind in DEPLOYMENT_LISTS.items():
        if key in table:
            names[kind] = {text for text, _ in table.texts(key)}
    table.finish(DEPLOYMENT_LISTS)
    return names


def read_trunk(name: str, table: Table) -> Trunk | None:
    """One trunk."""
    number = table.written("number", required=True)
    form = table.text("form")
    if form is not None and form not in FORMS:
        table.error("form", one_of("form", FORMS, form))
        form = None
    trunk, faults = parse_trunk(
        name,
        number or "+12025550100",
        region=table.text("region"),
        dial_prefix=table.written("dial_prefix") or "",
        termination=table.text("termination") or "",
        form=form,
    )
    table.finish(TRUNK_KEYS)
    for fault in faults:
        hint = _hint(table, fault.path, fault.allowed)
        table.report.error(node_at(table.node, fault.path).place, f"trunk {name!r}: {fault.message}{hint}")
    return trunk if number is not None else None


def read_calendar(name: str, table: Table) -> Calendar | None:
    """One calendar."""
    table.finish(CALENDAR_KEYS)
    timezone = table.text("timezone", required=True)
    hours: dict[str, list[str]] = {}
    opening = table.table("open")
    if opening is None and "open" not in table:
        table.missing("open")
    if opening is not None:
        for day in opening:
            hours[day] = [text for text, _ in opening.texts(day)]
    closed = [node.text if isinstance(node, ScalarNode) else shown(plain(node)) for node in table.nodes("closed")]
    calendar, faults = parse_calendar(name, timezone or "UTC", hours, closed)
    for fault in faults:
        hint = _hint(table, fault.path, fault.allowed)
        table.report.error(node_at(table.node, fault.path).place, f"calendar {name!r}: {fault.message}{hint}")
    return calendar if timezone is not None else None


def _hint(table: Table, path: tuple[str | int, ...], allowed: tuple[str, ...]) -> str:
    word = plain(node_at(table.node, path))
    if path and isinstance(path[-1], str) and not isinstance(word, str):
        word = path[-1]
    found = nearest(word, allowed) if isinstance(word, str) else None
    return f" (did you mean {shown(found)}?)" if found else ""


def read_directory_entry(table: Table, pictures: Mapping[str, bytes]) -> DirectoryEntry | None:
    """One contact."""
    table.finish(DIRECTORY_KEYS)
    alias = table.text("alias", required=True)
    fields = {
        "alias": alias or "x",
        "description": table.text("description") or alias or "",
        "username": table.text("username") or "",
    }
    for fault in check_directory_entry(fields):
        table.report.error(node_at(table.node, fault.path).place, fault.message)
    picture = table.text("avatar") or ""
    if picture:
        fault_of_picture = picture_fault(picture, pictures)
        if fault_of_picture:
            table.error("avatar", fault_of_picture)
    return DirectoryEntry(**fields, picture=picture) if alias else None


def parse_duration(text: str) -> int | None:
    """``4h``, ``90m``, ``1d 12h`` or ``30s`` in seconds; ``None`` for anything else, and for nothing."""
    match = _DURATION.match(text.strip().lower())
    if match is None or not any(match.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds


def read_link_type(name: str, table: Table) -> LinkType | None:
    """One kind of customer link."""
    table.finish(LINK_KEYS)
    alias = _link_alias("alias", table, required=True)
    agent_alias = _link_alias("agent_alias", table)
    written = table.written("ttl")
    ttl = DEFAULT_TTL if written is None else parse_duration(written)
    if ttl is None or not 60 <= ttl <= LONGEST_TTL:
        message = f"ttl must be a duration from 1m to 366d, such as 30m, 4h or 7d, but is {shown(written)}"
        table.error("ttl", message)
    url = table.template("url")
    for placeholder in url.names if url else ():
        if placeholder not in URL_PLACEHOLDERS:
            table.error("url", one_of(f"placeholder {{{placeholder}}}", URL_PLACEHOLDERS, placeholder))
    if alias is None or ttl is None or ("agent_alias" in table and agent_alias is None):
        return None
    agent_pattern = _alias_pattern(agent_alias) if agent_alias else None
    return LinkType(name, alias, agent_alias, ttl, url, _alias_pattern(alias), agent_pattern)


def _link_alias(key: str, table: Table, *, required: bool = False) -> Template | None:
    template = table.template(key, required=required)
    if template is None:
        return None
    if template.names != ("session",):
        table.error(key, f"{key} must hold {{session}} once, and no other placeholder, but is {shown(template.source)}")
        return None
    if len("".join(template.literals)) > 200 or any(set(text) & set(" ;?/@:") for text in template.literals):
        table.error(key, f"{key} must be an alias of letters, digits, '.', '-' and '_' around {{session}}")
        return None
    return template


def _alias_pattern(template: Template) -> Pattern:
    return compile_pattern(backwards(template, lambda _: _SESSION), ignore_case=True)


def mapping_of(node: Node, where: str, report: Report) -> MappingNode | None:
    """The node as a mapping; anything else is a problem."""
    if isinstance(node, MappingNode):
        return node
    report.error(node.place, f"{where} must be a mapping of keys and values but is {shown(plain(node))}")
    return None

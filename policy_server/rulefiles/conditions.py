"""Reading ``when``: every key becomes a condition or a problem, never nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from policy_server.pexip.parameters import PARAMETERS, Kind, Parameter, RequestType, parameters_of
from policy_server.policy.calendars import Calendar
from policy_server.policy.conditions import (
    AddressIn,
    AllOf,
    AnyOf,
    BooleanIs,
    CalendarIs,
    ChoiceIs,
    Condition,
    IntegerIs,
    LinkIs,
    Network,
    NotAllOf,
    PercentOf,
    TextMatches,
    text_matches,
)
from policy_server.policy.facts import IdpAttributeSource, LinkAttributeSource, ParameterSource, Source
from policy_server.policy.patterns import Pattern, PatternError, compile_pattern, group_source
from policy_server.policy.sessions import LinkState
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, plain
from policy_server.rulefiles.problems import Place, one_of, shown, unknown_key
from policy_server.rulefiles.reader import Report, Table

GROUPS: Final = ("any", "all", "not")
_ASCII_CLASS: Final = re.compile(r"(?<!\\)(?:\\\\)*\\([dwsbDWSB])")
_READS_ANYTHING: Final = frozenset({"remote_display_name", "vendor", "q"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What the conditions of one rule may refer to."""

    request: RequestType
    rule: str
    report: Report
    calendars: Mapping[str, Calendar | None]
    locations: frozenset[str] | None
    domains: frozenset[str]
    link_types: bool
    used_calendars: set[str]


def condition_keys(request: RequestType) -> tuple[str, ...]:
    """Every key that ``when`` can have in a rule for this question."""
    parameters = tuple(parameter.name for parameter in parameters_of(request))
    idp = ("idp_attributes",) if request is RequestType.PARTICIPANT else ()
    link = ("link", "link_attributes", "percent") if "local_alias" in parameters else ()
    return (*parameters, *idp, "open", "closed", *link, *GROUPS)


def read_conditions(node: MappingNode, scope: Scope, captured_by: TextMatches | None = None) -> tuple[Condition, ...]:
    """The conditions of a ``when``, or of one entry of ``any``, ``all`` or ``not``."""
    known = condition_keys(scope.request)
    conditions: list[Condition] = []
    table = Table(node, "when", scope.report, scope.rule)
    # A session that the alias captures is what `link` is about, wherever in the rule `link` stands.
    keys = sorted(table, key=lambda key: key in (*GROUPS, "link"))
    for key in keys:
        if key not in known:
            scope.report.error(table.key_place(key), _unknown(key, known), scope.rule)
            continue
        if key in ("link", *GROUPS):
            own = (condition for condition in text_matches(tuple(conditions)) if _captures_session(condition))
            captured_by = next(own, captured_by)
        condition = _read_condition(key, table, scope, captured_by)
        if condition is not None:
            conditions.append(condition)
    order = {key: place for place, key in enumerate(table)}
    return tuple(sorted(conditions, key=lambda condition: order.get(condition.key.partition(".")[0], 0)))


def _unknown(key: str, known: tuple[str, ...]) -> str:
    if key in PARAMETERS:
        return f"{key} is not sent with this question, so the rule would never match"
    return unknown_key(key, known, "when")


def _captures_session(condition: TextMatches) -> bool:
    return condition.key == "local_alias" and all("session" in pattern.groups for pattern in condition.patterns)


def _read_condition(key: str, table: Table, scope: Scope, captured_by: TextMatches | None) -> Condition | None:
    match key:
        case "any" | "all" | "not":
            return _read_group(key, table, scope, captured_by)
        case "open" | "closed":
            return _read_calendar(key, table, scope)
        case "link":
            return _read_link(table, scope, captured_by)
        case "percent":
            return _read_percent(table, scope)
        case "idp_attributes" | "link_attributes":
            return _read_attributes(key, table, scope)
        case _:
            return _read_parameter(key, table, scope)


def _read_parameter(key: str, table: Table, scope: Scope) -> Condition | None:
    parameter = next(parameter for parameter in parameters_of(scope.request) if parameter.name == key)
    match parameter.kind:
        case Kind.ALIAS | Kind.TEXT | Kind.LIST:
            patterns = _read_patterns(key, table, scope, ignore_case=parameter.kind is Kind.ALIAS)
            return TextMatches(ParameterSource(parameter), patterns) if patterns else None
        case Kind.CHOICE:
            return _read_choice(parameter, table, scope)
        case Kind.BOOLEAN:
            return _read_boolean(parameter, table)
        case Kind.INTEGER:
            return _read_integers(parameter, table)
        case Kind.ADDRESS:
            return _read_networks(parameter, table)


def _read_patterns(key: str, table: Table, scope: Scope, *, ignore_case: bool) -> tuple[Pattern, ...]:
    patterns: list[Pattern] = []
    texts = table.texts(key)
    if not texts and not table.nodes(key):
        table.error(key, f"{key} must be a regular expression but is an empty list")
    for text, place in texts:
        pattern = _compile(key, text, place, scope, ignore_case=ignore_case)
        if pattern is not None:
            patterns.append(pattern)
    return tuple(patterns)


def _compile(key: str, text: str, place: Place, scope: Scope, *, ignore_case: bool) -> Pattern | None:
    try:
        pattern = compile_pattern(text, ignore_case=ignore_case)
    except PatternError as error:
        scope.report.error(place, f"{key}: {shown(text)} is not a regular expression of RE2: {error}", scope.rule)
        return None
    if not text:
        message = f"{key} '' never matches, since an empty value counts as missing; write `not: {{{key}: '.+'}}`"
        scope.report.error(place, message, scope.rule)
        return None
    if key in _READS_ANYTHING and (found := _ASCII_CLASS.search(text)):
        message = (
            f"{key}: \\{found[1]} knows ASCII characters only; for letters of any language write \\pL, for digits \\pN"
        )
        scope.report.warning(place, message, scope.rule)
    if ignore_case and key != "alias":
        lowered = text.lower().replace("\\", "")
        domain = next((domain for domain in scope.domains if f"@{domain}" in lowered), None)
        if domain is not None:
            message = (
                f"{key}: @{domain} is ours, so it is cut off before the comparison; leave it out of the expression"
            )
            scope.report.warning(place, message, scope.rule)
    return pattern


def _read_attributes(key: str, table: Table, scope: Scope) -> Condition | None:
    attributes = table.table(key)
    if attributes is None:
        return None
    make = IdpAttributeSource if key == "idp_attributes" else LinkAttributeSource
    conditions: list[Condition] = []
    for name in attributes:
        patterns = _read_patterns(name, attributes, scope, ignore_case=False)
        source: Source = make(name)
        if patterns:
            conditions.append(TextMatches(source, patterns))
    if not conditions:
        if not tuple(attributes):
            table.error(key, f"{key} must name an attribute and its regular expression but is empty")
        return None
    return conditions[0] if len(conditions) == 1 else AllOf(tuple(conditions))


def _read_choice(parameter: Parameter, table: Table, scope: Scope) -> Condition | None:
    allowed: tuple[str, ...] = parameter.choices
    if parameter.name in {"location", "proxy_node_location"} and scope.locations is not None:
        allowed = tuple(sorted(scope.locations))
    texts = table.texts(parameter.name)
    if not texts and not table.nodes(parameter.name):
        table.error(parameter.name, f"{parameter.name} must be a value or a list of values but is an empty list")
    exact = not parameter.choices
    good = {word if exact else word.lower() for word in allowed}
    values: set[str] = set()
    for text, place in texts:
        value = text if exact else text.lower()
        if (allowed and value not in good) or not value:
            scope.report.error(place, one_of(parameter.name, allowed, text), scope.rule)
        else:
            values.add(value)
    return ChoiceIs(parameter, frozenset(values)) if values else None


def _read_boolean(parameter: Parameter, table: Table) -> Condition | None:
    node = table.value(parameter.name)
    value = table.boolean(parameter.name, default=False)
    return BooleanIs(parameter, value) if isinstance(node, ScalarNode) and isinstance(node.value, bool) else None


def _read_integers(parameter: Parameter, table: Table) -> Condition | None:
    values: set[int] = set()
    for node in table.nodes(parameter.name):
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, int) and not isinstance(value, bool):
            values.add(value)
        else:
            message = f"{parameter.name} must be a whole number but is {shown(plain(node))}"
            table.report.error(node.place, message, table.rule)
    return IntegerIs(parameter, frozenset(values)) if values else None


def _read_networks(parameter: Parameter, table: Table) -> Condition | None:
    networks: list[Network] = []
    for text, place in table.texts(parameter.name):
        try:
            networks.append(ip_network(text.strip()))
        except ValueError as error:
            hint = _network_hint(text)
            message = f"{parameter.name} must be an address or a network such as 10.20.0.0/16 but is {shown(text)}: {error}{hint}"
            table.report.error(place, message, table.rule)
    return AddressIn(parameter, tuple(networks)) if networks else None


def _network_hint(text: str) -> str:
    try:
        return f"; write {ip_network(text.strip(), strict=False)}"
    except ValueError:
        return ""


def _read_calendar(key: str, table: Table, scope: Scope) -> Condition | None:
    name = table.text(key)
    if name is None:
        return None
    scope.used_calendars.add(name)
    if name not in scope.calendars:
        table.error(key, one_of(key, scope.calendars, name))
        return None
    calendar = scope.calendars[name]
    return None if calendar is None else CalendarIs(calendar, expected_open=key == "open")


def _read_link(table: Table, scope: Scope, captured_by: TextMatches | None) -> Condition | None:
    states: set[LinkState] = set()
    words = tuple(state.value for state in LinkState)
    for text, place in table.texts("link"):
        if text in words:
            states.add(LinkState(text))
        else:
            scope.report.error(place, one_of("link", words, text), scope.rule)
    if captured_by is None and not scope.link_types:
        table.error(
            "link",
            "link needs to know where the session stands: declare a link type under `links`, or name the session in "
            "this rule's local_alias, as in 'mp(?P<session>[a-z0-9]{32})'",
        )
        return None
    return LinkIs(frozenset(states), captured_by) if states else None


def _read_percent(table: Table, scope: Scope) -> Condition | None:
    node = table.value("percent")
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        table.error("percent", f"percent must be a number from 0 to 100 but is {shown(plain(node) if node else None)}")
        return None
    return PercentOf(float(value), scope.rule)


def _read_group(key: str, table: Table, scope: Scope, captured_by: TextMatches | None) -> Condition | None:
    items: tuple[Node, ...] = table.nodes(key) if key == "not" else table.sequence(key)
    branches: list[tuple[Condition, ...]] = []
    if not items and key in table:
        table.error(key, f"{key} must be a list of conditions but is empty")
    for item in items:
        if isinstance(item, MappingNode) and item.entries:
            branches.append(read_conditions(item, scope, captured_by))
        else:
            message = f"{key} must hold conditions such as {{protocol: sip}} but holds {shown(plain(item))}"
            scope.report.error(item.place, message, scope.rule)
    if any(not branch for branch in branches) or not branches:
        return None
    match key:
        case "any":
            return AnyOf(tuple(branch[0] if len(branch) == 1 else AllOf(branch) for branch in branches))
        case "all":
            return AllOf(tuple(condition for branch in branches for condition in branch))
        case _:
            if len(branches) == 1:
                return NotAllOf(branches[0])
            # not: [a, b] reads as "neither a nor b".
            return AllOf(tuple(NotAllOf(branch) for branch in branches))


def groups_of(conditions: tuple[Condition, ...]) -> tuple[list[str], dict[str, str]]:
    """The names that a rule's conditions always capture, and for each the expression that captured it.

    A name in every branch of ``any`` counts; one in only some does not, since another branch may match.
    """
    names: list[str] = []
    sources: dict[str, str] = {}
    for condition in conditions:
        if isinstance(condition, TextMatches):
            common = [
                name for name in condition.patterns[0].groups if all(name in p.groups for p in condition.patterns)
            ]
            names += common
            sources |= {name: _alternatives(name, condition.patterns) for name in common}
        elif isinstance(condition, AllOf):
            below, below_sources = groups_of(condition.conditions)
            names += below
            sources |= below_sources
        elif isinstance(condition, AnyOf):
            branches = [groups_of((branch,)) for branch in condition.conditions]
            common = [name for name in branches[0][0] if all(name in branch[0] for branch in branches)]
            names += common
            sources |= {name: "|".join(f"(?:{branch[1][name]})" for branch in branches) for name in common}
    return names, sources


def _alternatives(name: str, patterns: tuple[Pattern, ...]) -> str:
    found = [group_source(pattern.text, name) or ".+" for pattern in patterns]
    flagged = [
        f"(?i:{text})" if pattern.ignore_case else f"(?:{text})" for text, pattern in zip(found, patterns, strict=True)
    ]
    return "|".join(flagged)

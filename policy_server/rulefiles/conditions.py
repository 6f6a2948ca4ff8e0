"""Reading ``when``: every key becomes a condition or a problem, never nothing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from ipaddress import IPv6Network, ip_network
from typing import Final, TypeVar

from policy_server.pexip.parameters import PARAMETERS, Kind, Parameter, parameters_of
from policy_server.pexip.request_types import RequestType
from policy_server.policy.calendars import Calendar
from policy_server.policy.conditions import (
    AllOf,
    AnyOf,
    CalendarIs,
    Condition,
    DoorIs,
    LinkIs,
    LinkTypeIs,
    NotAllOf,
    PercentOf,
)
from policy_server.policy.facts import IdpAttributeSource, LinkAttributeSource, ParameterSource, Source
from policy_server.policy.indexes import Network
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import NAMES, LinkState
from policy_server.policy.parameter_conditions import AddressIn, BooleanIs, ChoiceIs, IntegerIs, TextMatches
from policy_server.policy.patterns import Pattern, PatternError, compile_pattern
from policy_server.policy.templates import RAW, without_raw
from policy_server.rulefiles.compared import why_never
from policy_server.rulefiles.document_nodes import MappingNode, ScalarNode, SequenceNode
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report, Table, shown_node, undefined, unlisted
from policy_server.wording.values import printable, shown
from policy_server.wording.words import one_of, unknown_key

GROUPS: Final = ("any", "all", "not")
Word = TypeVar("Word", bound=StrEnum)
_ASCII_CLASS: Final = re.compile(r"(?<!\\)(?:\\\\)*\\([dwsbDWSB])")
_WILDCARD: Final = re.compile(r"[\w@ .-]*[A-Za-z0-9@]\*[\w@ .*-]*")
"""Plain text with a ``*`` behind a letter: an expression, but meant as a pattern of file names."""
_SLASHES: Final = re.compile(r"/.*/[a-z]*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Scope:
    """What the conditions of one rule may refer to. ``link_types`` are the names of all, faulty ones too.

    ``names`` are those of objects of the deployment by their kind, ``None`` where any is taken.
    """

    request: RequestType
    rule: str
    report: Report
    calendars: Mapping[str, Calendar | None]
    names: Mapping[str, frozenset[str] | None]
    domains: frozenset[str]
    link_types: frozenset[str]
    used_calendars: set[str]


@cache
def condition_keys(request: RequestType) -> tuple[str, ...]:
    """Every key that ``when`` can have in a rule for this question."""
    parameters = tuple(_parameters(request))
    idp = ("idp_attributes",) if request is RequestType.PARTICIPANT else ()
    originals = tuple(name + RAW for name, parameter in _parameters(request).items() if parameter.kind is Kind.ALIAS)
    link = ("link", "link_type", "door", "link_attributes", "percent") if "local_alias" in parameters else ()
    return (*parameters, *originals, *idp, "open", "closed", *link, *GROUPS)


@cache
def _parameters(request: RequestType) -> Mapping[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters_of(request)}


def read_conditions(node: MappingNode, scope: Scope) -> tuple[Condition, ...]:
    """The conditions of a ``when``, or of one entry of ``any``, ``all`` or ``not``."""
    known = condition_keys(scope.request)
    conditions: list[Condition] = []
    table = Table(node, "when", scope.report, scope.rule)
    for key in table:
        if key not in known:
            table.error_at(table.key_place(key), _unknown(key, scope.request))
            continue
        condition = _read_condition(key, table, scope)
        if condition is not None:
            conditions.append(condition)
        elif not scope.report.failed:
            # A condition that is dropped without a word would widen the rule.
            table.error(key, f"{key} cannot be read")
    return tuple(conditions)


def _unknown(key: str, request: RequestType) -> str:
    if key in PARAMETERS or any(key in condition_keys(other) for other in RequestType):
        return f"a {request} question has no {key}, so the rule would never match"
    return unknown_key(key, condition_keys(request), "when")


def _read_condition(key: str, table: Table, scope: Scope) -> Condition | None:
    match key:
        case "any" | "all" | "not":
            return _read_group(key, table, scope)
        case "open" | "closed":
            return _read_calendar(key, table, scope)
        case "link":
            return _read_link(table, scope)
        case "link_type":
            return _read_link_type(table, scope)
        case "door":
            return _read_door(table, scope)
        case "percent":
            return _read_percent(table, scope)
        case "idp_attributes" | "link_attributes":
            return _read_attributes(key, table, scope)
        case _:
            parameter = _parameters(scope.request)[without_raw(key)]
            if key != parameter.name:
                return _read_original(parameter, table, scope)
            return _read_parameter(parameter, table, scope)


def _read_parameter(parameter: Parameter, table: Table, scope: Scope) -> Condition | None:
    match parameter.kind:
        case Kind.ALIAS | Kind.TEXT | Kind.LIST:
            patterns = _read_patterns(parameter.name, table, scope, ignore_case=parameter.kind is Kind.ALIAS)
            return TextMatches(ParameterSource(parameter), patterns) if patterns else None
        case Kind.CHOICE:
            return _read_choice(parameter, table, scope)
        case Kind.BOOLEAN:
            return _read_boolean(parameter, table)
        case Kind.INTEGER:
            return _read_integers(parameter, table)
        case Kind.ADDRESS:
            return _read_networks(parameter, table)


def _read_original(parameter: Parameter, table: Table, scope: Scope) -> Condition | None:
    source = ParameterSource(parameter, raw=True)
    patterns = _read_patterns(source.key, table, scope, ignore_case=False)
    return TextMatches(source, patterns) if patterns else None


def _read_patterns(key: str, table: Table, scope: Scope, *, ignore_case: bool) -> tuple[Pattern, ...]:
    patterns: list[Pattern] = []
    for text, place in _texts(key, table, "a regular expression"):
        pattern = _compile(key, text, place, table, ignore_case=ignore_case)
        if pattern is not None:
            for warning in _warnings(key, pattern, scope):
                scope.report.warning(place, f"{table.about}{key}: {warning}", scope.rule)
            for name in set(pattern.groups) & NAMES.keys():
                table.error_at(
                    place,
                    f"{key}: no group can be named {shown(name)}, since {{{name}}} is a name of the call; rename it, or "
                    "write link_type and door instead of the expression",
                )
            patterns.append(pattern)
    return tuple(patterns)


def _texts(key: str, table: Table, wanted: str) -> list[tuple[str, Place]]:
    """A text or a list of texts; that there is none is a problem."""
    node = table.value(key)
    if node is not None and not table.nodes(key):
        table.wrong(key, node, wanted)
    return table.texts(key)


def _compile(key: str, text: str, place: Place, table: Table, *, ignore_case: bool) -> Pattern | None:
    if not text:
        missing = f"{{{key}: '.+'}}" if table.where == "when" else f"{{{table.where}: {{{key}: '.+'}}}}"
        table.error_at(place, f"{key} '' never matches, since an empty value counts as missing; write `not: {missing}`")
        return None
    try:
        return compile_pattern(text, ignore_case=ignore_case)
    except PatternError as error:
        table.error_at(place, f"{key}: {shown(text)} is not a regular expression of RE2: {printable(str(error))}")
        return None


def _warnings(key: str, pattern: Pattern, scope: Scope) -> Iterator[str]:
    """What is legal in an expression but hardly meant."""
    if key in PARAMETERS and PARAMETERS[key].any_language and (found := _ASCII_CLASS.search(pattern.text)):
        yield f"\\{found[1]} knows ASCII characters only; for letters of any language write \\pL, for digits \\pN"
    if _WILDCARD.fullmatch(pattern.text):
        yield "* repeats the character before it; for any text write .* instead"
    if _SLASHES.fullmatch(pattern.text):
        yield "slashes around an expression are characters of the value too; write it without them"
    # What registers is compared with its domain too.
    if pattern.ignore_case and (reason := why_never(pattern, frozenset() if key == "alias" else scope.domains)):
        yield f"{reason}, so this never matches; leave that out of the expression, or match the original with {key}{RAW}"


def _read_attributes(key: str, table: Table, scope: Scope) -> Condition | None:
    node = table.value(key)
    if not isinstance(node, MappingNode) or not node.entries:
        if node is not None:
            table.wrong(key, node, "names of attributes with regular expressions such as {language: 'en|fr'}")
        return None
    attributes = Table(node, key, scope.report, scope.rule, f"{key}: ")
    make = IdpAttributeSource if key == "idp_attributes" else LinkAttributeSource
    conditions: list[Condition] = []
    for name in attributes:
        patterns = _read_patterns(name, attributes, scope, ignore_case=False)
        source: Source = make(name)
        if patterns:
            conditions.append(TextMatches(source, patterns))
    return conditions[0] if len(conditions) == 1 else AllOf(tuple(conditions)) if conditions else None


def _read_choice(parameter: Parameter, table: Table, scope: Scope) -> Condition | None:
    known = scope.names.get(parameter.names)
    values = _read_documented(parameter, table) if parameter.choices else _read_names(parameter, table, known)
    return ChoiceIs(parameter, frozenset(values)) if values else None


def _read_documented(parameter: Parameter, table: Table) -> set[str]:
    """Documented values, which are compared without regard to case."""
    name, values = parameter.name, set[str]()
    known, wanted = _choices(name)
    for text, place in _texts(name, table, wanted):
        if text.lower() in known:
            values.add(text.lower())
        else:
            table.error_at(place, one_of(name, parameter.choices, text))
    return values


@cache
def _choices(name: str) -> tuple[frozenset[str], str]:
    """The values of a parameter in lower case, and how a message lists them."""
    choices = PARAMETERS[name].choices
    return frozenset(choice.lower() for choice in choices), f"one of {', '.join(map(shown, choices))}"


def _read_names(parameter: Parameter, table: Table, known: frozenset[str] | None) -> set[str]:
    """Names of the deployment, which are compared exactly."""
    key, wanted, values = parameter.name, "a name or a list of names", set[str]()
    for name, place in _texts(key, table, wanted):
        if not name:
            table.error_at(place, f"{key} must be {wanted} but is empty")
        elif known is not None and name not in known:
            table.error_at(place, unlisted(key, known, name, parameter.names))
        else:
            values.add(name)
    return values


def _read_boolean(parameter: Parameter, table: Table) -> Condition | None:
    node = table.value(parameter.name)
    value = table.boolean(parameter.name, default=False)
    return (
        BooleanIs(parameter, frozenset({value}))
        if isinstance(node, ScalarNode) and isinstance(node.value, bool)
        else None
    )


def _read_integers(parameter: Parameter, table: Table) -> Condition | None:
    wanted = "a whole number or a list of them"
    values: set[int] = set()
    whole = table.value(parameter.name)
    for node in table.nodes(parameter.name) or ((whole,) if whole is not None else ()):
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, int) and not isinstance(value, bool):
            values.add(value)
        else:
            table.wrong(parameter.name, node, wanted)
    return IntegerIs(parameter, frozenset(values)) if values else None


def _read_networks(parameter: Parameter, table: Table) -> Condition | None:
    name, wanted = parameter.name, "an address such as 10.20.0.1 or a network such as 10.20.0.0/16"
    networks: list[Network] = []
    for text, place in _texts(name, table, wanted):
        try:
            networks.append(_network(text))
        except ValueError:
            table.error_at(place, f"{name} must be {wanted} but is {shown(text)}{_network_hint(text)}")
    return AddressIn(parameter, tuple(networks)) if networks else None


def _network(text: str) -> Network:
    """A network; one of IPv4 addresses written as IPv6 is the IPv4 network, as the addresses of questions are."""
    network = ip_network(text.strip())
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        return ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def _network_hint(text: str) -> str:
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        return ""
    return f" (write {network}, or the address without /{network.prefixlen})"


def _read_calendar(key: str, table: Table, scope: Scope) -> Condition | None:
    name = table.text(key, wanted="the name of a calendar")
    if name is None:
        return None
    scope.used_calendars.add(name)
    if name not in scope.calendars:
        table.error(key, undefined(key, "calendar", name, scope.calendars, "calendars"))
        return None
    calendar = scope.calendars[name]
    return None if calendar is None else CalendarIs(calendar, frozenset({key == "open"}))


def _read_link(table: Table, scope: Scope) -> Condition | None:
    states = _read_words("link", tuple(LinkState), table)
    return LinkIs(frozenset(states)) if _has_link_types("link", table, scope) and states else None


def _read_door(table: Table, scope: Scope) -> Condition | None:
    entrances = _read_words("door", tuple(Entrance), table)
    return DoorIs(frozenset(entrances)) if _has_link_types("door", table, scope) and entrances else None


def _read_words(key: str, words: tuple[Word, ...], table: Table) -> set[Word]:
    """One of some words of ours, or a list of them."""
    found: set[Word] = set()
    for text, place in _texts(key, table, f"one of {', '.join(map(shown, words))}"):
        word = next((word for word in words if word == text), None)
        if word is not None:
            found.add(word)
        else:
            table.error_at(place, one_of(key, words, text))
    return found


def _read_link_type(table: Table, scope: Scope) -> Condition | None:
    types: set[str] = set()
    for text, place in _texts("link_type", table, "the name of a link type, or a list of them"):
        if text in scope.link_types:
            types.add(text)
        else:
            table.error_at(place, undefined("link_type", "link type", text, scope.link_types, "links"))
    return LinkTypeIs(frozenset(types)) if types else None


def _has_link_types(key: str, table: Table, scope: Scope) -> bool:
    if not scope.link_types:
        table.error(key, f"{key} is about the aliases of link types, and there is none; define one under links")
    return bool(scope.link_types)


def _read_percent(table: Table, scope: Scope) -> Condition | None:
    node = table.value("percent")
    value = node.value if isinstance(node, ScalarNode) else None
    if node is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100):
        table.wrong("percent", node, "a number from 0 to 100")
        return None
    return PercentOf(float(value), scope.rule) if isinstance(value, int | float) else None


def _read_group(key: str, table: Table, scope: Scope) -> Condition | None:
    node = table.value(key)
    alone = (node,) if key == "not" and isinstance(node, MappingNode) and node.entries else ()
    items = node.items if isinstance(node, SequenceNode) else alone
    if not items:
        example = (
            "conditions such as {protocol: sip}"
            if key == "not"
            else "a list of conditions such as [{protocol: sip}, …]"
        )
        if node is not None:
            table.wrong(key, node, example)
        return None
    branches: list[tuple[Condition, ...]] = []
    for item in items:
        if isinstance(item, MappingNode) and item.entries:
            branches.append(read_conditions(item, scope))
        else:
            table.error_at(
                item.place, f"{key} must hold conditions such as {{protocol: sip}}, but this is {shown_node(item)}"
            )
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

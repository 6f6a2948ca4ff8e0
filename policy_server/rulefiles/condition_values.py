"""What a condition of a rule is compared with: how each kind of value is read, and what editors are told of it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from ipaddress import IPv6Network, ip_network
from typing import Any, Final, TypeAlias, TypeVar, assert_never

from policy_server.pexip.fields import Named
from policy_server.pexip.parameters import PATH_ALIAS, Kind, Parameter
from policy_server.pexip.request_types import RequestType
from policy_server.policy.calendars import Calendar
from policy_server.policy.conditions import AllOf, Condition
from policy_server.policy.facts import ParameterSource, Source
from policy_server.policy.indexes import Network
from policy_server.policy.names import NAMES
from policy_server.policy.parameter_conditions import AddressIn, BooleanIs, ChoiceIs, IntegerIs, TextMatches
from policy_server.policy.patterns import Pattern, PatternError, compile_pattern
from policy_server.policy.templates import RAW
from policy_server.rulefiles.compared import why_never
from policy_server.rulefiles.document_nodes import MappingNode, ScalarNode
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report, Table, unlisted
from policy_server.rulefiles.schema_parts import Schema, one_or_list
from policy_server.rulefiles.tables import Tables
from policy_server.wording.values import printable, shown
from policy_server.wording.words import one_of

Word = TypeVar("Word", bound=StrEnum)
_ASCII_CLASS: Final = re.compile(r"(?<!\\)(?:\\\\)*\\([dwsbDWSB])")
_WILDCARD: Final = re.compile(r"[\w@ .-]*[A-Za-z0-9@]\*[\w@ .*-]*")
"""Plain text with a ``*`` behind a letter: an expression, but meant as a pattern of file names."""
_SLASHES: Final = re.compile(r"/.*/[a-z]*", re.DOTALL)

TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_ADDRESS: Final[Schema] = {
    "type": "string",
    "pattern": r"^\s*[0-9A-Fa-f.:]+(%[^\s/]+)?(/[0-9.]+)?\s*$",
    "patternErrorMessage": "Write an address or a network such as 10.20.0.0/16",
}
_EXPRESSION: Final = "A regular expression (RE2) for the whole {}, or a list of them."


@dataclass(frozen=True, slots=True)
class Scope:
    """What the conditions of one rule may refer to. ``link_types`` are the names of all, faulty ones too.

    ``names`` are those of objects of the deployment by their kind, ``None`` where any is taken. ``known`` are conditions
    of other rules, to be used again. ``around`` are those of this rule that hold whenever the ones to be read count.
    """

    request: RequestType
    rule: str
    report: Report
    calendars: Mapping[str, Calendar | None]
    names: Mapping[Named, frozenset[str]]
    domains: frozenset[str]
    link_types: frozenset[str]
    used_calendars: set[str]
    known: dict[Condition, Condition]
    tables: Tables
    used_tables: set[str]
    around: tuple[Condition, ...] = ()


SchemaOf: TypeAlias = Callable[[str, Schema], Schema]


@dataclass(frozen=True, slots=True)
class ConditionKey:
    """A key of ``when``: what it means, the questions it is for, how its value is read, and what that looks like.

    ``read`` gives the condition, or ``None`` once it has reported why there is none. ``schema`` is made of the meaning,
    which describes it, and of the schema of a whole ``when``.
    """

    key: str
    meaning: str
    requests: frozenset[RequestType]
    read: Callable[[str, Table, Scope], Condition | None]
    schema: SchemaOf


def one(**schema: Any) -> SchemaOf:
    """A single value."""
    return lambda meaning, _: {"description": meaning, **schema}


def one_or_more(item: Schema) -> SchemaOf:
    """A value, or a list of such values."""
    return lambda meaning, _: one_or_list(item, meaning)


# ------------------------------------------------------------------ parameters


def parameter_key(parameter: Parameter) -> ConditionKey:
    """The condition on a parameter, by its kind."""

    def row(form: str, schema: SchemaOf, read: Callable[[Parameter, Table, Scope], Condition | None]) -> ConditionKey:
        meaning = f"{parameter.meaning} {form}" if form else parameter.meaning
        return ConditionKey(
            parameter.name, meaning, parameter.requests, lambda _, table, scope: read(parameter, table, scope), schema
        )

    source = ParameterSource(parameter)

    def read_text(parameter: Parameter, table: Table, scope: Scope) -> Condition | None:
        return _matching(parameter.name, source, table, scope)

    match parameter.kind:
        case Kind.ALIAS:
            return row(_EXPRESSION.format("alias, in any case"), one_or_more(TEXT), read_text)
        case Kind.TEXT:
            return row(_EXPRESSION.format("text"), one_or_more(TEXT), read_text)
        case Kind.LIST:
            return row("A regular expression (RE2) for a whole entry, or a list of them.", one_or_more(TEXT), read_text)
        case Kind.CHOICE:
            item: Schema = {"enum": list(parameter.choices)} if parameter.choices else TEXT
            return row("One value or a list.", one_or_more(item), _read_choice)
        case Kind.BOOLEAN:
            return row("", one(type="boolean"), _read_boolean)
        case Kind.INTEGER:
            return row("A whole number or a list of them.", one_or_more({"type": "integer"}), _read_integers)
        case Kind.ADDRESS:
            form = "An address, a network such as 10.20.0.0/16, or a list of them."
            return row(form, one_or_more(_ADDRESS), _read_networks)
        case _:
            assert_never(parameter.kind)


def original_key(parameter: Parameter) -> ConditionKey:
    """The condition on an alias as it came."""
    source = ParameterSource(parameter, raw=True)
    return ConditionKey(
        source.key,
        f"{parameter.name} as it came: case, scheme, parameters and domain count. {_EXPRESSION.format('text')}",
        parameter.requests,
        lambda key, table, scope: _matching(key, source, table, scope),
        one_or_more(TEXT),
    )


def attributes_key(
    key: str, meaning: str, requests: frozenset[RequestType], source: Callable[[str], Source]
) -> ConditionKey:
    """The condition on attributes by name, each with an expression; all of them must match."""

    def read(key: str, table: Table, scope: Scope) -> Condition | None:
        node = table.value(key)
        if not isinstance(node, MappingNode) or not node.entries:
            if node is not None:
                table.wrong(key, node, "names of attributes with regular expressions such as {language: 'en|fr'}")
            return None
        within = Table(node, key, scope.report, scope.rule, f"{key}: ")
        matching = (_matching(name, source(name), within, scope) for name in within)
        conditions = tuple(condition for condition in matching if condition is not None)
        return conditions[0] if len(conditions) == 1 else AllOf(conditions) if conditions else None

    values = one_or_list(TEXT, _EXPRESSION.format("value"))
    schema = one(type="object", additionalProperties=values, minProperties=1)
    return ConditionKey(key, meaning, requests, read, schema)


def _matching(key: str, source: Source, table: Table, scope: Scope) -> TextMatches | None:
    patterns: list[Pattern] = []
    for text, place in read_texts(key, table, "a regular expression"):
        pattern = _compile(key, text, place, table, ignore_case=source.folds)
        if pattern is not None:
            for warning in _warnings(source, pattern, scope):
                scope.report.warning(place, f"{table.about}{key}: {warning}", scope.rule)
            for name in set(pattern.groups) & NAMES.keys():
                table.error_at(
                    place,
                    f"{key}: no group can be named {shown(name)}, since {{{name}}} is a name of the call; rename it, or "
                    "write link_type and door instead of the expression",
                )
            patterns.append(pattern)
    return TextMatches(source, tuple(patterns)) if patterns else None


def read_texts(key: str, table: Table, wanted: str) -> list[tuple[str, Place]]:
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


def _warnings(source: Source, pattern: Pattern, scope: Scope) -> Iterator[str]:
    """What is legal in an expression but hardly meant."""
    parameter = source.parameter if isinstance(source, ParameterSource) else None
    if parameter is not None and parameter.any_language and (found := _ASCII_CLASS.search(pattern.text)):
        yield f"\\{found[1]} knows ASCII characters only; for letters of any language write \\pL, for digits \\pN"
    if _WILDCARD.fullmatch(pattern.text):
        yield "* repeats the character before it; for any text write .* instead"
    if _SLASHES.fullmatch(pattern.text):
        yield "slashes around an expression are characters of the value too; write it without them"
    # What registers is compared with its domain too.
    domains = frozenset() if parameter == PATH_ALIAS else scope.domains
    if source.folds and (reason := why_never(pattern, domains)):
        remedy = f"leave that out of the expression, or match the original with {source.key}{RAW}"
        yield f"{reason}, so this never matches; {remedy}"


def _read_choice(parameter: Parameter, table: Table, scope: Scope) -> Condition | None:
    named = parameter.names
    values = _read_names(parameter.name, named, table, scope) if named else _read_documented(parameter, table)
    return ChoiceIs(parameter, frozenset(values)) if values else None


def _read_documented(parameter: Parameter, table: Table) -> set[str]:
    """Documented values, which are compared without regard to case."""
    name, values = parameter.name, set[str]()
    known, wanted = _choices(parameter)
    for text, place in read_texts(name, table, wanted):
        if text.lower() in known:
            values.add(text.lower())
        else:
            table.error_at(place, one_of(name, parameter.choices, text))
    return values


@cache
def _choices(parameter: Parameter) -> tuple[frozenset[str], str]:
    """The values of a parameter in lower case, and how a message lists them."""
    return frozenset(choice.lower() for choice in parameter.choices), _listed(parameter.choices)


@cache
def _listed(words: tuple[str, ...]) -> str:
    return f"one of {', '.join(map(shown, words))}"


def _read_names(key: str, named: Named, table: Table, scope: Scope) -> set[str]:
    """Names of the deployment, which are compared exactly."""
    known, wanted, values = scope.names.get(named), "a name or a list of names", set[str]()
    for name, place in read_texts(key, table, wanted):
        if not name:
            table.error_at(place, f"{key} must be {wanted} but is empty")
        elif known is not None and name not in known:
            table.error_at(place, unlisted(key, known, name, named))
        else:
            values.add(name)
    return values


def _read_boolean(parameter: Parameter, table: Table, _: Scope) -> Condition | None:
    node = table.value(parameter.name)
    value = table.boolean(parameter.name, default=False)
    return (
        BooleanIs(parameter, frozenset({value}))
        if isinstance(node, ScalarNode) and isinstance(node.value, bool)
        else None
    )


def _read_integers(parameter: Parameter, table: Table, _: Scope) -> Condition | None:
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


def _read_networks(parameter: Parameter, table: Table, _: Scope) -> Condition | None:
    name, wanted = parameter.name, "an address such as 10.20.0.1 or a network such as 10.20.0.0/16"
    networks: list[Network] = []
    for text, place in read_texts(name, table, wanted):
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


def read_words(key: str, words: tuple[Word, ...], table: Table) -> set[Word]:
    """One of some words of ours, or a list of them."""
    found: set[Word] = set()
    for text, place in read_texts(key, table, _listed(words)):
        word = next((word for word in words if word == text), None)
        if word is not None:
            found.add(word)
        else:
            table.error_at(place, one_of(key, words, text))
    return found

"""The table of conditions: every key of ``when`` with what it means, which questions it is for, and how it is read.

Every key of a rule becomes a condition or a problem, never nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from policy_server.pexip.parameters import PARAMETERS, PATH_ALIAS, Kind
from policy_server.pexip.request_types import RequestType
from policy_server.policy.condition_base import OneOf
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
from policy_server.policy.facts import IdpAttributeSource, LinkAttributeSource
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import LinkState
from policy_server.policy.tables import TableHas
from policy_server.policy.templates import Template, without_raw
from policy_server.rulefiles.condition_values import (
    TEXT,
    ConditionKey,
    Scope,
    attributes_key,
    one,
    one_or_more,
    original_key,
    parameter_key,
    read_texts,
    read_words,
)
from policy_server.rulefiles.document_nodes import MappingNode, ScalarNode, SequenceNode
from policy_server.rulefiles.placeholders import Given, fillable, groups_of, named_anywhere
from policy_server.rulefiles.reader import Table, shown_node, undefined
from policy_server.rulefiles.schema_parts import TEMPLATE, Schema, one_or_list
from policy_server.rulefiles.tables import TableFile
from policy_server.wording.values import shown
from policy_server.wording.words import nearest, unknown_key


def read_conditions(node: MappingNode, scope: Scope) -> tuple[Condition, ...]:
    """The conditions of a ``when``, or of one entry of ``any``, ``all`` or ``not``."""
    around = scope.around
    conditions: dict[str, Condition] = {}
    table = Table(node, "when", scope.report, scope.rule)
    for key in sorted(table, key=_when_read):
        row = CONDITIONS.get(key)
        if row is None or scope.request not in row.requests:
            table.error_at(table.key_place(key), _unknown(key, scope.request))
            continue
        if _when_read(key):
            scope = replace(scope, around=(*around, *conditions.values()))
        condition = row.read(key, table, scope)
        if isinstance(condition, OneOf):
            # Thousands of rules have the same few.
            conditions[key] = scope.known.setdefault(condition, condition)
        elif condition is not None:
            conditions[key] = condition
        elif not scope.report.failed:
            # A condition that is dropped without a word would widen the rule.
            table.error(key, f"{key} cannot be read")
    return tuple(conditions[key] for key in table if key in conditions)


def _when_read(key: str) -> int:
    """What a key of a table is made of is read before it."""
    return _LATER.get(key, 0)


def condition_keys(request: RequestType) -> tuple[str, ...]:
    """Every key that ``when`` can have in a rule for this question."""
    return tuple(key for key, row in CONDITIONS.items() if request in row.requests)


def when_schema(request: RequestType, here: Schema) -> Schema:
    """The JSON Schema of ``when`` in a rule for this question; ``here`` refers to it."""
    return {
        "description": "Conditions, all of which must hold.",
        "type": "object",
        "properties": {key: CONDITIONS[key].schema(CONDITIONS[key].meaning, here) for key in condition_keys(request)},
        "additionalProperties": False,
        "minProperties": 1,
    }


def _unknown(key: str, request: RequestType) -> str:
    if key in CONDITIONS:
        return f"a {request} question has no {key}, so the rule would never match"
    return unknown_key(key, condition_keys(request), "when")


# ------------------------------------------------------------------ time


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


# ------------------------------------------------------------------ links and calls


def _read_link(key: str, table: Table, scope: Scope) -> Condition | None:
    states = read_words(key, tuple(LinkState), table)
    return LinkIs(frozenset(states)) if _has_link_types(key, table, scope) and states else None


def _read_door(key: str, table: Table, scope: Scope) -> Condition | None:
    entrances = read_words(key, tuple(Entrance), table)
    return DoorIs(frozenset(entrances)) if _has_link_types(key, table, scope) and entrances else None


def _read_link_type(key: str, table: Table, scope: Scope) -> Condition | None:
    types: set[str] = set()
    for text, place in read_texts(key, table, "the name of a link type, or a list of them"):
        if text in scope.link_types:
            types.add(text)
        else:
            table.error_at(place, undefined(key, "link type", text, scope.link_types, "links"))
    return LinkTypeIs(frozenset(types)) if types else None


def _has_link_types(key: str, table: Table, scope: Scope) -> bool:
    if not scope.link_types:
        table.error(key, f"{key} is about the aliases of link types, and there is none; define one under links")
    return bool(scope.link_types)


def _read_percent(key: str, table: Table, scope: Scope) -> Condition | None:
    node = table.value(key)
    value = node.value if isinstance(node, ScalarNode) else None
    if node is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100):
        table.wrong(key, node, "a number from 0 to 100")
        return None
    return PercentOf(float(value), scope.rule) if isinstance(value, int | float) else None


# ------------------------------------------------------------------ tables


def _read_table(key: str, table: Table, scope: Scope) -> Condition | None:
    within = table.table(key, "names of tables with the key to look up such as {queues: '{link.language}'}")
    if within is None:
        return None
    if not within.node.entries:
        table.error(
            key, "table is empty; write the name of a table and the key to look up, as in {queues: '{link.language}'}"
        )
    found: list[TableHas] = []
    for name in within:
        wanted = within.template(name)
        scope.used_tables.add(name)
        if name not in scope.tables:
            noun = undefined(key, "table", name, scope.tables, "tables")
            within.error_at(within.key_place(name), noun)
        elif wanted is not None and _is_good_key(name, wanted, within, scope, found) and (file := scope.tables[name]):
            bases = frozenset(map(without_raw, wanted.names)).union(wanted.names)
            around = (*scope.around, *found)
            givers = tuple(each for each in around if not bases.isdisjoint(named_anywhere((each,))))
            found.append(TableHas(file.lookup, wanted, givers, named_anywhere(givers)))
            _warn_of_keys(file, wanted, givers, scope)
    if len(found) < len(within.node.entries):
        return None
    return found[0] if len(found) == 1 else AllOf(tuple(found)) if found else None


def _is_good_key(name: str, wanted: Template, within: Table, scope: Scope, earlier: Sequence[Condition]) -> bool:
    if not wanted.names:
        message = f"the key of table {shown(name)} is the same for every question; write a placeholder such as {{link.language}}"
        within.error(name, message)
        return False
    before = scope.report.errors
    conditions = (*scope.around, *earlier)
    names, _ = groups_of(conditions)
    others = fillable(scope.request, has_names=bool(scope.link_types) and scope.request in _WITH_LINK)
    given = Given(tuple(names), named_anywhere(conditions), others, tables=scope.tables)
    for placeholder in given.unknown(wanted):
        reason = given.column(placeholder)
        if reason is None and without_raw(placeholder) in given.partly:
            reason = "only some of this rule's alternatives capture it; capture it in each of them"
        elif reason is None:
            near = nearest(placeholder, (*given.groups, *sorted(others)))
            near_hint = f"did you mean {{{near}}}? " if near else ""
            reason = f"{near_hint}it can be a named group of the conditions beside this one, a request parameter, or {{link.ATTRIBUTE}}"
        within.error(name, f"placeholder {{{placeholder}}} is unknown: {reason}")
    return scope.report.errors == before


def _warn_of_keys(file: TableFile, wanted: Template, givers: Sequence[Condition], scope: Scope) -> None:
    """Warns of keys in a form that the one parameter of which the key is made never has."""
    (name, *others) = wanted.names
    parameter = PATH_ALIAS if name == PATH_ALIAS.name else PARAMETERS.get(name)
    if others or givers or any(wanted.literals) or parameter is None or parameter.kind is not Kind.ALIAS:
        return
    file.warn_of_keys(scope.domains, name, scope.report)


# ------------------------------------------------------------------ conditions made of conditions


def read_branches(key: str, table: Table, scope: Scope, *, alone: bool = False) -> tuple[tuple[Condition, ...], ...]:
    """The conditions of each entry of a list; empty once it is reported why they cannot be read.

    ``alone``: an entry may stand there without a list.
    """
    node = table.value(key)
    items = node.items if isinstance(node, SequenceNode) else ()
    if alone and isinstance(node, MappingNode) and node.entries:
        items = (node,)
    if not items and node is not None:
        one_entry = "conditions such as {protocol: sip}"
        table.wrong(key, node, one_entry if alone else "a list of conditions such as [{protocol: sip}, …]")
    branches: list[tuple[Condition, ...]] = []
    for item in items:
        if isinstance(item, MappingNode) and item.entries:
            branches.append(read_conditions(item, scope))
        else:
            table.error_at(
                item.place, f"{key} must hold conditions such as {{protocol: sip}}, but this is {shown_node(item)}"
            )
    return tuple(branches) if all(branches) else ()


def _read_any(key: str, table: Table, scope: Scope) -> Condition | None:
    branches = read_branches(key, table, scope)
    return AnyOf(tuple(branch[0] if len(branch) == 1 else AllOf(branch) for branch in branches)) if branches else None


def _read_all(key: str, table: Table, scope: Scope) -> Condition | None:
    branches = read_branches(key, table, scope)
    return AllOf(tuple(condition for branch in branches for condition in branch)) if branches else None


def _read_not(key: str, table: Table, scope: Scope) -> Condition | None:
    # not: [a, b] reads as "neither a nor b".
    neither = tuple(NotAllOf(branch) for branch in read_branches(key, table, scope, alone=True))
    return neither[0] if len(neither) == 1 else AllOf(neither) if neither else None


# ------------------------------------------------------------------ the table

_ANY_QUESTION: Final = frozenset(RequestType)
_WITH_LINK: Final = PARAMETERS["local_alias"].requests
_PARAMETERS: Final = (PATH_ALIAS, *PARAMETERS.values())
_LATER: Final = {"any": 1, "all": 1, "not": 1, "table": 2}
"""Conditions that others of the rule may give something to, in the order in which they are read."""

_ROWS: Final = (
    *map(parameter_key, _PARAMETERS),
    *(original_key(parameter) for parameter in _PARAMETERS if parameter.kind is Kind.ALIAS),
    attributes_key(
        "idp_attributes",
        "Attributes of the Identity Provider, each with the regular expression that one of its values matches.",
        frozenset({RequestType.PARTICIPANT}),
        IdpAttributeSource,
    ),
    ConditionKey(
        "open",
        "The calendar that must be open now, by its name under calendars.",
        _ANY_QUESTION,
        _read_calendar,
        one(type="string"),
    ),
    ConditionKey(
        "closed",
        "The calendar that must be closed now, by its name under calendars.",
        _ANY_QUESTION,
        _read_calendar,
        one(type="string"),
    ),
    ConditionKey(
        "link",
        "What the link in the alias is worth: valid (signed by us for this alias, and its door is open), early, expired, "
        "invalid (not signed by us, or revoked), or absent.",
        _WITH_LINK,
        _read_link,
        one_or_more({"enum": [state.value for state in LinkState]}),
    ),
    ConditionKey(
        "link_type",
        "The link type whose alias was dialled, by its name under links, or a list; whoever signed it.",
        _WITH_LINK,
        _read_link_type,
        one_or_more(TEXT),
    ),
    ConditionKey(
        "door",
        "Whose alias of a link type was dialled: the customer's or the agents'.",
        _WITH_LINK,
        _read_door,
        one_or_more({"enum": [entrance.value for entrance in Entrance]}),
    ),
    attributes_key(
        "link_attributes",
        "Attributes that the customer's link was given, each with a regular expression.",
        _WITH_LINK,
        LinkAttributeSource,
    ),
    ConditionKey(
        "table",
        "Tables (under tables), each with the key that it must have, in any case; the row fills {NAME.COLUMN}.",
        _ANY_QUESTION,
        _read_table,
        one(
            type="object",
            minProperties=1,
            propertyNames={"pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"},
            additionalProperties={"type": "string", "pattern": rf"^(?=[^{{]*\{{){TEMPLATE.removeprefix('^')}"},
        ),
    ),
    ConditionKey(
        "percent",
        "The share of calls, 0 to 100, for which the rule holds; always the same for one call.",
        _WITH_LINK,
        _read_percent,
        one(type="number", minimum=0, maximum=100),
    ),
    ConditionKey(
        "any",
        "At least one of these holds.",
        _ANY_QUESTION,
        _read_any,
        lambda meaning, here: {"description": meaning, "type": "array", "items": here, "minItems": 1},
    ),
    ConditionKey(
        "all",
        "All of these hold.",
        _ANY_QUESTION,
        _read_all,
        lambda meaning, here: {"description": meaning, "type": "array", "items": here, "minItems": 1},
    ),
    ConditionKey(
        "not",
        "These do not all hold. With a list: none of its entries holds. A value that cannot be read satisfies neither this "
        "nor its opposite.",
        _ANY_QUESTION,
        _read_not,
        lambda meaning, here: one_or_list(here, meaning),
    ),
)

CONDITIONS: Final[Mapping[str, ConditionKey]] = MappingProxyType({row.key: row for row in _ROWS})
"""The rows by key, in the order in which editors and messages list them."""

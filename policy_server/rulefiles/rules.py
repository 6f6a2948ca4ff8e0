"""What every rule has, whatever it decides: id, conditions, and one outcome; and what a kind of rule list adds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from policy_server.pexip.fields import Fault
from policy_server.pexip.request_types import RequestType
from policy_server.policy.calendars import Calendar
from policy_server.policy.conditions import Condition
from policy_server.policy.names import NAME_LENGTH, NAMES
from policy_server.policy.recall import Origin
from policy_server.policy.ruleset import Rule, RuleOutcome, ServeOutcome
from policy_server.policy.upstreams import Upstream
from policy_server.rulefiles.condition_values import Scope
from policy_server.rulefiles.conditions import read_conditions
from policy_server.rulefiles.document_nodes import MappingNode, plain
from policy_server.rulefiles.passwords import Environment
from policy_server.rulefiles.placeholders import Given, fillable, groups_of, named_anywhere, parameter_names
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report, Table, shown_node
from policy_server.rulefiles.schema_parts import Schema
from policy_server.rulefiles.services import Draft, Vocabulary, placed
from policy_server.rulefiles.sharing import Shareable, without_call
from policy_server.rulefiles.tables import Tables
from policy_server.telephony.trunks import Trunk
from policy_server.wording.values import shown
from policy_server.wording.words import listed

COMMON: Final[Mapping[str, Schema]] = {
    "id": {
        "type": "string",
        "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$",
        "patternErrorMessage": "Write lower-case letters and digits joined by -",
        "maxLength": 100,
        "description": "The rule's name in logs and tests, unique in its list: lower-case letters and digits joined "
        "by -.",
    },
    "description": {"type": "string", "description": "A note for people."},
    "enabled": {"type": "boolean", "default": True, "description": "false switches the rule off."},
}
"""The keys that a rule of any list can have, ``when`` apart."""

_SIGNED_NAMES: Final[Mapping[str, str]] = dict.fromkeys(NAMES, f"[a-z2-7]{{{NAME_LENGTH}}}")


@dataclass(slots=True)
class Material:
    """What rules refer to, and what of it they used."""

    report: Report
    vocabulary: Vocabulary
    domains: tuple[str, ...]
    calendars: Mapping[str, Calendar | None]
    trunks: Mapping[str, Trunk | None]
    rooms: Mapping[str, Draft | None]
    tables: Tables
    link_types: frozenset[str]
    upstreams: Mapping[str, Upstream | None]
    environment: Environment
    used_holidays: set[str] = field(default_factory=set)
    used_calendars: set[str] = field(default_factory=set)
    used_trunks: set[str] = field(default_factory=set)
    used_rooms: set[str] = field(default_factory=set)
    used_tables: set[str] = field(default_factory=set)
    used_upstreams: set[str] = field(default_factory=set)
    shareable: dict[str, Shareable] = field(default_factory=dict)
    origins: list[Origin] = field(default_factory=list)
    rooms_backwards: dict[tuple[object, ...], Origin] = field(default_factory=dict)
    rooms_served: dict[str, ServeOutcome] = field(default_factory=dict)
    """The outcome of every rule that serves a room as it is, by the room."""
    conditions: dict[Condition, Condition] = field(default_factory=dict)
    """Those of which many rules have an equal one, each once."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What every rule has, whatever its outcome. ``number`` is its place in the list, ``outcome`` the key of what it
    decides, ``request`` the question that it answers.
    """

    request: RequestType
    table: Table
    id: str
    number: int
    enabled: bool
    conditions: tuple[Condition, ...]
    outcome: str
    given: Given
    sources: Mapping[str, str]
    description: str

    def rule(self, outcome: RuleOutcome) -> Rule:
        """The rule with its outcome."""
        place = self.table.place
        return Rule(self.id, self.conditions, outcome, self.enabled, f"{place.file}:{place.line}", self.description)


@dataclass(frozen=True, slots=True)
class Written:
    """What is asked of a rule when all are read: where it is written, and the expressions behind its groups."""

    place: Place
    sources: Mapping[str, str]
    node: MappingNode = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeKey:
    """One thing that a rule can decide: its key, what reads the value, and a schema whose description says what it means.

    ``companions`` are keys that may stand beside it, with their schemas.
    """

    key: str
    read: Callable[[Heading, Material], RuleOutcome | None]
    schema: Schema
    companions: Mapping[str, Schema] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RuleSection:
    """What the language has for one question: the section with its rules, conditions as an example, and the outcomes."""

    name: str
    request: RequestType
    example: str
    outcomes: tuple[OutcomeKey, ...]

    @cached_property
    def outcome_keys(self) -> tuple[str, ...]:
        """The keys of which a rule has exactly one."""
        return tuple(outcome.key for outcome in self.outcomes)

    @cached_property
    def companions(self) -> Mapping[str, tuple[str, ...]]:
        """Keys that go with an outcome, each with the outcomes that it goes with."""
        keys = dict.fromkeys(key for outcome in self.outcomes for key in outcome.companions)
        return {key: tuple(outcome.key for outcome in self.outcomes if key in outcome.companions) for key in keys}

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Every key of a rule."""
        return (*COMMON, "when", *self.outcome_keys, *self.companions)

    def outcome(self, key: str) -> OutcomeKey:
        """The outcome with this key."""
        return self.outcomes[self.outcome_keys.index(key)]


def read_rule(
    table: Table, rule_id: str, number: int, section: RuleSection, material: Material
) -> tuple[Rule, Written] | None:
    """A rule, and what it was read from; ``None`` when it has no outcome that can be used."""
    heading = _read_heading(table, rule_id, number, section, material)
    outcome = section.outcome(heading.outcome).read(heading, material) if heading is not None else None
    if heading is None or outcome is None:
        return None
    return heading.rule(outcome), Written(table.place, heading.sources, table.node)


def _read_heading(table: Table, rule_id: str, number: int, section: RuleSection, material: Material) -> Heading | None:
    """Id, conditions, and which outcome; ``None`` when there is not exactly one outcome."""
    request = section.request
    table.finish(section.keys)
    description = table.text("description") or ""
    enabled = table.boolean("enabled", default=True)
    before = material.report.errors
    conditions = _read_when(table, rule_id, section, material)
    doubtful = material.report.errors > before
    names, sources = groups_of(conditions)
    _report_twice(names, table)
    has_names = bool(material.link_types) and "local_alias" in parameter_names(request)
    if has_names:
        sources = {**sources, **_SIGNED_NAMES} if sources else _SIGNED_NAMES
    given = Given(
        tuple(names), named_anywhere(conditions), fillable(request, has_names=has_names), doubtful, material.tables
    )
    found = [key for key in section.outcome_keys if key in table]
    if len(found) != 1:
        options = ", ".join(section.outcome_keys)
        has = f"has {listed(found)}" if found else "has none"
        table.error_at(table.place, f"a rule needs exactly one outcome ({options}) but this one {has}")
        return None
    for key, outcomes in section.companions.items():
        if key in table and found[0] not in outcomes:
            table.error_at(table.key_place(key), f"{key} goes with {listed(outcomes, 'or')}")
    return Heading(request, table, rule_id, number, enabled, conditions, found[0], given, sources, description)


def _report_twice(names: list[str], table: Table) -> None:
    """Reports placeholders that could mean two things."""
    twice = {name for name in names if names.count(name) > 1}
    tables = {name.partition(".")[0] for name in twice if "." in name}
    for name in sorted(tables):
        table.error(
            "when",
            f"table {shown(name)} is looked up twice in this rule, so its placeholders would be ambiguous; give the same "
            "file another name under tables for the second",
        )
    for name in sorted(name for name in twice if "." not in name):
        table.error(
            "when",
            f"named group {shown(name)} stands twice in this rule, so its placeholder would be ambiguous; rename one",
        )


def _read_when(table: Table, rule_id: str, section: RuleSection, material: Material) -> tuple[Condition, ...]:
    node = table.value("when")
    if node is None:
        return ()
    if not isinstance(node, MappingNode) or not node.entries:
        hint = "; leave it out if the rule shall always match" if not plain(node) else ""
        example = f"{{{section.example}}}"
        table.error("when", f"when must hold conditions such as {example} but is {shown_node(node)}{hint}")
        return ()
    scope = Scope(
        request=section.request,
        rule=rule_id,
        report=material.report,
        calendars=material.calendars,
        names=material.vocabulary.names,
        domains=frozenset(material.domains),
        link_types=material.link_types,
        used_calendars=material.used_calendars,
        tables=material.tables,
        used_tables=material.used_tables,
        known=material.conditions,
    )
    return read_conditions(node, scope)


def warn_of_no_call(heading: Heading, needed: Iterable[tuple[str, str]]) -> None:
    """Warns of identities that need a call, where callers may come without one; ``needed`` as in ``ServiceTemplate``."""
    if not heading.enabled or not without_call(heading.conditions):
        return
    found = dict(pair for pair in reversed(tuple(needed)) if pair[1] in NAMES and pair[1] in heading.given.others)
    if not found:
        return
    fields = listed(f"{field_name} needs {{{name}}}" for field_name, name in reversed(found.items()))
    heading.table.warning(
        heading.outcome,
        f"{fields}, which callers whom no link leads here do not have, so this rule fails for them; write link_type "
        "into its when",
    )


def report_faults(faults: Iterable[Fault], table: Table) -> None:
    """Reports what a node would not accept, each fault at its place below the table."""
    for fault in faults:
        place, message = placed(fault, table)
        table.error_at(place, message)

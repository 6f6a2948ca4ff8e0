"""A set of rules, compiled: all that ``evaluate`` needs, immutable."""

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final, Protocol, assert_never

from policy_server.pexip.fields import Named
from policy_server.pexip.request_types import RequestType
from policy_server.policy.appointments import Window
from policy_server.policy.calendars import Calendar
from policy_server.policy.candidates import CandidateIndex, build_index
from policy_server.policy.conditions import Condition, parameters_in, table_conditions
from policy_server.policy.decisions import Finding, Outcome, Trace
from policy_server.policy.directory import Directory
from policy_server.policy.facts import Facts
from policy_server.policy.link_aliases import AliasForm
from policy_server.policy.link_attributes import Declared
from policy_server.policy.masking import NameMask
from policy_server.policy.names import Call, Role
from policy_server.policy.recall import Recall
from policy_server.policy.services import FieldsTemplate, ServiceTemplate
from policy_server.policy.tables import LookupTable
from policy_server.policy.templates import Template
from policy_server.policy.upstreams import Upstream
from policy_server.telephony.trunks import Trunk


@dataclass(frozen=True, slots=True)
class ServeOutcome:
    """``room`` or ``service``."""

    service: ServiceTemplate = field(repr=False)


@dataclass(frozen=True, slots=True)
class RedirectOutcome:
    """``redirect``."""

    new_alias: Template


@dataclass(frozen=True, slots=True)
class RejectOutcome:
    """``reject``."""

    text: Template


@dataclass(frozen=True, slots=True)
class ContinueOutcome:
    """``continue: true``."""


@dataclass(frozen=True, slots=True)
class SetOutcome:
    """``set``."""

    properties: FieldsTemplate


@dataclass(frozen=True, slots=True)
class LocationOutcome:
    """``location`` and ``overflow_locations``."""

    location: str
    overflow_locations: tuple[str, ...]
    templates: tuple[Template, ...] = ()
    """All of them in order, where one comes from a table."""


@dataclass(frozen=True, slots=True)
class AllowOutcome:
    """``allow``."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ForwardOutcome:
    """``forward``."""

    upstream: Upstream


RuleOutcome = (
    ServeOutcome
    | RedirectOutcome
    | RejectOutcome
    | ContinueOutcome
    | SetOutcome
    | LocationOutcome
    | AllowOutcome
    | ForwardOutcome
)
"""What a rule decides; which of them a question can have is the rules language's to say."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when it matches and what it decides. ``place`` is where it is written, ``file:line``."""

    id: str
    conditions: tuple[Condition, ...]
    outcome: RuleOutcome
    enabled: bool = True
    place: str = ""
    description: str = ""
    """The author's note for people."""
    giving: tuple[Condition, ...] = field(init=False, repr=False, compare=False)
    """Those of the conditions that may give groups."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "giving", tuple(condition for condition in self.conditions if condition.gives))


def placeholders_of(rule: Rule) -> frozenset[str]:
    """Every placeholder of a rule: of what it decides, and of keys that it looks up."""
    keys = frozenset(name for table in table_conditions(rule.conditions, negated=True) for name in table.wanted.names)
    outcome = rule.outcome
    match outcome:
        case ServeOutcome():
            return keys | outcome.service.names
        case RedirectOutcome():
            return keys.union(outcome.new_alias.names)
        case RejectOutcome():
            return keys.union(outcome.text.names)
        case SetOutcome():
            return keys | outcome.properties.names
        case LocationOutcome():
            return keys.union(*(template.names for template in outcome.templates))
        case AllowOutcome() | ContinueOutcome() | ForwardOutcome():
            return keys
        case _:
            assert_never(outcome)


@dataclass(frozen=True, slots=True, repr=False)
class RuleList:
    """The rules of one question, in order; the first that matches wins."""

    rules: tuple[Rule, ...]
    index: CandidateIndex
    looked_at: Mapping[str, frozenset[str]]
    """By rule id the names of the parameters that this rule and those before it look at: what led callers to it."""

    def first_match(self, facts: Facts) -> tuple[Rule | None, Trace]:
        """The winner, if any, and how the search went."""
        missed: dict[int, Condition] = {}
        for number in self.index.candidates(facts):
            rule = self.rules[number]
            for condition in rule.conditions:
                if condition.holds(facts) is not True:
                    missed[number] = condition
                    break
            else:
                return rule, Trace(partial(self._rows, facts, number, missed))
        return None, Trace(partial(self._rows, facts, None, missed))

    def _rows(self, facts: Facts, winner: int | None, missed: Mapping[int, Condition]) -> Iterator[Finding]:
        for number, rule in enumerate(self.rules):
            if not rule.enabled:
                yield Finding(rule.id, Outcome.NOT_EVALUATED, reason="the rule is disabled")
            elif winner is not None and number > winner:
                yield Finding(rule.id, Outcome.NOT_EVALUATED, reason="an earlier rule matched")
            elif number == winner:
                yield Finding(rule.id, Outcome.HIT, reason="every condition holds")
            else:
                # Of a rule that was no candidate nobody has asked yet, which condition is the first to miss.
                condition = missed.get(number) or next(
                    condition for condition in rule.conditions if condition.holds(facts) is not True
                )
                yield Finding(rule.id, Outcome.MISS, condition.key, condition.miss(facts))


def rule_list(rules: tuple[Rule, ...]) -> RuleList:
    """Indexes rules; raises PatternError when their patterns need too much memory together."""
    looked_at: dict[str, frozenset[str]] = {}
    so_far: frozenset[str] = frozenset()
    for rule in rules:
        names = frozenset(parameters_in(rule.conditions)) if rule.enabled else frozenset()
        so_far = so_far if so_far >= names else so_far | names
        looked_at[rule.id] = so_far
    return RuleList(rules, build_index([rule.conditions if rule.enabled else None for rule in rules]), looked_at)


def rules_of_other_rooms(rules: RuleList) -> RuleList | None:
    """What ``Ruleset.of_other_rooms`` is for some service rules, which keep their numbers."""
    if not any(isinstance(rule.outcome, ForwardOutcome) and rule.enabled for rule in rules.rules):
        return None
    asked = (rule.enabled and isinstance(rule.outcome, ForwardOutcome | ContinueOutcome) for rule in rules.rules)
    return rule_list(tuple(replace(rule, enabled=is_asked) for rule, is_asked in zip(rules.rules, asked, strict=True)))


@dataclass(frozen=True, slots=True)
class DateWords:
    """How a language writes a time: the names of days, Monday first, and of months, and their order."""

    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    pattern: string.Template

    def write(self, moment: datetime) -> str:
        """A time in words, in its own zone; hours from 00 to 23."""
        return self.pattern.substitute(
            weekday=self.weekdays[moment.weekday()],
            day=moment.day,
            month=self.months[moment.month - 1],
            year=moment.year,
            time=f"{moment:%H:%M}",
        )


@dataclass(frozen=True, slots=True, repr=False)
class PageTemplates:
    """What a folder has for the pages about a shut door: a document around them, texts by page and language, and how
    languages write a time. Any of it may be absent: the pages that come with the server stand in for it.
    """

    layout: string.Template | None
    texts: Mapping[str, Mapping[str, string.Template]]
    dates: Mapping[str, DateWords]


NO_TEMPLATES: Final = PageTemplates(None, {}, {})


@dataclass(frozen=True, slots=True)
class LinkType:
    """A kind of customer link: the aliases it makes, how long it lives (seconds), the URL of the web app, and the pages
    that its customers see when the door is shut.
    """

    name: str
    alias: Template
    agent_alias: Template | None
    ttl: int
    url: Template | None
    forms: tuple[AliasForm, ...]
    """What recognises its aliases: the customer's, and the agents' if there is one."""
    templates: PageTemplates = NO_TEMPLATES
    attributes: Declared | None = None
    """What its links can be given; ``None``: anything."""
    window: Window | None = None
    """Of links with a time: when their door is open."""
    joins: str = ""
    """The type of link into whose rooms these lead; ``""`` for one that has rooms of its own."""

    def customers_alias(self, call: Call) -> str:
        """What the customer of a call dials."""
        return self.alias.render({Role.SESSION.value: call.session})

    def agents_alias(self, call: Call) -> str:
        """What the agents of a call dial; ``""`` where they have no alias of their own."""
        if self.agent_alias is None:
            return ""
        (name,) = self.agent_alias.names
        return self.agent_alias.render({name: call.name(Role(name))})


@dataclass(frozen=True, slots=True, repr=False)
class Ruleset:
    """Everything that the rules folder says. ``revision`` names its content; ``lists`` has the questions that rules answer."""

    revision: str
    domains: frozenset[str]
    lists: Mapping[RequestType, RuleList]
    directory: Directory
    links: Mapping[str, LinkType]
    alias_forms: tuple[AliasForm, ...]
    mask: NameMask
    recall: Recall
    pictures: Mapping[str, bytes]
    calendars: Mapping[str, Calendar]
    trunks: Mapping[str, Trunk]
    upstreams: Mapping[str, Upstream]
    tables: Mapping[str, LookupTable]
    places: Mapping[str, Mapping[str, str]]
    """Where that is written which has a name, ``file:line``, by section (``trunks``, ``rooms``, …) and name."""
    names: Mapping[Named, frozenset[str]]
    """The names that exist in the deployment, as far as the rules list them."""
    of_other_rooms: RuleList | None
    """The rules for calls out of rooms that are not ours: of the service rules those that forward or continue. ``None`` where
    none forwards: then all such calls are Pexip's."""

    @property
    def joining_forms(self) -> tuple[AliasForm, ...]:
        """The aliases of those who come into the room of another link."""
        return tuple(form for form in self.alias_forms if form.joins)

    @property
    def count(self) -> int:
        """How many rules there are, disabled ones included."""
        return sum(len(rules.rules) for rules in self.lists.values())


class Rules(Protocol):
    """Whoever has the rules that run."""

    @property
    def ruleset(self) -> Ruleset:
        """The rules of this moment; a request takes them once."""

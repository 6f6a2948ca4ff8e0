"""A new condition is a class and a row. These classes and rows are here, and no other file knows of them.

Two things of a real one the tests leave out: its name in the union ``Condition``, of whose absence mypy speaks where the
row's reader returns it (``type: ignore`` below), and the row in the table itself, in whose place the table is replaced.
"""

from collections.abc import Collection
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, get_args

import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.policy.condition_base import BaseCondition, Composite, OneOf
from policy_server.policy.conditions import Condition, walk
from policy_server.policy.facts import Facts
from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles import conditions
from policy_server.rulefiles.condition_values import ConditionKey, Scope, one, one_or_more, read_texts
from policy_server.rulefiles.conditions import CONDITIONS, condition_keys, read_branches
from policy_server.rulefiles.reader import Table
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.rulefiles.schema import rule_file_schema
from tests.rule_sets import ask, load
from tests.rulefiles.condition_samples import TABLES, sample
from tests.rulefiles.faults import problems
from tests.rulefiles.structures import as_yaml


@dataclass(frozen=True, slots=True)
class YearIs(BaseCondition):
    """The least that a condition needs: what it asks for, whether it holds, why not, and which parameters it looks at."""

    year: int

    key = "toy_year"
    looks_at = ()

    @property
    def words(self) -> str:
        """The year."""
        return f"the year is {self.year}"

    def holds(self, facts: Facts) -> bool:
        """Whether it is that year."""
        return facts.now.year == self.year

    def miss(self, facts: Facts) -> str:
        """The year that it is."""
        return f"the year is {facts.now.year}, not {self.year}"


@dataclass(frozen=True, slots=True)
class WeekdayIs(OneOf[str]):
    """A condition by a list of values: the rest follows from what the question's value is."""

    values: frozenset[str]

    key = "toy_weekday"
    looks_at = ()

    def actual(self, facts: Facts) -> str:
        """The day as it is written."""
        return f"{facts.now:%a}".lower()

    def found(self, facts: Facts) -> str:
        """The day."""
        return f"it is {self.actual(facts)}"


@dataclass(frozen=True, slots=True)
class TwoOf(Composite):
    """A condition made of others: what becomes of them, and why it missed."""

    conditions: tuple[Condition, ...]

    key = "toy_two_of"
    words = "two of its conditions hold"

    def combine(self, results: Collection[bool | None]) -> bool | None:
        """Whether two hold, or may."""
        results = list(results)
        if results.count(True) >= 2:
            return True
        return None if results.count(True) + results.count(None) >= 2 else False

    def miss(self, facts: Facts) -> str:
        """Why those missed that did."""
        missed = [condition for condition in self.conditions if condition.holds(facts) is not True]
        return f"fewer than two hold: {'; '.join(condition.miss(facts) for condition in missed)}"


def _read_year(key: str, table: Table, scope: Scope) -> Condition | None:
    text = table.written(key)
    return YearIs(int(text)) if text else None  # type: ignore[return-value]


def _read_weekday(key: str, table: Table, scope: Scope) -> Condition | None:
    days = [text for text, _ in read_texts(key, table, "a day")]
    return WeekdayIs(frozenset(days)) if days else None  # type: ignore[return-value]


def _read_two_of(key: str, table: Table, scope: Scope) -> Condition | None:
    branches = read_branches(key, table, scope)
    if not branches:
        return None
    return TwoOf(tuple(condition for branch in branches for condition in branch))  # type: ignore[return-value]


CALLS: Final = frozenset({RequestType.SERVICE})
ROWS: Final = (
    ConditionKey("toy_year", "The year that it must be.", CALLS, _read_year, one(type="integer")),
    ConditionKey("toy_weekday", "The day.", CALLS, _read_weekday, one_or_more({"enum": ["mon", "tue"]})),
    ConditionKey(
        "toy_two_of",
        "At least two of these hold.",
        CALLS,
        _read_two_of,
        lambda meaning, here: {"description": meaning, "type": "array", "items": here, "minItems": 2},
    ),
)


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {**CONDITIONS, **{row.key: row for row in ROWS}}
    monkeypatch.setattr(conditions, "CONDITIONS", MappingProxyType(table))


CALENDARS: Final = "calendars: { hours: { timezone: America/Chicago, open: { mon: ['08:00-18:00'] } } }\n"


def rules(*whens: str) -> Ruleset:
    """Compile rules with these conditions, in this order."""
    written = "".join(f"  - {{ id: r{n}, when: {when}, continue: true }}\n" for n, when in enumerate(whens))
    return load(f"{CALENDARS}service:\n{written}")


@pytest.mark.parametrize(
    ("when", "fields", "reason"),
    [
        pytest.param("{ toy_year: 2026 }", {}, "", id="simple"),
        pytest.param("{ toy_year: 2027 }", {}, "the year is 2026, not 2027", id="simple, missed"),
        pytest.param("{ toy_weekday: [sun, mon] }", {}, "", id="of values"),
        pytest.param("{ toy_weekday: [tue, fri] }", {}, "it is mon, not fri or tue", id="of values, missed"),
        pytest.param("{ not: { toy_weekday: mon } }", {}, "toy_weekday holds", id="in not"),
        pytest.param("{ any: [{ toy_weekday: tue }, { toy_year: 2026 }] }", {}, "", id="in any"),
        pytest.param(
            "{ toy_two_of: [{ toy_weekday: mon }, { protocol: sip }, { toy_year: 2027 }] }",
            {"protocol": "sip"},
            "",
            id="made of others",
        ),
        pytest.param(
            "{ toy_two_of: [{ toy_weekday: mon }, { registered: true }] }",
            {"registered": "maybe"},
            "fewer than two hold: registered is 'maybe', not True",
            id="made of others, missed",
        ),
        pytest.param(
            "{ not: { toy_two_of: [{ toy_weekday: mon }, { registered: true }] } }",
            {"registered": "maybe"},
            "toy_two_of cannot be read",
            id="made of others, unreadable",
        ),
    ],
)
def test_it_is_read_and_decides_and_its_miss_is_explained(when: str, fields: dict[str, Any], reason: str) -> None:
    """From the text of a rule to the finding that ``explain`` shows."""
    decision = ask(rules(when), "service", **fields)
    (finding,) = decision.trace.findings()
    assert (decision.rule, finding.reason) == ("r0", "every condition holds") if not reason else (None, reason)


def test_editors_know_it() -> None:
    """The schema has the key with its meaning, for the questions that it is for, and messages list it."""
    definitions = rule_file_schema()["$defs"]
    assert isinstance(definitions, dict)
    fields = definitions["service_when"]["properties"]
    assert [fields[row.key]["description"] for row in ROWS] == [row.meaning for row in ROWS]
    assert fields["toy_two_of"]["items"] == {"$ref": "#/$defs/service_when"}
    assert not {row.key for row in ROWS} & definitions["location_when"]["properties"].keys()
    assert problems("locations: [{ id: a, when: { toy_weekday: mon }, continue: true }]") == [
        "rules/x.yaml:1:30: error: rule 'a': a location question has no toy_weekday, so the rule would never match"
    ]


def test_what_it_is_made_of_is_walked() -> None:
    """Parameters, calendars and groups inside of a new composite are found; that it gives groups, it would have to say."""
    inner = "[{ toy_weekday: mon }, { not: { open: hours, local_alias: 'a(?P<x>.)' } }, { vendor: '(?P<y>.*)' }]"
    ruleset = rules(f"{{ toy_two_of: {inner} }}")
    (rule,) = ruleset.lists[RequestType.SERVICE].rules
    keys = [condition.key for condition in walk(rule.conditions)]
    assert keys == ["toy_two_of", "toy_weekday", "not", "open", "local_alias", "vendor"]
    assert ruleset.lists[RequestType.SERVICE].looked_at["r0"] == {"local_alias", "vendor"}
    assert [calendar.name for condition in walk(rule.conditions) for calendar in condition.calendars] == ["hours"]


@pytest.mark.parametrize(
    ("first", "second", "covered"),
    [
        pytest.param("{ toy_weekday: [mon, tue] }", "{ toy_weekday: mon, protocol: sip }", True, id="more values"),
        pytest.param("{ toy_weekday: mon }", "{ toy_weekday: [mon, tue] }", False, id="fewer values"),
        pytest.param("{ toy_year: 2026 }", "{ toy_year: 2026, protocol: sip }", True, id="the same"),
        pytest.param("{ toy_year: 2026 }", "{ toy_year: 2027 }", False, id="another"),
        pytest.param(
            "{ protocol: api }", "{ toy_weekday: mon, all: [{ toy_weekday: tue }] }", True, id="against itself"
        ),
    ],
)
def test_rules_that_can_never_match_are_told(first: str, second: str, covered: bool) -> None:
    """A rule that another covers, or whose conditions exclude each other, is warned of as for any condition."""
    written = f"service: [{{ id: a, when: {first}, reject: x }}, {{ id: b, when: {second}, reject: x }}]"
    assert any("rule 'b': can never match" in problem for problem in problems(written)) is covered


def test_every_class_of_the_union_has_a_row() -> None:
    """A class that no key makes could not be written in any rule."""
    made = set[type]()
    for section in RULE_SECTIONS:
        own = {key: sample(key) for key in condition_keys(section.request) if key not in {row.key for row in ROWS}}
        rule = {"id": "all", "when": own, "continue": True}
        ruleset = load(
            as_yaml(
                {
                    section.name: [rule],
                    "links": {"patient": {"alias": "mp{session}"}},
                    "calendars": {"hours": {"timezone": "UTC", "open": {"mon": ["08:00-18:00"]}}},
                    "tables": {"offices": "tables/offices.csv"},
                }
            ).decode(),
            tables={path: sheet.decode() for path, sheet in TABLES.items()},
        )
        made |= {type(condition) for condition in walk(ruleset.lists[section.request].rules[0].conditions)}
    assert made == set(get_args(Condition))

"""What ``when`` becomes, and what is said about a condition that cannot be."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.parameters import parameters_of
from policy_server.pexip.request_types import RequestType
from policy_server.policy.conditions import (
    AllOf,
    Condition,
    DoorIs,
    LinkIs,
    LinkTypeIs,
    NotAllOf,
    parameters_in,
)
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import LinkState
from policy_server.policy.parameter_conditions import AddressIn, TextMatches
from policy_server.rulefiles import conditions
from policy_server.rulefiles.conditions import CONDITIONS, condition_keys
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.rulefiles.rules import RuleSection
from tests.rulefiles.condition_samples import TABLES, sample
from tests.rulefiles.faults import Fault, check, each_fault, load
from tests.rulefiles.structures import as_yaml

LINKS = {"patient": {"alias": "mp{session}"}}
OFFICES = {"offices": "tables/offices.csv"}
CALENDARS = {"hours": {"timezone": "UTC", "open": {"mon": ["08:00-18:00"]}}}


def conditions_of(when: object, section: str = "service", outcome: str = "continue") -> tuple[Condition, ...]:
    """Load one rule with this ``when``; problems fail the test."""
    rule = {"id": "patient", "when": when, outcome: True}
    loaded = load(as_yaml({section: [rule], "links": LINKS, "calendars": CALENDARS, "tables": OFFICES}), tables=TABLES)
    told = [str(problem) for problem in loaded.problems]
    assert [each for each in told if "is not used" not in each and "no service rule serves" not in each] == []
    assert loaded.ruleset is not None
    (conditions,) = (rule.conditions for rules in loaded.ruleset.lists.values() for rule in rules.rules)
    return conditions


@each_fault("conditions")
def test_conditions_give_exactly_these_problems(fault: Fault) -> None:
    """Every fault of a condition is told in these words."""
    check(fault)


@pytest.mark.parametrize("section", RULE_SECTIONS, ids=lambda section: section.name)
def test_every_parameter_of_a_question_can_be_a_condition(section: RuleSection) -> None:
    """Every parameter that a question carries, with a value of its kind, becomes a condition that looks at it."""
    when = {parameter.name: sample(parameter.name) for parameter in parameters_of(section.request)}
    found = conditions_of(when, section.name)
    assert [condition.key for condition in found] == list(when)
    assert list(parameters_in(found)) == list(when)


def test_conditions_stand_in_the_order_of_the_rule() -> None:
    """Traces name the first condition that missed, so the order of the file is kept."""
    when = {"any": [{"protocol": "sip"}], "link": "valid", "open": "hours", "local_alias": "mp.*", "percent": 5}
    assert [condition.key for condition in conditions_of(when)] == ["any", "link", "open", "local_alias", "percent"]


def test_conditions_on_links() -> None:
    """A word or a list of words becomes a condition on the alias's link type, door or state, also within a group."""
    found = conditions_of({"link_type": "patient", "door": ["customer", "agent"], "link": ["valid", "early"]})
    assert found == (
        LinkTypeIs(frozenset({"patient"})),
        DoorIs(frozenset(Entrance)),
        LinkIs(frozenset({LinkState.VALID, LinkState.EARLY})),
    )
    (negation,) = conditions_of({"not": {"door": "agent"}}, "participants")
    assert negation == NotAllOf((DoorIs(frozenset({Entrance.AGENT})),))


@pytest.mark.parametrize(
    ("when", "sources"),
    [
        pytest.param({"link_attributes": {"queue": "a"}}, ["link_attributes.queue"], id="one attribute"),
        pytest.param(
            {"link_attributes": {"queue": ["a", "b"], "language": "c"}},
            ["link_attributes.queue", "link_attributes.language"],
            id="two attributes",
        ),
        pytest.param({"idp_attributes": {"any": "a"}}, ["idp_attributes.any"], id="an attribute named like a group"),
    ],
)
def test_attributes_must_all_match(when: object, sources: list[str]) -> None:
    """Each attribute is a condition of its own, and all of them must hold."""
    (condition,) = conditions_of(when, "participants")
    texts = condition.conditions if isinstance(condition, AllOf) else (condition,)
    assert [text.source.key for text in texts if isinstance(text, TextMatches)] == sources


def test_a_list_of_nots_excludes_each() -> None:
    """``not: [a, b]`` is neither a nor b; ``not: {a, b}`` is not both."""
    (neither,) = conditions_of({"not": [{"protocol": "sip"}, {"registered": True}]})
    assert isinstance(neither, AllOf)
    assert [type(part) for part in neither.conditions] == [NotAllOf, NotAllOf]
    (not_both,) = conditions_of({"not": {"protocol": "sip", "registered": True}})
    assert isinstance(not_both, NotAllOf)
    assert [part.key for part in not_both.conditions] == ["protocol", "registered"]


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.20.0.0/16", "10.20.0.0/16"),
        (" 10.20.0.1 ", "10.20.0.1/32"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_is_compared_as_the_addresses_of_questions_are(text: str, network: str) -> None:
    """An IPv4 network that is written as IPv6 is the IPv4 network, since a node's addresses are read alike."""
    (condition,) = conditions_of({"remote_address": text})
    assert isinstance(condition, AddressIn)
    assert list(map(str, condition.networks)) == [network]


def test_not_even_an_error_of_ours_drops_a_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition that becomes nothing without a word refuses the rules."""
    row = replace(CONDITIONS["registered"], read=lambda *_: None)
    monkeypatch.setattr(conditions, "CONDITIONS", {"registered": row})
    loaded = load("service: [ { id: patient, when: { registered: true }, reject: x } ]")
    assert [str(problem) for problem in loaded.problems] == [
        "rules/x.yaml:1:47: error: rule 'patient': registered cannot be read"
    ]


_EMPTY: st.SearchStrategy[object] = st.sampled_from([None, [], {}, "", [None], [[]], [{}], {"": None}])


@given(st.sampled_from(list(RequestType)), st.data())
def test_an_empty_condition_is_never_dropped(request_type: RequestType, data: st.DataObject) -> None:
    """Whatever the key, a condition that says nothing refuses the rules: without it the rule would match more."""
    section = {
        RequestType.SERVICE: "service",
        RequestType.PARTICIPANT: "participants",
        RequestType.LOCATION: "locations",
    }.get(request_type, "registrations")
    known = condition_keys(RequestType.REGISTRATION if section == "registrations" else request_type)
    key, value = data.draw(st.sampled_from(known)), data.draw(_EMPTY)
    rule = {"id": "patient", "when": {key: value}, "continue": True}
    loaded = load(as_yaml({section: [rule], "links": LINKS, "calendars": CALENDARS, "tables": OFFICES}), tables=TABLES)
    assert loaded.ruleset is None
    assert {problem.rule for problem in loaded.errors} == {"patient"}

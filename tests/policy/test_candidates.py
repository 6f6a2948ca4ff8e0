"""The index names every rule that can match a question, and few others."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.pexip.request_types import RequestType
from policy_server.policy.ruleset import RuleList, Ruleset
from tests.policy.strategies import Expression, calls, expressions, rule_lists
from tests.rule_sets import SESSION, facts, load


def candidates(ruleset: Ruleset, **fields: str) -> list[int]:
    """The service rules that the index names."""
    return list(ruleset.lists[RequestType.SERVICE].index.candidates(facts("service", ruleset, **fields)))


def matching(rules: RuleList, ruleset: Ruleset, **fields: str) -> list[int]:
    """The enabled rules all of whose conditions hold, found by asking each."""
    asked = facts("service", ruleset, **fields)
    return [
        number
        for number, rule in enumerate(rules.rules)
        if rule.enabled and all(condition.holds(asked) is True for condition in rule.conditions)
    ]


@pytest.mark.slow
@given(rules=rule_lists, fields=calls)
@settings(max_examples=150, deadline=None)
def test_no_match_is_left_out(rules: list[dict[str, Any]], fields: dict[str, str]) -> None:
    """Every rule that matches is among the candidates, which come in the order of the list, once each."""
    ruleset = load(json.dumps({"domains": ["video.example.com"], "service": rules}))
    found = candidates(ruleset, **fields)
    assert found == sorted(set(found))
    assert set(matching(ruleset.lists[RequestType.SERVICE], ruleset, **fields)) <= set(found)


@pytest.mark.slow
@given(written=st.lists(expressions().filter(lambda made: made.text), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_no_match_of_any_expression_is_left_out(written: list[Expression]) -> None:
    """Literals, prefixes, alternatives, classes, flags and letters of any language: none is left out."""
    rules = [
        {"id": f"rule-{number}", "when": {name: made.text}, "continue": True}
        for number, made in enumerate(written)
        for name in [("vendor", "local_alias")[number % 2]]
    ]
    ruleset = load(json.dumps({"service": rules}))
    for made in written:
        fields = {"vendor": made.sample, "local_alias": made.sample}
        assert set(matching(ruleset.lists[RequestType.SERVICE], ruleset, **fields)) <= set(
            candidates(ruleset, **fields)
        )


def many(when: str, number: int = 500) -> Ruleset:
    """Compile many rules that differ by their number."""
    return load(
        "service:\n"
        + "".join(f"  - {{ id: r-{n}, when: {{ {when.format(n=n)} }}, continue: true }}\n" for n in range(number))
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "fields"),
    [
        ("local_alias: 'mp.*', location: Place {n}", {"local_alias": "mp1", "location": "Place 77"}),
        ("location: Place, local_alias: desk-{n}", {"local_alias": "sip:Desk-77", "location": "Place"}),
        ("location: Place, local_alias: 'desk-{n}-.*'", {"local_alias": "desk-77-x", "location": "Place"}),
        ("local_alias: '.*-{n}'", {"local_alias": "desk-77"}),
        ("local_alias: 'mp.*', remote_address: 10.0.{n}.0/24", {"local_alias": "mp1", "remote_address": "10.0.77.9"}),
        ("protocol: sip, registered: true, vendor: v{n}", {"protocol": "sip", "registered": "True", "vendor": "v77"}),
        ("local_alias: ['desk-{n}', front], location: Place {n}", {"local_alias": "front", "location": "Place 77"}),
        ("local_alias: ['desk-{n}', 'bureau-{n}'], protocol: sip", {"local_alias": "bureau-77", "protocol": "sip"}),
    ],
    ids=["location", "literal", "prefix", "wildcard", "network", "vendor", "partly shared list", "list"],
)
def test_rules_are_filed_by_their_rarest_condition(when: str, fields: dict[str, str]) -> None:
    """Of 500 rules (250 networks) that share all but one condition, one is a candidate."""
    assert candidates(many(when, 250 if "10.0." in when else 500), **fields) == [77]


def test_shared_conditions() -> None:
    """Rules that share every condition are all candidates, in order."""
    assert candidates(many("local_alias: 'mp.*'", 20), local_alias="mp1") == list(range(20))
    assert candidates(many("local_alias: 'mp.*'", 20), local_alias="hcp1") == []


def test_rules_without_an_indexed_condition() -> None:
    """A rule with no condition, or only with those that are not indexed, is always a candidate; a disabled one never."""
    ruleset = load(
        """
        service:
          - { id: exact, when: { local_alias: desk }, continue: true }
          - { id: bandwidth, when: { bandwidth: 64 }, continue: true }
          - { id: negated, when: { not: { local_alias: desk } }, continue: true }
          - { id: off, enabled: false, when: { local_alias: desk }, continue: true }
          - { id: all-off, enabled: false, continue: true }
          - { id: everything, continue: true }
        """
    )
    assert candidates(ruleset, local_alias="desk") == [0, 1, 2, 5]
    assert candidates(ruleset) == [1, 2, 5]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.0.0.1", [0, 1, 2]),
        ("10.9.0.1", [0, 2]),
        ("::ffff:10.0.0.1", [0, 1, 2]),
        ("2001:db8::1", [3]),
        ("2001:db9::1", []),
        ("0.0.0.1", [2]),
        ("nonsense", []),
        ("", []),
    ],
)
def test_networks(address: str, found: list[int]) -> None:
    """Networks of any length and both families are looked up; one family never finds the other."""
    ruleset = load(
        """
        service:
          - { id: ten, when: { remote_address: 10.0.0.0/8 }, continue: true }
          - { id: host, when: { remote_address: 10.0.0.1 }, continue: true }
          - { id: any-four, when: { remote_address: 0.0.0.0/0 }, continue: true }
          - { id: six, when: { remote_address: ['2001:db8::/32', '::1'] }, continue: true }
        """
    )
    assert candidates(ruleset, remote_address=address) == found


def test_rules_are_filed_by_link_type() -> None:
    """Of as many rules as link types, one is a candidate for an alias of a link, and none for another alias."""
    links = "".join(f"  type-{n}: {{ alias: 't{n}-{{session}}' }}\n" for n in range(20))
    rules = "".join(f"  - {{ id: r-{n}, when: {{ link_type: type-{n} }}, continue: true }}\n" for n in range(20))
    ruleset = load(f"links:\n{links}service:\n{rules}")
    assert candidates(ruleset, local_alias=f"t7-{SESSION}") == [7]
    assert candidates(ruleset, local_alias="desk") == []

"""Rules that can never match: that they are found, and that none is called so that could win."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import encode_query, parse_request
from policy_server.policy.evaluate import evaluate
from policy_server.policy.names import Keyring
from tests.rulefiles.faults import NOW, Fault, check, each_fault, load
from tests.rulefiles.structures import as_yaml

KEYRING = Keyring(b"the secret key of every test of rules")
EXPRESSIONS = (
    *[".*", ".+", "(.*)", "(?s).*", "(?P<g>.*)", "(?:.+)", "a.*", "ab.*", "a", "ab", "abc", "a[bc]", "a[bc].*", "b.*"],
    *[
        "a|b",
        "ab|b.*",
        r"a\.*",
        r"a\..*",
        r"a\\.*",
        "(?i)a.*",
        "(?i)AB",
        "ab?.*",
        "ab*",
        r"\Qa.\E.*",
        r"\.*",
        "a.*b",
        "A.*",
    ],
    *["é.*", "éa", "[^a].*", "(a).*", "a{2}.*", "aa.*", "", "^a.*", "a$", "a.*$"],
)
TEXTS = (
    "a",
    "ab",
    "abc",
    "aa",
    "aab",
    "b",
    "ba",
    "bb",
    "a.",
    "a..b",
    "a\\b",
    "A",
    "AB",
    "é",
    "éa",
    "c",
    "x",
    "a\nb",
    "",
)
NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0")
ADDRESSES = ("10.1.2.3", "10.1.9.9", "10.9.9.9", "192.0.2.1", "2001:db8::1", "::ffff:10.1.2.3", "x", "")


def some(values: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """One of some words, or a few."""
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=2)


_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "local_alias": some(EXPRESSIONS),
    "remote_display_name": some(EXPRESSIONS),
    "p_Asserted-Identity": some(EXPRESSIONS),
    "link_attributes": st.fixed_dictionaries({"a": some(EXPRESSIONS)}),
    "protocol": some(("sip", "api", "h323")),
    "call_direction": some(("dial_in", "non_dial")),
    "registered": st.booleans(),
    "remote_port": st.integers(1, 3) | st.lists(st.integers(1, 3), min_size=1, max_size=2),
    "remote_address": some(NETWORKS),
    "location": some(("London", "Oslo")),
    "percent": st.sampled_from([0, 50, 100]),
    "link": some(("invalid", "absent")),
    "open": st.sampled_from(["always", "never"]),
    "closed": st.sampled_from(["always", "never"]),
}
_simple = st.lists(st.sampled_from(sorted(_PLAIN)), min_size=1, max_size=2, unique=True).flatmap(
    lambda keys: st.fixed_dictionaries({key: _PLAIN[key] for key in keys})
)
_when = st.builds(
    lambda plain, groups: {**plain, **groups},
    _simple,
    st.just({})
    | st.fixed_dictionaries({"not": _simple})
    | st.fixed_dictionaries({"any": st.lists(_simple, min_size=1, max_size=2)})
    | st.fixed_dictionaries({"all": st.lists(_simple, min_size=1, max_size=2)}),
)
_rules = st.lists(
    st.fixed_dictionaries({"when": _when}, optional={"enabled": st.sampled_from([True, True, False])}),
    min_size=1,
    max_size=5,
)
_questions = st.fixed_dictionaries(
    {},
    optional={
        "local_alias": st.sampled_from(TEXTS),
        "remote_display_name": st.sampled_from(TEXTS),
        "p_Asserted-Identity": st.lists(st.sampled_from(["a", "ab", "b", "c"]), max_size=3).map(
            lambda values: "[" + ", ".join(f'"{value}"' for value in values) + "]"
        ),
        "protocol": st.sampled_from(["sip", "api", "h323", "SIP", "x"]),
        "call_direction": st.sampled_from(["dial_in", "non_dial"]),
        "registered": st.sampled_from(["True", "False", "x"]),
        "remote_port": st.sampled_from(["1", "2", "3", "x"]),
        "remote_address": st.sampled_from(ADDRESSES),
        "location": st.sampled_from(["London", "Oslo"]),
    },
)
SECTIONS = {
    "links": {"patient": {"alias": "a{session}"}},
    "calendars": {
        "always": {"timezone": "UTC", "open": {"mon-sun": ["00:00-24:00"]}},
        "never": {"timezone": "UTC", "open": {}},
    },
}


@each_fault("coverage")
def test_rules_that_can_never_match_give_exactly_these_problems(fault: Fault) -> None:
    """Every kind of rule that can never match is told in these words, and rules that can are not called so."""
    check(fault)


def warned(rules: list[dict[str, Any]], section: str, outcome: str) -> tuple[set[str], Any]:
    """Load rules, and give the ids of those that are said never to match."""
    numbered = [{"id": f"r{number}", outcome: "x", **rule} for number, rule in enumerate(rules)]
    loaded = load(as_yaml({**SECTIONS, section: numbered}))
    if loaded.ruleset is None:
        return set(), None
    return {
        problem.rule for problem in loaded.problems if problem.message.startswith("can never match")
    }, loaded.ruleset


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(_rules, st.lists(st.tuples(_questions, st.sampled_from(TEXTS)), min_size=10, max_size=30))
def test_a_rule_that_can_never_match_never_wins(
    rules: list[dict[str, Any]], questions: list[tuple[dict[str, str], str]]
) -> None:
    """No question is answered by a rule that the checker says can never match."""
    never, ruleset = warned(rules, "service", "reject")
    event(f"{len(never)} rules can never match")
    for fields, attribute in questions if never else ():
        request = parse_request(RequestType.SERVICE, encode_query(fields).encode())
        decision = evaluate(ruleset, request, NOW, KEYRING, {"a": attribute})
        assert decision.rule not in never


@settings(max_examples=60, deadline=None)
@given(
    st.lists(some(EXPRESSIONS), min_size=2, max_size=5),
    st.lists(st.sampled_from([*TEXTS, "sip:a@b.example", "a@b.example"]), min_size=5),
)
def test_a_registration_rule_that_can_never_match_never_wins(expressions: list[Any], aliases: list[str]) -> None:
    """The alias of a device counts with and without our domain, and the checker allows for it."""
    rules = [{"id": f"r{n}", "when": {"alias": text}, "allow": True} for n, text in enumerate(expressions)]
    loaded = load(as_yaml({"domains": ["b.example"], "registrations": rules}))
    if loaded.ruleset is None:
        return
    never = {problem.rule for problem in loaded.problems if "can never match" in problem.message}
    for alias in aliases:
        request = parse_request(RequestType.REGISTRATION, b"", alias)
        assert evaluate(loaded.ruleset, request, NOW, KEYRING).rule not in never


@settings(max_examples=60, deadline=None)
@given(_when, _simple)
def test_a_rule_with_more_conditions_than_an_earlier_one_is_found(when: dict[str, Any], more: dict[str, Any]) -> None:
    """What an earlier rule demands and a later one demands too, with anything else, leaves the later one nothing."""
    if "percent" in str(when):
        return  # Each rule draws its own share of calls.
    both = {**more, **when}
    never, ruleset = warned([{"when": when}, {"when": both}], "service", "reject")
    assert ruleset is None or "r1" in never


def test_rules_of_a_long_list_are_compared_by_what_they_share() -> None:
    """A rule at the end of a long list is still found to be covered by one at its beginning."""
    rules = "".join(f"  - {{ id: r{n}, when: {{ local_alias: 'tenant{n}-.*' }}, reject: x }}\n" for n in range(2000))
    loaded = load(f"service:\n{rules}  - {{ id: last, when: {{ local_alias: 'tenant7-desk' }}, reject: x }}\n")
    (problem,) = loaded.problems
    assert re.match(r"can never match: rule 'r7' \(rules/x\.yaml:9:5\) matches", problem.message)

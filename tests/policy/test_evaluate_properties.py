"""Any question gets one decision, the one that reading the rules one after another would give."""

import json
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import orjson
import pytest
import re2
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policy_server.pexip.properties import check_properties
from policy_server.pexip.query import QuestionError
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import parse_request
from policy_server.pexip.services import check_service
from policy_server.policy.answers import render_answer
from policy_server.policy.decisions import (
    Decision,
    ListEntries,
    Serve,
    SetProperties,
    ShowPicture,
)
from policy_server.policy.evaluate import evaluate
from tests.policy.clinic import CLINIC
from tests.policy.strategies import calls, conditions, queries, rule_lists
from tests.rule_sets import KEYRING, NOON, ask, load


def reads(when: Mapping[str, Any], fields: Mapping[str, str]) -> bool | None:
    """The conditions of a description, read with RE2, ipaddress and Python alone."""
    return both([reads_one(key, wanted, fields) for key, wanted in when.items()])


def both(results: list[bool | None]) -> bool | None:
    """All of three-valued results."""
    return False if False in results else None if None in results else True


def reads_one(key: str, wanted: Any, fields: Mapping[str, str]) -> bool | None:
    """One condition of a description."""
    if key == "not":
        inner = reads(wanted, fields)
        return None if inner is None else not inner
    if key == "any":
        inverse = [None if (result := reads(branch, fields)) is None else not result for branch in wanted]
        inner = both(inverse)
        return None if inner is None else not inner
    text, options = fields.get(key, ""), wanted if isinstance(wanted, list) else [wanted]
    if not text:
        return False
    if key == "local_alias":
        plain = text.lower().removeprefix("sip:").removeprefix("h323:").partition(";")[0]
        plain = plain.removesuffix("@video.example.com")
        return any(re2.fullmatch(f"(?i){option}", plain) is not None for option in options)
    if key == "remote_address":
        try:
            address = ip_address(text)
        except ValueError:
            return None
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in ip_network(option) for option in options)
    if key == "registered":
        return {"True": wanted is True, "False": wanted is False}.get(text)
    if key == "bandwidth":
        return int(text) == wanted if text.isdigit() else None
    return (text.lower() if key == "protocol" else text) in options


@pytest.mark.slow
@given(rules=rule_lists, fields=calls)
@settings(max_examples=200, deadline=None)
def test_agrees_with_a_naive_first_match(rules: list[dict[str, Any]], fields: dict[str, Any]) -> None:
    """The winner is the first rule, read one after another, whose conditions all hold."""
    ruleset = load(json.dumps({"domains": ["video.example.com"], "service": rules}))
    first = next((rule["id"] for rule in rules if reads(rule.get("when", {}), fields) is True), None)
    decision = ask(ruleset, "service", **fields)
    assert decision.rule == first
    outcomes = {row.rule: row.outcome.value for row in decision.trace.findings()}
    before = [rule["id"] for rule in rules][: next((n for n, rule in enumerate(rules) if rule["id"] == first), None)]
    assert outcomes == {
        rule["id"]: "hit" if rule["id"] == first else "miss" if rule["id"] in before else "not_evaluated"
        for rule in rules
    }


@given(rules=rule_lists, added=conditions, fields=calls, place=st.integers(0, 8))
@settings(deadline=None)
def test_a_rule_below_the_winner_changes_nothing(
    rules: list[dict[str, Any]], added: dict[str, Any], fields: dict[str, Any], place: int
) -> None:
    """Another rule further down, whatever its conditions, changes neither the decision nor the rows above it."""
    before = ask(load(json.dumps({"service": rules})), "service", **fields)
    winner = next((number for number, rule in enumerate(rules) if rule["id"] == before.rule), None)
    assume(winner is not None)
    assert winner is not None
    place = max(winner + 1, min(place, len(rules)))
    more = [*rules[:place], {"id": "added", "when": added, "reject": "No"}, *rules[place:]]
    after = ask(load(json.dumps({"service": more})), "service", **fields)
    assert (type(after), after.rule, after.reason) == (type(before), before.rule, before.reason)
    rows = before.trace.findings()
    assert after.trace.findings()[:place] == rows[:place]
    assert [row for row in after.trace.findings() if row.rule != "added"] == list(rows)


GREEDY = load(
    """
    service:
      - { id: headers, when: { p_Asserted-Identity: '.*x', ms-subnet: '.*' }, redirect: "{p_Asserted-Identity}" }
      - id: shares
        when: { percent: 50, not: { remote_address: 10.0.0.0/8 } }
        service:
          service_type: gateway
          name: "{remote_alias}"
          service_tag: "{vendor}"
          local_alias: "{local_alias}"
          remote_alias: "{remote_display_name}"
          outgoing_protocol: sip
      - id: all
        service: { service_type: lecture, name: "{local_alias}", service_tag: "{call_tag}", description: "{idp_uuid}" }
    participants:
      - { id: groups, when: { idp_attributes: { groups: '.*' }, not: { registered: true } }, reject: "{ms-subnet}{p_Asserted-Identity}" }
      - { id: all, set: { remote_display_name: "{remote_display_name}", call_tag: "{local_alias}", remote_alias: "{vendor}" } }
    locations:
      - { id: all, when: { any: [{ node_ip: '::/0' }, { proxy_node_address: 0.0.0.0/0 }, { remote_port: 1 }] }, location: Oslo }
    registrations:
      - { id: all, when: { alias: '(?i).*[^a]' }, allow: true }
    directory: [{ alias: "+", description: "10.0.0.1" }]
    links: { l: { alias: "mp{session}" } }
    """
)  # fmt: skip
NOTHING = load("directory: [{ alias: desk }]")


@pytest.mark.slow
@given(
    query=queries,
    alias=st.text(st.characters(), max_size=10),
    kind=st.sampled_from(RequestType),
    ruleset=st.sampled_from([CLINIC, GREEDY, NOTHING]),
    attributes=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=1),
)
@settings(max_examples=400, deadline=None)
def test_any_question_gets_one_decision(
    query: bytes, alias: str, kind: RequestType, ruleset: Any, attributes: dict[str, str]
) -> None:
    """No bytes make the evaluator raise: a decision, a trace that can be read, an answer in JSON that a node can use."""
    try:
        question = parse_request(kind, query, alias)
    except QuestionError:
        return
    decision = evaluate(ruleset, question, NOON, KEYRING, attributes)
    assert isinstance(decision, Decision)
    rows = decision.trace.findings()
    assert sum(row.outcome.value == "hit" for row in rows) == (
        decision.rule is not None and not isinstance(decision, ListEntries | ShowPicture)
    )
    if isinstance(decision, Serve):
        assert check_service(decision.service) == ()
    if isinstance(decision, SetProperties):
        assert check_properties(decision.properties) == ()
    answer = orjson.loads(orjson.dumps(render_answer(kind, decision, "continue")))
    assert answer["status"] in {"success", "failure"}

"""An explanation shows the decision that was made, as rows or as JSON."""

import json

from policy_server.pexip.request_types import RequestType
from policy_server.policy.answers import render_answer
from policy_server.policy.decisions import Finding, Outcome
from policy_server.policy.explain import explain_json, explain_rows
from tests.rule_sets import ask, load

RULES = load(
    """
    service:
      - { id: desk, when: { local_alias: desk }, redirect: front }
      - { id: off, enabled: false, continue: true }
      - { id: everything-else, reject: No }
      - { id: never, when: { protocol: sip }, continue: true }
    """
)


def test_rows() -> None:
    """A row for each rule: mark, id, reason, in columns."""
    assert explain_rows(ask(RULES, "service", local_alias="x").trace.findings()) == [
        "  miss  desk             local_alias is 'x', which does not match desk",
        "  -     off              the rule is disabled",
        "  hit   everything-else  every condition holds",
        "  -     never            an earlier rule matched",
    ]


def test_painted_rows() -> None:
    """With colours, only the marks are painted, and the columns stay."""
    rows = [Finding("a", Outcome.HIT, reason="yes"), Finding("bb", Outcome.MISS)]
    assert explain_rows(rows, {Outcome.HIT: "\033[32m"}) == [
        "  \033[32mhit \033[0m  a   yes",
        "  miss\033[0m  bb",
    ]


def test_no_rows() -> None:
    """A list without rules has no rows."""
    assert explain_rows([]) == []


def test_json() -> None:
    """The JSON has rule, answer, findings and revision, with null where there is nothing."""
    decision = ask(RULES, "service", local_alias="desk")
    answer = render_answer(RequestType.SERVICE, decision, "continue")
    explained = explain_json(decision, answer, "abc123")
    assert json.loads(json.dumps(explained)) == {
        "rule": "desk",
        "reason": "every condition holds",
        "answer": {"status": "success", "action": "redirect", "result": {"new_alias": "front"}},
        "findings": [
            {"rule": "desk", "outcome": "hit", "condition": None, "reason": "every condition holds"},
            {"rule": "off", "outcome": "not_evaluated", "condition": None, "reason": "the rule is disabled"},
            {
                "rule": "everything-else",
                "outcome": "not_evaluated",
                "condition": None,
                "reason": "an earlier rule matched",
            },
            {"rule": "never", "outcome": "not_evaluated", "condition": None, "reason": "an earlier rule matched"},
        ],
        "revision": "abc123",
    }


def test_json_without_a_rule() -> None:
    """Where no rule matched, the rule is null, and every miss names its condition."""
    decision = ask(RULES, "participant")
    explained = explain_json(decision, render_answer(RequestType.PARTICIPANT, decision, "continue"), "abc123")
    assert (explained["rule"], explained["findings"]) == (None, [])

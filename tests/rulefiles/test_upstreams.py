"""Other policy servers in rule files: how they are read, and what rule tests say for them."""

from typing import Any

import pytest

from policy_server.conferences.played_legs import play_legs
from policy_server.conferences.rehearsal import rehearse
from policy_server.pexip.request_types import RequestType
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import ForwardOutcome, Ruleset
from policy_server.policy.upstreams import Upstream
from policy_server.rulefiles.ruletests import TestOutcome, parse_tests, run_test
from tests.rulefiles.faults import NOW, Fault, check, each_fault, load
from tests.rulefiles.structures import as_yaml

RULES = """
pexip: { themes: [Clinic] }
upstreams:
  scheduler:
    { url: "https://otj.example.com/pexip/", username: pexip, password_env: OTJ, timeout: 0.5s, on_failure: reject }
service:
  - { id: meet, when: { local_alias: 'meet\\..*' }, forward: scheduler }
  - { id: ours, when: { local_alias: 'ours' }, service: { service_type: conference, name: ours, service_tag: "" } }
  - { id: pexips, when: { call_direction: dial_out, service_tag: pexip }, continue: true }
  - { id: rest, when: { call_direction: dial_out }, forward: scheduler }
locations: [{ id: places, forward: scheduler }]
"""
ROOM = {"service_type": "conference", "name": "Ada", "service_tag": "otj"}
KEYRING = Keyring(b"the secret key of every test of rules")


def rules() -> Ruleset:
    """The rules that the tests here are about."""
    ruleset = load(RULES, environment={"OTJ": "hunter2"}).ruleset
    assert ruleset is not None
    return ruleset


@each_fault("upstreams")
def test_upstreams_give_exactly_these_problems(fault: Fault) -> None:
    """Every fault is told in these words, and no message has a password in it."""
    check(fault)
    assert not [line for line in fault.expected if "hunter2" in line]


def test_an_upstream_is_what_its_keys_say() -> None:
    """A slash at the end of the URL is dropped, and the password comes from the environment and is not shown."""
    ruleset = rules()
    upstream = Upstream("scheduler", "https://otj.example.com/pexip", "pexip", "hunter2", 0.5, "reject")
    assert dict(ruleset.upstreams) == {"scheduler": upstream}
    assert "hunter2" not in repr(ruleset.upstreams)
    (rule, *_) = ruleset.lists[RequestType.SERVICE].rules
    assert rule.outcome == ForwardOutcome(upstream)


def run(request: dict[str, Any], expect: dict[str, Any], **further: Any) -> TestOutcome:
    """Runs one rule test."""
    test = {"name": "x", "request": {"type": "service", **request}, "expect": expect, **further}
    ruleset = rules()
    tests, problems = parse_tests({"x.test.yaml": as_yaml({"tests": [test]})}, ruleset, NOW)
    assert [str(problem) for problem in problems] == []
    return run_test(tests[0], ruleset, KEYRING, rehearse, play_legs)


MEET = {"call_direction": "dial_in", "local_alias": "meet.ada"}
ANSWER = {"status": "success", "action": "continue", "result": ROOM}


@pytest.mark.parametrize(
    ("upstream", "expect"),
    [
        pytest.param(None, {"rule": "meet", "action": "forward", "result": None}, id="nobody is asked"),
        pytest.param({"scheduler": ANSWER}, {"rule": "meet", "action": "continue", "result": ROOM}, id="a room"),
        pytest.param({"scheduler": "late"}, {"rule": "meet", "action": "reject"}, id="late"),
        pytest.param({"scheduler": "down"}, {"rule": "meet", "action": "reject"}, id="down"),
        pytest.param(
            {"scheduler": {**ANSWER, "result": {**ROOM, "ivr_theme_name": "Bank"}}},
            {"rule": "meet", "action": "reject", "result": {}},
            id="a theme that the deployment does not have",
        ),
    ],
)
def test_a_rule_test_says_what_an_upstream_answers(upstream: object, expect: dict[str, Any]) -> None:
    """The answer of the test stands for that of the other server, and comes out as on a server."""
    assert run(MEET, expect, **({"upstream": upstream} if upstream else {})).differences == ()


def test_a_rule_test_that_fails_says_what_became_of_the_answer() -> None:
    """Why an answer was not used stands below the differences."""
    wrong = {"scheduler": {**ANSWER, "result": {**ROOM, "view": "large"}}}
    outcome = run(MEET, {"action": "continue"}, upstream=wrong)
    assert outcome.differences == ("action: expected 'continue' but got 'reject'",)
    assert outcome.findings[-1].startswith("upstream 'scheduler' answers nothing of use: view must be one of")


@pytest.mark.parametrize(
    ("tag", "name", "expect"),
    [
        pytest.param("", "ours", {"rule": "ours", "action": "continue", "result": {"name": "ours"}}, id="ours"),
        pytest.param("pexip", "Theirs", {"rule": "pexips", "action": "continue", "result": None}, id="left to Pexip"),
        pytest.param("otj", "Ada", {"rule": "rest", "action": "forward"}, id="forwarded"),
    ],
)
def test_a_call_out_of_a_room(tag: str, name: str, expect: dict[str, Any]) -> None:
    """A room of ours is ours; of others the first rule that forwards or continues decides, whatever the alias says."""
    request = {"call_direction": "dial_out", "service_tag": tag, "service_name": name, "local_alias": "ours"}
    assert run(request, expect).differences == ()


@pytest.mark.parametrize(
    ("upstream", "problem"),
    [
        ({"schedular": "late"}, "upstream must be 'scheduler' but is 'schedular' (did you mean 'scheduler'?)"),
        ({"scheduler": "layt"}, "the answer of 'scheduler' must be late or down, or what it sends, such as"),
        ({"scheduler": ["late"]}, "the answer of 'scheduler' must be late or down, or what it sends, such as"),
        (["late"], "upstream must be answers of upstreams by name, such as {scheduler: late} but is a list"),
    ],
)
def test_answers_of_upstreams_that_are_none(upstream: object, problem: str) -> None:
    """What stands for an upstream in a test has to be one that there is, and an answer or a silence."""
    test = {"name": "x", "request": {"type": "service"}, "upstream": upstream, "expect": {"rule": "meet"}}
    tests, problems = parse_tests({"x.test.yaml": as_yaml({"tests": [test]})}, rules(), NOW)
    assert tests == ()
    assert problem in problems[0].message

"""A secret that stands in a rule is in the node's answer, and in nothing that people and other systems read.

Which fields are secret, and of which parts of an answer, is asked of the models: a new one is tested without a line here.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from policy_server.conferences.played_legs import play_legs
from policy_server.conferences.rehearsal import rehearse
from policy_server.pexip.field_facts import MASK
from policy_server.pexip.fields import Fact
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.services import SERVICE_TYPES
from policy_server.pexip.shapes import SHAPES, Shape
from policy_server.policy.names import Keyring
from policy_server.rulefiles.ruletests import parse_tests, run_test
from tests.pexip.samples import service
from tests.rule_sets import ask
from tests.rulefiles.faults import NOW, load
from tests.servers import ROOT, InProcess, write_rules

SECRET: Final = "73019582"
OTHER: Final = "82910375"
HAS_SECRETS: Final = [
    pytest.param(shape, field, id=f"{shape.noun}: {field}")
    for shape in SHAPES.values()
    if shape.noun != "every service"
    for field, facet in shape.facets.items()
    if Fact.SECRET in facet.facts
]
SERVICES: Final = {shape.noun: service_type for service_type, shape in SERVICE_TYPES.items()}
QUESTIONS: Final[Mapping[str, tuple[RequestType, str]]] = {
    "service": (RequestType.SERVICE, "/service/configuration?local_alias=x"),
    "participants": (RequestType.PARTICIPANT, "/participant/properties?local_alias=x"),
    "registrations": (RequestType.REGISTRATION, "/registrations/x"),
}


def rule(shape: Shape, field: str, value: object) -> tuple[str, dict[str, Any]]:
    """A rule whose answer has the field, after the list in which it stands."""
    fields = {field: value}
    if Fact.PIN in shape.facets[field].facts:
        fields = {"allow_guests": True, "pin": OTHER, **fields}
    if shape.noun in SERVICES:
        return "service", {"service": service(SERVICES[shape.noun], **fields)}
    match shape.noun:
        case "an automatic participant":
            leg = {"remote_alias": "sip:a@example.com", "local_alias": "b@example.com", **fields}
            return "service", {"service": service("conference"), "dial_out": [leg]}
        case "the properties of a participant":
            return "participants", {"set": fields}
        case "a registration":
            return "registrations", {"allow": {"username": "u", **fields}}
        case _:
            pytest.fail(f"no rule of these tests makes {shape.noun}")


def rules(shape: Shape, field: str, value: object = SECRET) -> tuple[str, str]:
    """A rule file with that rule alone, and its list."""
    section, written = rule(shape, field, value)
    return section, json.dumps({section: [{"id": "it", **written}]})


@pytest.mark.parametrize(("shape", "field"), HAS_SECRETS)
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_decision_log(tmp_path: Path, shape: Shape, field: str, log_format: str) -> None:
    """The node gets the secret; the line in the log has stars, or nothing of the answer."""
    section, text = rules(shape, field)
    _, path = QUESTIONS[section]
    with InProcess(write_rules(tmp_path, text), log_format=log_format) as server:
        answer = server.get(ROOT + path).json()
    assert SECRET in json.dumps(answer)
    (line,) = server.lines
    assert SECRET not in line
    assert MASK in line or "result" not in line


@pytest.mark.parametrize(("shape", "field"), HAS_SECRETS)
def test_decision(shape: Shape, field: str) -> None:
    """Neither rules, nor a decision, nor what explains it shows the secret."""
    section, text = rules(shape, field)
    ruleset = load({"rules.yaml": text}).ruleset
    assert ruleset is not None
    kind, _ = QUESTIONS[section]
    decision = ask(ruleset, kind, alias="x", local_alias="x")
    assert decision.rule == "it"
    assert SECRET not in repr([decision, decision.trace.findings(), ruleset, ruleset.lists[kind].rules])


@pytest.mark.parametrize(("shape", "field"), HAS_SECRETS)
@pytest.mark.parametrize(
    "value",
    [
        int(SECRET),
        float(SECRET),
        SECRET * 40,
        [SECRET],
        {SECRET: SECRET},
        f"{{{SECRET}",
        f"{SECRET}\ud800",
        f"{SECRET}{{x}}",
    ],
    ids=lambda value: type(value).__name__,
)
def test_problems(shape: Shape, field: str, value: object) -> None:
    """What is wrong with a secret is told without it."""
    _, text = rules(shape, field, value)
    problems = load({"rules.yaml": text}).problems
    assert problems
    assert SECRET not in "\n".join(map(str, problems)).replace(f"'{SECRET}' is not a field", "")


@pytest.mark.parametrize(("shape", "field"), HAS_SECRETS)
@pytest.mark.parametrize("expected", [OTHER, [OTHER], {OTHER: OTHER}, 1, None], ids=repr)
def test_rule_test(shape: Shape, field: str, expected: object) -> None:
    """A rule test that fails says neither what is there, nor what was expected."""
    section, text = rules(shape, field)
    ruleset = load({"rules.yaml": text}).ruleset
    assert ruleset is not None
    kind, _ = QUESTIONS[section]
    result: dict[str, object] = {field: expected}
    if shape.noun == "an automatic participant":
        result = {"automatic_participants": [result]}
    request = {"type": kind, "alias" if kind is RequestType.REGISTRATION else "local_alias": "x"}
    test = {"name": "x", "request": request, "expect": {"result": result}}
    (parsed,), _ = parse_tests({"x.test.yaml": json.dumps({"tests": [test]}).encode()}, ruleset, NOW)
    outcome = run_test(parsed, ruleset, Keyring(b"the secret key of every test of rules"), rehearse, play_legs)
    assert len(outcome.differences) == 1
    assert SECRET not in str(outcome)
    assert OTHER not in "".join(outcome.differences)

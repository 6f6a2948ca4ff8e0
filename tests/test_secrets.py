"""A secret that stands in a rule is in the node's answer, and in nothing that people and other systems read.

Which fields are secret, and of which parts of an answer, is asked of the models: a new one is tested without a line here.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
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
from tests.servers import ROOT, USERNAME, InProcess, real_server, write_rules
from tests.waiting import eventually
from tests.web.samples import FIXED_PIN
from tests.web.samples import RULES as SAMPLE_RULES

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


PLANTED: Final = {
    "POLICY_PEXIP_PASSWORD": "planted-of-the-policy-profile",
    "POLICY_SECRET_KEY": "planted-key-that-signs-every-link-of-ours",
    "POLICY_EVENTS_PASSWORD": "planted-of-the-event-sink",
    "POLICY_API_KEYS": "portal:planted-api-key-of-the-portal",
    "POLICY_ADMIN_PASSWORD": "planted-of-the-operators",
    "KIOSK_PASSWORD": "planted-of-the-kiosks",
}


@pytest.mark.slow
@pytest.mark.parametrize("pii", ["true", "false"])
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_everything_that_a_server_writes(tmp_path: Path, log_format: str, pii: str) -> None:
    """Whatever is asked, tried and refused, no file and no output of a server but its database has a password, key or PIN.

    With POLICY_LOG_PII=false they have no name and address of a caller either.
    """
    rules = SAMPLE_RULES.partition("directory:")[0] + "links:" + SAMPLE_RULES.partition("\nlinks:")[2]
    write_rules(tmp_path / "rules", rules.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]'))
    settings = {
        **PLANTED,
        "POLICY_PEXIP_USERNAME": USERNAME,
        "POLICY_EVENTS_USERNAME": "sink",
        "POLICY_ADMIN_USERNAME": "admin",
        "POLICY_PUBLIC_URL": "https://join.example.com",
        "POLICY_DECISION_LOG": "decisions.jsonl",
        "POLICY_AUDIT_LOG": "audit.jsonl",
        "POLICY_LOG_FORMAT": log_format,
        "POLICY_LOG_PII": pii,
    }

    def with_key(request: httpx.Request) -> httpx.Request:
        request.headers["authorization"] = "Bearer planted-api-key-of-the-portal"
        return request

    people = {"remote_display_name": "Planted Person", "remote_alias": "planted-person@example.net"}
    tried = "planted-guess-of-a-stranger"
    with real_server(tmp_path, environment=settings) as server:
        with server.client(auth=(USERNAME, PLANTED["POLICY_PEXIP_PASSWORD"])) as node:
            made = node.post(
                "/api/v1/links",
                json={"type": "visit"},
                auth=with_key,
            ).json()
            passcode = {"third_party_passcode": "planted-passcode"}
            query = {"local_alias": made["alias"], "call_direction": "dial_in", **people, **passcode}
            room = node.get("/policy/v1/service/configuration", params=query).json()["result"]
            fixed = node.get("/policy/v1/service/configuration", params={**query, "local_alias": "room-1"}).json()
            kiosk = node.get("/policy/v1/registrations/kiosk-7%40video.example.com").json()
            node.get("/policy/v1/service/configuration?local_alias=a&local_alias=planted-twice")
        assert (fixed["result"]["pin"], kiosk["result"]["password"]) == (FIXED_PIN, PLANTED["KIOSK_PASSWORD"])
        with server.client(auth=(tried, tried)) as stranger:
            for path in ("/policy/v1/service/configuration", "/readyz", "/metrics"):
                stranger.get(path)
            assert stranger.get("/api/v1/links/x", headers={"authorization": f"Bearer {tried}"}).status_code == 401
            assert stranger.post("/events/v1/pexip", content=tried).status_code == 401
        decisions = tmp_path / "decisions.jsonl"
        eventually(lambda: decisions.read_text(encoding="utf-8").count("decision.made") == 3)
    written = {
        path.name: path.read_text(encoding="utf-8", errors="replace")
        for path in tmp_path.iterdir()
        if path.is_file() and not path.name.startswith("policy.db")
    }
    assert {"stdout.txt", "stderr.txt", "decisions.jsonl", "audit.jsonl"} <= written.keys()
    assert written["decisions.jsonl"].count("access.refused") >= 3
    secrets = [secret.partition(":")[2] or secret for secret in PLANTED.values()]
    secrets += [tried, "planted-passcode", "planted-twice", FIXED_PIN, room["pin"], room["guest_pin"], made["session"]]
    secrets += [made["agent_alias"]] if "agent_alias" in made else []
    if pii == "false":
        secrets += [*people.values()]
    assert {(name, secret) for name, text in written.items() for secret in secrets if secret in text} == set()

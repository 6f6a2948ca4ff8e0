"""What rules become, and what is said about those that cannot be."""

from typing import Any

import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.policy.ruleset import (
    AllowOutcome,
    ContinueOutcome,
    LocationOutcome,
    RedirectOutcome,
    RejectOutcome,
    Rule,
    ServeOutcome,
    SetOutcome,
)
from policy_server.policy.services import FieldsTemplate
from policy_server.policy.templates import parse_template
from tests.rulefiles.faults import Fault, check, each_fault, load
from tests.rulefiles.structures import as_yaml


@each_fault("rules")
def test_rules_give_exactly_these_problems(fault: Fault) -> None:
    """Every fault of a rule is told in these words; none shows a password."""
    check(fault)
    assert not any("hunter" in line for line in fault.expected)


def rule_of(section: str, **fields: Any) -> Rule:
    """Load one rule without problems."""
    loaded = load(as_yaml({section: [{"id": "patient", **fields}]}), environment={"KIOSK_PASSWORD": "hunter2"})
    assert loaded.problems == ()
    assert loaded.ruleset is not None
    (rule,) = (rule for rules in loaded.ruleset.lists.values() for rule in rules.rules)
    return rule


@pytest.mark.parametrize(
    ("section", "fields", "outcome"),
    [
        pytest.param("service", {"reject": "No {vendor}"}, RejectOutcome(parse_template("No {vendor}")), id="reject"),
        pytest.param("service", {"redirect": "x@y"}, RedirectOutcome(parse_template("x@y")), id="redirect"),
        pytest.param("service", {"continue": True}, ContinueOutcome(), id="continue"),
        pytest.param("participants", {"reject": "No"}, RejectOutcome(parse_template("No")), id="reject a participant"),
        pytest.param(
            "participants",
            {"set": {"preauthenticated_role": None, "remote_display_name": "{vendor}"}},
            SetOutcome(
                FieldsTemplate(
                    {"preauthenticated_role": None}, ((("remote_display_name",), parse_template("{vendor}")),)
                )
            ),
            id="set",
        ),
        pytest.param(
            "locations",
            {"location": "London", "overflow_locations": ["Oslo", "Paris"]},
            LocationOutcome("London", ("Oslo", "Paris")),
            id="location",
        ),
        pytest.param("registrations", {"allow": True}, AllowOutcome("", ""), id="allow anybody"),
        pytest.param(
            "registrations",
            {"allow": {"username": "kiosk", "password_env": "KIOSK_PASSWORD"}},
            AllowOutcome("kiosk", "hunter2"),
            id="allow with credentials",
        ),
        pytest.param("registrations", {"reject": True}, RejectOutcome(parse_template("")), id="reject a device"),
    ],
)
def test_an_outcome_becomes_what_it_says(section: str, fields: dict[str, Any], outcome: object) -> None:
    """Each outcome of each list is compiled to its own kind."""
    assert rule_of(section, **fields).outcome == outcome


def test_a_rule_knows_its_place_and_whether_it_is_enabled() -> None:
    """Logs and pages name the line of a rule; a disabled one is kept but never matches."""
    loaded = load("service:\n  - id: first\n    reject: x\n    enabled: false\n  - { id: second, reject: y }\n")
    assert loaded.ruleset is not None
    assert [(rule.id, rule.place, rule.enabled) for rule in loaded.ruleset.lists[RequestType.SERVICE].rules] == [
        ("first", "rules/x.yaml:2", False),
        ("second", "rules/x.yaml:5", True),
    ]


def test_a_password_may_be_a_number_without_quotes() -> None:
    """Digits are taken as they are written, leading zeros too."""
    loaded = load("registrations: [ { id: kiosk, allow: { username: kiosk, password: 0012 } } ]")
    assert loaded.ruleset is not None
    assert loaded.ruleset.lists[RequestType.REGISTRATION].rules[0].outcome == AllowOutcome("kiosk", "0012")


def test_an_inline_service_and_a_room_are_served_alike() -> None:
    """``service`` written out gives the same service as a room with the same fields."""
    fields = {"service_type": "lecture", "name": "Ward", "service_tag": "x", "host_view": "one_main_seven_pips"}
    loaded = load(
        as_yaml(
            {
                "rooms": {"ward": fields},
                "service": [
                    {"id": "room", "when": {"protocol": "sip"}, "room": "ward"},
                    {"id": "inline", "when": {"protocol": "api"}, "service": fields},
                ],
            }
        )
    )
    assert loaded.ruleset is not None
    room, inline = (rule.outcome for rule in loaded.ruleset.lists[RequestType.SERVICE].rules)
    assert isinstance(room, ServeOutcome)
    assert isinstance(inline, ServeOutcome)
    assert room.service.fields == inline.service.fields == FieldsTemplate(fields)

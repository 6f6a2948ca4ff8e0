"""A dial_out question is about a room that exists, and gets that room, whatever its other parameters say."""

from collections.abc import Mapping
from typing import Any

import pytest

from policy_server.policy.decisions import Continue, Decision, Fail, Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.ruleset import Ruleset
from tests.rule_sets import AGENT_KEY, CALL, CALL_ID, KEYRING, NOON, SESSION, ask, load, request, served

CLINIC = load(
    """
    domains: [video.example.com]
    trunks:
      clinic: { number: "+1 312 999 8045", dial_prefix: "99" }
      second: { number: "+1 312 555 0100", dial_prefix: "99" }
    calendars:
      never: { timezone: America/Chicago, open: { sun: ["03:00-03:01"] } }
    rooms:
      visit: { name: "{call}", service_tag: telehealth, pin: derived, guest_pin: derived, allow_guests: true }
      desk: { name: Front Desk, service_tag: "" }
      ward: { name: "Ward {ward} (bed {bed})", service_tag: "ward-{ward}" }
    service:
      - id: agent
        when: { link_type: patient, door: agent }
        room: visit
      - id: patient
        when: { link_type: patient, door: customer, link: valid, open: never, protocol: api, percent: 0 }
        room: visit
        dial_out: [{ trunk: clinic }]
      - id: patient-of-second
        when: { link_type: second }
        room: visit
        dial_out: [{ trunk: second }]
      - { id: desk, when: { local_alias: desk }, room: desk }
      - { id: ward, when: { local_alias: 'ward-(?P<ward>[a-z]+)-(?P<bed>[0-9]+)' }, room: ward }
      - { id: off, enabled: false, service: { service_type: conference, name: Off, service_tag: "" } }
      - id: out
        service:
          service_type: gateway
          name: Way out
          service_tag: gw
          local_alias: a
          remote_alias: b
          outgoing_protocol: sip
    links:
      patient: { alias: "mp{session}", agent_alias: "hcp{agent}" }
      second: { alias: "sd{session}" }
    """
)  # fmt: skip


def recall(name: str, tag: str = "telehealth", ruleset: Ruleset = CLINIC, **fields: Any) -> Decision:
    """Ask the question of an outgoing call of a room."""
    return ask(ruleset, "service", call_direction="dial_out", service_name=name, service_tag=tag, **fields)


def room(decision: Decision) -> dict[str, Any]:
    """The room that is served."""
    return served(decision)


OTHER_PARAMETERS: list[dict[str, Any]] = [
    {},
    {"local_alias": "desk"},
    {"local_alias": f"{CALL_ID}@video.example.com", "remote_alias": "99+13129998045"},
    {"local_alias": f"hcp{AGENT_KEY}", "protocol": "sip", "trigger": "unspecified", "remote_address": "x"},
    {"remote_alias": "sip:+13129998045@acme.byoc.usw2.pure.cloud", "remote_display_name": "Recording"},
]


@pytest.mark.parametrize(
    "fields", OTHER_PARAMETERS, ids=["none", "another room", "documented", "agent", "after the rule"]
)
def test_by_name_and_tag(fields: dict[str, Any]) -> None:
    """Name and tag decide; the conditions of the rule (closed, another protocol, no share) do not matter any more."""
    decision = recall(CALL_ID, **fields)
    assert isinstance(decision, Serve)
    assert (decision.rule, decision.call) == ("patient", CALL_ID)
    assert decision.service["name"] == CALL_ID
    assert (decision.service["pin"], decision.service["guest_pin"]) == CALL.pins


def test_expired_link() -> None:
    """A room outlives its link."""
    expired = KEYRING.sign("patient", NOON, b"1234")
    assert room(recall(expired.id))["pin"] == expired.pins.host


def test_same_answer_as_when_the_call_came_in() -> None:
    """The room and its legs are told again exactly as before."""
    call = KEYRING.sign("second", NOON, b"1234")
    incoming = room(ask(CLINIC, "service", local_alias=f"sd{call.session}"))
    assert room(recall(call.id, remote_alias="99+13125550100")) == incoming


@pytest.mark.parametrize(
    ("remote_alias", "rule"),
    [
        ("99+13129998045", "patient"),
        ("sip:+13129998045@acme.byoc.usw2.pure.cloud", "patient"),
        ("99+13125550100", "patient-of-second"),
        ("SIP:+13125550100@acme.byoc.usw2.pure.cloud;user=phone", "patient-of-second"),
        ("99+131255501009", "patient"),
        ("+4712345678", "patient"),
        ("", "patient"),
    ],
)
def test_rules_that_share_a_room(remote_alias: str, rule: str) -> None:
    """The rule whose leg goes to the destination; else the first that dials at all."""
    assert recall(CALL_ID, remote_alias=remote_alias).rule == rule


def test_number_that_begins_like_another() -> None:
    """A number is compared whole: one that is the beginning of another is not that other."""
    ruleset = load(
        """
        trunks:
          short: { number: "+49 30 123456", dial_prefix: "9" }
          long: { number: "+49 30 12345678", dial_prefix: "9" }
        rooms: { desk: { name: Desk } }
        service:
          - { id: short, when: { local_alias: a }, room: desk, dial_out: [{ trunk: short }] }
          - { id: long, when: { local_alias: b }, room: desk, dial_out: [{ trunk: long }] }
        """
    )
    assert recall("Desk", "desk", ruleset, remote_alias="9+4930123456").rule == "short"
    assert recall("Desk", "desk", ruleset, remote_alias="9+493012345678").rule == "long"


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("someone-else", "telehealth"),
        (CALL_ID, "video-escalation"),
        (CALL_ID, ""),
        (CALL_ID + "a", "telehealth"),
        (CALL_ID[:-1], "telehealth"),
        (CALL_ID.upper(), "telehealth"),
        (SESSION, "telehealth"),
        (AGENT_KEY, "telehealth"),
        ("a" * 32, "telehealth"),
        (f"{CALL_ID}_breakout_5b0c7d1e-2f3a-4b4c-8d5e-6f7a8b9c0d1e", "telehealth"),
        ("Front Desk", "telehealth"),
        ("Front DeskX", ""),
        ("front desk", ""),
        ("", ""),
        ("Off", ""),
        ("Ward icu (bed )", "ward-icu"),
        ("Ward icu (bed x)", "ward-icu"),
        ("Ward icu (bed 7)", "ward-er"),
        ("Ward 3 (bed 7)", "ward-3"),
    ],
)
def test_not_ours(name: str, tag: str) -> None:
    """Another name, a name that no alias of ours could have made, or a foreign tag: Pexip decides."""
    decision = recall(name, tag, local_alias=f"mp{SESSION}")
    assert isinstance(decision, Continue)
    assert (decision.rule, decision.reason) == (None, "the room is not one of ours")


def test_literal_name() -> None:
    """A room with a fixed name is known by it, tag empty or missing."""
    assert recall("Front Desk", "").rule == "desk"
    assert ask(CLINIC, "service", call_direction="dial_out", service_name="Front Desk").rule == "desk"


def test_text_around_placeholders() -> None:
    """Placeholders are read out of name and tag, and must agree."""
    decision = recall("Ward icu (bed 7)", "ward-icu")
    assert room(decision) == {
        "service_type": "conference",
        "name": "Ward icu (bed 7)",
        "service_tag": "ward-icu",
    }


def test_services_other_than_rooms() -> None:
    """A gateway is known by its name, which service_name has without the suffix."""
    decision = recall("Way out", "gw", unique_service_name="Way out-4711")
    assert decision.rule == "out"
    assert room(decision)["service_type"] == "gateway"


def test_unique_name_where_the_name_is_missing() -> None:
    """Without service_name, unique_service_name says which room it is."""
    decision = ask(CLINIC, "service", call_direction="dial_out", unique_service_name="Front Desk")
    assert decision.rule == "desk"


def test_placeholders_only_in_the_tag() -> None:
    """What stands only in the tag is read out of the tag."""
    ruleset = load(
        """
        service:
          - id: r
            when: { local_alias: '(?P<x>[a-z]+)' }
            service: { service_type: conference, name: "{x}", service_tag: "at {location}", description: "{location}" }
        """
    )
    assert room(recall("desk", "at Oslo", ruleset)) == {
        "service_type": "conference",
        "name": "desk",
        "service_tag": "at Oslo",
        "description": "Oslo",
    }
    assert recall("desk", "near Oslo", ruleset).rule is None


def test_placeholder_that_stands_twice() -> None:
    """A name that repeats a placeholder is ours only if both are the same."""
    ruleset = load(
        """
        service:
          - id: r
            when: { local_alias: '(?P<x>[a-z]+)' }
            service: { service_type: conference, name: "{x}-{x}", service_tag: t }
        """
    )
    assert recall("ab-ab", "t", ruleset).rule == "r"
    assert recall("ab-cd", "t", ruleset).rule is None


def test_alternatives_in_a_list() -> None:
    """A group that several expressions capture is read by any of them."""
    ruleset = load(
        """
        service:
          - id: r
            when: { local_alias: ['a(?P<x>[0-9])', 'b(?P<x>[a-z]{2})'] }
            service: { service_type: conference, name: "{x}", service_tag: t }
        """
    )
    assert [recall(name, "t", ruleset).rule for name in ("7", "ab", "77", "a")] == ["r", "r", None, None]


def test_many_rooms() -> None:
    """Each of many literal rooms is found again by its own rule."""
    rules = "".join(
        f"  - {{ id: r-{n}, when: {{ local_alias: a{n} }}, service: {{ service_type: conference, name: Room {n}, service_tag: t }} }}\n"
        for n in range(300)
    )
    ruleset = load(f"service:\n{rules}")
    assert [recall(f"Room {n}", "t", ruleset).rule for n in (0, 42, 299, 300)] == ["r-0", "r-42", "r-299", None]


def test_room_name_spoilt_by_the_question() -> None:
    """A room that the outgoing question spoils fails with its rule; nothing of it is sent."""
    ruleset = load(
        """
        service:
          - id: r
            when: { local_alias: a }
            service: { service_type: conference, name: A, service_tag: t, primary_owner_email_address: "{vendor}" }
        """
    )
    decision = recall("A", "t", ruleset, vendor="v" * 300)
    assert isinstance(decision, Fail)
    assert decision.rule == "r"


DEFAULTS = load(
    """
    rooms:
      bank: { name: "Bank {link.language|de} {visit}", service_tag: "{link.language}", description: "in {link.language}" }
      desk: { name: "Desk {n|0}", service_tag: "<{n}>", description: "<{n}> <{who}>" }
      live: { name: "Live {key}", service_tag: live }
      exact: { name: "Exact {key.raw}", service_tag: exact, description: "{key}" }
    service:
      - id: bank
        when: { local_alias: 'bank(?P<visit>[0-9]+)' }
        room: bank
        dial_out: [{ remote_alias: a, display_name: "{link.language}" }]
      - { id: desk, when: { local_alias: 'desk(?P<n>[0-9])?(?P<who>x)?' }, room: desk }
      - id: live
        when: { local_alias: 'live-(?P<key>.+)' }
        room: live
        dial_out: [{ remote_alias: "rtmps://live.example.com/app/{key.raw}", protocol: rtmp, local_alias: a, local_display_name: a }]
      - { id: exact, when: { local_alias: 'exact-(?P<key>.+)' }, room: exact }
      - id: number
        when: { local_alias: 'call-(?P<who>[a-z]+)-(?P<number>[0-9]+)' }
        service: { service_type: conference, name: "{who}", service_tag: number }
        dial_out: [{ remote_alias: "{number}@pbx.example.com" }, { remote_alias: desk@example.com }]
    """
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "link"),
    [
        pytest.param({"local_alias": "bank7"}, {}, id="an attribute that is missing"),
        pytest.param({"local_alias": "bank7"}, {"language": "en"}, id="an attribute"),
        pytest.param({"local_alias": "bank7"}, {"language": "de"}, id="an attribute that is the default"),
        pytest.param({"local_alias": "desk"}, {}, id="a group that is missing"),
        pytest.param({"local_alias": "desk4"}, {}, id="a group"),
        pytest.param({"local_alias": "exact-AbC"}, {}, id="an original"),
        pytest.param({"local_alias": "live-AbC_9xYz"}, {}, id="an original that only the leg has"),
        pytest.param({"local_alias": "call-abc-4711"}, {}, id="a number that only the leg has"),
    ],
)
def test_placeholders_are_what_they_were(fields: dict[str, Any], link: Mapping[str, str]) -> None:
    """A room is told again exactly as before, defaults and originals included, when one of its legs is dialled."""
    incoming = room(ask(DEFAULTS, "service", **fields, link=link))
    legs = incoming.get("automatic_participants", [{"remote_alias": "x"}])
    again = recall(incoming["name"], incoming["service_tag"], DEFAULTS, remote_alias=legs[0]["remote_alias"], link=link)
    assert room(again) == incoming


def test_a_leg_that_nobody_can_tell_any_more_is_left_out() -> None:
    """The room exists, so its other legs are still told, and the original of a name is at least its compared form."""
    legs = room(recall("abc", "number", DEFAULTS, remote_alias="desk@example.com"))["automatic_participants"]
    assert [leg["remote_alias"] for leg in legs] == ["desk@example.com"]
    legs = room(recall("Live abc", "live", DEFAULTS, remote_alias="x"))["automatic_participants"]
    assert [leg["remote_alias"] for leg in legs] == ["rtmps://live.example.com/app/abc"]
    other = recall("Live abc", "live", DEFAULTS, remote_alias="rtmps://live.example.com/app/XYZ")
    assert room(other)["automatic_participants"][0]["remote_alias"].endswith("/abc")


def test_a_room_that_is_never_made_is_not_ours() -> None:
    """A name whose part is empty is none of these rooms."""
    assert isinstance(recall("Bank de ", "", DEFAULTS), Continue)


def test_findings() -> None:
    """The row of the rule that made the room is the hit; the others say why they are not."""
    rows = recall(CALL_ID, remote_alias="99+13125550100").trace.findings()
    assert [(row.rule, row.outcome.value) for row in rows] == [
        ("agent", "not_evaluated"),
        ("patient", "not_evaluated"),
        ("patient-of-second", "hit"),
        ("desk", "not_evaluated"),
        ("ward", "not_evaluated"),
        ("off", "not_evaluated"),
        ("out", "not_evaluated"),
    ]
    assert (rows[2].condition, rows[2].reason) == ("service_name", "the room's name and tag are this rule's")
    assert rows[0].reason == "the room was made by another rule"
    missed = recall("elsewhere").trace.findings()
    assert [row.outcome.value for row in missed] == ["miss"] * 5 + ["not_evaluated", "miss"]
    assert (missed[0].condition, missed[0].reason) == ("service_name", "the room is not one that this rule serves")
    assert missed[5].reason == "the rule is disabled"


@pytest.mark.parametrize("direction", ["dial_in", "non_dial", ""])
def test_other_directions(direction: str) -> None:
    """Only dial_out is about a room that exists: a breakout lookup comes in, and its alias decides."""
    decision = ask(CLINIC, "service", call_direction=direction, service_name=CALL_ID, local_alias="desk")
    assert decision.rule == "desk"


def test_a_placeholder_that_came_out_empty() -> None:
    """What a group that may be absent, or a missing parameter, filled with nothing is read back as nothing."""
    ruleset = load(
        """
        rooms: { r: { name: "{kind|}{visit}-{location|}", service_tag: t } }
        service:
          - { id: a, when: { local_alias: 'mp(?P<kind>x)?(?P<visit>[a-z]{4})' }, room: r }
        """
    )
    questions: list[dict[str, Any]] = [{"local_alias": "mpabcd"}, {"local_alias": "mpxabcd", "location": "Oslo"}]
    for fields in questions:
        name = str(served(ask(ruleset, "service", **fields))["name"])
        assert recall(name, "t", ruleset).rule == "a"
    assert isinstance(recall("abc-", "t", ruleset), Continue)


@pytest.mark.parametrize(
    ("destination", "rule"),
    [("two@example.org", "second"), ("sip:TWO@example.org;transport=tls", "second"), ("+13125550100@host", "second")],
    ids=["written out", "as a node reports it", "a leg for when one failed"],
)
def test_the_destination_chooses_between_rules_that_share_a_room(destination: str, rule: str) -> None:
    """Legs without a trunk and legs for a failure count as much as those that are dialled with the room."""
    ruleset = load(
        """
        trunks: { backup: { number: "+1 312 555 0100", dial_prefix: "99" } }
        rooms: { r: { name: "{who}", service_tag: t } }
        service:
          - { id: first, when: { local_alias: 'a(?P<who>[a-z]+)' }, room: r, dial_out: [{ remote_alias: one@example.org }] }
          - id: second
            when: { local_alias: 'b(?P<who>[a-z]+)' }
            room: r
            dial_out: [{ remote_alias: two@example.org }, { trunk: backup, when: failed }]
        """
    )
    assert recall("abc", "t", ruleset, remote_alias=destination).rule == rule


def test_flags_of_a_pattern_count_backwards() -> None:
    """A group of an expression that ignores case is read back in any case."""
    ruleset = load(
        """
        rooms: { r: { name: "{who}", service_tag: t } }
        service: [{ id: a, when: { remote_display_name: '(?i)desk-(?P<who>[a-z]+)' }, room: r }]
        """
    )
    assert served(ask(ruleset, "service", remote_display_name="Desk-Abc"))["name"] == "Abc"
    assert recall("Abc", "t", ruleset).rule == "a"


class Written:
    """A link that somebody wrote down."""

    type = "patient"
    name = "Ada"
    attributes: Mapping[str, str] = {"language": "pl"}
    withdrawn_at = None
    joins = ""


def test_attributes_of_the_link_that_led_to_the_room() -> None:
    """The link is the one of the room's call: the alias of a call out of the room is that of its leg."""
    ruleset = load(
        """
        rooms:
          visit: { name: "{call}", service_tag: visit, description: "{link.name} in {link.language}" }
        service: [{ id: patient, when: { link_type: patient }, room: visit }]
        links: { patient: { alias: "mp{session}" } }
        """
    )
    fields = {
        "call_direction": "dial_out",
        "service_name": CALL_ID,
        "service_tag": "visit",
        "local_alias": "sip:contact-centre@example.com",
    }
    known = {CALL_ID: Written()}
    decision = evaluate(ruleset, request("service", fields), NOON, KEYRING, find_link=known.get)
    assert room(decision)["description"] == "Ada in pl"

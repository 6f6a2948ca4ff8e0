"""One question, one decision: the first rule that matches, and why the others did not."""

from dataclasses import FrozenInstanceError
from datetime import datetime
from typing import Any, get_args

import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import parse_request
from policy_server.policy.decisions import (
    AllowRegistration,
    Continue,
    Decision,
    Fail,
    Forward,
    ListEntries,
    PlaceMedia,
    Redirect,
    Reject,
    Serve,
    SetProperties,
    ShowPicture,
)
from policy_server.policy.evaluate import evaluate
from policy_server.policy.upstreams import Upstream
from tests.policy.clinic import CLINIC
from tests.rule_sets import AGENT_KEY, CALL, CALL_ID, KEYRING, NOON, SESSION, ask, load, request, served

PINS = CALL.pins
ROOM = {
    "service_type": "conference",
    "service_tag": "visit",
    "allow_guests": True,
    "name": CALL_ID,
    "description": "Visit of Ada",
    "pin": PINS.host,
    "guest_pin": PINS.guest,
}


def service(decision: Decision) -> dict[str, Any]:
    """The service that is served."""
    return served(decision)


@pytest.mark.parametrize("kind", get_args(Decision))
def test_a_decision_cannot_be_changed(kind: type) -> None:
    """Whoever reads a decision reads what was decided: each kind is a frozen dataclass with slots, and not only for mypy."""
    decision: Any = object.__new__(kind)
    with pytest.raises(FrozenInstanceError):
        decision.rule = "another"
    assert not hasattr(decision, "__dict__")


def test_serve() -> None:
    """A patient gets the room with its leg; the leg for later stays in the decision."""
    decision = ask(CLINIC, "service", local_alias=f"sip:MP{SESSION}@video.example.com", remote_display_name="Ada")
    assert isinstance(decision, Serve)
    assert (decision.rule, decision.call) == ("patient", CALL_ID)
    leg = {
        "routing": "routing_rule",
        "protocol": "sip",
        "call_type": "audio",
        "role": "chair",
        "keep_conference_alive": "keep_conference_alive_never",
        "local_alias": f"{CALL_ID}@video.example.com",
        "local_display_name": CALL_ID,
        "remote_alias": "99+13129998045",
    }
    assert decision.service == ROOM | {"automatic_participants": [leg | {"remote_display_name": "Ada"}]}
    fallback = {"routing": "manual", "remote_alias": "+13125550100@backup.byoc.usw2.pure.cloud"}
    assert decision.fallbacks == (leg | fallback,)


def test_one_room_for_both() -> None:
    """The agent gets the same room, name and PINs, and nobody is dialled."""
    assert service(ask(CLINIC, "service", local_alias=f"hcp{AGENT_KEY}", remote_display_name="Ada")) == ROOM


@pytest.mark.parametrize(
    ("kind", "fields", "name", "rule", "parts"),
    [
        ("service", {"local_alias": "mp" + "a" * 32}, "Reject", "closed", {"text": ", we are closed"}),
        ("service", {"local_alias": "old-desk"}, "Redirect", "moved", {"new_alias": "desk"}),
        ("service", {"local_alias": "pexip.one"}, "Continue", "pexip", {}),
        ("service", {"local_alias": "unheard-of"}, "Continue", None, {"reason": "no rule matched"}),
        ("service", {}, "Continue", None, {}),
        (
            "service",
            {"local_alias": "old-"},
            "Fail",
            "moved",
            {"reason": "redirect needs {who}, which is empty in this question"},
        ),
        (
            "service",
            {"local_alias": "old-" + "x" * 251},
            "Fail",
            "moved",
            {"reason": "the alias to redirect to has 251 characters"},
        ),
        (
            "service",
            {"local_alias": "meet.ada"},
            "Forward",
            "meetings",
            {"upstream": Upstream("scheduler", "https://scheduler.example.com")},
        ),
        ("participant", {"remote_display_name": "SPAMMER"}, "Reject", "refused", {"text": "No, SPAMMER"}),
        (
            "participant",
            {"local_alias": "mp1", "remote_display_name": "Ada"},
            "SetProperties",
            "renamed",
            {"properties": {"remote_display_name": "Visitor Ada", "preauthenticated_role": "guest"}},
        ),
        ("participant", {"local_alias": "hcp1"}, "Continue", "unchanged", {}),
        ("participant", {}, "Continue", None, {}),
        (
            "participant",
            {"local_alias": "as1", "remote_display_name": "x" * 251},
            "Fail",
            "aliased",
            {"reason": "remote_alias must have at most 250 characters but has 251"},
        ),
        (
            "location",
            {"remote_address": "10.20.1.1"},
            "PlaceMedia",
            "branches",
            {"location": "London", "overflow_locations": ("Oslo", "DMZ")},
        ),
        (
            "location",
            {"remote_address": "10.1.1.1"},
            "PlaceMedia",
            "tunnel",
            {"location": "Oslo", "overflow_locations": ()},
        ),
        ("location", {"protocol": "sip"}, "Continue", "anywhere", {}),
        ("location", {}, "Continue", None, {}),
        (
            "registration",
            {"alias": "kiosk-7"},
            "AllowRegistration",
            "kiosk",
            {"username": "kiosk", "password": "open-sesame"},
        ),
        ("registration", {"alias": "lobby-1"}, "AllowRegistration", "open-door", {"username": "", "password": ""}),
        ("registration", {"alias": "x", "auth_type": '"sso"'}, "Continue", "sso", {}),
        ("registration", {"alias": "x"}, "Reject", "nobody", {"text": ""}),
        (
            "directory",
            {"q": "LOB"},
            "ListEntries",
            "directory",
            {
                "entries": ({"alias": "lobby@video.example.com", "description": "Lobby", "username": ""},),
                "ignore_local": False,
            },
        ),
        ("directory", {"q": "nobody"}, "ListEntries", "directory", {"entries": ()}),
        (
            "avatar",
            {"alias": "sip:Desk", "width": "40", "height": "30"},
            "ShowPicture",
            "directory",
            {"picture": "desk.jpg", "width": 40, "height": 30},
        ),
        ("avatar", {"alias": "desk@video.example.com"}, "ShowPicture", "directory", {"width": 100, "height": 100}),
        ("avatar", {"alias": "desk", "width": "2049"}, "Continue", None, {}),
        ("avatar", {"alias": "lobby"}, "Continue", None, {"reason": "no picture for this alias"}),
        ("avatar", {}, "Continue", None, {}),
    ],
)
def test_decisions(kind: str, fields: dict[str, Any], name: str, rule: str | None, parts: dict[str, object]) -> None:
    """Every outcome of every kind of rule gives its decision, with the rule that made it."""
    decision = ask(CLINIC, kind, **fields)
    assert (type(decision).__name__, decision.rule) == (name, rule)
    assert {part: getattr(decision, part) for part in parts} == parts
    assert decision.reason


def test_every_decision_is_tried() -> None:
    """The tests here know every member of the union."""
    assert set(get_args(Decision)) == {
        Serve, Redirect, Reject, SetProperties, PlaceMedia, AllowRegistration, ListEntries, ShowPicture, Continue, Forward, Fail,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "found"), [("", 10), ("3", 3), ("0", 0), ("many", 10), ("-1", 10), ("100", 12)], ids=str
)
def test_directory_limit(limit: str, found: int) -> None:
    """A directory answer has as many entries as asked for, ten when the question does not say."""
    entries = "".join(f"  - {{ alias: desk-{number}, description: Desk }}\n" for number in range(12))
    decision = ask(load(f"directory:\n{entries}"), "directory", q="desk", limit=limit)
    assert isinstance(decision, ListEntries)
    assert len(decision.entries) == found


STRANGE = {
    "controls": ("A\x00d\x1ba\r\n\u2028", "Ada"),
    "only controls": ("\x00\x01", ""),
    "not UTF-8": ("Ada\ufffd", "Ada\ufffd"),
    "braces": ("{session}", "{session}"),
    "emoji": ("😀" * 300, "😀" * 300),
    "one too many in the description": ("x" * 242, "x" * 242),
    "one too many in the new name": ("x" * 243, "x" * 243),
    "one too many": ("x" * 251, "x" * 251),
    "long": ("x" * 10_000, "x" * 10_000),
}


@pytest.mark.parametrize(("sent", "read"), STRANGE.values(), ids=STRANGE)
def test_a_strange_name_costs_nobody_a_call(sent: str, read: str) -> None:
    """A display name is cleaned, and cut where it would pass Pexip's 250 characters; the call is answered."""
    decision = ask(CLINIC, "service", local_alias=f"mp{SESSION}", remote_display_name=sent)
    room = service(decision)
    assert room["description"] == f"Visit of {read}"[:250]
    assert room["automatic_participants"][0]["remote_display_name"] == read[:250]
    changed = ask(CLINIC, "participant", local_alias="mp1", remote_display_name=sent)
    assert isinstance(changed, SetProperties)
    assert changed.properties["remote_display_name"] == f"Visitor {read}"[:250]
    refused = ask(CLINIC, "service", local_alias="mp" + "a" * 32, remote_display_name=sent)
    assert isinstance(refused, Reject)
    assert refused.text == f"{read}, we are closed"[:250]


def test_bytes_that_are_not_utf8() -> None:
    """Raw bytes of a name become U+FFFD, and the call is answered."""
    query = f"local_alias=mp{SESSION}&remote_display_name=%FF%00".encode()
    decision = evaluate(CLINIC, parse_request(RequestType.SERVICE, query), NOON, KEYRING)
    assert service(decision)["description"] == "Visit of \ufffd"


@pytest.mark.parametrize("length", [250, 251], ids=["longest", "too long"])
def test_room_name_of_a_caller(length: int) -> None:
    """A name is never cut, for it would be another room: over 250 characters the rule fails, and shows no PIN."""
    decision = ask(CLINIC, "service", local_alias="room-x", vendor="y" * (length - 1))
    if length == 250:
        assert service(decision)["name"] == "x" + "y" * 249
    else:
        assert isinstance(decision, Fail)
        assert decision.rule == "named"
        assert decision.reason == "name must have at most 250 characters but has 251"
        assert "987654" not in repr(decision)


def test_empty_room_name() -> None:
    """A name that comes out empty fails: all such callers would meet in one room."""
    ruleset = load("service: [{ id: r, service: { service_type: conference, name: '{vendor}', service_tag: t } }]")
    decision = ask(ruleset, "service")
    assert isinstance(decision, Fail)
    assert (decision.rule, decision.reason) == ("r", "name needs {vendor}, which is empty in this question")


@pytest.mark.parametrize("value", ["", " ", "\t\n", "\u200b", "\u202e \u00a0", "\ufeff"])
def test_a_default_stands_for_a_value_that_nobody_can_see(value: str) -> None:
    """The text after | is used where the value is missing, empty or blank, in every kind of field."""
    ruleset = load(
        """
        service:
          - { id: refused, when: { local_alias: no }, reject: "Sorry, {remote_display_name|dear caller}." }
          - { id: sent-on, when: { local_alias: on }, redirect: "{call_tag|desk|1}" }
          - id: room
            service:
              { service_type: conference, name: "Room {remote_display_name|none}", service_tag: t, description: "<{link.name|}>" }
        participants: [{ id: p, set: { remote_display_name: "{remote_display_name|Guest}" } }]
        """
    )
    told: dict[str, Any] = {"remote_display_name": value, "call_tag": value}
    rejected = ask(ruleset, "service", local_alias="no", **told)
    assert isinstance(rejected, Reject)
    assert rejected.text == "Sorry, dear caller."
    redirected = ask(ruleset, "service", local_alias="on", **told)
    assert isinstance(redirected, Redirect)
    assert redirected.new_alias == "desk|1"
    room = service(ask(ruleset, "service", local_alias="x", **told, link={"name": value}))
    assert (room["name"], room["description"]) == ("Room none", "<>")
    changed = ask(ruleset, "participant", **told)
    assert isinstance(changed, SetProperties)
    assert changed.properties == {"remote_display_name": "Guest"}


@pytest.mark.parametrize("value", ["", " ", "\u0007", "\u200b"])
@pytest.mark.parametrize(
    ("alias", "reason"),
    [
        ("room", "name needs {remote_display_name}, which is empty in this question"),
        ("group", "name needs {n}, which is empty in this question"),
        ("link", "name needs {link.booking}, which is empty in this question"),
        ("gateway", "remote_alias needs {call_tag}, which is empty in this question"),
        ("leg", "remote_alias needs {call_tag}, which is empty in this question"),
        ("redirect", "redirect needs {call_tag.raw}, which is empty in this question"),
    ],
)
def test_an_identity_is_never_made_of_nothing(alias: str, reason: str, value: str) -> None:
    """A room's name, an alias or a number with an empty part fails the decision, and says which part of what it was."""
    ruleset = load(
        """
        rooms: { r: { name: "{link.booking|} {local_alias}" } }
        service:
          - { id: a, when: { local_alias: room }, service: { service_type: conference, name: "R {remote_display_name}", service_tag: t } }
          - { id: b, when: { local_alias: 'group(?P<n>x?)' }, service: { service_type: conference, name: "R {n}", service_tag: "{n}" } }
          - { id: c, when: { local_alias: link }, service: { service_type: lecture, name: "R {link.booking}", service_tag: t } }
          - id: d
            when: { local_alias: gateway }
            service:
              { service_type: gateway, name: G, service_tag: t, local_alias: a, outgoing_protocol: sip, remote_alias: "{call_tag}@x" }
          - { id: e, when: { local_alias: leg }, room: r, dial_out: [{ remote_alias: a }, { remote_alias: "{call_tag}@x", when: failed }] }
          - { id: f, when: { local_alias: redirect }, redirect: "x{call_tag.raw}" }
        """
    )  # fmt: skip
    decision = ask(
        ruleset, "service", local_alias=alias, remote_display_name=value, call_tag=value, link={"booking": value}
    )
    assert isinstance(decision, Fail)
    assert decision.reason == reason


def test_a_label_may_be_empty() -> None:
    """A tag or a display name that comes out empty costs nobody a call."""
    ruleset = load(
        "service: [{ id: r, service: { service_type: conference, name: R, service_tag: '{vendor}', description: '{vendor}' } }]"
    )
    assert service(ask(ruleset, "service"))["service_tag"] == ""


def test_another_alias_of_a_participant_is_an_identity() -> None:
    """A participant does not lose their alias to an empty value."""
    decision = ask(load("participants: [{ id: p, set: { remote_alias: '{call_tag}' } }]"), "participant")
    assert isinstance(decision, Fail)
    assert decision.reason == "remote_alias needs {call_tag}, which is empty in this question"


def test_originals_survive() -> None:
    """{NAME.raw} is a group or parameter as it came: its case, scheme, parameters and our own domain."""
    ruleset = load(
        """
        domains: [example.org]
        service:
          - id: r
            when: { local_alias: 'live-(?P<key>[^@]+)(?P<rest>@.*)?', any: [{ remote_alias: '(?P<who>b.*)' }, { vendor: '(?P<who>.+)' }] }
            service:
              service_type: conference
              name: "{key}"
              service_tag: "{key.raw} {who.raw} {rest.raw|-}"
              description: "{local_alias.raw} {protocol.raw} {remote_display_name.raw}"
        """
    )
    room = service(
        ask(
            ruleset,
            "service",
            local_alias="SIP: Live-AbC_İΩ_9xYz\u0000@Example.ORG:5060;transport=TLS",
            remote_alias="h323:BOB@else.example.com",
            remote_display_name="Bob\u0007B",
            protocol="SIP",
        )
    )
    assert room["name"] == "abc_iω_9xyz"
    assert room["service_tag"] == "AbC_İΩ_9xYz BOB@else.example.com -"
    assert room["description"] == "SIP: Live-AbC_İΩ_9xYz@Example.ORG:5060;transport=TLS SIP BobB"


def test_placeholders() -> None:
    """Named groups come first, then parameters as conditions see them, and attributes of the link; the rest is empty."""
    ruleset = load(
        """
        domains: [example.org]
        service:
          - id: r
            when: { local_alias: '(?P<vendor>a)(?P<rest>z)?.*' }
            service:
              service_type: conference
              name: "[{vendor}] [{rest|}] [{local_alias}] [{remote_alias}] [{location}] [{call_tag|}] [{link.name}] [{link.x|-}]"
              service_tag: t
        """
    )
    decision = ask(
        ruleset,
        "service",
        link={"name": "Ada"},
        local_alias="sip:ABC@example.org",
        remote_alias="SIP:Bob@Other.com;x=y",
        location="London",
        vendor="Cisco",
    )
    assert service(decision)["name"] == "[a] [] [abc] [bob@other.com] [London] [] [Ada] [-]"


def test_alias_of_the_path_as_placeholder() -> None:
    """The default leg of a room without a call carries the room's name, and PINs belong to the room."""
    ruleset = load(
        """
        trunks: { t: { number: "+13129998045", dial_prefix: "99" } }
        rooms: { desk: { name: "Desk {location}", pin: derived } }
        service: [{ id: r, room: desk, dial_out: [{ trunk: t }] }]
        """
    )
    room = service(ask(ruleset, "service", location="Oslo"))
    assert room["pin"] == KEYRING.room_pins("Desk Oslo").host
    assert room["automatic_participants"][0]["local_display_name"] == "Desk Oslo"
    assert service(ask(ruleset, "service", location="Rome"))["pin"] != room["pin"]


def test_findings() -> None:
    """There is a row for every rule: hit, miss with condition and reason, or not evaluated and why."""
    decision = ask(CLINIC, "service", local_alias="pexip.one")
    assert [(row.rule, row.outcome.value, row.condition, row.reason) for row in decision.trace.findings()] == [
        ("patient", "miss", "link_type", "the alias is of no link type, not patient"),
        ("agent", "miss", "link_type", "the alias is of no link type, not patient"),
        ("closed", "miss", "link_type", "the alias is of no link type, not patient"),
        ("named", "miss", "local_alias", "local_alias is 'pexip.one', which does not match room-(?P<who>.+)"),
        ("moved", "miss", "local_alias", "local_alias is 'pexip.one', which does not match old-(?P<who>.*)"),
        ("off", "not_evaluated", "", "the rule is disabled"),
        ("pexip", "hit", "", "every condition holds"),
        ("meetings", "not_evaluated", "", "an earlier rule matched"),
    ]  # fmt: skip


def test_findings_below_the_winner() -> None:
    """Rules below the winner are not evaluated, and the trace says so; the first miss is the condition that missed."""
    decision = ask(CLINIC, "service", at=NOON.replace(hour=1), local_alias=f"mp{SESSION}")
    rows = decision.trace.findings()
    assert [row.outcome.value for row in rows] == ["miss", "miss", "hit", *["not_evaluated"] * 5]
    assert (rows[0].condition, rows[0].reason) == (
        "open",
        "calendar hours is closed at Sun 2026-11-22 19:00 (America/Chicago)",
    )
    assert rows[3].reason == "an earlier rule matched"
    assert rows[5].reason == "the rule is disabled"


def test_findings_without_a_winner() -> None:
    """When no rule matches, every enabled rule says why."""
    rows = ask(CLINIC, "location", remote_address="x").trace.findings()
    assert [(row.outcome.value, row.condition) for row in rows] == [
        ("miss", "remote_address"),
        ("miss", "remote_address"),
        ("miss", "protocol"),
    ]


def test_nothing_secret_is_shown() -> None:
    """Neither decisions, nor rules, nor rule sets show a PIN, a password, a passcode or a key in their repr."""
    decisions = [
        ask(CLINIC, "service", local_alias=f"mp{SESSION}", third_party_passcode="445566"),
        ask(CLINIC, "service", local_alias="room-x", vendor="v"),
        ask(CLINIC, "registration", alias="kiosk-7"),
        ask(CLINIC, "service", call_direction="dial_out", service_name=CALL_ID, service_tag="visit"),
    ]
    assert [type(decision).__name__ for decision in decisions] == ["Serve", "Serve", "AllowRegistration", "Serve"]
    lists = CLINIC.lists.values()
    shown = repr([CLINIC, *lists, CLINIC.recall, KEYRING, request("service", {"third_party_passcode": "445566"})])
    shown += repr([(decision, decision.trace.findings()) for decision in decisions])
    shown += repr([rules.rules for rules in lists])
    for secret in (PINS.host, PINS.guest, SESSION, AGENT_KEY, "987654", "open-sesame", "445566", "the secret key"):
        assert secret not in shown


def test_order_of_parameters_does_not_count() -> None:
    """The same parameters in another order get the same service."""
    fields: dict[str, Any] = {"local_alias": f"mp{SESSION}", "protocol": "api", "remote_display_name": "Ada"}
    turned = dict(reversed(fields.items()))
    assert service(ask(CLINIC, "service", **fields)) == service(ask(CLINIC, "service", **turned))


class Written:
    """A link that somebody wrote down."""

    def __init__(self, language: str, revoked_at: datetime | None = None, name: str = "") -> None:
        self.attributes = {"language": language}
        self.withdrawn_at = revoked_at
        self.name = name
        self.joins = ""


@pytest.mark.parametrize(
    ("link", "rule"),
    [
        (Written("es"), "spanish"),
        (Written("en"), "anybody"),
        (None, "anybody"),
        (Written("es", NOON), "refused"),
        (Written("en", name="Ada"), "named"),
    ],
    ids=["attribute", "another value", "nothing written down", "revoked", "name"],
)
@pytest.mark.parametrize("alias", [f"mp{SESSION}", f"HCP{AGENT_KEY.upper()}"], ids=["customer", "agent"])
def test_what_is_known_of_a_link(alias: str, link: Written | None, rule: str) -> None:
    """Attributes of the link that the alias belongs to reach the rules, at both doors, and one that was revoked is
    invalid at both.
    """
    ruleset = load(
        """
        rooms: { r: { name: "{call}", description: "{link.language}" } }
        service:
          - { id: spanish, when: { link_type: patient, link: valid, link_attributes: { language: es } }, room: r }
          - { id: named, when: { link_type: patient, link: valid, link_attributes: { name: Ada } }, room: r }
          - { id: anybody, when: { link_type: patient, link: valid }, room: r }
          - { id: refused, when: { link: invalid }, reject: "no" }
        links: { patient: { alias: "mp{session}", agent_alias: "hcp{agent}" } }
        """
    )
    found: list[str] = []

    def find_link(call: str) -> Written | None:
        found.append(call)
        return link

    decision = evaluate(ruleset, request("service", {"local_alias": alias}), NOON, KEYRING, find_link=find_link)
    assert decision.rule == rule
    assert set(found) == {CALL_ID}


def test_nothing_is_known_of_an_alias_that_nobody_signed() -> None:
    """What strangers make up is not looked up."""
    ruleset = load(
        """
        service: [{ id: it, when: { link: invalid, not: { link_attributes: { language: es } } }, reject: "no" }]
        links: { patient: { alias: "mp{session}" } }
        """
    )
    asked = request("service", {"local_alias": f"mp{CALL_ID}"})

    def find_link(call: str) -> Written | None:
        pytest.fail(f"looked up {call!r}")

    assert evaluate(ruleset, asked, NOON, KEYRING, find_link=find_link).rule == "it"


HELP = KEYRING.sign("help", NOON.replace(hour=22), b"1234")


@pytest.mark.parametrize(
    ("alias", "rule"),
    [
        (f"hlp{HELP.session}", "valid"),
        (f"agent{HELP.agent}", "valid"),
        (f"hlp{HELP.agent}", "other"),
        (f"agent{HELP.session}", "other"),
        (f"agent{HELP.id}", "other"),
        (f"ADV{HELP.session}@example.com", "other"),
        (f"consultant{HELP.agent}", "other"),
        (f"kiosk{HELP.session}", None),
    ],
    ids=[
        *("customer", "agent", "agent key of a customer", "session of an agent", "call id of an agent"),
        *("another type", "agent of another type", "no alias of a link type"),
    ],
)
def test_a_name_is_good_for_the_aliases_of_its_own_type_and_door(alias: str, rule: str | None) -> None:
    """A name opens neither the other door of its type, nor any door of another type."""
    ruleset = load(
        """
        domains: [example.com]
        service:
          - { id: valid, when: { link: valid }, reject: "yes" }
          - { id: other, when: { link: invalid }, reject: "no" }
        links:
          help: { alias: "hlp{session}", agent_alias: "agent{agent}" }
          advice: { alias: "adv{session}", agent_alias: "consultant{agent}" }
        """
    )
    assert ask(ruleset, "service", local_alias=alias).rule == rule


def test_the_names_of_a_call_are_placeholders() -> None:
    """All three stand for the call that the alias belongs to, whichever of its names is in the alias."""
    ruleset = load(
        """
        service:
          - id: r
            when: { link_type: patient }
            service: { service_type: conference, name: "{call}", service_tag: "{agent}", description: "{session}" }
        links: { patient: { alias: "mp{session}", agent_alias: "hcp{agent}" } }
        """
    )
    for alias in (f"mp{SESSION}", f"hcp{AGENT_KEY}"):
        room = service(ask(ruleset, "service", local_alias=alias))
        assert (room["name"], room["service_tag"], room["description"]) == (CALL_ID, AGENT_KEY, SESSION)


def test_a_room_of_a_call_is_never_made_for_an_alias_without_one() -> None:
    """An alias that nobody signed has no call id, so it gets no room that is named by it."""
    ruleset = load(
        """
        rooms: { r: { name: "{call}" } }
        service: [{ id: r, when: { link_type: patient }, room: r }]
        links: { patient: { alias: "mp{session}" } }
        """
    )
    decision = ask(ruleset, "service", local_alias=f"mp{AGENT_KEY}")
    assert isinstance(decision, Fail)
    assert decision.reason == "name needs {call}, which is empty in this question"

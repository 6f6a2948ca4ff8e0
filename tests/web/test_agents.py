"""The agents' lookup: who may ask, which aliases are found, and what the answer says."""

import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policy_server.conferences.records import Door, TimelineEntry
from policy_server.conferences.view import TIMELINE_LIMIT
from policy_server.policy.names import Keyring
from policy_server.simulator.genesys import DIVISION, User, participant
from policy_server.web.problem import TYPE_ROOT
from tests.conferences import event_histories as told
from tests.genesys.asking import CONVERSATION, MARIA, OTHER_TOKEN, TOKEN, Genesys, tenant
from tests.rule_sets import KEYRING, NOON, load
from tests.waiting import until
from tests.web.calls import (
    AGENT_KEY,
    BEGIN,
    CALL_ID,
    GUEST_PIN,
    HOST_PIN,
    NODE,
    NUMBER,
    ORIGIN,
    SESSION,
    Desk,
    a_link,
    a_pin,
    call_of,
    customer,
    ended,
    left,
    on_the_phone,
    started,
    trunk,
)

ELSEWHERE = Keyring(b"a key that this server does not have").sign("visit", NOON + timedelta(hours=1), b"1234")
"""A call that somebody else signed."""
STRANGER = ELSEWHERE.id
OLD_SESSION = "0f" * 16
"""A session of the organisation's own making, as rules without a signature take it."""


@pytest.fixture
def desk(genesys: Genesys, tmp_path: Path) -> Iterator[Desk]:
    """Agents' endpoints on an empty database."""
    with Desk(tmp_path, tenant(genesys.url)) as started_desk:
        yield started_desk


def whole_call(desk: Desk) -> None:
    """A link, its room, a customer in it and the contact centre's leg."""
    desk.store_link()
    desk.store_hold()
    desk.tell(started(), customer(), trunk())


def iso(seconds: float) -> str:
    """A time, so many seconds after NOON, as answers write it."""
    return (NOON + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def kinds(answer: dict[str, Any]) -> list[str]:
    """What the timeline tells, in order."""
    return [line["kind"] for line in answer["timeline"]]


# ------------------------------------------------------------------ what is found


@pytest.mark.parametrize(
    "alias",
    [
        CALL_ID,
        CALL_ID.upper(),
        f"hcp{AGENT_KEY}",
        f"HCP{AGENT_KEY.upper()}",
        f"sip:hcp{AGENT_KEY}@video.example.com",
        f"sips:HCP{AGENT_KEY}@VIDEO.EXAMPLE.COM;transport=tls",
        f"{CALL_ID}@video.example.com",
        f"sip:{CALL_ID}",
        f" {CALL_ID} ",
    ],
)
@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "lost"])
def test_every_spelling_finds_the_conference(desk: Desk, alias: str, is_stored: bool) -> None:
    """Call id and agents' alias are one conference in any case, with or without scheme and domain; so also when nothing
    but our signature is left of it.
    """
    if is_stored:
        whole_call(desk)
    answer = desk.found(alias)
    assert answer["call"] == CALL_ID
    assert answer["join"] == {"alias": f"hcp{AGENT_KEY}", "pin": HOST_PIN, "role": "chair", "call_type": "video-only"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "alias",
    [
        STRANGER,
        f"hcp{ELSEWHERE.agent}",
        CALL_ID[:-1] + ("a" if CALL_ID[-1] != "a" else "b"),
        f"{CALL_ID}@elsewhere.example.com",
        f"x{CALL_ID}",
        "meet.alice",
        OLD_SESSION,
        f"old{OLD_SESSION}",
        "ü\x00🎥",
        "a" * 3000,
        "%2e%2e",
        pytest.param(SESSION, id="a session"),
        pytest.param(f"mp{SESSION}", id="the customer's alias"),
        pytest.param(f"sip:mp{SESSION}@video.example.com", id="the customer's address"),
        pytest.param(f"hcp{SESSION}", id="the agents' alias of a session"),
        pytest.param(f"hcp{CALL_ID}", id="the agents' alias of a call id"),
        pytest.param(f"mp{CALL_ID}", id="the customer's alias of a call id"),
        pytest.param(f"mp{AGENT_KEY}", id="the customer's alias of an agent key"),
        pytest.param(AGENT_KEY, id="an agent key"),
        pytest.param(f"wka{CALL_ID}", id="the agents' alias of another type"),
    ],
)
def test_what_is_not_ours_is_not_found(desk: Desk, alias: str) -> None:
    """An alias that we neither signed nor know, or that is not the agents' own, is 404, and is not repeated."""
    whole_call(desk)
    response = desk.ask(alias)
    assert (response.status_code, response.json()["type"]) == (404, TYPE_ROOT + "unknown-conference")
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("alias", [STRANGER, f"hcp{ELSEWHERE.agent}", "meet.alice", SESSION, f"mp{SESSION}"])
def test_what_is_not_ours_costs_the_same(desk: Desk, genesys: Genesys, alias: str) -> None:
    """The same questions go to Genesys and to the database for an unknown alias as for a known one that nobody watches."""
    whole_call(desk)
    desk.ask()
    asked = []
    for wanted in (f"hcp{AGENT_KEY}", alias):
        desk.conferences.running.forget_all()
        desk.store.asked.clear()
        genesys.stand_in.requests.clear()
        desk.ask(wanted)
        asked.append((list(desk.store.asked), genesys.paths))
    assert asked[0] == asked[1]
    assert asked[0][0] == ["read", "change_number", "link", "conference_of_call", "timeline", "events"]


def test_a_whole_call(desk: Desk) -> None:
    """While the call runs the answer holds all that agents need (README.md: Agents)."""
    whole_call(desk)
    desk.note(CALL_ID, "link.opened", {"door": "open"}, NOON - timedelta(minutes=5))
    desk.noted("link.opened")
    answer = desk.found()
    timeline = answer.pop("timeline")
    participants = answer.pop("participants")
    assert answer == {
        "verdict": {
            "code": "waiting",
            "text": "The customer is waiting; Genesys answered after 10 s; no agent joined.",
            "waited": None,
            "talked": None,
            "answered_after": 10.0,
            "attempts": 1,
        },
        "call": CALL_ID,
        "name": CALL_ID,
        "service_tag": "contact-centre",
        "state": "active",
        "node": NODE,
        "join": {"alias": f"hcp{AGENT_KEY}", "pin": HOST_PIN, "role": "chair", "call_type": "video-only"},
        "customer": {
            "name": "Ada L",
            "alias": "mp…",
            "is_present": True,
            "joined_at": iso(2),
            "left_at": None,
        },
        "found_by": None,
        "trunk_leg": {
            "number": NUMBER,
            "state": "connected",
            "connected_at": iso(12),
            "ended_at": None,
            "disconnect_reason": None,
            "leg_end": None,
            "attempts": 1,
        },
        "attributes": {"language": "es"},
        "joins": None,
        "joined_by": [],
        "absent": [
            "No node asked to dial.",
            "No agent looked it up.",
            "No agent joined.",
        ],
        "timeline_left_out": 0,
        "created_at": iso(-1800),
        "opened_at": iso(-300),
        "started_at": iso(1),
        "ended_at": None,
        "starts_at": None,
        "opens_at": None,
        "expires_at": iso(4 * 3600),
        "revoked_at": None,
        "moved_at": None,
        "moved_to": None,
    }
    (person,) = participants
    assert person["display_name"] == "Ada from her phone"
    assert (person["role"], person["is_present"], person["joined_at"]) == ("guest", True, iso(2))
    assert person["dialled_alias"] == "mp…"
    assert [(line["at"], line["kind"]) for line in timeline] == [
        (iso(-300), "link.opened"),
        (iso(1), "conference_started"),
        (iso(2), "joined"),
        (iso(12), "trunk_answered"),
    ]
    assert timeline[0]["data"] == {"door": "open"}
    assert timeline[2]["text"] == "Ada from her phone joined as Guest."


def test_answers_are_kept_by_nobody(desk: Desk) -> None:
    """The answer is JSON that no cache may keep, and pages of configured origins may read it."""
    desk.store_link()
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": ORIGIN}
    response = desk.request("GET", f"/agent/v1/conferences/{CALL_ID}", headers=headers)
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == ORIGIN


# ------------------------------------------------------------------ states


def test_a_link_without_a_room_waits(desk: Desk) -> None:
    """Before anybody came the conference waits, and everything that the link says is there."""
    desk.store_link(a_link(attributes={"queue": "night"}))
    answer = desk.found()
    assert answer["state"] == "waiting"
    assert answer["join"]["pin"] == HOST_PIN
    assert answer["service_tag"] == "contact-centre"
    assert answer["attributes"] == {"queue": "night"}
    assert answer["customer"] == {
        "name": "Ada L",
        "alias": "mp…",
        "is_present": False,
        "joined_at": None,
        "left_at": None,
    }
    assert (answer["trunk_leg"], answer["participants"], answer["timeline"]) == (None, [], [])
    assert (answer["opened_at"], answer["started_at"], answer["ended_at"]) == (None, None, None)


def test_a_served_room_waits_for_its_first_participant(desk: Desk) -> None:
    """A room that a node has asked for, but in which nobody is, waits."""
    desk.store_hold()
    assert desk.found()["state"] == "waiting"


def test_an_ended_call(desk: Desk) -> None:
    """After the hang-up the state is ended, with the times and the reason of the leg's end."""
    whole_call(desk)
    desk.tell(left("leg", 60, disconnect_reason="Call disconnected"), left("customer", 61), ended(62))
    answer = desk.found()
    assert (answer["state"], answer["started_at"], answer["ended_at"]) == ("ended", iso(1), iso(62))
    assert answer["trunk_leg"] == {
        "number": NUMBER,
        "state": "ended",
        "connected_at": iso(12),
        "ended_at": iso(60),
        "disconnect_reason": "Call disconnected",
        "leg_end": "ended",
        "attempts": 1,
    }
    assert answer["customer"]["is_present"] is False
    assert answer["customer"]["left_at"] == iso(61)
    assert kinds(answer)[-3:] == ["trunk_ended", "left", "conference_ended"]


def test_events_outlive_the_record(desk: Desk) -> None:
    """When link and room were lost, what the nodes reported is found by the name that the rules give the room."""
    desk.tell(started(), customer(), trunk())
    answer = desk.found()
    assert answer["state"] == "active"
    assert answer["customer"]["name"] == "Ada from her phone"
    assert answer["customer"]["alias"] == "mp…"
    assert (answer["created_at"], answer["expires_at"]) == (None, iso(4 * 3600))


def test_a_second_leg_after_a_failed_one(desk: Desk) -> None:
    """The leg shown is the one that is up; the reason is that of the leg that ended last."""
    whole_call(desk)
    desk.tell(left("leg", 20, disconnect_reason="Unexpected Response: 503"), trunk(25, uuid="second"))
    leg = desk.found()["trunk_leg"]
    assert (leg["state"], leg["connected_at"], leg["ended_at"], leg["attempts"]) == ("connected", iso(25), None, 2)
    assert (leg["disconnect_reason"], leg["leg_end"]) == ("Unexpected Response: 503", "unreachable")


def test_a_leg_that_rings(desk: Desk) -> None:
    """A leg that nobody has answered yet is dialling."""
    desk.store_hold()
    desk.tell(started(), trunk(11, connect_time=None, service_type="connecting", has_media=False))
    leg = desk.found()["trunk_leg"]
    assert (leg["state"], leg["number"], leg["connected_at"]) == ("dialling", NUMBER, None)


# ------------------------------------------------------------------ rooms and PINs


@pytest.mark.parametrize(
    ("link_type", "alias", "name", "tag", "pin", "is_held"),
    [
        ("advice", "adv{session}", "advice {call}", "advice", "55512345", True),
        ("advice", "adv{session}", "advice {call}", "advice", "55512345", False),
        ("open", "opn{session}", "open {call}", "open", None, True),
        ("open", "opn{session}", "open {call}", "open", None, False),
        ("shared", "shr{session}", "the shared room", "shared", "77712345", True),
        ("shared", "shr{session}", "the shared room", "shared", "77712345", False),
        ("refused", "no{session}", "{call}", "", None, False),
    ],
    ids=["fixed-pin-held", "fixed-pin", "no-pin-held", "no-pin", "shared-room-held", "shared-room", "no-rule"],
)
def test_the_room_and_its_pin(
    desk: Desk, link_type: str, alias: str, name: str, tag: str, pin: str | None, is_held: bool
) -> None:
    """Name, tag and host PIN are those of the held service, or else those that the rules would serve; the alias to
    join is the customer's where agents have none.
    """
    call = call_of(link_type)
    alias = alias.format(session=call.session)
    if is_held:
        desk.store_hold(a_pin(alias, call))
    answer = desk.found(call.id)
    assert (answer["call"], answer["name"], answer["service_tag"]) == (call.id, name.format(call=call.id), tag)
    assert (answer["join"]["alias"], answer["join"]["pin"]) == (alias, pin)


@pytest.mark.parametrize("is_held", [True, False])
def test_an_agents_alias_of_the_call_id(desk: Desk, is_held: bool) -> None:
    """Where the rules make the agents' alias of the call id, it and the call id find the conference, a session does not."""
    call = call_of("weak")
    if is_held:
        desk.store_hold(a_pin(f"wk{call.session}", call))
    for alias in (call.id, f"wka{call.id}", f"sip:WKA{call.id.upper()}@video.example.com"):
        answer = desk.found(alias)
        assert (answer["call"], answer["join"]["alias"]) == (call.id, f"wka{call.id}")
        assert answer["join"]["pin"] == call.pins.host
    for alias in (call.session, call.agent, f"wk{call.session}", f"wka{call.session}", f"wka{call.agent}"):
        assert desk.ask(alias).status_code == 404


@pytest.mark.parametrize(
    ("doors", "pin"),
    [
        pytest.param({"agent": Door({"pin": "4711"})}, "4711", id="the agent's own, as it was held"),
        pytest.param({"customer": Door({}), "agent": Door({"pin": "4711"})}, "4711", id="not the customer's"),
        pytest.param({"customer": Door({})}, HOST_PIN, id="the one that the agent will meet"),
    ],
)
def test_the_pin_of_a_running_room(desk: Desk, doors: dict[str, Door], pin: str) -> None:
    """It is the one of the door that the agent's alias leads to: held, or as its rule gives it now."""
    desk.store_hold(a_pin(doors=doors))
    assert desk.found()["join"]["pin"] == pin


def test_the_pin_of_a_room_outlives_the_rules(desk: Desk) -> None:
    """Where no rule knows the agent's alias any more, the PIN is the one that the room was first entered with."""
    desk.rules.ruleset = load("service: [{ id: other, when: { local_alias: other }, continue: true }]")
    desk.store_hold(a_pin(doors={"customer": Door({"pin": "4711"})}))
    assert desk.found()["join"]["pin"] == "4711"


def test_a_room_that_is_not_written_yet(desk: Desk) -> None:
    """A room whose record waits for the database is found all the same."""
    desk.store.away = {"hold_all"}
    desk.run(desk.conferences.hold(a_pin(doors={"agent": Door({"pin": "4711"})})))
    assert desk.found()["join"]["pin"] == "4711"


def test_the_signature_says_which_type_it_is(desk: Desk) -> None:
    """The type of the call counts, whatever a record says of it."""
    call = call_of("advice")
    desk.store_hold(a_pin(f"adv{call.session}", call))
    desk.store_link(a_link(call.id, type="visit"))
    assert desk.found(call.id)["join"]["alias"] == f"adv{call.session}"


def test_a_call_outlives_its_type(desk: Desk) -> None:
    """A call whose type the rules do not have any more is found by its link, with nothing to join by."""
    desk.store_link()
    desk.rules.ruleset = load("service: [{ id: other, when: { local_alias: other }, continue: true }]")
    answer = desk.found()
    assert (answer["call"], answer["customer"]["name"], answer["join"]["alias"]) == (CALL_ID, "Ada L", None)


@pytest.mark.parametrize("asked", [OLD_SESSION.upper(), f"old{OLD_SESSION}"], ids=["room", "alias"])
def test_rooms_without_a_call(desk: Desk, asked: str) -> None:
    """A room that no link of ours led to is found once it was served, by its name and by the alias that was dialled."""
    alias = f"old{OLD_SESSION}"
    desk.store_hold(a_pin(alias, None))
    desk.run(until(lambda: desk.conferences.live(OLD_SESSION, NOON) is not None))
    answer = desk.found(asked)
    assert (answer["name"], answer["join"]["alias"]) == (OLD_SESSION, alias)
    assert answer["join"]["pin"] == KEYRING.room_pins(OLD_SESSION).host
    desk.now += timedelta(hours=13)
    assert desk.found(OLD_SESSION)["state"] == "ended"


def test_a_call_is_not_found_by_its_room_or_by_the_customers_alias(desk: Desk) -> None:
    """Only rooms without a call are found by what was dialled: of a call that would be what opens the customer's door."""
    call = call_of("shared")
    desk.store_hold(a_pin())
    desk.store_hold(a_pin(f"shr{call.session}", call))
    desk.run(until(lambda: desk.conferences.live_count == 2))
    for alias in (f"mp{SESSION}", f"shr{call.session}", "the shared room"):
        assert desk.ask(alias).status_code == 404


def test_every_life_of_a_room_is_shown(desk: Desk) -> None:
    """When everybody left and somebody came back, timeline and participants tell of both lives of the call's room."""
    desk.store_hold(a_pin(id="first", held_at=NOON - timedelta(hours=2)))
    desk.tell(started(-7000), customer(-6990, "Ada in the morning", "first"), ended(-6000))
    desk.store_hold()
    desk.tell(started(), customer())
    answer = desk.found()
    assert (answer["state"], answer["started_at"]) == ("active", iso(-7000))
    assert [person["display_name"] for person in answer["participants"]] == ["Ada in the morning", "Ada from her phone"]
    assert kinds(answer).count("conference_started") == 2


def test_others_in_the_same_room_are_not_shown(desk: Desk) -> None:
    """In a room that many calls share, events of other times are not this call's."""
    room, call = "the shared room", call_of("shared")
    desk.store_hold(a_pin(f"shr{call.session}", call, ended_at=None, expires_at=NOON + timedelta(hours=1)))
    for seconds, name in ((-3600, "Before"), (5, "During"), (7200, "After")):
        desk.now = NOON + timedelta(seconds=seconds)
        desk.tell(told.joined(name, BEGIN, conference=room, display_name=name))
    assert [person["display_name"] for person in desk.found(call.id)["participants"]] == ["During"]


def test_a_revoked_link(desk: Desk) -> None:
    """A revoked link is still shown, with the time; the rules serve it no more, so there is no PIN."""
    desk.store_link()
    desk.run(desk.store.revoke_link(CALL_ID, NOON))
    answer = desk.found()
    assert (answer["state"], answer["revoked_at"], answer["join"]["pin"]) == ("waiting", iso(0), None)


def test_without_a_node(genesys: Genesys, tmp_path: Path) -> None:
    """Without POLICY_NODE the node is null."""
    with Desk(tmp_path, tenant(genesys.url), node="") as desk:
        assert desk.found()["node"] is None


# ------------------------------------------------------------------ who may ask


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, "Bearer"),
        ("", "Bearer"),
        ("Basic c2luazpndWVzcw==", "Bearer"),
        (TOKEN, "Bearer"),
        ("Bearer", "Bearer"),
        ("Bearer ", "Bearer"),
        ("Bearer not-known", 'Bearer error="invalid_token"'),
        (f"Bearer {TOKEN} {TOKEN}", 'Bearer error="invalid_token"'),
        ("Bearer {}", 'Bearer error="invalid_token"'),
    ],
)
@pytest.mark.parametrize("alias", [CALL_ID, STRANGER], ids=["known", "unknown"])
def test_without_a_good_token(desk: Desk, authorization: str | None, challenge: str, alias: str) -> None:
    """401 with a challenge, known conference or not, and the database is not asked."""
    headers = {} if authorization is None else {"Authorization": authorization}
    response = desk.request("GET", f"/agent/v1/conferences/{alias}", headers=headers)
    assert (response.status_code, response.json()["type"]) == (401, TYPE_ROOT + "unauthorized")
    assert response.headers["www-authenticate"] == challenge
    assert response.headers["cache-control"] == "no-store"
    assert desk.store.asked == []


def test_the_scheme_in_any_case(desk: Desk) -> None:
    """The word Bearer may be written in any case."""
    headers = {"Authorization": f"bearer  {TOKEN}"}
    assert desk.request("GET", f"/agent/v1/conferences/{CALL_ID}", headers=headers).status_code == 200


def test_two_tokens_are_none(desk: Desk) -> None:
    """A request with two Authorization headers is 401."""
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    assert desk.request("GET", f"/agent/v1/conferences/{CALL_ID}", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("user", "status", "kind", "reason"),
    [
        (User(organization_id=DIVISION), 403, "forbidden", "another Genesys Cloud organisation"),
        (User(division_id=MARIA.id), 403, "forbidden", "division"),
        (User(state="inactive"), 403, "forbidden", "not active"),
        (User(kind="unscoped"), 403, "forbidden", "users:readonly"),
        (User(kind="client"), 401, "unauthorized", "log in again"),
    ],
    ids=["organisation", "division", "inactive", "scope", "client-credentials"],
)
def test_agents_who_may_not(genesys: Genesys, tmp_path: Path, user: User, status: int, kind: str, reason: str) -> None:
    """The owner of a good token who is not let in is told why, and nothing about any conference."""
    genesys.stand_in.users[TOKEN] = user
    with Desk(tmp_path, tenant(genesys.url, [DIVISION])) as desk:
        for alias in (CALL_ID, STRANGER):
            response = desk.ask(alias)
            assert (response.status_code, response.json()["type"]) == (status, TYPE_ROOT + kind)
            assert reason in response.json()["detail"]
        assert desk.store.asked == []


@pytest.mark.parametrize(
    ("trouble", "client", "retry_after"),
    [
        ({"status": 429, "headers": {"Retry-After": "30"}}, {}, 30),
        ({"status": 500}, {}, None),
        ({"status": 200, "body": "{}"}, {}, None),
        ({"how": "hang"}, {"timeout": 0.1}, None),
    ],
    ids=["429", "500", "nonsense", "hang"],
)
def test_genesys_cannot_be_asked(
    genesys: Genesys, tmp_path: Path, trouble: dict[str, Any], client: dict[str, Any], retry_after: int | None
) -> None:
    """503 with Retry-After, and nobody is let in."""
    genesys.stand_in.trouble(**trouble)
    with Desk(tmp_path, tenant(genesys.url), client=client) as desk:
        response = desk.ask()
        assert (response.status_code, response.json()["type"]) == (503, TYPE_ROOT + "genesys-unavailable")
        assert int(response.headers["retry-after"]) == (retry_after or int(response.headers["retry-after"]))
        assert int(response.headers["retry-after"]) > 0
        assert desk.store.asked == []


def test_a_token_that_was_verified_just_now(desk: Desk, genesys: Genesys) -> None:
    """While Genesys is away, an agent whose token was verified within the cache's time goes on working."""
    assert desk.ask().status_code == 200
    genesys.stand_in.trouble(status=500)
    assert desk.ask().status_code == 200


@pytest.mark.parametrize("method", ["link", "conference_of_call", "timeline", "events", "change_number"])
def test_the_database_is_away(desk: Desk, method: str) -> None:
    """503 with Retry-After whichever question the database does not answer about a call that has to be read."""
    whole_call(desk)
    desk.conferences.running.forget_all()
    desk.store.away = {method}
    response = desk.ask()
    assert (response.status_code, response.json()["type"]) == (503, TYPE_ROOT + "store-unavailable")
    assert int(response.headers["retry-after"]) > 0


def test_a_call_that_is_known_is_shown_while_the_database_is_away(desk: Desk) -> None:
    """Of a call whose link was made here the agent sees what the database would say, without asking it."""
    whole_call(desk)
    desk.ask()
    desk.run(desk.written())
    desk.store.away = {"read"}
    known = desk.found()
    desk.store.away = set()
    desk.conferences.running.forget_all()
    desk.store.asked.clear()
    assert desk.found() == known
    assert "events" in desk.store.asked


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_get(desk: Desk, method: str) -> None:
    """Other methods are 405."""
    assert desk.request(method, f"/agent/v1/conferences/{CALL_ID}").status_code == 405


# ------------------------------------------------------------------ the conversation


ON_IT = participant("agent", userId=MARIA.id)


@pytest.mark.parametrize("ani_name", [CALL_ID, CALL_ID.upper(), f" {CALL_ID} "])
@pytest.mark.parametrize("conversation", [CONVERSATION, CONVERSATION.upper()])
def test_an_agent_on_the_customers_conversation(desk: Desk, genesys: Genesys, ani_name: str, conversation: str) -> None:
    """The agent whose connected conversation shows the call id as the caller's name may ask, in any case."""
    genesys.stand_in.conversations[CONVERSATION] = on_the_phone(ani_name)
    assert desk.found(f"hcp{AGENT_KEY}", conversation=conversation)["call"] == CALL_ID


@pytest.mark.parametrize(
    ("people", "reason"),
    [
        (None, "no conversation of that id"),
        (on_the_phone(STRANGER), "another conference"),
        (on_the_phone(f"mp{ELSEWHERE.session}"), "another conference"),
        (on_the_phone(f"x{CALL_ID}"), "another conference"),
        (on_the_phone(SESSION), "another conference"),
        (on_the_phone(f"mp{SESSION}"), "another conference"),
        (on_the_phone(AGENT_KEY), "another conference"),
        (on_the_phone(None), "no caller's name"),
        ([participant("customer", ani="tel:+13125550100"), ON_IT], "an address (ani) that is not this conference"),
        ([ON_IT], "its participants are agent (connected, this agent)"),
        (on_the_phone(state="alerting"), "is not connected"),
        (on_the_phone(state="disconnected"), "is not connected"),
        (on_the_phone(endTime="2026-11-23T18:10:00.000Z"), "is not connected"),
        ([participant("customer", aniName=CALL_ID)], "does not show this user"),
        ([participant("customer", aniName=CALL_ID), participant("agent", userId=DIVISION)], "does not show this user"),
    ],
    ids=[
        "unknown",
        "another-call",
        "anothers-alias",
        "no-alias-of-ours",
        "the-session",
        "the-customers-alias",
        "the-agent-key",
        "no-name",
        "a-telephone",
        "no-customer",
        "alerting",
        "disconnected",
        "left",
        "not-on-it",
        "somebody-elses",
    ],
)
@pytest.mark.parametrize("alias", [CALL_ID, f"hcp{AGENT_KEY}"], ids=["call", "alias"])
def test_an_agent_who_is_not_on_it(
    desk: Desk, genesys: Genesys, people: list[dict[str, Any]] | None, reason: str, alias: str
) -> None:
    """Any other conversation is 403 with a type of its own, before anything is read about the conference."""
    if people is not None:
        genesys.stand_in.conversations[CONVERSATION] = people
    response = desk.ask(alias, conversation=CONVERSATION)
    assert (response.status_code, response.json()["type"]) == (403, TYPE_ROOT + "not-bound")
    assert reason in response.json()["detail"]
    assert desk.store.asked == []


SPELLINGS = [
    CALL_ID,
    CALL_ID.upper(),
    f'"{CALL_ID}"',
    f"\u201c{CALL_ID}\u201d",
    f"'{CALL_ID}'",
    f'\\"{CALL_ID}\\"',
    f"{CALL_ID}.",
    f"({CALL_ID})",
    f"{CALL_ID}",
    f"{CALL_ID.upper()}",
    f"sip:{CALL_ID}@video.example.com",
    f"SIPS:{CALL_ID}@VIDEO.example.com:5061;transport=tls",
    f'"{CALL_ID}" <sip:{CALL_ID}@video.example.com>',
    f"<sip:{CALL_ID}@video.example.com;user=phone>;tag=1928",
    f"tel:{CALL_ID}",
    f"sip%3A{CALL_ID}%40video.example.com",
    f"%22{CALL_ID}%22",
    f"{CALL_ID}@video.example.com,",
    f"&quot;{CALL_ID}&quot;",
    f"{CALL_ID}\u200b",
]


@pytest.mark.slow
@pytest.mark.parametrize("spelt", SPELLINGS)
@pytest.mark.parametrize("field", ["aniName", "ani"])
def test_a_callers_name_in_any_spelling_is_the_conference(desk: Desk, genesys: Genesys, field: str, spelt: str) -> None:
    """What Genesys shows of the caller, by name or by address, is understood in the path and in the conversation."""
    genesys.stand_in.conversations[CONVERSATION] = [participant("customer", **{field: spelt}), ON_IT]
    for alias in (CALL_ID, spelt):
        assert desk.found(alias, conversation=CONVERSATION)["call"] == CALL_ID


@pytest.mark.parametrize("domain", ["10.0.0.5", "trunk.example.net:5061;transport=tls", "[2001:db8::1]"])
def test_of_the_callers_address_the_user_part_counts(desk: Desk, genesys: Genesys, domain: str) -> None:
    """Whatever host a trunk puts there, and whatever a carrier made of the name."""
    caller = participant("customer", aniName="WIRELESS CALLER", ani=f"sip:{CALL_ID}@{domain}")
    genesys.stand_in.conversations[CONVERSATION] = [caller, ON_IT]
    for alias in (CALL_ID, f"sip:{CALL_ID}@{domain}", "Wireless Caller"):
        answer = desk.found(alias, conversation=CONVERSATION)
        assert (answer["call"], answer["found_by"]) == (CALL_ID, "ani")


def test_an_address_of_another_call_goes_before_a_name(desk: Desk, genesys: Genesys) -> None:
    """Who is named like a call and calls from another's address is the other's."""
    caller = participant("customer", aniName=CALL_ID, ani=f"sip:{ELSEWHERE.id}@10.0.0.5")
    genesys.stand_in.conversations[CONVERSATION] = [caller, ON_IT]
    assert desk.ask(conversation=CONVERSATION).status_code == 403


@pytest.mark.parametrize(
    "people",
    [
        pytest.param(
            [participant("customer", aniName=CALL_ID), participant("user", userId=MARIA.id)], id="handed over"
        ),
        pytest.param(
            [participant("external", aniName=CALL_ID), participant("user", userId=MARIA.id)], id="a direct number"
        ),
        pytest.param([participant("external", aniName=CALL_ID), ON_IT], id="an external and an agent"),
        pytest.param(
            [participant("customer", aniName=CALL_ID), {**ON_IT, "calls": [], "state": "connected"}], id="by itself"
        ),
    ],
)
def test_whoever_has_the_call_is_let_in(desk: Desk, genesys: Genesys, people: list[dict[str, Any]]) -> None:
    """Agents of a queue, colleagues who were handed the call, and people who were called straight."""
    genesys.stand_in.conversations[CONVERSATION] = people
    assert desk.found(conversation=CONVERSATION)["call"] == CALL_ID


def test_a_refusal_says_who_was_seen(desk: Desk, genesys: Genesys) -> None:
    """Purposes and states of the conversation, so that an administrator sees what Genesys said; no names."""
    people = [*on_the_phone(state="alerting"), participant("external", aniName="Ada L", name="Ada L")]
    genesys.stand_in.conversations[CONVERSATION] = people
    detail = desk.ask(conversation=CONVERSATION).json()["detail"]
    assert detail == (
        "this agent's call in that conversation is not connected; its participants are customer (connected), "
        "agent (alerting, this agent), external (connected)"
    )


def test_no_part_of_a_callers_name_will_do_for_a_room_without_a_call(desk: Desk, genesys: Genesys) -> None:
    """The name of such a room can be guessed, so the whole of what the caller is called must be it."""
    for name, status, end in (("the shared room", 404, "1"), ("the shared room, please", 403, "2")):
        conversation = CONVERSATION[:-1] + end
        genesys.stand_in.conversations[conversation] = on_the_phone(name)
        assert desk.ask("the shared room", conversation=conversation).status_code == status


def test_a_supervisor_is_not_on_it_either(desk: Desk, genesys: Genesys) -> None:
    """Who may see a conversation of somebody else is not on it."""
    genesys.stand_in.users[OTHER_TOKEN] = User(sees_all=True)
    genesys.stand_in.conversations[CONVERSATION] = on_the_phone()
    response = desk.ask(token=OTHER_TOKEN, conversation=CONVERSATION)
    assert (response.status_code, response.json()["type"]) == (403, TYPE_ROOT + "not-bound")


@pytest.mark.parametrize(
    "conversation",
    ["", "{{pcConversationId}}", "../users/me", "0", [CONVERSATION, CONVERSATION], [CONVERSATION, "x"]],
)
def test_what_is_no_conversation(desk: Desk, genesys: Genesys, conversation: str | list[str]) -> None:
    """What cannot be the id of one conversation is 400, and Genesys is not asked for it."""
    genesys.stand_in.conversations[CONVERSATION] = on_the_phone()
    response = desk.ask(conversation=conversation)
    assert (response.status_code, response.json()["type"]) == (400, TYPE_ROOT + "invalid-conversation")
    assert not [path for path in genesys.paths if "conversations" in path]


@pytest.mark.parametrize(
    "conversation",
    [
        "",
        " ",
        "{{pcConversationId}}",
        "{{pcConversationID}}",
        "%7B%7BpcConversationId%7D%7D",
        "pcConversationId",
        "${id}",
        "undefined",
        "null",
        "None",
        "[object Object]",
        "NaN",
        "{{gcConversationId}}",
    ],
)
def test_a_placeholder_that_was_not_filled_in_is_named(desk: Desk, conversation: str) -> None:
    """An administrator reads that the widget's address is wrong, and what to write there."""
    detail = desk.ask(conversation=conversation).json()["detail"]
    assert "the placeholder was not filled in" in detail
    assert "{{pcConversationId}}, spelt so," in detail
    assert conversation.strip() in detail or "%7B" in conversation


@pytest.mark.parametrize("conversation", ["0", "../users/me", [CONVERSATION, ""], CONVERSATION[:-1]])
def test_what_is_wrong_otherwise_is_no_placeholder(desk: Desk, conversation: str | list[str]) -> None:
    """Nobody is sent to look for a placeholder where there is none."""
    assert "must be given once" in desk.ask(conversation=conversation).json()["detail"]


def test_binding_may_be_compulsory(genesys: Genesys, tmp_path: Path) -> None:
    """With binding required, a lookup without a conversation is 400 that says what to add; with a good one it is 200."""
    genesys.stand_in.conversations[CONVERSATION] = on_the_phone()
    with Desk(tmp_path, tenant(genesys.url), binding_required=True) as desk:
        for alias in (CALL_ID, STRANGER):
            response = desk.ask(alias)
            assert (response.status_code, response.json()["type"]) == (400, TYPE_ROOT + "conversation-required")
            assert "?conversation=" in response.json()["detail"]
        assert desk.ask(token=None).status_code == 401
        assert desk.ask(conversation=CONVERSATION).status_code == 200
        assert desk.ask(STRANGER, conversation=CONVERSATION).status_code == 403


@pytest.mark.parametrize("times", [0, 1], ids=["agent", "conversation"])
def test_genesys_is_away_when_the_binding_is_checked(desk: Desk, genesys: Genesys, times: int) -> None:
    """503 when either question cannot be answered: a conversation that could not be checked is not a good one."""
    genesys.stand_in.conversations[CONVERSATION] = on_the_phone()
    if times:
        assert desk.ask().status_code == 200
    genesys.stand_in.trouble(status=502)
    response = desk.ask(conversation=CONVERSATION)
    assert (response.status_code, response.json()["type"]) == (503, TYPE_ROOT + "genesys-unavailable")


# ------------------------------------------------------------------ the timeline


def test_a_lookup_is_on_the_timeline(desk: Desk, genesys: Genesys) -> None:
    """Each lookup says which agent asked, and by which conversation."""
    genesys.stand_in.conversations[CONVERSATION] = on_the_phone()
    whole_call(desk)
    desk.found(conversation=CONVERSATION.upper())
    (entry,) = desk.noted("agent.looked_up")
    assert entry == TimelineEntry(
        CALL_ID,
        NOON,
        "agent.looked_up",
        {
            "text": "Maria Silva looked up the conference.",
            "agent": {"id": MARIA.id, "name": "Maria Silva"},
            "conversation": CONVERSATION,
        },
    )
    (line,) = [line for line in desk.found()["timeline"] if line["kind"] == "agent.looked_up"]
    assert line["text"] == "Maria Silva looked up the conference."
    assert line["data"] == {"agent": {"id": MARIA.id, "name": "Maria Silva"}, "conversation": CONVERSATION}


def test_one_agent_is_noted_once_a_minute(desk: Desk, genesys: Genesys) -> None:
    """A widget that asks again and again does not fill the timeline; another agent and a later minute are noted."""
    genesys.stand_in.users[OTHER_TOKEN] = User("Joe", id=DIVISION)
    desk.found()
    desk.now += timedelta(seconds=20)
    desk.found()
    desk.found(token=OTHER_TOKEN)
    desk.now += timedelta(seconds=40)
    desk.found()
    entries = desk.noted("agent.looked_up")
    assert [(entry.at - NOON).seconds for entry in entries] == [0, 20, 60]


def test_refused_lookups_are_not_on_the_timeline(desk: Desk) -> None:
    """Who was not let in leaves nothing behind, and neither does a lookup of nothing."""
    desk.ask(token="wrong")
    desk.ask(STRANGER)
    desk.ask(conversation=CONVERSATION)
    for call in (CALL_ID, STRANGER):
        assert desk.noted("agent.looked_up", call) == []


def test_a_long_timeline_shows_its_end(desk: Desk) -> None:
    """Of more entries than the limit the latest are shown, and how many are not."""
    entries = [TimelineEntry(CALL_ID, NOON + timedelta(seconds=n), "k", {"n": n}) for n in range(TIMELINE_LIMIT + 7)]
    desk.run(desk.store.add_timeline(entries))
    answer = desk.found()
    assert [line["data"]["n"] for line in answer["timeline"]] == list(range(7, TIMELINE_LIMIT + 7))
    assert answer["timeline_left_out"] == 7


def test_many_events(desk: Desk) -> None:
    """A conference with thousands of events is answered like a small one."""
    desk.store_hold()
    desk.tell(started(), *(customer(2 + n, f"Ada {n}", uuid=f"p{n}") for n in range(400)))
    answer = desk.found()
    assert (answer["state"], len(answer["participants"])) == ("active", 400)


# ------------------------------------------------------------------ secrets


def test_secrets_appear_nowhere_else(
    desk: Desk, genesys: Genesys, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """The host PIN is once in the answer; it and the token are in no log, problem or timeline; no guest PIN at all."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "policy_server")
    genesys.stand_in.conversations[CONVERSATION] = on_the_phone()
    whole_call(desk)
    desk.note(CALL_ID, "policy.answered", {"result": dict(a_pin().service)})
    desk.noted("policy.answered")
    answers = [desk.ask(conversation=CONVERSATION).text, desk.ask(f"hcp{AGENT_KEY}").text]
    timeline = desk.noted("agent.looked_up")
    genesys.stand_in.trouble(status=500)
    problems = [desk.ask(token=OTHER_TOKEN).text, desk.ask(STRANGER).text]
    genesys.stand_in.clear()
    desk.store.away = {"events"}
    desk.conferences.running.forget_all()
    problems.append(desk.ask().text)
    problems.append(desk.ask(conversation="x").text)
    for answer in answers:
        assert answer.count(HOST_PIN) == 1
        assert json.loads(answer)["join"]["pin"] == HOST_PIN
        assert GUEST_PIN not in answer
        assert TOKEN not in answer
    everything = "".join([*problems, caplog.text, *capfd.readouterr(), repr([entry.data for entry in timeline])])
    for secret in (HOST_PIN, GUEST_PIN, TOKEN, OTHER_TOKEN):
        assert secret not in everything


def test_records_do_not_show_secrets(desk: Desk) -> None:
    """What a lookup found does not show its answer, nor any name of the call, when it is printed."""
    whole_call(desk)
    found = desk.run(desk.lookup.look_up(desk.lookup.subject_of(CALL_ID)))
    assert found is not None
    names = f"{SESSION}|{AGENT_KEY}|{CALL_ID}"
    assert not re.search(f"{HOST_PIN}|{names}", repr(found))
    assert not re.search(names, repr(desk.lookup.subject_of(f"hcp{AGENT_KEY}")))

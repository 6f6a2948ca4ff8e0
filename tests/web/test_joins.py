"""Links into the room of another link: made by the API, opened at the door, and shown to the agent."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from policy_server.conferences.records import DIALLED, HeldConference, Link, alias_key
from policy_server.conferences.records import Door as HeldDoor
from policy_server.policy.names import Call
from tests.conferences import event_histories as told
from tests.genesys.asking import Genesys, tenant
from tests.rule_sets import KEYRING, load
from tests.rule_sets import NOON as BEGIN_AT
from tests.web import calls
from tests.web.calls import BEGIN, CALL, CALL_ID, customer, left, started, trunk
from tests.web.link_samples import HOUR, NOON, RULES, Desk, pins_of

JOINING: Final = """
  - id: interpreter
    when: { link_type: interpreter, link: valid, not: { link_attributes: { only: shut } } }
    room: visit
  - { id: early, when: { link_type: interpreter, link: valid, open: hours }, room: visit }
"""
TYPE: Final = """
  interpreter:
    alias: "itp{session}"
    joins: patient
    url: "https://pexip.example.com/m/{alias}?name={name}&pin={guest_pin}&call={call}"
"""
TWO: Final = load(RULES.replace("links:\n", f"{JOINING}links:\n") + TYPE)
PATH: Final = "/api/v1/links"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The endpoints, with rules that have a type of link that joins."""
    with Desk(tmp_path, ruleset=TWO, own=["portal"]) as started_desk:
        yield started_desk


def join(desk: Desk, call: str, name: str = "Maria R", **fields: Any) -> dict[str, Any]:
    """An interpreter's link into the room of a call."""
    return desk.make("interpreter", joins=call, name=name, **fields)


def test_a_link_joins_a_call(desk: Desk) -> None:
    """It is a link like any other, with the call that it joins; both timelines say that it was made."""
    visit = desk.make(name="Ada L")
    response = desk.post({"type": "interpreter", "joins": visit["call"], "name": "Maria R", "attributes": {"a": "b"}})
    made = response.json()
    assert response.status_code == 201
    assert (made["joins"], made["name"], made["attributes"]) == (visit["call"], "Maria R", {"a": "b"})
    assert made["alias"] == f"itp{made['session']}"
    assert visit["joins"] is None
    stored = desk.run(desk.keeper.store.link(made["call"]))
    assert stored is not None
    assert stored.joins == visit["call"]
    assert desk.keeper.links[made["call"]] == stored
    assert desk.request("GET", f"{PATH}/{made['call']}").json()["joins"] == visit["call"]
    noted = {key: (kind, data["text"]) for key, kind, data in desk.noted}
    assert noted == {
        made["call"]: ("link.created", "The link was made by 'booking'."),
        visit["call"]: (
            "link.joined",
            "A link of type 'interpreter' into this room was made for Maria R by 'booking'.",
        ),
    }


UNKNOWN: Final = "a" * 32


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        pytest.param(
            {"type": "interpreter"},
            "joins is missing; links of type 'interpreter' lead into the room of one of type 'patient': give its call id",
            id="missing",
        ),
        pytest.param({"type": "interpreter", "joins": ""}, "joins is empty; give the call id of a link", id="empty"),
        pytest.param({"type": "interpreter", "joins": 5}, "joins must be text but is a number", id="number"),
        pytest.param(
            {"type": "interpreter", "joins": UNKNOWN},
            f"joins must be the call id of a link of type 'patient', and there is no link '{UNKNOWN}'",
            id="unknown",
        ),
        pytest.param(
            {"type": "patient", "joins": UNKNOWN},
            "links of type 'patient' have a room of their own; leave joins out",
            id="a type with rooms",
        ),
        pytest.param(
            {"type": "interpreter", "name": 7},
            "name must be text but is a number; put it in quotes; joins is missing",
            id="everything at once",
        ),
    ],
)
def test_a_call_that_is_none_is_refused(desk: Desk, fields: dict[str, object], detail: str) -> None:
    """Links that join name the call of a link that has a room, and no others name any."""
    response = desk.post(fields)
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (422, "invalid-link")
    assert detail in response.json()["detail"]
    assert desk.noted == []


def test_another_type_is_refused(desk: Desk) -> None:
    """A call of another type has another room, and one that joins has none; of the latter it is said which call it is."""
    visit, kiosk = desk.make(), desk.make("kiosk")
    maria = join(desk, visit["call"])
    wrong = desk.post({"type": "interpreter", "joins": kiosk["call"]})
    chain = desk.post({"type": "interpreter", "joins": maria["call"]})
    assert (wrong.status_code, chain.status_code) == (422, 422)
    assert wrong.json()["detail"].endswith("but that is one of type 'kiosk'")
    assert chain.json()["detail"].endswith(f"of type 'interpreter'; the call that it joins is {visit['call']}")


@pytest.mark.parametrize("why", ["revoked", "expired"])
def test_a_call_that_is_over_is_not_joined(desk: Desk, why: str) -> None:
    """Nobody is invited to a visit that is none any more: 409, since the request was good before."""
    visit = desk.make(ttl="1h")
    if why == "revoked":
        desk.request("DELETE", f"{PATH}/{visit['call']}")
    else:
        desk.keeper.now += 2 * HOUR
    response = desk.post({"type": "interpreter", "joins": visit["call"]})
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (409, "call-over")
    assert why in response.json()["detail"]


def test_a_key_for_its_own_links_joins_no_others(desk: Desk) -> None:
    """To such a key others' links do not exist, so it lets nobody into their rooms."""
    visit = desk.make()
    response = desk.post({"type": "interpreter", "joins": visit["call"]}, "portal")
    assert (response.status_code, "there is no link" in response.json()["detail"]) == (422, True)


def test_the_conference_of_a_link_that_joins_is_that_of_the_call(desk: Desk) -> None:
    """What the API says of its conference is what it says of the visit's."""
    visit = desk.make()
    maria = join(desk, visit["call"])
    desk.run(desk.keeper.store.hold(held(visit)))
    shown = desk.request("GET", f"{PATH}/{maria['call']}").json()
    assert shown["conference"]["name"] == visit["call"]
    assert shown["conference"] == desk.request("GET", f"{PATH}/{visit['call']}").json()["conference"]


BOOKED: Final = load(
    RULES.replace("links:\n", f"{JOINING}links:\n").replace(
        "ttl: 4h", "ttl: 4h\n    window: { before: 15m, after: 1h }"
    )
    + TYPE
)


def test_who_joins_an_appointment_comes_along_when_it_is_moved(tmp_path: Path) -> None:
    """Moved to another time a visit has another call, and the links that join it lead there without being sent again."""
    with Desk(tmp_path, ruleset=BOOKED) as desk:
        visit = desk.make(starts_at="2026-11-23T12:00:00-06:00")
        maria = join(desk, visit["call"], ttl="3d")
        response = desk.request("PATCH", f"{PATH}/{visit['call']}", json={"starts_at": "2026-11-24T12:00:00-06:00"})
        moved = response.json()["call"]
        assert (response.status_code, moved != visit["call"]) == (201, True)
        assert desk.request("GET", f"{PATH}/{maria['call']}").json()["joins"] == moved
        assert desk.keeper.links[maria["call"]].joins == moved
        assert parse_qs(urlsplit(desk.join(maria["session"]).headers["location"]).query)["call"] == [moved]
        late = desk.post({"type": "interpreter", "joins": visit["call"]})
        assert (late.status_code, late.json()["type"].rpartition(":")[2]) == (409, "call-over")
        assert f"join {moved}, which took its place" in late.json()["detail"]


# ------------------------------------------------------------------ the door


def held(visit: dict[str, Any], at: timedelta = timedelta(0), revision: str = "") -> HeldConference:
    """The room of a visit as the customer's rule serves it."""
    asked = {"local_alias": alias_key(f"mp{visit['session']}")}
    pins = pins_of(visit)
    fields = {"allow_guests": True, "pin": pins.host, "guest_pin": pins.guest}
    return HeldConference(
        id="one",
        name=visit["call"],
        call=visit["call"],
        link_type="patient",
        service_tag="visit",
        service={"service_type": "conference", "name": visit["call"], "service_tag": "visit"},
        legs=(),
        fallbacks=(),
        rule="patient",
        revision=revision or TWO.revision,
        alias="mp…",
        held_at=NOON + at,
        expires_at=NOON + at + 12 * HOUR,
        doors={"patient": HeldDoor(fields, asked)},
        aliases={DIALLED: asked["local_alias"]},
    )


@pytest.mark.parametrize("runs", [True, False], ids=["the room runs", "nobody is there"])
def test_an_open_door_leads_into_the_room_of_the_call(desk: Desk, runs: bool) -> None:
    """The link has its own name and alias, and the guest PIN and the call of the room that it joins."""
    visit = desk.make(name="Ada L")
    maria = join(desk, visit["call"])
    if runs:
        desk.keeper.rooms[visit["call"]] = held(visit)
    target = urlsplit(desk.join(maria["session"]).headers["location"])
    assert target.path == f"/m/itp{maria['session']}"
    assert parse_qs(target.query) == {
        "name": ["Maria R"],
        "pin": [pins_of(visit).guest],
        "call": [visit["call"]],
    }
    assert [(key, data["door"]) for key, _, data in desk.noted] == [(maria["call"], "open")]


def test_another_server_learns_of_the_link_at_the_door(desk: Desk) -> None:
    """Who opens a link that this server has not heard of is known to the question that follows."""
    visit = desk.make()
    maria = join(desk, visit["call"])
    desk.keeper.links.clear()
    assert desk.join(maria["session"]).status_code == 303
    assert desk.keeper.links[maria["call"]].joins == visit["call"]


def test_without_the_link_the_door_stays_shut(desk: Desk) -> None:
    """Which call it joins cannot be told while neither this server nor the database says so: come back later."""
    maria = join(desk, desk.make()["call"])
    desk.keeper.links.clear()
    desk.keeper.store.is_away = True
    response = desk.join(maria["session"])
    assert (response.status_code, "location" in response.headers) == (200, False)


@pytest.mark.parametrize("whose", ["its own", "the visit's"])
def test_a_revoked_link_shuts_the_door(desk: Desk, whose: str) -> None:
    """Whichever of the two is revoked, the page is that of a link that is none."""
    visit = desk.make()
    maria = join(desk, visit["call"])
    lee = join(desk, visit["call"], "Dr Lee")
    revoked = maria if whose == "its own" else visit
    desk.request("DELETE", f"{PATH}/{revoked['call']}")
    assert desk.join(maria["session"]).status_code == 404
    assert desk.join(lee["session"]).status_code == (303 if whose == "its own" else 404)
    assert desk.join(visit["session"]).status_code == (303 if whose == "its own" else 404)


@pytest.mark.parametrize(
    ("made_for", "since", "revision", "status"),
    [
        pytest.param("8h", 5, "", 303, id="the link is good"),
        pytest.param("1h", 0, "", 303, id="it was good when the room began"),
        pytest.param("1h", 2, "", 410, id="it was not"),
        pytest.param("1h", 2, "other", 303, id="who knows by which rules"),
    ],
)
def test_a_room_that_runs_is_open_to_those_who_have_a_part_in_it(
    desk: Desk, made_for: str, since: float, revision: str, status: int
) -> None:
    """An expired link leads into a room that runs if it was good when that began, as nodes are told too."""
    visit = desk.make(ttl="12h")
    maria = join(desk, visit["call"], ttl=made_for)
    desk.keeper.now += 5 * HOUR
    desk.keeper.rooms[visit["call"]] = held(visit, since * HOUR, revision)
    assert desk.join(maria["session"]).status_code == status


# ------------------------------------------------------------------ the agent

MARIA: Final = KEYRING.sign("interpreter", CALL.expires_at, b"5678")
LEE: Final = KEYRING.sign("interpreter", CALL.expires_at, b"9012")
INTERPRETED: Final = load(
    calls.RULES_TEXT.replace(
        "links:\n", "  - { id: interpreter, when: { link_type: interpreter, link: valid }, room: visit }\nlinks:\n"
    )
    + '  interpreter: { alias: "itp{session}", joins: visit }\n'
)


@pytest.fixture
def agents(genesys: Genesys, tmp_path: Path) -> Iterator[calls.Desk]:
    """Agents' endpoints, with a visit and two links that join it."""
    with calls.Desk(tmp_path, tenant(genesys.url)) as started_desk:
        started_desk.rules.ruleset = INTERPRETED
        started_desk.store_link()
        started_desk.store_hold()
        started_desk.store_link(joining(MARIA, "Maria R", language="it"))
        started_desk.store_link(joining(LEE, "Dr Lee"))
        yield started_desk


def joining(call: Call, name: str, **attributes: str) -> Link:
    """A link that joins the visit."""
    at = NOON - HOUR / 2
    return Link.of(call, name=name, attributes=attributes, created_at=at, created_by="booking", joins=CALL_ID)


def comes(call: Call, at: float, name: str, alias: str = "", **data: Any) -> Any:
    """Somebody comes by a link that joins."""
    whole = {"conference": CALL_ID, "display_name": name, "role": "guest"}
    return told.joined(name, BEGIN + at, destination_alias=alias or f"itp{call.session}", **{**whole, **data})


def test_the_agent_sees_who_joins(agents: calls.Desk) -> None:
    """Whoever came by a link that joins is told apart from the customer and from others of that type, however their
    alias was written and whatever name they typed; and of who is not there yet the link is shown.
    """
    agents.tell(started(), comes(MARIA, 2, "mari", f"sip:ITP{MARIA.session.upper()}@video.example.com"))
    answer = agents.found()
    assert answer["customer"] == {
        "name": "Ada L",
        "alias": "mp…",
        "is_present": False,
        "joined_at": None,
        "left_at": None,
    }
    (person,) = answer["participants"]
    assert (person["display_name"], person["is_present"]) == ("mari", True)
    assert person["link"] == {"call": MARIA.id, "type": "interpreter", "name": "Maria R"}
    assert [(each["name"], each["call"], each["is_present"], each["attributes"]) for each in answer["joined_by"]] == [
        *sorted(
            [("Maria R", MARIA.id, True, {"language": "it"}), ("Dr Lee", LEE.id, False, {})], key=lambda one: one[1]
        )
    ]
    assert answer["joins"] is None
    texts = [line["text"] for line in answer["timeline"]]
    assert "Interpreter Maria R joined as Guest." in texts
    assert answer["verdict"] == agents.found(MARIA.id)["verdict"]
    assert answer["verdict"]["text"] == "The customer has not come into the room; others have."
    assert MARIA.session not in str(answer)
    agents.tell(customer(10), left("mari", 20))
    answer = agents.found()
    assert answer["customer"]["is_present"] is True
    assert [person["link"] and person["link"]["name"] for person in answer["participants"]] == ["Maria R", None]
    maria = next(each for each in answer["joined_by"] if each["name"] == "Maria R")
    assert (maria["is_present"], maria["left_at"]) == (False, calls_time(20))


def calls_time(seconds: float) -> str:
    """A time, so many seconds after the beginning, as answers write it."""
    begin = BEGIN_AT + timedelta(seconds=seconds)
    return begin.isoformat(timespec="milliseconds")


def test_a_link_that_is_made_or_revoked_is_seen_at_once(agents: calls.Desk) -> None:
    """What the agent is shown does not wait for the next message of a node."""
    agents.tell(started())
    assert len(agents.found()["joined_by"]) == 2
    ahmed = KEYRING.sign("interpreter", CALL.expires_at, b"3456")
    agents.store_link(joining(ahmed, "Ahmed"))
    assert len(agents.found()["joined_by"]) == 3
    link = joining(ahmed, "Ahmed")
    agents.run(agents.store.revoke_link(ahmed.id, NOON))
    agents.conferences.learn(replace(link, revoked_at=NOON))
    shown = {each["name"]: each["revoked_at"] for each in agents.found()["joined_by"]}
    assert shown["Ahmed"] is not None
    assert shown["Maria R"] is None


def test_who_joins_has_a_timeline_of_their_own(agents: calls.Desk) -> None:
    """By its own call a link shows that person alone, the state of the room, and no door."""
    agents.tell(started(), customer(2), comes(MARIA, 3, "Maria"), comes(LEE, 4, "Lee"), trunk(), left("Maria", 30))
    agents.note(MARIA.id, "link.created", {"text": "The link was made by 'booking'."})
    agents.note(CALL_ID, "link.created", {"text": "The visit's link was made."})
    agents.run(agents.written())
    answer = agents.found(MARIA.id)
    assert (answer["call"], answer["joins"], answer["name"], answer["state"]) == (MARIA.id, CALL_ID, CALL_ID, "active")
    assert answer["join"] == {"alias": None, "pin": None, "role": "chair", "call_type": "video-only"}
    assert (answer["customer"]["name"], answer["customer"]["alias"]) == ("Maria R", "itp…")
    assert answer["customer"]["is_present"] is False
    assert answer["customer"]["left_at"] == calls_time(30)
    assert [person["display_name"] for person in answer["participants"]] == ["Maria"]
    assert answer["trunk_leg"] is None
    assert answer["joined_by"] == []
    assert answer["attributes"] == {"language": "it"}
    assert [line["text"] for line in answer["timeline"]] == [
        "The link was made by 'booking'.",
        "Interpreter Maria R joined as Guest.",
        "Interpreter Maria R left (User initiated disconnect).",
    ]


def test_two_who_join_by_links_of_one_type_are_two(agents: calls.Desk) -> None:
    """Both aliases are shown as `itp…`; who is who stays known."""
    agents.tell(started(), comes(LEE, 2, "Guest"), comes(MARIA, 3, "Guest 2"))
    people = agents.found()["participants"]
    assert [(one["dialled_alias"], one["link"]["name"]) for one in people] == [("itp…", "Dr Lee"), ("itp…", "Maria R")]


def test_a_forged_alias_is_nobodys(agents: calls.Desk) -> None:
    """Who comes by an alias that only looks like one is shown without a link."""
    agents.tell(started(), comes(MARIA, 2, "Eve", f"itp{CALL.session}"), comes(MARIA, 3, "Mallory", f"itp{MARIA.id}"))
    assert [person["link"] for person in agents.found()["participants"]] == [None, None]

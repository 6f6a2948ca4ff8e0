"""Appointments over HTTP: links for a time, their page before it, and moving them."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.conferences.known import Known
from policy_server.conferences.link_requests import worth_of
from policy_server.conferences.records import Door, HeldConference, Link
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import parse_request
from policy_server.policy.appointments import Window
from policy_server.policy.evaluate import evaluate
from tests.rule_sets import KEYRING, load
from tests.web.link_samples import BASE, NOON, TWO_TYPES, Desk, call_of
from tests.web.test_links import PATH, problem

RULES = """
calendars:
  hours: { timezone: America/Chicago, open: { mon-fri: ["08:00-18:00"] } }
rooms:
  visit: { name: "{call}", pin: derived, guest_pin: derived, allow_guests: true }
service:
  - { id: customer, when: { link_type: [advice, walk-in], door: customer, link: valid, open: hours }, room: visit }
  - { id: agent, when: { link_type: advice, door: agent, link: [early, valid, expired] }, room: visit }
  - { id: early, when: { link_type: advice, link: early }, reject: You are early. }
  - { id: closed, when: { link_type: advice }, reject: We are closed. }
links:
  advice:
    alias: "adv{session}"
    agent_alias: "agt{agent}"
    window: { before: 15m, after: 1h }
    url: "https://pexip.example.com/webapp3/m/{alias}/express?name={name}&pin={guest_pin}"
  walk-in: { alias: "w{session}", url: "https://pexip.example.com/webapp3/m/{alias}/?pin={guest_pin}" }
"""
WINDOW = load(RULES)
AT = "2026-11-23T14:00:00-06:00"
STARTS_AT = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
"""Two hours after NOON, when the clinic is open."""
MINUTE = timedelta(minutes=1)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk that makes appointments."""
    with Desk(tmp_path, ruleset=WINDOW) as desk:
        yield desk


def stored(desk: Desk, call: str) -> Link:
    """The record of a link."""
    link = desk.run(desk.keeper.store.link(call))
    assert link is not None
    return link


def held(desk: Desk, made: Mapping[str, Any], rule: str) -> HeldConference:
    """The room of a link, held now by a rule."""
    call = call_of(made)
    door = {"pin": call.pins.host, "guest_pin": call.pins.guest, "allow_guests": True}
    return HeldConference(
        id="held",
        name=call.id,
        call=call.id,
        link_type="advice",
        service_tag="",
        service={"service_type": "conference", "name": call.id},
        legs=(),
        fallbacks=(),
        rule=rule,
        revision=WINDOW.revision,
        alias="adv…",
        held_at=desk.keeper.now,
        expires_at=desk.keeper.now + timedelta(hours=12),
        doors={rule: Door(door)},
    )


# ------------------------------------------------------------------ making one


def test_a_link_is_made_for_a_time(desk: Desk) -> None:
    """The link opens and expires as its type's window says, and answer, record, signature and later answers agree."""
    made = desk.make("advice", name="Ada L", starts_at=AT)
    times = {
        "starts_at": "2026-11-23T20:00:00+00:00",
        "opens_at": "2026-11-23T19:45:00+00:00",
        "expires_at": "2026-11-23T21:00:00+00:00",
    }
    assert made.items() >= {**times, "state": "early"}.items()
    assert desk.request("GET", f"{PATH}/{made['call']}").json().items() >= times.items()
    link, call = stored(desk, made["call"]), call_of(made)
    assert link.starts_at == STARTS_AT
    assert (link.opens_at, link.expires_at) == (call.opens_at, call.expires_at)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        pytest.param(STARTS_AT - 15 * MINUTE - timedelta(microseconds=1), "early", id="early"),
        pytest.param(STARTS_AT - 15 * MINUTE, "valid", id="opens"),
        pytest.param(STARTS_AT + 60 * MINUTE - timedelta(microseconds=1), "valid", id="still open"),
        pytest.param(STARTS_AT + 60 * MINUTE, "expired", id="shut"),
    ],
)
def test_the_state_of_an_appointment(desk: Desk, now: datetime, state: str) -> None:
    """It is early until the door opens, and expired when the door is shut."""
    made = desk.make("advice", starts_at=AT)
    desk.keeper.now = now
    assert desk.request("GET", f"{PATH}/{made['call']}").json()["state"] == state


def test_a_link_of_a_type_with_a_window_need_not_have_a_time(desk: Desk) -> None:
    """Without a time it is good at once, and as long as its type says."""
    made = desk.make("advice")
    assert (made["state"], made["starts_at"], made["opens_at"]) == ("valid", None, None)
    assert made["expires_at"] == "2026-11-23T22:01:00+00:00"
    assert desk.make("advice", ttl="1h")["expires_at"] == "2026-11-23T19:01:00+00:00"


@pytest.mark.parametrize(
    "starts_at",
    [
        pytest.param("2026-11-23T12:00:00-06:00", id="now"),
        pytest.param("2026-11-23T17:00:30Z", id="nearly over"),
        pytest.param("2027-11-24T18:00:00+00:00", id="366 days ahead"),
        pytest.param("20261123T140000-0600", id="basic format"),
    ],
)
def test_times_that_are_taken(desk: Desk, starts_at: str) -> None:
    """An appointment may have begun, and may be a year ahead."""
    made = desk.make("advice", starts_at=starts_at)
    assert datetime.fromisoformat(made["starts_at"]) == datetime.fromisoformat(starts_at)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(
            {"starts_at": "2026-11-23T14:00:00"},
            "starts_at must be a moment with its offset from UTC, such as 2026-11-23T10:00:00-06:00, but is "
            "'2026-11-23T14:00:00'",
            id="without offset",
        ),
        pytest.param({"starts_at": "tomorrow"}, "starts_at must be a moment with its offset", id="no time"),
        pytest.param({"starts_at": "9999-12-31T23:59:59-12:00"}, "starts_at must be a moment", id="last day of all"),
        pytest.param({"starts_at": "0001-01-01T00:00:00+12:00"}, "starts_at must be a moment", id="first day of all"),
        pytest.param({"starts_at": None}, "starts_at must be text but is null; leave it out", id="null"),
        pytest.param({"starts_at": 1795464000}, "starts_at must be text but is a number", id="seconds"),
        pytest.param(
            {"starts_at": "2026-11-23T11:00:00-06:00"},
            "starts_at is '2026-11-23T11:00:00-06:00', and links of type 'advice' are good until 1h after that, which is "
            "over",
            id="over",
        ),
        pytest.param(
            {"starts_at": "2027-11-25T18:00:00Z"},
            "starts_at is '2027-11-25T18:00:00Z', and may be 366d ahead at the most",
            id="too far",
        ),
        pytest.param(
            {"type": "walk-in", "starts_at": AT},
            "starts_at is for types of link with a window, and 'walk-in' has none; add window: {before: 15m, after: 1h} to it "
            "in the rules, or leave starts_at out",
            id="no window",
        ),
        pytest.param(
            {"starts_at": AT, "ttl": "4h"},
            "ttl and starts_at exclude each other: an appointment expires when its type's window says; leave ttl out",
            id="with ttl",
        ),
        pytest.param(
            {"starts_at": "tomorrow", "ttl": "4", "nmae": "Ada"},
            "'nmae' is not a key of a link (did you mean 'name'?); it can have 'type', 'name', 'attributes', 'ttl', "
            "'starts_at', 'joins'; ttl must be a duration",
            id="all at once",
        ),
    ],
)
def test_times_that_are_refused(desk: Desk, body: dict[str, object], told: str) -> None:
    """A time that cannot be is told with what to write, beside all else that is wrong."""
    response = desk.post({"type": "advice", **body})
    detail = problem(response, 422, "invalid-link")
    assert detail.startswith(told), detail


def test_the_same_request_again_is_the_same_appointment(desk: Desk) -> None:
    """An Idempotency-Key counts for appointments too, and another time under it is another request."""
    body = {"type": "advice", "starts_at": AT}
    one, other = (desk.post(body, idempotency_key="visit-4711") for _ in range(2))
    assert (one.json(), other.headers["idempotency-replayed"]) == (other.json(), "true")
    later = {**body, "starts_at": "2026-11-23T15:00:00-06:00"}
    problem(desk.post(later, idempotency_key="visit-4711"), 422, "idempotency-conflict")


# ------------------------------------------------------------------ the page before it

EARLY_TITLE = "Your appointment is still to come"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_page_before_the_window(desk: Desk, method: str) -> None:
    """Before its window a link says when, in the calendar's zone, and looks again by itself the moment the door opens."""
    made = desk.make("advice", starts_at=AT)
    response = desk.join(made["session"], method)
    assert (response.status_code, response.headers["refresh"]) == (200, str(2 * 3600 - 15 * 60 + 1))
    assert "script-src 'sha256-" in response.headers["content-security-policy"]
    if method == "HEAD":
        assert (response.text, desk.keeper.notes) == ("", [])
        return
    assert re.findall("<title>(.*)</title>", response.text) == [EARLY_TITLE]
    assert re.findall(r'<time datetime="(.*?)">(.*?)</time>', response.text) == [
        ("2026-11-23T14:00-06:00", "Monday, 23 November 2026, at 14:00"),
        ("2026-11-23T13:45-06:00", "Monday, 23 November 2026, at 13:45"),
    ]
    told = {"text": "A customer opened the link before its appointment.", "door": "early"}
    assert desk.keeper.notes == [(made["call"], "link.opened", told, desk.keeper.now)]
    desk.keeper.now = STARTS_AT - 15 * MINUTE
    assert desk.join(made["session"]).status_code == 303


def test_a_messenger_is_told_no_time(desk: Desk) -> None:
    """A preview of an appointment is that of any link."""
    made = desk.make("advice", starts_at=AT)
    response = desk.join(made["session"], user_agent="WhatsApp/2.23")
    assert re.findall("<title>(.*)</title>", response.text) == ["Your video call"]
    assert "refresh" not in response.headers


def test_a_page_far_ahead_looks_again_once_a_day(desk: Desk) -> None:
    """Timers of browsers are not for months."""
    made = desk.make("advice", starts_at="2027-06-01T14:00:00-06:00")
    assert desk.join(made["session"]).headers["refresh"] == "86400"


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        pytest.param("2026-11-24T07:00:00-06:00", "2026-11-24T08:00-06:00", id="before the window"),
        pytest.param("2026-11-24T07:50:00-06:00", "2026-11-24T08:00-06:00", id="in the window, before opening hours"),
    ],
)
def test_an_appointment_at_the_first_hour(desk: Desk, now: str, opening: str) -> None:
    """Where the window begins before the house opens, the customer can come in when it opens, and is told so."""
    made = desk.make("advice", starts_at="2026-11-24T08:00:00-06:00")
    desk.keeper.now = datetime.fromisoformat(now)
    response = desk.join(made["session"])
    assert re.findall("<title>(.*)</title>", response.text) == [EARLY_TITLE]
    assert re.findall(r'<time datetime="(.*?)">', response.text) == ["2026-11-24T08:00-06:00", opening]
    desk.keeper.now = datetime.fromisoformat("2026-11-24T08:00:00-06:00")
    assert desk.join(made["session"]).status_code == 303


def test_an_appointment_when_nobody_is_there(desk: Desk) -> None:
    """Where no hour of the window is open, the page tells the window; then the house is closed, and the link too soon over."""
    made = desk.make("advice", starts_at="2026-11-23T22:00:00-06:00")
    assert re.findall(r'<time datetime="(.*?)">', desk.join(made["session"]).text)[1] == "2026-11-23T21:45-06:00"
    desk.keeper.now = datetime.fromisoformat("2026-11-23T22:00:00-06:00")
    assert "Your link will have expired by then" in desk.join(made["session"]).text


def test_what_only_the_signature_tells(desk: Desk) -> None:
    """While nothing is known of a link but its names, the page says when its door opens, and no time of an appointment."""
    call = KEYRING.sign("advice", STARTS_AT + 60 * MINUTE, b"more", STARTS_AT - 15 * MINUTE)
    response = desk.join(call.session)
    assert re.findall("<title>(.*)</title>", response.text) == [EARLY_TITLE]
    assert re.findall(r'<time datetime="(.*?)">', response.text) == ["2026-11-23T13:45-06:00"]
    assert response.headers["refresh"]


def test_a_room_that_is_prepared_does_not_let_customers_in_early(desk: Desk) -> None:
    """An adviser who is in the room before the window leaves the customer's page as it is; then the link has the PIN."""
    made = desk.make("advice", starts_at=AT)
    call = call_of(made)
    desk.keeper.rooms[call.id] = held(desk, made, "agent")
    assert re.findall("<title>(.*)</title>", desk.join(made["session"]).text) == [EARLY_TITLE]
    desk.keeper.now = STARTS_AT - 15 * MINUTE
    response = desk.join(made["session"])
    assert (response.status_code, response.headers["location"].rpartition("pin=")[2]) == (303, call.pins.guest)
    desk.keeper.now = STARTS_AT + 61 * MINUTE
    assert desk.join(made["session"]).status_code == 303


# ------------------------------------------------------------------ moving one

LATER = "2026-11-25T10:00:00-06:00"
MOVED_TITLE = "Your appointment was moved"


def move(desk: Desk, call: str, starts_at: object = LATER, key: str = "booking") -> httpx.Response:
    """Moves a link."""
    return desk.request("PATCH", f"{PATH}/{call}", key, json={"starts_at": starts_at})


def moved(desk: Desk, call: str, starts_at: str = LATER) -> dict[str, Any]:
    """The link that takes the place of another."""
    response = move(desk, call, starts_at)
    assert response.status_code == 201, response.text
    found = response.json()
    assert isinstance(found, dict)
    return found


def title(response: httpx.Response) -> str:
    """The title of a page."""
    (found,) = re.findall("<title>(.*)</title>", response.text)
    return str(found)


def test_an_appointment_is_moved(desk: Desk) -> None:
    """Another link takes its place, with the same name, attributes, type and owner; the old one says so, and both timelines."""
    made = desk.make("advice", starts_at=AT, name="Ada L", attributes={"language": "es"})
    response = move(desk, made["call"], key="portal")
    new = response.json()
    assert (response.status_code, response.headers["location"]) == (201, f"{BASE}{PATH}/{new['call']}")
    assert "idempotency-replayed" not in response.headers
    assert new["call"] != made["call"]
    kept = ("type", "name", "attributes", "created_by")
    assert {name: new[name] for name in kept} == {name: made[name] for name in kept}
    assert (new["state"], new["starts_at"]) == ("early", "2026-11-25T16:00:00+00:00")
    assert (new["opens_at"], new["expires_at"]) == ("2026-11-25T15:45:00+00:00", "2026-11-25T17:00:00+00:00")
    old = desk.request("GET", f"{PATH}/{made['call']}").json()
    assert (old["state"], old["moved_to"], old["moved_at"]) == ("moved", new["call"], "2026-11-23T18:00:00+00:00")
    assert [(call, kind, data["text"]) for call, kind, data, _ in desk.keeper.notes] == [
        (made["call"], "link.moved", "'portal' moved it to 2026-11-25T16:00:00+00:00."),
        (new["call"], "link.created", "The link was made by 'portal' in place of one that was moved."),
    ]


def test_the_page_of_a_moved_link_leads_on(desk: Desk) -> None:
    """It tells the new time, and leads to the new link however it was opened; a messenger is not told."""
    made = desk.make("advice", starts_at=AT)
    new = moved(desk, made["call"])
    for asked, beside in ((made["session"], ""), (f"{made['session']}/", "../"), (made["alias"], "")):
        response = desk.join(asked)
        assert (response.status_code, title(response)) == (200, MOVED_TITLE)
        assert re.findall(r'<time datetime="(.*?)">(.*?)</time>', response.text) == [
            ("2026-11-25T10:00-06:00", "Wednesday, 25 November 2026, at 10:00")
        ]
        assert re.findall(r'href="(.*?)"', response.text) == [f"{beside}{new['session']}"]
        assert "refresh" not in response.headers
    assert desk.keeper.notes[-1][1:3] == (
        "link.opened",
        {"text": "A customer opened the link after its appointment was moved.", "door": "moved"},
    )
    assert new["session"] not in desk.join(made["session"], user_agent="WhatsApp/2.23").text
    assert title(desk.join(new["session"])) == EARLY_TITLE


def test_moved_again_and_again(desk: Desk) -> None:
    """The page of the first link leads to the last one, and when that is over or revoked says so."""
    made = desk.make("advice", starts_at=AT)
    new = made
    for hour in range(11, 16):
        new = moved(desk, new["call"], f"2026-11-24T{hour}:00:00-06:00")
    assert re.findall(r'href="(.*?)"', desk.join(made["session"]).text) == [new["session"]]
    desk.keeper.now = STARTS_AT + timedelta(days=30)
    assert desk.join(made["session"]).status_code == 410
    desk.keeper.now = STARTS_AT
    desk.request("DELETE", f"{PATH}/{new['call']}")
    assert desk.join(made["session"]).status_code == 404


def test_the_same_move_again_is_the_same_link(desk: Desk) -> None:
    """A request that is sent again, however its time is written, tells the link that was made first."""
    made = desk.make("advice", starts_at=AT)
    new = moved(desk, made["call"])
    again = move(desk, made["call"], "2026-11-25T16:00:00Z")
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (201, new, "true")
    stays = move(desk, new["call"], LATER)
    assert (stays.json()["call"], stays.headers["idempotency-replayed"]) == (new["call"], "true")


def test_of_two_moves_one_wins(desk: Desk) -> None:
    """Of several that move a link at once the first does, nothing is left of the others, and they are told which it is now."""
    made = desk.make("advice", starts_at=AT)
    link = stored(desk, made["call"])
    calls = [f"{letter * 32}" for letter in "abcdefgh"]

    async def race() -> list[Link | None]:
        store = desk.keeper.store
        return await asyncio.gather(
            *(store.move_link(link.call, replace(link, call=call), desk.keeper.now) for call in calls)
        )

    (winner,) = {each.moved_to for each in desk.run(race()) if each is not None}
    assert [call for call in calls if desk.run(desk.keeper.store.link(call)) is not None] == [winner]
    detail = problem(move(desk, made["call"], LATER), 409, "not-movable")
    assert detail == f"the link was moved already; move the one that took its place, {winner}"


@pytest.mark.parametrize(
    "life",
    [
        pytest.param("expired", id="the customer did not come"),
        pytest.param("prepared", id="somebody prepares the room"),
        pytest.param("without a time", id="a link without a time"),
    ],
)
def test_what_may_be_moved(desk: Desk, life: str) -> None:
    """Whoever missed an appointment gets another; a room that is prepared waits in vain; any link gets a time."""
    made = desk.make("advice", **({} if life == "without a time" else {"starts_at": AT}))
    if life == "expired":
        desk.keeper.now = STARTS_AT + timedelta(hours=5)
    if life == "prepared":
        desk.keeper.rooms[made["call"]] = held(desk, made, "agent")
    new = moved(desk, made["call"])
    assert stored(desk, made["call"]).moved_to == new["call"]
    assert title(desk.join(made["session"])) == MOVED_TITLE


def test_a_visit_that_runs_goes_on(desk: Desk) -> None:
    """Who was in the room when the appointment was moved may come back by the old link as long as the room runs."""
    made = desk.make("advice", starts_at="2026-11-23T12:00:00-06:00")
    desk.keeper.rooms[made["call"]] = held(desk, made, "customer")
    moved(desk, made["call"])
    desk.keeper.now += 30 * MINUTE
    response = desk.join(made["session"])
    assert (response.status_code, response.headers["location"].rpartition("pin=")[2]) == (303, call_of(made).pins.guest)
    del desk.keeper.rooms[made["call"]]
    assert title(desk.join(made["session"])) == MOVED_TITLE


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param({}, "starts_at is missing; write the time that the link is moved to", id="none"),
        pytest.param(
            {"starts_at": "soon", "name": "Ada"},
            "'name' is not a key of what moves a link; it can have 'starts_at'; starts_at must be a moment",
            id="all at once",
        ),
        pytest.param({"starts_at": "2026-11-22T10:00:00Z"}, "starts_at is '2026-11-22T10:00:00Z', and", id="over"),
        pytest.param([], "the body must be an object such as", id="a list"),
    ],
)
def test_moves_that_are_refused(desk: Desk, body: object, told: str) -> None:
    """A time that cannot be is refused as for a new link, and the link stays as it is."""
    made = desk.make("advice", starts_at=AT)
    detail = problem(desk.request("PATCH", f"{PATH}/{made['call']}", json=body), 422, "invalid-link")
    assert detail.startswith(told), detail
    assert stored(desk, made["call"]).moved_to is None


def test_links_that_cannot_be_moved(desk: Desk) -> None:
    """One that was revoked, one of a type without a window, one of a type that is gone, and one that there is not."""
    made = desk.make("advice", starts_at=AT)
    desk.request("DELETE", f"{PATH}/{made['call']}")
    assert problem(move(desk, made["call"]), 409, "not-movable") == "the link was revoked; make a new one"
    walk_in = desk.make("walk-in")
    assert "'walk-in' has none; add window" in problem(move(desk, walk_in["call"]), 422, "invalid-link")
    problem(move(desk, "a" * 32), 404, "unknown-link")
    problem(desk.request("PATCH", f"{PATH}/{made['call']}", None, json={}), 401, "unauthorized")
    desk.rules.ruleset = TWO_TYPES
    problem(move(desk, made["call"]), 422, "unknown-link-type")


def test_a_moved_link_that_is_revoked_leads_nowhere(desk: Desk) -> None:
    """Revoking the old link closes its page, and leaves the new link as it is."""
    made = desk.make("advice", starts_at=AT)
    new = moved(desk, made["call"])
    assert desk.request("DELETE", f"{PATH}/{made['call']}").status_code == 204
    assert desk.request("GET", f"{PATH}/{made['call']}").json()["state"] == "revoked"
    assert desk.join(made["session"]).status_code == 404
    assert desk.request("GET", f"{PATH}/{new['call']}").json()["state"] == "early"


# ------------------------------------------------------------------ everybody says the same

ALWAYS = load("rooms:" + RULES.replace(", open: hours", "").partition("rooms:")[2])


@pytest.fixture(scope="module")
def agreeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk whose rules are always open."""
    with Desk(tmp_path_factory.mktemp("agreeing"), ruleset=ALWAYS) as desk:
        yield desk


@settings(max_examples=60, deadline=None)
@given(
    before=st.integers(0, 3 * 86_400),
    after=st.integers(60, 3 * 86_400),
    second=st.integers(0, 300 * 86_400),
    edge=st.sampled_from(["opens_at", "starts_at", "expires_at"]),
    beside=st.timedeltas(timedelta(days=-8), timedelta(days=8)) | st.timedeltas(-2 * MINUTE, 2 * MINUTE),
)
def test_everybody_says_the_same_of_an_appointment(
    agreeing: Desk, before: int, after: int, second: int, edge: str, beside: timedelta
) -> None:
    """Early before its door opens, valid until it is shut, and expired then: so say signature, links API, page, rules and
    lookup.
    """
    desk, kind = agreeing, replace(ALWAYS.links["advice"], window=Window(before, after))
    desk.rules.ruleset = replace(ALWAYS, links={**ALWAYS.links, "advice": kind})
    desk.keeper.now = NOON
    made = desk.make("advice", starts_at=(NOON + timedelta(seconds=second)).isoformat())
    link, call = stored(desk, made["call"]), call_of(made)
    opens_at, now = link.opens_at, datetime.fromisoformat(made[edge]) + beside
    assert opens_at is not None
    assert opens_at <= NOON + timedelta(seconds=second - before)
    state = "early" if now < opens_at else "valid" if now < link.expires_at else "expired"
    desk.keeper.now = now
    assert call.state(now) == state
    assert desk.request("GET", f"{PATH}/{made['call']}").json()["state"] == state
    assert worth_of(link, call, now) == state
    response = desk.join(made["session"])
    assert (response.status_code, "refresh" in response.headers) == {
        "early": (200, True),
        "valid": (303, False),
        "expired": (410, False),
    }[state]
    asked = parse_request(RequestType.SERVICE, f"local_alias={made['alias']}".encode())
    rule = evaluate(desk.rules.ruleset, asked, now, KEYRING, find_link=desk.keeper.link).rule
    assert rule == {"early": "early", "valid": "customer", "expired": "closed"}[state]
    known = Known(call.id, link, None, call, kind)
    assert (known.opens_at, known.expires_at) == (call.opens_at, call.expires_at)

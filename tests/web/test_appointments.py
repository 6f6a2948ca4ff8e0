"""Appointments over HTTP: links for a time, their page before it, and moving them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policy_server.conferences.records import Door, HeldConference, Link
from tests.rule_sets import KEYRING, load
from tests.web.link_samples import Desk, call_of
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
            "'starts_at'; ttl must be a duration",
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
    service = {"service_type": "conference", "name": call.id, "pin": call.pins.host, "guest_pin": call.pins.guest}
    desk.keeper.rooms[call.id] = HeldConference(
        id="prepared",
        name=call.id,
        call=call.id,
        link_type="advice",
        service_tag="",
        service={**service, "allow_guests": True},
        legs=(),
        fallbacks=(),
        rule="agent",
        revision=WINDOW.revision,
        alias="agt…",
        held_at=desk.keeper.now,
        expires_at=desk.keeper.now + timedelta(hours=12),
        doors={"agent": Door({})},
    )
    assert re.findall("<title>(.*)</title>", desk.join(made["session"]).text) == [EARLY_TITLE]
    desk.keeper.now = STARTS_AT - 15 * MINUTE
    response = desk.join(made["session"])
    assert (response.status_code, response.headers["location"].rpartition("pin=")[2]) == (303, call.pins.guest)
    desk.keeper.now = STARTS_AT + 61 * MINUTE
    assert desk.join(made["session"]).status_code == 303

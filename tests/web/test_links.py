"""/api/v1/links: making, showing and revoking customer links."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_server.conferences.link_requests import MOST_PROBLEMS
from policy_server.conferences.records import DIALLED, HeldConference, alias_key
from policy_server.pexip.events import Event
from policy_server.policy.names import LinkState
from policy_server.web.links import BODY_LIMIT
from policy_server.web.problem import TYPE_ROOT
from tests.rule_sets import load
from tests.web.link_samples import BASE, HOUR, KEYS, NOON, TWO_TYPES, Desk, call_of, pins_of

PATH = "/api/v1/links"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk of this test alone."""
    with Desk(tmp_path) as desk:
        yield desk


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk for requests that change nothing, or whatever they like."""
    with Desk(tmp_path_factory.mktemp("links")) as desk:
        yield desk


def problem(response: httpx.Response, status: int, kind: str) -> str:
    """The detail of a problem, which must have a status and type."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    content = response.json()
    assert (content["status"], content["type"]) == (status, TYPE_ROOT + kind)
    assert content["title"]
    return str(content.get("detail", ""))


def test_a_link_is_made(desk: Desk) -> None:
    """The answer tells the call, the customer's URL, session and alias, and no agents' alias; store and timeline have it."""
    attributes = {"language": "es", "visit_id": ""}
    response = desk.post({"type": "patient", "name": "Ada L", "attributes": attributes, "ttl": "2h"})
    made = response.json()
    signed = call_of(made)
    session, call = signed.session, signed.id
    assert (response.status_code, made) == (
        201,
        {
            "call": call,
            "session": session,
            "type": "patient",
            "state": "valid",
            "url": f"{BASE}/join/{session}",
            "alias": f"mp{session}",
            "name": "Ada L",
            "attributes": attributes,
            "created_at": "2026-11-23T18:00:00+00:00",
            "created_by": "booking",
            "starts_at": None,
            "opens_at": None,
            "expires_at": "2026-11-23T20:01:00+00:00",
            "revoked_at": None,
            "moved_at": None,
            "moved_to": None,
            "joins": None,
        },
    )
    assert response.headers["location"] == f"{BASE}{PATH}/{call}"
    assert response.headers["cache-control"] == "no-store"
    assert "idempotency-replayed" not in response.headers
    assert signed.state(NOON + 2 * HOUR) is LinkState.VALID
    assert signed.state(NOON + 2.02 * HOUR) is LinkState.EXPIRED
    stored = desk.run(desk.keeper.store.link(call))
    assert stored is not None
    assert (stored.type, stored.name, stored.attributes, stored.created_by, stored.created_at) == (
        *("patient", "Ada L", attributes, "booking"),
        NOON,
    )
    told = {"text": "The link was made by 'booking'.", "by": "booking", "type": "patient"}
    assert desk.keeper.notes == [(call, "link.created", told, NOON)]


def test_a_type_is_enough(desk: Desk) -> None:
    """Without more, a link has the life of its type, no name and no attributes; another key, another maker."""
    made = desk.make()
    assert (made["name"], made["attributes"], made["created_by"]) == ("", {}, "booking")
    assert made["expires_at"] == "2026-11-23T22:01:00+00:00"
    assert desk.post({"type": "patient"}, "portal").json()["created_by"] == "portal"


def test_a_type_without_a_web_app_has_no_url(desk: Desk) -> None:
    """Where there is nothing to redirect to, there is no URL."""
    made = desk.make("kiosk")
    assert (made["url"], made["alias"]) == (None, f"kiosk-{made['session']}")


@pytest.mark.parametrize(
    ("public_url", "base"),
    [
        pytest.param("https://video.example.com", "https://video.example.com", id="configured"),
        pytest.param("https://example.com/video/", "https://example.com/video", id="with a path and a slash"),
        pytest.param("", "http://10.0.0.7:8080", id="as the caller reached it"),
    ],
)
def test_the_url_is_ours(tmp_path: Path, public_url: str, base: str) -> None:
    """The customer's URL begins with the public URL, or with what the caller used when there is none."""
    with Desk(tmp_path, public_url=public_url) as desk:
        response = desk.post({"type": "patient"})
        session, call = response.json()["session"], response.json()["call"]
        assert response.json()["url"] == f"{base}/join/{session}"
        assert response.headers["location"] == f"{base}{PATH}/{call}"
        assert desk.request("GET", f"{PATH}/{call}").json()["url"] == f"{base}/join/{session}"


def test_texts_lose_control_characters(desk: Desk) -> None:
    """What nobody can see is taken out of names and values."""
    made = desk.make(name=" Ada\u0000\n L\u2028 \t", attributes={"note": "a\r\nb\u0007"})
    assert (made["name"], made["attributes"]) == ("Ada L", {"note": "ab"})
    stored = desk.run(desk.keeper.store.link(made["call"]))
    assert stored is not None
    assert (stored.name, stored.attributes) == ("Ada L", {"note": "ab"})


def test_limits_are_reached(desk: Desk) -> None:
    """The longest name, the most attributes with the longest names and values, the shortest and longest life."""
    attributes = {f"{number:a<64}": "é" * 500 for number in range(50)}
    made = desk.make(name="n" * 250, attributes=attributes, ttl="366d")
    assert (len(made["name"]), made["attributes"], made["expires_at"][:10]) == (250, attributes, "2027-11-24")
    assert desk.make(ttl=" 1M ")["expires_at"] == "2026-11-23T18:02:00+00:00"


REFUSED: list[tuple[str, object, str, str]] = [
    ("no type", {}, "invalid-link", "type is missing; write one of 'patient', 'kiosk'"),
    ("type null", {"type": None}, "invalid-link", "type must be text but is null"),
    ("type a number", {"type": 7}, "invalid-link", "type must be text but is a number; put it in quotes"),
    (
        "type misspelt",
        {"type": "pateint"},
        "unknown-link-type",
        "type must be one of 'patient', 'kiosk' but is 'pateint' (did you mean 'patient'?)",
    ),
    ("type empty", {"type": ""}, "unknown-link-type", "type must be one of 'patient', 'kiosk' but is ''"),
    (
        "field misspelt",
        {"type": "patient", "nmae": "Ada"},
        "invalid-link",
        "'nmae' is not a key of a link (did you mean 'name'?); it can have 'type', 'name', 'attributes', 'ttl'",
    ),
    ("name null", {"type": "patient", "name": None}, "invalid-link", "name must be text but is null; leave it out"),
    ("name a list", {"type": "patient", "name": ["x"]}, "invalid-link", "name must be text but is a list"),
    ("name long", {"type": "patient", "name": "n" * 251}, "invalid-link", "name has 251 characters; the limit is 250"),
    (
        "attributes a list",
        {"type": "patient", "attributes": ["es"]},
        "invalid-link",
        'attributes must be an object of texts such as {"language": "es"} but is a list',
    ),
    (
        "attributes null",
        {"type": "patient", "attributes": None},
        "invalid-link",
        'attributes must be an object of texts such as {"language": "es"} but is null; leave attributes out',
    ),
    (
        "attribute a number",
        {"type": "patient", "attributes": {"age": 42.5}},
        "invalid-link",
        "attribute 'age' must be text but is a number; put it in quotes",
    ),
    (
        "attribute true",
        {"type": "patient", "attributes": {"vip": True}},
        "invalid-link",
        "attribute 'vip' must be text but is true; put it in quotes",
    ),
    (
        "attribute an object",
        {"type": "patient", "attributes": {"a": {}}},
        "invalid-link",
        "attribute 'a' must be text but is an object",
    ),
    (
        "attribute long",
        {"type": "patient", "attributes": {"a": "x" * 501}},
        "invalid-link",
        "attribute 'a' has 501 characters; the limit is 500",
    ),
    (
        "attribute's name empty",
        {"type": "patient", "attributes": {"": "x"}},
        "invalid-link",
        "the name of an attribute must be 1 to 64 letters, digits, '_' and '-' but is ''",
    ),
    (
        "attribute's name with a line end",
        {"type": "patient", "attributes": {"a\n": "x"}},
        "invalid-link",
        "letters, digits, '_' and '-' but is 'a\\n'",
    ),
    (
        "attribute's name long",
        {"type": "patient", "attributes": {"a" * 65: "x"}},
        "invalid-link",
        "the name of an attribute must be 1 to 64 letters",
    ),
    (
        "too many attributes",
        {"type": "patient", "attributes": {str(number): "" for number in range(51)}},
        "invalid-link",
        "there are 51 attributes; the limit is 50",
    ),
    (
        "ttl no duration",
        {"type": "patient", "ttl": "soon"},
        "invalid-link",
        "ttl must be a duration from 1m to 366d, such as 30m, 4h or 7d, but is 'soon'",
    ),
    (
        "ttl a number",
        {"type": "patient", "ttl": 7200},
        "invalid-link",
        'ttl must be a duration from 1m to 366d, such as 30m, 4h or 7d, but is 7200; for seconds write "7200s"',
    ),
    ("ttl true", {"type": "patient", "ttl": True}, "invalid-link", "such as 30m, 4h or 7d, but is true"),
    ("ttl null", {"type": "patient", "ttl": None}, "invalid-link", "such as 30m, 4h or 7d, but is null"),
    ("ttl empty", {"type": "patient", "ttl": ""}, "invalid-link", "such as 30m, 4h or 7d, but is ''"),
    ("ttl short", {"type": "patient", "ttl": "59s"}, "invalid-link", "from 1m to 366d, such as 30m, 4h or 7d"),
    ("ttl long", {"type": "patient", "ttl": "367d"}, "invalid-link", "from 1m to 366d, such as 30m, 4h or 7d"),
    ("ttl of below nothing", {"type": "patient", "ttl": "-1h"}, "invalid-link", "but is '-1h'"),
    ("a list", [], "invalid-link", 'the body must be an object such as {"type": "patient"} but is a list'),
    ("a number", 7, "invalid-link", "but is a number"),
    ("null", None, "invalid-link", "but is null"),
]


@pytest.mark.parametrize(("body", "kind", "expected"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_a_wrong_request_is_refused(desk: Desk, body: object, kind: str, expected: str) -> None:
    """What cannot be made into a link is 422, says what to write instead, and changes nothing."""
    response = desk.request("POST", PATH, content=json.dumps(body), headers={"idempotency-key": "one"})
    assert expected in problem(response, 422, kind)
    assert desk.noted == []
    assert desk.post({"type": "patient"}, idempotency_key="one").status_code == 201


def test_everything_wrong_is_told_at_once(desk: Desk) -> None:
    """All problems of a request come together; of very many, the first."""
    body = {"type": 1, "name": 2, "attributes": {"a": 3, "": "x"}, "ttl": "x", "kind": "x"}
    detail = problem(desk.post(body), 422, "invalid-link")
    for told in ("'kind' is not", "type must be", "name must be", "attribute 'a' must", "but is ''; ttl must be"):
        assert told in detail
    many = problem(desk.post({f"field{number}": 1 for number in range(3000)}), 422, "invalid-link")
    assert many.count("is not a key of a link") == MOST_PROBLEMS


@pytest.mark.parametrize(
    ("body", "content_type", "status", "kind", "expected"),
    [
        pytest.param(b"", "application/json", 400, "invalid-json", "the body is empty", id="nothing"),
        pytest.param(b"{", "application/json", 400, "invalid-json", "the body is not JSON", id="half an object"),
        pytest.param(b'{"type": "\xff"}', "", 400, "invalid-json", "not JSON", id="not UTF-8"),
        pytest.param(b'{"type": "\\ud800"}', "", 400, "invalid-json", "not JSON", id="half a character"),
        pytest.param(b'{"ttl": NaN}', "", 400, "invalid-json", "not JSON", id="not a number"),
        pytest.param(b"[" * 60_000, "", 400, "invalid-json", "nested deeper than 32 levels", id="nested"),
        pytest.param(b'{"a":' * 9_000, "", 400, "invalid-json", "nested deeper than 32 levels", id="nested objects"),
        pytest.param(b'{"name": "' + b"[" * 99, "", 400, "invalid-json", "not JSON", id="brackets in half a text"),
        pytest.param(b'["' + b"[" * 99 + b'\\"", ]', "", 400, "invalid-json", "not JSON", id="brackets in a text"),
        pytest.param(b" " * (BODY_LIMIT + 1), "", 413, "too-large", "65536 bytes", id="too large"),
        pytest.param(
            b"type=patient",
            "application/x-www-form-urlencoded",
            415,
            "unsupported-media-type",
            "send Content-Type: application/json instead of 'application/x-www-form-urlencoded'",
            id="a form",
        ),
        pytest.param(b"{}", "text/json; a=b", 415, "unsupported-media-type", "'text/json'", id="another type"),
    ],
)
def test_a_body_that_is_no_json_is_refused(
    shared: Desk, body: bytes, content_type: str, status: int, kind: str, expected: str
) -> None:
    """What cannot be read is refused with the reason."""
    headers = {"content-type": content_type} if content_type else {}
    assert expected in problem(shared.request("POST", PATH, content=body, headers=headers), status, kind)


@pytest.mark.parametrize(
    "content_type", ["", "application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"]
)
def test_json_by_any_name_is_read(shared: Desk, content_type: str) -> None:
    """JSON may be called by its variants, or by no type at all."""
    headers = {"content-type": content_type} if content_type else {}
    response = shared.request("POST", PATH, content=b'{"type": "patient"}', headers=headers)
    assert response.status_code == 201


def test_a_large_body_is_read_up_to_its_limit(shared: Desk) -> None:
    """A body of exactly the limit is good; one that never ends is not read to its end."""
    padded = b'{"type": "patient"}'.ljust(BODY_LIMIT)
    assert shared.request("POST", PATH, content=padded).status_code == 201
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1000

    assert problem(shared.request("POST", PATH, content=endless()), 413, "too-large")
    assert sent < 100


def test_a_caller_that_goes_away_is_no_error(shared: Desk) -> None:
    """A body that breaks off makes no link and raises nothing."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {KEYS['booking']}".encode())],
    }
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    shared.run(shared.app(scope, receive, send))
    assert messages[0]["status"] == 400


@pytest.mark.parametrize(
    ("method", "path"), [("POST", PATH), ("GET", f"{PATH}/{'a' * 32}"), ("DELETE", f"{PATH}/{'a' * 32}")]
)
@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        pytest.param(None, 'Bearer realm="policy-server"', id="none"),
        pytest.param("Bearer wrong", 'Bearer realm="policy-server", error="invalid_token"', id="wrong"),
        pytest.param("Basic eDp5", 'Bearer realm="policy-server", error="invalid_token"', id="another scheme"),
        pytest.param("Bearer ü", 'Bearer realm="policy-server", error="invalid_token"', id="not ASCII"),
    ],
)
def test_without_a_good_key_nothing_is_done(
    shared: Desk, method: str, path: str, authorization: str | None, challenge: str
) -> None:
    """Without an API key it is 401 with a challenge, whatever the request."""
    headers = {"authorization": authorization.encode("latin-1")} if authorization else {}
    response = shared.request(method, path, None, headers=headers, content=b"nonsense")
    assert problem(response, 401, "unauthorized") == "send Authorization: Bearer <API key>"
    assert response.headers["www-authenticate"] == challenge


def test_without_configured_keys_the_admin_is_told(tmp_path: Path) -> None:
    """While no keys are configured nobody is let in, and the answer names the setting."""
    with Desk(tmp_path, keys={}) as desk:
        assert "POLICY_API_KEYS" in problem(desk.post({"type": "patient"}), 401, "unauthorized")


def test_any_good_key_shows_and_revokes(desk: Desk) -> None:
    """Links belong to the organisation, not to a key, so that keys can be rotated."""
    call = desk.make()["call"]
    assert desk.request("GET", f"{PATH}/{call}", "portal").status_code == 200
    assert desk.request("DELETE", f"{PATH}/{call}", "portal").status_code == 204
    assert desk.noted == [(call, "link.revoked", {"text": "The link was revoked by 'portal'.", "by": "portal"})]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_key_for_its_own_links_sees_no_others(tmp_path: Path, method: str) -> None:
    """To such a key the links of others are as if there were none; its own it shows and revokes."""
    with Desk(tmp_path, own=("portal",)) as desk:
        others, own = desk.make()["call"], desk.post({"type": "patient"}, "portal").json()["call"]
        unknown = desk.request(method, f"{PATH}/{'a' * 32}", "portal")
        refused = desk.request(method, f"{PATH}/{others}", "portal")
        assert (refused.status_code, refused.content) == (404, unknown.content)
        assert desk.request("GET", f"{PATH}/{others}").json()["state"] == "valid"
        assert desk.request(method, f"{PATH}/{own}", "portal").status_code in {200, 204}
        assert desk.request(method, f"{PATH}/{own}", "booking").status_code in {200, 204}


def test_the_same_idempotency_key_gives_the_same_link(desk: Desk) -> None:
    """The same request again, however its JSON is written, is answered with the first link, as it is now."""
    body = {"type": "patient", "name": "Ada L", "attributes": {"a": "1", "b": "2"}}
    first = desk.post(body, idempotency_key="visit-17")
    desk.keeper.now += 2 * HOUR
    same = '{ "attributes": {"b": "2", "a": "\\u0031"}, "name": "Ada\\u0020L", "type": "patient" }'
    again = desk.request("POST", PATH, content=same, headers={"idempotency-key": "visit-17"})
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert [kind for _, kind, _ in desk.noted] == ["link.created"]
    desk.request("DELETE", f"{PATH}/{first.json()['call']}")
    assert desk.post(body, idempotency_key="visit-17").json()["state"] == "revoked"


def test_idempotency_keys_are_each_callers_own(desk: Desk) -> None:
    """Another API key, another idempotency key and no idempotency key make another link."""
    body = {"type": "patient"}
    answers = [
        desk.post(body, idempotency_key="one"),
        desk.post(body, "portal", idempotency_key="one"),
        desk.post(body, idempotency_key="One"),
        desk.post(body),
        desk.post(body),
    ]
    assert len({answer.json()["call"] for answer in answers}) == 5
    assert not any("idempotency-replayed" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    "changed",
    [{"name": "Bob"}, {"ttl": "4h"}, {"attributes": {}}, {"type": "kiosk"}],
    ids=["name", "ttl", "attributes", "type"],
)
def test_an_idempotency_key_is_for_one_request(desk: Desk, changed: dict[str, object]) -> None:
    """The same key for a request that says anything else is refused, and makes no link."""
    desk.post({"type": "patient", "name": "Ada"}, idempotency_key="one")
    desk.keeper.notes.clear()
    response = desk.post({"type": "patient", "name": "Ada", **changed}, idempotency_key="one")
    assert "use a new one" in problem(response, 422, "idempotency-conflict")
    assert desk.noted == []


@pytest.mark.parametrize(("key", "status"), [("", 400), ("k" * 256, 400), ("k" * 255, 201), ("ü \t;", 201)])
def test_an_idempotency_key_has_a_length(shared: Desk, key: str, status: int) -> None:
    """Any text of 1 to 255 characters is an idempotency key."""
    response = shared.request(
        "POST", PATH, json={"type": "patient"}, headers={"idempotency-key": key.encode("latin-1")}
    )
    assert response.status_code == status
    if status == 400:
        assert "1 to 255 characters" in problem(response, 400, "invalid-idempotency-key")


def test_a_call_that_is_taken_is_signed_anew(tmp_path: Path) -> None:
    """Two links of one minute whose random bytes agree are different calls; nobody gets another's room."""
    with Desk(tmp_path, nonces=iter([b"frst", b"frst", b"frst", b"othr"])) as desk:
        first = desk.make(name="Ada")
        desk.keeper.now += timedelta(milliseconds=1)
        second = desk.make(name="Bob")
        assert first["call"] != second["call"]
        assert desk.request("GET", f"{PATH}/{first['call']}").json()["name"] == "Ada"
        assert desk.request("GET", f"{PATH}/{second['call']}").json()["name"] == "Bob"


def test_a_link_is_shown(desk: Desk) -> None:
    """GET tells what was made, and that there is no conference."""
    made = desk.make(name="Ada L", attributes={"language": "es"})
    response = desk.request("GET", f"{PATH}/{made['call']}")
    assert response.json() == {**made, "conference": None}
    assert response.headers["cache-control"] == "no-store"


def test_a_link_grows_old(desk: Desk) -> None:
    """Its state is valid before it expires, expired from then on, and revoked once it was, whatever the time."""
    path = f"{PATH}/{desk.make(ttl='1h')['call']}"

    def state() -> object:
        return desk.request("GET", path).json()["state"]

    assert state() == "valid"
    desk.keeper.now = NOON.replace(hour=19, minute=1, microsecond=0)
    assert state() == "expired"
    desk.keeper.now = NOON
    assert desk.request("DELETE", path).status_code == 204
    assert state() == "revoked"
    desk.keeper.now += 9 * HOUR
    assert state() == "revoked"
    assert desk.request("GET", path).json()["revoked_at"] == "2026-11-23T18:00:00+00:00"


def test_a_link_outlives_its_type(desk: Desk) -> None:
    """A link whose type the rules do not have any more is still shown, without an alias and a URL."""
    made = desk.make()
    desk.rules.ruleset = load("links: { other: { alias: 'o{session}' } }\nservice: [{ id: all, continue: true }]")
    shown = desk.request("GET", f"{PATH}/{made['call']}").json()
    assert shown == {**made, "alias": None, "url": None, "conference": None}


def held(made: Mapping[str, Any], **changed: Any) -> HeldConference:
    """The conference of a link that was made, held at noon, with both PINs."""
    call, pins, alias = made["call"], pins_of(made), alias_key(made["alias"])
    conference = HeldConference(
        id=f"id-{call}",
        name=call,
        call=call,
        link_type=made["type"],
        service_tag="telehealth",
        service={"name": call, "pin": pins.host, "guest_pin": pins.guest},
        legs=(),
        fallbacks=(),
        rule="patient",
        revision="abc",
        alias="mp…",
        aliases={DIALLED: alias, "customer": alias},
        held_at=NOON,
        expires_at=NOON + 12 * HOUR,
    )
    return replace(conference, **changed)


def events(room: str, *names: str) -> list[Event]:
    """Messages of one node about a room, by a clock that is a minute behind."""
    start = NOON.timestamp() - 60
    conference = {"name": room, "start_time": start}
    participant = {"uuid": "u1", "conference": room, "has_media": True, "service_type": "conference"}
    return [
        Event(
            node="10.0.0.1",
            seq=number,
            time=start + number,
            name=name,
            version=2,
            data=conference if name.startswith("conference") else participant,
            arrived_at=NOON + timedelta(seconds=number),
        )
        for number, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("heard", "changed", "state", "ended_at"),
    [
        pytest.param([], {}, "waiting", None, id="nothing heard"),
        pytest.param(["conference_started"], {}, "waiting", None, id="nobody there"),
        pytest.param(["conference_started", "participant_connected"], {}, "active", None, id="somebody there"),
        pytest.param(
            ["conference_started", "participant_connected"],
            {"held_at": NOON - 12 * HOUR, "expires_at": NOON},
            "ended",
            "2026-11-23T18:00:00+00:00",
            id="expired",
        ),
    ],
)
def test_a_link_tells_of_its_conference(
    desk: Desk, heard: list[str], changed: dict[str, object], state: str, ended_at: str | None
) -> None:
    """GET tells the state and times of the conference, from what nodes reported, and never a PIN."""
    made = desk.make()
    conference = held(made, **changed)
    desk.run(desk.keeper.store.hold(conference))
    desk.run(desk.keeper.store.add_events(events(made["call"], *heard)))
    response = desk.request("GET", f"{PATH}/{made['call']}")
    assert response.json()["conference"] == {
        "state": state,
        "name": made["call"],
        "service_tag": "telehealth",
        "held_at": conference.held_at.isoformat(timespec="seconds"),
        "expires_at": conference.expires_at.isoformat(timespec="seconds"),
        "ended_at": ended_at,
    }
    for pin in pins_of(made):
        assert pin not in response.text


def test_a_conference_that_was_ended_is_told_as_ended(desk: Desk) -> None:
    """Once ended, a conference stays so, with its time."""
    made = desk.make()
    desk.run(desk.keeper.store.hold(held(made)))
    desk.run(desk.keeper.store.end(made["call"], NOON + HOUR))
    told = desk.request("GET", f"{PATH}/{made['call']}").json()["conference"]
    assert (told["state"], told["ended_at"]) == ("ended", "2026-11-23T19:00:00+00:00")


def test_no_answer_has_a_pin(desk: Desk) -> None:
    """Neither PIN of the room is in what is made, shown, or noted."""
    response = desk.post({"type": "patient", "name": "Ada"})
    made = response.json()
    shown = desk.request("GET", f"{PATH}/{made['call']}").text
    told = response.text + str(response.headers) + shown + str(desk.noted)
    for pin in pins_of(made):
        assert pin not in told


def test_revoking_is_noted_once(desk: Desk) -> None:
    """A revoked link is revoked; to revoke it again is good too, and changes nothing."""
    call = desk.make()["call"]
    for _ in range(2):
        response = desk.request("DELETE", f"{PATH}/{call}")
        assert (response.status_code, response.content) == (204, b"")
        desk.keeper.now += HOUR
    told = {"text": "The link was revoked by 'booking'.", "by": "booking"}
    assert desk.keeper.notes == [(call, "link.revoked", told, NOON)]
    stored = desk.run(desk.keeper.store.link(call))
    assert stored is not None
    assert stored.revoked_at == NOON


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("name", ["a" * 32, "x", "MP", "%00", "..", "%ff", "{call}", "' OR 1=1 --"])
def test_an_unknown_link_is_not_found(shared: Desk, method: str, name: str) -> None:
    """What is no link of ours is 404, also a call id in capitals or with the alias around it; a session and an agent key
    are not what links are found by.
    """
    made = shared.make()
    call = call_of(made)
    for unknown in (name, call.id.upper(), f"mp{call.id}", call.session, call.agent, made["alias"]):
        problem(shared.request(method, f"{PATH}/{unknown.replace('..', '%2e%2e')}"), 404, "unknown-link")
    assert shared.noted == []


@pytest.mark.parametrize(
    ("method", "path"), [("POST", ""), ("GET", "/{call}"), ("PATCH", "/{call}"), ("DELETE", "/{call}")]
)
def test_without_the_database_the_caller_may_try_again(desk: Desk, method: str, path: str) -> None:
    """While the database is away it is 503, says when to try again, and nothing is noted."""
    call = desk.make()["call"]
    desk.keeper.store.is_away = True
    response = desk.request(method, PATH + path.format(call=call), json={"type": "patient"})
    assert "try again" in problem(response, 503, "store-unavailable")
    assert response.headers["retry-after"] == "5"
    assert desk.noted == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", PATH, {"POST"}), ("PUT", PATH, {"POST"}), ("POST", f"{PATH}/x", {"GET", "HEAD", "PATCH", "DELETE"})],
)
def test_other_methods_are_refused(shared: Desk, method: str, path: str, allowed: set[str]) -> None:
    """A method that a path does not have is 405 and names those it has."""
    response = shared.request(method, path)
    assert (response.status_code, set(response.headers["allow"].split(", "))) == (405, allowed)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {"type": st.sampled_from(["patient", "kiosk", "pateint"]) | json_values},
    optional={
        "name": st.text(max_size=300) | json_values,
        "attributes": st.dictionaries(st.text("aB_-\n9é", max_size=5), st.text(max_size=20), max_size=4) | json_values,
        "ttl": st.sampled_from(["2h", "1d 12h", "0m", "9999d", "\N{FULLWIDTH DIGIT TWO}h", ""]) | json_values,
        "extra": json_values,
    },
)


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(fields.map(json.dumps).map(str.encode) | json_values.map(json.dumps).map(str.encode) | st.binary(max_size=60))
def test_any_body_makes_a_link_or_a_problem(shared: Desk, body: bytes) -> None:
    """Whatever is sent, there is a link as it was asked for, or a problem of the caller's."""
    shared.keeper.notes.clear()
    response = shared.request("POST", PATH, content=body)
    if response.status_code == 201:
        asked, made = json.loads(body), response.json()
        assert made["type"] == asked["type"] in TWO_TYPES.links
        assert set(made["attributes"]) == set(asked.get("attributes", {}))
        assert shared.request("GET", f"{PATH}/{made['call']}").json() == {**made, "conference": None}
        assert [kind for _, kind, _ in shared.noted] == ["link.created"]
    else:
        assert response.status_code in {400, 422}
        assert problem(response, response.status_code, response.json()["type"].removeprefix(TYPE_ROOT))
        assert shared.noted == []

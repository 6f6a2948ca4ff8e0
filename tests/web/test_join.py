"""/join/{session}: the redirect to the web app, and the pages about a shut door."""

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from policy_server.conferences.joining import NOTED_LIMIT, CustomersDoor
from policy_server.conferences.live import Conferences
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import Door as HeldDoor
from policy_server.conferences.records import Link, alias_key
from policy_server.conferences.store import ConferenceStore
from policy_server.policy.names import NONCE_BYTES, Call
from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.store import RuleStore
from policy_server.web.api_keys import ApiKeys
from policy_server.web.join import JoinEndpoint
from policy_server.web.links import LinkEndpoints
from tests.rule_sets import KEYRING, load
from tests.servers import write_rules
from tests.web.link_samples import HOUR, KEYS, NOON, RULES, TWO_TYPES, Desk, Rules, pins_of
from tests.web.test_links import held

EVENING = datetime.fromisoformat("2026-11-23T19:00:00-06:00")
"""The clinic is closed until the next day, a Tuesday, at 8:00."""

TITLES = {
    "closed": "We are closed at the moment",
    "expired": "This link has expired",
    "invalid": "This link is not valid",
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk of this test alone."""
    with Desk(tmp_path) as desk:
        yield desk


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk for requests that change nothing."""
    with Desk(tmp_path_factory.mktemp("join")) as desk:
        yield desk


def page(response: httpx.Response, status: int, name: str) -> str:
    """The text of a page, which must have a status and the title of a name."""
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert re.findall("<title>(.*)</title>", response.text) == [TITLES[name]]
    return response.text


def signed(hours: float, nonce: bytes = b"more", link_type: str = "patient") -> Call:
    """A call that we signed and whose link nobody stored."""
    return KEYRING.sign(link_type, NOON + hours * HOUR, nonce)


def test_an_open_door_leads_to_the_web_app(desk: Desk) -> None:
    """A good link in opening hours redirects to the type's web app, with name, alias and guest PIN, and no host PIN."""
    made = desk.make(name="Ada L & Söhne")
    session = made["session"]
    response = desk.join(session)
    pins = pins_of(made)
    assert (response.status_code, response.content) == (303, b"")
    assert response.headers["location"] == (
        f"https://pexip.example.com/webapp3/m/mp{session}/express?name=Ada%20L%20%26%20S%C3%B6hne&pin={pins.guest}"
    )
    assert pins.host not in str(response.headers)
    told = {"text": "A customer opened the link and was let in.", "door": "open"}
    assert desk.keeper.notes == [(made["call"], "link.opened", told, NOON)]


@pytest.mark.parametrize("door", ["open", "closed", "expired", "revoked", "unknown"])
def test_nothing_of_it_is_kept_or_told_to_others(desk: Desk, door: str) -> None:
    """Whatever the answer, no browser or proxy keeps it, guesses at its type, or passes the session on as referrer."""
    made = desk.make(ttl="2h")
    session = made["session"]
    if door == "revoked":
        desk.request("DELETE", f"/api/v1/links/{made['call']}")
    desk.keeper.now += {"closed": 7, "expired": 3}.get(door, 0) * HOUR
    response = desk.join("x" if door == "unknown" else session)
    assert {
        name: response.headers[name] for name in ("cache-control", "referrer-policy", "x-content-type-options")
    } == {
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    if door != "open":
        assert response.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert response.headers["vary"] == "accept-language"
        assert response.headers["content-language"] == "en"


def test_a_closed_door_tells_when_it_opens(desk: Desk) -> None:
    """Outside opening hours the page tells the next opening in the calendar's zone, and that the link is good then."""
    made = desk.make(ttl="2d")
    desk.keeper.now = EVENING
    response = desk.join(made["session"])
    text = page(response, 200, "closed")
    assert "Tuesday, 24 November 2026, at 08:00</time> (Chicago time)" in text
    assert '<time datetime="2026-11-24T08:00-06:00">' in text
    assert "will still be good" in text
    told = {"text": "A customer opened the link outside opening hours.", "door": "closed"}
    assert desk.noted == [(made["call"], "link.opened", told)]


def test_a_closed_door_tells_when_the_link_ends_before_it_opens(desk: Desk) -> None:
    """The opening is told also when the link ends before, and then to ask for another."""
    session = desk.make(ttl="8h")["session"]
    desk.keeper.now = EVENING
    text = page(desk.join(session), 200, "closed")
    assert "Tuesday, 24 November 2026, at 08:00" in text
    assert "will have expired by then" in text


def test_holidays_are_reckoned_with(desk: Desk) -> None:
    """The opening is the first at which the rules really let in, after a closed date."""
    session = desk.make(ttl="5d")["session"]
    desk.keeper.now = datetime.fromisoformat("2026-11-25T18:00:00-06:00")
    assert "Friday, 27 November 2026, at 08:00" in page(desk.join(session), 200, "closed")


def test_a_door_that_no_calendar_shuts_tells_no_time(desk: Desk) -> None:
    """Where opening hours are not the reason, nothing is promised."""
    session = desk.make()["session"]
    desk.rules.ruleset = load(
        "service: [{ id: full, when: { local_alias: 'mp.*' }, reject: 'We are full, sorry.' }]\n"
        "links: { patient: { alias: 'mp{session}', url: 'https://pexip.example.com/{alias}' } }"
    )
    text = page(desk.join(session), 200, "closed")
    assert "<time" not in text
    assert "We are full" not in text


@pytest.mark.parametrize(
    "outcome",
    [
        "reject: no",
        "continue: true",
        "redirect: elsewhere",
        "service: { service_type: conference, name: '{vendor}', service_tag: x }",
    ],
    ids=["reject", "continue", "redirect", "fail"],
)
def test_only_a_room_opens_the_door(desk: Desk, outcome: str) -> None:
    """Unless a rule serves a room now, nobody is sent to Pexip to be refused there."""
    session = desk.make()["session"]
    desk.rules.ruleset = load(
        f"service: [{{ id: it, when: {{ local_alias: 'mp.*' }}, {outcome} }}]\n"
        "links: { patient: { alias: 'mp{session}', url: 'https://pexip.example.com/{alias}' } }"
    )
    page(desk.join(session), 200, "closed")


def test_attributes_of_the_link_decide(desk: Desk) -> None:
    """What the link was given reaches the rules: one rule lets those in who speak Spanish, at any hour."""
    spanish, other = desk.make(attributes={"language": "es"}, ttl="9h"), desk.make(ttl="9h")
    desk.keeper.now = EVENING
    assert desk.join(spanish["session"]).status_code == 303
    page(desk.join(other["session"]), 200, "closed")


def test_an_expired_link_says_so(desk: Desk) -> None:
    """From the minute it expires on, a link is gone, in opening hours and outside them."""
    made = desk.make(ttl="1h")
    session = made["session"]
    desk.keeper.now = NOON.replace(hour=19, minute=0, second=59, microsecond=999_999)
    assert desk.join(session).status_code == 303
    desk.keeper.notes.clear()
    desk.keeper.now = NOON.replace(hour=19, minute=1, second=0, microsecond=0)
    page(desk.join(session), 410, "expired")
    desk.keeper.now += 9 * HOUR
    page(desk.join(session), 410, "expired")
    told = {"text": "A customer opened the link after it had expired.", "door": "expired"}
    assert desk.noted == [(made["call"], "link.opened", told)] * 2


def test_a_link_expires_whatever_the_rules_say(desk: Desk) -> None:
    """Rules that forget to ask whether a link is valid do not make an expired one good."""
    session = desk.make(ttl="1h")["session"]
    desk.rules.ruleset = load(
        "service: [{ id: all, when: { link_type: patient }, room: visit }]\n"
        "rooms: { visit: { name: '{call}', service_tag: visit } }\n"
        "links: { patient: { alias: 'mp{session}', url: 'https://pexip.example.com/{alias}' } }"
    )
    assert desk.join(session).status_code == 303
    desk.keeper.now += 2 * HOUR
    page(desk.join(session), 410, "expired")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("x", id="a word"),
        pytest.param("a" * 32, id="not signed"),
        pytest.param("hcp{agent}", id="the agents' alias"),
        pytest.param("hcp{session}", id="the agents' alias of a session"),
        pytest.param("mp{agent}", id="the customer's alias of an agent key"),
        pytest.param("mp{call}", id="the customer's alias of a call id"),
        pytest.param("{agent}", id="an agent key"),
        pytest.param("{call}", id="a call id"),
        pytest.param("mp{session}@video.example.com", id="an alias with a domain"),
        pytest.param("{session}x", id="a letter after it"),
        pytest.param("x{session}", id="a letter before it"),
        pytest.param("{session}2", id="a digit after it"),
        pytest.param("{session}-x", id="a hyphen and more after it"),
        pytest.param("{session}.html", id="an ending"),
        pytest.param("{session}%0Ax", id="a line end and more after it"),
        pytest.param("{session}%00", id="a NUL after it"),
        pytest.param("x/{session}", id="two segments"),
        pytest.param("%2e%2e/join/{session}", id="dots"),
        pytest.param("{session}%2f..%2fx", id="encoded slashes"),
        pytest.param("%ff%fe", id="not UTF-8"),
        pytest.param("x" * 5000, id="long"),
    ],
)
def test_what_is_no_session_gets_the_page_of_an_invalid_link(shared: Desk, text: str) -> None:
    """Only a session, or the customer's alias, opens anything; nothing else is noted."""
    call = signed(1)
    page(shared.join(text.format(session=call.session, agent=call.agent, call=call.id)), 404, "invalid")
    assert shared.noted == []


@pytest.mark.parametrize(
    "text", ["{SESSION}", "MP{SESSION}", "{session}.", "{session}/", "%22{session}%22", "{session}?utm_source=x"]
)
def test_a_link_that_was_passed_on_is_opened(desk: Desk, text: str) -> None:
    """Capitals and what a chat program glued to a link change nothing, in the answer and on the timeline."""
    made = desk.make()
    session = made["session"]
    response = desk.join(text.format(session=session, SESSION=session.upper()))
    assert response.headers["location"] == desk.join(session).headers["location"]
    assert [key for key, *_ in desk.noted] == [made["call"]]


def test_a_link_all_in_capitals_is_opened(desk: Desk) -> None:
    """Dense QR codes know no small letters, in the path as little as in the session."""
    session = desk.make()["session"]
    assert desk.request("GET", f"/JOIN/{session.upper()}", None).status_code == 303
    assert desk.request("GET", f"/joint/{session}", None).status_code == 404


def test_the_customers_alias_will_do(desk: Desk) -> None:
    """The alias that a customer dials may stand for the session."""
    made = desk.make()
    assert desk.join(made["alias"]).headers["location"] == desk.join(made["session"]).headers["location"]


def test_all_that_is_invalid_looks_the_same(desk: Desk) -> None:
    """Forged, revoked, of a type without a web app, of another than the alias or of none, or not a session: one page, byte for byte."""
    revoked, kiosk = desk.make(), desk.make("kiosk")["session"]
    desk.request("DELETE", f"/api/v1/links/{revoked['call']}")
    good = signed(1)
    other, foreign = f"kiosk-{good.session}", signed(1, link_type="elsewhere").session
    texts = ("a" * 32, revoked["session"], kiosk, other, foreign, good.agent, good.id, f"hcp{good.agent}", "x")
    answers = [desk.join(text) for text in texts]
    for answer in answers:
        page(answer, 404, "invalid")
    assert len({(answer.content, str(answer.headers)) for answer in answers}) == 1


def test_the_store_is_asked_whether_a_session_is_forged_or_not(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged session costs the same look at the store as a good one, so that time does not tell them apart."""
    asked: list[str] = []
    look = desk.keeper.store.link

    async def link(call: str) -> Link | None:
        asked.append(call)
        return await look(call)

    monkeypatch.setattr(desk.keeper.store, "link", link)
    good, forged = signed(1), "a" * 32
    assert desk.join(good.session).status_code == 303
    page(desk.join(forged), 404, "invalid")
    assert asked == [good.id, forged]


def test_a_revoked_link_is_invalid_from_the_next_request_on(desk: Desk) -> None:
    """Once revoked, a link opens nothing, running conference or not; the timeline knows that it was tried."""
    made = desk.make()
    session, call = made["session"], made["call"]
    desk.keeper.rooms[call] = held(made)
    assert desk.join(session).status_code == 303
    desk.request("DELETE", f"/api/v1/links/{call}")
    desk.keeper.notes.clear()
    page(desk.join(session), 404, "invalid")
    told = {"text": "A customer opened the link after it was revoked.", "door": "revoked"}
    assert desk.noted == [(call, "link.opened", told)]


@pytest.mark.parametrize(("hours", "status"), [(0, 303), (7, 303), (11.9, 303), (12, 410)])
def test_a_conference_that_runs_keeps_the_door_open(desk: Desk, hours: float, status: int) -> None:
    """Who falls out of a running conference may return after closing time, and after the link expired, as policy
    answers let them.
    """
    made = desk.make(ttl="8h")
    desk.keeper.rooms[made["call"]] = held(made)
    desk.keeper.now = NOON + hours * HOUR
    assert desk.join(made["session"]).status_code == status


@pytest.mark.parametrize("how", ["is_away", "is_stuck"])
def test_without_the_database_links_go_on(desk: Desk, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database is away or hangs, what this process knows of links counts, revocation too."""
    monkeypatch.setattr("policy_server.conferences.joining.PATIENCE", 0.01)
    made = desk.make(name="Ada", attributes={"language": "es"}, ttl="8h")
    session, call = made["session"], made["call"]
    stored = desk.run(desk.keeper.store.link(call))
    assert stored is not None
    desk.keeper.links[call] = stored
    setattr(desk.keeper.store, how, True)
    desk.keeper.now = EVENING
    assert "name=Ada" in desk.join(session).headers["location"]
    desk.keeper.links[call] = replace(stored, revoked_at=NOON)
    page(desk.join(session), 404, "invalid")


@pytest.mark.parametrize(
    ("link_type", "alias", "status"),
    [
        pytest.param("patient", "{session}", 303, id="the session tells the type"),
        pytest.param("patient", "mp{session}", 303, id="so does the alias"),
        pytest.param("patient", "kiosk-{session}", 404, id="the alias of another type"),
        pytest.param("kiosk", "{session}", 404, id="a type without a web app"),
        pytest.param("kiosk", "mp{session}", 404, id="signed for another type"),
    ],
)
@pytest.mark.parametrize("is_away", [False, True], ids=["with database", "without"])
def test_a_link_that_nobody_stored_is_good(desk: Desk, link_type: str, alias: str, status: int, is_away: bool) -> None:
    """The signature is enough, with the database and without: it says which type the session is of."""
    session = signed(1, link_type=link_type).session
    desk.keeper.store.is_away = is_away
    response = desk.join(alias.format(session=session))
    if status == 303:
        assert response.headers["location"].startswith(f"https://pexip.example.com/webapp3/m/mp{session}/")
    else:
        page(response, 404, "invalid")


@pytest.mark.parametrize(
    ("header", "language", "said"),
    [("es-MX,es;q=0.9,en;q=0.8", "es", "martes 24 de noviembre de 2026 a las 08:00"), ("fr", "en", "Tuesday, 24")],
)
def test_the_page_is_in_the_browsers_language(desk: Desk, header: str, language: str, said: str) -> None:
    """Where there is a template in a language that the browser wants, it is taken."""
    session = desk.make(ttl="2d")["session"]
    desk.keeper.now = EVENING
    response = desk.join(session, accept_language=header)
    assert said in response.text
    assert f'<html lang="{language}"' in response.text
    assert response.headers["content-language"] == language


@pytest.fixture
def store(tmp_path: Path) -> RuleStore:
    """The rules of these tests on disk, where ``patient`` has templates of its own."""
    rules = RULES.replace("    ttl: 4h\n", "    ttl: 4h\n    templates: pages\n")
    folder = write_rules(tmp_path / "rules", rules)
    (folder / "pages").mkdir()
    (folder / "pages" / "expired.en.html").write_text("<h1>Gone</h1>", encoding="utf-8")
    (folder / "pages" / "invalid.en.html").write_text("<h1>Wrong</h1>", encoding="utf-8")
    return RuleStore(folder, lambda: NOON, {})


def title(response: httpx.Response) -> str:
    """The title of a page."""
    (found,) = re.findall("<title>(.*)</title>", response.text)
    assert isinstance(found, str)
    return found


def test_a_link_type_may_have_pages_of_its_own(tmp_path: Path, store: RuleStore) -> None:
    """What the folder has is shown in place of ours, and ours in the languages, and for the pages, that it lacks."""
    with Desk(tmp_path, ruleset=store.ruleset) as desk:
        short, long = desk.make(ttl="1h")["session"], desk.make(ttl="2d")["session"]
        desk.keeper.now = EVENING
        assert title(desk.join(short)) == "Gone"
        assert title(desk.join(short, accept_language="es-MX,en;q=0.5")) == "Este enlace ha caducado"
        page(desk.join(long), 200, "closed")
        revoked, kiosk = desk.make(), desk.make("kiosk")["session"]
        desk.request("DELETE", f"/api/v1/links/{revoked['call']}")
        answers = [desk.join(text) for text in ("x", revoked["session"], kiosk, signed(99).id)]
        assert [(answer.status_code, title(answer)) for answer in answers] == [(404, "Wrong")] * 4
        assert len({answer.content for answer in answers}) == 1


def test_who_has_no_link_gets_our_pages_where_link_types_differ(tmp_path: Path, store: RuleStore) -> None:
    """A page about a link of no known type is none of the types', unless they all have the same."""
    file = tmp_path / "rules" / "rules.yaml"
    other = '  other: { alias: "other-{session}", url: "https://pexip.example.com/{alias}" }\n'
    file.write_text(file.read_text(encoding="utf-8") + other, encoding="utf-8")
    assert store.reload()
    with Desk(tmp_path, ruleset=store.ruleset) as desk:
        page(desk.join("x"), 404, "invalid")
        session = desk.make(ttl="1h")["session"]
        desk.keeper.now = EVENING
        assert title(desk.join(session)) == "Gone"


def test_a_reload_changes_rules_and_pages_together(tmp_path: Path, store: RuleStore) -> None:
    """A template that changes is shown from the reload on, and one that cannot be used leaves the page as it was."""
    folder = tmp_path / "rules" / "pages"
    with Desk(tmp_path, ruleset=store.ruleset) as desk:
        session = desk.make(ttl="2d")["session"]
        desk.keeper.now = EVENING

        def shown_after(name: str, text: str) -> str:
            (folder / name).write_text(text, encoding="utf-8")
            store.reload()
            desk.rules.ruleset = store.ruleset
            return desk.join(session).text

        assert "Until Tuesday, 24 November" in shown_after("closed.en.html", "<h1>Shut</h1>Until $opening")
        layout = "<html lang='$language'><title>$title</title><style>p{}</style>$text</html>"
        changed = shown_after("layout.html", layout)
        assert changed.startswith("<html lang='en'><title>Shut</title><style>p{}</style><h1>Shut</h1>Until Tuesday")
        assert shown_after("closed.en.html", "<h1>Shut</h1>Until $opennig") == changed
        assert store.state.refused
        dates = {"weekdays": list("abcdefg"), "months": list("abcdefghijkl"), "pattern": "<i>$weekday & $time"}
        (folder / "dates.en.json").write_text(json.dumps(dates), encoding="utf-8")
        assert "Until &lt;i&gt;b &amp; 08:00" in shown_after("closed.en.html", "<h1>Shut</h1>Until $opening")


def test_pages_of_its_own_load_nothing_from_elsewhere(tmp_path: Path, store: RuleStore) -> None:
    """The policy of the page lets in its own styles only, whatever the template asks browsers to load."""
    (tmp_path / "rules" / "pages" / "expired.en.html").write_text(
        "<h1>Gone</h1><style>@import 'https://evil.example.com/x.css'; h1{}</style><script src='https://evil.example.com'>"
        "</script><img src='https://evil.example.com/x.png'><iframe src='https://evil.example.com'></iframe>",
        encoding="utf-8",
    )
    assert store.reload()
    assert sum(problem.place.file.endswith("expired.en.html") for problem in store.state.problems) == 3
    with Desk(tmp_path, ruleset=store.ruleset) as desk:
        session = desk.make(ttl="1h")["session"]
        desk.keeper.now = EVENING
        response = desk.join(session)
    styles = re.findall("<style>(.*?)</style>", response.text, re.DOTALL)
    hashes = " ".join(f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" for style in styles)
    assert response.headers["content-security-policy"] == (
        f"default-src 'none'; style-src {hashes}; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    assert (len(styles), response.headers["referrer-policy"]) == (2, "no-referrer")


def test_scanners_do_not_open_a_link(desk: Desk) -> None:
    """HEAD is answered as GET is, and a browser that loads ahead gets its page, but neither is a customer."""
    made = desk.make()
    session = made["session"]
    get, head = desk.join(session), desk.join(session, "HEAD")
    desk.keeper.now += HOUR
    desk.join(session, "HEAD")
    desk.join(session, sec_purpose="prefetch;prerender")
    desk.join(session, purpose="prefetch")
    desk.join(session, x_purpose="preview")
    desk.join(session, x_moz="prefetch")
    assert (head.status_code, head.headers) == (get.status_code, get.headers)
    told = {"text": "A customer opened the link and was let in.", "door": "open"}
    assert desk.keeper.notes == [(made["call"], "link.opened", told, NOON)]


@pytest.mark.parametrize("door", ["open", "closed", "expired"])
def test_a_preview_is_not_the_customer(desk: Desk, door: str) -> None:
    """Who makes a preview gets a page with a title, whatever the door, and no way to Pexip; the timeline says so once."""
    made = desk.make(ttl="9h")
    session = made["session"]
    desk.keeper.now += {"open": 0, "closed": 7, "expired": 10}[door] * HOUR
    for minutes in (0, 0, 5):
        desk.keeper.now += minutes / 60 * HOUR
        response = desk.join(session, user_agent="WhatsApp/2.23.20.0 A")
        assert (response.status_code, title(response), "location" in response.headers) == (
            200,
            "Your video call",
            False,
        )
    assert pins_of(made).guest not in response.text
    assert (
        title(desk.join(session, user_agent="TelegramBot (like TwitterBot)", accept_language="es")) == "Su videollamada"
    )
    assert desk.noted == [
        (
            made["call"],
            "link.previewed",
            {"text": f"A preview of the link was fetched ({by}). That was not the customer.", "by": by},
        )
        for by in ("WhatsApp", "Telegram")
    ]


def test_a_preview_of_a_link_that_is_not_good(desk: Desk) -> None:
    """A preview tells of a revoked link, and of none of ours, what everybody is told, and is still not the customer."""
    made = desk.make()
    desk.request("DELETE", f"/api/v1/links/{made['call']}")
    desk.keeper.notes.clear()
    for text in (made["session"], "x"):
        page(desk.join(text, user_agent="Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"), 404, "invalid")
    assert [(key, kind) for key, kind, _ in desk.noted] == [(made["call"], "link.previewed")]


def test_who_is_taken_for_a_preview_gets_in_by_the_page(desk: Desk) -> None:
    """The link in the page for previews opens the door whatever the browser calls itself."""
    session = desk.make()["session"]
    agent = "Mozilla/5.0 (Linux; Android 14) Sophos Secure Browser"
    (target,) = re.findall('href="([^"]+)"', desk.join(session, user_agent=agent).text)
    response = desk.join(session + target, user_agent=agent)
    assert response.status_code == 303
    assert [kind for _, kind, _ in desk.noted] == ["link.previewed", "link.opened"]


def test_a_preview_may_have_a_page_of_the_link_types_own(tmp_path: Path, store: RuleStore) -> None:
    """What a messenger shows of a link is in the words of the organisation."""
    (tmp_path / "rules" / "pages" / "preview.en.html").write_text("<h1>Your visit</h1>", encoding="utf-8")
    assert store.reload()
    with Desk(tmp_path, ruleset=store.ruleset) as desk:
        assert title(desk.join(desk.make()["session"], user_agent="WhatsApp/2")) == "Your visit"


def test_a_link_is_noted_once_a_minute(desk: Desk) -> None:
    """Who reloads all the time does not fill the timeline; another door, or another minute, is news."""
    made, other = desk.make(ttl="1h"), desk.make()
    for minutes in (0, 0, 0.5, 1, 61, 61):
        desk.keeper.now = NOON + minutes / 60 * HOUR
        desk.join(made["session"])
        desk.join(other["session"])
    assert [data["door"] for key, _, data in desk.noted if key == made["call"]] == ["open", "open", "expired"]
    assert len([key for key, *_ in desk.noted if key == other["call"]]) == 3


def test_what_was_noted_is_forgotten_in_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many links are opened, few are remembered."""
    assert NOTED_LIMIT < 10_000
    monkeypatch.setattr("policy_server.conferences.joining.NOTED_LIMIT", 2)
    links = [desk.make() for _ in range(3)]
    desk.keeper.notes.clear()
    for made in (*links, links[0]):
        desk.join(made["session"])
    assert [key for key, *_ in desk.noted] == [made["call"] for made in (*links, links[0])]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(shared: Desk, method: str) -> None:
    """A link can only be looked at."""
    response = shared.join("x", method)
    assert (response.status_code, set(response.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


segments = st.text(max_size=80) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{session}", "$opening", "${text}", "%s", "mp" * 17]
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(segments, st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_any_path_gets_a_page_that_does_not_repeat_it(shared: Desk, segment: str, languages: str) -> None:
    """Whatever stands in the path or is asked for, the page is one of those that everybody gets."""
    # The client would take . and .. for steps up.
    path = quote(segment.encode("utf-8", "surrogatepass"), safe="").replace(".", "%2E")
    response = shared.join(path, accept_language=languages)
    assert response.status_code == 404
    assert response.text in {shared.join("x", accept_language=language).text for language in ("en", "es")}


def test_the_redirect_goes_where_the_rules_say(desk: Desk) -> None:
    """No name, however odd, changes the host or adds a header."""
    for name in ("//evil.example.com", "a&pin=1#x?y", "\r\nSet-Cookie: a=b", "ü\u202e", "%0d%0a"):
        made = desk.make(name=name)
        target = urlsplit(desk.join(made["session"]).headers["location"])
        assert (target.scheme, target.netloc, target.fragment) == ("https", "pexip.example.com", "")
        assert target.query.count("&") == 1
        assert target.query.endswith(f"&pin={pins_of(made).guest}")


def test_a_timeline_tells_what_became_of_a_link(tmp_path: Path) -> None:
    """With the conferences that the service has, the store's timeline tells of making, opening and revoking."""

    async def play() -> list[tuple[str, object]]:
        url = f"sqlite:///{tmp_path}/policy.db"
        conferences = Conferences(ConferenceStore(url), lambda: next(moments), 12 * HOUR)
        links = LinkEndpoints(Rules(TWO_TYPES), KEYRING, conferences, ApiKeys(KEYS), "", lambda: bytes(NONCE_BYTES))
        app = Starlette(
            routes=[*links.routes(), *JoinEndpoint(CustomersDoor(Rules(TWO_TYPES), KEYRING, conferences)).routes()]
        )
        headers = {"authorization": f"Bearer {KEYS['portal']}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            made = await client.post("/api/v1/links", json={"type": "patient"}, headers=headers)
            call, path = made.json()["call"], urlsplit(made.json()["url"]).path
            assert (await client.get(path)).status_code == 303
            assert (await client.delete(f"/api/v1/links/{call}", headers=headers)).status_code == 204
            assert (await client.get(path)).status_code == 404
        await conferences.stop()
        async with ConferenceStore(url) as store:
            return [(entry.kind, entry.data) for entry in await store.read(Reader.timeline, call)]

    moments = (NOON + minute / 60 * HOUR for minute in count())
    assert asyncio.run(play()) == [
        ("link.created", {"text": "The link was made by 'portal'.", "by": "portal", "type": "patient"}),
        ("link.opened", {"text": "A customer opened the link and was let in.", "door": "open"}),
        ("link.revoked", {"text": "The link was revoked by 'portal'.", "by": "portal"}),
        ("link.opened", {"text": "A customer opened the link after it was revoked.", "door": "revoked"}),
    ]


def with_pins(pins: str) -> Ruleset:
    """Rules of one room whose PINs are as written."""
    return load(
        f"""
        rooms: {{ visit: {{ name: "{{call}}", {pins} }} }}
        service: [{{ id: all, when: {{ link_type: patient }}, room: visit }}]
        links: {{ patient: {{ alias: "mp{{session}}", url: "https://pexip.example.com/m/{{alias}}?pin={{guest_pin}}" }} }}
        """
    )


@pytest.mark.parametrize(
    ("pins", "pin"),
    [
        ("allow_guests: true, pin: derived, guest_pin: '56789100'", "56789100"),
        ("allow_guests: true, pin: '1234#', guest_pin: '5678#'", "5678%23"),
        ("allow_guests: true, pin: '48291300', guest_pin: derived", "{guest}"),
        ("allow_guests: true, pin: derived", ""),
        ("allow_guests: false, pin: derived", ""),
        ("allow_guests: false", ""),
    ],
    ids=["fixed", "with a hash", "derived beside a fixed one", "none for guests", "the host PIN alone", "none"],
)
def test_the_pin_in_the_url_is_the_one_that_the_room_asks_for(desk: Desk, pins: str, pin: str) -> None:
    """A customer never meets a PIN that the link does not have because the rules fix it, and never gets the host's."""
    made = desk.make()
    session = made["session"]
    desk.rules.ruleset = with_pins(pins)
    expected = pin.format(guest=pins_of(made).guest)
    assert desk.join(session).headers["location"] == f"https://pexip.example.com/m/mp{session}?pin={expected}"


@pytest.mark.parametrize("rule", ["all", "gone"])
def test_a_room_that_runs_keeps_its_pin(desk: Desk, rule: str) -> None:
    """Who comes back to a call gets the PIN of the door held for them, and not the one that the rules have given since."""
    made = desk.make()
    session, call = made["session"], made["call"]
    asked = {"local_alias": alias_key(f"mp{session}")}
    door = HeldDoor({"allow_guests": True, "pin": "111111", "guest_pin": "222222"}, asked)
    desk.keeper.rooms[call] = replace(held(made), rule=rule, doors={rule: door}, service={"name": call})
    desk.rules.ruleset = with_pins("allow_guests: true, pin: '333333', guest_pin: '444444'")
    if rule == "gone":
        desk.rules.ruleset = load(
            "service: [{ id: full, reject: We are full }]\n"
            "links: { patient: { alias: 'mp{session}', url: 'https://pexip.example.com/{alias}?pin={guest_pin}' } }"
        )
    assert desk.join(session).headers["location"].endswith("?pin=222222")

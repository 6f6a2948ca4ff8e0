"""The page Calls: a call is found by what somebody in a hurry knows of it, and shown with what became of it and nothing that
opens a door.
"""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from policy_server.conferences import search
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.store import ConferenceStore
from policy_server.settings import Credentials
from policy_server.web.admin.calls_page import TITLE
from policy_server.web.admin.door import PAGES
from tests.conferences import conftest as databases
from tests.conferences.samples import Place
from tests.rule_sets import NOON, SECRET
from tests.servers import basic, write_rules
from tests.web.admin import played_calls as played
from tests.web.admin.played_calls import INTERPRETER, LINKS, MEETING, NUMBERS, PATIENT, RULES, call_id
from tests.web.test_conferences import KEY, Server

postgres = databases.postgres
postgres_place = databases.postgres_place
sqlite_place = databases.sqlite_place
place = databases.place

ADMIN = Credentials("admin", "the admin's password")
GOOD = basic(ADMIN.username, ADMIN.password)
LATEST_FIRST = ["running", "busy", "never came", "joined", "transfer", "nobody", "second leg", PATIENT, MEETING]


def serving(folder: Path, database_url: str) -> Server:
    """A server with an admin."""
    write_rules(folder / "rules", RULES)
    return Server(
        folder / "rules",
        database_url=database_url,
        secret_key=SECRET.decode(),
        admin=ADMIN,
        audit_log=folder / "audit.jsonl",
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """On a database with calls of every kind, which nobody changes."""
    folder = tmp_path_factory.mktemp("calls")
    url = f"sqlite:///{folder}/policy.db"

    played.fill_database(url)
    with serving(folder, url) as running:
        yield running


@pytest.fixture
def either(place: Place, tmp_path: Path) -> Iterator[Server]:
    """The same on SQLite, and on PostgreSQL."""
    place.run(played.fill)
    with serving(tmp_path, place.url) as running:
        yield running


def get(server: Server, path: str = "", **parameters: str | list[str]) -> httpx.Response:
    """A page below Calls."""
    query = f"?{urlencode(parameters, doseq=True)}" if parameters else ""
    return server.send("GET", f"/admin/calls{path}{query}", GOOD)


def text(response: httpx.Response) -> str:
    """What a person reads of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


def names(response: httpx.Response) -> list[str]:
    """The customers of the list."""
    assert response.status_code == 200, response.text
    return [
        unescape(name) for name in re.findall(r'<tr><th scope="row"><a [^>]*>.*?</th><td>(.*?)</td>', response.text)
    ]


def test_it_is_one_of_the_pages() -> None:
    """Its title marks it as the page that is shown."""
    assert ("calls", TITLE) in PAGES


def test_calls_of_the_last_day_are_listed(either: Server) -> None:
    """The latest first, each with its verdict, how long the customer waited and talked, and the rule; links that join a call
    are shown with that.
    """
    page = get(either, zone="America/Chicago")
    assert names(page) == LATEST_FIRST
    read = text(page)
    assert "From 2026-11-22 12:00:00 until 2026-11-23 12:00:00" in read
    assert (
        "2026-11-23 08:59:59 nobody no agent Genesys answered after 13 s and hung up; the customer waited 4 min 20 s and "
        "left; no agent joined. 4 min 20 s 0 s ended customer" in read
    )


def test_nobody_waits_where_there_is_no_room(server: Server) -> None:
    """A link that was never opened is no customer who waits, and its row does not say so."""
    row = next(row for row in re.findall("<tr>.*?</tr>", get(server).text) if "never came" in row)
    assert '<td data-name="state"></td>' in row


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({"since": "08:55", "until": "09:05", "zone": "America/Chicago"}, ["nobody"], id="a time of day"),
        pytest.param(
            {"since": "2026-11-23T14:55Z", "until": "2026-11-23 15:05", "zone": "UTC"}, ["nobody"], id="in UTC"
        ),
        pytest.param({"until": "2026-11-23T14:00Z"}, ["second leg", PATIENT, MEETING], id="until"),
        pytest.param({"name": "maria"}, [PATIENT], id="a name without accents"),
        pytest.param({"verdict": "no_agent"}, ["nobody"], id="verdict"),
        pytest.param({"state": "active"}, ["running"], id="state"),
        pytest.param({"rule": "customer", "verdict": "leg_busy"}, ["busy"], id="rule and verdict"),
        pytest.param({"attribute": ["language=es", ""], "verdict": "not_opened"}, ["never came"], id="attribute"),
        pytest.param({"attribute": ["language=es", "queue=1"]}, [], id="an attribute that nobody has"),
        pytest.param({"since": "", "name": " ", "state": ""}, LATEST_FIRST, id="empty fields"),
    ],
)
def test_a_call_is_found(server: Server, asked: dict[str, str | list[str]], expected: list[str]) -> None:
    """By time on the clock that is chosen, by name, verdict, state, rule and attribute; the form keeps what was asked."""
    page = get(server, "", **asked)
    assert names(page) == expected
    for value in asked.values():
        for each in [value] if isinstance(value, str) else value:
            assert not each.strip() or f'value="{each}"' in page.text.replace("&lt;", "<")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param(
            {"since": "2020-01-01", "until": "2020-01-02"}, "From 2020-01-01 00:00:00 until 2020-01-02", id="time"
        ),
        pytest.param({"name": "nobody at all"}, "fits what is asked for (name)", id="name"),
        pytest.param({"since": "2026-12-24"}, "That time is still to come.", id="to come"),
    ],
)
def test_where_nothing_is_found_it_says_what_was_looked_at(server: Server, asked: dict[str, str], said: str) -> None:
    """The time that was looked at, and whether something else than the time was asked for."""
    read = text(get(server, zone="UTC", **asked))
    assert "No calls." in read
    assert said in read


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("since", "yesterday", "must be a time such as 14:05, 2026-11-23 or 2026-11-23T14:05 but is 'yesterday'"),
        ("until", "2020-01-01", "must be later than the time from which on calls are looked for"),
        ("zone", "CET", "must be a place like 'America/Chicago' but is 'CET'"),
        ("verdict", "answerd", "(did you mean 'answered'?)"),
        ("state", "over", "must be one of 'waiting', 'active', 'ended' but is 'over'"),
        ("attribute", "spanish", "must be a name and a value such as language=es but is 'spanish'"),
        ("name", "x" * 501, "may have 500 characters"),
        ("cursor", "x", "must be the `next` of a page before, as it was"),
        ("nme", "Ada", "did you mean 'name'?"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(server: Server, field: str, value: str, said: str) -> None:
    """Nothing is looked for, and the field that has the fault is marked and names it."""
    asked = {"since": "2026-11-23"} | {field: value}
    page = get(server, **asked)
    assert page.status_code == 200
    assert said in text(page)
    assert "Nothing was looked for" in text(page)
    if field not in {"nme", "cursor"}:
        (marked,) = re.findall(
            r'<(?:input|select)[^>]* name="(\w+)"[^>]* aria-invalid="true" aria-describedby', page.text
        )
        assert marked == field
        assert f'id="{field}-fault"' in page.text


def test_pages_follow_one_another(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The link to earlier calls keeps what is asked for, the time too, and every call comes once."""
    monkeypatch.setattr(search, "USUAL", 3)
    found: list[str] = []
    page = get(server, attribute="language=es", zone="UTC", limit="3")
    for _ in range(3):
        found += names(page)
        earlier = re.search(r'<a href="calls\?([^"]*)">Earlier calls', page.text)
        if earlier is None:
            break
        assert "language%3Des" in earlier[1]
        server.now = NOON.replace(hour=19)
        page = server.send("GET", f"/admin/calls?{unescape(earlier[1])}", GOOD)
    server.now = NOON
    assert found == LATEST_FIRST[:-1]


def test_a_search_that_costs_too_much_goes_on_by_a_link(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was found so far it says so, and how much was looked at."""
    monkeypatch.setattr(search, "_AT_ONCE", 2)
    monkeypatch.setattr("policy_server.conferences.search.LOOKED_AT", 2)
    page = get(server, verdict="never_dialled")
    assert "No calls so far." in text(page)
    assert "Earlier calls" in text(page)


def test_an_id_leads_to_its_call(server: Server) -> None:
    """Whatever is typed leads to a page below, with the time zone that was chosen."""
    led = get(server, id=call_id("good"), zone="UTC")
    assert (led.status_code, led.headers["location"]) == (303, f"calls/{call_id('good')}?zone=UTC")
    assert get(server, id="../rules?x#").headers["location"] == "calls/..%2Frules%3Fx%23"


def test_a_call_is_shown(server: Server) -> None:
    """Verdict, picture and every line in words with its time on the chosen clock and the seconds since the customer came."""
    page = get(server, f"/{call_id('second leg')}", zone="America/Chicago")
    read = text(page)
    assert "answered An agent joined after 31 s; they talked for 109 s." in read
    assert "Leg 1 +13129998045 was busy (User busy) after 2 s" in read
    assert "2026-11-23 08:00:14 +12 s trunk_ended +13129998045 was busy (User busy)." in read
    assert f"2026-11-23 06:00:00 {chr(0x2212)}2 h 0 min link.created The link was made by 'booking'." in read
    assert page.text.count('class="lane ') == 9
    assert '<a href="../decisions/d-agent-32">' in page.text
    assert get(server, f"/{call_id('second leg')}").status_code == 200


def test_a_room_without_a_link_is_shown(server: Server) -> None:
    """By its id in the list, under the name of the room, with who was there."""
    page = get(server, "/meeting", zone="UTC")
    read = text(page)
    assert f"{MEETING} meeting People were in the room for 58 s; it dials nobody." in read
    assert "2026-11-22 19:00:02 +0 s joined Alice joined." in read


@pytest.mark.parametrize("name", [*NUMBERS, "interpreter"])
def test_nothing_on_a_page_opens_a_door(server: Server, name: str) -> None:
    """Neither the page nor the JSON of any call has a PIN, a session or an agent key; what strangers wrote is no HTML."""
    found = INTERPRETER if name == "interpreter" else LINKS[name]
    pages = [get(server), get(server, f"/{found.id}"), get(server, f"/{found.id}/call.json")]
    assert [page.status_code for page in pages] == [200, 200, 200]
    for page in pages:
        secrets = [secret for call in (*LINKS.values(), INTERPRETER) for secret in (call.session, call.agent)]
        secrets += [pin for call in LINKS.values() for pin in (call.pins.host, call.pins.guest)]
        assert not [secret for secret in secrets if secret in page.text]
    assert PATIENT not in pages[0].text + pages[1].text


@pytest.mark.parametrize("name", NUMBERS)
def test_the_json_is_that_of_the_api(server: Server, name: str) -> None:
    """Byte by byte what `GET /api/v1/conferences/{id}` answers."""
    ours = get(server, f"/{call_id(name)}/call.json")
    api = server.send("GET", f"/api/v1/conferences/{call_id(name)}", f"Bearer {KEY}")
    assert (ours.content, ours.headers["content-type"]) == (api.content, api.headers["content-type"])
    assert ours.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("good", {PATIENT: "customer", "Maria Rossi": "agent"}),
        ("joined", {"joined": "customer", "Grace H": "agent", "somebody": "joining"}),
        ("busy", {"busy": "customer"} | {f"guest {number}": "other" for number in range(30)}),
    ],
)
def test_everybody_has_a_part(server: Server, name: str, expected: dict[str, str]) -> None:
    """By the alias that somebody dialled: the customer, an agent, who joins by a link of their own, anybody else."""
    people = get(server, f"/{call_id(name)}/call.json").json()["participants"]
    assert {person["display_name"]: person["part"] for person in people} == expected


def test_calls_lead_to_one_another(server: Server) -> None:
    """From a call to one that joins it, and back."""
    assert f'href="../calls/{INTERPRETER.id}?zone=UTC"' in get(server, f"/{call_id('joined')}", zone="UTC").text
    back = get(server, f"/{INTERPRETER.id}")
    assert f'href="../calls/{call_id("joined")}"' in back.text
    assert "did not come in" not in back.text


@pytest.mark.parametrize("unknown", ["nobody", LINKS["good"].session, LINKS["good"].agent, "x" * 600, "%00", "%f0"])
@pytest.mark.parametrize("below", ["", "/call.json"])
def test_what_is_not_known(server: Server, unknown: str, below: str) -> None:
    """A page says so, without what was asked; a customer's or an agent's name of a call finds nothing."""
    page = get(server, f"/{unknown}{below}")
    assert page.status_code == 404
    assert "There is no such call." in text(page)
    assert unknown not in re.sub(r"</?strong>", "", page.text) or unknown == "nobody"


@pytest.mark.parametrize("path", ["", f"/{call_id('good')}", f"/{call_id('good')}/call.json"])
def test_the_database_is_away(server: Server, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """The page says so with the remedy, and that calls go on; nothing else is wrong."""

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailableError("the database is away")

    monkeypatch.setattr(ConferenceStore, "read", away)
    page = get(server, path)
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    assert "POLICY_DATABASE_URL" in text(page)
    (sheet,) = re.findall(r'href="([./]*)assets/admin.css"', page.text)
    assert sheet == "../" * path.count("/")


def test_who_looked_is_written_down(either: Server, tmp_path: Path) -> None:
    """Each search and each call that was shown leaves a line with the admin's name, and none of what is not known."""
    get(either, name="maria")
    get(either, f"/{call_id('good')}")
    get(either, f"/{call_id('good')}/call.json")
    get(either, "/unknown")
    get(either, since="nonsense")
    get(either, since="2026-12-24")
    log = tmp_path / "audit.jsonl"
    either.until(lambda: log.exists() and log.read_text().count("\n") == 4)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = [{key: value for key, value in line.items() if key != "time"} for line in lines]
    who = {"by": "admin", "door": "admin"}
    read = {"event": "conference.read", **who, "call": call_id("good")}
    assert told == [
        {"event": "conferences.found", **who, "count": "1"},
        read,
        read,
        {"event": "conferences.found", **who, "count": "0"},
    ]


def test_only_the_admin_sees_calls(server: Server) -> None:
    """No API key and no credentials of a node open them."""
    for authorization in ("", f"Bearer {KEY}", basic()):
        for path in ("", f"/{call_id('good')}", f"/{call_id('good')}/call.json"):
            assert server.send("GET", f"/admin/calls{path}", authorization).status_code == 401

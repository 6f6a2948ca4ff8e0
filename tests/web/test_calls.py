"""The organisation's own systems find calls, and learn what became of each."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policy_server.conferences import search
from policy_server.conferences.records import TimelineEntry
from policy_server.conferences.store import ConferenceStore
from policy_server.web.api_keys import ApiKeys
from policy_server.web.problem import TYPE_ROOT
from tests.conferences import conftest as databases
from tests.conferences.samples import Place
from tests.rule_sets import KEYRING, NOON, SECRET
from tests.web import calls as sample
from tests.web.calls import CALL_ID, RULES_TEXT, a_link, a_pin, customer, ended, left, started, trunk
from tests.web.test_conferences import KEY, Server

postgres = databases.postgres
postgres_place = databases.postgres_place
sqlite_place = databases.sqlite_place
place = databases.place

OWN = "own-key-0123456789abcdefghij"
PATH = "/api/v1/conferences"


def call_of(number: int) -> Any:
    """One of many calls."""
    return KEYRING.sign("visit", NOON + timedelta(hours=4), number.to_bytes(4, "big"))


async def many(store: ConferenceStore) -> None:
    """Twelve calls a minute apart, each second one of a room; a meeting; and the call of the samples, which was refused."""
    for number in range(12):
        call = call_of(number)
        at = NOON - timedelta(hours=1) + timedelta(minutes=number)
        by = "crm" if number % 3 == 0 else "booking"
        link = a_link(call.id, name=f"José García {number}", attributes={"queue": str(number % 2)}, created_at=at)
        await store.create_link(replace(link, created_by=by))
        if number % 2:
            await store.hold(a_pin(f"mp{call.session}", call, held_at=at + timedelta(seconds=30)))
    await store.hold(
        replace(
            a_pin(),
            id="meeting",
            call="",
            name="meet alice",
            service={"name": "meet alice"},
            held_at=NOON - timedelta(days=1),
            rule="rooms",
        )
    )
    await store.create_link(a_link(name="Zoë Müller", created_at=NOON - timedelta(minutes=30)))
    await store.hold(a_pin(id="refused", held_at=NOON))
    events = [
        started(),
        customer(destination_alias="mp…"),
        trunk(at=12, connect_time=None, service_type="connecting"),
        left("leg", 14, disconnect_reason="Call rejected"),
        left("customer", 50),
        ended(51),
    ]
    await store.add_events([replace(event, arrived_at=NOON + timedelta(minutes=1)) for event in events])
    await store.add_timeline([TimelineEntry(CALL_ID, NOON, "link.opened", {"door": "open"})])
    await store.end(CALL_ID, NOON + timedelta(seconds=51))


@pytest.fixture
def server(place: Place, tmp_path: Path) -> Iterator[Server]:
    """The application on a database with calls, an hour later."""
    place.run(many)
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "rules.yaml").write_text(RULES_TEXT, encoding="utf-8")
    keys = ApiKeys({"booking": KEY, "crm": OWN}, own=["crm"])
    with Server(folder, api_keys=keys, database_url=place.url, secret_key=SECRET.decode()) as running:
        running.now = NOON + timedelta(hours=1)
        yield running


def find(server: Server, query: str = "", key: str = KEY) -> dict[str, Any]:
    """The answer to a search."""
    response = server.send("GET", f"{PATH}?{query}", f"Bearer {key}")
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    found = response.json()
    assert isinstance(found, dict)
    return found


def ids(page: dict[str, Any]) -> list[str]:
    """The calls of a page, or the names of rooms."""
    return [call["call"] or call["name"] for call in page["conferences"]]


def numbered(*numbers: int) -> list[str]:
    """The ids of some of many calls."""
    return [call_of(number).id for number in numbers]


EVERYTHING = [CALL_ID, *numbered(*range(11, -1, -1)), "meet alice"]


def test_all_calls_are_listed(server: Server) -> None:
    """Calls, links that nobody has used and rooms without a link, the latest first, each with its verdict and no secret."""
    page = find(server)
    assert (ids(page), page["next"]) == (EVERYTHING, None)
    first, second, third = page["conferences"][:3]
    assert first["verdict"]["code"] == "leg_refused"
    assert first["verdict"]["text"] == (
        "Genesys refused the leg (Call rejected) after 2 s; the customer waited 48 s and left; no agent joined."
    )
    assert (first["state"], first["customer"]["name"], first["rule"]) == ("ended", "Zoë Müller", "customer")
    assert (first["at"], first["ended_at"]) == ("2026-11-23T18:00:00.000+00:00", "2026-11-23T18:00:51.000+00:00")
    assert (second["verdict"]["code"], third["verdict"]["code"], third["rule"]) == ("not_joined", "not_opened", None)
    text = json.dumps(page)
    assert not [
        secret for secret in (sample.SESSION, sample.AGENT_KEY, sample.HOST_PIN, sample.GUEST_PIN) if secret in text
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("since=2026-11-23T18:00:00Z", [CALL_ID], id="since"),
        pytest.param("until=2026-11-23T17:00:00Z", ["meet alice"], id="until"),
        pytest.param(
            "since=2026-11-23T17:02:00Z&until=2026-11-23T11:04:00-06:00", numbered(3, 2), id="between, in two zones"
        ),
        pytest.param("name=muller", [CALL_ID], id="without accents"),
        pytest.param("name=MUELLER", [CALL_ID], id="written out"),
        pytest.param("name=garcia%2011", numbered(11), id="a part of a name"),
        pytest.param("attribute=queue%3D0", numbered(10, 8, 6, 4, 2, 0), id="an attribute"),
        pytest.param("attribute=queue%3D0&attribute=language%3Des", [], id="two attributes"),
        pytest.param("attribute=queue%3D0&attribute=queue%3D1", [], id="an attribute that is two things"),
        pytest.param("since=0294-05-15T16:24:10Z&until=9999-12-31T23:59:59Z&limit=1", [CALL_ID], id="from far to far"),
        pytest.param("rule=rooms", ["meet alice"], id="rule"),
        pytest.param("state=ended", [CALL_ID], id="state"),
        pytest.param("verdict=leg_refused", [CALL_ID], id="verdict"),
        pytest.param("verdict=not_opened", numbered(10, 8, 6, 4, 2, 0), id="not opened"),
    ],
)
def test_a_call_is_found(server: Server, query: str, expected: list[str]) -> None:
    """By time, customer, attributes, rule, state and verdict; all that is asked for must be so."""
    assert ids(find(server, query)) == expected


def test_pages_are_stable(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page every call comes once, whatever the size of pages and steps, and those that come meanwhile do not
    move the others.
    """
    monkeypatch.setattr(search, "_AT_ONCE", 3)
    for size in (1, 4, 200):
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = find(server, f"limit={size}&cursor={cursor}")
            assert len(page["conferences"]) <= size
            found += ids(page)
            cursor = page["next"]
            if size == 4 and len(found) == 4:
                server.now += timedelta(minutes=1)
                made = server.make_link(type="visit")
                assert ids(find(server, "limit=1")) == [made["call"]]
        assert found[-len(EVERYTHING) :] == EVERYTHING


def test_a_search_costs_so_much_at_the_most(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what is wanted is rare a page ends early, with a cursor that goes on."""
    monkeypatch.setattr(search, "_AT_ONCE", 4)
    monkeypatch.setattr(search, "LOOKED_AT", 4)
    page = find(server, "rule=rooms")
    assert page["conferences"] == []
    seen = 1
    while page["next"]:
        page, seen = find(server, f"rule=rooms&cursor={page['next']}"), seen + 1
    assert (ids(page), seen) == (["meet alice"], 6)


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("since=yesterday", ["since must be a time with an offset such as 2026-11-23T14:05:00Z but is 'yesterday'"]),
        ("until=2026-11-23T14:05:00", ["until must be a time with an offset"]),
        (
            "state=over&limit=0",
            ["state must be one of 'waiting', 'active', 'ended' but is 'over'", "limit must be a number"],
        ),
        ("verdict=answerd", ["(did you mean 'answered'?)"]),
        ("attribute=queue", ["attribute must be a name and a value such as language=es but is 'queue'"]),
        ("rule=a&rule=b", ["rule may be given once"]),
        ("limit=201", ["limit must be a number from 1 to 200 but is '201'"]),
        ("cursor=WzEsMl0", ["cursor must be the `next` of a page before"]),
        ("cursor=%ff", ["cursor must be"]),
        ("nme=Ada", ["'nme'", "did you mean 'name'"]),
        (f"name={'x' * 501}", ["name may have 500 characters"]),
    ],
)
def test_a_question_that_cannot_be_understood(server: Server, query: str, faults: list[str]) -> None:
    """Everything that is wrong is said at once, with the value and the nearest word."""
    response = server.send("GET", f"{PATH}?{query}", f"Bearer {KEY}")
    problem = response.json()
    assert (response.status_code, problem["type"]) == (422, f"{TYPE_ROOT}invalid-search")
    assert all(fault in problem["detail"] for fault in faults), problem["detail"]


def test_one_call(server: Server) -> None:
    """A call is shown by the id of the list and by its call id: timeline, people and what has not happened, and nothing
    that opens a door.
    """
    listed = find(server, "verdict=leg_refused")["conferences"][0]
    answers = [server.send("GET", f"{PATH}/{each}", f"Bearer {KEY}") for each in (listed["id"], listed["call"])]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    call = answers[0].json()
    assert call["verdict"] == listed["verdict"]
    assert call["absent"] == [
        "No node asked to dial.",
        "No agent looked it up.",
        "No agent joined.",
    ]
    assert [line["kind"] for line in call["timeline"]][:3] == ["link.opened", "conference_started", "joined"]
    assert not {"join", "node"} & call.keys()
    assert not any(secret in answers[0].text for secret in (sample.SESSION, sample.AGENT_KEY, sample.HOST_PIN))
    meeting = server.send("GET", f"{PATH}/meeting", f"Bearer {KEY}").json()
    assert (meeting["name"], meeting["call"]) == ("meet alice", None)


@pytest.mark.parametrize("unknown", ["nobody", CALL_ID[:-1], sample.SESSION, sample.AGENT_KEY, "x" * 600, "%00"])
def test_what_is_not_known(server: Server, unknown: str) -> None:
    """Neither a customer's nor an agent's name of a call finds it, nor anything else that we do not know."""
    response = server.send("GET", f"{PATH}/{unknown}", f"Bearer {KEY}")
    assert (response.status_code, response.json()["type"]) == (404, f"{TYPE_ROOT}unknown-conference")


def test_who_may_ask(server: Server) -> None:
    """Nobody without a key; and a key for its own links sees the calls of those alone."""
    for path in (PATH, f"{PATH}/{CALL_ID}"):
        assert server.send("GET", path).status_code == 401
        assert server.send("GET", path, "Bearer wrong").status_code == 401
    assert ids(find(server, key=OWN)) == numbered(9, 6, 3, 0)
    assert server.send("GET", f"{PATH}/{CALL_ID}", f"Bearer {OWN}").status_code == 404
    assert server.send("GET", f"{PATH}/meeting", f"Bearer {OWN}").status_code == 404
    assert server.send("GET", f"{PATH}/{numbered(9)[0]}", f"Bearer {OWN}").status_code == 200


def test_times_are_those_of_the_first_question(server: Server) -> None:
    """A call is at the time when somebody came, not when its link was made."""
    (late,) = find(server, "name=garcia%2011")["conferences"]
    assert datetime.fromisoformat(late["at"]) == NOON - timedelta(hours=1) + timedelta(minutes=11, seconds=30)

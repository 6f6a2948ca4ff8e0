"""What a customer's page is told of the call."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from policy_server.conferences.customer_status import CustomerStatus
from policy_server.pexip.events import Event
from policy_server.web.api_keys import ApiKeys
from policy_server.web.problem import TYPE_ROOT
from tests.conferences import event_histories as told
from tests.docs.pages import CUSTOMER_APP, code
from tests.rule_sets import NOON, SECRET
from tests.web.calls import BEGIN, CALL, CALL_ID, RULES_TEXT, SESSION, customer, ended, left, started, trunk
from tests.web.test_conferences import KEY, Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The application, a minute after NOON."""
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "rules.yaml").write_text(RULES_TEXT, encoding="utf-8")
    keys = ApiKeys({"booking": KEY})
    with Server(folder, api_keys=keys, secret_key=SECRET.decode()) as running:
        running.now = NOON + timedelta(minutes=1)
        yield running


def ask(server: Server, session: str = SESSION) -> httpx.Response:
    """The page asks."""
    return server.send("GET", f"/join/{session}/status")


def ringing(at: float, uuid: str = "leg") -> Event:
    """A leg rings."""
    return trunk(at, uuid, connect_time=None, service_type="connecting")


def agent(at: float) -> Event:
    """An agent comes by video."""
    return told.joined("agent", BEGIN + at, conference=CALL_ID, destination_alias="hcp…")


REFUSED = [ringing(12), left("leg", 14, disconnect_reason="Call rejected")]
CAME = [started(), customer()]


@pytest.mark.parametrize(
    ("events", "status"),
    [
        pytest.param([], "not_started", id="nobody came"),
        pytest.param([started()], "not_started", id="a room without anybody"),
        pytest.param(CAME, "waiting", id="came"),
        pytest.param([*CAME, ringing(12)], "calling", id="ringing"),
        pytest.param([*CAME, trunk()], "calling", id="in the queue"),
        pytest.param([*CAME, *REFUSED], "waiting", id="refused"),
        pytest.param([*CAME, *REFUSED, ringing(16, "next")], "calling_another_line", id="the next rings"),
        pytest.param([*CAME, *REFUSED, trunk(17, "next")], "calling_another_line", id="in the queue of the next"),
        pytest.param([*CAME, trunk(), agent(20)], "agent_joined", id="an agent"),
        pytest.param([*CAME, trunk(), agent(20), left("customer", 30)], "over", id="the customer left"),
        pytest.param([*CAME, *REFUSED, left("customer", 30), ended(31)], "over", id="in vain"),
        pytest.param([started(), ended(31)], "over", id="ended without anybody"),
    ],
)
def test_a_customer_is_told_a_word(server: Server, events: list[Event], status: str) -> None:
    """Whether somebody is called or has come, as the nodes tell it; one word, and nothing that names anybody."""
    if events:
        server.tell(*events)
    response = ask(server)
    assert (response.status_code, response.json()) == (200, {"status": status})
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "text", [SESSION.upper(), f"mp{SESSION}", f"{SESSION}."], ids=["capitals", "alias", "full stop"]
)
def test_a_session_as_people_pass_it_on(server: Server, text: str) -> None:
    """What the page of the link mends is mended here."""
    server.tell(*CAME)
    assert ask(server, text).json() == {"status": "waiting"}


@pytest.mark.parametrize("text", [CALL_ID, CALL.agent, f"hcp{CALL.agent}", SESSION[:-1] + "a", "nobody", "%00"])
def test_only_a_session_is_answered(server: Server, text: str) -> None:
    """Neither call id nor agents' key, nor anything that nobody signed; and the database is not asked for it."""
    server.tell(*CAME)
    response = ask(server, text)
    assert (response.status_code, response.json()["type"]) == (404, f"{TYPE_ROOT}unknown-link")
    assert CALL_ID not in response.text


def test_asking_leaves_no_trace(server: Server) -> None:
    """A page that asks is no customer who opens the link, and no agent who looks it up."""
    server.tell(*CAME)
    ask(server)
    call: dict[str, Any] = server.send("GET", f"/api/v1/conferences/{CALL_ID}", f"Bearer {KEY}").json()
    assert [line["kind"] for line in call["timeline"]] == ["conference_started", "joined"]
    assert "No agent looked it up." in call["absent"]
    assert SESSION not in json.dumps(call)


def test_every_status_is_explained() -> None:
    """The page for developers has every word, and no other."""
    assert {name for names, _ in CUSTOMER_APP.rows("`status` |") for name in code(names)} == set(CustomerStatus)

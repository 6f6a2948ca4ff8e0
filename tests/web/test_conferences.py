"""A customer's call through the whole service: one room, one timeline, on every replica, whatever the database does."""

import asyncio
import json
import logging
import re
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from policy_server.conferences.pace import Limits, Pace
from policy_server.conferences.packing import unpack
from policy_server.pexip.events import Event
from policy_server.policy.names import Keyring, Role
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Credentials
from policy_server.web.api_keys import ApiKeys
from tests.conferences import conftest as databases
from tests.conferences import event_histories as told
from tests.conferences import test_rooms as samples
from tests.conferences.samples import Place
from tests.genesys.asking import CONVERSATION, MARIA, TOKEN, Genesys, tenant
from tests.rule_sets import NOON
from tests.servers import PASSWORD, ROOT, SECRET_KEY, InProcess, basic, write_rules
from tests.waiting import eventually
from tests.web.calls import bulk, on_the_phone

postgres = databases.postgres
postgres_place = databases.postgres_place
sqlite_place = databases.sqlite_place
place = databases.place

KEY: Final = "booking-key-0123456789abcdef"
SINK: Final = Credentials("sink", "the sink's password")
NODE: Final = "node.example.com"
LEG: Final = samples.LEG
SPANISH_LEG: Final = samples.SPANISH_LEG

WITH_URL: Final = """
    url: "https://pexip.example.com/webapp3/m/{alias}/express?name={name}&pin={guest_pin}"
"""
TEXT: Final = samples.TEXT.replace(
    'patient: { alias: "mp{session}", agent_alias: "hcp{agent}", ttl: 4h }',
    f'patient:\n    alias: "mp{{session}}"\n    agent_alias: "hcp{{agent}}"\n    ttl: 4h{WITH_URL}',
)
CHANGED: Final = TEXT.replace("allow_guests: true", "allow_guests: true\n    view: one_main_zero_pips")


class Server(InProcess):
    """The application with everything set up, by a clock that is set; ``now`` is what it says."""

    def __init__(self, folder: Path, **further: Any) -> None:
        self.now = NOON
        further.setdefault("api_keys", ApiKeys({"booking": KEY}))
        super().__init__(folder, clock=lambda: self.now, events=SINK, node=NODE, **further)

    def send(self, method: str, path: str, authorization: str = "", body: object = None) -> httpx.Response:
        """A request of anybody but a node."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://policy.example.com") as client:
                headers = {"authorization": authorization} if authorization else {}
                return await client.request(method, path, headers=headers, json=body)

        return self.run(ask())

    def make_link(self, **fields: object) -> dict[str, Any]:
        """A link as the organisation's own systems make it."""
        response = self.send("POST", "/api/v1/links", f"Bearer {KEY}", {"type": "patient", "name": "Ada L", **fields})
        assert response.status_code == 201, response.text
        made = response.json()
        assert isinstance(made, dict)
        return made

    def revoke(self, made: Mapping[str, Any]) -> None:
        """Revokes a link."""
        assert self.send("DELETE", f"/api/v1/links/{made['call']}", f"Bearer {KEY}").status_code == 204

    def tell(self, *events: Event) -> None:
        """Sends messages to the event sink, which takes them."""
        response = self.send("POST", "/events/v1/pexip", basic(SINK.username, SINK.password), bulk(events))
        assert response.status_code == 200, response.text

    def look_up(self, alias: str, conversation: str = "") -> dict[str, Any]:
        """What the agent's widget is told."""
        query = f"?conversation={conversation}" if conversation else ""
        response = self.send("GET", f"/agent/v1/conferences/{alias}{query}", f"Bearer {TOKEN}")
        assert response.status_code == 200, response.text
        found = response.json()
        assert isinstance(found, dict)
        return found

    def serve(self, alias: str, **fields: str) -> dict[str, Any]:
        """The service that an alias gets."""
        asked = {"call_direction": "dial_in", "protocol": "api", "local_alias": alias, **fields}
        answer = self.ask("/service/configuration", **asked)
        assert answer["action"] == "continue"
        service = answer["result"]
        assert isinstance(service, dict)
        return service

    def refuses(self, alias: str, **fields: str) -> bool:
        """Whether an alias is rejected."""
        asked = {"call_direction": "dial_in", "protocol": "api", "local_alias": alias, **fields}
        return bool(self.ask("/service/configuration", **asked)["action"] == "reject")

    def call_out(self, name: str, to: str = LEG) -> dict[str, Any]:
        """The answer to a call out of a room."""
        asked = {"call_direction": "dial_out", "service_name": name, "service_tag": "telehealth", "remote_alias": to}
        return self.ask("/service/configuration", **asked)

    def gauge(self, name: str) -> float:
        """What a metric says."""
        found = re.search(rf"^{name} (\S+)$", self.metrics(), re.MULTILINE)
        assert found, name
        return float(found[1])

    def settled(self) -> None:
        """Waits until everything is in the database."""
        self.until(lambda: self.gauge("policy_records_waiting") == 0)

    def until_held(self, count: int) -> None:
        """Waits until so many rooms are known to be held."""
        self.until(lambda: self.gauge("policy_rooms_held") == count)

    def until(self, probe: Callable[[], bool]) -> None:
        """Waits until something is so, while the service goes on."""

        def look() -> bool:
            self.run(asyncio.sleep(0.005))
            return probe()

        eventually(look)


def legs(service: dict[str, Any]) -> list[str]:
    """Who is dialled."""
    return [leg["remote_alias"] for leg in service.get("automatic_participants", ())]


def agents_alias(made: Mapping[str, Any]) -> str:
    """What the agents of a link dial, which its maker is not told."""
    call = Keyring.from_text(SECRET_KEY).open(made["call"], Role.CALL, (made["type"],))
    assert call is not None
    return f"hcp{call.agent}"


def call(made: Mapping[str, Any], at: datetime) -> list[Event]:
    """A customer comes to the room, and the contact centre answers."""
    begin, room, alias = at.timestamp(), made["call"], made["alias"]
    return [
        told.started(begin + 1, name=room),
        told.joined("customer", begin + 2, conference=room, display_name="Ada", destination_alias=alias),
        told.leg("leg", begin + 12, conference=room, destination_alias=f"{LEG}@example.com"),
    ]


def hang_up(made: Mapping[str, Any], at: datetime) -> list[Event]:
    """Everybody goes, and the room with them."""
    end, room = at.timestamp(), made["call"]
    return [
        told.left("customer", end, conference=room),
        told.left("leg", end, conference=room, disconnect_reason="Conference ended"),
        told.ended(end, name=room),
    ]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules of these tests."""
    return write_rules(tmp_path / "rules", TEXT)


# One timeline.


def test_the_timeline_tells_a_whole_call(rules: Path, genesys: Genesys) -> None:
    """Link, opening, each question with rule and masked answer, dials, events and lookups are told under one call."""
    with Server(rules, tenant=tenant(genesys.url), agent_binding="optional") as server:
        made = server.make_link()
        session, alias, call_id = made["session"], made["alias"], made["call"]
        genesys.stand_in.conversations[CONVERSATION] = on_the_phone(call_id)
        server.now += timedelta(minutes=1)
        door = server.send("GET", f"/join/{session}")
        assert door.status_code == 303
        server.now += timedelta(seconds=1)
        for _ in range(3):
            room = server.serve(alias, remote_display_name="Ada")
        server.now += timedelta(seconds=1)
        server.ask("/participant/properties", call_direction="dial_in", service_name=call_id, local_alias=alias)
        server.now += timedelta(seconds=10)
        assert server.call_out(call_id)["result"] == room
        server.tell(*call(made, server.now))
        server.now += timedelta(seconds=30)
        server.look_up(call_id, CONVERSATION)
        server.serve(agents_alias(made))
        server.now += timedelta(seconds=30)
        server.tell(*hang_up(made, server.now))
        server.settled()
        told_of = server.look_up(call_id)
        lines = told_of["timeline"]
        kinds = [line["kind"] for line in lines]
    assert kinds == [
        "link.created",
        "link.opened",
        "policy.answered",
        "policy.answered",
        "policy.answered",
        "conference_started",
        "joined",
        "trunk_answered",
        "agent.looked_up",
        "policy.answered",
        "left",
        "trunk_ended",
        "conference_ended",
    ]
    by_kind = {line["kind"]: line["data"] for line in lines}
    assert (by_kind["link.created"]["by"], by_kind["link.opened"]["door"]) == ("booking", "open")
    assert by_kind["agent.looked_up"]["agent"] == {"id": MARIA.id, "name": MARIA.name}
    assert by_kind["agent.looked_up"]["conversation"] == CONVERSATION
    answered = [line["data"] for line in lines if line["kind"] == "policy.answered"]
    assert [(one["question"], one["rule"]) for one in answered] == [
        ("service", "patient"),
        ("participant", None),
        ("service", "patient"),
        ("service", "agent"),
    ]
    assert len({one["decision_id"] for one in answered}) == 4
    assert (answered[0]["result"]["pin"], answered[0]["result"]["guest_pin"]) == ("****", "****")
    assert told_of["state"] == "ended"
    for pin in (room["pin"], room["guest_pin"]):
        assert pin not in json.dumps(lines)


def test_the_same_question_is_told_once_a_minute(rules: Path, sqlite_place: Place) -> None:
    """A node that repeats itself is news once a minute; one that asks differently is news."""
    with Server(rules, database_url=sqlite_place.url) as server:
        call_id, alias = (made := server.make_link())["call"], made["alias"]
        for _ in range(4):
            server.serve(alias, remote_display_name="Ada")
        server.serve(alias, remote_display_name="Bob")
        server.now += timedelta(minutes=1)
        server.serve(alias, remote_display_name="Ada")
        server.settled()
    answered = [entry for entry in entries(sqlite_place, call_id) if entry[1] == "policy.answered"]
    assert [data["remote_display_name"] for _, _, data in answered] == ["Ada", "Bob", "Ada"]


def entries(where: Place, key: str) -> list[tuple[str, str, dict[str, str]]]:
    """The timeline as it lies in the file: key, kind and data."""
    with closing(sqlite3.connect(where.url.removeprefix("sqlite:///"))) as database:
        rows = database.execute("SELECT key, content FROM timeline WHERE key = ? ORDER BY at, id", (key,)).fetchall()
    return [(found, kind, data) for found, content in rows for _, kind, data in unpack(content, found)]


# One room, one service.


def test_a_reload_and_a_restart_change_no_running_room(rules: Path, sqlite_place: Place) -> None:
    """New rules, the same ones after a restart, and closing time leave the room as it was; its end does not."""
    with Server(rules, database_url=sqlite_place.url) as server:
        made = server.make_link()
        room = server.serve(made["alias"])
        write_rules(rules, CHANGED)
        assert server.rules.reload()
        assert server.serve(made["alias"]) == room
        server.settled()
    with Server(rules, database_url=sqlite_place.url) as server:
        server.now = NOON + timedelta(hours=7)
        assert server.serve(made["alias"]) == room
        assert server.call_out(made["call"])["result"] == room
        agents = server.serve(agents_alias(made))
        assert {**agents, "automatic_participants": room["automatic_participants"]} == room
        server.tell(*call(made, NOON), *hang_up(made, NOON + timedelta(hours=1)))
        server.until_held(0)
        assert server.refuses(made["alias"])
        assert server.serve(agents_alias(made))["view"] == "one_main_zero_pips"


def test_two_replicas(rules: Path, place: Place, tmp_path: Path) -> None:
    """Asked at once they agree, also when their rules differ; what one ends or revokes the other forgets."""
    newer = write_rules(tmp_path / "newer", CHANGED)
    with ExitStack() as stack:
        one = stack.enter_context(Server(rules, database_url=place.url))
        other = stack.enter_context(Server(newer, database_url=place.url))
        made = one.make_link()
        alias, agents = made["alias"], agents_alias(made)
        pool = stack.enter_context(ThreadPoolExecutor(2))
        first, second = pool.map(lambda where: where.serve(alias, remote_display_name=str(id(where))), (one, other))
        assert first == second
        for where in (one, other):
            assert where.gauge("policy_holds_late") == 0
            where.until_held(1)
            assert {**where.serve(agents), "automatic_participants": first["automatic_participants"]} == first
            assert where.call_out(made["call"])["result"] == first
        one.tell(*call(made, NOON), *hang_up(made, NOON + timedelta(minutes=1)))
        for where in (other, one):
            where.until_held(0)
        again = other.serve(alias, remote_display_name="Ada")
        assert (again["description"], again["view"]) == ("Visit of Ada", "one_main_zero_pips")
        one.until_held(1)
        assert one.serve(alias, remote_display_name="Ada") == again
        other.revoke(made)
        assert other.refuses(alias, remote_display_name="Ada")
        one.until(lambda: one.refuses(alias, remote_display_name="Ada"))
        for where in (one, other):
            assert "automatic_participants" not in where.serve(agents)
            assert where.send("GET", f"/join/{made['session']}").status_code == 404


def test_a_link_that_was_revoked(rules: Path) -> None:
    """From the very next question on it is not valid, whatever was answered to the same question just now."""
    with Server(rules) as server:
        made = server.make_link()
        room = server.serve(made["alias"])
        assert server.serve(made["alias"]) == room
        server.revoke(made)
        assert server.refuses(made["alias"])
        assert server.serve(agents_alias(made))["pin"] == room["pin"]
        unused = server.make_link()
        server.revoke(unused)
        assert server.refuses(unused["alias"])


def test_a_room_of_strangers_is_left_to_pexip(rules: Path) -> None:
    """A call out of a room that was never ours is none of our business."""
    with Server(rules) as server:
        answer = server.call_out("meet.alice")
        assert (answer["action"], answer.get("result"), answer["rule"]) == ("continue", None, None)


# Attributes.


def test_attributes_of_a_link_reach_the_rules(rules: Path, place: Place) -> None:
    """Spanish speakers are sent to their trunk, by every replica; where nothing is known of the link the next rule is."""
    with Server(rules, database_url=place.url) as one, Server(rules, database_url=place.url) as other:
        spanish, english = one.make_link(attributes={"language": "es"}), one.make_link()
        later = one.make_link(attributes={"language": "es"})
        assert legs(one.serve(spanish["alias"])) == [SPANISH_LEG]
        assert legs(one.serve(english["alias"])) == [LEG]
        other.until_held(2)
        assert legs(other.serve(later["alias"])) == [SPANISH_LEG]
        answer = other.call_out(later["call"], SPANISH_LEG)
        assert (answer["rule"], legs(answer["result"])) == ("spanish", [SPANISH_LEG])
        lost = one.make_link(attributes={"language": "es"})
    with Server(rules, database_url=f"sqlite:///{rules / 'rules.yaml'}/policy.db", pace=Pace(start=0.1)) as alone:
        assert legs(alone.serve(lost["alias"])) == [LEG]


# The database.


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A file where the folder of the database should be."""
    file = tmp_path / "blocked"
    file.write_text("not a folder")
    return file


def test_the_database_away(rules: Path, blocked: Path) -> None:
    """Calls are answered and the misses counted; what was not written is written when the database is back."""
    signed = Keyring.from_text(SECRET_KEY).sign("patient", NOON + timedelta(hours=4), b"1234")
    alias = f"mp{signed.session}"
    url = f"sqlite:///{blocked}/policy.db"
    with Server(rules, database_url=url, pace=Pace(start=0.1, retry=0.05)) as server:
        room = server.serve(alias)
        assert (legs(room), server.serve(alias)) == ([LEG], room)
        assert server.call_out(signed.id)["result"] == room
        assert server.gauge("policy_holds_late") >= 1
        assert server.gauge("policy_records_waiting") == 3
        assert server.send("POST", "/api/v1/links", f"Bearer {KEY}", {"type": "patient"}).status_code == 503
        blocked.unlink()
        server.settled()
        assert server.gauge("policy_records_dropped") == 0
    with Server(write_rules(rules, CHANGED), database_url=url) as again:
        assert again.serve(alias) == room


def test_the_database_locked(rules: Path, sqlite_place: Place) -> None:
    """A database that does not answer keeps a call waiting for its patience at most, and once."""
    with Server(rules, database_url=sqlite_place.url) as server:
        made = server.make_link()
        server.settled()
        with closing(sqlite3.connect(sqlite_place.url.removeprefix("sqlite:///"), isolation_level=None)) as blocker:
            blocker.execute("BEGIN IMMEDIATE")

            async def timed(work: Coroutine[Any, Any, httpx.Response]) -> float:
                loop = asyncio.get_running_loop()
                began = loop.time()
                assert (await work).json()["result"]["name"] == made["call"]
                return loop.time() - began

            async def ask(name: str) -> httpx.Response:
                transport = httpx.ASGITransport(app=server.app)
                query = {"call_direction": "dial_in", "local_alias": made["alias"], "remote_display_name": name}
                async with httpx.AsyncClient(transport=transport, base_url="http://policy.example.com") as client:
                    path = f"{ROOT}/service/configuration"
                    return await client.get(path, params=query, headers={"authorization": basic()})

            assert Pace().hold <= server.run(timed(ask("Ada"))) < 8 * Pace().hold
            assert server.run(timed(ask("Bob"))) < 8 * Pace().hold
            assert server.gauge("policy_holds_late") == 2
            blocker.rollback()
        server.settled()


def test_the_database_full(rules: Path, sqlite_place: Place) -> None:
    """What a full database refuses waits up to a limit, beyond it is counted, and is written once there is room."""
    limits = Limits()
    with Server(rules, database_url=sqlite_place.url, pace=Pace(retry=0.05), limits=limits) as server:
        links = [server.make_link() for _ in range(5)]
        server.settled()
        with closing(sqlite3.connect(sqlite_place.url.removeprefix("sqlite:///"))) as operator:
            refuse = "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            for table in ("conferences", "timeline"):
                operator.execute(f"CREATE TRIGGER {table}_full BEFORE INSERT ON {table} {refuse}")
            limits.notes = 3
            rooms = [server.serve(made["alias"]) for made in links]
            assert [room["name"] for room in rooms] == [made["call"] for made in links]
            assert server.gauge("policy_holds_late") == 5
            assert (server.gauge("policy_records_waiting"), server.gauge("policy_records_dropped")) == (8, 2)
            for table in ("conferences", "timeline"):
                operator.execute(f"DROP TRIGGER {table}_full")
        server.settled()
    with Server(write_rules(rules, CHANGED), database_url=sqlite_place.url) as again:
        assert [again.serve(made["alias"]) for made in links] == rooms


# Secrets.


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_host_pin_is_told_to_the_agent_and_nobody_else(
    rules: Path, genesys: Genesys, sqlite_place: Place, log_format: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in the answers to nodes and in the lookup; in no link, page, timeline, log line, metric or problem."""
    seen: list[str] = []
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.WARNING, logger="httpx"),
        Server(rules, tenant=tenant(genesys.url), database_url=sqlite_place.url, log_format=log_format) as server,
    ):
        made = server.make_link(attributes={"language": "es"})
        session, alias, call_id = made["session"], made["alias"], made["call"]
        room = server.serve(alias)
        host = room["pin"]
        genesys.stand_in.conversations[CONVERSATION] = on_the_phone(call_id)
        server.call_out(call_id)
        server.ask("/participant/properties", call_direction="dial_in", service_name=call_id, local_alias=alias)
        server.tell(*call(made, NOON))
        found = server.look_up(call_id, CONVERSATION)
        assert found["join"]["pin"] == host
        assert json.dumps(found).count(host) == 1
        for response in (
            server.send("GET", f"/join/{session}"),
            server.send("GET", f"/join/{'a' * 32}"),
            server.send("GET", f"/api/v1/links/{call_id}", f"Bearer {KEY}"),
            server.send("GET", f"/agent/v1/conferences/{call_id}"),
            server.send("GET", f"/agent/v1/conferences/{call_id}", "Bearer wrong"),
            server.send("GET", f"/agent/v1/conferences/{call_id}?conversation=x", f"Bearer {TOKEN}"),
            server.send("GET", f"/agent/v1/conferences/{'a' * 32}", f"Bearer {TOKEN}"),
            server.send("POST", "/events/v1/pexip", basic(SINK.username, SINK.password), {"event": "x"}),
            server.send("DELETE", f"/api/v1/links/{call_id}", f"Bearer {KEY}"),
            server.send("GET", f"/join/{session}"),
            server.send("GET", f"/api/v1/links/{call_id}", f"Bearer {KEY}"),
            server.request("GET", "/readyz"),
            server.request("GET", "/metrics"),
        ):
            seen += [response.text, str(response.headers)]
        server.tell(*hang_up(made, NOON + timedelta(minutes=1)))
        server.settled()
        seen += [json.dumps(made), repr(server.settings), repr(server.rules.ruleset)]
        seen += [json.dumps(data) for _, _, data in entries(sqlite_place, call_id)]
        assert len(entries(sqlite_place, call_id)) >= 6
    seen += [*server.lines, caplog.text]
    # What three nodes asked, and in a line for programs what was refused too.
    assert len(server.lines) == (5 if log_format == "json" else 3)
    secrets = (host, KEY, TOKEN, SINK.password, PASSWORD, SECRET_KEY)
    for text in seen:
        assert not [secret for secret in secrets if secret in text]
    assert [room["guest_pin"] in text for text in seen].count(True) == 1, "the guest PIN is in the redirect alone"


def test_the_rules_of_these_tests_are_good(rules: Path) -> None:
    """They load without a problem."""
    assert RuleStore(rules, lambda: NOON, {}).ruleset.count > 5

"""A server tells others of calls, and says on /readyz and in metrics how that goes."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson

from policy_server.conferences.store import ConferenceStore
from policy_server.outbound.receivers import Receiver
from policy_server.pexip.events import Event
from policy_server.policy.links import CustomerLink
from policy_server.settings import Credentials
from tests.conferences import event_histories as told
from tests.outbound.receivers import KEY, OTHER_KEY, Site, receiving
from tests.servers import InProcess, basic
from tests.waiting import eventually
from tests.web.calls import bulk
from tests.web.samples import KIOSK_PASSWORD, NOW, sample_folder, sample_link

SINK = Credentials("sink", "the sink's password")
AWAY = "http://127.0.0.1:9/planted-token"


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: datetime = field(default=NOW)

    def __call__(self) -> datetime:
        """What it shows."""
        return self.now

    def seconds(self) -> float:
        """The same, by a node's clock."""
        return self.now.timestamp()


@contextmanager
def server(folder: Path, clock: Clock, *receivers: Receiver) -> Iterator[InProcess]:
    """A server that tells some receivers."""
    rules = sample_folder(folder / "rules")
    environment = {"KIOSK_PASSWORD": KIOSK_PASSWORD}
    with InProcess(rules, clock=clock, environment=environment, events=SINK, receivers=receivers) as running:
        yield running


def tell(running: InProcess, *events: Event) -> None:
    """A node reports."""
    transport = httpx.ASGITransport(app=running.app, client=("127.0.0.1", 50_000))

    async def post() -> int:
        async with httpx.AsyncClient(transport=transport) as client:
            headers = {"authorization": basic(SINK.username, SINK.password), "content-type": "application/json"}
            url = "http://policy.example.com/events/v1/pexip"
            return (await client.post(url, headers=headers, content=orjson.dumps(bulk(events)))).status_code

    assert running.run(post()) == 200


def after_a_while(running: InProcess, probe: Callable[[], Any]) -> Any:
    """What is truthy when the server had time."""

    def look() -> Any:
        running.run(asyncio.sleep(0.05))
        return probe()

    return eventually(look, 30)


def begin(running: InProcess, clock: Clock) -> CustomerLink:
    """A customer is let in and comes."""
    link = sample_link(running.rules.ruleset)
    running.ask("/service/configuration", call_direction="dial_in", local_alias=link.alias)
    at = clock.seconds() + 1
    came = {"conference": link.call.id, "destination_alias": link.alias, "display_name": "Ada"}
    tell(running, told.started(at, name=link.call.id), told.joined("ada", at, **came))
    return link


def tell_of_a_call(running: InProcess, clock: Clock, site: Site) -> CustomerLink:
    """A call comes, is answered and ends, and a receiver gets the message of each."""
    link = begin(running, clock)
    after_a_while(running, lambda: len(site.got) == 1)
    at, room = clock.seconds(), {"conference": link.call.id}
    tell(running, told.leg("leg", at + 12, **room))
    after_a_while(running, lambda: len(site.got) == 2)
    tell(
        running,
        told.left("leg", at + 60, **room),
        told.left("ada", at + 60, **room),
        told.ended(at + 61, name=link.call.id),
    )
    clock.now += timedelta(seconds=11)
    after_a_while(running, lambda: len(site.got) == 3)
    return link


def test_a_call_is_told_of_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    """One receiver gets each event once and in order, with no name that opens a door; that another is away is told."""
    clock = Clock()
    with receiving() as site:
        receivers = Receiver("crm", site.url, (KEY,)), Receiver("bi", AWAY, (OTHER_KEY,))
        with server(tmp_path, clock, *receivers) as running:
            link = tell_of_a_call(running, clock, site)
            metrics = running.metrics()
            ready = running.request("GET", "/readyz")
    started, answered, ended = (got.json for got in site.got)
    assert [body["type"] for body in (started, answered, ended)] == ["call.started", "call.answered", "call.ended"]
    assert {body["data"]["call"] for body in (started, answered, ended)} == {link.call.id}
    assert ended["data"]["verdict"]["code"] == "no_agent"
    assert [got.headers["webhook-id"].rpartition("_")[2] for got in site.got] == ["started", "answered", "ended"]
    everything = str([got.body for got in site.got])
    for secret in (link.call.session, link.call.agent, link.call.pins.host, link.call.pins.guest):
        assert secret not in everything

    crm, bi = ready.json()["webhooks"]
    assert (crm["name"], crm["host"], crm["failing_since"], crm["error"]) == ("crm", "127.0.0.1", None, "")
    assert (bi["name"], bi["failing_since"], bi["dead"]) == ("bi", NOW.isoformat(timespec="seconds"), 0)
    assert bi["error"].startswith("cannot connect")
    assert 'policy_webhooks_sent{receiver="crm"} 3.0\n' in metrics
    assert 'policy_webhooks_sent{receiver="bi"} 0.0\n' in metrics
    assert 'policy_webhooks_dead{receiver="bi"} 0.0\n' in metrics
    assert "planted-token" not in ready.text + metrics


def test_what_waits_is_counted_and_outlives_the_server(tmp_path: Path) -> None:
    """Another server on the same database sends what the first could not, and says before that how much it is."""
    clock, url = Clock(), f"sqlite:///{tmp_path}/policy.db"
    rules, environment = sample_folder(tmp_path / "rules"), {"KIOSK_PASSWORD": KIOSK_PASSWORD}
    settings: dict[str, Any] = {"clock": clock, "environment": environment, "events": SINK, "database_url": url}
    with receiving() as site:
        site.is_down = True
        receivers = (Receiver("crm", site.url, (KEY,)),)
        with InProcess(rules, receivers=receivers, **settings) as first:
            begin(first, clock)
            after_a_while(first, lambda: site.got)
        with InProcess(rules, receivers=receivers, **settings) as second:
            after_a_while(second, lambda: 'policy_webhooks_waiting{receiver="crm"} 1.0\n' in second.metrics())
            (state,) = second.request("GET", "/readyz").json()["webhooks"]
            assert state["waiting"] == 1
            assert NOW <= datetime.fromisoformat(state["next_at"]) <= NOW + timedelta(seconds=30)
            site.is_down = False
            clock.now += timedelta(seconds=30)
            after_a_while(second, lambda: len(site.got) > 1)
    assert len({(got.headers["webhook-id"], got.body) for got in site.got}) == 1


def test_where_nobody_is_told_there_is_nothing_of_it(tmp_path: Path) -> None:
    """Neither on /readyz nor in metrics, and no room has anything due."""
    clock = Clock()
    with server(tmp_path, clock) as running:
        begin(running, clock)
        assert "webhooks" not in running.request("GET", "/readyz").json()
        assert "policy_webhooks" not in running.metrics()
        assert running.run(_due(running)) == {}


async def _due(running: InProcess) -> dict[str, Any]:
    async with ConferenceStore(running.settings.database_url, read_only=True) as store:
        return await store.count_due()

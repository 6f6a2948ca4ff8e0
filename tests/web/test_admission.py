"""Turns: so many at a time, in the order in which they came, and an end to waiting."""

import asyncio
from dataclasses import astuple
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest
from starlette.requests import Request

from policy_server import app
from policy_server.app import Application
from policy_server.conferences.found import Subject
from policy_server.conferences.live import Conferences
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.store import ConferenceStore
from policy_server.genesys.client import GenesysClient
from policy_server.settings import Credentials
from policy_server.web.admission import AT_ONCE, RETRY_SECONDS, Admission
from policy_server.web.agents import AgentAccess, AgentDesk
from policy_server.web.api_keys import ApiKeys
from policy_server.web.problem import TYPE_ROOT, ProblemResponse, Refused
from tests.genesys.asking import TOKEN, Genesys, run, tenant
from tests.rule_sets import KEYRING
from tests.servers import InProcess, basic
from tests.web.calls import FixedRules
from tests.web.samples import KIOSK_PASSWORD, NOW, sample_folder

API_KEY: Final = "k" * 20
LONG: Final = 50.0
"""Seconds that no test waits."""


class Work:
    """Requests that need a turn, and go on for as long as ``going`` is not set."""

    def __init__(self, admission: Admission) -> None:
        self.admission: Final = admission
        self.going: Final = asyncio.Event()
        self.begun: Final[list[int]] = []
        self.refused: Final[dict[int, ProblemResponse]] = {}

    async def do(self, number: int) -> None:
        """One request."""
        try:
            async with self.admission:
                self.begun.append(number)
                await self.going.wait()
        except Refused as refused:
            self.refused[number] = refused.problem

    def start(self, *numbers: int) -> list[asyncio.Task[None]]:
        """Requests that come one after the other."""
        return [asyncio.create_task(self.do(number)) for number in numbers]


async def rounds(count: int = 20) -> None:
    """Lets the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def settled(*tasks: asyncio.Task[None]) -> None:
    """Waits for tasks, and takes what became of them."""
    await asyncio.wait(tasks)


def test_turns_come_in_order() -> None:
    """So many are worked on at a time; the others begin in the order in which they came."""

    async def scenario() -> None:
        work = Work(Admission(2, patience=LONG))
        tasks = work.start(*range(6))
        await rounds()
        assert work.begun == [0, 1]
        work.going.set()
        await settled(*tasks)
        assert work.begun == list(range(6))
        assert not work.refused

    run(scenario())


def test_work_without_a_pause_leaves_the_loop_its_rounds() -> None:
    """Work that never waits is done so much a round as well: whatever else came has its turn in between."""

    async def scenario() -> None:
        work = Work(Admission(2, patience=LONG))
        work.going.set()
        tasks = work.start(*range(50))
        done_by_round = []
        while not all(task.done() for task in tasks):
            before = len(work.begun)
            await asyncio.sleep(0)
            done_by_round.append(len(work.begun) - before)
        assert sum(done_by_round) == 50
        assert max(done_by_round) <= 2

    run(scenario())


def test_agents_who_come_at_once_begin_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few in each round of the loop, in which nodes have theirs, and all without being turned away."""
    begun: list[str] = []

    def subject_of(alias: str) -> Subject:
        begun.append(alias)
        return Subject(alias)

    async def scenario() -> None:
        async with GenesysClient(tenant("http://127.0.0.1:9")) as client:
            store = ConferenceStore(f"sqlite:///{tmp_path}/policy.db")
            lookup = ConferenceLookup(Conferences(store, lambda: NOW, timedelta(1)), FixedRules(), KEYRING, "")
            monkeypatch.setattr(lookup, "subject_of", subject_of)
            desk = AgentDesk(lookup, AgentAccess(client))
            scopes = [
                {"type": "http", "headers": [], "query_string": b"", "path_params": {"alias": f"{number}"}}
                for number in range(1500)
            ]
            tasks = [asyncio.create_task(desk.admit(Request(scope))) for scope in scopes]
            by_round = []
            while not all(task.done() for task in tasks):
                before = len(begun)
                await asyncio.sleep(0)
                by_round.append(len(begun) - before)
            assert sum(by_round) == len(tasks)
            assert max(by_round) <= AT_ONCE
            refused = [task.exception() for task in tasks]
            assert {one.problem.status_code for one in refused if isinstance(one, Refused)} == {401}

    run(scenario())


def test_who_comes_when_too_many_wait_is_refused() -> None:
    """Beyond the limit it is 503 at once, with the seconds after which to ask again, for programs and for browsers."""

    async def scenario() -> None:
        work = Work(Admission(1, waiting_limit=2, patience=LONG, jitter=lambda: 0.5))
        tasks = work.start(*range(4))
        await rounds()
        (refused,) = work.refused.values()
        assert (list(work.refused), refused.status_code) == ([3], 503)
        assert (refused.headers["retry-after"], refused.headers["refresh"]) == ("3", "3")
        assert f"{TYPE_ROOT}busy".encode() in refused.body
        assert work.admission.refused == 1
        work.going.set()
        await settled(*tasks)
        assert work.begun == [0, 1, 2]

    run(scenario())


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 1), (1.0, RETRY_SECONDS)])
def test_they_come_back_spread_out(jitter: float, seconds: int) -> None:
    """Some are told a second, others more."""

    async def scenario() -> None:
        work = Work(Admission(1, waiting_limit=0, jitter=lambda: jitter))
        tasks = work.start(0, 1)
        await rounds()
        assert work.refused[1].headers["retry-after"] == str(seconds)
        work.going.set()
        await settled(*tasks)

    run(scenario())


def test_waiting_has_an_end() -> None:
    """Who gets no turn in time is refused; the turns of the others are as before."""

    async def scenario() -> None:
        work = Work(Admission(1, patience=0.01))
        tasks = work.start(0, 1, 2)
        await settled(*tasks[1:])
        assert list(work.refused) == [1, 2]
        work.going.set()
        await settled(*tasks, *work.start(3))
        assert work.begun == [0, 3]

    run(scenario())


@pytest.mark.parametrize("later", range(5))
def test_who_goes_takes_no_turn_along(later: int) -> None:
    """Whenever somebody who waits goes, so many rounds after the work before is done, the next one gets the turn."""

    async def scenario() -> None:
        work = Work(Admission(1, patience=LONG))
        first, *waiting = work.start(0, 1, 2)
        await rounds()
        work.going.set()
        await rounds(later)
        waiting[0].cancel()
        await settled(first, *waiting, *work.start(3))
        assert {0, 2, 3} <= set(work.begun)

    run(scenario())


async def post(app: Application, path: str, authorization: str, body: object) -> httpx.Response:
    """Sends JSON."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://policy.example.com") as client:
        return await client.post(path, json=body, headers={"authorization": authorization})


def test_nodes_wait_for_no_turn(genesys: Genesys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody else gets a turn, nodes are answered and their messages taken; the others are put off, once it is known
    who they are.
    """
    monkeypatch.setattr(app, "Admission", lambda *_: Admission(0, waiting_limit=0))
    sink = Credentials("sink", "the-sinks-password")
    with InProcess(
        sample_folder(tmp_path),
        clock=lambda: NOW,
        environment={"KIOSK_PASSWORD": KIOSK_PASSWORD},
        events=sink,
        api_keys=ApiKeys({"booking": API_KEY}),
        tenant=tenant(genesys.url),
        agent_binding="optional",
    ) as server:
        assert server.ask("/service/configuration", local_alias="moved")["status"] == "success"
        assert server.request("POST", "/events/v1/pexip", authorization=basic(*astuple(sink))).status_code == 200
        for method, path, authorization, without in (
            ("GET", "/api/v1/links/abc", f"Bearer {API_KEY}", 401),
            ("DELETE", "/api/v1/links/abc", f"Bearer {API_KEY}", 401),
            ("GET", "/join/abc", None, 503),
            ("GET", "/agent/v1/conferences/abc", f"Bearer {TOKEN}", 401),
            ("GET", "/agent/v1/conferences/abc/events", f"Bearer {TOKEN}", 401),
        ):
            answer = server.request(method, path, authorization=authorization)
            assert (answer.status_code, answer.json()["type"]) == (503, f"{TYPE_ROOT}busy"), path
            assert server.request(method, path).status_code == without, path
        link = post(server.app, "/api/v1/links", f"Bearer {API_KEY}", {"type": "visit"})
        assert server.run(link).status_code == 503
        assert "policy_requests_put_off 7.0\n" in server.metrics()


def test_a_question_passes_a_burst_of_invitations(tmp_path: Path) -> None:
    """Of many links that are asked for at once each is made or put off; a node that asks behind them all is answered while
    most of them still wait.
    """
    many = 200
    with InProcess(
        sample_folder(tmp_path), environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}, api_keys=ApiKeys({"booking": API_KEY})
    ) as server:
        made: list[int] = []

        async def make() -> None:
            answer = await post(server.app, "/api/v1/links", f"Bearer {API_KEY}", {"type": "visit"})
            made.append(answer.status_code)

        async def burst() -> int:
            making = [asyncio.create_task(make()) for _ in range(many)]
            transport = httpx.ASGITransport(server.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://policy.example.com") as node:
                await asyncio.sleep(0)
                asked = "/policy/v1/service/configuration?local_alias=moved"
                answer = await node.get(asked, headers={"authorization": basic()})
            assert answer.json()["status"] == "success"
            before = len(made)
            await asyncio.gather(*making)
            return before

        assert server.run(burst()) < many / 2
    assert len(made) == many
    assert set(made) <= {201, 503}

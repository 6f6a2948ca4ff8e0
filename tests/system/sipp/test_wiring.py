"""Everything of one call on one machine: it starts, shows what the trunk saw, plays what the trunk does, and is gone."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import httpx
import pytest

from policy_server.lab.errors import LabError
from policy_server.lab.examples import EXAMPLES
from policy_server.lab.selftest import ADP_DELAY
from policy_server.lab.sip.trunk import Answer, Invite, SipCall
from policy_server.lab.stages import Report, play
from policy_server.lab.wiring import PORTS, Lab
from policy_server.rulefiles.problems import Problem
from tests.system.sipp.processes import is_listening
from tests.waiting import PATIENCE

Scene = Callable[[Lab], Awaitable[None]]


def run(folder: Path, scene: Scene, **options: Any) -> None:
    """Plays a scene in a lab."""

    async def work() -> None:
        async with Lab.running(folder, **{"adp_delay": ADP_DELAY, **options}) as running:
            await scene(running)

    asyncio.run(work())


def refused(folder: Path, **options: Any) -> str:
    """What a lab says that does not start."""
    with pytest.raises(LabError) as raised:
        run(folder, lambda _: asyncio.sleep(0), **options)
    return str(raised.value)


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        pytest.param(Answer.BUSY, "Call rejected", id="busy"),
        pytest.param(Answer.UNAVAILABLE, "Unexpected Response: 503", id="unavailable"),
    ],
)
def test_a_trunk_that_refuses(folder: Path, answer: Answer, ended: str) -> None:
    """The customer waits on, no agent gets a call, and the timeline has the reason in Pexip's words."""
    reports: list[Report] = []

    async def scene(running: Lab) -> None:
        reports.append(await play(running, lambda *_: None))
        assert len(running.node.meetings) == 1
        assert running.calls.conversations == ()

    run(folder, scene, answer=answer)
    (report,) = reports
    assert [stage.passed for stage in report.stages] == [True] * 3 + [False] + [None] * 7
    assert report.stages[3].observed.endswith("the leg ended before it was answered")
    (line,) = [line for line in report.timeline if line["kind"] == "trunk_ended"]
    assert ended in line["text"]


def test_a_trunk_that_is_silent(folder: Path) -> None:
    """The stage ends at its deadline and says what it waited for."""
    reports: list[Report] = []

    async def scene(running: Lab) -> None:
        reports.append(await play(running, lambda *_: None, seconds=3.0))

    run(folder, scene, answer=Answer.SILENT)
    assert reports[0].stages[3].observed == "not within 3 s: the trunk's answer"


def test_the_trunk_page(folder: Path) -> None:
    """It shows each INVITE to people and to programs; whatever a caller writes there is text."""

    async def scene(running: Lab) -> None:
        arrived: asyncio.Queue[Invite] = asyncio.Queue()
        running.trunk.on_invite(arrived.put_nowait)
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(trust_env=False) as http:
            empty = await http.get(f"{running.trunk_url}/")
            assert "No call so far." in empty.text
            async with await SipCall.place(
                "sip:+13129998045@clinic.byoc.example",
                proxy=running.trunk.address,
                folder=folder,
                from_display_name="<b>Ada</b>",
                from_user="+13175551234",
                on_ringing=lambda: None,
                on_answered=lambda: None,
                on_ended=lambda _: None,
            ):
                await arrived.get()
                page = await http.get(f"{running.trunk_url}/")
            assert "&lt;b&gt;Ada&lt;/b&gt;" in page.text
            (invite,) = (await http.get(f"{running.trunk_url}/invites.json")).json()
            assert invite["request_uri"] == "sip:+13129998045@clinic.byoc.example"
            assert (invite["from_display_name"], invite["from_user"]) == ("<b>Ada</b>", "+13175551234")

    run(folder, scene)


def test_the_rules_have_no_problem(folder: Path) -> None:
    """The rules of the lab are good without a warning."""
    problems: list[Problem] = []

    async def scene(running: Lab) -> None:
        problems.extend(running.rules.state.problems)

    run(folder, scene)
    assert problems == []


def test_ports_in_a_row(folder: Path) -> None:
    """From a first port on, each part has the port of its place; afterwards nobody listens there."""
    urls: list[str] = []

    async def scene(running: Lab) -> None:
        assert running.pages is not None
        urls.extend((running.pages.customer_url, running.pages.desktop_url, running.trunk_url, running.policy_url))
        urls.extend((running.node_url, running.genesys_url, running.pages.widget_url, running.management.url))
        assert all(map(is_listening, urls))

    examples, first = folder / "examples", _free_row()
    copytree(EXAMPLES / "customer-app", examples / "customer-app")
    (examples / "agent-app" / "dist").mkdir(parents=True)
    (examples / "agent-app" / "dist" / "index.html").touch()
    run(folder, scene, first_port=first, examples=examples)
    assert urls == [f"http://127.0.0.1:{first + number}" for number in range(len(PORTS))]
    assert not any(map(is_listening, urls))


def test_a_port_that_is_taken(folder: Path) -> None:
    """The lab says which ports it needs, and what was started is gone."""
    first = _free_row()
    with socket.create_server(("127.0.0.1", first + PORTS.index("policy"))):
        said = refused(folder, first_port=first)
    assert said.startswith(f"ports {first} to {first + len(PORTS) - 1} are needed: ")
    assert said.endswith("; name others with --port")
    assert not is_listening(f"http://127.0.0.1:{first + PORTS.index('genesys')}")


def test_examples_that_are_not_there(folder: Path) -> None:
    """Where the examples are not, or are not built, it says what to do."""
    assert refused(folder, examples=folder) == (
        f"there is no customer-app/app.py in {folder}: name the folder examples of the repository with --examples"
    )
    (folder / "customer-app").mkdir()
    (folder / "customer-app" / "app.py").touch()
    assert refused(folder, examples=folder) == (
        f"{folder}/agent-app is not built: run 'npm ci && npm run build' there, which makes its folder dist"
    )


def test_nothing_secret_is_shown(folder: Path) -> None:
    """Neither the lab as text nor its logs hold a key, password or PIN."""
    shown: list[str] = []
    secrets: list[str] = []

    async def scene(running: Lab) -> None:
        report = await play(running, lambda *_: None)
        assert report.passed, report
        (service,) = {exchange.result.get("pin") for exchange in running.node.exchanges} - {None}
        secrets.extend((running.api_key, running.settings.secret_key or "", str(service)))
        secrets.extend(each.password for each in (running.settings.pexip, running.settings.events) if each is not None)
        shown.extend((repr(running), repr(report)))

    run(folder, scene)
    logs = [path.read_text(encoding="utf-8") for path in folder.glob("*.log")]
    assert len(logs) == 3
    assert not [secret for secret in secrets for text in (*shown, *logs) if not secret or secret in text]


def _free_row() -> int:
    """The first of as many free ports in a row as the lab needs."""
    for first in range(21_000, 30_000, 10):
        if not any(is_listening(f"http://127.0.0.1:{port}") for port in range(first, first + len(PORTS))):
            return first
    raise AssertionError("no free ports")

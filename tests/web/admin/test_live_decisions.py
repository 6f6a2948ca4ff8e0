"""Decisions as they happen: what pages that are open hear, and what that may cost."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.policy.masking import NameMask
from policy_server.policy.names import Keyring
from policy_server.web.admin.decision_rows import Row, Wanted
from policy_server.web.admin.live_decisions import (
    NEW,
    STREAMS,
    WAITING,
    DecisionStream,
    LiveDecisions,
    event,
    new_rows,
    told_sample,
)
from policy_server.web.admin.siblings import Siblings
from policy_server.web.answered import Answered, Failed
from policy_server.web.recent_decisions import RecentDecisions
from tests.servers import SECRET_KEY
from tests.waiting import PATIENCE
from tests.web.samples import NOW

KEYRING: Final = Keyring.from_text(SECRET_KEY)


class Rules:
    """As much of a rule set as a question without a decision needs."""

    revision = "0"

    mask = NameMask()


def failed(number: int, alias: str = "") -> Answered:
    """A question that nobody understood."""
    rules: Any = Rules
    about = Failed("misunderstood", "")
    return Answered(rules, RequestType.AVATAR, about, NOW, f"a-{number}", 0.001, ("192.0.2.1", 1), alias, b"", b"{}")


class Stage:
    """A process whose pages are open, and what each hears."""

    def __init__(self, tick: float = 0.01) -> None:
        self.recent: Final = RecentDecisions("p", KEYRING)
        siblings = Siblings(None)
        siblings.answers(NEW, partial(new_rows, self.recent))
        self.rendered: Final[list[str]] = []
        self.live: Final = LiveDecisions(siblings, self._render, tick=tick)
        self._number = 0

    def _render(self, rows: Any) -> str:
        self.rendered.extend(row.id for row in rows)
        return " ".join(row.id for row in rows)

    def decide(self, count: int = 1, alias: str = "") -> None:
        """Questions are answered."""
        for _ in range(count):
            self._number += 1
            self.recent.add(failed(self._number, alias))

    def page(self, wanted: Wanted | None = None) -> "Page":
        """A page that opens."""

        async def first() -> bytes:
            return event("table", {"html": "", "told": ""})

        return Page(self.live.open(wanted or Wanted(), first))


class Page:
    """A browser at the end of a stream."""

    def __init__(self, stream: DecisionStream) -> None:
        self.heard: Final[asyncio.Queue[tuple[str, Any]]] = asyncio.Queue()
        self.gone: Final = asyncio.Event()
        self.reads: Final = asyncio.Event()
        self.reads.set()
        self.task: Final = asyncio.create_task(stream({"type": "http"}, self._receive, self._send))

    async def next(self) -> tuple[str, Any]:
        """The next event: its name and what it tells."""
        async with asyncio.timeout(PATIENCE):
            return await self.heard.get()

    async def close(self) -> None:
        """The browser goes away."""
        self.gone.set()
        async with asyncio.timeout(PATIENCE):
            await self.task

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        for text in message.get("body", b"").decode().split("\n\n"):
            if text.startswith("event: "):
                name, _, data = text.removeprefix("event: ").partition("\ndata: ")
                self.heard.put_nowait((name, json.loads(data)))


def staged(play: Callable[[Stage], Awaitable[None]], tick: float = 0.01) -> Stage:
    """Plays on a stage."""

    async def run() -> Stage:
        stage = Stage(tick)
        await play(stage)
        return stage

    return asyncio.run(run())


def test_pages_hear_what_is_decided() -> None:
    """After the table comes what was decided since, and only what is wanted, made once for all who want the same."""

    async def play(stage: Stage) -> None:
        stage.decide()
        pages = [stage.page(), stage.page(), stage.page(Wanted(alias="desk"))]
        assert [await page.next() for page in pages] == [("table", {"html": "", "told": ""})] * 3
        stage.decide(alias="the desk")
        assert [await page.next() for page in pages] == [("rows", {"html": "a-2", "told": ""})] * 3
        stage.decide(alias="elsewhere")
        assert [await page.next() for page in pages[:2]] == [("rows", {"html": "a-3", "told": ""})] * 2
        for page in pages:
            await page.close()
        assert pages[2].heard.empty()
        assert stage.live.count == 0

    assert staged(play).rendered == ["a-2", "a-2", "a-3"]


def test_many_are_sampled_and_it_is_said() -> None:
    """Above fifty a second a page has a part, says so, and says so no more when it is over."""

    async def play(stage: Stage) -> None:
        page = stage.page()
        await page.next()
        stage.decide(400)
        name, told = await page.next()
        assert name == "rows"
        assert len(told["html"].split()) == 5
        assert told["html"].split()[0] == "a-400"
        assert told["told"] == "Showing 5 of 400 a second"
        name, told = await page.next()
        while told["told"]:
            name, told = await page.next()
        assert told == {"html": "", "told": ""}
        await page.close()

    staged(play, tick=0.1)


def test_too_many_pages_are_told_so() -> None:
    """One more than there may be hears why it stays as it is, and takes nothing from the others."""

    async def play(stage: Stage) -> None:
        pages = [stage.page() for _ in range(STREAMS)]
        for page in pages:
            await page.next()
        further = stage.page()
        name, told = await further.next()
        assert name == "end"
        assert f"{STREAMS} pages" in told["told"]
        async with asyncio.timeout(PATIENCE):
            await further.task
        await pages[0].close()
        assert (await stage.page().next())[0] == "table"
        stage.live.close()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(page.task for page in pages))

    staged(play)


def test_who_reads_nothing_is_cut_off() -> None:
    """What waits for a browser is bounded; one that does not keep up is left, and the others hear everything."""

    async def play(stage: Stage) -> None:
        slow, quick = stage.page(), stage.page()
        await slow.next()
        await quick.next()
        slow.reads.clear()
        for number in range(WAITING + 3):
            stage.decide()
            assert (await quick.next())[1]["html"] == f"a-{number + 1}"
        slow.reads.set()
        async with asyncio.timeout(PATIENCE):
            await slow.task
        assert slow.heard.qsize() < WAITING
        await quick.close()

    staged(play)


def test_a_server_that_stops_ends_them() -> None:
    """When the server is told to stop its pages end, nobody looks any more, and none begins."""

    async def play(stage: Stage) -> None:
        page = stage.page()
        await page.next()
        stage.live.close()
        async with asyncio.timeout(PATIENCE):
            await page.task
        assert (await stage.page().next())[0] == "end"
        assert stage.live.count == 0
        assert len(asyncio.all_tasks()) == 1

    staged(play)


@pytest.mark.parametrize(
    ("wanted", "seen", "ids"),
    [
        pytest.param({}, 12, ["a-4", "a-8", "a-12"], id="all"),
        pytest.param({"alias": "even"}, 6, ["a-4", "a-8", "a-12"], id="some"),
        pytest.param({"alias": "none"}, 0, [], id="none"),
    ],
)
def test_each_process_picks_what_is_shown(wanted: dict[str, str], seen: int, ids: list[str]) -> None:
    """It tells how many fit and no more rows than are shown, from where it told last."""
    recent = RecentDecisions("p", KEYRING)
    argument: dict[str, Any] = {"after": {}, "wanted": [Wanted(**wanted).told()], "most": 3}
    recent.add(failed(0))
    begun = new_rows(recent, argument)
    assert (begun["number"], begun["of"]) == (1, [{"seen": 0, "rows": []}])
    for number in range(1, 13):
        recent.add(failed(number, "odd" if number % 2 else "even"))
    told = new_rows(recent, {**argument, "after": {"p": begun["number"], "another": 99}})
    (of,) = told["of"]
    rows: list[Row] = of["rows"]
    assert (told["process"], told["number"], of["seen"]) == ("p", 13, seen)
    assert [row.id for row in rows] == ids


def test_what_nobody_could_look_at_counts() -> None:
    """More decisions than are kept within one look are counted all the same."""
    recent = RecentDecisions("p", KEYRING, most=10)
    for number in range(50):
        recent.add(failed(number))
    told = new_rows(recent, {"after": {"p": 0}, "wanted": [{}], "most": 3})
    assert told["of"][0]["seen"] == 50


@pytest.mark.parametrize(("shown", "seen", "told"), [(3, 3, ""), (50, 430, "Showing 50 of 430 a second"), (0, 0, "")])
def test_a_sample_is_said(shown: int, seen: int, told: str) -> None:
    """Words only where there is more than is shown."""
    assert told_sample(shown, seen) == told

"""Whether the Management Node answers: what is found, since when, and how calmly it is asked."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policy_server.management.access import Access
from policy_server.management.pace import RATE
from policy_server.management.watching import CALM, REFUSED, Watch
from policy_server.outbound.circuit import PAUSE
from tests.management.scripted import (
    ACCOUNT,
    CONFERENCE,
    Answer,
    Scene,
    Scripted,
    Time,
    client_of,
    json,
    page,
    play,
    serving,
)
from tests.waiting import PATIENCE

START = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "state", "problem", "pause"),
    [
        (page(CONFERENCE), "answers", "", CALM),
        (page(), "answers", "", CALM),
        (Answer(500), "away", "status 500", CALM),
        (Answer(body=b"<html>"), "away", "the body is not what the reference says", CALM),
        (Answer(401), "refuses", "status 401: the node does not accept these credentials", REFUSED),
        (Answer(403), "refuses", "status 403: the role of this account may not do that", CALM),
        (json({}, 429, retry_after="9"), "refuses", "status 429: too many requests, for 9 s", CALM),
    ],
    ids=["a conference", "none", "500", "no JSON", "401", "403", "429"],
)
def test_what_is_found(answer: Answer, state: str, problem: str, pause: float) -> None:
    """Any page of conferences is an answer; credentials that were refused are not tried again soon."""

    async def scenario(scene: Scene) -> tuple[Watch, float]:
        watch = Watch(scene.client, lambda: START)
        assert watch.condition is None
        return watch, await watch.look()

    (watch, found_pause), scene = play(scenario, answer)
    assert watch.condition is not None
    assert (watch.condition.state, watch.condition.problem, found_pause) == (state, problem, pause)
    assert scene.node.arrived[0].target == "/api/admin/status/v1/conference/?limit=1"


def test_since_when() -> None:
    """A state keeps its beginning, whatever the words of the problem, until another one begins."""
    times = iter(range(100))

    async def scenario(scene: Scene) -> list[tuple[str, int]]:
        watch = Watch(scene.client, lambda: START + timedelta(minutes=next(times)))
        seen: list[tuple[str, int]] = []
        for _ in range(4):
            await watch.look()
            assert watch.condition is not None
            seen.append((watch.condition.state, int((watch.condition.since - START) / timedelta(minutes=1))))
            await scene.time.sleep(PAUSE)
        return seen

    seen, _ = play(scenario, page(), page(), Answer(401), page())
    assert seen == [("answers", 0), ("answers", 0), ("refuses", 1), ("answers", 2)]


def test_a_node_that_others_found_away() -> None:
    """When the circuit is open nobody asks it, and that it is away is known all the same; the reason that was found stays."""

    async def scenario(scene: Scene) -> list[str]:
        watch = Watch(scene.client, lambda: START)
        seen: list[str] = []
        for _ in range(4):
            await watch.look()
            assert watch.condition is not None
            seen.append(f"{watch.condition.state}: {watch.condition.problem}")
            await scene.client.participant("x")
            await scene.client.participant("x")
        return seen

    seen, scene = play(scenario, page(), Answer(500))
    assert seen[0] == "answers: "
    assert seen[1:] == ["away: the node did not answer before, and is tried again soon"] * 3
    assert len(scene.node.arrived) == 1 + 5


def test_it_goes_on_whatever_happens(caplog: pytest.LogCaptureFixture) -> None:
    """An error of ours is logged, the next question comes after the usual pause, and ``stop`` ends it."""
    slept: list[float] = []

    class Broken:
        is_away = False

        async def check(self) -> Any:
            raise RuntimeError("a bug")

    async def run() -> None:
        enough = asyncio.Event()

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) >= 3:
                enough.set()
                await asyncio.Event().wait()

        watch = Watch(Broken(), lambda: START, jitter=lambda: 0.5, sleep=sleep)  # type: ignore[arg-type]
        watch.start()
        async with asyncio.timeout(PATIENCE):
            await enough.wait()
        await watch.stop()

    asyncio.run(run())
    assert slept == [CALM] * 3
    assert caplog.text.count("management.check_failed") == 3


def test_it_costs_the_node_next_to_nothing() -> None:
    """In an hour a process sends some two requests a minute, whatever the node does, and that is far below its rate."""

    async def one_hour(answers: list[Answer]) -> Scripted:
        async with serving(*answers) as node:
            time = Time()
            done = asyncio.Event()
            end = time.now + 3600

            async def sleep(seconds: float) -> None:
                await time.sleep(seconds)
                if time.now >= end:
                    done.set()
                    await asyncio.Event().wait()

            async with client_of(Access(node.url, ACCOUNT), time) as client:
                watch = Watch(client, lambda: START, jitter=lambda: 0.5, sleep=sleep)
                watch.start()
                await done.wait()
                await watch.stop()
            return node

    for answers, most in (([page()], 120), ([Answer(500)], 130), ([Answer(401)], 15)):
        node = asyncio.run(one_hour(answers))
        assert len(node.arrived) <= most < RATE * 60

"""Agents' streams: what nodes wait while hundreds connect at once, while calls change, and while nobody reads."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Final

from policy_server.simulator.events import Message, browser
from tests.benchmarks.bench import Bench
from tests.benchmarks.callers import Answered, Callers
from tests.benchmarks.contact_centre import ContactCentre, contact_centre
from tests.benchmarks.material import write_questions
from tests.benchmarks.probe import probing
from tests.benchmarks.running_calls import ask_of_calls, begin_calls
from tests.benchmarks.servers import Server
from tests.benchmarks.table import Goal, Row
from tests.benchmarks.versions import NOW
from tests.benchmarks.watchers import Watcher, deaf

CHANGES: Final = 10.0
"""Messages of nodes a second about calls that are watched."""

STREAMS_A_CALL: Final = 6
"""As many as one agent may have."""

CONNECT_SECONDS: Final = 60.0
"""So long is waited for the first event of every stream."""

PARTS: Final = 10
"""So often is the memory read while nobody reads; by the middle the largest buffers are full."""

SETTLE_SECONDS: Final = 2.0
SEED: Final = 11


async def streams(bench: Bench) -> AsyncIterator[Row]:
    """Streams that connect at once after a restart, streams of calls that change, streams that nobody reads."""
    folder = bench.new_folder()
    effort = bench.effort
    async with contact_centre(NOW, folder / "rules", number_of_agents=effort.streams) as centre:
        with centre.serving() as server:
            callers, memory = Callers(server, centre.genesys, 0), server.resident_mib
            calls = await begin_calls(callers, effort.streams)
            bench.raw["memory of calls that run"] = {"calls": len(calls), "mib": server.resident_mib - memory}
            queries = write_questions(folder / "questions.txt", await ask_of_calls(callers))
            callers.close()
        with centre.serving() as server:
            async for row in _connect(bench, server, calls, queries):
                yield row
        watched = calls[: effort.watched // STREAMS_A_CALL]
        with centre.serving() as server:
            async for row in _change(bench, centre, server, watched, queries):
                yield row
        with centre.serving() as server:
            async for row in _ignore(bench, centre, server, watched, queries):
                yield row


async def _connect(bench: Bench, server: Server, calls: Sequence[Answered], queries: Path) -> AsyncIterator[Row]:
    async with probing(server, queries) as probe:
        await asyncio.sleep(SETTLE_SECONDS)
        began = perf_counter()
        async with _watching(server, calls) as watchers:
            ended = await _all_told(watchers, CONNECT_SECONDS)
        late = sum(watcher.first_at is None for watcher in watchers)
    waits = probe.between(began, ended)
    faults = (*probe.reasons, *((f"{late} streams had no event in time",) if late else ()))
    bench.raw["streams that connect"] = {
        "seconds": [watcher.first_at and watcher.first_at - began for watcher in watchers],
        "turned away": sum(watcher.turned_away for watcher in watchers),
        "policy": waits.milliseconds,
    }
    number = len(calls)
    yield Row(
        f"policy p99 while {number} streams connect", waits.p99, "ms", Goal(20, "at most", "figure"), faults=faults
    )
    yield Row(
        f"until all {number} have their first event", ended - began, "s", Goal(3, "at most", "figure"), faults=faults
    )


async def _change(
    bench: Bench, centre: ContactCentre, server: Server, calls: Sequence[Answered], queries: Path
) -> AsyncIterator[Row]:
    watching = _watching(server, [*calls] * STREAMS_A_CALL)
    async with probing(server, queries) as probe, watching as watchers:
        await _all_told(watchers, CONNECT_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        told, began, before = sum(watcher.told for watcher in watchers), perf_counter(), server.cpu_seconds
        callers = Callers(server, centre.genesys, 0)
        changes = await _report(callers, _changes(calls), bench.effort.watched_seconds)
        await asyncio.sleep(1)
        ended, after = perf_counter(), server.cpu_seconds
        told = sum(watcher.told for watcher in watchers) - told
        callers.close()
    waits, share = probe.between(began, ended), (after - before) / (ended - began)
    bench.raw["streams of calls that change"] = {"policy": waits.milliseconds, "share": share, "told": told}
    few = told < changes * STREAMS_A_CALL
    untold = (f"{changes} changes, but {told} events to {STREAMS_A_CALL} streams each",) if few else ()
    faults = (*probe.reasons, *callers.seen.reasons, *untold)
    what = f"{len(watchers)} streams, {CHANGES:.0f} changes a second"
    yield Row(f"policy p99 with {what}", waits.p99, "ms", Goal(10, "at most", "figure"), faults=faults)
    yield Row(f"share of the core with {what}", share, "", Goal(0.2, "at most", "figure"), faults=faults)


async def _ignore(
    bench: Bench, centre: ContactCentre, server: Server, calls: Sequence[Answered], queries: Path
) -> AsyncIterator[Row]:
    busiest, *others = calls
    spread = (message for pair in zip(_changes([busiest]), _changes(others), strict=False) for message in pair)
    async with (
        deaf(server.port, [*calls] * STREAMS_A_CALL),
        probing(server, queries) as probe,
    ):
        await asyncio.sleep(SETTLE_SECONDS)
        before = await asyncio.to_thread(server.metric, "policy_agent_streams")
        callers, began = Callers(server, centre.genesys, 0), perf_counter()
        memory = []
        for _ in range(PARTS):
            await _report(callers, spread, bench.effort.deaf_seconds / PARTS)
            memory.append(server.resident_mib)
        ended = perf_counter()
        left = await asyncio.to_thread(server.metric, "policy_agent_streams")
        callers.close()
    waits = probe.between(began, ended)
    bench.raw["streams that nobody reads"] = {"policy": waits.milliseconds, "mib": memory, "open": [before, left]}
    faults = (*probe.reasons, *callers.seen.reasons)
    what = f"{len(calls) * STREAMS_A_CALL} streams that never read"
    yield Row(f"policy p99 with {what}", waits.p99, "ms", Goal(10, "at most", "figure"), faults=faults)
    grown_in = f"memory grown in {(ended - began) / 2:.0f} s with {what}"
    yield Row(grown_in, memory[-1] - memory[PARTS // 2 - 1], "MiB", Goal(2, "at most", "figure"), faults=faults)
    goal = Goal(len(calls) * STREAMS_A_CALL, "at least", "figure")
    yield Row("of these, dropped in the end", before - left, "", goal)


@asynccontextmanager
async def _watching(server: Server, calls: Sequence[Answered]) -> AsyncIterator[Sequence[Watcher]]:
    random = Random(SEED)
    watchers = [Watcher(server.port, call, random) for call in calls]
    tasks = [asyncio.create_task(watcher.watch()) for watcher in watchers]
    try:
        yield watchers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _all_told(watchers: Sequence[Watcher], seconds: float) -> float:
    """Waits for the first event of each, so long at the most; when the last one came, by the clock of perf_counter."""
    until = perf_counter() + seconds
    while perf_counter() < until and any(watcher.first_at is None for watcher in watchers):  # noqa: ASYNC110  there are many
        await asyncio.sleep(0.02)
    return max((watcher.first_at or until for watcher in watchers), default=until)


async def _report(callers: Callers, messages: Iterator[Message], seconds: float) -> int:
    """Reports messages at the rate of CHANGES, and returns how many."""
    began, number = perf_counter(), round(CHANGES * seconds)
    async with asyncio.TaskGroup() as reports:
        for one in range(number):
            reports.create_task(callers.report(next(messages)))
            await asyncio.sleep(max(0.0, began + (one + 1) / CHANGES - perf_counter()))
    return number


def _changes(calls: Sequence[Answered]) -> Iterator[Message]:
    """Somebody comes into a call, goes again, and so on with the next, for ever."""
    for number, call in enumerate(cycle(calls)):
        _, guest = browser(f"Guest {number}", "guest", "guest")
        yield call.news.connected(guest)
        yield call.news.disconnected(guest, "Call disconnected")

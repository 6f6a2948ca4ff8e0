"""What whole calls cost: CPU and bytes of database a call, and how many a second one core carries."""

import statistics
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.contact_centre import contact_centre
from tests.benchmarks.databases import Kind, postgresql, sqlite
from tests.benchmarks.played import Played, play, warm_up
from tests.benchmarks.table import Goal, Row
from tests.benchmarks.versions import NOW, Version

RATE: Final = 4.0
"""Calls a second at which they are weighed: version 0.1 can carry them."""

SHORT_CALL_SECONDS: Final = 3.0
"""Of calls in that search, so that soon as many end as begin."""

FIRST_RATE: Final = 8.0
"""The search for the highest rate begins here, and doubles or halves it until one end is known."""

EXTREMES: Final = (0.5, 256.0)


@dataclass(frozen=True, slots=True)
class _Weighed:
    played: Played
    bytes_a_call: float


async def costs_on_sqlite(bench: Bench) -> AsyncIterator[Row]:
    """What a call costs on SQLite."""
    async for row in _costs(bench, "SQLite", sqlite):
        yield row


async def costs_on_postgresql(bench: Bench) -> AsyncIterator[Row]:
    """What a call costs on PostgreSQL."""
    async for row in _costs(bench, "PostgreSQL", postgresql):
        yield row


async def _costs(bench: Bench, name: str, kind: Kind) -> AsyncIterator[Row]:
    rounds = range(bench.effort.call_rounds)
    runs = [{version: await _weigh(bench, version, kind) for version in bench.versions} for _ in rounds]
    bench.raw[f"calls on {name}"] = [{version.name: asdict(run) for version, run in pair.items()} for pair in runs]
    cpu = {one: statistics.median(run[one].played.cpu_a_call for run in runs) for one in bench.versions}
    size = {one: statistics.median(run[one].bytes_a_call / 1024 for run in runs) for one in bench.versions}
    # A version that loses calls is none to be compared with either.
    faults = tuple(f"{one.name}: {fault}" for run in runs for one in bench.versions for fault in run[one].played.faults)
    for what, unit, figures, limit in (("CPU", "ms", cpu, 0.25), ("database", "KiB", size, 0.5)):
        goal = Goal(limit, "at most", "ratio")
        yield Row(f"{what} a call, {name}", figures[NOW], unit, goal, bench.beside(figures), faults=faults)


async def _weigh(bench: Bench, version: Version, kind: Kind) -> _Weighed:
    folder = bench.new_folder()
    with kind(folder) as database:
        async with contact_centre(version, folder / "rules", database=database.url) as centre:
            with centre.serving() as server:
                await warm_up(server, centre.genesys)
                before = database.size()
                played = await play(server, centre.genesys, RATE, bench.effort.call_seconds)
                return _Weighed(played, (database.size() - before) / max(1, played.calls))


async def highest_rate(bench: Bench) -> AsyncIterator[Row]:
    """How many calls a second one core carries while nodes are answered in time."""
    found = {version: await _search(bench, version) for version in bench.versions}
    bench.raw["highest rate"] = {version.name: [asdict(run) for run in runs] for version, runs in found.items()}
    rates = {one: max((run.rate for run in runs if run.keeps_up), default=0.0) for one, runs in found.items()}
    goal = Goal(5, "at least", "ratio")
    yield Row("calls a second, policy p99 under 100 ms", rates[NOW], "/s", goal, bench.beside(rates))


async def _search(bench: Bench, version: Version) -> list[Played]:
    """Runs at higher and lower rates until it is known well enough which one is too high."""
    runs: list[Played] = []
    carried, too_high = EXTREMES
    rate = FIRST_RATE
    while too_high / carried > bench.effort.knee_span:
        runs.append(await _run_at(bench, version, rate))
        if runs[-1].keeps_up:
            carried = rate
        else:
            too_high = rate
        if too_high == EXTREMES[1]:
            rate *= 2
        elif carried == EXTREMES[0]:
            rate /= 2
        else:
            rate = (carried * too_high) ** 0.5
        if not EXTREMES[0] < rate < EXTREMES[1]:
            break
    return runs


async def _run_at(bench: Bench, version: Version, rate: float) -> Played:
    seconds = bench.effort.knee_seconds
    async with contact_centre(version, bench.new_folder()) as centre:
        with centre.serving() as server:
            await warm_up(server, centre.genesys)
            return await play(server, centre.genesys, rate, seconds, call_seconds=SHORT_CALL_SECONDS, gives_up=True)

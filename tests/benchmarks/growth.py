"""What grows with every call that was ever made: nothing should, once retention has deleted what is old.

Links are kept in memory until they expire. Where calls have been made for as long as that, as many expire as are made; here
that is so after some minutes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from policy_server.conferences.store import ConferenceStore
from tests.benchmarks.bench import Bench
from tests.benchmarks.callers import Callers
from tests.benchmarks.contact_centre import contact_centre
from tests.benchmarks.databases import sqlite
from tests.benchmarks.table import Beside, Goal, Row
from tests.benchmarks.versions import NOW

AT_ONCE: Final = 8
"""Calls that are under way at a time."""

LINK_TTL: Final = "2m"
"""How long a link is good: less than it takes to play the first calls."""

LATER: Final = timedelta(days=90)
"""After this everything is old."""


async def growth(bench: Bench) -> AsyncIterator[Row]:
    """Memory and database after many calls, and after as many more, when those before are forgotten and deleted."""
    folder, number = bench.new_folder(), bench.effort.calls_in_a_row
    sizes: list[int] = []
    memory: list[float] = []
    with sqlite(folder) as database:
        async with contact_centre(NOW, folder / "rules", database=database.url) as centre:
            with centre.serving() as server:
                callers = Callers(server, centre.genesys, 0, link_ttl=LINK_TTL)
                numbers = iter(range(number * 2))
                for pause in (bench.effort.forget_seconds, 0):
                    await _play(callers, numbers, number)
                    memory.append(server.resident_mib)
                    await asyncio.sleep(pause)
                    await _purge(database.url)
                    sizes.append(database.size())
                callers.close()
    bench.raw["growth"] = {"mib": memory, "bytes": sizes, "calls": number}
    grown, faults = (memory[1] - memory[0]) / number * 1000, callers.seen.reasons
    what = f"memory grown by 1,000 calls, of {number:,} after {number:,}"
    yield Row(what, grown, "MiB", Goal(0.5, "at most", "figure"), faults=faults)
    before, after = (size / 2**20 for size in sizes)
    what = f"database once {number:,} calls are deleted, and {number:,} more"
    yield Row(what, after, "MiB", Goal(1.05, "at most", "ratio"), Beside("before", before), faults=faults)


async def _play(callers: Callers, numbers: Iterator[int], calls: int) -> None:
    """So many calls without a pause."""
    left = iter(range(calls))

    async def play_some() -> None:
        for _ in left:
            await callers.call(next(numbers))

    async with asyncio.TaskGroup() as playing:
        for _ in range(AT_ONCE):
            playing.create_task(play_some())


async def _purge(url: str) -> None:
    async with ConferenceStore(url) as store:
        await store.purge(datetime.now(UTC) + LATER)

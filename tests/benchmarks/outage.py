"""What new rooms wait while the database is away."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from time import perf_counter

from policy_server.simulator.node import web_question
from tests.benchmarks.bench import Bench
from tests.benchmarks.callers import Callers
from tests.benchmarks.contact_centre import contact_centre
from tests.benchmarks.table import Goal, Row
from tests.benchmarks.versions import Version
from tests.conferences.postgres import Postgres, running_postgres

ROOMS = 11


async def outage(bench: Bench) -> AsyncIterator[Row]:
    """PostgreSQL that is stopped: its connections stay, and nothing answers."""
    waits = {version: await _new_rooms(bench, version) for version in bench.versions}
    bench.raw["new rooms while the database is away"] = {version.name: each for version, each in waits.items()}
    longest = {version: max(each[1:]) for version, each in waits.items()}
    now, *_ = bench.versions
    name = "a new room's wait while the database is away, after the first"
    yield Row(name, longest[now], "ms", Goal(50, "at most", "figure"), bench.beside(longest))


async def _new_rooms(bench: Bench, version: Version) -> list[float]:
    """Milliseconds that each of some new rooms waited, one after the other."""
    with running_postgres() as postgres:
        async with contact_centre(version, bench.new_folder(), database=postgres.url()) as centre:
            with centre.serving() as server:
                callers = Callers(server, centre.genesys, 0)
                links = [await callers.link(f"Ada {number}") for number in range(ROOMS + 1)]
                first, *others = links
                await callers.policy("service/configuration", **web_question(first["alias"], "Ada"))
                waits: list[float] = []
                with _stopped(postgres):
                    for number, link in enumerate(others):
                        began = perf_counter()
                        await callers.policy("service/configuration", **web_question(link["alias"], f"Ada {number}"))
                        waits.append((perf_counter() - began) * 1000)
                        await asyncio.sleep(0.05)
                callers.close()
                return waits


@contextmanager
def _stopped(postgres: Postgres) -> Iterator[None]:
    """The server and all its processes stand still."""
    parent = int(str(postgres.execute("SELECT pg_read_file('postmaster.pid')")[0][0]).splitlines()[0])
    processes = [parent, *(int(str(pid)) for (pid,) in postgres.execute("SELECT pid FROM pg_stat_activity"))]
    running = [pid for pid in processes if _signalled(pid, signal.SIGSTOP)]
    try:
        yield
    finally:
        for pid in running:
            _signalled(pid, signal.SIGCONT)


def _signalled(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        # The process that answered who is there has ended.
        return False
    return True

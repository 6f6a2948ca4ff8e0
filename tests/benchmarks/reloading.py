"""What nodes wait while rules are loaded again."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.callers import Callers
from tests.benchmarks.contact_centre import contact_centre
from tests.benchmarks.material import write_questions
from tests.benchmarks.probe import Waits, probing
from tests.benchmarks.running_calls import ask_of_calls
from tests.benchmarks.servers import Server
from tests.benchmarks.table import Goal, Row
from tests.benchmarks.versions import NOW

FEWER: Final = 1000
"""Rules of the set that is loaded again and again."""

SETTLE_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.2
PATIENCE: Final = 60.0
"""Seconds for one reload."""


async def reload(bench: Bench) -> AsyncIterator[Row]:
    """Many rules loaded again while questions come, and fewer again and again."""
    many = bench.effort.rules
    waits, faults = await _while_reloading(bench, many, bench.effort.reloads)
    name = f"slowest policy answer while {many:,} rules are reloaded"
    yield Row(name, waits.slowest, "ms", Goal(100, "at most", "figure"), faults=faults)
    waits, faults = await _while_reloading(bench, FEWER, bench.effort.reloads_in_a_row)
    name = f"policy p99 while {FEWER:,} rules are reloaded in a row"
    yield Row(name, waits.p99, "ms", Goal(20, "at most", "figure"), faults=faults)


async def _while_reloading(bench: Bench, rules: int, times: int) -> tuple[Waits, tuple[str, ...]]:
    """What nodes waited while so many rules were loaded again so often, and what went wrong."""
    folder = bench.new_folder()
    async with contact_centre(NOW, folder / "rules", rules=rules) as centre:
        with centre.serving() as server:
            callers = Callers(server, centre.genesys, 0)
            questions = await ask_of_calls(callers)
            callers.close()
            async with probing(server, write_questions(folder / "questions.txt", questions)) as probe:
                await asyncio.sleep(SETTLE_SECONDS)
                began = perf_counter()
                for _ in range(times):
                    await _reload(server, centre.rules / "rules.yaml", questions[0])
                ended = perf_counter()
    waits = probe.between(began, ended)
    seen = {"policy": waits.milliseconds, "seconds": (ended - began) / times}
    bench.raw[f"{rules} rules reloaded"] = seen
    return waits, (*probe.reasons, *callers.seen.reasons)


async def _reload(server: Server, file: Path, question: str) -> None:
    """Changes a comment in the rules, tells the server, and waits until it answers by the new ones."""
    before = await asyncio.to_thread(_revision, server, question)
    await asyncio.to_thread(_add_comment, file)
    os.kill(server.pid, signal.SIGHUP)
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(_revision, server, question) == before:  # noqa: ASYNC110  another process is asked
            await asyncio.sleep(LOOK_SECONDS)


def _add_comment(file: Path) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(file.read_text() + "# Looked through again.\n")
    fresh.replace(file)


def _revision(server: Server, question: str) -> str:
    return str(json.loads(server.ask(question))["revision"])

"""A node that asks policy questions at a steady rate, whatever comes of those before, from a process of its own.

What the driver does at the same time must not show in what the node waits. ``probing`` starts it.
"""

import asyncio
import json
import math
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Final

from tests.benchmarks.connection import Connection
from tests.benchmarks.servers import AUTHORIZATION, PATH, Server
from tests.benchmarks.versions import HERE

RATE: Final = 50.0
"""Questions a second."""

PATIENCE: Final = 5.0
"""Seconds that a node waits (pexip/README.md: Transport)."""


@dataclass
class Probe:
    """What the node saw: when it asked, by the clock of perf_counter, and seconds to the answer. Known once it has ended."""

    answers: list[tuple[float, float]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def reasons(self) -> tuple[str, ...]:
        """How many faults there were, and the first of them; empty if there were none."""
        return (f"{len(self.faults)} faults, such as {self.faults[0]}",) if self.faults else ()

    def between(self, began: float = 0.0, ended: float = math.inf) -> "Waits":
        """What those waited who asked in that time."""
        return Waits(sorted(seconds * 1000 for at, seconds in self.answers if began <= at < ended))


@dataclass(frozen=True, slots=True)
class Waits:
    """Milliseconds of answers, in order."""

    milliseconds: Sequence[float]

    @property
    def median(self) -> float:
        """Half of them took longer."""
        return statistics.median(self.milliseconds) if self.milliseconds else math.inf

    @property
    def p99(self) -> float:
        """One in a hundred took longer."""
        return self.milliseconds[int(len(self.milliseconds) * 0.99)] if self.milliseconds else math.inf

    @property
    def slowest(self) -> float:
        """The longest."""
        return self.milliseconds[-1] if self.milliseconds else math.inf


@asynccontextmanager
async def probing(server: Server, queries: Path) -> AsyncIterator[Probe]:
    """Asks the queries of a file in turn while the block lasts; ``Probe`` is filled when it ends."""
    probe = Probe()
    arguments = ("-m", "tests.benchmarks.probe", str(server.port), str(queries))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=HERE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield probe
    finally:
        # It ends when its input does.
        process.stdin.close()
        output, _ = await process.communicate()
        seen = json.loads(output)
        probe.answers.extend((at, seconds) for at, seconds in seen["answers"])
        probe.faults.extend(seen["faults"])


class _Node:
    def __init__(self, port: int, queries: Sequence[str]) -> None:
        self.seen: Final = Probe()
        self._port: Final = port
        self._queries: Final = queries
        self._idle: Final[list[Connection]] = []

    async def ask_until(self, ended: asyncio.Event) -> None:
        """Asks from now on, and waits for the last answer."""
        began = perf_counter()
        async with asyncio.TaskGroup() as asking:
            number = 0
            while not ended.is_set():
                asking.create_task(self._ask(self._queries[number % len(self._queries)]))
                number += 1
                await asyncio.sleep(max(0.0, began + number / RATE - perf_counter()))

    async def _ask(self, query: str) -> None:
        connection = self._idle.pop() if self._idle else Connection(self._port)
        began = perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                status, headers = await connection.send("GET", f"{PATH}?{query}", {"Authorization": AUTHORIZATION})
                await connection.body(headers)
        except (OSError, asyncio.IncompleteReadError) as error:
            connection.close()
            self.seen.faults.append(f"policy: no answer: {type(error).__name__}")
            status = 0
        self.seen.answers.append((began, perf_counter() - began))
        if status not in {0, 200}:
            self.seen.faults.append(f"policy: status {status}")
        self._idle.append(connection)


async def _ask_while_input_lasts(port: int, queries: Sequence[str]) -> Probe:
    node, ended = _Node(port, queries), asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    print("asking", flush=True)
    await node.ask_until(ended)
    return node.seen


def main() -> None:
    """Asks until its input ends, then prints what it saw."""
    _, port, queries = sys.argv
    seen = asyncio.run(_ask_while_input_lasts(int(port), Path(queries).read_text().splitlines()))
    print(json.dumps({"answers": seen.answers, "faults": seen.faults}))


if __name__ == "__main__":
    main()

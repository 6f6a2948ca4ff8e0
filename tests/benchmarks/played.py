"""Calls that begin at a steady rate, and what they cost."""

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from tests.benchmarks.callers import Callers
from tests.benchmarks.genesys import GenesysCloud
from tests.benchmarks.servers import Server

CALL_SECONDS: Final = 6.0
"""From the customer's arrival to the last hang-up: a real call is longer, and costs no more for it."""

POLICY_QUESTIONS: Final = 9
"""Of one call."""

LATE_SECONDS: Final = 2.0
"""So much longer than without any wait may the last call take: else calls pile up."""

WARMING: Final = 8
"""Calls before those that are measured."""

_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Played:
    """What calls at one rate came to. Milliseconds; ``load`` is the share of a core."""

    rate: float
    calls: int
    cpu_a_call: float
    policy_p50: float
    policy_p99: float
    load: float
    late: float
    """Seconds that the last call ended later than without any wait."""
    gave_up: bool
    faults: tuple[str, ...]

    @property
    def keeps_up(self) -> bool:
        """Whether nodes were answered in time, and calls ended well and as fast as they began."""
        return not self.gave_up and not self.faults and self.policy_p99 < 100 and self.late < LATE_SECONDS


async def warm_up(server: Server, genesys: GenesysCloud) -> None:
    """Plays some calls that nobody measures."""
    callers = Callers(server, genesys, 0.5)
    await asyncio.gather(*map(callers.call, range(WARMING)))
    callers.close()


async def play(server: Server, genesys: GenesysCloud, rate: float, seconds: float, *, gives_up: bool = False) -> Played:
    """Calls that begin so often a second. ``gives_up``: only until more policy answers are slow than may be."""
    callers = Callers(server, genesys, CALL_SECONDS)
    seen, number = callers.seen, round(rate * seconds)
    began, before = perf_counter(), server.cpu_seconds

    async def begin() -> None:
        async with asyncio.TaskGroup() as calls:
            for one in range(number):
                calls.create_task(callers.call(one))
                await asyncio.sleep(max(0.0, began + (one + 1) / rate - perf_counter()))

    playing = asyncio.create_task(begin())
    patience = number * POLICY_QUESTIONS * 0.01 if gives_up else number * POLICY_QUESTIONS
    until = began + seconds + CALL_SECONDS * (2 if gives_up else 20)
    while not playing.done() and seen.slow <= patience and perf_counter() < until:
        await asyncio.wait({playing}, timeout=_LOOK_SECONDS)
    gave_up = playing.cancel()
    await asyncio.wait({playing})
    spent, lasted = server.cpu_seconds - before, perf_counter() - began
    callers.close()
    return Played(
        rate,
        seen.finished,
        spent / max(seen.finished, 1) * 1000,
        seen.median("policy"),
        seen.percentile("policy", 0.99),
        spent / lasted,
        lasted - seconds - CALL_SECONDS,
        gave_up,
        (
            *seen.reasons,
            *(() if seen.finished == number else (f"{number - seen.finished} of {number} calls did not end",)),
        ),
    )

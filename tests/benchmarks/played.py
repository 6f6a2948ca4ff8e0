"""Calls that begin at a steady rate, and what they cost."""

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from tests.benchmarks.callers import Callers
from tests.benchmarks.genesys import GenesysCloud
from tests.benchmarks.servers import Server

CALL_SECONDS: Final = 6.0
"""From the customer's arrival to the last hang-up, unless said otherwise: a real call is longer, and costs no more for it."""

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


async def play(
    server: Server,
    genesys: GenesysCloud,
    rate: float,
    seconds: float,
    *,
    call_seconds: float = CALL_SECONDS,
    gives_up: bool = False,
) -> Played:
    """Calls that begin so often a second.

    Answers to nodes count once as many calls end as begin, if it goes on for so long. ``gives_up``: it goes on only until
    more of them are slow than may be.
    """
    callers = Callers(server, genesys, call_seconds)
    seen, number = callers.seen, round(rate * seconds)
    began, before = perf_counter(), server.cpu_seconds
    steady = call_seconds if seconds > call_seconds else 0.0
    seen.window = began + steady, began + seconds

    async def begin() -> None:
        async with asyncio.TaskGroup() as calls:
            for one in range(number):
                calls.create_task(callers.call(one))
                await asyncio.sleep(max(0.0, began + (one + 1) / rate - perf_counter()))

    playing = asyncio.create_task(begin())
    asked = rate * (seconds - steady) * POLICY_QUESTIONS
    until = began + seconds + call_seconds * (2 if gives_up else 20)
    while not playing.done() and not (gives_up and seen.slow > asked * 0.01) and perf_counter() < until:
        await asyncio.wait({playing}, timeout=_LOOK_SECONDS)
    gave_up = playing.cancel()
    await asyncio.wait({playing})
    spent, lasted = server.cpu_seconds - before, perf_counter() - began
    callers.close()
    lost = number - seen.finished
    return Played(
        rate,
        seen.finished,
        spent / max(seen.finished, 1) * 1000,
        seen.median("policy"),
        seen.percentile("policy", 0.99),
        spent / lasted,
        lasted - seconds - call_seconds,
        gave_up,
        (*seen.reasons, *((f"{lost} of {number} calls did not end",) if lost else ())),
    )

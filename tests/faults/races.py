"""Rows of many calls: how trunks share them by weight, and what happens when two things come at the same moment."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from policy_server.conferences.assurance import DIALS_WITHIN, LATE
from policy_server.management.pace import NODE_LIMIT
from tests.faults.stage import ANSWERS, BUSY, Customer, Line, Ring, Stage, overlap, staged, until
from tests.faults.table import Row

CALLS: Final = 40
TRIES: Final = 24
MOST_LEGS: Final = 5
SECONDS: Final = 60.0
ANSWER_WITHIN: Final = 6.0
EXPECTED: Final = DIALS_WITHIN + LATE
"""Seconds after which the first trunk is dialled for a room that no node was heard to dial for."""

MOST_TWO_LEGS: Final = 4.0
"""Seconds for which two legs may live where a node dials at the moment at which we do: a look, and the end of a call."""


async def weights(name: str, folder: Path) -> Row:
    """Two trunks share calls three to one; the second is busy, and its calls go to the third."""
    dial_out = "{ trunk: first, weight: 3 }, { trunk: second, weight: 1 }, { trunk: third, when: failed }"
    async with staged(folder, dial_out, lines={"second": BUSY}, rate=NODE_LIMIT) as stage:
        customers = [await stage.customer() for _ in range(CALLS)]
        await until(lambda: all(_trunk_of(stage, each) for each in customers), SECONDS)
        return _row(name, stage, customers, 0.0, _is_shared)


def _is_shared(ways: Counter[str]) -> bool:
    """Whether calls went as they should; that chance gives more or less than this happens once in ten thousand runs."""
    return set(ways) == {"first", "second → third"} and CALLS // 2 <= ways["first"] < CALLS


async def limits(name: str, folder: Path) -> Row:
    """The first trunk has as many legs as it may have, and what is more goes to the next at once."""
    async with staged(folder, most_legs=MOST_LEGS, rate=NODE_LIMIT) as stage:
        customers = [await stage.customer() for _ in range(MOST_LEGS * 2)]
        await until(lambda: all(_trunk_of(stage, each) for each in customers), SECONDS)
        shares = {"first": MOST_LEGS, "second": MOST_LEGS}
        return _row(name, stage, customers, 0.0, lambda ways: ways == shares)


async def late_answers(name: str, folder: Path) -> Row:
    """The first trunk answers at the moment at which its leg is ended for having been silent too long."""

    def line(ring: Ring) -> Line:
        number = sum(each.trunk == "first" for each in stage.rings)
        return Line(after=ANSWER_WITHIN + number * 0.1) if ring.trunk == "first" else ANSWERS

    async with staged(folder, assurance=f"answer_within: {ANSWER_WITHIN:g}s", lines=line, rate=NODE_LIMIT) as stage:
        customers = [await stage.customer() for _ in range(TRIES)]
        await until(lambda: all(_trunk_of(stage, each) for each in customers), SECONDS)
        # Who was answered as the leg was ended is connected for a moment, and then again.
        await asyncio.sleep(8)
        await until(lambda: all(_trunk_of(stage, each) for each in customers), SECONDS)
        return _row(name, stage, customers, 0.0, lambda ways: set(ways) <= {"first", "first → second"})


async def late_dials(name: str, folder: Path) -> Row:
    """A node dials its first leg when nobody expects it to any more, at the moment at which we do."""
    async with staged(folder, adp_delay=EXPECTED, rate=NODE_LIMIT) as stage:
        customers = []
        for number in range(TRIES):
            vars(stage.node._dialler)["_delay"] = EXPECTED + number * 0.15
            customers.append(await stage.customer())
        await until(lambda: all(len(stage.of(each.call)) for each in customers), SECONDS)
        await asyncio.sleep(10)
        await until(lambda: all(_trunk_of(stage, each) for each in customers), SECONDS)
        return _row(name, stage, customers, MOST_TWO_LEGS, lambda _: True)


def _trunk_of(stage: Stage, customer: Customer) -> str:
    return next((name for name in ("first", "second", "third") if stage.is_with(customer.call, name)), "")


def _row(
    name: str, stage: Stage, customers: list[Customer], most_two_legs: float, is_right: Callable[[Counter[str]], bool]
) -> Row:
    """What came of many calls, each of which is connected by now."""
    now = time.monotonic()
    by_call = [stage.of(each.call) for each in customers]
    ways = Counter(" → ".join(ring.trunk for ring in rings) for rings in by_call)
    double = max(map(overlap, by_call))
    talks = Counter(_trunk_of(stage, each) for each in customers)
    longest = max(
        max(ring.answered_at or now for ring in rings if ring.over_at is None) - rings[0].at for rings in by_call
    )
    wrong = [f"calls went {dict(ways)}"] if not is_right(ways) else []
    wrong += [f"two legs for {double:.2f} s"] if double > most_two_legs else []
    wrong += ["two legs live"] if any(sum(ring.over_at is None for ring in rings) > 1 for rings in by_call) else []
    invites = tuple(f"{way}: {count}" for way, count in sorted(ways.items()))
    told = ", ".join(f"{count} by the {trunk}" for trunk, count in sorted(talks.items()))
    return Row(name, invites, double, f"{len(customers)} talk: {told}", longest, "", tuple(wrong))


RACES: Final[Mapping[str, Callable[[str, Path], Awaitable[Row]]]] = {
    f"{CALLS} calls, weights 3 to 1, the second trunk busy": weights,
    f"limits reached: {MOST_LEGS * 2} calls, `limits: {{ legs: {MOST_LEGS} }}`": limits,
    f"{TRIES} answers between {ANSWER_WITHIN:g} and {ANSWER_WITHIN + TRIES / 10:.1f} s, `answer_within: 6s`": late_answers,
    f"{TRIES} rooms that Pexip first dials for between {EXPECTED:g} and {EXPECTED + TRIES * 0.15:.1f} s": late_dials,
}
"""Each plays its calls and says what came of them, under its name."""

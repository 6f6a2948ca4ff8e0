"""Waiting for what happens by itself, on however busy a machine. What the product promises is measured where it is tested."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 60.0
"""Seconds after which what has not happened is not going to."""
WHOLE_PATIENCE: Final = 4 * PATIENCE
"""Seconds that a whole scenario gets, which may wait several times: its waits end first, and say for what."""


def eventually(probe: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Asks until the result is truthy; fails after the deadline with what it was last."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        time.sleep(0.02)
    return found


async def until(probe: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Asks until the result is truthy, while the loop goes on; fails after the deadline with what it was last."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        await asyncio.sleep(0.005)
    return found

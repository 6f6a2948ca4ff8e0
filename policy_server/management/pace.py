"""How fast the Management Node is asked: a token bucket. Pure: the time is an argument."""

from typing import Final

WINDOW: Final = 60.0
"""Seconds in which the node counts requests (management/README.md: Basics)."""

NODE_LIMIT: Final = 1000
"""Requests that the node takes in that time, of all who ask it."""

SLOWEST: Final = 10
"""The fewest requests a minute that one may set."""

RATE: Final = 250
"""Requests a minute of one process, unless set: room for four processes."""

PATIENCE: Final = 3.0
"""Seconds that a request waits for its turn; what would wait longer is refused."""

_NOTHING: Final = 1e-6
"""Seconds that are only how numbers are rounded."""


class Pace:
    """Gives requests their turns, in the order in which they ask: in no ``WINDOW`` more than ``rate``.

    A quarter of the rate may go at once, the rest comes evenly. ``now`` is seconds of one clock that never goes back.
    """

    def __init__(self, rate: int) -> None:
        if not SLOWEST <= rate <= NODE_LIMIT:
            raise ValueError(f"the rate must be from {SLOWEST} to {NODE_LIMIT}")
        at_once = rate // 4
        self._interval: Final = WINDOW / (rate - at_once)
        self._tolerance: Final = (at_once - 1) * self._interval
        # When the next request would have its turn if all came evenly.
        self._due = float("-inf")
        self._paused_until = float("-inf")

    def reserve(self, now: float, patience: float = PATIENCE) -> float | None:
        """Takes the next turn and says in how many seconds it is; None if that is later than ``patience``."""
        wait = self.wait(now)
        if wait > patience:
            return None
        self._due = max(self._due, now + wait) + self._interval
        return wait

    def wait(self, now: float) -> float:
        """Seconds until the next turn."""
        wait = max(self._due - self._tolerance - now, self._paused_until - now)
        return wait if wait > _NOTHING else 0.0

    def pause(self, until: float) -> None:
        """No turn before that."""
        self._paused_until = max(self._paused_until, until)

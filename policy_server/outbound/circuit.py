"""When to leave a system alone that does not answer, and when to try it again. Pure: the time is an argument."""

from typing import Final

FAILURES: Final = 5
"""Failures one after the other that open a circuit, unless it is said otherwise."""

PAUSE: Final = 15.0
"""Seconds between attempts while a circuit is open, unless it is said otherwise."""


class Circuit:
    """Closed as long as answers come. ``failures`` in a row without one open it, and the next answer closes it.

    While it is open one request is let through every ``pause`` seconds, to see whether the system is back. Whoever asks
    ``allows`` and is let through tells what became of it. ``now`` is seconds of one clock that never goes back.
    """

    def __init__(self, *, failures: int = FAILURES, pause: float = PAUSE) -> None:
        self._limit: Final = failures
        self._pause: Final = pause
        self._failures = 0
        self._next_attempt = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether the system counts as away."""
        return self._failures >= self._limit

    def allows(self, now: float) -> bool:
        """Whether a request may be sent now; while it is open, the one that may is the attempt of this pause."""
        if not self.is_open:
            return True
        if now < self._next_attempt:
            return False
        # Also when nobody tells what became of it, the next attempt comes.
        self._next_attempt = now + self._pause
        return True

    def wait(self, now: float) -> float:
        """Seconds until a request may be sent again, 0 if one may be now."""
        return max(self._next_attempt - now, 0.0) if self.is_open else 0.0

    def succeeded(self) -> None:
        """The system has answered."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """The system has not answered, or not as itself."""
        self._failures = min(self._failures + 1, self._limit)
        self._next_attempt = now + self._pause

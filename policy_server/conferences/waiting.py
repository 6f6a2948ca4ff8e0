"""Answers that somebody waits for, and for how long."""

import asyncio
from collections.abc import Callable
from typing import Any, Final


class Waiting:
    """Fails the answers that are late. All have the same patience, so one timer is enough, for the oldest of them.

    ``late`` makes the error of an answer that did not come within so many seconds.
    """

    def __init__(self, patience: float, late: Callable[[float], Exception]) -> None:
        self._patience: Final = patience
        self._late: Final = late
        # In the order of their deadlines, by the clock of the event loop.
        self._deadlines: Final[dict[asyncio.Future[Any], float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, answer: asyncio.Future[Any]) -> None:
        """Waits for an answer from now on."""
        loop = answer.get_loop()
        self._deadlines[answer] = loop.time() + self._patience
        if self._timer is None:
            self._timer = loop.call_later(self._patience, self._look)

    def settle(self, answer: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
        """Gives an answer, unless nobody waits for it any more."""
        self._deadlines.pop(answer, None)
        if answer.done():
            return
        if error is None:
            answer.set_result(outcome)
        else:
            answer.set_exception(error)

    def end(self, error: Callable[[], Exception]) -> None:
        """Fails whatever is still waited for."""
        for answer in tuple(self._deadlines):
            self.settle(answer, None, error())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        for answer, deadline in tuple(self._deadlines.items()):
            loop = answer.get_loop()
            seconds = deadline - loop.time()
            if seconds > 0:
                self._timer = loop.call_later(seconds, self._look)
                break
            self.settle(answer, None, self._late(self._patience))

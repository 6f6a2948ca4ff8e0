"""Threads that work for the event loop, each with a tool of its own, such as a connection that one thread uses alone.

A pool of ``concurrent.futures`` makes several objects, locks and turns of the loop of one piece of work, which cost more
than most statements; and the process could not end while one of its threads hangs.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

S = TypeVar("S")

Done = Callable[[Any, BaseException | None], None]
"""Called in the event loop with what a piece of work returned, or with what it raised."""


class Threads(Generic[S]):
    """Up to ``most`` threads, which start when they are needed. Use them from one event loop.

    ``make`` makes the tool of a thread, and ``end`` puts it away; both are called in that thread.
    """

    def __init__(self, most: int, name: str, make: Callable[[], S], end: Callable[[S], None]) -> None:
        self._most: Final = most
        self._name: Final = name
        self._make: Final = make
        self._end: Final = end
        self._work: Final[SimpleQueue[tuple[Callable[[S], Any], Done] | None]] = SimpleQueue()
        self._ended: Final[list[asyncio.Future[None]]] = []
        self._busy = 0
        self._idle: asyncio.Future[None] | None = None

    def run(self, work: Callable[[S], Any], done: Done) -> None:
        """Begins a piece of work as soon as a thread is free, in the order of calls."""
        if self._busy >= len(self._ended) < self._most:
            loop = asyncio.get_running_loop()
            ended = loop.create_future()
            self._ended.append(ended)
            # Not waited for at the end of the process: what hangs in a driver then would hold it up.
            threading.Thread(target=self._run, args=(loop, ended), name=self._name, daemon=True).start()
        self._busy += 1
        self._work.put((work, done))

    async def stop(self, seconds: float) -> None:
        """Waits until everything is done, what comes of it too, and put away, ``seconds`` at the most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._busy:
                    self._idle = asyncio.get_running_loop().create_future()
                    await self._idle
                for _ in self._ended:
                    self._work.put(None)
                await asyncio.gather(*map(asyncio.shield, self._ended))

    def _run(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
        tool = self._make()
        # A loop that was closed waits for nothing.
        with suppress(RuntimeError):
            while (some := self._work.get()) is not None:
                work, done = some
                try:
                    outcome, error = work(tool), None
                except BaseException as raised:
                    outcome, error = None, raised
                loop.call_soon_threadsafe(self._hand_over, done, outcome, error)
                # Nothing is kept while the thread waits.
                del some, work, done, outcome, error
        self._end(tool)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, ended)

    def _hand_over(self, done: Done, outcome: Any, error: BaseException | None) -> None:
        self._busy -= 1
        try:
            done(outcome, error)
        finally:
            if not self._busy and self._idle is not None:
                _settle(self._idle)


def _settle(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)

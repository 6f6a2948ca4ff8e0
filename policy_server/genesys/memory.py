"""What is remembered between questions: answers for a while, and questions that are under way."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """Values that end at a time, at most ``limit`` of them: the one that was not used for longest goes first, and whenever
    something is asked for so do all before it that have ended.
    """

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._entries: Final[OrderedDict[K, tuple[float, V]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: K, value: V, until: float) -> None:
        """Keeps a value as long as the time is before ``until``."""
        self._entries[key] = (until, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def get(self, key: K, now: float) -> V | None:
        """The value, or None if there is none any more."""
        entries = self._entries
        while entries and now >= next(iter(entries.values()))[0]:
            entries.popitem(last=False)
        entry = entries.get(key)
        if entry is None:
            return None
        until, value = entry
        if now >= until:
            del entries[key]
            return None
        entries.move_to_end(key)
        return value

    def drop(self, key: K) -> None:
        """Forgets a value, if there is one."""
        self._entries.pop(key, None)


class Flights(Generic[K, V]):
    """Work under way, one piece at a time for a key: who asks meanwhile waits for the same answer.

    The work is nobody's: a caller who gives up takes nothing from the others.
    """

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._tasks: Final[dict[K, asyncio.Task[V]]] = {}
        self._closed = False

    def __contains__(self, key: object) -> bool:
        """Whether there is work under way for ``key``."""
        return key in self._tasks

    async def join(self, key: K, start: Callable[[], Coroutine[Any, Any, V]]) -> V | None:
        """The answer of the work for ``key``, which begins now unless it is under way already.

        None if there is too much work under way, or when ``close`` ended it.
        """
        task = self._tasks.get(key)
        if task is None:
            if self._closed or len(self._tasks) >= self._limit:
                return None
            task = self._tasks[key] = asyncio.create_task(start())
            task.add_done_callback(lambda done: self._land(key, done))
        # Not awaited itself: that would end it with this caller.
        await asyncio.wait((task,))
        return None if task.cancelled() else task.result()

    async def close(self) -> None:
        """Ends what is under way, and begins nothing any more."""
        self._closed = True
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _land(self, key: K, done: asyncio.Task[V]) -> None:
        del self._tasks[key]
        if not done.cancelled():
            # Marks a failure as seen: those who waited have it, and if nobody waits any more there is nobody to tell.
            done.exception()

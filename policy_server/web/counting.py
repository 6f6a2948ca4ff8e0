"""Counting what lies in the database, now and then and beside all answers."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from policy_server.conferences.errors import StoreUnavailableError

COUNT_SECONDS: Final = 15.0
"""Seconds between two counts."""

log = logging.getLogger(__name__)


class Counting:
    """Counts again and again from ``start`` to ``close``. While the database is away the last counts stay."""

    def __init__(self, count: Callable[[], Awaitable[None]], seconds: float) -> None:
        self._count: Final = count
        self._seconds: Final = seconds
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to count, on the loop that runs."""
        self._running = asyncio.create_task(self._count_for_ever())

    async def close(self) -> None:
        """Counts no more."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def _count_for_ever(self) -> None:
        while True:
            try:
                await self._count()
            except StoreUnavailableError as error:
                # That the database is away is said elsewhere.
                log.debug("uncounted: %s", error)
            except Exception:
                log.exception("uncounted: it is tried again")
            await asyncio.sleep(self._seconds)

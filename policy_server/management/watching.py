"""Whether the Management Node answers, asked beside everything else at a calm pace."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from policy_server.management.client import ManagementClient
from policy_server.management.results import Reason

CALM: Final = 30.0
"""Seconds between two questions."""

REFUSED: Final = 300.0
"""Seconds after credentials were refused: wrong ones, again and again, lock an account."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """What was found. ``problem`` says in words why the node cannot be asked, empty if it can; ``since`` when that began."""

    state: Literal["answers", "refuses", "away"]
    problem: str
    since: datetime


class Watch:
    """Asks again and again from ``start`` to ``stop``. ``condition`` is None before the first answer."""

    def __init__(
        self,
        client: ManagementClient,
        clock: Callable[[], datetime],
        *,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client: Final = client
        self._clock: Final = clock
        self._jitter: Final = jitter
        self._sleep: Final = sleep
        self.condition: Condition | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to ask, on the loop that runs."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Asks no more."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            pause = CALM
            try:
                pause = await self.look()
            except Exception:
                log.exception("management.check_failed: the Management Node is asked again later")
            # Several servers shall not ask at the same moment.
            await self._sleep(pause * (0.9 + 0.2 * self._jitter()))

    async def look(self) -> float:
        """Asks once; returns how long to wait before the next time, in seconds."""
        found = await self._client.check()
        if found is None:
            self._note("answers", "")
            return CALM
        if found.reason in _OURS:
            # Nobody asked the node, so nothing is new; but that it is left alone is.
            if self._client.is_away and (self.condition is None or self.condition.state == "answers"):
                self._note("away", found.detail)
            return CALM
        self._note("refuses" if found.reason in _REFUSALS else "away", found.detail)
        return REFUSED if found.reason == "credentials" else CALM

    def _note(self, state: Literal["answers", "refuses", "away"], problem: str) -> None:
        known = self.condition
        since = known.since if known is not None and known.state == state else self._clock()
        self.condition = Condition(state, problem, since)


_OURS: Final[frozenset[Reason]] = frozenset({"pace", "away"})
_REFUSALS: Final[frozenset[Reason]] = frozenset({"credentials", "forbidden", "refused", "busy"})

"""What agents, customers and the organisation's own systems ask is done in turn: so much of an audience at a time.

It costs many times what an answer to a node does, and comes in bursts: all streams after a restart, a morning's
invitations. A node's question waits for none of it, only for the few pieces that are under way.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from policy_server.web.problem import ProblemResponse, Refused

AT_ONCE: Final = 8
"""Requests of an audience that are worked on at a time, and that begin in one round of the event loop."""

WAITING_LIMIT: Final = 1000
"""Requests of an audience that wait for their turn."""

PATIENCE: Final = 5.0
"""Seconds that a request waits for its turn."""

RETRY_SECONDS: Final = 5
"""Who gets no turn is told to come back after one to so many seconds, not all at the same time."""


class Admission:
    """The turns of one audience, first come, first served. ``async with`` it around the work; raises Refused (503).

    ``jitter`` gives numbers from 0 to 1, so that those who are refused come back spread out.
    """

    def __init__(
        self,
        at_once: int = AT_ONCE,
        *,
        waiting_limit: int = WAITING_LIMIT,
        patience: float = PATIENCE,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._free = at_once
        self._waiting_limit: Final = waiting_limit
        self._patience: Final = patience
        self._jitter: Final = jitter
        self._waiting: Final[OrderedDict[asyncio.Future[None], None]] = OrderedDict()
        self.refused = 0
        """Requests that got no turn."""

    async def __aenter__(self) -> None:
        if self._free:
            self._free -= 1
        elif len(self._waiting) < self._waiting_limit:
            await self._wait()
        else:
            raise self._refusal()

    async def __aexit__(self, *_: object) -> None:
        # Not at once: work without a pause would follow upon work, all before the loop looks for a node's question.
        asyncio.get_running_loop().call_soon(self._pass_on)

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except (TimeoutError, asyncio.CancelledError) as end:
            self._waiting.pop(turn, None)
            if not turn.cancelled():
                # Its turn came just now.
                self._pass_on()
            if isinstance(end, TimeoutError):
                raise self._refusal() from None
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _refusal(self) -> Refused:
        self.refused += 1
        # A browser that shows a customer this asks again by itself.
        seconds = str(1 + round(self._jitter() * (RETRY_SECONDS - 1)))
        headers = {"retry-after": seconds, "refresh": seconds, "cache-control": "no-store"}
        return Refused(ProblemResponse(503, "busy", "Too much is asked at once", "try again", headers))

"""How many tokens that nobody has vouched for may be asked about: anybody can make one up, and each is a request."""

import asyncio
from collections import Counter
from typing import Final

from policy_server.genesys.memory import Expiring

AT_ONCE: Final = 16
AT_ONCE_OF_ADDRESS: Final = 8
"""Questions about unknown tokens that are under way at a time, in all and for one address."""

MINUTE: Final = 60.0

BAD_A_MINUTE: Final = 300
BAD_A_MINUTE_OF_ADDRESS: Final = 30
"""Unknown tokens within a minute that turned out to be nobody's, in all and of one address: an office with many agents
may send any number of good ones.
"""

ADDRESSES_LIMIT: Final = 10_000
"""Addresses that are remembered."""

WAITING_LIMIT: Final = 1000
"""Questions about unknown tokens that wait for their turn: after a restart every agent's token is unknown."""

PATIENCE: Final = 5.0
"""Seconds that a question waits for its turn."""

RETRY_SECONDS: Final = 1
"""What a caller is told who got no turn."""


class Strangers:
    """Takes questions about unknown tokens in turn. ``enter`` before each, ``leave`` after it."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience: Final = patience
        self._under_way: Final[Counter[str]] = Counter()
        self._waiting: Final[dict[asyncio.Future[int], str]] = {}
        self._bad: Final[Expiring[str, tuple[int, float]]] = Expiring(ADDRESSES_LIMIT)
        self._bad_in_all = (0, 0.0)

    async def enter(self, address: str, now: float) -> int:
        """Waits for a place for one question; 0 once it is taken, or else the seconds after which to ask again."""
        seconds = self._try(address, now)
        if seconds is not None:
            return seconds
        if len(self._waiting) >= WAITING_LIMIT:
            return RETRY_SECONDS
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = address
        try:
            async with asyncio.timeout(self._patience):
                return await turn
        except (TimeoutError, asyncio.CancelledError) as end:
            self._waiting.pop(turn, None)
            if not turn.cancelled() and turn.result() == 0:
                # The place came just now.
                self.leave(address, now, is_bad=False)
            if isinstance(end, TimeoutError):
                return RETRY_SECONDS
            raise

    def _try(self, address: str, now: float) -> int | None:
        """Takes a place, and then 0; ``None`` if there is none now, or the seconds until there is one again."""
        bad, until = self._bad.get(address, now) or (0, now)
        all_bad, all_until = self._bad_in_all if now < self._bad_in_all[1] else (0, now)
        if bad >= BAD_A_MINUTE_OF_ADDRESS:
            return max(RETRY_SECONDS, round(until - now))
        if all_bad >= BAD_A_MINUTE:
            return max(RETRY_SECONDS, round(all_until - now))
        # What is under way may turn out bad, so it counts until it is known not to be.
        is_full = self._under_way[address] >= min(AT_ONCE_OF_ADDRESS, BAD_A_MINUTE_OF_ADDRESS - bad)
        if is_full or self._under_way.total() >= min(AT_ONCE, BAD_A_MINUTE - all_bad):
            return None
        self._under_way[address] += 1
        return 0

    def leave(self, address: str, now: float, *, is_bad: bool) -> None:
        """Gives the place back; ``is_bad``: the token was nobody's whom we know."""
        self._under_way[address] -= 1
        if not self._under_way[address]:
            del self._under_way[address]
        if is_bad:
            count, until = self._bad.get(address, now) or (0, now + MINUTE)
            self._bad.put(address, (count + 1, until), until)
            count, until = self._bad_in_all if now < self._bad_in_all[1] else (0, now + MINUTE)
            self._bad_in_all = (count + 1, until)
        self._let_in(now)

    def _let_in(self, now: float) -> None:
        """Gives those who wait, in their order, what there is for them now."""
        full = set[str]()
        for turn, address in tuple(self._waiting.items()):
            if address in full or turn.done():
                continue
            seconds = self._try(address, now)
            if seconds is None:
                full.add(address)
            else:
                del self._waiting[turn]
                turn.set_result(seconds)

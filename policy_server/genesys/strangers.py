"""How many tokens that nobody has vouched for may be asked about: anybody can make one up, and each is a request."""

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

RETRY_SECONDS: Final = 1
"""What a caller is told who came while too many questions were under way."""


class Strangers:
    """Counts questions about unknown tokens. ``enter`` before each, ``leave`` after it."""

    def __init__(self) -> None:
        self._under_way: Final[Counter[str]] = Counter()
        self._bad: Final[Expiring[str, tuple[int, float]]] = Expiring(ADDRESSES_LIMIT)
        self._bad_in_all = (0, 0.0)

    def enter(self, address: str, now: float) -> int:
        """Takes a place for one question; if there is none, the seconds after which to ask again, else 0."""
        of_address, in_all = self._under_way[address], self._under_way.total()
        bad, until = self._bad.get(address, now) or (0, now)
        # What is under way may turn out bad, so it counts until it is known not to be.
        if bad + of_address >= BAD_A_MINUTE_OF_ADDRESS:
            return max(RETRY_SECONDS, round(until - now))
        all_bad, all_until = self._bad_in_all if now < self._bad_in_all[1] else (0, now)
        if all_bad + in_all >= BAD_A_MINUTE:
            return max(RETRY_SECONDS, round(all_until - now))
        if of_address >= AT_ONCE_OF_ADDRESS or in_all >= AT_ONCE:
            return RETRY_SECONDS
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

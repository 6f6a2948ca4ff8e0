"""How many connections a listener has room for, in all and of one address, and whose place is free when all are taken.

Connections that wait for a request cost nothing but their place, so the one that has waited longest makes room for a new
one: whoever opens thousands and says nothing pushes out their own.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final

from policy_server.web.callers import Network, caller_network, is_within

MOST_CONNECTIONS: Final = 10_000
"""Connections of a process, all listeners together."""

OWN_FILES: Final = 256
"""Files that a process needs for itself: database, Genesys Cloud, Management API, rules, logs."""

SHARE_OF_ADDRESS: Final = 4
"""One address has one place in so many of a listener's."""

ENOUGH_FILES: Final = 4096
"""Open files that leave places for a busy day."""


def connection_limit(files: int, listeners: int) -> int:
    """Connections that each listener takes when the process may have so many files open.

    Each has as many: what strangers open at the public one is never missing at that of the nodes.
    """
    return max(1, min(MOST_CONNECTIONS, files - min(OWN_FILES, files // 2)) // listeners)


class Place:
    """One connection's place. ``end`` cuts the connection off, whatever state it is in."""

    __slots__ = ("_caller", "_places", "end")

    def __init__(self, places: "Places", caller: str) -> None:
        self._places: Final = places
        self._caller: Final = caller
        self.end: Callable[[], object] = _nothing

    def work(self) -> None:
        """The connection has a request: nobody else gets its place."""
        self._places.pick_up(self, self._caller)

    def rest(self) -> None:
        """The connection waits for a request."""
        self._places.lay_down(self, self._caller)

    def leave(self) -> None:
        """The connection is over; calling it again does nothing."""
        self._places.free(self, self._caller)


def _nothing() -> None:
    """Ends a connection that was never begun."""


class Places:
    """The places of one listener, in one process. Addresses of ``proxies`` may have all of them."""

    def __init__(self, limit: int, proxies: tuple[Network, ...] = ()) -> None:
        self._limit: Final = limit
        self._of_address: Final = max(1, limit // SHARE_OF_ADDRESS)
        self._proxies: Final = proxies
        self._taken: Final[set[Place]] = set()
        self._counts: Final[Counter[str]] = Counter()
        # Dictionaries for their order: who has waited longest stands first.
        self._resting: Final[dict[Place, None]] = {}
        self._resting_of: Final[defaultdict[str, dict[Place, None]]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, address: str) -> Place | None:
        """A place for a new connection, which waits for its first request; ``None`` when no other can make room."""
        caller = caller_network({"client": (address, 0)})
        is_proxy = bool(self._proxies) and is_within(address, self._proxies)
        if not is_proxy and self._counts[caller] >= self._of_address:
            if not self._make_room(self._resting_of.get(caller, {})):
                return None
        elif len(self._taken) >= self._limit and not self._make_room(self._resting):
            return None
        place = Place(self, caller)
        self._taken.add(place)
        self._counts[caller] += 1
        self.lay_down(place, caller)
        return place

    @staticmethod
    def _make_room(resting: dict[Place, None]) -> bool:
        longest = next(iter(resting), None)
        if longest is None:
            return False
        longest.leave()
        longest.end()
        return True

    def lay_down(self, place: Place, caller: str) -> None:
        """Puts a place at the end of those that others may get."""
        if place in self._taken:
            mine = self._resting_of[caller]
            if self._resting.pop(place, self) is None:
                del mine[place]
            self._resting[place] = mine[place] = None

    def pick_up(self, place: Place, caller: str) -> None:
        """Takes a place from those that others may get."""
        if self._resting.pop(place, self) is None:
            mine = self._resting_of[caller]
            del mine[place]
            if not mine:
                del self._resting_of[caller]

    def free(self, place: Place, caller: str) -> None:
        """Gives a place back."""
        if place in self._taken:
            self.pick_up(place, caller)
            self._taken.discard(place)
            self._counts[caller] -= 1
            if not self._counts[caller]:
                del self._counts[caller]

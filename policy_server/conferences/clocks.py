"""How far the clocks of nodes are from ours, as their messages show (pexip/README.md: How events arrive).

A message takes its time: it waits in a bulk, in a queue, or for a database that is away. So of the recent messages of a
node the one that came soonest after its own time tells most, and what it tells is the difference and its short way here.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final

RECENT: Final = 100
"""Messages of a node that count, the latest."""

RECENT_SECONDS: Final = 3600.0
"""Seconds for which a message counts."""

NOTABLE_SECONDS: Final = 5.0
"""The least difference that is worth a word: nodes that keep time together are within a second of each other."""

NODES_LIMIT: Final = 200
"""Nodes that are kept; further ones are not."""


class NodeClocks:
    """The differences of all nodes that this process hears of. Times are epoch seconds by our clock."""

    def __init__(self) -> None:
        self._seen: Final[dict[str, deque[tuple[float, float]]]] = {}

    def learn(self, node: str, sent: float, arrived: float) -> None:
        """Takes note of a message that says when it was sent."""
        if not node or (node not in self._seen and len(self._seen) >= NODES_LIMIT):
            return
        self._seen.setdefault(node, deque(maxlen=RECENT)).append((arrived, sent - arrived))

    def differences(self, now: float) -> Mapping[str, float]:
        """How many seconds each node that was heard of lately is ahead of us, below 0 when it is behind."""
        found: dict[str, float] = {}
        for node, seen in self._seen.items():
            recent = [ahead for arrived, ahead in seen if now - arrived <= RECENT_SECONDS]
            if recent:
                found[node] = round(max(recent), 3)
        return found

    def notable(self, now: float) -> Mapping[str, float]:
        """Those that are more than ``NOTABLE_SECONDS``."""
        return {node: ahead for node, ahead in self.differences(now).items() if abs(ahead) > NOTABLE_SECONDS}

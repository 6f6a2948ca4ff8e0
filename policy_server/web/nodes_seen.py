"""Which Conferencing Nodes ask, where they are, and when each last did."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from policy_server.web.metrics import NODES_LIMIT, Metrics

LONGEST_LOCATION: Final = 100


@dataclass(slots=True)
class NodeSeen:
    """A node: its location as it named it last, when it last asked (seconds since 1970), and how often it did."""

    location: str
    last: float
    count: int


class NodesSeen:
    """The nodes that asked this process, by address; those that came first where there are more than ``NODES_LIMIT``."""

    def __init__(self) -> None:
        self.nodes: Final[dict[str, NodeSeen]] = {}

    def note(self, address: str, location: str, at: datetime) -> None:
        """Takes note of a question with good credentials. Most kinds of question name a location, and not all."""
        seen = self.nodes.get(address)
        if seen is None:
            if len(self.nodes) < NODES_LIMIT:
                self.nodes[address] = NodeSeen(location[:LONGEST_LOCATION], at.timestamp(), 1)
            return
        seen.last = at.timestamp()
        seen.count += 1
        if location:
            seen.location = location[:LONGEST_LOCATION]

    def told(self) -> dict[str, tuple[str, float, int]]:
        """All of them, for other processes: by address what ``NodeSeen`` has."""
        return {address: (seen.location, seen.last, seen.count) for address, seen in list(self.nodes.items())}

    def watch_gauges(self, metrics: Metrics) -> None:
        """Has it counted."""
        metrics.watch_each(
            "policy_node_asked_timestamp_seconds",
            "When a node last asked, in seconds since 1970",
            "node",
            lambda: {address: seen.last for address, seen in self.nodes.items()},
            "max",
        )

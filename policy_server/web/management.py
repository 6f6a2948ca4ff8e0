"""The Management Node, for operators: whether it answers, and what was asked of it. No answer of ours waits for it."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, TypedDict

from policy_server.management.access import Access
from policy_server.management.client import ManagementClient
from policy_server.management.watching import Watch
from policy_server.web.metrics import Metrics


class ManagementState(TypedDict):
    """Where the Management Node is, and whether it can be asked: ``refuses`` is that it answers, but not us.

    ``state`` is ``unknown`` before the first answer. ``problem`` says why it is not ``answers``; ``since`` when that began.
    """

    url: str
    state: Literal["answers", "refuses", "away", "unknown"]
    problem: str
    since: str | None


class ManagementNode:
    """The client of this process, and the watch that asks whether it is of use."""

    def __init__(self, access: Access, rate: int, clock: Callable[[], datetime]) -> None:
        self.client: Final = ManagementClient(access, rate)
        self._url: Final = access.url
        self._watch: Final = Watch(self.client, clock)

    def state(self) -> ManagementState:
        """What ``/readyz`` says of it."""
        found = self._watch.condition
        if found is None:
            return {"url": self._url, "state": "unknown", "problem": "", "since": None}
        since = found.since.isoformat(timespec="seconds")
        return {"url": self._url, "state": found.state, "problem": found.problem, "since": since}

    def watch_gauges(self, metrics: Metrics) -> None:
        """Has it counted."""
        counts = self.client.counts
        metrics.watch(
            "policy_management_away",
            "1 while the Management Node does not answer, or refuses us",
            lambda: self.state()["state"] in {"away", "refuses"},
        )
        metrics.watch("policy_management_requests", "Requests sent to the Management Node", lambda: counts.sent, "sum")
        metrics.watch(
            "policy_management_failures", "Requests without a proper answer of it", lambda: counts.failed, "sum"
        )
        metrics.watch(
            "policy_management_put_off", "Requests that POLICY_MANAGEMENT_RATE held back", lambda: counts.put_off, "sum"
        )

    def start(self) -> None:
        """Begins to ask whether it answers, on the loop that runs."""
        self._watch.start()

    async def close(self) -> None:
        """Lets go of it."""
        await self._watch.stop()
        await self.client.close()

"""Genesys Cloud, for operators: whether it answers, as far as agents had this process ask."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, TypedDict

from policy_server.web.metrics import Metrics


class GenesysState(TypedDict):
    """Where Genesys Cloud is, and whether it answered the last time: ``unknown`` before the first.

    ``problem`` says why it did not; ``since`` when that began, or when it answered last.
    """

    api: str
    state: Literal["answers", "away", "unknown"]
    problem: str
    since: str | None


class GenesysStanding:
    """Hears what came of each request."""

    def __init__(self, api: str, clock: Callable[[], datetime]) -> None:
        self._api: Final = api
        self._clock: Final = clock
        self._sent = 0
        self._failed = 0
        self._problem = ""
        self._since: datetime | None = None

    def tell(self, problem: str) -> None:
        """A request was answered, or was not because of a problem."""
        self._sent += 1
        self._failed += bool(problem)
        if not (problem and self._problem):
            self._since = self._clock()
        self._problem = problem

    def state(self) -> GenesysState:
        """What ``/readyz`` says of it."""
        if self._since is None:
            return {"api": self._api, "state": "unknown", "problem": "", "since": None}
        since = self._since.isoformat(timespec="seconds")
        return {
            "api": self._api,
            "state": "away" if self._problem else "answers",
            "problem": self._problem,
            "since": since,
        }

    def watch_gauges(self, metrics: Metrics) -> None:
        """Has it counted."""
        metrics.watch(
            "policy_genesys_away", "1 while Genesys Cloud did not answer the last time", lambda: bool(self._problem)
        )
        metrics.watch("policy_genesys_requests", "Requests sent to Genesys Cloud", lambda: self._sent, "sum")
        metrics.watch("policy_genesys_failures", "Requests without an answer of it", lambda: self._failed, "sum")

"""How many calls wait, go on and came to what, for operators: counted now and then, beside all answers."""

from typing import Final, TypedDict

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.figures import LEG_OUTCOMES, CallFigures
from policy_server.conferences.verdict import Code
from policy_server.web.counting import COUNT_SECONDS, Counting
from policy_server.web.metrics import Metrics


class SinkState(TypedDict):
    """Whether nodes tell what happens.

    ``last_at`` is when a message last came to any server of the database, ``silent_since`` when the first of
    several rooms was held since which none did although it would have been time; ``unreadable`` counts messages that nobody can read.
    """

    last_at: str | None
    silent_since: str | None
    unreadable: int


class CallGauges:
    """Counts the calls of the database, which says the same to every process."""

    def __init__(self, figures: CallFigures, count_seconds: float = COUNT_SECONDS) -> None:
        self._figures: Final = figures
        self._is_away = False
        self._counting: Final = Counting(self.count, count_seconds)

    def watch_gauges(self, metrics: Metrics) -> None:
        """Has it counted."""
        figures = self._figures
        metrics.watch_each(
            "policy_calls",
            "Calls that run, by whether the customer waits or talks",
            "state",
            lambda: {outcome.value: number for outcome, number in figures.running().items()},
        )
        metrics.watch(
            "policy_calls_longest_wait_seconds",
            "Seconds for which the first of the customers has waited who wait",
            figures.longest_wait,
        )
        metrics.watch_each(
            "policy_calls_last_hour",
            "Calls that were over within the last hour, by verdict",
            "verdict",
            lambda: dict.fromkeys(map(str, Code), 0) | figures.last_hour().verdicts,
        )
        metrics.watch_each(
            "policy_calls_legs_last_hour",
            "Legs of calls that were over within the last hour, by what became of them",
            "outcome",
            lambda: dict.fromkeys(LEG_OUTCOMES, 0) | figures.last_hour().legs,
        )
        metrics.watch(
            "policy_database_away", "1 while the database did not answer the last time", lambda: self._is_away
        )
        metrics.watch(
            "policy_events_told_timestamp_seconds",
            "When a node last told anything, in seconds since 1970; 0 for never",
            lambda: figures.told_at.timestamp() if figures.told_at is not None else 0.0,
        )
        metrics.watch(
            "policy_events_silent",
            "1 while several rooms are held since which no node told anything, for minutes",
            lambda: figures.silent_since is not None,
        )
        metrics.watch("policy_calls_uncounted", "Calls that were not counted yet", lambda: figures.uncounted)

    def sink_state(self, unreadable: int) -> SinkState:
        """What ``/readyz`` says of the event sink."""
        told_at, silent_since = self._figures.told_at, self._figures.silent_since
        return {
            "last_at": None if told_at is None else told_at.isoformat(timespec="seconds"),
            "silent_since": None if silent_since is None else silent_since.isoformat(timespec="seconds"),
            "unreadable": unreadable,
        }

    def start(self) -> None:
        """Begins to count, on the loop that runs."""
        self._counting.start()

    async def count(self) -> None:
        """Counts once. Raises StoreUnavailableError."""
        try:
            await self._figures.count()
        except StoreUnavailableError:
            self._is_away = True
            raise
        self._is_away = False

    async def close(self) -> None:
        """Counts no more."""
        await self._counting.close()

"""What is due, and which customers wait, for operators: counted now and then, beside all answers."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Final

from policy_server.conferences import assuring
from policy_server.conferences.agenda import Agenda
from policy_server.conferences.assurance_memory import Memory
from policy_server.conferences.store import ConferenceStore
from policy_server.web.counting import COUNT_SECONDS, Counting
from policy_server.web.metrics import Metrics

Due = Mapping[str, tuple[int, datetime]]
"""For each kind how many actions are not done, and when the first of them is or was due."""


class DueGauges:
    """Counts what is to be done, and the customers whose calls are watched and for whom nobody has answered.

    Every process counts what all of them have to do: one of the database alone says the same everywhere. ``kinds`` are those
    of actions that there may be. Of customers the calls that are looked at next are read, as many as the store gives. ``also``
    is told what is due each time that it is counted.
    """

    def __init__(
        self,
        store: ConferenceStore,
        agenda: Agenda,
        kinds: Collection[str],
        clock: Callable[[], datetime],
        also: Callable[[Due], Awaitable[None]] | None = None,
        count_seconds: float = COUNT_SECONDS,
    ) -> None:
        self._store: Final = store
        self._agenda: Final = agenda
        self._kinds: Final = kinds
        self._clock: Final = clock
        self._also: Final = also
        self._due: Due = {}
        self._waiting_since: list[datetime] = []
        self._counting: Final = Counting(self.count, count_seconds)

    def watch_gauges(self, metrics: Metrics) -> None:
        """Has it counted."""
        metrics.watch_each(
            "policy_actions_due",
            "Actions that are not done yet, by kind; a call that is watched is one",
            "kind",
            lambda: {kind: self._due[kind][0] if kind in self._due else 0 for kind in self._kinds},
        )
        metrics.watch_each(
            "policy_actions_late_seconds", "Seconds for which the first of them is overdue", "kind", self._late
        )
        metrics.watch(
            "policy_actions_failed", "Actions that failed and are tried again", lambda: self._agenda.failed, "sum"
        )
        if assuring.KIND in self._kinds:
            metrics.watch(
                "policy_customers_waiting",
                "Customers in a room for whom no leg was connected yet",
                lambda: len(self._waiting_since),
            )
            metrics.watch(
                "policy_customers_waiting_seconds", "Seconds for which the first of them has waited", self._longest
            )

    def _late(self) -> Mapping[str, float]:
        now = self._clock()
        late = {kind: (now - first).total_seconds() for kind, (_, first) in self._due.items()}
        return {kind: max(0.0, late.get(kind, 0.0)) for kind in self._kinds}

    def _longest(self) -> float:
        first = min(self._waiting_since, default=None)
        return 0.0 if first is None else max(0.0, (self._clock() - first).total_seconds())

    def start(self) -> None:
        """Begins to count, on the loop that runs."""
        self._counting.start()

    async def close(self) -> None:
        """Counts no more."""
        await self._counting.close()

    async def count(self) -> None:
        """Counts once. Raises StoreUnavailableError."""
        self._due = await self._store.count_due()
        if self._also is not None:
            await self._also(self._due)
        if assuring.KIND in self._kinds:
            actions = await self._store.waiting_due(assuring.KIND)
            memories = (
                Memory.of(memory) for action in actions if isinstance(memory := action.data.get("memory"), dict)
            )
            self._waiting_since = [memory.came_at for memory in memories if memory.came_at and memory.is_waiting]

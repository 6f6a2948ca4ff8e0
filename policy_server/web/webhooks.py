"""Webhooks, for operators: who is told, what waits, and what never arrived. No answer of ours waits for any of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypedDict

from policy_server.conferences.agenda import Handler
from policy_server.conferences.deliveries import DEAD, Deliveries
from policy_server.conferences.live import Conferences
from policy_server.conferences.reader import BEGINNING
from policy_server.conferences.telling import KIND, WAKES, Telling, delivery_kind
from policy_server.conferences.timeline import Note
from policy_server.outbound.receivers import Receiver
from policy_server.outbound.webhooks import Sender
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Rules
from policy_server.web.metrics import Metrics


class ReceiverState(TypedDict):
    """Whether a receiver takes what it is sent.

    ``waiting`` messages are to be sent, the first of them next at ``next_at``; ``dead`` ones are not tried any more.
    ``failing_since`` and ``error`` are what this process has seen: ``null`` and empty while the latest was taken.
    """

    name: str
    host: str
    waiting: int
    next_at: str | None
    dead: int
    failing_since: str | None
    error: str


class Webhooks:
    """Has receivers told of calls while the service runs; ``handlers`` carry out what is due on the agenda."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        conferences: Conferences,
        rules: Rules,
        keyring: Keyring,
    ) -> None:
        store, clock = conferences.store, conferences.clock
        self._store: Final = store
        self._receivers: Final = receivers
        self._senders: Final = {receiver.name: Sender(receiver) for receiver in receivers}

        def note(key: str, told: Note) -> None:
            conferences.note(key, *told, clock())

        self._deliveries: Final = {
            name: Deliveries(name, sender, clock, note) for name, sender in self._senders.items()
        }
        names = [receiver.name for receiver in receivers]
        self.handlers: Final[Mapping[str, Handler]] = {
            KIND: Telling(store, rules, keyring, names, clock),
            **{delivery_kind(name): deliveries for name, deliveries in self._deliveries.items()},
        }
        self._waiting: Mapping[str, tuple[int, datetime]] = {}
        self._dead: Mapping[str, int] | None = None
        """``None`` until it is counted: who watches it would take the first count for so many new ones."""
        store.wake_by(WAKES)

    def state(self) -> list[ReceiverState]:
        """What ``/readyz`` says of them."""
        return [self._state(receiver) for receiver in self._receivers]

    def _state(self, receiver: Receiver) -> ReceiverState:
        counts, kind = self._deliveries[receiver.name].counts, delivery_kind(receiver.name)
        number, next_at = self._waiting.get(kind, (0, None))
        since = counts.failing_since
        return {
            "name": receiver.name,
            "host": receiver.host,
            "waiting": number,
            "next_at": None if next_at is None else next_at.isoformat(timespec="seconds"),
            "dead": (self._dead or {}).get(kind, 0),
            "failing_since": None if since is None else since.isoformat(timespec="seconds"),
            "error": counts.error if since is not None else "",
        }

    def watch_gauges(self, metrics: Metrics) -> None:
        """Has it counted."""
        counts = {name: deliveries.counts for name, deliveries in self._deliveries.items()}
        metrics.watch_each(
            "policy_webhooks_sent",
            "Messages that receivers have taken",
            "receiver",
            lambda: {name: each.sent for name, each in counts.items()},
            "sum",
        )
        metrics.watch_each(
            "policy_webhooks_failed",
            "Tries after which a receiver had not taken a message",
            "receiver",
            lambda: {name: each.failed for name, each in counts.items()},
            "sum",
        )
        metrics.watch_each(
            "policy_webhooks_waiting",
            "Messages that are to be sent",
            "receiver",
            lambda: {name: self._waiting.get(delivery_kind(name), (0, None))[0] for name in counts},
        )
        metrics.watch_each(
            "policy_webhooks_dead",
            "Messages that a receiver did not take and that are not tried any more",
            "receiver",
            lambda: {name: self._dead.get(delivery_kind(name), 0) for name in counts if self._dead is not None},
        )

    def start(self) -> None:
        """Nothing: the agenda has it carried out, and whoever counts what is due calls ``count``."""

    async def close(self) -> None:
        """Lets go of the receivers; call it when the agenda is closed."""
        for sender in self._senders.values():
            await sender.close()

    async def count(self, due: Mapping[str, tuple[int, datetime]]) -> None:
        """Takes note of what is due, by kind, and counts what is not sent any more. Raises StoreUnavailableError."""
        self._waiting = due
        self._dead = await self._store.count_done(DEAD, BEGINNING)

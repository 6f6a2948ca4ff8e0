"""Messages of event sinks, written together: one transaction for all that arrive while another is on its way to the disk."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.records import Added
from policy_server.conferences.tables import storable_name
from policy_server.pexip.events import Event

EVENTS_AT_ONCE: Final = 1000
"""Events of one transaction: few enough that a room can be held between two of them."""


class Written(NamedTuple):
    """What became of the events of one transaction."""

    new: set[str]
    """The identities of those that were not stored before."""
    numbers: Mapping[str, int]
    """The number of the change of each key that this made."""


Write = Callable[[Mapping[str, Event]], Awaitable[Written]]
"""Stores events by their identity, in one transaction."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    events: Mapping[str, Event]
    added: asyncio.Future[Added]


class EventGroups:
    """Writes what was delivered, in groups. Nobody is told that theirs is stored before it is on disk."""

    def __init__(self, write: Write) -> None:
        self._write: Final = write
        self._waiting: Final[list[_Delivery]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, events: Mapping[str, Event]) -> Added:
        """Stores up to ``EVENTS_AT_ONCE`` events, by their identity.

        Raises what writing them raises; what cannot be written costs no other delivery.
        """
        delivery = _Delivery(events, asyncio.get_running_loop().create_future())
        self._waiting.append(delivery)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await asyncio.shield(delivery.added)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                group = self._next_group()
                try:
                    await self._write_group(group)
                finally:
                    # Whatever happened, nobody waits for ever.
                    for delivery in group:
                        delivery.added.cancel()
        finally:
            self._writing = None

    def _next_group(self) -> list[_Delivery]:
        group = [self._waiting.pop(0)]
        size = len(group[0].events)
        while self._waiting and size + len(self._waiting[0].events) <= EVENTS_AT_ONCE:
            size += len(self._waiting[0].events)
            group.append(self._waiting.pop(0))
        return group

    async def _write_group(self, group: Sequence[_Delivery]) -> None:
        try:
            written = await self._write(_merged(group))
        except StoreUnavailableError as error:
            # Who waits has waited as long as the database's patience lasts, and is not to wait for another try.
            for delivery in (*group, *self._waiting):
                _fail(delivery, error)
            self._waiting.clear()
        except Exception as error:
            # Something in one of them cannot be written, ever.
            if len(group) == 1:
                _fail(group[0], error)
            for delivery in group if len(group) > 1 else ():
                await self._write_group([delivery])
        else:
            for delivery in group:
                delivery.added.set_result(_share(delivery, written))


def _share(delivery: _Delivery, written: Written) -> Added:
    """What of a transaction is one delivery's. What two of them hold is new once, and its change is the change of both."""
    new = tuple(event for identity, event in delivery.events.items() if identity in written.new)
    written.new.difference_update(delivery.events)
    keys = {storable_name(key) for event in delivery.events.values() for key in (event.room, event.conference)}
    return Added(new, {key: number for key, number in written.numbers.items() if key in keys})


def _fail(delivery: _Delivery, error: Exception) -> None:
    delivery.added.set_exception(error)
    # Its caller may have gone; asyncio reports errors that nobody looks at.
    delivery.added.exception()


def different(events: Iterable[tuple[str, Event]]) -> dict[str, Event]:
    """Events by their identity, each once, with the lowest number that a copy has."""
    found: dict[str, Event] = {}
    for identity, event in events:
        known = found.get(identity)
        if known is None or event.seq < known.seq:
            found[identity] = event
    return found


def _merged(group: Sequence[_Delivery]) -> dict[str, Event]:
    """The events of all."""
    merged = different(chain.from_iterable(delivery.events.items() for delivery in group))
    # In one order everywhere, so that two replicas wait for each other and do not block each other.
    return dict(sorted(merged.items()))

"""What several callers want written, in one transaction.

Rows of all of them go in together, kind by kind and each kind in one order, so that two replicas wait for each other and
do not block each other; and a key whose changes several of them make is counted, and announced, once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Final, NamedTuple, TypeVar

from policy_server.conferences import conversations, history, holds, links
from policy_server.conferences.changes import announce
from policy_server.conferences.connection import Connection
from policy_server.conferences.errors import RefusedLinkError
from policy_server.conferences.links import NewLink
from policy_server.conferences.records import HeldConference, Link, News, TimelineEntry
from policy_server.conferences.tables import storable_name
from policy_server.pexip.events import Event

K = TypeVar("K")
V = TypeVar("V")

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_EVENTS: Final[Mapping[bytes, Event]] = {}


LINGER: Final = 0.010
"""Seconds that a write waits for others: each commit waits for the disk, which costs more than what is in it."""


class Ending(NamedTuple):
    """The end of the conference that holds a room, unless that was held after ``at``."""

    room: str
    at: datetime


class Binding(NamedTuple):
    """A conversation of Genesys Cloud that takes one of the first ``places`` of a conference."""

    conference_id: str
    conversation: str
    places: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one caller wants written: conferences to be held, entries and events to be stored, a link, an end, a binding.

    Events are by their identity. ``patience`` is how many seconds it waits for others to be written with.
    """

    conferences: Sequence[HeldConference] = ()
    entries: Sequence[TimelineEntry] = ()
    events: Mapping[bytes, Event] = field(default_factory=lambda: _NO_EVENTS)
    link: NewLink | None = None
    ending: Ending | None = None
    binding: Binding | None = None
    patience: float = LINGER

    @property
    def size(self) -> int:
        """How many rows it may make."""
        return max(1, len(self.conferences) + len(self.entries) + len(self.events))

    @property
    def linger(self) -> float:
        """Seconds that it waits for others; a call waits for its hold."""
        return 0.0 if self.conferences else self.patience

    def keys(self) -> set[str]:
        """The calls and rooms whose conferences, entries and events are in it."""
        of_rooms = chain.from_iterable((one.name, one.call) for one in self.conferences)
        of_events = chain.from_iterable((event.room, event.conference) for event in self.events.values())
        return {storable_name(key) for key in chain(of_rooms, of_events, (entry.key for entry in self.entries))}


class Written(NamedTuple):
    """What became of a batch. ``numbers`` are those of the changes of its ``keys``, but for keys that somebody's link or end
    changed as well.
    """

    holders: tuple[HeldConference, ...]
    noted: tuple[TimelineEntry, ...]
    new: tuple[Event, ...]
    link: Link | RefusedLinkError | None
    has_ended: bool
    is_bound: bool
    numbers: Mapping[str, int]


def write(batches: Sequence[Batch], connection: Connection) -> list[Written]:
    """Writes some batches, in the transaction that ``connection`` is in; what became of each."""
    made = links.create_links(connection, [batch.link for batch in batches if batch.link is not None])
    rooms = [conference for batch in batches for conference in batch.conferences]
    holders, keys = holds.hold_all(connection, rooms) if rooms else ((), set())
    endings = {batch.ending for batch in batches if batch.ending is not None}
    ended = {ending: holds.end(connection, *ending) for ending in sorted(endings)}
    bindings = {batch.binding for batch in batches if batch.binding is not None}
    bound = {binding for binding in sorted(bindings) if conversations.bind(connection, *binding)}
    new, lowered = _add_events(connection, batches)
    noted = history.add_timeline(connection, chain.from_iterable(batch.entries for batch in batches))

    keys.update(chain.from_iterable((event.room, event.conference) for event in chain(new.values(), lowered)))
    keys.update(entry.key for entry in noted.values())
    # Whoever hears of these has to look what it is.
    loud = {link.call for link, is_new in made if is_new and isinstance(link, Link)}
    loud.update(chain.from_iterable((ending.room, call) for ending, call in ended.items() if call is not None))
    numbers = announce(connection, keys | loud, max(chain.from_iterable(map(_moments, batches)), default=_NEVER))
    quiet = {key: number for key, number in numbers.items() if key not in set(map(storable_name, loud))}

    next_link, next_holder = (link for link, _ in made), iter(holders)
    return [
        Written(
            tuple(islice(next_holder, len(batch.conferences))),
            _taken(noted, map(history.entry_identity, batch.entries)),
            _taken(new, batch.events),
            None if batch.link is None else next(next_link),
            batch.ending is not None and ended.pop(batch.ending, None) is not None,
            batch.binding in bound,
            {key: quiet[key] for key in batch.keys() & quiet.keys()},
        )
        for batch in batches
    ]


def news(batches: Sequence[Batch], written: Sequence[Written]) -> News:
    """What a transaction wrote about calls and rooms."""
    every = different(chain.from_iterable(batch.events.items() for batch in batches))
    new = {id(event) for one in written for event in one.new}
    numbers: dict[str, int] = {}
    for one in written:
        numbers.update(one.numbers)
    return News(
        numbers,
        {identity: event for identity, event in every.items() if id(event) in new},
        {identity: event for identity, event in every.items() if id(event) not in new},
        tuple(chain.from_iterable(one.noted for one in written)),
        tuple(chain.from_iterable(one.holders for one in written)),
    )


def _moments(batch: Batch) -> Iterator[datetime]:
    yield from (conference.held_at for conference in batch.conferences)
    yield from (entry.at for entry in batch.entries)
    yield from (event.arrived_at for event in batch.events.values())
    if batch.link is not None:
        yield batch.link.link.created_at
    if batch.ending is not None:
        yield batch.ending.at


def _add_events(connection: Connection, batches: Iterable[Batch]) -> tuple[dict[bytes, Event], list[Event]]:
    """Stores the events of all; those that are new, and those whose copies had a higher number."""
    merged = different(chain.from_iterable(batch.events.items() for batch in batches))
    if not merged:
        return {}, []
    new, lowered = history.add_events(connection, merged)
    return {identity: merged[identity] for identity in new}, [merged[identity] for identity in lowered]


def _taken(found: dict[K, V], keys: Iterable[K]) -> tuple[V, ...]:
    """What of it is there, which is nobody else's then: what is new in two batches is new once."""
    return tuple([found.pop(key) for key in keys if key in found])


def different(events: Iterable[tuple[bytes, Event]]) -> dict[bytes, Event]:
    """Events by their identity, each once, with the lowest number that a copy has."""
    found: dict[bytes, Event] = {}
    for identity, event in events:
        known = found.get(identity)
        if known is None or event.seq < known.seq:
            found[identity] = event
    return found

"""What several callers want written, in one transaction.

Rows of all of them go in together, kind by kind and each kind in one order, so that two replicas wait for each other and
do not block each other; and a key whose changes several of them make is counted, and announced, once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from policy_server.conferences import conversations, due, history, holds, links
from policy_server.conferences.changes import announce
from policy_server.conferences.connection import Connection
from policy_server.conferences.due import DueAction
from policy_server.conferences.errors import RefusedLinkError
from policy_server.conferences.links import NewLink
from policy_server.conferences.records import HeldConference, Link, News, TimelineEntry
from policy_server.pexip.events import Event

K = TypeVar("K")

LINGER: Final = 0.010
"""Seconds that a write waits for others, if others come: each commit waits for the disk, and costs more than what is in it."""

_NO_EVENTS: Final[Mapping[bytes, Event]] = {}


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
    """What one caller wants written: conferences to be held, entries and events to be stored, a link, an end, a binding,
    actions that are due some time.

    Events are by their identity. ``patience`` is how many seconds it waits for others to be written with.
    """

    conferences: Sequence[HeldConference] = ()
    entries: Sequence[TimelineEntry] = ()
    events: Mapping[bytes, Event] = field(default_factory=lambda: _NO_EVENTS)
    link: NewLink | None = None
    ending: Ending | None = None
    binding: Binding | None = None
    actions: Sequence[DueAction] = ()
    patience: float = LINGER

    @property
    def size(self) -> int:
        """How many rows it may make."""
        return max(1, len(self.conferences) + len(self.entries) + len(self.events) + len(self.actions))

    @property
    def linger(self) -> float:
        """Seconds that it waits for others; a call waits for its hold."""
        return 0.0 if self.conferences else self.patience

    def moments(self) -> list[datetime]:
        """When what is in it happened."""
        at = [conference.held_at for conference in self.conferences]
        at += [entry.at for entry in self.entries]
        at += [event.arrived_at for event in self.events.values()]
        if self.link is not None:
            at.append(self.link.link.created_at)
        if self.ending is not None:
            at.append(self.ending.at)
        return at


class Wakes(NamedTuple):
    """Which messages of a room's nodes have which of its actions be due at once; ``begin`` is the action of a room that is
    held now, if it has one; ``None`` if others make them.
    """

    kind: str
    messages: frozenset[str]
    begin: Callable[[HeldConference], DueAction | None] | None = None


class Written(NamedTuple):
    """What became of a batch: who holds its rooms, and how many of its entries and events are new."""

    holders: tuple[HeldConference, ...]
    noted: int
    added: int
    link: Link | RefusedLinkError | None
    has_ended: bool
    is_bound: bool


class Together(NamedTuple):
    """What became of each batch of a transaction, and what is new in the store."""

    written: list[Written]
    news: News


def write(batches: Sequence[Batch], wakes: Sequence[Wakes], connection: Connection) -> Together:
    """Writes some batches, in the transaction that ``connection`` is in."""
    wanted = [batch.link for batch in batches if batch.link is not None]
    made = links.create_links(connection, wanted) if wanted else []
    rooms = [conference for batch in batches for conference in batch.conferences]
    holders, keys = holds.hold_all(connection, rooms) if rooms else ((), set())
    endings = sorted({batch.ending for batch in batches if batch.ending is not None})
    ended = {ending: over for ending in endings if (over := holds.end(connection, *ending)) is not None}
    bindings = sorted({batch.binding for batch in batches if batch.binding is not None})
    bound = {binding for binding in bindings if conversations.bind(connection, *binding)}
    told = different(pair for batch in batches for pair in batch.events.items())
    new, lowered = history.add_events(connection, told) if told else (set(), set())
    entries = [{history.entry_identity(entry): entry for entry in batch.entries} for batch in batches]
    noted = history.add_timeline(connection, entries) if any(entries) else {}

    actions = [action for batch in batches for action in batch.actions]
    # With the hold itself, so that no room is without.
    begun = (each.begin(held) for each in wakes if each.begin is not None for held in holders)
    actions += (action for action in begun if action is not None)
    if actions:
        due.add(connection, actions)
    for each in wakes if new else ():
        if touched := {told[one].room for one in new if told[one].name in each.messages}:
            due.bring_forward(connection, each.kind, sorted(touched), max(told[one].arrived_at for one in new))

    fresh = [link for link, is_new in made if is_new and isinstance(link, Link)]
    keys.update(key for link in fresh for key in (link.call, link.joins) if key)
    for over in ended.values():
        keys |= {over.room, over.call}
    for identity in new | lowered:
        keys |= {told[identity].room, told[identity].conference}
    keys.update(entry.key for entry in noted.values())
    moments = [moment for batch in batches for moment in batch.moments()]
    news = News(
        numbers=announce(connection, keys, max(moments)) if keys else {},
        events={identity: told[identity] for identity in new},
        copies={identity: event for identity, event in told.items() if identity not in new},
        entries=tuple(noted.values()),
        conferences=holders,
        links=tuple(fresh),
        ended=tuple(ended.values()),
    )

    unclaimed = set(noted)
    next_link, next_holder = (link for link, _ in made), iter(holders)
    written = [
        Written(
            tuple(islice(next_holder, len(batch.conferences))),
            _take(unclaimed, noted_here) if noted else 0,
            _take(new, batch.events) if new else 0,
            None if batch.link is None else next(next_link),
            batch.ending is not None and ended.pop(batch.ending, None) is not None,
            batch.binding in bound,
        )
        for batch, noted_here in zip(batches, entries, strict=True)
    ]
    return Together(written, news)


def _take(new: set[K], keys: Iterable[K]) -> int:
    """How many of some keys are new, and nobody else's then: what two batches have is new once."""
    own = new.intersection(keys)
    new -= own
    return len(own)


def different(events: Iterable[tuple[bytes, Event]]) -> dict[bytes, Event]:
    """Events by their identity, each once, with the lowest number that a copy has."""
    found: dict[bytes, Event] = {}
    for identity, event in events:
        known = found.get(identity)
        if known is None or event.seq < known.seq:
            found[identity] = event
    return found

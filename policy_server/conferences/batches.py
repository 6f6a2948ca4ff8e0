"""What several callers want written, in one transaction.

Rows of all of them go in together, kind by kind and each kind in one order, so that two replicas wait for each other and
do not block each other; and a key whose changes several of them make is counted, and announced, once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from policy_server.conferences import conversations, due, history, holds, links
from policy_server.conferences.changes import announce
from policy_server.conferences.connection import Connection, Row
from policy_server.conferences.due import DueAction
from policy_server.conferences.errors import RefusedLinkError
from policy_server.conferences.links import NewLink
from policy_server.conferences.records import Ended, HeldConference, Link, News, Page
from policy_server.conferences.tables import storable_name
from policy_server.pexip.events import Event

K = TypeVar("K")

LINGER: Final = 0.020
"""Seconds that a write waits for others, if others come: each commit waits for the disk, and costs more than what is in it."""

_NO_EVENTS: Final[Mapping[bytes, Event]] = MappingProxyType({})


class Ending(NamedTuple):
    """The end of the conference that holds a room, unless that was held after ``at``; with ``number`` only as long as that is
    the number of the room's latest change.
    """

    room: str
    at: datetime
    number: int = 0


class Binding(NamedTuple):
    """A conversation of Genesys Cloud that takes one of the first ``places`` of a conference."""

    conference_id: str
    conversation: str
    places: int


class Batch(NamedTuple):
    """What one caller wants written: conferences to be held, pages of timelines and events to be stored, a link, an end, a
    binding, actions that are due some time.

    Events are by their identity. ``patience`` is how many seconds it waits for others to be written with.
    """

    conferences: Sequence[HeldConference] = ()
    pages: Sequence[Page] = ()
    events: Mapping[bytes, Event] = _NO_EVENTS
    link: NewLink | None = None
    ending: Ending | None = None
    binding: Binding | None = None
    actions: Sequence[DueAction] = ()
    patience: float = LINGER

    @property
    def size(self) -> int:
        """How many rows it may make."""
        return max(1, len(self.conferences) + len(self.pages) + len(self.events) + len(self.actions))

    @property
    def linger(self) -> float:
        """Seconds that it waits for others; a call waits for its hold."""
        return 0.0 if self.conferences else self.patience


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
    all_of = _gather(batches)
    told = all_of.told
    made = links.create_links(connection, all_of.links) if all_of.links else []
    holders, keys = holds.hold_all(connection, all_of.rooms) if all_of.rooms else ((), set())
    ended = {one: over for one in sorted(all_of.endings) if (over := _end(connection, *one)) is not None}
    bound = {one for one in sorted(all_of.bindings) if conversations.bind(connection, *one)}
    is_told = told or any(all_of.pages)
    new, lowered, noted = history.add(connection, told, all_of.pages) if is_told else (set(), set(), {})
    _write_actions(connection, all_of.actions, wakes, holders, [told[identity] for identity in new])

    fresh = [link for link, is_new in made if is_new and isinstance(link, Link)]
    for link in fresh:
        keys |= {link.call, link.joins}
    for over in ended.values():
        keys |= {over.room, over.call}
    for identity in new | lowered:
        keys |= {told[identity].room, told[identity].conference}
    for page in noted.values():
        keys.add(page[0].key)
    if keys:
        announce(connection, keys, max(all_of.moments))
    news = News(
        numbers={},
        events={identity: told[identity] for identity in new},
        copies={} if len(new) == len(told) else {one: event for one, event in told.items() if one not in new},
        entries=tuple(chain.from_iterable(noted.values())),
        conferences=holders,
        links=tuple(fresh),
        ended=tuple(ended.values()),
    )

    next_link, next_holder, unclaimed = iter(made), iter(holders), set(noted)
    written = [
        Written(
            tuple(islice(next_holder, len(batch.conferences))),
            sum(len(noted[row]) for row in _take(unclaimed, pages)) if pages else 0,
            len(_take(new, batch.events)) if batch.events else 0,
            None if batch.link is None else next(next_link)[0],
            batch.ending is not None and ended.pop(batch.ending, None) is not None,
            batch.binding in bound,
        )
        for batch, pages in zip(batches, all_of.pages, strict=True)
    ]
    return Together(written, news)


class _Gathered(NamedTuple):
    """What all batches of a transaction want written, kind by kind; ``pages`` are by their rows, those of each batch.

    ``moments`` are when it happened.
    """

    links: list[NewLink]
    rooms: list[HeldConference]
    endings: set[Ending]
    bindings: set[Binding]
    told: Mapping[bytes, Event]
    pages: list[Mapping[Row, Page]]
    actions: list[DueAction]
    moments: list[datetime]


def _gather(batches: Sequence[Batch]) -> _Gathered:
    told = batches[0].events if len(batches) == 1 else different(pair for one in batches for pair in one.events.items())
    all_of = _Gathered([], [], set(), set(), told, [], [], [event.arrived_at for event in told.values()])
    moments = all_of.moments
    for conferences, pages, _, link, ending, binding, actions, _ in batches:
        all_of.rooms.extend(conferences)
        moments += [conference.held_at for conference in conferences]
        all_of.pages.append({history.page_row(page): page for page in pages})
        moments += [page[-1].at for page in pages]
        all_of.actions.extend(actions)
        if link is not None:
            all_of.links.append(link)
            moments.append(link.link.created_at)
        if ending is not None:
            all_of.endings.add(ending)
            moments.append(ending.at)
        if binding is not None:
            all_of.bindings.add(binding)
    return all_of


def _write_actions(
    connection: Connection,
    actions: list[DueAction],
    wakes: Sequence[Wakes],
    holders: Sequence[HeldConference],
    told: Sequence[Event],
) -> None:
    """Stores actions, those of rooms that are held among them, and has those be due that new messages are about."""
    # With the hold itself, so that no room is without.
    begun = (each.begin(held) for held in holders for each in wakes if each.begin is not None)
    actions += (action for action in begun if action is not None)
    if actions:
        due.add(connection, actions)
    for each in wakes if told else ():
        if touched := {event.room for event in told if event.name in each.messages}:
            due.bring_forward(connection, each.kind, sorted(touched), max(event.arrived_at for event in told))


def _end(connection: Connection, room: str, at: datetime, number: int) -> Ended | None:
    if number and history.find_change_numbers(connection, (room,)).get(storable_name(room)) != number:
        return None
    return holds.end(connection, room, at)


def _take(new: set[K], keys: Iterable[K]) -> set[K]:
    """Those of some keys that are new, and nobody else's then: what two batches have is new once."""
    own = new.intersection(keys)
    new -= own
    return own


def different(events: Iterable[tuple[bytes, Event]]) -> dict[bytes, Event]:
    """Events by their identity, each once, with the lowest number that a copy has."""
    found: dict[bytes, Event] = {}
    for identity, event in events:
        known = found.get(identity)
        if known is None or event.seq < known.seq:
            found[identity] = event
    return found

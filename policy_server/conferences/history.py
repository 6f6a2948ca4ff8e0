"""Event-sink messages and timelines in the database, and how long they stay there."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Final

from policy_server.conferences.connection import Connection, Row
from policy_server.conferences.packing import pack, pack_text, unpack
from policy_server.conferences.records import HeldConference, Page, TimelineEntry
from policy_server.conferences.tables import (
    CHANGES,
    CONFERENCES,
    DUE_ACTIONS,
    EVENTS,
    HOUR,
    LINKS,
    TIMELINE,
    Table,
    encode_bytes,
    instant,
    moment,
    storable_name,
)
from policy_server.pexip.events import Event, room_of

EARLIER: Final = timedelta(hours=1)
"""How long before a room is held it matters what was told of it: that is not about who holds it now."""

_TOLD: Final = attrgetter("time", "node", "seq")
_AT: Final = attrgetter("at")
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

_LOWER_SEQ: Final = "UPDATE events SET seq = ? WHERE digest = ? AND seq > ? RETURNING digest"
# The hour is that of the index.
_SELECT_EVENTS: Final = """SELECT arrived_at, seq, content FROM events
    WHERE room = ? AND arrived_at / 3600000000 >= ? AND arrived_at >= ?"""
_HELD_AGAIN: Final = "SELECT min(held_at) FROM conferences WHERE name = ? AND held_at > ?"
_SELECT_PAGES: Final = "SELECT at, content FROM timeline WHERE key = ? ORDER BY id"
_CHANGE_NUMBERS: Final = "SELECT key, number FROM changes WHERE key = ANY(?)"


def add(
    connection: Connection, events: Mapping[bytes, Event], groups: Iterable[Mapping[Row, Page]]
) -> tuple[set[bytes], set[bytes], dict[Row, Page]]:
    """Stores the events, by their identity, and the pages of some groups, by their rows, that are not there yet; the identities
    of those events, and of those that are different now, and those pages.
    """
    pages: dict[Row, Page] = {}
    for group in groups:
        pages.update(group)
    # In one order everywhere, so that two replicas wait for each other and do not block each other.
    rows = [_event_row(digest, events[digest]) for digest in sorted(events)]
    told, noted = connection.insert_each([(EVENTS, rows), (TIMELINE, sorted(pages, key=itemgetter(0)))])
    new = {row[0] for row in told}
    # Sinks count differently. The lowest number stays, whichever copy came first, so that order is always the same.
    lowered: set[bytes] = set()
    for digest in sorted(events.keys() - new):
        seq = events[digest].seq
        lowered.update(row[0] for row in connection.execute(_LOWER_SEQ, seq, digest, seq))
    return new, lowered, {row: pages[row] for row in noted}


def find_events(connection: Connection, room: str, since: datetime, until: datetime | None = None) -> tuple[Event, ...]:
    """The events of a room, its breakout rooms among them, that arrived from ``since`` and before ``until``.

    They are in order of the nodes' clocks.
    """
    stored, begin = storable_name(room_of(room)), instant(since)
    rows = connection.execute(_SELECT_EVENTS, stored, begin // HOUR, begin)
    end = None if until is None else instant(until)
    found = tuple(sorted((_event(stored, *row) for row in rows if end is None or row[0] < end), key=_TOLD))
    if room == room_of(room):
        return found
    # A room of its own that is merely named like another's breakout room.
    return tuple(event for event in found if event.conference == room)


def find_events_of(connection: Connection, conference: HeldConference) -> tuple[Event, ...]:
    """The events of a conference until its room was held again, or free; of a call's own room all before, of another's those
    from shortly before it was held.
    """
    ((again,),) = connection.execute(_HELD_AGAIN, storable_name(conference.name), instant(conference.held_at))
    until = conference.expires_at if again is None else min(moment(again), conference.expires_at)
    since = _NEVER if conference.is_in_own_room else conference.held_at - EARLIER
    return find_events(connection, conference.name, since, until)


def find_timeline(connection: Connection, key: str) -> tuple[TimelineEntry, ...]:
    """The entries of a key, by time and then in the order they were stored."""
    stored = storable_name(key)
    rows = connection.execute(_SELECT_PAGES, stored)
    found = (
        TimelineEntry(stored, moment(at - before), kind, data)
        for at, content in rows
        for before, kind, data in unpack(content, stored)
    )
    return tuple(sorted(found, key=_AT))


def find_change_numbers(connection: Connection, keys: Sequence[str]) -> dict[str, int]:
    """How many changes these keys have had, as far as there were any."""
    return dict(connection.execute(_CHANGE_NUMBERS, list(map(storable_name, keys))))


def delete_some(connection: Connection, table: Table, before: datetime, batch: int) -> int:
    """Deletes up to ``batch`` rows of a table that are over since before a time and that nothing kept refers to."""
    key = ", ".join(table.key)
    rows = connection.execute(_DELETE.format(table=table.name, key=key, over=_OVER[table]), instant(before), batch)
    gone = [row[0] for row in rows]
    if table is CONFERENCES and gone:
        connection.run("DELETE FROM doors WHERE conference_id = ANY(?)", gone)
        connection.run("DELETE FROM conversations WHERE conference_id = ANY(?)", gone)
    return len(gone)


RETAINED: Final = (CONFERENCES, LINKS, EVENTS, TIMELINE, DUE_ACTIONS, CHANGES)
"""The tables in the order in which they are emptied: each keeps what belongs to a row of those before it."""

_OVER: Final[Mapping[Table, str]] = {
    CONFERENCES: "coalesce(ended_at, expires_at) < ?",
    LINKS: """expires_at < ? AND NOT EXISTS (SELECT 1 FROM conferences AS kept WHERE kept.call = links.call)
        AND NOT EXISTS (SELECT 1 FROM links AS kept WHERE kept.call = links.moved_to)
        AND (joins = '' OR NOT EXISTS (SELECT 1 FROM conferences AS kept WHERE kept.call = links.joins))""",
    EVENTS: """arrived_at < ? AND NOT EXISTS (
        SELECT 1 FROM conferences AS kept WHERE kept.name = events.room AND kept.held_at <= events.arrived_at)""",
    TIMELINE: """at < ? AND NOT EXISTS (SELECT 1 FROM links AS kept WHERE kept.call = timeline.key)
        AND NOT EXISTS (SELECT 1 FROM conferences AS kept WHERE kept.call = timeline.key)
        AND NOT EXISTS (
            SELECT 1 FROM conferences AS kept WHERE kept.name = timeline.key AND kept.held_at <= timeline.at)""",
    DUE_ACTIONS: "coalesce(done_at, due_at) < ?",
    # The newest stays: positions must not start again, or a listener would take the next change for an old one.
    CHANGES: "position < ? AND position < (SELECT max(position) FROM changes)",
}
"""What is over since before a time, and nothing kept refers to it."""

_DELETE: Final = "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {over} LIMIT ?) RETURNING {key}"


# ------------------------------------------------------------------ rows


def _event_row(digest: bytes, event: Event) -> Row:
    room = storable_name(event.room)
    content = pack([event.node, event.version, event.time, event.name, event.data, event.envelope], room)
    return digest, instant(event.arrived_at), room, event.seq, content


def _event(room: str, arrived_at: int, seq: int, content: bytes) -> Event:
    node, version, time, name, data, envelope = unpack(content, room)
    return Event(node, seq, version, time, name, data, envelope, arrived_at=moment(arrived_at))


def page_row(page: Page) -> Row:
    """The row of a page, which equal ones have in common: its key, by which the table tells it from others, when its last
    entry was and a digest of all, and the content.
    """
    key, at = storable_name(page[0].key), instant(page[-1].at)
    text = encode_bytes([[at - instant(entry.at), entry.kind, entry.data] for entry in page])
    digest = hashlib.blake2b(b"%b\n%b" % (key.encode(), text), digest_size=8).digest()
    return key, at, int.from_bytes(digest, "big", signed=True), pack_text(text, key)

"""Event-sink messages and timelines in the database, and how long they stay there."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Table, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.sql.dml import ReturningInsert

from policy_server.conferences.changes import announce
from policy_server.conferences.event_groups import Written
from policy_server.conferences.records import HeldConference, TimelineEntry
from policy_server.conferences.tables import (
    CHANGES,
    CONFERENCES,
    CONVERSATIONS,
    DOORS,
    EVENTS,
    LINKS,
    TIMELINE,
    encode,
    insert_into,
    storable_name,
)
from policy_server.pexip.events import Event, room_of

EARLIER: Final = timedelta(hours=1)
"""How long before a room is held it matters what was told of it: that is not about who holds it now."""

ROWS_AT_ONCE: Final = 100
"""Rows of one statement: few enough that preparing them does not keep other requests waiting."""

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOWER_SEQ: Final = (
    update(EVENTS)
    .where(EVENTS.c.digest == bindparam("copy"), EVENTS.c.seq > bindparam("lower"))
    .values(seq=bindparam("lower"))
)


def add_events(connection: Connection, events: Mapping[str, Event]) -> Written:
    """Stores the events, by their identity, that are not there yet."""
    insert = _insert(EVENTS, connection.dialect.name)
    changed: set[str] = set()
    added: set[str] = set()
    everything = list(events.items())
    for start in range(0, len(everything), ROWS_AT_ONCE):
        some = everything[start : start + ROWS_AT_ONCE]
        new = set(connection.execute(insert, [_event_values(*each) for each in some]).scalars())
        added |= new
        # Sinks count differently. The lowest number stays, whichever copy came first, so that order is always the same.
        copies = [{"copy": digest, "lower": event.seq} for digest, event in some if digest not in new]
        if copies:
            connection.execute(_LOWER_SEQ, copies)
        for digest, event in some:
            if digest in new:
                changed |= {event.room, event.conference}
    numbers = announce(connection, changed, max((event.arrived_at for event in events.values()), default=_NEVER))
    return Written(added, numbers)


def find_events(connection: Connection, room: str, since: datetime, until: datetime | None = None) -> tuple[Event, ...]:
    """The events of a room, its breakout rooms among them, that arrived from ``since`` and before ``until``.

    They are in order of the nodes' clocks.
    """
    column = EVENTS.c
    wanted = select(EVENTS).where(column.room == room_of(room), column.arrived_at >= since)
    if until is not None:
        wanted = wanted.where(column.arrived_at < until)
    rows = connection.execute(wanted.order_by(column.time, column.node, column.seq))
    found = tuple(map(_event, rows))
    if room == room_of(room):
        return found
    # A room of its own that is merely named like another's breakout room.
    return tuple(event for event in found if event.conference == room)


def find_events_of(connection: Connection, conference: HeldConference) -> tuple[Event, ...]:
    """The events of a conference until its room was held again, or free; of a call's own room all before, of another's those
    from shortly before it was held.
    """
    column = CONFERENCES.c
    later = (column.name == conference.name) & (column.held_at > conference.held_at)
    again = connection.execute(select(func.min(column.held_at)).where(later)).scalar_one()
    until = min(again or conference.expires_at, conference.expires_at)
    is_own = bool(conference.call) and conference.call in conference.name
    return find_events(connection, conference.name, _NEVER if is_own else conference.held_at - EARLIER, until)


def add_timeline(connection: Connection, entries: Sequence[TimelineEntry]) -> tuple[TimelineEntry, ...]:
    """Stores the entries that are not there yet; those."""
    insert = _insert(TIMELINE, connection.dialect.name)
    new: list[TimelineEntry] = []
    for start in range(0, len(entries), ROWS_AT_ONCE):
        some = {_entry_identity(entry): entry for entry in entries[start : start + ROWS_AT_ONCE]}
        rows = [_entry_values(entry, digest) for (*_, digest), entry in some.items()]
        new += (some[tuple(row)] for row in connection.execute(insert, rows))
    return tuple(new)


def find_timeline(connection: Connection, key: str) -> tuple[TimelineEntry, ...]:
    """The entries of a key, by time and then in the order they were stored."""
    wanted = select(TIMELINE).where(TIMELINE.c.key == key).order_by(TIMELINE.c.at, TIMELINE.c.id)
    rows = connection.execute(wanted)
    return tuple(TimelineEntry(row.key, row.at, row.kind, row.data) for row in rows)


def count_changes(connection: Connection, keys: Sequence[str]) -> int:
    """How many changes these keys have had."""
    counted = select(func.coalesce(func.sum(CHANGES.c.number), 0)).where(CHANGES.c.key.in_(keys))
    return int((connection.execute(counted)).scalar_one())


def delete_some(connection: Connection, table: Table, before: datetime, batch: int) -> int:
    """Deletes up to ``batch`` rows of a table that are over since before a time and that nothing kept refers to."""
    (key,) = table.primary_key.columns
    old = select(key).where(_over(table, before)).limit(batch)
    gone = connection.execute(delete(table).where(key.in_(old.scalar_subquery())).returning(key)).scalars().all()
    if table is CONFERENCES and gone:
        for belonging in (DOORS, CONVERSATIONS):
            connection.execute(delete(belonging).where(belonging.c.conference_id.in_(gone)))
    return len(gone)


RETAINED: Final = (CONFERENCES, LINKS, EVENTS, TIMELINE, CHANGES)
"""The tables in the order in which they are emptied: each keeps what belongs to a row of those before it."""


def _over(table: Table, before: datetime) -> ColumnElement[bool]:
    column = table.c
    if table is CONFERENCES:
        return func.coalesce(column.ended_at, column.expires_at) < before
    if table is LINKS:
        return (column.expires_at < before) & ~exists().where(CONFERENCES.c.call == column.call)
    if table is EVENTS:
        of_kept = (CONFERENCES.c.name == column.room) & (CONFERENCES.c.held_at <= column.arrived_at)
        return (column.arrived_at < before) & ~exists().where(of_kept)
    if table is TIMELINE:
        kept = or_(
            exists().where(LINKS.c.call == column.key),
            exists().where(CONFERENCES.c.call == column.key),
            exists().where((CONFERENCES.c.name == column.key) & (CONFERENCES.c.held_at <= column.at)),
        )
        return (column.at < before) & ~kept
    # The newest stays: positions must not start again, or a listener would take the next change for an old one.
    newest = select(func.max(column.position).label("newest")).scalar_subquery()
    return (column.changed_at < before) & or_(column.position == 0, column.position < newest)


@cache
def _insert(table: Table, dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    column = table.c
    identity = (column.digest,) if table is EVENTS else (column.key, column.at, column.digest)
    return insert_into(table, dialect).on_conflict_do_nothing().returning(*identity)


def _event_values(digest: str, event: Event) -> dict[str, object]:
    return {
        "digest": digest,
        "arrived_at": event.arrived_at,
        "room": event.room,
        "node": event.node,
        "seq": event.seq,
        "version": event.version,
        "time": event.time,
        "event": event.name,
        "data": event.data,
        "envelope": event.envelope,
    }


def _event(row: Row[*tuple[Any, ...]]) -> Event:
    values = (row.node, row.seq, row.version, row.time, row.event, row.data, row.envelope)
    return Event(*values, arrived_at=row.arrived_at)


def _entry_identity(entry: TimelineEntry) -> tuple[object, ...]:
    """What equal entries have in common: key, time and a digest of the content."""
    content = f"{entry.kind}\n{encode(entry.data)}".encode("utf-8", "surrogatepass")
    return storable_name(entry.key), entry.at, hashlib.blake2b(content, digest_size=16).hexdigest()


def _entry_values(entry: TimelineEntry, digest: object) -> dict[str, object]:
    return {"key": entry.key, "at": entry.at, "kind": entry.kind, "data": entry.data, "digest": digest}

"""Event-sink messages and timelines in the database, and how long they stay there."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, or_, select
from sqlalchemy.sql.dml import ReturningInsert

from policy_server.conferences.changes import announce
from policy_server.conferences.records import StoredEvent, TimelineEntry
from policy_server.conferences.tables import CHANGES, CONFERENCES, DOORS, EVENTS, LINKS, TIMELINE, encode, insert_into

ROWS_AT_ONCE: Final = 100
"""Rows of one statement: few enough that preparing them does not keep other requests waiting."""


def add_events(connection: Connection, events: Sequence[StoredEvent]) -> int:
    """Stores the events that are not there yet and counts them."""
    insert = _insert(EVENTS, connection.dialect.name)
    added = 0
    conferences: set[str] = set()
    for start in range(0, len(events), ROWS_AT_ONCE):
        rows = [_event_values(event) for event in events[start : start + ROWS_AT_ONCE]]
        names = (connection.execute(insert, rows)).scalars().all()
        added += len(names)
        conferences.update(names)
    if conferences:
        announce(connection, conferences, _latest(events))
    return added


def _latest(events: Sequence[StoredEvent]) -> datetime:
    return datetime.fromtimestamp(max(event.time for event in events), UTC)


def find_events(
    connection: Connection, conference: str, since: datetime, until: datetime | None
) -> tuple[StoredEvent, ...]:
    """The events of a room name from ``since`` and before ``until``, by time."""
    column = EVENTS.c
    wanted = select(EVENTS).where(column.conference == conference, column.time >= since.timestamp())
    if until is not None:
        wanted = wanted.where(column.time < until.timestamp())
    rows = connection.execute(wanted.order_by(column.time, column.node, column.seq))
    return tuple(
        StoredEvent(row.node, row.seq, row.time, row.event, row.version, row.conference, row.data) for row in rows
    )


def add_timeline(connection: Connection, entries: Sequence[TimelineEntry]) -> list[str]:
    """Stores the entries that are not there yet; the key of each of those, to be announced."""
    insert = _insert(TIMELINE, connection.dialect.name)
    keys: list[str] = []
    for start in range(0, len(entries), ROWS_AT_ONCE):
        rows = [_entry_values(entry) for entry in entries[start : start + ROWS_AT_ONCE]]
        keys += connection.execute(insert, rows).scalars()
    return keys


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
        connection.execute(delete(DOORS).where(DOORS.c.conference_id.in_(gone)))
    return len(gone)


RETAINED: Final = (CONFERENCES, LINKS, EVENTS, TIMELINE, CHANGES)
"""The tables in the order in which they are emptied: each keeps what belongs to a row of those before it."""


def _over(table: Table, before: datetime) -> ColumnElement[bool]:
    column = table.c
    if table is CONFERENCES:
        return func.coalesce(column.ended_at, column.expires_at) < before
    if table is LINKS:
        return (column.expires_at < before) & ~exists().where(CONFERENCES.c.session == column.session)
    if table is EVENTS:
        of_kept = (CONFERENCES.c.name == column.conference) & (CONFERENCES.c.pinned_at <= column.time * 1_000_000.0)
        return (column.time < before.timestamp()) & ~exists().where(of_kept)
    if table is TIMELINE:
        kept = or_(
            exists().where(LINKS.c.session == column.key),
            exists().where(CONFERENCES.c.session == column.key),
            exists().where((CONFERENCES.c.name == column.key) & (CONFERENCES.c.pinned_at <= column.at)),
        )
        return (column.at < before) & ~kept
    # The newest stays: positions must not start again, or a listener would take the next change for an old one.
    newest = select(func.max(column.position).label("newest")).scalar_subquery()
    return (column.changed_at < before) & or_(column.position == 0, column.position < newest)


@cache
def _insert(table: Table, dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    key = table.c.conference if table is EVENTS else table.c.key
    return insert_into(table, dialect).on_conflict_do_nothing().returning(key)


def _event_values(event: StoredEvent) -> dict[str, object]:
    return {
        "node": event.node,
        "seq": event.seq,
        "second": event.second,
        "time": event.time,
        "event": event.event,
        "version": event.version,
        "conference": event.conference,
        "data": event.data,
    }


def _entry_values(entry: TimelineEntry) -> dict[str, object]:
    content = f"{entry.kind}\n{encode(entry.data)}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return {"key": entry.key, "at": entry.at, "kind": entry.kind, "data": entry.data, "digest": digest}

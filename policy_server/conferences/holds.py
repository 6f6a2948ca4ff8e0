"""Held conferences in the database: one winner for each life of a room (README.md: Held rooms)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, or_, select, update
from sqlalchemy.sql.dml import ReturningInsert

from policy_server.conferences.changes import announce
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.records import Door, HeldConference
from policy_server.conferences.tables import CONFERENCES, DOORS, insert_into
from policy_server.pexip.field_facts import SECRET_FIELDS

ATTEMPTS: Final = 10
"""How often another replica may end or replace a conference under our hands before we give up."""

IDS_AT_ONCE: Final = 500
"""Conferences whose doors one statement asks for."""

_FIELDS: Final = tuple(field.name for field in fields(HeldConference) if field.name in CONFERENCES.c)
"""The columns that a conference's record has, under the same names; its doors have a table of their own."""


def hold_all(
    connection: Connection, conferences: Sequence[HeldConference]
) -> tuple[tuple[HeldConference, ...], set[str]]:
    """Holds each conference or finds the one that holds its room, in the order given; also the keys to announce.

    The doors of a conference become those of the one that holds the room, unless that has one for the same rule.
    """
    # In one order everywhere, so that two replicas wait for each other and do not block each other.
    ordered = sorted(conferences, key=_name)
    new = _insert_all(connection, ordered)
    winners: dict[str, HeldConference] = {}
    for conference in ordered:
        winners[conference.id] = conference if conference.id in new else _find_winner(connection, conference, new)
    opened = _insert_doors(connection, ordered, winners)
    doors = _find_doors(connection, [winner.id for winner in winners.values()])
    changed = new | opened
    keys = {key for one in ordered if winners[one.id].id in changed for key in (winners[one.id].name, one.call)}
    held = (winners[conference.id] for conference in conferences)
    return tuple(replace(winner, doors=doors.get(winner.id, {})) for winner in held), keys


def _name(conference: HeldConference) -> str:
    return conference.name


def _insert_all(connection: Connection, conferences: Sequence[HeldConference]) -> set[str]:
    """Holds the rooms that nobody holds; the ids of those conferences."""
    # The unique index on live_name decides; PostgreSQL waits here for a rival that has not committed yet.
    rows = [_values(conference) for conference in conferences]
    return set(connection.execute(_insert(connection.dialect.name), rows).scalars()) if rows else set()


def _find_winner(connection: Connection, conference: HeldConference, new: set[str]) -> HeldConference:
    """The conference that holds the room; adds the given one to ``new`` if the room has become free."""
    for _ in range(ATTEMPTS):
        known = or_(CONFERENCES.c.id == conference.id, CONFERENCES.c.live_name == conference.name)
        holders = [_conference(row) for row in connection.execute(select(CONFERENCES).where(known))]
        again = next((holder for holder in holders if holder.id == conference.id), None)
        if again is not None:
            # A write made twice. It must not bring an ended conference back.
            return again
        for holder in holders:
            if holder.expires_at > conference.held_at:
                return holder
            expired = (CONFERENCES.c.id == holder.id) & (CONFERENCES.c.live_name == conference.name)
            connection.execute(update(CONFERENCES).where(expired).values(live_name=None))
            _forget(connection, [holder.id])
        inserted = _insert_all(connection, [conference])
        if inserted:
            new |= inserted
            return conference
    raise StoreUnavailableError("the room changes hands too fast to be held")


def _insert_doors(
    connection: Connection, conferences: Sequence[HeldConference], winners: Mapping[str, HeldConference]
) -> set[str]:
    """Adds the doors that are not there yet; the ids of the conferences that got one."""
    rows = [
        {"conference_id": winner.id, "rule": rule, "fields": door.fields, "asked": door.asked}
        for conference in conferences
        if (winner := winners[conference.id]).ended_at is None
        for rule, door in sorted(conference.doors.items())
    ]
    return set(connection.execute(_insert_door(connection.dialect.name), rows).scalars()) if rows else set()


def _find_doors(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Door]]:
    """The doors of some conferences, by conference and rule."""
    doors: dict[str, dict[str, Door]] = {}
    wanted = select(DOORS).order_by(DOORS.c.conference_id, DOORS.c.rule)
    for start in range(0, len(ids), IDS_AT_ONCE):
        some = wanted.where(DOORS.c.conference_id.in_(ids[start : start + IDS_AT_ONCE]))
        for row in connection.execute(some):
            doors.setdefault(row.conference_id, {})[row.rule] = Door(row.fields, row.asked)
    return doors


def _with_doors(connection: Connection, rows: Iterable[Row[*tuple[Any, ...]]]) -> tuple[HeldConference, ...]:
    found = [_conference(row) for row in rows]
    doors = _find_doors(connection, [conference.id for conference in found])
    return tuple(replace(conference, doors=doors.get(conference.id, {})) for conference in found)


def find_holder(connection: Connection, name: str, at: datetime) -> HeldConference | None:
    """The conference that holds a room at a time."""
    live = (CONFERENCES.c.live_name == name) & (CONFERENCES.c.expires_at > at)
    return next(iter(_with_doors(connection, connection.execute(select(CONFERENCES).where(live)))), None)


def find_holders_among(connection: Connection, names: Sequence[str], at: datetime) -> tuple[HeldConference, ...]:
    """The conferences that hold some rooms at a time."""
    held = CONFERENCES.c.live_name.in_(names) & (CONFERENCES.c.expires_at > at)
    return _with_doors(connection, connection.execute(select(CONFERENCES).where(held)))


def find_live(connection: Connection, at: datetime) -> tuple[HeldConference, ...]:
    """The conferences that hold their rooms at a time."""
    live = CONFERENCES.c.live_name.is_not(None) & (CONFERENCES.c.expires_at > at)
    rows = connection.execute(select(CONFERENCES).where(live).order_by(CONFERENCES.c.held_at))
    return _with_doors(connection, rows)


def find_held_at(connection: Connection, at: datetime) -> tuple[HeldConference, ...]:
    """The conferences that held their rooms at a time, whatever became of them since."""
    columns = CONFERENCES.c
    held = (columns.held_at <= at) & (columns.expires_at > at) & (columns.ended_at.is_(None) | (columns.ended_at > at))
    rows = connection.execute(select(CONFERENCES).where(held).order_by(columns.held_at))
    return _with_doors(connection, rows)


def find_latest(connection: Connection, call: str) -> HeldConference | None:
    """The latest conference of a call; one in a breakout room only where there is no other."""
    if not call:
        return None
    is_aside = CONFERENCES.c.name.contains("_breakout_", autoescape=True)
    return _find_last(connection, select(CONFERENCES).where(CONFERENCES.c.call == call).order_by(is_aside))


def find_latest_among(connection: Connection, names: Sequence[str]) -> HeldConference | None:
    """The latest conference without a call, of those in some rooms."""
    without_call = (CONFERENCES.c.call == "") & CONFERENCES.c.name.in_(names)
    return _find_last(connection, select(CONFERENCES).where(without_call))


def _find_last(connection: Connection, some: Select[*tuple[Any, ...]]) -> HeldConference | None:
    latest = some.order_by(CONFERENCES.c.held_at.desc(), CONFERENCES.c.id.desc()).limit(1)
    return next(iter(_with_doors(connection, connection.execute(latest))), None)


def end(connection: Connection, name: str, at: datetime) -> bool:
    """Ends the conference that holds a room, if it was held by then; says whether it did."""
    live = (CONFERENCES.c.live_name == name) & (CONFERENCES.c.held_at <= at)
    ending = update(CONFERENCES).where(live).values(ended_at=at, live_name=None)
    ended = (connection.execute(ending.returning(CONFERENCES.c.id, CONFERENCES.c.call))).one_or_none()
    if ended is None:
        return False
    _forget(connection, [ended.id])
    announce(connection, [name, ended.call], at)
    return True


def forget_secrets(connection: Connection, at: datetime, most: int) -> int:
    """Deletes the PINs of up to ``most`` conferences that no longer hold their rooms at a time; of how many it did."""
    columns = CONFERENCES.c
    over = columns.live_name.is_(None) | (columns.expires_at <= at)
    # Only those that run have doors, so there are few to look through.
    kept = select(DOORS.c.conference_id).distinct().join(CONFERENCES, columns.id == DOORS.c.conference_id)
    ids = connection.execute(kept.where(over).limit(most)).scalars().all()
    _forget(connection, ids)
    return len(ids)


def _forget(connection: Connection, ids: Sequence[str]) -> None:
    """Deletes the doors of conferences that are over, and what else in them is secret."""
    columns = CONFERENCES.c
    held = (columns.service, columns.legs, columns.fallbacks)
    for row in connection.execute(select(columns.id, *held).where(columns.id.in_(ids))).all():
        values = {column.name: value for column, value in zip(held, row[1:], strict=True)}
        public = {name: _without_secrets(value) for name, value in values.items()}
        if public != values:
            connection.execute(update(CONFERENCES).where(columns.id == row.id).values(public))
    if ids:
        connection.execute(delete(DOORS).where(DOORS.c.conference_id.in_(ids)))


def _without_secrets(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_secrets(item) for key, item in value.items() if key not in SECRET_FIELDS}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


@cache
def _insert(dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    return insert_into(CONFERENCES, dialect).on_conflict_do_nothing().returning(CONFERENCES.c.id)


@cache
def _insert_door(dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    return insert_into(DOORS, dialect).on_conflict_do_nothing().returning(DOORS.c.conference_id)


def _values(conference: HeldConference) -> dict[str, object]:
    values = {name: getattr(conference, name) for name in _FIELDS if name != "ended_at"}
    return {**values, "live_name": conference.name}


def _conference(row: Row[*tuple[Any, ...]]) -> HeldConference:
    values: dict[str, Any] = {name: getattr(row, name) for name in _FIELDS}
    return HeldConference(**{**values, "legs": tuple(row.legs), "fallbacks": tuple(row.fallbacks)})

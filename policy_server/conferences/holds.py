"""Held conferences in the database: one winner for each life of a room (README.md: Held rooms)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import Final

from policy_server.conferences.connection import Connection, Row
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.records import Door, Ended, HeldConference
from policy_server.conferences.tables import CONFERENCES, DOORS, decode, encode, instant, storable_name
from policy_server.pexip.field_facts import SECRET_FIELDS

ATTEMPTS: Final = 10
"""How often another replica may end or replace a conference under our hands before we give up."""

_HOLDS: Final = {"live_name": "name"}
"""The room that a conference begins to hold; the record has the other columns, and its doors have a table of their own."""

_VALUES: Final = attrgetter(*(_HOLDS.get(name, name) for name in CONFERENCES.names))

_SELECT: Final = CONFERENCES.select
_HOLDERS: Final = f"{_SELECT} WHERE id = ? OR live_name = ?"
_EXPIRE: Final = "UPDATE conferences SET live_name = NULL WHERE id = ? AND live_name = ?"
_FIND_DOORS: Final = f"{DOORS.select} WHERE conference_id = ANY(?) ORDER BY conference_id, rule"
_LATEST: Final = f"""{_SELECT} WHERE call = ?
    ORDER BY name LIKE '%!_breakout!_%' ESCAPE '!', held_at DESC, id DESC LIMIT 1"""
_LATEST_AMONG: Final = f"""{_SELECT} WHERE call = '' AND name = ANY(?) ORDER BY held_at DESC, id DESC LIMIT 1"""
_HELD_AT: Final = f"""{_SELECT} WHERE held_at <= ? AND expires_at > ? AND (ended_at IS NULL OR ended_at > ?)
    ORDER BY held_at"""
# The first condition leaves those that run and those that ended since, by an index.
_BEGUN: Final = f"""{_SELECT} WHERE coalesce(ended_at, expires_at) > ? AND held_at > ? AND held_at <= ?"""
_END: Final = """UPDATE conferences SET ended_at = ?, live_name = NULL WHERE live_name = ? AND held_at <= ?
    RETURNING id, call"""
# Only those that run have doors, so there are few to look through.
_OVER_WITH_DOORS: Final = """
    SELECT DISTINCT conference_id FROM doors JOIN conferences ON conferences.id = doors.conference_id
    WHERE live_name IS NULL OR expires_at <= ? LIMIT ?"""
_HELD: Final = "SELECT id, service, legs, fallbacks FROM conferences WHERE id = ANY(?)"
_REPLACE_HELD: Final = "UPDATE conferences SET service = ?, legs = ?, fallbacks = ? WHERE id = ?"
_DELETE_DOORS: Final = "DELETE FROM doors WHERE conference_id = ANY(?)"


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
    changed = new | opened
    keys = {key for one in ordered if winners[one.id].id in changed for key in (winners[one.id].name, one.call)}
    held = tuple(winners[conference.id] for conference in conferences)
    # Whoever has just begun, and nobody else came to, has the doors that it brought.
    shared = {winner.id for one, winner in zip(conferences, held, strict=True) if winner is not one}
    if not shared:
        return held, keys
    doors = _find_doors(connection, sorted(shared))
    return tuple(replace(one, doors=doors.get(one.id, {})) if one.id in shared else one for one in held), keys


_name: Final = attrgetter("name")


def _insert_all(connection: Connection, conferences: Sequence[HeldConference]) -> set[str]:
    """Holds the rooms that nobody holds; the ids of those conferences."""
    # The unique index on live_name decides; PostgreSQL waits here for a rival that has not committed yet.
    rows = {row[0]: row for row in map(_row, conferences)}
    return {row[0] for row in connection.insert(CONFERENCES, list(rows.values()))}


def _find_winner(connection: Connection, conference: HeldConference, new: set[str]) -> HeldConference:
    """The conference that holds the room; adds the given one to ``new`` if the room has become free."""
    name = storable_name(conference.name)
    for _ in range(ATTEMPTS):
        holders = [_conference(row) for row in connection.execute(_HOLDERS, storable_name(conference.id), name)]
        again = next((holder for holder in holders if holder.id == conference.id), None)
        if again is not None:
            # A write made twice. It must not bring an ended conference back.
            return again
        for holder in holders:
            if holder.expires_at > conference.held_at:
                return holder
            connection.run(_EXPIRE, holder.id, name)
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
    rows: dict[tuple[str, str], Row] = {}
    for conference in conferences:
        winner = winners[conference.id]
        if winner.ended_at is None:
            for rule, door in sorted(conference.doors.items()):
                row = (winner.id, storable_name(rule), encode(door.fields), encode(door.asked))
                rows.setdefault((row[0], row[1]), row)
    return {row[0] for row in connection.insert(DOORS, list(rows.values()))} if rows else set()


def _find_doors(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Door]]:
    """The doors of some conferences, by conference and rule."""
    doors: dict[str, dict[str, Door]] = {}
    for conference_id, rule, shown, asked in connection.execute(_FIND_DOORS, ids) if ids else ():
        doors.setdefault(conference_id, {})[rule] = Door(decode(shown), decode(asked))
    return doors


def _with_doors(connection: Connection, rows: Iterable[Row]) -> tuple[HeldConference, ...]:
    found = [_conference(row) for row in rows]
    # Whose end was written has none any more.
    doors = _find_doors(connection, [conference.id for conference in found if conference.ended_at is None])
    return tuple(replace(conference, doors=doors.get(conference.id, {})) for conference in found)


def find_holder(connection: Connection, name: str, at: datetime) -> HeldConference | None:
    """The conference that holds a room at a time."""
    rows = connection.execute(f"{_SELECT} WHERE live_name = ? AND expires_at > ?", storable_name(name), instant(at))
    return next(iter(_with_doors(connection, rows)), None)


def find_holders_among(connection: Connection, names: Sequence[str], at: datetime) -> tuple[HeldConference, ...]:
    """The conferences that hold some rooms at a time."""
    stored = list(map(storable_name, names))
    rows = connection.execute(f"{_SELECT} WHERE live_name = ANY(?) AND expires_at > ?", stored, instant(at))
    return _with_doors(connection, rows)


def find_live(connection: Connection, at: datetime) -> tuple[HeldConference, ...]:
    """The conferences that hold their rooms at a time."""
    rows = connection.execute(f"{_SELECT} WHERE live_name IS NOT NULL AND expires_at > ? ORDER BY held_at", instant(at))
    return _with_doors(connection, rows)


def find_held_at(connection: Connection, at: datetime) -> tuple[HeldConference, ...]:
    """The conferences that held their rooms at a time, whatever became of them since."""
    return _with_doors(connection, connection.execute(_HELD_AT, *[instant(at)] * 3))


def find_begun(connection: Connection, since: datetime, at: datetime) -> tuple[HeldConference, ...]:
    """The conferences that began after a time and by another, also those that have ended; without their doors."""
    return tuple(map(_conference, connection.execute(_BEGUN, instant(since), instant(since), instant(at))))


def find_by_id(connection: Connection, conference_id: str) -> HeldConference | None:
    """A conference, by its id."""
    return _first(connection, connection.execute(f"{_SELECT} WHERE id = ?", storable_name(conference_id)))


def find_latest(connection: Connection, call: str) -> HeldConference | None:
    """The latest conference of a call; one in a breakout room only where there is no other."""
    return _first(connection, connection.execute(_LATEST, storable_name(call))) if call else None


def find_latest_among(connection: Connection, names: Sequence[str]) -> HeldConference | None:
    """The latest conference without a call, of those in some rooms."""
    return _first(connection, connection.execute(_LATEST_AMONG, list(map(storable_name, names))))


def _first(connection: Connection, rows: Sequence[Row]) -> HeldConference | None:
    return next(iter(_with_doors(connection, rows)), None)


def end(connection: Connection, name: str, at: datetime) -> Ended | None:
    """Ends the conference that holds a room, if it was held by then."""
    ended = connection.execute(_END, instant(at), storable_name(name), instant(at))
    if not ended:
        return None
    ((ended_id, call),) = ended
    _forget(connection, [ended_id])
    return Ended(ended_id, storable_name(name), call, find_latest(connection, call))


def forget_secrets(connection: Connection, at: datetime, most: int) -> int:
    """Deletes the PINs of up to ``most`` conferences that no longer hold their rooms at a time; of how many it did."""
    ids = [row[0] for row in connection.execute(_OVER_WITH_DOORS, instant(at), most)]
    _forget(connection, ids)
    return len(ids)


def _forget(connection: Connection, ids: Sequence[str]) -> None:
    """Deletes the doors of conferences that are over, and what else in them is secret."""
    for row_id, *held in connection.execute(_HELD, ids) if ids else ():
        public = [encode(_without_secrets(decode(value))) for value in held]
        if public != held:
            connection.run(_REPLACE_HELD, *public, row_id)
    if ids:
        connection.run(_DELETE_DOORS, ids)


def _without_secrets(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_secrets(item) for key, item in value.items() if key not in SECRET_FIELDS}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _row(conference: HeldConference) -> Row:
    return CONFERENCES.encode(_VALUES(conference))


def _conference(row: Row) -> HeldConference:
    found = CONFERENCES.decode(row)
    for name in _HOLDS:
        del found[name]
    return HeldConference(**found)

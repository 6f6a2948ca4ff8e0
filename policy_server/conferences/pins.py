"""Pinned conferences in the database: one winner for each life of a room (DESIGN section 7)."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Row, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from policy_server.conferences.changes import announce
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.records import PinnedConference
from policy_server.conferences.tables import CONFERENCES, insert_into

ATTEMPTS: Final = 10
"""How often another replica may end or replace a conference under our hands before we give up."""


async def pin_all(connection: AsyncConnection, conferences: Sequence[PinnedConference]) -> tuple[PinnedConference, ...]:
    """Pins each conference or finds the one that holds its room; in the order given."""
    winners: dict[str, PinnedConference] = {}
    keys: set[str] = set()
    # In one order everywhere, so that two replicas wait for each other and do not block each other.
    for conference in sorted(conferences, key=_name):
        winner, is_new = await _pin(connection, conference)
        winners[conference.id] = winner
        if is_new:
            keys |= {conference.name, conference.session}
    if keys:
        await announce(connection, keys, max(conference.pinned_at for conference in conferences))
    return tuple(winners[conference.id] for conference in conferences)


def _name(conference: PinnedConference) -> str:
    return conference.name


async def _pin(connection: AsyncConnection, conference: PinnedConference) -> tuple[PinnedConference, bool]:
    insert = _insert(connection.dialect.name)
    values = _values(conference)
    for _ in range(ATTEMPTS):
        # The unique index on live_name decides; PostgreSQL waits here for a rival that has not committed yet.
        pinned = (await connection.execute(insert, values)).one_or_none()
        if pinned is not None:
            return _conference(pinned), True
        known = or_(CONFERENCES.c.id == conference.id, CONFERENCES.c.live_name == conference.name)
        holders = [_conference(row) for row in await connection.execute(select(CONFERENCES).where(known))]
        again = next((holder for holder in holders if holder.id == conference.id), None)
        if again is not None:
            # A write made twice. It must not bring an ended conference back.
            return again, False
        for holder in holders:
            if holder.expires_at > conference.pinned_at:
                return holder, False
            expired = (CONFERENCES.c.id == holder.id) & (CONFERENCES.c.live_name == conference.name)
            await connection.execute(update(CONFERENCES).where(expired).values(live_name=None))
    raise StoreUnavailableError("the room changes hands too fast to be pinned")


async def find_pinned(connection: AsyncConnection, name: str, at: datetime) -> PinnedConference | None:
    """The conference that holds a room at a time."""
    live = (CONFERENCES.c.live_name == name) & (CONFERENCES.c.expires_at > at)
    row = (await connection.execute(select(CONFERENCES).where(live))).one_or_none()
    return None if row is None else _conference(row)


async def find_live(connection: AsyncConnection, at: datetime) -> tuple[PinnedConference, ...]:
    """The conferences that hold their rooms at a time."""
    live = CONFERENCES.c.live_name.is_not(None) & (CONFERENCES.c.expires_at > at)
    rows = await connection.execute(select(CONFERENCES).where(live).order_by(CONFERENCES.c.pinned_at))
    return tuple(_conference(row) for row in rows)


async def find_latest(connection: AsyncConnection, session: str) -> PinnedConference | None:
    """The conference of a session that was pinned last."""
    if not session:
        return None
    of_session = select(CONFERENCES).where(CONFERENCES.c.session == session)
    latest = of_session.order_by(CONFERENCES.c.pinned_at.desc(), CONFERENCES.c.id.desc()).limit(1)
    row = (await connection.execute(latest)).one_or_none()
    return None if row is None else _conference(row)


async def end(connection: AsyncConnection, name: str, at: datetime) -> bool:
    """Ends the conference that holds a room, if it was pinned by then; says whether it did."""
    live = (CONFERENCES.c.live_name == name) & (CONFERENCES.c.pinned_at <= at)
    ending = update(CONFERENCES).where(live).values(ended_at=at, live_name=None)
    ended = (await connection.execute(ending.returning(CONFERENCES.c.session))).one_or_none()
    if ended is None:
        return False
    await announce(connection, [name, ended.session], at)
    return True


@cache
def _insert(dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    return insert_into(CONFERENCES, dialect).on_conflict_do_nothing().returning(CONFERENCES)


def _values(conference: PinnedConference) -> dict[str, object]:
    return {
        "id": conference.id,
        "name": conference.name,
        "live_name": conference.name,
        "session": conference.session,
        "service_tag": conference.service_tag,
        "service": conference.service,
        "legs": conference.legs,
        "fallbacks": conference.fallbacks,
        "rule": conference.rule,
        "revision": conference.revision,
        "alias": conference.alias,
        "pinned_at": conference.pinned_at,
        "expires_at": conference.expires_at,
    }


def _conference(row: Row[*tuple[Any, ...]]) -> PinnedConference:
    return PinnedConference(
        id=row.id,
        name=row.name,
        session=row.session,
        service_tag=row.service_tag,
        service=row.service,
        legs=tuple(row.legs),
        fallbacks=tuple(row.fallbacks),
        rule=row.rule,
        revision=row.revision,
        alias=row.alias,
        pinned_at=row.pinned_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
    )

"""Who is told of what was written, in this process and in others, and how they hear it.

PostgreSQL carries a notice with each transaction (NOTIFY). SQLite has none: a listener looks at once when its own
process has committed, and every ``POLL_SECONDS`` whether another process did, which is one look into an index.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import cache, partial
from typing import Final, cast

from psycopg import AsyncConnection as Psycopg
from sqlalchemy import Connection, Row, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import Text

from policy_server.conferences.database import FAULTS, Database
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.records import LOOK_AGAIN, Change
from policy_server.conferences.tables import CHANGES, POSTGRESQL, SQLITE, insert_into, storable_name

CHANNEL: Final = "policy_server_changes"
POLL_SECONDS: Final = 0.05
FIRST_RETRY_SECONDS: Final = 0.1
LAST_RETRY_SECONDS: Final = 5.0
CLOSED_SECONDS: Final = 1.0
"""How soon a listener sees that the store was closed."""

log = logging.getLogger(__name__)


def announce(connection: Connection, keys: Iterable[str], at: datetime) -> dict[str, int]:
    """Counts a change of each key, in the transaction that makes it, and lets listeners know once it is committed.

    Returns the number of each key's change.
    """
    # In one order everywhere, so that two replicas wait for each other and do not block each other.
    ordered = sorted({storable_name(key) for key in keys if key})
    if not ordered:
        return {}
    dialect = connection.dialect.name
    position = 0
    if dialect == SQLITE:
        position = _newest_position(connection) + 1
    rows = [{"key": key, "number": 1, "position": position, "changed_at": at} for key in ordered]
    counted = {row.key: row.number for row in connection.execute(_count(dialect), rows)}
    if dialect == POSTGRESQL:
        notices = literal([f"{number}:{key}" for key, number in counted.items()], ARRAY(Text))
        connection.execute(select(func.pg_notify(CHANNEL, func.unnest(notices))))
    return counted


@cache
def _count(dialect: str) -> ReturningInsert[str, int]:
    insert = insert_into(CHANGES, dialect)
    fresh = {"number": CHANGES.c.number + 1, "position": insert.excluded.position}
    latest = {"changed_at": insert.excluded.changed_at}
    counting = insert.on_conflict_do_update(index_elements=[CHANGES.c.key], set_={**fresh, **latest})
    return counting.returning(CHANGES.c.key, CHANGES.c.number)


async def listen(database: Database) -> AsyncGenerator[Change, None]:
    """Every change from now on, until the database is closed. Never raises; starts, also again, with LOOK_AGAIN."""
    delay = FIRST_RETRY_SECONDS
    while not database.closed:
        try:
            await database.prepare()
            async with aclosing(_hear(database)) as heard:
                async for change in heard:
                    delay = FIRST_RETRY_SECONDS
                    yield change
        except FAULTS as error:
            log.warning("store.listening_lost: %s", database.unavailable(error))
        except StoreUnavailableError as error:
            if not database.closed:
                log.warning("store.listening_lost: %s", error)
        if not database.closed:
            await asyncio.sleep(delay)
        delay = min(delay * 2, LAST_RETRY_SECONDS)


def _hear(database: Database) -> AsyncGenerator[Change, None]:
    return _hear_sqlite(database) if database.location.path else _hear_postgresql(database)


async def _hear_postgresql(database: Database) -> AsyncGenerator[Change, None]:
    watcher = database.engines.watcher
    if watcher is None:
        raise ValueError("SQLite has no notices")
    async with watcher.connect() as connection:
        await connection.exec_driver_sql(f"LISTEN {CHANNEL}")
        driver = (await connection.get_raw_connection()).driver_connection
        yield LOOK_AGAIN
        while not database.closed:
            async with aclosing(cast("Psycopg[object]", driver).notifies(timeout=CLOSED_SECONDS)) as notices:
                async for notice in notices:
                    yield _read_notice(notice.payload)


def _read_notice(payload: str) -> Change:
    number, _, key = payload.partition(":")
    # Whoever may connect may also notify, by hand for one.
    return Change(key, int(number)) if key and number.isdecimal() else LOOK_AGAIN


async def _hear_sqlite(database: Database) -> AsyncGenerator[Change, None]:
    # Has no connection of its own. A listener is cancelled at any moment, and a connection that is interrupted while it
    # opens is never closed; what ``read`` has begun ends by itself.
    wake = asyncio.Event()
    database.wake_on_commit(wake)
    try:
        position = await database.read(_newest_position)
        yield LOOK_AGAIN
        while not database.closed:
            for change in await database.read(partial(_find_since, position=position)):
                position = change.position
                yield Change(change.key, change.number)
            await _set_within(wake, POLL_SECONDS)
            wake.clear()
    finally:
        database.forget_wake(wake)


def _newest_position(connection: Connection) -> int:
    newest = select(func.coalesce(func.max(CHANGES.c.position), 0))
    return int(connection.execute(newest).scalar_one())


def _find_since(connection: Connection, position: int) -> Sequence[Row[str, int, int]]:
    fresh = select(CHANGES.c.key, CHANGES.c.number, CHANGES.c.position).where(CHANGES.c.position > position)
    return connection.execute(fresh.order_by(CHANGES.c.position)).all()


async def _set_within(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return

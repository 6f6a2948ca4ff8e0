"""Who is told of what was written, in this process and in others, and how they hear it.

PostgreSQL carries a notice with each transaction (NOTIFY). SQLite has none: a listener is told what its own process has
committed, whose transactions see whether another process has committed too. While there are none, it looks every
``POLL_SECONDS`` itself, which is one look into an index.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Final

from policy_server.conferences.connection import FAULTS, POSTGRESQL, Connection, Row
from policy_server.conferences.database import Database
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.location import connect_listener
from policy_server.conferences.records import LOOK_AGAIN, Change
from policy_server.conferences.tables import instant, storable_name

CHANNEL: Final = "policy_server_changes"
POLL_SECONDS: Final = 0.04
FIRST_RETRY_SECONDS: Final = 0.1
LAST_RETRY_SECONDS: Final = 5.0

_LATEST: Final = "SELECT coalesce(max(position), 0), (SELECT number FROM changes WHERE key = ?) FROM changes"
_COUNT_FIRST: Final = "INSERT INTO changes (number, position, key) VALUES (?, ?, ?)"
_COUNT_AGAIN: Final = "UPDATE changes SET number = ?, position = ? WHERE key = ?"
_COUNT_IN_POSTGRESQL: Final = """
    WITH counted AS (
        INSERT INTO changes (key, number, position) SELECT key, 1, ? FROM unnest(?::text[]) AS key
        ON CONFLICT (key) DO UPDATE SET number = changes.number + 1, position = excluded.position
        RETURNING key, number)
    SELECT key, number, pg_notify(?, number || ':' || key) FROM counted"""
_NEWEST: Final = "SELECT coalesce(max(position), 0) FROM changes"
_SINCE: Final = "SELECT key, number, position FROM changes WHERE position > ? ORDER BY position"

log = logging.getLogger(__name__)


def announce(connection: Connection, keys: Iterable[str], at: datetime) -> dict[str, int]:
    """Counts a change of each key, in the transaction that makes it, and lets listeners know once it is committed.

    Returns the number of each key's change.
    """
    # In one order everywhere, so that two replicas wait for each other and do not block each other.
    ordered = sorted({storable_name(key) for key in keys if key})
    if not ordered:
        return {}
    position = instant(at)
    if connection.dialect == POSTGRESQL:
        rows = connection.execute(_COUNT_IN_POSTGRESQL, position, ordered, CHANNEL)
    else:
        rows = [_count_in_sqlite(connection, key, position) for key in ordered]
    connection.announced += rows
    return {row[0]: row[1] for row in rows}


def _count_in_sqlite(connection: Connection, key: str, position: int) -> Row:
    # Nobody else writes in the meantime; and a statement that counts and tells costs twice as much as these.
    ((newest, known),) = connection.execute(_LATEST, key)
    position, number = max(position, newest + 1), (known or 0) + 1
    connection.execute(_COUNT_AGAIN if known else _COUNT_FIRST, number, position, key)
    return key, number, position


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
    # Waits for the socket itself: the driver's way costs several turns of the event loop for each notice.
    loop = asyncio.get_running_loop()
    with database.listening() as own:
        async with await connect_listener(database.location, database.patience) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            driver = connection.pgconn
            # A connection that was lost has none any more.
            socket = driver.socket
            loop.add_reader(socket, own.wake.set)
            try:
                yield LOOK_AGAIN
                while not database.closed:
                    driver.consume_input()
                    while (notice := driver.notifies()) is not None:
                        yield _read_notice(notice.extra.decode(errors="replace"))
                    # There is a notice of these too, in the order of everybody's.
                    own.take()
                    await own.wake.wait()
                    own.wake.clear()
            finally:
                loop.remove_reader(socket)


def _read_notice(payload: str) -> Change:
    number, _, key = payload.partition(":")
    # Whoever may connect may also notify, by hand for one.
    return Change(key, int(number)) if key and number.isdecimal() else LOOK_AGAIN


async def _hear_sqlite(database: Database) -> AsyncGenerator[Change, None]:
    # Has no connection of its own. A listener is cancelled at any moment, and a connection that is interrupted while it
    # opens is never closed; what ``read`` has begun ends by itself.
    with database.listening() as own:
        seen: int = await database.read(_newest_position)
        yield LOOK_AGAIN
        told: set[int] = set()
        alarm, is_quiet = _Alarm(own.wake.set), True
        try:
            while not database.closed:
                # What this process has written itself is known without reading it.
                rows = own.take()
                for key, number, position in rows:
                    if position > seen:
                        told.add(position)
                        yield Change(key, number)
                is_quiet = is_quiet and not rows
                if own.have_others_written or (alarm.has_rung and is_quiet):
                    own.have_others_written = False
                    for key, number, position in await database.read(partial(_find_since, seen)):
                        seen = position
                        if position not in told:
                            yield Change(key, number)
                    told = {position for position in told if position > seen}
                elif rows:
                    seen = max(seen, rows[-1][2])
                    told.clear()
                if alarm.has_rung:
                    is_quiet = True
                    alarm.set(POLL_SECONDS)
                await own.wake.wait()
                own.wake.clear()
        finally:
            alarm.stop()


class _Alarm:
    """Wakes somebody after some seconds; it has rung at first."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.has_rung = True
        self._wake: Final = wake
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Rings after so many seconds."""
        self.has_rung = False
        self._timer = asyncio.get_running_loop().call_later(seconds, self._ring)

    def stop(self) -> None:
        """Does not ring any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        self.has_rung = True
        self._wake()


def _newest_position(connection: Connection) -> int:
    ((position,),) = connection.execute(_NEWEST)
    return int(position)


def _find_since(position: int, connection: Connection) -> list[Row]:
    return connection.execute(_SINCE, position)

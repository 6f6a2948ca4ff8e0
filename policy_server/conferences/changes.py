"""Who is told of what was written, in this process and in others, and how they hear it.

PostgreSQL carries a notice with each transaction (NOTIFY). SQLite has none: a listener is told what its own process has
committed, whose changes show whether another process has made some too. Where none came for ``POLL_SECONDS``, it sees by the
log of the database whether somebody else may have written (``others``), and looks into an index then. What this process has
been told of as it was committed is news to nobody here.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Final

from policy_server.conferences.connection import FAULTS, POSTGRESQL, Committed, Connection, Row
from policy_server.conferences.database import Database
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.location import connect_listener
from policy_server.conferences.others import Others
from policy_server.conferences.records import LOOK_AGAIN, Change
from policy_server.conferences.tables import HOUR, encode, instant, storable_name

CHANNEL: Final = "policy_server_changes"
POLL_SECONDS: Final = 0.08
GATHER_SECONDS: Final = 0.05
"""While notices of PostgreSQL come they are read so often, and not each as it comes: every transaction of this process has one
too.
"""
FIRST_RETRY_SECONDS: Final = 0.1
LAST_RETRY_SECONDS: Final = 5.0

_LATEST: Final = "SELECT coalesce(max(position), 0), (SELECT number FROM changes WHERE key = ?) FROM changes"
_KNOWN: Final = "SELECT (SELECT number FROM changes WHERE key = ?)"
_COUNT_FIRST: Final = "INSERT INTO changes (number, position, key) VALUES (?, ?, ?)"
_COUNT_AGAIN: Final = "UPDATE changes SET number = ?, position = ? WHERE key = ?"
_COUNT_IN_POSTGRESQL: Final = """
    WITH counted AS (
        INSERT INTO changes (key, number, position) SELECT key, 1, ? FROM json_array_elements_text(?::json) AS key
        ON CONFLICT (key) DO UPDATE SET number = changes.number + 1, position = excluded.position
        RETURNING key, number)
    SELECT key, number, pg_notify(?, number || ':' || key) FROM counted"""
_NEWEST: Final = "SELECT coalesce(max(position), 0) FROM changes"
_SINCE: Final = "SELECT key, number, position FROM changes WHERE position > ? ORDER BY position"

log = logging.getLogger(__name__)


def announce(connection: Connection, keys: Iterable[str], at: datetime) -> None:
    """Has a change of each key be counted in the transaction that makes it, and lets listeners know once it is committed.

    The numbers are in what that transaction has ``announced``.
    """
    # In one order everywhere, so that two replicas wait for each other and do not block each other.
    ordered = sorted({storable_name(key) for key in keys if key})
    if not ordered:
        return
    if connection.dialect == POSTGRESQL:
        hour = -(-instant(at) // HOUR) * HOUR
        connection.announce(_COUNT_IN_POSTGRESQL, hour, encode(ordered), CHANNEL)
    else:
        connection.announced += _count_in_sqlite(connection, ordered, instant(at))


def _count_in_sqlite(connection: Connection, keys: Sequence[str], at: int) -> list[Row]:
    # Nobody else writes in the meantime; and a statement that counts and tells costs twice as much as these.
    ((newest, known),) = connection.execute(_LATEST, keys[0])
    if not connection.announced:
        connection.is_alone = newest == connection.newest
    rows: list[Row] = []
    for position, key in enumerate(keys, max(at, newest + 1)):
        if rows:
            ((known,),) = connection.execute(_KNOWN, key)
        number = (known or 0) + 1
        connection.execute(_COUNT_AGAIN if known else _COUNT_FIRST, number, position, key)
        rows.append((key, number, position))
    return rows


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


class _Echoes:
    """The changes of which a notice will come although all here were told of them."""

    def __init__(self) -> None:
        self.wake: Final = asyncio.Event()
        self._told: Final[set[Change]] = set()

    def add(self, committed: Committed[object], *, is_told: bool) -> None:
        """Takes note of a transaction."""
        if is_told:
            self._told.update(Change(key, number) for key, number, *_ in committed.announced)

    def has(self, change: Change) -> bool:
        """Whether a change is one of them; it comes once."""
        if change not in self._told:
            return False
        self._told.discard(change)
        return True


async def _hear_postgresql(database: Database) -> AsyncGenerator[Change, None]:
    # Waits for the socket itself: the driver's way costs several turns of the event loop for each notice.
    loop = asyncio.get_running_loop()
    own = _Echoes()
    with database.listening(own):
        async with await connect_listener(database.location, database.patience) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            driver = connection.pgconn
            # A connection that was lost has none any more.
            socket = driver.socket

            def ring() -> None:
                loop.remove_reader(socket)
                own.wake.set()

            try:
                yield LOOK_AGAIN
                while not database.closed:
                    driver.consume_input()
                    is_quiet = True
                    while (notice := driver.notifies()) is not None:
                        is_quiet = False
                        # A notice may be here before it is known that the transaction was committed which it is about.
                        await database.settle()
                        change = _read_notice(notice.extra.decode(errors="replace"))
                        if not own.has(change):
                            yield change
                    if is_quiet:
                        loop.add_reader(socket, ring)
                    else:
                        loop.call_later(GATHER_SECONDS, own.wake.set)
                    await own.wake.wait()
                    own.wake.clear()
            finally:
                loop.remove_reader(socket)


def _read_notice(payload: str) -> Change:
    number, _, key = payload.partition(":")
    # Whoever may connect may also notify, by hand for one.
    return Change(key, int(number)) if key and number.isdecimal() else LOOK_AGAIN


class _Positions:
    """What a listener knows of the changes in a file of SQLite, and what it has to look for.

    ``seen`` is the position up to which it knows all, whoever wrote it.
    """

    def __init__(self, database: Database) -> None:
        self.wake: Final = asyncio.Event()
        self.seen = 0
        self._database: Final = database
        self._loop: Final = asyncio.get_running_loop()
        self._timer = self._loop.call_later(POLL_SECONDS, self._ring)
        self._is_due = self._is_looking = False
        self._others: Final = Others()
        self._untold: list[Row] = []
        self._own: set[int] = set()

    def stop(self) -> None:
        """Has nothing be looked for any more."""
        self._timer.cancel()

    def add(self, committed: Committed[object], *, is_told: bool) -> None:
        """Takes note of a transaction of this process, and whether others have written before it."""
        rows = committed.announced
        if rows:
            # So this process has looked. What announces nothing has not.
            self._timer.cancel()
            self._timer = self._loop.call_later(POLL_SECONDS, self._ring)
        self._others.leave(committed.log, is_seen=bool(rows) and committed.is_alone)
        if not committed.is_alone:
            self._others.show()
            self._is_due = True
            self.wake.set()
        if rows and (self._is_due or self._is_looking):
            self._own.update(position for _, _, position in rows)
        elif rows:
            self._own.clear()
            self.seen = rows[-1][2]
        if rows and not is_told:
            self._untold += rows
            self.wake.set()

    def _ring(self) -> None:
        self._timer = self._loop.call_later(POLL_SECONDS, self._ring)
        database = self._database
        # What this process is just writing looks like what others write.
        if database.is_writing or self._others.may_have_written(database.log(), self._loop.time()):
            self._is_due = True
            self.wake.set()

    async def take(self) -> list[Change]:
        """What there is to say, and has not been said."""
        untold, self._untold = self._untold, []
        news = [Change(key, number) for key, number, _ in untold]
        if self._is_due:
            self._is_due, self._is_looking = False, True
            try:
                rows = await self._database.read(partial(_find_since, self.seen))
                # What this process has just committed may be there before it is known here.
                await self._database.settle()
            finally:
                self._is_looking = False
            news += (Change(key, number) for key, number, position in rows if position not in self._own)
            self.seen = max([self.seen, *(position for _, _, position in rows)])
            self._own = {position for position in self._own if position > self.seen}
        return news


async def _hear_sqlite(database: Database) -> AsyncGenerator[Change, None]:
    # Has no connection of its own. A listener is cancelled at any moment, and a connection that is interrupted while it
    # opens is never closed; what ``read`` has begun ends by itself.
    own = _Positions(database)
    try:
        with database.listening(own):
            own.seen = max(await database.read(_newest_position), own.seen)
            yield LOOK_AGAIN
            while not database.closed:
                for change in await own.take():
                    yield change
                await own.wake.wait()
                own.wake.clear()
    finally:
        own.stop()


def _newest_position(connection: Connection) -> int:
    ((position,),) = connection.execute(_NEWEST)
    return int(position)


def _find_since(position: int, connection: Connection) -> list[Row]:
    return connection.execute(_SINCE, position)

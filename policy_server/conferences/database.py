"""Running statements: in time, in transactions, and with one kind of error, whatever the database.

(README.md: Database)
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import psycopg

from policy_server.conferences.connection import FAULTS, Committed, Connection, in_transaction
from policy_server.conferences.database_file import Log, OpenFile
from policy_server.conferences.errors import StoreRefusalError, StoreSetupError, StoreUnavailableError
from policy_server.conferences.location import Location, check_readable, connect, make_file, parse_location
from policy_server.conferences.migrations import check_version, migrate
from policy_server.conferences.postgresql_url import check_files
from policy_server.conferences.threads import Done, Threads
from policy_server.conferences.waiting import Waiting

T = TypeVar("T")
Work = Callable[[Connection], T]
"""Statements, to be run in a thread of their own: waiting for each in the event loop would cost ten times as much."""

PATIENCE: Final = 5.0
"""Seconds that an operation may take before it counts as failed."""

LOG_PATIENCE: Final = 0.05
"""Seconds that emptying SQLite's log waits for readers, and writers for it: policy answers wait 0.25 for their holds."""

READERS: Final = 4
"""Threads that read at the same time. One writes: SQLite allows no more, and in PostgreSQL a group of writes costs little
more than one of them.
"""

_DEADLOCK_DETECTED: Final = "40P01"

_ABOUT_VALUES: Final = (
    *(psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError),
    *(sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError),
)
"""Errors of drivers that the next write will not have."""

log = logging.getLogger(__name__)


class Own(Protocol):
    """Hears what this process has committed."""

    @property
    def wake(self) -> asyncio.Event:
        """Wakes who listens."""

    def add(self, committed: Committed[Any], *, is_told: bool) -> None:
        """Hears of a transaction; ``is_told`` when all who follow changes here know what it wrote."""


class Database:
    """A database with the newest schema. It need not be there yet: every operation tries again to reach it.

    An operation goes on when its caller no longer waits for it: it is bounded by ``patience`` seconds all the same.
    With ``read_only`` the database must be there with the newest schema, and stays as it is. Raises StoreSetupError for
    a URL that is none.
    """

    def __init__(self, url: str, patience: float = PATIENCE, read_only: bool = False) -> None:
        self.location: Final[Location] = parse_location(url)
        self.closed = False
        self.patience: Final = patience
        self._read_only: Final = read_only
        path = self.location.path
        self._file: Final = OpenFile(path) if path is not None and not read_only else None
        self._readers: Final = Threads(READERS, "database-reader", self._session, Session.close)
        self._writer: Final = Threads(1, "database-writer", self._session, Session.close)
        self._waiting: Final = Waiting(patience, self._late)
        self._listeners: Final[set[Own]] = set()
        self._begun = self._settled = 0
        self._settling: asyncio.Future[None] | None = None
        self._preparing: asyncio.Future[None] | None = None
        self._prepared = False

    async def prepare(self, patience: float = 60.0) -> None:
        """Makes what is missing: the file, the tables. Does nothing the second time."""
        if self.closed:
            raise _closed()
        if self._prepared:
            return
        # One attempt at a time, whose outcome is everybody's: while a server is away nobody queues for the next try.
        if self._preparing is None:
            self._preparing = asyncio.get_running_loop().create_future()
            threads = self._readers if self._read_only else self._writer
            threads.run(self._prepare, self._have_prepared)
        preparing = self._preparing
        await asyncio.wait((preparing,), timeout=patience)
        if not preparing.done():
            raise self._late(patience)
        preparing.result()

    @property
    def is_ready(self) -> bool:
        """Whether an operation may begin."""
        return self._prepared and not self.closed

    async def get_ready(self) -> None:
        """Prepares the database in time for an operation. Raises StoreUnavailableError, also when it was closed."""
        if not self.is_ready:
            await self.prepare(self.patience)

    async def read(self, work: Work[T]) -> T:
        """What ``work`` finds; each of its statements is on its own."""
        if not self.is_ready:
            await self.get_ready()
        return await self._run(self._readers, partial(self._read, work))

    async def write(self, work: Work[T]) -> T:
        """Runs ``work`` in a transaction that is on disk when this returns. May run it twice, so it must not mind."""
        await self.get_ready()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.begin_write(work, partial(self.give, answer))
        self.expect(answer)
        return await answer

    def begin_write(self, work: Work[T], done: Done, tell: Callable[[Committed[T]], bool] | None = None) -> None:
        """Begins what ``write`` does in a database that is ready; ``done`` hears what came of it, however late.

        Before that ``tell`` tells of it whoever follows changes here, and says whether it could.
        """
        self._begun += 1
        self._writer.run(partial(self._write, work), partial(self._written, done, tell))

    @property
    def is_writing(self) -> bool:
        """Whether something is being written of which nobody here was told yet."""
        return self._settled < self._begun

    def log(self) -> Log | None:
        """What SQLite's log looks like, if there is one."""
        return None if self._file is None else self._file.log()

    async def settle(self) -> None:
        """Waits until all that is being written now is written, and told of."""
        begun = self._begun
        while self._settled < begun:
            if self._settling is None:
                self._settling = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._settling,))

    def expect(self, answer: asyncio.Future[Any]) -> None:
        """An answer fails unless it comes within ``patience`` seconds, and before the database was closed."""
        self._waiting.add(answer)

    def give(self, answer: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
        """Gives an answer that was expected, unless nobody waits for it any more."""
        self._waiting.settle(answer, outcome, error)

    async def overwrite_log(self) -> None:
        """Empties the write-ahead log of SQLite, which has everything twice; not while others read. Never raises."""
        path = self.location.path
        if path is not None and not self._read_only and not self.closed:
            with contextlib.suppress(StoreUnavailableError):
                await self._run(self._writer, partial(self._empty_log, path))

    async def close(self) -> None:
        """Waits for what still runs, then closes every connection."""
        self.closed = True
        for own in self._listeners:
            own.wake.set()
        await asyncio.gather(self._readers.stop(self.patience), self._writer.stop(self.patience))
        self._waiting.end(_closed)

    @contextlib.contextmanager
    def listening(self, own: Own) -> Iterator[None]:
        """Has somebody hear what this process commits, as long as the block runs."""
        self._listeners.add(own)
        try:
            yield
        finally:
            self._listeners.discard(own)

    def unavailable(self, error: BaseException) -> StoreUnavailableError:
        """The error to raise for one of ``FAULTS``. Drivers' own errors quote values, so they stay out of it."""
        kind = StoreRefusalError if isinstance(error, _ABOUT_VALUES) else StoreUnavailableError
        return kind(f"the database {self.location.name}: {self.location.redact(_reason(error))}")

    def _late(self, patience: float) -> StoreUnavailableError:
        return StoreUnavailableError(f"the database {self.location.name} did not answer within {patience:g} s")

    def _run(self, threads: "Threads[Session]", work: "Callable[[Session], T]") -> asyncio.Future[T]:
        # Neither the end of patience nor a caller that goes away stops the work: a driver that is interrupted in the
        # middle loses its connection, and SQLite's would keep the file locked.
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        threads.run(work, partial(self.give, answer))
        self.expect(answer)
        return answer

    def _written(
        self,
        done: Done,
        tell: Callable[[Committed[Any]], bool] | None,
        written: Committed[Any] | None,
        error: BaseException | None,
    ) -> None:
        is_told = written is not None and tell is not None and tell(written)
        self._settled += 1
        if self._settling is not None:
            self._settling.set_result(None)
            self._settling = None
        if written is None:
            done(None, error)
            return
        for own in self._listeners:
            own.add(written, is_told=is_told)
        done(written.result, None)

    def _have_prepared(self, _: None, error: BaseException | None) -> None:
        preparing, self._preparing = self._preparing, None
        if error is None:
            self._prepared = True
            log.info("store.prepared: %s", self.location.name)
        if preparing is None or preparing.done():
            return
        if error is None:
            preparing.set_result(None)
        else:
            preparing.set_exception(error)
            # Perhaps nobody waits any more, and asyncio reports errors that nobody looks at.
            preparing.exception()

    # -------------------------------------------------------------- in a thread

    def _session(self) -> "Session":
        return Session(partial(connect, self.location, self.patience, self._read_only), self.unavailable)

    def _read(self, work: Work[T], session: "Session") -> T:
        if self._file is not None:
            self._file.check()
        return session.run(work)

    def _write(self, work: Work[T], session: "Session") -> Committed[T]:
        if self._file is not None:
            self._file.check()
        written = session.run(partial(in_transaction, work))
        # It may have gone since.
        return written if self._file is None else written._replace(log=self._file.check_written())

    def _prepare(self, session: "Session") -> None:
        path, name = self.location.path, self.location.name
        check_files(self.location.parameters)
        if self._read_only:
            if path is not None:
                check_readable(path)
            session.run(partial(check_version, name=name))
            return
        if path is not None:
            make_file(path)
            session.run(partial(_choose_wal, path, self.patience))
        else:
            session.run(partial(_check_encoding, name))
        session.run(partial(in_transaction, migrate))
        if self._file is not None:
            self._file.remember()

    def _empty_log(self, path: Path, _: "Session") -> None:
        # A connection of its own, with a patience of its own.
        try:
            with contextlib.closing(sqlite3.connect(path, timeout=LOG_PATIENCE)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise self.unavailable(error) from None


class Session:
    """The connection of one thread, opened when it is needed, and anew when it was lost."""

    def __init__(self, connect: Callable[[], Connection], unavailable: Callable[[BaseException], Exception]) -> None:
        self._connect: Final = connect
        self._unavailable: Final = unavailable
        self._connection: Connection | None = None

    def run(self, work: Work[T]) -> T:
        """What ``work`` makes of the connection. May run it twice. Raises StoreUnavailableError for a driver's error."""
        try:
            was_open = self._connection is not None
            try:
                return work(self._connected())
            except psycopg.Error as error:
                # After a restart of the server every connection is dead, which says nothing about it now.
                is_stale = was_open and self._connection is not None and self._connection.is_lost
                if not is_stale and error.sqlstate != _DEADLOCK_DETECTED:
                    raise
            return work(self._connected())
        except FAULTS as error:
            raise self._unavailable(error) from None

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is not None and self._connection.is_lost:
            self.close()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection


def _closed() -> StoreUnavailableError:
    return StoreUnavailableError("the database was closed because the service is stopping")


def _choose_wal(path: Path, patience: float, connection: Connection) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            ((mode,),) = connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.Error as error:
            # Another process changes the mode at this moment; SQLite does not wait for that by itself.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.02)
    if mode != "wal":
        raise StoreSetupError(
            f"the database file {path} cannot have a write-ahead log, as on most network drives; "
            "name a file on a local disk in POLICY_DATABASE_URL, or use PostgreSQL"
        )


def _check_encoding(name: str, connection: Connection) -> None:
    ((encoding,),) = connection.execute("SHOW server_encoding")
    if encoding != "UTF8":
        raise StoreSetupError(
            f"the database {name} has the encoding {encoding}, which cannot hold every name; "
            "make it with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def _reason(error: BaseException) -> str:
    if isinstance(error, psycopg.Error):
        # The rest of what PostgreSQL says may quote a row.
        return error.diag.message_primary or " ".join(str(error).split())
    if isinstance(error, TimeoutError):
        return "it is busy"
    return str(error) if isinstance(error, sqlite3.Error | OSError) else type(error).__name__

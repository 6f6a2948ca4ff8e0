"""Running statements: in time, in transactions, and with one kind of error, whatever the database.

(README.md: Database)
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from policy_server.conferences.database_file import OpenFile
from policy_server.conferences.errors import StoreSetupError, StoreUnavailableError
from policy_server.conferences.location import (
    POOL_SIZE,
    Location,
    check_readable,
    make_engines,
    make_file,
    parse_location,
)
from policy_server.conferences.migrations import check_version, migrate
from policy_server.conferences.postgresql_url import check_files

T = TypeVar("T")
Work = Callable[[Connection], T]
"""Statements, to be run in a thread of their own: waiting for each in the event loop would cost ten times as much."""

PATIENCE: Final = 5.0
"""Seconds that an operation may take before it counts as failed."""

LOG_PATIENCE: Final = 0.05
"""Seconds that emptying SQLite's log waits for readers, and writers for it: policy answers wait 0.25 for their holds."""

FAULTS: Final = (SQLAlchemyError, psycopg.Error, sqlite3.Error, OSError, TimeoutError)
"""What drivers raise when a database does not do what it should."""

_DEADLOCK_DETECTED: Final = "40P01"

log = logging.getLogger(__name__)


class Database:
    """A database with the newest schema. It need not be there yet: every operation tries again to reach it.

    An operation goes on when its caller no longer waits for it: it is bounded by ``patience`` seconds all the same.
    With ``read_only`` the database must be there with the newest schema, and stays as it is. Raises StoreSetupError for
    a URL that is none.
    """

    def __init__(self, url: str, patience: float = PATIENCE, read_only: bool = False) -> None:
        self.location: Final[Location] = parse_location(url)
        self.engines: Final = make_engines(self.location, patience, read_only)
        self._patience: Final = patience
        self._read_only: Final = read_only
        path = self.location.path
        self._file: Final = OpenFile(path) if path is not None and not read_only else None
        self._readers: Final = ThreadPoolExecutor(POOL_SIZE, "database-reader")
        # One writer is all that SQLite allows.
        self._writers: Final = ThreadPoolExecutor(1 if self.location.path else POOL_SIZE, "database-writer")
        self._tasks: Final[set[asyncio.Task[Any]]] = set()
        self._wakes: Final[set[asyncio.Event]] = set()
        self._preparing: asyncio.Task[None] | None = None
        self._prepared = False
        self.closed = False

    async def prepare(self, patience: float = 60.0) -> None:
        """Makes what is missing: the file, the tables. Does nothing the second time."""
        if not self._prepared or self.closed:
            await self._run(self._prepare_once, patience)

    async def read(self, work: Work[T]) -> T:
        """What ``work`` finds; each of its statements is on its own."""
        return await self._run(partial(self._attempt, self._readers, self._read, work), self._patience)

    async def write(self, work: Work[T]) -> T:
        """Runs ``work`` in a transaction that is on disk when this returns. May run it twice, so it must not mind."""
        result = await self._run(partial(self._attempt, self._writers, self._write, work), self._patience)
        self._wake()
        return result

    async def overwrite_log(self) -> None:
        """Empties the write-ahead log of SQLite, which has everything twice; not while others read. Never raises."""
        path = self.location.path
        if path is not None and not self._read_only:
            with contextlib.suppress(StoreUnavailableError):
                await self._run(partial(self._in_thread, self._writers, _empty_log, path), self._patience)

    async def close(self) -> None:
        """Waits for what still runs, then closes every connection."""
        self.closed = True
        self._wake()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=self._patience)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        for threads in (self._readers, self._writers):
            threads.shutdown(wait=False, cancel_futures=True)
        await self.engines.dispose()

    def wake_on_commit(self, wake: asyncio.Event) -> None:
        """Sets ``wake`` after each commit of this process, until ``forget_wake``."""
        self._wakes.add(wake)

    def forget_wake(self, wake: asyncio.Event) -> None:
        """Ends ``wake_on_commit``."""
        self._wakes.discard(wake)

    async def _run(self, work: Callable[[], Awaitable[T]], patience: float) -> T:
        if self.closed:
            raise StoreUnavailableError("the database was closed because the service is stopping")
        task = asyncio.create_task(self._translated(work))
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        # Neither the end of patience nor a caller that goes away stops the task: a driver that is interrupted in the
        # middle loses its connection, and SQLite's would keep the file locked.
        done, _ = await asyncio.wait((task,), timeout=patience)
        if not done:
            raise StoreUnavailableError(f"the database {self.location.name} did not answer within {patience:g} s")
        if task.cancelled():
            raise StoreUnavailableError("the database was closed because the service is stopping")
        return task.result()

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Takes note of it, or asyncio reports it when nobody waited.
            task.exception()

    async def _translated(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except StatementError as error:
            if not isinstance(error, DBAPIError) and isinstance(error.orig, TypeError | ValueError):
                # A value that cannot be stored is the caller's mistake.
                raise error.orig from None
            raise self.unavailable(error) from None
        except FAULTS as error:
            raise self.unavailable(error) from None

    def unavailable(self, error: BaseException) -> StoreUnavailableError:
        """The error to raise for one of ``FAULTS``. Drivers' own errors quote values, so they stay out of it."""
        return StoreUnavailableError(f"the database {self.location.name}: {self.location.redact(_reason(error))}")

    async def _attempt(self, threads: ThreadPoolExecutor, run: Callable[[Work[T]], T], work: Work[T]) -> T:
        if not self._prepared:
            await self._prepare_once()
        try:
            return await self._in_thread(threads, run, work)
        except DBAPIError as error:
            # After a restart of the server every connection of the pool is dead, which says nothing about it now.
            if not error.connection_invalidated and getattr(error.orig, "sqlstate", None) != _DEADLOCK_DETECTED:
                raise
        return await self._in_thread(threads, run, work)

    async def _in_thread(self, threads: ThreadPoolExecutor, run: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, run, *arguments)

    def _read(self, work: Work[T]) -> T:
        if self._file is not None:
            self._file.check()
        with self.engines.reader.connect() as connection:
            return work(connection)

    def _write(self, work: Work[T]) -> T:
        if self._file is not None:
            self._file.check()
        with self.engines.writer.begin() as connection:
            result = work(connection)
        if self._file is not None:
            # It may have gone since.
            self._file.check(is_written=True)
        return result

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()

    async def _prepare_once(self) -> None:
        # One attempt at a time, whose outcome is everybody's: while a server is away nobody queues for the next try.
        if self._preparing is None:
            self._preparing = asyncio.create_task(self._prepare())
            self._tasks.add(self._preparing)
            self._preparing.add_done_callback(self._prepare_finished)
        await asyncio.shield(self._preparing)

    def _prepare_finished(self, task: asyncio.Task[Any]) -> None:
        self._preparing = None
        self._finished(task)

    async def _prepare(self) -> None:
        path = self.location.path
        await self._in_thread(self._readers, check_files, self.location.parameters)
        if self._read_only:
            if path is not None:
                await self._in_thread(self._readers, check_readable, path)
            await self._in_thread(self._readers, self._read, partial(check_version, name=self.location.name))
            self._prepared = True
            return
        if path is not None:
            await self._in_thread(self._writers, make_file, path)
            await self._choose_wal()
        else:
            await self._in_thread(self._writers, self._read, partial(_check_encoding, self.location.name))
        await self._in_thread(self._writers, self._write, migrate)
        if self._file is not None:
            self._file.remember()
        self._prepared = True
        log.info("store.prepared: %s", self.location.name)

    async def _choose_wal(self) -> None:
        async with asyncio.timeout(self._patience):
            while True:
                try:
                    mode = await self._in_thread(self._writers, self._read, _choose_wal)
                    break
                except DBAPIError as error:
                    if "file is not a database" in str(error.orig):
                        raise StoreSetupError(
                            f"{self.location.path} is not an SQLite database; name another file in POLICY_DATABASE_URL"
                        ) from None
                    # Another process changes the mode at this moment; SQLite does not wait for that by itself.
                    if "locked" not in str(error.orig):
                        raise
                await asyncio.sleep(0.02)
        if mode != "wal":
            raise StoreSetupError(
                f"the database file {self.location.path} cannot have a write-ahead log, as on most network drives; "
                "name a file on a local disk in POLICY_DATABASE_URL, or use PostgreSQL"
            )


def _empty_log(path: Path) -> None:
    # A connection of its own, with a patience of its own.
    with contextlib.closing(sqlite3.connect(path, timeout=LOG_PATIENCE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _choose_wal(connection: Connection) -> str:
    return str(connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar_one())


def _check_encoding(name: str, connection: Connection) -> None:
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise StoreSetupError(
            f"the database {name} has the encoding {encoding}, which cannot hold every name; "
            "make it with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def _reason(error: BaseException) -> str:
    if isinstance(error, PoolTimeoutError):
        return "every connection is busy"
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    if isinstance(error, psycopg.Error):
        # The rest of what PostgreSQL says may quote a row.
        return error.diag.message_primary or " ".join(str(error).split())
    if isinstance(error, TimeoutError):
        return "it is busy"
    return str(error) if isinstance(error, sqlite3.Error | OSError) else type(error).__name__

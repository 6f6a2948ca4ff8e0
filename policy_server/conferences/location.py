"""Where the database is: ``POLICY_DATABASE_URL``, and the engines that reach it (DESIGN section 7)."""

import errno
import os
import sqlite3
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from policy_server.conferences.errors import StoreSetupError, StoreUnavailableError
from policy_server.conferences.tables import POSTGRESQL, SQLITE

EXAMPLES: Final = "sqlite:///var/policy.db or postgresql://user:password@host/database"
POOL_SIZE: Final = 4

_DRIVERS: Final = {SQLITE: "sqlite+pysqlite", POSTGRESQL: "postgresql+psycopg", "postgres": "postgresql+psycopg"}

# Conditions that pass without anybody changing a setting.
_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Location:
    """A database. ``name`` is for messages: it holds no user and no password. ``path`` is ``None`` in PostgreSQL."""

    dialect: str
    name: str
    path: Path | None
    url: URL = field(repr=False)

    def redact(self, message: str) -> str:
        """A message without the password, should a driver ever repeat it."""
        for secret in (self.url.password, self.url.query.get("password")):
            if secret:
                message = message.replace(str(secret), "***")
        return message


@dataclass(frozen=True, slots=True)
class Engines:
    """Connections for three uses: ``reader`` outside transactions, ``writer`` in them, ``watcher`` to wait for notices.

    Reader and writer block their thread. SQLite has no notices.
    """

    reader: Engine
    writer: Engine
    watcher: AsyncEngine | None

    async def dispose(self) -> None:
        """Closes every connection that is not in use."""
        self.reader.dispose()
        self.writer.dispose()
        if self.watcher is not None:
            await self.watcher.dispose()


def parse_location(url: str) -> Location:
    """Reads ``POLICY_DATABASE_URL``. Raises StoreSetupError, which does not repeat the URL: it may hold a password."""
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        raise StoreSetupError(f"POLICY_DATABASE_URL is not a database URL; write {EXAMPLES}") from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise StoreSetupError(
            f"POLICY_DATABASE_URL must start with sqlite:/// or postgresql:// but starts with "
            f"{parsed.drivername!r}; write {EXAMPLES}"
        )
    named = parsed.set(drivername=driver)
    if driver == _DRIVERS[SQLITE]:
        if not parsed.database or parsed.database == ":memory:" or parsed.host or parsed.query:
            raise StoreSetupError(
                "POLICY_DATABASE_URL must name a file with three slashes and nothing behind it, "
                "as sqlite:///var/policy.db or sqlite:////var/lib/policy-server/policy.db"
            )
        return Location(SQLITE, f"sqlite:///{parsed.database}", Path(parsed.database), named)
    for option in parsed.query:
        _check_option(option)
    port = f":{parsed.port}" if parsed.port else ""
    return Location(POSTGRESQL, f"postgresql://{parsed.host or ''}{port}/{parsed.database or ''}", None, named)


def _check_option(name: str) -> None:
    try:
        make_conninfo("", **{name: ""})
    except psycopg.ProgrammingError:
        near = get_close_matches(name, [option.keyword.decode() for option in Conninfo.get_defaults()], n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise StoreSetupError(f"POLICY_DATABASE_URL: PostgreSQL knows no option {name!r}{hint}") from None


def make_engines(location: Location, patience: float, read_only: bool = False) -> Engines:
    """The engines; none connects yet. Whatever takes longer than ``patience`` seconds is given up by the driver.

    With ``read_only`` nothing can be written, not even by mistake.
    """
    common: dict[str, Any] = {
        # Statements are logged and quoted in errors without the PINs and names among their values.
        "hide_parameters": True,
        # A little less, so that the driver's own reason comes before ours.
        "connect_args": (
            {"timeout": patience * 0.9} if location.path else _postgresql_arguments(location.url, patience)
        ),
    }
    unlocked = {**common, "isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
    pool = {"pool_size": POOL_SIZE, "max_overflow": 0, "pool_timeout": patience}
    if location.path is None:
        watcher = create_async_engine(location.url, **unlocked, poolclass=NullPool)
        writer = create_engine(location.url, **common, **pool, isolation_level="READ COMMITTED")
        reader = create_engine(location.url, **unlocked, **pool)
        if read_only:
            for engine in (reader, writer):
                event.listen(engine, "connect", _forbid_writing)
        return Engines(reader, writer, watcher)
    if read_only:
        unlocked["creator"] = common["creator"] = partial(_open_unchanged, location.path, patience * 0.9)
    # One writer is all that SQLite allows; the others wait in this process, in turn, and not in SQLite by luck.
    writer = create_engine(location.url, **common, **{**pool, "pool_size": 1})
    reader = create_engine(location.url, **unlocked, **pool)
    for engine in (reader, writer):
        event.listen(engine, "connect", _set_up_sqlite)
    event.listen(writer, "begin", _begin_immediate)
    return Engines(reader, writer, None)


def _postgresql_arguments(url: URL, patience: float) -> dict[str, Any]:
    """What libpq is told beside the URL; the URL has the last word."""
    milliseconds = int(patience * 900)
    options = (
        f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} "
        # Frees the rows that a frozen process holds; and acknowledged means on disk whatever the server's default.
        "-c idle_in_transaction_session_timeout=30000 -c synchronous_commit=on"
    )
    arguments = {
        "connect_timeout": max(2, int(patience)),
        "tcp_user_timeout": max(2000, int(patience * 1000)),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "application_name": "policy-server",
        "client_encoding": "utf8",
    }
    chosen = {name: value for name, value in arguments.items() if name not in url.query}
    return {**chosen, "options": f"{options} {url.query.get('options', '')}".rstrip()}


def _set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # FULL and not NORMAL: in WAL mode NORMAL survives a killed process but loses the last commits when the power
    # fails, and nobody sends an acknowledged event again. It costs one fsync a commit.
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
    # Leaves transactions to _begin_immediate; the driver would begin them late, as readers.
    connection.isolation_level = None


def _open_unchanged(path: Path, patience: float) -> sqlite3.Connection:
    """An SQLite database that stays as it is. Where nobody has written of late, SQLite would make files beside it."""
    is_busy = any(_size(Path(f"{path}{ending}")) for ending in ("-wal", "-journal"))
    how = "mode=ro" if is_busy else "mode=ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?{how}"
    return sqlite3.connect(uri, timeout=patience, uri=True, check_same_thread=False)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _forbid_writing(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # Not by an option of the connection: libpq would take the server for one that nobody can write to, and pass it by.
    cursor = connection.cursor()
    cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    cursor.close()
    connection.commit()


def check_readable(path: Path) -> None:
    """Does nothing if the file of an SQLite database can be read. Raises StoreSetupError."""
    try:
        with path.open("rb"):
            return
    except FileNotFoundError:
        reason = "there is none yet; is POLICY_DATABASE_URL the one of the server?"
    except OSError as error:
        reason = f"{error.strerror}; run this as the user of the server"
    raise StoreSetupError(f"the database file {path.absolute()} cannot be read: {reason}")


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def make_file(path: Path) -> None:
    """Makes the file of an SQLite database, readable by its owner only, and its folder, unless they exist.

    Raises StoreSetupError, or StoreUnavailableError when a disk is full or broken.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite gives the journal beside it the mode of the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        if error.errno in _PASSING:
            raise StoreUnavailableError(f"the database file {path} cannot be opened: {error.strerror}") from None
        raise StoreSetupError(
            f"the database file {path} cannot be opened for writing: {error.strerror}; let this user write to the "
            f"folder {path.parent}, or name another file in POLICY_DATABASE_URL"
        ) from None

"""Where the database is: ``POLICY_DATABASE_URL``, and the engines that reach it (README.md: Database)."""

import errno
import os
import re
import sqlite3
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from policy_server.conferences.errors import StoreSetupError, StoreUnavailableError
from policy_server.conferences.postgresql_url import (
    EXAMPLE,
    SCHEMES,
    Parameters,
    host_count,
    parse_postgresql,
    redact,
    told_postgresql,
)
from policy_server.conferences.tables import POSTGRESQL, SQLITE

SETTING: Final = "POLICY_DATABASE_URL"
EXAMPLES: Final = f"sqlite:///var/policy.db or {EXAMPLE}"
POOL_SIZE: Final = 4

_SQLITE_SCHEME: Final = "sqlite://"
_CREDENTIALS: Final = re.compile(r":.*@")

# Conditions that pass without anybody changing a setting.
_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Location:
    """A database. ``name`` is for messages: it holds no user and no password.

    ``path`` is that of an SQLite file and ``None`` in PostgreSQL; ``parameters`` are what libpq is told.
    """

    dialect: str
    name: str
    path: Path | None
    parameters: Parameters = field(default_factory=dict, repr=False)

    def redact(self, message: str) -> str:
        """A message without the password, should a driver ever repeat it."""
        return redact(message, self.parameters)


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


def parse_location(url: str, setting: str = SETTING) -> Location:
    """Reads ``POLICY_DATABASE_URL``, or what else ``setting`` names.

    Raises StoreSetupError, which repeats nothing of the URL: any part of it may be a password.
    """
    text = url.strip()
    scheme, separator, rest = text.partition("://")
    text = f"{scheme.lower()}{separator}{rest}"
    if text.startswith(_SQLITE_SCHEME):
        path = text.removeprefix(_SQLITE_SCHEME).removeprefix("/")
        is_path = text.startswith(f"{_SQLITE_SCHEME}/") and path.isprintable() and not _CREDENTIALS.search(path)
        if not is_path or path in {"", ":memory:"} or "?" in path:
            raise StoreSetupError(
                f"{setting} must name a file with three slashes and nothing behind it, "
                "as sqlite:///var/policy.db or sqlite:////var/lib/policy-server/policy.db"
            )
        return Location(SQLITE, f"sqlite:///{path}", Path(path))
    if text.startswith(SCHEMES):
        parameters = parse_postgresql(text, setting)
        return Location(POSTGRESQL, told_postgresql(parameters), None, parameters)
    if not separator:
        raise StoreSetupError(f"{setting} is not a database URL; write {EXAMPLES}")
    driver = ", without a driver" if "+" in scheme else ""
    raise StoreSetupError(f"{setting} must start with sqlite:/// or postgresql://{driver}; write {EXAMPLES}")


def make_engines(location: Location, patience: float, read_only: bool = False) -> Engines:
    """The engines; none connects yet. Whatever takes longer than ``patience`` seconds is given up by the driver.

    With ``read_only`` nothing can be written, not even by mistake.
    """
    common: dict[str, Any] = {
        # Statements are logged and quoted in errors without the PINs and names among their values.
        "hide_parameters": True,
        # A little less, so that the driver's own reason comes before ours.
        "connect_args": (
            {"timeout": patience * 0.9} if location.path else _postgresql_arguments(location.parameters, patience)
        ),
    }
    unlocked = {**common, "isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
    pool = {"pool_size": POOL_SIZE, "max_overflow": 0, "pool_timeout": patience}
    if location.path is None:
        # Where it is stands in the arguments, as libpq read it: SQLAlchemy reads URLs in another way.
        url = URL.create("postgresql+psycopg")
        watcher = create_async_engine(url, **unlocked, poolclass=NullPool)
        writer = create_engine(url, **common, **pool, isolation_level="READ COMMITTED")
        reader = create_engine(url, **unlocked, **pool)
        if read_only:
            for engine in (reader, writer):
                event.listen(engine, "connect", _forbid_writing)
        return Engines(reader, writer, watcher)
    url = URL.create("sqlite+pysqlite", database=str(location.path))
    if read_only:
        unlocked["creator"] = common["creator"] = partial(_open_unchanged, location.path, patience * 0.9)
    # One writer is all that SQLite allows; the others wait in this process, in turn, and not in SQLite by luck.
    writer = create_engine(url, **common, **{**pool, "pool_size": 1})
    reader = create_engine(url, **unlocked, **pool)
    for engine in (reader, writer):
        event.listen(engine, "connect", _set_up_sqlite)
    event.listen(writer, "begin", _begin_immediate)
    return Engines(reader, writer, None)


def _postgresql_arguments(parameters: Parameters, patience: float) -> dict[str, Any]:
    """What libpq is told: our choices and the URL, which has the last word."""
    milliseconds = int(patience * 900)
    options = (
        f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} "
        # Frees the rows that a frozen process holds; and acknowledged means on disk whatever the server's default.
        "-c idle_in_transaction_session_timeout=30000 -c synchronous_commit=on"
    )
    arguments = {
        # For each host: the last one must have its turn in time.
        "connect_timeout": max(2, int(patience / host_count(parameters))),
        "tcp_user_timeout": max(2000, int(patience * 1000)),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "application_name": "policy-server",
        "client_encoding": "utf8",
    }
    return {**arguments, **parameters, "options": f"{options} {parameters.get('options', '')}".rstrip()}


def _set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # FULL and not NORMAL: in WAL mode NORMAL survives a killed process but loses the last commits when the power
    # fails, and nobody sends an acknowledged event again. It costs one fsync a commit.
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # A PIN that was deleted is overwritten and not merely forgotten.
    cursor.execute("PRAGMA secure_delete=ON")
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

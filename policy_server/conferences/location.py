"""Where the database is: ``POLICY_DATABASE_URL``, and the connections that reach it (README.md: Database)."""

import errno
import os
import re
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.types.numeric import Int8BinaryDumper

from policy_server.conferences.connection import (
    POSTGRESQL,
    SQLITE,
    Connection,
    PostgresqlConnection,
    Row,
    SqliteConnection,
)
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

SETTING: Final = "POLICY_DATABASE_URL"
EXAMPLES: Final = f"sqlite:///var/policy.db or {EXAMPLE}"

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


def connect(location: Location, patience: float, read_only: bool = False) -> Connection:
    """A new connection, for one thread. Whatever takes longer than ``patience`` seconds is given up by the driver.

    With ``read_only`` nothing can be written, not even by mistake.
    """
    if location.path is None:
        driver = psycopg.connect(**_postgresql_arguments(location.parameters, patience), autocommit=True)
        # One way to write a number, or each size of it would be a statement of its own to the server.
        driver.adapters.register_dumper(int, Int8BinaryDumper)
        if read_only:
            # Not by an option of the connection: libpq would take the server for one that nobody can write to, and
            # pass it by.
            driver.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        return PostgresqlConnection(driver)
    # A little less, so that the driver's own reason comes before ours.
    timeout = patience * 0.9
    opened = _open_unchanged(location.path, timeout) if read_only else sqlite3.connect(location.path, timeout=timeout)
    connection = SqliteConnection(opened)
    try:
        _set_up(connection)
    except sqlite3.Error as error:
        connection.close()
        if error.sqlite_errorname == "SQLITE_NOTADB":
            raise StoreSetupError(
                f"{location.path} is not an SQLite database; name another file in POLICY_DATABASE_URL"
            ) from None
        raise
    return connection


async def connect_listener(location: Location, patience: float) -> psycopg.AsyncConnection[Row]:
    """A new connection to PostgreSQL that waits for notices in the event loop."""
    return await psycopg.AsyncConnection.connect(
        **_postgresql_arguments(location.parameters, patience), autocommit=True
    )


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


def _set_up(connection: SqliteConnection) -> None:
    # FULL and not NORMAL: in WAL mode NORMAL survives a killed process but loses the last commits when the power
    # fails, and nobody sends an acknowledged event again. It costs one fsync a commit.
    connection.execute("PRAGMA synchronous=FULL")
    # A PIN that was deleted is overwritten and not merely forgotten.
    connection.execute("PRAGMA secure_delete=ON")


def _open_unchanged(path: Path, patience: float) -> sqlite3.Connection:
    """An SQLite database that stays as it is. Where nobody has written of late, SQLite would make files beside it."""
    is_busy = any(_size(Path(f"{path}{ending}")) for ending in ("-wal", "-journal"))
    how = "mode=ro" if is_busy else "mode=ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?{how}"
    return sqlite3.connect(uri, timeout=patience, uri=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


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

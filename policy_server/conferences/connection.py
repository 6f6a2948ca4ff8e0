"""A connection to a database, as statements see it: the same for SQLite and PostgreSQL.

Statements are written as PostgreSQL has them, with ``?`` for a value, and ``= ANY(?)`` for one of a list. They are text
from the start, and drivers keep what they have prepared of it: a library between would cost more than the work.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Protocol, TypeVar

import psycopg

from policy_server.conferences.tables import Table

T = TypeVar("T")
Row = tuple[Any, ...]

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"

FAULTS: Final = (psycopg.Error, sqlite3.Error, OSError, TimeoutError)
"""What drivers raise when a database does not do what it should."""


class Connection(Protocol):
    """Statements, for use in one thread. Each raises what its driver does.

    ``announced`` are the changes that the transaction makes, which this process need not read to hear of them.
    """

    announced: list[Row]

    @property
    def dialect(self) -> str:
        """``SQLITE`` or ``POSTGRESQL``."""

    @property
    def is_lost(self) -> bool:
        """Whether nothing more will come through it."""

    def execute(self, statement: str, *values: object) -> list[Row]:
        """Runs a statement; its rows, if it has any."""

    def insert(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        """Adds rows, no two of one key; those that were not there, which the others stay as they are."""

    def begin(self) -> None:
        """Begins a transaction that will write."""

    def commit(self) -> None:
        """Ends a transaction: it is on disk."""

    def roll_back(self) -> None:
        """Undoes a transaction, if there is one. Never raises."""

    def close(self) -> None:
        """Closes it. Never raises."""


def in_transaction(work: Callable[[Connection], T], connection: Connection) -> tuple[T, list[Row]]:
    """What ``work`` returns and which changes it announced, when all that it wrote is on disk; nothing is written when it
    raises.
    """
    connection.announced = []
    connection.begin()
    try:
        result = work(connection)
        connection.commit()
    except BaseException:
        connection.roll_back()
        raise
    return result, connection.announced


class SqliteConnection:
    """A connection to a file of SQLite."""

    dialect: Final = SQLITE
    is_lost: Final = False

    def __init__(self, driver: sqlite3.Connection) -> None:
        # Transactions are begun here; the driver would begin them late, as readers.
        driver.isolation_level = None
        self.announced: list[Row] = []
        self._driver: Final = driver

    def execute(self, statement: str, *values: object) -> list[Row]:
        """Runs a statement; its rows, if it has any."""
        ready = [json.dumps(value) if isinstance(value, list | tuple) else value for value in values]
        return self._driver.execute(_in_sqlite(statement), ready).fetchall()

    def insert(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        """Adds rows; those that were not there."""
        execute, statement = self._driver.execute, table.insert_one
        return [row for row in rows if execute(statement, row).rowcount]

    def begin(self) -> None:
        """Begins a transaction that will write."""
        self._driver.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Ends a transaction: it is on disk."""
        self._driver.execute("COMMIT")

    def roll_back(self) -> None:
        """Undoes a transaction, if there is one."""
        with contextlib.suppress(sqlite3.Error):
            self._driver.rollback()

    def close(self) -> None:
        """Closes it."""
        with contextlib.suppress(sqlite3.Error):
            self._driver.close()


class PostgresqlConnection:
    """A connection to PostgreSQL."""

    dialect: Final = POSTGRESQL

    def __init__(self, driver: psycopg.Connection[Row]) -> None:
        self.announced: list[Row] = []
        self._driver: Final = driver

    @property
    def is_lost(self) -> bool:
        """Whether nothing more will come through it."""
        return self._driver.closed

    def execute(self, statement: str, *values: object) -> list[Row]:
        """Runs a statement; its rows, if it has any."""
        cursor = self._driver.execute(_in_postgresql(statement), values)
        return cursor.fetchall() if cursor.description else []

    def insert(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        """Adds rows; those that were not there."""
        arrays = [list(values) for values in zip(*rows, strict=True)]
        new = set(self.execute(table.insert_many, *arrays)) if rows else ()
        places = table.key_places
        return [row for row in rows if tuple([row[place] for place in places]) in new]

    def begin(self) -> None:
        """Begins a transaction that will write."""
        self._driver.execute("BEGIN ISOLATION LEVEL READ COMMITTED")

    def commit(self) -> None:
        """Ends a transaction: it is on disk."""
        self._driver.execute("COMMIT")

    def roll_back(self) -> None:
        """Undoes a transaction, if there is one."""
        with contextlib.suppress(psycopg.Error):
            self._driver.rollback()

    def close(self) -> None:
        """Closes it."""
        self._driver.close()


@cache
def _in_sqlite(statement: str) -> str:
    return statement.replace("= ANY(?)", "IN (SELECT value FROM json_each(?))")


@cache
def _in_postgresql(statement: str) -> bytes:
    return statement.replace("%", "%%").replace("?", "%s").encode()

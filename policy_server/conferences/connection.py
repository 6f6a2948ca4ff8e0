"""A connection to a database, as statements see it: the same for SQLite and PostgreSQL.

Statements are written as PostgreSQL has them, with ``?`` for a value, and ``= ANY(?)`` for one of a list. They are text
from the start, and drivers keep what they have prepared of it: a library between would cost more than the work.
"""

import contextlib
import json
import select
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, cast

import psycopg
from psycopg import abc
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format, PipelineStatus
from psycopg.pq.abc import PGresult

from policy_server.conferences.database_file import Log
from policy_server.conferences.tables import Table

T = TypeVar("T")
Row = tuple[Any, ...]

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"

_LISTED: Final = "= ANY(?)"

_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_COMMIT: Final = "COMMIT"

FAULTS: Final = (psycopg.Error, sqlite3.Error, OSError, TimeoutError)
"""What drivers raise when a database does not do what it should."""


class Connection(Protocol):
    """Statements, for use in one thread. Each raises what its driver does.

    ``announced`` are the changes that the transaction makes, which this process need not read to hear of them; where it
    ``is_alone``, nobody else has made any since the last that came through here, which has the position ``newest``.
    """

    announced: list[Row]
    is_alone: bool
    newest: int

    @property
    def dialect(self) -> str:
        """``SQLITE`` or ``POSTGRESQL``."""

    @property
    def is_lost(self) -> bool:
        """Whether nothing more will come through it."""

    def execute(self, statement: str, *values: object) -> list[Row]:
        """Runs a statement; its rows, if it has any."""

    def run(self, statement: str, *values: object) -> None:
        """Runs a statement of a transaction of which nothing is asked; what it raises may come with the next one."""

    def insert(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        """Adds rows, no two of one key; those that were not there, which the others stay as they are."""

    def insert_each(self, wanted: Sequence[tuple[Table, Sequence[Row]]]) -> list[list[Row]]:
        """What ``insert`` does, with several tables."""

    def begin(self) -> None:
        """Begins a transaction that will write."""

    def announce(self, statement: str, *values: object) -> None:
        """Runs a statement as the last of the transaction; its rows are ``announced`` once that is on disk."""

    def commit(self) -> None:
        """Ends a transaction: it is on disk."""

    def roll_back(self) -> None:
        """Undoes a transaction, if there is one. Never raises."""

    def close(self) -> None:
        """Closes it. Never raises."""


class Committed(NamedTuple, Generic[T]):
    """A transaction that is on disk: what its work returned, the changes that it announced, whether nobody else has made
    any since those before, and what SQLite's log looks like since.
    """

    result: T
    announced: list[Row]
    is_alone: bool
    log: Log | None = None


def in_transaction(work: Callable[[Connection], T], connection: Connection) -> Committed[T]:
    """Runs ``work`` in a transaction; nothing is written when it raises."""
    connection.announced, connection.is_alone = [], True
    connection.begin()
    try:
        result = work(connection)
        connection.commit()
    except BaseException:
        connection.roll_back()
        raise
    return Committed(result, connection.announced, connection.is_alone)


class SqliteConnection:
    """A connection to a file of SQLite."""

    dialect: Final = SQLITE
    is_lost: Final = False

    def __init__(self, driver: sqlite3.Connection) -> None:
        # Transactions are begun here; the driver would begin them late, as readers.
        driver.isolation_level = None
        self.announced: list[Row] = []
        self.is_alone = True
        self.newest = -1
        self._driver: Final = driver
        # The driver would make one for each statement.
        self._cursor: Final = driver.cursor()

    def execute(self, statement: str, *values: object) -> list[Row]:
        """Runs a statement; its rows, if it has any."""
        if _LISTED in statement:
            statement, found = _for_one(statement, values)
            statement = _in_sqlite(statement)
            values = tuple([json.dumps(value) if isinstance(value, list | tuple) else value for value in found])
        return self._cursor.execute(statement, values).fetchall()

    def run(self, statement: str, *values: object) -> None:
        """Runs a statement of which nothing is asked."""
        self.execute(statement, *values)

    def insert(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        """Adds rows; those that were not there."""
        execute, statement = self._cursor.execute, table.insert_one
        return [row for row in rows if execute(statement, row).rowcount]

    def insert_each(self, wanted: Sequence[tuple[Table, Sequence[Row]]]) -> list[list[Row]]:
        """What ``insert`` does, with several tables."""
        return [self.insert(table, rows) if rows else [] for table, rows in wanted]

    def begin(self) -> None:
        """Begins a transaction that will write."""
        self._cursor.execute("BEGIN IMMEDIATE")

    def announce(self, statement: str, *values: object) -> None:
        """Runs a statement, whose rows are announced."""
        self.announced += self.execute(statement, *values)

    def commit(self) -> None:
        """Ends a transaction: it is on disk."""
        self._cursor.execute(_COMMIT)
        if self.announced:
            self.newest = self.announced[-1][2]

    def roll_back(self) -> None:
        """Undoes a transaction, if there is one."""
        with contextlib.suppress(sqlite3.Error):
            self._driver.rollback()

    def close(self) -> None:
        """Closes it."""
        with contextlib.suppress(sqlite3.Error):
            self._driver.close()


class _Ready(NamedTuple):
    """A statement that the server has prepared, and values as it reads them; as libpq takes them."""

    name: bytes
    values: Sequence[abc.Buffer]
    formats: Sequence[Format]
    format_of_result: Format = Format.BINARY


class PostgresqlConnection:
    """A connection to PostgreSQL.

    What begins a transaction, and whatever nothing is asked of, goes to the server together with the next statement, and what
    ends a transaction with its last: each way there and back is a turn that the thread loses, and gets again from the event
    loop.
    """

    dialect: Final = POSTGRESQL

    def __init__(self, driver: psycopg.Connection[Row]) -> None:
        self.announced: list[Row] = []
        self.is_alone = True
        self.newest = -1
        self._driver: Final = driver
        # Knows by now how each type of value goes there and back.
        self._transformer: Final = Transformer(driver)
        self._prepared: Final[dict[tuple[str, tuple[int, ...] | None], bytes]] = {}
        self._readable: Final = select.poll()
        self._readable.register(driver.fileno(), select.POLLIN)
        self._usable: Final = select.poll()
        self._usable.register(driver.fileno(), select.POLLIN | select.POLLOUT)
        self._waiting: list[_Ready] = []
        self._last: list[_Ready] = []

    @property
    def is_lost(self) -> bool:
        """Whether nothing more will come through it."""
        return self._driver.closed

    def execute(self, statement: str, *values: object) -> list[Row]:
        """Runs a statement; its rows, if it has any."""
        (result,) = self._run(self._ready(statement, values))
        return self._rows(result)

    def run(self, statement: str, *values: object) -> None:
        """Runs a statement of a transaction of which nothing is asked, with the next one."""
        self._waiting.append(self._ready(statement, values))

    def insert(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        """Adds rows; those that were not there."""
        return self.insert_each([(table, rows)])[0]

    def insert_each(self, wanted: Sequence[tuple[Table, Sequence[Row]]]) -> list[list[Row]]:
        """What ``insert`` does, with several tables, by one way to the server."""
        some = [self._insertion(table, rows) for table, rows in wanted if rows]
        results = iter(self._run(*some) if some else ())
        return [self._inserted(table, rows, next(results)) if rows else [] for table, rows in wanted]

    def begin(self) -> None:
        """Begins a transaction that will write."""
        self._waiting, self._last = [self._ready(_BEGIN, ())], []

    def announce(self, statement: str, *values: object) -> None:
        """Runs a statement as the last of the transaction; its rows are announced once that is on disk."""
        self._last.append(self._ready(statement, values))

    def commit(self) -> None:
        """Ends a transaction: it is on disk."""
        *results, _ = self._run(*self._last, self._ready(_COMMIT, ()))
        for result in results:
            self.announced += self._rows(result)

    def roll_back(self) -> None:
        """Undoes a transaction, if there is one."""
        self._waiting = []
        with contextlib.suppress(psycopg.Error):
            if self._driver.pgconn.pipeline_status == PipelineStatus.OFF:
                self._driver.rollback()
            else:
                # It broke off in between: what comes next through it would be about something else.
                self._driver.close()

    def close(self) -> None:
        """Closes it."""
        self._driver.close()

    def _rows(self, result: PGresult) -> list[Row]:
        self._transformer.set_pgresult(result)
        rows = self._transformer.load_rows(0, result.ntuples, tuple)
        # Nothing is kept of it.
        self._transformer.set_pgresult(None)
        return rows

    def _insertion(self, table: Table, rows: Sequence[Row]) -> _Ready:
        # One row, as nearly always: an array costs more than what else there is to do.
        if len(rows) == 1:
            return self._ready(table.insert_one, rows[0])
        return self._ready(table.insert_many, [list(values) for values in zip(*rows, strict=True)])

    def _inserted(self, table: Table, rows: Sequence[Row], result: PGresult) -> list[Row]:
        """The rows that were not there before an insertion."""
        if len(rows) == 1:
            return list(rows) if result.command_tuples else []
        new, places = set(self._rows(result)), table.key_places
        return [row for row in rows if tuple([row[place] for place in places]) in new]

    def _run(self, *statements: _Ready) -> list[PGresult]:
        """Runs statements, and before them those that wait, by one message to the server; the result of each. After one that
        fails none is run.
        """
        # By libpq itself: a cursor of psycopg waits in Python for each answer, and so costs twice as much.
        server, waiting = self._driver.pgconn, self._waiting
        if not waiting and len(statements) == 1:
            return [_checked(server.exec_prepared(*statements[0]))]
        self._waiting, statements = [], (*waiting, *statements)
        server.enter_pipeline_mode()
        for ready in statements:
            server.send_query_prepared(*ready)
        server.pipeline_sync()
        while server.flush():
            self._usable.poll()
            server.consume_input()
        results: list[PGresult | None] = []
        for _ in statements:
            results.append(self._next_result())
            # Says that this was all of it.
            self._next_result()
        # Says that this was the last.
        self._next_result()
        server.exit_pipeline_mode()
        return list(map(_checked, results))[len(waiting) :]

    def _next_result(self) -> PGresult | None:
        server = self._driver.pgconn
        # The next line would wait too, and nobody in this process would get their turn meanwhile.
        while server.is_busy():
            self._readable.poll()
            server.consume_input()
        return server.get_result()

    def _ready(self, statement: str, values: Sequence[object]) -> _Ready:
        if _LISTED in statement:
            statement, values = _for_one(statement, values)
        transformer = self._transformer
        parameters = cast("Sequence[abc.Buffer]", transformer.dump_sequence(values, [PyFormat.BINARY] * len(values)))
        return _Ready(self._prepare(statement, transformer.types), parameters, transformer.formats or ())

    def _prepare(self, statement: str, types: tuple[int, ...] | None) -> bytes:
        """The name by which the server knows a statement with values of such types."""
        name = self._prepared.get((statement, types))
        if name is None:
            name = f"statement-{len(self._prepared)}".encode()
            _checked(self._driver.pgconn.prepare(name, _in_postgresql(statement), types))
            self._prepared[statement, types] = name
        return name


def _checked(result: PGresult | None) -> PGresult:
    if result is None:
        raise psycopg.OperationalError("the server has not answered")
    if result.status in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
        return result
    raise error_from_result(result)


def _for_one(statement: str, values: Sequence[object]) -> tuple[str, Sequence[object]]:
    """The same where each list has one value, as most have: then neither database need look through a list."""
    if any(isinstance(value, list | tuple) and len(value) != 1 for value in values):
        return statement, values
    return _of_one(statement), tuple([value[0] if isinstance(value, list | tuple) else value for value in values])


@cache
def _of_one(statement: str) -> str:
    return statement.replace(_LISTED, "= ?")


@cache
def _in_sqlite(statement: str) -> str:
    return statement.replace(_LISTED, "IN (SELECT value FROM json_each(?))")


@cache
def _in_postgresql(statement: str) -> bytes:
    # Values in the binary format: the other has to look through each text of an array for what must be escaped.
    *parts, last = statement.split("?")
    return "".join([*(f"{part}${number}" for number, part in enumerate(parts, 1)), last]).encode()

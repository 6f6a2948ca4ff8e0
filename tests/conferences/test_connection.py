"""Statements of a transaction, of which several go to PostgreSQL together."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from policy_server.conferences.connection import Connection, Row, in_transaction
from policy_server.conferences.location import connect, parse_location
from policy_server.conferences.tables import CONVERSATIONS, Table
from tests.conferences.postgres import Postgres
from tests.conferences.samples import Place
from tests.waiting import PATIENCE, eventually

ADD = "INSERT INTO words (word) VALUES (?) RETURNING word"
WORDS = "SELECT word FROM words ORDER BY word"
CANNOT = "SELECT 1 / ?"


@contextmanager
def words(place: Place) -> Iterator[Connection]:
    """A connection to a database with a table of words."""
    connection = connect(parse_location(place.url), PATIENCE)
    connection.execute("CREATE TABLE words (word TEXT PRIMARY KEY)")
    yield connection
    connection.close()


def test_the_first_and_the_last_statement_are_part_of_the_transaction(postgres_place: Place) -> None:
    """Nobody sees what they do before it ends; what the last says is there then."""

    def write(connection: Connection) -> list[object]:
        first = connection.execute(ADD, "first")
        connection.announce(ADD, "last")
        assert other.execute(WORDS) == []
        assert connection.announced == []
        return [*first, *connection.execute(ADD, "between")]

    with words(postgres_place) as connection:
        other = connect(parse_location(postgres_place.url), PATIENCE)
        assert in_transaction(write, connection).result == [("first",), ("between",)]
        assert connection.announced == [("last",)]
        assert other.execute(WORDS) == [("between",), ("first",), ("last",)]
        other.close()


@pytest.mark.parametrize("fails", [0, 1, 2])
def test_one_statement_that_fails_undoes_all_and_costs_no_other_transaction(postgres_place: Place, fails: int) -> None:
    """Be it the first, one between or the last."""

    def write(connection: Connection) -> None:
        for place in range(2):
            connection.execute(*((CANNOT, 0) if place == fails else (ADD, f"word {place}")))
        connection.announce(*((CANNOT, 0) if fails == 2 else (ADD, "last")))

    with words(postgres_place) as connection:
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                in_transaction(write, connection)
        assert connection.execute(WORDS) == []
        in_transaction(lambda good: good.execute(ADD, "good"), connection)
        assert connection.execute(WORDS) == [("good",)]


def test_of_what_nothing_is_asked_comes_before_what_follows(postgres_place: Place) -> None:
    """Also where nothing follows but the end, and what it raises undoes the transaction."""

    def write(connection: Connection) -> list[Row]:
        connection.run(ADD, "begin")
        connection.run(ADD, "gone")
        connection.run("DELETE FROM words WHERE word = ANY(?)", ["gone", "unknown"])
        found = connection.execute(WORDS)
        connection.run("UPDATE words SET word = ?", "end")
        return found

    def fail(connection: Connection) -> None:
        connection.run(ADD, "new")
        connection.run(CANNOT, 0)

    with words(postgres_place) as connection:
        assert in_transaction(write, connection).result == [("begin",)]
        with pytest.raises(psycopg.errors.DivisionByZero):
            in_transaction(fail, connection)
        assert connection.execute(WORDS) == [("end",)]


def test_rows_of_several_tables_are_added_together(place: Place) -> None:
    """Of each table those are said that were not there, be they none, one or many."""
    one, other = (Table(name, *CONVERSATIONS.columns, key=CONVERSATIONS.key) for name in ("one", "other"))
    rows: list[Row] = [(f"conference {number}", 0, "conversation") for number in range(4)]
    connection = connect(parse_location(place.url), PATIENCE)
    for table in (one, other):
        columns = "conference_id TEXT, place BIGINT, conversation_id TEXT, PRIMARY KEY (conference_id, place)"
        connection.execute(f"CREATE TABLE {table.name} ({columns})")

    def add(some: list[Row], more: list[Row]) -> list[list[Row]]:
        return in_transaction(lambda each: each.insert_each([(one, some), (other, more)]), connection).result

    assert add([], []) == [[], []]
    assert add(rows[:1], []) == [rows[:1], []]
    assert add(rows[:1], rows[:2]) == [[], rows[:2]]
    assert add(rows[:3], rows[1:2]) == [rows[1:3], []]
    assert add(rows, rows) == [rows[3:], rows[2:]]
    connection.close()


def test_a_transaction_may_be_only_its_announcement_or_nothing(postgres_place: Place) -> None:
    """It begins and ends all the same."""
    with words(postgres_place) as connection:
        in_transaction(lambda nothing: None, connection)
        in_transaction(lambda one: one.announce(ADD, "announced"), connection)
        assert connection.announced == [("announced",)]
        assert connection.execute(WORDS) == [("announced",)]


def test_a_statement_may_be_larger_than_what_is_on_its_way_at_a_time(postgres_place: Place) -> None:
    """The server takes it piece by piece."""
    long = "0123456789abcdef" * 1_000_000
    with words(postgres_place) as connection:
        written = in_transaction(lambda one: one.execute("SELECT length(?::text), ?::text", long, long), connection)
        assert written.result == [(len(long), long)]


@pytest.mark.parametrize("ends_at", ["first", "last"])
@pytest.mark.parametrize("is_known", [True, False], ids=["prepared", "new"])
def test_a_connection_that_ends_within_a_transaction_is_lost(
    postgres: Postgres, postgres_place: Place, ends_at: str, is_known: bool
) -> None:
    """Nothing hangs, and nothing of it stays."""

    def write(connection: Connection, ends_at: str = "") -> None:
        if ends_at == "first":
            end()
        connection.execute(ADD, f"first {ends_at}")
        if ends_at == "last":
            end()
        connection.announce(ADD, f"last {ends_at}")

    def end() -> None:
        postgres.execute(f"SELECT pg_terminate_backend({process})")
        eventually(lambda: not postgres.execute(f"SELECT 1 FROM pg_stat_activity WHERE pid = {process}"))  # noqa: S608

    with words(postgres_place) as connection:
        ((process,),) = connection.execute("SELECT pg_backend_pid()")
        if is_known:
            in_transaction(write, connection)
        with pytest.raises(psycopg.Error):
            in_transaction(partial(write, ends_at=ends_at), connection)
        assert connection.is_lost
        other = connect(parse_location(postgres_place.url), PATIENCE)
        assert other.execute(WORDS) == ([("first ",), ("last ",)] if is_known else [])
        other.close()


def test_while_one_thread_waits_for_the_server_others_go_on(postgres_place: Place) -> None:
    """As the thread of the event loop, which lets go here what the other waits for."""
    with words(postgres_place) as connection:
        other = connect(parse_location(postgres_place.url), PATIENCE)
        waits: list[Callable[[Connection], object]] = [
            lambda one: one.execute("SELECT pg_advisory_xact_lock(1)"),
            lambda one: one.announce("SELECT pg_advisory_xact_lock(1)"),
        ]
        for wait in waits:
            other.execute("SELECT pg_advisory_lock(1)")
            thread = threading.Thread(target=in_transaction, args=(wait, connection), daemon=True)
            thread.start()
            eventually(lambda: other.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
            other.execute("SELECT pg_advisory_unlock(1)")
            thread.join(PATIENCE)
            assert not thread.is_alive()
        other.close()

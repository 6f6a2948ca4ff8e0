"""Reaching a database, bringing its tables up to date, and what is said when that fails."""

import asyncio
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from policy_server.conferences.connection import SQLITE, Connection
from policy_server.conferences.errors import StoreSetupError, StoreUnavailableError
from policy_server.conferences.location import parse_location
from policy_server.conferences.migrations import MIGRATIONS, migrate
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import LOOK_AGAIN
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.tables import TABLES
from tests.conferences.postgres import PASSWORD, Postgres, PostgresMissingError, find_binaries
from tests.conferences.samples import CALL, HOST_PIN, NOW, Place, conference, entry, link, stored_event
from tests.waiting import PATIENCE

METHODS: dict[str, Callable[[ConferenceStore], Awaitable[object]]] = {
    "prepare": lambda store: store.prepare(),
    "check": lambda store: store.check(),
    "create_link": lambda store: store.create_link(link()),
    "link": lambda store: store.link(CALL),
    "revoke_link": lambda store: store.revoke_link(CALL, NOW),
    "pin": lambda store: store.hold(conference()),
    "held": lambda store: store.read(Reader.holder, CALL, NOW),
    "conference_of_call": lambda store: store.read(Reader.conference_of_call, CALL),
    "end": lambda store: store.end(CALL, NOW),
    "add_events": lambda store: store.add_events([stored_event()]),
    "events": lambda store: store.read(Reader.events, CALL, NOW),
    "add_timeline": lambda store: store.add_timeline([entry()]),
    "timeline": lambda store: store.read(Reader.timeline, CALL),
    "change_number": lambda store: store.read(Reader.change_number, (CALL,)),
    "purge": lambda store: store.purge(NOW),
}
WRITES = ("create_link", "revoke_link", "pin", "end", "add_events", "add_timeline")


async def failures(store: ConferenceStore, names: Iterable[str] = METHODS) -> dict[str, Exception]:
    """What each method raised, all of them called at the same time; a method that did not fail is absent."""
    called = list(names)
    answers = await asyncio.gather(*(METHODS[name](store) for name in called), return_exceptions=True)
    return {name: answer for name, answer in zip(called, answers, strict=True) if isinstance(answer, Exception)}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "is not a database URL; write sqlite:///var/policy.db or postgresql://user:password@host/database"),
        ("var/policy.db", "is not a database URL"),
        ("mysql://u:s3cret@h/d", "must start with sqlite:/// or postgresql://; write sqlite:///"),
        ("s3cret://u:s3cret@h/d", "must start with sqlite:/// or postgresql://; write sqlite:///"),
        ("postgresql+asyncpg://u:s3cret@h/d", "must start with sqlite:/// or postgresql://, without a driver"),
        ("sqlite://", "must name a file with three slashes"),
        ("sqlite:///", "must name a file with three slashes"),
        ("sqlite:///:memory:", "must name a file with three slashes"),
        ("sqlite://var/policy.db", "must name a file with three slashes"),
        ("sqlite:/var/policy.db", "is not a database URL"),
        ("sqlite:///u:s3cret@h/policy", "must name a file with three slashes and nothing behind it"),
        ("sqlite:///policy.db?mode=ro", "must name a file with three slashes and nothing behind it"),
    ],
)
def test_an_unusable_url_is_explained(url: str, expected: str) -> None:
    """A URL of no database is refused with what to write instead, and its password is not repeated."""
    with pytest.raises(StoreSetupError, match=r"^POLICY_DATABASE_URL:? .*" + re.escape(expected)) as refusal:
        ConferenceStore(url)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (" sqlite:///var/policy.db\n", "sqlite:///var/policy.db"),
        ("sqlite:////var/lib/policy.db", "sqlite:////var/lib/policy.db"),
        ("sqlite:////home/me@example.com/policy.db", "sqlite:////home/me@example.com/policy.db"),
        ("SQLite:///var/policy.db", "sqlite:///var/policy.db"),
    ],
)
def test_a_file_is_named_as_it_is_written(url: str, name: str) -> None:
    """The name for messages is the URL of the file, whatever stands around it."""
    assert parse_location(url).name == name


def test_the_tables_are_those_that_the_queries_expect(place: Place) -> None:
    """Every column of the code is in the migrated database, may be null just where it says so, and none is more."""

    def columns(connection: Connection, table: str) -> dict[str, bool]:
        if connection.dialect == SQLITE:
            rows = connection.execute('SELECT name, "notnull" FROM pragma_table_info(?)', table)
            return {name: not is_needed for name, is_needed in rows}
        return dict(
            connection.execute(
                "SELECT column_name, is_nullable = 'YES' FROM information_schema.columns "
                "WHERE table_schema = current_schema() AND table_name = ?",
                table,
            )
        )

    def found(connection: Connection) -> dict[str, dict[str, bool]]:
        return {table.name: columns(connection, table.name) for table in TABLES}

    async def scenario(store: ConferenceStore) -> dict[str, dict[str, bool]]:
        await store.prepare()
        return await store._database.read(found)

    assert place.run(scenario) == {
        table.name: {
            **{column.name: column.is_nullable for column in table.columns},
            **({"id": False} if table.is_numbered else {}),
        }
        for table in TABLES
    }


def test_two_replicas_may_start_together(place: Place) -> None:
    """Of several stores that prepare one new database at the same time, each finds it ready."""

    async def scenario(one: ConferenceStore, other: ConferenceStore) -> None:
        more = [ConferenceStore(place.url) for _ in range(3)]
        await asyncio.gather(*(store.prepare() for store in (one, other, *more)), one.check(), other.hold(conference()))
        versions = await one._database.read(lambda connection: connection.execute("SELECT * FROM schema_version"))
        assert versions == [(len(MIGRATIONS),)]
        assert await more[0].read(Reader.holder, CALL, NOW) == conference()
        for store in more:
            await store.close()

    place.run_two(scenario)


STARTER = """
import asyncio, sys
from policy_server.conferences.store import ConferenceStore
from tests.conferences.samples import conference

async def start():
    async with ConferenceStore(sys.argv[1]) as store:
        sys.stdin.readline()
        await store.prepare()
        print((await store.hold(conference(id=sys.argv[2]))).id)

asyncio.run(start())
"""


@pytest.mark.slow
def test_two_processes_may_start_together(place: Place) -> None:
    """Processes that prepare one new database at the same time do not disturb each other."""
    command = [sys.executable, "-c", STARTER, place.url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    starters = [subprocess.Popen([*command, str(number)], **pipes) for number in range(2)]  # type: ignore[call-overload]
    for starter in starters:
        starter.stdin.write("go\n")
        starter.stdin.flush()
    winners = {starter.communicate(timeout=30)[0].strip() for starter in starters}
    assert [starter.returncode for starter in starters] == [0, 0]
    assert winners in ({"0"}, {"1"})


def test_an_old_database_is_brought_up_to_date(place: Place) -> None:
    """Only the missing versions are applied, what is stored stays, and a version that fails changes nothing."""
    newer = (*MIGRATIONS, ("ALTER TABLE links ADD COLUMN colour TEXT", "CREATE TABLE colours (name TEXT)"))
    broken = (*newer, ("CREATE TABLE shapes (name TEXT)", "CREATE TABLE shapes (name TEXT)"))

    async def scenario(store: ConferenceStore) -> None:
        await store.create_link(link())
        with pytest.raises(StoreUnavailableError, match="already exists"):
            await store._database.write(lambda connection: migrate(connection, broken))
        for _ in range(2):
            await store._database.write(lambda connection: migrate(connection, newer))
        await store._database.read(lambda connection: connection.execute("SELECT colour FROM links, colours"))
        with pytest.raises(StoreUnavailableError, match="shapes"):
            await store._database.read(lambda connection: connection.execute("SELECT * FROM shapes"))
        assert await store.link(CALL) == link()

    place.run(scenario)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        pytest.param(1, r"made by policy-server 0\.1,", id="the first version"),
        pytest.param(2, r"made by policy-server 0\.2 before it was released", id="a version that was never released"),
        pytest.param(
            len(MIGRATIONS) + 5,
            rf"newer policy-server: it has version {len(MIGRATIONS) + 5} and this one .* up to {len(MIGRATIONS)}; run the newer",
            id="a newer one",
        ),
    ],
)
def test_a_database_of_another_version_is_refused(place: Place, version: int, said: str) -> None:
    """Every method refuses, before anything is touched, what 0.1 kept or a newer version made, and says what to do."""

    async def scenario(one: ConferenceStore, other: ConferenceStore) -> dict[str, Exception]:
        await one.prepare()
        await one._database.write(
            lambda connection: connection.execute("UPDATE schema_version SET version = ?", version)
        )
        return await failures(other)

    refused = place.run_two(scenario)
    assert dict.fromkeys(METHODS, StoreSetupError) == {name: type(error) for name, error in refused.items()}
    for error in refused.values():
        assert re.search(said, str(error))


def test_the_folder_and_file_are_made_for_their_owner(tmp_path: Path) -> None:
    """A missing folder is made, and nobody else may read it or the file."""

    async def scenario() -> None:
        async with ConferenceStore(f"sqlite:///{tmp_path}/var/deep/policy.db") as store:
            await store.hold(conference())

    asyncio.run(scenario())
    path = tmp_path / "var" / "deep" / "policy.db"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def _a_folder(path: Path) -> None:
    path.mkdir()


def _below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("I am a file")


def _a_text(path: Path) -> None:
    path.write_text("this is a letter to my aunt and no database at all\n" * 100)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_a_folder, "cannot be opened for writing: Is a directory; let this user write to the folder"),
        (_below_a_file, "cannot be opened for writing: "),
        (_a_text, "is not an SQLite database; name another file in POLICY_DATABASE_URL"),
    ],
    ids=["a folder", "below a file", "another file"],
)
def test_an_unusable_file_is_explained(tmp_path: Path, spoil: Callable[[Path], None], expected: str) -> None:
    """A path where no database can be is refused, naming it, with what to do."""
    path = tmp_path / "var" / "policy.db"
    path.parent.mkdir()
    spoil(path)

    async def scenario() -> None:
        async with ConferenceStore(f"sqlite:///{path}") as store:
            with pytest.raises(StoreSetupError, match=re.escape(str(path)) + ".*" + re.escape(expected)):
                await store.prepare()
            with pytest.raises(StoreSetupError):
                await store.hold(conference())

    asyncio.run(scenario())


def test_a_folder_that_may_not_be_written_is_explained() -> None:
    """Without permission the message names the file and the folder; in /sys not even root may make a file."""

    async def scenario() -> None:
        async with ConferenceStore("sqlite:////sys/policy.db") as store:
            with pytest.raises(StoreSetupError, match=r"Permission denied; let this user write to the folder"):
                await store.prepare()

    asyncio.run(scenario())


@contextmanager
def deaf_server() -> Iterator[int]:
    """The port of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_is_not_there_is_told_with_one_error() -> None:
    """Every method raises the one error when nothing listens, naming the server and no password."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    async def scenario() -> dict[str, Exception]:
        async with ConferenceStore(f"postgresql://me:s3cret@127.0.0.1:{port}/policy") as store:
            return await failures(store)

    failed = asyncio.run(scenario())
    assert dict.fromkeys(METHODS, StoreUnavailableError) == {name: type(error) for name, error in failed.items()}
    for error in failed.values():
        assert str(error).startswith(f"the database postgresql://127.0.0.1:{port}/policy: ")
        assert "s3cret" not in str(error)
        assert (error.__cause__, error.__suppress_context__) == (None, True)


def test_a_server_that_says_nothing_is_given_up() -> None:
    """All operations under way end after ``patience`` seconds, and closing does not wait for ever."""
    waiting = [name for name in METHODS if name != "prepare"]

    async def scenario(port: int) -> dict[str, Exception]:
        async with ConferenceStore(f"postgresql://me:s3cret@127.0.0.1:{port}/policy", patience=0.3) as store:
            return await failures(store, waiting)

    began = time.monotonic()
    with deaf_server() as port:
        failed = asyncio.run(scenario(port))
    assert time.monotonic() - began < 5
    message = f"the database postgresql://127.0.0.1:{port}/policy did not answer within 0.3 s"
    assert {name: str(error) for name, error in failed.items()} == dict.fromkeys(waiting, message)


def test_a_wrong_password_is_not_repeated(postgres: Postgres) -> None:
    """The server's refusal is passed on, without the password."""

    async def scenario() -> None:
        async with ConferenceStore(postgres.url().replace(PASSWORD, "wr0ng")) as store:
            with pytest.raises(StoreUnavailableError, match="password authentication failed") as refusal:
                await store.check()
            assert "wr0ng" not in str(refusal.value)

    asyncio.run(scenario())


def test_a_database_in_another_encoding_is_refused(postgres: Postgres) -> None:
    """A PostgreSQL database that cannot hold every name is refused at the start, not at the first such name."""
    postgres.execute("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")

    async def scenario() -> None:
        async with ConferenceStore(postgres.url(database="latin")) as store:
            with pytest.raises(StoreSetupError, match=r"encoding LATIN1, .* ENCODING 'UTF8'"):
                await store.prepare()

    asyncio.run(scenario())
    postgres.execute("DROP DATABASE latin")


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Somebody else holds the whole database."""
    if place.kind == "sqlite":
        holder = sqlite3.connect(place.url.removeprefix("sqlite:///"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.rollback()
        holder.close()
    else:
        with psycopg.connect(place.url) as connection:
            connection.execute("LOCK TABLE links, conferences, events, timeline, changes")
            yield


def test_a_locked_database_is_given_up_and_works_afterwards(place: Place) -> None:
    """Writes that somebody else blocks end in the one error; later they succeed."""

    async def scenario() -> None:
        async with ConferenceStore(place.url, patience=2.0) as store:
            await store.prepare()
            await store.hold(conference(id="first"))
            with locked(place):
                began = time.monotonic()
                failed = await failures(store, WRITES)
                assert time.monotonic() - began < 6
            assert {name: type(error) for name, error in failed.items()} == dict.fromkeys(WRITES, StoreUnavailableError)
            for name in WRITES:
                await METHODS[name](store)

    asyncio.run(scenario())


def test_reading_goes_on_while_somebody_writes(place: Place) -> None:
    """A transaction that takes its time does not keep anybody from reading."""

    async def scenario(store: ConferenceStore) -> None:
        held = await store.hold(conference())
        may_end = threading.Event()

        def slow(connection: object) -> None:
            may_end.wait(4)

        writing = asyncio.create_task(store._database.write(slow))
        assert await store.read(Reader.holder, CALL, NOW) == held
        assert not writing.done()
        may_end.set()
        await writing

    place.run(scenario)


def test_no_error_repeats_what_was_to_be_stored(place: Place) -> None:
    """A PIN or call is neither in the error of a statement that failed nor in what that error was raised from."""

    async def scenario(store: ConferenceStore) -> None:
        await store.hold(conference())
        with pytest.raises(StoreUnavailableError, match="rule") as refusal:
            # PostgreSQL answers with the whole row.
            await store._database.write(lambda connection: connection.execute("UPDATE conferences SET rule = NULL"))
        assert CALL not in str(refusal.value)
        await store._database.write(lambda connection: connection.execute("DROP TABLE conferences"))
        with pytest.raises(StoreUnavailableError, match="conferences") as failure:
            await store.hold(conference())
        for error in (failure.value, failure.value.__cause__, failure.value.__context__):
            assert HOST_PIN not in f"{error} {error!r}"
        assert failure.value.__suppress_context__

    place.run(scenario)


FULL = """
import asyncio, resource, signal, sys
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.reader import Reader
from policy_server.conferences.store import ConferenceStore
from tests.conferences.samples import NOW, CALL, conference, stored_event

async def fill():
    async with ConferenceStore(sys.argv[1]) as store:
        await store.hold(conference())
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        added = 0
        try:
            while True:
                added += await store.add_events([stored_event(added + seq, data={"x": "y" * 500}) for seq in range(50)])
        except StoreUnavailableError as error:
            print(error)
        assert added > 0
        assert len(await store.read(Reader.events, CALL, NOW)) >= added
        assert await store.read(Reader.holder, CALL, NOW) == conference()

asyncio.run(fill())
"""


@pytest.mark.slow
def test_a_full_disk_is_one_error_and_loses_nothing(sqlite_place: Place) -> None:
    """When nothing more can be written, writing fails in the one way, and what was acknowledged can be read."""
    command = [sys.executable, "-c", FULL, sqlite_place.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"the database sqlite:///.*policy\.db: (disk I/O error|database or disk is full)\n", done.stdout
    )


def test_a_database_may_come_later(tmp_path: Path) -> None:
    """A store that was made while its database could not be reached works, and listens, once it can."""
    folder = tmp_path / "mount"
    folder.write_text("not mounted yet")

    async def scenario() -> None:
        async with ConferenceStore(f"sqlite:///{folder}/policy.db") as store:
            changes = store.changes()
            heard = asyncio.ensure_future(anext(changes))
            with pytest.raises(StoreUnavailableError):
                await store.hold(conference())
            assert not heard.done()
            folder.unlink()
            folder.mkdir()
            assert await store.hold(conference()) == conference()
            async with asyncio.timeout(PATIENCE):
                assert await heard == LOOK_AGAIN
            await changes.aclose()

    asyncio.run(scenario())


def test_a_closed_store_refuses(place: Place) -> None:
    """After closing, which may be done twice, every method raises the one error."""

    async def scenario(store: ConferenceStore) -> dict[str, Exception]:
        await store.check()
        await store.close()
        return await failures(store)

    message = "the database was closed because the service is stopping"
    assert {name: str(error) for name, error in place.run(scenario).items()} == dict.fromkeys(METHODS, message)


def test_missing_postgresql_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs these tests without PostgreSQL learns what to install."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("tests.conferences.postgres.PACKAGED", tmp_path)
    with pytest.raises(PostgresMissingError, match="apt-get install postgresql"):
        find_binaries()

"""When a listener on SQLite looks for what other processes wrote, and that it finds it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from policy_server.conferences import changes, others
from policy_server.conferences.connection import Connection
from policy_server.conferences.database import Database
from policy_server.conferences.database_file import Log, OpenFile
from policy_server.conferences.others import HERE_SECONDS, LOOK_SECONDS, Others
from policy_server.conferences.records import LOOK_AGAIN, Change
from policy_server.conferences.store import ConferenceStore
from tests.conferences.samples import CALL, Place, entry, eventually, link
from tests.waiting import PATIENCE, until

TICK: Final = 0.08
WRITTEN: Final = Log(inode=1, size=4152, changed=1)
WRITTEN_AGAIN: Final = Log(inode=1, size=4152, changed=2)
EMPTIED: Final = Log(inode=1, size=0, changed=3)


class Listener:
    """Asks every ``TICK`` whether others may have written."""

    def __init__(self) -> None:
        self.others: Final = Others()
        self._now = 0.0

    def looks(self, log: Log | None, seconds: float) -> int:
        """How often it looks in so many seconds in which the log looks so."""
        ticks = round(seconds / TICK)
        self._now += ticks * TICK
        begin = self._now - ticks * TICK
        return sum(self.others.may_have_written(log, begin + number * TICK) for number in range(1, ticks + 1))


@pytest.fixture
def listener() -> Listener:
    """One that has not heard of others for long."""
    made = Listener()
    made.others.leave(WRITTEN, is_seen=True)
    made.looks(WRITTEN, 2 * LOOK_SECONDS)
    return made


def test_where_nobody_writes_nobody_looks_but_now_and_then(listener: Listener) -> None:
    """While the log stays as it is there is one look each second, in case that a write did not show."""
    assert listener.looks(WRITTEN, 20 * LOOK_SECONDS) in range(18, 21)


def test_after_a_write_of_others_each_tick_looks(listener: Listener) -> None:
    """A write shows before it can be read, and a second one may look like the first: for a while nothing is taken for seen."""
    assert listener.looks(WRITTEN_AGAIN, HERE_SECONDS) == round(HERE_SECONDS / TICK)
    assert listener.looks(WRITTEN_AGAIN, 20 * LOOK_SECONDS) in range(18, 22)


def test_what_others_were_found_to_have_written_counts_as_seen_in_the_log(listener: Listener) -> None:
    """However it was found out that others write, the log may look the same after their next write."""
    listener.others.show()
    assert listener.looks(WRITTEN, HERE_SECONDS) == round(HERE_SECONDS / TICK)


def test_what_this_process_wrote_is_not_looked_for(listener: Listener) -> None:
    """It saw as it wrote whether others did before; unless it announced nothing, and then one look makes up for that."""
    listener.looks(WRITTEN, LOOK_SECONDS)
    listener.others.leave(WRITTEN_AGAIN, is_seen=True)
    assert listener.looks(WRITTEN_AGAIN, LOOK_SECONDS) <= 1
    listener.others.leave(WRITTEN, is_seen=False)
    assert listener.looks(WRITTEN, TICK) == 1
    assert listener.looks(WRITTEN, LOOK_SECONDS - 2 * TICK) == 0


def test_an_emptied_log_is_looked_at_once(listener: Listener) -> None:
    """Something may have been written just before it was emptied, and nothing is on its way."""
    assert listener.looks(EMPTIED, TICK) == 1
    assert listener.looks(EMPTIED, LOOK_SECONDS - 2 * TICK) == 0
    assert listener.looks(WRITTEN, HERE_SECONDS) == round(HERE_SECONDS / TICK)


def test_without_a_log_each_tick_looks(listener: Listener) -> None:
    """Where none is to be seen nothing tells whether others wrote."""
    assert listener.looks(None, 5 * LOOK_SECONDS) == round(5 * LOOK_SECONDS / TICK)


async def _hear(heard: AsyncGenerator[Change, None], wanted: Change) -> None:
    """Waits for a change, after whatever else is heard."""
    async with asyncio.timeout(PATIENCE):
        while await anext(heard) != wanted:
            pass


class Counts(dict[str, int]):
    """How often methods were called, by their names."""

    async def asked(self, times: int) -> None:
        """Waits until listeners have asked so often whether others may have written."""
        wanted = self["may_have_written"] + times
        await eventually(lambda: asyncio.sleep(0, self["may_have_written"] >= wanted))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Listeners that ask again at once, and never look without need; how often they asked, and databases were read."""
    counts = Counts(may_have_written=0, read=0)

    def count(owner: type, name: str) -> None:
        counted = getattr(owner, name)

        def call(*arguments: Any) -> Any:
            counts[name] += 1
            return counted(*arguments)

        monkeypatch.setattr(owner, name, call)

    count(Others, "may_have_written")
    count(Database, "read")
    monkeypatch.setattr(changes, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(others, "HERE_SECONDS", 0.0)
    monkeypatch.setattr(others, "LOOK_SECONDS", 3600.0)
    return counts


def test_an_idle_listener_reads_nothing(sqlite_place: Place, hasty: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read while nobody writes, also after writes of its own, whatever else is done with the file; and what another
    writes is heard then.
    """

    async def scenario(one: ConferenceStore, other: ConferenceStore) -> None:
        one.tell_news(lambda _: None)
        async with aclosing(one.changes()) as heard:
            assert await anext(heard) == LOOK_AGAIN
            hearing = asyncio.create_task(_hear(heard, Change(CALL, 3)))
            for number in (1, 2, 2):
                # The last is there already, and changes nothing.
                await one.add_timeline([entry(str(number))])
                await hasty.asked(3)
                before = hasty["read"]
                await hasty.asked(20)
                assert hasty["read"] == before
            await other.check()
            await hasty.asked(3)
            before = hasty["read"]
            await hasty.asked(20)
            assert hasty["read"] == before
            # The file shows it before it is on the disk.
            monkeypatch.setattr(others, "HERE_SECONDS", PATIENCE)
            await other.create_link(link())
            await hearing

    sqlite_place.run_two(scenario)


def test_a_write_hidden_by_one_that_changed_nothing_is_heard(
    sqlite_place: Place, hasty: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks another writes, and then this process something that it does not announce."""
    may_have_written, looking = Others.may_have_written, asyncio.Event()

    def look(self: Others, log: Log | None, now: float) -> bool:
        return looking.is_set() and may_have_written(self, log, now)

    async def scenario(one: ConferenceStore, other: ConferenceStore) -> None:
        one.tell_news(lambda _: None)
        async with aclosing(one.changes()) as heard:
            assert await anext(heard) == LOOK_AGAIN
            hearing = asyncio.create_task(_hear(heard, Change(CALL, 1)))
            await one.create_link(link("own"))
            await hasty.asked(3)
            monkeypatch.setattr(Others, "may_have_written", look)
            monkeypatch.setattr(Database, "is_writing", False)
            await other.create_link(link())
            await one.bind("nothing", "conversation", 1)
            looking.set()
            await hearing

    sqlite_place.run_two(scenario)


def test_a_write_that_does_not_show_is_heard(
    sqlite_place: Place, hasty: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log looks the same after another's write, that is found all the same."""
    monkeypatch.setattr(others, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(OpenFile, "log", lambda _: WRITTEN)

    async def scenario(one: ConferenceStore, other: ConferenceStore) -> None:
        await one.create_link(link("own"))
        async with aclosing(one.changes()) as heard:
            assert await anext(heard) == LOOK_AGAIN
            for number in range(1, 4):
                await other.add_timeline([entry(str(number))])
                await _hear(heard, Change(CALL, number))

    sqlite_place.run_two(scenario)


def test_what_a_log_looks_like_changes_with_each_write(tmp_path: Path) -> None:
    """What a write leaves is what is seen until the next, by whomever: reading changes nothing, emptying it does."""

    def insert(connection: Connection) -> None:
        connection.execute("INSERT INTO changes (number, position, key) VALUES (1, random(), random())")

    async def scenario() -> None:
        one, other = (Database(f"sqlite:///{tmp_path}/policy.db") for _ in range(2))
        await one.prepare()
        await other.prepare()
        left: list[Log | None] = []
        for database in (one, other):
            told = asyncio.get_running_loop().create_future()
            database.begin_write(insert, partial(database.give, told))
            database.expect(told)
            assert database.is_writing
            await told
            assert not database.is_writing
            left.append(one.log())
            await other.read(lambda connection: connection.execute("SELECT * FROM changes"))
            assert other.log() == left[-1]
        assert left[0] != left[1]
        await one.overwrite_log()
        emptied = other.log()
        assert emptied is not None
        assert emptied.size == 0
        await one.close()
        await other.close()

    asyncio.run(scenario())


def test_what_is_found_before_it_is_told_is_known_as_its_own(
    sqlite_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a look may find what this process has just committed before its event loop knows of that."""
    late: list[Callable[[], None]] = []
    looked = asyncio.Event()

    async def scenario(one: ConferenceStore, other: ConferenceStore) -> None:
        one.tell_news(lambda _: None)
        database = one._database
        read, written = database.read, database._written

        async def look(work: Callable[[Connection], Any]) -> Any:
            found = await read(work)
            if late:
                looked.set()
            return found

        async with aclosing(one.changes()) as heard:
            assert await anext(heard) == LOOK_AGAIN
            hearing = asyncio.ensure_future(anext(heard))
            with monkeypatch.context() as slow:
                slow.setattr(database, "read", look)
                slow.setattr(database, "_written", lambda *outcome: late.append(partial(written, *outcome)))
                writing = asyncio.ensure_future(one.add_timeline([entry()]))
                await until(lambda: bool(late))
                looked.clear()
                await looked.wait()
            late.pop()()
            await writing
            await other.add_timeline([entry(key="later")])
            assert await hearing == Change("later", 1)

    sqlite_place.run_two(scenario)

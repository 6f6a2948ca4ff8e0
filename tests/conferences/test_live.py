"""A replica knows links and rooms without asking the database, and writes when the database has time."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import psycopg
import pytest

from policy_server.conferences.batches import LINGER
from policy_server.conferences.due import DueAction
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.live import Conferences
from policy_server.conferences.mirror import Mirror
from policy_server.conferences.pace import Limits, Pace
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import LOOK_AGAIN, Change, HeldConference, Link, Page, Recorded, TimelineEntry
from policy_server.conferences.store import ConferenceStore, Passengers
from policy_server.conferences.writer import Writer
from tests.conferences.samples import CALL, HOUR, NOW, SECOND, Place, conference, entry, eventually, link
from tests.waiting import PATIENCE, until

T = TypeVar("T")

STEERED: Final = ("record", "links", "holders_among", "good_links", "live", "purge")
"""What a replica asks of its store by itself."""


class SteeredStore(ConferenceStore):
    """A store whose methods can fail, once with any error or as long as they are ``away``, or wait for a ``gate``.

    With ``heard`` set, nobody hears of any changes but those.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, patience=20.0)
        self.fails: dict[str, Exception] = {}
        self.away: set[str] = set()
        self.gates: dict[str, asyncio.Event] = {}
        self.loses_replies = False
        self.is_held = False
        self.heard: asyncio.Queue[Change] | None = None

    async def _enter(self, name: str) -> None:
        if name in self.away:
            raise StoreUnavailableError("the database is away")
        if (error := self.fails.pop(name, None)) is not None:
            raise error

    async def _leave(self, name: str) -> None:
        if name in self.gates:
            self.is_held = True
            await self.gates[name].wait()

    async def changes(self) -> AsyncGenerator[Change, None]:
        """As the store hears of them, or as the test says."""
        await self._enter("changes")
        if self.heard is not None:
            yield LOOK_AGAIN
            while True:
                yield await self.heard.get()
        async with aclosing(super().changes()) as changes:
            async for change in changes:
                yield change
                await self._enter("changes")

    async def record(
        self,
        conferences: Sequence[HeldConference],
        pages: Sequence[Page],
        linger: float = LINGER,
        actions: Sequence[DueAction] = (),
    ) -> Recorded:
        """As the store does it."""
        await self._enter("record")
        recorded = await super().record(conferences, pages, linger, actions)
        if self.loses_replies and conferences:
            raise StoreUnavailableError("it took too long")
        return recorded

    async def links(self, calls: Sequence[str]) -> tuple[Link, ...]:
        """As the store does it."""
        await self._enter("links")
        return await super().links(calls)

    async def holders_among(self, names: Sequence[str], at: datetime) -> tuple[HeldConference, ...]:
        """As the store does it."""
        await self._enter("holders_among")
        return await super().holders_among(names, at)

    async def good_links(self, at: datetime) -> tuple[Link, ...]:
        """As the store does it."""
        await self._enter("good_links")
        return await super().good_links(at)

    async def live(self, at: datetime) -> tuple[HeldConference, ...]:
        """As the store does it."""
        await self._enter("live")
        rooms = await super().live(at)
        await self._leave("live")
        return rooms

    async def purge(self, before: datetime, batch: int = 500) -> int:
        """As the store does it."""
        await self._enter("purge")
        return await super().purge(before, batch)


@asynccontextmanager
async def replica(
    url: str,
    store: ConferenceStore | None = None,
    retention: timedelta | None = None,
    pace: Pace | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Conferences]:
    """A running replica at NOW."""
    conferences = Conferences(
        store or ConferenceStore(url, patience=20.0), lambda: NOW, 12 * HOUR, retention, pace=pace, limits=limits
    )
    await conferences.start()
    try:
        yield conferences
    finally:
        await conferences.stop()


async def true(probe: Callable[[], object]) -> None:
    """Waits until something is so."""

    async def ask() -> object:
        return probe()

    await eventually(ask)


def run(scenario: Callable[[], Awaitable[T]]) -> T:
    """Runs a scenario."""

    async def play() -> T:
        return await scenario()

    return asyncio.run(play())


def test_what_one_replica_holds_the_other_answers(place: Place) -> None:
    """A room held here is held there, by name and by call, and an end here ends it there."""

    async def scenario() -> None:
        async with replica(place.url) as one, replica(place.url) as other:
            held = await one.hold(conference())
            await true(lambda: other.live(CALL, NOW) == held)
            assert other.live_of_call(CALL, NOW) == held
            assert await other.hold(conference(id="another", rule="other")) == held
            await one.store.end(CALL, NOW + SECOND)
            await true(lambda: other.live(CALL, NOW) is None and one.live(CALL, NOW) is None)

    run(scenario)


def test_one_winner_when_both_hold_at_once(place: Place) -> None:
    """Two replicas that hold one room at the same moment both answer with the same conference in the end."""

    async def scenario() -> None:
        async with replica(place.url) as one, replica(place.url) as other:
            await asyncio.gather(one.hold(conference(id="a")), other.hold(conference(id="b")))
            winner = await one.store.read(Reader.holder, CALL, NOW)
            await true(lambda: one.live(CALL, NOW) == winner and other.live(CALL, NOW) == winner)

    run(scenario)


def test_links_and_revocations_arrive(place: Place) -> None:
    """A link made or revoked elsewhere is known here, with its attributes, and a revocation is never forgotten."""

    async def scenario() -> None:
        async with replica(place.url) as one, ConferenceStore(place.url) as elsewhere:
            await elsewhere.create_link(link())
            await true(lambda: one.link(CALL) is not None)
            known = one.link(CALL)
            assert known is not None
            assert known.attributes == {"language": "es"}
            await elsewhere.revoke_link(CALL, NOW)
            await true(lambda: (found := one.link(CALL)) is not None and found.revoked_at is not None)

    run(scenario)


def test_what_was_held_before_the_start_is_known(sqlite_place: Place) -> None:
    """A restart forgets neither rooms nor links, only what is over."""

    async def scenario() -> None:
        async with ConferenceStore(sqlite_place.url) as before:
            await before.hold(conference())
            await before.hold(conference("over", call="", expires_at=NOW - SECOND, held_at=NOW - HOUR))
            await before.create_link(link())
        async with replica(sqlite_place.url) as one:
            await true(lambda: one.live(CALL, NOW) is not None and one.link(CALL) is not None)
            assert one.live("over", NOW) is None

    run(scenario)


def test_a_room_expires(sqlite_place: Place) -> None:
    """A room is held until the moment at which it expires, whether or not anybody said that it ended."""

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one:
            held = await one.hold(conference())
            assert one.live(CALL, held.expires_at - SECOND) == held
            assert one.live(CALL, held.expires_at) is None
            again = conference(id="again", held_at=held.expires_at, expires_at=held.expires_at + HOUR)
            assert (await one.hold(again)).id == "again"

    run(scenario)


def test_an_answer_does_not_wait_for_a_database_that_is_away(tmp_path: Path) -> None:
    """The room is held here at once, the wait is counted, and the hold and notes are written when the database is back."""
    file = tmp_path / "blocked"
    file.write_text("not a folder")
    url = f"sqlite:///{file}/policy.db"

    async def scenario() -> None:
        async with replica(url, pace=Pace(start=0.01, retry=0.05)) as one:
            held = await one.hold(conference())
            one.note(CALL, "link.opened", {}, NOW)
            assert (held.id, one.live(CALL, NOW), one.late) == (conference().id, held, 1)
            file.unlink()
            async with ConferenceStore(url) as store:

                async def written() -> bool:
                    return (
                        await store.read(Reader.holder, CALL, NOW) == held
                        and len(await store.read(Reader.timeline, CALL)) == 1
                    )

                await eventually(written)

    run(scenario)


def test_notes_of_a_call_that_are_written_together_are_a_page_that_stays_as_it_is(tmp_path: Path) -> None:
    """What may have been written already although nobody heard of it is written again with no more in it than before."""

    class Quay(ConferenceStore):
        board: Callable[[], Passengers | None]

        def take_along(self, board: Callable[[], Passengers | None]) -> None:
            self.board = board

    async def scenario() -> Sequence[Page]:
        async with Quay(f"sqlite:///{tmp_path}/policy.db") as store:
            await store.prepare()
            writer = Writer(store, Mirror(), Pace(retry=0.0), Limits())
            writer.start()
            writer.note(TimelineEntry(CALL, NOW, "asked"))
            writer.note(TimelineEntry("another", NOW, "asked"))
            writer.note(TimelineEntry(CALL, NOW, "opened"))
            passengers = store.board()
            assert passengers is not None
            writer.note(TimelineEntry(CALL, NOW, "later"))
            passengers[1].set_exception(StoreUnavailableError("it took too long"))
            passengers = await until(store.board)
            assert passengers is not None
            assert writer.note_count == 4
            return passengers[0].pages

    assert [[entry.kind for entry in page] for page in run(scenario)] == [["asked", "opened"], ["asked"], ["later"]]


def test_what_cannot_wait_is_dropped_and_counted(tmp_path: Path) -> None:
    """Beyond the limit notes are lost, and the loss is a number that somebody can see."""
    one = Conferences(ConferenceStore(f"sqlite:///{tmp_path}/policy.db"), lambda: NOW, HOUR)
    for number in range(Limits().notes + 3):
        one.note(CALL, "question", {"number": number}, NOW)
    one.note("", "question", {}, NOW)
    assert one.dropped == 3


def test_subscribers_are_told(place: Place) -> None:
    """Whoever subscribes to a call or room hears of its changes, and of no other's; leaving frees everything."""

    async def scenario() -> None:
        async with replica(place.url) as one, replica(place.url) as other:
            with one.subscribe(CALL) as mine, one.subscribe("somebody-else") as others:
                while await mine.wait(0.05) or await others.wait(0.05):
                    pass
                await other.hold(replace(conference(), id="new"))
                assert await mine.wait(15)
                assert not await others.wait(0)
            assert not one.subscriptions.keys

    run(scenario)


@pytest.mark.parametrize("broken", [*STEERED, "changes"])
def test_no_error_ends_the_work(sqlite_place: Place, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a store raises, it is logged, what was to be written is written, and what changed is heard of."""
    over = link("over", expires_at=NOW - HOUR)

    async def scenario() -> None:
        store = SteeredStore(sqlite_place.url)
        store.fails[broken] = RuntimeError("nobody thought of this")
        async with ConferenceStore(sqlite_place.url) as elsewhere:
            await elsewhere.create_link(over)
            async with replica(
                sqlite_place.url, store, retention=timedelta(0), pace=Pace(retry=0.01, tidy=0.01)
            ) as one:
                one.note(CALL, "before", {}, NOW)
                held = await one.hold(conference())
                await true(lambda: one.waiting == 0)
                assert await elsewhere.read(Reader.holder, CALL, NOW) == held
                assert len(await elsewhere.read(Reader.timeline, CALL)) == 1
                await elsewhere.create_link(link())
                await true(lambda: one.link(CALL) is not None)
                await elsewhere.end(CALL, NOW)
                await true(lambda: one.live(CALL, NOW) is None)

                async def is_gone() -> bool:
                    return await elsewhere.link("over") is None

                await eventually(is_gone)
                await true(lambda: not store.fails)
        assert [record.levelno for record in caplog.records if "tried again" in record.getMessage()] == [logging.ERROR]

    run(scenario)


@pytest.mark.parametrize("broken", ["links", "holders_among"])
@pytest.mark.parametrize("error", [RuntimeError("once"), StoreUnavailableError("once")], ids=["any error", "away"])
def test_what_could_not_be_read_is_read_again(sqlite_place: Place, broken: str, error: Exception) -> None:
    """A revocation is not missed because the reading that it called for failed."""

    async def scenario() -> None:
        store = SteeredStore(sqlite_place.url)
        async with (
            replica(sqlite_place.url, store, pace=Pace(retry=0.01)) as one,
            ConferenceStore(sqlite_place.url) as elsewhere,
        ):
            await elsewhere.create_link(link())
            await true(lambda: one.link(CALL) is not None)
            store.fails[broken] = error
            await elsewhere.revoke_link(CALL, NOW)
            await true(lambda: (found := one.link(CALL)) is not None and found.revoked_at is not None)
            assert not store.fails

    run(scenario)


def test_the_end_lets_go_of_the_store_whatever_happens(sqlite_place: Place) -> None:
    """An error while the last notes are written does not leave the database open."""

    async def scenario() -> None:
        store = SteeredStore(sqlite_place.url)
        one = Conferences(store, lambda: NOW, HOUR)
        await one.start()
        store.away.add("record")
        one.note(CALL, "last", {}, NOW)
        store.away.clear()
        store.fails["record"] = RuntimeError("nobody thought of this")
        with pytest.raises(RuntimeError, match="nobody thought of this"):
            await one.stop()
        with pytest.raises(StoreUnavailableError):
            await store.check()

    run(scenario)


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Keeps everybody else from writing."""
    if place.kind == "sqlite":
        with closing(sqlite3.connect(place.url.removeprefix("sqlite:///"), isolation_level=None)) as blocker:
            blocker.execute("BEGIN IMMEDIATE")
            yield
    else:
        with psycopg.connect(place.url) as blocking:
            blocking.execute("LOCK TABLE conferences IN ACCESS EXCLUSIVE MODE")
            yield
            blocking.rollback()


def test_an_answer_does_not_wait_for_a_database_that_hangs(place: Place) -> None:
    """The answer goes out, the wait is counted, and the hold is written as soon as the database moves again."""

    async def scenario() -> None:
        async with replica(place.url) as one:
            await one.hold(conference("before"))
            # On a busy machine that may have been late too.
            await true(lambda: one.waiting == 0)
            late = one.late
            loop = asyncio.get_running_loop()
            with locked(place):
                began = loop.time()
                held = await one.hold(conference())
                assert Pace().hold <= loop.time() - began < 10 * Pace().hold
                assert (one.late - late, one.waiting, one.live(CALL, NOW)) == (1, 1, held)
            await true(lambda: one.waiting == 0)
            assert await one.store.read(Reader.holder, CALL, NOW) == held

    run(scenario)


def test_an_answer_does_not_wait_for_a_database_that_is_full(sqlite_place: Place) -> None:
    """What a database refuses is kept, and written when there is room again."""

    async def scenario() -> None:
        async with replica(sqlite_place.url, pace=Pace(retry=0.01)) as one:
            await one.hold(conference("before"))
            # On a busy machine that may have been late too.
            await true(lambda: one.waiting == 0)
            late = one.late
            with closing(sqlite3.connect(sqlite_place.url.removeprefix("sqlite:///"))) as operator:
                refuse = "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
                operator.execute(f"CREATE TRIGGER is_full BEFORE INSERT ON conferences {refuse}")
                held = await one.hold(conference())
                one.note(CALL, "meanwhile", {}, NOW)
                assert (one.late - late, one.waiting, one.live(CALL, NOW)) == (1, 2, held)
                operator.execute("DROP TRIGGER is_full")
            await true(lambda: one.waiting == 0)
            assert await one.store.read(Reader.holder, CALL, NOW) == held
            assert one.dropped == 0

    run(scenario)


def test_nobody_waits_twice_for_one_room(sqlite_place: Place) -> None:
    """While the database is away, a room's first questions wait together, and later ones not at all."""
    pace = Pace(hold=0.02)

    async def scenario() -> None:
        store = SteeredStore(sqlite_place.url)
        store.away.add("record")
        async with replica(sqlite_place.url, store, pace=pace) as one:
            first = await one.hold(conference())
            pace.hold = 3600.0
            async with asyncio.timeout(PATIENCE):
                assert await one.hold(replace(conference(), id="another")) is first
                assert await one.agreed(first, first.rule) is first
            assert one.late == 3
            store.away.clear()

    run(scenario)


def test_nobody_waits_for_a_database_that_is_known_to_be_away(sqlite_place: Place) -> None:
    """The first new room waits for its hold, those after it do not, until the database has taken something again."""
    pace = Pace(hold=0.02, retry=0.01)

    async def scenario() -> None:
        store = SteeredStore(sqlite_place.url)
        store.away.add("record")
        async with replica(sqlite_place.url, store, pace=pace) as one:
            await one.hold(conference("first"))
            pace.hold = 3600.0
            async with asyncio.timeout(PATIENCE):
                for name in ("second", "third"):
                    await one.hold(conference(name))
            assert one.late == 3
            store.away.clear()
            await true(lambda: one.waiting == 0)
            held = await one.hold(conference("fourth"))
            assert (one.late, await one.store.read(Reader.holder, "fourth", NOW)) == (3, held)

    run(scenario)


def test_holds_that_wait_are_bounded(sqlite_place: Place) -> None:
    """While the database is away, rooms are remembered up to a limit, also when the first of them are over."""

    async def scenario() -> None:
        store = SteeredStore(sqlite_place.url)
        store.away.add("record")
        async with replica(sqlite_place.url, store, pace=Pace(hold=0.0, tidy=0.01), limits=Limits(rooms=2)) as one:
            for name in ("a", "b", "c"):
                answered = await one.hold(conference(name, held_at=NOW - HOUR, expires_at=NOW))
                assert answered.name == name
            assert one.unheld == 1
            await true(lambda: one.live_count == 0)
            await one.hold(conference("d"))
            assert (one.unheld, one.waiting) == (2, 2)
            store.away.clear()

    run(scenario)


def test_what_can_never_be_written_does_not_hold_up_the_rest(sqlite_place: Place) -> None:
    """A hold and notes that are no JSON are dropped and counted; the answer goes out, and later ones are written."""

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one:
            odd = conference("odd", service={"name": object()})
            assert await one.hold(odd) is odd
            one.note(CALL, "odd", {"value": object()}, NOW)
            await true(lambda: one.waiting == 0)
            assert one.dropped == 2
            held = await one.hold(conference())
            assert await one.store.read(Reader.holder, CALL, NOW) == held
            assert one.late == 0

    run(scenario)


def test_a_note_of_ours_hides_no_change_of_others(sqlite_place: Place) -> None:
    """When an end and then a note of this process are heard of as one change, the end counts."""

    async def scenario() -> None:
        store = SteeredStore(sqlite_place.url)
        store.heard = asyncio.Queue()
        async with replica(sqlite_place.url, store) as one, ConferenceStore(sqlite_place.url) as elsewhere:
            await one.hold(conference())
            await elsewhere.end(CALL, NOW)
            one.note(CALL, "goodbye", {}, NOW)
            await true(lambda: one.waiting == 0)
            await store.heard.put(Change(CALL, await elsewhere.read(Reader.change_number, (CALL,))))
            await true(lambda: one.live(CALL, NOW) is None)

    run(scenario)


def test_what_this_process_wrote_it_need_not_read(sqlite_place: Place) -> None:
    """Its own holds and notes, and no others, tell subscribers without a question to the database."""

    async def scenario() -> None:
        store = SteeredStore(sqlite_place.url)
        async with replica(sqlite_place.url, store) as one, ConferenceStore(sqlite_place.url) as elsewhere:
            store.fails["links"] = RuntimeError("it was asked")
            with one.subscribe(CALL) as subscription:
                await one.hold(conference())
                assert await subscription.wait(15)
                one.note(CALL, "hello", {}, NOW)
                assert await subscription.wait(15)
                assert store.fails
                await elsewhere.add_timeline([entry()])
                await true(lambda: not store.fails)

    run(scenario)


def test_an_old_reading_is_not_taken_for_news(sqlite_place: Place) -> None:
    """A room that ended while everything was being read does not come back by that reading."""

    async def scenario() -> None:
        async with ConferenceStore(sqlite_place.url) as elsewhere:
            await elsewhere.hold(conference())
            store = SteeredStore(sqlite_place.url)
            store.heard = asyncio.Queue()
            async with replica(sqlite_place.url, store) as one:
                await true(lambda: one.live(CALL, NOW) is not None)
                store.gates["live"] = asyncio.Event()
                await store.heard.put(LOOK_AGAIN)
                await true(lambda: store.is_held)
                await elsewhere.end(CALL, NOW)
                await elsewhere.create_link(link("next"))
                await store.heard.put(Change(CALL, 2))
                await store.heard.put(Change("next", 1))
                for _ in range(50):
                    # Time enough for a reading beside the one that is held up.
                    await elsewhere.check()
                store.gates.pop("live").set()
                await true(lambda: one.link("next") is not None and one.live(CALL, NOW) is None)
                assert one.live(CALL, NOW) is None

    run(scenario)


def test_a_room_that_ended_before_its_hold_was_confirmed(sqlite_place: Place) -> None:
    """When a hold was written but its reply was lost, and the room ended, the second reply says so."""

    async def scenario() -> None:
        store = SteeredStore(sqlite_place.url)
        store.loses_replies = True
        async with (
            replica(sqlite_place.url, store, pace=Pace(hold=0.02, retry=0.02)) as one,
            ConferenceStore(sqlite_place.url) as elsewhere,
        ):
            await one.hold(conference())
            assert await elsewhere.end(CALL, NOW)
            await elsewhere.create_link(link())
            await true(lambda: one.link(CALL) is not None)
            store.loses_replies = False
            await true(lambda: one.waiting == 0)
            assert one.live(CALL, NOW) is None

    run(scenario)

"""A replica knows links and rooms without asking the database, and writes when the database has time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from policy_server.conferences import live
from policy_server.conferences.live import Conferences
from policy_server.conferences.store import ConferenceStore
from tests.conferences.samples import HOUR, NOW, SECOND, SESSION, Place, conference, eventually, link

T = TypeVar("T")


@asynccontextmanager
async def replica(url: str) -> AsyncIterator[Conferences]:
    """A running replica at NOW."""
    conferences = Conferences(ConferenceStore(url, patience=1.0), lambda: NOW, 12 * HOUR)
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


def test_what_one_replica_pins_the_other_answers(place: Place) -> None:
    """A room pinned here is held there, by name and by session, and an end here ends it there."""

    async def scenario() -> None:
        async with replica(place.url) as one, replica(place.url) as other:
            pinned = await one.pin(conference())
            await true(lambda: other.live(SESSION, NOW) == pinned)
            assert other.live_of_session(SESSION, NOW) == pinned
            assert await other.pin(conference(id="another", rule="other")) == pinned
            await one.store.end(SESSION, NOW + SECOND)
            await true(lambda: other.live(SESSION, NOW) is None and one.live(SESSION, NOW) is None)

    run(scenario)


def test_one_winner_when_both_pin_at_once(place: Place) -> None:
    """Two replicas that pin one room at the same moment both answer with the same conference in the end."""

    async def scenario() -> None:
        async with replica(place.url) as one, replica(place.url) as other:
            await asyncio.gather(one.pin(conference(id="a")), other.pin(conference(id="b")))
            winner = await one.store.pinned(SESSION, NOW)
            await true(lambda: one.live(SESSION, NOW) == winner and other.live(SESSION, NOW) == winner)

    run(scenario)


def test_links_and_revocations_arrive(place: Place) -> None:
    """A link made or revoked elsewhere is known here, with its attributes, and each changes the version."""

    async def scenario() -> None:
        async with replica(place.url) as one, ConferenceStore(place.url) as elsewhere:
            await elsewhere.create_link(link())
            await true(lambda: one.link(SESSION) is not None)
            known, before = one.link(SESSION), one.version
            assert known is not None
            assert known.attributes == {"language": "es"}
            await elsewhere.revoke_link(SESSION, NOW)
            await true(lambda: (found := one.link(SESSION)) is not None and found.revoked_at is not None)
            assert one.version > before

    run(scenario)


def test_what_was_pinned_before_the_start_is_known(sqlite_place: Place) -> None:
    """A restart forgets neither rooms nor links, only what is over."""

    async def scenario() -> None:
        async with ConferenceStore(sqlite_place.url) as before:
            await before.pin(conference())
            await before.pin(conference("over", session="", expires_at=NOW - SECOND, pinned_at=NOW - HOUR))
            await before.create_link(link())
        async with replica(sqlite_place.url) as one:
            await true(lambda: one.live(SESSION, NOW) is not None and one.link(SESSION) is not None)
            assert one.live("over", NOW) is None

    run(scenario)


def test_a_room_expires(sqlite_place: Place) -> None:
    """A room is held until the moment at which it expires, whether or not anybody said that it ended."""

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one:
            pinned = await one.pin(conference())
            assert one.live(SESSION, pinned.expires_at - SECOND) == pinned
            assert one.live(SESSION, pinned.expires_at) is None
            again = conference(id="again", pinned_at=pinned.expires_at, expires_at=pinned.expires_at + HOUR)
            assert (await one.pin(again)).id == "again"

    run(scenario)


def test_an_answer_does_not_wait_for_a_database_that_is_away(tmp_path: Path) -> None:
    """The room is held here at once, the wait is counted, and the pin and notes are written when the database is back."""
    file = tmp_path / "blocked"
    file.write_text("not a folder")
    url = f"sqlite:///{file}/policy.db"

    async def scenario() -> None:
        async with replica(url) as one:
            pinned = await one.pin(conference())
            one.note(SESSION, "link.opened", {}, NOW)
            assert (pinned.id, one.live(SESSION, NOW), one.late) == (conference().id, pinned, 1)
            file.unlink()
            async with ConferenceStore(url) as store:

                async def written() -> bool:
                    return await store.pinned(SESSION, NOW) == pinned and len(await store.timeline(SESSION)) == 1

                await eventually(written)

    run(scenario)


def test_what_cannot_wait_is_dropped_and_counted(tmp_path: Path) -> None:
    """Beyond the limit notes are lost, and the loss is a number that somebody can see."""
    one = Conferences(ConferenceStore(f"sqlite:///{tmp_path}/policy.db"), lambda: NOW, HOUR)
    for number in range(live.WAITING_LIMIT + 3):
        one.note(SESSION, "question", {"number": number}, NOW)
    one.note("", "question", {}, NOW)
    assert one.dropped == 3


def test_subscribers_are_told(place: Place) -> None:
    """Whoever subscribes to a session or room hears of its changes, and of no other's; leaving frees everything."""

    async def scenario() -> None:
        async with replica(place.url) as one, replica(place.url) as other:
            await true(lambda: one.version > 0)
            with one.subscribe(SESSION) as mine, one.subscribe("somebody-else") as others:
                while await mine.wait(0.05) or await others.wait(0.05):
                    pass
                await other.pin(replace(conference(), id="new"))
                assert await mine.wait(15)
                assert not await others.wait(0)
            assert not one._subscriptions

    run(scenario)

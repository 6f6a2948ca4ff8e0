"""What ``purge`` deletes and what it keeps, on SQLite and on PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest

from policy_server.conferences.reader import Reader
from policy_server.conferences.records import LOOK_AGAIN, Change
from policy_server.conferences.store import ConferenceStore
from tests.conferences.samples import CALL, DAY, HOUR, NOW, SECOND, Place, conference, entry, link, stored_event
from tests.waiting import PATIENCE


def seconds(delta: timedelta) -> float:
    """An event's time so long after NOW."""
    return (NOW + delta).timestamp()


async def _call(store: ConferenceStore, call: str, start: timedelta, end: timedelta | None) -> None:
    """A call of one call, with one record of each kind a minute apart; without an end it is left to expire."""
    at = NOW + start
    await store.create_link(link(call, created_at=at, expires_at=at + 4 * HOUR))
    await store.hold(conference(call, held_at=at, expires_at=at + 12 * HOUR))
    await store.add_events([stored_event(1, room=call, arrived_at=at + 60 * SECOND, node=call)])
    await store.add_timeline([entry(key=call, at=at - SECOND), entry(key=call, at=at + SECOND)])
    if end is not None:
        await store.end(call, NOW + end)


async def _left(store: ConferenceStore, call: str) -> tuple[bool, bool, int, int]:
    return (
        await store.link(call) is not None,
        await store.read(Reader.conference_of_call, call) is not None,
        len(await store.read(Reader.events, call, NOW - 100 * DAY)),
        len(await store.read(Reader.timeline, call)),
    )


@pytest.mark.parametrize(
    ("start", "end", "is_kept"),
    [
        (-40 * DAY, -40 * DAY + HOUR, False),
        (-40 * DAY, None, False),
        (-6 * HOUR, SECOND, True),
        (-6 * HOUR, None, True),
        (-11 * HOUR, -10 * HOUR, False),
        (-12 * HOUR - SECOND, None, False),
        (HOUR, 2 * HOUR, True),
    ],
    ids=[
        "long over",
        "long expired",
        "over since",
        "not over",
        "just over, not expired",
        "just expired",
        "begun since",
    ],
)
def test_a_conference_stays_or_goes_as_a_whole(
    place: Place, start: timedelta, end: timedelta | None, is_kept: bool
) -> None:
    """A conference that was over before the time goes with its link, events and timeline; any other keeps them all."""

    async def scenario(store: ConferenceStore) -> tuple[bool, bool, int, int]:
        await _call(store, CALL, start, end)
        deleted = await store.purge(NOW)
        assert (deleted == 0) is is_kept
        assert await store.purge(NOW) == 0
        return await _left(store, CALL)

    assert place.run(scenario) == ((True, True, 1, 2) if is_kept else (False, False, 0, 0))


def test_a_room_with_one_name_for_all_loses_its_old_lives_only(place: Place) -> None:
    """Events and timeline of an earlier conference go although the room is in use again."""

    async def scenario(store: ConferenceStore) -> None:
        for number, at in enumerate((NOW - 40 * DAY, NOW - HOUR)):
            room = conference("desk", id=str(number), call="", held_at=at, expires_at=at + 2 * HOUR)
            assert await store.hold(room) == room
            await store.add_events([stored_event(number, room="desk", arrived_at=at + SECOND)])
            await store.add_timeline([entry(str(number), key="desk", at=at + SECOND)])
        await store.purge(NOW)
        assert [told.seq for told in await store.read(Reader.events, "desk", NOW - 50 * DAY)] == [1]
        assert [entry.kind for entry in await store.read(Reader.timeline, "desk")] == ["1"]
        assert await store.read(Reader.holder, "desk", NOW) is not None

    place.run(scenario)


def test_what_belongs_to_no_conference_goes_by_its_own_time(place: Place) -> None:
    """Links never used, events without a conference and timelines of nobody are deleted once they are old."""

    async def scenario(store: ConferenceStore) -> None:
        await store.create_link(link("a" * 32, expires_at=NOW - SECOND))
        await store.create_link(link("b" * 32, expires_at=NOW))
        await store.add_timeline([entry(key="a" * 32, at=NOW - DAY), entry(key="b" * 32, at=NOW - DAY)])
        await store.add_events(
            [stored_event(seq, room="", arrived_at=NOW + at) for seq, at in enumerate((-SECOND, SECOND))]
        )
        await store.add_timeline([entry(key="x", at=NOW - SECOND), entry(key="x", at=NOW)])
        assert await store.purge(NOW) == 4
        assert await _left(store, "a" * 32) == (False, False, 0, 0)
        assert await _left(store, "b" * 32) == (True, False, 0, 1)
        assert [told.seq for told in await store.read(Reader.events, "", NOW - DAY)] == [1]
        assert [entry.at for entry in await store.read(Reader.timeline, "x")] == [NOW]

    place.run(scenario)


def test_a_moved_link_stays_as_long_as_the_one_that_took_its_place(place: Place) -> None:
    """Its page leads on until the appointment is over; then both go."""

    async def scenario(store: ConferenceStore) -> None:
        old = link(CALL, created_at=NOW - 40 * DAY, expires_at=NOW - 30 * DAY)
        new = link("b" * 32, created_at=NOW - 31 * DAY, expires_at=NOW + DAY)
        await store.create_link(old)
        await store.move_link(CALL, new, NOW - 31 * DAY)
        await store.purge(NOW)
        assert [each is not None for each in (await store.link(CALL), await store.link(new.call))] == [True, True]
        await store.purge(NOW + 2 * DAY)
        await store.purge(NOW + 2 * DAY)
        assert [await store.link(CALL), await store.link(new.call)] == [None, None]

    place.run(scenario)


def test_many_rows_go_in_small_batches(place: Place) -> None:
    """Rows are deleted however many they are, and other writes come in between."""
    old = [stored_event(seq, room="", arrived_at=NOW - DAY) for seq in range(950)]

    async def scenario(store: ConferenceStore) -> None:
        await store.add_events(old)
        purging = asyncio.create_task(store.purge(NOW, batch=10))
        await store.hold(conference())
        assert not purging.done()
        assert await purging == 950

    place.run(scenario)


def test_a_listener_hears_of_changes_after_everything_was_purged(place: Place) -> None:
    """Purging does not make a listener deaf, even when nothing at all is left."""

    async def scenario(store: ConferenceStore) -> None:
        old = NOW - DAY
        changes = store.changes()
        assert await anext(changes) == LOOK_AGAIN
        for key in ("one", "two"):
            await store.add_timeline([entry(key=key, at=old)])
            assert await anext(changes) == Change(key, 1)
        await store.purge(NOW)
        async with asyncio.timeout(PATIENCE):
            for number in (1, 2):
                await store.add_timeline([entry(str(number), key="three", at=old)])
                assert await anext(changes) == Change("three", number)
        await changes.aclose()

    place.run(scenario)


def test_space_that_was_freed_is_used_again(sqlite_place: Place) -> None:
    """With as many calls a day as are forgotten, the file grows no more, and changes that are over are forgotten too."""
    pages: list[int] = []

    async def count(store: ConferenceStore, statement: str) -> int:
        ((found,),) = await store._database.read(lambda connection: connection.execute(statement))
        return int(found)

    async def scenario(store: ConferenceStore) -> int:
        for day in range(-8, 0):
            at = day * DAY
            await asyncio.gather(*(_call(store, f"{day}-{number}", at, at + HOUR) for number in range(40)))
            await store.purge(NOW + at - DAY)
            await store.forget_secrets(NOW + at)
            pages.append(await count(store, "PRAGMA page_count"))
        return await count(store, "SELECT count(*) FROM changes")

    assert sqlite_place.run(scenario) == 2 * 40
    assert pages[-1] <= pages[3] * 1.05

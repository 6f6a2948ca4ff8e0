"""What is kept of calls that run is at each moment what the store says."""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.conferences import changes, running
from policy_server.conferences.live import Conferences
from policy_server.conferences.pace import Pace
from policy_server.conferences.reader import BEGINNING, CallSource, Reader
from policy_server.conferences.records import HeldConference
from policy_server.conferences.running import NotKept, RunningCalls
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.timeline import TimelineEvents
from policy_server.pexip.events import Event
from tests.conferences.event_histories import BEGIN, ROOM, History, delivered, histories, state_of
from tests.conferences.samples import CALL, NOW, SECOND, Place, conference, entry, eventually, link, stored_event
from tests.conferences.test_live import SteeredStore, replica, true

BEGUN = datetime.fromtimestamp(BEGIN, UTC) - SECOND
HELD = conference(ROOM, held_at=BEGUN, expires_at=BEGUN + timedelta(days=400))
NAMED = replace(HELD, call=ROOM[1:])
"""A conference in a room that has more in its name than its call."""
OWN = conference()
"""The conference in the room of the call of the samples."""


def everything(source: CallSource, held: HeldConference = OWN) -> tuple[object, ...]:
    """All that can be asked about a call in its own room."""
    call, room = held.call, held.name
    numbers = [source.change_number((key,)) for key in (call, room)]
    told, of_conference = source.told(room, BEGINNING), source.told_of(held).since(held.held_at)
    return (
        *(numbers, source.link(call), list(source.joining(call)), source.conference_of_call(call)),
        *(list(source.timeline(key)) for key in (call, room)),
        *(state_of(told), TimelineEvents().of(told), told.arrived_at, state_of(of_conference)),
    )


async def look(conferences: Conferences, held: HeldConference = OWN) -> tuple[object, ...]:
    """Reads a call, which is kept from then on."""
    with conferences.running.reading() as reading:
        return await conferences.store.read(lambda reader: everything(reading.of(reader), held))


def is_kept(calls: RunningCalls, held: HeldConference = OWN) -> bool:
    """Whether nothing has to be read to know all of a call."""
    try:
        everything(calls, held)
    except NotKept:
        return False
    return True


async def agree(conferences: Conferences, held: HeldConference) -> bool:
    """Whether what is kept, if anything is, is what the store says."""
    said = await conferences.store.read(lambda reader: everything(reader, held))
    holder = await conferences.store.read(Reader.holder, held.name, held.held_at)
    with suppress(NotKept):
        if conferences.running.holder(held.name, held.held_at) != holder:
            return False
    return not is_kept(conferences.running, held) or everything(conferences.running, held) == said


# ------------------------------------------------------------------ whatever happens


@dataclass(frozen=True)
class Step:
    """Something that is written about a call; that a link is revoked even its own process hears a moment later."""

    write: Callable[[ConferenceStore], Awaitable[object]]
    is_heard_later: bool = False


def steps(held: HeldConference, events: Sequence[Event], order: random.Random) -> list[Step]:
    """What is written about a call: its link first, then its messages and all else in any order."""
    call, room = held.call, held.name
    found: list[Step] = []
    rest = list(events)
    while rest:
        some, rest = rest[: (size := order.randint(1, 3))], rest[size:]
        found.append(Step(methodcaller("add_events", some)))
    noted = [
        entry(key=key, at=BEGUN + order.randint(0, 9) * SECOND, data={"text": str(number)})
        for number, key in enumerate((call, call, room, room, call, call, call))
    ]
    page = noted[4:]
    found += [Step(methodcaller("add_timeline", [note])) for note in (*noted[:4], noted[0])]
    found += [Step(methodcaller("record", [], [page])), Step(methodcaller("record", [], [noted[2:3], page]))]
    by_another_door = replace(held, doors={**held.doors, "desk": held.doors["patient"]}, rule="desk")
    found += [Step(methodcaller("hold", held)), Step(methodcaller("record", [by_another_door], [noted[1:2]]))]
    found += [Step(methodcaller("revoke_link", call, BEGUN), True), Step(methodcaller("end", room, NOW))]
    found += [Step(methodcaller("create_link", link(f"b{CALL[1:]}", joins=call)))]
    order.shuffle(found)
    return [Step(methodcaller("create_link", link(call))), *found]


@settings(max_examples=25, deadline=None)
@given(histories(), st.sampled_from((HELD, NAMED)), st.booleans(), st.randoms(use_true_random=False))
def test_what_is_kept_is_what_the_store_says(
    history: History, held: HeldConference, is_read: bool, order: random.Random
) -> None:
    """Whatever this replica and another one write about a call, in any order, all that is kept of it equals what the store
    says: at once after a change of its own, also when it has not heard yet of another's, and else as soon as it hears.
    """

    async def scenario(url: str) -> None:
        async with replica(url) as one, ConferenceStore(url) as other:
            unheard: set[str] = set()
            for step in steps(held, delivered(history.events, order), order):
                if is_read and not is_kept(one.running, held):
                    await look(one, held)
                is_own = order.random() < 0.7
                before = await _numbers(other, held)
                await step.write(one.store if is_own else other)
                # What changes nothing has no number, and so cannot show that another's write is missing.
                changed = {key for key, number in (await _numbers(other, held)).items() if number > before.get(key, 0)}
                is_heard = is_own and not step.is_heard_later
                unheard = unheard - changed if is_heard else unheard | changed
                if not unheard:
                    assert await agree(one, held)
                elif order.random() < 0.5:
                    await eventually(lambda: agree(one, held))
                    unheard.clear()
            await eventually(lambda: agree(one, held))

    with tempfile.TemporaryDirectory() as folder, patch.object(changes, "POLL_SECONDS", 0.002):
        asyncio.run(scenario(f"sqlite:///{folder}/policy.db"))


async def _numbers(store: ConferenceStore, held: HeldConference) -> dict[str, int]:
    return await store.read(Reader.change_numbers, (held.call, held.name))


def test_a_copy_with_a_lower_number_may_change_the_order(sqlite_place: Place) -> None:
    """Of what nodes say at one moment the last by its number counts, and the lowest number that any sink gave it."""

    def named(seq: int, name: str) -> Event:
        return stored_event(seq, data={"uuid": "ada", "display_name": name})

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one:
            await one.store.add_events([named(5, "Ada"), named(7, "Ada L")])
            await look(one)
            await one.store.add_events([named(3, "Ada L")])
            (ada,) = one.running.told(CALL, BEGINNING).people
            assert ada.whole.display_name == "Ada"
            assert await agree(one, OWN)

    asyncio.run(scenario())


# ------------------------------------------------------------------ when the database is read


def test_a_call_is_read_once(sqlite_place: Place) -> None:
    """Whoever looks at a call again, after whatever this process wrote about it, asks no database."""

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one:
            await one.store.create_link(link())
            await one.hold(OWN)
            await true(lambda: one.waiting == 0)
            await look(one)
            await one.store.add_events([stored_event(1), stored_event(2)])
            await one.store.record([OWN], [[entry(), entry("other")]])
            assert len(one.running.timeline(CALL)) == 2
            assert len(one.running.told(CALL, BEGINNING).events) == 2
            assert one.running.conference_of_call(CALL) == OWN
            await one.store.end(CALL, NOW)
            assert one.running.conference_of_call(CALL) == replace(OWN, ended_at=NOW, doors={})
            assert one.running.holder(CALL, NOW) is None
            await one.store.hold(replace(OWN, id="2"))
            # Of a call that is held again it is not known which is its latest conference, which alone is read again.
            assert len(one.running.timeline(CALL)) == 2
            with pytest.raises(NotKept):
                one.running.conference_of_call(CALL)

    asyncio.run(scenario())


@pytest.mark.parametrize("held", [OWN, replace(OWN, name=f"Advice {CALL}")], ids=["call", "name with a call"])
def test_a_call_whose_link_was_made_here_is_never_read(sqlite_place: Place, held: HeldConference) -> None:
    """All that is written about it is known from the first change on; of another's link nothing is before it is read."""

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one, ConferenceStore(sqlite_place.url) as other:
            await one.store.create_link(link())
            await one.store.record([], [[entry()]])
            one.learn(link())
            await one.hold(held)
            await true(lambda: one.waiting == 0)
            await one.store.add_events([stored_event(1, held.name), stored_event(2, held.name)])
            assert is_kept(one.running, held)
            assert await agree(one, held)
            await other.create_link(link(f"b{CALL[1:]}"))
            await one.store.record([], [[entry(key=f"b{CALL[1:]}")]])
            assert not is_kept(one.running, conference(f"b{CALL[1:]}"))

    asyncio.run(scenario())


def test_what_changes_while_it_is_read_is_not_kept(sqlite_place: Place) -> None:
    """A reading from before a write is not taken for the call as it is after that."""

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one:
            with one.running.reading() as reading:
                await one.store.read(lambda reader: everything(reading.of(reader)))
                await one.store.add_events([stored_event(1)])
            assert not is_kept(one.running)
            await look(one)
            assert is_kept(one.running)

    asyncio.run(scenario())


def test_a_call_that_is_too_large_is_not_kept(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long to work out stays a matter of threads."""
    monkeypatch.setattr(running, "ROWS_OF_CALL", 4)

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one:
            await one.store.add_events([stored_event(number) for number in (1, 2)])
            await look(one)
            assert is_kept(one.running)
            await one.store.add_events([stored_event(number) for number in (3, 4, 5)])
            assert not is_kept(one.running)
            await look(one)
            assert not is_kept(one.running)

    asyncio.run(scenario())


def test_what_was_asked_for_longest_ago_goes_first(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all calls together no more is kept than there is room for."""
    monkeypatch.setattr(running, "ROWS", 3)
    first, second, third = (conference(f"{letter}{CALL[1:]}") for letter in "bcd")

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one:
            for held in (first, second, third):
                await look(one, held)
            everything(one.running, first)
            fourth = conference(f"e{CALL[1:]}")
            await look(one, fourth)
            assert [is_kept(one.running, held) for held in (first, second, third, fourth)] == [True, False, True, True]

    asyncio.run(scenario())


def test_of_calls_that_are_over_few_are_kept(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What neither runs nor is watched goes before what does, however long ago that was asked for."""
    monkeypatch.setattr(running, "QUIET_ROWS", 2)
    held, watched, *over = (conference(f"{letter}{CALL[1:]}") for letter in "bcdef")

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one:
            await one.hold(held)
            with one.subscribe(watched.call):
                for each in (*over, held, watched, *over):
                    await look(one, each)
                assert [is_kept(one.running, each) for each in (held, watched)] == [True, True]
            await look(one, conference(f"g{CALL[1:]}"))
            assert len([each for each in (*over, watched) if is_kept(one.running, each)]) <= 2

    asyncio.run(scenario())


def test_what_is_watched_no_more_does_not_pile_up(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that was watched at its last change is one of the few once nobody watches it, although it does not change then."""
    monkeypatch.setattr(running, "QUIET_ROWS", 2)
    all_of_them = [conference(f"{letter}{CALL[1:]}") for letter in "bcdefghijklm"]

    async def scenario() -> None:
        async with replica(sqlite_place.url) as one:
            for each in all_of_them:
                with one.subscribe(each.call):
                    await look(one, each)
                    assert is_kept(one.running, each)
            assert len([each for each in all_of_them if is_kept(one.running, each)]) <= 4

    asyncio.run(scenario())


def test_a_lost_notice_is_made_up_for(sqlite_place: Place) -> None:
    """What another replica wrote is found after a while although no notice of it came, if somebody waits for it."""

    async def scenario() -> None:
        store = SteeredStore(sqlite_place.url)
        store.heard = asyncio.Queue()
        pace = Pace(check=0.02)
        async with replica(sqlite_place.url, store, pace=pace) as one, ConferenceStore(sqlite_place.url) as other:
            with one.subscribe(CALL) as subscription:
                await subscription.wait(0.1)
                await look(one)
                await other.add_events([stored_event(1)])
                assert await subscription.wait(15)
                assert not is_kept(one.running)

    asyncio.run(scenario())

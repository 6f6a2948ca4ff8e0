"""Deliveries that arrive while another is written share the next transaction, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.event_groups import EVENTS_AT_ONCE, EventGroups, Written
from policy_server.conferences.records import Added
from policy_server.pexip.events import Event
from tests.conferences.samples import stored_event


class Disk:
    """Takes one group after the other, each when the test says so."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.stored: dict[str, Event] = {}
        self.turn = asyncio.Event()
        self.away = False

    async def write(self, events: Mapping[str, Event]) -> Written:
        """Stores a group."""
        self.groups.append(list(events))
        await self.turn.wait()
        self.turn.clear()
        if self.away:
            raise StoreUnavailableError("the disk is away")
        if "odd" in events:
            raise TypeError("this is no JSON")
        new = events.keys() - self.stored.keys()
        self.stored |= events
        rooms = sorted({events[name].room for name in new})
        return Written(set(new), {room: len(self.groups) for room in rooms})


def delivery(*names: str, seq: int = 1, room: str = "visit") -> dict[str, Event]:
    """Messages by their identity."""
    return {name: stored_event(seq, room=room) for name in names}


def play(scenario: Callable[[Disk, EventGroups], Awaitable[None]]) -> None:
    """Runs a scenario."""

    async def run() -> None:
        disk = Disk()
        await scenario(disk, EventGroups(disk.write))

    asyncio.run(asyncio.wait_for(run(), 10))


async def begun(*work: Awaitable[Added]) -> list[asyncio.Future[Added]]:
    """Deliveries that have been handed in."""
    tasks: list[asyncio.Future[Added]] = []
    for each in work:
        tasks.append(asyncio.ensure_future(each))
        await turns()
    return tasks


async def turns() -> None:
    """Time for everybody to go as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_arrives_meanwhile_is_written_together() -> None:
    """Three deliveries behind one are one transaction in one order; each message is new to one caller alone."""

    async def scenario(disk: Disk, groups: EventGroups) -> None:
        tasks = await begun(
            groups.add(delivery("a")),
            groups.add(delivery("d", "c", seq=7)),
            groups.add(delivery("b", "c", seq=3)),
            groups.add(delivery("a")),
        )
        assert not any(task.done() for task in tasks)
        disk.turn.set()
        assert len((await tasks[0]).new) == 1
        assert not tasks[1].done()
        await turns()
        disk.turn.set()
        assert [len((await task).new) for task in tasks[1:]] == [2, 1, 0]
        assert disk.groups == [["a"], ["a", "b", "c", "d"]]
        assert disk.stored["c"].seq == 3

    play(scenario)


def test_each_hears_of_the_changes_of_its_rooms() -> None:
    """The numbers of a transaction's changes come to whoever told of that room, also of a message that another had first."""

    async def scenario(disk: Disk, groups: EventGroups) -> None:
        tasks = await begun(
            groups.add(delivery("a")),
            groups.add(delivery("b", room="desk")),
            groups.add(delivery("b", room="desk")),
            groups.add(delivery("c", room="ward")),
        )
        while not all(task.done() for task in tasks):
            disk.turn.set()
            await turns()
        numbers = [task.result().numbers for task in tasks]
        assert numbers == [{"visit": 1}, {"desk": 2}, {"desk": 2}, {"ward": 2}]

    play(scenario)


def test_what_cannot_be_written_costs_no_other() -> None:
    """Of a group that fails each delivery is tried alone, and only its own caller hears what is wrong with it."""

    async def scenario(disk: Disk, groups: EventGroups) -> None:
        tasks = await begun(groups.add(delivery("a")), groups.add(delivery("odd")), groups.add(delivery("b")))
        while not all(task.done() for task in tasks):
            disk.turn.set()
            await turns()
        assert [len(tasks[place].result().new) for place in (0, 2)] == [1, 1]
        with pytest.raises(TypeError, match="no JSON"):
            tasks[1].result()
        assert disk.groups == [["a"], ["b", "odd"], ["odd"], ["b"]]

    play(scenario)


def test_a_disk_that_is_away_fails_all_who_wait() -> None:
    """Nobody waits for one try after the other, and the next delivery is tried again."""

    async def scenario(disk: Disk, groups: EventGroups) -> None:
        tasks = await begun(groups.add(delivery("a")), groups.add(delivery("b")))
        disk.away = True
        disk.turn.set()
        for task in tasks:
            with pytest.raises(StoreUnavailableError):
                await task
        assert disk.groups == [["a"]]
        disk.away = False
        disk.turn.set()
        assert len((await groups.add(delivery("b"))).new) == 1

    play(scenario)


def test_who_goes_away_takes_nothing_back() -> None:
    """The messages of a sink that hangs up are stored, and those beside them."""

    async def scenario(disk: Disk, groups: EventGroups) -> None:
        first, gone, other = await begun(
            groups.add(delivery("a")), groups.add(delivery("b")), groups.add(delivery("c"))
        )
        gone.cancel()
        disk.turn.set()
        await first
        await turns()
        disk.turn.set()
        assert len((await other).new) == 1
        assert disk.stored.keys() == {"a", "b", "c"}

    play(scenario)


def test_a_group_has_an_end() -> None:
    """A hold waits for one transaction at the most, so none has more than so many messages."""

    async def scenario(disk: Disk, groups: EventGroups) -> None:
        half = [f"{number}" for number in range(EVENTS_AT_ONCE // 2)]
        tasks = await begun(*(groups.add(delivery(*(f"{place}-{name}" for name in half))) for place in range(4)))
        while not all(task.done() for task in tasks):
            disk.turn.set()
            await turns()
        assert [len(group) for group in disk.groups] == [EVENTS_AT_ONCE // 2, EVENTS_AT_ONCE, EVENTS_AT_ONCE // 2]

    play(scenario)

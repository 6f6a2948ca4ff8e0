"""Writes that arrive while another is on its way share the next transaction, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

import pytest
import uvloop

from policy_server.conferences.errors import StoreRefusalError, StoreUnavailableError
from policy_server.conferences.groups import HASTE, ROWS_AT_ONCE, Groups
from policy_server.conferences.threads import Done


class Parcel(NamedTuple):
    """Something to write."""

    name: str
    size: int
    linger: float


class Disk:
    """Takes one group after the other, each when the test says so."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.groups: list[list[str]] = []
        self.error: Exception | None = None
        self.writes = Groups[Parcel, str](self._begin, self._give, self._board)
        self.passenger: str = ""
        self.has_begun = asyncio.Event()
        self.aboard: asyncio.Future[str]
        self._done: Done | None = None

    def add(self, *names: str, size: int = 1, linger: float = 600.0) -> list[asyncio.Future[str]]:
        """Hands in parcels; those with an exclamation mark are urgent."""
        parcels = (Parcel(name, size, 0.0 if name.endswith("!") else linger) for name in names)
        return [self.writes.add(parcel) for parcel in parcels]

    def turn(self) -> None:
        """Ends the transaction that is on its way."""
        assert self._done is not None
        done, self._done = self._done, None
        group = self.groups[-1]
        if self.error is not None:
            done(None, self.error)
        elif "odd" in group:
            done(None, TypeError("this is no JSON"))
        elif "refused" in group:
            done(None, StoreRefusalError("the database does not take this"))
        else:
            self.written += group
            done([name.upper() for name in group], None)

    def empty(self) -> None:
        """Ends one transaction after the other until nothing waits."""
        while self._done is not None:
            self.turn()

    def _board(self) -> tuple[Parcel, asyncio.Future[str]] | None:
        name, self.passenger = self.passenger, ""
        if not name:
            return None
        self.aboard = asyncio.get_running_loop().create_future()
        return Parcel(name, 1, 0.0), self.aboard

    def _begin(self, group: Sequence[Parcel], done: Done) -> None:
        assert self._done is None, "one transaction at a time"
        self.groups.append([parcel.name for parcel in group])
        self._done = done
        self.has_begun.set()

    def _give(self, answer: asyncio.Future[str], written: str | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is None and written is not None:
            answer.set_result(written)
        elif error is not None:
            answer.set_exception(error)


def play(
    scenario: Callable[[Disk], Awaitable[None]],
    runner: Callable[[], asyncio.Runner] = asyncio.Runner,
    *,
    lingers: bool = False,
) -> None:
    """Runs a scenario; unless it ``lingers``, what comes to an idle disk is written at once."""

    async def run() -> None:
        disk = Disk()
        if not lingers:
            disk.writes.hurry()
        await scenario(disk)

    with runner() as loop:
        loop.run(asyncio.wait_for(run(), 10))


def test_what_arrives_meanwhile_is_written_together() -> None:
    """Three writes behind one are one transaction, and each caller hears of its own when that is on disk."""

    async def scenario(disk: Disk) -> None:
        first, *others = disk.add("a", "b", "c", "d")
        assert disk.groups == [["a"]]
        assert not first.done()
        disk.turn()
        assert await first == "A"
        assert not any(other.done() for other in others)
        disk.turn()
        assert [await other for other in others] == ["B", "C", "D"]
        assert disk.groups == [["a"], ["b", "c", "d"]]

    play(scenario)


@pytest.mark.parametrize(("name", "error"), [("odd", TypeError), ("refused", StoreRefusalError)])
def test_what_cannot_be_written_costs_no_other(name: str, error: type[Exception]) -> None:
    """Of a group that fails each is tried alone, and only its own caller hears what is wrong with it."""

    async def scenario(disk: Disk) -> None:
        answers = disk.add("a", "b", name, "c")
        disk.empty()
        assert [await answers[place] for place in (0, 1, 3)] == ["A", "B", "C"]
        with pytest.raises(error):
            await answers[2]
        assert disk.groups == [["a"], ["b", name, "c"], ["b"], [name], ["c"]]

    play(scenario)


def test_a_disk_that_is_away_fails_all_who_wait() -> None:
    """Nobody waits for one try after the other, and what comes next is tried again."""

    async def scenario(disk: Disk) -> None:
        answers = disk.add("a", "b", "c!")
        disk.error = StoreUnavailableError("the disk is away")
        disk.turn()
        for answer in answers:
            with pytest.raises(StoreUnavailableError):
                await answer
        disk.error = None
        (again,) = disk.add("b")
        disk.turn()
        assert await again == "B"
        assert disk.groups == [["a"], ["b"]]

    play(scenario)


def test_who_goes_away_takes_nothing_back() -> None:
    """What a caller who hangs up has handed in is written, and so is what others have."""

    async def scenario(disk: Disk) -> None:
        _, gone, other = disk.add("a", "b", "c")
        gone.cancel()
        disk.empty()
        assert await other == "C"
        assert disk.written == ["a", "b", "c"]

    play(scenario)


def test_what_failed_before_its_turn_is_not_written() -> None:
    """Whoever was told that it failed hands it in again, so it need not keep others waiting."""

    async def scenario(disk: Disk) -> None:
        _, late, other = disk.add("a", "b", "c")
        late.set_exception(StoreUnavailableError("it took too long"))
        disk.empty()
        assert await other == "C"
        assert disk.written == ["a", "c"]
        with pytest.raises(StoreUnavailableError):
            await late

    play(scenario)


def test_a_call_goes_first_and_a_group_has_an_end() -> None:
    """What is urgent waits for one transaction at the most, and none has more than so many rows."""

    async def scenario(disk: Disk) -> None:
        answers = disk.add("a", "b", "c", size=ROWS_AT_ONCE // 2) + disk.add("d!")
        disk.empty()
        assert [await answer for answer in answers] == ["A", "B", "C", "D!"]
        assert disk.groups == [["a"], ["d!", "b"], ["c"]]

    play(scenario)


def test_what_may_wait_goes_with_what_may_not() -> None:
    """A write that may linger costs no transaction of its own when another comes in time."""

    async def scenario(disk: Disk) -> None:
        patient = disk.add("a", "b")
        assert disk.groups == []
        urgent = disk.add("c!")
        disk.turn()
        assert [await answer for answer in (*patient, *urgent)] == ["A", "B", "C!"]
        assert disk.groups == [["c!", "a", "b"]]

    play(scenario, lingers=True)


@pytest.mark.parametrize("runner", [asyncio.Runner, partial(asyncio.Runner, loop_factory=uvloop.new_event_loop)])
def test_nothing_waits_for_others_for_ever(runner: Callable[[], asyncio.Runner]) -> None:
    """A write to which nothing comes is made when it has lingered, whatever else may wait longer, and all go at the end."""

    async def scenario(disk: Disk) -> None:
        late, soon, sooner = disk.add("a") + disk.add("b", linger=0.03) + disk.add("c", linger=0.02)
        await disk.has_begun.wait()
        disk.turn()
        assert [await late, await soon, await sooner] == ["A", "B", "C"]
        (last,) = disk.add("d")
        assert len(disk.groups) == 1
        disk.writes.hurry()
        disk.turn()
        assert await last == "D"

    play(scenario, runner, lingers=True)


def test_a_passenger_goes_with_whatever_goes() -> None:
    """Who boards goes with the next group, alone if there is none in time, and spoils none that follows."""

    async def scenario(disk: Disk) -> None:
        disk.passenger = "p"
        disk.writes.board_within(600.0)
        (first,) = disk.add("a!")
        disk.turn()
        assert (await first, await disk.aboard) == ("A!", "P")
        disk.passenger = "odd"
        disk.writes.board_within(600.0)
        (second,) = disk.add("b!")
        disk.empty()
        assert await second == "B!"
        with pytest.raises(TypeError):
            await disk.aboard
        disk.passenger = "q"
        disk.has_begun.clear()
        disk.writes.board_within(0.005)
        await disk.has_begun.wait()
        disk.turn()
        assert await disk.aboard == "Q"
        assert disk.groups == [["a!", "p"], ["b!", "odd"], ["b!"], ["odd"], ["q"]]

    play(scenario, lingers=True)


class StandingClock(asyncio.SelectorEventLoop):
    """An event loop whose time passes when the test says so."""

    now = 0.0

    def time(self) -> float:
        """Seconds."""
        return self.now


def test_where_nobody_comes_nobody_waits_long() -> None:
    """Nodes that send a message after the other wait less for others each time; where others come it is waited again."""
    longest = HASTE + 0.01
    loop = StandingClock()

    async def waited(disk: Disk, *others_after: float) -> float:
        """Seconds until a group was written, to which others came so many seconds after the first."""
        began, groups, others = loop.now, len(disk.groups), list(others_after)
        answers = disk.add("a", linger=longest)
        while len(disk.groups) == groups:
            while others and loop.now - began >= others[0]:
                answers += disk.add(f"b{others.pop(0)}", linger=longest)
            loop.now += 0.0005
            await asyncio.sleep(0)
        disk.turn()
        await asyncio.gather(*answers)
        return round(loop.now - began, 6)

    async def scenario(disk: Disk) -> None:
        for together in ((), (0.0, 0.001)):
            in_vain = [await waited(disk, *together) for _ in range(40)]
            assert in_vain == sorted(in_vain, reverse=True)
            assert (in_vain[0], in_vain[-1]) == pytest.approx((longest, longest - HASTE), abs=0.0015)
            worth_it = [await waited(disk, *(number * 0.002 for number in range(1, 20))) for _ in range(12)]
            assert worth_it[-1] == pytest.approx(longest, abs=0.0015)

    play(scenario, lambda: asyncio.Runner(loop_factory=lambda: loop), lingers=True)

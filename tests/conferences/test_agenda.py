"""The agenda carries out what is due, and leaves to others what it cannot."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from policy_server.conferences.agenda import CLOCKS, Agenda, Done, Later, Remember, Result
from policy_server.conferences.due import DueAction
from policy_server.conferences.store import ConferenceStore
from tests.conferences.samples import CALL, HOUR, NOW, SECOND, Place, due_of, eventually
from tests.waiting import PATIENCE

LOOK = "look"


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """What it shows."""
        return self.now


@dataclass
class Recorder:
    """Writes down what it is to carry out, and answers what it was told to."""

    answer: Callable[[DueAction], Result] = lambda _: Done("ok")
    seconds: float = 5.0
    at_once: int = 2
    hangs: bool = False
    had: list[tuple[str, int]] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def carry_out(self, action: DueAction, remember: Remember) -> Result:
        """Does it."""
        self.had.append((action.id, action.attempts))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.hangs:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            return self.answer(action)
        finally:
            self.running -= 1


def actions(*names: str) -> list[DueAction]:
    """Actions that are due now."""
    return [DueAction(name, LOOK, CALL, NOW) for name in names]


@asynccontextmanager
async def agenda(store: ConferenceStore, recorder: Recorder, clock: Clock, owner: str = "a") -> AsyncIterator[Agenda]:
    """An agenda that looks all the time."""
    running = Agenda(store, {LOOK: recorder}, owner, clock, look_seconds=0.01)
    running.start()
    try:
        yield running
    finally:
        await running.close()


async def outcomes(store: ConferenceStore) -> Sequence[str | None]:
    """How the actions of the call ended."""
    return [action.outcome for action in await due_of(store, CALL)]


def test_what_is_due_is_carried_out_once_and_no_more_at_a_time_than_allowed(place: Place) -> None:
    """Each action is carried out once, two at a time, and its outcome is written."""

    async def scenario(store: ConferenceStore) -> None:
        recorder = Recorder()
        await store.schedule([*actions(*"abcdefg"), DueAction("later", LOOK, CALL, NOW + HOUR)])
        async with agenda(store, recorder, Clock()):

            async def all_done() -> bool:
                return list(await outcomes(store)).count("ok") == 7

            await eventually(all_done)
        assert sorted(recorder.had) == [(name, 1) for name in "abcdefg"]
        assert recorder.most == 2

    place.run(scenario)


def test_what_is_put_off_is_carried_out_later_with_what_was_learnt(place: Place) -> None:
    """A handler may say when to look again and what to know then."""

    async def scenario(store: ConferenceStore) -> None:
        clock = Clock()
        recorder = Recorder(lambda one: Done("ok") if one.data else Later(NOW + HOUR, {"step": 2}))
        await store.schedule(actions("one"))
        async with agenda(store, recorder, clock):

            async def is_put_off() -> bool:
                (one,) = await due_of(store, CALL)
                return one.due_at == NOW + HOUR

            await eventually(is_put_off)
            assert recorder.had == [("one", 1)]
            clock.now += HOUR

            async def is_done() -> bool:
                return await outcomes(store) == ["ok"]

            await eventually(is_done)
        assert recorder.had == [("one", 1), ("one", 2)]

    place.run(scenario)


@pytest.mark.parametrize("hangs", [False, True], ids=["raises", "hangs"])
def test_a_handler_that_fails_is_asked_again(place: Place, hangs: bool, caplog: pytest.LogCaptureFixture) -> None:
    """What a handler raises, or does not end with in its time, costs no other action and is tried again."""

    def fail(action: DueAction) -> Result:
        if action.id == "bad" and action.attempts == 1:
            raise ValueError("no")
        return Done("ok")

    async def scenario(store: ConferenceStore) -> None:
        clock = Clock()
        recorder = Recorder(fail, hangs=hangs, seconds=0.05)
        await store.schedule(actions("bad", "good"))
        async with agenda(store, recorder, clock) as running:

            async def has_failed() -> bool:
                return running.failed >= 1 + hangs

            await eventually(has_failed)
            recorder.hangs = False
            clock.now += 60 * SECOND

            async def are_done() -> bool:
                return await outcomes(store) == ["ok", "ok"]

            await eventually(are_done)

    place.run(scenario)
    assert "agenda.failed: look bad is tried again" in caplog.text


def test_another_process_carries_out_what_a_dead_one_had(place: Place) -> None:
    """What a process took and never ended goes to another one when its time is over, which can see that; not before."""

    async def scenario(store: ConferenceStore, other: ConferenceStore) -> None:
        clock = Clock()
        await store.schedule(actions("one"))
        recorder = Recorder(seconds=5)
        lease = 5 * SECOND + CLOCKS
        await store.take_due(LOOK, "dead", NOW, NOW + lease)
        async with agenda(other, recorder, clock):
            clock.now += lease - SECOND
            await asyncio.gather(*(other.is_due(LOOK, clock.now) for _ in range(5)))
            assert recorder.had == []
            clock.now += SECOND

            async def is_done() -> bool:
                return await outcomes(other) == ["ok"]

            await eventually(is_done)
        assert recorder.had == [("one", 2)]

    place.run_two(scenario)


def test_an_agenda_that_is_closed_ends_what_it_began(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing waits for what is under way, as long as its handler may take, and takes nothing more."""
    monkeypatch.setattr("policy_server.conferences.agenda.CLOSE_SECONDS", PATIENCE)

    async def scenario(store: ConferenceStore) -> None:
        recorder = Recorder(hangs=True, seconds=1.0, at_once=1)
        await store.schedule(actions("one", "two"))
        async with agenda(store, recorder, Clock()):

            async def has_begun() -> bool:
                return bool(recorder.running)

            await eventually(has_begun)
        assert recorder.running == 0
        assert len(recorder.had) == 1
        assert [one.leased_until for one in await due_of(store, CALL)] == [None, None]

    place.run(scenario)


def test_what_takes_too_long_is_cut_off_when_the_service_stops(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service ends, and another process takes over what was under way."""
    monkeypatch.setattr("policy_server.conferences.agenda.CLOSE_SECONDS", 0.05)

    async def scenario(store: ConferenceStore) -> None:
        clock, hanging, other = Clock(), Recorder(hangs=True, seconds=3600.0), Recorder()
        await store.schedule(actions("one"))
        async with asyncio.timeout(10), agenda(store, hanging, clock):
            await eventually(lambda: _is_running(hanging))
        assert hanging.running == 0
        clock.now += 2 * HOUR
        async with agenda(store, other, clock, "b"):
            await eventually(lambda: _is_done(store))
        assert other.had == [("one", 2)]

    place.run(scenario)


async def _is_running(recorder: Recorder) -> bool:
    return recorder.running == 1


async def _is_done(store: ConferenceStore) -> bool:
    return not await store.count_due()

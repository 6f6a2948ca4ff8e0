"""How many calls wait, go on and came to what is counted from the database, once for each change."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policy_server.conferences import figures as counted
from policy_server.conferences.figures import CallFigures
from policy_server.conferences.fold import Chronicle
from policy_server.conferences.found import Subject
from policy_server.conferences.life import glimpse_of
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import HeldConference
from policy_server.conferences.running import RunningCalls
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.verdict import Code, Outcome, outcome_of
from policy_server.pexip.events import Event
from tests.conferences.event_histories import BEGIN, joined, started
from tests.conferences.samples import Place
from tests.conferences.test_live import replica
from tests.conferences.told_world import Clock, Rules, at, held, told, visit
from tests.rule_sets import KEYRING

Scenario = Callable[[ConferenceStore, CallFigures, Clock], Awaitable[Any]]
AGENT = joined("maria", BEGIN + 30, destination_alias="hcp…")


def nothing_kept() -> RunningCalls:
    """A memory in which nothing is."""
    return RunningCalls(lambda *_: None, lambda _: False)


def play(place: Place, scenario: Scenario) -> Any:
    """What a scenario comes to."""
    clock = Clock()

    async def run(store: ConferenceStore) -> Any:
        return await scenario(store, CallFigures(store, nothing_kept(), Rules(), KEYRING, clock), clock)

    return place.run(run)


def call(number: int) -> str:
    """The id of a call."""
    return KEYRING.sign("patient", at(14_400), b"%04d" % number).id


async def plays(store: ConferenceStore, number: int, events: Sequence[Event], *, ends: float | None = None) -> None:
    """A room is held, its nodes tell of it, and perhaps it is over."""
    await store.hold_all([held(number, call(number))])
    await store.add_events(told(*events, room=call(number)))
    if ends is not None:
        await store.end(call(number), at(ends))


def test_calls_count_by_what_they_are_at(place: Place) -> None:
    """Customers wait or talk, the longest wait is that of the first who waits, and calls that are over have a verdict."""

    async def scenario(store: ConferenceStore, figures: CallFigures, clock: Clock) -> None:
        await plays(store, 1, visit()[:2])
        await plays(store, 2, [started(BEGIN + 20), joined("bob", BEGIN + 20, destination_alias="mp…")])
        await plays(store, 3, [*visit()[:4], AGENT])
        await plays(store, 4, visit(answered=None), ends=61)
        await plays(store, 5, [*visit()[:-3], AGENT, *visit()[-3:]], ends=62)
        await plays(store, 6, [])
        clock.now = at(65)
        await figures.count()
        assert figures.running() == {Outcome.WAITING: 2, Outcome.TALKING: 1}
        assert figures.longest_wait() == 64
        # What is over may still be told of otherwise.
        assert figures.over() == []
        clock.now = at(73)
        await figures.count()
        assert {over.code: over.legs for over in figures.over()} == {
            Code.LEG_BUSY: ("busy",),
            Code.ANSWERED: ("answered",),
        }
        assert figures.uncounted == 0

    play(place, scenario)


def test_a_change_is_counted_and_nothing_else_is_worked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that nothing happened to is not read again; one to which something did is."""
    worked_out: list[str] = []

    def noted(reader: Any, held: HeldConference, *further: Any) -> Any:
        worked_out.append(held.id)
        return glimpse_of(reader, held, *further)

    monkeypatch.setattr("policy_server.conferences.figures.glimpse_of", noted)

    async def scenario(store: ConferenceStore, figures: CallFigures, clock: Clock) -> None:
        for number in range(3):
            await plays(store, number, visit()[:2])
        clock.now = at(2)
        await figures.count()
        await figures.count()
        assert sorted(worked_out) == ["conference0", "conference1", "conference2"]
        await store.end(call(1), at(3))
        clock.now = at(20)
        await figures.count()
        await figures.count()
        assert Counter(worked_out) == {"conference0": 1, "conference1": 2, "conference2": 1}
        assert figures.running() == {Outcome.WAITING: 2, Outcome.TALKING: 0}
        await store.add_events(told(*visit()[2:4], AGENT, room=call(2)))
        clock.now = at(40)
        await figures.count()
        assert Counter(worked_out) == {"conference0": 1, "conference1": 2, "conference2": 2}
        assert figures.running() == {Outcome.WAITING: 1, Outcome.TALKING: 1}

    play(Place(f"sqlite:///{tmp_path}/policy.db", "sqlite"), scenario)


def test_a_round_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more has happened than a round has time for, the rest waits for the next, and is said to."""
    monkeypatch.setattr(counted, "WORKED_OUT", 4)

    async def scenario(store: ConferenceStore, figures: CallFigures, clock: Clock) -> None:
        for number in range(6):
            await plays(store, number, visit()[:2])
        for number in range(6, 9):
            await plays(store, number, visit(), ends=61)
        clock.now = at(80)
        left = []
        for _ in range(4):
            await figures.count()
            left.append(figures.uncounted)
        assert left == [5, 1, 0, 0]
        assert (figures.running()[Outcome.WAITING], len(figures.over())) == (6, 3)

    play(Place(f"sqlite:///{tmp_path}/policy.db", "sqlite"), scenario)


def test_no_more_wait_to_be_counted_than_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more calls end all the time than a round has time for, the latest wait, so many as are kept of those counted."""
    monkeypatch.setattr(counted, "WORKED_OUT", 1)
    monkeypatch.setattr(counted, "MOST", 3)

    async def scenario(store: ConferenceStore, figures: CallFigures, clock: Clock) -> None:
        left = []
        for round_of in range(3):
            for number in range(3):
                await plays(store, 3 * round_of + number, visit(), ends=61 + 100 * round_of + number)
            clock.now = at(80 + 100 * round_of)
            await figures.count()
            left.append(figures.uncounted)
        assert left == [2, 2, 2]
        assert {over.at for over in figures.over()} == {at(63), at(163), at(263)}

    play(Place(f"sqlite:///{tmp_path}/policy.db", "sqlite"), scenario)


def test_what_is_long_over_is_forgotten(tmp_path: Path) -> None:
    """The last hour is the last hour, and after six nothing is kept; who begins to count then finds those of six hours."""

    async def scenario(store: ConferenceStore, figures: CallFigures, clock: Clock) -> None:
        await plays(store, 1, visit(), ends=61)
        await store.hold_all([held(2, call(2), expires_at=at(7_000))])
        clock.now = at(7_020)
        await figures.count()
        assert [over.code for over in figures.over()] == [Code.NOT_JOINED]
        assert len(figures.over(counted.SPAN)) == 2
        clock.now = at(61) + counted.SPAN + timedelta(seconds=1)
        await figures.count()
        assert len(figures.over(counted.SPAN)) == 1
        assert figures.uncounted == 0

    play(Place(f"sqlite:///{tmp_path}/policy.db", "sqlite"), scenario)


def test_a_call_that_nobody_understands_keeps_no_other_from_being_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the log, once."""

    def broken(reader: Any, held: HeldConference, *further: Any) -> Any:
        if held.id == "conference0":
            raise RuntimeError("of no sense")
        return glimpse_of(reader, held, *further)

    monkeypatch.setattr("policy_server.conferences.figures.glimpse_of", broken)

    async def scenario(store: ConferenceStore, figures: CallFigures, clock: Clock) -> None:
        for number in range(2):
            await plays(store, number, visit()[:2])
        clock.now = at(2)
        await figures.count()
        await figures.count()
        assert figures.running()[Outcome.WAITING] == 1
        assert figures.uncounted == 0

    play(Place(f"sqlite:///{tmp_path}/policy.db", "sqlite"), scenario)
    assert caplog.text.count("calls.uncounted") == 1


def test_what_is_kept_of_a_call_is_enough(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the store has nothing else; what another has stored meanwhile is read."""
    told_of = Reader.told_of
    read: list[str] = []

    def noted(reader: Reader, held: HeldConference) -> Chronicle:
        read.append(held.id)
        return told_of(reader, held)

    async def scenario() -> None:
        clock, rules = Clock(), Rules()
        async with replica(place.url) as one, ConferenceStore(place.url) as other:
            figures = CallFigures(one.store, one.running, rules, KEYRING, clock)
            lookup = ConferenceLookup(one, rules, KEYRING, "")
            for number in range(2):
                await plays(one.store, number, visit()[:2])
                assert await lookup.look_up(Subject(call(number))) is not None
            # It does not hear of what others do.
            monkeypatch.setattr(one.running, "hear", lambda *_: None)
            monkeypatch.setattr(Reader, "told_of", noted)
            clock.now = at(2)
            await figures.count()
            assert (figures.running()[Outcome.WAITING], read) == (2, [])
            for number, by in ((0, one.store), (1, other)):
                await by.add_events(told(*visit()[2:4], AGENT, room=call(number)))
            await figures.count()
            assert (figures.running()[Outcome.TALKING], read) == (2, ["conference1"])
            await one.store.add_events(told(*visit()[4:], room=call(0)))
            await one.store.end(call(0), at(62))
            clock.now = at(80)
            await figures.count()
            assert ([over.code for over in figures.over()], read) == ([Code.ANSWERED], ["conference1"])

    asyncio.run(scenario())


def test_what_is_read_at_the_start_is_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a call that runs nothing is read again for whoever watches it; of one that is counted later on it is."""

    async def scenario() -> None:
        clock, rules = Clock(), Rules()
        async with ConferenceStore(place.url) as other:
            await plays(other, 0, visit()[:2])
            async with replica(place.url) as one:
                figures = CallFigures(one.store, one.running, rules, KEYRING, clock)
                lookup = ConferenceLookup(one, rules, KEYRING, "")
                clock.now = at(2)
                await figures.count()
                expected = await lookup.read(lambda reader, ruleset, now: lookup.of_call(reader, call(0), ruleset, now))
                await plays(other, 1, visit()[:2])
                await figures.count()
                assert figures.running()[Outcome.WAITING] == 2
                monkeypatch.delattr(Reader, "told")
                found = await lookup.look_up(Subject(call(0)))
                assert found is not None
                assert found.answer == expected
                with pytest.raises(AttributeError):
                    await lookup.look_up(Subject(call(1)))

    asyncio.run(scenario())


def test_every_verdict_comes_to_something() -> None:
    """Of a call that failed the customer was there, and every outcome is that of some verdict."""
    assert {outcome_of(code) for code in Code} == set(Outcome)
    assert {code for code in Code if outcome_of(code) is Outcome.FAILED} == {
        Code.NO_AGENT,
        Code.NEVER_DIALLED,
        *(code for code in Code if code.startswith("leg_")),
    }

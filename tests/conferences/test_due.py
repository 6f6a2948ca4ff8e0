"""Actions that are due: each is taken by one, in order, and by another when whoever had it died."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_server.conferences.due import DueAction
from policy_server.conferences.store import ConferenceStore
from tests.conferences.samples import CALL, HOUR, NOW, SECOND, Place, bring_forward, due_of

LOOK = "look"
LEASE = 10 * SECOND


def action(name: str = "one", **changed: Any) -> DueAction:
    """An action that is due now; any field can be changed."""
    fields: dict[str, Any] = {"kind": LOOK, "key": CALL, "due_at": NOW, "data": {"step": 1}}
    return DueAction(name, **(fields | changed))


def taken(one: DueAction, owner: str = "a", attempts: int = 1) -> DueAction:
    """The action as its owner gets it now."""
    return replace(one, lane=one.lane or one.id, owner=owner, leased_until=NOW + LEASE, attempts=attempts)


def test_an_action_is_taken_when_it_is_due_and_once(place: Place) -> None:
    """Nobody gets an action before its time; the first who asks then gets it, with all that was said of it."""

    async def scenario(store: ConferenceStore) -> None:
        assert await store.schedule([action(due_at=NOW + SECOND), action("two", data={"deep": [None, {"x": 1}]})]) == 2
        assert await store.is_due(LOOK, NOW)
        assert await store.take_due(LOOK, "a", NOW, NOW + LEASE, 9) == (
            taken(action("two", data={"deep": [None, {"x": 1}]})),
        )
        assert not await store.is_due(LOOK, NOW)
        assert await store.take_due(LOOK, "b", NOW, NOW + LEASE, 9) == ()
        assert [one.id for one in await store.take_due(LOOK, "b", NOW + SECOND, NOW + LEASE)] == ["one"]
        assert await store.take_due("other", "b", NOW + HOUR, NOW + 2 * HOUR) == ()

    place.run(scenario)


def test_scheduling_the_same_again_changes_nothing(place: Place) -> None:
    """An action of the same id is the same, whoever schedules it, how often, and whether it is done."""

    async def scenario(store: ConferenceStore) -> None:
        assert await store.schedule([action(), action()]) == 1
        assert await store.schedule([action(due_at=NOW + HOUR, data={})]) == 0
        (mine,) = await store.take_due(LOOK, "a", NOW, NOW + LEASE)
        assert mine.data == {"step": 1}
        assert await store.finish_due(mine, NOW, "ok")
        assert await store.schedule([action()]) == 0
        assert await store.take_due(LOOK, "a", NOW + HOUR, NOW + 2 * HOUR) == ()
        (kept,) = await due_of(store, CALL)
        assert (kept.outcome, kept.done_at, kept.owner) == ("ok", NOW, None)

    place.run(scenario)


def test_another_takes_over_what_its_owner_let_lapse(place: Place) -> None:
    """Who takes over sees that it was taken before; what the first owner says then counts no more."""

    async def scenario(store: ConferenceStore) -> None:
        await store.schedule([action()])
        (first,) = await store.take_due(LOOK, "a", NOW, NOW + LEASE)
        (second,) = await store.take_due(LOOK, "b", NOW + LEASE, NOW + 2 * LEASE)
        assert second.attempts == 2
        assert not await store.finish_due(first, NOW + LEASE, "ok")
        assert not await store.postpone_due(first, NOW + HOUR, {})
        assert await store.postpone_due(second, NOW + HOUR, {"step": 2})
        assert not await store.finish_due(second, NOW + LEASE, "ok")
        (third,) = await store.take_due(LOOK, "a", NOW + HOUR, NOW + 2 * HOUR)
        assert (third.attempts, third.data) == (3, {"step": 2})
        assert await store.finish_due(third, NOW + HOUR, "ok")

    place.run(scenario)


def test_a_lane_is_gone_through_in_order(place: Place) -> None:
    """Of one lane the next is taken when the one before it is done, also if that is put off; other lanes do not wait."""

    async def scenario(store: ConferenceStore) -> None:
        lane = [action(f"lane-{place}", lane="crm", place=place, due_at=NOW - place * SECOND) for place in range(3)]
        await store.schedule([*reversed(lane), action("other")])
        got = await store.take_due(LOOK, "a", NOW, NOW + LEASE, 9)
        assert {one.id for one in got} == {"lane-0", "other"}
        other, first = sorted(got, key=lambda one: one.id, reverse=True)
        assert await store.finish_due(other, NOW, "ok")
        assert await store.postpone_due(first, NOW + HOUR, {})
        assert await store.take_due(LOOK, "a", NOW, NOW + LEASE, 9) == ()
        (first,) = await store.take_due(LOOK, "a", NOW + HOUR, NOW + HOUR + LEASE)
        assert await store.finish_due(first, NOW + HOUR, "ok")
        assert [one.id for one in await store.take_due(LOOK, "a", NOW + HOUR, NOW + HOUR + LEASE, 9)] == ["lane-1"]

    place.run(scenario)


def test_an_action_can_be_brought_forward_and_done_again(place: Place) -> None:
    """What is to be sooner is carried out sooner, and what is done may be carried out once more."""

    async def scenario(store: ConferenceStore) -> None:
        await store.schedule([action(due_at=NOW + HOUR), action("two")])
        assert await bring_forward(store, LOOK, [CALL], NOW + 2 * HOUR) == 0
        assert await bring_forward(store, "other", [CALL], NOW) == 0
        assert await bring_forward(store, LOOK, ["other", CALL], NOW) == 1
        assert not await store.reopen_due("two", NOW)
        for each in await store.take_due(LOOK, "a", NOW, NOW + LEASE, 9):
            assert await store.finish_due(each, NOW, "over")
        assert [ended.id for ended in await store.done_due(LOOK, "over", NOW)] == ["one", "two"]
        assert not await store.reopen_due("three", NOW)
        assert await store.reopen_due("two", NOW)
        assert await store.count_due() == {LOOK: (1, NOW)}
        assert [again.id for again in await store.take_due(LOOK, "a", NOW, NOW + LEASE, 9)] == ["two"]

    place.run(scenario)


def test_what_is_brought_forward_while_somebody_has_it_is_due_again(place: Place) -> None:
    """News that come while an action is carried out are not lost: it is due again as soon as it is put off."""

    async def scenario(store: ConferenceStore) -> None:
        await store.schedule([action()])
        (one,) = await store.take_due(LOOK, "a", NOW, NOW + LEASE)
        assert await bring_forward(store, LOOK, [CALL], NOW + SECOND) == 1
        assert await store.take_due(LOOK, "b", NOW + SECOND, NOW + LEASE) == ()
        assert await store.postpone_due(one, NOW + HOUR, {"step": 2})
        (again,) = await store.take_due(LOOK, "b", NOW + SECOND, NOW + LEASE)
        assert again.data == {"step": 2}

    place.run(scenario)


def test_what_is_written_down_before_it_is_done_is_known_to_the_next(place: Place) -> None:
    """Who has an action may write down what they are about to do, and have it longer; who has lost it may not."""

    async def scenario(store: ConferenceStore) -> None:
        await store.schedule([action()])
        (one,) = await store.take_due(LOOK, "a", NOW, NOW + LEASE)
        assert await store.remember_due(one, NOW + 2 * LEASE, {"dials": 1})
        assert await store.take_due(LOOK, "b", NOW + LEASE, NOW + 3 * LEASE) == ()
        (again,) = await store.take_due(LOOK, "b", NOW + 2 * LEASE, NOW + 3 * LEASE)
        assert again.data == {"dials": 1}
        assert not await store.remember_due(one, NOW + 9 * LEASE, {"dials": 2})

    place.run(scenario)


def test_replicas_that_take_at_once_never_take_the_same(place: Place) -> None:
    """Many actions and several replicas that all ask at the same time: each action goes to one of them, none is left."""

    async def scenario(*stores: ConferenceStore) -> None:
        stores = (*stores, *stores)
        await stores[0].schedule([action(f"{number}", lane=f"{number % 60}", place=number) for number in range(120)])
        got: list[str] = []

        async def work(store: ConferenceStore, owner: str) -> None:
            idle = 0
            while idle < 3 and len(got) < 120:
                mine = await store.take_due(LOOK, owner, NOW, NOW + LEASE, 3)
                idle = 0 if mine else idle + 1
                got.extend(one.id for one in mine)
                for one in mine:
                    assert await store.finish_due(one, NOW, "ok")

        await asyncio.gather(*(work(store, f"{place}") for place, store in enumerate(stores)))
        assert sorted(got, key=int) == [f"{number}" for number in range(120)]

    place.run_two(scenario)


Step = tuple[str, int, int]
"""What is done, by which of three owners, to which of six actions or for how many seconds."""

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("take", "finish", "postpone", "reopen", "wait")),
        st.integers(0, 2),
        st.integers(0, 5),
    ),
    max_size=40,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_an_action_has_one_owner_and_ends_once(
    fresh_place: Callable[[], Place], steps: list[Step]
) -> None:
    """Owners that take, die, come back late and finish in any order: no two have one action at a time, none is taken before
    those of its lane, and of all who say how it ended one is believed.
    """

    async def scenario(store: ConferenceStore) -> None:
        every = [action(f"{n}", lane="x" if n < 3 else "", place=n, due_at=NOW + n * SECOND) for n in range(6)]
        await store.schedule(every)
        now, had = NOW, defaultdict[int, list[DueAction]](list)
        held: dict[str, DueAction] = {}
        over: set[str] = set()
        for what, owner, number in steps:
            name = f"{number}"
            match what:
                case "take":
                    for one in await store.take_due(LOOK, f"{owner}", now, now + LEASE, number + 1):
                        assert one.id not in over
                        before = held.get(one.id)
                        assert before is None or (before.leased_until is not None and before.leased_until <= now)
                        if int(one.id) < 3:
                            assert all(f"{earlier}" in over for earlier in range(int(one.id)))
                        held[one.id] = one
                        had[owner].append(one)
                case "finish" | "postpone":
                    for one in had[owner]:
                        is_own = held.get(one.id) is one
                        if what == "finish":
                            assert await store.finish_due(one, now, "ok") is is_own
                        else:
                            assert await store.postpone_due(one, now + number * SECOND, {}) is is_own
                        if is_own:
                            del held[one.id]
                            over |= {one.id} if what == "finish" else set()
                    had[owner].clear()
                case "reopen":
                    assert await store.reopen_due(name, now) is (name in over)
                    over.discard(name)
                case _:
                    now += timedelta(seconds=number * 4)

    fresh_place().run(scenario)


@pytest.fixture
def fresh_place(tmp_path: Any) -> Callable[[], Place]:
    """Makes a new SQLite file each time."""
    numbers = iter(range(10**6))
    return lambda: Place(f"sqlite:///{tmp_path}/{next(numbers)}.db", "sqlite")


def test_what_waits_for_an_action_is_put_off_with_it(place: Place) -> None:
    """Nobody looks at the others of its lane before it may be done; those before it, and those of other lanes, stay."""

    async def scenario(store: ConferenceStore) -> None:
        lanes = {"first": ("lane", 0), "second": ("lane", 1), "third": ("lane", 2), "other": ("elsewhere", 5)}
        await store.schedule([action(name, lane=lane, place=number) for name, (lane, number) in lanes.items()])
        (first,) = [one for one in await store.take_due(LOOK, "a", NOW, NOW + LEASE, 9) if one.id == "first"]
        assert await store.finish_due(first, NOW, "ok")
        (second,) = await store.take_due(LOOK, "a", NOW, NOW + LEASE, 9)
        assert await store.postpone_due(second, NOW + HOUR, {})
        due = {one.id: one.due_at for one in await store.waiting_due(LOOK)}
        assert due == {"second": NOW + HOUR, "third": NOW + HOUR, "other": NOW}
        (again,) = [one for one in await store.take_due(LOOK, "a", NOW + HOUR, NOW + 2 * HOUR, 9) if one.lane == "lane"]
        assert again.id == "second"
        assert await store.finish_due(again, NOW + HOUR, "ok")
        assert [one.id for one in await store.take_due(LOOK, "a", NOW + HOUR, NOW + 2 * HOUR, 9)] == ["third"]

    place.run(scenario)

"""What is remembered: for how long, how much of it, and work that fails."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.genesys.memory import Expiring, Flights
from tests.genesys.asking import run

KEYS = st.sampled_from("abcde")
STEPS = st.lists(st.tuples(KEYS, st.integers(0, 5), st.booleans()), max_size=40)


@given(STEPS, st.integers(1, 4))
def test_a_cache_is_a_small_dictionary_with_ends(steps: list[tuple[str, int, bool]], limit: int) -> None:
    """Whatever is put and asked for, a cache gives what an unbounded one would or nothing, and stays in its bounds."""
    cache: Expiring[str, int] = Expiring(limit)
    model: dict[str, tuple[float, int]] = {}
    used: list[str] = []
    for now, (key, lifetime, is_put) in enumerate(steps):
        until, value = model.get(key, (0.0, -1))
        if is_put:
            cache.put(key, now, float(now + lifetime))
            model[key] = (now + lifetime, now)
        else:
            found = cache.get(key, float(now))
            assert found in {None, value}
            if now >= until:
                assert found is None
            elif key in used[-limit:]:
                assert found == value
            if found is None:
                model.pop(key, None)
        used = [other for other in used if other != key] + [key]
        assert len(cache) <= limit


def test_what_has_ended_takes_no_room() -> None:
    """Of what is asked for once, and never again, no more is kept than had not ended when something was asked for last."""
    cache: Expiring[int, int] = Expiring(10_000)
    kept: list[int] = []
    for now in range(1_000):
        assert cache.get(now, float(now)) is None
        cache.put(now, now, now + 5.0)
        kept.append(len(cache))
    assert max(kept) == 5


def test_what_was_not_used_for_longest_goes_first() -> None:
    """A full cache gives up the entry that nobody asked for."""
    cache: Expiring[str, int] = Expiring(2)
    cache.put("a", 1, 10.0)
    cache.put("b", 2, 10.0)
    assert cache.get("a", 0.0) == 1
    cache.put("c", 3, 10.0)
    assert [cache.get(key, 0.0) for key in "abc"] == [1, None, 3]


def test_work_that_fails() -> None:
    """A failure reaches everybody who waits, and the next question begins anew."""

    async def fail() -> str:
        await asyncio.sleep(0)
        raise LookupError("broken")

    async def succeed() -> str:
        return "good"

    async def work() -> None:
        flights: Flights[str, str] = Flights(1)
        results = await asyncio.gather(*(flights.join("a", fail) for _ in range(2)), return_exceptions=True)
        assert [type(result) for result in results] == [LookupError, LookupError]
        assert await flights.join("a", succeed) == "good"

    run(work())


@pytest.mark.parametrize("is_first", [True, False], ids=["begun", "not begun"])
def test_closing_twice(is_first: bool) -> None:
    """Closing without work, and again, does nothing more."""

    async def work() -> None:
        flights: Flights[str, str] = Flights(1)
        if is_first:
            await flights.close()
        await flights.close()
        assert await flights.join("a", lambda: asyncio.sleep(0, "never")) is None

    run(work())

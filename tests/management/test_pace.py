"""How fast the Management Node is asked: never faster than was set, and never slower than that needs."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.management.pace import NODE_LIMIT, PATIENCE, RATE, SLOWEST, WINDOW, Pace

RATES = st.integers(SLOWEST, NODE_LIMIT)
ARRIVALS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 400)), min_size=1, max_size=40)


def turns(rate: int, arrivals: list[tuple[float, int]], patience: float) -> list[float]:
    """When the requests have their turns that come in bursts, each so many seconds after the one before."""
    pace, now, found = Pace(rate), 0.0, []
    for passed, count in arrivals:
        now += passed
        found += [now + wait for _ in range(count) if (wait := pace.reserve(now, patience)) is not None]
    return found


@given(RATES, ARRIVALS, st.sampled_from([0.0, PATIENCE, 1e6]))
def test_no_window_has_more_than_the_rate(rate: int, arrivals: list[tuple[float, int]], patience: float) -> None:
    """Whenever requests come, in 60 s there are as many turns as the rate says, or fewer; and they keep their order."""
    found = turns(rate, arrivals, patience)
    assert found == sorted(found)
    for index, start in enumerate(found):
        assert bisect_left(found, start + WINDOW - 1e-3) - index <= rate


@given(RATES)
def test_a_burst_goes_at_once_and_the_rest_within_the_minute(rate: int) -> None:
    """A quarter has no wait; the whole rate has its turns within a minute, so that nothing of it is wasted."""
    found = turns(rate, [(0.0, rate)], 1e6)
    assert found[: rate // 4] == [0.0] * (rate // 4)
    assert found[rate // 4] > 0
    assert found[-1] <= WINDOW + 1e-6


@given(RATES, ARRIVALS)
def test_nobody_waits_longer_than_their_patience(rate: int, arrivals: list[tuple[float, int]]) -> None:
    """Who would is refused, takes nobody's turn, and is told how long it would have been."""
    pace, now = Pace(rate), 0.0
    for passed, count in arrivals:
        now += passed
        for _ in range(count):
            before = pace.wait(now)
            wait = pace.reserve(now)
            assert (wait is None) == (before > PATIENCE)
            assert wait in {None, before}
            assert wait is not None or pace.wait(now) == before


def test_a_pause_stops_all() -> None:
    """Nothing has a turn before its end, and a shorter pause does not shorten it."""
    pace = Pace(RATE)
    pace.pause(20.0)
    pace.pause(10.0)
    assert pace.reserve(0.0) is None
    assert (pace.wait(0.0), pace.reserve(18.0), pace.wait(21.0)) == (20.0, 2.0, 0.0)


@pytest.mark.parametrize("rate", [0, SLOWEST - 1, NODE_LIMIT + 1])
def test_rates_that_make_no_sense(rate: int) -> None:
    """Below ten nothing gets done, above a thousand the node refuses."""
    with pytest.raises(ValueError, match="from 10 to 1000"):
        Pace(rate)

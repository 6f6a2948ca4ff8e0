"""The circuit: when a system is left alone, and that it is found again."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from policy_server.outbound.circuit import Circuit

STEPS = st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=60)


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    """An answer between failures begins the count anew."""
    circuit = Circuit(failures=3, pause=10)
    for has_failed in (True, True, False, True, True):
        assert circuit.allows(0)
        circuit.failed(0) if has_failed else circuit.succeeded()
    assert not circuit.is_open
    assert circuit.wait(0) == 0
    circuit.failed(0)
    assert circuit.is_open


def test_while_it_is_open_one_attempt_is_made_in_each_pause() -> None:
    """The one that is let through is the only one, also when nobody tells what became of it."""
    circuit = Circuit(failures=1, pause=10)
    circuit.failed(100)
    assert (circuit.wait(100), circuit.wait(104), circuit.wait(111)) == (10, 6, 0)
    assert [circuit.allows(now) for now in (100, 109.9, 110, 110, 119.9, 120)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]


def test_an_answer_closes_it() -> None:
    """As soon as the attempt is answered, everybody may ask again."""
    circuit = Circuit(failures=2, pause=10)
    circuit.failed(0)
    circuit.failed(0)
    assert circuit.allows(10)
    circuit.succeeded()
    assert not circuit.is_open
    assert all(circuit.allows(10) for _ in range(5))
    circuit.failed(10)
    assert circuit.allows(10)


@given(STEPS)
def test_a_system_that_is_away_is_seldom_asked_and_never_given_up(steps: list[tuple[int, bool]]) -> None:
    """Whatever happens: attempts on an open circuit are a pause apart, and one is allowed at the end of each."""
    circuit, now, opened_attempts = Circuit(failures=3, pause=10), 0.0, list[float]()
    for passed, fails in steps:
        now += passed
        was_open, wait = circuit.is_open, circuit.wait(now)
        assert circuit.allows(now) == (wait == 0)
        if wait:
            assert wait <= 10
            assert circuit.allows(now + wait)
            now += wait
        if was_open:
            opened_attempts.append(now)
        circuit.failed(now) if fails else circuit.succeeded()
        if not fails:
            opened_attempts.clear()
    assert all(later - earlier >= 10 for earlier, later in pairwise(opened_attempts))

"""Tests of what a node's waits come to."""

import math

from tests.benchmarks.probe import Probe


def test_waits_between() -> None:
    """Only those count who asked in that time; figures are milliseconds."""
    probe = Probe(answers=[(0.9, 9.0), *((1.0 + turn / 100, turn / 1000) for turn in range(100)), (2.0, 9.0)])
    waits = probe.between(1.0, 2.0)
    assert (len(waits.milliseconds), waits.median, waits.p99, waits.slowest) == (100, 49.5, 99.0, 99.0)


def test_no_answer_is_no_good_answer() -> None:
    """Where nobody was answered, nothing was quick."""
    assert Probe().between().p99 == math.inf

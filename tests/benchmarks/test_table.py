"""Tests of what the table of the benchmarks says of a goal."""

import pytest

from tests.benchmarks.table import Beside, Goal, Row, lines

QUARTER = Goal(0.25, "at most", "ratio")
TWENTY = Goal(20, "at most", "figure")
MOST = Goal(0.8, "at least", "ratio")


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        pytest.param(Row("calls", 20, "ms", QUARTER, Beside("0.1", 80)), "ok", id="just-a-quarter"),
        pytest.param(Row("calls", 21, "ms", QUARTER, Beside("0.1", 80)), "MISS", id="more-than-a-quarter"),
        pytest.param(Row("calls", 1, "ms", QUARTER), "open", id="nothing-beside"),
        pytest.param(Row("calls", 1, "ms", QUARTER, Beside("0.1", 0)), "open", id="nothing-measured-beside"),
        pytest.param(Row("calls", 1, "ms", QUARTER, Beside("0.1", 80), faults=("404",)), "MISS", id="good-but-faulty"),
        pytest.param(Row("waits", 20, "ms", TWENTY), "ok", id="just-the-limit"),
        pytest.param(Row("waits", 20.1, "ms", TWENTY, Beside("0.1", 900)), "MISS", id="beside-does-not-count"),
        pytest.param(Row("rates", 700, "/s", MOST, Beside("bare", 1000), ratio=0.81), "ok", id="median-of-ratios"),
        pytest.param(Row("rates", 700, "/s", MOST, Beside("bare", 1000)), "MISS", id="too-low"),
    ],
)
def test_verdict(row: Row, verdict: str) -> None:
    """A goal is reached by what it is of, and never by a run with faults."""
    assert row.verdict == verdict


def test_lines() -> None:
    """A line has figure, what is beside it, ratio and goal; each fault has its own."""
    row = Row("CPU a call", 104.6, "ms", QUARTER, Beside("0.1", 80), faults=("lookup: 503",))
    first, second = lines(row)
    assert first.split() == ["MISS", "CPU", "a", "call", "105", "ms", "0.1", "80.0", "ms", "1.31", "at", "most", "0.25"]
    assert second.strip() == "fault: lookup: 503"

"""The table of faults: what it is made from, and that the lab's page has one of these faults."""

import pytest

from policy_server.lab.sip.trunk import Invite
from tests.faults.cases import CASES
from tests.faults.races import RACES
from tests.faults.stage import Ring, overlap
from tests.faults.table import BEGIN, END, Row, table
from tests.test_lock import ROOT

pytestmark = pytest.mark.slow

NOBODY = Invite("sip:+13129998045@byoc.example", "call", "call@video.example.com", "", "1")


def test_the_table_of_the_page_is_of_these_faults_and_none_was_wrong() -> None:
    """Who adds a fault, or takes one away, runs `make faults`; the invitations of each row are those that have to be."""
    text = (ROOT / "policy_server/lab/README.md").read_text("utf-8")
    rows = [row.removeprefix("| ").split(" | ") for row in text.partition(BEGIN)[2].partition(END)[0].splitlines()]
    played = {row[0]: row[1:] for row in rows if len(row) > 1 and row[0] != "Fault"}
    assert list(played) == [*(case.name for case in CASES), *RACES]
    for case in CASES:
        invites, _, customer, _, verdict = played[case.name]
        assert invites.split(", ") == list(case.invites)
        assert customer == case.outcome
        assert verdict == f"`{case.code}` |"


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        pytest.param([(0, 1), (1, 2)], 0.0, id="one after the other"),
        pytest.param([(0, 3), (1, 2)], 1.0, id="one within the other"),
        pytest.param([(0, 3), (5, 9), (2, 6)], 1.0, id="the longest of several"),
        pytest.param([(0, 3)], 0.0, id="one"),
    ],
)
def test_two_legs_live_as_long_as_both_do(spans: list[tuple[float, float]], seconds: float) -> None:
    """From when the later one arrives until one of them is over."""
    assert overlap([Ring("first", NOBODY, at, None, over) for at, over in spans]) == seconds


def test_a_row_is_a_line_of_the_table() -> None:
    """A row of many calls has no verdict of its own."""
    row = Row("silence", ("first", "second"), 0.0, "talks", 28.6, "answered")
    assert table([row]).splitlines()[2:] == ["| silence | first, second | 0.0 s | talks | 28.6 s | `answered` |"]

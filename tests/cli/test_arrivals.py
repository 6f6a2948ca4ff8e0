"""When a call is played whose door opens and closes."""

from datetime import datetime

import pytest

from policy_server.cli.arrivals import Arrivals
from policy_server.cli.parts import Customer
from tests.cli.commands import RULES
from tests.rule_sets import KEYRING, load

RULESET = load(RULES)


@pytest.mark.parametrize(
    ("now", "opening", "closing"),
    [
        pytest.param("2026-11-23T12:00:00", "2026-11-23T12:00:00", "2026-11-23T18:30:00", id="open"),
        pytest.param("2026-11-23T06:59:10", "2026-11-23T08:30:00", "2026-11-23T06:59:10", id="closed"),
        pytest.param("2026-11-23T17:59:10", "2026-11-24T08:30:00", "2026-11-23T18:30:00", id="about to close"),
        pytest.param("2026-11-23T07:59:10", "2026-11-23T08:30:00", "2026-11-23T18:30:00", id="about to open"),
    ],
)
def test_the_door_does_not_change_while_a_call_is_played(now: str, opening: str, closing: str) -> None:
    """What is so now is so for as long as playing takes, or is played at the next moment at which it is."""
    told = [datetime.fromisoformat(f"{each}-06:00") for each in (now, opening, closing)]
    arrivals = Arrivals(RULESET, KEYRING, Customer(RULESET.links["visit"], {}, "Ada L"), told[0])
    assert [arrivals.opening(None), arrivals.closing()] == told[1:]

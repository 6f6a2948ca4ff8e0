"""Rules by which strangers make any number of rooms that dial out."""

from tests.rulefiles.faults import Fault, check, each_fault


@each_fault("open_rooms")
def test_who_may_have_calls_made_is_looked_at(fault: Fault) -> None:
    """A rule that dials out of as many rooms as anybody likes is a warning, unless it asks who that is."""
    check(fault)

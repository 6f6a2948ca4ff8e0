"""Legs whose caller does not tell agents which conference it is."""

from tests.rulefiles.faults import Fault, check, each_fault


@each_fault("callers")
def test_whether_agents_find_the_leg_is_looked_at(fault: Fault) -> None:
    """A leg to the contact centre that has the call id nowhere, or one address for many rooms, is a warning."""
    check(fault)

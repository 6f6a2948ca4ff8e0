"""Attributes of links in rules: what link types declare, and slips in the names of those that nobody does."""

from tests.rulefiles.faults import Fault, check, each_fault


@each_fault("attributes")
def test_what_is_wrong_with_attributes_in_rules_is_told(fault: Fault) -> None:
    """Names that no link has, values that none can have or no row is for, and what is nearly the name of another."""
    check(fault)

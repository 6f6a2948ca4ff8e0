"""Link attributes that nobody declares: a slip in a name is told."""

from tests.rulefiles.faults import Fault, check, each_fault


@each_fault("attributes")
def test_a_name_that_is_nearly_another_is_told(fault: Fault) -> None:
    """An attribute that is used once and differs from another by a slip is a warning with the other's name."""
    check(fault)

"""Link types that no rule serves, and PINs that customers would meet."""

from tests.rulefiles.faults import Fault, check, each_fault


@each_fault("link_doors")
def test_what_customers_and_agents_would_run_into_is_told(fault: Fault) -> None:
    """A link type that leads nowhere, or to a PIN that its links do not carry, is a warning; what may work is not."""
    check(fault)

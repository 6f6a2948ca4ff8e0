"""What goes for all tests: which are left out, and how many examples a property gets."""

from typing import Final

import pytest
from hypothesis import settings

from tests.requirements import MISSING, leave_out

# Machines are busy: how long an example took says nothing about the code.
settings.register_profile("whole", deadline=None)
settings.load_profile("whole")
# For `make quick`, which asks whether something is broken rather than whether nothing is.
settings.register_profile("quick", max_examples=10, deadline=None)


MARKERS: Final = {"postgres": "postgresql", "site": "slow"}
"""What the fixtures need that start a PostgreSQL, or a server with everything around it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that use such fixtures, and all that need something of the system."""
    for item in items:
        if isinstance(item, pytest.Function):
            for fixture in MARKERS.keys() & set(item.fixturenames):
                item.add_marker(MARKERS[fixture])
        if any(map(item.get_closest_marker, MISSING)):
            item.add_marker("system")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leaves a test out on a machine that lacks what its markers name."""
    for marker, missing in MISSING.items():
        if item.get_closest_marker(marker) and (reason := missing()):
            leave_out(reason)

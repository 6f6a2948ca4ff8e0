from collections.abc import Iterator

import pytest

from policy_server.simulator.genesys import StandIn
from tests.genesys.asking import Genesys


@pytest.fixture(scope="session")
def served() -> Iterator[Genesys]:
    """One stand-in for all tests."""
    stand_in = StandIn()
    with stand_in.serving() as url:
        yield Genesys(stand_in, url)


@pytest.fixture
def genesys(served: Genesys) -> Iterator[Genesys]:
    """The stand-in, knowing nobody but the agent of the tests, and without trouble."""
    served.prepare()
    yield served
    served.stand_in.reset()

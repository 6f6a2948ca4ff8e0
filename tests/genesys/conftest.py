from collections.abc import Iterator

import pytest

from tests.genesys.asking import Genesys, standing_in


@pytest.fixture(scope="session")
def served() -> Iterator[Genesys]:
    """One stand-in for all tests."""
    with standing_in() as genesys:
        yield genesys


@pytest.fixture
def genesys(served: Genesys) -> Iterator[Genesys]:
    """The stand-in, knowing nobody but the agent of the tests, and without trouble."""
    served.prepare()
    yield served
    served.stand_in.reset()

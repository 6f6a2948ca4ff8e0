"""What the tests of the agents' endpoints share: the stand-in of Genesys that its client's tests have."""

from tests.genesys.conftest import genesys, served

__all__ = ["genesys", "served"]

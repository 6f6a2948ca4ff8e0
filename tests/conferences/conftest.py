"""The databases that the tests of the store run on: SQLite in a file, and a PostgreSQL of their own."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conferences.postgres import Postgres, running_postgres
from tests.conferences.samples import Place


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests."""
    # What a killed machine leaves behind is not tested here, so it need not wait for the disk.
    with running_postgres("fsync=off") as server:
        yield server


@pytest.fixture
def postgres_place(postgres: Postgres) -> Iterator[Place]:
    """A new schema in PostgreSQL, which is as empty as a new database and made in a hundredth of the time."""
    name = f"test_{uuid4().hex}"
    postgres.execute(f"CREATE SCHEMA {name}")
    yield Place(postgres.url(name), "postgresql")
    postgres.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    """A new SQLite file."""
    return Place(f"sqlite:///{tmp_path}/policy.db", "sqlite")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def place(request: pytest.FixtureRequest) -> Place:
    """A new database of each kind in turn."""
    wanted = "sqlite_place" if request.param == "sqlite" else "postgres_place"
    found = request.getfixturevalue(wanted)
    assert isinstance(found, Place)
    return found

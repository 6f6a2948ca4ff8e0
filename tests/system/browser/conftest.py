"""The stage of the end-to-end tests: a browser for each module, a lab for each test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.browser.stage import Stage, Theatre


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    """A browser and the event loop that it belongs to."""
    with asyncio.Runner() as runner:
        theatre = Theatre(runner)
        try:
            runner.run(theatre.open())
            yield theatre
        finally:
            runner.run(theatre.close())


@pytest.fixture
def stage(theatre: Theatre, tmp_path: Path) -> Stage:
    """Plays scenes in that browser."""
    return Stage(theatre, tmp_path)

"""The stage of the end-to-end tests: a browser for each module, a lab for each test."""

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.stage import CHROMIUM, Stage, Theatre
from tests.requirements import leave_out, require_sipp


def require_browser() -> None:
    """Without Chromium or Playwright the test is skipped on a developer's machine and fails in CI."""
    missing = [] if CHROMIUM.exists() else [f"{CHROMIUM} is not installed: apt-get install chromium"]
    missing += [] if find_spec("playwright") else ["playwright is not installed: pip install -e '.[dev]'"]
    if missing:
        leave_out("; ".join(missing))


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    """A browser and the event loop that it belongs to."""
    require_sipp()
    require_browser()
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

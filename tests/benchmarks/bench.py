"""What every scenario of the benchmarks gets: where it may write, how long it may take, which versions there are."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.benchmarks.table import Beside, Row
from tests.benchmarks.versions import NOW, Version


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done: how often, for how many seconds each, and with how many streams, calls and rules."""

    rounds: int
    wrk_seconds: int
    call_rounds: int
    call_seconds: float
    knee_seconds: float
    knee_span: float
    """A search for the highest rate ends when the lowest rate that is too high is so many times the highest that is not."""
    streams: int
    watched: int
    watched_seconds: float
    deaf_seconds: float
    calls_in_a_row: int
    """As many as the service keeps at the most of what it keeps so many of."""
    forget_seconds: float
    """After these the service has forgotten what it keeps of a call for a time."""
    rules: int
    reloads: int
    reloads_in_a_row: int
    page_seconds: int


DEFAULT: Final = Effort(
    rounds=3,
    wrk_seconds=2,
    call_rounds=2,
    call_seconds=8.0,
    knee_seconds=8.0,
    knee_span=1.15,
    streams=800,
    watched=300,
    watched_seconds=10.0,
    deaf_seconds=70.0,
    calls_in_a_row=10_000,
    forget_seconds=65.0,
    rules=10_000,
    reloads=2,
    reloads_in_a_row=10,
    page_seconds=30,
)

QUICK: Final = Effort(
    rounds=1,
    wrk_seconds=1,
    call_rounds=1,
    call_seconds=2.0,
    knee_seconds=4.0,
    knee_span=2.0,
    streams=80,
    watched=30,
    watched_seconds=3.0,
    deaf_seconds=3.0,
    calls_in_a_row=60,
    forget_seconds=0.0,
    rules=1_000,
    reloads=1,
    reloads_in_a_row=1,
    page_seconds=3,
)
"""Whether everything runs: its figures mean nothing."""


@dataclass
class Bench:
    """One run of the benchmarks. ``raw`` is what is kept of it beside the table."""

    folder: Path
    effort: Effort
    first: Version | None
    raw: dict[str, object] = field(default_factory=dict)
    _folders: int = 0

    @property
    def versions(self) -> tuple[Version, ...]:
        """This version, and 0.1 if it is there."""
        return (NOW,) if self.first is None else (NOW, self.first)

    def beside(self, figures: Mapping[Version, float]) -> Beside | None:
        """What version 0.1 came to, if it is there."""
        return None if self.first is None else Beside(self.first.name, figures[self.first])

    def new_folder(self) -> Path:
        """A folder that nobody has used."""
        self._folders += 1
        folder = self.folder / str(self._folders)
        folder.mkdir()
        return folder


Scenario = Callable[[Bench], AsyncIterator[Row]]
"""Measures, and yields the rows that come of it, each as soon as it is known."""

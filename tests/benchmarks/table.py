"""The table that ``make bench`` prints: what was measured, beside what, and whether that reaches its goal."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal


class Verdict(StrEnum):
    """Whether a goal is reached; ``open`` where what it is compared with is missing."""

    OK = "ok"
    MISS = "MISS"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit of the figure itself, or of its ratio to what is beside it."""

    limit: float
    side: Literal["at most", "at least"]
    of: Literal["figure", "ratio"]

    def reached_by(self, value: float) -> bool:
        """Whether a value is on the right side of the limit, as precisely as the table shows it."""
        return value <= self.limit if self.side == "at most" else value >= self.limit


@dataclass(frozen=True, slots=True)
class Beside:
    """The same figure of something else: ``name`` says of what."""

    name: str
    figure: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``faults`` are answers and calls that went wrong meanwhile: with them no goal is reached."""

    what: str
    figure: float
    unit: str
    goal: Goal
    beside: Beside | None = None
    ratio: float | None = None
    """Of the figure to what is beside it, where it is not simply that, such as the median of several pairs."""
    faults: tuple[str, ...] = ()

    @property
    def shown_ratio(self) -> float | None:
        """The ratio to what is beside it, if anything is."""
        if self.ratio is not None or self.beside is None:
            return self.ratio
        return self.figure / self.beside.figure if self.beside.figure else None

    @property
    def verdict(self) -> Verdict:
        """Whether the goal is reached."""
        value = self.figure if self.goal.of == "figure" else self.shown_ratio
        if self.faults:
            return Verdict.MISS
        if value is None:
            return Verdict.OPEN
        return Verdict.OK if self.goal.reached_by(value) else Verdict.MISS


HEADING: Final = f"{'':<4} {'what':<66} {'now':>12}  {'beside':>18} {'ratio':>6}  goal"


def lines(row: Row) -> Iterable[str]:
    """A row as it is printed, and a line for each fault."""
    beside = "" if row.beside is None else f"{row.beside.name} {amount(row.beside.figure, row.unit)}"
    ratio = "" if row.shown_ratio is None else f"{row.shown_ratio:.2f}"
    goal = f"{row.goal.side} {amount(row.goal.limit, row.unit if row.goal.of == 'figure' else '')}"
    yield f"{row.verdict:<4} {row.what:<66} {amount(row.figure, row.unit):>12}  {beside:>18} {ratio:>6}  {goal}".rstrip()
    yield from (f"     fault: {fault}" for fault in row.faults)


def amount(value: float, unit: str) -> str:
    """A figure with three digits or so, and its unit."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {unit}".rstrip()

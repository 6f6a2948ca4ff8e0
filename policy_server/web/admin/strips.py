"""A strip of the last hours: a bar for every five minutes, of so many of each kind, and the same in words."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

MINUTES_OF_BAR: Final = 5
BARS: Final = 72
"""Bars of a strip: six hours."""

BARS_OF_ROW: Final = 12
"""Bars that are a row of the table: an hour."""

WIDTH: Final = 10
HEIGHT: Final = 100
"""Of a bar and of a strip, in units of the picture."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar, of one kind, and what to draw it as."""

    kind: str
    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of what is counted: its name, what it is drawn as, and how many there are in all."""

    name: str
    kind: str
    total: int


@dataclass(frozen=True, slots=True)
class Strip:
    """A strip: how many there are in all, and in the highest bar; ``rows`` has of each hour its beginning and the number of
    each series, the last hour first; ``hours`` is where whole hours begin, with their names.
    """

    title: str
    series: tuple[Series, ...]
    pieces: tuple[Piece, ...]
    total: int
    highest: int
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    hours: tuple[tuple[int, str], ...]

    @property
    def words(self) -> str:
        """The picture in a sentence."""
        if not self.total:
            return f"{self.title}: none in the last six hours."
        parts = ", ".join(f"{each.total:,} {each.name}" for each in self.series if each.total)
        return f"{self.title} in the last six hours: {parts}; at the most {self.highest:,} in five minutes."


def strip_of(
    title: str,
    counts: Counter[tuple[str, int]],
    series: Mapping[str, frozenset[str]],
    kinds: Mapping[str, str],
    now: datetime,
) -> Strip:
    """The strip of what was counted by word and minute since 1970. ``series`` says which words are drawn together, from the
    bottom up; what is in none of them is not drawn.
    """
    last = int(now.timestamp() // 60) // MINUTES_OF_BAR
    first = last - BARS + 1
    name_of = {word: name for name, words in series.items() for word in words}
    bars: list[Counter[str]] = [Counter() for _ in range(BARS)]
    for (word, minute), count in counts.items():
        bar = minute // MINUTES_OF_BAR - first
        if 0 <= bar < BARS and word in name_of:
            bars[bar][name_of[word]] += count
    highest = max(bar.total() for bar in bars)
    pieces = []
    for number, counted in enumerate(bars):
        y = float(HEIGHT)
        for name in series:
            if counted[name]:
                height = HEIGHT * counted[name] / highest
                y -= height
                pieces.append(Piece(kinds[name], number * WIDTH, round(y, 2), round(height, 2)))
    totals: Counter[str] = sum(bars, Counter())
    rows = []
    for start in range(0, BARS, BARS_OF_ROW):
        hour: Counter[str] = sum(bars[start : start + BARS_OF_ROW], Counter())
        rows.append((_clock(first + start), tuple(hour[name] for name in series)))
    return Strip(
        title,
        tuple(Series(name, kinds[name], totals[name]) for name in series),
        tuple(pieces),
        totals.total(),
        highest,
        tuple(reversed(rows)),
        tuple(
            (number * WIDTH, _clock(first + number))
            for number in range(BARS)
            if (first + number) * MINUTES_OF_BAR % 60 == 0
        ),
    )


def _clock(bar: int) -> str:
    return datetime.fromtimestamp(bar * MINUTES_OF_BAR * 60, UTC).strftime("%H:%M")

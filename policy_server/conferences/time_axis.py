"""An axis for what happened along time, on which long silences take little room. Pure.

It is made of *pieces*, on each of which time goes evenly, with *breaks* between them.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from math import ceil
from typing import Final, NamedTuple

LONG: Final = 60.0
"""Seconds of silence that may be left out, where they are out of proportion to what else there is."""

_OUT_OF_PROPORTION: Final = 2.0
_BREAK: Final = 0.06
_BREAKS: Final = 0.4
_PIECES: Final = 0.3
"""Shares of the axis: a break, all breaks at the most, and what pieces have whatever their lengths."""

_TICKS: Final = 9
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_DAY: Final = _STEPS[-1]
_HOUR: Final = timedelta(hours=1)


class Piece(NamedTuple):
    """A part of the axis: from when to when, and where it lies, from 0 to 1."""

    begin: datetime
    end: datetime
    left: float
    right: float


class Tick(NamedTuple):
    """A moment to write at the axis, and where."""

    at: datetime
    place: float
    is_short: bool
    """Is told without seconds."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Pieces in order; between two there is a break."""

    pieces: tuple[Piece, ...]

    def place(self, at: datetime) -> float:
        """Where a moment lies, from 0 to 1; what is outside of the axis lies at its nearer end."""
        number = bisect_right(self.pieces, at, key=lambda piece: piece.begin) - 1
        if number < 0:
            return self.pieces[0].left
        begin, end, left, right = self.pieces[number]
        if begin == end:
            # A moment between two silences lies in the middle of its piece.
            return (left + right) / 2 if at == begin or number == len(self.pieces) - 1 else right
        return left + (right - left) * min(1.0, (at - begin) / (end - begin))

    @property
    def breaks(self) -> tuple[tuple[float, float, float], ...]:
        """Where each begins and ends, and how many seconds it leaves out."""
        return tuple(
            (before.right, after.left, (after.begin - before.end).total_seconds())
            for before, after in pairwise(self.pieces)
        )

    def ticks(self, zone: tzinfo | None) -> Iterator[Tick]:
        """Moments that are round on the clock of a zone, as many as can be read, and the first of every piece."""
        for piece in self.pieces:
            seconds, share = (piece.end - piece.begin).total_seconds(), piece.right - piece.left
            wanted = max(1.0, _TICKS * share)
            step = next((step for step in _STEPS if seconds / step <= wanted), _DAY * ceil(seconds / wanted / _DAY))
            is_short = step % 60 == 0
            if seconds < step:
                yield Tick(piece.begin, self.place(piece.begin), False)
                continue
            every = timedelta(seconds=step)
            at = _round(piece.begin.astimezone(UTC), every, zone)
            while at <= piece.end:
                yield Tick(at, self.place(at), is_short)
                # The clock may be put forward before the next one.
                at = _round(at + (every - _HOUR if every > _HOUR else every), every, zone)


def _round(at: datetime, step: timedelta, zone: tzinfo | None) -> datetime:
    """The first moment from one in UTC on that is midnight on the clock of a zone, or some steps after it.

    Counted on in UTC: what a clock shows may not be there, or come twice, where it is put forward or back.
    """
    step = min(step, timedelta(days=1))
    while past := _since_midnight(at.astimezone(zone)) % step:
        at += step - past
    return at


def _since_midnight(local: datetime) -> timedelta:
    """By what the clock shows."""
    return local - local.replace(hour=0, minute=0, second=0, microsecond=0)


def axis_of(moments: Iterable[datetime]) -> Axis:
    """The axis on which some moments can be told apart. Raises ValueError where there are none."""
    times = sorted(set(moments))
    if not times:
        raise ValueError("an axis is of one moment at the least")
    longest = _longest_kept([(later - earlier).total_seconds() for earlier, later in pairwise(times)])
    runs = [[times[0], times[0]]]
    for at in times[1:]:
        if (at - runs[-1][1]).total_seconds() > longest:
            runs.append([at, at])
        else:
            runs[-1][1] = at
    return Axis(tuple(_laid_out([(begin, end) for begin, end in runs])))


def _longest_kept(silences: Iterable[float]) -> float:
    """The longest silence that stays as it is: the next longer one is out of proportion to all that are shorter."""
    together = longest = 0.0
    for seconds in sorted(silences):
        if together and seconds > max(LONG, _OUT_OF_PROPORTION * together):
            break
        together, longest = together + seconds, seconds
    return longest


def _laid_out(runs: Sequence[tuple[datetime, datetime]]) -> Iterator[Piece]:
    breaks = len(runs) - 1
    width = min(_BREAK, _BREAKS / breaks) if breaks else 0.0
    lengths = [(end - begin).total_seconds() for begin, end in runs]
    whole = sum(lengths)
    room = 1.0 - width * breaks
    even = room if not whole else room * _PIECES if breaks else 0.0
    left = 0.0
    for number, ((begin, end), seconds) in enumerate(zip(runs, lengths, strict=True)):
        share = even / len(runs) + (room - even) * (seconds / whole if whole else 0.0)
        right = 1.0 if number == breaks else min(1.0, left + share)
        yield Piece(begin, end, left, right)
        left = min(1.0, right + width)

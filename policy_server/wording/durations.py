"""Spans of time as people write them: ``4h``, ``90m``, ``1d 12h``, ``30s``."""

import re
from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400

_UNITS: Final = (("d", DAY, 4), ("h", 3600, 5), ("m", 60, 6), ("s", 1, 8))
"""Each unit with its seconds and the most digits before it, in the order in which they are written."""

PATTERN: Final = r"^(?=\s*[0-9])\s*" + "".join(
    rf"(?:([0-9]{{1,{digits}}})[{unit}{unit.upper()}])?\s*" for unit, _, digits in _UNITS
)
"""A regular expression for durations, for Python and for JSON Schema, without its end."""

_DURATION: Final = re.compile(PATTERN + r"\Z")


@dataclass(frozen=True, slots=True)
class Durations:
    """Which durations a value may have: from ``shortest`` to ``longest`` seconds; ``examples`` are for messages."""

    shortest: int
    longest: int
    examples: str

    def seconds(self, text: str) -> int | None:
        """A text in seconds; ``None`` if it is no duration or not one of these."""
        seconds = parse_duration(text)
        return seconds if seconds is not None and self.shortest <= seconds <= self.longest else None

    def fault(self, name: str, told: str) -> str:
        """Says that `name` must be one of these but is what is told."""
        return f"{name} must be a duration {self}, such as {self.examples}, but is {told}"

    def __str__(self) -> str:
        longest = duration(self.longest)
        return f"from {duration(self.shortest)} to {longest}" if self.shortest else f"up to {longest}"


def parse_duration(text: str) -> int | None:
    """A text in seconds; ``None`` for anything that is no duration, and for nothing."""
    match = _DURATION.match(text)
    if match is None:
        return None
    return sum(int(count or 0) * seconds for count, (_, seconds, _) in zip(match.groups(), _UNITS, strict=True))


def duration(seconds: int) -> str:
    """Seconds as text, in the largest unit that says them in a whole number."""
    unit, size = next((unit, size) for unit, size, _ in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"

"""How long this replica waits for its database, and how much it remembers while that is away."""

from dataclasses import dataclass
from typing import Final

ROOMS: Final = 20_000
"""Rooms that may be held at a time: more than Pexip can run, and an end to what strangers can make us remember."""

OPEN_ROOMS: Final = 2_000
"""Of these, how many may be rooms that no signed link led to, unless it is set otherwise: anybody who can dial an alias
makes those.
"""


@dataclass(slots=True)
class Pace:
    """Seconds."""

    hold: float = 0.25
    """A policy answer waits so long for its room to be held (README.md: Held rooms)."""
    start: float = 3.0
    """The start waits so long for what the store knows."""
    stop: float = 3.0
    """The end waits so long until everything is written."""
    gather: float = 0.05
    """Notes wait so long at the most for something else to be written with."""
    retry: float = 1.0
    """After a failure, until it is tried again."""
    tidy: float = 60.0
    """Between two times at which what is over is forgotten here, and what is too old is deleted from the store."""
    check: float = 15.0
    """Between two looks at whether a notice of a change was lost that somebody here waits for."""
    say: float = 60.0
    """Between two lines of the log that say the same."""


@dataclass(slots=True)
class Limits:
    """Numbers of things."""

    rooms: int = ROOMS
    open_rooms: int = OPEN_ROOMS
    notes: int = 20_000
    """Timeline entries that may wait for a database that is away; what comes beyond is dropped and counted."""

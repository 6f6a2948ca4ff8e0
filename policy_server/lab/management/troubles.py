"""What is wrong with the Management Node, on command."""

from dataclasses import dataclass
from enum import Enum, auto


class Dials(Enum):
    """What becomes of a dial that was accepted."""

    PLACED = auto()
    FORGOTTEN = auto()
    """Nobody is called, and nobody is told."""
    FAILED = auto()
    """The call begins and ends at once, with a reason."""


@dataclass(slots=True)
class Troubles:
    """Set the fields while it runs; ``clear`` makes all well.

    ``delay`` is seconds before each answer, ``status`` what every request is answered with if it is not 0 (with
    ``retry_after`` in the header if that is not 0), ``lag`` how many seconds old the status may be. ``loses_answers``: what
    is asked is done, and the connection ends without an answer.
    """

    delay: float = 0.0
    status: int = 0
    retry_after: int = 0
    lag: float = 0.0
    loses_answers: bool = False
    dials: Dials = Dials.PLACED

    def clear(self) -> None:
        """Makes all well."""
        fresh = Troubles()
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

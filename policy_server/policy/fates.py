"""How calls to a trunk go where they are only played, in rule tests and in ``simulate``, and what came of a call by it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never


class Failure(StrEnum):
    """Why nobody answers."""

    BUSY = "busy"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"
    """It rings, until the far end gives up."""
    SILENT = "silent"
    """Nothing comes back at all, and nobody gives up."""

    @property
    def ends_after(self) -> float | None:
        """Seconds after which such a call ends by itself, in a play; ``None`` for never."""
        match self:
            case Failure.BUSY | Failure.REJECTED:
                return 1.0
            case Failure.UNREACHABLE:
                return 5.0
            case Failure.NO_ANSWER:
                return 20.0
            case Failure.SILENT:
                return None
            case _:
                assert_never(self)

    @property
    def text(self) -> str:
        """What a call that ended so was."""
        return {Failure.NO_ANSWER: "not answered"}.get(self, self.value)


@dataclass(frozen=True, slots=True)
class Fails:
    """A call that nobody answers."""

    how: Failure


@dataclass(frozen=True, slots=True)
class Answers:
    """A call that is answered ``after`` so many seconds, unless it is ended before; whoever answered hangs up when they have
    talked for ``talks`` seconds, and with ``None`` stays.
    """

    after: float
    talks: float | None = None


Fate = Fails | Answers

ANSWERS_AFTER: Final = 3.0
"""Seconds until a call is answered of which nothing else is said."""

FateOf = Callable[[str, int], Fate | None]
"""What becomes of a call: by the trunk, or the alias that is dialled where there is none, and how often that was dialled
before. ``None``: that was not said.
"""


class LegsOutcome(StrEnum):
    """What became of a customer, in a play."""

    ANSWERED = "answered"
    """A leg was connected."""
    KEPT = "kept"
    """Nobody was reached, and the customer stays in the room."""
    DISCONNECTED = "disconnected"
    """Nobody was reached, and the room was ended."""
    TRANSFERRED = "transferred"
    """Nobody was reached, and the customer was transferred."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened in a play, so many seconds after the customer came."""

    at: float
    text: str

    def __str__(self) -> str:
        return f"{self.at:g}s: {self.text}"


@dataclass(frozen=True, slots=True)
class PlayedLegs:
    """How a call went: what was dialled in order, what became of the customer, and whether the server ended the room.

    ``untold`` are those of ``dialled`` whose fate was not said; they were taken to be silent.
    """

    dialled: tuple[str, ...]
    outcome: LegsOutcome
    ends: bool
    happenings: tuple[Happening, ...]
    untold: tuple[str, ...] = ()

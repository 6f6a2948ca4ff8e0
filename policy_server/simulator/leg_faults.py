"""Legs that fail on purpose, so that people see what their own rules do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from policy_server.conferences.played_legs import play_legs
from policy_server.policy.assurance import Assurance
from policy_server.policy.decisions import Serve
from policy_server.policy.fates import ANSWERS_AFTER, Answers, Fails, Failure, Fate, PlayedLegs
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.services import LEGS

LATE: Final = 1.0
"""Seconds by which an answer is late."""

DROPS_AFTER: Final = 1.0
"""Seconds after which a leg ends that drops."""


class Fault(StrEnum):
    """What is wrong with a leg."""

    BUSY = "busy"
    REJECTED = "rejected"
    SILENT = "silent"
    LATE = "late"
    """It answers, and too late."""
    DROPS = "drops"
    """It answers, and is gone at once."""

    def fate(self, assurance: Assurance) -> Fate:
        """What becomes of a call."""
        match self:
            case Fault.BUSY | Fault.REJECTED | Fault.SILENT:
                return Fails(Failure(self.value))
            case Fault.LATE:
                return Answers(assurance.answer_within + LATE)
            case Fault.DROPS:
                return Answers(ANSWERS_AFTER, talks=DROPS_AFTER)
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True)
class FaultyPlay:
    """A call that was played, and which of its legs failed."""

    title: str
    legs: PlayedLegs


def play_faulty(ruleset: Ruleset, decision: Serve, fault: Fault, at: datetime) -> Sequence[FaultyPlay]:
    """Plays a call whose first leg has a fault, while all that is dialled later answers; and one in which every leg has it,
    where that differs. Nothing if the decision dials no trunk.
    """
    assurance = decision.template.assurance if decision.template is not None else None
    fate = fault.fate(assurance or Assurance())
    dialled = decision.service.get(LEGS)
    first = len(dialled) if isinstance(dialled, list) else 0
    calls = iter(range(first))

    def with_room(called: str, before: int) -> Fate:
        # What the node dials with the room comes before all else.
        return fate if next(calls, None) is not None else Answers(ANSWERS_AFTER)

    one = play_legs(ruleset, decision, with_room, at)
    every = play_legs(ruleset, decision, lambda called, before: fate, at)
    if one is None or every is None:
        return ()
    plays = [FaultyPlay(f"The first leg: {fault}. Those that are dialled later answer.", one)]
    return plays if one == every else [*plays, FaultyPlay(f"Every leg: {fault}.", every)]

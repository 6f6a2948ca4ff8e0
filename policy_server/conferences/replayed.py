"""What came of a replay, summed up for whoever reads it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from policy_server.conferences.replay import Compared, Unseen
from policy_server.wording.values import shown


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of questions: who answered how then, and now."""

    then: str
    now: str


class Replayed:
    """The questions that were decided again, those of them that would be answered differently, and those that could not be
    looked at.
    """

    def __init__(self, results: Iterable[Compared | Unseen]) -> None:
        whole = tuple(results)
        self.compared: Final = tuple(each for each in whole if isinstance(each, Compared))
        self.unseen: Final = tuple(each for each in whole if isinstance(each, Unseen))
        self.different: Final = tuple(each for each in self.compared if each.differs)
        self.by_another_rule: Final = sum(not each.differs and each.rule != each.logged.rule for each in self.compared)
        """Questions that another rule answers the same."""

    @property
    def moves(self) -> list[tuple[Move, int]]:
        """What became of how many that differ, the most first."""
        moves = (
            Move(_by(each.logged.rule, each.logged.outcome), _by(each.rule, each.outcome)) for each in self.different
        )
        return Counter(moves).most_common()

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why so many could not be looked at, the most first."""
        return Counter(each.why for each in self.unseen).most_common()


def _by(rule: str | None, outcome: str) -> str:
    return f"{outcome} by {f'rule {shown(rule)}' if rule else 'no rule'}"

"""How often each rule answered, and which answers there were, counted by each process from its start, and added up."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from policy_server.pexip.request_types import RequestType

MINUTES: Final = 60


STRIP_MINUTES: Final = 360
"""Minutes for which answers are counted by outcome."""


class Minutes:
    """How often something happened, minute by minute, for so many of them."""

    __slots__ = ("_kept", "_minutes")

    def __init__(self, kept: int) -> None:
        self._kept: Final = kept
        self._minutes: Final[deque[list[int]]] = deque()

    def count(self, seconds: float) -> None:
        """It happened, at a time since 1970."""
        minute, minutes = int(seconds // 60), self._minutes
        if minutes and minutes[-1][0] == minute:
            minutes[-1][1] += 1
            return
        minutes.append([minute, 1])
        while minutes[0][0] <= minute - self._kept:
            minutes.popleft()

    def until(self, now: datetime) -> list[tuple[int, int]]:
        """Each minute since 1970 in which it happened, with how often, of those until now."""
        oldest = int(now.timestamp() // 60) - self._kept
        # A copy, since it may happen meanwhile.
        return [(minute, count) for minute, count in list(self._minutes) if minute > oldest]


@dataclass(slots=True)
class _Counted:
    total: int = 0
    last: float = 0.0
    minutes: Minutes = field(default_factory=lambda: Minutes(MINUTES))


@dataclass(frozen=True, slots=True)
class Hits:
    """Answers of a rule: since the start, in the last hour, and when the last one was, in seconds since 1970; 0 for never."""

    total: int = 0
    hour: int = 0
    last: float = 0.0

    def __add__(self, other: "Hits") -> "Hits":
        """Those of another process beside these."""
        return Hits(self.total + other.total, self.hour + other.hour, max(self.last, other.last))


NO_HITS: Final = Hits()

HITS: Final = "hits"
"""What processes ask each other for ``RuleHits.told``."""


class RuleHits:
    """The counts of all rules. A rule that a reload brings back goes on where it was."""

    def __init__(self) -> None:
        self._rules: Final[dict[tuple[RequestType, str], _Counted]] = {}

    def count(self, question: RequestType, rule: str, at: datetime) -> None:
        """Counts one answer."""
        seconds = at.timestamp()
        counted = self._rules.get((question, rule))
        if counted is None:
            counted = self._rules[question, rule] = _Counted()
        counted.total += 1
        counted.last = seconds
        counted.minutes.count(seconds)

    def of(self, question: RequestType, rule: str, now: datetime) -> Hits:
        """What was counted of a rule."""
        counted = self._rules.get((question, rule))
        if counted is None:
            return NO_HITS
        return Hits(counted.total, sum(count for _, count in counted.minutes.until(now)), counted.last)

    def told(self, now: datetime) -> list[tuple[str, str, int, int, float]]:
        """What was counted of every rule, for other processes: question, rule, and what ``Hits`` has."""
        found = ((question, rule, self.of(question, rule, now)) for question, rule in list(self._rules))
        return [(question.value, rule, hits.total, hits.hour, hits.last) for question, rule, hits in found]


def added_up(processes: Iterable[Iterable[tuple[str, str, int, int, float]]]) -> Mapping[tuple[str, str], Hits]:
    """What several processes told, by question and rule."""
    found: dict[tuple[str, str], Hits] = {}
    for told in processes:
        for question, rule, total, hour, last in told:
            found[question, rule] = found.get((question, rule), NO_HITS) + Hits(total, hour, last)
    return found


class OutcomeCounts:
    """Answers by outcome, minute by minute."""

    def __init__(self) -> None:
        self._outcomes: Final[dict[str, Minutes]] = {}

    def count(self, outcome: str, at: datetime) -> None:
        """Counts one answer. There are a few outcomes, words of ours."""
        minutes = self._outcomes.get(outcome)
        if minutes is None:
            minutes = self._outcomes[outcome] = Minutes(STRIP_MINUTES)
        minutes.count(at.timestamp())

    def told(self, now: datetime) -> dict[str, list[tuple[int, int]]]:
        """What was counted, for other processes: of each outcome the minutes since 1970, with how often it was."""
        return {outcome: minutes.until(now) for outcome, minutes in list(self._outcomes.items())}

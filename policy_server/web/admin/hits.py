"""How often each rule answered, counted by the process that answers, from its start."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from policy_server.pexip.request_types import RequestType

MINUTES: Final = 60


@dataclass(slots=True)
class _Counted:
    total: int = 0
    last: float = 0.0
    minutes: deque[list[int]] = field(default_factory=deque)
    """Each minute since 1970 in which it answered, with how often; those of the last hour."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Answers of a rule: since the start, in the last hour, and when the last one was, in seconds since 1970; 0 for never."""

    total: int = 0
    hour: int = 0
    last: float = 0.0


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
        minute, minutes = int(seconds // 60), counted.minutes
        if minutes and minutes[-1][0] == minute:
            minutes[-1][1] += 1
            return
        minutes.append([minute, 1])
        while minutes[0][0] <= minute - MINUTES:
            minutes.popleft()

    def of(self, question: RequestType, rule: str, now: datetime) -> Hits:
        """What was counted of a rule."""
        counted = self._rules.get((question, rule))
        if counted is None:
            return Hits()
        oldest = int(now.timestamp() // 60) - MINUTES
        return Hits(counted.total, sum(count for minute, count in counted.minutes if minute > oldest), counted.last)

"""What is noted once a minute, however often it happens."""

from collections.abc import Hashable
from datetime import datetime
from typing import Final


class OnceAMinute:
    """Remembers what happened within the minute."""

    __slots__ = ("_happened", "_minute")

    def __init__(self) -> None:
        self._happened: Final[set[Hashable]] = set()
        self._minute = 0

    def __len__(self) -> int:
        return len(self._happened)

    def is_first(self, what: Hashable, now: datetime, limit: int) -> bool:
        """Whether this happens for the first time in its minute; with more than ``limit`` remembered, all is forgotten."""
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self._happened.clear()
            self._minute = minute
        elif what in self._happened:
            return False
        if len(self._happened) >= limit:
            self._happened.clear()
        self._happened.add(what)
        return True

"""What is noted once a minute, however often it happens."""

from collections.abc import Hashable
from datetime import datetime
from typing import Final


class OnceAMinute:
    """Remembers what happened in which minute."""

    __slots__ = ("_minutes",)

    def __init__(self) -> None:
        self._minutes: Final[dict[Hashable, int]] = {}

    def is_first(self, what: Hashable, now: datetime, limit: int) -> bool:
        """Whether this happens for the first time in its minute; with more than ``limit`` remembered, all is forgotten."""
        minute = int(now.timestamp()) // 60
        if self._minutes.get(what) == minute:
            return False
        if len(self._minutes) >= limit:
            self._minutes.clear()
        self._minutes[what] = minute
        return True

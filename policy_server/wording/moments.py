"""Moments as people and programs write them: ISO 8601 with an offset from UTC."""

from datetime import datetime
from typing import Final

MOMENT: Final = "a moment with its offset from UTC, such as 2026-11-23T10:00:00-06:00,"
"""What a value must be, for messages."""
FIRST_YEAR, LAST_YEAR = 1971, 2479
"""No link can begin before 1970 or end after 2480 (``policy.names``)."""


def parse_moment(text: str) -> datetime | None:
    """A text as a time with an offset; ``None`` for anything else, and for a time without one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None

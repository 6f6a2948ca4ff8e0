"""Moments as people and programs write them: ISO 8601 with an offset from UTC, or by the clock of a place."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

import orjson

MOMENT: Final = "a moment with its offset from UTC, such as 2026-11-23T10:00:00-06:00,"
"""What a value must be, for messages."""
SAID: Final = "a time such as 14:05, 2026-11-23 or 2026-11-23T14:05"
"""What a value must be that is read by the clock of a place."""
FIRST_YEAR, LAST_YEAR = 1971, 2479
"""No link can begin before 1970 or end after 2480 (``policy.names``)."""


def parse_moment(text: str) -> datetime | None:
    """A text as a time with an offset; ``None`` for anything else, and for a time without one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def to_the_millisecond(moment: datetime) -> str:
    """A moment as programs read it, as ``isoformat`` writes it."""
    if moment.tzinfo is not UTC:
        return moment.isoformat(timespec="milliseconds")
    # Nearly all are, and a call needs some sixty: so they cost a third.
    written = orjson.dumps(moment).decode()
    return f"{written[1:24]}+00:00" if moment.microsecond else f"{written[1:20]}.000+00:00"


_TIME_OF_DAY: Final = re.compile(r"[0-2]?[0-9]:[0-5][0-9](:[0-5][0-9])?")


def parse_said(text: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    """A time as people say it, on the clock of ``zone``, ``None`` for this machine's: a time of day is today's. ``None`` for
    what is no time.
    """
    written = text.strip()
    try:
        if _TIME_OF_DAY.fullmatch(written):
            padded = written if written[2] == ":" else f"0{written}"
            written = f"{now.astimezone(zone):%Y-%m-%d}T{padded}"
        at = datetime.fromisoformat(written)
        if at.tzinfo is not None:
            return at
        return at.replace(tzinfo=zone) if zone is not None else at.astimezone()
    except (ValueError, OverflowError):
        return None

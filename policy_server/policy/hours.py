"""Hours of a day as an admin writes them: ``08:00-18:00``."""

import re
from typing import Final

DAY: Final = 1440
"""Minutes of a day."""

Span = tuple[int, int]
"""Hours in minutes since 00:00 of the day they begin on: start, and end (not included). The end may be past 1440, in the
next day."""

_MAX_SHOWN: Final = 60
_HOURS: Final = re.compile(r"\s*([0-9]{2}):([0-9]{2})\s*-\s*([0-9]{2}):([0-9]{2})\s*")


def parse_hours(text: str) -> Span | str:
    """Hours, or what is wrong with their text. An end at or before the start is in the next day."""
    match = _HOURS.fullmatch(text)
    if match is None:
        return f"hours must look like '08:00-18:00' but are {quoted(text)}"
    start_hour, start_minute, end_hour, end_minute = map(int, match.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start_minute > 59 or end_minute > 59 or end > DAY or start > DAY:
        return f"there is no such time of day: {quoted(text)} (hours go from 00:00 to 24:00)"
    if start == DAY:
        return f"hours cannot start at 24:00, but are {quoted(text)}: write 00:00 on the next day"
    if start == end:
        return f"{quoted(text)} starts and ends at the same time: for the whole day write '00:00-24:00'"
    return (start, end) if end > start else (start, end + DAY)


def written_hours(start: int, end: int) -> str:
    """Hours of one day as they are written; the end may be 24:00."""
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


def quoted(text: str) -> str:
    """A text as a message quotes it, cut where it gets long."""
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")

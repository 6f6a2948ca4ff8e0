"""Lines of the decision log, read again: as ``web.decision_log`` writes them, whatever a collector of logs put around."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_TEXT_START: Final = re.compile(r"(?:(\S+)[ \t]+)?decision_id=")
_FIELD: Final = re.compile(r"[ \t]*([\w.~-]+)=")
_BARE: Final = re.compile(r"[^\s\"=]+(?=\s|$)")
_WRAPPERS: Final = ("log", "message", "MESSAGE", "msg")
"""Where Docker, journald and their kin put a line that they write as JSON."""

_DECODER: Final = json.JSONDecoder()
_DEEPEST: Final = 3


def read_line(text: str) -> Mapping[str, Any] | None:
    """The fields of a line of the decision log, in either format, and its ``time``; ``None`` if it is none.

    What stands before the line (the time and the name of a container) does not matter.
    """
    return _read_json(text, _DEEPEST) or _read_text(text.strip())


def _read_json(text: str, depth: int) -> Mapping[str, Any] | None:
    start = text.find("{")
    if start < 0 or depth == 0:
        return None
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if "event" in value and ("decision_id" in value or "schema" in value):
        return value
    inner = next((value[name] for name in _WRAPPERS if isinstance(value.get(name), str)), "")
    return _read_json(inner, depth - 1) or _read_text(inner.strip())


def _read_text(text: str) -> Mapping[str, Any] | None:
    start = _TEXT_START.search(text)
    if start is None:
        return None
    record: dict[str, Any] = {"time": start[1] or ""}
    place = start.end() - len("decision_id=")
    while place < len(text):
        field = _FIELD.match(text, place)
        if field is None:
            return None
        bare = _BARE.match(text, field.end())
        if bare is not None:
            value, place = bare[0], bare.end()
        else:
            try:
                value, place = _DECODER.raw_decode(text, field.end())
            except (ValueError, RecursionError):
                return None
        record[field[1]] = value
    return record if "event" in record else None

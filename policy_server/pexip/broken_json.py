"""JSON that is not quite JSON, read as far as it goes: what many senders write, and what got cut or bent on the way.

Nothing here is recursive, and everything takes time in proportion to the text.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Final

LEFT_OUT: Final = "…"
"""What stands in the place of a value that is too deep to be kept."""

_WHOLE: Final = range(-(2**63), 2**64)
"""The whole numbers that stay whole, as for readers that are strict."""
# A set first, and strings by runs: in megabytes of something else an alternative for each character takes seconds, in
# which nothing else of the process is answered.
_TOKEN: Final = re.compile(r'["\[\]{},](?:(?<=")[^"\\]*(?:\\.[^"\\]*)*"?)?', re.DOTALL)


def decode(body: bytes) -> str:
    """The text of a body in whatever Unicode encoding it is, without byte order mark; what is no text is U+FFFD."""
    return body.decode(json.detect_encoding(body), "replace").removeprefix("\ufeff")


def read(text: str, depth: int) -> object:
    """The value of a text, and ``LEFT_OUT`` for each list or object inside more than ``depth`` others.

    Takes NaN and Infinity, as texts; numbers that no float holds, as their digits; line breaks within texts. Of two
    equal keys the last counts. Raises ValueError.
    """
    return json.loads(
        prune(text, depth), strict=False, parse_constant=str, parse_int=_whole_number, parse_float=_number
    )


def prune(text: str, depth: int) -> str:
    """The text with ``LEFT_OUT`` for each list or object inside more than ``depth`` others."""
    kept: list[str] = []
    level, taken = 0, 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "[{":
            level += 1
            if level == depth + 1:
                kept.append(text[taken : token.start()])
        elif mark in "]}":
            if level == depth + 1:
                kept.append(f'"{LEFT_OUT}"')
                taken = token.end()
            level -= 1
    if level > depth:
        return "".join(kept)
    return "".join((*kept, text[taken:])) if kept else text


def elements(text: str, key: str) -> Iterator[str]:
    """The elements of the list that a text is, or that its object has under ``key``, each as text, to its end or the
    text's.
    """
    level, last, within, start = 0, "", 0, 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "[{":
            level += 1
            is_list = level == 1 or (level == 2 and last == f'"{key}"')
            if mark == "[" and not within and is_list:
                within, start = level, token.end()
        elif within and level == within and mark in ",]":
            yield text[start : token.start()]
            if mark == "]":
                return
            start = token.end()
        elif mark in "]}":
            level -= 1
        if level == 1 and not within:
            last = mark if mark != "{" else last
    if within:
        yield text[start:]


def _whole_number(digits: str) -> int | float | str:
    # Python itself refuses to read thousands of digits.
    if len(digits) <= len(str(_WHOLE.start)) and (number := int(digits)) in _WHOLE:
        return number
    return _number(digits)


def _number(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text

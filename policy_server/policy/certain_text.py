"""Text that stands in whatever an expression matches, so that a value without it need not be compared.

Only what is certain is said.
"""

import re
from typing import Final

_ITEM: Final = re.compile(
    r"""
    (?P<plain>[^\\.^$|?*+()\[\]{}]) | \\(?P<escaped>[^A-Za-z0-9]) | \[(?P<alone>[^\\\]^\[])\]
    | (?P<repeated>[*+?]|\{\d+(?:,\d*)?\})
    | (?P<other>\\[dwsDWSbBAz] | \[\^?\]?(?:\\.|\[:.*?:\]|[^\]\\])*+\] | \(\?P?< | \(\?: | \((?!\?) | [|).^$])
    """,
    re.VERBOSE | re.DOTALL,
)
"""A piece of an expression. Of one that has others too nothing is said."""


def certain_texts(text: str, *, ignore_case: bool) -> tuple[str, ...]:
    """Texts of which each stands in every value that an expression matches, in lower case where it ignores case."""
    if not text.isascii():
        return ()
    found: list[str] = []
    current = ""
    depth = place = 0
    while place < len(text):
        item = _ITEM.match(text, place)
        if item is None or (item[0] == "|" and depth == 0):
            return ()
        place = item.end()
        character = item["plain"] or item["escaped"] or item["alone"]
        if depth == 0 and character is not None:
            current += character
            continue
        if item["repeated"]:
            # Of the last one there may be none, or more.
            current = current[:-1]
        found.append(current)
        current = ""
        depth += {"(": 1, ")": -1}.get(item[0][0], 0)
    found.append(current)
    return tuple(each.lower() if ignore_case else each for each in found if each)

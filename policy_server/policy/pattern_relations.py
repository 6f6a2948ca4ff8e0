"""What one regular expression says of another: that it matches all that the other does, or nothing of it.

Only what is certain is said.
"""

import re
from functools import lru_cache
from typing import Final

from policy_server.policy.patterns import Pattern, compile_pattern

_ANY_TEXT: Final = re.compile(r"(?:\(\?s\))?(?:\.[*+]|\((?:\?P?<\w+>|\?:)?\.[*+]\))\Z")
_FLAGS: Final = re.compile(r"\(\?[imsU]+\)")


def covers(wide: Pattern, narrow: Pattern, *, clean: bool) -> bool:
    """Whether ``wide`` matches whatever ``narrow`` does; ``clean``: of texts that have no line breaks."""
    if clean:
        wide, narrow = bare(wide), bare(narrow)
    if narrow.ignore_case and not wide.ignore_case:
        return wide == narrow or (clean and _ANY_TEXT.match(wide.text) is not None)
    if wide == narrow or (clean and _ANY_TEXT.match(wide.text)):
        return True
    if narrow.literal is not None:
        return wide.match(narrow.literal) is not None
    prefix = _open_prefix(wide) if clean else ""
    return bool(prefix) and narrow.prefix.startswith(prefix)


def differ(one: Pattern, other: Pattern) -> bool:
    """Whether no text matches both."""
    if one.literal is not None:
        return other.match(one.literal) is None
    if other.literal is not None:
        return one.match(other.literal) is None
    return not one.prefix.startswith(other.prefix) and not other.prefix.startswith(one.prefix)


def open_prefix(pattern: Pattern) -> str | None:
    """The text with which every value that it matches begins, if it matches all of these; ``""`` if it matches any."""
    if pattern.literal is not None:
        return None
    return _open_prefix(pattern) or ("" if _ANY_TEXT.match(pattern.text) else None)


def _open_prefix(pattern: Pattern) -> str:
    """The text before a final ``.*``; ``""`` when the pattern is not of that form."""
    plain = pattern.text.removesuffix(".*")
    escaped = (len(plain) - len(plain.rstrip("\\"))) % 2 == 1
    if plain == pattern.text or escaped or len(plain.replace("\\", "")) != len(pattern.prefix):
        return ""
    return pattern.prefix


@lru_cache(maxsize=4096)
def bare(pattern: Pattern) -> Pattern:
    """The expression without leading flags and anchors, which change nothing where a whole text without line breaks is
    compared; ``(?i)`` counts as what it says.
    """
    text, ignore_case = pattern.text, pattern.ignore_case
    if (flags := _FLAGS.match(text)) is not None:
        text, ignore_case = text[flags.end() :], ignore_case or "i" in flags[0]
    text = text.removeprefix("^")
    if text.endswith("$") and not text.endswith("\\$"):
        text = text[:-1]
    return pattern if text in ("", pattern.text) else compile_pattern(text, ignore_case=ignore_case)

"""Reading a customer's link as it comes back after mail programs, chat programs and people had it.

(README.md: Names of a call) They put punctuation, quotation marks and brackets around it, break it over two lines,
write it in capitals, encode it again, hide characters in it that nobody sees, and add what follows it or parameters
that tell them where it was clicked. None of that can be part of a session, so whatever is read here is either the one
session that stands there or nothing.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from html import unescape
from typing import Final
from unicodedata import category
from urllib.parse import unquote

from policy_server.policy.ruleset import LinkType

_LONGEST: Final = 2000
"""Characters that are looked at; what follows a session that late is parameters."""
_MOST_ENCODINGS: Final = 4
# Variation selectors and the grapheme joiner are seen as little as those that Unicode calls format characters.
_UNSEEN_MARKS: Final = frozenset("\u034f\ufe0e\ufe0f")

# What is left of a line that was broken: white space, a hyphen, the = of quoted-printable, the > of a quoted mail.
_BREAK: Final = r"[\s=>\u2010\u2011-]*"
_SESSION: Final = rf"(?P<session>[A-Za-z2-7](?:{_BREAK}[A-Za-z2-7]){{31}})"
# No letter or digit of ASCII, and no control character but white space.
_AROUND: Final = r"[^A-Za-z0-9\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
# White space and the like in quoted-printable, or an encoding that was cut.
_ENCODED: Final = r"[=%][0-9A-Fa-f]{2}"
# What ends a link beyond doubt, whatever comes then: parameters, a closing bracket or quotation mark.
_END: Final = r"[?&#\"'<>()\[\]{}|\u2018-\u201e\u00ab\u00bb]"
_AFTER: Final = rf"(?:{_AROUND}|{_ENCODED})*(?:(?<={_END}).*)?"
_BREAKS: Final = re.compile(_BREAK)


def read_link(links: Mapping[str, LinkType], text: str) -> tuple[str, LinkType | None]:
    """The session of what follows ``/join/``, ``""`` when there is none, and its link type if it is a customer's alias."""
    cleaned = undisguised(text[:_LONGEST])
    session = _session_between(cleaned, "", "")
    if session:
        return session, None
    for link_type in links.values():
        if link_type.alias.names != ("session",):
            continue
        session = _session_between(cleaned, *link_type.alias.literals)
        if session:
            return session, link_type
    return "", None


def undisguised(text: str) -> str:
    """The text without encodings and without what nobody sees."""
    for _ in range(_MOST_ENCODINGS):
        decoded = unescape(unquote(text))
        if decoded == text:
            break
        text = decoded
    if text.isascii():
        return text
    return "".join(letter for letter in text if category(letter) != "Cf" and letter not in _UNSEEN_MARKS)


def _session_between(text: str, before: str, after: str) -> str:
    found = _expression(before, after).fullmatch(text)
    return _BREAKS.sub("", found["session"]).lower() if found else ""


@lru_cache(maxsize=256)
def _expression(before: str, after: str) -> re.Pattern[str]:
    literals = [f"(?i:{re.escape(literal)})" if literal else "" for literal in (before, after)]
    return re.compile(rf"{_AROUND}*{literals[0]}{_SESSION}{literals[1]}{_AFTER}", re.DOTALL)

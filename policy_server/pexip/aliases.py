"""The one form in which aliases are compared (pexip/README.md: Encoding).

A compared form is a stretch of what came, in lower case: nothing within it is left out, and every character is one
character of the original. So what a part of it looked like can always be told.
"""

import re
from collections.abc import Set as AbstractSet
from typing import Final

PORT: Final = re.compile(r"(@[^@:]+):[0-9]{1,5}\Z")
SCHEMES: Final = ("sip:", "sips:", "h323:")
PARAMETER_MARKS: Final = ";?"


def folded(text: str) -> str:
    """Text in lower case, character by character: as many come out as went in, whatever stands beside them."""
    if text.isascii():
        return text.lower()
    # RE2 takes the long s for an s, and the final sigma for a sigma, when it ignores case; so do we, or index and
    # match would differ. The Turkish capital with a dot would become two characters.
    text = text.replace("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i").lower()
    return text.replace("\N{LATIN SMALL LETTER LONG S}", "s").replace(
        "\N{GREEK SMALL LETTER FINAL SIGMA}", "\N{GREEK SMALL LETTER SIGMA}"
    )


def bare_alias(text: str) -> str:
    """An alias without scheme and parameters, in lower case: ``sip:Meet.Bob@Example.com;transport=tls`` is
    ``meet.bob@example.com``.
    """
    alias = folded(text)
    if alias.isalnum():
        # There is nothing in it to leave out.
        return alias
    alias = _after_schemes(alias).rstrip()
    if ";" in alias or "?" in alias:
        alias = alias.partition(";")[0].partition("?")[0].rstrip()
    return _without_port(alias)


def normalise_alias(text: str, domains: AbstractSet[str] = frozenset()) -> str:
    """The bare alias, also without ``@domain`` when the domain is one of ``domains`` (given in lower case)."""
    alias = bare_alias(text)
    while domains and "@" in alias:
        user, _, domain = alias.rpartition("@")
        if domain not in domains:
            break
        alias = _without_port(user.rstrip())
    return alias


def original_stretch(text: str, begin: int, end: int) -> str:
    """What stood in an alias as it came where its compared form has the characters from ``begin`` to ``end``."""
    start = len(text) - len(_after_schemes(folded(text)))
    return text[start + begin : start + end]


def _after_schemes(alias: str) -> str:
    alias = alias.lstrip()
    while alias.startswith(SCHEMES):
        alias = alias[alias.index(":") + 1 :].lstrip()
    return alias


def _without_port(alias: str) -> str:
    return PORT.sub(r"\1", alias).rstrip() if ":" in alias else alias

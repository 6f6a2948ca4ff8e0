"""Whether an expression can match any alias in the form in which aliases are compared, and if not, why.

The expression is read into an automaton and walked beside the rules of that form (pexip/aliases.py). What is not
understood of an expression counts as able to match: only what is certain is reported.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cache, lru_cache
from typing import Final, NamedTuple

from policy_server.pexip.aliases import PARAMETER_MARKS, SCHEMES, folded, normalise_alias
from policy_server.pexip.query import clean
from policy_server.policy.automata import ANYTHING, LAST, Automaton, Move, NotUnderstoodError, read_automaton
from policy_server.policy.patterns import Pattern

_HARMLESS: Final = re.compile(
    r"(?:[A-Za-z0-9_.,=<>!~/&#%'\"-]|\\[dw.+*()|/_-]|\[[a-z0-9_.+-]+\]|[()+*|]|\{[0-9,]+\}|\(\?(?:P?<\w+>|:)|[\])}*+a-z0-9.]\?)*\Z"
)
"""Expressions with nothing in them that could stand in the way; most are, and there are many rules."""

_ALIAS: Final = re.compile(r"(?:[A-Za-z0-9_@:/# .-]|\\[.@_/-])+")
"""Expressions that are an alias as it would be written, which they match, whatever else a dot stands for."""

_VARIANTS: Final = {
    "s": "\N{LATIN SMALL LETTER LONG S}",
    "k": "\N{KELVIN SIGN}",
    "\N{GREEK SMALL LETTER SIGMA}": "\N{GREEK SMALL LETTER FINAL SIGMA}",
    "å": "\N{ANGSTROM SIGN}",
}
_USUAL: Final = (*"abmz019.-_+*#:@/ é王", "\N{NO-BREAK SPACE}")
REASONS: Final = {
    "scheme": f"aliases are compared without a scheme ({', '.join(SCHEMES)})",
    "parameters": "aliases are compared without the parameters after ; or ?",
    "port": "aliases are compared without a port",
    "domain": "our own domain is cut off before aliases are compared",
    "blanks": "aliases are compared without white space at their ends",
    "case": "aliases are compared in lower case",
    "controls": "control characters are taken out of what a caller sends",
}
"""What the compared form lacks, in words."""


def why_never(pattern: Pattern, domains: AbstractSet[str]) -> str:
    """Why no alias that is meant matches in its compared form; ``""`` when one may.

    The dots of a domain of ours are meant as dots, though ``.`` is any character.
    """
    text = pattern.text
    for domain in domains:
        if domain in text:
            text = text.replace(domain, re.escape(domain))
    return _why_never(pattern if text == pattern.text else replace(pattern, text=text), domains)


def _why_never(pattern: Pattern, domains: AbstractSet[str]) -> str:
    if _HARMLESS.match(pattern.text) or _matches_itself(pattern, domains):
        return ""
    try:
        automaton = read_automaton(pattern)
        ways = _ways(automaton.moves)
        if _reaches(automaton, ways, domains, frozenset()):
            return ""
        for reason, words in REASONS.items():
            if _reaches(automaton, ways, domains, frozenset({reason})):
                return words
        # Two things at once stand in the way, or nothing that any text could have helps.
        if _reaches(automaton, ways, domains, frozenset(REASONS)):
            return "aliases are compared without scheme, parameters, port and our own domains, in lower case"
    except (NotUnderstoodError, RecursionError):
        pass
    return ""


def _matches_itself(pattern: Pattern, domains: AbstractSet[str]) -> bool:
    """Whether the text of an expression is an alias that it matches, in the form in which aliases are compared."""
    if not pattern.ignore_case or _ALIAS.fullmatch(pattern.text) is None:
        return False
    alias = pattern.text.replace("\\", "").lower()
    return normalise_alias(alias, domains) == alias


# ------------------------------------------------------------------ the compared form


class _Form(NamedTuple):
    """What is to be known of a text to tell, when it ends, whether it is in the compared form.

    ``scheme`` is its beginning while that may become a scheme. ``since_at`` is what follows the last ``@`` while that
    may become one of our domains, ``port`` how near to a port it is: 1 behind ``@``, 2 in a host, 3 behind its colon,
    4 to 8 in digits.
    """

    scheme: str | None = ""
    since_at: str | None = None
    port: int = 0
    blank: bool = False


@lru_cache(maxsize=4096)
def _step(form: _Form, character: str, domains: AbstractSet[str], without: AbstractSet[str]) -> _Form | None:
    """The text with one more character; ``None`` when no text in the compared form begins so."""
    if character in PARAMETER_MARKS and "parameters" not in without:
        return None
    if folded(character) != character and "case" not in without:
        return None
    blank = character.isspace()
    if not blank and not clean(character) and "controls" not in without:
        return None
    if blank and clean(f"a{character}a") == "aa" and "controls" not in without:
        return None
    if blank and form.scheme == "" and "blanks" not in without:
        return None
    scheme = None if form.scheme is None else form.scheme + character
    if scheme in SCHEMES and "scheme" not in without:
        return None
    if scheme is None or not any(known.startswith(scheme) for known in SCHEMES):
        scheme = None
    since_at = "" if character == "@" else None if form.since_at is None else form.since_at + character
    if since_at is not None and not any(domain.startswith(since_at) for domain in domains):
        since_at = None
    return _Form(scheme, since_at, _port(form.port, character), blank)


def _port(port: int, character: str) -> int:
    if character == "@":
        return 1
    if character == ":":
        return 3 if port == 2 else 0
    if port in (1, 2):
        return 2
    return port + 1 if 3 <= port < 8 and character in "0123456789" else 0


def _may_end(form: _Form, domains: AbstractSet[str], without: AbstractSet[str]) -> bool:
    """Whether a text is in the compared form; an empty one counts as missing."""
    return (
        form.scheme != ""
        and not (form.blank and "blanks" not in without)
        and not (form.since_at in domains and "domain" not in without)
        and not (form.port >= 4 and "port" not in without)
    )


# ------------------------------------------------------------------ the expression

Ways = Mapping[int, tuple[tuple[str, ...], int]]
"""For each state with a move the characters that it may be made with, of all that make a difference, and where to."""


def _ways(moves: list[Move | None]) -> Ways:
    """For each state with a move the characters that it may be made with, of all that make a difference, and where to."""
    made = [(state, move) for state, move in enumerate(moves) if move is not None]
    bounds = {bound for _, move in made for low, high in move.ranges for bound in (low, min(high + 1, LAST))}
    told_apart = (chr(code) for bound in bounds for code in (bound, ord(folded(chr(bound)))))
    characters = tuple(dict.fromkeys((*_USUAL, *told_apart)))
    by_code = {ignore_case: _by_code(characters, ignore_case=ignore_case) for ignore_case in (False, True)}
    return {state: (_characters_of(move, characters, by_code[move.ignore_case]), move.after) for state, move in made}


def _by_code(characters: Iterable[str], *, ignore_case: bool) -> dict[int, list[str]]:
    """Characters by the codes in an expression that stand for them."""
    found: dict[int, list[str]] = {}
    for character in characters:
        for code in _codes(character) if ignore_case else (ord(character),):
            found.setdefault(code, []).append(character)
    return found


@cache
def _codes(character: str) -> frozenset[int]:
    """A character and the others that are the same without regard to case."""
    forms = (character, character.upper(), character.lower(), _VARIANTS.get(character, ""))
    return frozenset(ord(form) for form in forms if len(form) == 1)


def _characters_of(move: Move, characters: tuple[str, ...], by_code: dict[int, list[str]]) -> tuple[str, ...]:
    if move.ranges == ANYTHING:
        return () if move.opposite else characters
    hit: set[str] = set()
    for low, high in move.ranges:
        codes = (low,) if low == high else (code for code in by_code if low <= code <= high)
        hit.update(character for code in codes for character in by_code.get(code, ()))
    return tuple(character for character in characters if character not in hit) if move.opposite else tuple(hit)


def _reaches(automaton: Automaton, ways: Ways, domains: AbstractSet[str], without: AbstractSet[str]) -> bool:
    def onwards(state: int, form: _Form) -> Iterator[tuple[int, _Form]]:
        for other in automaton.empty[state]:
            yield other, form
        if state in ways:
            characters, after = ways[state]
            for character in characters:
                changed = _step(form, character, domains, without)
                if changed is not None:
                    yield after, changed

    start = (0, _Form())
    seen = {start}
    stack = [onwards(*start)]
    while stack:
        place = next(stack[-1], None)
        if place is None:
            stack.pop()
        elif place not in seen:
            if place[0] == automaton.end and _may_end(place[1], domains, without):
                return True
            seen.add(place)
            stack.append(onwards(*place))
    return False

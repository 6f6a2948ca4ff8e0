"""Whether an expression can match any alias in the form in which aliases are compared, and if not, why.

The expression is read into an automaton and walked beside the rules of that form (pexip/aliases.py). What is not
understood of an expression counts as able to match: only what is certain is reported.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Final, NamedTuple

from policy_server.pexip.aliases import PARAMETER_MARKS, SCHEMES, folded, normalise_alias
from policy_server.pexip.query import clean
from policy_server.policy.patterns import Pattern

_HARMLESS: Final = re.compile(
    r"(?:[A-Za-z0-9_.,=<>!~/&#%'\"-]|\\[dw.+*()|/_-]|\[[a-z0-9_.+-]+\]|[()+*|]|\{[0-9,]+\}|\(\?(?:P?<\w+>|:)|[\])}*+a-z0-9.]\?)*\Z"
)
"""Expressions with nothing in them that could stand in the way; most are, and there are many rules."""

_ALIAS: Final = re.compile(r"(?:[A-Za-z0-9_@:/# .-]|\\[.@_/-])+")
"""Expressions that are an alias as it would be written, which they match, whatever else a dot stands for."""

_MOST_STATES: Final = 3000
_LAST: Final = 0x10FFFF
_ANYTHING: Final = ((0, _LAST),)
_CLASSES: Final = {
    "d": ((0x30, 0x39),),
    "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "s": ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)),
}
_CONTROLS: Final = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "a": 7}
_VARIANTS: Final = {
    "s": "\N{LATIN SMALL LETTER LONG S}",
    "k": "\N{KELVIN SIGN}",
    "\N{GREEK SMALL LETTER SIGMA}": "\N{GREEK SMALL LETTER FINAL SIGMA}",
    "å": "\N{ANGSTROM SIGN}",
}
_USUAL: Final = (*"abmz019.-_+*#:@/ é王", "\N{NO-BREAK SPACE}")
_FLAGS: Final = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?\)")
_COUNT: Final = re.compile(r"\{(\d+)(,)?(\d*)\}|[?*+]")
_OPENED: Final = re.compile(r"\?(?:P?<\w+>|([imsU]*)(?:-([imsU]+))?:)")
_CODE: Final = re.compile(r"\\x([0-9A-Fa-f]{2})|\\x\{([0-9A-Fa-f]{1,6})\}")
_PROPERTY: Final = re.compile(r"\\[pP](?:[A-Z]|\{\^?\w+\})|\[:\^?[a-z]+:\]")

Ranges = tuple[tuple[int, int], ...]

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


class _NotUnderstoodError(Exception):
    """The expression has something that is not read here."""


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
        automaton = _read(pattern)
        if _reaches(automaton, domains, frozenset()):
            return ""
        for reason, words in REASONS.items():
            if _reaches(automaton, domains, frozenset({reason})):
                return words
        # Two things at once stand in the way, or nothing that any text could have helps.
        if _reaches(automaton, domains, frozenset(REASONS)):
            return "aliases are compared without scheme, parameters, port and our own domains, in lower case"
    except (_NotUnderstoodError, RecursionError):
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


@dataclass(frozen=True, slots=True)
class _Move:
    """One character of some ranges, or of none of them, and the state that it leads to."""

    ranges: Ranges
    opposite: bool
    ignore_case: bool
    after: int


@dataclass(slots=True)
class _Automaton:
    """States by number: where each goes without a character, and with one of some characters. The last is the end."""

    empty: list[list[int]] = field(default_factory=list)
    moves: list[_Move | None] = field(default_factory=list)
    ways: Mapping[int, tuple[tuple[str, ...], int]] = field(default_factory=dict)
    end: int = 0

    def state(self) -> int:
        if len(self.empty) >= _MOST_STATES:
            raise _NotUnderstoodError
        self.empty.append([])
        self.moves.append(None)
        return len(self.empty) - 1


def _ways(moves: list[_Move | None]) -> dict[int, tuple[tuple[str, ...], int]]:
    """For each state with a move the characters that it may be made with, of all that make a difference, and where to."""
    made = [(state, move) for state, move in enumerate(moves) if move is not None]
    bounds = {bound for _, move in made for low, high in move.ranges for bound in (low, min(high + 1, _LAST))}
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


def _characters_of(move: _Move, characters: tuple[str, ...], by_code: dict[int, list[str]]) -> tuple[str, ...]:
    if move.ranges == _ANYTHING:
        return () if move.opposite else characters
    hit: set[str] = set()
    for low, high in move.ranges:
        codes = (low,) if low == high else (code for code in by_code if low <= code <= high)
        hit.update(character for code in codes for character in by_code.get(code, ()))
    return tuple(character for character in characters if character not in hit) if move.opposite else tuple(hit)


def _reaches(automaton: _Automaton, domains: AbstractSet[str], without: AbstractSet[str]) -> bool:
    def onwards(state: int, form: _Form) -> Iterator[tuple[int, _Form]]:
        for other in automaton.empty[state]:
            yield other, form
        if state in automaton.ways:
            characters, after = automaton.ways[state]
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


def _read(pattern: Pattern) -> _Automaton:
    automaton = _Automaton()
    start = automaton.state()
    reader = _Reader(pattern.text, automaton)
    end = reader.alternatives(start, ignore_case=pattern.ignore_case)
    if reader.place != len(pattern.text):
        raise _NotUnderstoodError
    automaton.end = end
    automaton.ways = _ways(automaton.moves)
    return automaton


class _Reader:
    """Reads RE2's syntax from left to right; each method adds to the automaton from a state on, and gives the last."""

    def __init__(self, text: str, automaton: _Automaton) -> None:
        self.text: Final = text
        self.automaton: Final = automaton
        self.place = 0

    def alternatives(self, start: int, *, ignore_case: bool) -> int:
        end = self.automaton.state()
        while True:
            begin = self.automaton.state()
            self.automaton.empty[start].append(begin)
            last, ignore_case = self._sequence(begin, ignore_case=ignore_case)
            self.automaton.empty[last].append(end)
            if not self._take("|"):
                return end

    def _take(self, text: str) -> bool:
        if self.text.startswith(text, self.place):
            self.place += len(text)
            return True
        return False

    def _sequence(self, state: int, *, ignore_case: bool) -> tuple[int, bool]:
        while self.place < len(self.text) and self.text[self.place] not in "|)":
            flags = _FLAGS.match(self.text, self.place)
            if flags is not None:
                ignore_case = "i" not in (flags[2] or "") and (ignore_case or "i" in flags[1])
                self.place = flags.end()
            else:
                state = self._repeated(state, ignore_case=ignore_case)
        return state, ignore_case

    def _repeated(self, state: int, *, ignore_case: bool) -> int:
        begin = self.place
        last = self._once(state, ignore_case=ignore_case)
        end = self.place
        counted = _COUNT.match(self.text, self.place)
        if counted is None:
            return last
        if counted[1] is None:
            low, high = {"?": (0, 1), "*": (0, None), "+": (1, None)}[counted[0]]
        else:
            low, high = int(counted[1]), int(counted[3]) if counted[3] else None if counted[2] else int(counted[1])

        def again(state: int) -> int:
            self.place = begin
            state = self._once(state, ignore_case=ignore_case)
            if self.place != end:
                raise _NotUnderstoodError
            return state

        if low == 0:
            self.automaton.empty[state].append(last)
        for _ in range(low - 1):
            last = again(last)
        if high is None:
            hub = self.automaton.state()
            self.automaton.empty[last].append(hub)
            self.automaton.empty[again(hub)].append(hub)
            last = hub
        else:
            for _ in range(high - max(low, 1)):
                more = again(last)
                self.automaton.empty[last].append(more)
                last = more
            if high == 0:
                raise _NotUnderstoodError
        self.place = counted.end()
        self._take("?")
        if self.text[self.place : self.place + 1] in ("?", "*", "+", "{") and self.place < len(self.text):
            raise _NotUnderstoodError
        return last

    def _once(self, state: int, *, ignore_case: bool) -> int:
        if self._take("("):
            opened = _OPENED.match(self.text, self.place)
            if opened is not None:
                self.place = opened.end()
                if opened[1] is not None:
                    ignore_case = "i" not in (opened[2] or "") and (ignore_case or "i" in opened[1])
            elif self.text.startswith("?", self.place):
                raise _NotUnderstoodError
            last = self.alternatives(state, ignore_case=ignore_case)
            if not self._take(")"):
                raise _NotUnderstoodError
            return last
        if self._take("^") or self._take("$") or self._take("\\A") or self._take("\\z"):
            return state
        if self._take("\\b") or self._take("\\B"):
            return state
        if self._take("."):
            return self._move(state, _ANYTHING, ignore_case=False)
        if self._take("["):
            return self._move(state, *self._class(), ignore_case=ignore_case)
        if self.text.startswith("\\Q", self.place):
            raise _NotUnderstoodError
        ranges = self._character(inside=False)
        return self._move(state, *ranges, ignore_case=ignore_case)

    def _character(self, *, inside: bool) -> tuple[Ranges, bool]:
        """One character, or a class that an escape names; whether it is the opposite."""
        text = self.text
        character = text[self.place]
        known = _PROPERTY.match(text, self.place) if inside or character == "\\" else None
        if known is not None:
            # A property of Unicode, or a class by name: which characters have it is not looked up.
            self.place = known.end()
            return _ANYTHING, False
        if character != "\\":
            if not inside and character in "*+?{":
                raise _NotUnderstoodError
            self.place += 1
            return ((ord(character), ord(character)),), False
        escape = text[self.place + 1 : self.place + 2]
        code = _CODE.match(text, self.place)
        if code is not None:
            self.place = code.end()
            number = int(code[1] or code[2], 16)
            return ((number, number),), False
        self.place += 2
        if escape.lower() in _CLASSES:
            return _CLASSES[escape.lower()], escape.isupper()
        if escape in _CONTROLS:
            return ((_CONTROLS[escape], _CONTROLS[escape]),), False
        if not escape or escape.isalnum():
            raise _NotUnderstoodError
        return ((ord(escape), ord(escape)),), False

    def _class(self) -> tuple[Ranges, bool]:
        opposite = self._take("^")
        ranges: list[tuple[int, int]] = []
        doubtful = False
        first = True
        while first or not self.text.startswith("]", self.place):
            first = False
            if self.place >= len(self.text):
                raise _NotUnderstoodError
            found, negated = self._character(inside=True)
            doubtful = doubtful or negated or found == _ANYTHING
            following = self.text[self.place + 1 : self.place + 2]
            if len(found) == 1 and found[0][0] == found[0][1] and following not in ("", "]") and self._take("-"):
                other, negated = self._character(inside=True)
                if negated or len(other) > 1:
                    raise _NotUnderstoodError
                found = ((found[0][0], other[0][1]),)
            ranges += found
        self.place += 1
        return (_ANYTHING, False) if doubtful else (tuple(ranges), opposite)

    def _move(self, state: int, ranges: Ranges, opposite: bool = False, *, ignore_case: bool) -> int:
        automaton = self.automaton
        last = automaton.state()
        # A state with two ways on would lose one of them.
        step = automaton.state()
        automaton.empty[state].append(step)
        automaton.moves[step] = _Move(ranges, opposite, ignore_case, last)
        return last

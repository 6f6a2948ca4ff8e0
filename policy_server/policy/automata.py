"""Regular expressions as automata, for what RE2 does not tell: what an expression matches, and not only whether it does.

Who asks has to know what is not read as it is: a property of Unicode counts as any character, and what is asked of a place
(``\\b``, and anchors but at the ends) as always true. An automaton where that was so is not ``exact``, and matches more
than its expression.
"""

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from policy_server.policy.patterns import Pattern

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Characters by their codes, from the first to the last of each range."""

LAST: Final = 0x10FFFF
ANYTHING: Final[Ranges] = ((0, LAST),)

_MOST_STATES: Final = 3000
_LINE_BREAK: Final[Ranges] = ((10, 10),)
_DIGITS: Final[Ranges] = ((0x30, 0x39),)
_UPPER: Final[Ranges] = ((0x41, 0x5A),)
_LOWER: Final[Ranges] = ((0x61, 0x7A),)
_CLASSES: Final[dict[str, Ranges]] = {
    "d": _DIGITS,
    "w": (*_DIGITS, *_UPPER, (0x5F, 0x5F), *_LOWER),
    "s": ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)),
}
_NAMED_CLASSES: Final[dict[str, Ranges]] = {
    "alnum": (*_DIGITS, *_UPPER, *_LOWER),
    "alpha": (*_UPPER, *_LOWER),
    "ascii": ((0, 0x7F),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGITS,
    "graph": ((0x21, 0x7E),),
    "lower": _LOWER,
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((9, 13), (32, 32)),
    "upper": _UPPER,
    "word": _CLASSES["w"],
    "xdigit": (*_DIGITS, (0x41, 0x46), (0x61, 0x66)),
}
_CONTROLS: Final = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "a": 7}
_FLAGS: Final = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?\)")
_LEADING_FLAGS: Final = re.compile(r"(?:\(\?[imsU]*(?:-[imsU]+)?\))*")
_COUNT: Final = re.compile(r"\{(\d+)(,)?(\d*)\}|[?*+]")
_OPENED: Final = re.compile(r"\?(?:P?<\w+>|([imsU]*)(?:-([imsU]+))?:)")
_CODE: Final = re.compile(r"\\x([0-9A-Fa-f]{2})|\\x\{([0-9A-Fa-f]{1,6})\}")
_PROPERTY: Final = re.compile(r"\\[pP](?:[A-Z]|\{\^?\w+\})")
_NAMED_CLASS: Final = re.compile(r"\[:(\^)?([a-z]+):\]")


class NotUnderstoodError(Exception):
    """The expression has something that is not read here, or is too large."""


@dataclass(frozen=True, slots=True)
class Move:
    """One character of some ranges, or of none of them, and the state that it leads to."""

    ranges: Ranges
    opposite: bool
    ignore_case: bool
    after: int


@dataclass(slots=True)
class Automaton:
    """States by number: where each goes without a character, and with one. The first is 0, and ``end`` the last."""

    empty: list[list[int]] = field(default_factory=list)
    moves: list[Move | None] = field(default_factory=list)
    end: int = 0
    exact: bool = True

    def state(self) -> int:
        """A new state."""
        if len(self.empty) >= _MOST_STATES:
            raise NotUnderstoodError
        self.empty.append([])
        self.moves.append(None)
        return len(self.empty) - 1


def read_automaton(pattern: Pattern) -> Automaton:
    """The automaton of an expression; raises NotUnderstoodError."""
    automaton = Automaton()
    start = automaton.state()
    reader = _Reader(pattern.text, automaton)
    try:
        automaton.end = reader.alternatives(start, _Modes(pattern.ignore_case))
    except RecursionError:
        raise NotUnderstoodError from None
    if reader.place != len(pattern.text):
        raise NotUnderstoodError
    return automaton


class _Modes(NamedTuple):
    """What flags say at a place."""

    ignore_case: bool = False
    dot_all: bool = False

    def changed(self, on: str | None, off: str | None) -> "_Modes":
        ignore_case, dot_all = (
            flag not in (off or "") and (is_on or flag in (on or "")) for flag, is_on in zip("is", self, strict=True)
        )
        return _Modes(ignore_case, dot_all)


def _opposite(ranges: Ranges) -> Ranges:
    found: list[tuple[int, int]] = []
    begin = 0
    for low, high in sorted(ranges):
        if low > begin:
            found.append((begin, low - 1))
        begin = max(begin, high + 1)
    return (*found, (begin, LAST)) if begin <= LAST else tuple(found)


class _Reader:
    """Reads RE2's syntax from left to right; each method adds to the automaton from a state on, and gives the last."""

    def __init__(self, text: str, automaton: Automaton) -> None:
        self.text: Final = text
        self.automaton: Final = automaton
        self.place = 0

    def alternatives(self, start: int, modes: _Modes) -> int:
        end = self.automaton.state()
        while True:
            begin = self.automaton.state()
            self.automaton.empty[start].append(begin)
            last, modes = self._sequence(begin, modes)
            self.automaton.empty[last].append(end)
            if not self._take("|"):
                return end

    def _take(self, text: str) -> bool:
        if self.text.startswith(text, self.place):
            self.place += len(text)
            return True
        return False

    def _sequence(self, state: int, modes: _Modes) -> tuple[int, _Modes]:
        while self.place < len(self.text) and self.text[self.place] not in "|)":
            flags = _FLAGS.match(self.text, self.place)
            if flags is not None:
                modes = modes.changed(flags[1], flags[2])
                self.place = flags.end()
            else:
                state = self._repeated(state, modes)
        return state, modes

    def _repeated(self, state: int, modes: _Modes) -> int:
        begin = self.place
        last = self._once(state, modes)
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
            state = self._once(state, modes)
            if self.place != end:
                raise NotUnderstoodError
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
                raise NotUnderstoodError
        self.place = counted.end()
        self._take("?")
        if self.text[self.place : self.place + 1] in ("?", "*", "+", "{") and self.place < len(self.text):
            raise NotUnderstoodError
        return last

    def _once(self, state: int, modes: _Modes) -> int:
        if self._take("("):
            opened = _OPENED.match(self.text, self.place)
            if opened is not None:
                self.place = opened.end()
                if opened[1] is not None:
                    modes = modes.changed(opened[1], opened[2])
            elif self.text.startswith("?", self.place):
                raise NotUnderstoodError
            last = self.alternatives(state, modes)
            if not self._take(")"):
                raise NotUnderstoodError
            return last
        if self._anchor():
            return state
        if self._take("."):
            if modes.dot_all:
                return self._move(state, ANYTHING)
            return self._move(state, _LINE_BREAK, opposite=True)
        if self._take("["):
            ranges, opposite = self._class(modes)
            return self._move(state, ranges, opposite=opposite, ignore_case=modes.ignore_case)
        if self.text.startswith("\\Q", self.place):
            raise NotUnderstoodError
        ranges, opposite = self._character()
        return self._move(state, ranges, opposite=opposite, ignore_case=modes.ignore_case)

    def _anchor(self) -> bool:
        begin = self.place
        if self._take("^") or self._take("\\A"):
            self.automaton.exact &= _LEADING_FLAGS.fullmatch(self.text, 0, begin) is not None
        elif self._take("$") or self._take("\\z"):
            self.automaton.exact &= self.place == len(self.text)
        elif self._take("\\b") or self._take("\\B"):
            self.automaton.exact = False
        else:
            return False
        return True

    def _character(self, *, inside: bool = False) -> tuple[Ranges, bool]:
        """One character, or a class that an escape names; whether it is the opposite."""
        text = self.text
        character = text[self.place]
        if inside and (named := _NAMED_CLASS.match(text, self.place)) is not None:
            if named[2] not in _NAMED_CLASSES:
                raise NotUnderstoodError
            self.place = named.end()
            return _NAMED_CLASSES[named[2]], named[1] is not None
        if (known := _PROPERTY.match(text, self.place)) is not None:
            # Which characters have a property of Unicode is not looked up.
            self.place = known.end()
            self.automaton.exact = False
            return ANYTHING, False
        if character != "\\":
            if not inside and character in "*+?{":
                raise NotUnderstoodError
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
            raise NotUnderstoodError
        return ((ord(escape), ord(escape)),), False

    def _class(self, modes: _Modes) -> tuple[Ranges, bool]:
        opposite = self._take("^")
        ranges: list[tuple[int, int]] = []
        doubtful = False
        first = True
        while first or not self.text.startswith("]", self.place):
            first = False
            if self.place >= len(self.text):
                raise NotUnderstoodError
            found, negated = self._character(inside=True)
            if negated and modes.ignore_case:
                # RE2 has a view of its own of which letters are no word characters whatever their case.
                self.automaton.exact = False
                doubtful = True
            doubtful = doubtful or found == ANYTHING
            following = self.text[self.place + 1 : self.place + 2]
            if len(found) == 1 and found[0][0] == found[0][1] and following not in ("", "]") and self._take("-"):
                other, other_negated = self._character(inside=True)
                if other_negated or len(other) > 1 or other[0][0] != other[0][1]:
                    raise NotUnderstoodError
                found = ((found[0][0], other[0][1]),)
            ranges += _opposite(found) if negated else found
        self.place += 1
        return (ANYTHING, False) if doubtful else (tuple(ranges), opposite)

    def _move(self, state: int, ranges: Ranges, *, opposite: bool = False, ignore_case: bool = False) -> int:
        automaton = self.automaton
        last = automaton.state()
        # A state with two ways on would lose one of them.
        step = automaton.state()
        automaton.empty[state].append(step)
        automaton.moves[step] = Move(ranges, opposite, ignore_case, last)
        return last

"""Whether all that one expression matches is matched by others, decided by their automata, at a price that is known.

A set of texts lies in another if no character leads out of it: the states in which the one may be are walked beside all
those in which the other may be at the same time (an automaton made deterministic as far as the walk goes). That may take
more steps than there are atoms, so each walk and all of them together have a limit, beyond which nothing is said.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_
from typing import Final, NamedTuple

from policy_server.policy.automata import LAST, Automaton, NotUnderstoodError, Ranges, read_automaton
from policy_server.policy.patterns import Pattern

MOST_STEPS: Final = 5_000
"""Steps of one walk. Most take ten: texts that differ do so soon."""
MOST_STEPS_IN_ALL: Final = 100_000
"""Steps for all rules of a folder: some tenths of a second."""
_MOST_POSITIONS: Final = 400
"""Characters, each counted as often as repetitions repeat it, of an expression that is looked at."""

_MOST_COST: Final = 20_000
"""Steps for reading one expression."""
_COST_OF_READING: Final = 4
"""Steps that a state of an automaton costs when it is read."""

_PLAIN: Final = 0x180
"""Characters that are told apart have codes below this, in Latin script, or are the other case of one that has."""
_VARIANTS: Final = (0x039C, 0x03BC, 0x1E9E, 0x212A, 0x212B)
_OTHERS: Final = 1 << (_PLAIN + len(_VARIANTS))
"""The bit of all other characters together."""
_ALL: Final = (_OTHERS << 1) - 1
_LINE_BREAK: Final = 1 << 10
_SHOWN: Final = (1 << 0x7F) - (1 << 0x20)
"""Characters of samples."""
_END: Final = 1
"""The bit of the end in a set of positions."""


def _bit(code: int) -> int:
    return 1 << (code if code < _PLAIN else _PLAIN + _VARIANTS.index(code))


def _same_letters() -> Iterator[int]:
    """The bits of characters that are one without regard to case, for each such letter."""
    more = {0x4B: 0x212A, 0x53: 0x017F, 0xC5: 0x212B, 0xDF: 0x1E9E}
    for code in range(_PLAIN):
        lower = chr(code).lower()
        if len(lower) == 1 and ord(lower) != code and code not in (0x212A, 0x212B):
            yield _bit(code) | _bit(ord(lower)) | (_bit(more[code]) if code in more else 0)
    yield _bit(0xDF) | _bit(0x1E9E)
    yield _bit(0xB5) | _bit(0x039C) | _bit(0x03BC)


LETTERS: Final = tuple(_same_letters())


class _Characters(NamedTuple):
    """A set of characters, a bit for each; where it is not ``exact``, of these and no others, but not of all of them."""

    bits: int
    exact: bool


@lru_cache(maxsize=512)
def _characters(ranges: Ranges, opposite: bool, ignore_case: bool) -> _Characters:
    bits, some_others, all_others = 0, False, False
    for low, high in ranges:
        if low < _PLAIN:
            bits |= (1 << (min(high, _PLAIN - 1) + 1)) - (1 << low)
        for code in _VARIANTS:
            if low <= code <= high:
                bits |= _bit(code)
        if high >= _PLAIN and not (low == high and low in _VARIANTS):
            some_others = True
            all_others = all_others or (low <= _PLAIN and high == LAST)
    if ignore_case:
        bits = reduce(or_, (letter for letter in LETTERS if bits & letter), bits)
    if opposite:
        bits = _ALL & ~_OTHERS & ~bits
        return _Characters(bits if all_others else bits | _OTHERS, all_others or not some_others)
    return _Characters(bits | (_OTHERS if some_others else 0), all_others or not some_others)


@dataclass(frozen=True, slots=True)
class _Machine:
    """An automaton without empty moves: positions from 1, each with its characters, and the positions behind it.

    Sets of positions are bits; that of 0 is the end. ``cost`` are the steps that it took. ``sample`` is a text that it
    matches, if one is known.
    """

    characters: tuple[int, ...]
    behind: tuple[int, ...]
    start: int
    exact: bool
    cost: int
    sample: str | None = None


def _machine(automaton: Automaton) -> _Machine:
    """Raises NotUnderstoodError for one that is too large."""
    moves = [(state, move) for state, move in enumerate(automaton.moves) if move is not None]
    if len(moves) > _MOST_POSITIONS:
        raise NotUnderstoodError
    bit_of = {state: 2 << number for number, (state, _) in enumerate(moves)} | {automaton.end: _END}
    cost = _COST_OF_READING * len(automaton.empty)

    def reached(state: int) -> int:
        nonlocal cost
        found, seen, stack = 0, {state}, [state]
        while stack:
            place = stack.pop()
            found |= bit_of.get(place, 0)
            new = [other for other in automaton.empty[place] if other not in seen]
            seen.update(new)
            stack += new
        cost += len(seen)
        if cost > _MOST_COST:
            raise NotUnderstoodError
        return found

    known = [_characters(move.ranges, move.opposite, move.ignore_case) for _, move in moves]
    characters = (0, *(each.bits for each in known))
    behind = (0, *(reached(move.after) for _, move in moves))
    start = reached(0)
    exact = automaton.exact and all(each.exact for each in known)
    return _Machine(characters, behind, start, exact, cost, _sample(characters, behind, start) if exact else None)


def _sample(characters: Sequence[int], behind: Sequence[int], start: int) -> str | None:
    """One of the shortest texts, of characters that are told apart; ``None`` if there is none."""
    if start & _END:
        return ""
    before: dict[int, int] = dict.fromkeys(_numbers(start), 0)
    waiting = deque(before)
    while waiting:
        number = waiting.popleft()
        if not characters[number] & _SHOWN:
            continue
        if behind[number] & _END:
            text: list[str] = []
            while number:
                told_apart = characters[number] & _SHOWN
                text.append(chr((told_apart & -told_apart).bit_length() - 1))
                number = before[number]
            return "".join(reversed(text))
        for following in _numbers(behind[number]):
            if following not in before:
                before[following] = number
                waiting.append(following)
    return None


def _numbers(positions: int) -> list[int]:
    """The positions of a set; without the end."""
    positions &= ~_END
    found = []
    while positions:
        lowest = positions & -positions
        found.append(lowest.bit_length() - 1)
        positions ^= lowest
    return found


def _together(machines: Sequence[_Machine]) -> _Machine:
    """One that matches what any of them does."""
    if len(machines) == 1:
        return machines[0]
    characters, behind, start, shift = [0], [0], 0, 0
    for machine in machines:
        moved = [(each & _END) | (each >> 1 << (shift + 1)) for each in (*machine.behind, machine.start)]
        characters += machine.characters[1:]
        behind += moved[1:-1]
        start |= moved[-1]
        shift += len(machine.characters) - 1
    exact = all(machine.exact for machine in machines)
    return _Machine(tuple(characters), tuple(behind), start, exact, sum(machine.cost for machine in machines))


class Inclusion:
    """Decides for the rules of one folder, until the steps are used up."""

    def __init__(self, most_steps: int = MOST_STEPS_IN_ALL) -> None:
        self._left = most_steps
        self._machines: Final[dict[Pattern, _Machine | None]] = {}

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more is decided."""
        return self._left <= 0

    def covers(self, wide: Sequence[Pattern], narrow: Sequence[Pattern], *, clean: bool) -> bool | None:
        """Whether some of the ``wide`` matches whatever some of the ``narrow`` does; ``None`` where that is not decided.

        ``clean``: of texts that have no line breaks.
        """
        if any(self._misses(wide, pattern.literal) for pattern in narrow):
            return False
        narrow_machines = [self._machine(pattern) for pattern in narrow]
        if any(self._misses(wide, machine.sample) for machine in narrow_machines if machine is not None):
            return False
        wide_machines = [machine for pattern in wide if (machine := self._machine(pattern)) is not None]
        if not wide_machines:
            return None
        outer = _together(wide_machines)
        is_outer_exact = outer.exact and len(wide_machines) == len(wide)
        undecided = False
        for machine in narrow_machines:
            if machine is None:
                undecided = True
                continue
            lies_within = self._lies_within(machine, outer, _ALL & ~_LINE_BREAK if clean else _ALL)
            if lies_within is False and machine.exact and len(wide_machines) == len(wide):
                # What not even more than the wide ones matches they do not match either.
                return False
            undecided |= not (lies_within and is_outer_exact)
        return None if undecided else True

    def _machine(self, pattern: Pattern) -> _Machine | None:
        if pattern not in self._machines:
            machine = None
            if self._left > 0:
                try:
                    machine = _machine(read_automaton(pattern))
                    self._left -= machine.cost
                except NotUnderstoodError:
                    self._left -= _MOST_POSITIONS
            self._machines[pattern] = machine
        return self._machines[pattern]

    def _misses(self, wide: Sequence[Pattern], sample: str | None) -> bool:
        """Whether one text tells already: most differ by a word that all matches of the one have."""
        if sample is None or self.is_used_up:
            return False
        self._left -= len(wide)
        return all(pattern.match(sample) is None for pattern in wide)

    def _lies_within(self, inner: _Machine, outer: _Machine, alphabet: int) -> bool | None:
        """Whether ``outer`` matches whatever ``inner`` does; ``None`` when that takes too many steps."""
        alive = _alive(inner, alphabet)
        if inner.start & _END and not outer.start & _END:
            return False
        seen: dict[int, list[int]] = {}
        stack = [(number, outer.start) for number in _numbers(inner.start & alive)]
        steps = 0
        while stack:
            number, beside = stack.pop()
            known = seen.setdefault(number, [])
            steps += 1 + len(known)
            # Where fewer positions were enough, more are.
            if any(fewer & ~beside == 0 for fewer in known):
                continue
            known.append(beside)
            others = _numbers(beside)
            left = inner.characters[number] & alphabet
            behind = inner.behind[number]
            while left:
                steps += 1 + len(others)
                if steps > min(MOST_STEPS, self._left):
                    self._left -= steps
                    return None
                character, alike, after = left & -left, left, 0
                for other in others:
                    if outer.characters[other] & character:
                        after |= outer.behind[other]
                        alike &= outer.characters[other]
                # These lead to the same positions or to more, which are enough where those are.
                left &= ~alike
                if not after or (behind & _END and not after & _END):
                    self._left -= steps
                    return False
                stack += [(next_number, after) for next_number in _numbers(behind & alive)]
        self._left -= steps
        return True


def _alive(machine: _Machine, alphabet: int) -> int:
    """The positions from which the end can be reached."""
    numbers = range(1, len(machine.characters))
    alive = _END
    while True:
        more = reduce(
            or_,
            (1 << n for n in numbers if machine.characters[n] & alphabet and machine.behind[n] & alive),
            alive,
        )
        if more == alive:
            return alive
        alive = more

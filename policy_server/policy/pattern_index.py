"""Which of many expressions can match a text, without asking each: by the text that they certainly need, or together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from typing import Any, Final, TypeAlias

import re2

from policy_server.policy.certain_text import certain_texts
from policy_server.policy.patterns import Pattern, PatternError, re2_options

FEW: Final = 4
"""Patterns with the same text of their own that are tried one by one rather than through a ``re2.Set`` of their own."""

SET_SIZE: Final = 250
"""Patterns of one ``re2.Set`` at the most. Where they begin with wildcards, a new alias makes states of the size of the set:
for one of a thousand that takes four times as long as for four of 250. Making a set stops all other threads.
"""

SETS_MEMORY: Final = 64 * 1024 * 1024
"""Bytes that the automata of sets of patterns with the same text may take together; they grow with the aliases that come."""

STRETCH: Final = 4
"""Characters of a text of their own by which expressions are found that begin with a wildcard: every four in a row of a value
are looked up, so with more characters fewer expressions have such a text, and with fewer more have the same.
"""


class PatternIndex:
    """Which of many patterns can match a value: by the whole of it, by its beginning, by a stretch of it, and with
    ``re2.Set`` for the rest.

    Answers may name a pattern that does not match; they never leave out one that does. Patterns with text of their own
    cost nothing until a value has it, however many there are. Values are folded where the patterns ignore case.
    """

    __slots__ = ("_begun", "_lengths", "_literals", "_within")

    def __init__(self, patterns: Iterable[tuple[Pattern, int]]) -> None:
        """Takes each pattern with the number that ``candidates`` shall give for it.

        Raises PatternError when sets do not fit into ``SETS_MEMORY``.
        """
        literals: dict[str, list[int]] = {}
        begun: dict[str, list[_Member]] = {}
        for pattern, owner in patterns:
            if pattern.literal is not None:
                literals.setdefault(pattern.literal, []).append(owner)
            else:
                begun.setdefault(pattern.prefix, []).append((pattern, owner))
        within, rest = _by_rarest_stretch(begun.pop("", ()))
        if rest:
            begun[""] = rest
        self._literals: Final = {text: tuple(owners) for text, owners in literals.items()}
        self._begun: Final = {prefix: _bucket(members) for prefix, members in begun.items()}
        self._lengths: Final = tuple(sorted({len(prefix) for prefix in begun}))
        self._within: Final = {stretch: _bucket(members) for stretch, members in within.items()}

    def candidates(self, value: str) -> Sequence[int]:
        """The numbers of the patterns that may match the whole value, in no particular order, some perhaps twice."""
        found: Sequence[int] = self._literals.get(value, ())
        for length in self._lengths:
            bucket = self._begun.get(value[:length])
            if bucket is not None:
                found = (*found, *_numbers(bucket, value))
        within = self._within
        if within:
            # Once each, however often a stranger repeats one.
            for stretch in {
                text for at in range(len(value) - STRETCH + 1) if (text := value[at : at + STRETCH]) in within
            }:
                found = (*found, *_numbers(within[stretch], value))
        return found


_Member: TypeAlias = tuple[Pattern, int]


def _stretches(text: str) -> set[str]:
    return {text[place : place + STRETCH] for place in range(len(text) - STRETCH + 1)}


def _by_rarest_stretch(members: Sequence[_Member]) -> tuple[dict[str, list[_Member]], list[_Member]]:
    """Patterns by a stretch of text that each needs, the one that the fewest others need; and those that need none."""
    if len(members) <= FEW:
        return {}, list(members)
    certain = (certain_texts(pattern.text, ignore_case=pattern.ignore_case) for pattern, _ in members)
    needed = [frozenset().union(*map(_stretches, texts)) for texts in certain]
    common = Counter(chain.from_iterable(needed))
    found: dict[str, list[_Member]] = {}
    rest: list[_Member] = []
    for member, stretches in zip(members, needed, strict=True):
        if stretches:
            found.setdefault(min(stretches, key=lambda stretch: (common[stretch], stretch)), []).append(member)
        else:
            rest.append(member)
    return found, rest


_Set: TypeAlias = tuple[Any, tuple[tuple[int, ...], ...]]
"""A ``re2.Set``, and the numbers to give for each of its patterns."""


@dataclass(frozen=True, slots=True)
class _Automata:
    """Many patterns with the same text of their own, in sets."""

    sets: tuple[_Set, ...]

    def candidates(self, value: str) -> list[int]:
        encoded = value.encode()
        # Without a match there is no list.
        return [number for one, owners in self.sets for hit in one.Match(encoded) or () for number in owners[hit]]


_Bucket: TypeAlias = tuple[int, ...] | _Automata
"""Patterns with the same text of their own; so few that each is tried by itself are the numbers of all."""


def _bucket(members: Sequence[_Member]) -> _Bucket:
    if len(members) > FEW:
        owners: dict[Pattern, list[int]] = {}
        for pattern, owner in members:
            owners.setdefault(pattern, []).append(owner)
        if len(owners) > FEW:
            return _automata(tuple((pattern, tuple(numbers)) for pattern, numbers in owners.items()))
    return tuple(owner for _, owner in members)


def _numbers(bucket: _Bucket, value: str) -> Sequence[int]:
    return bucket if isinstance(bucket, tuple) else bucket.candidates(value)


def _automata(members: Sequence[tuple[Pattern, tuple[int, ...]]]) -> _Automata:
    number = ceil(len(members) / SET_SIZE)
    options = re2_options(ignore_case=False, max_mem=SETS_MEMORY // number)
    try:
        return _Automata(tuple(_set_of(members[place::number], options) for place in range(number)))
    except re2.error:
        raise PatternError(
            f"{len(members)} regular expressions on one parameter need more than {SETS_MEMORY // 1024 // 1024} MiB "
            "together; let each have a text of its own, or write exact values"
        ) from None


def _set_of(members: Sequence[tuple[Pattern, tuple[int, ...]]], options: Any) -> _Set:
    one = re2.Set.FullMatchSet(options)
    for pattern, _ in members:
        # A set has one option for all of its members, so each carries its own flag.
        one.Add(f"(?i){pattern.text}" if pattern.ignore_case else pattern.text)
    one.Compile()
    return one, tuple(numbers for _, numbers in members)

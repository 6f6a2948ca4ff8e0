"""Rules that can never match: an earlier one covers them, or their own conditions exclude each other."""

import re
from collections.abc import Hashable, Iterable, Iterator
from functools import lru_cache
from itertools import combinations
from typing import Final, Protocol

from policy_server.pexip.parameters import Kind
from policy_server.pexip.request_types import RequestType
from policy_server.policy.conditions import (
    AddressIn,
    AllOf,
    BooleanIs,
    CalendarIs,
    ChoiceIs,
    Condition,
    DoorIs,
    IntegerIs,
    LinkIs,
    LinkTypeIs,
    NotAllOf,
    PercentOf,
    TextMatches,
)
from policy_server.policy.facts import LinkAttributeSource, ParameterSource, Source
from policy_server.policy.names import LinkState
from policy_server.policy.patterns import Pattern, compile_pattern
from policy_server.policy.ruleset import Rule
from policy_server.rulefiles.problems import Place
from policy_server.wording.values import shown

_ANY_TEXT: Final = re.compile(r"(?:\(\?s\))?(?:\.[*+]|\((?:\?P?<\w+>|\?:)?\.[*+]\))\Z")
_FLAGS: Final = re.compile(r"\(\?[imsU]+\)")
_MOST_COMPARED: Final = 50
"""Of the earlier rules that share a key with a rule, the number that it is compared with."""


class _Heading(Protocol):
    @property
    def table(self) -> "_Table": ...


class _Table(Protocol):
    @property
    def place(self) -> Place: ...


def coverage_warnings(
    rules: Iterable[tuple[Rule[object], _Heading]], request: RequestType
) -> Iterator[tuple[str, Place, str]]:
    """The id, the place and a sentence, for every enabled rule that can never win.

    Only what is certain is reported. An earlier rule is compared when it has no condition, or when its first condition
    is literally one of the later rule's, accepts any text, or begins or is a value that the later one names.
    """
    everything: tuple[Rule[object], Place] | None = None
    filed: dict[Hashable, list[Rule[object]]] = {}
    places: dict[str, Place] = {}
    for rule, heading in rules:
        if not rule.enabled:
            continue
        place = places[rule.id] = heading.table.place
        conditions = _flat(rule.conditions)
        if reason := _impossible(conditions, request):
            yield rule.id, place, f"can never match: {reason}"
            continue
        if everything is not None:
            earlier, earlier_place = everything
            where = f"{shown(earlier.id)} ({earlier_place})"
            yield rule.id, place, f"can never match: rule {where} has no condition, so it always matches first"
        elif (covering := _covering(conditions, filed)) is not None:
            where = f"{shown(covering.id)} ({places[covering.id]})"
            yield (
                rule.id,
                place,
                f"can never match: rule {where} matches everything that this one would, and comes first",
            )
        if not conditions and everything is None:
            everything = (rule, place)
        elif conditions:
            for key in _filing_keys(conditions[0]):
                filed.setdefault(key, []).append(rule)


def _impossible(conditions: tuple[Condition, ...], request: RequestType) -> str:
    """Why the conditions can never hold together; ``""`` when they may."""
    for condition in conditions:
        if isinstance(condition, PercentOf) and condition.percent <= 0:
            return "percent is 0; to switch a rule off write enabled: false"
        if isinstance(condition, NotAllOf) and all(
            any(_implies(own, other) for own in conditions) for other in _flat(condition.conditions)
        ):
            return "its `not` excludes what its other conditions demand"
        if request is RequestType.SERVICE and isinstance(condition, ChoiceIs) and condition.values == {"dial_out"}:
            return "a dial_out question is answered with the service of the room that it is about, whatever rules say"
    for one, other in combinations(conditions, 2):
        if _exclude(one, other):
            return f"its conditions on {one.key} exclude each other"
    return ""


def _exclude(one: Condition, other: Condition) -> bool:
    """Whether two conditions certainly never hold together."""
    match one, other:
        case TextMatches(), TextMatches():
            return (
                one.source == other.source
                and _is_single(one.source)
                and all(_differ(a, b) for a in one.patterns for b in other.patterns)
            )
        case ChoiceIs(), ChoiceIs():
            return one.parameter == other.parameter and one.values.isdisjoint(other.values)
        case IntegerIs(), IntegerIs():
            return one.parameter == other.parameter and one.values.isdisjoint(other.values)
        case LinkIs(), LinkIs():
            return one.states.isdisjoint(other.states)
        case LinkTypeIs(), LinkTypeIs():
            return one.types.isdisjoint(other.types)
        case DoorIs(), DoorIs():
            return one.entrances.isdisjoint(other.entrances)
        case (LinkTypeIs() | DoorIs(), LinkIs(states=states)) | (LinkIs(states=states), LinkTypeIs() | DoorIs()):
            return states == {LinkState.ABSENT}
        case BooleanIs(), BooleanIs():
            return one.parameter == other.parameter and one.expected != other.expected
        case CalendarIs(), CalendarIs():
            return one.calendar == other.calendar and one.expected_open != other.expected_open
        case AddressIn(), AddressIn():
            return one.parameter == other.parameter and not any(
                a.overlaps(b) for a in one.networks for b in other.networks
            )
        case _:
            return False


def _is_single(source: Source) -> bool:
    """Whether there is one text at most that all expressions on the source are compared with."""
    if isinstance(source, ParameterSource):
        return source.raw or (source.parameter.kind is not Kind.LIST and source.parameter.name != "alias")
    return isinstance(source, LinkAttributeSource)


def _differ(one: Pattern, other: Pattern) -> bool:
    """Whether no text matches both."""
    if one.literal is not None:
        return other.match(one.literal) is None
    if other.literal is not None:
        return one.match(other.literal) is None
    return not one.prefix.startswith(other.prefix) and not other.prefix.startswith(one.prefix)


def _flat(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    flat: list[Condition] = []
    for condition in conditions:
        flat += _flat(condition.conditions) if isinstance(condition, AllOf) else (condition,)
    return tuple(flat)


# Comparing every pair of 10,000 rules would take minutes; a pair is looked at only when it shares one of these keys.
def _filing_keys(condition: Condition) -> list[Hashable]:
    match condition:
        case TextMatches():
            return [
                (condition.key, _open_prefix(pattern).lower() if _is_open(pattern) else pattern)
                for pattern in map(_bare, condition.patterns)
            ]
        case ChoiceIs():
            return [(condition.key, value) for value in condition.values]
        case BooleanIs():
            return [(condition.key, condition.expected)]
        case _:
            return [(type(condition).__name__, condition.key)]


def _lookup_keys(condition: Condition) -> Iterator[Hashable]:
    match condition:
        case TextMatches():
            for pattern in map(_bare, condition.patterns):
                yield (condition.key, pattern)
                for length in range(len(pattern.prefix) + 1):
                    yield (condition.key, pattern.prefix[:length].lower())
        case ChoiceIs():
            yield from ((condition.key, value) for value in condition.values)
        case BooleanIs():
            yield (condition.key, condition.expected)
        case _:
            yield (type(condition).__name__, condition.key)


def _is_open(pattern: Pattern) -> bool:
    return pattern.literal is None and (_ANY_TEXT.match(pattern.text) is not None or _open_prefix(pattern) != "")


def _open_prefix(pattern: Pattern) -> str:
    """The text before a final ``.*``; ``""`` when the pattern is not of that form."""
    plain = pattern.text.removesuffix(".*")
    escaped = (len(plain) - len(plain.rstrip("\\"))) % 2 == 1
    if plain == pattern.text or escaped or len(plain.replace("\\", "")) != len(pattern.prefix):
        return ""
    return pattern.prefix


@lru_cache(maxsize=4096)
def _bare(pattern: Pattern) -> Pattern:
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


def _covering(conditions: tuple[Condition, ...], filed: dict[Hashable, list[Rule[object]]]) -> Rule[object] | None:
    looked_at: set[str] = set()
    for condition in conditions:
        for key in _lookup_keys(condition):
            for earlier in filed.get(key, ())[:_MOST_COMPARED]:
                if earlier.id in looked_at:
                    continue
                looked_at.add(earlier.id)
                if all(any(_implies(own, other) for own in conditions) for other in _flat(earlier.conditions)):
                    return earlier
    return None


def _implies(own: Condition, other: Condition) -> bool:
    """Whether ``other`` certainly holds whenever ``own`` does."""
    match own, other:
        case TextMatches(), TextMatches():
            # A value of ours may have line breaks, where `.` does not match; those of questions have none.
            clean = not isinstance(own.source, LinkAttributeSource)
            return own.source == other.source and all(
                any(_covers(wide, narrow, clean=clean) for wide in other.patterns) for narrow in own.patterns
            )
        case ChoiceIs(), ChoiceIs():
            return own.parameter == other.parameter and own.values <= other.values
        case IntegerIs(), IntegerIs():
            return own.parameter == other.parameter and own.values <= other.values
        case LinkIs(), LinkIs():
            return own.states <= other.states
        case LinkTypeIs(), LinkTypeIs():
            return own.types <= other.types
        case DoorIs(), DoorIs():
            return own.entrances <= other.entrances
        case AddressIn(), AddressIn():
            return own.parameter == other.parameter and all(
                any(
                    narrow.version == wide.version and narrow.subnet_of(wide)  # type: ignore[arg-type]
                    for wide in other.networks
                )
                for narrow in own.networks
            )
        case PercentOf(), PercentOf():
            return own == other or other.percent >= 100
        case _:
            return own == other


def _covers(wide: Pattern, narrow: Pattern, *, clean: bool) -> bool:
    if clean:
        wide, narrow = _bare(wide), _bare(narrow)
    if narrow.ignore_case and not wide.ignore_case:
        return wide == narrow or (clean and _ANY_TEXT.match(wide.text) is not None)
    if wide == narrow or (clean and _ANY_TEXT.match(wide.text)):
        return True
    if narrow.literal is not None:
        return wide.match(narrow.literal) is not None
    prefix = _open_prefix(wide) if clean else ""
    return bool(prefix) and narrow.prefix.startswith(prefix)

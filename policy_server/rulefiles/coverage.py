"""Rules that can never match, because an earlier one covers everything they would match."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Protocol

from policy_server.policy.conditions import (
    AddressIn,
    AllOf,
    BooleanIs,
    CalendarIs,
    ChoiceIs,
    Condition,
    IntegerIs,
    LinkIs,
    PercentOf,
    TextMatches,
)
from policy_server.policy.patterns import Pattern
from policy_server.policy.ruleset import Rule
from policy_server.rulefiles.problems import Place, shown

_ANY_TEXT = frozenset({".*", ".+", "(.*)", "(.+)", "(?s).*", "(?s).+"})


class _Heading(Protocol):
    @property
    def table(self) -> "_Table": ...


class _Table(Protocol):
    @property
    def place(self) -> Place: ...


def coverage_warnings(rules: Iterable[tuple[Rule[object], _Heading]]) -> Iterator[tuple[str, Place, str]]:
    """The rule, its place and a sentence, for every enabled rule that an earlier enabled rule leaves nothing to.

    Only what is certain is reported. An earlier rule is compared when it has no condition, or when one of its
    conditions is literally one of the later rule's, accepts any text, or begins or is a value that the later one names.
    """
    everything: tuple[Rule[object], Place] | None = None
    filed: dict[Hashable, list[Rule[object]]] = {}
    places: dict[str, Place] = {}
    for rule, heading in rules:
        if not rule.enabled:
            continue
        place = heading.table.place
        places[rule.id] = place
        conditions = _flat(rule.conditions)
        if everything is not None:
            earlier, earlier_place = everything
            message = f"can never match: rule {shown(earlier.id)} ({earlier_place}) has no condition, so it always matches first"
            yield rule.id, place, message
        else:
            covering = _covering(conditions, filed)
            if covering is not None:
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
                (condition.source, _open_prefix(pattern) if _is_open(pattern) else pattern)
                for pattern in condition.patterns
            ]
        case ChoiceIs():
            return [(condition.parameter, value) for value in condition.values]
        case BooleanIs():
            return [(condition.parameter, condition.expected)]
        case _:
            return [(type(condition).__name__, condition.key)]


def _lookup_keys(condition: Condition) -> Iterator[Hashable]:
    match condition:
        case TextMatches():
            for pattern in condition.patterns:
                yield (condition.source, pattern)
                for length in range(len(pattern.prefix) + 1):
                    yield (condition.source, pattern.prefix[:length])
        case ChoiceIs():
            yield from ((condition.parameter, value) for value in condition.values)
        case BooleanIs():
            yield (condition.parameter, condition.expected)
        case _:
            yield (type(condition).__name__, condition.key)


def _is_open(pattern: Pattern) -> bool:
    return pattern.literal is None and (pattern.text in _ANY_TEXT or _open_prefix(pattern) != "")


def _open_prefix(pattern: Pattern) -> str:
    """The text before a final ``.*``; ``""`` when the pattern is not of that form."""
    plain = pattern.text.removesuffix(".*")
    return pattern.prefix if plain != pattern.text and len(plain.replace("\\", "")) == len(pattern.prefix) else ""


def _covering(conditions: tuple[Condition, ...], filed: dict[Hashable, list[Rule[object]]]) -> Rule[object] | None:
    looked_at: set[str] = set()
    for condition in conditions:
        for key in _lookup_keys(condition):
            # A rule that hundreds share a key with is compared with the first of them only.
            for earlier in filed.get(key, ())[:50]:
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
            return own.source == other.source and all(
                any(_covers(wide, narrow) for wide in other.patterns) for narrow in own.patterns
            )
        case ChoiceIs(), ChoiceIs():
            return own.parameter == other.parameter and own.values <= other.values
        case IntegerIs(), IntegerIs():
            return own.parameter == other.parameter and own.values <= other.values
        case LinkIs(), LinkIs():
            return own.states <= other.states and own.captured_by == other.captured_by
        case AddressIn(), AddressIn():
            return own.parameter == other.parameter and all(
                any(
                    narrow.version == wide.version and narrow.subnet_of(wide)  # type: ignore[arg-type]
                    for wide in other.networks
                )
                for narrow in own.networks
            )
        case PercentOf(), PercentOf():
            return other.percent >= 100
        case (BooleanIs(), BooleanIs()) | (CalendarIs(), CalendarIs()):
            return own == other
        case _:
            return own == other


def _covers(wide: Pattern, narrow: Pattern) -> bool:
    if wide == narrow or wide.text in _ANY_TEXT:
        return True
    if narrow.literal is not None:
        return wide.match(narrow.literal) is not None
    prefix = _open_prefix(wide)
    return bool(prefix) and narrow.prefix.startswith(prefix)

"""Which rules of a list can match a question, without asking each of them.

Every rule is filed under its rarest condition, the one that the fewest other rules share. A question is looked up
once per parameter that any rule is filed under, so the cost follows the rules that are near a match, not their number.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from policy_server.pexip.parameters import Parameter
from policy_server.policy.conditions import (
    AddressIn,
    BooleanIs,
    ChoiceIs,
    Condition,
    LinkTypeIs,
    TextMatches,
    choice_key,
)
from policy_server.policy.facts import Facts, Source
from policy_server.policy.patterns import Pattern, PatternIndex

Anchor = TextMatches | ChoiceIs | BooleanIs | AddressIn | LinkTypeIs


@dataclass(frozen=True, slots=True)
class CandidateIndex:
    """Rules of one list by their anchors; the numbers are their places in the list."""

    _always: tuple[int, ...]
    _texts: tuple[tuple[Source, PatternIndex], ...]
    _choices: tuple[tuple[Parameter, Mapping[str, tuple[int, ...]]], ...]
    _booleans: tuple[tuple[Parameter, Mapping[bool, tuple[int, ...]]], ...]
    _networks: tuple[tuple[Parameter, "NetworkIndex"], ...]
    _link_types: Mapping[str, tuple[int, ...]]

    def candidates(self, facts: Facts) -> Sequence[int]:
        """The rules whose anchor may hold, and those without one, in the order of the list.

        A rule that is not among them misses by its anchor.
        """
        found: list[int] = list(self._always)
        for source, patterns in self._texts:
            for text in facts.texts(source):
                found += patterns.candidates(text)
        for parameter, by_value in self._choices:
            found += by_value.get(choice_key(parameter, facts) or "", ())
        for parameter, by_truth in self._booleans:
            truth = facts.request.boolean(parameter.name)
            if truth is not None:
                found += by_truth.get(truth, ())
        for parameter, networks in self._networks:
            found += networks.candidates(facts, parameter)
        if self._link_types and facts.link is not None:
            found += self._link_types.get(facts.link.type, ())
        return found if len(found) < 2 else sorted(set(found))


class NetworkIndex:
    """Rules by network: one look-up for each prefix length in use."""

    __slots__ = ("_by_length",)

    def __init__(self, conditions: Iterable[tuple[AddressIn, int]]) -> None:
        by_length: dict[tuple[int, int], dict[int, list[int]]] = {}
        for condition, number in conditions:
            for network in condition.networks:
                shift = network.max_prefixlen - network.prefixlen
                same_length = by_length.setdefault((network.version, shift), {})
                same_length.setdefault(int(network.network_address) >> shift, []).append(number)
        self._by_length: Final = by_length

    def candidates(self, facts: Facts, parameter: Parameter) -> Iterable[int]:
        """The rules one of whose networks contains the address of the question."""
        address = facts.request.address(parameter.name)
        if address is None:
            return ()
        value = int(address)
        return [
            number
            for (version, shift), networks in self._by_length.items()
            if version == address.version
            for number in networks.get(value >> shift, ())
        ]


def build_index(rules: Sequence[tuple[Condition, ...] | None]) -> CandidateIndex:
    """Files each rule, given by its conditions, under its rarest one; ``None`` is a disabled rule, never a candidate.

    Raises PatternError when the patterns on one parameter need too much memory together.
    """
    rarity = Counter(
        facet
        for conditions in rules
        for condition in conditions or ()
        if isinstance(condition, Anchor)
        for facet in _facets(condition)
    )
    always: list[int] = []
    filed: dict[type, list[tuple[Anchor, int]]] = {}
    for number, conditions in enumerate(rules):
        anchor = None if conditions is None else _rarest(conditions, rarity)
        if anchor is not None:
            filed.setdefault(type(anchor), []).append((anchor, number))
        elif conditions is not None:
            always.append(number)
    return CandidateIndex(
        _always=tuple(always),
        _texts=_text_indexes(filed.get(TextMatches, ())),
        _choices=_value_indexes(filed.get(ChoiceIs, ())),
        _booleans=_boolean_indexes(filed.get(BooleanIs, ())),
        _networks=_network_indexes(filed.get(AddressIn, ())),
        _link_types=_link_type_index(filed.get(LinkTypeIs, ())),
    )


def _facets(anchor: Anchor) -> tuple[Hashable, ...]:
    match anchor:
        case TextMatches():
            return tuple((anchor.source, pattern) for pattern in anchor.patterns)
        case ChoiceIs():
            return tuple((anchor.parameter, value) for value in anchor.values)
        case BooleanIs():
            return ((anchor.parameter, anchor.expected),)
        case AddressIn():
            return tuple((anchor.parameter, network) for network in anchor.networks)
        case LinkTypeIs():
            return tuple((LinkTypeIs, link_type) for link_type in anchor.types)


def _rarest(conditions: tuple[Condition, ...], rarity: Counter[Hashable]) -> Anchor | None:
    anchors = [condition for condition in conditions if isinstance(condition, Anchor)]
    # Among equals a text is the most telling, a boolean the least: the order of the union.
    kinds = (TextMatches, LinkTypeIs, AddressIn, ChoiceIs, BooleanIs)
    return min(
        anchors,
        key=lambda anchor: (max(rarity[facet] for facet in _facets(anchor)), kinds.index(type(anchor))),
        default=None,
    )


def _text_indexes(filed: Iterable[tuple[Anchor, int]]) -> tuple[tuple[Source, PatternIndex], ...]:
    by_source: dict[Source, list[tuple[Pattern, int]]] = {}
    for anchor, number in filed:
        if isinstance(anchor, TextMatches):
            by_source.setdefault(anchor.source, []).extend((pattern, number) for pattern in anchor.patterns)
    return tuple((source, PatternIndex(patterns)) for source, patterns in by_source.items())


def _value_indexes(filed: Iterable[tuple[Anchor, int]]) -> tuple[tuple[Parameter, Mapping[str, tuple[int, ...]]], ...]:
    by_parameter: dict[Parameter, dict[str, tuple[int, ...]]] = {}
    for anchor, number in filed:
        if isinstance(anchor, ChoiceIs):
            by_value = by_parameter.setdefault(anchor.parameter, {})
            for value in anchor.values:
                by_value[value] = (*by_value.get(value, ()), number)
    return tuple(by_parameter.items())


def _boolean_indexes(
    filed: Iterable[tuple[Anchor, int]],
) -> tuple[tuple[Parameter, Mapping[bool, tuple[int, ...]]], ...]:
    by_parameter: dict[Parameter, dict[bool, tuple[int, ...]]] = {}
    for anchor, number in filed:
        if isinstance(anchor, BooleanIs):
            by_truth = by_parameter.setdefault(anchor.parameter, {})
            by_truth[anchor.expected] = (*by_truth.get(anchor.expected, ()), number)
    return tuple(by_parameter.items())


def _link_type_index(filed: Iterable[tuple[Anchor, int]]) -> Mapping[str, tuple[int, ...]]:
    by_type: dict[str, list[int]] = {}
    for anchor, number in filed:
        if isinstance(anchor, LinkTypeIs):
            for link_type in anchor.types:
                by_type.setdefault(link_type, []).append(number)
    return {link_type: tuple(numbers) for link_type, numbers in by_type.items()}


def _network_indexes(filed: Iterable[tuple[Anchor, int]]) -> tuple[tuple[Parameter, NetworkIndex], ...]:
    by_parameter: dict[Parameter, list[tuple[AddressIn, int]]] = {}
    for anchor, number in filed:
        if isinstance(anchor, AddressIn):
            by_parameter.setdefault(anchor.parameter, []).append((anchor, number))
    return tuple((parameter, NetworkIndex(conditions)) for parameter, conditions in by_parameter.items())

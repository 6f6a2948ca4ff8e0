"""Rules by what their conditions compare: one look-up finds those that may hold, however many there are."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Protocol, TypeAlias

from policy_server.pexip.parameters import Parameter
from policy_server.policy.facts import Facts, Source
from policy_server.policy.pattern_index import PatternIndex
from policy_server.policy.patterns import Pattern

Network: TypeAlias = IPv4Network | IPv6Network


class Index(Protocol):
    """Rules by the values of one thing that a question has."""

    def candidates(self, facts: Facts) -> Iterable[int]:
        """The rules whose condition on it may hold, in any order, some of them perhaps twice."""


class TextIndex:
    """Rules by regular expression."""

    __slots__ = ("_patterns", "_source")

    def __init__(self, source: Source, patterns: Iterable[tuple[Pattern, int]]) -> None:
        self._source: Final = source
        self._patterns: Final = PatternIndex(patterns)

    def candidates(self, facts: Facts) -> Iterable[int]:
        """The rules one of whose expressions may match a text of the question."""
        texts = self._source.texts(facts)
        if len(texts) == 1:
            return self._patterns.candidates(texts[0])
        return [number for text in texts for number in self._patterns.candidates(text)]


class ValueIndex:
    """Rules by value."""

    __slots__ = ("_actual", "_by_value")

    def __init__(self, actual: Callable[[Facts], Hashable], by_value: Mapping[Hashable, list[int]]) -> None:
        self._actual: Final = actual
        self._by_value: Final = by_value

    def candidates(self, facts: Facts) -> Iterable[int]:
        """The rules that list the value of the question."""
        return self._by_value.get(self._actual(facts), ())


class NetworkIndex:
    """Rules by network: one look-up for each prefix length in use."""

    __slots__ = ("_by_length", "_parameter")

    def __init__(self, parameter: Parameter, networks: Iterable[tuple[Network, int]]) -> None:
        by_length: dict[tuple[int, int], dict[int, list[int]]] = {}
        for network, number in networks:
            shift = network.max_prefixlen - network.prefixlen
            same_length = by_length.setdefault((network.version, shift), {})
            same_length.setdefault(int(network.network_address) >> shift, []).append(number)
        self._parameter: Final = parameter
        self._by_length: Final = by_length

    def candidates(self, facts: Facts) -> Iterable[int]:
        """The rules one of whose networks contains the address of the question."""
        address = facts.request.address(self._parameter.name)
        if address is None:
            return ()
        value = int(address)
        return [
            number
            for (version, shift), networks in self._by_length.items()
            if version == address.version
            for number in networks.get(value >> shift, ())
        ]


class IndexBuilder:
    """Takes rules in, each under one of its conditions."""

    __slots__ = ("_networks", "_texts", "_values")

    def __init__(self) -> None:
        self._texts: Final[dict[Source, list[tuple[Pattern, int]]]] = {}
        self._values: Final[dict[Hashable, tuple[Callable[[Facts], Hashable], dict[Hashable, list[int]]]]] = {}
        self._networks: Final[dict[Parameter, list[tuple[Network, int]]]] = {}

    def add_texts(self, source: Source, patterns: Iterable[Pattern], number: int) -> None:
        """Files a rule under expressions."""
        self._texts.setdefault(source, []).extend((pattern, number) for pattern in patterns)

    def add_values(
        self, subject: Hashable, actual: Callable[[Facts], Hashable], values: Iterable[Hashable], number: int
    ) -> None:
        """Files a rule under values; ``actual`` gives the question's, and is the same for all of one subject."""
        _, by_value = self._values.setdefault(subject, (actual, {}))
        for value in values:
            by_value.setdefault(value, []).append(number)

    def add_networks(self, parameter: Parameter, networks: Iterable[Network], number: int) -> None:
        """Files a rule under networks."""
        self._networks.setdefault(parameter, []).extend((network, number) for network in networks)

    def indexes(self) -> tuple[Index, ...]:
        """What was filed; raises PatternError when the patterns on one source need too much memory together."""
        return (
            *(TextIndex(source, patterns) for source, patterns in self._texts.items()),
            *(ValueIndex(actual, by_value) for actual, by_value in self._values.values()),
            *(NetworkIndex(parameter, networks) for parameter, networks in self._networks.items()),
        )

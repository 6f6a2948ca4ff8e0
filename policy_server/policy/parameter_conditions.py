"""Conditions on what a question carries: its parameters, and the attributes of whoever calls."""

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from policy_server.pexip.parameters import Parameter
from policy_server.pexip.request_types import RequestType
from policy_server.policy.condition_base import BaseCondition, OneOf, ValueT
from policy_server.policy.facts import Facts, ParameterSource, Source, Supposed
from policy_server.policy.inclusion import Inclusion
from policy_server.policy.indexes import IndexBuilder, Network
from policy_server.policy.pattern_relations import bare, covers, differ, open_prefix
from policy_server.policy.patterns import Pattern
from policy_server.policy.templates import RAW

if TYPE_CHECKING:
    from policy_server.policy.conditions import Condition


@dataclass(frozen=True, slots=True)
class TextMatches(BaseCondition):
    """A text matches one of some regular expressions as a whole; of several values, any one does."""

    source: Source
    patterns: tuple[Pattern, ...]

    index_rank = 0

    @property
    def key(self) -> str:
        """The name of the parameter or attribute."""
        return self.source.key

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The parameter, if it is one."""
        return (self.key,) if isinstance(self.source, ParameterSource) else ()

    @property
    def is_on_alias(self) -> bool:
        """Whether it compares the alias that was dialled."""
        return self.source.folds and self.key == "local_alias"

    @property
    def names(self) -> frozenset[str]:
        """The named groups of all expressions."""
        return frozenset(chain.from_iterable(pattern.groups for pattern in self.patterns))

    @property
    def gives(self) -> bool:
        """Whether an expression has named groups."""
        return any(pattern.groups for pattern in self.patterns)

    @property
    def folded_names(self) -> frozenset[str]:
        """All of them, where an alias is compared."""
        return self.names if self.source.folds else frozenset()

    def match(self, facts: Facts) -> Mapping[str, str] | None:
        """The named groups of the first match, or ``None``."""
        key = id(self)
        if key in facts.groups:
            return facts.groups[key]
        groups = facts.groups[key] = self.first_match(self.source.texts(facts))
        return groups

    def first_match(self, texts: Iterable[str]) -> Mapping[str, str] | None:
        """The named groups of the first of some texts that matches, or ``None``."""
        for text in texts:
            for pattern in self.patterns:
                groups = pattern.match(text)
                if groups is not None:
                    return groups
        return None

    def holds(self, facts: Facts) -> bool:
        """Whether any value matches."""
        return self.match(facts) is not None

    @property
    def expected(self) -> str:
        """The expressions."""
        return " or ".join(pattern.text for pattern in self.patterns)

    @property
    def words(self) -> str:
        """The expressions, unless they are secret."""
        return f"{self.key} is what the rule says" if self.source.secret else f"{self.key} matches {self.expected}"

    def miss(self, facts: Facts) -> str:
        """The value and the expressions."""
        if self.source.secret:
            return f"{self.key} is missing or another value"
        texts = self.source.texts(facts)
        if not texts:
            return f"{self.key} is missing"
        shown = ", ".join(repr(text if len(text) <= 60 else text[:59] + "…") for text in map(facts.shown, texts[:3]))
        return f"{self.key} is {shown}, which does not match {self.expected}"

    def groups(self, facts: Facts, *, originals: bool) -> Mapping[str, str]:
        """What its named groups matched; the originals of an alias as they stand in the parameter itself."""
        found = self.match(facts) or {}
        if not originals:
            return found
        as_they_came = self._originals(facts) if self.source.folds else found
        return {**found, **{name + RAW: text for name, text in as_they_came.items()}}

    def _originals(self, facts: Facts) -> Mapping[str, str]:
        for text in self.source.texts(facts):
            for pattern in self.patterns:
                spans = pattern.spans(text)
                if spans is not None:
                    return {name: facts.original(self.source, *span) for name, span in spans.items()}
        return {}

    def captures(self) -> Iterator[tuple[str, str]]:
        """The groups that every expression has."""
        for name in self.patterns[0].groups:
            if all(name in pattern.groups for pattern in self.patterns):
                yield name, "|".join(pattern.source_of(name) for pattern in self.patterns)

    def supposing(self, supposed: Supposed) -> bool | None:
        """By the alias, if it is known, and by what the source says of strangers and of callers without a link."""
        if self.is_on_alias and supposed.alias is not None:
            return self.first_match((supposed.alias,)) is not None
        return False if self.source.lacks(supposed) else None

    def implies(self, other: "Condition") -> bool:
        """Whether an expression of the other covers each of its own."""
        return (
            isinstance(other, TextMatches)
            and self.source == other.source
            and all(
                any(covers(wide, narrow, clean=self.source.is_clean) for wide in other.patterns)
                for narrow in self.patterns
            )
        )

    def excludes(self, other: "Condition") -> bool:
        """Whether no text matches both."""
        return (
            isinstance(other, TextMatches)
            and self.source == other.source
            and self.source.is_single
            and all(differ(one, another) for one in self.patterns for another in other.patterns)
        )

    def covers(self, other: "Condition", inclusion: Inclusion) -> bool | None:
        """What ``implies`` says of the other, decided by automata where the text of the expressions does not tell."""
        if not isinstance(other, TextMatches) or self.source != other.source:
            return False
        covers = inclusion.covers(self.patterns, other.patterns, clean=self.source.is_clean)
        return True if covers is None and other.implies(self) else covers

    def filed_under(self) -> Iterator[Hashable]:
        """By expression, or by the text that whatever begins with it matches."""
        for pattern in map(bare, self.patterns):
            prefix = open_prefix(pattern)
            yield self.key, pattern if prefix is None else prefix.lower()

    def looked_up_under(self) -> Iterator[Hashable]:
        """By expression, and by every beginning of the text that it begins with."""
        for pattern in map(bare, self.patterns):
            yield self.key, pattern
            for length in range(len(pattern.prefix) + 1):
                yield self.key, pattern.prefix[:length].lower()

    def begins_with(self) -> Iterator[Hashable]:
        """Keys of which a condition that this one covers has at least one in ``looked_up_under``, as far as its beginning is
        plain to see.
        """
        return ((self.key, pattern.prefix.lower()) for pattern in map(bare, self.patterns) if pattern.literal is None)

    def facets(self) -> Iterator[Hashable]:
        """By expression."""
        return ((self.source, pattern) for pattern in self.patterns)

    def file(self, number: int, index: IndexBuilder) -> None:
        """By expression."""
        index.add_texts(self.source, self.patterns, number)


class _OfParameter(BaseCondition):
    """A condition on one parameter, which a class has as a field."""

    __slots__ = ()

    parameter: Parameter

    @property
    def key(self) -> str:
        """The name of the parameter."""
        return self.parameter.name

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The parameter."""
        return (self.parameter.name,)

    def supposing(self, supposed: Supposed) -> bool | None:
        """Strangers do not have what is vouched for."""
        return False if supposed.stranger and self.parameter.vouched else None

    def shown(self, text: str) -> str:
        """A value for a finding."""
        if not text:
            return "missing"
        if self.parameter.secret:
            return "another value"
        return f"{text if len(text) <= 60 else text[:59] + '…'!r}"


class _ValueOfParameter(_OfParameter, OneOf[ValueT]):
    """A parameter has one of some values."""

    __slots__ = ()

    def holds(self, facts: Facts) -> bool | None:
        """Whether the value is listed; ``None`` when there is one that cannot be read."""
        value = self.actual(facts)
        if value is None:
            return None if facts.request.text(self.parameter.name) else False
        return value in self.values

    @property
    def words(self) -> str:
        """The parameter and the list, unless it is secret."""
        return f"{self.key} is {'what the rule says' if self.parameter.secret else self.listed}"

    def found(self, facts: Facts) -> str:
        """The parameter and its value as it came."""
        return f"{self.key} is {self.shown(facts.request.text(self.parameter.name))}"


@dataclass(frozen=True, slots=True)
class ChoiceIs(_ValueOfParameter[str]):
    """An enumerated parameter has one of some values."""

    parameter: Parameter
    values: frozenset[str]

    index_rank = 3

    def actual(self, facts: Facts) -> str | None:
        """The value as it is compared: documented ones without regard to case, names of the deployment exactly."""
        value = facts.request.choice(self.parameter.name)
        return (value.lower() if self.parameter.choices else value) or None

    def holds(self, facts: Facts) -> bool:
        """Whether the value is listed; every text is one."""
        return self.actual(facts) in self.values

    def found(self, facts: Facts) -> str:
        """The parameter and its value."""
        return f"{self.key} is {self.shown(facts.request.choice(self.parameter.name))}"

    def impossible(self, beside: Collection["Condition"], request: RequestType) -> str:
        """Rules are not asked about calls out of a room."""
        if request is RequestType.SERVICE and self.key == "call_direction" and self.values == {"dial_out"}:
            return "a dial_out question is answered with the service of the room that it is about, whatever rules say"
        return ""


@dataclass(frozen=True, slots=True)
class BooleanIs(_ValueOfParameter[bool]):
    """A boolean parameter is true, or is false."""

    parameter: Parameter
    values: frozenset[bool]

    index_rank = 4

    def actual(self, facts: Facts) -> bool | None:
        """``None`` when it reads neither ``True`` nor ``False``."""
        return facts.request.boolean(self.parameter.name)

    def supposing(self, supposed: Supposed) -> bool | None:
        """Nobody vouches for what is not so."""
        return None if False in self.values else _OfParameter.supposing(self, supposed)


@dataclass(frozen=True, slots=True)
class IntegerIs(_ValueOfParameter[int]):
    """A number parameter has one of some values."""

    parameter: Parameter
    values: frozenset[int]

    def actual(self, facts: Facts) -> int | None:
        """``None`` when it is not a number."""
        return facts.request.integer(self.parameter.name)


@dataclass(frozen=True, slots=True)
class AddressIn(_OfParameter):
    """An address lies in one of some networks."""

    parameter: Parameter
    networks: tuple[Network, ...]

    index_rank = 2

    @property
    def words(self) -> str:
        """The networks."""
        return f"{self.key} is in {self.listed}"

    @property
    def listed(self) -> str:
        """The networks."""
        return " or ".join(map(str, self.networks))

    def holds(self, facts: Facts) -> bool | None:
        """Whether a network contains it; ``None`` when it is not an address."""
        if not facts.request.text(self.parameter.name):
            return False
        address = facts.request.address(self.parameter.name)
        return None if address is None else any(address in network for network in self.networks)

    def miss(self, facts: Facts) -> str:
        """The address and the networks."""
        value = self.shown(facts.request.text(self.parameter.name))
        return f"{self.key} is {value}, not in {self.listed}"

    def implies(self, other: "Condition") -> bool:
        """Whether each network lies in one of the other's."""
        return (
            isinstance(other, AddressIn)
            and self.parameter == other.parameter
            and all(
                any(
                    narrow.version == wide.version and narrow.subnet_of(wide)  # type: ignore[arg-type]
                    for wide in other.networks
                )
                for narrow in self.networks
            )
        )

    def excludes(self, other: "Condition") -> bool:
        """Whether no networks overlap."""
        return (
            isinstance(other, AddressIn)
            and self.parameter == other.parameter
            and not any(one.overlaps(another) for one in self.networks for another in other.networks)
        )

    def facets(self) -> Iterator[Hashable]:
        """By network."""
        return ((self.key, network) for network in self.networks)

    def file(self, number: int, index: IndexBuilder) -> None:
        """By network."""
        index.add_networks(self.parameter, self.networks, number)

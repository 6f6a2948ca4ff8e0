"""The conditions of a rule: each says whether it holds for a question, and how to explain a miss.

``holds`` is three-valued. ``False`` is "no", a missing value included; ``None`` is "the value cannot be read", which
satisfies neither a condition nor its ``not`` (README.md: Conditions).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from policy_server.pexip.parameters import Parameter
from policy_server.policy.calendars import Calendar
from policy_server.policy.facts import Facts, ParameterSource, Source
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import LinkState
from policy_server.policy.patterns import Pattern
from policy_server.policy.templates import RAW

Network = IPv4Network | IPv6Network


class Condition(Protocol):
    """One entry of ``when``."""

    @property
    def key(self) -> str:
        """What the rule calls it, for findings."""

    def holds(self, facts: Facts) -> bool | None:
        """Whether the question satisfies it; ``None`` when the value cannot be read."""

    def miss(self, facts: Facts) -> str:
        """Why it does not hold, for a person; only meaningful when it does not."""


def _shown(parameter: Parameter, text: str) -> str:
    if not text:
        return "missing"
    if parameter.secret:
        return "another value"
    return f"{text if len(text) <= 60 else text[:59] + '…'!r}"


@dataclass(frozen=True, slots=True)
class TextMatches:
    """A text matches one of some regular expressions as a whole; of several values, any one does."""

    source: Source
    patterns: tuple[Pattern, ...]

    @property
    def key(self) -> str:
        """The name of the parameter or attribute."""
        return self.source.key

    def match(self, facts: Facts) -> Mapping[str, str] | None:
        """The named groups of the first match, or ``None``."""
        key = id(self)
        if key in facts.groups:
            return facts.groups[key]
        groups = facts.groups[key] = self._first_match(facts.texts(self.source))
        return groups

    def _first_match(self, texts: tuple[str, ...]) -> Mapping[str, str] | None:
        for text in texts:
            for pattern in self.patterns:
                groups = pattern.match(text)
                if groups is not None:
                    return groups
        return None

    def originals(self, facts: Facts) -> Mapping[str, str]:
        """The named groups of the first match as they stand in the parameter itself."""
        for text in facts.texts(self.source):
            for pattern in self.patterns:
                spans = pattern.spans(text)
                if spans is not None:
                    return {name: facts.original(self.source, *span) for name, span in spans.items()}
        return {}

    def holds(self, facts: Facts) -> bool:
        """Whether any value matches."""
        return self.match(facts) is not None

    def miss(self, facts: Facts) -> str:
        """The value and the expressions."""
        if isinstance(self.source, ParameterSource) and self.source.parameter.secret:
            return f"{self.key} is missing or another value"
        texts = facts.texts(self.source)
        if not texts:
            return f"{self.key} is missing"
        expected = " or ".join(pattern.text for pattern in self.patterns)
        shown = ", ".join(repr(text if len(text) <= 60 else text[:59] + "…") for text in map(facts.shown, texts[:3]))
        return f"{self.key} is {shown}, which does not match {expected}"


@dataclass(frozen=True, slots=True)
class ChoiceIs:
    """An enumerated parameter has one of some values."""

    parameter: Parameter
    values: frozenset[str]

    @property
    def key(self) -> str:
        """The name of the parameter."""
        return self.parameter.name

    def holds(self, facts: Facts) -> bool:
        """Whether the value is listed."""
        return choice_key(self.parameter, facts) in self.values

    def miss(self, facts: Facts) -> str:
        """The value and the list."""
        value = _shown(self.parameter, facts.request.choice(self.parameter.name))
        return f"{self.key} is {value}, not {' or '.join(sorted(self.values))}"


def choice_key(parameter: Parameter, facts: Facts) -> str | None:
    """The value as it is compared: documented values without regard to case, names of the deployment exactly."""
    value = facts.request.choice(parameter.name)
    return (value.lower() if parameter.choices else value) or None


@dataclass(frozen=True, slots=True)
class BooleanIs:
    """A boolean parameter is true, or is false."""

    parameter: Parameter
    expected: bool

    @property
    def key(self) -> str:
        """The name of the parameter."""
        return self.parameter.name

    def holds(self, facts: Facts) -> bool | None:
        """Whether it has the value; ``None`` when it reads neither ``True`` nor ``False``."""
        if not facts.request.text(self.parameter.name):
            return False
        value = facts.request.boolean(self.parameter.name)
        return None if value is None else value is self.expected

    def miss(self, facts: Facts) -> str:
        """The value and what it had to be."""
        value = _shown(self.parameter, facts.request.text(self.parameter.name))
        return f"{self.key} is {value}, not {self.expected}"


@dataclass(frozen=True, slots=True)
class IntegerIs:
    """A number parameter has one of some values."""

    parameter: Parameter
    values: frozenset[int]

    @property
    def key(self) -> str:
        """The name of the parameter."""
        return self.parameter.name

    def holds(self, facts: Facts) -> bool | None:
        """Whether the number is listed; ``None`` when it is not a number."""
        if not facts.request.text(self.parameter.name):
            return False
        value = facts.request.integer(self.parameter.name)
        return None if value is None else value in self.values

    def miss(self, facts: Facts) -> str:
        """The value and the list."""
        value = _shown(self.parameter, facts.request.text(self.parameter.name))
        return f"{self.key} is {value}, not {' or '.join(map(str, sorted(self.values)))}"


@dataclass(frozen=True, slots=True)
class AddressIn:
    """An address lies in one of some networks."""

    parameter: Parameter
    networks: tuple[Network, ...]

    @property
    def key(self) -> str:
        """The name of the parameter."""
        return self.parameter.name

    def holds(self, facts: Facts) -> bool | None:
        """Whether a network contains it; ``None`` when it is not an address."""
        if not facts.request.text(self.parameter.name):
            return False
        address = facts.request.address(self.parameter.name)
        return None if address is None else any(address in network for network in self.networks)

    def miss(self, facts: Facts) -> str:
        """The address and the networks."""
        value = _shown(self.parameter, facts.request.text(self.parameter.name))
        return f"{self.key} is {value}, not in {' or '.join(map(str, self.networks))}"


@dataclass(frozen=True, slots=True)
class CalendarIs:
    """A calendar is open, or is closed, at the time of the question."""

    calendar: Calendar
    expected_open: bool

    @property
    def key(self) -> str:
        """``open`` or ``closed``."""
        return "open" if self.expected_open else "closed"

    def holds(self, facts: Facts) -> bool:
        """Whether the calendar is as expected now."""
        return self.calendar.is_open(facts.now) is self.expected_open

    def miss(self, facts: Facts) -> str:
        """What the calendar is, and at which local time."""
        local = facts.now.astimezone(self.calendar.timezone)
        state = "closed" if self.expected_open else "open"
        return f"calendar {self.calendar.name} is {state} at {local:%a %Y-%m-%d %H:%M} ({self.calendar.timezone.key})"


@dataclass(frozen=True, slots=True)
class LinkIs:
    """The link that the alias belongs to is valid, early, expired, invalid or absent."""

    states: frozenset[LinkState]

    key = "link"

    def holds(self, facts: Facts) -> bool:
        """Whether the state is one of those expected."""
        return facts.link_state in self.states

    def miss(self, facts: Facts) -> str:
        """The state and what it had to be."""
        return f"the link is {facts.link_state}, not {' or '.join(sorted(self.states))}"


@dataclass(frozen=True, slots=True)
class LinkTypeIs:
    """The alias is one of some link types, whoever signed it, if anybody did."""

    types: frozenset[str]

    key = "link_type"

    def holds(self, facts: Facts) -> bool:
        """Whether the type is listed."""
        return facts.link is not None and facts.link.type in self.types

    def miss(self, facts: Facts) -> str:
        """The type and the list."""
        found = "of no link type" if facts.link is None else f"one of link type {facts.link.type}"
        return f"the alias is {found}, not {' or '.join(sorted(self.types))}"


@dataclass(frozen=True, slots=True)
class DoorIs:
    """The alias is the customer's, or the agents', of a link type."""

    entrances: frozenset[Entrance]

    key = "door"

    def holds(self, facts: Facts) -> bool:
        """Whether it is one of those expected."""
        return facts.link is not None and facts.link.entrance in self.entrances

    def miss(self, facts: Facts) -> str:
        """Whose alias it is."""
        found = "of no link type" if facts.link is None else f"for the {facts.link.entrance}"
        return f"the alias is {found}, not for the {' or '.join(sorted(self.entrances))}"


@dataclass(frozen=True, slots=True)
class PercentOf:
    """A fixed share of calls, the same ones each time; another rule's share is drawn independently.

    Where no link of ours leads to the call, its room or alias takes its place.
    """

    percent: float
    rule: str

    key = "percent"

    def share(self, facts: Facts) -> float | None:
        """Where the call falls, from 0 up to 100; ``None`` when the question has neither call nor room."""
        text = facts.call_id or facts.request.text("service_name") or facts.alias("local_alias")
        if not text:
            return None
        digest = blake2b(f"{self.rule}\0{text}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64 * 100

    def holds(self, facts: Facts) -> bool:
        """Whether the call is in the share."""
        share = self.share(facts)
        return share is not None and share < self.percent

    def miss(self, facts: Facts) -> str:
        """Where the call falls."""
        share = self.share(facts)
        where = "the question names no call or room" if share is None else f"the call falls at {share:.1f}"
        return f"{where}, outside {self.percent:g} percent"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition of a list holds."""

    conditions: tuple[Condition, ...]

    key = "all"

    def holds(self, facts: Facts) -> bool | None:
        """``False`` if any is, else ``None`` if any is."""
        results = [condition.holds(facts) for condition in self.conditions]
        return False if False in results else None if None in results else True

    def miss(self, facts: Facts) -> str:
        """The first that missed."""
        return next(condition.miss(facts) for condition in self.conditions if condition.holds(facts) is not True)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one condition of a list holds."""

    conditions: tuple[Condition, ...]

    key = "any"

    def holds(self, facts: Facts) -> bool | None:
        """``True`` if any is, else ``None`` if any is."""
        results = [condition.holds(facts) for condition in self.conditions]
        return True if True in results else None if None in results else False

    def miss(self, facts: Facts) -> str:
        """Why each missed."""
        return "; ".join(condition.miss(facts) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class NotAllOf:
    """``not``: the conditions, all of which would have to hold, do not."""

    conditions: tuple[Condition, ...]

    key = "not"

    def holds(self, facts: Facts) -> bool | None:
        """The opposite of all of them; ``None`` stays ``None``."""
        result = AllOf(self.conditions).holds(facts)
        return None if result is None else not result

    def miss(self, facts: Facts) -> str:
        """What held, or could not be read."""
        keys = ", ".join(condition.key for condition in self.conditions)
        return f"{keys} cannot be read" if self.holds(facts) is None else f"{keys} holds"


def walk(conditions: tuple[Condition, ...]) -> Iterator[Condition]:
    """Every condition, and those inside of ``all``, ``any`` and ``not``."""
    for condition in conditions:
        yield condition
        if isinstance(condition, AllOf | AnyOf | NotAllOf):
            yield from walk(condition.conditions)


def text_matches(conditions: tuple[Condition, ...]) -> Iterator[TextMatches]:
    """The text conditions that must hold whenever all of ``conditions`` do: these give a rule its named groups."""
    for condition in conditions:
        if isinstance(condition, TextMatches):
            yield condition
        elif isinstance(condition, AllOf):
            yield from text_matches(condition.conditions)


def parameters_in(conditions: tuple[Condition, ...]) -> Iterator[str]:
    """The request parameters that conditions look at (``NAME.raw`` as it came), some of them perhaps twice."""
    for condition in conditions:
        match condition:
            case TextMatches(source=ParameterSource()) | ChoiceIs() | BooleanIs() | IntegerIs() | AddressIn():
                yield condition.key
            case AllOf() | AnyOf() | NotAllOf():
                yield from parameters_in(condition.conditions)
            case _:
                pass  # Calendars and links are the same for whoever asks.


def captured_groups(conditions: tuple[Condition, ...], facts: Facts, names: Collection[str] = ()) -> dict[str, str]:
    """What the named groups of a rule matched, once its conditions hold.

    Those of ``names`` that end in ``.raw`` are there too: what a group matched, as it came.
    """
    groups: dict[str, str] = {}
    wants_originals = any(name.endswith(RAW) for name in names)
    for condition in _capturing(conditions, facts):
        found = condition.match(facts) or {}
        groups |= found
        if wants_originals:
            originals = condition.originals(facts) if condition.source.folds else found
            groups |= {name + RAW: text for name, text in originals.items()}
    return groups


def _capturing(conditions: tuple[Condition, ...], facts: Facts) -> Iterator[TextMatches]:
    """The conditions that give their groups: of ``any`` those of the first branch that holds, of ``not`` none."""
    for condition in conditions:
        match condition:
            case TextMatches():
                yield condition
            case AllOf():
                yield from _capturing(condition.conditions, facts)
            case AnyOf():
                branch = next((branch for branch in condition.conditions if branch.holds(facts)), None)
                if branch is not None:
                    yield from _capturing((branch,), facts)
            case _:
                pass

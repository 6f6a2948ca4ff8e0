"""The conditions of a rule: those on calendars, links and calls, those made of others, and the union of all.

A new one is a class here, a name in ``Condition`` and a row in the table of rulefiles/conditions.py.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

from policy_server.pexip.request_types import RequestType
from policy_server.policy.calendars import Calendar
from policy_server.policy.condition_base import NO_GROUPS, BaseCondition, Composite, OneOf
from policy_server.policy.facts import Facts, Supposed
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import LinkState
from policy_server.policy.parameter_conditions import AddressIn, BooleanIs, ChoiceIs, IntegerIs, TextMatches
from policy_server.policy.tables import TableHas
from policy_server.policy.templates import RAW


@dataclass(frozen=True, slots=True)
class CalendarIs(OneOf[bool]):
    """A calendar is open, or is closed, at the time of the question."""

    calendar: Calendar
    values: frozenset[bool]

    looks_at = ()

    @property
    def key(self) -> str:
        """``open`` or ``closed``."""
        return "open" if True in self.values else "closed"

    @property
    def subject(self) -> Calendar:
        """The calendar."""
        return self.calendar

    @property
    def words(self) -> str:
        """The calendar, and how it has to be."""
        return f"calendar {self.calendar.name} is {self.key}"

    @property
    def calendars(self) -> tuple[Calendar, ...]:
        """The calendar."""
        return (self.calendar,)

    def actual(self, facts: Facts) -> bool:
        """Whether the calendar is open now."""
        return self.calendar.is_open(facts.now)

    def found(self, facts: Facts) -> str:
        """What the calendar is, at which local time, and by which exception."""
        local = facts.now.astimezone(self.calendar.timezone)
        state = "open" if self.actual(facts) else "closed"
        exception = self.calendar.exception(facts.now)
        why = f": {exception}" if exception else ""
        zone = self.calendar.timezone.key
        return f"calendar {self.calendar.name} is {state} at {local:%a %Y-%m-%d %H:%M} ({zone}){why}"

    miss = found


@dataclass(frozen=True, slots=True)
class LinkIs(OneOf[LinkState]):
    """The link that the alias belongs to is valid, early, expired, invalid or absent."""

    values: frozenset[LinkState]

    key = "link"
    looks_at = ()
    needs_key = True

    @property
    def words(self) -> str:
        """The states."""
        return f"the link is {self.listed}"

    def actual(self, facts: Facts) -> LinkState:
        """What the link is worth."""
        return facts.link_state

    def found(self, facts: Facts) -> str:
        """The state, of an early link with when its door opens."""
        opens_at = facts.call.opens_at if facts.call is not None and facts.link_state is LinkState.EARLY else None
        until = f" until {opens_at:%a %Y-%m-%d %H:%M} (UTC)" if opens_at is not None else ""
        return f"the link is {facts.link_state}{until}"

    def possible(self, supposed: Supposed) -> frozenset[LinkState]:
        """The states that are supposed."""
        return supposed.link_states


class _OfLinkAlias(OneOf[str]):
    """A condition on what an alias looks like, whoever signed it, if anybody did."""

    __slots__ = ()

    looks_at = ()

    def excludes(self, other: "Condition") -> bool:
        """Whether they have no value in common, or the other demands that there is no link."""
        return OneOf.excludes(self, other) or (isinstance(other, LinkIs) and other.values == {LinkState.ABSENT})


@dataclass(frozen=True, slots=True)
class LinkTypeIs(_OfLinkAlias):
    """The alias is one of some link types."""

    values: frozenset[str]

    key = "link_type"
    index_rank = 1

    @property
    def words(self) -> str:
        """The types."""
        return f"the alias is one of link type {self.listed}"

    def actual(self, facts: Facts) -> str | None:
        """The type that the alias looks like."""
        link = facts.link
        return None if link is None else link.type

    def found(self, facts: Facts) -> str:
        """The type."""
        return f"the alias is {'of no link type' if facts.link is None else f'one of link type {facts.link.type}'}"

    def possible(self, supposed: Supposed) -> frozenset[str] | None:
        """The types that are supposed."""
        return supposed.link_types


@dataclass(frozen=True, slots=True)
class DoorIs(_OfLinkAlias):
    """The alias is the customer's, or the agents', of a link type."""

    values: frozenset[Entrance]

    key = "door"

    @property
    def words(self) -> str:
        """Whose alias."""
        return f"the alias is for the {self.listed}"

    def actual(self, facts: Facts) -> Entrance | None:
        """Whose alias it is."""
        link = facts.link
        return None if link is None else link.entrance

    def found(self, facts: Facts) -> str:
        """Whose alias it is."""
        return f"the alias is {'of no link type' if facts.link is None else f'for the {facts.link.entrance}'}"

    def miss(self, facts: Facts) -> str:
        """Whose alias it is, and whose it had to be."""
        return f"{self.found(facts)}, not for the {self.listed}"

    def possible(self, supposed: Supposed) -> frozenset[Entrance] | None:
        """The doors that are supposed."""
        return supposed.entrances


@dataclass(frozen=True, slots=True)
class PercentOf(BaseCondition):
    """A fixed share of calls, the same ones each time; another rule's share is drawn independently.

    Where no link of ours leads to the call, its room or alias takes its place.
    """

    percent: float
    rule: str

    key = "percent"
    looks_at = ()
    # By the call id, which only the key tells.
    needs_key = True

    @property
    def words(self) -> str:
        """The share."""
        return f"the call is among {self.percent:g} percent of all"

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

    def implies(self, other: "Condition") -> bool:
        """A share of another rule is known only when it is all."""
        return self == other or (isinstance(other, PercentOf) and other.percent >= 100)

    def impossible(self, beside: Collection["Condition"], request: RequestType) -> str:
        """Nobody is in a share of nothing."""
        return "percent is 0; to switch a rule off write enabled: false" if self.percent <= 0 else ""


@dataclass(frozen=True, slots=True)
class AllOf(Composite):
    """Every condition of a list holds."""

    conditions: tuple["Condition", ...]

    key = "all"
    conjunction = True

    @property
    def words(self) -> str:
        """Each of them."""
        return _joined(self.conditions, " and ")

    def combine(self, results: Collection[bool | None]) -> bool | None:
        """``False`` if any is, else ``None`` if any is."""
        return False if False in results else None if None in results else True

    def miss(self, facts: Facts) -> str:
        """The first that missed."""
        return next(condition.miss(facts) for condition in self.conditions if condition.holds(facts) is not True)

    def groups(self, facts: Facts, *, originals: bool) -> Mapping[str, str]:
        """Those of every condition."""
        found: dict[str, str] = {}
        for condition in self.conditions:
            found |= condition.groups(facts, originals=originals)
        return found

    def captures(self) -> Iterator[tuple[str, str]]:
        """Those of every condition."""
        for condition in self.conditions:
            yield from condition.captures()


@dataclass(frozen=True, slots=True)
class AnyOf(Composite):
    """At least one condition of a list holds."""

    conditions: tuple["Condition", ...]

    key = "any"

    @property
    def words(self) -> str:
        """Each of them."""
        return _joined(self.conditions, " or ")

    def combine(self, results: Collection[bool | None]) -> bool | None:
        """``True`` if any is, else ``None`` if any is."""
        return True if True in results else None if None in results else False

    def miss(self, facts: Facts) -> str:
        """Why each missed."""
        return "; ".join(condition.miss(facts) for condition in self.conditions)

    def groups(self, facts: Facts, *, originals: bool) -> Mapping[str, str]:
        """Those of the first condition that holds."""
        holding = next((condition for condition in self.conditions if condition.holds(facts)), None)
        return NO_GROUPS if holding is None else holding.groups(facts, originals=originals)

    def captures(self) -> Iterator[tuple[str, str]]:
        """Those that each of its conditions gives, since any of them may hold."""
        branches = [tuple(condition.captures()) for condition in self.conditions]
        sources = [dict(branch) for branch in branches]
        for name, _ in branches[0]:
            if all(name in source for source in sources):
                yield name, "|".join(f"(?:{source[name]})" for source in sources)


@dataclass(frozen=True, slots=True)
class NotAllOf(Composite):
    """``not``: the conditions, all of which would have to hold, do not."""

    conditions: tuple["Condition", ...]

    key = "not"
    negation = True

    @property
    def words(self) -> str:
        """What must not be."""
        return f"it is not so that {_joined(self.conditions, ' and ')}"

    def combine(self, results: Collection[bool | None]) -> bool | None:
        """The opposite of all of them; ``None`` stays ``None``."""
        return True if False in results else None if None in results else False

    def miss(self, facts: Facts) -> str:
        """What held, or could not be read."""
        keys = ", ".join(condition.key for condition in self.conditions)
        return f"{keys} cannot be read" if self.holds(facts) is None else f"{keys} holds"

    def impossible(self, beside: Collection["Condition"], request: RequestType) -> str:
        """Whether others demand what it excludes."""
        demanded = all(any(own.implies(other) for own in beside) for other in conjuncts(self.conditions))
        return "its `not` excludes what its other conditions demand" if demanded else ""


Condition: TypeAlias = (
    TextMatches
    | ChoiceIs
    | BooleanIs
    | IntegerIs
    | AddressIn
    | CalendarIs
    | LinkIs
    | LinkTypeIs
    | DoorIs
    | PercentOf
    | TableHas
    | AllOf
    | AnyOf
    | NotAllOf
)
"""One entry of ``when``."""


def _joined(conditions: Iterable[Condition], word: str) -> str:
    """What several ask for; in brackets what is itself made of several."""
    told = (condition.words for condition in conditions)
    return word.join(f"({words})" if " and " in words or " or " in words else words for words in told)


def walk(conditions: Iterable[Condition], *, negated: bool = True) -> Iterator[Condition]:
    """Every condition, and those that it is made of; with ``negated=False`` not those inside of ``not``."""
    for condition in conditions:
        yield condition
        if negated or not condition.negation:
            yield from walk(condition.parts, negated=negated)


def conjuncts(conditions: Iterable[Condition]) -> Iterator[Condition]:
    """The conditions, none of them an ``all``, that hold whenever all of ``conditions`` do."""
    for condition in conditions:
        if condition.conjunction:
            yield from conjuncts(condition.parts)
        else:
            yield condition


def text_matches(conditions: Iterable[Condition]) -> Iterator[TextMatches]:
    """The text conditions that must hold whenever all of ``conditions`` do."""
    return (condition for condition in conjuncts(conditions) if isinstance(condition, TextMatches))


def parameters_in(conditions: Iterable[Condition]) -> Iterator[str]:
    """The request parameters that conditions look at (``NAME.raw`` as it came), some of them perhaps twice."""
    for condition in walk(conditions):
        yield from condition.looks_at


def captured_groups(conditions: Collection[Condition], facts: Facts, names: Collection[str] = ()) -> dict[str, str]:
    """What the named groups of a rule matched, once its conditions hold.

    Those of ``names`` that end in ``.raw`` are there too: what a group matched, as it came.
    """
    groups: dict[str, str] = {}
    if conditions:
        originals = any(name.endswith(RAW) for name in names)
        for condition in conditions:
            groups |= condition.groups(facts, originals=originals)
    return groups


def table_conditions(conditions: Iterable[Condition], *, negated: bool = False) -> Iterator[TableHas]:
    """The conditions that look something up; with ``negated=False`` those that may give columns."""
    return (condition for condition in walk(conditions, negated=negated) if isinstance(condition, TableHas))


def recalled_columns(conditions: Iterable[Condition], known: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """What the tables of a rule say of a room that it made, as far as that can be told from what is ``known`` of it."""
    columns: dict[str, str] = {}
    for condition in table_conditions(conditions):
        columns |= condition.recalled({**known, **columns}, facts)
    return columns

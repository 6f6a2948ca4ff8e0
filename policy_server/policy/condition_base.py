"""What every condition can be asked, so that those who search, explain and check rules need not know its class.

A default is the answer of somebody who knows nothing of the condition: what is said of rules is only what is certain.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeVar

from policy_server.pexip.request_types import RequestType
from policy_server.policy.calendars import Calendar
from policy_server.policy.facts import Facts, Supposed
from policy_server.policy.indexes import IndexBuilder

if TYPE_CHECKING:
    from policy_server.policy.conditions import Condition

NO_GROUPS: Final[Mapping[str, str]] = {}

ValueT = TypeVar("ValueT", bound=str | int)


class BaseCondition(ABC):
    """One entry of ``when``."""

    __slots__ = ()

    index_rank: ClassVar[int | None] = None
    """A rule is filed in the index under the condition that the fewest other rules share, and of several such under the
    one of the lowest rank; never under one without a rank.
    """
    conjunction: ClassVar[bool] = False
    """It holds if and only if each of its parts does."""
    negation: ClassVar[bool] = False
    """Its parts have to fail for it to hold, so what they match is never given."""
    needs_key: ClassVar[bool] = False
    """Whether it holds depends on the secret key."""

    @property
    @abstractmethod
    def key(self) -> str:
        """What the rule calls it, for findings."""

    @abstractmethod
    def holds(self, facts: Facts) -> bool | None:
        """Whether the question satisfies it.

        ``False`` is "no", a missing value included; ``None`` is "the value cannot be read", which satisfies neither a
        condition nor its ``not`` (README.md: Conditions).
        """

    @abstractmethod
    def miss(self, facts: Facts) -> str:
        """Why it does not hold, for a person; only meaningful when it does not."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What it asks for, for a person who knows the names of Pexip's parameters."""

    @property
    @abstractmethod
    def looks_at(self) -> tuple[str, ...]:
        """The request parameters (``NAME.raw`` as it came) without which it does not hold; its parts tell their own.

        None of a calendar or a link, which are the same for whoever asks.
        """

    @property
    def parts(self) -> tuple["Condition", ...]:
        """The conditions that it is made of."""
        return ()

    @property
    def calendars(self) -> tuple[Calendar, ...]:
        """Those whose opening or closing may change whether it holds."""
        return ()

    @property
    def names(self) -> frozenset[str]:
        """The named groups that it may give by itself."""
        return frozenset()

    @property
    def folded_names(self) -> frozenset[str]:
        """Those of ``names`` whose values are in the form in which aliases are compared."""
        return frozenset()

    @property
    def gives(self) -> bool:
        """Whether it may give groups. Most never give any."""
        return type(self).groups is not BaseCondition.groups

    def groups(self, facts: Facts, *, originals: bool) -> Mapping[str, str]:
        """What its named groups matched, given that it holds; with ``originals`` each also as it came, as NAME.raw."""
        return NO_GROUPS

    def captures(self) -> Iterable[tuple[str, str]]:
        """The named groups that it always gives when it holds, each with the expression behind it."""
        return ()

    def supposing(self, supposed: Supposed) -> bool | None:
        """Whether it certainly holds, or certainly does not, for every such question; ``None``: it depends."""
        return None

    def implies(self, other: "Condition") -> bool:
        """Whether ``other`` certainly holds whenever this does."""
        return self == other

    def excludes(self, other: "Condition") -> bool:
        """Whether this and ``other`` certainly never hold together."""
        return False

    def impossible(self, beside: Collection["Condition"], request: RequestType) -> str:
        """Why it never holds in a rule for such questions, with all its conditions; ``""`` when it may."""
        return ""

    def filed_under(self) -> Iterable[Hashable]:
        """Keys of which a condition that implies this one has at least one in ``looked_up_under``."""
        return ((type(self), self.key),)

    def looked_up_under(self) -> Iterable[Hashable]:
        """Keys of conditions that this one may imply."""
        return self.filed_under()

    def facets(self) -> Iterable[Hashable]:
        """The values by which it can hold; as many rules share it as share the commonest of them."""
        return ()

    def file(self, number: int, index: IndexBuilder) -> None:
        """Files the rule of this number in the index under this condition; asked only of those with a rank."""
        raise NotImplementedError


class OneOf(BaseCondition, Generic[ValueT]):
    """The question has one of some values. A class has ``values`` as a field, and says which the question has."""

    __slots__ = ()

    values: frozenset[ValueT]

    @abstractmethod
    def actual(self, facts: Facts) -> ValueT | None:
        """The value of the question; ``None`` when it has none."""

    @abstractmethod
    def found(self, facts: Facts) -> str:
        """What the question has, in words."""

    @property
    def subject(self) -> Hashable:
        """What has the value: conditions of one class and subject compare the same value."""
        return self.key

    def possible(self, supposed: Supposed) -> frozenset[ValueT] | None:
        """The values that such questions may have; ``None``: any."""
        return None

    def holds(self, facts: Facts) -> bool | None:
        """Whether the value is one of those."""
        return self.actual(facts) in self.values

    def miss(self, facts: Facts) -> str:
        """The value and the list."""
        return f"{self.found(facts)}, not {self.listed}"

    @property
    def listed(self) -> str:
        """The values."""
        return " or ".join(map(str, sorted(self.values)))

    @property
    def words(self) -> str:
        """The key and the list."""
        return f"{self.key} is {self.listed}"

    def supposing(self, supposed: Supposed) -> bool | None:
        """By the values that are possible."""
        possible = self.possible(supposed)
        if possible is None:
            return None
        return False if possible.isdisjoint(self.values) else True if possible <= self.values else None

    def implies(self, other: "Condition") -> bool:
        """Whether the other lists at least the same values."""
        return isinstance(other, type(self)) and self.subject == other.subject and self.values <= other.values

    def excludes(self, other: "Condition") -> bool:
        """Whether they have no value in common."""
        return isinstance(other, type(self)) and self.subject == other.subject and self.values.isdisjoint(other.values)

    def filed_under(self) -> Iterator[Hashable]:
        """By each value."""
        return ((type(self), self.key, value) for value in self.values)

    facets = filed_under

    def file(self, number: int, index: IndexBuilder) -> None:
        """By each value."""
        index.add_values((type(self), self.subject), self.actual, self.values, number)


class Composite(BaseCondition):
    """A condition made of conditions, which a class has as the field ``conditions``."""

    __slots__ = ()

    conditions: tuple["Condition", ...]

    @abstractmethod
    def combine(self, results: Collection[bool | None]) -> bool | None:
        """What it is when its parts are this: ``True``, ``False``, or ``None`` where nobody can tell."""

    looks_at = ()

    @property
    def parts(self) -> tuple["Condition", ...]:
        """The conditions of its list."""
        return self.conditions

    def holds(self, facts: Facts) -> bool | None:
        """What becomes of its parts."""
        return self.combine([condition.holds(facts) for condition in self.conditions])

    def supposing(self, supposed: Supposed) -> bool | None:
        """What becomes of its parts."""
        return self.combine([condition.supposing(supposed) for condition in self.conditions])

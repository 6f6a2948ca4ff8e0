"""Tables that rules look things up in, and the condition that a table has a key."""

import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from policy_server.pexip.aliases import folded
from policy_server.pexip.parameters import PARAMETERS, PATH_ALIAS
from policy_server.pexip.request_types import RequestType
from policy_server.policy.condition_base import NO_GROUPS, BaseCondition
from policy_server.policy.facts import Facts, Supposed, filled_in
from policy_server.policy.names import NAMES, UNSIGNED
from policy_server.policy.templates import RAW, Template, is_blank, without_raw

if TYPE_CHECKING:
    from policy_server.policy.conditions import Condition

_FEW: Final = 50
"""Different values of a column up to which an expression lists them."""
_LONGEST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True, eq=False)
class LookupTable:
    """Rows by their key. ``columns`` are named as placeholders are, ``NAME.COLUMN``, that of the key first; ``rows`` has the
    keys in lower case, as ``folded`` writes them.
    """

    name: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]] = field(repr=False)

    def row(self, key: str) -> Mapping[str, str] | None:
        """What the row with this key has in each column, in whatever case the key is."""
        cells = self.rows.get(folded(key))
        return None if cells is None else dict(zip(self.columns, cells, strict=True))

    def only_row(self, known: Mapping[str, str]) -> Mapping[str, str] | None:
        """The one row that has these values in these columns; ``None`` where no row has, or several."""
        places = [(place, known[column]) for place, column in enumerate(self.columns) if column in known]
        fitting = (cells for cells in self.rows.values() if all(cells[place] == value for place, value in places))
        first = next(fitting, None) if places else None
        if first is None or next(fitting, None) is not None:
            return None
        return dict(zip(self.columns, first, strict=True))

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Each column with an expression that its values match: of few values these, else any text."""
        for place, column in enumerate(self.columns):
            values = dict.fromkeys(cells[place] for cells in self.rows.values())
            if len(values) <= _FEW:
                yield column, "|".join(re.escape(value) for value in values)
            else:
                yield column, ".*" if "" in values else ".+"


@dataclass(frozen=True, slots=True)
class TableHas(BaseCondition):
    """A table has a row with some key, which is made of the question; the row fills placeholders.

    ``givers`` are conditions of the same rule whose named groups or columns, ``given``, stand in the key.
    """

    table: LookupTable
    wanted: Template
    givers: tuple["Condition", ...] = ()
    given: frozenset[str] = frozenset()

    key = "table"

    @property
    def words(self) -> str:
        """The table, and what its key is made of."""
        return f"table {self.table.name} has a row for {self.wanted.source}"

    @property
    def own(self) -> tuple[str, ...]:
        """The placeholders without which there is no key, but for those that ``givers`` fill."""
        return tuple(name for name in self.wanted.needed if without_raw(name) not in self.given)

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The parameters in the key."""
        return tuple(name for name in self.own if without_raw(name) in PARAMETERS or name == PATH_ALIAS.name)

    @property
    def names(self) -> frozenset[str]:
        """The columns."""
        return frozenset(self.table.columns)

    def holds(self, facts: Facts) -> bool | None:
        """Whether the key is there; ``None`` where a condition that it needs cannot be read."""
        if any(giver.holds(facts) is None for giver in self.givers):
            return None
        return self._row(facts) is not None

    def _key(self, facts: Facts) -> str | None:
        """The key of the question; ``None`` where a part of it is missing."""
        groups: dict[str, str] = {}
        originals = any(name.endswith(RAW) for name in self.wanted.names)
        for giver in self.givers:
            if giver.holds(facts) is not True:
                return None
            groups |= giver.groups(facts, originals=originals)
        values = filled_in(self.wanted.names, groups, facts)
        return self._rendered(values)

    def _rendered(self, values: Mapping[str, str]) -> str | None:
        if any(is_blank(values[name]) for name in self.wanted.needed):
            return None
        return self.wanted.render(values).strip()

    def _row(self, facts: Facts) -> Mapping[str, str] | None:
        key = self._key(facts)
        return None if key is None else self.table.row(key)

    def miss(self, facts: Facts) -> str:
        """The key that is not there, or that there is none."""
        key = self._key(facts)
        if key is None:
            return f"the key of table {self.table.name}, {self.wanted.source}, is missing"
        text = facts.shown(key)
        return f"table {self.table.name} has no row {text if len(text) <= _LONGEST_SHOWN else text[:59] + '…'!r}"

    def groups(self, facts: Facts, *, originals: bool) -> Mapping[str, str]:
        """What the row has in each column."""
        return self._row(facts) or NO_GROUPS

    def recalled(self, known: Mapping[str, str], facts: Facts) -> Mapping[str, str]:
        """The columns of the row that a room was made by, given what its name and its link tell; none if nobody can tell.

        What Pexip puts into the parameters of such a question says nothing of the caller, so they do not count.
        """
        told = {
            name
            for name in self.wanted.names
            if name in known or name.startswith("link.") or without_raw(name) in NAMES
        }
        key = self._rendered(filled_in(self.wanted.names, known, facts)) if told.issuperset(self.wanted.names) else None
        row = None if key is None else self.table.row(key)
        # Where a name has a default it may have come from an empty cell, or from one that says the same.
        read = {column: value for column in self.table.columns if (value := known.get(column))}
        if row is None or not read.items() <= row.items():
            row = self.table.only_row(read)
        return row or NO_GROUPS

    def captures(self) -> Iterable[tuple[str, str]]:
        """Every column."""
        return self.table.expressions()

    def supposing(self, supposed: Supposed) -> bool | None:
        """Never, where something that the key needs is certainly missing."""
        if any(giver.supposing(supposed) is False for giver in self.givers):
            return False
        for name in self.own:
            base = without_raw(name)
            if (base in NAMES or base.startswith("link.")) and supposed.link_states <= UNSIGNED:
                return False
            if supposed.stranger and base in PARAMETERS and PARAMETERS[base].vouched:
                return False
        return None

    def impossible(self, beside: Collection["Condition"], request: RequestType) -> str:
        """A table without rows has no key."""
        return "" if self.table.rows else f"table {self.table.name} has no rows"

    def filed_under(self) -> Iterable[Hashable]:
        """By table and key."""
        return ((type(self), self.table.name, self.wanted.source),)

"""Which rules of a list can match a question, without asking each of them.

Every rule is filed under its rarest condition, the one that the fewest other rules share. A question is looked up
once per parameter that any rule is filed under, so the cost follows the rules that are near a match, not their number.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from policy_server.policy.conditions import Condition
from policy_server.policy.facts import Facts
from policy_server.policy.indexes import Index, IndexBuilder


@dataclass(frozen=True, slots=True)
class CandidateIndex:
    """Rules of one list by their rarest conditions; the numbers are their places in the list."""

    _always: tuple[int, ...]
    _indexes: tuple[Index, ...]

    def candidates(self, facts: Facts) -> Sequence[int]:
        """The rules whose rarest condition may hold, and those that are filed under none, in the order of the list.

        A rule that is not among them misses by that condition.
        """
        found: list[int] = list(self._always)
        for index in self._indexes:
            found += index.candidates(facts)
        return found if len(found) < 2 else sorted(set(found))


def build_index(rules: Sequence[tuple[Condition, ...] | None]) -> CandidateIndex:
    """Files each rule, given by its conditions, under its rarest one; ``None`` is a disabled rule, never a candidate.

    Raises PatternError when the patterns on one parameter need too much memory together.
    """
    rarity: Counter[Hashable] = Counter()
    for conditions in rules:
        for condition in conditions or ():
            if condition.index_rank is not None:
                rarity.update(condition.facets())
    always: list[int] = []
    builder = IndexBuilder()
    for number, conditions in enumerate(rules):
        if conditions is None:
            continue
        ranked = [
            (max(rarity[facet] for facet in condition.facets()), condition.index_rank, place)
            for place, condition in enumerate(conditions)
            if condition.index_rank is not None
        ]
        if ranked:
            conditions[min(ranked)[-1]].file(number, builder)
        else:
            always.append(number)
    return CandidateIndex(tuple(always), builder.indexes())

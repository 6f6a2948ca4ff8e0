"""Rules that can never match: an earlier one covers them, or their own conditions exclude each other."""

from collections.abc import Hashable, Iterable, Iterator
from itertools import combinations
from typing import Final

from policy_server.pexip.request_types import RequestType
from policy_server.policy.conditions import Condition, conjuncts
from policy_server.policy.ruleset import Rule
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.rules import Written
from policy_server.wording.values import shown

_MOST_COMPARED: Final = 50
"""Of the earlier rules that share a key with a rule, the number that it is compared with."""


def coverage_warnings(rules: Iterable[tuple[Rule, Written]], request: RequestType) -> Iterator[tuple[str, Place, str]]:
    """The id, the place and a sentence, for every enabled rule that can never win.

    Only what is certain is reported. An earlier rule is compared when it has no condition, or when its first condition
    is literally one of the later rule's, accepts any text, or begins or is a value that the later one names.
    """
    everything: tuple[Rule, Place] | None = None
    filed: dict[Hashable, list[Rule]] = {}
    places: dict[str, Place] = {}
    for rule, written in rules:
        if not rule.enabled:
            continue
        place = places[rule.id] = written.place
        conditions = tuple(conjuncts(rule.conditions))
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
            for key in conditions[0].filed_under():
                filed.setdefault(key, []).append(rule)


def _impossible(conditions: tuple[Condition, ...], request: RequestType) -> str:
    """Why the conditions can never hold together; ``""`` when they may."""
    for condition in conditions:
        if reason := condition.impossible(conditions, request):
            return reason
    for one, other in combinations(conditions, 2):
        if one.excludes(other) or other.excludes(one):
            return f"its conditions on {one.key} exclude each other"
    return ""


# Comparing every pair of 10,000 rules would take minutes; a pair is looked at only when it shares a key.
def _covering(conditions: tuple[Condition, ...], filed: dict[Hashable, list[Rule]]) -> Rule | None:
    looked_at: set[str] = set()
    for condition in conditions:
        for key in condition.looked_up_under():
            for earlier in filed.get(key, ())[:_MOST_COMPARED]:
                if earlier.id in looked_at:
                    continue
                looked_at.add(earlier.id)
                if all(any(own.implies(other) for own in conditions) for other in conjuncts(earlier.conditions)):
                    return earlier
    return None

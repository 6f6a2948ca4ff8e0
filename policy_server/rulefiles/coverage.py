"""Rules that can never match: an earlier one covers them, or their own conditions exclude each other."""

from collections.abc import Collection, Container, Hashable, Iterable, Iterator
from itertools import combinations
from typing import Final, TypeGuard

from policy_server.pexip.request_types import RequestType
from policy_server.policy.conditions import Condition, conjuncts
from policy_server.policy.parameter_conditions import ChoiceIs
from policy_server.policy.ruleset import ContinueOutcome, ForwardOutcome, Rule
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.rules import Written
from policy_server.wording.values import shown

_MOST_COMPARED: Final = 50
"""Of the earlier rules that share a key with a rule, the number that it is compared with."""


def coverage_warnings(
    rules: Collection[tuple[Rule, Written]], request: RequestType
) -> Iterator[tuple[str, Place, str]]:
    """The id, the place and a sentence, for every enabled rule that can never win.

    Only what is certain is reported. An earlier rule is compared when it has no condition, or when its first condition
    is literally one of the later rule's, accepts any text, or begins or is a value that the later one names.
    """
    everything: list[Rule] = []
    filed: dict[Hashable, list[Rule]] = {}
    places: dict[str, Place] = {}
    of_other_rooms = _of_other_rooms(rules, request)
    for rule, written in rules:
        if not rule.enabled:
            continue
        place = places[rule.id] = written.place
        conditions = tuple(conjuncts(rule.conditions))
        asked_of_other_rooms = rule.id in of_other_rooms and not _never_dials_out(conditions)
        if reason := _impossible(conditions, request, asked_of_other_rooms=asked_of_other_rooms):
            yield rule.id, place, f"can never match: {reason}"
            continue
        # Of a call out of a room that is none of ours the rules that make rooms are not asked, so they cover nothing of it.
        before = of_other_rooms if asked_of_other_rooms else places.keys()
        always = next((earlier for earlier in everything if earlier.id in before), None)
        if always is not None:
            where = f"{shown(always.id)} ({places[always.id]})"
            yield rule.id, place, f"can never match: rule {where} has no condition, so it always matches first"
        elif (covering := _covering(conditions, filed, before)) is not None:
            where = f"{shown(covering.id)} ({places[covering.id]})"
            yield (
                rule.id,
                place,
                f"can never match: rule {where} matches everything that this one would, and comes first",
            )
        if not conditions:
            everything.append(rule)
        else:
            for key in conditions[0].filed_under():
                filed.setdefault(key, []).append(rule)


def _of_other_rooms(rules: Iterable[tuple[Rule, Written]], request: RequestType) -> frozenset[str]:
    """The ids of the rules that are asked of calls out of rooms that are not ours (README.md: Calls out of a room)."""
    if request is not RequestType.SERVICE or not any(isinstance(rule.outcome, ForwardOutcome) for rule, _ in rules):
        return frozenset()
    return frozenset(rule.id for rule, _ in rules if isinstance(rule.outcome, ForwardOutcome | ContinueOutcome))


def _never_dials_out(conditions: tuple[Condition, ...]) -> bool:
    return any(_is_direction(condition) and "dial_out" not in condition.values for condition in conditions)


def _is_direction(condition: Condition) -> TypeGuard[ChoiceIs]:
    return isinstance(condition, ChoiceIs) and condition.key == "call_direction"


def _impossible(conditions: tuple[Condition, ...], request: RequestType, *, asked_of_other_rooms: bool) -> str:
    """Why the conditions can never hold together; ``""`` when they may."""
    for condition in conditions:
        if asked_of_other_rooms and _is_direction(condition):
            continue
        if reason := condition.impossible(conditions, request):
            return reason
    for one, other in combinations(conditions, 2):
        if one.excludes(other) or other.excludes(one):
            return f"its conditions on {one.key} exclude each other"
    return ""


# Comparing every pair of 10,000 rules would take minutes; a pair is looked at only when it shares a key.
def _covering(
    conditions: tuple[Condition, ...], filed: dict[Hashable, list[Rule]], before: Container[str]
) -> Rule | None:
    looked_at: set[str] = set()
    for condition in conditions:
        for key in condition.looked_up_under():
            for earlier in filed.get(key, ())[:_MOST_COMPARED]:
                if earlier.id in looked_at or earlier.id not in before:
                    continue
                looked_at.add(earlier.id)
                if all(any(own.implies(other) for own in conditions) for other in conjuncts(earlier.conditions)):
                    return earlier
    return None

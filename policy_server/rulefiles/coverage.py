"""Rules that can never match: an earlier one covers them, or their own conditions exclude each other."""

from collections.abc import Collection, Container, Hashable, Iterable, Iterator, Sequence
from itertools import combinations
from typing import Final, NamedTuple, TypeGuard

from policy_server.pexip.request_types import RequestType
from policy_server.policy.conditions import Condition, conjuncts
from policy_server.policy.inclusion import Inclusion
from policy_server.policy.parameter_conditions import ChoiceIs, TextMatches
from policy_server.policy.ruleset import ContinueOutcome, ForwardOutcome, Rule
from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.rulefiles.rules import Written
from policy_server.wording.values import shown
from policy_server.wording.words import listed

_MOST_COMPARED: Final = 50
"""Of the earlier rules that share a key with a rule, the number that it is compared with."""
_MOST_DECIDED: Final = 20
"""Of the earlier rules whose expressions begin like one of a rule, the number that it is compared with by automata."""
_MOST_TOLD: Final = 3
"""Rules in doubt that a note names."""


class Doubt(NamedTuple):
    """A rule of which could not be decided whether an earlier one covers it."""

    rule: str
    place: Place
    earlier: str


class _Filed:
    """Earlier rules by what a rule that they cover has in common with them."""

    def __init__(self) -> None:
        self._by_key: Final[dict[Hashable, list[Rule]]] = {}
        self._by_beginning: Final[dict[Hashable, list[Rule]]] = {}

    def add(self, rule: Rule, conditions: Sequence[Condition]) -> None:
        """Files a rule under the first of its conditions, and under the first of those that are on a text."""
        for key in conditions[0].filed_under():
            self._by_key.setdefault(key, []).append(rule)
        on_text = next((condition for condition in conditions if isinstance(condition, TextMatches)), None)
        for key in on_text.begins_with() if on_text is not None else ():
            self._by_beginning.setdefault(key, []).append(rule)

    def sharing(self, key: Hashable) -> list[Rule]:
        """Those with which a rule is compared that is looked up under a key."""
        return self._by_key.get(key, [])[:_MOST_COMPARED]

    def alike(self, key: Hashable) -> list[Rule]:
        """Those with which it is then compared by automata."""
        return self._by_beginning.get(key, [])[:_MOST_DECIDED]


def coverage_warnings(
    rules: Collection[tuple[Rule, Written]], request: RequestType, inclusion: Inclusion, doubts: list[Doubt]
) -> Iterator[tuple[str, Place, str]]:
    """The id, the place and a sentence, for every enabled rule that can never win; to ``doubts`` go those of which that
    could not be decided.

    Only what is certain is reported. An earlier rule is compared when it has no condition, or when its first condition
    is literally one of the later rule's, accepts any text, or begins or is a value that the later one names. Then some of
    those are of which an expression begins as one of the later rule's may, and ``inclusion`` decides.
    """
    everything: list[Rule] = []
    filed = _Filed()
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
        else:
            covering, doubted = _covering(conditions, filed, before, inclusion)
            if covering is not None:
                where = f"{shown(covering.id)} ({places[covering.id]})"
                message = f"can never match: rule {where} matches everything that this one would, and comes first"
                yield rule.id, place, message
            elif doubted is not None:
                doubts.append(Doubt(rule.id, place, doubted.id))
        if not conditions:
            everything.append(rule)
        else:
            filed.add(rule, conditions)


def notes_of(doubts: Iterable[Doubt]) -> Iterator[Problem]:
    """One note for each file that has rules in doubt."""
    by_file: dict[str, list[Doubt]] = {}
    for doubt in doubts:
        by_file.setdefault(doubt.place.file, []).append(doubt)
    for file, found in by_file.items():
        told = [
            f"{shown(doubt.rule)} (line {doubt.place.line}) after {shown(doubt.earlier)}"
            for doubt in found[:_MOST_TOLD]
        ]
        more = [f"{len(found) - _MOST_TOLD} more"] if len(found) > _MOST_TOLD else []
        yield Problem(
            Place(file),
            Severity.NOTE,
            "whether an earlier rule matches everything that a later one would could not be decided, because their "
            f"expressions are too large or too many, or have \\p or \\b: {listed([*told, *more])}",
        )


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
    conditions: tuple[Condition, ...], filed: _Filed, before: Container[str], inclusion: Inclusion
) -> tuple[Rule | None, Rule | None]:
    """The earlier rule that covers one of these conditions, and the first of which that could not be decided."""
    keys = [key for condition in conditions for key in condition.looked_up_under()]
    for earlier in _each_once(map(filed.sharing, keys), before):
        if all(any(own.implies(other) for own in conditions) for other in conjuncts(earlier.conditions)):
            return earlier, None
    doubted: Rule | None = None
    for earlier in _each_once(map(filed.alike, keys), before):
        if inclusion.is_used_up:
            return None, doubted or earlier
        covers = _covers(earlier, conditions, inclusion)
        if covers:
            return earlier, None
        if covers is None and doubted is None:
            doubted = earlier
    return None, doubted


def _each_once(found: Iterable[Sequence[Rule]], before: Container[str]) -> Iterator[Rule]:
    seen: set[str] = set()
    for rules in found:
        for rule in rules:
            if rule.id not in seen and rule.id in before:
                seen.add(rule.id)
                yield rule


def _covers(earlier: Rule, conditions: tuple[Condition, ...], inclusion: Inclusion) -> bool | None:
    others = tuple(conjuncts(earlier.conditions))
    # What other conditions tell costs nothing.
    if not all(isinstance(other, TextMatches) or any(own.implies(other) for own in conditions) for other in others):
        return False
    covers: bool | None = True
    for other in others:
        if isinstance(other, TextMatches) and other not in conditions:
            found = [other.covers(own, inclusion) for own in conditions]
            if True not in found:
                if None not in found:
                    return False
                covers = None
    return covers

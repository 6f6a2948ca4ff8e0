"""Rooms that people would share by accident: a name that is the same for callers who have nothing to do with each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from policy_server.pexip.parameters import PARAMETERS
from policy_server.policy.conditions import (
    AddressIn,
    AllOf,
    AnyOf,
    BooleanIs,
    ChoiceIs,
    Condition,
    DoorIs,
    IntegerIs,
    LinkIs,
    LinkTypeIs,
    NotAllOf,
    TextMatches,
    text_matches,
)
from policy_server.policy.facts import LinkAttributeSource, ParameterSource
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import NAMES, UNSIGNED, LinkState
from policy_server.policy.patterns import compile_pattern
from policy_server.policy.ruleset import LinkType, Rule
from policy_server.policy.templates import Template, without_raw
from policy_server.rulefiles.placeholders import named_anywhere
from policy_server.rulefiles.problems import Place
from policy_server.wording.values import shown
from policy_server.wording.words import listed

_GOOD: Final = frozenset({LinkState.VALID, LinkState.EXPIRED})
_TWO_NAMES: Final = ("a2" * 16, "b3" * 16)


@dataclass(frozen=True, slots=True)
class Shareable:
    """The room that a rule serves: what it is called under ``rooms`` (``""``: written out in the rule), its name, where
    that is written, and the expressions behind the rule's groups.
    """

    room: str
    name: Template
    name_place: Place
    rule_place: Place
    sources: Mapping[str, str]

    @property
    def label(self) -> str:
        """What a message calls it."""
        return f"room {shown(self.room)}" if self.room else "this room"


def sharing_warnings(
    rules: Sequence[Rule[object]], rooms: Mapping[str, Shareable], links: Iterable[LinkType]
) -> Iterator[tuple[str, Place, str]]:
    """The rule's id, the place and a sentence for every room that its callers would share without having been told to.

    ``rooms`` are those that do not say ``shared: true``, by the id of the rule.
    """
    if not rooms:
        return
    led = _led_by_links(rules, links)
    for rule in rules:
        room = rooms.get(rule.id)
        if room is None or not rule.enabled:
            continue
        optional = [name for name in room.name.names if _may_be_missing(name, rule.conditions, room.sources)]
        # A name of the call that has to be there tells rooms apart; one with a default that may be missing does not.
        if any(without_raw(name) in NAMES for name in (*room.name.needed, *(set(room.name.names) - set(optional)))):
            continue
        if optional:
            # A room's own placeholders are the same for all of its rules, and so is this sentence.
            named = listed(f"{{{name}}}" for name in dict.fromkeys(optional))
            yield (
                "" if room.room and all(without_raw(name) not in room.sources for name in optional) else rule.id,
                room.name_place,
                f"{room.label}: {named} in the name may be missing, and callers without it would meet each other or get "
                "no room; put {call} into the name, or say shared: true if that is meant",
            )
        elif any(_is_one_for(aliases, rule.conditions, room.name) for aliases in led.get(rule.id, ())):
            yield (
                rule.id,
                room.rule_place,
                f"links lead here, and {room.label} has the same name for different ones, so their customers would meet "
                "each other; put {call} into the name, or say shared: true in it if that is meant",
            )


def _may_be_missing(name: str, conditions: tuple[Condition, ...], sources: Mapping[str, str]) -> bool:
    base = without_raw(name)
    if base in sources:
        return _matches_nothing(sources[base])
    if base.startswith("link."):
        attribute = LinkAttributeSource(base.removeprefix("link."))
        return all(condition.source != attribute for condition in text_matches(conditions))
    return not (base in PARAMETERS and PARAMETERS[base].always_sent) and base not in _demanded(conditions)


@lru_cache(maxsize=1024)
def _matches_nothing(source: str) -> bool:
    return compile_pattern(source, ignore_case=True).match("") is not None


def _demanded(conditions: tuple[Condition, ...]) -> Iterator[str]:
    """The parameters that a question must have for the conditions to hold."""
    for condition in conditions:
        match condition:
            case AllOf():
                yield from _demanded(condition.conditions)
            case TextMatches(source=ParameterSource(parameter=parameter)):
                yield parameter.name
            case ChoiceIs() | BooleanIs() | IntegerIs() | AddressIn():
                yield condition.parameter.name
            case _:
                pass


def _led_by_links(rules: Sequence[Rule[object]], links: Iterable[LinkType]) -> Mapping[str, list[tuple[str, str]]]:
    """The rules that links may come to, each with the aliases of two links that do."""
    led: dict[str, list[tuple[str, str]]] = {}
    templates = [
        (link.name, entrance, template)
        for link in links
        for entrance, template in ((Entrance.CUSTOMER, link.alias), (Entrance.AGENT, link.agent_alias))
        if template is not None
    ]
    for link_type, entrance, template in templates:
        first, second = (name.join(template.literals).lower() for name in _TWO_NAMES)
        for rule in rules:
            on_alias = _on_alias(rule.conditions)
            others = [condition for condition in _flat(rule.conditions) if condition not in on_alias]
            if not rule.enabled or not all(_match(condition, first) is not None for condition in on_alias):
                continue
            states = [condition.states for condition in others if isinstance(condition, LinkIs)]
            if any(_GOOD.isdisjoint(expected) for expected in states):
                continue
            types = [condition.types for condition in others if isinstance(condition, LinkTypeIs)]
            doors = [condition.entrances for condition in others if isinstance(condition, DoorIs)]
            if any(link_type not in chosen for chosen in types) or any(entrance not in door for door in doors):
                continue
            led.setdefault(rule.id, []).append((first, second))
            if all(_takes_every_link(condition) for condition in others):
                break
    return led


def _takes_every_link(condition: Condition) -> bool:
    """Whether a condition that holds for a link holds for it from when it was made until long after its end."""
    return isinstance(condition, LinkTypeIs | DoorIs) or (isinstance(condition, LinkIs) and condition.states >= _GOOD)


def _flat(conditions: tuple[Condition, ...]) -> Iterator[Condition]:
    for condition in conditions:
        if isinstance(condition, AllOf):
            yield from _flat(condition.conditions)
        else:
            yield condition


def _on_alias(conditions: tuple[Condition, ...]) -> list[TextMatches]:
    return [
        condition
        for condition in text_matches(conditions)
        if condition.source.folds and condition.source.key == "local_alias"
    ]


def _match(condition: TextMatches, alias: str) -> Mapping[str, str] | None:
    found = (pattern.match(alias) for pattern in condition.patterns)
    return next((groups for groups in found if groups is not None), None)


def _is_one_for(aliases: tuple[str, str], conditions: tuple[Condition, ...], name: Template) -> bool:
    """Whether a room's name is certainly the same for two links."""
    names = {without_raw(placeholder) for placeholder in name.names}
    if "local_alias" in names:
        return False
    on_alias = _on_alias(conditions)
    of_alias = {group for condition in on_alias for pattern in condition.patterns for group in pattern.groups}
    # What another parameter says (a room's name, who calls) may tell rooms apart; an attribute that many share does not.
    of_links = {
        group
        for condition in text_matches(conditions)
        if isinstance(condition.source, LinkAttributeSource)
        for pattern in condition.patterns
        for group in pattern.groups
    }
    if not names.isdisjoint(named_anywhere(conditions) - of_alias - of_links):
        return False
    values: list[dict[str, str]] = []
    for alias in aliases:
        found = [_match(condition, alias) for condition in on_alias]
        values.append({group: text for groups in found if groups for group, text in groups.items() if group in names})
    return values[0] == values[1]


def without_call(conditions: Iterable[Condition]) -> bool:
    """Whether a rule with these conditions can match callers whom no link of ours leads to the call."""
    flat = list(_flat(tuple(conditions)))
    return not any(_demands_link(condition) for condition in flat) or any(
        isinstance(condition, LinkIs) and condition.states <= UNSIGNED for condition in flat
    )


def _demands_link(condition: Condition) -> bool:
    """Whether a condition holds for the alias of a link alone."""
    match condition:
        case LinkTypeIs() | DoorIs() | TextMatches(source=LinkAttributeSource()):
            return True
        case LinkIs():
            return condition.states.isdisjoint(UNSIGNED)
        case AllOf():
            return any(_demands_link(inner) for inner in condition.conditions)
        case AnyOf():
            return all(_demands_link(branch) for branch in condition.conditions)
        case NotAllOf(conditions=(LinkIs(states=states),)):
            return states >= UNSIGNED
        case _:
            return False

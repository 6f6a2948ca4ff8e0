"""Rooms that people would share by accident: a name that is the same for callers who have nothing to do with each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from policy_server.pexip.parameters import PARAMETERS
from policy_server.policy.conditions import AllOf, Condition, conjuncts, table_conditions, text_matches
from policy_server.policy.facts import LinkAttributeSource, Supposed
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import NAMES, UNSIGNED, LinkState
from policy_server.policy.parameter_conditions import TextMatches
from policy_server.policy.patterns import compile_pattern
from policy_server.policy.ruleset import LinkType, Rule
from policy_server.policy.tables import TableHas
from policy_server.policy.templates import Template, without_raw
from policy_server.rulefiles.attributes import never_missing
from policy_server.rulefiles.placeholders import named_anywhere
from policy_server.rulefiles.problems import Place
from policy_server.wording.values import shown
from policy_server.wording.words import listed

_GOOD: Final = frozenset({LinkState.VALID, LinkState.EXPIRED})
_LINKED: Final = Supposed(link_states=frozenset(LinkState) - UNSIGNED)
_UNLINKED: Final = Supposed(link_types=frozenset(), entrances=frozenset(), link_states=UNSIGNED)
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
    rules: Sequence[Rule], rooms: Mapping[str, Shareable], links: Iterable[LinkType]
) -> Iterator[tuple[str, Place, str]]:
    """The rule's id, the place and a sentence for every room that its callers would share without having been told to.

    ``rooms`` are those that do not say ``shared: true``, by the id of the rule.
    """
    if not rooms:
        return
    links = tuple(links)
    led = _led_by_links(rules, links)
    for rule in rules:
        room = rooms.get(rule.id)
        if room is None or not rule.enabled:
            continue
        optional = [name for name in room.name.names if _may_be_missing(name, rule, room.sources, links)]
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


def _may_be_missing(name: str, rule: Rule, sources: Mapping[str, str], links: Iterable[LinkType]) -> bool:
    base, conditions = without_raw(name), rule.conditions
    if base in sources:
        return _matches_nothing(sources[base])
    if any(isinstance(each, TableHas) and name in each.wanted.needed for each in conjuncts(conditions)):
        return False
    if base.startswith("link."):
        attribute = LinkAttributeSource(base.removeprefix("link."))
        asked_for = any(condition.source == attribute for condition in text_matches(conditions))
        return not asked_for and not never_missing(rule, attribute.attribute, links)
    if base in PARAMETERS and PARAMETERS[base].always_sent:
        return False
    return all(base not in map(without_raw, condition.looks_at) for condition in conjuncts(conditions))


@lru_cache(maxsize=1024)
def _matches_nothing(source: str) -> bool:
    return compile_pattern(source, ignore_case=True).match("") is not None


def _led_by_links(rules: Sequence[Rule], links: Iterable[LinkType]) -> Mapping[str, list[tuple[str, str]]]:
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
        asked = Supposed(first, frozenset({link_type}), frozenset({entrance}), _GOOD)
        for rule in rules:
            leads = AllOf(rule.conditions).supposing(asked) if rule.enabled else False
            if leads is not False:
                led.setdefault(rule.id, []).append((first, second))
            if leads:
                break
    return led


def _on_alias(conditions: tuple[Condition, ...]) -> list[TextMatches]:
    return [condition for condition in text_matches(conditions) if condition.is_on_alias]


def _is_one_for(aliases: tuple[str, str], conditions: tuple[Condition, ...], name: Template) -> bool:
    """Whether a room's name is certainly the same for two links."""
    names = {without_raw(placeholder) for placeholder in name.names}
    if "local_alias" in names:
        return False
    on_alias = _on_alias(conditions)
    of_alias = {group for condition in on_alias for group in condition.names}
    # What another parameter says (a room's name, who calls) may tell rooms apart; an attribute that many share does not.
    of_links = {
        group
        for condition in text_matches(conditions)
        if isinstance(condition.source, LinkAttributeSource)
        for group in condition.names
    }
    for table in table_conditions(conditions):
        keys = {without_raw(key) for key in table.wanted.names}
        if all(key in of_links or key.startswith("link.") for key in keys):
            of_links |= table.names
    if not names.isdisjoint(named_anywhere(conditions) - of_alias - of_links):
        return False
    values: list[dict[str, str]] = []
    for alias in aliases:
        found = [condition.first_match((alias,)) for condition in on_alias]
        values.append({group: text for groups in found if groups for group, text in groups.items() if group in names})
    return values[0] == values[1]


def without_call(conditions: tuple[Condition, ...]) -> bool:
    """Whether a rule with these conditions can match callers whom no link of ours leads to the call."""
    rule = AllOf(conditions)
    return rule.supposing(_UNLINKED) is not False or rule.supposing(_LINKED) is False

"""Attributes of links in rules, compared with what link types declare; and slips in the names of those that nobody does."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Final, NamedTuple

from policy_server.policy.conditions import conjuncts, text_matches, walk
from policy_server.policy.facts import LinkAttributeSource
from policy_server.policy.link_attributes import CUSTOMERS_NAME, Declared, LinkAttribute, unknown_attribute
from policy_server.policy.pattern_relations import differ
from policy_server.policy.patterns import Pattern, compile_pattern
from policy_server.policy.ruleset import LinkType, Rule, ServeOutcome
from policy_server.policy.tables import TableHas
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode
from policy_server.rulefiles.link_reach import leads_to, needs_link
from policy_server.rulefiles.problems import Place
from policy_server.wording.values import shown
from policy_server.wording.words import did_you_mean, listed, nearest

_PLACEHOLDER: Final = re.compile(r"\{link\.([^{}|]+)")
_OF_LINK: Final = "link."
_CONDITION: Final = "link_attributes"
_USUAL: Final = ("language", "queue")
"""What many links have."""
_SHORTEST: Final = 4
"""Letters that a name needs to be compared: shorter ones are alike by chance."""
_MOST_KEYS: Final = 1000
"""Keys that the values of several attributes make together, up to which a table is looked up for each."""
_MOST_TOLD: Final = 5
_SERVED: Final = frozenset({"service", "dial_out"})
"""The keys of a rule under which it says what it serves."""

Told = tuple[str, Place, str]
"""The rule's id (``""``: of none alone), the place, and a sentence."""


class Use(NamedTuple):
    """An attribute where it is used: ``expected`` is the value of a condition on it. ``is_filled_in``: into what a rule
    serves, where it is an attribute of the link whose room it is.
    """

    name: str
    place: Place
    expected: Node | None = None
    is_filled_in: bool = False


class WrittenRule(NamedTuple):
    """A rule and what it was read from."""

    rule: Rule
    node: MappingNode

    @property
    def room(self) -> str:
        """The name of the room that it serves; ``""`` for none."""
        room = self.node.get("room")
        return room.text if isinstance(room, ScalarNode) else ""


class LinkedRules:
    """Rules beside what the links are given that lead to them.

    ``rooms`` are those of the rules as they are written. An attribute comes from links that we signed alone, so a rule is
    about the types whose links may match it. As soon as one of these takes any attribute, nothing is said.
    """

    def __init__(
        self, lists: Iterable[Sequence[WrittenRule]], rooms: Mapping[str, Node], links: Collection[LinkType]
    ) -> None:
        self._lists: Final = tuple(lists)
        self._rooms: Final = rooms
        self._links: Final = links
        self._by_name: Final = {link.name: link for link in links}
        self._types: Final[dict[tuple[int, bool], Mapping[str, Declared]]] = {}
        self._is_declaring: Final = any(link.attributes is not None for link in links)

    def undeclared(self) -> Iterator[Told]:
        """Every use of an attribute that no link has which may lead there."""
        if not self._is_declaring:
            return
        users: dict[str, list[Rule]] = {}
        for rule, node in self._all():
            users.setdefault(WrittenRule(rule, node).room, []).append(rule)
            for name, place, _, is_filled_in in _uses_of_rule(node):
                if message := _undeclared(name, self._declared(rule, of_rooms=is_filled_in)):
                    yield rule.id, place, message
        for room, written in self._rooms.items():
            used = tuple(uses(written))
            found = [self._declared(rule, of_rooms=True) for rule in users.get(room, ())] if used else []
            types = {name: declared for each in found for name, declared in each.items()} if all(found) else {}
            for name, place, _, _ in used:
                if message := _undeclared(name, types):
                    yield "", place, f"room {shown(room)}: {message}"

    def warnings(self) -> Iterator[Told]:
        """Conditions and rooms that no link can satisfy, and values that no row of a table is for."""
        if not self._is_declaring:
            return
        for written in self._all():
            rule, node = written
            for name, _, expected, _ in _uses_of_rule(node):
                if expected is not None and (types := self._declared(rule)):
                    for place, message in _impossible(name, expected, types):
                        yield rule.id, place, message
            if message := self._never_served(rule):
                room = node.get("room")
                yield rule.id, node.place if room is None else room.place, message
        for rules in self._lists:
            for written in rules:
                yield from self._without_row(written, rules)

    def _all(self) -> Iterator[WrittenRule]:
        return (written for rules in self._lists for written in rules)

    def _declared(self, rule: Rule, *, of_rooms: bool = False) -> Mapping[str, Declared]:
        """What the link types declare that lead to a rule, by their names; nothing where one of them takes any.

        ``of_rooms``: those into whose rooms they lead, which are others where people join people.
        """
        known = self._types.get((id(rule), of_rooms))
        if known is None:
            types = [link for link in self._links if leads_to(link, rule)]
            if of_rooms:
                types = [self._by_name.get(link.joins, link) for link in types]
            known = {link.name: link.attributes for link in types if link.attributes is not None}
            complete = all(link.attributes is not None for link in types)
            known = self._types[id(rule), of_rooms] = known if complete else {}
        return known

    def _never_served(self, rule: Rule) -> str:
        """Why a rule never gives its room: a part of it that nobody can be without comes from no link that leads there."""
        needed = rule.outcome.service.needed if isinstance(rule.outcome, ServeOutcome) else ()
        for field, name in needed:
            if not name.startswith(_OF_LINK):
                continue
            types = self._declared(rule, of_rooms=True)
            if _undeclared(name.removeprefix(_OF_LINK), types):
                owners = " or ".join(map(shown, types))
                return (
                    f"{field} needs {{{name}}}, which no link of type {owners} has, so nobody gets in by this rule; declare "
                    f"it there, or write {{{name}|…}} with what stands for it"
                )
        return ""

    def _without_row(self, written: WrittenRule, rules: Sequence[WrittenRule]) -> Iterator[Told]:
        """Values of attributes with which a rule finds no row in a table, and which no other rule is for."""
        rule, node = written
        for condition in conjuncts(rule.conditions) if rule.enabled else ():
            if not isinstance(condition, TableHas) or not any(map(_is_of_link, condition.wanted.names)):
                continue
            missing: dict[str, None] = {}
            for link_type, declared in self._declared(rule).items():
                for values in _values_of(condition, declared):
                    key = condition.wanted.render({f"{_OF_LINK}{name}": value for name, value in values.items()})
                    others = (other for other, _ in rules if other is not rule and link_type in self._declared(other))
                    if condition.table.row(key.strip()) is None and not any(
                        _is_for(other, values, condition) for other in others
                    ):
                        missing[key] = None
            if missing:
                keys = [shown(key) for key in missing]
                more = [f"{len(keys) - _MOST_TOLD} more"] if len(keys) > _MOST_TOLD else []
                yield (
                    rule.id,
                    _place_of(condition, node),
                    f"table {shown(condition.table.name)} has no row {listed([*keys[:_MOST_TOLD], *more], 'or')}, which "
                    f"{condition.wanted.source} may be by what links are given, so those customers do not meet this rule; add "
                    "the row, or a rule for them with link_attributes",
                )


def _is_of_link(placeholder: str) -> bool:
    return placeholder.startswith(_OF_LINK)


def never_missing(rule: Rule, attribute: str, links: Iterable[LinkType]) -> bool:
    """Whether whoever matches a rule has an attribute, since no link that leads there is made without it."""
    by_name = {link.name: link for link in links}
    rooms = (by_name.get(link.joins, link) for link in by_name.values() if leads_to(link, rule))
    found = [(link.attributes or {}).get(attribute) for link in rooms]
    return bool(found) and all(each is not None and each.is_never_missing for each in found) and needs_link(rule)


def _undeclared(name: str, types: Mapping[str, Declared]) -> str:
    if not types or name == CUSTOMERS_NAME or any(name in declared for declared in types.values()):
        return ""
    return unknown_attribute(name, types)


def _impossible(name: str, expected: Node, types: Mapping[str, Declared]) -> Iterator[tuple[Place, str]]:
    """The place and a sentence for every expression of a condition that matches no value of an attribute."""
    known = [declared[name] for declared in types.values() if name in declared]
    values = tuple(dict.fromkeys(value for each in known for value in each.values))
    for item in expected.items if isinstance(expected, SequenceNode) else (expected,):
        text = item.text if isinstance(item, ScalarNode) else ""
        pattern = compile_pattern(text, ignore_case=False)
        if known and not any(_may_match(pattern, each) for each in known):
            patterns = dict.fromkeys(each.pattern.text for each in known if each.pattern is not None)
            can_be = listed((*map(shown, values[:_MOST_TOLD]), *(f"what matches {each}" for each in patterns)), "or")
            more = f" (and {len(values) - _MOST_TOLD} more)" if len(values) > _MOST_TOLD else ""
            hint = did_you_mean(text, values)
            yield item.place, f"{_CONDITION}: {name} is never {shown(text)}{hint}: links are given {can_be}{more}"


def _may_match(pattern: Pattern, attribute: LinkAttribute) -> bool:
    if attribute.values:
        return any(pattern.match(value) is not None for value in attribute.values)
    return attribute.pattern is None or not differ(pattern, attribute.pattern)


def _values_of(condition: TableHas, declared: Declared) -> Iterator[Mapping[str, str]]:
    """What the attributes in the key of a table can be together; nothing where that is not known of all of them."""
    names = tuple(dict.fromkeys(condition.wanted.names))
    attributes = [declared.get(name.removeprefix(_OF_LINK)) if name.startswith(_OF_LINK) else None for name in names]
    known = [each for each in attributes if each is not None and each.values]
    if len(known) == len(names) and prod(len(each.values) for each in known) <= _MOST_KEYS:
        for values in product(*(each.values for each in known)):
            yield dict(zip((each.name for each in known), values, strict=True))


def _is_for(rule: Rule, values: Mapping[str, str], without: TableHas) -> bool:
    """Whether a rule says of itself that it is for links with such values, or for what a table has no row for."""
    if not rule.enabled:
        return False
    named = any(
        isinstance(each.source, LinkAttributeSource)
        and each.source.attribute in values
        and each.first_match((values[each.source.attribute],)) is not None
        for each in text_matches(rule.conditions)
    )
    known = {f"{_OF_LINK}{name}": value for name, value in values.items()}
    return named or any(
        without in walk(each.parts)
        if each.negation
        else isinstance(each, TableHas)
        and known.keys() >= set(each.wanted.names)
        and each.table.row(each.wanted.render(known).strip()) is not None
        for each in conjuncts(rule.conditions)
    )


def _place_of(condition: TableHas, node: Node) -> Place:
    """Where the key of a table is written in a rule."""
    found = (
        entry.value.place
        for below in _mappings(node)
        for entry in below.entries
        if entry.name == condition.table.name
        and isinstance(entry.value, ScalarNode)
        and entry.value.text == condition.wanted.source
    )
    return next(found, node.place)


def _mappings(node: Node) -> Iterator[MappingNode]:
    match node:
        case SequenceNode():
            for item in node.items:
                yield from _mappings(item)
        case MappingNode():
            yield node
            for entry in node.entries:
                yield from _mappings(entry.value)
        case ScalarNode():
            return


def slips(nodes: Iterable[Node], declared: Collection[str]) -> Iterator[tuple[Place, str]]:
    """The place and a sentence for every attribute that is used once, is not ``declared`` by any link type, and is nearly
    the name of another.
    """
    places_of: dict[str, list[Place]] = {}
    for node in nodes:
        for name, place, _, _ in uses(node):
            places_of.setdefault(name, []).append(place)
    for name, places in places_of.items():
        if name in declared:
            continue
        # A usual name with a letter more may be another one: languages.
        usual = [other for other in _USUAL if other in places_of or len(name) <= len(other)]
        known = (CUSTOMERS_NAME, *usual, *declared, *places_of)
        near = nearest(name, [other for other in known if other != name and _is_slip(name, other)])
        if near is None or len(places) > 1:
            continue
        # Of two that are used once each, the later one is told.
        others_places = places_of.get(near, [])
        if near not in declared and len(others_places) == 1 and others_places >= places:
            continue
        where = f" ({others_places[0]})" if others_places else ""
        yield places[0], f"link attribute {shown(name)} is used only here; did you mean {shown(near)}{where}?"


def uses(node: Node) -> Iterator[Use]:
    """Where attributes of links stand below a node: in conditions, and in placeholders of any text."""
    match node:
        case ScalarNode():
            yield from (Use(name, node.place) for name in _PLACEHOLDER.findall(node.text))
        case SequenceNode():
            for item in node.items:
                yield from uses(item)
        case MappingNode():
            for entry in node.entries:
                if entry.name == _CONDITION and isinstance(entry.value, MappingNode):
                    yield from (Use(below.name, below.key.place, below.value) for below in entry.value.entries)
                else:
                    yield from uses(entry.value)


def _uses_of_rule(rule: MappingNode) -> Iterator[Use]:
    """Where they stand in a rule, but for its note for people."""
    for entry in rule.entries:
        if entry.name != "description":
            yield from (use._replace(is_filled_in=entry.name in _SERVED) for use in uses(entry.value))


def _is_slip(one: str, other: str) -> bool:
    """Whether two names differ by case, a joining mark, one letter, or two letters in the wrong order."""
    one, other = (re.sub("[-_]", "", name.lower()) for name in (one, other))
    if one == other:
        return True
    if min(len(one), len(other)) < _SHORTEST or re.sub(r"\d", "", one) == re.sub(r"\d", "", other):
        return False
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])

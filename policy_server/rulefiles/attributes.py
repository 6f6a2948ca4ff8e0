"""Names of link attributes that were probably meant to be one: nobody declares them, so a slip goes unnoticed."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode
from policy_server.rulefiles.problems import Place
from policy_server.wording.values import shown
from policy_server.wording.words import nearest

_PLACEHOLDER: Final = re.compile(r"\{link\.([^{}|]+)")
_USUAL: Final = ("language", "queue")
"""What many links have."""
_SHORTEST: Final = 4
"""Letters that a name needs to be compared: shorter ones are alike by chance."""


def attribute_warnings(nodes: Iterable[Node]) -> Iterator[tuple[Place, str]]:
    """The place and a sentence for every attribute that is used once and is nearly the name of another."""
    uses: dict[str, list[Place]] = {}
    for node in nodes:
        for name, place in _uses(node):
            uses.setdefault(name, []).append(place)
    for name, places in uses.items():
        # A usual name with a letter more may be another one: languages.
        usual = [other for other in _USUAL if other in uses or len(name) <= len(other)]
        others = [other for other in ("name", *usual, *uses) if other != name and _is_slip(name, other)]
        near = nearest(name, others)
        if near is None or len(places) > 1:
            continue
        # Of two that are used once each, the later one is told.
        others_places = uses.get(near, [])
        if len(others_places) == 1 and others_places >= places:
            continue
        where = f" ({others_places[0]})" if others_places else ""
        yield places[0], f"link attribute {shown(name)} is used only here; did you mean {shown(near)}{where}?"


def _uses(node: Node) -> Iterator[tuple[str, Place]]:
    match node:
        case ScalarNode():
            yield from ((name, node.place) for name in _PLACEHOLDER.findall(node.text))
        case SequenceNode():
            for item in node.items:
                yield from _uses(item)
        case MappingNode():
            for entry in node.entries:
                if entry.name == "link_attributes" and isinstance(entry.value, MappingNode):
                    yield from ((below.name, below.key.place) for below in entry.value.entries)
                else:
                    yield from _uses(entry.value)


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

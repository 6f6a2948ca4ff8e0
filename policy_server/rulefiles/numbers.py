"""Numbers of trunks that may be a slip, or dear: those of a country that nobody calls, and premium-rate numbers.

What a rule writes as ``remote_alias`` by itself is not looked at: it may be any address.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report, shown_node
from policy_server.rulefiles.schema_parts import Schema, one_or_list
from policy_server.telephony.numbers import NumberFault, is_premium_rate, parse_region, possible_regions
from policy_server.telephony.trunks import Trunk
from policy_server.wording.values import shown
from policy_server.wording.words import listed

COUNTRIES: Final[Schema] = one_or_list(
    {"type": "string", "pattern": "^[A-Za-z]{2}$", "patternErrorMessage": "Write a country such as US or CH"},
    "Countries (ISO 3166) that trunks may call; a number of another one is a warning. Without this key: any.",
    may_be_empty=True,
)


def read_countries(node: Node, report: Report) -> list[str]:
    """Countries in upper case, in order."""
    found: list[str] = []
    for item in node.items if isinstance(node, SequenceNode) else (node,):
        text = item.value if isinstance(item, ScalarNode) else None
        if not isinstance(text, str):
            report.error(
                item.place, f"allowed_countries must hold countries such as US, but this is {shown_node(item)}"
            )
            continue
        try:
            found.append(parse_region(text, "a country of allowed_countries"))
        except NumberFault as fault:
            report.error(item.place, str(fault))
    return found


def number_warnings(
    trunks: Mapping[str, Trunk | None], nodes: Mapping[str, tuple[Node, Place]], allowed: Collection[str] | None
) -> Iterator[tuple[Place, str]]:
    """What deserves a look about the numbers of trunks; ``allowed`` is ``None`` where every country is."""
    for name, trunk in trunks.items():
        if trunk is None:
            continue
        node, place = nodes[name]
        number = node.get("number") if isinstance(node, MappingNode) else None
        where = number.place if number is not None else place
        countries = possible_regions(trunk.number)
        if allowed is not None and not set(countries) & set(allowed):
            of = f"a number of {listed(countries, 'or')}" if countries else "of no single country"
            only = f"has only {listed(sorted(allowed))}" if allowed else "is empty"
            yield where, f"trunk {shown(name)}: {trunk.number} is {of}, and allowed_countries {only}"
        if is_premium_rate(trunk.number):
            yield (
                where,
                f"trunk {shown(name)}: {trunk.number} is a premium-rate number, and each call of it is charged for",
            )

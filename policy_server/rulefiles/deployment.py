"""``pexip:``, what exists in the deployment: names of objects by their kind, and Call Routing Rules."""

from typing import Final

from policy_server.pexip.fields import Named
from policy_server.rulefiles.reader import Table
from policy_server.rulefiles.routing_rules import KEY as ROUTING_RULES
from policy_server.rulefiles.routing_rules import SCHEMA as SCHEMA_OF_ROUTING_RULES
from policy_server.rulefiles.schema_parts import Schema, one_or_list, table

DEPLOYMENT_LISTS: Final = {kind.plural: kind for kind in Named}
"""The lists of names, each with the kind of name that it lists."""

_NAMES: Final[dict[str, Schema]] = {
    key: one_or_list(
        {"type": "string"},
        f"Every {kind.replace('_', ' ')} of the deployment that rules may name; any other name is an error.",
        may_be_empty=True,
    )
    for key, kind in DEPLOYMENT_LISTS.items()
}

SCHEMA: Final[Schema] = table(
    "Names that exist in the Pexip deployment. Optional, list by list: one wrong name voids a whole answer, so any name that is "
    "not in a list given here is an error.",
    {**_NAMES, ROUTING_RULES: SCHEMA_OF_ROUTING_RULES},
) | {"type": ["object", "null"]}


def read_deployment(table: Table) -> dict[Named, set[str]]:
    """The names that exist in the deployment, by kind."""
    names: dict[Named, set[str]] = {}
    for key, kind in DEPLOYMENT_LISTS.items():
        if key in table:
            names[kind] = {text for text, _ in table.texts(key)}
    table.finish((*DEPLOYMENT_LISTS, ROUTING_RULES))
    return names

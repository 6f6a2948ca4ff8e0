"""Reading ``limits`` of a trunk: how much may go through it."""

from typing import Final

from policy_server.rulefiles.document_nodes import ScalarNode
from policy_server.rulefiles.reader import Table
from policy_server.rulefiles.schema_parts import Schema, table
from policy_server.telephony.trunks import Limits

MOST: Final = 100_000
KEYS: Final = ("legs", "calls_per_minute")


def read_limits(trunk: Table) -> Limits | None:
    """What a trunk says under ``limits``; ``None`` for none."""
    limits = trunk.table("limits", "keys and values such as {legs: 30}")
    if limits is None:
        return None
    limits.finish(KEYS)
    if not tuple(limits):
        trunk.error("limits", "limits is empty; write legs, calls_per_minute or both, or remove it")
    return Limits(_number(limits, "legs"), _number(limits, "calls_per_minute"))


def _number(limits: Table, key: str) -> int | None:
    node = limits.value(key)
    if node is None:
        return None
    value = node.value if isinstance(node, ScalarNode) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST:
        limits.wrong(key, node, f"a number from 1 to {MOST}")
        return None
    return value


def _count(meaning: str) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": MOST, "description": meaning}


SCHEMA: Final[Schema] = table(
    "How much may go through the trunk. Over a limit the next entry of dial_out is dialled. Counted by the rooms that are "
    "held, so nearly.",
    {
        "legs": _count("Calls at a time."),
        "calls_per_minute": _count("Calls that begin within a minute."),
    },
) | {"minProperties": 1}

"""Reading ``assurance``: what a rule wants when a leg fails, or when one side of a call is gone."""

from collections.abc import Mapping
from typing import Final

from policy_server.policy.assurance import (
    ANSWER_WITHIN,
    ATTEMPTS,
    END_LEG_WITH_CUSTOMER,
    END_ROOM_WITH_LEG,
    PAUSE,
    Assurance,
    Disconnect,
    Exhausted,
    Keep,
    Transfer,
)
from policy_server.policy.services import FIELD_LIMIT
from policy_server.rulefiles.document_nodes import MappingNode, ScalarNode
from policy_server.rulefiles.reader import Table, shown_node
from policy_server.rulefiles.schema_parts import Schema
from policy_server.wording.durations import PATTERN, Durations, duration

MANAGEMENT: Final = "POLICY_MANAGEMENT_URL"
"""The setting without which nothing can be done for a call."""

WAITS: Final = Durations(5, 120, "25s or 1m")
PAUSES: Final = Durations(0, 60, "2s")
GRACES: Final = Durations(0, 3600, "10s or 2m")
MOST_ATTEMPTS: Final = 10

KEYS: Final = ("answer_within", "attempts", "pause", "on_exhausted", "end_room_with_leg", "end_leg_with_customer")
_WORDS: Final[Mapping[str, Exhausted]] = {"keep": Keep(), "disconnect": Disconnect()}


def has_management(environment: Mapping[str, str]) -> bool:
    """Whether there is a Management Node to act through."""
    return any(environment.get(name) for name in (MANAGEMENT, f"{MANAGEMENT}_FILE"))


def read_assurance(rule: Table) -> Assurance:
    """What a rule says under ``assurance``, the defaults where it says nothing."""
    table = rule.table("assurance", "keys and values such as {answer_within: 25s}")
    if table is None:
        return Assurance()
    table.finish(KEYS)
    return Assurance(
        answer_within=_duration(table, "answer_within", WAITS, ANSWER_WITHIN),
        attempts=_attempts(table),
        pause=_duration(table, "pause", PAUSES, PAUSE),
        on_exhausted=_exhausted(table),
        end_room_with_leg=_grace(table, "end_room_with_leg", END_ROOM_WITH_LEG),
        end_leg_with_customer=_grace(table, "end_leg_with_customer", END_LEG_WITH_CUSTOMER),
    )


def _duration(table: Table, key: str, durations: Durations, default: float) -> float:
    text = table.written(key)
    if text is None:
        return default
    seconds = durations.seconds(text)
    if seconds is None:
        node = table.value(key)
        table.error(key, durations.fault(key, shown_node(node) if node is not None else text))
        return default
    return float(seconds)


def _grace(table: Table, key: str, default: float) -> float | None:
    node = table.value(key)
    if isinstance(node, ScalarNode) and node.value is False:
        return None
    if isinstance(node, ScalarNode) and node.value is True:
        table.error(key, f"{key} must be a duration such as {duration(int(default))}, or false for never")
        return default
    return _duration(table, key, GRACES, default)


def _attempts(table: Table) -> int:
    node = table.value("attempts")
    if node is None:
        return ATTEMPTS
    value = node.value if isinstance(node, ScalarNode) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_ATTEMPTS:
        table.error("attempts", f"attempts must be a number from 1 to {MOST_ATTEMPTS} but is {shown_node(node)}")
        return ATTEMPTS
    return value


def _exhausted(table: Table) -> Exhausted:
    node = table.value("on_exhausted")
    if isinstance(node, MappingNode):
        below = table.table("on_exhausted")
        if below is None:
            return Keep()
        below.finish(("transfer",))
        alias = below.text("transfer", required=True, wanted="an alias")
        if alias is None:
            return Keep()
        if "{" in alias or "}" in alias or not 0 < len(alias.strip()) <= FIELD_LIMIT:
            below.error("transfer", f"transfer must be an alias of 1 to {FIELD_LIMIT} characters, without placeholders")
        return Transfer(alias)
    return _WORDS.get(table.choice("on_exhausted", (*_WORDS, "{transfer: ALIAS}"), default="keep"), Keep())


def _span(durations: Durations, default: float, meaning: str) -> Schema:
    return {
        "type": "string",
        "pattern": f"{PATTERN}$",
        "description": f"{meaning} {str(durations).capitalize()}. Default: {duration(int(default))}.",
    }


def _or_never(schema: Schema) -> Schema:
    meaning = schema.pop("description")
    return {"anyOf": [{"const": False}, schema], "description": f"{meaning} false: never."}


SCHEMA: Final[Schema] = {
    "type": "object",
    "description": "What happens when a leg fails or a call is over. Needs a Management Node (POLICY_MANAGEMENT_URL).",
    "properties": {
        "answer_within": _span(WAITS, ANSWER_WITHIN, "A leg that is not connected by then has failed."),
        "attempts": {
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_ATTEMPTS,
            "default": ATTEMPTS,
            "description": f"How often each entry with when: failed is dialled. Default: {ATTEMPTS}.",
        },
        "pause": _span(PAUSES, PAUSE, "Between a leg that failed and the next."),
        "on_exhausted": {
            "description": "What becomes of the customer when nobody answered. Default: keep.",
            "anyOf": [
                {"enum": list(_WORDS)},
                {
                    "type": "object",
                    "properties": {
                        "transfer": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": FIELD_LIMIT,
                            "description": "The alias of the service to which the customer is transferred.",
                        }
                    },
                    "required": ["transfer"],
                    "additionalProperties": False,
                },
            ],
        },
        "end_room_with_leg": _or_never(
            _span(
                GRACES, END_ROOM_WITH_LEG, "The last leg is gone and nobody but the customer is there: the room ends."
            )
        ),
        "end_leg_with_customer": _or_never(
            _span(GRACES, END_LEG_WITH_CUSTOMER, "The last customer is gone: leg and room end.")
        ),
    },
    "additionalProperties": False,
}

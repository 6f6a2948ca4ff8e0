"""What every part of the JSON Schema of a rule file is made of."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from policy_server.pexip.shapes import SHAPES

Schema: TypeAlias = dict[str, Any]

TEMPLATE: Final = r"^([^{}]|\{(?!link\.[|}]|link\.[^{}|]*\.raw[|}])[A-Za-z_][A-Za-z0-9_.~-]*(\|[^{}]*)?\})*$"
"""Text in which every brace belongs to a placeholder, as ``read_template`` reads it."""

FILLED: Final = rf"^(?=[\s\S]*\{{){TEMPLATE.removeprefix('^')}"
"""The same with one placeholder at least."""

WRITTEN_OUT: Final = r"^([^{}]*|\{[A-Za-z_][A-Za-z0-9_-]*\.[A-Za-z_][A-Za-z0-9_-]*(\|[^{}]*)?\})$"
"""A name, or a column of a table that has it."""

NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 250}
LINE: Final[Schema] = {"type": "string", "maxLength": 250}
WRITTEN: Final[Schema] = {"type": ["string", "integer"], "minimum": 0}
"""Digits, which YAML may take for a number."""
NOTE: Final[Schema] = {"type": "string", "description": "A note for people."}


def ref(definition: str) -> Schema:
    """The definition of this name."""
    return {"$ref": f"#/$defs/{definition}"}


def table(description: str, fields: Mapping[str, Schema], **more: Any) -> Schema:
    """A mapping with exactly these keys."""
    return {
        "description": description,
        "type": "object",
        "properties": dict(fields),
        "additionalProperties": False,
        **more,
    }


def one_or_list(item: Schema, description: str, *, may_be_empty: bool = False) -> Schema:
    """A value, or a list of such values."""
    several: Schema = {"type": "array", "items": item}
    if not may_be_empty:
        several["minItems"] = 1
    return {"description": description, "anyOf": [item, several]}


def any_case(text: str) -> str:
    """An expression for a text in any case, without flags, which JSON Schema does not have."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in text)


def described(model: object, field: str) -> str:
    """What the model of an answer says about a field."""
    return SHAPES[model].meanings[field]

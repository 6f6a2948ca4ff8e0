"""Reading the attributes that a link type declares."""

from typing import Final

from policy_server.pexip.aliases import folded
from policy_server.pexip.query import clean
from policy_server.policy.link_attributes import (
    ATTRIBUTE_LIMIT,
    ATTRIBUTE_NAME,
    CUSTOMERS_NAME,
    MOST_ATTRIBUTES,
    LinkAttribute,
)
from policy_server.policy.patterns import Pattern, PatternError, compile_pattern
from policy_server.policy.templates import is_blank
from policy_server.rulefiles.reader import Table
from policy_server.rulefiles.schema_parts import Schema, one_or_list
from policy_server.wording.values import printable, shown

_VALUE: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": ATTRIBUTE_LIMIT}

ATTRIBUTE: Final[Schema] = {
    "description": "An attribute of such links. Without a key it takes any text: {}.",
    "type": "object",
    "properties": {
        "values": one_or_list(_VALUE, "All that it can be, with regard to case."),
        "pattern": {
            "description": "A regular expression (RE2) that its whole value matches, with regard to case.",
            "type": "string",
            "minLength": 1,
        },
        "required": {
            "description": "true: no link is made without it.",
            "type": "boolean",
            "default": False,
        },
        "default": {**_VALUE, "description": "What it is in a link that was given none."},
    },
    "additionalProperties": False,
    "allOf": [{"not": {"required": ["values", "pattern"]}}],
}

ATTRIBUTES: Final[Schema] = {
    "description": "What links of this type can be given: no other attributes are taken, and rules are checked against it. "
    "Without this key a link takes any.",
    "type": "object",
    "propertyNames": {"pattern": f"^(?!{CUSTOMERS_NAME}$)(?:{ATTRIBUTE_NAME.pattern})$"},
    "additionalProperties": ATTRIBUTE,
    "maxProperties": MOST_ATTRIBUTES,
    "examples": [{"language": {"values": ["de", "fr"], "default": "de"}, "booking": {"required": True}}],
}


def read_attributes(link: Table) -> dict[str, LinkAttribute] | None:
    """The attributes of a link type; ``None`` where it says nothing of them."""
    table = link.table("attributes", "names of attributes such as {language: {values: [de, fr]}, segment: {}}")
    if table is None:
        return None
    if len(tuple(table)) > MOST_ATTRIBUTES:
        link.error("attributes", f"attributes has {len(tuple(table))} entries; a link has {MOST_ATTRIBUTES} at most")
    found: dict[str, LinkAttribute] = {}
    for name in table:
        if name == CUSTOMERS_NAME:
            message = "every link may have the customer's name, which is no attribute; leave it out"
            table.error_at(table.key_place(name), f"attribute {shown(name)}: {message}")
        elif not ATTRIBUTE_NAME.fullmatch(name):
            message = f"the name of an attribute must be 1 to 64 letters, digits, '_' and '-' but is {shown(name)}"
            table.error_at(table.key_place(name), message)
        else:
            below = table.table(name, "a mapping such as {values: [de, fr]}, or {} for any text,")
            if below is not None:
                about = f"{link.about}attribute {shown(name)}: "
                found[name] = _read_attribute(name, Table(below.node, "an attribute", link.report, about=about))
    return found


def _read_attribute(name: str, table: Table) -> LinkAttribute:
    table.finish(ATTRIBUTE["properties"])
    values = _read_values(table)
    pattern = _read_pattern(table)
    required = table.boolean("required", default=False)
    default = table.text("default")
    if "values" in table and "pattern" in table:
        table.error_at(table.key_place("pattern"), "values are all that it can be, so pattern says nothing; write one")
    if required and default is not None:
        table.error_at(
            table.key_place("default"), "no link is made without it (required), so default is never used; write one"
        )
    attribute = LinkAttribute(name, values, pattern, required, default)
    if default is not None and (reason := _unusable(default)):
        table.error("default", f"default: {reason}")
    elif default is not None and (fault := attribute.fault(default, "default")):
        table.error("default", fault)
    return attribute


def _read_values(table: Table) -> tuple[str, ...]:
    if "values" in table and not table.nodes("values"):
        table.error("values", "values is empty, so no link could be made; write all that it can be, or pattern")
    found: dict[str, str] = {}
    for text, place in table.texts("values"):
        if fault := _unusable(text):
            table.error_at(place, f"values: {fault}")
        elif (first := found.get(folded(text))) is not None:
            how = "" if first == text else f", once as {shown(first)}, and tables do not tell case apart"
            table.error_at(place, f"values has {shown(text)} twice{how}; keep one")
        else:
            found[folded(text)] = text
    return tuple(found.values())


def _unusable(text: str) -> str:
    """Why no link can be given a value."""
    if is_blank(text):
        return "an empty value counts as missing"
    if len(text) > ATTRIBUTE_LIMIT:
        return f"a value has {ATTRIBUTE_LIMIT} characters at most, and this has {len(text)}"
    if clean(text) != text:
        return f"{shown(text)} has white space around it or control characters in it, which no link keeps"
    return ""


def _read_pattern(table: Table) -> Pattern | None:
    text = table.text("pattern")
    if text is None:
        return None
    if not text:
        table.error(
            "pattern", "pattern matches nothing but an empty value, which counts as missing; write {} for any text"
        )
        return None
    try:
        return compile_pattern(text, ignore_case=False)
    except PatternError as error:
        table.error("pattern", f"pattern: {shown(text)} is not a regular expression of RE2: {printable(str(error))}")
        return None

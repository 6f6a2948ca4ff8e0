"""The values of a YAML document, each with the place where it is written.

Nobody changes them. They are not frozen, since Python needs three times as long to make a frozen one, and a large file
has a hundred thousand.
"""

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from policy_server.rulefiles.problems import Place

ScalarValue: TypeAlias = str | int | float | bool | None

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# 18 digits always fit the 64 bits that JSON writers and databases have for an integer.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(?:(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{0,99})?|\.[0-9]{1,99})(?:[eE][-+]?[0-9]{1,5})?")


@dataclass(slots=True)
class ScalarNode:
    """One value: text, a number, true, false or nothing.

    `text` is the value as written, without quotes: what to use for a phone number or a PIN.
    """

    value: ScalarValue
    text: str
    quoted: bool
    place: Place


@dataclass(slots=True)
class SequenceNode:
    """A list."""

    items: tuple["Node", ...]
    place: Place


@dataclass(slots=True)
class Entry:
    """One key of a mapping with its value."""

    key: ScalarNode
    value: "Node"

    @property
    def name(self) -> str:
        """The key's text."""
        return self.key.text


@dataclass(slots=True)
class MappingNode:
    """Keys with values, in the order written (those of `<<` last); keys are text, each there once."""

    entries: tuple[Entry, ...]
    place: Place

    def get(self, name: str) -> "Node | None":
        """Find the value of a key; None if there is no such key."""
        return next((entry.value for entry in self.entries if entry.name == name), None)


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def plain(node: Node) -> object:
    """Give a node as dicts, lists and scalars, without places.

    Nodes from `parse_document` are nested at most 50 deep and have at most 500,000 values, aliases
    expanded: the recursion and its result are bounded by that.
    """
    match node:
        case ScalarNode():
            return node.value
        case SequenceNode():
            return [plain(item) for item in node.items]
        case MappingNode():
            return {entry.name: plain(entry.value) for entry in node.entries}


def parse_plain_scalar(text: str) -> ScalarValue:
    """Read an unquoted scalar by the core schema of YAML 1.2, as text wherever a code could be meant.

    `yes`, `on` and `22:00` are text in YAML 1.2. Beyond it, so are a number with a leading zero or plus
    sign (`0755`, `+13129998045`), one of more than 18 digits, and `.inf`, `.nan`, `0o17` and `0x1F`.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and not text.lstrip("-").isdigit():
        number = float(text)
        return number if math.isfinite(number) else text
    return text

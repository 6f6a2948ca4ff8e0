"""How a message shows a value that somebody else wrote: on one line, short, and with nothing that a terminal obeys."""

import json
import re
from typing import Final

_LONGEST_SHOWN: Final = 60
_ADDRESS: Final = re.compile(
    r"([a-zA-Z]+:/*)?(\[[0-9a-fA-F:.]*(%\w*)?\]?|[0-9a-fA-F:]+(?=$)|[\w.*\s-]*)(:[0-9]{0,5})?(/[\w.~/\s-]*)?", re.ASCII
)


def shown(value: object) -> str:
    """Show a value the way a message quotes it: printable, on one line, 60 characters or fewer.

    Text is quoted; anything else looks as it does in YAML.
    """
    if isinstance(value, str):
        quote = '"' if "'" in value and '"' not in value else "'"
        return f"{quote}{_printable(value)}{quote}"
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and abs(value) >= 10**_LONGEST_SHOWN:
        return "a number of more than 60 digits"
    return _printable(str(value))


def shown_address(text: str) -> str:
    """Show a web address as ``shown`` does, without its query; or say why not, where something in it may be a password."""
    found = None if "@" in text else _ADDRESS.match(text)
    rest = text[found.end() :] if found is not None else text
    if rest[:1] in {"", "?", "#"}:
        return shown(text if len(rest) <= 1 else f"{text[: -len(rest)]}{rest[0]}…")
    return "not repeated here, since it may hold a password"


def printable(text: str) -> str:
    """Show a text of any length on one line, whatever characters it has."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _printable(text: str) -> str:
    if len(text) <= _LONGEST_SHOWN and text.isprintable():
        return text
    pieces: list[str] = []
    length = 0
    for character in text[: _LONGEST_SHOWN + 1]:
        piece = printable(character)
        pieces.append(piece)
        length += len(piece)
    if length <= _LONGEST_SHOWN:
        return "".join(pieces)
    while length >= _LONGEST_SHOWN:
        length -= len(pieces.pop())
    return "".join(pieces) + "…"


def visible_json(text: str) -> str:
    """JSON in which a terminal finds nothing to obey, such as characters that change the direction of writing."""
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)

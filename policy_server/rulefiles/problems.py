"""What is wrong with a rule file, where, and what to write instead."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice

_LONGEST_SHOWN = 60
_MOST_LISTED = 12
_MOST_COMPARED = 1_000
_LONGEST_COMPARED = 100
_LIKE_A_KEY = re.compile(r"[^=:$/+@]*")
_ADDRESS = re.compile(
    r"([a-zA-Z]+:/*)?(\[[0-9a-fA-F:.]*(%\w*)?\]?|[0-9a-fA-F:]+(?=$)|[\w.*\s-]*)(:[0-9]{0,5})?(/[\w.~/\s-]*)?", re.ASCII
)


_ON_PEXIPS_PAGES: Mapping[str, tuple[str, ...]] = {
    "host": ("chair",),
    "moderator": ("chair",),
    "participant": ("guest",),
    "audio-only": ("audio",),
    "audio only": ("audio",),
    "main video only": ("video-only",),
    "main video + presentation": ("video",),
    "same as incoming call": ("auto",),
    "required": ("on",),
    "no encryption": ("off",),
    "full hd": ("fullhd",),
    "1080p": ("fullhd",),
    "720p": ("hd",),
    "h.323": ("h323",),
    "ms-sip": ("mssip",),
    "lync": ("mssip",),
    "skype": ("mssip",),
    "skype for business": ("mssip",),
    "google meet": ("gms",),
    "microsoft teams": ("teams",),
    "browser": ("webrtc",),
    "in": ("dial_in",),
    "inbound": ("dial_in",),
    "incoming": ("dial_in",),
    "out": ("dial_out",),
    "outbound": ("dial_out",),
    "outgoing": ("dial_out",),
    "manually": ("manual",),
    "automatically": ("routing_rule",),
    "vmr": ("conference",),
    "virtual meeting room": ("conference",),
    "virtual auditorium": ("lecture",),
    "auditorium": ("lecture",),
    "virtual reception": ("two_stage_dialing",),
    "infinity gateway": ("gateway",),
}
"""What Pexip's administrator pages and their users say for values of the API, in lower case."""


class Severity(StrEnum):
    """Whether a problem refuses the rules (`error`) or only deserves a look (`warning`)."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a rule file: line and column count from 1; line 0 is the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the rules; `rule` is the id of the rule it is in, or empty."""

    place: Place
    severity: Severity
    message: str
    rule: str = ""

    def __str__(self) -> str:
        rule = f"rule {shown(self.rule)}: " if self.rule else ""
        return f"{self.place}: {self.severity}: {rule}{self.message}"

    def as_json(self) -> dict[str, object]:
        """Give the problem as a JSON object; `line`, `column` and `rule` are null where there is none."""
        return {
            "file": self.place.file,
            "line": self.place.line or None,
            "column": (self.place.column or None) if self.place.line else None,
            "severity": self.severity.value,
            "rule": self.rule or None,
            "message": self.message,
        }


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
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _printable(text: str) -> str:
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


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Find the word that was probably meant by `word`, in any case; None if none is near.

    What Pexip's administrator pages call a value stands for the value of the API.

    Only the first 1,000 words are compared, and none of more than 100 characters: a message is not worth
    more time than that.
    """
    if len(word) > _LONGEST_COMPARED:
        return None
    folded: dict[str, str] = {}
    for candidate in islice(words, _MOST_COMPARED):
        if len(candidate) <= _LONGEST_COMPARED:
            folded.setdefault(candidate.lower(), candidate)
    said = next((meant for meant in _ON_PEXIPS_PAGES.get(word.lower(), ()) if meant in folded), None)
    if said is not None:
        return folded[said]
    found = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def one_of(name: str, words: Iterable[str], value: object) -> str:
    """Say that `name` has a value that is none of the allowed words, which those are, and the nearest."""
    allowed = list(words)
    if not allowed:
        return f"{name} is {shown(value)} but there is none to choose from"
    choice = _listed(allowed) if len(allowed) == 1 else f"one of {_listed(allowed)}"
    return f"{name} must be {choice} but is {shown(value)}{_hint(value, allowed)}"


def unknown_key(key: str, known: Iterable[str], where: str) -> str:
    """Say that `where` has no key `key`, which key was probably meant, and which keys there are."""
    allowed = list(known)
    can_have = f"it can have {_listed(allowed)}" if allowed else "it can have no keys"
    # A line of a file of settings, NAME=VALUE, or of passwords, that came here by mistake is not repeated.
    is_shown = _LIKE_A_KEY.fullmatch(key) or nearest(key, allowed) is not None
    return f"{shown(key) if is_shown else 'this'} is not a key of {where}{_hint(key, allowed)}; {can_have}"


def _listed(words: list[str]) -> str:
    listed = [f"{shown(word)} (Pexip's Host)" if word == "chair" else shown(word) for word in words[:_MOST_LISTED]]
    more = len(words) - len(listed)
    return ", ".join([*listed, f"… {more} more"] if more else listed)


def _hint(value: object, words: list[str]) -> str:
    if not isinstance(value, str):
        return ""
    word = nearest(value, words)
    return f" (did you mean {shown(word)}?)" if word is not None else ""

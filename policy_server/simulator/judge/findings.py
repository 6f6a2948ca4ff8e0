"""Collecting objections and warnings, and the wording that they share."""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from policy_server.simulator.judge.verdict import Deployment, Objection
from policy_server.wording.values import printable

_SECRET_KEYS = frozenset({"pin", "guest_pin", "password", "dtmf_sequence"})
_SHOWN_CHARACTERS = 60
LONGEST_STRING = 250
"""Characters in a string field of an answer (rule ENV-3)."""


@dataclass(slots=True)
class Findings:
    """The objections and warnings about one answer, in the order found."""

    deployment: Deployment
    secrets: frozenset[str] = frozenset()
    objections: list[Objection] = field(default_factory=list)
    warnings: list[Objection] = field(default_factory=list)

    def refuse(self, rule: str, where: str, reason: str) -> None:
        """Note a reason for which the node does not use the answer."""
        self.objections.append(Objection(rule, where, reason))

    def warn(self, rule: str, where: str, reason: str) -> None:
        """Note something about an answer that the node uses all the same."""
        self.warnings.append(Objection(rule, where, reason))

    def shown(self, value: object) -> str:
        """A value as a reason may show it: short, printable, and never a secret."""
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if any(secret in text for secret in self.secrets):
            return "a value that is not shown here because it contains a PIN, a password or tones"
        return f"'{shortened(text)}'" if isinstance(value, str) else shortened(text)


def shortened(text: str) -> str:
    """Text as a reason may quote it: cut after 60 characters, on one line, whatever characters it has."""
    return printable(text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…")


def type_of(value: object) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"


def listed(words: Iterable[str]) -> str:
    """Words in quotation marks, separated by commas."""
    return ", ".join(f"'{shortened(word)}'" for word in words)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant; one that differs only in case or spaces comes first."""
    candidates = sorted(words)
    folded = word.strip().casefold()
    for candidate in candidates:
        if candidate.strip().casefold() == folded:
            return candidate
    if len(word) > _SHOWN_CHARACTERS:
        return None
    close = difflib.get_close_matches(word, candidates, n=1, cutoff=0.7)
    return close[0] if close else None


def strings(answer: object) -> Iterable[tuple[str, str]]:
    """Every string value of a JSON document with its dotted path, in document order."""
    for where, _, value in _leaves(answer):
        if isinstance(value, str):
            yield where, value


def secrets_of(answer: object) -> frozenset[str]:
    """The PINs, passwords and tones of a JSON document as text, to keep them out of reasons."""
    return frozenset(
        str(value)
        for _, secret, value in _leaves(answer)
        if secret and value is not None and not isinstance(value, bool) and value != ""
    )


def _leaves(answer: object) -> Iterable[tuple[str, bool, object]]:
    # A stack instead of recursion: the JSON parser accepts documents nearly as deep as the recursion limit.
    stack: list[tuple[str, bool, object]] = [("", False, answer)]
    while stack:
        where, secret, value = stack.pop()
        if isinstance(value, Mapping):
            stack.extend(
                (joined(where, str(key)), secret or key in _SECRET_KEYS, item)
                for key, item in reversed(list(value.items()))
            )
        elif isinstance(value, list):
            stack.extend((f"{where}[{index}]", secret, item) for index, item in reversed(list(enumerate(value))))
        else:
            yield where, secret, value


def joined(where: str, key: str) -> str:
    """The dotted path of a key inside the object at ``where``."""
    return f"{where}.{shortened(key)}" if where else shortened(key)

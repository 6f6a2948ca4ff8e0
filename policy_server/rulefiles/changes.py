"""What changed with the last reloads: which rules and other things with names came, went, or are written otherwise."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final

from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.merge import RuleFiles
from policy_server.rulefiles.problems import Problem, Severity
from policy_server.rulefiles.rule_lists import RULE_SECTIONS

REMEMBERED: Final = 10
"""Reloads that are remembered."""
MOST_NAMED: Final = 50
"""Names of one kind that are kept of a reload; of more than that the number."""
MOST_ERRORS: Final = 20
"""Errors that are kept of rules that were refused."""

Outline = Mapping[str, bytes]
"""What is written by name, as ``service customer`` or ``trunks clinic``, each with a digest of how."""


@dataclass(frozen=True, slots=True)
class Names:
    """Some of which something is told, the first ``MOST_NAMED`` by name, and how many more there are."""

    first: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One attempt to take rules into force. Of rules that were ``refused`` the first errors are told, and nothing else.

    ``reworded`` are those that stand there under the same name and are written otherwise, be it only with another comment.
    """

    at: datetime
    revision: str
    count: int = 0
    added: Names = Names()
    gone: Names = Names()
    reworded: Names = Names()
    errors: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the rules that ran before stayed in force."""
        return bool(self.errors)

    @property
    def is_plain(self) -> bool:
        """Whether no rule and nothing with a name is different: other files, or only what stands around them."""
        return not (self.errors or self.added.first or self.gone.first or self.reworded.first)


class History:
    """The last reloads, the latest first; the start is none. For the thread that loads; others may read ``changes``."""

    def __init__(self, at: datetime, ruleset: Ruleset, files: RuleFiles) -> None:
        self.began: Final = at
        self._outline = outline(ruleset, files)
        self._changes: Final[deque[Change]] = deque(maxlen=REMEMBERED)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The last reloads, the latest first."""
        return tuple(self._changes)

    def took(self, at: datetime, ruleset: Ruleset, files: RuleFiles) -> None:
        """Notes rules that are taken into force."""
        before, now = self._outline, outline(ruleset, files)
        self._outline = now
        added, gone = _names(now.keys() - before.keys()), _names(before.keys() - now.keys())
        reworded = _names({name for name in now.keys() & before.keys() if now[name] != before[name]})
        self._changes.appendleft(Change(at, ruleset.revision, ruleset.count, added, gone, reworded))

    def refused(self, at: datetime, revision: str, problems: tuple[Problem, ...]) -> None:
        """Notes rules that are not."""
        errors = [str(problem) for problem in problems if problem.severity is Severity.ERROR]
        self._changes.appendleft(Change(at, revision, errors=tuple(errors[:MOST_ERRORS])))


def outline(ruleset: Ruleset, files: RuleFiles) -> Outline:
    """What rules say, by name: a digest of the lines from where each thing begins to where the next one does.

    What begins on one line counts as one. Tables, pictures and pages beside the rules go by their files.
    """
    begun: dict[str, dict[int, list[str]]] = {}
    for name, place in _places(ruleset):
        file, _, line = place.rpartition(":")
        begun.setdefault(file, {}).setdefault(int(line), []).append(name)
    found: dict[str, bytes] = {}
    for file, names in begun.items():
        lines = files.documents[file].splitlines()
        starts = sorted(names)
        for start, end in zip(starts, (*starts[1:], len(lines) + 1), strict=True):
            digest = _digest(b"\n".join(lines[start - 1 : end - 1]).rstrip())
            found.update(dict.fromkeys(names[start], digest))
    for data in (files.tables, files.pictures, files.templates):
        found.update((f"file {path}", _digest(content)) for path, content in data.items())
    return found


def _places(ruleset: Ruleset) -> Iterator[tuple[str, str]]:
    for section in RULE_SECTIONS:
        yield from ((f"{section.name} {rule.id}", rule.place) for rule in ruleset.lists[section.request].rules)
    for kind, named in ruleset.places.items():
        yield from ((f"{kind} {name}", place) for name, place in named.items())


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=8).digest()


def _names(names: set[str]) -> Names:
    ordered = sorted(names)
    return Names(tuple(ordered[:MOST_NAMED]), max(0, len(ordered) - MOST_NAMED))

"""Reading positioned YAML by key: every value of a wrong kind becomes a problem, and the reading goes on."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import takewhile
from typing import Final

from policy_server.pexip.fields import Named
from policy_server.policy.templates import RAW, Template, TemplateError, parse_template, without_raw
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode, plain
from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.wording.values import shown
from policy_server.wording.words import did_you_mean, one_of, unknown_key

MOST_ERRORS: Final = 500
"""Errors after which the rest is not read: nobody corrects more at a time, and each takes time to explain."""

FEW: Final = 50
"""Names that a message compares thoroughly with one that is wrong."""


@dataclass(slots=True)
class Report:
    """The problems found so far."""

    problems: list[Problem] = field(default_factory=list)
    errors: int = 0

    def add(self, problems: Iterable[Problem]) -> None:
        """Records problems that somebody else found."""
        for problem in problems:
            self.problems.append(problem)
            self.errors += problem.severity is Severity.ERROR

    def error(self, place: Place, message: str, rule: str = "") -> None:
        """Records what refuses the rules."""
        self.add([Problem(place, Severity.ERROR, message, rule)])

    def warning(self, place: Place, message: str, rule: str = "") -> None:
        """Records what deserves a look."""
        self.add([Problem(place, Severity.WARNING, message, rule)])

    @property
    def failed(self) -> bool:
        """Whether anything refuses the rules."""
        return self.errors > 0

    @property
    def is_full(self) -> bool:
        """Whether there are so many errors that the rest need not be read."""
        return self.errors > MOST_ERRORS

    def in_order(self) -> tuple[Problem, ...]:
        """Every problem once, in the order of the files, errors before warnings where they share a place."""
        return tuple(dict.fromkeys(sorted(self.problems, key=lambda problem: (problem.place, problem.severity))))


class Table:
    """A mapping being read. Ask for keys, then call ``finish`` so that keys nobody asked for are reported.

    ``where`` is what a message calls the mapping; ``about`` begins every message, as in ``trunk 'clinic': …``.
    """

    __slots__ = ("_entries", "about", "node", "place", "report", "rule", "where")

    def __init__(self, node: MappingNode, where: str, report: Report, rule: str = "", about: str = "") -> None:
        self.node: Final = node
        self.place: Final = node.place
        self.where: Final = where
        self.report: Final = report
        self.rule: Final = rule
        self.about: Final = about
        self._entries: Final = {entry.name: entry for entry in node.entries}

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def key_place(self, key: str) -> Place:
        """Where a key is written; the mapping when it is not."""
        entry = self._entries.get(key)
        return self.place if entry is None else entry.key.place

    def value(self, key: str) -> Node | None:
        """The value of a key as it stands; ``None`` when the key is absent."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def value_place(self, key: str) -> Place:
        """Where the value of a key is written; the mapping when the key is absent."""
        node = self.value(key)
        return self.place if node is None else node.place

    def error_at(self, place: Place, message: str) -> None:
        """Records an error at a place of this mapping."""
        self.report.error(place, self.about + message, self.rule)

    def error(self, key: str, message: str) -> None:
        """Records an error at the value of a key, or at the mapping when the key is absent."""
        self.error_at(self.value_place(key), message)

    def warning(self, key: str, message: str) -> None:
        """Records a warning at the value of a key."""
        self.report.warning(self.value_place(key), self.about + message, self.rule)

    def missing(self, key: str) -> None:
        """Records that a key is required."""
        self.error_at(self.place, f"{key} is missing" + ("" if self.about else f" in {self.where}"))

    def wrong(self, key: str, node: Node, wanted: str) -> None:
        """Records that a value of ``key`` (itself, or an item of it) is not what is wanted."""
        number = isinstance(node, ScalarNode) and node.quoted and "number" in wanted and node.text.isdecimal()
        hint = " (remove the quotes)" if number else ""
        self.error_at(node.place, f"{key} must be {wanted} but is {shown_node(node)}{hint}")

    def text(self, key: str, *, required: bool = False, wanted: str = "text") -> str | None:
        """Text; a number or a boolean without quotes is told to take them."""
        node = self.value(key)
        if node is None:
            if required:
                self.missing(key)
            return None
        return self._text(key, node, wanted)

    def _text(self, key: str, node: Node, wanted: str = "text") -> str | None:
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return node.value
        hint = " (put it in quotes)" if isinstance(node, ScalarNode) and node.value is not None else ""
        self.error_at(node.place, f"{key} must be {wanted} but is {shown_node(node)}{hint}")
        return None

    def written(self, key: str, *, required: bool = False) -> str | None:
        """The characters of a value as written, quoted or not: for phone numbers, dates, PINs and durations."""
        node = self.value(key)
        if isinstance(node, ScalarNode) and node.value is not None and not isinstance(node.value, bool):
            return node.text
        return self.text(key, required=required)

    def template(self, key: str, *, required: bool = False) -> Template | None:
        """Text with placeholders."""
        text = self.text(key, required=required)
        if text is None:
            return None
        try:
            return read_template(text)
        except TemplateError as error:
            self.error(key, f"{key}: {error}")
            return None

    def boolean(self, key: str, *, default: bool) -> bool:
        """``true`` or ``false``."""
        node = self.value(key)
        if node is None:
            return default
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.value
        word = node.text.lower() if isinstance(node, ScalarNode) else ""
        hint = f" (write {BOOLEANS[word]}, without quotes)" if word in BOOLEANS else ""
        self.error_at(node.place, f"{key} must be true or false but is {shown_node(node)}{hint}")
        return default

    def choice(self, key: str, words: Iterable[str], *, default: str = "") -> str:
        """One of some words."""
        if key not in self._entries:
            return default
        allowed = tuple(words)
        node = self.value(key)
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value in allowed:
            return node.value
        self.error(key, one_of(key, allowed, plain(node) if node is not None else None))
        return default

    def table(self, key: str, wanted: str = "a mapping of keys and values") -> "Table | None":
        """A mapping; ``None`` when absent or of another kind."""
        node = self.value(key)
        if isinstance(node, MappingNode):
            return Table(node, key, self.report, self.rule, self.about)
        if node is not None:
            self.wrong(key, node, wanted)
        return None

    def nodes(self, key: str) -> tuple[Node, ...]:
        """The items of a list; a single value counts as a list of one. Empty when absent."""
        node = self.value(key)
        if node is None:
            return ()
        return node.items if isinstance(node, SequenceNode) else (node,)

    def sequence(self, key: str, wanted: str = "a list, each item beginning with -,") -> tuple[Node, ...]:
        """The items of what has to be a list."""
        node = self.value(key)
        if isinstance(node, SequenceNode):
            return node.items
        if node is not None:
            self.wrong(key, node, wanted)
        return ()

    def texts(self, key: str) -> list[tuple[str, Place]]:
        """A text or a list of texts, each with its place."""
        found = ((self._text(key, node), node.place) for node in self.nodes(key))
        return [(text, place) for text, place in found if text is not None]

    def finish(self, known: Collection[str]) -> None:
        """Reports every key that is not among ``known``."""
        for key, entry in self._entries.items():
            if key not in known:
                self.error_at(entry.key.place, unknown_key(key, known, self.where))


_NO_ATTRIBUTE: Final = "link."


def read_template(text: str) -> Template:
    """Text with placeholders, each of which has a name; raises TemplateError for one that has none."""
    template = parse_template(text)
    if _NO_ATTRIBUTE in template.names:
        raise TemplateError(
            f"'{{{_NO_ATTRIBUTE}}}' lacks the name of an attribute; write one such as {{link.language}}"
        )
    for name in template.names:
        if name.startswith(_NO_ATTRIBUTE) and name.endswith(RAW):
            raise TemplateError(
                f"'{{{name}}}' has a needless {RAW}: an attribute is as it was given; write {{{without_raw(name)}}}"
            )
    return template


BOOLEANS: Final = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}


def shown_node(node: Node) -> str:
    """A value as a message quotes it, without building what nobody will see of it."""
    match node:
        case ScalarNode():
            return shown(node.value)
        case MappingNode():
            return "a mapping" if node.entries else "an empty mapping"
        case SequenceNode():
            return "a list" if node.items else "an empty list"


def kind_of(node: Node) -> str:
    """What a whole file is instead of a mapping: nothing of it is shown, since it may be a key put here by mistake."""
    return "text" if isinstance(node, ScalarNode) else shown_node(node)


def undefined(key: str, noun: str, name: str, known: Collection[str], section: str) -> str:
    """Says that a name refers to nothing, and what it could be, or where it would be defined."""
    if not known:
        return f"{noun} {shown(name)} is not defined; define it under {section}"
    if len(known) > FEW:
        return f"{noun} {shown(name)} is not defined under {section}{near_hint(name, known)}"
    return one_of(key, known, name)


def unlisted(key: str, known: Collection[str], name: str, kind: Named) -> str:
    """Says that a name is not in the list under ``pexip`` of the names of its kind."""
    remedy = f"if it exists in Pexip, add it to {kind.plural} under pexip"
    if not known or len(known) > FEW:
        return f"{key} {shown(name)} is not listed{near_hint(name, known)}; {remedy}"
    return f"{one_of(key, sorted(known), name)}; {remedy}"


def near_hint(name: str, known: Collection[str]) -> str:
    """Asks whether the most similar of many names was meant; ``""`` when none is similar."""

    def distance(other: str) -> tuple[int, int]:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False))
        return -sum(1 for _ in same), abs(len(other) - len(name))

    # A thorough comparison with each of a thousand names takes longer than all else that a rule needs.
    return did_you_mean(name, nsmallest(FEW, known, key=distance))


def node_at(node: Node, path: tuple[str | int, ...]) -> Node:
    """The node at a path below ``node``, or the nearest one above it that exists."""
    for step in path:
        if isinstance(node, MappingNode) and isinstance(step, str):
            below = node.get(step)
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            below = node.items[step]
        else:
            below = None
        if below is None:
            return node
        node = below
    return node

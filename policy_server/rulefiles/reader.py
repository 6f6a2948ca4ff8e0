"""Reading positioned YAML by key: every value of a wrong kind becomes a problem, and the reading goes on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from policy_server.policy.templates import Template, TemplateError, parse_template
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode, plain
from policy_server.rulefiles.problems import Place, Problem, Severity, one_of, shown, unknown_key


@dataclass(slots=True)
class Report:
    """The problems found so far."""

    problems: list[Problem] = field(default_factory=list)

    def error(self, place: Place, message: str, rule: str = "") -> None:
        """Records what refuses the rules."""
        self.problems.append(Problem(place, Severity.ERROR, message, rule))

    def warning(self, place: Place, message: str, rule: str = "") -> None:
        """Records what deserves a look."""
        self.problems.append(Problem(place, Severity.WARNING, message, rule))

    @property
    def failed(self) -> bool:
        """Whether anything refuses the rules."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)


class Table:
    """A mapping being read. Ask for keys, then call ``finish`` so that keys nobody asked for are reported."""

    __slots__ = ("_nodes", "_places", "node", "place", "report", "rule", "where")

    def __init__(self, node: MappingNode, where: str, report: Report, rule: str = "") -> None:
        self.node: Final = node
        self.place: Final = node.place
        self.where: Final = where
        self.report: Final = report
        self.rule: Final = rule
        self._nodes: Final = {entry.name: entry.value for entry in node.entries}
        self._places: Final = {entry.name: entry.key.place for entry in node.entries}

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def key_place(self, key: str) -> Place:
        """Where a key is written; the mapping when it is not."""
        return self._places.get(key, self.place)

    def value(self, key: str) -> Node | None:
        """The value of a key as it stands; ``None`` when the key is absent."""
        return self._nodes.get(key)

    def error(self, key: str, message: str) -> None:
        """Records an error at the value of a key, or at the mapping when the key is absent."""
        node = self._nodes.get(key)
        self.report.error(node.place if node is not None else self.place, message, self.rule)

    def missing(self, key: str) -> None:
        """Records that a key is required."""
        self.report.error(self.place, f"{key} is missing in {self.where}", self.rule)

    def _wrong(self, key: str, node: Node, wanted: str) -> None:
        self.report.error(node.place, f"{key} must be {wanted} but is {shown(plain(node))}", self.rule)

    def text(self, key: str, *, required: bool = False) -> str | None:
        """Text; a number or a boolean without quotes is told to take them."""
        node = self._nodes.get(key)
        if node is None:
            if required:
                self.missing(key)
            return None
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return node.value
        hint = " (put it in quotes)" if isinstance(node, ScalarNode) and node.value is not None else ""
        self.report.error(node.place, f"{key} must be text but is {shown(plain(node))}{hint}", self.rule)
        return None

    def written(self, key: str, *, required: bool = False) -> str | None:
        """The characters of a value as written, quoted or not: for phone numbers, dates, PINs and durations."""
        node = self._nodes.get(key)
        if isinstance(node, ScalarNode) and node.value is not None and not isinstance(node.value, bool):
            return node.text
        return self.text(key, required=required)

    def template(self, key: str, *, required: bool = False) -> Template | None:
        """Text with placeholders."""
        text = self.text(key, required=required)
        if text is None:
            return None
        try:
            return parse_template(text)
        except TemplateError as error:
            self.error(key, f"{key}: {error}")
            return None

    def boolean(self, key: str, *, default: bool) -> bool:
        """``true`` or ``false``."""
        node = self._nodes.get(key)
        if node is None:
            return default
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.value
        self._wrong(key, node, "true or false")
        return default

    def choice(self, key: str, words: Iterable[str], *, default: str = "") -> str:
        """One of some words."""
        if key not in self._nodes:
            return default
        allowed = tuple(words)
        text = self.text(key)
        if text is not None and text not in allowed:
            self.error(key, one_of(key, allowed, text))
            return default
        return text or default

    def table(self, key: str) -> "Table | None":
        """A mapping; ``None`` when absent or of another kind."""
        node = self._nodes.get(key)
        if isinstance(node, MappingNode):
            return Table(node, f"{key}", self.report, self.rule)
        if node is not None:
            self._wrong(key, node, "a mapping of keys and values")
        return None

    def nodes(self, key: str) -> tuple[Node, ...]:
        """The items of a list; a single value counts as a list of one. Empty when absent."""
        node = self._nodes.get(key)
        if node is None:
            return ()
        return node.items if isinstance(node, SequenceNode) else (node,)

    def sequence(self, key: str) -> tuple[Node, ...]:
        """The items of what has to be a list."""
        node = self._nodes.get(key)
        if isinstance(node, SequenceNode):
            return node.items
        if node is not None:
            self._wrong(key, node, "a list")
        return ()

    def texts(self, key: str) -> list[tuple[str, Place]]:
        """A text or a list of texts, each with its place."""
        found: list[tuple[str, Place]] = []
        for node in self.nodes(key):
            if isinstance(node, ScalarNode) and isinstance(node.value, str):
                found.append((node.value, node.place))
            else:
                hint = " (put it in quotes)" if isinstance(node, ScalarNode) and node.value is not None else ""
                self.report.error(node.place, f"{key} must be text but is {shown(plain(node))}{hint}", self.rule)
        return found

    def finish(self, known: Iterable[str]) -> None:
        """Reports every key that is not among ``known``."""
        allowed = tuple(known)
        for key in self._nodes:
            if key not in allowed:
                self.report.error(self._places[key], unknown_key(key, allowed, self.where), self.rule)


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

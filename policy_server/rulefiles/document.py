"""One YAML file as values that know their places, or every reason why it is none.

The events of PyYAML's parser (libyaml where it is installed) are composed here, without recursion, instead
of by PyYAML's own composer: that one knows YAML 1.1 (`no` is false, `22:00` is 1320), keeps the last of two
equal keys, and lets a short file expand to any size.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import yaml

from policy_server.rulefiles.document_nodes import (
    Entry,
    MappingNode,
    Node,
    ScalarNode,
    ScalarValue,
    SequenceNode,
    parse_plain_scalar,
    plain,
)
from policy_server.rulefiles.document_syntax import explain_syntax_error
from policy_server.rulefiles.document_text import (
    MAX_BYTES,
    MAX_PROBLEMS,
    decode_document,
    find_unreadable_character,
    name_of_character,
    pasted_character,
    place_at,
    without_unreadable_characters,
)
from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.wording.values import shown

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "MAX_PROBLEMS",
    "Entry",
    "MappingNode",
    "Node",
    "ScalarNode",
    "SequenceNode",
    "parse_document",
    "plain",
]

MAX_DEPTH = 50
MAX_NODES = 500_000

_NESTING = re.compile("nesting (depth|level)|too deep|recursion")
_TOO_DEEP = f"values are nested more than {MAX_DEPTH} deep here"
_LOADER = getattr(yaml, "CLoader", yaml.Loader)
_STANDARD_TAG = "tag:yaml.org,2002:"
_TYPES_OF_TAGS: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
}


def parse_document(file: str, data: bytes) -> tuple[Node | None, tuple[Problem, ...]]:
    """Parse the bytes of one YAML file; never raises, in bounded time and memory.

    The node is None if the file is empty or cannot be understood. With problems and a node, the node is
    what the file would say without what the problems are about (of two equal keys it has the first): good
    enough to look for more problems, not to be used. Aliases share their nodes. Problems are in the order
    of their places; past 100 they are only counted.
    """
    text, problems = decode_document(file, data)
    if text is None:
        return None, problems
    composer = _Composer(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except _RefusedError as error:
        composer.abandon(Problem(error.place, Severity.ERROR, error.message))
    except yaml.MarkedYAMLError as error:
        composer.abandon(_too_deep(text, error, composer) or explain_syntax_error(file, text, error, composer.inside()))
    except (MemoryError, RecursionError):
        message = "what begins here takes more memory to read than there is; split the file"
        composer.abandon(Problem(composer.inside() or Place(file), Severity.ERROR, message))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML's own parser lets chr() fail on "\UFFFFFFFF".
        composer.abandon(Problem(Place(file), Severity.ERROR, f"this is not YAML: {shown(str(error))}"))
    return composer.result()


def _too_deep(text: str, error: yaml.MarkedYAMLError, composer: "_Composer") -> Problem | None:
    """Say that values are nested too deep where the parser gave up on them before the limit of ours was reached.

    It looks ahead in a line for a key, through brackets that it has not told of; each version has a limit of its own.
    """
    mark = error.problem_mark
    if mark is None or not _NESTING.search(error.problem or ""):
        return None
    depth, end, at = composer.depth, mark.index + 1, mark.index
    try:
        # PyYAML's own scanner has no limit; what it is given is what the other looked through.
        for token in yaml.scan(text[composer.read_to : end], Loader=yaml.Loader):
            if isinstance(token, yaml.FlowSequenceStartToken | yaml.FlowMappingStartToken):
                depth += 1
            elif isinstance(token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken):
                depth -= 1
            if depth > MAX_DEPTH:
                at = composer.read_to + token.start_mark.index
                break
    except yaml.YAMLError:
        pass
    return Problem(place_at(composer.file, text, at), Severity.ERROR, _TOO_DEEP)


class _RefusedError(Exception):
    """The document goes beyond a limit; nothing after this place is read."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read; a mapping's nodes are key, value, key, value…"""

    place: Place
    is_mapping: bool
    anchor: str | None
    size_before: int
    nodes: list[Node] = field(default_factory=list)
    height: int = 0


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A node that aliases can refer to, its number of values and its depth with all aliases expanded."""

    node: Node
    size: int
    height: int


_UNRESOLVED = ScalarNode(None, "", quoted=True, place=Place(""))


class _Composer:
    """Builds the node of a document from parser events, and collects what is wrong with it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._last: yaml.Event | None = None
        self._root: Node | None = None
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored | _Open] = {}
        self._size = 0
        self._documents = 0
        self._problems: list[Problem] = []
        self._unlisted = 0
        self._is_usable = True

    def take(self, event: yaml.Event) -> None:
        """Take the next event of the parser."""
        self._last = event
        taken = _TAKEN.get(type(event))
        if taken is not None:
            taken(self, event)

    @property
    def read_to(self) -> int:
        """How many characters the events taken so far have come from."""
        return 0 if self._last is None or self._last.end_mark is None else self._last.end_mark.index

    @property
    def depth(self) -> int:
        """How many lists and mappings are open."""
        return len(self._open)

    def inside(self) -> Place | None:
        """Tell where the innermost list or mapping begins that is not complete."""
        return self._open[-1].place if self._open else None

    def abandon(self, problem: Problem) -> None:
        """End the document early: look through what is complete, and add the problem that ended it."""
        self._is_usable = False
        while self._open:
            self._take_end()
        self._problems.append(problem)

    def result(self) -> tuple[Node | None, tuple[Problem, ...]]:
        """Give the document's node, if there is one to use, and all problems in the order of their places."""
        problems = sorted(self._problems, key=lambda problem: problem.place)
        if self._unlisted:
            message = f"there are {self._unlisted} more problems like these, not listed here"
            problems.append(Problem(Place(self.file), Severity.ERROR, message))
        root = self._root if self._is_usable else None
        if isinstance(root, ScalarNode) and root.text == "" and not root.quoted:
            root = None
        return root, tuple(problems)

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        if mark is None:
            return Place(self.file)
        return Place(self.file, mark.line + 1, mark.column + 1)

    def _report(self, place: Place, message: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(Problem(place, Severity.ERROR, message))
        else:
            self._unlisted += 1

    def _add(self, node: Node, height: int) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        parent.nodes.append(node)
        parent.height = max(parent.height, height)

    def _grow(self, size: int, place: Place, reason: str) -> None:
        self._size += size
        if self._size > MAX_NODES:
            raise _RefusedError(place, f"{reason} more than {MAX_NODES:,} values; split the file")

    def _take_scalar(self, event: yaml.ScalarEvent) -> None:
        place = self._place(event)
        self._grow(1, place, "the file has")
        # Keys and many values are the same few texts.
        text, tag = sys.intern(event.value), event.tag
        quoted = bool(event.style)
        if event.style == '"' and not text.isprintable() and (bad := find_unreadable_character(text)):
            self._report(
                place,
                f"a backslash in this double-quoted text makes the control character {name_of_character(bad)}; "
                "write the text in single quotes, where a backslash is just a backslash (best for regular "
                "expressions)",
            )
            text = without_unreadable_characters(text)
        if not quoted and not text.isascii() and (pasted := pasted_character(text)):
            self._report(place, pasted)
        if tag is not None:
            node = self._tagged_scalar(place, tag, text)
        else:
            node = ScalarNode(text if quoted else parse_plain_scalar(text), text, quoted, place)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(node, 1, 0)
        self._add(node, 0)

    def _tagged_scalar(self, place: Place, tag: str, text: str) -> ScalarNode:
        name = tag.removeprefix(_STANDARD_TAG)
        if tag in ("!", _STANDARD_TAG + "str"):
            return ScalarNode(text, text, True, place)
        if name == tag or name not in _TYPES_OF_TAGS:
            self._report_tag(place, tag)
            return ScalarNode(text, text, True, place)
        value: ScalarValue = parse_plain_scalar(text)
        if type(value) not in _TYPES_OF_TAGS[name]:
            self._report(place, f"{shown(text)} is not of type !!{name}; correct it or remove the '!!{name}'")
        if name == "float" and isinstance(value, int):
            value = float(value)
        return ScalarNode(value, text, False, place)

    def _report_tag(self, place: Place, tag: str) -> None:
        written = "!!" + tag.removeprefix(_STANDARD_TAG) if tag.startswith(_STANDARD_TAG) else tag
        self._report(
            place, f"the tag {shown(written)} is not supported; remove it, or put a text that begins with '!' in quotes"
        )

    def _take_start(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        place = self._place(event)
        self._grow(1, place, "the file has")
        if len(self._open) >= MAX_DEPTH:
            raise _RefusedError(place, _TOO_DEEP)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", _STANDARD_TAG + ("map" if is_mapping else "seq")):
            self._report_tag(place, event.tag)
        opened = _Open(place, is_mapping, event.anchor, self._size - 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = opened
        self._open.append(opened)

    def _take_end(self, _: yaml.Event | None = None) -> None:
        closed = self._open.pop()
        node = self._mapping(closed) if closed.is_mapping else SequenceNode(tuple(closed.nodes), closed.place)
        height = closed.height + 1
        # An anchor inside may have taken the same name since.
        if closed.anchor is not None and self._anchors.get(closed.anchor) is closed:
            self._anchors[closed.anchor] = _Anchored(node, self._size - closed.size_before, height)
        self._add(node, height)

    def _take_document(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            message = "a second document begins here; a file holds one: remove this '---' or make two files"
            raise _RefusedError(self._place(event), message)

    def _take_alias(self, event: yaml.AliasEvent) -> None:
        place = self._place(event)
        name = event.anchor or ""
        anchored = self._anchors.get(name)
        if not isinstance(anchored, _Anchored):
            self._grow(1, place, "the file has")
            self._is_usable = False
            self._report(
                place,
                f"there is no anchor {shown('&' + name)} above this line; if {shown('*' + name)} is meant as text, "
                "put it in quotes"
                if anchored is None
                else f"the alias {shown('*' + name)} is inside the very value it stands for",
            )
            self._add(_UNRESOLVED, 0)
            return
        self._grow(anchored.size, place, "with its aliases (*name) expanded, the file has")
        if len(self._open) + anchored.height > MAX_DEPTH:
            raise _RefusedError(
                place, f"with the alias {shown('*' + name)} expanded, values are nested more than {MAX_DEPTH} deep"
            )
        node = anchored.node
        self._add(replace(node, place=place) if isinstance(node, ScalarNode) else node, anchored.height)

    def _mapping(self, closed: _Open) -> MappingNode:
        entries: dict[str, Entry] = {}
        merged: list[Node] = []
        merge_key: ScalarNode | None = None
        for key, value in zip(closed.nodes[::2], closed.nodes[1::2], strict=False):
            if not isinstance(key, ScalarNode) or not isinstance(key.value, str):
                self._report_key(key)
            elif key.value == "<<" and not key.quoted:
                if merge_key is not None:
                    self._report_twice(key, merge_key, "; write one '<<: [*a, *b]'")
                merge_key = merge_key or key
                merged.extend(value.items if isinstance(value, SequenceNode) else (value,))
            elif key.value in entries:
                self._report_twice(key, entries[key.value].key, "; remove one")
            else:
                entries[key.value] = Entry(key, value)
        for base in merged:
            if isinstance(base, MappingNode):
                for entry in base.entries:
                    entries.setdefault(entry.name, entry)
            elif base is not _UNRESOLVED:
                self._report(base.place, "'<<' takes a mapping or a list of mappings, as in '<<: *name'")
        return MappingNode(tuple(entries.values()), closed.place)

    def _report_twice(self, key: ScalarNode, first: ScalarNode, advice: str) -> None:
        self._report(key.place, f"the key {shown(key.text)} is there already, in line {first.place.line}{advice}")

    def _report_key(self, key: Node) -> None:
        if key is _UNRESOLVED:
            return
        if not isinstance(key, ScalarNode):
            message = f"a key must be text, but this is {'a list' if isinstance(key, SequenceNode) else 'a mapping'}"
            message += "; a text that begins with a bracket must be in quotes"
        elif key.text == "":
            message = "there is no key before this ':'"
        else:
            message = f"a key must be text, but {key.text} is not: write {shown(key.text)}, in quotes"
        self._report(key.place, message)


_TAKEN: Final[Mapping[type[yaml.Event], Callable[[_Composer, Any], None]]] = {
    yaml.ScalarEvent: _Composer._take_scalar,
    yaml.SequenceStartEvent: _Composer._take_start,
    yaml.MappingStartEvent: _Composer._take_start,
    yaml.SequenceEndEvent: _Composer._take_end,
    yaml.MappingEndEvent: _Composer._take_end,
    yaml.AliasEvent: _Composer._take_alias,
    yaml.DocumentStartEvent: _Composer._take_document,
}
"""What becomes of each event; the others say nothing."""

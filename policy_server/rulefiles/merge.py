"""The sections of all files of a rules folder together, before anything in them is understood."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from pathlib import PurePath
from typing import Final

from policy_server.pexip.fields import Named
from policy_server.policy.services import FIELD_LIMIT
from policy_server.rulefiles.deployment import read_deployment
from policy_server.rulefiles.document import parse_document
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report, Table, kind_of, shown_node
from policy_server.rulefiles.routing_rules import RoutingRule, read_routing_rules
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.rulefiles.sections import mapping_of
from policy_server.wording.values import shown
from policy_server.wording.words import unknown_key

_NOUNS: Final[Mapping[str, str]] = {
    "trunks": "trunk",
    "holidays": "holiday list",
    "calendars": "calendar",
    "tables": "table",
    "rooms": "room",
    "links": "link type",
    "upstreams": "upstream",
}
"""The sections with a name for each thing, and what a message calls one."""

SECTIONS: Final = (
    *("domains", "pexip", "allowed_countries", "trunks", "holidays", "calendars", "tables", "upstreams", "rooms"),
    *(section.name for section in RULE_SECTIONS),
    *("directory", "links"),
)


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """The content of a rules folder: rule files by the path to show; pictures, page templates and tables by their path below
    the folder.
    """

    documents: Mapping[str, bytes]
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    folder: str = "rules"
    templates: Mapping[str, bytes] = field(default_factory=dict)
    tables: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def revision(self) -> str:
        """A short name of the content, the same for the same files whatever their dates and wherever the folder lies."""
        digest = sha256()
        documents = {PurePath(path).name: data for path, data in self.documents.items()}
        kinds = (documents, self.pictures, self.templates, self.tables)
        for name, data in chain.from_iterable(sorted(files.items()) for files in kinds):
            digest.update(f"{len(name)} {name} {len(data)} ".encode("utf-8", "surrogateescape") + data)
        return digest.hexdigest()[:12]


@dataclass(slots=True)
class Merged:
    """The sections of all files together."""

    domains: list[Node] = field(default_factory=list)
    countries: list[Node] = field(default_factory=list)
    deployment: dict[Named, set[str]] = field(default_factory=dict)
    routing_rules: list[RoutingRule] | None = None
    named: dict[str, dict[str, tuple[Node, Place]]] = field(default_factory=lambda: {section: {} for section in _NOUNS})
    lists: dict[str, list[Node]] = field(default_factory=lambda: {section.name: [] for section in RULE_SECTIONS})
    directory: list[Node] = field(default_factory=list)
    ignore_local: bool = False
    whole: bool = True
    """Whether every file could be parsed: what seems undefined may stand in one that could not."""

    def rules(self) -> dict[str, Iterator[Node]]:
        """What stands in each list of rules, to be read once: a rule is let go of as soon as it has been read.

        What is made of a rule then takes the memory of those before it.
        """
        return {name: _handed_over(nodes) for name, nodes in self.lists.items()}

    def tables(self, section: str, report: Report) -> Iterator[tuple[str, Table | None]]:
        """What stands under each name of a section; ``None``, and a problem, where it is no mapping."""
        noun = _NOUNS[section]
        one = f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
        for name, (node, place) in self.named[section].items():
            if report.is_full:
                return
            about = f"{noun} {shown(name)}: "
            if not name or len(name) > FIELD_LIMIT:
                report.error(
                    place, f"the name of {one} must have from 1 to {FIELD_LIMIT} characters but has {len(name)}"
                )
            if isinstance(node, MappingNode):
                yield name, Table(node, one, report, about=about)
            else:
                report.error(node.place, f"{noun} {shown(name)} must have keys and values but is {shown_node(node)}")
                yield name, None

    def warn_of_unused(self, section: str, used: Collection[str], report: Report, by: str = "rule") -> None:
        """Warns of what has a name in a section, and no rule (or whatever is to use it) refers to."""
        for name, (_, place) in self.named[section].items():
            if name not in used:
                report.warning(place, f"{_NOUNS[section]} {shown(name)} is not used by any {by}")


def _handed_over(nodes: list[Node]) -> Iterator[Node]:
    nodes.reverse()
    while nodes:
        yield nodes.pop()


def merge(files: RuleFiles, report: Report) -> Merged:
    """Parses every file and puts together what stands in each section."""
    merged = Merged()
    for name, data in sorted(files.documents.items()):
        node, problems = parse_document(name, data)
        report.add(problems)
        if node is None:
            merged.whole = merged.whole and not problems
            continue
        if not isinstance(node, MappingNode):
            message = f"a rule file begins with sections such as service: but this is {kind_of(node)}"
            report.error(node.place, message)
            merged.whole = False
            continue
        for entry in node.entries:
            _merge_section(entry.name, entry.value, entry.key.place, merged, report)
    return merged


def _merge_section(section: str, node: Node, place: Place, merged: Merged, report: Report) -> None:
    if section not in SECTIONS:
        hint = "; rule tests belong in a file whose name ends in .test.yaml" if section == "tests" else ""
        report.error(place, unknown_key(section, SECTIONS, "a rule file") + hint)
    elif isinstance(node, ScalarNode) and node.value is None:
        pass  # A heading with nothing below it yet.
    elif section == "domains":
        merged.domains.append(node)
    elif section == "allowed_countries":
        merged.countries.append(node)
    elif section == "pexip":
        mapping = mapping_of(node, section, report)
        if mapping is not None:
            _merge_deployment(Table(mapping, section, report), merged)
    elif section == "directory":
        _merge_directory(node, merged, report)
    elif section in merged.lists:
        if isinstance(node, SequenceNode):
            merged.lists[section] += node.items
        else:
            report.error(
                node.place, f"{section} must be a list of rules, each beginning with -, but is {shown_node(node)}"
            )
    elif not isinstance(node, MappingNode):
        value = "tables/NAME.csv" if section == "tables" else "{…}"
        message = (
            f"{section} must have a name for each {_NOUNS[section]}, as in NAME: {value}, but is {shown_node(node)}"
        )
        report.error(node.place, message)
    else:
        for entry in node.entries:
            known = merged.named[section]
            if entry.name in known:
                first = known[entry.name][1]
                report.error(
                    entry.key.place, f"{section}: {shown(entry.name)} is defined twice; the first is at {first}"
                )
            else:
                known[entry.name] = (entry.value, entry.key.place)


def _merge_deployment(table: Table, merged: Merged) -> None:
    for kind, names in read_deployment(table).items():
        merged.deployment.setdefault(kind, set()).update(names)
    routing_rules = read_routing_rules(table)
    if routing_rules is not None:
        merged.routing_rules = [*(merged.routing_rules or ()), *routing_rules]


def _merge_directory(node: Node, merged: Merged, report: Report) -> None:
    if isinstance(node, SequenceNode):
        merged.directory += node.items
        return
    if not isinstance(node, MappingNode):
        report.error(
            node.place, f"directory must be a list of entries, each beginning with -, but is {shown_node(node)}"
        )
    else:
        table = Table(node, "directory", report)
        table.finish(("entries", "ignore_local"))
        merged.directory += table.sequence("entries")
        merged.ignore_local = table.boolean("ignore_local", default=merged.ignore_local)

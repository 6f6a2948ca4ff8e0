"""Rule files to a compiled rule set, or to every problem in them. Reads no disk: the files come as bytes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import sha256
from itertools import chain
from pathlib import PurePath
from typing import Final, TypeVar

from policy_server.pexip.request_types import RequestType
from policy_server.policy.directory import DirectoryEntry, build_directory
from policy_server.policy.masking import NameMask
from policy_server.policy.patterns import PatternError
from policy_server.policy.recall import Recall
from policy_server.policy.ruleset import LinkType, Rule, RuleList, Ruleset, rule_list
from policy_server.policy.services import FIELD_LIMIT
from policy_server.rulefiles.attributes import attribute_warnings
from policy_server.rulefiles.coverage import coverage_warnings
from policy_server.rulefiles.document import parse_document
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode
from policy_server.rulefiles.link_doors import link_warnings
from policy_server.rulefiles.open_rooms import open_room_warnings
from policy_server.rulefiles.pages import FOR_STRANGERS, TemplateFolders
from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.rulefiles.reader import Report, Table, kind_of, shown_node
from policy_server.rulefiles.registrations import read_registration_rule
from policy_server.rulefiles.rules import (
    Heading,
    Material,
    read_heading,
    read_location_rule,
    read_participant_rule,
    read_service_rule,
)
from policy_server.rulefiles.sections import (
    DEPLOYMENT_LISTS,
    around_name,
    mapping_of,
    read_calendar,
    read_deployment,
    read_directory_entry,
    read_domains,
    read_link_type,
    read_trunk,
    regions_of,
)
from policy_server.rulefiles.services import Draft, Vocabulary, read_service, warn_of_shared_pins
from policy_server.rulefiles.sharing import sharing_warnings
from policy_server.wording.values import shown
from policy_server.wording.words import listed, unknown_key

NAMED_SECTIONS: Final = ("trunks", "calendars", "rooms", "links")
LISTS: Final[Mapping[str, RequestType]] = {
    "service": RequestType.SERVICE,
    "participants": RequestType.PARTICIPANT,
    "locations": RequestType.LOCATION,
    "registrations": RequestType.REGISTRATION,
}
SECTIONS: Final = ("domains", "pexip", *NAMED_SECTIONS[:3], *LISTS, "directory", "links")

_NOUNS: Final[Mapping[str, str]] = {
    "trunks": "trunk",
    "calendars": "calendar",
    "rooms": "room",
    "links": "link type",
}

MOST_ERRORS: Final = 500
"""Errors after which the rest is not read: nobody corrects more at a time, and each takes time to explain."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """The content of a rules folder: rule files by the path to show; pictures and page templates by their path below the
    folder.
    """

    documents: Mapping[str, bytes]
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    folder: str = "rules"
    templates: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def revision(self) -> str:
        """A short name of the content, the same for the same files whatever their dates and wherever the folder lies."""
        digest = sha256()
        documents = {PurePath(path).name: data for path, data in self.documents.items()}
        kinds = (documents, self.pictures, self.templates)
        for name, data in chain.from_iterable(sorted(files.items()) for files in kinds):
            digest.update(f"{len(name)} {name} {len(data)} ".encode("utf-8", "surrogateescape") + data)
        return digest.hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of the files: a rule set unless there are errors, and every problem in the order of the files."""

    ruleset: Ruleset | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that refuse the rules."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)


@dataclass(slots=True)
class _Merged:
    """The sections of all files together."""

    domains: list[Node] = field(default_factory=list)
    deployment: dict[str, set[str]] = field(default_factory=dict)
    named: dict[str, dict[str, tuple[Node, Place]]] = field(
        default_factory=lambda: {section: {} for section in NAMED_SECTIONS}
    )
    lists: dict[str, list[Node]] = field(default_factory=lambda: {section: [] for section in LISTS})
    directory: list[Node] = field(default_factory=list)
    ignore_local: bool = False
    whole: bool = True
    """Whether every file could be parsed: what seems undefined may stand in one that could not."""


def load_rules(
    files: RuleFiles, now: datetime, *, environment: Mapping[str, str] | None = None, deployed: bool = False
) -> Loaded:
    """Compiles the rules of a folder.

    ``now`` decides whether a calendar has openings left. ``environment`` holds the variables that ``password_env``
    names; a missing one is an error only where the server runs (``deployed``).
    """
    report = Report()
    merged = _merge(files, report)
    if not files.documents:
        report.error(Place(files.folder), "there is no rule file here; a rule file ends in .yaml")
    links = _read_links(merged, report, TemplateFolders(files.templates, files.folder, report))
    material = _read_material(merged, report, environment or {}, deployed=deployed)
    lists = _read_lists(merged, material) if merged.whole else {}
    directory = _read_directory(merged, report, files.pictures)
    if report.errors > MOST_ERRORS:
        report.error(Place(files.folder), f"there are more than {MOST_ERRORS} errors; correct these, then check again")
    # Problems with the files themselves say it better.
    if not any(merged.lists.values()) and not directory and not report.failed:
        report.error(Place(files.folder), "there are no rules in these files, and an empty rule set is refused")
    _warn_of_sections(merged, material, now)
    ruleset: Ruleset | None = None
    if not report.failed:
        # A rule that could not be read whole may use what seems unused, and matches less than it seems to.
        _warn_of_unused(merged, material)
        _warn_of_coverage(lists, report)
        for rule, place, message in open_room_warnings(lists["service"]):
            report.warning(place, message, rule)
        _warn_of_links(merged, links, lists, report)
        rooms = (node for node, _ in merged.named["rooms"].values())
        for place, message in attribute_warnings(chain(rooms, *merged.lists.values())):
            report.warning(place, message)
        service_rules = [rule for rule, _ in lists["service"]]
        for rule_id, place, message in sharing_warnings(service_rules, material.shareable, links.values()):
            report.warning(place, message, rule_id)
        ruleset = _compile(files, merged, material, lists, links, directory)
    return Loaded(None if report.failed else ruleset, report.in_order())


def _merge(files: RuleFiles, report: Report) -> _Merged:
    merged = _Merged()
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


def _merge_section(section: str, node: Node, place: Place, merged: _Merged, report: Report) -> None:
    if section not in SECTIONS:
        hint = "; rule tests belong in a file whose name ends in .test.yaml" if section == "tests" else ""
        report.error(place, unknown_key(section, SECTIONS, "a rule file") + hint)
    elif isinstance(node, ScalarNode) and node.value is None:
        pass  # A heading with nothing below it yet.
    elif section == "domains":
        merged.domains.append(node)
    elif section == "pexip":
        mapping = mapping_of(node, section, report)
        for kind, names in read_deployment(Table(mapping, section, report)).items() if mapping else ():
            merged.deployment.setdefault(kind, set()).update(names)
    elif section == "directory":
        _merge_directory(node, merged, report)
    elif section in LISTS:
        if isinstance(node, SequenceNode):
            merged.lists[section] += node.items
        else:
            report.error(
                node.place, f"{section} must be a list of rules, each beginning with -, but is {shown_node(node)}"
            )
    elif not isinstance(node, MappingNode):
        message = f"{section} must have a name for each {_NOUNS[section]}, as in NAME: {{…}}, but is {shown_node(node)}"
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


def _merge_directory(node: Node, merged: _Merged, report: Report) -> None:
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


def _read_material(merged: _Merged, report: Report, environment: Mapping[str, str], *, deployed: bool) -> Material:
    domains = [domain for node in merged.domains for domain in read_domains(node, report)]
    names = dict.fromkeys(DEPLOYMENT_LISTS.values()) | {
        kind: frozenset(names) for kind, names in merged.deployment.items() if merged.whole
    }
    vocabulary = Vocabulary(names)

    def read_named(section: str, read: Callable[[str, Table], T | None]) -> dict[str, T | None]:
        return {name: read(name, table) if table else None for name, table in _tables(section, merged, report)}

    def read_room(name: str, table: Table) -> Draft | None:
        return read_service(table, vocabulary, room=name)

    regions = regions_of(node for node, _ in merged.named["trunks"].values())
    return Material(
        report=report,
        vocabulary=vocabulary,
        domains=tuple(domains),
        calendars=read_named("calendars", read_calendar),
        trunks=read_named("trunks", partial(read_trunk, likely=regions)),
        rooms=read_named("rooms", read_room),
        link_types=frozenset(merged.named["links"]),
        environment=environment,
        deployed=deployed,
    )


def _tables(section: str, merged: _Merged, report: Report) -> Iterator[tuple[str, Table | None]]:
    """What stands under each name of a section; ``None``, and a problem, where it is no mapping."""
    noun = _NOUNS[section]
    for name, (node, place) in merged.named[section].items():
        if report.errors > MOST_ERRORS:
            return
        about = f"{noun} {shown(name)}: "
        if not name or len(name) > FIELD_LIMIT:
            report.error(
                place, f"the name of a {noun} must have from 1 to {FIELD_LIMIT} characters but has {len(name)}"
            )
        if isinstance(node, MappingNode):
            yield name, Table(node, f"a {noun}", report, about=about)
        else:
            report.error(node.place, f"{noun} {shown(name)} must have keys and values but is {shown_node(node)}")
            yield name, None


RuleReader = Callable[[Heading, int, Material], object | None]

_READERS: Final[Mapping[str, RuleReader]] = {
    "service": read_service_rule,
    "participants": lambda heading, _, __: read_participant_rule(heading),
    "locations": lambda heading, _, material: read_location_rule(heading, material),
    "registrations": lambda heading, _, material: read_registration_rule(heading, material),
}


def _read_lists(merged: _Merged, material: Material) -> dict[str, list[tuple[Rule[object], Heading]]]:
    lists: dict[str, list[tuple[Rule[object], Heading]]] = {}
    for section, request in LISTS.items():
        rules = lists[section] = []
        seen: dict[str, Place] = {}
        for node in merged.lists[section]:
            if material.report.errors > MOST_ERRORS:
                return lists
            if not isinstance(node, MappingNode):
                message = f"{section} must hold rules with id, when and an outcome, but this is {shown_node(node)}"
                material.report.error(node.place, message)
                continue
            rule_id = _read_id(node, section, seen, material.report)
            table = Table(node, f"a rule of {section}", material.report, rule_id)
            heading = read_heading(table, rule_id, request, material)
            outcome = _READERS[section](heading, len(rules), material) if heading else None
            if heading is not None and outcome is not None:
                rules.append((heading.rule(outcome), heading))
    return lists


def _read_id(node: MappingNode, section: str, seen: dict[str, Place], report: Report) -> str:
    table = Table(node, f"this rule of {section}", report)
    text = table.text("id", required=True)
    if text is None:
        return ""
    words = text.split("-")
    good = all(word and word.isascii() and word.isalnum() and word == word.lower() for word in words)
    if not good or len(text) > 100:
        suggestion = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split())[:100]
        hint = f"; write {shown(suggestion)}" if suggestion else ""
        table.error("id", f"id must be lower-case letters and digits joined by - but is {shown(text)}{hint}")
    elif text in seen:
        table.error("id", f"id {shown(text)} is used twice in this list; the first is at {seen[text]}")
    else:
        seen[text] = node.place
    return text


def _read_links(merged: _Merged, report: Report, folders: TemplateFolders) -> dict[str, LinkType]:
    links: dict[str, LinkType] = {}
    tables: dict[str, Table] = {}
    aliases: dict[tuple[str, ...], str] = {}
    for name, table in _tables("links", merged, report):
        link = read_link_type(name, table, folders) if table else None
        if table is None or link is None:
            continue
        links[name], tables[name] = link, table
        for key, template in (("alias", link.alias), ("agent_alias", link.agent_alias)):
            other = aliases.setdefault(around_name(template), name) if template else name
            if other != name:
                table.error(key, f"{key} is one of link type {shown(other)} too, so nobody could tell which is which")
    own = [(links[name], table) for name, table in tables.items() if links[name].url]
    for link, table in own:
        unseen = [page for page in FOR_STRANGERS if page in link.templates.texts]
        if unseen and any(other.templates is not link.templates for other, _ in own):
            message = "of such a link nobody knows the type; name the same folder in every link type with a url"
            table.warning("templates", f"{listed(unseen)} of this folder will not be shown: {message}")
    return links


def _read_directory(merged: _Merged, report: Report, pictures: Mapping[str, bytes]) -> list[DirectoryEntry]:
    entries: list[DirectoryEntry] = []
    for node in merged.directory:
        if report.errors > MOST_ERRORS:
            break
        if not isinstance(node, MappingNode):
            report.error(
                node.place,
                f"directory must hold entries such as {{alias: …, description: …}}, but this is {shown_node(node)}",
            )
            continue
        entry = read_directory_entry(Table(node, "a directory entry", report), pictures)
        if entry is not None:
            entries.append(entry)
    return entries


def _compile(
    files: RuleFiles,
    merged: _Merged,
    material: Material,
    lists: Mapping[str, list[tuple[Rule[object], Heading]]],
    links: Mapping[str, LinkType],
    directory: list[DirectoryEntry],
) -> Ruleset | None:
    domains = frozenset(material.domains)

    def compiled(section: str) -> RuleList[object]:
        rules = tuple(rule for rule, _ in lists[section])
        try:
            return rule_list(rules)
        except PatternError as error:
            material.report.error(merged.lists[section][0].place, f"{section}: {error}")
            return rule_list(())

    try:
        recall = Recall(material.origins)
    except PatternError as error:
        material.report.error(Place(files.folder), f"names of rooms: {error}")
        return None
    forms = tuple(form for link in links.values() for form in link.forms)
    return Ruleset(
        revision=files.revision,
        domains=domains,
        services=compiled("service"),  # type: ignore[arg-type]
        participants=compiled("participants"),  # type: ignore[arg-type]
        locations=compiled("locations"),  # type: ignore[arg-type]
        registrations=compiled("registrations"),  # type: ignore[arg-type]
        directory=build_directory(directory, ignore_local=merged.ignore_local, domains=domains),
        links=links,
        alias_forms=forms,
        mask=NameMask(forms),
        recall=recall,
        pictures={entry.picture: files.pictures[entry.picture] for entry in directory if entry.picture},
    )


def _warn_of_unused(merged: _Merged, material: Material) -> None:
    for section, used in (
        ("trunks", material.used_trunks),
        ("calendars", material.used_calendars),
        ("rooms", material.used_rooms),
    ):
        for name, (_, place) in merged.named[section].items():
            if name not in used:
                material.report.warning(place, f"{_NOUNS[section]} {shown(name)} is not used by any rule")


def _warn_of_sections(merged: _Merged, material: Material, now: datetime) -> None:
    report = material.report
    for name, calendar in material.calendars.items():
        if calendar is not None and calendar.never_opens(now):
            place = merged.named["calendars"][name][1]
            report.warning(place, f"calendar {shown(name)} is never open; give it hours under open")
    for name, (node, _) in merged.named["rooms"].items():
        if isinstance(node, MappingNode):
            warn_of_shared_pins(Table(node, "a room", report, about=f"room {shown(name)}: "))


def _warn_of_links(
    merged: _Merged,
    links: Mapping[str, LinkType],
    lists: Mapping[str, list[tuple[Rule[object], Heading]]],
    report: Report,
) -> None:
    services, participants = ([rule for rule, _ in lists[section]] for section in ("service", "participants"))
    for name, table in _tables("links", merged, report):
        if table is not None and name in links:
            for key, message in link_warnings(links[name], services, participants):
                table.warning(key, message)


def _warn_of_coverage(lists: Mapping[str, Iterable[tuple[Rule[object], Heading]]], report: Report) -> None:
    for section, request in LISTS.items():
        for rule, place, message in coverage_warnings(lists[section], request):
            report.warning(place, message, rule)

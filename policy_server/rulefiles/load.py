"""Rule files to a compiled rule set, or to every problem in them. Reads no disk: the files come as bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TypeVar

from policy_server.pexip.request_types import RequestType
from policy_server.policy.directory import DirectoryEntry, build_directory
from policy_server.policy.inclusion import Inclusion
from policy_server.policy.masking import NameMask
from policy_server.policy.patterns import PatternError
from policy_server.policy.recall import Recall
from policy_server.policy.ruleset import LinkType, RuleList, Ruleset, placeholders_of, rule_list, rules_of_other_rooms
from policy_server.rulefiles.attributes import LinkedRules, WrittenRule, slips
from policy_server.rulefiles.coverage import Doubt, coverage_warnings, notes_of
from policy_server.rulefiles.document_nodes import MappingNode, Node, plain
from policy_server.rulefiles.holidays import read_holidays, warn_of_holidays
from policy_server.rulefiles.link_doors import link_warnings
from policy_server.rulefiles.merge import Merged, RuleFiles, merge
from policy_server.rulefiles.numbers import number_warnings, read_countries
from policy_server.rulefiles.open_rooms import open_room_warnings
from policy_server.rulefiles.pages import FOR_STRANGERS, TemplateFolders
from policy_server.rulefiles.passwords import Environment
from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.rulefiles.reader import MOST_ERRORS, Report, Table, shown_node
from policy_server.rulefiles.routing_rules import routing_warnings
from policy_server.rulefiles.rule_lists import RULE_SECTIONS, ReadRules, read_lists
from policy_server.rulefiles.rules import Material, RuleSection
from policy_server.rulefiles.sections import (
    around_name,
    check_joins,
    read_calendar,
    read_directory_entry,
    read_domains,
    read_link_type,
    read_trunk,
    regions_of,
)
from policy_server.rulefiles.services import Draft, Vocabulary, read_service, warn_of_shared_pins
from policy_server.rulefiles.sharing import sharing_warnings
from policy_server.rulefiles.tables import Tables, lost_rows, read_tables, unused_columns
from policy_server.rulefiles.upstreams import read_upstream
from policy_server.wording.values import shown
from policy_server.wording.words import listed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of the files: a rule set unless there are errors, every problem in the order of the files, and notes on what
    of good rules was not looked at.
    """

    ruleset: Ruleset | None
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that refuse the rules."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)


def load_rules(
    files: RuleFiles, now: datetime, *, environment: Mapping[str, str] | None = None, deployed: bool = False
) -> Loaded:
    """Compiles the rules of a folder.

    ``now`` decides whether a calendar has openings left, and of which years public holidays are known.
    ``environment`` holds the variables that ``password_env`` names; a missing one is an error only where the server runs
    (``deployed``).
    """
    report = Report()
    merged = merge(files, report)
    if not files.documents:
        report.error(Place(files.folder), "there is no rule file here; a rule file ends in .yaml")
    links = _read_links(merged, report, TemplateFolders(files.templates, files.folder, report))
    tables = read_tables(merged.named["tables"], files.tables, files.folder, report)
    variables = Environment(environment or {}, deployed)
    material = _read_material(merged, report, tables, variables, now)
    has_rules = any(merged.lists.values())
    rooms = (node for node, _ in merged.named["rooms"].values())
    declared = dict.fromkeys(name for link in links.values() for name in link.attributes or ())
    misspelt = tuple(slips(chain(rooms, *merged.lists.values()), declared))
    lists = read_lists(merged.rules() if merged.whole else {}, material)
    directory = _read_directory(merged, report, files.pictures)
    if report.is_full:
        report.error(Place(files.folder), f"there are more than {MOST_ERRORS} errors; correct these, then check again")
    # Problems with the files themselves say it better.
    if not has_rules and not directory and not report.failed:
        report.error(Place(files.folder), "there are no rules in these files, and an empty rule set is refused")
    _warn_of_sections(merged, material, now)
    _check_numbers(merged, material)
    ruleset: Ruleset | None = None
    linked = _linked_rules(merged, lists, links)
    doubts: list[Doubt] = []
    if not report.failed:
        for rule_id, place, message in linked.undeclared():
            report.error(place, message, rule_id)
    if not report.failed:
        # A rule that could not be read whole may use what seems unused, and matches less than it seems to.
        merged.warn_of_unused("trunks", material.used_trunks, report)
        merged.warn_of_unused("calendars", material.used_calendars, report)
        merged.warn_of_unused("holidays", material.used_holidays, report, by="calendar")
        merged.warn_of_unused("rooms", material.used_rooms, report)
        merged.warn_of_unused("tables", material.used_tables, report)
        merged.warn_of_unused("upstreams", material.used_upstreams, report)
        used = frozenset(name for rules in lists.values() for rule, _ in rules for name in placeholders_of(rule))
        looked_up = {name: table for name, table in tables.items() if name in material.used_tables}
        written = [rule for rules in lists.values() for rule, _ in rules]
        for place, message in (*unused_columns(looked_up, used), *lost_rows(looked_up, written)):
            report.warning(place, message)
        _warn_of_routing(merged, material, lists)
        inclusion = Inclusion()
        for section in RULE_SECTIONS:
            for rule_id, place, message in coverage_warnings(
                lists[section.request], section.request, inclusion, doubts
            ):
                report.warning(place, message, rule_id)
        for rule_id, place, message in open_room_warnings(lists[RequestType.SERVICE]):
            report.warning(place, message, rule_id)
        _warn_of_links(merged, links, lists, report)
        for place, message in misspelt:
            report.warning(place, message)
        for rule_id, place, message in linked.warnings():
            report.warning(place, message, rule_id)
        service_rules = [rule for rule, _ in lists[RequestType.SERVICE]]
        for rule_id, place, message in sharing_warnings(service_rules, material.shareable, links.values()):
            report.warning(place, message, rule_id)
        ruleset = _compile(files, merged, material, lists, links, directory)
    return Loaded(None if report.failed else ruleset, report.in_order(), tuple(notes_of(doubts)))


def _read_material(
    merged: Merged,
    report: Report,
    tables: Tables,
    environment: Environment,
    now: datetime,
) -> Material:
    domains = [domain for node in merged.domains for domain in read_domains(node, report)]
    known = {kind: frozenset(names) for kind, names in merged.deployment.items() if merged.whole}
    vocabulary = Vocabulary(known, tables)

    def read_named(section: str, read: Callable[[str, Table], T | None]) -> dict[str, T | None]:
        return {name: read(name, table) if table else None for name, table in merged.tables(section, report)}

    def read_room(name: str, table: Table) -> Draft | None:
        return read_service(table, vocabulary, room=name)

    holidays = read_holidays(merged.named["holidays"], now, report)
    warn_of_holidays(merged.named["holidays"], holidays, now, report)
    used_holidays: set[str] = set()
    regions = regions_of(node for node, _ in merged.named["trunks"].values())
    return Material(
        report=report,
        vocabulary=vocabulary,
        domains=tuple(domains),
        calendars=read_named("calendars", partial(read_calendar, lists=holidays, used=used_holidays)),
        trunks=read_named("trunks", partial(read_trunk, likely=regions)),
        rooms=read_named("rooms", read_room),
        tables=tables,
        link_types=frozenset(merged.named["links"]),
        upstreams=read_named("upstreams", partial(read_upstream, environment=environment)),
        environment=environment,
        used_holidays=used_holidays,
    )


def _read_links(merged: Merged, report: Report, folders: TemplateFolders) -> dict[str, LinkType]:
    links: dict[str, LinkType] = {}
    tables: dict[str, Table] = {}
    aliases: dict[tuple[str, ...], str] = {}
    written: dict[str, Table] = {}
    for name, table in merged.tables("links", report):
        if table is None:
            continue
        written[name] = table
        link = read_link_type(name, table, folders)
        if link is None:
            continue
        links[name], tables[name] = link, table
        for key, template in (("alias", link.alias), ("agent_alias", link.agent_alias)):
            other = aliases.setdefault(around_name(template), name) if template else name
            if other != name:
                table.error(key, f"{key} is one of link type {shown(other)} too, so nobody could tell which is which")
    joining = {name: _joins(node) for name, (node, _) in merged.named["links"].items()}
    for name, table in written.items():
        check_joins(name, table, joining)
    own = [(links[name], table) for name, table in tables.items() if links[name].url]
    for link, table in own:
        unseen = [page for page in FOR_STRANGERS if page in link.templates.texts]
        if unseen and any(other.templates is not link.templates for other, _ in own):
            message = "of such a link nobody knows the type; name the same folder in every link type with a url"
            table.warning("templates", f"{listed(unseen)} of this folder will not be shown: {message}")
    return links


def _linked_rules(merged: Merged, lists: ReadRules, links: Mapping[str, LinkType]) -> LinkedRules:
    written = ([WrittenRule(rule, source.node) for rule, source in rules] for rules in lists.values())
    rooms = {name: node for name, (node, _) in merged.named["rooms"].items()}
    return LinkedRules(written, rooms, tuple(links.values()))


def _joins(node: Node) -> str | None:
    """Which link type one joins, as it is written."""
    values = plain(node)
    joins = values.get("joins") if isinstance(values, dict) else None
    return joins if isinstance(joins, str) else None


def _read_directory(merged: Merged, report: Report, pictures: Mapping[str, bytes]) -> list[DirectoryEntry]:
    entries: list[DirectoryEntry] = []
    for node in merged.directory:
        if report.is_full:
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
    merged: Merged,
    material: Material,
    lists: ReadRules,
    links: Mapping[str, LinkType],
    directory: list[DirectoryEntry],
) -> Ruleset | None:
    domains = frozenset(material.domains)

    def compiled(section: RuleSection) -> RuleList:
        try:
            return rule_list(tuple(rule for rule, _ in lists[section.request]))
        except PatternError as error:
            _, first = lists[section.request][0]
            material.report.error(first.place, f"{section.name}: {error}")
            return rule_list(())

    try:
        recall = Recall(material.origins)
    except PatternError as error:
        material.report.error(Place(files.folder), f"names of rooms: {error}")
        return None
    forms = tuple(form for link in links.values() for form in link.forms)
    compiled_lists = {section.request: compiled(section) for section in RULE_SECTIONS}
    return Ruleset(
        revision=files.revision,
        domains=domains,
        lists=compiled_lists,
        directory=build_directory(directory, ignore_local=merged.ignore_local, domains=domains),
        links=links,
        alias_forms=forms,
        mask=NameMask(forms),
        recall=recall,
        pictures={entry.picture: files.pictures[entry.picture] for entry in directory if entry.picture},
        calendars={name: calendar for name, calendar in material.calendars.items() if calendar is not None},
        trunks={name: trunk for name, trunk in material.trunks.items() if trunk is not None},
        upstreams={name: upstream for name, upstream in material.upstreams.items() if upstream is not None},
        tables={name: table.lookup for name, table in material.tables.items() if table is not None},
        places={
            section: {name: f"{place.file}:{place.line}" for name, (_, place) in named.items()}
            for section, named in merged.named.items()
        },
        names=material.vocabulary.names,
        of_other_rooms=rules_of_other_rooms(compiled_lists[RequestType.SERVICE]),
    )


def _warn_of_sections(merged: Merged, material: Material, now: datetime) -> None:
    report = material.report
    for name, calendar in material.calendars.items():
        if calendar is not None and calendar.never_opens(now):
            place = merged.named["calendars"][name][1]
            report.warning(place, f"calendar {shown(name)} is never open; give it hours under open")
    for name, (node, _) in merged.named["rooms"].items():
        if isinstance(node, MappingNode):
            warn_of_shared_pins(Table(node, "a room", report, about=f"room {shown(name)}: "))


def _check_numbers(merged: Merged, material: Material) -> None:
    report = material.report
    countries = [country for node in merged.countries for country in read_countries(node, report)]
    allowed = countries if merged.countries else None
    for place, message in number_warnings(material.trunks, merged.named["trunks"], allowed):
        report.warning(place, message)


def _warn_of_routing(merged: Merged, material: Material, lists: ReadRules) -> None:
    if merged.routing_rules is None:
        return
    serving = [node for node, _ in merged.named["rooms"].values()]
    serving += [source.node for _, source in lists[RequestType.SERVICE]]
    trunks = merged.named["trunks"]
    for place, message in routing_warnings(merged.routing_rules, material.trunks, trunks, serving):
        material.report.warning(place, message)


def _warn_of_links(merged: Merged, links: Mapping[str, LinkType], lists: ReadRules, report: Report) -> None:
    services = [rule for rule, _ in lists[RequestType.SERVICE]]
    participants = [rule for rule, _ in lists[RequestType.PARTICIPANT]]
    for name, table in merged.tables("links", report):
        if table is not None and name in links:
            link = links[name]
            for key, message in link_warnings(link, services, participants, links.get(link.joins)):
                table.warning(key, message)

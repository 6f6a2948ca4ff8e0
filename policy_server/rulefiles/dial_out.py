"""Reading ``dial_out``: the legs that a room dials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from policy_server.pexip.fields import Fault
from policy_server.pexip.service_parts import AutomaticParticipant
from policy_server.pexip.services import check_service
from policy_server.pexip.shapes import SHAPES
from policy_server.policy.services import CALLER, ROOM_NAME, FieldsTemplate, Leg, Path
from policy_server.policy.templates import MeaningTemplate, Template, parse_template
from policy_server.rulefiles.assurance import MANAGEMENT, has_management
from policy_server.rulefiles.document_nodes import Entry, MappingNode, ScalarNode, SequenceNode, plain
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Table, shown_node, undefined
from policy_server.rulefiles.rules import Material
from policy_server.rulefiles.services import ANY_TEXT, FAILED, LEG_DEFAULTS, TemplateReader, Vocabulary, check_names
from policy_server.rulefiles.tables import empty_cell
from policy_server.telephony.trunks import DialString, Trunk, dial_string
from policy_server.wording.values import shown
from policy_server.wording.words import did_you_mean, unknown_key

_BARE_ROOM: Final = {"service_type": "conference", "name": "x", "service_tag": ""}
_SHORT: Final = {"display_name": "local_display_name"}
"""Names of our own for fields of an automatic participant."""

MOST_WEIGHT: Final = 1000


@dataclass(frozen=True, slots=True)
class _NamedTrunks:
    """The trunks that a table may name, and the placeholder that does."""

    template: Template
    place: Place
    trunks: Mapping[str, Trunk]

    def meaning(self, part: Callable[[DialString], str]) -> MeaningTemplate:
        """What a field of the leg is for the trunk that is named."""
        template = self.template
        meanings = {name: part(dial_string(trunk)) for name, trunk in self.trunks.items()}
        return MeaningTemplate(template.source, template.pieces, template.defaults, meanings)


@dataclass(frozen=True, slots=True)
class DialOut:
    """The legs of ``dial_out``: those dialled with the room, those for when one failed, their placeholders, and where each
    says what it calls itself.
    """

    first: tuple[Leg, ...]
    failed: tuple[Leg, ...]
    templates: tuple[tuple[Template, Place], ...]
    callers: tuple[tuple[Leg, Place], ...]


NO_LEGS: Final = DialOut((), (), (), ())


def read_dial_out(rule: Table, material: Material) -> DialOut:
    """What a rule says under ``dial_out``."""
    trunks, used_trunks, vocabulary = material.trunks, material.used_trunks, material.vocabulary
    domain = material.domains[0] if material.domains else ""
    first: list[Leg] = []
    failed: list[Leg] = []
    callers: list[tuple[Leg, Place]] = []
    reader = TemplateReader(rule)
    items = rule.sequence("dial_out", "a list such as [{trunk: NAME}]")
    if not items and isinstance(rule.value("dial_out"), SequenceNode):
        rule.error("dial_out", "dial_out is empty; leave it out if nobody is dialled")
    for place, item in enumerate(items):
        if not isinstance(item, MappingNode):
            rule.error_at(
                item.place, f"dial_out must hold entries such as {{trunk: NAME}}, but this is {shown_node(item)}"
            )
            continue
        entry = Table(item, "an entry of dial_out", rule.report, rule.rule)
        when = entry.choice("when", (FAILED,))
        if when == FAILED and place == 0:
            entry.error("when", "the first entry of dial_out is dialled with the room, so it cannot wait for a failure")
        elif when == FAILED:
            is_assured = has_management(material.environment.variables)
            if not is_assured:
                entry.warning(
                    "when", f"nothing dials this entry: that needs a Management Node, and {MANAGEMENT} is not set"
                )
        calendar = _read_open(entry, material, is_failed=when == FAILED)
        weight = _read_weight(entry, is_failed=when == FAILED)
        dialled = _read_destination(entry, trunks, used_trunks, vocabulary)
        leg = _read_leg(entry, dialled, domain, reader, vocabulary)
        if leg is not None:
            (failed if when == FAILED else first).append(replace(leg, open=calendar, weight=weight))
            # One that leaves it out is called by its default.
            callers.append((leg, entry.value_place("local_alias") if "local_alias" in entry else entry.place))
    if len([leg for leg in (*first, *failed) if leg.is_to_trunk or leg in failed]) == 1:
        for leg in first:
            if leg.trunk is not None and leg.trunk.limits is not None:
                rule.warning(
                    "dial_out",
                    f"nothing is dialled in place of trunk {shown(leg.trunk.name)} when it is over its limits; add another "
                    "entry, such as {trunk: NAME, when: failed}",
                )
    return DialOut(tuple(first), tuple(failed), tuple(reader.templates), tuple(callers))


def _read_open(entry: Table, material: Material, *, is_failed: bool) -> str:
    """The calendar that must be open when an entry is dialled, ``""`` for none."""
    name = entry.text("open", wanted="the name of a calendar")
    if name is None:
        return ""
    if not is_failed:
        entry.error(
            "open", "open goes with when: failed; for what is dialled with the room write it into the rule's when"
        )
        return ""
    material.used_calendars.add(name)
    if name not in material.calendars:
        entry.error("open", undefined("open", "calendar", name, material.calendars, "calendars"))
    return name


def _read_weight(entry: Table, *, is_failed: bool) -> int:
    """How many calls an entry gets beside those of other weights; 0 for one that is always dialled."""
    node = entry.value("weight")
    if node is None:
        return 0
    if is_failed:
        entry.error("weight", "weight shares calls between entries that are dialled with the room; remove it, or when")
        return 0
    value = node.value if isinstance(node, ScalarNode) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_WEIGHT:
        entry.error("weight", f"weight must be a number from 1 to {MOST_WEIGHT} but is {shown_node(node)}")
        return 0
    return value


def _read_destination(
    entry: Table, trunks: Mapping[str, Trunk | None], used_trunks: set[str], vocabulary: Vocabulary
) -> Trunk | _NamedTrunks | Mapping[str, object] | None:
    """The trunk of an entry, the trunks that a table may name, or nothing to add to its own ``remote_alias``; ``None`` when
    there is neither.
    """
    if "trunk" not in entry:
        if "remote_alias" in entry:
            return {}
        entry.error_at(entry.place, "an entry of dial_out needs a trunk (or a remote_alias)")
        return None
    if "remote_alias" in entry:
        entry.error("remote_alias", "an entry of dial_out has either trunk or remote_alias; remove one of them")
    name = entry.text("trunk", wanted="the name of a trunk")
    if name is None:
        return None
    if "{" in name or "}" in name:
        return _read_column(name, entry, trunks, used_trunks, vocabulary)
    used_trunks.add(name)
    if name not in trunks:
        entry.error("trunk", undefined("trunk", "trunk", name, trunks, "trunks"))
    return trunks.get(name)


def _read_column(
    text: str, entry: Table, trunks: Mapping[str, Trunk | None], used_trunks: set[str], vocabulary: Vocabulary
) -> _NamedTrunks | None:
    """The trunks that a column names; each of its rows has to name one."""
    column = vocabulary.column(text)
    if column is None:
        entry.error(
            "trunk", "trunk must be the name of a trunk, or a column of a table and nothing else, as in {queues.trunk}"
        )
        return None
    place = entry.value_place("trunk")
    template = parse_template(text)
    if column.file is None or column.placeholder not in column.file.lookup.columns:
        # The one is reported already, the other with the placeholders.
        return _NamedTrunks(template, place, {})

    def fault_of(name: str) -> str:
        if not name:
            return empty_cell(column.placeholder, "the name of a trunk", place) if column.default is None else ""
        return "" if name in trunks else undefined("trunk", "trunk", name, trunks, "trunks")

    column.file.check(column.placeholder, f"trunk {column.default is None}", fault_of, entry.report)
    names = {name for name in column.file.values(column.placeholder) if name}
    if column.default is not None:
        names.add(column.default)
        if column.default not in trunks:
            entry.error("trunk", undefined("trunk", "trunk", column.default, trunks, "trunks"))
    used_trunks |= names
    found = ((name, trunks.get(name)) for name in sorted(names))
    return _NamedTrunks(template, place, {name: trunk for name, trunk in found if trunk is not None})


def _read_leg(
    entry: Table,
    destination: Trunk | _NamedTrunks | Mapping[str, object] | None,
    domain: str,
    reader: TemplateReader,
    vocabulary: Vocabulary,
) -> Leg | None:
    named = destination if isinstance(destination, _NamedTrunks) else None
    trunk = destination if isinstance(destination, Trunk) else None
    node = _with_full_names(entry)
    values: dict[str, object] = {item.name: plain(item.value) for item in node.entries}
    for key in ("trunk", "when", "open", "weight"):
        values.pop(key, None)
    if trunk is not None:
        dialled = dial_string(trunk)
        values = {"routing": dialled.routing} | values | {"remote_alias": dialled.remote_alias}
    elif destination is None or named is not None:
        # What else is wrong with the entry can be told without knowing where it dials.
        values["remote_alias"] = ANY_TEXT
    calling = f"{{{CALLER}}}@{domain}" if domain else f"{{{CALLER}}}"
    values = {**LEG_DEFAULTS, "local_alias": calling, "local_display_name": f"{{{ROOM_NAME}}}", **values}
    read = reader.read(values, SHAPES[AutomaticParticipant], node)
    sample = {**_BARE_ROOM, "automatic_participants": [read.sample]}
    for fault in check_service(sample):
        _report_leg_fault(fault, entry)
    check_names(sample, entry, node, ("automatic_participants", 0), vocabulary)
    if destination is None:
        return None
    if named is None:
        return Leg(trunk, FieldsTemplate(read.fixed, tuple(read.filled)))
    reader.templates.append((named.template, named.place))
    filled: dict[Path, Template] = dict(read.filled)
    filled["remote_alias",] = named.meaning(lambda dialled: dialled.remote_alias)
    if "routing" not in read.fixed:
        filled["routing",] = named.meaning(lambda dialled: dialled.routing)
    fixed = {name: value for name, value in read.fixed.items() if name != "remote_alias"}
    return Leg(None, FieldsTemplate(fixed, tuple(filled.items())), named.trunks)


def _with_full_names(entry: Table) -> MappingNode:
    """The entry with the names that Pexip has for what is short here."""
    entries: list[Entry] = []
    for item in entry.node.entries:
        full = _SHORT.get(item.name)
        if full is None:
            entries.append(item)
        elif full in entry:
            entry.error(item.name, f"{item.name} is short for {full}; remove one of them")
        else:
            entries.append(Entry(replace(item.key, value=full, text=full), item.value))
    return MappingNode(tuple(entries), entry.node.place)


def _report_leg_fault(fault: Fault, entry: Table) -> None:
    path = fault.path[2:]
    key = str(path[0]) if path else ""
    message = fault.message
    for short, full in _SHORT.items():
        if key == full and short in entry:
            key, message = short, message.replace(full, short)
    if fault.kind == "unknown":
        allowed = ("trunk", *_SHORT, "when", "open", "weight", *fault.allowed)
        entry.error_at(entry.key_place(key), unknown_key(key, allowed, entry.where))
        return
    node = entry.value(key)
    word = node.value if isinstance(node, ScalarNode) else None
    entry.error(key, message + did_you_mean(word, fault.allowed))

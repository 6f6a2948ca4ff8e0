"""Reading rooms, services and ``dial_out``: everything that becomes a service configuration answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from policy_server.pexip.fields import Fault
from policy_server.pexip.services import FREE_TEXT_FIELDS, PIN_FIELDS, check_service, names_of_deployment
from policy_server.policy.services import ROOM_NAME, FieldsTemplate, Leg, ServiceTemplate
from policy_server.policy.templates import Template, TemplateError, parse_template, unknown_names
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode, plain
from policy_server.rulefiles.problems import Place, nearest, one_of, shown, unknown_key
from policy_server.rulefiles.reader import Report, Table, node_at
from policy_server.telephony.trunks import Trunk, dial_string

DERIVED: Final = "derived"
ROOM_TYPES: Final = ("conference", "lecture")
FAILED: Final = "failed"

LEG_DEFAULTS: Final[Mapping[str, str]] = {
    "protocol": "sip",
    "call_type": "audio",
    "role": "chair",
    "keep_conference_alive": "keep_conference_alive_never",
}
"""What suits a contact centre: an audio leg that needs no PIN and does not keep the room alive by itself."""

# Stand-ins with which a service is checked when the rules load; the real values are checked with each answer.
_ANY_PIN: Final = {"pin": "12345678", "guest_pin": "87654321"}
_ANY_TEXT: Final = "x"

_REGULAR_EXPRESSIONS: Final = frozenset({"match_string", "replace_string", "post_match_string", "post_replace_string"})


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that fields may use: of the deployment by kind, ``None`` where the rules do not list them."""

    names: Mapping[str, frozenset[str] | None]

    def check(self, kind: str, name: str, field: str, place: Place, report: Report, rule: str) -> None:
        """Reports a name that is not in the list of its kind."""
        known = self.names.get(kind)
        if known is not None and name not in known:
            report.error(place, one_of(field, sorted(known), name), rule)


@dataclass(frozen=True, slots=True)
class Draft:
    """A room or service as read, before a rule's placeholders are known."""

    fields: FieldsTemplate
    derived: frozenset[str]
    templates: tuple[tuple[Template, Place], ...]
    adps: tuple[Leg, ...]
    room: str
    place: Place


def read_service(table: Table, vocabulary: Vocabulary, *, room: str = "") -> Draft | None:
    """Reads a room (``room`` is its name) or a written-out ``service``; reports every fault and returns ``None``."""
    report, before = table.report, len(table.report.problems)
    values: dict[str, object] = {entry.name: plain(entry.value) for entry in table.node.entries}
    if room:
        values.setdefault("service_type", "conference")
        values.setdefault("service_tag", room)
        if values["service_type"] not in ROOM_TYPES:
            table.error("service_type", one_of("service_type", ROOM_TYPES, values["service_type"]))
            return None
    service_type = values.get("service_type")
    free_text = FREE_TEXT_FIELDS.get(service_type, frozenset()) if isinstance(service_type, str) else frozenset()
    reader = _TemplateReader(report, table.rule)
    fields = reader.read(values, free_text - _REGULAR_EXPRESSIONS, table.node)
    derived = frozenset(name for name in PIN_FIELDS if values.get(name) == DERIVED)
    adps, samples = _read_adps(values, table.node, reader)
    sample = fields.sample | {name: _ANY_PIN[name] for name in PIN_FIELDS if name in derived or name in fields.filled}
    if samples:
        sample["automatic_participants"] = samples
    for fault in check_service(sample):
        report.error(*_placed(fault, table.node, table.where, room), table.rule)
    if room and "name" in values and not values["name"]:
        table.error("name", "name is empty; write one, such as '{session}'")
    _check_names(sample, table, vocabulary)
    if len(report.problems) > before and any(problem.severity == "error" for problem in report.problems[before:]):
        return None
    own = {
        name: value for name, value in fields.fixed.items() if name not in derived and name != "automatic_participants"
    }
    template = FieldsTemplate(own, tuple(fields.filled.items()))
    return Draft(template, derived, tuple(reader.templates), adps, room, table.place)


def _placed(fault: Fault, node: MappingNode, where: str, room: str) -> tuple[Place, str]:
    target = node_at(node, fault.path)
    if fault.kind == "unknown" and isinstance(parent := node_at(node, fault.path[:-1]), MappingNode):
        place = next((entry.key.place for entry in parent.entries if entry.name == fault.path[-1]), target.place)
        kind = (
            "an automatic participant"
            if "automatic_participants" in fault.path
            else (f"room {room!r}" if room else where)
        )
        return place, unknown_key(str(fault.path[-1]), fault.allowed, kind)
    word = plain(target)
    hint = nearest(word, fault.allowed) if isinstance(word, str) else None
    return target.place, fault.message + (f" (did you mean {shown(hint)}?)" if hint else "")


def _check_names(sample: Mapping[str, object], table: Table, vocabulary: Vocabulary) -> None:
    for path, kind, name in names_of_deployment(sample):
        node = node_at(table.node, path)
        field = str(path[-1] if isinstance(path[-1], str) else path[-2])
        if "{" in str(plain(node)):
            message = f"{field} must be written out, since a name that does not exist voids the whole answer"
            table.report.error(node.place, message, table.rule)
        else:
            vocabulary.check(kind, name, field, node.place, table.report, table.rule)


@dataclass(slots=True)
class _Read:
    fixed: dict[str, object]
    filled: dict[str, Template]
    sample: dict[str, object]


class _TemplateReader:
    """Tells fixed fields from those with placeholders, and collects the placeholders with their places."""

    def __init__(self, report: Report, rule: str) -> None:
        self._report: Final = report
        self._rule: Final = rule
        self.templates: Final[list[tuple[Template, Place]]] = []

    def read(self, values: Mapping[str, object], free_text: frozenset[str], node: Node) -> _Read:
        read = _Read({}, {}, {})
        for name, value in values.items():
            template = None
            if name in free_text and isinstance(value, str) and ("{" in value or "}" in value):
                template = self._template(name, value, node_at(node, (name,)).place)
            if template is None or not template.names:
                read.fixed[name] = read.sample[name] = value
            else:
                read.filled[name] = template
                read.sample[name] = "".join(template.literals) or _ANY_TEXT
        return read

    def _template(self, name: str, value: str, place: Place) -> Template | None:
        try:
            template = parse_template(value)
        except TemplateError as error:
            self._report.error(place, f"{name}: {error}", self._rule)
            return None
        self.templates.append((template, place))
        return template


def _read_adps(
    values: dict[str, object], node: MappingNode, reader: _TemplateReader
) -> tuple[tuple[Leg, ...], list[object]]:
    """Automatic participants that a room or service lists itself."""
    listed = values.get("automatic_participants")
    below = node.get("automatic_participants")
    if not isinstance(listed, list) or not isinstance(below, SequenceNode):
        return (), []
    legs: list[Leg] = []
    samples: list[object] = []
    for item, item_node in zip(listed, below.items, strict=True):
        if not isinstance(item, dict):
            samples.append(item)
            continue
        read = reader.read(item, FREE_TEXT_FIELDS["automatic_participant"], item_node)
        legs.append(Leg(None, FieldsTemplate(read.fixed, tuple(read.filled.items()))))
        samples.append(read.sample)
    return tuple(legs), samples


def read_dial_out(
    rule: Table, trunks: Mapping[str, Trunk | None], used_trunks: set[str], domain: str, *, has_session: bool
) -> tuple[tuple[Leg, ...], tuple[Leg, ...], tuple[tuple[Template, Place], ...]]:
    """The legs of ``dial_out``: those dialled with the room, those for when one failed, and their placeholders."""
    first: list[Leg] = []
    failed: list[Leg] = []
    reader = _TemplateReader(rule.report, rule.rule)
    identity = "{session}" if has_session else f"{{{ROOM_NAME}}}"
    for place, item in enumerate(rule.sequence("dial_out")):
        if not isinstance(item, MappingNode):
            rule.report.error(item.place, f"dial_out holds {shown(plain(item))}; write {{trunk: NAME}}", rule.rule)
            continue
        entry = Table(item, "dial_out", rule.report, rule.rule)
        when = entry.choice("when", (FAILED,)) if "when" in entry else ""
        leg = _read_leg(entry, trunks, used_trunks, identity, domain, reader)
        if when == FAILED and place == 0:
            entry.error("when", "the first entry of dial_out is dialled with the room, so it cannot wait for a failure")
        if leg is not None:
            (failed if when == FAILED else first).append(leg)
    return tuple(first), tuple(failed), tuple(reader.templates)


def _read_leg(
    entry: Table,
    trunks: Mapping[str, Trunk | None],
    used_trunks: set[str],
    identity: str,
    domain: str,
    reader: _TemplateReader,
) -> Leg | None:
    values: dict[str, object] = {item.name: plain(item.value) for item in entry.node.entries}
    values.pop("when", None)
    trunk: Trunk | None = None
    if "trunk" in values:
        name = entry.text("trunk")
        values.pop("trunk")
        if name is not None:
            used_trunks.add(name)
            if name not in trunks:
                entry.error("trunk", one_of("trunk", trunks, name))
            trunk = trunks.get(name)
        if "remote_alias" in values:
            entry.error("remote_alias", "an entry of dial_out has either trunk or remote_alias; remove one of them")
        if trunk is None:
            return None
        dialled = dial_string(trunk)
        values = {"routing": dialled.routing} | values | {"remote_alias": dialled.remote_alias}
    elif "remote_alias" not in values:
        entry.missing("trunk")
        return None
    if "display_name" in values:
        if "local_display_name" in values:
            entry.error("display_name", "display_name is short for local_display_name; remove one of them")
        values["local_display_name"] = values.pop("display_name")
    calling = f"{identity}@{domain}" if domain else identity
    values = {**LEG_DEFAULTS, "local_alias": calling, "local_display_name": identity, **values}
    before = len(entry.report.problems)
    read = reader.read(values, FREE_TEXT_FIELDS["automatic_participant"], entry.node)
    _check_leg(read.sample, entry)
    if len(entry.report.problems) > before:
        return None
    return Leg(trunk, FieldsTemplate(read.fixed, tuple(read.filled.items())))


_BARE_ROOM: Final = {"service_type": "conference", "name": "x", "service_tag": ""}


def _check_leg(sample: Mapping[str, object], entry: Table) -> None:
    for fault in check_service({**_BARE_ROOM, "automatic_participants": [sample]}):
        path = fault.path[2:]
        key = str(path[0]) if path else ""
        if key == "local_display_name" and "display_name" in entry:
            key = "display_name"
        if fault.kind == "unknown":
            allowed = ("trunk", "display_name", "when", *fault.allowed)
            entry.report.error(entry.key_place(key), unknown_key(key, allowed, "dial_out"), entry.rule)
            continue
        node = entry.value(key) if key else None
        word = plain(node) if node is not None else None
        hint = nearest(word, fault.allowed) if isinstance(word, str) else None
        entry.error(key, fault.message + (f" (did you mean {shown(hint)}?)" if hint else ""))


def complete(
    draft: Draft,
    legs: tuple[Leg, ...],
    fallbacks: tuple[Leg, ...],
) -> ServiceTemplate:
    """The service of one rule: the room with the rule's legs."""
    return ServiceTemplate(
        fields=draft.fields,
        derived_pin="pin" in draft.derived,
        derived_guest_pin="guest_pin" in draft.derived,
        legs=(*draft.adps, *legs),
        fallbacks=fallbacks,
        room=draft.room,
    )


def check_placeholders(
    templates: Iterable[tuple[Template, Place]], known: Iterable[str], report: Report, rule: str
) -> None:
    """Reports placeholders that nothing fills in this rule."""
    good = tuple(known)
    for template, place in templates:
        for name in unknown_names(template, good):
            if name == ROOM_NAME:
                continue
            hint = nearest(name, good)
            message = (
                f"placeholder {{{name}}} is unknown{f' (did you mean {{{hint}}}?)' if hint else ''}; it can be a "
                f"named group of this rule, a request parameter, or {{link.ATTRIBUTE}}"
            )
            report.error(place, message, rule)


def scalar_text(node: Node | None) -> str | None:
    """The text of a scalar as written; ``None`` for anything else."""
    return node.text if isinstance(node, ScalarNode) else None

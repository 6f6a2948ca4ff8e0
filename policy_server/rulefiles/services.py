"""Reading rooms and written-out services: what becomes a service configuration answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from string import hexdigits
from typing import Final

from policy_server.pexip.field_facts import fields_with
from policy_server.pexip.fields import Fact, Fault, Named
from policy_server.pexip.service_parts import AutomaticParticipant
from policy_server.pexip.services import SERVICE_TYPES, check_service, names_of_deployment
from policy_server.pexip.shapes import SHAPES, Facet, Shape
from policy_server.policy.services import ROOM_TYPES, FieldsTemplate, Leg, Path, field_of
from policy_server.policy.templates import Template, TemplateError
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode, plain
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import BOOLEANS, Table, node_at, read_template, unlisted
from policy_server.rulefiles.tables import Column, Tables, column_of, empty_cell
from policy_server.wording.words import did_you_mean, one_of, unknown_key

DERIVED: Final = "derived"
PIN_FIELDS: Final = fields_with(Fact.PIN)
"""The fields in which ``derived`` may stand."""
FAILED: Final = "failed"
SHARED: Final = "shared"
"""The key of a room that is meant for everybody who reaches it; no node gets it."""

LEG_DEFAULTS: Final[Mapping[str, str]] = {
    "protocol": "sip",
    "call_type": "audio",
    "role": "chair",
    "keep_conference_alive": "keep_conference_alive_never",
}
"""What suits a contact centre: an audio leg that needs no PIN and does not keep the room alive by itself."""

_NEEDED: Final = frozenset({Named.MEDIA_PLAYLIST})
"""The kinds of names that no field can be without."""

# Stand-ins with which a service is checked when the rules load; the real values are checked with each answer.
_ANY_PIN: Final = {"pin": "12345678", "guest_pin": "87654321"}
ANY_TEXT: Final = "x"
_ANY_UUID: Final = "00000000-0000-4000-8000-000000000000"
_ADPS: Final = "automatic_participants"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that fields may use: of the deployment by kind, where the rules list them; or those in a table."""

    names: Mapping[Named, frozenset[str]]
    tables: Tables = field(default_factory=dict)

    def check(self, kind: Named, name: str, field: str, place: Place, table: Table, *, needed: bool = False) -> None:
        """Reports a name that is not in the list of its kind, in each row of the column that it comes from, if it does.

        ``needed``: a row that names nothing is reported too.
        """
        known = self.names.get(kind)
        if "{" in name or "}" in name:
            column = self.column(name)
            if column is None:
                message = "must be written out, without placeholders: a name that does not exist voids the whole answer"
                remedy = (
                    "; only a column of a table can stand for it, alone, as in {queues.theme}" if self.tables else ""
                )
                table.error_at(place, f"{field} {message}{remedy}")
                return
            needed = (needed or kind in _NEEDED) and not column.default
            self._check_column(column, kind, field, place, table, needed=needed)
        elif known is not None and name and name not in known:
            table.error_at(place, unlisted(field, known, name, kind))

    def column(self, text: str) -> Column | None:
        """The column of a table that a text is, perhaps with a default, and nothing else; ``None`` for any other text.

        Of a table that could not be read there is none, but nothing more is said of it.
        """
        return column_of(text, self.tables)

    def _check_column(
        self, column: Column, kind: Named, field: str, place: Place, table: Table, *, needed: bool
    ) -> None:
        known = self.names.get(kind)
        if column.default is not None and known is not None and column.default and column.default not in known:
            table.error_at(place, unlisted(field, known, column.default, kind))

        def fault_of(name: str) -> str:
            if not name and needed:
                return empty_cell(column.placeholder, f"the name of a {kind.replace('_', ' ')}", place)
            return unlisted(field, known, name, kind) if name and known is not None and name not in known else ""

        if column.file is not None and column.placeholder in column.file.lookup.columns:
            column.file.check(column.placeholder, f"{kind} {needed}", fault_of, table.report)


@dataclass(frozen=True, slots=True)
class Draft:
    """A room or service as read, before a rule's placeholders are known. A ``faulty`` one must not be served."""

    fields: FieldsTemplate
    derived: frozenset[str]
    templates: tuple[tuple[Template, Place], ...]
    adps: tuple[Leg, ...]
    room: str
    faulty: bool
    shared: bool
    name_place: Place


def read_service(table: Table, vocabulary: Vocabulary, *, room: str = "") -> Draft:
    """Reads a room (``room`` is its name) or a written-out ``service``, and reports every fault."""
    before = table.report.errors
    shared = table.boolean(SHARED, default=False)
    values: dict[str, object] = {entry.name: plain(entry.value) for entry in table.node.entries if entry.name != SHARED}
    if room:
        values.setdefault("service_type", "conference")
        values.setdefault("service_tag", room)
        if values["service_type"] not in ROOM_TYPES:
            hint = "; any other service is written out in a rule, under service"
            table.error("service_type", one_of("service_type", ROOM_TYPES, values["service_type"]) + hint)
            values["service_type"] = "conference"
    service_type = values.get("service_type")
    shape = SERVICE_TYPES.get(service_type) if isinstance(service_type, str) else None
    reader = TemplateReader(table)
    # These have placeholders of their own, and are legs like those of dial_out.
    adps, listed = _read_adps(values.pop(_ADPS, None), table.node, reader)
    fields = reader.read(values, shape, table.node)
    derived = frozenset(name for name in PIN_FIELDS if values.get(name) == DERIVED)
    sample = fields.sample | {name: _ANY_PIN[name] for name in derived}
    if _ADPS in table:
        sample[_ADPS] = listed
    for fault in check_service(sample):
        table.error_at(*placed(fault, table, (SHARED,)))
    if SHARED in table and service_type in SERVICE_TYPES and service_type not in ROOM_TYPES:
        table.error_at(
            table.key_place(SHARED), f"{SHARED} goes with a room ({' or '.join(ROOM_TYPES)}): nobody meets in this"
        )
    check_names(sample, table, table.node, (), vocabulary)
    own = {name: value for name, value in fields.fixed.items() if name not in derived}
    template = FieldsTemplate(own, tuple(fields.filled))
    faulty = table.report.errors > before
    return Draft(
        template, derived, tuple(reader.templates), adps, room, faulty, shared, name_place=table.value_place("name")
    )


def placed(fault: Fault, table: Table, ours: tuple[str, ...] = ()) -> tuple[Place, str]:
    """Where in a mapping a fault is, and the message with the nearest good word; ``ours`` are keys that no node gets."""
    path = fault.path
    target = node_at(table.node, path)
    if fault.kind == "unknown" and isinstance(parent := node_at(table.node, path[:-1]), MappingNode):
        place = next((entry.key.place for entry in parent.entries if entry.name == path[-1]), target.place)
        allowed = fault.allowed if path[:-1] else (*fault.allowed, *ours)
        return place, unknown_key(str(path[-1]), allowed, _owner(path[:-1], table))
    word = plain(target)
    hint = did_you_mean(word, fault.allowed)
    message = fault.message + _written_otherwise(fault, target)
    if fault.rule == "PIN-6":
        message += "; or write 'derived' for a PIN of its own for each call"
        hint = did_you_mean(word, (DERIVED,))
    return target.place, message + hint


def _written_otherwise(fault: Fault, target: Node) -> str:
    """What to write where a value is right but for quotes, a word of other programs, or the unit of Pexip's pages."""
    if not isinstance(target, ScalarNode):
        return ""
    word = target.text.strip().lower()
    if "must be true or false" in fault.message and word in BOOLEANS:
        return f" (write {BOOLEANS[word]}, without quotes)"
    if "must be a whole number" in fault.message and target.quoted and word.isdecimal():
        return " (remove the quotes)"
    if (
        fault.kind == "range"
        and "bit/s" in fault.message
        and isinstance(target.value, int)
        and 128 <= target.value <= 8192
    ):
        return f"; Pexip's pages have kbit/s: {target.value} kbit/s is {target.value * 1000}"
    return ""


def _owner(path: tuple[str | int, ...], table: Table) -> str:
    """What a message calls the mapping at a path."""
    if not path:
        return table.where
    return f"an entry of {path[-2]}" if isinstance(path[-1], int) else path[-1]


def check_names(
    sample: Mapping[str, object], table: Table, node: MappingNode, above: tuple[str | int, ...], vocabulary: Vocabulary
) -> None:
    """Checks the names of the deployment in a service; ``node`` is what stands in it at ``above``."""
    for path, kind, name in names_of_deployment(sample):
        if path[: len(above)] == above:
            target = node_at(node, path[len(above) :])
            written = target.value if isinstance(target, ScalarNode) else None
            field = str(path[-1] if isinstance(path[-1], str) else path[-2])
            vocabulary.check(kind, written if isinstance(written, str) else name, field, target.place, table)


@dataclass(slots=True)
class ReadFields:
    """Fields of an object: what never changes, the texts with placeholders, and ``sample``: all of it as it may come."""

    fixed: dict[str, object]
    filled: list[tuple[Path, Template]]
    sample: dict[str, object]


class TemplateReader:
    """Tells fixed fields from those with placeholders, and collects the placeholders with their places."""

    def __init__(self, table: Table) -> None:
        self._table: Final = table
        self.templates: Final[list[tuple[Template, Place]]] = []

    def read(self, values: Mapping[str, object], shape: Shape | None, node: Node) -> ReadFields:
        """Sorts the fields of an object that stands at ``node``; placeholders may stand wherever the shape has text."""
        read = ReadFields({}, [], {})
        for name, value in values.items():
            facet = shape.facets.get(name) if shape is not None else None
            sample = read.sample[name] = self._sample(value, facet, (name,), node, read.filled)
            if not any(path == (name,) for path, _ in read.filled):
                read.fixed[name] = sample
        return read

    def _sample(
        self, value: object, facet: Facet | None, path: Path, node: Node, filled: list[tuple[Path, Template]]
    ) -> object:
        """A value with stand-ins for its placeholders, which are added to ``filled``."""
        if facet is None:
            return value
        if facet.item is not None and isinstance(value, list):
            return [self._sample(item, facet.item, (*path, place), node, filled) for place, item in enumerate(value)]
        if facet.shape is not None and isinstance(value, dict):
            below = facet.shape.facets
            return {
                name: self._sample(part, below.get(name), (*path, name), node, filled) for name, part in value.items()
            }
        if facet.takes_placeholders and isinstance(value, str) and ("{" in value or "}" in value):
            place = node_at(node, path).place
            template = self._template(field_of(path), value, place)
            if template is None:
                # Said already; of what it might become nothing more can be told.
                return value if facet.max_length is not None else _ANY_UUID
            if template.names:
                filled.append((path, template))
                return self._stand_in(field_of(path), template, facet, place)
        return value

    def _stand_in(self, name: str, template: Template, facet: Facet, place: Place) -> str:
        if facet.max_length is not None:
            return template.bare or ANY_TEXT
        # A text with a form of its own instead of a length.
        if not template.needed:
            return template.bare
        if not may_be_uuid(template.literals):
            remedy = "what is written around its placeholders cannot be part of one"
            self._table.error_at(place, f"{name} must be {facet.about.form}; {remedy}")
        return _ANY_UUID

    def _template(self, name: str, value: str, place: Place) -> Template | None:
        try:
            template = read_template(value)
        except TemplateError as error:
            self._table.error_at(place, f"{name}: {error}")
            return None
        self.templates.append((template, place))
        return template


def may_be_uuid(literals: Iterable[str]) -> bool:
    """Whether there can be a UUID with these texts in it in this order, the first at its start and the last at its end."""
    ends = {0}
    for number, literal in enumerate(literals):
        starts = range(min(ends), len(_ANY_UUID) + 1) if number else (0,)
        ends = {start + len(literal) for start in starts if _is_in_uuid(literal, start)}
        if not ends:
            return False
    return len(_ANY_UUID) in ends


def _is_in_uuid(text: str, start: int) -> bool:
    form = _ANY_UUID[start : start + len(text)]
    return len(form) == len(text) and all(
        character == "-" if wanted == "-" else character in hexdigits
        for character, wanted in zip(text, form, strict=True)
    )


def _read_adps(listed: object, node: MappingNode, reader: TemplateReader) -> tuple[tuple[Leg, ...], object]:
    """Automatic participants that a room or service lists itself, and the list as it may come."""
    below = node.get(_ADPS)
    if not isinstance(listed, list) or not isinstance(below, SequenceNode):
        return (), listed
    legs: list[Leg] = []
    samples: list[object] = []
    for item, item_node in zip(listed, below.items, strict=True):
        if not isinstance(item, dict):
            samples.append(item)
            continue
        read = reader.read(item, SHAPES[AutomaticParticipant], item_node)
        legs.append(Leg(None, FieldsTemplate(read.fixed, tuple(read.filled))))
        samples.append(read.sample)
    return tuple(legs), samples


def warn_of_shared_pins(table: Table) -> None:
    """Warns of a PIN that is written out where every call has a room of its own."""
    name = table.value("name")
    if not isinstance(name, ScalarNode) or "{" not in name.text:
        return
    for key in sorted(PIN_FIELDS):
        node = table.value(key)
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value not in ("", DERIVED):
            message = "is the same for every room of this name, so one customer can enter another's"
            table.warning(key, f"{key} {message}; write {key}: {DERIVED}")

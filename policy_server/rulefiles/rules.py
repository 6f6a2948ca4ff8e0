"""Reading the rule lists: one rule of each kind, with its conditions, outcome and placeholders."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Final, TypeVar

from policy_server.pexip.fields import Fault
from policy_server.pexip.parameters import parameters_of
from policy_server.pexip.properties import ParticipantProperties, check_media_location, check_properties
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.services import SERVICE_TYPES
from policy_server.pexip.shapes import shape_of
from policy_server.policy.calendars import Calendar
from policy_server.policy.conditions import Condition
from policy_server.policy.names import NAME_LENGTH, NAMES
from policy_server.policy.patterns import PatternError
from policy_server.policy.recall import Origin, destinations, origin_of
from policy_server.policy.ruleset import (
    ContinueOutcome,
    LocationOutcome,
    ParticipantOutcome,
    PlacementOutcome,
    RedirectOutcome,
    RejectOutcome,
    Rule,
    ServeOutcome,
    ServiceOutcome,
    SetOutcome,
)
from policy_server.policy.services import CALLER, FIELD_LIMIT, ROOM_NAME, FieldsTemplate, Leg, ServiceTemplate
from policy_server.policy.templates import Template
from policy_server.rulefiles.conditions import Scope, read_conditions
from policy_server.rulefiles.dial_out import read_dial_out
from policy_server.rulefiles.document_nodes import MappingNode, plain
from policy_server.rulefiles.placeholders import (
    Given,
    check_placeholders,
    check_placeholders_of_room,
    folded_groups,
    groups_of,
    named_anywhere,
)
from policy_server.rulefiles.reader import Report, Table, shown_node, undefined
from policy_server.rulefiles.services import (
    ROOM_TYPES,
    Draft,
    Vocabulary,
    check_braces_below,
    complete,
    placed,
    read_service,
    warn_of_shared_pins,
)
from policy_server.rulefiles.sharing import Shareable, without_call
from policy_server.telephony.trunks import Trunk
from policy_server.wording.values import shown
from policy_server.wording.words import listed

COMMON_KEYS: Final = ("id", "description", "enabled", "when")

OUTCOME_KEYS: Final[Mapping[RequestType, tuple[str, ...]]] = {
    RequestType.SERVICE: ("room", "service", "redirect", "reject", "continue"),
    RequestType.PARTICIPANT: ("set", "reject", "continue"),
    RequestType.LOCATION: ("location", "continue"),
    RequestType.REGISTRATION: ("allow", "reject", "continue"),
}
"""The keys of which a rule has exactly one."""

FURTHER_KEYS: Final[Mapping[RequestType, tuple[str, ...]]] = {
    RequestType.SERVICE: ("dial_out",),
    RequestType.LOCATION: ("overflow_locations",),
}
"""Keys that go with an outcome."""

_FREE_TEXT: Final = shape_of(ParticipantProperties).free_text
_SIGNED_NAME: Final = f"[a-z2-7]{{{NAME_LENGTH}}}"

T = TypeVar("T")


@dataclass(slots=True)
class Material:
    """What rules refer to, and what of it they used."""

    report: Report
    vocabulary: Vocabulary
    domains: tuple[str, ...]
    calendars: Mapping[str, Calendar | None]
    trunks: Mapping[str, Trunk | None]
    rooms: Mapping[str, Draft | None]
    link_types: frozenset[str]
    environment: Mapping[str, str]
    deployed: bool
    used_calendars: set[str] = field(default_factory=set)
    used_trunks: set[str] = field(default_factory=set)
    used_rooms: set[str] = field(default_factory=set)
    shareable: dict[str, Shareable] = field(default_factory=dict)
    origins: list[Origin] = field(default_factory=list)
    rooms_backwards: dict[tuple[object, ...], Origin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heading:
    """What every rule has, whatever its outcome."""

    table: Table
    id: str
    enabled: bool
    conditions: tuple[Condition, ...]
    outcome: str
    given: Given
    sources: Mapping[str, str]

    def rule(self, outcome: T) -> Rule[T]:
        """The rule with its outcome."""
        place = self.table.place
        return Rule(self.id, self.conditions, outcome, self.enabled, f"{place.file}:{place.line}")


def read_heading(table: Table, rule_id: str, request: RequestType, material: Material) -> Heading | None:
    """Id, conditions, and which outcome; ``None`` when there is not exactly one outcome."""
    table.finish((*COMMON_KEYS, *OUTCOME_KEYS[request], *FURTHER_KEYS.get(request, ())))
    table.text("description")
    enabled = table.boolean("enabled", default=True)
    before = material.report.errors
    conditions = _read_when(table, rule_id, request, material)
    doubtful = material.report.errors > before
    names, sources = groups_of(conditions)
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.error(
            "when",
            f"named group {shown(name)} stands twice in this rule, so its placeholder would be ambiguous; rename one",
        )
    others = _parameter_names(request)
    if material.link_types and "local_alias" in others:
        others |= NAMES.keys()
        sources |= dict.fromkeys(NAMES, _SIGNED_NAME)
    given = Given(tuple(names), frozenset(named_anywhere(conditions)), others, doubtful)
    found = [key for key in OUTCOME_KEYS[request] if key in table]
    if len(found) != 1:
        options = ", ".join(OUTCOME_KEYS[request])
        has = f"has {listed(found)}" if found else "has none"
        table.error_at(table.place, f"a rule needs exactly one outcome ({options}) but this one {has}")
        return None
    return Heading(table, rule_id, enabled, conditions, found[0], given, sources)


@cache
def _parameter_names(request: RequestType) -> frozenset[str]:
    return frozenset(parameter.name for parameter in parameters_of(request) if not parameter.secret)


def _read_when(table: Table, rule_id: str, request: RequestType, material: Material) -> tuple[Condition, ...]:
    node = table.value("when")
    if node is None:
        return ()
    if not isinstance(node, MappingNode) or not node.entries:
        hint = "; leave it out if the rule shall always match" if not plain(node) else ""
        example = f"{{{_EXAMPLES[request]}}}"
        table.error("when", f"when must hold conditions such as {example} but is {shown_node(node)}{hint}")
        return ()
    scope = Scope(
        request=request,
        rule=rule_id,
        report=material.report,
        calendars=material.calendars,
        names=material.vocabulary.names,
        domains=frozenset(material.domains),
        link_types=material.link_types,
        used_calendars=material.used_calendars,
    )
    return read_conditions(node, scope)


_EXAMPLES: Final[Mapping[RequestType, str]] = {
    RequestType.SERVICE: "protocol: sip",
    RequestType.PARTICIPANT: "participant_type: api",
    RequestType.LOCATION: "remote_address: 10.20.0.0/16",
    RequestType.REGISTRATION: "alias: 'kiosk-.*'",
}


def _read_text(heading: Heading) -> Template | None:
    """The text of ``reject`` or ``redirect``."""
    table, key = heading.table, heading.outcome
    template = table.template(key)
    if template is None:
        return None
    if not template.source.strip():
        table.error(key, f"{key} is empty; write a text")
        return None
    length = len(template.bare)
    if length > FIELD_LIMIT:
        table.error(key, f"{key} has {length} characters; Pexip takes {FIELD_LIMIT}")
        return None
    check_placeholders([(template, table.value_place(key))], heading.given, table)
    return template


def read_continue(heading: Heading) -> ContinueOutcome:
    """The outcome that every list has."""
    if not heading.table.boolean("continue", default=True):
        heading.table.error("continue", "continue can only be true; to switch a rule off write enabled: false")
    return ContinueOutcome()


def read_service_rule(heading: Heading, number: int, material: Material) -> ServiceOutcome | None:
    """The outcome of a service rule; a room or service is also filed under its name for ``dial_out`` questions."""
    table = heading.table
    if "dial_out" in table and heading.outcome not in ("room", "service"):
        table.error("dial_out", "dial_out goes with room or service: there is no room here to dial from")
    match heading.outcome:
        case "room" | "service":
            return _read_serve(heading, number, material)
        case "redirect":
            alias = _read_text(heading)
            _warn_of_no_call(heading, [("redirect", name) for name in alias.needed] if alias else ())
            return RedirectOutcome(alias) if alias else None
        case "reject":
            text = _read_text(heading)
            return RejectOutcome(text) if text else None
        case _:
            return read_continue(heading)


def _read_serve(heading: Heading, number: int, material: Material) -> ServeOutcome | None:
    table = heading.table
    draft = _read_room(table, material) if heading.outcome == "room" else _read_service(table, material)
    if draft is not None:
        check = partial(check_placeholders_of_room, draft.room) if draft.room else check_placeholders
        check(draft.templates, heading.given, table)
    legs: tuple[Leg, ...] = ()
    fallbacks: tuple[Leg, ...] = ()
    if "dial_out" in table:
        domain = material.domains[0] if material.domains else ""
        legs, fallbacks, templates = read_dial_out(
            table,
            material.trunks,
            material.used_trunks,
            material.vocabulary,
            domain,
        )
        check_placeholders(templates, replace(heading.given, others=heading.given.others | {ROOM_NAME, CALLER}), table)
        service_type = draft.fields.fixed.get("service_type") if draft is not None else None
        if isinstance(service_type, str) and service_type in SERVICE_TYPES and service_type not in ROOM_TYPES:
            table.error(
                "dial_out", f"a {service_type} service cannot dial; dial_out goes with {listed(ROOM_TYPES, 'or')}"
            )
    if draft is None or draft.faulty:
        return None
    name = draft.fields.template("name")
    if name is not None and not draft.shared and draft.fields.fixed.get("service_type") in ROOM_TYPES:
        place = table.value_place(heading.outcome)
        material.shareable[heading.id] = Shareable(draft.room, name, draft.name_place, place, heading.sources)
    template = complete(draft, legs, fallbacks)
    _warn_of_no_call(heading, template.needed)
    if heading.enabled and not material.report.failed:
        try:
            origin = _read_backwards(draft.room, template, heading, number, material)
        except PatternError as error:
            table.error(heading.outcome, f"name and service_tag of the room cannot be read backwards: {error}")
            return None
        if origin is not None:
            material.origins.append(origin)
    return ServeOutcome(template)


def _warn_of_no_call(heading: Heading, needed: Iterable[tuple[str, str]]) -> None:
    """Warns of identities that need a call, where callers may come without one; ``needed`` as in ``ServiceTemplate``."""
    if not heading.enabled or not without_call(heading.conditions):
        return
    found = dict(pair for pair in reversed(tuple(needed)) if pair[1] in NAMES and pair[1] in heading.given.others)
    if not found:
        return
    fields = listed(f"{field_name} needs {{{name}}}" for field_name, name in reversed(found.items()))
    heading.table.warning(
        heading.outcome,
        f"{fields}, which callers whom no link leads here do not have, so this rule fails for them; write link_type "
        "into its when",
    )


def _read_backwards(
    room: str, template: ServiceTemplate, heading: Heading, number: int, material: Material
) -> Origin | None:
    """How to tell the rule's service by its name; the same for all rules that fill one room from the same expressions."""
    folds = folded_groups(heading.conditions)
    alike = (room, destinations(template), *sorted(folds), *sorted(heading.sources.items()))
    known = material.rooms_backwards.get(alike) if room else None
    if known is not None:
        return replace(known, number=number, service=template)
    origin = origin_of(number, template, heading.sources.get, folds)
    if origin is not None:
        material.rooms_backwards[alike] = origin
    return origin


def _read_room(table: Table, material: Material) -> Draft | None:
    name = table.text("room", wanted="the name of a room")
    if name is None:
        return None
    material.used_rooms.add(name)
    if name not in material.rooms:
        table.error("room", undefined("room", "room", name, material.rooms, "rooms"))
    return material.rooms.get(name)


def _read_service(table: Table, material: Material) -> Draft | None:
    service = table.table("service", "keys and values such as {service_type: conference, name: …, service_tag: …}")
    if service is None:
        return None
    warn_of_shared_pins(service)
    return read_service(service, material.vocabulary)


def read_participant_rule(heading: Heading) -> ParticipantOutcome | None:
    """The outcome of a participant rule."""
    match heading.outcome:
        case "set":
            return _read_set(heading)
        case "reject":
            text = _read_text(heading)
            return RejectOutcome(text) if text else None
        case _:
            return read_continue(heading)


def _read_set(heading: Heading) -> SetOutcome | None:
    table = heading.table.table("set", "keys and values such as {preauthenticated_role: guest}")
    if table is None:
        return None
    before = table.report.errors
    fixed: dict[str, object] = {}
    filled: list[tuple[str, Template]] = []
    sample: dict[str, object] = {}
    for entry in table.node.entries:
        value = plain(entry.value)
        template = table.template(entry.name) if entry.name in _FREE_TEXT and isinstance(value, str) else None
        if template is not None and template.names:
            filled.append((entry.name, template))
            sample[entry.name] = template.bare or "x"
            check_placeholders([(template, entry.value.place)], heading.given, table)
        else:
            fixed[entry.name] = sample[entry.name] = value
    if "reject_reason" in sample:
        table.error_at(
            table.key_place("reject_reason"), "reject_reason goes with a rejection; write reject: TEXT instead of set"
        )
    if not sample:
        heading.table.error("set", "set is empty; write continue: true if nothing shall change")
    report_faults(check_properties(sample), table)
    check_braces_below(table)
    properties = FieldsTemplate(fixed, tuple(filled))
    _warn_of_no_call(heading, properties.needed)
    return None if table.report.errors > before else SetOutcome(properties)


def report_faults(faults: Iterable[Fault], table: Table) -> None:
    """Reports what a node would not accept, each fault at its place below the table."""
    for fault in faults:
        place, message = placed(fault, table)
        table.error_at(place, message)


def read_location_rule(heading: Heading, material: Material) -> PlacementOutcome | None:
    """The outcome of a media location rule."""
    table = heading.table
    if heading.outcome == "continue":
        if "overflow_locations" in table:
            table.error_at(table.key_place("overflow_locations"), "overflow_locations goes with location")
        return read_continue(heading)
    location = table.text("location")
    named = [] if location is None else [("location", location, table.value_place("location"))]
    overflow = table.texts("overflow_locations")
    named += [("overflow_locations", text, place) for text, place in overflow]
    for key, name, place in named:
        material.vocabulary.check("location", name, key, place, table)
    names = [text for text, _ in overflow]
    if location is None or len(names) < len(table.nodes("overflow_locations")):
        return None
    report_faults(check_media_location({"location": location, "overflow_locations": names}), table)
    return LocationOutcome(location, tuple(names))

"""The outcomes that serve a room: ``room``, or ``service`` written out, and the legs that it dials."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from policy_server.pexip.services import SERVICE_TYPES
from policy_server.policy.assurance import Assurance
from policy_server.policy.patterns import PatternError
from policy_server.policy.recall import destinations, origin_of
from policy_server.policy.ruleset import ServeOutcome
from policy_server.policy.services import CALLER, ROOM_NAME, ROOM_TYPES, ServiceTemplate
from policy_server.rulefiles.assurance import MANAGEMENT, SCHEMA, has_management, read_assurance
from policy_server.rulefiles.callers import caller_warning
from policy_server.rulefiles.dial_out import NO_LEGS, DialOut, read_dial_out
from policy_server.rulefiles.placeholders import check_placeholders, check_placeholders_of_room, folded_groups
from policy_server.rulefiles.reader import Table, undefined
from policy_server.rulefiles.rules import Heading, Material, OutcomeKey, warn_of_no_call
from policy_server.rulefiles.schema_parts import Schema, ref
from policy_server.rulefiles.services import Draft, read_service, warn_of_shared_pins
from policy_server.rulefiles.sharing import Shareable
from policy_server.wording.words import listed


def _read_serve(
    heading: Heading, material: Material, read_draft: Callable[[Table, Material], Draft | None]
) -> ServeOutcome | None:
    table = heading.table
    draft = read_draft(table, material)
    if draft is not None:
        check = partial(check_placeholders_of_room, draft.room) if draft.room else check_placeholders
        check(draft.templates, heading.given, table)
    dialled = NO_LEGS
    if "dial_out" in table:
        dialled = read_dial_out(table, material)
        given = replace(heading.given, others=heading.given.others | {ROOM_NAME, CALLER})
        check_placeholders(dialled.templates, given, table)
        service_type = draft.fields.fixed.get("service_type") if draft is not None else None
        if isinstance(service_type, str) and service_type in SERVICE_TYPES and service_type not in ROOM_TYPES:
            table.error(
                "dial_out", f"a {service_type} service cannot dial; dial_out goes with {listed(ROOM_TYPES, 'or')}"
            )
    assurance = _read_assurance(table, dialled, material)
    if draft is None or draft.faulty:
        return None
    name = draft.fields.template("name")
    if name is not None and not draft.shared and draft.fields.fixed.get("service_type") in ROOM_TYPES:
        place = table.value_place(heading.outcome)
        material.shareable[heading.id] = Shareable(draft.room, name, draft.name_place, place, heading.sources)
    if name is not None and heading.enabled:
        for leg, place in dialled.callers:
            if message := caller_warning(leg, name, heading.conditions):
                material.report.warning(place, message, heading.id)
    outcome = _served(draft, dialled, assurance, material)
    warn_of_no_call(heading, outcome.service.needed)
    if heading.enabled and not material.report.failed:
        try:
            _read_backwards(draft.room, outcome.service, heading, material)
        except PatternError as error:
            table.error(heading.outcome, f"name and service_tag of the room cannot be read backwards: {error}")
            return None
    return outcome


def _read_assurance(table: Table, dialled: DialOut, material: Material) -> Assurance | None:
    """What is to happen when a leg fails, by default too; ``None`` where there is none to the contact centre."""
    if "assurance" not in table:
        return Assurance() if any(leg.is_to_trunk for leg in dialled.first) else None
    assurance = read_assurance(table)
    if "dial_out" not in table:
        table.error("assurance", "assurance is about the legs of dial_out, and this rule has none")
    elif not any(leg.is_to_trunk for leg in dialled.first) and dialled.first:
        table.error("assurance", "assurance is about legs that go to a trunk, and no entry of dial_out names one")
    elif not has_management(material.environment.variables):
        table.warning(
            "assurance", f"nothing of this is done: that needs a Management Node, and {MANAGEMENT} is not set"
        )
    return assurance


def _served(draft: Draft, dialled: DialOut, assurance: Assurance | None, material: Material) -> ServeOutcome:
    """The room with the rule's legs; the same for all rules that add none."""
    if not draft.room or dialled != NO_LEGS:
        return ServeOutcome(_complete(draft, dialled, assurance))
    known = material.rooms_served.get(draft.room)
    if known is None:
        known = material.rooms_served[draft.room] = ServeOutcome(_complete(draft, NO_LEGS, None))
    return known


def _complete(draft: Draft, dialled: DialOut, assurance: Assurance | None) -> ServiceTemplate:
    """The service of one rule: the room with the rule's legs."""
    return ServiceTemplate(
        fields=draft.fields,
        derived_pin="pin" in draft.derived,
        derived_guest_pin="guest_pin" in draft.derived,
        legs=(*draft.adps, *dialled.first),
        fallbacks=dialled.failed,
        room=draft.room,
        assurance=assurance,
    )


def _read_backwards(room: str, template: ServiceTemplate, heading: Heading, material: Material) -> None:
    """Adds how to tell the rule's service by its name, the same for all rules that fill one room from the same
    expressions. Of these only the first and those that dial are ever told apart.
    """
    folds = folded_groups(heading.conditions)
    alike = (room, destinations(template), folds, frozenset(heading.sources.items()))
    known = material.rooms_backwards.get(alike) if room else None
    if known is None:
        origin = origin_of(heading.number, template, heading.sources.get, folds)
        if origin is not None:
            material.rooms_backwards[alike] = origin
            material.origins.append(origin)
    elif template.legs or template.fallbacks:
        material.origins.append(replace(known, number=heading.number, service=template))


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


_COMPANIONS: Final[Mapping[str, Schema]] = {
    "dial_out": {
        "type": "array",
        "items": ref("dial_out_entry"),
        "description": "Legs that the room dials, such as the contact centre's trunk.",
    },
    "assurance": SCHEMA,
}

ROOM: Final = OutcomeKey(
    "room",
    partial(_read_serve, read_draft=_read_room),
    {"type": "string", "description": "Answers with the room of this name under rooms."},
    _COMPANIONS,
)
SERVICE: Final = OutcomeKey("service", partial(_read_serve, read_draft=_read_service), ref("service"), _COMPANIONS)

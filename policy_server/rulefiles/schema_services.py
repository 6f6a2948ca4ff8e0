"""The part of the JSON Schema that comes from the models of what a node accepts: rooms, services, legs, properties."""

from collections.abc import Iterable
from typing import Final

from pydantic import TypeAdapter

from policy_server.pexip.properties import ParticipantProperties
from policy_server.pexip.service_parts import AutomaticParticipant
from policy_server.pexip.services import SERVICE_TYPES
from policy_server.pexip.shapes import SHAPES, Shape
from policy_server.policy.services import ROOM_TYPES
from policy_server.rulefiles.dial_out import MOST_WEIGHT
from policy_server.rulefiles.schema_parts import FILLED, TEMPLATE, WRITTEN_OUT, Schema, ref
from policy_server.rulefiles.services import DERIVED, FAILED, LEG_DEFAULTS, PIN_FIELDS, SHARED

_LEG_KEYS: Final[Schema] = {
    "trunk": {
        "type": "string",
        "description": "The trunk to dial, by its name under trunks, or {TABLE.COLUMN}. It gives remote_alias and routing.",
    },
    "display_name": {
        "type": "string",
        "pattern": TEMPLATE,
        "description": "What the far end sees as the caller's name; Genesys shows it as aniName. Short for "
        "local_display_name. Default: the call id, or without one the room's name.",
    },
    "when": {
        "enum": [FAILED],
        "description": "failed dials this leg only after another one failed. Not for the first entry. Left out: "
        "dialled with the room. Needs a Management Node (POLICY_MANAGEMENT_URL).",
    },
    "open": {
        "type": "string",
        "description": "Beside when: failed: the leg is dialled only while this calendar is open.",
    },
    "weight": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_WEIGHT,
        "description": "Of the entries with a weight one is dialled, as often as its weight says: of 3 and 1 the first for "
        "three calls of four, always the same for a call. Entries without one are always dialled.",
    },
}
LEG_KEYS: Final = tuple(_LEG_KEYS)
"""The keys of an entry of ``dial_out`` that are ours; the others are the fields of an automatic participant."""

_LEG_NOTES: Final = {
    **{field: f"Default: {value}." for field, value in LEG_DEFAULTS.items()},
    "local_alias": "Default: the call id (without one the room's name, written as in a URI), at the first of domains.",
    "local_display_name": "Default: the call id, or without one the room's name.",
    "remote_alias": "Instead of trunk.",
    "routing": "Default: what the trunk needs.",
}


def service_definitions() -> Schema:
    """The definitions of every service type, of rooms, automatic participants, ``dial_out`` and ``set``.

    Those named like a class (``Conference``) describe what a node accepts, with placeholders where a rule can
    have them; the others are the rules' own. Rules that join several fields are left to ``policy-server check``.
    """
    participant, properties = SHAPES[AutomaticParticipant], SHAPES[ParticipantProperties]
    definitions = _of_models((*SERVICE_TYPES.values(), participant, properties))
    for shape in SHAPES.values():
        if shape.name in definitions:
            _open_to_placeholders(definitions[shape.name]["properties"], shape)
    for service_type, shape in SERVICE_TYPES.items():
        fields = definitions[shape.name]["properties"]
        if service_type in ROOM_TYPES:
            fields[SHARED] = {
                "type": "boolean",
                "default": False,
                "description": "true: everybody who reaches this room is meant to meet in it. Silences the warnings about rooms "
                "that callers would share by accident; not sent to Pexip.",
            }
        for pin in PIN_FIELDS & fields.keys():
            fields[pin] = _or_derived(fields[pin])
    participant_set = _participant_set(definitions.pop(properties.name))
    return {
        **definitions,
        "service": {
            "description": "A service written out, whose service_type decides which fields there are.",
            "anyOf": [ref(shape.name) for shape in SERVICE_TYPES.values()],
        },
        "room": {
            "description": "A template of meeting rooms: any field of Pexip's conference or lecture service.",
            "anyOf": [ref(f"room_{name}") for name in ROOM_TYPES],
        },
        **{f"room_{name}": _room(name, definitions[SERVICE_TYPES[name].name]) for name in ROOM_TYPES},
        "dial_out_entry": _leg(definitions[participant.name]),
        "participant_set": participant_set,
    }


def _of_models(shapes: Iterable[Shape]) -> Schema:
    _, schema = TypeAdapter.json_schemas(
        [(shape.name, "validation", shape.adapter) for shape in shapes], ref_template=ref("{model}")["$ref"]
    )
    definitions: Schema = schema["$defs"]
    for shape in SHAPES.values():
        definition = definitions.get(shape.name, {"properties": {}})
        definition.pop("title", None)
        for name, field in definition["properties"].items():
            field.pop("title", None)
            field["description"] = shape.facets[name].meaning
    return definitions


def _open_to_placeholders(fields: Schema, shape: Shape) -> None:
    """A placeholder's own length does not count, so only the loader can tell whether such a text is too long."""
    for name, field in fields.items():
        facet = shape.facets[name]
        if facet.item is not None and facet.item.takes_placeholders:
            facet, field = facet.item, field["items"]  # noqa: PLW2901
        if not facet.takes_placeholders:
            continue
        if facet.names:
            field["pattern"] = WRITTEN_OUT
        elif "pattern" in field:
            field["pattern"] = f"{field['pattern']}|{FILLED}"
        else:
            field["pattern"] = TEMPLATE
            field.pop("maxLength", None)


def _or_derived(field: Schema) -> Schema:
    digits = {key: value for key, value in field.items() if key != "description"}
    return {
        "description": f"{field['description']} '{DERIVED}': made for each call from the secret key.",
        "anyOf": [{"const": DERIVED}, digits],
    }


def _room(service_type: str, service: Schema) -> Schema:
    """A room is a conference unless it says otherwise, and its own name is its ``service_tag`` unless it has one."""
    fields = dict(service["properties"])
    fields["name"] = {**fields["name"], "minLength": 1}
    tag = fields["service_tag"]
    fields["service_tag"] = {**tag, "description": f"{tag['description']} Default: the name of this template."}
    optional = {"service_tag"}
    if service_type == ROOM_TYPES[0]:
        optional.add("service_type")
        kind = fields["service_type"]
        fields["service_type"] = {**kind, "default": service_type}
    return {
        **service,
        "properties": fields,
        "required": [name for name in service["required"] if name not in optional],
    }


def _leg(participant: Schema) -> Schema:
    fields = {}
    for name, field in participant["properties"].items():
        note = _LEG_NOTES.get(name)
        fields[name] = dict(field)
        if note is not None:
            fields[name]["description"] = f"{field['description'].partition(' Default: ')[0]} {note}"
        if name in LEG_DEFAULTS:
            fields[name]["default"] = LEG_DEFAULTS[name]
    return {
        "description": "A leg that the room dials when the first caller is in: a trunk, or any remote_alias.",
        "type": "object",
        "properties": {**_LEG_KEYS, **fields},
        "additionalProperties": False,
        "oneOf": [{"required": ["trunk"]}, {"required": ["remote_alias"]}],
        "not": {"required": ["display_name", "local_display_name"]},
    }


def _participant_set(properties: Schema) -> Schema:
    fields = {name: field for name, field in properties["properties"].items() if name != "reject_reason"}
    return {**properties, "properties": fields, "minProperties": 1}

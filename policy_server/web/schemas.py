"""The shapes in ``/openapi.json`` (JSON Schema 2020-12), made of the types of requests and answers, with their examples."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from policy_server.conferences.link_requests import LinkMove, LinkRequest
from policy_server.conferences.search import CallSummary
from policy_server.conferences.view import CallDetails, Conference
from policy_server.conferences.webhook_messages import WebhookMessage
from policy_server.web.conferences import CallPage
from policy_server.web.events import BulkMessage, EventMessage, EventsTaken
from policy_server.web.links import Link, LinkWithConference
from policy_server.web.problem import Problem

Json = dict[str, Any]

_TYPES: Final = (
    BulkMessage,
    CallDetails,
    CallPage,
    CallSummary,
    Conference,
    EventMessage,
    EventsTaken,
    Link,
    LinkMove,
    LinkRequest,
    LinkWithConference,
    Problem,
    WebhookMessage,
)


class _Shapes(GenerateJsonSchema):
    """JSON Schema as people read it: enumerations where they are used, and no titles, which only say the names again."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        if schema["type"] != "enum":
            return super().generate_inner(schema)
        return _untitled(super().generate_inner({key: schema[key] for key in schema if key != "ref"}))

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        shape = _untitled(super().typed_dict_schema(schema))
        return {**shape, "description": " ".join(shape["description"].split())}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if "type" not in inner:
            return super().nullable_schema(schema)
        words = {"enum": [*inner["enum"], None]} if "enum" in inner else {}
        return {**inner, **words, "type": [inner["type"], "null"]}


def _untitled(schema: JsonSchemaValue) -> JsonSchemaValue:
    return {key: value for key, value in schema.items() if key != "title"}


def ref(name: str) -> Json:
    """A reference to one of the shapes."""
    return {"$ref": f"#/components/schemas/{name}"}


@cache
def _shapes() -> Mapping[str, Any]:
    inputs: Any = [(shape, "serialization", TypeAdapter(shape)) for shape in _TYPES]
    _, whole = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}", schema_generator=_Shapes)
    shapes: Mapping[str, Any] = whole["$defs"]
    return shapes


def schemas(link_types: Sequence[str], joining: Collection[str] = ()) -> Json:
    """Every shape by its name. ``link_types`` are the types of link that there are, ``joining`` those that join another."""
    shapes = dict(_shapes())
    shapes["LinkMove"] = {**shapes["LinkMove"], "additionalProperties": False}
    shapes["LinkRequest"] = _link_request(shapes["LinkRequest"], list(link_types), sorted(joining))
    return shapes | {
        "ConferenceEvent": _event(
            "conference",
            "One event of a stream: the conference as it is now.",
            "Conference",
            id={
                "type": "string",
                "description": "The number of the last change; send it as `Last-Event-ID` to go on from there.",
            },
        ),
        "EndEvent": _event("end", "The last event of a stream that the server ends, and why.", "Problem"),
    }


def _link_request(shape: Json, link_types: list[str], joining: list[str]) -> Json:
    fields = dict(shape["properties"])
    further: Json = {}
    if link_types:
        fields["type"] = {**fields["type"], "enum": link_types, "examples": link_types[:1]}
        joins = fields.pop("joins")
        if joining:
            is_example = link_types[0] in joining
            fields["joins"] = {key: value for key, value in joins.items() if key != "examples" or is_example}
            further = {
                "if": {"properties": {"type": {"enum": joining}}},
                "then": {"required": ["joins"]},
                "else": {"properties": {"joins": False}},
            }
    further["not"] = {"required": ["ttl", "starts_at"]}
    return {**shape, "additionalProperties": False, "properties": fields, **further}


def _event(name: str, description: str, data: str, **further: Json) -> Json:
    """One event of a stream."""
    fields = {
        "event": {"const": name},
        **further,
        "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": ref(data)},
    }
    return {"type": "object", "description": description, "required": list(fields), "properties": fields}


def example_of(name: str, shapes: Mapping[str, Any]) -> Json:
    """An example of a shape, out of those of its fields; fields that need not be there have none or one."""
    shape = shapes[name]
    found = {field: _example(schema, shapes) for field, schema in shape["properties"].items()}
    return {field: value for field, value in found.items() if value is not ... or field in shape["required"]}


def _example(schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> object:
    if "examples" in schema:
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if schema.get("type") == "array":
        return [_example(schema["items"], shapes)]
    (first, *_) = schema.get("anyOf", (schema,))
    return example_of(first["$ref"].rpartition("/")[2], shapes) if "$ref" in first else ...

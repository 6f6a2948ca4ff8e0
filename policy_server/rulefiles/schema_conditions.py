"""The part of the JSON Schema for ``when``: what each request parameter can be compared with."""

from collections.abc import Mapping
from typing import Final

from policy_server.pexip.parameters import Kind, Parameter, parameters_of
from policy_server.pexip.request_types import RequestType
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import LinkState
from policy_server.policy.templates import without_raw
from policy_server.rulefiles.conditions import condition_keys
from policy_server.rulefiles.schema_parts import Schema, one_or_list, ref

_OTHER_MEANINGS: Final[Mapping[str, str]] = {
    "idp_attributes": "Attributes of the Identity Provider, each with the regular expression that one of its values "
    "matches.",
    "link_attributes": "Attributes that the customer's link was given, each with a regular expression.",
    "link": "What the link in the alias is worth: valid (signed by us for this alias, and its door is open), early, "
    "expired, invalid (not signed by us, or revoked), or absent.",
    "link_type": "The link type whose alias was dialled, by its name under links, or a list; whoever signed it.",
    "door": "Whose alias of a link type was dialled: the customer's or the agents'.",
    "percent": "The share of calls, 0 to 100, for which the rule holds; always the same for one call.",
    "open": "The calendar that must be open now, by its name under calendars.",
    "closed": "The calendar that must be closed now, by its name under calendars.",
    "any": "At least one of these holds.",
    "all": "All of these hold.",
    "not": "These do not all hold. With a list: none of its entries holds. A value that cannot be read satisfies "
    "neither this nor its opposite.",
}

_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_ADDRESS: Final[Schema] = {
    "type": "string",
    "pattern": r"^\s*[0-9A-Fa-f.:]+(%[^\s/]+)?(/[0-9.]+)?\s*$",
    "patternErrorMessage": "Write an address or a network such as 10.20.0.0/16",
}

_EXPRESSION: Final = "A regular expression (RE2) for the whole text, or a list of them."

_FORMS: Final[Mapping[Kind, tuple[str, Schema]]] = {
    Kind.ALIAS: ("A regular expression (RE2) for the whole alias, in any case, or a list of them.", _TEXT),
    Kind.TEXT: (_EXPRESSION, _TEXT),
    Kind.LIST: ("A regular expression (RE2) for a whole entry, or a list of them.", _TEXT),
    Kind.INTEGER: ("A whole number or a list of them.", {"type": "integer"}),
    Kind.ADDRESS: ("An address, a network such as 10.20.0.0/16, or a list of them.", _ADDRESS),
}


def condition_definitions(requests: tuple[RequestType, ...]) -> Schema:
    """The definition of ``when`` for each of some questions, by the name that ``when_name`` gives it."""
    return {when_name(request): _when(request) for request in requests}


def when_name(request: RequestType) -> str:
    """The name of the definition of ``when`` in the rules that answer a question."""
    return f"{request.value}_when"


def _when(request: RequestType) -> Schema:
    parameters = {parameter.name: parameter for parameter in parameters_of(request)}
    here = ref(when_name(request))
    return {
        "description": "Conditions, all of which must hold.",
        "type": "object",
        "properties": {
            key: _parameter(parameters[without_raw(key)], raw=key not in parameters)
            if without_raw(key) in parameters
            else _other(key, here)
            for key in condition_keys(request)
        },
        "additionalProperties": False,
        "minProperties": 1,
    }


def _parameter(parameter: Parameter, *, raw: bool = False) -> Schema:
    meaning = parameter.meaning
    if raw:
        return one_or_list(
            _TEXT, f"{parameter.name} as it came: case, scheme, parameters and domain count. {_EXPRESSION}"
        )
    if parameter.kind is Kind.BOOLEAN:
        return {"description": meaning, "type": "boolean"}
    if parameter.kind is Kind.CHOICE:
        item = {"enum": list(parameter.choices)} if parameter.choices else _TEXT
        return one_or_list(item, f"{meaning} One value or a list.")
    form, item = _FORMS[parameter.kind]
    return one_or_list(item, f"{meaning} {form}")


def _other(key: str, here: Schema) -> Schema:
    description = _OTHER_MEANINGS[key]
    match key:
        case "open" | "closed":
            return {"description": description, "type": "string"}
        case "link_type":
            return one_or_list(_TEXT, description)
        case "door":
            return one_or_list({"enum": [entrance.value for entrance in Entrance]}, description)
        case "link":
            return one_or_list({"enum": [state.value for state in LinkState]}, description)
        case "percent":
            return {"description": description, "type": "number", "minimum": 0, "maximum": 100}
        case "any" | "all":
            return {"description": description, "type": "array", "items": here, "minItems": 1}
        case "not":
            return one_or_list(here, description)
        case _:
            values = one_or_list(_TEXT, "A regular expression (RE2) for the whole value, or a list of them.")
            return {"description": description, "type": "object", "additionalProperties": values, "minProperties": 1}

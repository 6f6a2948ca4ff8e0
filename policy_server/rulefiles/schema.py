"""The JSON Schema of a rule file, so that editors complete and check while an admin types.

It is made from the tables that the loader reads by, and from the models of what a node accepts. It knows keys, kinds
and words; what needs more (names that exist, PIN rules, regular expressions, ids used twice) is for
``policy-server check``. Of draft 2020-12 it has only what draft-07 has too, ``$defs`` apart, which every editor knows.
"""

from collections.abc import Mapping
from typing import Final

from policy_server.pexip.properties import MediaLocation, Registration
from policy_server.pexip.request_types import RequestType
from policy_server.rulefiles.load import LISTS, SECTIONS
from policy_server.rulefiles.rules import COMMON_KEYS, FURTHER_KEYS, OUTCOME_KEYS
from policy_server.rulefiles.schema_conditions import condition_definitions, when_name
from policy_server.rulefiles.schema_parts import (
    LINE,
    NAME,
    TEMPLATE,
    WRITTEN,
    Schema,
    described,
    one_or_list,
    ref,
    table,
)
from policy_server.rulefiles.schema_sections import section_definitions
from policy_server.rulefiles.schema_services import service_definitions

_QUESTIONS: Final[Mapping[RequestType, str]] = {
    RequestType.SERVICE: "Which service does an alias reach?",
    RequestType.PARTICIPANT: "How does a participant join?",
    RequestType.LOCATION: "Which location handles a participant's media?",
    RequestType.REGISTRATION: "Which devices may register?",
}

_COMMON: Final[Mapping[str, Schema]] = {
    "id": {
        "type": "string",
        "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$",
        "patternErrorMessage": "Write lower-case letters and digits joined by -",
        "maxLength": 100,
        "description": "The rule's name in logs and tests, unique in its list: lower-case letters and digits joined "
        "by -.",
    },
    "description": {"type": "string", "description": "A note for people."},
    "enabled": {"type": "boolean", "default": True, "description": "false switches the rule off."},
}

_TEXT: Final[Schema] = {"type": "string", "pattern": rf"^(?=[\s\S]*\S){TEMPLATE.removeprefix('^')}"}
_CONTINUE: Final[Schema] = {"const": True, "description": "true: Pexip's own configuration decides."}

_OUTCOMES: Final[Mapping[RequestType, Mapping[str, Schema]]] = {
    RequestType.SERVICE: {
        "room": {"type": "string", "description": "Answers with the room of this name under rooms."},
        "service": ref("service"),
        "redirect": {**_TEXT, "description": "Sends the caller to another alias; may have placeholders."},
        "reject": {**_TEXT, "description": "Refuses the call with this text; may have placeholders."},
        "continue": _CONTINUE,
        "dial_out": {
            "type": "array",
            "items": ref("dial_out_entry"),
            "description": "Legs that the room dials, such as the contact centre's trunk. Goes with room or service.",
        },
    },
    RequestType.PARTICIPANT: {
        "set": ref("participant_set"),
        "reject": {**_TEXT, "description": "Refuses the participant with this text; may have placeholders."},
        "continue": _CONTINUE,
    },
    RequestType.LOCATION: {
        "location": {**NAME, "description": described(MediaLocation, "location")},
        "overflow_locations": one_or_list(
            NAME, f"{described(MediaLocation, 'overflow_locations')} Goes with location.", may_be_empty=True
        ),
        "continue": _CONTINUE,
    },
    RequestType.REGISTRATION: {
        "allow": ref("registration_allow"),
        "reject": {"const": True, "description": "true refuses the device."},
        "continue": _CONTINUE,
    },
}

_GOES_WITH: Final[Mapping[str, tuple[str, ...]]] = {
    "dial_out": ("room", "service"),
    "overflow_locations": ("location",),
}


def rule_file_schema() -> dict[str, object]:
    """The schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of the policy server",
        "description": "What the policy server answers to Conferencing Nodes. All rule files of a folder count as one.",
        "type": "object",
        "properties": {name: ref(f"{name}_section") for name in SECTIONS},
        "additionalProperties": False,
        "$defs": {
            **section_definitions(),
            **{f"{section}_section": _rules(request) for section, request in LISTS.items()},
            **{_rule_name(request): _rule(request) for request in LISTS.values()},
            "registration_allow": _allow(),
            **condition_definitions(tuple(LISTS.values())),
            **service_definitions(),
        },
    }


def _rule_name(request: RequestType) -> str:
    return f"{request.value}_rule"


def _rules(request: RequestType) -> Schema:
    return {
        "description": f"{_QUESTIONS[request]} The first rule whose conditions all hold answers; if none does, Pexip's "
        "own configuration decides.",
        "type": ["array", "null"],
        "items": ref(_rule_name(request)),
    }


def _rule(request: RequestType) -> Schema:
    outcomes, further = OUTCOME_KEYS[request], FURTHER_KEYS.get(request, ())
    companions = [
        {"if": {"required": [key]}, "then": {"anyOf": [{"required": [outcome]} for outcome in _GOES_WITH[key]]}}
        for key in further
    ]
    return table(
        f"{_QUESTIONS[request]} A rule has an id, conditions (when) and one outcome: {', '.join(outcomes)}.",
        (*COMMON_KEYS, *outcomes, *further),
        {**_COMMON, "when": ref(when_name(request)), **_OUTCOMES[request]},
        required=["id"],
        oneOf=[{"required": [outcome]} for outcome in outcomes],
        **({"allOf": companions} if companions else {}),
    )


def _allow() -> Schema:
    fields: dict[str, Schema] = {
        "username": {**LINE, "description": described(Registration, "username")},
        "password": {
            **WRITTEN,
            "maxLength": 250,
            "description": f"{described(Registration, 'password')} Whoever can read the rules can read it: "
            "password_env is better.",
        },
        "password_env": {
            "type": "string",
            "description": "The environment variable that holds the expected password.",
        },
    }
    credentials = table(
        "The credentials that the device must show.",
        fields,
        fields,
        required=["username"],
        oneOf=[{"required": ["password_env"]}, {"required": ["password"]}],
    )
    return {
        "description": "Lets the device register, with these credentials or (true) with any.",
        "anyOf": [{"const": True}, credentials],
    }

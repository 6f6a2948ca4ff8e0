"""The part of the JSON Schema for ``when``: what each request parameter can be compared with."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from policy_server.pexip.parameters import Kind, Parameter, RequestType, parameters_of
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import LinkState
from policy_server.policy.templates import without_raw
from policy_server.rulefiles.conditions import condition_keys
from policy_server.rulefiles.schema_parts import Schema, one_or_list, ref

PARAMETER_MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "alias": "The alias that registers.",
        "auth_type": "How the device that registers proves who it is.",
        "bandwidth": "The bandwidth that the caller asks for; often 0, and of use for inbound calls only.",
        "breakout_uuid": "The breakout room that the question is about; missing for the main room.",
        "bypass_lock": "Whether the participant may enter a locked conference.",
        "call_direction": "dial_in: a call to Pexip. dial_out: Pexip calls. non_dial: a lookup without a call.",
        "call_tag": "A tag that the client gave, or that an earlier participant answer set.",
        "call_uuid": "The identifier of the participant's call.",
        "can_receive_personal_mix": "Whether the participant may use a layout of their own (recent versions).",
        "disable_overlay_text": "Whether the participant's name is hidden over the video (recent versions).",
        "display_count": "The number of screens; known for Teams Rooms with One-Touch Join.",
        "encryption": "Whether media is encrypted.",
        "has_authenticated_display_name": "Whether an Identity Provider vouches for the display name.",
        "idp_uuid": "The Identity Provider that the participant signed on with.",
        "layout_group": "The layout group of the participant (recent versions).",
        "local_alias": "The alias that was dialled, without scheme, parameters and our own domains.",
        "location": "The location of the Conferencing Node that asks.",
        "ms-subnet": "The caller's subnet, from the SIP header of that name.",
        "node_ip": "The address of the Conferencing Node that asks.",
        "p_Asserted-Identity": "The caller's identity as the SIP network asserts it; as good as whoever set it.",
        "participant_type": "standard: sends media. api: the control half of a Pexip app. api_host: that of a Host "
        "who starts the conference.",
        "participant_uuid": "The identifier of the participant.",
        "preauthenticated_role": "The role known so far; missing before PIN entry. chair is Host.",
        "prefers_multiscreen_mix": "Whether the participant uses several screens (recent versions).",
        "previous_service_name": "The service that the participant was transferred from.",
        "protocol": "The signalling protocol; api is a Pexip app that joins, webrtc its media.",
        "proxy_node_address": "The Proxying Edge Node that took the call, if one did.",
        "proxy_node_location": "The location of the Proxying Edge Node that took the call, if one did.",
        "pseudo_version_id": "The build of Pexip Infinity, such as 77683.0.0.",
        "receive_from_audio_mix": "The audio mix that the participant hears.",
        "receive_from_video_mix~mix_name": "The video mix that the participant sees (recent versions).",
        "registered": "Whether the far end is registered to this Pexip, whoever it is.",
        "remote_address": "The IP address of the far end.",
        "remote_alias": "The alias of the far end; for a call that Pexip makes, what it calls.",
        "remote_display_name": "The display name of the far end: any text that the caller chose.",
        "remote_port": "The signalling port of the far end.",
        "request_id": "A short identifier of the question (not in every version).",
        "rx_presentation_policy": "Whether the participant receives presentations (recent versions).",
        "send_to_audio_mixes_mix_name": "The audio mix that the participant speaks to; main so far.",
        "send_to_audio_mixes_prominent": "Whether the participant speaks over the mix; false so far.",
        "service_name": "The name of the service, as our earlier answer gave it. In service questions only for "
        "dial_out and breakout rooms.",
        "service_tag": "The service_tag of our earlier answer. In service questions only for dial_out.",
        "spotlight": "The participant's spotlight priority (recent versions).",
        "supports_direct_media": "Whether the call can have direct media.",
        "teams_tenant_id": "The Microsoft Teams tenant of a Teams Room that calls.",
        "telehealth_request_id": "The identifier of an Epic telehealth call.",
        "third_party_passcode": "The passcode of the invitation that a Teams Room joins by.",
        "trigger": "What caused the question. web: a Pexip app. invite, options, subscribe: SIP. setup, arq, lrq: "
        "H.323. two_stage_dialing: a Virtual Reception.",
        "unique_service_name": "service_name; for a gateway call or breakout room with a unique ending.",
        "vendor": "The maker and version of the device, or the browser.",
        "version_id": "The major version of Pexip Infinity, such as 35.",
        "wants_presentation_in_mix": "Whether presentations come inside the main picture (recent versions).",
    }
)
"""What each parameter of a rule's ``when`` is (reference: pexip-policy-requests.md, section 6)."""

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
    meaning = PARAMETER_MEANINGS[parameter.name]
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

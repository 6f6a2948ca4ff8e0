"""The request parameters of Pexip's external policy API (reference: pexip-policy-requests.md, sections 5 and 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType


class RequestType(StrEnum):
    """The six questions that a Conferencing Node asks; the value is the first word of ``policy-server explain``."""

    SERVICE = "service"
    PARTICIPANT = "participant"
    LOCATION = "location"
    AVATAR = "avatar"
    DIRECTORY = "directory"
    REGISTRATION = "registration"


class Kind(Enum):
    """How the text of a parameter reads, and so what a rule may compare it with."""

    ALIAS = "alias"
    TEXT = "text"
    CHOICE = "choice"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    ADDRESS = "address"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name as Pexip sends it, how it reads, and the requests that carry it.

    ``choices`` lists the documented values of an enumerated parameter; it is empty where the values are names
    of the deployment (``location``). ``secret`` marks a value that must not reach logs or traces.
    """

    name: str
    kind: Kind
    requests: frozenset[RequestType]
    choices: tuple[str, ...] = ()
    secret: bool = False


_LETTERS = {
    "S": RequestType.SERVICE,
    "P": RequestType.PARTICIPANT,
    "L": RequestType.LOCATION,
    "A": RequestType.AVATAR,
    "D": RequestType.DIRECTORY,
    "R": RequestType.REGISTRATION,
}

_TABLE: tuple[tuple[str, Kind, str, tuple[str, ...]], ...] = (
    ("auth_type", Kind.CHOICE, "R", ("credentials", "sso")),
    ("bandwidth", Kind.INTEGER, "SPLA", ()),
    ("breakout_uuid", Kind.TEXT, "SP", ()),
    ("bypass_lock", Kind.BOOLEAN, "P", ()),
    ("call_direction", Kind.CHOICE, "SPLA", ("dial_in", "dial_out", "non_dial")),
    ("call_tag", Kind.TEXT, "SPLAD", ()),
    ("call_uuid", Kind.TEXT, "P", ()),
    ("can_receive_personal_mix", Kind.BOOLEAN, "P", ()),
    ("disable_overlay_text", Kind.BOOLEAN, "P", ()),
    ("display_count", Kind.INTEGER, "SP", ()),
    ("encryption", Kind.CHOICE, "SPLA", ("On", "Off", "Unknown")),
    ("has_authenticated_display_name", Kind.BOOLEAN, "SPLA", ()),
    ("height", Kind.INTEGER, "A", ()),
    ("idp_uuid", Kind.TEXT, "SPLA", ()),
    ("layout_group", Kind.TEXT, "P", ()),
    ("limit", Kind.INTEGER, "D", ()),
    ("local_alias", Kind.ALIAS, "SPLA", ()),
    ("location", Kind.CHOICE, "SPLADR", ()),
    ("ms-subnet", Kind.LIST, "SPLA", ()),
    ("node_ip", Kind.ADDRESS, "SPLADR", ()),
    ("p_Asserted-Identity", Kind.LIST, "SPLA", ()),
    ("participant_type", Kind.CHOICE, "P", ("standard", "api", "api_host")),
    ("participant_uuid", Kind.TEXT, "P", ()),
    ("preauthenticated_role", Kind.CHOICE, "P", ("chair", "guest")),
    ("prefers_multiscreen_mix", Kind.BOOLEAN, "P", ()),
    ("previous_service_name", Kind.TEXT, "SPL", ()),
    ("protocol", Kind.CHOICE, "SPLAR", ("api", "webrtc", "sip", "rtmp", "h323", "teams", "mssip")),
    ("proxy_node_address", Kind.ADDRESS, "LA", ()),
    ("proxy_node_location", Kind.CHOICE, "LA", ()),
    ("pseudo_version_id", Kind.TEXT, "SPLADR", ()),
    ("q", Kind.TEXT, "D", ()),
    ("receive_from_audio_mix", Kind.TEXT, "P", ()),
    ("receive_from_video_mix~mix_name", Kind.TEXT, "P", ()),
    ("registered", Kind.BOOLEAN, "SPLA", ()),
    ("registration_alias", Kind.ALIAS, "D", ()),
    ("remote_address", Kind.ADDRESS, "SPLAR", ()),
    ("remote_alias", Kind.ALIAS, "SPLA", ()),
    ("remote_display_name", Kind.TEXT, "SPLA", ()),
    ("remote_port", Kind.INTEGER, "SPLA", ()),
    ("request_id", Kind.TEXT, "PL", ()),
    ("role", Kind.CHOICE, "A", ("chair", "guest", "unknown")),
    ("rx_presentation_policy", Kind.CHOICE, "P", ("ALLOW", "DENY")),
    ("send_to_audio_mixes_mix_name", Kind.TEXT, "P", ()),
    ("send_to_audio_mixes_prominent", Kind.BOOLEAN, "P", ()),
    ("service_name", Kind.TEXT, "SPLA", ()),
    ("service_tag", Kind.TEXT, "SPLA", ()),
    ("spotlight", Kind.INTEGER, "P", ()),
    ("supports_direct_media", Kind.BOOLEAN, "SPLA", ()),
    ("teams_tenant_id", Kind.TEXT, "SPLA", ()),
    ("telehealth_request_id", Kind.TEXT, "SPL", ()),
    ("third_party_passcode", Kind.TEXT, "SP", ()),
    (
        "trigger",
        Kind.CHOICE,
        "SPLA",
        (
            "web",
            "web_avatar_fetch",
            "invite",
            "options",
            "subscribe",
            "setup",
            "arq",
            "lrq",
            "two_stage_dialing",
            "teams",
            "unspecified",
        ),
    ),
    ("unique_service_name", Kind.TEXT, "SPLA", ()),
    ("vendor", Kind.TEXT, "SPLA", ()),
    ("version_id", Kind.TEXT, "SPLADR", ()),
    ("wants_presentation_in_mix", Kind.BOOLEAN, "P", ()),
    ("width", Kind.INTEGER, "A", ()),
)

_SECRET = frozenset({"third_party_passcode"})

PATH_ALIAS = Parameter("alias", Kind.ALIAS, frozenset({RequestType.AVATAR, RequestType.REGISTRATION}))
"""The alias that avatar and registration questions carry in the path; rules call it ``alias``."""

PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        name: Parameter(name, kind, frozenset(_LETTERS[letter] for letter in letters), choices, secret=name in _SECRET)
        for name, kind, letters, choices in _TABLE
    }
)
"""Every parameter of a query by the name Pexip gives it, `idp_attribute_<name>` apart."""


def folded(name: str) -> str:
    """A parameter name without the differences between versions: case, and ``-`` for ``_`` (section 4, item 6)."""
    return name.lower().replace("-", "_")


FOLDED_NAMES: Mapping[str, str] = MappingProxyType({folded(name): name for name in PARAMETERS})
"""Folded name to the name as documented."""


def parameters_of(request: RequestType) -> tuple[Parameter, ...]:
    """The parameters that a question of this type can carry, in name order, the alias of the path first."""
    path = (PATH_ALIAS,) if request in PATH_ALIAS.requests else ()
    return path + tuple(parameter for parameter in PARAMETERS.values() if request in parameter.requests)

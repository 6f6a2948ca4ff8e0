"""The request parameters of Pexip's external policy API (pexip/README.md: Parameters)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from policy_server.pexip.fields import Named
from policy_server.pexip.request_types import RequestType


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
    """One parameter: its name as Pexip sends it, how it reads, the requests that carry it, and what it means.

    ``choices`` are the documented values of an enumerated parameter; where there are none, the values are names of
    objects of the deployment, of the kind ``names``.
    """

    name: str
    kind: Kind
    requests: frozenset[RequestType]
    meaning: str
    choices: tuple[str, ...] = ()
    names: Named | None = None
    secret: bool = False
    """The value must not reach logs or traces."""
    always_sent: bool = False
    """Every question about a call has a value."""
    chosen: bool = False
    """Callers write what they like."""
    vouched: bool = False
    """A node, a trunk or an Identity Provider knows the value of a caller, or few callers know it."""
    any_language: bool = False
    """The value is text in any language."""


_LETTERS = {kind.about.letter: kind for kind in RequestType}


def _in(letters: str) -> frozenset[RequestType]:
    return frozenset(_LETTERS[letter] for letter in letters)


PATH_ALIAS = Parameter(
    "alias",
    Kind.ALIAS,
    frozenset(kind for kind in RequestType if kind.about.has_alias),
    "The alias that registers.",
)
"""The alias that some questions carry in the path; rules call it ``alias``."""

_TABLE = (
    Parameter(
        "auth_type",
        Kind.CHOICE,
        _in("R"),
        "How the device that registers proves who it is.",
        choices=("credentials", "sso"),
    ),
    Parameter(
        "bandwidth",
        Kind.INTEGER,
        _in("SPLA"),
        "The bandwidth that the caller asks for; often 0, and of use for inbound calls only.",
    ),
    Parameter(
        "breakout_uuid",
        Kind.TEXT,
        _in("SP"),
        "The breakout room that the question is about; missing for the main room.",
    ),
    Parameter("bypass_lock", Kind.BOOLEAN, _in("P"), "Whether the participant may enter a locked conference."),
    Parameter(
        "call_direction",
        Kind.CHOICE,
        _in("SPLA"),
        "dial_in: a call to Pexip. dial_out: Pexip calls. non_dial: a lookup without a call.",
        choices=("dial_in", "dial_out", "non_dial"),
        always_sent=True,
    ),
    Parameter(
        "call_tag",
        Kind.TEXT,
        _in("SPLAD"),
        "A tag that the client gave, or that an earlier participant answer set.",
        chosen=True,
    ),
    Parameter("call_uuid", Kind.TEXT, _in("P"), "The identifier of the participant's call."),
    Parameter(
        "can_receive_personal_mix",
        Kind.BOOLEAN,
        _in("P"),
        "Whether the participant may use a layout of their own (recent versions).",
    ),
    Parameter(
        "disable_overlay_text",
        Kind.BOOLEAN,
        _in("P"),
        "Whether the participant's name is hidden over the video (recent versions).",
    ),
    Parameter(
        "display_count", Kind.INTEGER, _in("SP"), "The number of screens; known for Teams Rooms with One-Touch Join."
    ),
    Parameter("encryption", Kind.CHOICE, _in("SPLA"), "Whether media is encrypted.", choices=("On", "Off", "Unknown")),
    Parameter(
        "has_authenticated_display_name",
        Kind.BOOLEAN,
        _in("SPLA"),
        "Whether an Identity Provider vouches for the display name.",
        vouched=True,
    ),
    Parameter("height", Kind.INTEGER, _in("A"), "The height of the picture that is wanted, in pixels."),
    Parameter(
        "idp_uuid", Kind.TEXT, _in("SPLA"), "The Identity Provider that the participant signed on with.", vouched=True
    ),
    Parameter("layout_group", Kind.TEXT, _in("P"), "The layout group of the participant (recent versions)."),
    Parameter("limit", Kind.INTEGER, _in("D"), "The number of results that the search may give; 10 so far."),
    Parameter(
        "local_alias",
        Kind.ALIAS,
        _in("SPLA"),
        "The alias that was dialled, without scheme, parameters and our own domains.",
        always_sent=True,
        chosen=True,
    ),
    Parameter(
        "location",
        Kind.CHOICE,
        _in("SPLADR"),
        "The location of the Conferencing Node that asks.",
        names=Named.LOCATION,
        always_sent=True,
        vouched=True,
    ),
    Parameter(
        "ms-subnet", Kind.LIST, _in("SPLA"), "The caller's subnet, from the SIP header of that name.", vouched=True
    ),
    Parameter(
        "node_ip",
        Kind.ADDRESS,
        _in("SPLADR"),
        "The address of the Conferencing Node that asks.",
        always_sent=True,
        vouched=True,
    ),
    Parameter(
        "p_Asserted-Identity",
        Kind.LIST,
        _in("SPLA"),
        "The caller's identity as the SIP network asserts it; as good as whoever set it.",
        vouched=True,
    ),
    Parameter(
        "participant_type",
        Kind.CHOICE,
        _in("P"),
        "standard: sends media. api: the control half of a Pexip app. api_host: that of a Host who starts the "
        "conference.",
        choices=("standard", "api", "api_host"),
    ),
    Parameter("participant_uuid", Kind.TEXT, _in("P"), "The identifier of the participant."),
    Parameter(
        "preauthenticated_role",
        Kind.CHOICE,
        _in("P"),
        "The role known so far; missing before PIN entry. chair is Host.",
        choices=("chair", "guest"),
    ),
    Parameter(
        "prefers_multiscreen_mix",
        Kind.BOOLEAN,
        _in("P"),
        "Whether the participant uses several screens (recent versions).",
    ),
    Parameter("previous_service_name", Kind.TEXT, _in("SPL"), "The service that the participant was transferred from."),
    Parameter(
        "protocol",
        Kind.CHOICE,
        _in("SPLAR"),
        "The signalling protocol; api is a Pexip app that joins, webrtc its media.",
        choices=("api", "webrtc", "sip", "rtmp", "h323", "teams", "mssip"),
        always_sent=True,
    ),
    Parameter(
        "proxy_node_address",
        Kind.ADDRESS,
        _in("LA"),
        "The Proxying Edge Node that took the call, if one did.",
        vouched=True,
    ),
    Parameter(
        "proxy_node_location",
        Kind.CHOICE,
        _in("LA"),
        "The location of the Proxying Edge Node that took the call, if one did.",
        names=Named.LOCATION,
    ),
    Parameter(
        "pseudo_version_id",
        Kind.TEXT,
        _in("SPLADR"),
        "The build of Pexip Infinity, such as 77683.0.0.",
        always_sent=True,
    ),
    Parameter(
        "q", Kind.TEXT, _in("D"), "What the user of the app typed to search for; may be empty.", any_language=True
    ),
    Parameter("receive_from_audio_mix", Kind.TEXT, _in("P"), "The audio mix that the participant hears."),
    Parameter(
        "receive_from_video_mix~mix_name",
        Kind.TEXT,
        _in("P"),
        "The video mix that the participant sees (recent versions).",
    ),
    Parameter(
        "registered",
        Kind.BOOLEAN,
        _in("SPLA"),
        "Whether the far end is registered to this Pexip, whoever it is.",
        vouched=True,
    ),
    Parameter("registration_alias", Kind.ALIAS, _in("D"), "The alias of the registered app that searches."),
    Parameter("remote_address", Kind.ADDRESS, _in("SPLAR"), "The IP address of the far end.", vouched=True),
    Parameter(
        "remote_alias",
        Kind.ALIAS,
        _in("SPLA"),
        "The alias of the far end; for a call that Pexip makes, what it calls.",
        chosen=True,
    ),
    Parameter(
        "remote_display_name",
        Kind.TEXT,
        _in("SPLA"),
        "The display name of the far end: any text that the caller chose.",
        chosen=True,
        any_language=True,
    ),
    Parameter("remote_port", Kind.INTEGER, _in("SPLA"), "The signalling port of the far end."),
    Parameter("request_id", Kind.TEXT, _in("PL"), "A short identifier of the question (not in every version)."),
    Parameter(
        "role",
        Kind.CHOICE,
        _in("A"),
        "The role of the participant whose picture is wanted. chair is Host.",
        choices=("chair", "guest", "unknown"),
    ),
    Parameter(
        "rx_presentation_policy",
        Kind.CHOICE,
        _in("P"),
        "Whether the participant receives presentations (recent versions).",
        choices=("ALLOW", "DENY"),
    ),
    Parameter(
        "send_to_audio_mixes_mix_name",
        Kind.TEXT,
        _in("P"),
        "The audio mix that the participant speaks to; main so far.",
    ),
    Parameter(
        "send_to_audio_mixes_prominent",
        Kind.BOOLEAN,
        _in("P"),
        "Whether the participant speaks over the mix; false so far.",
    ),
    Parameter(
        "service_name",
        Kind.TEXT,
        _in("SPLA"),
        "The name of the service, as our earlier answer gave it. In service questions only for dial_out and breakout "
        "rooms.",
    ),
    Parameter(
        "service_tag",
        Kind.TEXT,
        _in("SPLA"),
        "The service_tag of our earlier answer. In service questions only for dial_out.",
    ),
    Parameter("spotlight", Kind.INTEGER, _in("P"), "The participant's spotlight priority (recent versions)."),
    Parameter("supports_direct_media", Kind.BOOLEAN, _in("SPLA"), "Whether the call can have direct media."),
    Parameter(
        "teams_tenant_id",
        Kind.TEXT,
        _in("SPLA"),
        "The Microsoft Teams tenant of a Teams Room that calls.",
        vouched=True,
    ),
    Parameter("telehealth_request_id", Kind.TEXT, _in("SPL"), "The identifier of an Epic telehealth call."),
    Parameter(
        "third_party_passcode",
        Kind.TEXT,
        _in("SP"),
        "The passcode of the invitation that a Teams Room joins by.",
        vouched=True,
        secret=True,
    ),
    Parameter(
        "trigger",
        Kind.CHOICE,
        _in("SPLA"),
        "What caused the question. web: a Pexip app. invite, options, subscribe: SIP. setup, arq, lrq: H.323. "
        "two_stage_dialing: a Virtual Reception.",
        choices=(
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
    Parameter(
        "unique_service_name",
        Kind.TEXT,
        _in("SPLA"),
        "service_name; for a gateway call or breakout room with a unique ending.",
    ),
    Parameter(
        "vendor", Kind.TEXT, _in("SPLA"), "The maker and version of the device, or the browser.", any_language=True
    ),
    Parameter(
        "version_id", Kind.TEXT, _in("SPLADR"), "The major version of Pexip Infinity, such as 35.", always_sent=True
    ),
    Parameter(
        "wants_presentation_in_mix",
        Kind.BOOLEAN,
        _in("P"),
        "Whether presentations come inside the main picture (recent versions).",
    ),
    Parameter("width", Kind.INTEGER, _in("A"), "The width of the picture that is wanted, in pixels."),
)

PARAMETERS: Mapping[str, Parameter] = MappingProxyType({parameter.name: parameter for parameter in _TABLE})
"""Every parameter of a query by the name Pexip gives it, `idp_attribute_<name>` apart."""


def folded(name: str) -> str:
    """A parameter name without the differences between versions: case, and ``-`` for ``_``.

    (pexip/README.md: Encoding)
    """
    return name.lower().replace("-", "_")


FOLDED_NAMES: Mapping[str, str] = MappingProxyType({folded(name): name for name in PARAMETERS})
"""Folded name to the name as documented."""


def parameters_of(request: RequestType) -> tuple[Parameter, ...]:
    """The parameters that a question of this type can carry, in name order, the alias of the path first."""
    path = (PATH_ALIAS,) if request in PATH_ALIAS.requests else ()
    return path + tuple(parameter for parameter in PARAMETERS.values() if request in parameter.requests)

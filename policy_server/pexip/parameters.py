"""The request parameters of Pexip's external policy API (pexip/README.md: Parameters)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
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
    """One parameter: how it reads, its name as Pexip sends it, the questions that carry it, and what it means.

    ``letters`` are those of the questions. ``choices`` are the documented values of an enumerated parameter; where there
    are none, the values are names of objects of the deployment, of the kind ``names``.
    """

    kind: Kind
    name: str
    letters: str
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
    personal: bool = False
    """The value may be a name or an address of a person, or hold one."""

    @property
    def requests(self) -> frozenset[RequestType]:
        """The questions that carry it."""
        return frozenset(kind for kind in RequestType if kind.about.letter in self.letters)


_alias = partial(Parameter, Kind.ALIAS)
_text = partial(Parameter, Kind.TEXT)
_choice = partial(Parameter, Kind.CHOICE)
_boolean = partial(Parameter, Kind.BOOLEAN)
_integer = partial(Parameter, Kind.INTEGER)
_address = partial(Parameter, Kind.ADDRESS)
_list = partial(Parameter, Kind.LIST)

PATH_ALIAS = _alias(
    "alias", "".join(kind.about.letter for kind in RequestType if kind.about.has_alias), "The alias that registers."
)
"""The alias that some questions carry in the path; rules call it ``alias``."""

_TABLE = (
    _choice("auth_type", "R", "How the device that registers proves who it is.", ("credentials", "sso")),
    _integer(
        "bandwidth", "SPLA", "The bandwidth that the caller asks for; often 0, and of use for inbound calls only."
    ),
    _text("breakout_uuid", "SP", "The breakout room that the question is about; missing for the main room."),
    _boolean("bypass_lock", "P", "Whether the participant may enter a locked conference."),
    _choice(
        "call_direction",
        "SPLA",
        "dial_in: a call to Pexip. dial_out: Pexip calls. non_dial: a lookup without a call.",
        ("dial_in", "dial_out", "non_dial"),
        always_sent=True,
    ),
    _text("call_tag", "SPLAD", "A tag that the client gave, or that an earlier participant answer set.", chosen=True),
    _text("call_uuid", "P", "The identifier of the participant's call."),
    _boolean(
        "can_receive_personal_mix", "P", "Whether the participant may use a layout of their own (recent versions)."
    ),
    _boolean("disable_overlay_text", "P", "Whether the participant's name is hidden over the video (recent versions)."),
    _integer("display_count", "SP", "The number of screens; known for Teams Rooms with One-Touch Join."),
    _choice("encryption", "SPLA", "Whether media is encrypted.", ("On", "Off", "Unknown")),
    _boolean(
        "has_authenticated_display_name",
        "SPLA",
        "Whether an Identity Provider vouches for the display name.",
        vouched=True,
    ),
    _integer("height", "A", "The height of the picture that is wanted, in pixels."),
    _text("idp_uuid", "SPLA", "The Identity Provider that the participant signed on with.", vouched=True),
    _text("layout_group", "P", "The layout group of the participant (recent versions)."),
    _integer("limit", "D", "The number of results that the search may give; 10 so far."),
    _alias(
        "local_alias",
        "SPLA",
        "The alias that was dialled, without scheme, parameters and our own domains.",
        always_sent=True,
        chosen=True,
    ),
    _choice(
        "location",
        "SPLADR",
        "The location of the Conferencing Node that asks.",
        names=Named.LOCATION,
        always_sent=True,
        vouched=True,
    ),
    _list("ms-subnet", "SPLA", "The caller's subnet, from the SIP header of that name.", vouched=True, personal=True),
    _address("node_ip", "SPLADR", "The address of the Conferencing Node that asks.", always_sent=True, vouched=True),
    _list(
        "p_Asserted-Identity",
        "SPLA",
        "The caller's identity as the SIP network asserts it; as good as whoever set it.",
        vouched=True,
        personal=True,
    ),
    _choice(
        "participant_type",
        "P",
        "standard: sends media. api: the control half of a Pexip app. api_host: that of a Host who starts the conference.",
        ("standard", "api", "api_host"),
    ),
    _text("participant_uuid", "P", "The identifier of the participant."),
    _choice(
        "preauthenticated_role",
        "P",
        "The role known so far; missing before PIN entry. chair is Host.",
        ("chair", "guest"),
    ),
    _boolean("prefers_multiscreen_mix", "P", "Whether the participant uses several screens (recent versions)."),
    _text("previous_service_name", "SPL", "The service that the participant was transferred from.", personal=True),
    _choice(
        "protocol",
        "SPLAR",
        "The signalling protocol; api is a Pexip app that joins, webrtc its media.",
        ("api", "webrtc", "sip", "rtmp", "h323", "teams", "mssip"),
        always_sent=True,
    ),
    _address("proxy_node_address", "LA", "The Proxying Edge Node that took the call, if one did.", vouched=True),
    _choice(
        "proxy_node_location",
        "LA",
        "The location of the Proxying Edge Node that took the call, if one did.",
        names=Named.LOCATION,
    ),
    _text("pseudo_version_id", "SPLADR", "The build of Pexip Infinity, such as 77683.0.0.", always_sent=True),
    _text("q", "D", "What the user of the app typed to search for; may be empty.", any_language=True, personal=True),
    _text("receive_from_audio_mix", "P", "The audio mix that the participant hears."),
    _text("receive_from_video_mix~mix_name", "P", "The video mix that the participant sees (recent versions)."),
    _boolean("registered", "SPLA", "Whether the far end is registered to this Pexip, whoever it is.", vouched=True),
    _alias("registration_alias", "D", "The alias of the registered app that searches.", personal=True),
    _address("remote_address", "SPLAR", "The IP address of the far end.", vouched=True, personal=True),
    _alias(
        "remote_alias",
        "SPLA",
        "The alias of the far end; for a call that Pexip makes, what it calls.",
        chosen=True,
        personal=True,
    ),
    _text(
        "remote_display_name",
        "SPLA",
        "The display name of the far end: any text that the caller chose.",
        chosen=True,
        any_language=True,
        personal=True,
    ),
    _integer("remote_port", "SPLA", "The signalling port of the far end."),
    _text("request_id", "PL", "A short identifier of the question (not in every version)."),
    _choice(
        "role",
        "A",
        "The role of the participant whose picture is wanted. chair is Host.",
        ("chair", "guest", "unknown"),
    ),
    _choice(
        "rx_presentation_policy",
        "P",
        "Whether the participant receives presentations (recent versions).",
        ("ALLOW", "DENY"),
    ),
    _text("send_to_audio_mixes_mix_name", "P", "The audio mix that the participant speaks to; main so far."),
    _boolean("send_to_audio_mixes_prominent", "P", "Whether the participant speaks over the mix; false so far."),
    _text(
        "service_name",
        "SPLA",
        "The name of the service, as our earlier answer gave it. In service questions only for dial_out and breakout rooms.",
        personal=True,
    ),
    _text("service_tag", "SPLA", "The service_tag of our earlier answer. In service questions only for dial_out."),
    _integer("spotlight", "P", "The participant's spotlight priority (recent versions)."),
    _boolean("supports_direct_media", "SPLA", "Whether the call can have direct media."),
    _text("teams_tenant_id", "SPLA", "The Microsoft Teams tenant of a Teams Room that calls.", vouched=True),
    _text("telehealth_request_id", "SPL", "The identifier of an Epic telehealth call."),
    _text(
        "third_party_passcode",
        "SP",
        "The passcode of the invitation that a Teams Room joins by.",
        secret=True,
        vouched=True,
    ),
    _choice(
        "trigger",
        "SPLA",
        "What caused the question. web: a Pexip app. invite, options, subscribe: SIP. setup, arq, lrq: H.323. "
        "two_stage_dialing: a Virtual Reception.",
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
    _text(
        "unique_service_name",
        "SPLA",
        "service_name; for a gateway call or breakout room with a unique ending.",
        personal=True,
    ),
    _text("vendor", "SPLA", "The maker and version of the device, or the browser.", any_language=True),
    _text("version_id", "SPLADR", "The major version of Pexip Infinity, such as 35.", always_sent=True),
    _boolean("wants_presentation_in_mix", "P", "Whether presentations come inside the main picture (recent versions)."),
    _integer("width", "A", "The width of the picture that is wanted, in pixels."),
)

PARAMETERS: Mapping[str, Parameter] = MappingProxyType({parameter.name: parameter for parameter in _TABLE})
"""Every parameter of a query by the name Pexip gives it, `idp_attribute_<name>` apart."""

SECRET_PARAMETERS = frozenset(parameter.name for parameter in _TABLE if parameter.secret)


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

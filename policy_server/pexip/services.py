"""The services that a node accepts in the answer to a service configuration request.

A model holds each field of its type (pexip/README.md: Service fields, What voids an answer). Plain
fields are checked without building a model: ``accepts_service`` on every call, ``check_service`` for people.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Required

from policy_server.pexip.fields import (
    About,
    DefaultYesNo,
    Expression,
    Fault,
    GatewayCallType,
    GatewayView,
    GmsAccessTokenName,
    H323GatekeeperName,
    Identity,
    LocationName,
    MediaPlaylistName,
    MssipProxyName,
    Named,
    SipProxyName,
    StunServerName,
    TeamsProxyName,
    Tones,
    TurnServerName,
    View,
)
from policy_server.pexip.service_parts import (
    CallService,
    GuardedService,
    MediaCallService,
    OnCompletion,
    Room,
    ScreenService,
    SendingService,
    Service,
)
from policy_server.pexip.service_rules import breakout_rules, pin_rules, playback_completion_rule, teams_view_rule
from policy_server.pexip.shapes import SHAPES, Shape, accepted, listed, shown


@accepted("a conference", pin_rules, breakout_rules)
class Conference(Room, total=False):
    """A Virtual Meeting Room."""

    service_type: Required[Annotated[Literal["conference"], "A Virtual Meeting Room."]]
    view: Annotated[View, "The layout that everybody sees. Default: one_main_seven_pips."]


@accepted("a lecture", pin_rules, breakout_rules)
class Lecture(Room, total=False):
    """A Virtual Auditorium: Hosts and Guests see different layouts."""

    service_type: Required[Annotated[Literal["lecture"], "A Virtual Auditorium."]]
    force_presenter_into_main: Annotated[bool, "Keeps a presenting Host in the main window. Default: false."]
    guest_view: Annotated[View, "The layout that Guests see. Default: one_main_seven_pips."]
    guests_can_see_guests: Annotated[
        Literal["no_hosts", "always", "never"], "When Guests see each other. Default: no_hosts."
    ]
    host_view: Annotated[View, "The layout that Hosts see. Default: one_main_seven_pips."]


_GW_1 = About(missing_rule="GW-1")


@accepted("a gateway call", teams_view_rule)
class Gateway(ScreenService, SendingService, CallService, total=False):
    """A call through the Infinity Gateway to one other party."""

    service_type: Required[Annotated[Literal["gateway"], "An Infinity Gateway call; the name must be unique."]]
    local_alias: Required[Annotated[Identity, _GW_1, "The calling alias (From) of the outgoing leg."]]
    outgoing_protocol: Required[
        Annotated[Literal["h323", "sip", "mssip", "rtmp", "gms", "teams"], _GW_1, "The protocol of the outgoing leg."]
    ]
    remote_alias: Required[Annotated[Identity, _GW_1, "The alias to call."]]
    call_type: Annotated[GatewayCallType, "Media of the call; auto is that of the inbound leg. Default: video."]
    called_device_type: Annotated[
        Literal[
            "external",
            "registration",
            "mssip_conference_id",
            "mssip_server",
            "gms_conference",
            "teams_conference",
            "teams_user",
            "telehealth_profile",
        ],
        "What remote_alias is and how it is found. Default: external.",
    ]
    denoise_audio: Annotated[bool, "Google Meet only: noise removal. Default: true."]
    dtmf_sequence: Annotated[Tones, "Tones to send after the answer; a comma is a pause of two seconds."]
    external_participant_avatar_lookup: Annotated[
        DefaultYesNo, "Teams only: look up pictures of participants. Default: default."
    ]
    gms_access_token_name: Annotated[GmsAccessTokenName, "An existing access token for Google Meet."]
    h323_gatekeeper_name: Annotated[H323GatekeeperName, "An existing H.323 gatekeeper. Left out: DNS."]
    mssip_proxy_name: Annotated[MssipProxyName, "An existing Skype for Business server. Left out: DNS."]
    outgoing_location_name: Annotated[LocationName, "The location whose node places the call."]
    sip_proxy_name: Annotated[SipProxyName, "An existing SIP proxy. Left out: DNS."]
    stun_server_name: Annotated[StunServerName, "An existing STUN server."]
    teams_fit_to_frame: Annotated[
        Literal["yes", "no"], "Teams only: fit the picture to the frame. Put 'yes' and 'no' in quotes. Default: no."
    ]
    teams_proxy_name: Annotated[TeamsProxyName, "An existing Teams Connector."]
    transcoding_enabled: Annotated[bool, "false (preview): SIP to SIP without transcoding. Default: true."]
    treat_as_trusted: Annotated[bool, "Whether the called organisation may treat the caller as one of its own."]
    turn_server_name: Annotated[TurnServerName, "An existing TURN server."]
    view: Annotated[
        GatewayView, "The layout; teams and teams_focus for Teams calls only. Default: one_main_seven_pips."
    ]


@accepted("a two_stage_dialing service")
class TwoStageDialing(SendingService, MediaCallService, total=False):
    """A Virtual Reception: callers enter the number of the room they want."""

    service_type: Required[Annotated[Literal["two_stage_dialing"], "A Virtual Reception."]]
    gms_access_token_name: Annotated[GmsAccessTokenName, "An existing access token for Google Meet."]
    match_string: Annotated[Expression, "The regular expression that entered digits must match. Blank: anything."]
    mssip_proxy_name: Annotated[MssipProxyName, "An existing Skype for Business server."]
    post_match_string: Annotated[Expression, "A regular expression applied to the meeting code that was found."]
    post_replace_string: Annotated[Expression, "The replacement that turns the meeting code into an alias."]
    replace_string: Annotated[Expression, "The replacement applied to the entered digits."]
    system_location_name: Annotated[LocationName, "The location used to look up Meet, Teams and Skype meetings."]
    teams_proxy_name: Annotated[TeamsProxyName, "An existing Teams Connector."]
    two_stage_dial_type: Annotated[
        Literal["regular", "mssip", "gms", "teams"], _GW_1, "The kind of reception. Default: regular."
    ]


@accepted("a media_playback service", pin_rules, playback_completion_rule)
class MediaPlayback(GuardedService, SendingService, total=False):
    """A Media Playback Service: callers watch a playlist."""

    service_type: Required[Annotated[Literal["media_playback"], "A Media Playback Service."]]
    media_playlist_name: Required[Annotated[MediaPlaylistName, "The existing playlist to play."]]
    on_completion: Annotated[OnCompletion, "What to do when the playlist ends."]


@accepted("a test_call service")
class TestCall(MediaCallService, total=False):
    """A Test Call Service: callers see and hear themselves."""

    service_type: Required[Annotated[Literal["test_call"], "A Test Call Service."]]


SERVICE_TYPES: Mapping[str, Shape] = MappingProxyType(
    {
        "conference": SHAPES[Conference],
        "lecture": SHAPES[Lecture],
        "gateway": SHAPES[Gateway],
        "two_stage_dialing": SHAPES[TwoStageDialing],
        "media_playback": SHAPES[MediaPlayback],
        "test_call": SHAPES[TestCall],
    }
)


def accepts_service(fields: dict[str, object]) -> bool:
    """Whether a node would use these fields as a service: ``check_service`` without the reasons, but fast."""
    service_type = fields.get("service_type")
    shape = SERVICE_TYPES.get(service_type) if isinstance(service_type, str) else None
    return shape is not None and shape.accepts(fields)


def check_service(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """Every reason why a node would not use these fields as a service; none if it would.

    Whether the names exist in the deployment is for the caller to check: see ``names_of_deployment``.
    """
    service_type = fields.get("service_type")
    if not isinstance(service_type, str) or service_type not in SERVICE_TYPES:
        return _without_a_type(fields)
    return SERVICE_TYPES[service_type].faults(fields)


def _without_a_type(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """The faults that can be told when nobody can say which service is meant."""
    types = tuple(SERVICE_TYPES)
    if "service_type" in fields:
        message = f"service_type must be one of {listed(types)} but is {shown(fields['service_type'])}"
        fault = Fault(("service_type",), "enum", message, allowed=types, rule="SVC-2")
    else:
        message = f"service_type is missing; it must be one of {listed(types)}"
        fault = Fault(("service_type",), "missing", message, allowed=types, rule="SVC-1")
    return (fault, *(other for other in SHAPES[Service].faults(fields) if other.kind == "missing"))


def names_of_deployment(
    fields: Mapping[str, object],
) -> Iterator[tuple[tuple[str | int, ...], Named, str]]:
    """Path, kind and name of every object that must exist in the Pexip deployment (SVC-3).

    Fields that are no text, or a service that is none, give nothing: ``check_service`` reports them.
    """
    service_type = fields.get("service_type")
    if isinstance(service_type, str) and service_type in SERVICE_TYPES:
        yield from SERVICE_TYPES[service_type].names(fields)

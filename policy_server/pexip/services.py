"""The services that a node accepts in the answer to a service configuration request.

A model holds each field of its type (pexip/README.md: Service fields, What voids an answer). Plain
fields are checked without building a model: ``accepts_service`` on every call, ``check_service`` for people.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter

from policy_server.pexip.fields import (
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
    Sent,
    SipProxyName,
    StunServerName,
    TeamsProxyName,
    Tones,
    TurnServerName,
    View,
)
from policy_server.pexip.service_parts import (
    AutomaticParticipant,
    CallService,
    GuardedService,
    MediaCallService,
    OnCompletion,
    OnCompletionTransfer,
    Room,
    ScreenService,
    SendingService,
    Service,
)
from policy_server.pexip.service_rules import Rule, pin_rules, playback_completion_rule, teams_view_rule
from policy_server.pexip.shapes import listed, shape_of, shown

__all__ = [
    "SERVICE_ADAPTER",
    "SERVICE_TYPES",
    "AutomaticParticipant",
    "Conference",
    "Gateway",
    "Lecture",
    "MediaPlayback",
    "OnCompletion",
    "OnCompletionTransfer",
    "Service",
    "ServiceConfiguration",
    "TestCall",
    "TwoStageDialing",
    "accepts_service",
    "check_service",
    "names_of_deployment",
]


class Conference(Room):
    """A Virtual Meeting Room."""

    noun: ClassVar[str] = "a conference"

    service_type: Literal["conference"] = Field(description="A Virtual Meeting Room.")
    view: Sent[View] = Field(None, description="The layout that everybody sees. Default: one_main_seven_pips.")


class Lecture(Room):
    """A Virtual Auditorium: Hosts and Guests see different layouts."""

    noun: ClassVar[str] = "a lecture"

    service_type: Literal["lecture"] = Field(description="A Virtual Auditorium.")
    force_presenter_into_main: Sent[bool] = Field(
        None, description="Keeps a presenting Host in the main window. Default: false."
    )
    guest_view: Sent[View] = Field(None, description="The layout that Guests see. Default: one_main_seven_pips.")
    guests_can_see_guests: Sent[Literal["no_hosts", "always", "never"]] = Field(
        None, description="When Guests see each other. Default: no_hosts."
    )
    host_view: Sent[View] = Field(None, description="The layout that Hosts see. Default: one_main_seven_pips.")


class Gateway(CallService, SendingService, ScreenService):
    """A call through the Infinity Gateway to one other party."""

    noun: ClassVar[str] = "a gateway call"
    rules: ClassVar[tuple[Rule, ...]] = (teams_view_rule,)
    missing_rules: ClassVar[Mapping[str, str]] = {
        **Service.missing_rules,
        **dict.fromkeys(("local_alias", "outgoing_protocol", "remote_alias"), "GW-1"),
    }

    service_type: Literal["gateway"] = Field(description="An Infinity Gateway call; the name must be unique.")
    local_alias: Identity = Field(description="The calling alias (From) of the outgoing leg.")
    outgoing_protocol: Literal["h323", "sip", "mssip", "rtmp", "gms", "teams"] = Field(
        description="The protocol of the outgoing leg."
    )
    remote_alias: Identity = Field(description="The alias to call.")
    call_type: Sent[GatewayCallType] = Field(
        None, description="Media of the call; auto is that of the inbound leg. Default: video."
    )
    called_device_type: Sent[
        Literal[
            "external",
            "registration",
            "mssip_conference_id",
            "mssip_server",
            "gms_conference",
            "teams_conference",
            "teams_user",
            "telehealth_profile",
        ]
    ] = Field(None, description="What remote_alias is and how it is found. Default: external.")
    denoise_audio: Sent[bool] = Field(None, description="Google Meet only: noise removal. Default: true.")
    dtmf_sequence: Sent[Tones] = Field(
        None, description="Tones to send after the answer; a comma is a pause of two seconds."
    )
    external_participant_avatar_lookup: Sent[DefaultYesNo] = Field(
        None, description="Teams only: look up pictures of participants. Default: default."
    )
    gms_access_token_name: Sent[GmsAccessTokenName] = Field(
        None, description="An existing access token for Google Meet."
    )
    h323_gatekeeper_name: Sent[H323GatekeeperName] = Field(
        None, description="An existing H.323 gatekeeper. Left out: DNS."
    )
    mssip_proxy_name: Sent[MssipProxyName] = Field(
        None, description="An existing Skype for Business server. Left out: DNS."
    )
    outgoing_location_name: Sent[LocationName] = Field(None, description="The location whose node places the call.")
    sip_proxy_name: Sent[SipProxyName] = Field(None, description="An existing SIP proxy. Left out: DNS.")
    stun_server_name: Sent[StunServerName] = Field(None, description="An existing STUN server.")
    teams_fit_to_frame: Sent[Literal["yes", "no"]] = Field(
        None, description="Teams only: fit the picture to the frame. Put 'yes' and 'no' in quotes. Default: no."
    )
    teams_proxy_name: Sent[TeamsProxyName] = Field(None, description="An existing Teams Connector.")
    transcoding_enabled: Sent[bool] = Field(
        None, description="false (preview): SIP to SIP without transcoding. Default: true."
    )
    treat_as_trusted: Sent[bool] = Field(
        None, description="Whether the called organisation may treat the caller as one of its own."
    )
    turn_server_name: Sent[TurnServerName] = Field(None, description="An existing TURN server.")
    view: Sent[GatewayView] = Field(
        None, description="The layout; teams and teams_focus for Teams calls only. Default: one_main_seven_pips."
    )


class TwoStageDialing(MediaCallService, SendingService):
    """A Virtual Reception: callers enter the number of the room they want."""

    noun: ClassVar[str] = "a two_stage_dialing service"

    service_type: Literal["two_stage_dialing"] = Field(description="A Virtual Reception.")
    gms_access_token_name: Sent[GmsAccessTokenName] = Field(
        None, description="An existing access token for Google Meet."
    )
    match_string: Sent[Expression] = Field(
        None, description="The regular expression that entered digits must match. Blank: anything."
    )
    mssip_proxy_name: Sent[MssipProxyName] = Field(None, description="An existing Skype for Business server.")
    post_match_string: Sent[Expression] = Field(
        None, description="A regular expression applied to the meeting code that was found."
    )
    post_replace_string: Sent[Expression] = Field(
        None, description="The replacement that turns the meeting code into an alias."
    )
    replace_string: Sent[Expression] = Field(None, description="The replacement applied to the entered digits.")
    system_location_name: Sent[LocationName] = Field(
        None, description="The location used to look up Meet, Teams and Skype meetings."
    )
    teams_proxy_name: Sent[TeamsProxyName] = Field(None, description="An existing Teams Connector.")
    two_stage_dial_type: Sent[Literal["regular", "mssip", "gms", "teams"]] = Field(
        None, description="The kind of reception. Default: regular."
    )


class MediaPlayback(SendingService, GuardedService):
    """A Media Playback Service: callers watch a playlist."""

    noun: ClassVar[str] = "a media_playback service"
    rules: ClassVar[tuple[Rule, ...]] = (pin_rules, playback_completion_rule)

    service_type: Literal["media_playback"] = Field(description="A Media Playback Service.")
    media_playlist_name: MediaPlaylistName = Field(description="The existing playlist to play.")
    on_completion: Sent[OnCompletion] = Field(None, description="What to do when the playlist ends.")


class TestCall(MediaCallService):
    """A Test Call Service: callers see and hear themselves."""

    __test__: ClassVar[bool] = False
    noun: ClassVar[str] = "a test_call service"

    service_type: Literal["test_call"] = Field(description="A Test Call Service.")


ServiceConfiguration: TypeAlias = Annotated[
    Conference | Lecture | Gateway | TwoStageDialing | MediaPlayback | TestCall,
    Field(discriminator="service_type"),
]
"""Any service, told apart by its service_type."""

SERVICE_ADAPTER: TypeAdapter[ServiceConfiguration] = TypeAdapter(
    ServiceConfiguration, config=ConfigDict(hide_input_in_errors=True)
)
"""Reads any service into its model. A plain ``TypeAdapter`` of the union would show PINs in its errors."""

SERVICE_TYPES: Mapping[str, type[Service]] = MappingProxyType(
    {
        "conference": Conference,
        "lecture": Lecture,
        "gateway": Gateway,
        "two_stage_dialing": TwoStageDialing,
        "media_playback": MediaPlayback,
        "test_call": TestCall,
    }
)

_JUDGES: dict[str, tuple[Callable[[dict[str, object]], bool], tuple[Rule, ...]]] = {
    name: (shape_of(model).accepts, model.rules) for name, model in SERVICE_TYPES.items()
}


def accepts_service(fields: dict[str, object]) -> bool:
    """Whether a node would use these fields as a service: ``check_service`` without the reasons, but fast."""
    service_type = fields.get("service_type")
    if not isinstance(service_type, str) or service_type not in _JUDGES:
        return False
    accepts, rules = _JUDGES[service_type]
    if not accepts(fields):
        return False
    # A generator in all() would cost as much as the rules do.
    for rule in rules:  # noqa: SIM110
        if rule(fields):
            return False
    return True


def check_service(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """Every reason why a node would not use these fields as a service; none if it would.

    Whether the names exist in the deployment is for the caller to check: see ``names_of_deployment``.
    """
    service_type = fields.get("service_type")
    if not isinstance(service_type, str) or service_type not in SERVICE_TYPES:
        return _without_a_type(fields)
    model = SERVICE_TYPES[service_type]
    joined = tuple(fault for rule in model.rules for fault in rule(fields))
    return shape_of(model).faults(fields) + joined


def _without_a_type(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """The faults that can be told when nobody can say which service is meant."""
    types = tuple(SERVICE_TYPES)
    if "service_type" in fields:
        message = f"service_type must be one of {listed(types)} but is {shown(fields['service_type'])}"
        fault = Fault(("service_type",), "enum", message, allowed=types, rule="SVC-2")
    else:
        message = f"service_type is missing; it must be one of {listed(types)}"
        fault = Fault(("service_type",), "missing", message, allowed=types, rule="SVC-1")
    others = tuple(
        Fault((field,), "missing", f"{field} is missing; every service needs it", rule=rule)
        for field, rule in Service.missing_rules.items()
        if field not in fields
    )
    return (fault, *others)


def names_of_deployment(
    fields: Mapping[str, object],
) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Path, kind and name of every object that must exist in the Pexip deployment (SVC-3).

    Kinds: location, theme, pinning_config, identity_provider_group, sip_proxy, h323_gatekeeper, mssip_proxy,
    teams_proxy, stun_server, turn_server, gms_access_token, media_playlist. Fields that are no text, or a
    service that is none, give nothing: ``check_service`` reports them.
    """
    service_type = fields.get("service_type")
    if isinstance(service_type, str) and service_type in SERVICE_TYPES:
        yield from shape_of(SERVICE_TYPES[service_type]).names(fields)

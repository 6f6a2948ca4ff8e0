"""What services are made of: the fields that several share, automatic participants, on_completion.

(pexip/README.md: Service fields, Playback, Automatic participants)
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from policy_server.pexip.fields import (
    CallQuality,
    CallRate,
    CallType,
    CryptoMode,
    DefaultYesNo,
    DisplayText,
    Fact,
    Fault,
    Identity,
    IdentityProviderGroupName,
    JustTrue,
    LocationName,
    NoticeSeconds,
    ParticipantLimit,
    Pin,
    PinningConfigName,
    Role,
    Sent,
    StrictModel,
    Text100,
    Text250,
    ThemeName,
    Tones,
    Uuid,
    WholeNumber,
)
from policy_server.pexip.service_rules import Rule, breakout_rules, completion_rule, pin_rules


def _refuse(faults: tuple[Fault, ...]) -> None:
    """Turn the faults of a rule into the error that pydantic expects of a validator."""
    if faults:
        raise ValueError("; ".join(fault.message for fault in faults))


class AutomaticParticipant(StrictModel):
    """A participant that Pexip dials when the first caller is in (ADP)."""

    noun: ClassVar[str] = "an automatic participant"
    missing_rules: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("local_alias", "protocol", "remote_alias", "role"), "ADP-1"
    )

    local_alias: Identity = Field(description="The calling alias (From): what the far end would dial back.")
    protocol: Literal["h323", "sip", "mssip", "rtmp"] = Field(description="The protocol of the call.")
    remote_alias: Identity = Field(description="The alias or number to call.")
    role: Role = Field(description="Privileges in the conference: chair is Host.")
    call_type: Sent[CallType] = Field(None, description="Media of the call. Default: video.")
    description: Sent[DisplayText] = Field(None, description="A note; no effect.")
    dtmf_sequence: Sent[Tones] = Field(
        None, description="Tones to send after the answer; a comma is a pause of two seconds."
    )
    keep_conference_alive: Sent[
        Literal["keep_conference_alive", "keep_conference_alive_if_multiple", "keep_conference_alive_never"]
    ] = Field(
        None,
        description="Whether this participant alone keeps the conference running. "
        "Default: keep_conference_alive_if_multiple.",
    )
    local_display_name: Sent[DisplayText] = Field(None, description="The caller's name that the far end sees.")
    presentation_url: Sent[Annotated[Text250, Fact.IDENTITY]] = Field(
        None, description="RTMP only: another destination for the presentation."
    )
    remote_display_name: Sent[DisplayText] = Field(
        None, description="The name of this participant in rosters and overlays."
    )
    routing: Sent[Literal["manual", "routing_rule"]] = Field(
        None,
        description="manual (default) calls remote_alias directly; routing_rule lets Pexip's Call Routing "
        "Rules decide.",
    )
    streaming: Sent[bool] = Field(None, description="Marks a streaming or recording device. Default: false.")
    system_location_name: Sent[LocationName] = Field(
        None, description="The location that places the call; with routing_rule, the source location only."
    )


class OnCompletionTransfer(StrictModel):
    """Where to move the participant when the playlist ends."""

    noun: ClassVar[str] = "a transfer"

    conference: Identity = Field(description="The alias of the service to move to.")
    role: Sent[Role] = Field(None, description="The role there.")


class OnCompletion(StrictModel):
    """What to do when the playlist ends: either disconnect or transfer."""

    noun: ClassVar[str] = "on_completion"

    disconnect: Sent[JustTrue] = Field(None, description="true hangs up.")
    transfer: Sent[OnCompletionTransfer] = Field(None, description="Moves the participant to another service.")

    @model_validator(mode="after")
    def _either(self) -> Self:
        _refuse(completion_rule(self.__dict__))
        return self


# ------------------------------------------------------------------ what several services share


class Service(StrictModel):
    """The fields of every service."""

    rules: ClassVar[tuple[Rule, ...]] = ()
    missing_rules: ClassVar[Mapping[str, str]] = dict.fromkeys(("name", "service_tag"), "SVC-1")

    name: Identity = Field(
        description="The name of the service. Callers whose answers carry the same name meet in one conference."
    )
    service_tag: Text250 = Field(
        description="A label for tracking; comes back in later requests and in events. May be empty."
    )
    description: Sent[DisplayText] = Field(None, description="A note; no effect.")
    ivr_theme_name: Sent[ThemeName] = Field(None, description="An existing theme. Left out: the default theme.")
    max_callrate_in: Sent[Annotated[CallRate, Fact.DOOR]] = Field(
        None, description="Greatest inbound bandwidth, in bit/s (not kbit/s)."
    )
    max_pixels_per_second: CallQuality | None = Field(
        None, description="Greatest call quality. null or left out: the global setting."
    )

    @model_validator(mode="after")
    def _joined(self) -> Self:
        _refuse(tuple(fault for rule in self.rules for fault in rule(self.__dict__)))
        return self


class SendingService(Service):
    """Services that send media of their own: all but the test call."""

    max_callrate_out: Sent[Annotated[CallRate, Fact.DOOR]] = Field(
        None, description="Greatest outbound bandwidth, in bit/s (not kbit/s)."
    )


class CallService(Service):
    """Services with call settings: all but playback."""

    bypass_proxy: Sent[bool] = Field(
        None,
        description="Behind a Proxying Edge Node: clients send media straight to the transcoding node. Default: false.",
    )
    crypto_mode: CryptoMode | None = Field(
        None, description="Media encryption. null or left out: the global setting. Put 'on' and 'off' in quotes."
    )
    local_display_name: Sent[DisplayText] = Field(
        None, description="The name that far ends see for calls placed by this service."
    )


class MediaCallService(CallService):
    """Services whose call type cannot follow an inbound leg: all calls but the gateway's."""

    call_type: Sent[CallType] = Field(None, description="Media of the call. Default: video.")


class ScreenService(Service):
    """Services that compose a picture of other people: rooms and gateway calls."""

    enable_active_speaker_indication: Sent[bool] = Field(
        None, description="Shows the name of who is speaking. Default: false."
    )
    enable_overlay_text: Sent[bool] = Field(None, description="Shows names over the video. Default: false.")
    live_captions_enabled: Sent[DefaultYesNo] = Field(None, description="Live captions. Default: default.")
    live_captions_language: Sent[Text250] = Field(None, description="The language of the captions.")
    prefer_ipv6: Sent[DefaultYesNo] = Field(
        None, description="Whether to prefer IPv6; takes effect on dial_out too. Default: default."
    )
    source_language: Sent[Text250] = Field(None, description="The language spoken, for captions.")


class GuardedService(Service):
    """Services that callers enter by PIN or single sign-on: rooms and playback."""

    allow_guests: Sent[Annotated[bool, Fact.DOOR]] = Field(
        None, description="true tells Hosts from Guests and needs a pin. Default: false, everybody is Host."
    )
    pin: Sent[Annotated[Pin, Fact.DOOR]] = Field(
        None, description="The Host PIN: 4 to 20 digits, the last may be a #. Empty: none.", repr=False
    )
    guest_pin: Sent[Annotated[Pin, Fact.DOOR]] = Field(
        None,
        description="The Guest PIN, only with allow_guests: as long as the Host PIN (or both end in #), but different.",
        repr=False,
    )
    guest_identity_provider_group: Sent[Annotated[IdentityProviderGroupName, Fact.DOOR]] = Field(
        None, description="The Identity Provider group that Guests sign on with. Blank: no sign-on."
    )
    host_identity_provider_group: Sent[Annotated[IdentityProviderGroupName, Fact.DOOR]] = Field(
        None, description="The Identity Provider group that Hosts sign on with. Blank: no sign-on."
    )
    non_idp_participants: Sent[Literal["disallow_all", "allow_if_trusted"]] = Field(
        None, description="What to do with devices that cannot sign on. Default: disallow_all."
    )


class Room(MediaCallService, SendingService, ScreenService, GuardedService):
    """What a Virtual Meeting Room and a Virtual Auditorium share."""

    rules: ClassVar[tuple[Rule, ...]] = (pin_rules, breakout_rules)

    automatic_participants: Sent[list[AutomaticParticipant]] = Field(
        None, description="Participants to dial, once each, when the first caller is in."
    )
    breakout: Sent[bool] = Field(
        None, description="true marks a breakout room; needs breakout_uuid and breakout_name. Default: false."
    )
    breakout_description: Sent[DisplayText] = Field(None, description="The long name of the breakout.")
    breakout_guests_allowed_to_leave: Sent[bool] = Field(
        None, description="Whether Guests may go back to the main room. Default: false."
    )
    breakout_name: Sent[DisplayText] = Field(None, description="The name of the breakout that people see.")
    breakout_rooms: Sent[bool] = Field(
        None, description="Whether breakouts may be made; false in a breakout itself. Default: false."
    )
    breakout_uuid: Sent[Uuid] = Field(None, description="The identifier of the breakout.")
    breakout_uuids: Sent[list[Uuid]] = Field(
        None, description="In the main room's answer to a Host: the breakouts to attach to for control."
    )
    call_tag: Sent[DisplayText] = Field(
        None, description="In Pexip's sample server, but not in its documentation; effect not known."
    )
    denoise_enabled: Sent[bool] = Field(None, description="Noise removal (preview). Default: false.")
    direct_media: Sent[Literal["best_effort", "always", "never"]] = Field(
        None,
        description="Media straight between two WebRTC participants; not with breakout_rooms. Default: never.",
    )
    direct_media_notification_duration: Sent[NoticeSeconds] = Field(
        None, description="Seconds of notice before direct media ends, 0 to 30. Default: 0."
    )
    enable_chat: Sent[DefaultYesNo] = Field(None, description="Chat. Put 'yes' and 'no' in quotes. Default: default.")
    end_action: Sent[Literal["disconnect", "transfer"]] = Field(
        None, description="What happens to people when the breakout closes. Default: transfer."
    )
    end_time: Sent[WholeNumber] = Field(
        None, description="When the breakout closes, in seconds since 1970; 0 (default) is never."
    )
    guests_can_present: Sent[bool] = Field(None, description="false: only Hosts present. Default: true.")
    locked: Sent[bool] = Field(
        None, description="Locks the conference when it is made; no effect later. Default: false."
    )
    mute_all_guests: Sent[bool] = Field(None, description="Mutes Guests as they join. Default: false.")
    participant_limit: Sent[ParticipantLimit] = Field(
        None, description="Greatest number of participants, 0 to 1000000."
    )
    pinning_config: Sent[PinningConfigName] = Field(None, description="An existing pinning configuration of the theme.")
    primary_owner_email_address: Sent[Text100] = Field(None, description="The owner's e-mail address.")
    softmute_enabled: Sent[bool] = Field(None, description="Softmute (preview). Default: false.")

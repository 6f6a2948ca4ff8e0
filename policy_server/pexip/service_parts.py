"""What services are made of: the fields that several share, automatic participants, on_completion.

(pexip/README.md: Service fields, Playback, Automatic participants)
"""

from typing import Annotated, Literal, Required

from typing_extensions import TypedDict

from policy_server.pexip.fields import (
    About,
    CallQuality,
    CallRate,
    CallType,
    CryptoMode,
    DefaultYesNo,
    DisplayText,
    Fact,
    Identity,
    IdentityProviderGroupName,
    JustTrue,
    LocationName,
    NoticeSeconds,
    ParticipantLimit,
    Pin,
    PinningConfigName,
    Role,
    Text100,
    Text250,
    ThemeName,
    Tones,
    Uuid,
    WholeNumber,
)
from policy_server.pexip.shapes import accepted

_ADP_1 = About(missing_rule="ADP-1")


@accepted("an automatic participant")
class AutomaticParticipant(TypedDict, total=False):
    """A participant that Pexip dials when the first caller is in (ADP)."""

    local_alias: Required[Annotated[Identity, _ADP_1, "The calling alias (From): what the far end would dial back."]]
    protocol: Required[Annotated[Literal["h323", "sip", "mssip", "rtmp"], _ADP_1, "The protocol of the call."]]
    remote_alias: Required[Annotated[Identity, _ADP_1, "The alias or number to call."]]
    role: Required[Annotated[Role, _ADP_1, "Privileges in the conference: chair is Host."]]
    call_type: Annotated[CallType, "Media of the call. Default: video."]
    description: Annotated[DisplayText, "A note; no effect."]
    dtmf_sequence: Annotated[Tones, "Tones to send after the answer; a comma is a pause of two seconds."]
    keep_conference_alive: Annotated[
        Literal["keep_conference_alive", "keep_conference_alive_if_multiple", "keep_conference_alive_never"],
        "Whether this participant alone keeps the conference running. Default: keep_conference_alive_if_multiple.",
    ]
    local_display_name: Annotated[DisplayText, "The caller's name that the far end sees."]
    presentation_url: Annotated[Text250, Fact.IDENTITY, "RTMP only: another destination for the presentation."]
    remote_display_name: Annotated[DisplayText, "The name of this participant in rosters and overlays."]
    routing: Annotated[
        Literal["manual", "routing_rule"],
        "manual calls remote_alias directly; routing_rule lets Pexip's Call Routing Rules decide. Default: manual.",
    ]
    streaming: Annotated[bool, "Marks a streaming or recording device. Default: false."]
    system_location_name: Annotated[
        LocationName, "The location that places the call; with routing_rule, the source location only."
    ]


@accepted("a transfer")
class OnCompletionTransfer(TypedDict, total=False):
    """Where to move the participant when the playlist ends."""

    conference: Required[Annotated[Identity, "The alias of the service to move to."]]
    role: Annotated[Role, "The role there."]


@accepted("on_completion")
class OnCompletion(TypedDict, total=False):
    """What to do when the playlist ends: either disconnect or transfer."""

    disconnect: Annotated[JustTrue, "true hangs up."]
    transfer: Annotated[OnCompletionTransfer, "Moves the participant to another service."]


# ------------------------------------------------------------------ what several services share


@accepted("every service")
class Service(TypedDict, total=False):
    """The fields of every service."""

    name: Required[
        Annotated[
            Identity,
            About(missing_rule="SVC-1"),
            "The name of the service. Callers whose answers carry the same name meet in one conference.",
        ]
    ]
    service_tag: Required[
        Annotated[
            Text250,
            About(missing_rule="SVC-1"),
            "A label for tracking; comes back in later requests and in events. May be empty.",
        ]
    ]
    description: Annotated[DisplayText, "A note; no effect."]
    ivr_theme_name: Annotated[ThemeName, "An existing theme. Left out: the default theme."]
    max_callrate_in: Annotated[CallRate, Fact.DOOR, "Greatest inbound bandwidth, in bit/s (not kbit/s)."]
    max_pixels_per_second: Annotated[CallQuality | None, "Greatest call quality. null or left out: the global setting."]


class SendingService(Service, total=False):
    """Services that send media of their own: all but the test call."""

    max_callrate_out: Annotated[CallRate, Fact.DOOR, "Greatest outbound bandwidth, in bit/s (not kbit/s)."]


class CallService(Service, total=False):
    """Services with call settings: all but playback."""

    bypass_proxy: Annotated[
        bool, "Behind a Proxying Edge Node: clients send media straight to the transcoding node. Default: false."
    ]
    crypto_mode: Annotated[
        CryptoMode | None, "Media encryption. null or left out: the global setting. Put 'on' and 'off' in quotes."
    ]
    local_display_name: Annotated[DisplayText, "The name that far ends see for calls placed by this service."]


class MediaCallService(CallService, total=False):
    """Services whose call type cannot follow an inbound leg: all calls but the gateway's."""

    call_type: Annotated[CallType, "Media of the call. Default: video."]


class ScreenService(Service, total=False):
    """Services that compose a picture of other people: rooms and gateway calls."""

    enable_active_speaker_indication: Annotated[bool, "Shows the name of who is speaking. Default: false."]
    enable_overlay_text: Annotated[bool, "Shows names over the video. Default: false."]
    live_captions_enabled: Annotated[DefaultYesNo, "Live captions. Default: default."]
    live_captions_language: Annotated[Text250, "The language of the captions."]
    prefer_ipv6: Annotated[DefaultYesNo, "Whether to prefer IPv6; takes effect on dial_out too. Default: default."]
    source_language: Annotated[Text250, "The language spoken, for captions."]


class GuardedService(Service, total=False):
    """Services that callers enter by PIN or single sign-on: rooms and playback."""

    allow_guests: Annotated[
        bool, Fact.DOOR, "true tells Hosts from Guests and needs a pin. Default: false, everybody is Host."
    ]
    pin: Annotated[Pin, Fact.DOOR, "The Host PIN: 4 to 20 digits, the last may be a #. Empty: none."]
    guest_pin: Annotated[
        Pin,
        Fact.DOOR,
        "The Guest PIN, only with allow_guests: as long as the Host PIN (or both end in #), but different.",
    ]
    guest_identity_provider_group: Annotated[
        IdentityProviderGroupName, Fact.DOOR, "The Identity Provider group that Guests sign on with. Blank: no sign-on."
    ]
    host_identity_provider_group: Annotated[
        IdentityProviderGroupName, Fact.DOOR, "The Identity Provider group that Hosts sign on with. Blank: no sign-on."
    ]
    non_idp_participants: Annotated[
        Literal["disallow_all", "allow_if_trusted"],
        "What to do with devices that cannot sign on. Default: disallow_all.",
    ]


class Room(GuardedService, ScreenService, SendingService, MediaCallService, total=False):
    """What a Virtual Meeting Room and a Virtual Auditorium share."""

    automatic_participants: Annotated[
        list[AutomaticParticipant], "Participants to dial, once each, when the first caller is in."
    ]
    breakout: Annotated[bool, "true marks a breakout room; needs breakout_uuid and breakout_name. Default: false."]
    breakout_description: Annotated[DisplayText, "The long name of the breakout."]
    breakout_guests_allowed_to_leave: Annotated[bool, "Whether Guests may go back to the main room. Default: false."]
    breakout_name: Annotated[DisplayText, "The name of the breakout that people see."]
    breakout_rooms: Annotated[bool, "Whether breakouts may be made; false in a breakout itself. Default: false."]
    breakout_uuid: Annotated[Uuid, "The identifier of the breakout."]
    breakout_uuids: Annotated[
        list[Uuid], "In the main room's answer to a Host: the breakouts to attach to for control."
    ]
    call_tag: Annotated[DisplayText, "In Pexip's sample server, but not in its documentation; effect not known."]
    denoise_enabled: Annotated[bool, "Noise removal (preview). Default: false."]
    direct_media: Annotated[
        Literal["best_effort", "always", "never"],
        "Media straight between two WebRTC participants; not with breakout_rooms. Default: never.",
    ]
    direct_media_notification_duration: Annotated[
        NoticeSeconds, "Seconds of notice before direct media ends, 0 to 30. Default: 0."
    ]
    enable_chat: Annotated[DefaultYesNo, "Chat. Put 'yes' and 'no' in quotes. Default: default."]
    end_action: Annotated[
        Literal["disconnect", "transfer"], "What happens to people when the breakout closes. Default: transfer."
    ]
    end_time: Annotated[WholeNumber, "When the breakout closes, in seconds since 1970; 0 (default) is never."]
    guests_can_present: Annotated[bool, "false: only Hosts present. Default: true."]
    locked: Annotated[bool, "Locks the conference when it is made; no effect later. Default: false."]
    mute_all_guests: Annotated[bool, "Mutes Guests as they join. Default: false."]
    participant_limit: Annotated[ParticipantLimit, "Greatest number of participants, 0 to 1000000."]
    pinning_config: Annotated[PinningConfigName, "An existing pinning configuration of the theme."]
    primary_owner_email_address: Annotated[Text100, "The owner's e-mail address."]
    softmute_enabled: Annotated[bool, "Softmute (preview). Default: false."]

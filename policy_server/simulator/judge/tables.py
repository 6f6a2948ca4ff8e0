"""The field tables of the reference as data.

(pexip/README.md: Service fields, Automatic participants, Participant properties)
"""

from collections.abc import Mapping
from itertools import chain

from policy_server.simulator.judge.fields import (
    Choice,
    Field,
    Flag,
    ListOf,
    Name,
    OrNull,
    Pin,
    Record,
    Table,
    Text,
    Uuid,
    Whole,
)

VIEWS = (
    "one_main_zero_pips",
    "one_main_seven_pips",
    "one_main_twentyone_pips",
    "two_mains_twentyone_pips",
    "one_main_thirtythree_pips",
    "four_mains_zero_pips",
    "nine_mains_zero_pips",
    "sixteen_mains_zero_pips",
    "twentyfive_mains_zero_pips",
    "five_mains_seven_pips",
    "one_main_one_pip",
    "one_main_nine_around",
    "one_main_twelve_around",
    "two_mains_eight_around",
)
TEAMS_VIEWS = ("teams", "teams_focus")
SERVICE_TYPES = ("conference", "lecture", "gateway", "two_stage_dialing", "media_playback", "test_call")

_CLIENT_LAYOUT = "that is a layout name of the client API; policy writes '{}'"
_VIEW_HINTS = {
    "ac": _CLIENT_LAYOUT.format("five_mains_seven_pips"),
    "adaptive_composition": _CLIENT_LAYOUT.format("five_mains_seven_pips"),
    "1:0": _CLIENT_LAYOUT.format("one_main_zero_pips"),
    "1:7": _CLIENT_LAYOUT.format("one_main_seven_pips"),
    "1:21": _CLIENT_LAYOUT.format("one_main_twentyone_pips"),
    "2:21": _CLIENT_LAYOUT.format("two_mains_twentyone_pips"),
}
_MANAGEMENT_ROLE = "the Management API's word; policy writes 'chair'"

_TEXT = Field(Text())
_FLAG = Field(Flag())
_DEFAULT_YES_NO = Field(Choice(("default", "yes", "no")))
_CALL_TYPE = Field(Choice(("video", "video-only", "audio")))
_CALL_RATE = Field(Whole(128000, 8192000, rule="SVC-5", unit="bit/s", confused_with="kbit/s"))
_VIEW = Field(Choice(VIEWS, rule="SVC-4", hints=_VIEW_HINTS))
_ROLE = Choice(("chair", "guest"), hints={"host": _MANAGEMENT_ROLE, "Host": "policy writes 'chair'"})
_LOCATION = Name("system location", lambda deployment: deployment.locations)
_THEME = Field(Name("theme", lambda deployment: deployment.themes))
_IDENTITY_PROVIDERS = Field(
    Name(
        "Identity Provider group",
        lambda deployment: deployment.identity_provider_groups,
        blank=True,
    )
)
_MSSIP_PROXY = Field(Name("Skype for Business server", lambda deployment: deployment.mssip_proxies))
_TEAMS_PROXY = Field(Name("Teams Connector", lambda deployment: deployment.teams_proxies))
_GMS_TOKEN = Field(Name("Google Meet access token", lambda deployment: deployment.gms_access_tokens))


def _table(of: str, fields: Mapping[str, Field], hints: Mapping[str, str] | None = None) -> Table:
    return Table(of, fields, hints or {}, {})


AUTOMATIC_PARTICIPANT = _table(
    "an automatic participant",
    {
        "local_alias": Field(Text(), required="ADP-1", filled=True),
        "protocol": Field(
            Choice(
                ("h323", "sip", "mssip", "rtmp"),
                hints=dict.fromkeys(("teams", "gms"), "the Management API accepts it, policy does not"),
            ),
            required="ADP-1",
        ),
        "remote_alias": Field(Text(), required="ADP-1", filled=True),
        "role": Field(_ROLE, required="ADP-1"),
        "call_type": _CALL_TYPE,
        "description": _TEXT,
        "dtmf_sequence": _TEXT,
        "keep_conference_alive": Field(
            Choice(
                (
                    "keep_conference_alive",
                    "keep_conference_alive_if_multiple",
                    "keep_conference_alive_never",
                )
            )
        ),
        "local_display_name": _TEXT,
        "presentation_url": _TEXT,
        "remote_display_name": _TEXT,
        "routing": Field(Choice(("manual", "routing_rule"))),
        "streaming": _FLAG,
        "system_location_name": Field(_LOCATION),
    },
)

_COMMON = {
    "name": Field(Text(), required="SVC-1", filled=True),
    "service_tag": Field(Text(), required="SVC-1"),
    "service_type": Field(Choice(SERVICE_TYPES, rule="SVC-2"), required="SVC-1"),
    "description": _TEXT,
    "ivr_theme_name": _THEME,
    "max_callrate_in": _CALL_RATE,
}
_CALL = {
    "bypass_proxy": _FLAG,
    "call_type": _CALL_TYPE,
    "crypto_mode": Field(OrNull(Choice(("besteffort", "on", "off")))),
    "local_display_name": _TEXT,
    "max_pixels_per_second": Field(OrNull(Choice(("sd", "hd", "fullhd")))),
}
_OUTBOUND_RATE = {"max_callrate_out": _CALL_RATE}
_ACCESS = {
    "allow_guests": _FLAG,
    "guest_identity_provider_group": _IDENTITY_PROVIDERS,
    "guest_pin": Field(Pin()),
    "host_identity_provider_group": _IDENTITY_PROVIDERS,
    "non_idp_participants": Field(Choice(("disallow_all", "allow_if_trusted"))),
    "pin": Field(Pin()),
}
_CAPTIONS = {
    "enable_active_speaker_indication": _FLAG,
    "enable_overlay_text": _FLAG,
    "live_captions_enabled": _DEFAULT_YES_NO,
    "live_captions_language": _TEXT,
    "prefer_ipv6": _DEFAULT_YES_NO,
    "source_language": _TEXT,
}
_ROOM = {
    **_COMMON,
    **_CALL,
    **_OUTBOUND_RATE,
    **_ACCESS,
    **_CAPTIONS,
    "automatic_participants": Field(ListOf(Record(AUTOMATIC_PARTICIPANT))),
    "breakout": _FLAG,
    "breakout_description": _TEXT,
    "breakout_guests_allowed_to_leave": _FLAG,
    "breakout_name": _TEXT,
    "breakout_rooms": _FLAG,
    "breakout_uuid": Field(Uuid()),
    "breakout_uuids": Field(ListOf(Uuid())),
    "call_tag": _TEXT,
    "denoise_enabled": _FLAG,
    "direct_media": Field(Choice(("best_effort", "always", "never"))),
    "direct_media_notification_duration": Field(Whole(0, 30)),
    "enable_chat": _DEFAULT_YES_NO,
    "end_action": Field(Choice(("disconnect", "transfer"))),
    "end_time": Field(Whole()),
    "guests_can_present": _FLAG,
    "locked": _FLAG,
    "mute_all_guests": _FLAG,
    "participant_limit": Field(Whole(0, 1000000)),
    "pinning_config": Field(Name("pinning configuration", lambda deployment: deployment.pinning_configs)),
    "primary_owner_email_address": Field(Text(100)),
    "softmute_enabled": _FLAG,
}
_CONFERENCE = {**_ROOM, "view": _VIEW}
_LECTURE = {
    **_ROOM,
    "force_presenter_into_main": _FLAG,
    "guest_view": _VIEW,
    "guests_can_see_guests": Field(Choice(("no_hosts", "always", "never"))),
    "host_view": _VIEW,
}
_GATEWAY = {
    **_COMMON,
    **_CALL,
    **_OUTBOUND_RATE,
    **_CAPTIONS,
    "local_alias": Field(Text(), required="GW-1", filled=True),
    "outgoing_protocol": Field(Choice(("h323", "sip", "mssip", "rtmp", "gms", "teams")), required="GW-1"),
    "remote_alias": Field(Text(), required="GW-1", filled=True),
    "call_type": Field(Choice(("video", "video-only", "audio", "auto"))),
    "called_device_type": Field(
        Choice(
            (
                "external",
                "registration",
                "mssip_conference_id",
                "mssip_server",
                "gms_conference",
                "teams_conference",
                "teams_user",
                "telehealth_profile",
            )
        )
    ),
    "denoise_audio": _FLAG,
    "dtmf_sequence": _TEXT,
    "external_participant_avatar_lookup": _DEFAULT_YES_NO,
    "gms_access_token_name": _GMS_TOKEN,
    "h323_gatekeeper_name": Field(Name("H.323 gatekeeper", lambda deployment: deployment.h323_gatekeepers)),
    "mssip_proxy_name": _MSSIP_PROXY,
    "outgoing_location_name": Field(_LOCATION),
    "sip_proxy_name": Field(Name("SIP proxy", lambda deployment: deployment.sip_proxies)),
    "stun_server_name": Field(Name("STUN server", lambda deployment: deployment.stun_servers)),
    "teams_fit_to_frame": Field(Choice(("yes", "no"))),
    "teams_proxy_name": _TEAMS_PROXY,
    "transcoding_enabled": _FLAG,
    "treat_as_trusted": _FLAG,
    "turn_server_name": Field(Name("TURN server", lambda deployment: deployment.turn_servers)),
    "view": Field(Choice((*VIEWS, *TEAMS_VIEWS), rule="SVC-4", hints=_VIEW_HINTS)),
}
_TWO_STAGE_DIALING = {
    **_COMMON,
    **_CALL,
    **_OUTBOUND_RATE,
    "gms_access_token_name": _GMS_TOKEN,
    "match_string": _TEXT,
    "mssip_proxy_name": _MSSIP_PROXY,
    "post_match_string": _TEXT,
    "post_replace_string": _TEXT,
    "replace_string": _TEXT,
    "system_location_name": Field(_LOCATION),
    "teams_proxy_name": _TEAMS_PROXY,
    "two_stage_dial_type": Field(Choice(("regular", "mssip", "gms", "teams"))),
}
_TRANSFER = _table(
    "on_completion.transfer",
    {
        "conference": Field(Text(), required="FIELD", filled=True),
        "role": Field(_ROLE),
    },
)
_ON_COMPLETION = _table(
    "on_completion",
    {"disconnect": Field(Flag(only=True)), "transfer": Field(Record(_TRANSFER))},
)
_MEDIA_PLAYBACK = {
    **_COMMON,
    **_OUTBOUND_RATE,
    **_ACCESS,
    "max_pixels_per_second": _CALL["max_pixels_per_second"],
    "media_playlist_name": Field(
        Name("media playlist", lambda deployment: deployment.media_playlists),
        required="FIELD",
        filled=True,
    ),
    "on_completion": Field(
        Record(
            _ON_COMPLETION,
            hint="; JSON inside text is the Management API's form, policy writes the object itself",
        )
    ),
}
_TEST_CALL = {**_COMMON, **_CALL}

_SERVICES = {
    "conference": _CONFERENCE,
    "lecture": _LECTURE,
    "gateway": _GATEWAY,
    "two_stage_dialing": _TWO_STAGE_DIALING,
    "media_playback": _MEDIA_PLAYBACK,
    "test_call": _TEST_CALL,
}


def _service_table(service_type: str, fields: Mapping[str, Field]) -> Table:
    names = sorted(set(chain.from_iterable(_SERVICES.values())) - set(fields))
    elsewhere = {name: ", ".join(other for other, table in _SERVICES.items() if name in table) for name in names}
    hints = {"view": "a lecture has host_view and guest_view"} if service_type == "lecture" else {}
    return Table(f"service_type {service_type}", fields, hints, elsewhere)


SERVICES = {service_type: _service_table(service_type, fields) for service_type, fields in _SERVICES.items()}
ANY_SERVICE = _table("a service", {name: _COMMON[name] for name in ("name", "service_tag", "service_type")})
REDIRECT = _table("a redirect", {"new_alias": Field(Text(), required="SVC-7", filled=True)})

_AUDIO_MIX = _table(
    "send_to_audio_mixes",
    {"mix_name": Field(Text(), required="FIELD", filled=True), "prominent": _FLAG},
)
PARTICIPANT = _table(
    "participant properties",
    {
        "bypass_lock": _FLAG,
        "call_tag": _TEXT,
        "can_receive_personal_mix": _FLAG,
        "disable_overlay_text": _FLAG,
        "display_count": Field(Whole()),
        "layout_group": _TEXT,
        "preauthenticated_role": Field(OrNull(_ROLE)),
        "prefers_multiscreen_mix": _FLAG,
        "receive_from_audio_mix": _TEXT,
        "reject_reason": _TEXT,
        "remote_alias": _TEXT,
        "remote_display_name": Field(OrNull(Text())),
        "rx_presentation_policy": Field(Choice(("ALLOW", "DENY"))),
        "send_to_audio_mixes": Field(ListOf(Record(_AUDIO_MIX))),
        "spotlight": Field(Whole()),
        "wants_presentation_in_mix": _FLAG,
    },
    {
        "display_name": "the name that is shown is remote_display_name",
        "overlay_text": "the name that is shown is remote_display_name",
        "reject": 'to refuse a participant, write "action": "reject" next to status',
        "role": "the role is preauthenticated_role",
        "pin": "PINs belong to the service; preauthenticated_role lets a participant in without one",
    },
)
_MEDIA_LOCATION = Name("system location", lambda deployment: deployment.locations, rule="LOC-1")
LOCATION = _table(
    "media location",
    {
        "location": Field(_MEDIA_LOCATION, required="FIELD", filled=True),
        "overflow_locations": Field(ListOf(_MEDIA_LOCATION)),
    },
)
REGISTRATION = _table("a registration answer", {"password": _TEXT, "username": _TEXT})
DIRECTORY = ListOf(
    Record(
        _table(
            "a directory entry",
            {
                "alias": Field(Text(), required="FIELD", filled=True),
                "description": Field(Text(), required="FIELD"),
                "username": Field(Text(), required="FIELD"),
            },
        )
    )
)

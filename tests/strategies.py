"""Hypothesis strategies for what Pexip sends and accepts: one vocabulary for all tests.

The tables are typed from the reference (pexip/README.md: Answers), not taken from the models, so that the two can
disagree.
"""

from typing import Any

from hypothesis import strategies as st

from tests.pexip.reference import VIEWS

text = st.text(max_size=12) | st.sampled_from(["x" * 250, "é" * 250, "Room 1"])
names = st.text(min_size=1, max_size=12)
flags = st.booleans()
call_rates = st.sampled_from([128_000, 2_048_000, 8_192_000]) | st.integers(128_000, 8_192_000)
uuids = st.uuids().map(str)
yes_no = st.sampled_from(["default", "yes", "no"])
views = st.sampled_from(VIEWS)
call_types = st.sampled_from(["video", "video-only", "audio"])
roles = st.sampled_from(["chair", "guest"])

_COMMON: dict[str, st.SearchStrategy[Any]] = {
    "description": text,
    "ivr_theme_name": names,
    "max_callrate_in": call_rates,
    "max_pixels_per_second": st.sampled_from(["sd", "hd", "fullhd", None]),
}
_CALL: dict[str, st.SearchStrategy[Any]] = {
    "bypass_proxy": flags,
    "crypto_mode": st.sampled_from(["besteffort", "on", "off", None]),
    "local_display_name": text,
}
_SCREEN: dict[str, st.SearchStrategy[Any]] = {
    "enable_active_speaker_indication": flags,
    "enable_overlay_text": flags,
    "live_captions_enabled": yes_no,
    "live_captions_language": text,
    "prefer_ipv6": yes_no,
    "source_language": text,
    "max_callrate_out": call_rates,
}
_SIGN_ON: dict[str, st.SearchStrategy[Any]] = {
    "guest_identity_provider_group": text,
    "host_identity_provider_group": text,
    "non_idp_participants": st.sampled_from(["disallow_all", "allow_if_trusted"]),
}


def automatic_participants() -> st.SearchStrategy[dict[str, Any]]:
    """ADPs that Pexip accepts."""
    return st.fixed_dictionaries(
        {
            "local_alias": names,
            "protocol": st.sampled_from(["h323", "sip", "mssip", "rtmp"]),
            "remote_alias": names,
            "role": roles,
        },
        optional={
            "call_type": call_types,
            "description": text,
            "dtmf_sequence": text,
            "keep_conference_alive": st.sampled_from(
                [
                    "keep_conference_alive",
                    "keep_conference_alive_if_multiple",
                    "keep_conference_alive_never",
                ]
            ),
            "local_display_name": text,
            "presentation_url": text,
            "remote_display_name": text,
            "routing": st.sampled_from(["manual", "routing_rule"]),
            "streaming": flags,
            "system_location_name": names,
        },
    )


_ROOM: dict[str, st.SearchStrategy[Any]] = {
    **_COMMON,
    **_CALL,
    **_SCREEN,
    **_SIGN_ON,
    "automatic_participants": st.lists(automatic_participants(), max_size=2),
    "breakout_description": text,
    "breakout_guests_allowed_to_leave": flags,
    "breakout_uuids": st.lists(uuids, max_size=2),
    "call_tag": text,
    "call_type": call_types,
    "denoise_enabled": flags,
    "direct_media_notification_duration": st.integers(0, 30),
    "enable_chat": yes_no,
    "end_action": st.sampled_from(["disconnect", "transfer"]),
    "end_time": st.integers(0, 2**40),
    "guests_can_present": flags,
    "locked": flags,
    "mute_all_guests": flags,
    "participant_limit": st.integers(0, 1_000_000),
    "pinning_config": names,
    "primary_owner_email_address": st.just("owner@example.com"),
    "softmute_enabled": flags,
}

_OPTIONAL: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "conference": {**_ROOM, "view": views},
    "lecture": {
        **_ROOM,
        "force_presenter_into_main": flags,
        "guest_view": views,
        "guests_can_see_guests": st.sampled_from(["no_hosts", "always", "never"]),
        "host_view": views,
    },
    "gateway": {
        **_COMMON,
        **_CALL,
        **_SCREEN,
        "call_type": call_types | st.just("auto"),
        "denoise_audio": flags,
        "dtmf_sequence": text,
        "external_participant_avatar_lookup": yes_no,
        "gms_access_token_name": names,
        "h323_gatekeeper_name": names,
        "mssip_proxy_name": names,
        "outgoing_location_name": names,
        "sip_proxy_name": names,
        "stun_server_name": names,
        "teams_fit_to_frame": st.sampled_from(["yes", "no"]),
        "teams_proxy_name": names,
        "transcoding_enabled": flags,
        "treat_as_trusted": flags,
        "turn_server_name": names,
    },
    "two_stage_dialing": {
        **_COMMON,
        **_CALL,
        "call_type": call_types,
        "gms_access_token_name": names,
        "match_string": text,
        "max_callrate_out": call_rates,
        "mssip_proxy_name": names,
        "post_match_string": text,
        "post_replace_string": text,
        "replace_string": text,
        "system_location_name": names,
        "teams_proxy_name": names,
        "two_stage_dial_type": st.sampled_from(["regular", "mssip", "gms", "teams"]),
    },
    "media_playback": {
        **_COMMON,
        **_SIGN_ON,
        "max_callrate_out": call_rates,
        "on_completion": st.just({"disconnect": True})
        | st.fixed_dictionaries({"transfer": st.fixed_dictionaries({"conference": names}, optional={"role": roles})}),
    },
    "test_call": {**_COMMON, **_CALL, "call_type": call_types},
}

_GATEWAY_LEGS = st.sampled_from(
    [
        {"outgoing_protocol": protocol, **device, **view}
        for protocol in ("h323", "sip", "mssip", "rtmp", "gms", "teams")
        for device in ({}, {"called_device_type": "external"}, {"called_device_type": "teams_user"})
        for view in ({}, {"view": "five_mains_seven_pips"}, {"view": "teams"}, {"view": "teams_focus"})
        if "teams" not in view.get("view", "") or protocol == "teams"
    ]
)


@st.composite
def pins(draw: st.DrawFn) -> dict[str, Any]:
    """PIN fields that Pexip accepts together: every good row of the truth table."""
    pin = draw(st.from_regex(r"[0-9]{3,19}[0-9#]", fullmatch=True))
    digits = len(pin) - 1
    if pin.endswith("#"):
        other = st.from_regex(r"[0-9]{3,19}#", fullmatch=True)
    else:
        other = st.from_regex(rf"[0-9]{{{digits + 1}}}", fullmatch=True)
    guest_pin = draw(other.filter(lambda text: text != pin))
    return draw(
        st.sampled_from(
            [
                {},
                {"pin": pin},
                {"pin": "", "guest_pin": "", "allow_guests": False},
                {"pin": pin, "allow_guests": True},
                {"pin": pin, "guest_pin": guest_pin, "allow_guests": True},
            ]
        )
    )


@st.composite
def breakouts(draw: st.DrawFn) -> dict[str, Any]:
    """Breakout fields, and those that must agree with them, that Pexip accepts together."""
    breakout = {"breakout": True, "breakout_uuid": draw(uuids), "breakout_name": draw(names)}
    return draw(
        st.sampled_from(
            [
                {},
                breakout,
                {**breakout, "breakout_rooms": False, "direct_media": "always"},
                {"breakout_rooms": True, "direct_media": "never"},
                {"breakout_rooms": False, "direct_media": "best_effort"},
            ]
        )
    )


@st.composite
def valid_services(draw: st.DrawFn) -> dict[str, Any]:
    """Services of any type that Pexip accepts."""
    service_type = draw(st.sampled_from(sorted(_OPTIONAL)))
    optional = _OPTIONAL[service_type]
    service: dict[str, Any] = {
        "service_type": service_type,
        "name": draw(names),
        "service_tag": draw(text),
    }
    for field in draw(st.lists(st.sampled_from(sorted(optional)), unique=True, max_size=8)):
        service[field] = draw(optional[field])
    if service_type in {"conference", "lecture", "media_playback"}:
        service |= draw(pins())
    if service_type in {"conference", "lecture"}:
        service |= draw(breakouts())
    if service_type == "gateway":
        service |= {"local_alias": draw(names), "remote_alias": draw(names)} | draw(_GATEWAY_LEGS)
    if service_type == "media_playback":
        service["media_playlist_name"] = draw(names)
    return service


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
"""Anything that JSON can say (and NaN)."""

_ODD_VALUES: st.SearchStrategy[Any] = json_values | st.sampled_from(
    [
        True,
        False,
        1,
        0,
        1.0,
        "yes",
        None,
        {},
        [{}],
        127_999,
        8_192_001,
        2**70,
        "",
        "1234",
        "12345",
        "123#",
        "x" * 251,
        "teams",
        "ac",
    ]
)
_FIELD_NAMES = sorted(
    {field for optional in _OPTIONAL.values() for field in optional}
    | {"pin", "guest_pin", "allow_guests", "breakout", "breakout_uuid", "breakout_name", "breakout_rooms"}
    | {"direct_media", "name", "service_tag", "service_type", "view", "local_alias", "media_playlist_name"}
)


@st.composite
def services(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly valid services: a valid one, in which up to three fields were changed, removed or added."""
    service = draw(valid_services())
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()) and service:
            field = draw(st.sampled_from(sorted(service)))
            if draw(st.booleans()):
                del service[field]
            else:
                service[field] = draw(_ODD_VALUES)
        else:
            field = draw(st.sampled_from(_FIELD_NAMES) | st.text(max_size=8))
            service[field] = draw(_ODD_VALUES)
    return service

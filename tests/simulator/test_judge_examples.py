"""Answers that Pexip's documentation gives as examples are used, without a word against them."""

from typing import Any

import pytest

from tests.simulator.judge_samples import (
    BREAKOUT_UUID,
    DIRECTORY,
    LOCATION,
    PARTICIPANT,
    REGISTRATION,
    SERVICE,
    judged,
    names,
    success,
)

PEXIP = names(
    locations=["DMZ", "London"],
    sip_proxies=["Contact centre"],
    media_playlists=["Holding"],
    themes=[],
    identity_provider_groups=[],
)
SESSION = "3f2a9c5e8b7d4e1fa6c0d9b8e7f61234"
LEG = {
    "local_alias": f"{SESSION}@example.com",
    "local_display_name": SESSION,
    "remote_alias": "99+13175551234",
    "remote_display_name": "Recording",
    "protocol": "sip",
    "role": "chair",
    "call_type": "audio",
    "routing": "routing_rule",
    "keep_conference_alive": "keep_conference_alive_never",
}
ESCALATION = {
    "service_type": "conference",
    "name": SESSION,
    "service_tag": "video-escalation",
    "description": "Video escalation",
    "view": "one_main_seven_pips",
    "enable_overlay_text": True,
}
ONE_PIN = ESCALATION | {"pin": "1234", "allow_guests": False, "automatic_participants": [LEG]}
BREAKOUT = {
    "service_type": "conference",
    "name": SESSION,
    "service_tag": "video-escalation",
    "breakout": True,
    "breakout_rooms": False,
    "breakout_uuid": BREAKOUT_UUID,
    "breakout_name": "Private room",
}
ENTRIES = [
    {"alias": "alice@example.com", "description": "Alice", "username": ""},
    {"alias": "bob@example.com", "description": "Bob", "username": "bob"},
]
DIAL_OUT = (
    "call_direction=dial_out&protocol=sip&vendor=&trigger=unspecified&remote_alias=99%2B13175551234"
    f"&local_alias={SESSION}%40example.com&service_name={SESSION}&unique_service_name={SESSION}"
    "&service_tag=video-escalation"
)
DIAL_IN = f"call_direction=dial_in&protocol=api&trigger=web&remote_display_name=JDoe+4711&local_alias=abc{SESSION}"


@pytest.mark.parametrize(
    ("path", "query", "document", "outcome"),
    [
        (SERVICE, DIAL_IN, success(ONE_PIN, action="continue"), "service"),
        (SERVICE, DIAL_OUT, success(ONE_PIN, action="continue"), "service"),
        (SERVICE, f"breakout_uuid={BREAKOUT_UUID}", success(BREAKOUT, action="continue"), "service"),
        (SERVICE, "call_direction=non_dial&trigger=lrq", success({}, action="reject"), "reject"),
        (
            SERVICE,
            "call_direction=dial_in&protocol=sip",
            success({"new_alias": "sip:other@example.com"}, action="redirect"),
            "redirect",
        ),
        (PARTICIPANT, DIAL_IN, success({}, action="continue"), "continue"),
        (PARTICIPANT, DIAL_IN, success({"remote_display_name": "Customer JDoe"}, action="continue"), "properties"),
        (PARTICIPANT, DIAL_IN, success({"preauthenticated_role": "chair"}, action="continue"), "properties"),
        (PARTICIPANT, DIAL_IN, success({"preauthenticated_role": None}, action="continue"), "properties"),
        (PARTICIPANT, DIAL_IN, success({"reject_reason": "text"}, action="reject"), "reject"),
        (PARTICIPANT, DIAL_OUT, success({}, action="continue"), "continue"),
        (LOCATION, DIAL_OUT, success({"location": "DMZ", "overflow_locations": ["London"]}), "location"),
        (LOCATION, DIAL_IN, success({"location": "London"}), "location"),
        (DIRECTORY, "q=ali+%26+bob&limit=10", success(ENTRIES, ignore_local=True), "directory"),
        (DIRECTORY, "q=&limit=10", success([]), "directory"),
        (REGISTRATION, "auth_type=%22credentials%22", success({}, action="reject"), "reject"),
        (REGISTRATION, "auth_type=sso", success({}, action="continue"), "continue"),
    ],
    ids=[
        "one PIN",
        "dial_out",
        "breakout",
        "location request",
        "redirect",
        "participant unchanged",
        "display name",
        "role",
        "PIN entry",
        "participant refused",
        "participant dial_out",
        "overflow",
        "location",
        "directory",
        "empty directory",
        "registration refused",
        "registration by sign-on",
    ],
)
def test_documented_example(path: str, query: str, document: dict[str, Any], outcome: str) -> None:
    """A documented example answer is used and draws neither objection nor warning."""
    verdict = judged(path, document, query, deployment=PEXIP, running=ONE_PIN if query == DIAL_OUT else None)
    assert (verdict.outcome, verdict.objections, verdict.warnings) == (outcome, (), ())
    assert verdict.used
    assert verdict.well_formed

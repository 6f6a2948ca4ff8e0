"""Every rule (pexip/README.md: What voids an answer), with answers that break it and answers that keep it."""

from typing import Any

import pytest

from policy_server.simulator.judge import Deployment, HttpAnswer, judge
from tests.simulator.judge_samples import (
    BREAKOUT_UUID,
    DIRECTORY,
    GATEWAY,
    LECTURE,
    LEG,
    LOCATION,
    MINIMAL,
    PARTICIPANT,
    PLAYBACK,
    RECEPTION,
    REGISTRATION,
    ROOM,
    SERVICE,
    broken,
    http,
    judged,
    judged_service,
    names,
    rules,
    success,
    warned,
)

PEXIP = names(
    locations=["London", "Oslo"],
    themes=["Telehealth"],
    pinning_configs=["stage"],
    identity_provider_groups=["Staff"],
    media_playlists=["Holding"],
    sip_proxies=["Contact centre"],
    h323_gatekeepers=["gk"],
    mssip_proxies=["skype"],
    teams_proxies=["connector"],
    gms_access_tokens=["token"],
    stun_servers=["stun"],
    turn_servers=["turn"],
)
BREAKOUT = {"breakout": True, "breakout_uuid": BREAKOUT_UUID, "breakout_name": "Private room"}
GUESTS = {"allow_guests": True, "pin": "1234"}


def _without(record: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in fields}


# rule, path, document, what breaks: the field that the objection names, or None when the answer is used.
CASES: list[tuple[str, str, object, str | None]] = [
    ("ENV-1", SERVICE, {"status": "failure", "action": "continue"}, "status"),
    ("ENV-1", SERVICE, {"result": ROOM}, "status"),
    ("ENV-1", SERVICE, {"status": "Success", "result": ROOM}, "status"),
    ("ENV-1", SERVICE, {"status": True, "result": ROOM}, "status"),
    ("ENV-1", SERVICE, {"status": None}, "status"),
    ("ENV-1", SERVICE, [success()], ""),
    ("ENV-1", DIRECTORY, {"status": "fail", "result": []}, "status"),
    ("ENV-1", SERVICE, {"status": "success"}, None),
    ("ENV-2", SERVICE, success(ROOM, action="reject"), None),
    ("ENV-3", SERVICE, success(ROOM | {"description": "d" * 251}), "result.description"),
    ("ENV-3", SERVICE, success(ROOM | {"description": "d" * 250}), None),
    ("ENV-3", SERVICE, success(ROOM | {"undocumented": "d" * 251}), "result.undocumented"),
    ("ENV-3", SERVICE, success({}, decision_id="d" * 251), "decision_id"),
    ("ENV-3", SERVICE, success({}, trace=[{"rule": "d" * 251}]), "trace[0].rule"),
    ("ENV-3", SERVICE, success({}, decision_id="d" * 250), None),
    ("ENV-3", SERVICE, success(ROOM | {"name": "é😀" * 125}), None),
    ("ENV-3", PARTICIPANT, success({"remote_display_name": "d" * 251}), "result.remote_display_name"),
    ("ENV-3", LOCATION, success({"location": "d" * 251}), "result.location"),
    ("ENV-3", REGISTRATION, success({"username": "d" * 251, "password": "p"}), "result.username"),
    (
        "ENV-3",
        DIRECTORY,
        success([{"alias": "a", "description": "d" * 251, "username": ""}]),
        "result[0].description",
    ),
    ("SVC-1", SERVICE, success(_without(ROOM, "name")), "result.name"),
    ("SVC-1", SERVICE, success(ROOM | {"name": ""}), "result.name"),
    ("SVC-1", SERVICE, success(_without(ROOM, "service_tag")), "result.service_tag"),
    ("SVC-1", SERVICE, success(_without(ROOM, "service_type")), "result.service_type"),
    ("SVC-1", SERVICE, success(ROOM | {"service_tag": ""}), None),
    ("SVC-2", SERVICE, success(ROOM | {"service_type": "vmr"}), "result.service_type"),
    ("SVC-2", SERVICE, success(ROOM | {"service_type": "Conference"}), "result.service_type"),
    ("SVC-2", SERVICE, success(ROOM | {"service_type": 1}), "result.service_type"),
    *(("SVC-2", SERVICE, success(result), None) for result in MINIMAL.values()),
    ("SVC-3", SERVICE, success(ROOM | {"ivr_theme_name": "telehealth"}), "result.ivr_theme_name"),
    ("SVC-3", SERVICE, success(ROOM | {"ivr_theme_name": ""}), "result.ivr_theme_name"),
    ("SVC-3", SERVICE, success(ROOM | {"ivr_theme_name": "Telehealth"}), None),
    ("SVC-3", SERVICE, success(ROOM | {"pinning_config": "x"}), "result.pinning_config"),
    ("SVC-3", SERVICE, success(ROOM | {"pinning_config": "stage"}), None),
    (
        "SVC-3",
        SERVICE,
        success(ROOM | {"host_identity_provider_group": "x"}),
        "result.host_identity_provider_group",
    ),
    (
        "SVC-3",
        SERVICE,
        success(LECTURE | {"guest_identity_provider_group": "x"}),
        "result.guest_identity_provider_group",
    ),
    ("SVC-3", SERVICE, success(ROOM | {"guest_identity_provider_group": "Staff"}), None),
    ("SVC-3", SERVICE, success(ROOM | {"guest_identity_provider_group": ""}), None),
    ("SVC-3", SERVICE, success(PLAYBACK | {"media_playlist_name": "x"}), "result.media_playlist_name"),
    ("SVC-3", SERVICE, success(PLAYBACK), None),
    ("SVC-3", SERVICE, success(RECEPTION | {"system_location_name": "oslo"}), "result.system_location_name"),
    ("SVC-3", SERVICE, success(RECEPTION | {"system_location_name": "Oslo"}), None),
    (
        "SVC-3",
        SERVICE,
        success(ROOM | {"automatic_participants": [LEG, LEG | {"remote_alias": "b", "system_location_name": "x"}]}),
        "result.automatic_participants[1].system_location_name",
    ),
    *(
        ("SVC-3", SERVICE, success(GATEWAY | {field: value}), f"result.{field}" if value == "x" else None)
        for field, known in (
            ("gms_access_token_name", "token"),
            ("h323_gatekeeper_name", "gk"),
            ("mssip_proxy_name", "skype"),
            ("outgoing_location_name", "London"),
            ("sip_proxy_name", "Contact centre"),
            ("stun_server_name", "stun"),
            ("teams_proxy_name", "connector"),
            ("turn_server_name", "turn"),
        )
        for value in ("x", known)
    ),
    ("SVC-4", SERVICE, success(ROOM | {"view": "1:7"}), "result.view"),
    ("SVC-4", SERVICE, success(ROOM | {"view": "one_main_twelve_pips"}), "result.view"),
    ("SVC-4", SERVICE, success(ROOM | {"view": "teams"}), "result.view"),
    ("SVC-4", SERVICE, success(ROOM | {"view": ""}), "result.view"),
    ("SVC-4", SERVICE, success(ROOM | {"view": "five_mains_seven_pips"}), None),
    ("SVC-4", SERVICE, success(LECTURE | {"host_view": "ac"}), "result.host_view"),
    ("SVC-4", SERVICE, success(LECTURE | {"guest_view": "ac"}), "result.guest_view"),
    ("SVC-4", SERVICE, success(LECTURE | {"guest_view": "one_main_zero_pips"}), None),
    ("SVC-4", SERVICE, success(GATEWAY | {"view": "teams_focus"}), "result.view"),
    ("SVC-4", SERVICE, success(GATEWAY | {"view": "nine"}), "result.view"),
    ("SVC-4", SERVICE, success(GATEWAY | {"view": "teams_focus", "outgoing_protocol": "teams"}), None),
    *(
        ("SVC-5", SERVICE, success(MINIMAL[kind] | {field: rate}), None if fits else f"result.{field}")
        for kind in MINIMAL
        for field in ("max_callrate_in", "max_callrate_out")
        for rate, fits in ((127999, False), (128000, True), (8192000, True), (8192001, False))
        if (kind, field) != ("test_call", "max_callrate_out")
    ),
    ("SVC-7", SERVICE, success(action="redirect"), "result.new_alias"),
    ("SVC-7", SERVICE, success({}, action="redirect"), "result.new_alias"),
    ("SVC-7", SERVICE, success({"new_alias": ""}, action="redirect"), "result.new_alias"),
    ("SVC-7", SERVICE, success({"new_alias": "sip:other@example.com"}, action="redirect"), None),
    ("PIN-1", SERVICE, success(ROOM | {"allow_guests": True}), "result.pin"),
    ("PIN-1", SERVICE, success(ROOM | GUESTS), None),
    ("PIN-2", SERVICE, success(ROOM | {"pin": "1234", "guest_pin": "4321"}), "result.guest_pin"),
    ("PIN-2", SERVICE, success(ROOM | GUESTS | {"guest_pin": "4321"}), None),
    ("PIN-3", SERVICE, success(LECTURE | GUESTS | {"guest_pin": "1234"}), "result.guest_pin"),
    ("PIN-3", SERVICE, success(LECTURE | GUESTS | {"guest_pin": "1235"}), None),
    ("PIN-4", SERVICE, success(PLAYBACK | GUESTS | {"guest_pin": "12345"}), "result.guest_pin"),
    ("PIN-4", SERVICE, success(PLAYBACK | {"allow_guests": True, "pin": "123#", "guest_pin": "54321#"}), None),
    ("PIN-5", SERVICE, success(ROOM | GUESTS | {"guest_pin": "123#"}), "result.guest_pin"),
    ("PIN-5", SERVICE, success(ROOM | {"allow_guests": True, "pin": "321#", "guest_pin": "123#"}), None),
    ("PIN-6", SERVICE, success(ROOM | {"pin": "123"}), "result.pin"),
    ("PIN-6", SERVICE, success(ROOM | {"pin": "123#"}), None),
    ("BRK-1", SERVICE, success(ROOM | _without(BREAKOUT, "breakout_uuid")), "result.breakout_uuid"),
    ("BRK-1", SERVICE, success(ROOM | _without(BREAKOUT, "breakout_name")), "result.breakout_name"),
    ("BRK-1", SERVICE, success(LECTURE | BREAKOUT | {"breakout_name": ""}), "result.breakout_name"),
    ("BRK-1", SERVICE, success(ROOM | BREAKOUT), None),
    ("BRK-1", SERVICE, success(ROOM | {"breakout": False}), None),
    ("BRK-2", SERVICE, success(ROOM | BREAKOUT | {"breakout_rooms": True}), "result.breakout_rooms"),
    ("BRK-2", SERVICE, success(ROOM | BREAKOUT | {"breakout_rooms": False}), None),
    ("BRK-2", SERVICE, success(ROOM | {"breakout_rooms": True}), None),
    ("BRK-3", SERVICE, success(ROOM | {"breakout_rooms": True, "direct_media": "always"}), "result.direct_media"),
    (
        "BRK-3",
        SERVICE,
        success(LECTURE | {"breakout_rooms": True, "direct_media": "best_effort"}),
        "result.direct_media",
    ),
    ("BRK-3", SERVICE, success(ROOM | {"breakout_rooms": True, "direct_media": "never"}), None),
    ("BRK-3", SERVICE, success(ROOM | {"breakout_rooms": False, "direct_media": "always"}), None),
    *(
        (
            "ADP-1",
            SERVICE,
            success(ROOM | {"automatic_participants": [_without(LEG, field)]}),
            f"result.automatic_participants[0].{field}",
        )
        for field in LEG
    ),
    *(
        (
            "ADP-1",
            SERVICE,
            success(ROOM | {"automatic_participants": [LEG | {field: ""}]}),
            f"result.automatic_participants[0].{field}",
        )
        for field in ("local_alias", "remote_alias")
    ),
    ("ADP-1", SERVICE, success(LECTURE | {"automatic_participants": [LEG]}), None),
    ("ADP-1", SERVICE, success(ROOM | {"automatic_participants": []}), None),
    *(
        ("GW-1", SERVICE, success(_without(GATEWAY, field)), f"result.{field}")
        for field in ("local_alias", "outgoing_protocol", "remote_alias")
    ),
    ("GW-1", SERVICE, success(GATEWAY | {"local_alias": ""}), "result.local_alias"),
    ("GW-1", SERVICE, success(GATEWAY | {"remote_alias": ""}), "result.remote_alias"),
    ("GW-1", SERVICE, success(GATEWAY), None),
    ("LOC-1", LOCATION, success({"location": "london"}), "result.location"),
    (
        "LOC-1",
        LOCATION,
        success({"location": "London", "overflow_locations": ["Oslo", "Bergen"]}),
        "result.overflow_locations[1]",
    ),
    ("LOC-1", LOCATION, success({"location": "London", "overflow_locations": [""]}), "result.overflow_locations[0]"),
    ("LOC-1", LOCATION, success({"location": "London", "overflow_locations": ["Oslo"]}), None),
    ("PRT-1", PARTICIPANT, success({"remote_display_name": None}), "result.remote_display_name"),
    ("PRT-1", PARTICIPANT, success({"remote_display_name": "Customer"}), None),
]


@pytest.mark.parametrize(
    ("rule", "path", "document", "field"),
    CASES,
    ids=[f"{rule}-{'used' if field is None else 'broken'}-{index}" for index, (rule, _, _, field) in enumerate(CASES)],
)
def test_rule(rule: str, path: str, document: object, field: str | None) -> None:
    """An answer that breaks a rule is discarded for exactly that rule; one that keeps it is used."""
    verdict = judged(path, document, "remote_display_name=JDoe+4711", deployment=PEXIP)
    # A string that is too long cannot be a known name either: the judge says both.
    found = [item for item in broken(verdict) if (item[0], rule) != ("LOC-1", "ENV-3")]
    assert found == ([] if field is None else [(rule, field)])
    assert (verdict.outcome == "failure") is (field is not None)
    assert verdict.used is (field is None)


def test_the_table_covers_every_rule() -> None:
    """The table breaks and keeps each rule id, but for those that have tests of their own.

    (pexip/README.md: What voids an answer)
    """
    own_tests = {"ENV-4", "SVC-6", "AVA-1"}
    groups = {"ENV": 4, "SVC": 7, "PIN": 6, "BRK": 3, "ADP": 1, "GW": 1, "LOC": 1, "PRT": 1, "AVA": 1}
    every = {f"{group}-{number}" for group, count in groups.items() for number in range(1, count + 1)}
    assert {rule for rule, _, _, field in CASES if field is not None} == every - own_tests - {"ENV-2"}
    assert {rule for rule, _, _, field in CASES if field is None} == every - own_tests


def test_unknown_deployment_is_not_checked() -> None:
    """Without a list of the deployment's names, any name is accepted."""
    assert judged_service(ROOM | {"ivr_theme_name": "Anything"}).used
    assert judged(LOCATION, success({"location": "Anywhere", "overflow_locations": ["Else"]})).outcome == "location"
    assert rules(judged(LOCATION, success({"location": "A"}), deployment=Deployment(locations=frozenset()))) == [
        "LOC-1"
    ]


# ENV-2


@pytest.mark.parametrize("action", ["reject", "redirect", "refuse", None, 5], ids=repr)
def test_env_2_ignores_the_action_of_a_valid_service(action: object) -> None:
    """A valid service in result is used whatever action says, and the verdict warns of it."""
    verdict = judged(SERVICE, success(ROOM, action=action))
    assert (verdict.outcome, verdict.used) == ("service", True)
    assert warned(verdict) == [("ENV-2", "action")]


def test_env_2_does_not_save_an_invalid_service() -> None:
    """A reject with an invalid service in result is a discarded answer, not a reject."""
    verdict = judged(SERVICE, success(ROOM | {"pin": "1"}, action="reject"))
    assert (verdict.outcome, rules(verdict)) == ("failure", ["PIN-6"])


def test_env_2_leaves_a_reject_with_other_data() -> None:
    """A reject whose result is no service rejects the call, with a warning about the data."""
    verdict = judged(SERVICE, success({"reject_reason": "closed"}, action="reject"))
    assert (verdict.outcome, verdict.used) == ("reject", True)
    assert warned(verdict) == [("ENV-2", "result")]


# SVC-6

DIAL_OUT = "call_direction=dial_out&service_name=Room&service_tag=tag"


@pytest.mark.parametrize(
    ("query", "result", "running", "field"),
    [
        (DIAL_OUT, ROOM, ROOM, None),
        (DIAL_OUT, ROOM, None, None),
        (DIAL_OUT, ROOM | {"name": "Other"}, ROOM, "result.name"),
        (DIAL_OUT, ROOM | {"name": "Other"}, None, "result.name"),
        (DIAL_OUT, ROOM | {"name": "room"}, ROOM, "result.name"),
        (DIAL_OUT, LECTURE, ROOM, "result.service_type"),
        (DIAL_OUT, ROOM | {"prefer_ipv6": "yes", "crypto_mode": "on"}, ROOM, None),
        ("call_direction=dial_in", ROOM | {"name": "Other"}, ROOM, None),
        ("call_direction=dial_out", ROOM, None, None),
        (f"call_direction=dial_out&service_name=Room_breakout_{BREAKOUT_UUID}", ROOM | BREAKOUT, None, None),
    ],
)
def test_svc_6(query: str, result: dict[str, object], running: dict[str, object] | None, field: str | None) -> None:
    """A call out of a running service needs that service again: the same name and the same service_type."""
    verdict = judged_service(result, query, running=running)
    assert broken(verdict) == ([] if field is None else [("SVC-6", field)])


@pytest.mark.parametrize(
    "answer",
    [
        http(success()),
        http(success({}, action="reject")),
        http(success({"new_alias": "b"}, action="redirect")),
        http({}, status=404),
    ],
    ids=["continue", "reject", "redirect", "404"],
)
def test_svc_6_warns_when_the_running_service_is_not_repeated(answer: HttpAnswer) -> None:
    """Leaving a dial_out question about our own running service to Pexip means that the leg is not placed."""
    verdict = judge(SERVICE, DIAL_OUT, answer, running=ROOM)
    assert verdict.used
    assert warned(verdict) == [("SVC-6", "result")]
    assert judge(SERVICE, DIAL_OUT, answer).warnings == ()
    assert judge(SERVICE, "call_direction=dial_in", answer, running=ROOM).warnings == ()


def test_svc_6_warns_about_another_tag() -> None:
    """Another service_tag than the running service's does not stop the call but is not the same data."""
    verdict = judged_service(ROOM | {"service_tag": "other"}, DIAL_OUT, running=ROOM)
    assert verdict.used
    assert warned(verdict) == [("SVC-6", "result.service_tag")]


# PRT-1


@pytest.mark.parametrize("query", ["", "remote_display_name=", "remote_display_name=None", "remote_display_name=null"])
def test_prt_1_null_for_a_participant_without_a_name(query: str) -> None:
    """A null display name is fine when the participant has none."""
    assert judged(PARTICIPANT, success({"remote_display_name": None}), query).outcome == "properties"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        pytest.param({"pin": "4821", "allow_guests": True, "guest_pin": "1234"}, None, id="PINs"),
        pytest.param({"max_callrate_in": 128000, "host_identity_provider_group": "staff"}, None, id="rate and sign-on"),
        pytest.param({"automatic_participants": [LEG]}, None, id="who dials"),
        pytest.param({"view": "one_main_zero_pips"}, "result.view", id="layout"),
        pytest.param({"service_tag": "other"}, "result.service_tag", id="tag"),
        pytest.param({"name": "Another room"}, None, id="another room"),
        pytest.param({"breakout": True, "breakout_uuid": BREAKOUT_UUID, "breakout_name": "A"}, None, id="a breakout"),
    ],
)
def test_what_callers_of_one_conference_have_in_common(changed: dict[str, object], field: str | None) -> None:
    """PINs, Identity Provider groups and call rates may differ between callers; anything else is told."""
    verdict = judged_service(ROOM | changed, "call_direction=dial_in", running=ROOM)
    assert [warning.field for warning in verdict.warnings] == ([field] if field else [])

"""The judge and the strict models, written from one reference (pexip/README.md: Answers) by different hands, agree.

They differ in four things, and the tests say so: an unknown field, which the models refuse and the judge only warns
of; ``remote_display_name: null``, which Pexip takes for a participant without a name and our answers never need; whole
numbers beyond 64 bits, which our answers cannot carry; and half a pair of credentials.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from policy_server.pexip.field_facts import DOOR_FIELDS, SECRET_FIELDS
from policy_server.pexip.fields import Named
from policy_server.pexip.properties import (
    accepts_properties,
    check_directory_entry,
    check_media_location,
    check_properties,
    check_registration,
)
from policy_server.pexip.services import SERVICE_TYPES, accepts_service, check_service
from policy_server.pexip.shapes import SHAPES
from policy_server.simulator.judge import Deployment, HttpAnswer, Verdict, judge
from policy_server.simulator.judge.findings import secrets_of
from tests.pexip import samples
from tests.strategies import automatic_participants, flags, json_values, names, roles, services, text, valid_services

PATHS = {
    "service": "/policy/v1/service/configuration",
    "participant": "/policy/v1/participant/properties",
    "location": "/policy/v1/participant/location",
    "registration": "/policy/v1/registrations/room3%40example.com",
    "directory": "/policy/v1/registrations",
}
ROOM: dict[str, Any] = {"service_type": "conference", "name": "Room", "service_tag": ""}
LEG: dict[str, Any] = {
    "local_alias": "room@example.com",
    "remote_alias": "99+13175551234",
    "protocol": "sip",
    "role": "chair",
}
GATEWAY = ROOM | {"service_type": "gateway", "local_alias": "a", "remote_alias": "b", "outgoing_protocol": "sip"}
LECTURE, RECEPTION, TEST_CALL = (
    ROOM | {"service_type": kind} for kind in ("lecture", "two_stage_dialing", "test_call")
)
PLAYBACK = ROOM | {"service_type": "media_playback", "media_playlist_name": "Holding"}

UNKNOWN = "is not a documented field", "is a field of", "is not a field of"
GREATEST = 2**63 - 1


def _verdict(question: str, result: object) -> Verdict:
    document = {"status": "success", "result": result}
    # A participant whose display name is known, so that PRT-1 holds without exception.
    body = json.dumps(document).encode()
    return judge(PATHS[question], "remote_display_name=Ada", HttpAnswer(200, "application/json", body))


def _has_unknown_field(verdict: Verdict) -> bool:
    return any(phrase in warning.reason for warning in verdict.warnings for phrase in UNKNOWN)


def _agree(question: str, accepted: bool, result: object) -> None:
    """What the judge uses and knows all fields of is what the model accepts."""
    verdict = _verdict(question, result)
    expected = verdict.used and not _has_unknown_field(verdict)
    assert accepted is expected, (
        result,
        [f"{item.rule} {item.field}: {item.reason}" for item in verdict.objections + verdict.warnings],
    )


def _numbers(value: object) -> list[int | float]:
    if isinstance(value, Mapping):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _writable(value: object) -> bool:
    """Whether JSON can say it and our answers can carry it."""
    return all(abs(number) <= GREATEST and number == number for number in _numbers(value))  # noqa: PLR0124


VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 30, 31, 127_999, 128_000, 8_192_000, 8_192_001, 1_000_000, 1_000_001),
    *("", " ", "x", "x" * 100, "x" * 101, "x" * 250, "x" * 251, "é" * 250, "true", "1"),
    *("1234", "4321", "123", "12345", "123#", "54321#", "12#4", "1" * 20, "1" * 21, "1" * 19 + "#", "١٢٣٤", "1234\n"),
    *(
        "5b0c7d1e-2f3a-4b4c-8d5e-6f7a8b9c0d1e",
        "5B0C7D1E-2F3A-4B4C-8D5E-6F7A8B9C0D1E",
        "5b0c7d1e2f3a4b4c8d5e6f7a8b9c0d1e",
    ),
    *("default", "yes", "no", "on", "off", "besteffort", "sd", "hd", "fullhd", "video", "auto", "always", "never"),
    *("chair", "guest", "host", "sip", "teams", "gms", "ALLOW", "allow", "one_main_one_pip", "ac", "teams_focus"),
    *(
        [],
        {},
        [""],
        [None],
        ["London", "Oslo"],
        [{}],
        [LEG],
        [LEG, LEG],
        [LEG | {"role": "host"}],
        [LEG | {"streaming": 1}],
    ),
    *(
        [LEG | {"remote_alias": ""}],
        [LEG | {"zzz": 1}],
        [LEG | {"system_location_name": ""}],
        [LEG | {"system_location_name": "x"}],
    ),
    *({"disconnect": True}, {"disconnect": False}, {"transfer": {"conference": "x"}}, {"transfer": {"conference": ""}}),
    *({"disconnect": True, "transfer": {"conference": "x"}}, {"transfer": {"conference": "x", "role": "host"}}),
    *(
        [{"mix_name": "main"}],
        [{"mix_name": ""}],
        [{"mix_name": "main", "prominent": None}],
        [{"mix_name": "a", "b": 1}],
    ),
]
"""Values that are good for some field and wrong for most."""

FIELDS = sorted(
    {*GATEWAY, *PLAYBACK, "pin", "guest_pin", "allow_guests", "breakout", "breakout_uuid", "breakout_uuids", "view"}
    | {"breakout_name", "breakout_rooms", "direct_media", "automatic_participants", "max_callrate_in", "ivr_theme_name"}
    | {"max_callrate_out", "max_pixels_per_second", "crypto_mode", "participant_limit", "on_completion", "call_type"}
    | {"primary_owner_email_address", "called_device_type", "system_location_name", "two_stage_dial_type", "end_time"}
    | {"guest_identity_provider_group", "direct_media_notification_duration", "host_view", "prefer_ipv6", "locked"}
)
values = st.sampled_from(VALUES).map(deepcopy) | json_values


@st.composite
def changed(draw: st.DrawFn, base: st.SearchStrategy[dict[str, Any]], fields: list[str]) -> dict[str, Any]:
    """An object in which up to four fields were changed, removed or added."""
    record = dict(draw(base))
    for field in draw(st.lists(st.sampled_from(fields) | st.sampled_from(sorted(record) or fields), max_size=4)):
        if draw(st.integers(0, 3)) == 0:
            record.pop(field, None)
        else:
            record[field] = draw(values)
    return record


@pytest.mark.slow
@settings(max_examples=400)
@given((services() | changed(valid_services(), FIELDS)).filter(_writable).filter(bool))
def test_services(service: dict[str, Any]) -> None:
    """A service is accepted exactly when the judge would use it and knows every field; without any it is a "continue"."""
    _agree("service", accepts_service(service), service)


@pytest.mark.slow
@pytest.mark.parametrize(
    "base", [ROOM, LECTURE, GATEWAY, RECEPTION, PLAYBACK, TEST_CALL], ids=lambda base: base["service_type"]
)
def test_every_field_with_every_odd_value(base: dict[str, Any]) -> None:
    """The same for each field by itself with each value that is good somewhere."""
    for field in FIELDS:
        for value in VALUES:
            service = base | {field: value}
            _agree("service", accepts_service(service), service)


@pytest.mark.parametrize("service_type", ["conference", "lecture", "media_playback"])
def test_pins(service_type: str) -> None:
    """Every combination of Guests, Host PIN and Guest PIN comes out the same on both sides."""
    pins = [
        "",
        "1234",
        "4321",
        "54321",
        "123#",
        "432#",
        "54321#",
        "123",
        "1" * 20,
        "2" * 20,
        "1" * 21,
        "12#4",
        None,
        1234,
    ]
    absent = object()
    for allow_guests in (absent, False, True, None, "true"):
        for pin in (absent, *pins):
            for guest_pin in (absent, *pins):
                given_fields = {"allow_guests": allow_guests, "pin": pin, "guest_pin": guest_pin}
                present = {name: value for name, value in given_fields.items() if value is not absent}
                service = PLAYBACK | {"service_type": service_type} | present
                if service_type != "media_playback":
                    del service["media_playlist_name"]
                _agree("service", accepts_service(service), service)


PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "bypass_lock": flags,
        "call_tag": text,
        "can_receive_personal_mix": flags,
        "disable_overlay_text": flags,
        "display_count": st.integers(0, 4),
        "layout_group": text,
        "preauthenticated_role": roles | st.none(),
        "prefers_multiscreen_mix": flags,
        "receive_from_audio_mix": text,
        "reject_reason": text,
        "remote_alias": text,
        "remote_display_name": text,
        "rx_presentation_policy": st.sampled_from(["ALLOW", "DENY"]),
        "send_to_audio_mixes": st.lists(
            st.fixed_dictionaries({"mix_name": names}, optional={"prominent": flags}), max_size=2
        ),
        "spotlight": st.integers(0, 9),
        "wants_presentation_in_mix": flags,
    },
)
PROPERTY_FIELDS = [
    *("bypass_lock", "call_tag", "display_count", "preauthenticated_role", "reject_reason", "remote_display_name"),
    *("rx_presentation_policy", "send_to_audio_mixes", "spotlight", "overlay_text"),
]


@given(changed(PROPERTIES, PROPERTY_FIELDS).filter(_writable))
@example({"remote_display_name": None})
@example({"send_to_audio_mixes": [{"mix_name": ""}]})
@example({"preauthenticated_role": None, "role": "chair"})
def test_participant_properties(properties: dict[str, Any]) -> None:
    """Participant properties, for a participant who has a display name."""
    _agree("participant", accepts_properties(properties), properties)


def test_a_participant_without_a_name_may_be_told_so() -> None:
    """Pexip takes a null name for a participant who has none; the models are stricter and always refuse it."""
    nameless: dict[str, object] = {"remote_display_name": None}
    body = json.dumps({"status": "success", "result": nameless}).encode()
    assert judge(PATHS["participant"], "remote_display_name=", HttpAnswer(200, "application/json", body)).used
    assert not accepts_properties(nameless)


LOCATIONS = st.fixed_dictionaries({"location": names}, optional={"overflow_locations": st.lists(names, max_size=2)})


@given(changed(LOCATIONS, ["location", "overflow_locations", "zzz"]).filter(_writable).filter(bool))
@example({"location": ""})
@example({"location": "London", "overflow_locations": ["Oslo", ""]})
@example({"overflow_locations": ["Oslo"]})
def test_media_locations(location: dict[str, Any]) -> None:
    """A media location; without any field it is no location but a "continue", which the judge lets pass."""
    _agree("location", not check_media_location(location), location)


CREDENTIALS = st.fixed_dictionaries({"username": text, "password": text}) | st.just({"username": "", "password": ""})


@given(changed(CREDENTIALS, ["username", "password", "zzz"]).filter(_writable).filter(bool))
def test_registrations(credentials: dict[str, Any]) -> None:
    """The credentials of a registration; without any field Pexip's own configuration decides."""
    halves = credentials.get("username"), credentials.get("password")
    assume(credentials.keys() >= {"username", "password"} and bool(halves[0]) is bool(halves[1]))
    _agree("registration", not check_registration(credentials), credentials)


@pytest.mark.parametrize(
    "half",
    [
        {"username": "kiosk"},
        {"password": "x"},
        {"username": "kiosk", "password": ""},
        {"username": "", "password": "x"},
    ],
    ids=["no password", "no user name", "empty password", "empty user name"],
)
def test_half_a_pair_of_credentials(half: dict[str, Any]) -> None:
    """Half a pair is good field by field, which is all that the model looks at; the judge refuses it."""
    assert not check_registration(half)
    assert not _verdict("registration", half).used


ENTRIES = st.fixed_dictionaries({"alias": names, "description": text, "username": text})


@given(st.lists(changed(ENTRIES, ["alias", "description", "username", "zzz"]), max_size=3).filter(_writable))
@example([{"alias": "", "description": "", "username": ""}])
def test_directories(entries: list[dict[str, Any]]) -> None:
    """A directory is as good as its entries."""
    _agree("directory", not any(map(check_directory_entry, entries)), entries)


@given(st.lists(automatic_participants(), max_size=3))
def test_automatic_participants(legs: list[dict[str, Any]]) -> None:
    """Any automatic participants that the reference allows are accepted on both sides."""
    service: dict[str, Any] = ROOM | {"automatic_participants": legs}
    assert accepts_service(service)
    _agree("service", True, service)


@pytest.mark.parametrize("field", sorted({name for shape in SHAPES.values() for name in shape.facets}))
def test_what_is_secret(field: str) -> None:
    """Both sides hide the same fields."""
    assert bool(secrets_of({field: "x"})) is (field in SECRET_FIELDS)


@pytest.mark.parametrize(
    "field", sorted(SERVICE_TYPES["conference"].facets.keys() - {"name", "automatic_participants", "breakout"})
)
def test_what_may_differ_between_callers(field: str) -> None:
    """Both sides let the same fields of a room be each caller's own."""
    body = json.dumps({"status": "success", "result": ROOM | {field: "one"}}).encode()
    answer = HttpAnswer(200, "application/json", body)
    verdict = judge(PATHS["service"], "call_direction=dial_in", answer, running=ROOM | {field: "two"})
    told = [item.field for item in verdict.warnings if "is not what it was started with" in item.reason]
    assert told == ([] if field in DOOR_FIELDS else [f"result.{field}"])


ANSWERS: dict[str, Callable[[dict[str, Any]], tuple[str, object]]] = {
    "a conference": lambda field: ("service", ROOM | field),
    "a lecture": lambda field: ("service", LECTURE | field),
    "a gateway call": lambda field: ("service", GATEWAY | field),
    "a two_stage_dialing service": lambda field: ("service", RECEPTION | field),
    "a media_playback service": lambda field: ("service", PLAYBACK | field),
    "a test_call service": lambda field: ("service", TEST_CALL | field),
    "an automatic participant": lambda field: ("service", ROOM | {"automatic_participants": [LEG | field]}),
    "on_completion": lambda field: ("service", PLAYBACK | {"on_completion": field}),
    "a transfer": lambda field: ("service", PLAYBACK | {"on_completion": {"transfer": {"conference": "x"} | field}}),
    "the properties of a participant": lambda field: ("participant", field),
    "an entry of send_to_audio_mixes": lambda field: (
        "participant",
        {"send_to_audio_mixes": [{"mix_name": "x"} | field]},
    ),
    "a media location": lambda field: ("location", {"location": "x"} | field),
    "a registration": lambda field: ("registration", {"username": "x", "password": "x"} | field),
    "a directory entry": lambda field: ("directory", [{"alias": "x", "description": "x", "username": "x"} | field]),
}
"""An answer with a field of each part of answers."""


@pytest.mark.parametrize(
    ("noun", "field"),
    [
        (shape.noun, field)
        for shape in SHAPES.values()
        for field in shape.facets
        if shape.noun != "every service" and field != "service_type"
    ],
)
def test_what_there_is(noun: str, field: str) -> None:
    """The judge knows every field of the models, and no field that there is not."""
    assert not _has_unknown_field(_verdict(*ANSWERS[noun]({field: "x"})))
    assert _has_unknown_field(_verdict(*ANSWERS[noun]({f"{field}_": "x"})))


def test_kinds_of_objects() -> None:
    """Both sides know the same kinds of objects of a deployment."""
    assert {kind.plural for kind in Named} == {kind.name for kind in dataclasses.fields(Deployment)}


@pytest.mark.parametrize(
    ("service_type", "field"),
    [
        (service_type, field)
        for service_type, shape in SERVICE_TYPES.items()
        for field, facet in shape.facets.items()
        if facet.names
    ],
)
def test_what_must_exist(service_type: str, field: str) -> None:
    """Both sides hold the same fields to be names of objects, of the same kind."""
    body = json.dumps({"status": "success", "result": samples.service(service_type, **{field: "x"})}).encode()
    answer = HttpAnswer(200, "application/json", body)
    named = SERVICE_TYPES[service_type].facets[field].names
    assert named is not None
    others = {kind.plural: frozenset({"x", "Holding"}) for kind in Named}
    for deployment, rules in ((others, []), (others | {named.plural: frozenset({"Holding"})}, ["SVC-3"])):
        verdict = judge(PATHS["service"], "", answer, deployment=Deployment(**deployment))
        assert [item.rule for item in verdict.objections] == rules


@pytest.mark.parametrize("view", ["teams", "teams_focus"])
def test_what_a_teams_call_is(view: str) -> None:
    """Both sides take a Teams layout for a call by the Teams protocol, and for no other."""
    by_device = GATEWAY | {"view": view, "called_device_type": "teams_conference"}
    for service in (GATEWAY | {"view": view}, by_device, by_device | {"outgoing_protocol": "teams"}):
        _agree("service", accepts_service(service), service)


def test_unknown_fields_are_where_the_two_part() -> None:
    """An unknown field is refused by the models, so that a misspelt one is noticed, and a warning to the judge."""
    for question, check, record in (
        ("service", check_service, ROOM),
        ("participant", check_properties, {}),
        ("location", check_media_location, {"location": "London"}),
        ("registration", check_registration, {"username": "", "password": ""}),
    ):
        misspelt: dict[str, object] = {**record, "descripton": "x"}
        verdict = _verdict(question, misspelt)
        assert verdict.used
        assert _has_unknown_field(verdict)
        assert [fault.kind for fault in check(misspelt)] == ["unknown"]
        assert not check(record)

"""Services: what a node accepts, and what is said about the rest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.fields import Fault
from policy_server.pexip.service_parts import AutomaticParticipant
from policy_server.pexip.services import (
    SERVICE_TYPES,
    Conference,
    TwoStageDialing,
    accepts_service,
    check_service,
    names_of_deployment,
)
from policy_server.pexip.shapes import SHAPES
from tests import strategies
from tests.pexip.reference import SERVICES, VIEWS
from tests.pexip.samples import ADP, ANY, ROOMS, messages, only_fault, room, service

SENDING = tuple(service_type for service_type in ANY if service_type != "test_call")
WORDS = [
    (kind, name, field.words) for kind, fields in SERVICES.items() for name, field in fields.items() if field.words
]


@pytest.mark.parametrize("service_type", ANY)
def test_smallest_service(service_type: str) -> None:
    """Every service type is accepted with its required fields alone."""
    assert check_service(service(service_type)) == ()
    assert accepts_service(service(service_type))


@pytest.mark.parametrize(
    ("service_type", "field", "rule"),
    [
        *((service_type, field, "SVC-1") for service_type in ANY for field in ("name", "service_tag")),
        ("gateway", "local_alias", "GW-1"),
        ("gateway", "outgoing_protocol", "GW-1"),
        ("gateway", "remote_alias", "GW-1"),
        ("media_playback", "media_playlist_name", ""),
    ],
)
def test_missing_field(service_type: str, field: str, rule: str) -> None:
    """A service without a required field is refused, and the fault names field and rule."""
    fields = service(service_type)
    del fields[field]
    fault = only_fault(fields)
    assert (fault.path, fault.kind, fault.rule) == ((field,), "missing", rule)
    assert fault.message.startswith(f"{field} is missing; ")
    assert not accepts_service(fields)


def test_missing_service_type() -> None:
    """Without a service_type the types are listed, and what every service needs is still reported."""
    types = "'conference', 'lecture', 'gateway', 'two_stage_dialing', 'media_playback', 'test_call'"
    assert messages({"pin": "1234"}) == [
        f"service_type is missing; it must be one of {types}",
        "name is missing; every service needs it",
        "service_tag is missing; every service needs it",
    ]


@pytest.mark.parametrize("value", ["meeting", "", None, 1, [], {}], ids=repr)
def test_unknown_service_type(value: object) -> None:
    """A service_type that is none is one fault, with the six types as what is allowed."""
    fields = {"service_type": value, "name": "Room", "service_tag": ""}
    fault = only_fault(fields)
    assert (fault.path, fault.kind, fault.rule) == (("service_type",), "enum", "SVC-2")
    assert fault.allowed == ANY
    assert not accepts_service(fields)


@pytest.mark.parametrize(
    ("service_type", "field", "noun"),
    [
        ("conference", "local_alias", "a conference"),
        ("conference", "host_view", "a conference"),
        ("conference", "Name", "a conference"),
        ("lecture", "view", "a lecture"),
        ("gateway", "pin", "a gateway call"),
        ("two_stage_dialing", "view", "a two_stage_dialing service"),
        ("media_playback", "call_type", "a media_playback service"),
        ("test_call", "max_callrate_out", "a test_call service"),
    ],
)
def test_unknown_field(service_type: str, field: str, noun: str) -> None:
    """A field of another service type is refused; the good names are there to suggest from."""
    fields = service(service_type, **{field: "x"})
    fault = only_fault(fields)
    assert (fault.path, fault.kind) == ((field,), "unknown")
    assert fault.message == f"'{field}' is not a field of {noun}"
    assert {"name", "service_tag", "service_type"} < set(fault.allowed)
    assert field not in fault.allowed
    assert not accepts_service(fields)


@pytest.mark.parametrize(("service_type", "field", "words"), WORDS, ids=[f"{kind}-{name}" for kind, name, _ in WORDS])
@pytest.mark.parametrize("bad", ["ac", "", "AUTO ", 1, []], ids=repr)
def test_enumeration(service_type: str, field: str, words: tuple[str, ...], bad: object) -> None:
    """Each documented word is accepted, anything else is refused with the list of the good words."""
    for word in words:
        teams = {"outgoing_protocol": "teams"} if word in {"teams", "teams_focus"} and field == "view" else {}
        assert check_service(service(service_type, **teams, **{field: word})) == ()
    fields = service(service_type, **{field: bad})
    fault = only_fault(fields)
    assert (fault.path, fault.kind, fault.allowed) == ((field,), "enum", words)
    assert not accepts_service(fields)


@pytest.mark.parametrize("field", ["protocol", "role", "call_type", "keep_conference_alive", "routing"])
def test_enumeration_of_automatic_participant(field: str) -> None:
    """A word that is none of the documented ones is refused inside an automatic participant too."""
    fault = only_fault(room(automatic_participants=[ADP, {**ADP, field: "teams"}]))
    assert (fault.path, fault.kind) == (("automatic_participants", 1, field), "enum")


@pytest.mark.parametrize("service_type", ["lecture", "conference"])
def test_view_message(service_type: str) -> None:
    """The message about a layout names field, good words and value; Teams layouts are not for rooms."""
    field = {"lecture": "guest_view", "conference": "view"}[service_type]
    fault = only_fault(service(service_type, **{field: "teams"}))
    words = ", ".join(f"'{view}'" for view in VIEWS)
    assert fault == Fault((field,), "enum", f"{field} must be one of {words} but is 'teams'", VIEWS, "SVC-4")


@pytest.mark.parametrize(
    ("service_types", "field", "low", "high", "rule"),
    [
        pytest.param(ANY, "max_callrate_in", 128_000, 8_192_000, "SVC-5", id="max_callrate_in"),
        pytest.param(SENDING, "max_callrate_out", 128_000, 8_192_000, "SVC-5", id="max_callrate_out"),
        pytest.param(ROOMS, "participant_limit", 0, 1_000_000, "", id="participant_limit"),
        pytest.param(ROOMS, "direct_media_notification_duration", 0, 30, "", id="notification"),
        pytest.param(ROOMS, "end_time", -(2**63), 2**63 - 1, "", id="end_time"),
    ],
)
def test_range(service_types: tuple[str, ...], field: str, low: int, high: int, rule: str) -> None:
    """The limits are accepted, one less and one more are refused."""
    for service_type in service_types:
        for good in (low, high):
            assert check_service(service(service_type, **{field: good})) == ()
            assert accepts_service(service(service_type, **{field: good}))
        for bad in (low - 1, high + 1):
            fault = only_fault(service(service_type, **{field: bad}))
            assert (fault.path, fault.kind, fault.rule) == ((field,), "range", rule)
            assert not accepts_service(service(service_type, **{field: bad}))


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        *(({field: "x"}, 250) for field in ("name", "service_tag", "description", "ivr_theme_name")),
        ({"call_tag": "x"}, 250),
        ({"primary_owner_email_address": "x"}, 100),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_length(fields: dict[str, str], limit: int) -> None:
    """Text is counted in characters, not bytes: the limit is accepted, one more is refused."""
    (field,) = fields
    assert check_service(room(**{field: "é" * limit})) == ()
    fault = only_fault(room(**{field: "é" * (limit + 1)}))
    assert (fault.path, fault.kind) == ((field,), "length")
    assert fault.message == f"{field} must have at most {limit} characters but has {limit + 1}"
    assert fault.rule == ("ENV-3" if limit == 250 else "")


def test_null_is_accepted_where_documented() -> None:
    """crypto_mode and max_pixels_per_second may be null on the wire."""
    assert check_service(room(crypto_mode=None, max_pixels_per_second=None)) == ()
    assert accepts_service(room(crypto_mode=None, max_pixels_per_second=None))


def test_automatic_participant_needs_its_fields() -> None:
    """Each required field that an automatic participant lacks is reported, with its place."""
    faults = check_service(room(automatic_participants=[ADP, {}]))
    assert [(fault.path, fault.kind, fault.rule) for fault in faults] == [
        (("automatic_participants", 1, field), "missing", "ADP-1")
        for field in ("local_alias", "protocol", "remote_alias", "role")
    ]


@given(strategies.valid_services())
def test_valid_services_are_accepted(fields: dict[str, Any]) -> None:
    """Services built by the reference have no faults."""
    assert check_service(fields) == ()


@given(strategies.services())
def test_check_and_accepts_agree(fields: dict[str, Any]) -> None:
    """A service has no faults if and only if the fast check accepts it."""
    assert (check_service(fields) == ()) is accepts_service(fields)


@given(strategies.services())
def test_faults_point_at_fields(fields: dict[str, Any]) -> None:
    """The path of every fault leads to a value, or for something missing to where it should be."""
    for fault in check_service(fields):
        place: Any = fields
        for step in fault.path[:-1]:
            place = place[step]
        absent = fault.kind == "missing" or fault.rule in {"BRK-1", "PIN-1"}
        assert absent or fault.path[-1] in (range(len(place)) if isinstance(place, list) else place)


@given(
    st.dictionaries(st.text(max_size=8), strategies.json_values, max_size=4),
    st.sampled_from([*ANY, "meeting", None]),
)
def test_the_checks_never_raise(fields: dict[str, Any], service_type: str | None) -> None:
    """Any mapping gives an answer, and one that is no service gives faults."""
    fields |= {"service_type": service_type, "automatic_participants": fields.get("a"), "pin": fields.get("p")}
    assert check_service(fields)
    assert not accepts_service(fields)
    assert all(isinstance(name, str) for _, _, name in names_of_deployment(fields))


secrets = st.from_regex(r"[789]{6}[0-9a-c#]{0,18}", fullmatch=True)


@given(secrets, secrets, st.booleans() | st.just("yes"), st.sampled_from(ANY), st.booleans())
def test_no_fault_shows_a_pin(
    pin: str, guest_pin: str, allow_guests: object, service_type: str, as_number: bool
) -> None:
    """Whatever else is wrong, no message holds a PIN, not even one written as a number or misspelt."""
    written = int(pin[:6]) if as_number else pin
    fields = service(
        service_type,
        pin=written,
        guest_pin=guest_pin,
        guestpin=guest_pin,
        allow_guests=allow_guests,
        automatic_participants=[{**ADP, "pin": written}],
    )
    del fields["name"]
    faults = check_service(fields)
    assert faults
    for fault in faults:
        text = repr(fault)
        assert pin[:6] not in text
        assert guest_pin[:6] not in text


def test_names_of_deployment() -> None:
    """Every name that must exist in the deployment comes with its kind and place, also inside ADPs."""
    conference = room(
        ivr_theme_name="Telehealth",
        pinning_config="Interpreter",
        host_identity_provider_group="Staff",
        guest_identity_provider_group="",
        automatic_participants=[ADP, {**ADP, "system_location_name": "DMZ"}],
    )
    assert set(names_of_deployment(conference)) == {
        (("ivr_theme_name",), "theme", "Telehealth"),
        (("pinning_config",), "pinning_config", "Interpreter"),
        (("host_identity_provider_group",), "identity_provider_group", "Staff"),
        (("automatic_participants", 1, "system_location_name"), "location", "DMZ"),
    }


def test_blank_names() -> None:
    """A blank identity provider group means no sign-on; any other blank name cannot exist, which is a fault of its own."""
    conference = room(ivr_theme_name="", host_identity_provider_group="")
    assert list(names_of_deployment(conference)) == []
    fault = only_fault(conference)
    assert (fault.path, fault.rule) == (("ivr_theme_name",), "SVC-3")


@pytest.mark.parametrize(
    ("service_type", "field", "kind"),
    [
        ("gateway", "gms_access_token_name", "gms_access_token"),
        ("gateway", "h323_gatekeeper_name", "h323_gatekeeper"),
        ("gateway", "mssip_proxy_name", "mssip_proxy"),
        ("gateway", "outgoing_location_name", "location"),
        ("gateway", "sip_proxy_name", "sip_proxy"),
        ("gateway", "stun_server_name", "stun_server"),
        ("gateway", "teams_proxy_name", "teams_proxy"),
        ("gateway", "turn_server_name", "turn_server"),
        ("two_stage_dialing", "system_location_name", "location"),
        ("media_playback", "media_playlist_name", "media_playlist"),
        *((service_type, "ivr_theme_name", "theme") for service_type in ANY),
    ],
)
def test_kinds_of_names(service_type: str, field: str, kind: str) -> None:
    """Each field that names an object of the deployment tells which kind."""
    found = set(names_of_deployment(service(service_type, **{field: "Thing"})))
    assert ((field,), kind, "Thing") in found


def test_free_text_fields() -> None:
    """A placeholder can stand in free text, but not in a word of a list, a number, a PIN, or an expression."""
    assert SHAPES[AutomaticParticipant].free_text.keys() >= {
        "local_alias",
        "remote_alias",
        "description",
        "dtmf_sequence",
        "local_display_name",
        "presentation_url",
        "remote_display_name",
        "system_location_name",
    }
    free_text = SHAPES[Conference].free_text
    assert free_text.keys().isdisjoint({"view", "service_type", "end_time", "crypto_mode", "pin", "guest_pin"})
    assert not [name for name in SHAPES[TwoStageDialing].free_text if name.endswith("_string")]
    assert (free_text["name"], free_text["primary_owner_email_address"]) == (250, 100)
    assert free_text["breakout_uuid"] is None


@pytest.mark.parametrize("service_type", ANY)
def test_null(service_type: str) -> None:
    """null is accepted for the two fields of which the reference says so, and for no other."""
    nullable = {"crypto_mode", "max_pixels_per_second"} & SERVICE_TYPES[service_type].facets.keys()
    assert nullable == {
        name for name in SERVICE_TYPES[service_type].facets if accepts_service(service(service_type) | {name: None})
    }

"""Participant properties, media locations, registrations and directory entries."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip import properties
from policy_server.pexip.fields import Fault
from policy_server.pexip.shapes import SHAPES
from tests import strategies

Check = Callable[[dict[str, Any]], tuple[Fault, ...]]

PROPERTIES = properties.check_properties
LOCATION = properties.check_media_location
REGISTRATION = properties.check_registration
ENTRY = properties.check_directory_entry


@pytest.mark.parametrize(
    ("check", "fields"),
    [
        pytest.param(PROPERTIES, {}, id="no change"),
        pytest.param(
            PROPERTIES,
            {
                "bypass_lock": True,
                "call_tag": "x" * 250,
                "can_receive_personal_mix": False,
                "disable_overlay_text": True,
                "display_count": 2,
                "layout_group": "agents",
                "preauthenticated_role": "guest",
                "prefers_multiscreen_mix": True,
                "receive_from_audio_mix": "main.french",
                "reject_reason": "Closed",
                "remote_alias": "sip:a@example.com",
                "remote_display_name": "Contact centre",
                "rx_presentation_policy": "DENY",
                "send_to_audio_mixes": [{"mix_name": "main", "prominent": False}, {"mix_name": "x"}],
                "spotlight": 1,
                "wants_presentation_in_mix": True,
            },
            id="every property",
        ),
        pytest.param(PROPERTIES, {"preauthenticated_role": None}, id="null leaves PIN entry in place"),
        pytest.param(LOCATION, {"location": "London"}, id="location"),
        pytest.param(LOCATION, {"location": "London", "overflow_locations": ["Oslo"]}, id="overflow"),
        pytest.param(REGISTRATION, {}, id="own database decides"),
        pytest.param(REGISTRATION, {"username": "", "password": ""}, id="anybody"),
        pytest.param(ENTRY, {"alias": "a", "description": "b", "username": ""}, id="directory entry"),
    ],
)
def test_good(check: Check, fields: dict[str, Any]) -> None:
    """What the reference documents is accepted."""
    assert check(fields) == ()


@pytest.mark.parametrize(
    ("check", "fields", "path", "kind", "message"),
    [
        pytest.param(
            PROPERTIES,
            {"preauthenticated_role": "host"},
            ("preauthenticated_role",),
            "enum",
            "preauthenticated_role must be one of 'chair' (Pexip's Host), 'guest' but is 'host'",
            id="role",
        ),
        pytest.param(
            PROPERTIES,
            {"rx_presentation_policy": "allow"},
            ("rx_presentation_policy",),
            "enum",
            "rx_presentation_policy must be one of 'ALLOW', 'DENY' but is 'allow'",
            id="lower case",
        ),
        pytest.param(
            PROPERTIES,
            {"spotlight": True},
            ("spotlight",),
            "type",
            "spotlight must be a whole number but is true",
            id="a boolean is no number",
        ),
        pytest.param(
            PROPERTIES,
            {"bypass_lock": 1},
            ("bypass_lock",),
            "type",
            "bypass_lock must be true or false but is 1",
            id="a number is no boolean",
        ),
        pytest.param(
            PROPERTIES,
            {"display_name": "x"},
            ("display_name",),
            "unknown",
            "'display_name' is not a field of the properties of a participant",
            id="name of another source",
        ),
        pytest.param(
            PROPERTIES,
            {"remote_alias": "x" * 251},
            ("remote_alias",),
            "length",
            "remote_alias must have at most 250 characters but has 251",
            id="length",
        ),
        pytest.param(
            PROPERTIES,
            {"send_to_audio_mixes": [{"mix_name": "a"}, {"prominent": True}]},
            ("send_to_audio_mixes", 1, "mix_name"),
            "missing",
            "mix_name is missing; an entry of send_to_audio_mixes needs it",
            id="audio mix without name",
        ),
        pytest.param(
            LOCATION,
            {"overflow_locations": []},
            ("location",),
            "missing",
            "location is missing; a media location needs it",
            id="location",
        ),
        pytest.param(
            LOCATION,
            {"location": "London", "overflow_locations": "Oslo"},
            ("overflow_locations",),
            "type",
            "overflow_locations must be a list but is 'Oslo'",
            id="overflow is no list",
        ),
        pytest.param(
            LOCATION,
            {"location": "London", "overflow_locations": ["Oslo", 7]},
            ("overflow_locations", 1),
            "type",
            "item 2 of overflow_locations must be text but is 7 (put it in quotes)",
            id="overflow is no text",
        ),
        pytest.param(
            REGISTRATION,
            {"username": "kiosk", "password": 890123},
            ("password",),
            "type",
            "password must be text (put it in quotes) but is a number",
            id="password",
        ),
        pytest.param(
            ENTRY,
            {"alias": "a", "description": "b"},
            ("username",),
            "missing",
            "username is missing; a directory entry needs it",
            id="owner",
        ),
    ],
)
def test_bad(
    check: Check,
    fields: dict[str, Any],
    path: tuple[str | int, ...],
    kind: str,
    message: str,
) -> None:
    """What a node would refuse has one fault that says what is wrong."""
    (fault,) = check(fields)
    assert (fault.path, fault.kind, fault.message) == (path, kind, message)


def test_display_name_is_never_null() -> None:
    """A null display name is refused (PRT-1), whatever the original was."""
    (fault,) = properties.check_properties({"remote_display_name": None})
    assert fault == Fault(
        ("remote_display_name",),
        "type",
        "remote_display_name must be text but is null (leave the field out instead)",
        rule="PRT-1",
    )


def test_a_long_password_is_not_shown() -> None:
    """The fault of a password tells its length alone."""
    secret = "hunter2" * 40
    (fault,) = properties.check_registration({"password": secret})
    assert fault.message == "password must have at most 250 characters but has 280"


_MODELS = (
    properties.ParticipantProperties,
    properties.MediaLocation,
    properties.Registration,
    properties.DirectoryEntry,
)
_FIELDS = sorted({field for model in _MODELS for field in SHAPES[model].facets})
mappings = st.dictionaries(
    st.sampled_from(_FIELDS) | st.text(max_size=4), strategies.json_values | strategies.text, max_size=3
)


@given(fields=mappings)
def test_check_and_accepts_agree(fields: dict[str, Any]) -> None:
    """For any mapping there are no faults if and only if the fast check accepts it; neither raises."""
    assert (properties.check_properties(fields) == ()) is properties.accepts_properties(fields)


@pytest.mark.parametrize("check", [LOCATION, REGISTRATION, ENTRY], ids=["location", "registration", "entry"])
@given(fields=mappings)
def test_any_mapping_is_checked(check: Check, fields: dict[str, Any]) -> None:
    """Whatever is written is told to be wrong, or is good; nothing raises."""
    assert all(fault.message for fault in check(fields))

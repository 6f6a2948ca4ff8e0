"""What is packed for the database comes back, in every version that reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.packing import _WORDS, pack, pack_text, unpack

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.text(st.characters(exclude_categories=["Cs"]), max_size=3))
def test_any_json_comes_back(value: object, name: str) -> None:
    """Whatever a message or an entry says is the same after packing, whatever its row is found by."""
    assert unpack(pack(value, name), name) == value


def test_the_name_of_the_row_is_not_packed_again() -> None:
    """A message says which room it is about, and its row says so too."""
    room = "euoiweuqaad7wa5j7fi6pxhjrzf5pjpp"
    message = {"conference": room, "destination_alias": f"sip:{room}@example.com"}
    assert len(pack(message, room)) < len(pack(message, "another")) - 15


@pytest.mark.parametrize(
    ("packed", "value"),
    [
        pytest.param(
            "23a529486efb157b8315d1a8ab8d0500",
            [
                "policy.answered",
                {
                    "text": "A node asked where the media goes: left to Pexip, as no rule matched.",
                    "question": "location",
                    "rule": None,
                },
            ],
            id="an entry",
        ),
        pytest.param(
            "8b5602e64513133d4b4b3d23251d231d4353534b0b4b737373133d532303330333fc598a282f10e7c65a9deada5800",
            [
                "10.44.99.2",
                2,
                1559897774.520606,
                "participant_disconnected",
                {"protocol": "WebRTC", "has_media": True, "disconnect_reason": "Call disconnected"},
                {},
            ],
            id="a message",
        ),
    ],
)
def test_what_was_packed_once_can_be_read_for_ever(packed: str, value: object) -> None:
    """The words that the packer knows are part of the format: whoever changes them loses what is stored."""
    assert unpack(bytes.fromhex(packed), "any") == value


def test_all_words_are_within_reach() -> None:
    """The words that come first lie farthest from a message, and must not be too far to be of use."""
    assert len(pack_text(_WORDS[:100], "")) < 10


def test_a_usual_message_takes_a_third() -> None:
    """A message is packed alone, and yet much smaller, for what all of them say is known beforehand."""
    message = {
        "uuid": "a0ed2c58-f45b-4d96-a1cb-89812ec938ea",
        "conference": "euoiweuqaad7wa5j7fi6pxhjrzf5pjpp",
        "display_name": "Ada L",
        "call_direction": "in",
        "protocol": "WebRTC",
        "role": "guest",
        "service_type": "conference",
        "connect_time": 1760000057.7,
        "encryption": "On",
        "is_muted": False,
        "is_presenting": False,
        "is_streaming": False,
        "media_node": "10.44.34.11",
        "signalling_node": "10.44.34.11",
        "system_location": "DMZ",
        "disconnect_reason": "Call disconnected",
    }
    assert len(pack(message, "")) * 3 < len(str(message))

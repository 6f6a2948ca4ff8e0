"""What is said about a field that is not good."""

import pytest

from policy_server.pexip.services import accepts_service
from tests.pexip.samples import ADP, UUID, messages, only_fault, room


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("locked", "yes", "locked must be true or false but is 'yes'"),
        ("locked", 1, "locked must be true or false but is 1"),
        ("locked", None, "locked must be true or false but is null (leave the field out instead)"),
        ("participant_limit", "5", "participant_limit must be a whole number but is '5'"),
        ("participant_limit", True, "participant_limit must be a whole number but is true"),
        ("participant_limit", 5.0, "participant_limit must be a whole number but is 5.0"),
        ("max_callrate_in", 4096, "max_callrate_in must be from 128000 to 8192000 (bit/s) but is 4096"),
        ("name", 1234, "name must be text but is 1234 (put it in quotes)"),
        ("name", False, "name must be text but is false (put it in quotes)"),
        ("name", ["a"], "name must be text but is a list"),
        ("description", None, "description must be text but is null (leave the field out instead)"),
        ("name", "\ud800", "name has characters that are no text (lone surrogates)"),
        (
            "enable_chat",
            True,
            "enable_chat must be one of 'default', 'yes', 'no' but is true (put 'yes' in quotes)",
        ),
        (
            "crypto_mode",
            False,
            "crypto_mode must be one of 'besteffort', 'on', 'off' but is false (put 'off' in quotes)",
        ),
        (
            "call_type",
            "x" * 99,
            f"call_type must be one of 'video', 'video-only', 'audio' but is '{'x' * 60}...'",
        ),
        ("pin", 1234, "pin must be text (put it in quotes) but is a number"),
        ("guest_pin", None, "guest_pin must be text but is null (leave the field out instead)"),
        ("breakout_uuid", "1", f"breakout_uuid must be a UUID such as '{UUID}' but is '1'"),
        ("breakout_uuids", UUID, f"breakout_uuids must be a list but is '{UUID}'"),
        (
            "breakout_uuids",
            [UUID, UUID[:-1]],
            f"item 2 of breakout_uuids must be a UUID such as '{UUID}' but is '{UUID[:-1]}'",
        ),
        ("automatic_participants", ADP, "automatic_participants must be a list but is a mapping"),
        (
            "automatic_participants",
            [1],
            "item 1 of automatic_participants must be a mapping (fields of its own) but is 1",
        ),
        (
            "automatic_participants",
            [{**ADP, "pin": "1234"}],
            "'pin' is not a field of an automatic participant",
        ),
        ("\ud800", 1, "a field has a name with characters that are no text (lone surrogates)"),
    ],
)
def test_message(field: str, value: object, message: str) -> None:
    """A fault says in plain words what is wrong, the value, and what to write instead."""
    assert messages(room(**{field: value})) == [message]
    assert not accepts_service(room(**{field: value}))


def test_huge_number() -> None:
    """A number of thousands of digits is refused without being written out."""
    expected = "participant_limit must be from 0 to 1000000 but is a very large number"
    assert messages(room(participant_limit=10**5000)) == [expected]
    assert not accepts_service(room(participant_limit=10**5000))
    assert "but is a very large number" in only_fault(room(service_type=10**5000)).message
    assert not accepts_service(room(service_type=10**5000))


def test_field_name_that_is_no_text() -> None:
    """YAML can have a number for a field name: it is no field."""
    fault = only_fault({**room(), 5: "x"})  # type: ignore[dict-item]
    assert (fault.path, fault.kind, fault.message) == ((5,), "unknown", "5 is not a field of a conference")

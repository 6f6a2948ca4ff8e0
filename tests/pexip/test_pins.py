"""The PIN rules: truth table, format, and what messages keep to themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.fields import Fault
from policy_server.pexip.pins import pin_combination_faults
from policy_server.pexip.services import check_service
from tests import strategies


def pin_faults(allow_guests: bool, pin: str, guest_pin: str) -> tuple[Fault, ...]:
    """What is wrong with a room of these PINs."""
    room = {"service_type": "conference", "name": "Room", "service_tag": ""}
    return check_service({**room, "allow_guests": allow_guests, "pin": pin, "guest_pin": guest_pin})


@pytest.mark.parametrize(
    ("allow_guests", "pin", "guest_pin", "rules"),
    [
        pytest.param(False, "", "", (), id="open room"),
        pytest.param(False, "1234", "", (), id="one PIN for everybody"),
        pytest.param(False, "", "4321", ("PIN-2",), id="guest PIN alone, no guests"),
        pytest.param(False, "1234", "4321", ("PIN-2",), id="both PINs, no guests"),
        pytest.param(True, "", "", ("PIN-1",), id="guests without PIN"),
        pytest.param(True, "", "4321", ("PIN-1",), id="guests with guest PIN only"),
        pytest.param(True, "1234", "", (), id="guests wait for a host"),
        pytest.param(True, "1234", "4321", (), id="both PINs"),
        pytest.param(True, "1234", "54321", ("PIN-4",), id="different length"),
        pytest.param(True, "123#", "54321#", (), id="different length, both end in #"),
        pytest.param(True, "1234#", "54321", ("PIN-5",), id="only the host PIN ends in #"),
        pytest.param(True, "1234", "5432#", ("PIN-5",), id="only the guest PIN ends in #"),
        pytest.param(True, "1234", "1234", ("PIN-3",), id="identical"),
        pytest.param(True, "123", "456", ("PIN-6", "PIN-6"), id="too short"),
    ],
)
def test_truth_table(allow_guests: bool, pin: str, guest_pin: str, rules: tuple[str, ...]) -> None:
    """The rows of the reference's truth table are accepted, or rejected for the rule that they break."""
    assert tuple(fault.rule for fault in pin_faults(allow_guests, pin, guest_pin)) == rules


@pytest.mark.parametrize(
    ("pin", "kind"),
    [
        pytest.param("123", "length", id="3"),
        pytest.param("1234", None, id="4"),
        pytest.param("12#", "length", id="3 with #"),
        pytest.param("123#", None, id="4 with #"),
        pytest.param("1" * 20, None, id="20"),
        pytest.param("1" * 21, "length", id="21"),
        pytest.param("1" * 19 + "#", None, id="20 with #"),
        pytest.param("1" * 20 + "#", "length", id="21 with #"),
        pytest.param("12#4", "rule", id="# inside"),
        pytest.param("123##", "rule", id="two #"),
        pytest.param("12a4", "rule", id="letter"),
        pytest.param("12 4", "rule", id="space"),
        pytest.param("1234\n", "rule", id="newline"),
        pytest.param("١٢٣٤", "rule", id="digits that are not 0-9"),
        pytest.param("123²", "rule", id="superscript"),
    ],
)
def test_format(pin: str, kind: str | None) -> None:
    """A PIN is 4 to 20 characters, digits 0-9 but for an optional final #."""
    faults = pin_faults(False, pin, "")
    assert [(fault.path, fault.kind, fault.rule) for fault in faults] == (
        [] if kind is None else [(("pin",), kind, "PIN-6")]
    )


def test_every_fault_is_reported() -> None:
    """A bad format, a missing host PIN and other rules are all reported in one go."""
    faults = pin_faults(False, "1", "12a45")
    assert [fault.message for fault in faults] == [
        "pin must be 4 to 20 digits, of which the last may be a #, but has 1 character",
        "guest_pin must be 4 to 20 digits, of which the last may be a #, but has other characters",
        "guest_pin needs allow_guests: true",
        "guest_pin must have as many characters as pin (or both must end in #) but has 5 where pin has 1",
    ]


@pytest.mark.parametrize(
    ("allow_guests", "pin", "guest_pin", "rules"),
    [
        pytest.param(None, "", "4321", (), id="allow_guests"),
        pytest.param(True, None, "4321", (), id="pin"),
        pytest.param(False, None, "4321", ("PIN-2",), id="pin, but the rule needs no pin"),
        pytest.param(True, "1234", None, (), id="guest_pin"),
        pytest.param(True, "", None, ("PIN-1",), id="guest_pin, but the rule needs no guest_pin"),
    ],
)
def test_nothing_is_judged_by_what_is_not_known(
    allow_guests: bool | None, pin: str | None, guest_pin: str | None, rules: tuple[str, ...]
) -> None:
    """A value that is not known breaks no rule, and hides no rule that does without it."""
    faults = pin_combination_faults(allow_guests, pin, guest_pin)
    assert tuple(fault.rule for fault in faults) == rules


@given(strategies.pins())
def test_the_strategy_of_good_pins_has_no_faults(fields: dict[str, object]) -> None:
    """Combinations built by the rules of the reference are accepted."""
    allow_guests, pin, guest_pin = (
        fields.get("allow_guests", False),
        fields.get("pin", ""),
        fields.get("guest_pin", ""),
    )
    assert isinstance(allow_guests, bool)
    assert isinstance(pin, str)
    assert isinstance(guest_pin, str)
    assert pin_faults(allow_guests, pin, guest_pin) == ()


@given(st.booleans(), st.text("89#z", min_size=3), st.text("89#z", min_size=3))
def test_no_message_shows_a_pin(allow_guests: bool, pin: str, guest_pin: str) -> None:
    """Whatever is wrong with a PIN, the message describes it without its characters in a row."""
    for fault in pin_faults(allow_guests, pin, guest_pin):
        assert pin not in fault.message
        assert guest_pin not in fault.message

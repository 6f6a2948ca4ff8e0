"""The judge knows every PIN rule and never repeats a PIN."""

from typing import Any

import pytest

from tests.simulator.judge_samples import LECTURE, PLAYBACK, ROOM, broken, judged_service, reasons, rules

# allow_guests, pin, guest_pin and the rules that the answer breaks: the reference's table (pexip/README.md: PINs).
TRUTH_TABLE = [
    (False, "", "", []),
    (False, "1234", "", []),
    (False, "", "4321", ["PIN-2"]),
    (False, "1234", "4321", ["PIN-2"]),
    (True, "", "", ["PIN-1"]),
    (True, "", "4321", ["PIN-1"]),
    (True, "1234", "", []),
    (True, "1234", "4321", []),
    (True, "1234", "54321", ["PIN-4"]),
    (True, "123#", "54321#", []),
    (True, "1234#", "54321", ["PIN-5"]),
    (True, "1234", "5432#", ["PIN-5"]),
    (True, "1234", "1234", ["PIN-3"]),
    (True, "123", "456", ["PIN-6", "PIN-6"]),
]


@pytest.mark.parametrize("absent", [False, True], ids=["empty", "absent"])
@pytest.mark.parametrize("service", [ROOM, LECTURE, PLAYBACK], ids=["conference", "lecture", "media_playback"])
@pytest.mark.parametrize(
    ("row", "expected"),
    [(row[:3], row[3]) for row in TRUTH_TABLE],
    ids=[f"{guests}-{pin or 'none'}-{guest or 'none'}" for guests, pin, guest, _ in TRUTH_TABLE],
)
def test_truth_table(service: dict[str, Any], row: tuple[bool, str, str], expected: list[str], absent: bool) -> None:
    """Each row of the PIN truth table is accepted or refused by its rules, whether a PIN is "" or left out."""
    access = dict(zip(("allow_guests", "pin", "guest_pin"), row, strict=True))
    verdict = judged_service(service | {name: value for name, value in access.items() if value or not absent})
    assert rules(verdict) == expected
    assert verdict.outcome == ("failure" if expected else "service")


@pytest.mark.parametrize(
    ("pin", "accepted"),
    [
        ("1" * 3, False),
        ("1" * 4, True),
        ("1" * 20, True),
        ("1" * 21, False),
        ("11#", False),
        ("111#", True),
        ("1" * 19 + "#", True),
        ("1" * 20 + "#", False),
        ("#", False),
        ("###", False),
        ("12#4", False),
        ("1234##", False),
        ("12 34", False),
        ("1234\n", False),
        ("abcd", False),
        ("-1234", False),
        ("١٢٣٤", False),
    ],
)
@pytest.mark.parametrize("field", ["pin", "guest_pin"])
def test_format(field: str, pin: str, accepted: bool) -> None:
    """A PIN is 4 to 20 ASCII digits, of which the last may be a #; the bounds include the #."""
    verdict = judged_service(ROOM | {"allow_guests": True, "pin": "98765", field: pin})
    assert (("PIN-6", f"result.{field}") in broken(verdict)) is not accepted


@pytest.mark.parametrize("value", [1234, 1234.5, True, None, ["1234"], {"pin": "1234"}], ids=repr)
@pytest.mark.parametrize("field", ["pin", "guest_pin"])
def test_pin_is_text(field: str, value: object) -> None:
    """A PIN that is not a JSON string is refused for its type."""
    verdict = judged_service(ROOM | {"allow_guests": True, "pin": "9876", "guest_pin": "6789", field: value})
    assert broken(verdict) == [("FIELD", f"result.{field}")]


def test_pin_rules_stay_out_of_services_without_pins() -> None:
    """In a service type without PINs, PIN fields are undocumented and draw a warning, not a PIN objection."""
    verdict = judged_service(ROOM | {"service_type": "test_call", "allow_guests": True, "guest_pin": "1"})
    assert verdict.used
    assert [warning.field for warning in verdict.warnings] == ["result.allow_guests", "result.guest_pin"]


@pytest.mark.parametrize(
    ("access", "reason"),
    [
        (
            {"allow_guests": True},
            "allow_guests is true but there is no pin; give the Hosts a pin or set allow_guests to false.",
        ),
        (
            {"guest_pin": "4321"},
            "There is a guest_pin but allow_guests is not true; set allow_guests to true or leave guest_pin out.",
        ),
        (
            {"allow_guests": True, "pin": "1234", "guest_pin": "1234"},
            "pin and guest_pin are the same; they must differ.",
        ),
        (
            {"allow_guests": True, "pin": "1234", "guest_pin": "54321"},
            "pin has 4 characters and guest_pin 5; make them equally long or end both in #.",
        ),
        (
            {"allow_guests": True, "pin": "1234", "guest_pin": "543#"},
            "guest_pin ends in # but pin does not; end both in #, or neither and make them equally long.",
        ),
        ({"pin": "123"}, "pin has 3 characters; a PIN has 4 to 20 characters, digits with or without a final #."),
        (
            {"pin": "12a4"},
            "pin contains something other than the digits 0 to 9 and one final #; a PIN has 4 to 20 characters,"
            " digits with or without a final #.",
        ),
        ({"pin": 1234}, "pin must be text but is a number; write it in quotes."),
    ],
    ids=["PIN-1", "PIN-2", "PIN-3", "PIN-4", "PIN-5", "length", "characters", "number"],
)
def test_reasons_say_what_to_do(access: dict[str, object], reason: str) -> None:
    """A PIN objection names the fields and the remedy, and never the PIN."""
    assert reasons(judged_service(ROOM | access)) == [reason]

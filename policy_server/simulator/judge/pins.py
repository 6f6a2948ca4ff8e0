"""The PIN rules of conferences, lectures and media playback (pexip/README.md: PINs)."""

import re
from collections.abc import Mapping

from policy_server.simulator.judge.findings import Findings

_FORMAT = re.compile(r"[0-9]{4,20}|[0-9]{3,19}#")
_CHARACTERS = re.compile(r"[0-9]*#?")


def check_pins(result: Mapping[str, object], findings: Findings) -> None:
    """Check PIN-1 to PIN-6; a value of a wrong type is left to the field tables."""
    pin = result.get("pin", "")
    guest_pin = result.get("guest_pin", "")
    allow_guests = result.get("allow_guests", False)
    if allow_guests is True and pin == "":
        findings.refuse(
            "PIN-1",
            "result.pin",
            "allow_guests is true but there is no pin; give the Hosts a pin or set allow_guests to false.",
        )
    if allow_guests is False and isinstance(guest_pin, str) and guest_pin:
        findings.refuse(
            "PIN-2",
            "result.guest_pin",
            "There is a guest_pin but allow_guests is not true; set allow_guests to true or leave guest_pin out.",
        )
    for name, value in (("pin", pin), ("guest_pin", guest_pin)):
        if isinstance(value, str) and value:
            _check_format(name, value, findings)
    if isinstance(pin, str) and isinstance(guest_pin, str) and pin and guest_pin:
        _check_pair(pin, guest_pin, findings)


def _check_format(name: str, value: str, findings: Findings) -> None:
    if _FORMAT.fullmatch(value):
        return
    if not _CHARACTERS.fullmatch(value):
        problem = "contains something other than the digits 0 to 9 and one final #"
    else:
        problem = f"has {len(value)} characters"
    findings.refuse(
        "PIN-6", f"result.{name}", f"{name} {problem}; a PIN has 4 to 20 characters, digits with or without a final #."
    )


def _check_pair(pin: str, guest_pin: str, findings: Findings) -> None:
    hashes = pin.endswith("#"), guest_pin.endswith("#")
    if pin == guest_pin:
        findings.refuse("PIN-3", "result.guest_pin", "pin and guest_pin are the same; they must differ.")
    if hashes[0] != hashes[1]:
        with_hash, without = ("pin", "guest_pin") if hashes[0] else ("guest_pin", "pin")
        findings.refuse(
            "PIN-5",
            "result.guest_pin",
            f"{with_hash} ends in # but {without} does not; end both in #, or neither and make them equally long.",
        )
    elif len(pin) != len(guest_pin) and not hashes[0]:
        findings.refuse(
            "PIN-4",
            "result.guest_pin",
            f"pin has {len(pin)} characters and guest_pin {len(guest_pin)}; make them equally long or end both in #.",
        )

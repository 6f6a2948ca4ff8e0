"""The PIN rules: which combinations of allow_guests, pin and guest_pin a node accepts.

Rules PIN-1 to PIN-6 (pexip/README.md: PINs, What voids an answer). No message holds a PIN.
"""

from policy_server.pexip.fields import Fault

MIN_PIN_LENGTH = 4
MAX_PIN_LENGTH = 20
"""Lengths in characters, the final ``#`` included."""


def pin_format_fault(path: tuple[str | int, ...], value: str) -> Fault:
    """PIN-6: the fault of a value that is no PIN, which the message describes without showing it."""
    expected = f"{path[-1]} must be {MIN_PIN_LENGTH} to {MAX_PIN_LENGTH} digits, of which the last may be a #,"
    if MIN_PIN_LENGTH <= len(value) <= MAX_PIN_LENGTH:
        return Fault(path, "rule", f"{expected} but has other characters", rule="PIN-6")
    characters = "character" if len(value) == 1 else "characters"
    return Fault(path, "length", f"{expected} but has {len(value)} {characters}", rule="PIN-6")


def pin_combination_faults(allow_guests: bool | None, pin: str | None, guest_pin: str | None) -> tuple[Fault, ...]:
    """PIN-1 to PIN-5: what the three values may not be together.

    ``None`` is "not known" (a number where a PIN should be, say, which has a fault of its own): a rule that
    would need to know it is not judged.
    """
    faults = []
    if allow_guests and pin == "":
        faults.append(Fault(("pin",), "rule", "allow_guests: true needs a pin", rule="PIN-1"))
    if guest_pin:
        if allow_guests is False:
            faults.append(Fault(("guest_pin",), "rule", "guest_pin needs allow_guests: true", rule="PIN-2"))
        if pin and (wrong := _wrong_pair(pin, guest_pin)) is not None:
            rule, message = wrong
            faults.append(Fault(("guest_pin",), "rule", message, rule=rule))
    return tuple(faults)


def _wrong_pair(pin: str, guest_pin: str) -> tuple[str, str] | None:
    """The rule that two PINs break together, and what to say about it."""
    if pin == guest_pin:
        return "PIN-3", "guest_pin must differ from pin but is the same"
    ends = pin[-1] == "#"
    if ends != (guest_pin[-1] == "#"):
        which = "pin" if ends else "guest_pin"
        return "PIN-5", f"guest_pin and pin must both end in # or neither, but only {which} does"
    if len(pin) != len(guest_pin) and not ends:
        lengths = f"has {len(guest_pin)} where pin has {len(pin)}"
        return "PIN-4", f"guest_pin must have as many characters as pin (or both must end in #) but {lengths}"
    return None

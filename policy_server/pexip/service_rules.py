"""The rules that join several fields of a service.

The rules PIN, BRK and SVC-4, and that of on_completion (pexip/README.md: What voids an answer, Playback). Each
is a plain function over a mapping.
"""

from collections.abc import Mapping
from typing import get_args

from policy_server.pexip.fields import Fault, TeamsViewName
from policy_server.pexip.pins import pin_combination_faults
from policy_server.pexip.shapes import shown


def pin_rules(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """PIN-1 to PIN-5; the format of a PIN (PIN-6) is a matter of its field."""
    allow_guests, pin, guest_pin = fields.get("allow_guests"), fields.get("pin"), fields.get("guest_pin")
    if allow_guests is None:
        allow_guests = False
    if pin is None:
        pin = ""
    if guest_pin is None:
        guest_pin = ""
    return pin_combination_faults(
        allow_guests if isinstance(allow_guests, bool) else None,
        pin if isinstance(pin, str) else None,
        guest_pin if isinstance(guest_pin, str) else None,
    )


def breakout_rules(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """BRK-1 to BRK-3: what a breakout needs, and what breakout rooms exclude."""
    breakout, breakout_rooms = fields.get("breakout") is True, fields.get("breakout_rooms") is True
    if not (breakout or breakout_rooms):
        return ()
    faults: list[Fault] = []
    if breakout:
        faults.extend(
            Fault((field,), "rule", f"breakout: true needs {field}", rule="BRK-1")
            for field in ("breakout_uuid", "breakout_name")
            if fields.get(field) in (None, "")
        )
    if breakout and breakout_rooms:
        message = "breakout_rooms must be false in the configuration of a breakout (breakout: true) but is true"
        faults.append(Fault(("breakout_rooms",), "rule", message, rule="BRK-2"))
    direct_media = fields.get("direct_media")
    if breakout_rooms and direct_media in ("best_effort", "always"):
        message = f"direct_media must be 'never' with breakout_rooms: true but is {shown(direct_media)}"
        faults.append(Fault(("direct_media",), "rule", message, rule="BRK-3"))
    return tuple(faults)


def teams_view_rule(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """SVC-4 for gateways: the Teams layouts are for Teams calls."""
    view = fields.get("view")
    if view not in get_args(TeamsViewName):
        return ()
    # The device type says how the alias is found; the protocol is what makes it a Teams call (pexip/README.md:
    # Gateway calls).
    if fields.get("outgoing_protocol") == "teams":
        return ()
    message = f"view {shown(view)} is for Teams calls only: it needs outgoing_protocol: teams"
    return (Fault(("view",), "rule", message, rule="SVC-4"),)


def completion_rule(on_completion: Mapping[str, object]) -> tuple[Fault, ...]:
    """What on_completion holds: exactly one of disconnect and transfer."""
    present = [field for field in ("disconnect", "transfer") if on_completion.get(field) is not None]
    if len(present) == 1:
        return ()
    found = "both" if present else "neither"
    message = f"on_completion must have either disconnect: true or transfer, but has {found}"
    return (Fault(("on_completion",), "rule", message),)


def playback_completion_rule(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """The completion rule, applied to the on_completion of a playback service."""
    on_completion = fields.get("on_completion")
    return completion_rule(on_completion) if isinstance(on_completion, Mapping) else ()

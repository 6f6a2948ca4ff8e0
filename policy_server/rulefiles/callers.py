"""Legs to the contact centre by whose caller agents could not find the conference (README.md: Agents)."""

from typing import Final

from policy_server.policy.conditions import AllOf, Condition
from policy_server.policy.facts import Supposed
from policy_server.policy.names import UNSIGNED
from policy_server.policy.services import CALLER, ROOM_NAME, Leg
from policy_server.policy.templates import Template, without_raw

_CALL: Final = frozenset({"call", CALLER, ROOM_NAME})
"""What a caller's name or address has the call id by: that, or a default of ours."""


def caller_warning(leg: Leg, room_name: Template, conditions: tuple[Condition, ...]) -> str:
    """Why agents could not tell whose leg this is, as a sentence; ``""`` when they can, or when that is not certain.

    A conference with a call is found by the call id, one without by its leg's address where that is its own, or by the
    room's name where the leg is called so.
    """
    name, address = leg.fields.template("local_display_name"), leg.fields.template("local_alias")
    if not leg.is_to_trunk or name is None or address is None:
        return ""
    shown = {without_raw(each) for each in (*name.names, *address.names)}
    if shown & _CALL:
        return ""
    if _is_of_calls(room_name, conditions):
        return (
            "agents cannot find this call: neither display_name nor local_alias of its leg has the call id; leave "
            'local_alias out, or write {call} into it, or display_name: "{call}"'
        )
    if room_name.names and not address.names and name.source != room_name.source:
        return (
            "agents cannot tell these rooms apart: all of them call from the same local_alias, and display_name is not the "
            "room's name; leave local_alias out, or write into it what tells them apart"
        )
    return ""


def _is_of_calls(room_name: Template, conditions: tuple[Condition, ...]) -> bool:
    """Whether whoever gets the room has come by a link of ours."""
    return "call" in room_name.needed or AllOf(conditions).supposing(Supposed(link_states=UNSIGNED)) is False

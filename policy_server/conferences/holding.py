"""One room, one service: decisions made to agree with the conference that holds the room (README.md: Held rooms).

What a held conference fixes for everybody is its service and its legs. Which of the two a question gets is still its
own: the customer's rule dials, the agent's does not. How a caller enters, the door, is fixed for each rule by itself, so
that a device of the house may enter without a PIN and never opens the door for the stranger behind it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from policy_server.conferences.records import Door, HeldConference
from policy_server.pexip.field_facts import DOOR_FIELDS
from policy_server.policy.decisions import Serve, Trace
from policy_server.policy.names import Keyring
from policy_server.policy.services import LEGS, ROOM_TYPES, Fields

REASON: Final = "the room is held, whatever the rules say now"
AGENTS_REASON: Final = "the agents' alias of a room that runs"
NO_DOOR: Final = Door({})

_AGENTS: Final = "room-agent."


def room_of(decision: Serve) -> str:
    """The name of the conference that a decision leads to, ``""`` for a service that is none.

    A breakout bears the name of its main room, but is a conference of its own (pexip/README.md: Breakouts).
    """
    service = decision.service
    if service.get("service_type") not in ROOM_TYPES:
        return ""
    name = str(service.get("name", ""))
    return f"{name}_breakout_{service.get('breakout_uuid', '')}" if service.get("breakout") is True else name


def conference_of(
    decision: Serve,
    *,
    conference_id: str,
    alias: str,
    aliases: Mapping[str, str],
    link_type: str,
    revision: str,
    at: datetime,
    lifetime: timedelta,
    asked: Mapping[str, str],
) -> HeldConference:
    """The conference that a decision begins; ``asked`` is what the question had in the parameters that decided, and
    ``alias`` what may be shown of the alias that it dialled.
    """
    door, service = door_of(decision, asked), {**decision.service}
    for name in (LEGS, *door.fields):
        service.pop(name, None)
    return HeldConference(
        id=conference_id,
        name=room_of(decision),
        call=decision.call,
        link_type=link_type,
        service_tag=str(decision.service.get("service_tag", "")),
        service=service,
        legs=_legs(decision.service),
        fallbacks=decision.fallbacks,
        rule=decision.rule,
        revision=revision,
        alias=alias,
        aliases=aliases,
        held_at=at,
        expires_at=at + lifetime,
        doors={decision.rule: door},
    )


def door_of(decision: Serve, asked: Mapping[str, str]) -> Door:
    """The door that a decision gives."""
    return Door({name: value for name, value in decision.service.items() if name in DOOR_FIELDS}, asked)


def with_door(held: HeldConference, rule: str, door: Door) -> HeldConference:
    """The conference with a door for one more rule; a door that the rule has stays."""
    return held if rule in held.doors else replace(held, doors={**held.doors, rule: door})


def held_to(held: HeldConference, decision: Serve) -> Serve:
    """A decision for a room that is held: the room's service, its legs if the decision dials, the rule's own door.

    When the agent came first, the room was held without legs, and the customer's rule brings its own. The door is the
    one that was held for the rule, or the decision's where none was.
    """
    wanted = _legs(decision.service)
    legs = (held.legs or wanted) if wanted else ()
    fallbacks = (tuple(map(dict, held.fallbacks)) or decision.fallbacks) if wanted else ()
    door = held.doors.get(decision.rule) or door_of(decision, {})
    service = _service(held, door, legs)
    return Serve(decision.rule, decision.reason, decision.trace, service, decision.call, fallbacks, decision.template)


def agents_aliases(keyring: Keyring, conference_id: str) -> Iterator[str]:
    """What agents dial for one life of a room that no call belongs to: the lookup alone gives it. By the current key first.

    The alias that a kiosk dials may be the same for all kiosks, and one that is dialled again would begin the room anew.
    """
    return (f"{_AGENTS}{key}" for key in keyring.room_keys(conference_id))


def recalled(held: HeldConference, trace: Trace, *, rule: str, dials: bool, reason: str = REASON) -> Serve:
    """The answer about a held room where the rules of today would give none; ``rule`` says whose door it has."""
    legs, fallbacks = (held.legs, held.fallbacks) if dials else ((), ())
    service = _service(held, held.doors.get(rule, NO_DOOR), legs)
    return Serve(rule, reason, trace, service, held.call, tuple(map(dict, fallbacks)))


def entered(held: HeldConference) -> Fields:
    """The room as whoever came first entered it, without its legs."""
    return _service(held, held.doors.get(held.rule, NO_DOOR), ())


def rule_of_orphan(held: HeldConference, asked: Mapping[str, str]) -> str | None:
    """The rule by which somebody came whom the rules of today do not know; ``None`` if that cannot be told.

    ``asked`` is what they ask now. Whoever had the same in all parameters that led others to a rule came by that rule.
    Into a customer's room a signed link leads, and that is enough: there it is the rule of the same alias, or else the
    one that asks for a PIN, since an open door may have been meant for somebody else.
    """
    alike = [rule for rule, door in held.doors.items() if all(asked.get(k, "") == v for k, v in door.asked.items())]
    if not alike and held.call:
        dialled = asked.get("local_alias", "")
        alike = [rule for rule, door in held.doors.items() if door.asked.get("local_alias") == dialled]
        alike = alike or list(held.doors)
    return max(alike, key=lambda rule: (_is_locked(held.doors[rule]), rule == held.rule), default=None)


def _is_locked(door: Door) -> bool:
    return bool(door.fields.get("pin") or door.fields.get("host_identity_provider_group"))


def _legs(service: Mapping[str, object]) -> tuple[Fields, ...]:
    legs = service.get(LEGS)
    return tuple(leg for leg in legs if isinstance(leg, dict)) if isinstance(legs, list) else ()


def _service(held: HeldConference, door: Door, legs: tuple[Mapping[str, object], ...]) -> Fields:
    service = {**held.service, **door.fields}
    if legs:
        service[LEGS] = [dict(leg) for leg in legs]
    return service

"""One conference as an agent sees it: links, pins, events and timeline in one answer. Nothing here does I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from policy_server.conferences.fold import (
    ConferenceState,
    LegState,
    Participant,
    Phase,
    TrunkLeg,
    fold,
    timeline_events,
)
from policy_server.conferences.lives import told_since
from policy_server.conferences.records import HeldConference, Link, TimelineEntry
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.events import Event
from policy_server.pexip.field_facts import SECRET_FIELDS
from policy_server.policy.masking import HIDDEN
from policy_server.policy.names import Call
from policy_server.policy.ruleset import LinkType
from policy_server.web.decision_log import MASK

TIMELINE_LIMIT: Final = 500
"""Most entries of a timeline in an answer: the latest."""

FURTHEST_AHEAD: Final = timedelta(hours=1)
"""What a node's clock may be ahead of ours for its times to be shown as they are."""

LINK_OPENED: Final = "link.opened"
"""The kind of timeline entry that says that a customer opened the link."""

LINK_PREVIEWED: Final = "link.previewed"
"""The kind of one that says that a messenger or a scanner fetched it, which is not the customer."""

JOIN_ROLE: Final = "chair"
"""What the host PIN makes of the widget, in the word of Pexip's rosters and events."""

JOIN_CALL_TYPE: Final = "video-only"
"""The agent speaks through the phone leg (genesys/README.md: A call step by step)."""

Answer = dict[str, object]

_Line = tuple[datetime, Answer]


@dataclass(frozen=True, slots=True, repr=False)
class Material:
    """All that is known of one call. At least one of ``opened``, ``link`` and ``conference`` is there.

    ``call`` is its id, or the name of a room that no link led to; ``opened`` what we signed. ``service`` is the room's: as
    held, or else as the rules would make it now; empty when they would not.
    """

    call: str
    opened: Call | None
    link: Link | None
    conference: HeldConference | None
    link_type: LinkType | None
    service: Mapping[str, object]
    entries: Sequence[TimelineEntry]
    events: Sequence[Event]
    domains: frozenset[str]
    node: str

    @property
    def room(self) -> str:
        """The room name, as far as it is known."""
        return room_name(self.service, self.call)

    @property
    def alias(self) -> str | None:
        """What the customer dials, as others may see it."""
        if self.link_type is not None and self.opened is not None:
            return HIDDEN.join(self.link_type.alias.literals)
        return self.conference.alias if self.conference else None

    @property
    def agent_alias(self) -> str | None:
        """What the agent's widget dials: the customer's alias where agents have none of their own."""
        if self.link_type is not None and self.opened is not None:
            return self.link_type.agents_alias(self.opened) or self.link_type.customers_alias(self.opened)
        return self.alias if self.opened is None and self.conference is not None and not self.conference.call else None


def room_name(service: Mapping[str, object], call: str) -> str:
    """The name of a call's room: the call id, when nothing better is known."""
    return str(service.get("name") or call)


def render_lookup(material: Material, now: datetime) -> Answer:
    """The answer to the lookup. ``join.pin`` is the only place in it with a PIN."""
    link, conference = material.link, material.conference
    state = fold(material.events)
    # A call's room has one timeline for all its lives, and the state of the latest.
    latest = told_since(material.events, conference.held_at) if conference is not None else material.events
    arrived = max((event.arrived_at for event in material.events), default=now)
    lately = fold(latest)
    phase = conference_phase(lately, conference, now)
    lines = sorted([*_noted(material.entries), *_happened(material.events, arrived)], key=lambda line: line[0])
    opened_at = next((entry.at for entry in material.entries if entry.kind == LINK_OPENED), None)
    ended_at = conference.ended_at if conference is not None else None
    service_tag = conference.service_tag if conference is not None else material.service.get("service_tag")
    return {
        "call": material.call if material.opened or link or (conference and conference.call) else None,
        "name": material.room,
        "service_tag": service_tag or "",
        "state": phase.value,
        "node": material.node or None,
        "join": {
            "alias": material.agent_alias,
            "pin": None if phase is Phase.ENDED else material.service.get("pin") or None,
            "role": JOIN_ROLE,
            "call_type": JOIN_CALL_TYPE,
        },
        "customer": _customer(material, state.people, arrived),
        "trunk_leg": _trunk_leg(state.trunk_legs, arrived),
        "participants": [_participant(person, arrived) for person in state.people],
        "attributes": dict(link.attributes) if link is not None else {},
        "timeline": [line for _, line in lines[-TIMELINE_LIMIT:]],
        "timeline_left_out": max(0, len(lines) - TIMELINE_LIMIT),
        "created_at": _stamp(link.created_at if link is not None else None),
        "opened_at": _stamp(opened_at),
        "started_at": _stamp(moment(state.started_at, arrived)),
        "ended_at": _stamp(moment(lately.ended_at, arrived) or ended_at) if phase is Phase.ENDED else None,
        "expires_at": _stamp(_expiry(material)),
        "revoked_at": _stamp(link.revoked_at if link is not None else None),
    }


def conference_phase(state: ConferenceState, conference: HeldConference | None, now: datetime) -> Phase:
    """Where a conference is in its life, by its nodes since it was held and by its hold."""
    if conference is not None and conference.expires_at <= now:
        # Whoever still seems to be there left without a word.
        return Phase.ENDED
    if state.phase is Phase.ACTIVE:
        return Phase.ACTIVE
    if conference is not None and conference.ended_at is not None:
        return Phase.ENDED
    return state.phase


def moment(seconds: float | None, arrived: datetime) -> datetime | None:
    """A time of a node as its clock says, unless that is hours ahead of when the last message ``arrived``."""
    if seconds is None:
        return None
    told = datetime.fromtimestamp(seconds, UTC)
    return told if told - arrived <= FURTHEST_AHEAD else arrived


def _expiry(material: Material) -> datetime | None:
    if material.link is not None:
        return material.link.expires_at
    return material.opened.expires_at if material.opened is not None else None


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds")


def _customer(material: Material, people: Sequence[Participant], arrived: datetime) -> Answer:
    """Who the link is for, and whether somebody came by its alias; of several, one who is there."""
    alias = material.alias
    own = normalise_alias(alias or "", material.domains)
    came = [person for person in people if own and normalise_alias(person.destination_alias, material.domains) == own]
    person = max(came, key=lambda one: (one.is_present, one.connected_at or 0.0), default=None)
    name = material.link.name if material.link is not None else ""
    return {
        "name": name or (person.display_name if person is not None else "") or None,
        "alias": alias,
        "is_present": person is not None and person.is_present,
        "joined_at": _stamp(moment(person.connected_at, arrived)) if person is not None else None,
        "left_at": _stamp(moment(person.disconnected_at, arrived)) if person is not None else None,
    }


def _trunk_leg(legs: Sequence[TrunkLeg], arrived: datetime) -> Answer | None:
    """The leg to the contact centre that is up, or else the latest; with the reason for which one ended last."""
    if not legs:
        return None
    leg = next((leg for leg in reversed(legs) if leg.state is LegState.CONNECTED), legs[-1])
    ended = max((leg for leg in legs if leg.ended_at is not None), key=lambda leg: leg.ended_at or 0.0, default=None)
    return {
        "number": leg.number or None,
        "state": leg.state.value,
        "connected_at": _stamp(moment(leg.connected_at, arrived)),
        "ended_at": _stamp(moment(leg.ended_at, arrived)),
        "disconnect_reason": ended.disconnect_reason or None if ended is not None else None,
        "leg_end": ended.leg_end.value if ended is not None and ended.leg_end is not None else None,
        "attempts": len(legs),
    }


def _participant(person: Participant, arrived: datetime) -> Answer:
    return {
        "uuids": list(person.uuids),
        "display_name": person.display_name,
        "role": person.role,
        "protocol": person.protocol,
        "alias": person.alias,
        "dialled_alias": person.destination_alias,
        "is_present": person.is_present,
        "has_media": person.has_media,
        "is_muted": person.is_muted,
        "is_presenting": person.is_presenting,
        "joined_at": _stamp(moment(person.connected_at, arrived)),
        "left_at": _stamp(moment(person.disconnected_at, arrived)),
        "disconnect_reason": person.disconnect_reason or None,
    }


def _noted(entries: Sequence[TimelineEntry]) -> Iterator[_Line]:
    for entry in entries:
        data = dict(entry.data)
        text = data.pop("text", "")
        yield entry.at, _line(entry.at, entry.kind, str(text), data)


def _happened(events: Sequence[Event], arrived: datetime) -> Iterator[_Line]:
    for event in timeline_events(events):
        at = moment(event.time, arrived) or arrived
        yield at, _line(at, event.kind, event.text, event.data)


def _line(at: datetime, kind: str, text: str, data: Mapping[str, object]) -> Answer:
    return {"at": _stamp(at), "kind": kind, "text": text, "data": masked(data)}


def masked(value: object) -> object:
    """Data of a timeline without PINs and the like, however deep they are."""
    if isinstance(value, Mapping):
        return {key: MASK if key in SECRET_FIELDS and item else masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list | tuple) else value

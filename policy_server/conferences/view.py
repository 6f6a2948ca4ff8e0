"""What an agent sees of a conference: links, holds, events and timeline in one answer. Nothing here does I/O.

The answer's types say what each field means, with an example: ``/openapi.json`` is made of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

from typing_extensions import TypedDict

from policy_server.conferences import participants as roster
from policy_server.conferences.ending import Course
from policy_server.conferences.fold import Phase
from policy_server.conferences.joined_by import JOINED_LIMIT, JoinedBy, JoiningLink, called, joining_link
from policy_server.conferences.known import Known
from policy_server.conferences.lines import Lines, TimelineLine
from policy_server.conferences.participants import LegState
from policy_server.conferences.records import Link, TimelineEntry
from policy_server.conferences.shapes import Count, Time, means, moment, stamp
from policy_server.conferences.timeline import Kind
from policy_server.conferences.verdict import Verdict, absent_of, verdict_of
from policy_server.conferences.visit import Part, Visit
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.leg_ends import LegEnd

TIMELINE_LIMIT: Final = 500
"""Most entries of a timeline in an answer: the latest."""

JOIN_ROLE: Final = "chair"
"""What the host PIN makes of the widget, in the word of Pexip's rosters and events."""

JOIN_CALL_TYPE: Final = "video-only"
"""The agent speaks through the phone leg (genesys/README.md: A call step by step)."""

EXAMPLE_CALL: Final = "abcdefghijklmnopqrstuvwxyz234567"
EXAMPLE_SESSION: Final = "customersnameofthecall2345672345"
EXAMPLE_AGENT: Final = "agentsnameofthecall2345672345672"
"""The three names of the call of all examples."""

CALL_MEANS: Final = (
    "The call id, which ties everything about one customer's call together: 32 characters that this server signed. It "
    "opens no door. Genesys Cloud has it in the caller's address (`ani`), or shows it as its name (`aniName`)."
)


# ------------------------------------------------------------------ the answer

FoundBy = Literal["aniName", "ani"]
"""Genesys Cloud's names for what it shows of a caller (genesys/README.md: Conversations)."""


class Join(TypedDict):
    """How to join."""

    alias: Annotated[str | None, means("The alias to dial.", f"hcp{EXAMPLE_AGENT}")]
    pin: Annotated[str | None, means("The host PIN; `null` for rooms without. Show it to nobody.", "471920")]
    role: Annotated[str, means("What the PIN makes of the agent, in Pexip's word.", JOIN_ROLE)]
    call_type: Annotated[str, means("Pexip's call type: the agent speaks through the phone.", JOIN_CALL_TYPE)]


class Customer(TypedDict):
    """Who the conference is for."""

    name: Annotated[str | None, means("By the link, or else by what was typed on joining.", "Ada L")]
    alias: Annotated[str | None, means("The alias that the customer dials.", "mp…")]
    is_present: Annotated[bool, means("Is there now.", True)]
    joined_at: Annotated[Time | None, means("When it came.", "2026-11-23T16:05:02.000+00:00")]
    left_at: Annotated[Time | None, means("When it left; `null` while it is there.", None)]


class TrunkLeg(TypedDict):
    """The call from the conference to the contact centre: the one that is up, or else the latest."""

    number: Annotated[str | None, means("The number dialled, in E.164.", "+13129998045")]
    state: Annotated[LegState, means("Where the call is in its life.", "connected")]
    connected_at: Annotated[Time | None, means("When it was answered.", "2026-11-23T16:05:14.000+00:00")]
    ended_at: Annotated[Time | None, means("When it ended.", None)]
    disconnect_reason: Annotated[str | None, means("Why the last one that ended did, in Pexip's words.", None)]
    leg_end: Annotated[LegEnd | None, means("The same in one word.", None)]
    attempts: Annotated[Count, means("How many calls were placed.", 1)]


class Participant(TypedDict):
    """A person, in a browser or on a device. Texts may be empty."""

    uuids: Annotated[
        list[str],
        means(
            "Pexip's ids of the participants that the person is: a browser is two.",
            ["a0ed2c58-f45b-4d96-a1cb-89812ec938ea"],
        ),
    ]
    part: Annotated[
        Part,
        means(
            "What the person is there for, by the alias that was dialled. Where agents dial what customers dial they cannot "
            "be told apart, and all are `customer`.",
            Part.CUSTOMER.value,
        ),
    ]
    display_name: Annotated[str, means("The name in the roster.", "Ada L")]
    role: Annotated[str, means("`chair`, `guest` or `unknown`.", "guest")]
    protocol: Annotated[str, means("In lower case, such as `webrtc` or `sip`.", "webrtc")]
    alias: Annotated[str, means("The far end's alias.", "Ada L")]
    dialled_alias: Annotated[str, means("The alias that was dialled, of a link as `mp…`.", "mp…")]
    is_present: Annotated[bool, means("Is there now; may still be in the lobby.", True)]
    has_media: Annotated[bool, means("Sends or receives media.", True)]
    is_muted: Annotated[bool, means("Was muted in the conference.", False)]
    is_presenting: Annotated[bool, means("Shows a presentation.", False)]
    joined_at: Annotated[Time | None, means("When it came.", "2026-11-23T16:05:02.000+00:00")]
    left_at: Annotated[Time | None, means("When it left; `null` while it is there.", None)]
    disconnect_reason: Annotated[str | None, means("Why it left, in Pexip's words.", None)]
    link: Annotated[
        JoiningLink | None, means("The link of somebody who joins the call, such as an interpreter; `null` for others.")
    ]


class CallOutline(TypedDict):
    """A call in a list."""

    verdict: Verdict
    call: Annotated[str | None, means(f"{CALL_MEANS} `null` for a room that no link led to.", EXAMPLE_CALL)]
    name: Annotated[str, means("The room's name, which is Pexip's identity of a conference.", EXAMPLE_CALL)]
    service_tag: Annotated[str, means("The room's service tag; may be empty.", "telehealth")]
    state: Annotated[
        Phase,
        means("`waiting` until somebody with media is in it, then `active`; `ended` when all have left.", "active"),
    ]
    customer: Customer
    attributes: Annotated[dict[str, str], means("What the link was made with.", {"language": "es"})]
    started_at: Annotated[Time | None, means("When the conference started on a node.", "2026-11-23T16:05:02.000+00:00")]
    ended_at: Annotated[Time | None, means("When it ended.", None)]


class CallDetails(CallOutline):
    """All that is known of a call, for people and systems who do not join it."""

    trunk_leg: Annotated[TrunkLeg | None, means("The call to the contact centre; `null` until it is placed.")]
    participants: Annotated[list[Participant], means("Who is or was there, without the contact centre's leg.")]
    joins: Annotated[
        str | None,
        means("The call that this link joins, in whose room all of it happens; `null` for a call of its own.", None),
    ]
    joined_by: Annotated[
        list[JoinedBy],
        means(
            f"The links that join this call, and who of them is there; the latest {JOINED_LIMIT}.",
            maxItems=JOINED_LIMIT,
        ),
    ]
    timeline: Annotated[
        list[TimelineLine],
        means(f"What happened, in order; the latest {TIMELINE_LIMIT} lines.", maxItems=TIMELINE_LIMIT),
    ]
    absent: Annotated[
        list[str], means("What has not happened, of what a call goes through, in sentences.", ["No agent joined."])
    ]
    timeline_left_out: Annotated[Count, means("Earlier lines that are not in the timeline.", 0)]
    created_at: Annotated[Time | None, means("When the link was made.", "2026-11-23T16:00:00.000+00:00")]
    opened_at: Annotated[
        Time | None, means("When the customer first opened the link.", "2026-11-23T16:04:55.000+00:00")
    ]
    starts_at: Annotated[Time | None, means("The time of the appointment that the link was made for.", None)]
    opens_at: Annotated[Time | None, means("When the door of an appointment opens; `null`: from the start.", None)]
    expires_at: Annotated[Time | None, means("When the link expires.", "2026-11-23T18:00:00.000+00:00")]
    revoked_at: Annotated[Time | None, means("When the link was revoked.", None)]
    moved_at: Annotated[Time | None, means("When the appointment was moved to another time.", None)]
    moved_to: Annotated[str | None, means("The call of the link that took its place then.", None)]


class Conference(CallDetails):
    """A conference, as an agent sees it."""

    found_by: Annotated[
        FoundBy | None,
        means(
            "What of the caller in the conversation named this conference: the caller's name or its address. `null` "
            "without `?conversation=`.",
            "ani",
        ),
    ]
    node: Annotated[
        str | None, means("The Conferencing Node to join; `null` when the server does not know.", "pexip.example.com")
    ]
    join: Join


# ------------------------------------------------------------------ how it is made


def room_name(service: Mapping[str, object], call: str) -> str:
    """The name of a call's room: the call id, when nothing better is known."""
    return str(service.get("name") or call)


def render(
    known: Known,
    service: Mapping[str, object],
    entries: Sequence[TimelineEntry],
    course: Course,
    visit: Visit,
    lines: Lines,
    *,
    node: str,
    now: datetime,
) -> Conference:
    """The answer to the lookup. ``join.pin`` is the only place in it with a PIN.

    ``service`` is the room's: as held, or else as the rules would make it now; empty when they would not. ``visit`` is what
    ``course`` tells of the customer, and ``lines`` are those of earlier answers about the same conference.
    """
    link, conference, domains = known.link, known.conference, visit.cast.domains
    joins = known.joins
    told, is_over = course.whole, course.phase is Phase.ENDED
    arrived = told.arrived_at or now
    wholes = (person.whole for person in told.people)
    people = [person for person in wholes if not joins or person.joining_call == known.call]
    links = {each.call: each for each in (*known.joined_by, *((link,) if link is not None and joins else ()))}
    names = {call: called(each) for call, each in links.items()}
    timeline = lines.of(entries, told, arrived, names, known.call if joins else "")
    opened_at = next((entry.at for entry in entries if entry.kind == Kind.LINK_OPENED), None)
    ended_at = conference.ended_at if conference is not None else None
    service_tag = conference.service_tag if conference is not None else service.get("service_tag")
    pin = service.get("pin")
    return {
        "verdict": verdict_of(visit),
        "call": known.call if known.opened or link or (conference and conference.call) else None,
        "found_by": None,
        "name": room_name(service, known.call),
        "service_tag": str(service_tag or ""),
        "state": course.phase,
        "node": node or None,
        "join": {
            "alias": known.agent_alias,
            "pin": str(pin) if pin and not is_over and not joins else None,
            "role": JOIN_ROLE,
            "call_type": JOIN_CALL_TYPE,
        },
        "customer": _customer(known, people, domains, arrived),
        "trunk_leg": None if joins else _trunk_leg([leg for _, leg in told.trunk_legs], arrived),
        "participants": [_participant(person, visit.parts, links, arrived) for person in people],
        "attributes": dict(link.attributes) if link is not None else {},
        "joins": joins or None,
        "joined_by": [_joined_by(each, people, arrived) for each in known.joined_by[-JOINED_LIMIT:]],
        "timeline": list(timeline[-TIMELINE_LIMIT:]),
        "absent": list(absent_of(visit)),
        "timeline_left_out": max(0, len(timeline) - TIMELINE_LIMIT),
        "created_at": stamp(link.created_at if link is not None else None),
        "opened_at": stamp(opened_at),
        "started_at": stamp(moment(told.started_at, arrived)),
        "ended_at": stamp(moment(course.latest.ended_at, arrived) or ended_at) if is_over else None,
        "starts_at": stamp(link.starts_at if link is not None else None),
        "opens_at": stamp(known.opens_at),
        "expires_at": stamp(known.expires_at),
        "revoked_at": stamp(link.revoked_at if link is not None else None),
        "moved_at": stamp(link.moved_at if link is not None else None),
        "moved_to": link.moved_to if link is not None else None,
    }


def _customer(
    known: Known, people: Sequence[roster.Participant], domains: frozenset[str], arrived: datetime
) -> Customer:
    """Who the link is for, and whether somebody came by its alias; of several, one who is there."""
    alias = known.alias
    own = normalise_alias(alias or "", domains)
    came = [person for person in people if own and normalise_alias(person.destination_alias, domains) == own]
    person = _latest(came)
    name = known.link.name if known.link is not None else ""
    return {
        "name": name or (person.display_name if person is not None else "") or None,
        "alias": alias,
        "is_present": person is not None and person.is_present,
        "joined_at": stamp(moment(person.connected_at, arrived)) if person is not None else None,
        "left_at": stamp(moment(person.disconnected_at, arrived)) if person is not None else None,
    }


def _latest(came: Iterable[roster.Participant]) -> roster.Participant | None:
    """Of several who came by one link, one who is there, or else the last."""
    return max(came, key=lambda one: (one.is_present, one.connected_at or 0.0), default=None)


def _joined_by(link: Link, people: Iterable[roster.Participant], arrived: datetime) -> JoinedBy:
    person = _latest(person for person in people if person.joining_call == link.call)
    return {
        **joining_link(link),
        "attributes": dict(link.attributes),
        "is_present": person is not None and person.is_present,
        "joined_at": stamp(moment(person.connected_at, arrived)) if person is not None else None,
        "left_at": stamp(moment(person.disconnected_at, arrived)) if person is not None else None,
        "expires_at": stamp(link.expires_at),
        "revoked_at": stamp(link.revoked_at),
    }


def _trunk_leg(legs: Sequence[roster.TrunkLeg], arrived: datetime) -> TrunkLeg | None:
    """The leg to the contact centre that is up, or else the latest; with the reason for which one ended last."""
    if not legs:
        return None
    leg = next((leg for leg in reversed(legs) if leg.state is LegState.CONNECTED), legs[-1])
    ended = max((leg for leg in legs if leg.ended_at is not None), key=lambda leg: leg.ended_at or 0.0, default=None)
    return {
        "number": leg.number or None,
        "state": leg.state,
        "connected_at": stamp(moment(leg.connected_at, arrived)),
        "ended_at": stamp(moment(leg.ended_at, arrived)),
        "disconnect_reason": ended.disconnect_reason or None if ended is not None else None,
        "leg_end": ended.leg_end if ended is not None else None,
        "attempts": len(legs),
    }


def _participant(
    person: roster.Participant,
    parts: Mapping[tuple[str, ...], Part],
    links: Mapping[str, Link],
    arrived: datetime,
) -> Participant:
    link = links.get(person.joining_call)
    return {
        "uuids": list(person.uuids),
        "part": parts.get(person.uuids, Part.OTHER),
        "display_name": person.display_name,
        "role": person.role,
        "protocol": person.protocol,
        "alias": person.alias,
        "dialled_alias": person.destination_alias,
        "is_present": person.is_present,
        "has_media": person.has_media,
        "is_muted": person.is_muted,
        "is_presenting": person.is_presenting,
        "joined_at": stamp(moment(person.connected_at, arrived)),
        "left_at": stamp(moment(person.disconnected_at, arrived)),
        "disconnect_reason": person.disconnect_reason or None,
        "link": joining_link(link) if link is not None else None,
    }

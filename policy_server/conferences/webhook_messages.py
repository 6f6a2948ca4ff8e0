"""What a webhook says of a call: its events, and the message of each. The types say what each field means, with an example:
``/openapi.json`` is made of them.
"""

import math
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, assert_never

from typing_extensions import TypedDict

from policy_server.conferences.life import Life
from policy_server.conferences.shapes import Time, means, moment, stamp
from policy_server.conferences.tables import encode
from policy_server.conferences.verdict import Verdict
from policy_server.conferences.view import EXAMPLE_CALL


class Event(StrEnum):
    """What others are told of."""

    STARTED = "call.started"
    """The customer is in the room for the first time."""
    FAILED = "call.failed"
    """Nobody has answered, and nobody is called any more."""
    ANSWERED = "call.answered"
    """The contact centre and the customer are together for the first time."""
    ENDED = "call.ended"
    """The conference is over. Told again where late news changes what it came to: nothing else is told after it."""

    @property
    def fact(self) -> str:
        """What it tells, as the end of a sentence."""
        match self:
            case Event.STARTED:
                return "the customer has come"
            case Event.FAILED:
                return "nobody answered"
            case Event.ANSWERED:
                return "the contact centre answered"
            case Event.ENDED:
                return "the call is over"
            case _:
                assert_never(self)


class WebhookCall(TypedDict):
    """The `data` of a message. Times are those of the nodes' clocks."""

    call: Annotated[
        str | None, means("The call id, as the links API gives it; `null` where no link led to the room.", EXAMPLE_CALL)
    ]
    conference: Annotated[
        str,
        means(
            "The conference: a call has another one when the customer comes back after everybody left.",
            "5b1c7f0e9d3a4c0f8a12-1",
        ),
    ]
    room: Annotated[str, means("The name of the room, as Pexip shows it.", EXAMPLE_CALL)]
    link_type: Annotated[str, means("The type of the link, empty without one.", "visit")]
    service_tag: Annotated[str, means("The room's service tag.", "contact-centre")]
    rule: Annotated[str, means("The id of the rule that made the room.", "customer")]
    customer: Annotated[
        str | None, means("The name that the link was made for, or under which the customer came.", "Ada L")
    ]
    attributes: Annotated[dict[str, str], means("The attributes that the link was given.", {"language": "es"})]
    verdict: Annotated[Verdict, means("What has become of the call so far, as the lookup says it.")]
    created_at: Annotated[Time | None, means("When the link was made.", "2026-11-23T16:00:00.000+00:00")]
    joined_at: Annotated[Time | None, means("When the customer came into the room.", "2026-11-23T16:05:02.000+00:00")]
    answered_at: Annotated[
        Time | None,
        means("When the contact centre and the customer were first together.", "2026-11-23T16:05:14.000+00:00"),
    ]
    ended_at: Annotated[
        Time | None, means("When the conference was over; `null` while it runs.", "2026-11-23T16:09:40.000+00:00")
    ]


class WebhookMessage(TypedDict):
    """The body of a webhook."""

    type: Annotated[Event, means("The event.", Event.ENDED)]
    timestamp: Annotated[Time, means("When it happened.", "2026-11-23T16:09:40.000+00:00")]
    data: Annotated[WebhookCall, means("The call, as it was known when the message was made.")]


def message_of(event: Event, life: Life, now: datetime) -> WebhookMessage:
    """The message that tells of an event."""
    answer, visit = life.answer, life.visit
    arrived = life.arrived_at or now
    joined_at, answered_at = (moment(_finite(at), arrived) for at in (visit.came_at, answered(life)))
    ended_at = answer["ended_at"]
    failed_at = moment(max((leg.ended_at for leg in visit.legs if leg.ended_at is not None), default=None), arrived)
    happened: dict[Event, str | None] = {
        Event.STARTED: stamp(joined_at),
        Event.ANSWERED: stamp(answered_at),
        Event.FAILED: ended_at or stamp(failed_at),
        Event.ENDED: ended_at,
    }
    return {
        "type": event,
        "timestamp": happened[event] or stamp(now),
        "data": {
            "call": answer["call"],
            "conference": life.held.id,
            "room": answer["name"],
            "link_type": life.link_type,
            "service_tag": answer["service_tag"],
            "rule": life.held.rule,
            "customer": answer["customer"]["name"],
            "attributes": answer["attributes"],
            "verdict": answer["verdict"],
            "created_at": answer["created_at"],
            "joined_at": stamp(joined_at),
            "answered_at": stamp(answered_at),
            "ended_at": ended_at,
        },
    }


def answered(life: Life) -> float | None:
    """When the contact centre and the customer were first together, by telephone or by video."""
    talk = (begin for begin, _ in life.visit.talk)
    return min((at for at in (life.visit.met_at, next(talk, None)) if at is not None), default=None)


def _finite(at: float | None) -> float | None:
    return at if at is not None and math.isfinite(at) else None


def outcome_of(life: Life) -> str:
    """What a call came to, as its end tells it, in a word that is another for whatever is told otherwise."""
    data = message_of(Event.ENDED, life, life.held.held_at)["data"]
    said = [data["verdict"], data["joined_at"], data["answered_at"], data["ended_at"]]
    return sha256(encode(said).encode()).hexdigest()[:16]

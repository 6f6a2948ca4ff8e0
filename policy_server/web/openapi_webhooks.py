"""What ``/openapi.json`` says of webhooks: requests of this server's to systems that are told of calls."""

from collections.abc import Mapping
from typing import Final, assert_never

from policy_server.conferences.verdict import Code, Verdict
from policy_server.conferences.webhook_messages import Event
from policy_server.outbound.webhooks import GONE, TIMEOUT
from policy_server.web.schemas import Json, example_of, ref

HEADERS: Final[Mapping[str, Json]] = {
    "webhook-id": {
        "description": "The id of the message. Copies of a message have the same id and the same body.",
        "schema": {"type": "string", "pattern": "^msg_[^.]+$"},
        "example": "msg_5b1c7f0e9d3a4c0f8a12-1_ended",
    },
    "webhook-timestamp": {
        "description": "When this copy was sent, in seconds since 1970. Refuse what is older than some minutes.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1795450180",
    },
    "webhook-signature": {
        "description": "Signatures, separated by spaces: `v1,` and the Base64 of the HMAC-SHA256 of id, timestamp and body, joined "
        "by full stops. One of them is with your secret.",
        "schema": {"type": "string", "pattern": "^v1,[A-Za-z0-9+/=]+( v1,[A-Za-z0-9+/=]+)*$"},
        "example": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    },
}
"""The headers of each message, beside those of any request."""


def webhooks(shapes: Json) -> Json:
    """Every event by its name."""
    return {event.value: {"post": _message(event, shapes)} for event in Event}


def _message(event: Event, shapes: Json) -> Json:
    of_this = {"properties": {"type": {"const": event.value}}}
    return {
        "operationId": f"told{event.name.title()}",
        "tags": ["webhooks"],
        "summary": _when(event),
        "description": "Sent to every receiver in `POLICY_WEBHOOKS`, signed as https://www.standardwebhooks.com says, at least once, "
        "and of one conference in order.",
        "security": [],
        "parameters": [{"name": name, "in": "header", "required": True, **header} for name, header in HEADERS.items()],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"allOf": [ref("WebhookMessage"), of_this]},
                    "example": _example(event, shapes),
                }
            },
        },
        "responses": {
            "2XX": {"description": f"It is taken. Answer within {TIMEOUT:g} seconds."},
            str(GONE): {"description": "This message is not wanted, and not sent again."},
            "default": {
                "description": "It is sent again for a day, with growing pauses; of `429` and `503` after the seconds of `Retry-After`.",
                "headers": {
                    "Retry-After": {
                        "description": "Seconds to wait, an hour at the most",
                        "schema": {"type": "integer", "minimum": 1},
                    }
                },
            },
        },
    }


def _when(event: Event) -> str:
    match event:
        case Event.STARTED:
            return "The customer is in the room for the first time"
        case Event.FAILED:
            return "Nobody has answered, and nobody is called any more"
        case Event.ANSWERED:
            return "The contact centre and the customer are together for the first time"
        case Event.ENDED:
            return "The conference is over; again where late news changes what the call came to"
        case _:
            assert_never(event)


def _example(event: Event, shapes: Json) -> Json:
    message = example_of("WebhookMessage", shapes)
    data = message["data"]
    match event:
        case Event.STARTED:
            text = "The customer is waiting; no leg was dialled; no agent joined."
            verdict = _verdict(Code.WAITING, text, attempts=0)
            at, answered_at, ended_at = data["joined_at"], None, None
        case Event.FAILED:
            text = "The customer is waiting; Genesys refused the leg (Call rejected) after 2 s; no agent joined."
            verdict = _verdict(Code.WAITING, text)
            at, answered_at, ended_at = "2026-11-23T16:05:16.000+00:00", None, None
        case Event.ANSWERED:
            text = "The customer is waiting; Genesys answered after 12 s; no agent joined."
            verdict = _verdict(Code.WAITING, text, answered_after=12.0)
            at, answered_at, ended_at = data["answered_at"], data["answered_at"], None
        case Event.ENDED:
            text = "An agent joined after 16 s; they talked for 4 min 20 s."
            verdict = _verdict(Code.ANSWERED, text, waited=16.0, talked=260.0, answered_after=12.0)
            at, answered_at, ended_at = data["ended_at"], data["answered_at"], data["ended_at"]
        case _:
            assert_never(event)
    told = {**data, "verdict": verdict, "answered_at": answered_at, "ended_at": ended_at}
    return {"type": event.value, "timestamp": at, "data": told}


def _verdict(
    code: Code,
    text: str,
    *,
    waited: float | None = None,
    talked: float | None = None,
    answered_after: float | None = None,
    attempts: int = 1,
) -> Verdict:
    return {
        "code": code,
        "text": text,
        "waited": waited,
        "talked": talked,
        "answered_after": answered_after,
        "attempts": attempts,
    }

"""The shapes in ``/openapi.json`` (JSON Schema 2020-12), with an example of each answer.

Limits and patterns come from the modules that enforce them.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from policy_server.conferences.fold import LegState, Phase
from policy_server.pexip.events import BULK, LegEnd
from policy_server.web.agent_answers import JOIN_CALL_TYPE, JOIN_ROLE, TIMELINE_LIMIT
from policy_server.web.link_requests import ATTRIBUTE_LIMIT, ATTRIBUTE_NAME, FIELDS, MOST_ATTRIBUTES, NAME_LIMIT
from policy_server.web.problem import TYPE_ROOT

Json = dict[str, Any]

CALL: Final = "abcdefghijklmnopqrstuvwxyz234567"
SESSION: Final = "customersnameofthecall2345672345"
AGENT: Final = "agentsnameofthecall2345672345672"
"""The three names of the call of all examples."""

_DURATION: Final = r"^\s*(\d{1,4}[dD])?\s*(\d{1,5}[hH])?\s*(\d{1,6}[mM])?\s*(\d{1,8}[sS])?\s*$"
_CALL_TEXT: Final = (
    "The call id, which ties everything about one customer's call together: 32 characters that this server signed. It "
    "opens no door. Genesys Cloud shows it as the caller's name (`aniName`) or address (`ani`)."
)
_SESSION_TEXT: Final = (
    "The customer's name of the call: whoever has it is let in as the customer, so show it to nobody else."
)

LINK: Final[Mapping[str, object]] = {
    "call": CALL,
    "type": "patient",
    "state": "valid",
    "url": f"https://join.example.com/join/{SESSION}",
    "session": SESSION,
    "alias": f"mp{SESSION}",
    "name": "Ada L",
    "attributes": {"language": "es"},
    "created_at": "2026-11-23T16:00:00+00:00",
    "created_by": "booking",
    "expires_at": "2026-11-23T18:00:00+00:00",
    "revoked_at": None,
}

CONFERENCE: Final[Mapping[str, object]] = {
    "call": CALL,
    "name": CALL,
    "service_tag": "telehealth",
    "state": "active",
    "node": "pexip.example.com",
    "join": {"alias": f"hcp{AGENT}", "pin": "471920", "role": JOIN_ROLE, "call_type": JOIN_CALL_TYPE},
    "customer": {
        "name": "Ada L",
        "alias": "mp…",
        "is_present": True,
        "joined_at": "2026-11-23T16:05:02.000+00:00",
        "left_at": None,
    },
    "trunk_leg": {
        "number": "+13129998045",
        "state": "connected",
        "connected_at": "2026-11-23T16:05:14.000+00:00",
        "ended_at": None,
        "disconnect_reason": None,
        "leg_end": None,
        "attempts": 1,
    },
    "participants": [
        {
            "uuids": ["a0ed2c58-f45b-4d96-a1cb-89812ec938ea"],
            "display_name": "Ada L",
            "role": "guest",
            "protocol": "webrtc",
            "alias": "Ada L",
            "dialled_alias": "mp…",
            "is_present": True,
            "has_media": True,
            "is_muted": False,
            "is_presenting": False,
            "joined_at": "2026-11-23T16:05:02.000+00:00",
            "left_at": None,
            "disconnect_reason": None,
        }
    ],
    "attributes": {"language": "es"},
    "timeline": [
        {
            "at": "2026-11-23T16:05:02.000+00:00",
            "kind": "joined",
            "text": "Ada L joined as Guest.",
            "data": {"uuid": "a0ed2c58-f45b-4d96-a1cb-89812ec938ea"},
        }
    ],
    "timeline_left_out": 0,
    "created_at": "2026-11-23T16:00:00.000+00:00",
    "opened_at": "2026-11-23T16:04:55.000+00:00",
    "started_at": "2026-11-23T16:05:02.000+00:00",
    "ended_at": None,
    "expires_at": "2026-11-23T18:00:00.000+00:00",
    "revoked_at": None,
}

MESSAGE: Final[Mapping[str, object]] = {
    "node": "10.44.99.2",
    "seq": 688,
    "version": 2,
    "time": 1559897774.520606,
    "event": "participant_disconnected",
    "data": {
        "uuid": "a0ed2c58-f45b-4d96-a1cb-89812ec938ea",
        "conference": CALL,
        "display_name": "Ada L",
        "disconnect_reason": "Call disconnected",
    },
}


def schemas(types: list[str]) -> Json:
    """Every shape by its name. ``types`` are the types of link that there are."""
    return {
        "LinkRequest": _link_request(types),
        "Link": _object("A customer's link.", **_link_properties()),
        "LinkWithConference": _object(
            "A customer's link, and the conference that it led to.",
            **_link_properties(),
            conference={
                "oneOf": [ref("LinkConference"), {"type": "null"}],
                "description": "`null` before anybody came.",
            },
        ),
        "LinkConference": _object(
            "The latest life of the room that a link leads to.",
            state=_one_of(Phase, "Where it is in its life."),
            name=_text("The room's name."),
            service_tag=_text("The room's service tag; may be empty."),
            held_at=_time("When somebody first came."),
            expires_at=_time("When it is over at the latest."),
            ended_at=_time("When it ended.", or_null=True),
        ),
        "Conference": _conference(),
        "ConferenceEvent": _object(
            "One event of a stream: the conference as it is now.",
            event={"const": "conference"},
            id=_text("The number of the last change; send it as `Last-Event-ID` to go on from there."),
            data=_json_text("Conference"),
        ),
        "EndEvent": _object(
            "The last event of a stream that the server ends, and why.",
            event={"const": "end"},
            data=_json_text("Problem"),
        ),
        "Participant": _participant(),
        "TrunkLeg": _trunk_leg(),
        "TimelineLine": _object(
            "One thing that happened.",
            at=_time("When."),
            kind=_text(
                "What, in a stable word such as `link.created`, `policy.answered`, `agent.looked_up`, `joined`."
            ),
            text=_text("What, in a sentence; may be empty."),
            data={"type": "object", "description": "The details, which differ by kind. PINs are masked."},
        ),
        "EventMessage": _event_message(),
        "BulkMessage": {
            "type": "object",
            "description": "Messages of some seconds together. What the wrapper says of itself means nothing.",
            "required": ["event", "data"],
            "properties": {
                "event": {"const": BULK},
                "data": {"type": "array", "items": ref("EventMessage")},
            },
        },
        "EventsTaken": {
            "type": "object",
            "description": "What became of a request.",
            "required": ["received", "new"],
            "properties": {
                "received": _count("Messages in the request that can be read."),
                "new": _count("Messages among them that had not come before."),
                "unreadable": _count("Messages that cannot be read, if there are any; the log says why."),
            },
        },
        "Problem": {
            "type": "object",
            "description": "Why something was refused (RFC 9457).",
            "required": ["type", "title", "status"],
            "properties": {
                "type": {"type": "string", "pattern": f"^{TYPE_ROOT}[a-z-]+$", "description": "Stable; compare this."},
                "title": _text("What went wrong, in a few words."),
                "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The status again."},
                "detail": _text("What exactly, and what to do about it."),
            },
            "examples": [
                {
                    "type": f"{TYPE_ROOT}invalid-link",
                    "title": "The link cannot be made",
                    "status": 422,
                    "detail": "ttl must be a duration from 1m to 366d, such as 30m, 4h or 7d, but is '2 hours'",
                }
            ],
        },
    }


def _link_request(types: list[str]) -> Json:
    fields: Json = {
        "type": {
            "type": "string",
            "description": "One of the types of link in the rules of this server.",
            **({"enum": types} if types else {}),
        },
        "name": {"type": "string", "maxLength": NAME_LIMIT, "default": "", "description": "The customer's name."},
        "attributes": {
            "type": "object",
            "description": "What rules may decide by and agents shall see, such as language or queue.",
            "maxProperties": MOST_ATTRIBUTES,
            "propertyNames": {"pattern": f"^(?:{ATTRIBUTE_NAME.pattern})$"},
            "additionalProperties": {"type": "string", "maxLength": ATTRIBUTE_LIMIT},
        },
        "ttl": {
            "type": "string",
            "pattern": _DURATION,
            "format": "link-ttl",
            "description": "How long the link is good, from `1m` to `366d`: `90m`, `4h`, `1d 12h`. By default as long as "
            "the type of link says.",
        },
    }
    return {
        "type": "object",
        "description": "A link as it is asked for.",
        "required": ["type"],
        "additionalProperties": False,
        "properties": {name: fields[name] for name in FIELDS},
    }


def _link_properties() -> Json:
    return {
        "call": _text(_CALL_TEXT),
        "type": _text("The type of link."),
        "state": {
            "type": "string",
            "enum": ["valid", "early", "expired", "invalid", "revoked"],
            "description": "Whether it lets the customer in; `invalid` once the key that signed it is gone.",
        },
        "url": _text("What the customer opens in a browser; `null` for types that have no page.", "uri", or_null=True),
        "session": _text(f"{_SESSION_TEXT} `null` once the key that signed it is gone.", or_null=True),
        "alias": _text(
            "What the customer dials; `null` once the key is gone, or the type. The agents' alias is given by the lookup "
            "alone.",
            or_null=True,
        ),
        "name": _text("The customer's name; may be empty."),
        "attributes": _attributes(),
        "created_at": _time("When it was made."),
        "created_by": _text("The name of the API key that asked for it."),
        "expires_at": _time("When it expires."),
        "revoked_at": _time("When it was revoked.", or_null=True),
    }


def _conference() -> Json:
    return _object(
        "A conference, as an agent sees it.",
        call=_text(f"{_CALL_TEXT} `null` for a room that no link led to.", or_null=True),
        name=_text("The room's name, which is Pexip's identity of a conference."),
        service_tag=_text("The room's service tag; may be empty."),
        state=_one_of(
            Phase, "`waiting` until somebody with media is in it, then `active`; `ended` when all have left."
        ),
        node=_text("The Conferencing Node to join; `null` when the server does not know.", or_null=True),
        join=_object(
            "How to join.",
            alias=_text("The alias to dial.", or_null=True),
            pin=_text("The host PIN; `null` for rooms without. Show it to nobody.", or_null=True),
            role=_text("What the PIN makes of the agent, in Pexip's word."),
            call_type=_text("Pexip's call type: the agent speaks through the phone."),
        ),
        customer=_object(
            "Who the conference is for.",
            name=_text("By the link, or else by what was typed on joining.", or_null=True),
            alias=_text("The alias that the customer dials.", or_null=True),
            is_present=_flag("Is there now."),
            joined_at=_time("When it came.", or_null=True),
            left_at=_time("When it left; `null` while it is there.", or_null=True),
        ),
        trunk_leg={
            "oneOf": [ref("TrunkLeg"), {"type": "null"}],
            "description": "The call to the contact centre; `null` until it is placed.",
        },
        participants={
            "type": "array",
            "items": ref("Participant"),
            "description": "Who is or was there, without the contact centre's leg.",
        },
        attributes=_attributes(),
        timeline={
            "type": "array",
            "maxItems": TIMELINE_LIMIT,
            "items": ref("TimelineLine"),
            "description": f"What happened, in order; the latest {TIMELINE_LIMIT} lines.",
        },
        timeline_left_out=_count("Earlier lines that are not in the timeline."),
        created_at=_time("When the link was made.", or_null=True),
        opened_at=_time("When the customer first opened the link.", or_null=True),
        started_at=_time("When the conference started on a node.", or_null=True),
        ended_at=_time("When it ended.", or_null=True),
        expires_at=_time("When the link expires.", or_null=True),
        revoked_at=_time("When the link was revoked.", or_null=True),
    )


def _participant() -> Json:
    return _object(
        "A person, in a browser or on a device. Texts may be empty.",
        uuids={
            "type": "array",
            "items": {"type": "string"},
            "description": "Pexip's ids of the participants that the person is: a browser is two.",
        },
        display_name=_text("The name in the roster."),
        role=_text("`chair`, `guest` or `unknown`."),
        protocol=_text("In lower case, such as `webrtc` or `sip`."),
        alias=_text("The far end's alias."),
        dialled_alias=_text("The alias that was dialled, of a link as `mp…`."),
        is_present=_flag("Is there now; may still be in the lobby."),
        has_media=_flag("Sends or receives media."),
        is_muted=_flag("Was muted in the conference."),
        is_presenting=_flag("Shows a presentation."),
        joined_at=_time("When it came.", or_null=True),
        left_at=_time("When it left; `null` while it is there.", or_null=True),
        disconnect_reason=_text("Why it left, in Pexip's words.", or_null=True),
    )


def _trunk_leg() -> Json:
    ends = [*(end.value for end in LegEnd), None]
    return _object(
        "The call from the conference to the contact centre: the one that is up, or else the latest.",
        number=_text("The number dialled, in E.164.", or_null=True),
        state=_one_of(LegState, "Where the call is in its life."),
        connected_at=_time("When it was answered.", or_null=True),
        ended_at=_time("When it ended.", or_null=True),
        disconnect_reason=_text("Why the last one that ended did, in Pexip's words.", or_null=True),
        leg_end={"enum": ends, "description": "The same in one word; only after `temporary` it is worth another try."},
        attempts=_count("How many calls were placed."),
    )


def _event_message() -> Json:
    return {
        "type": "object",
        "description": "One message of one node. What is missing or of another type is taken all the same, and events and "
        "fields that nobody knows yet are kept.",
        "required": ["event"],
        "properties": {
            "node": {"description": "The node's address, a text."},
            "seq": {"description": "Counts the messages of a node to a sink, from 1 after each restart."},
            "version": {"description": "Of the format: 1 or 2."},
            "time": {"description": "The node's clock, in seconds since 1970."},
            "event": {"type": "string", "minLength": 1, "not": {"const": BULK}, "description": "What happened."},
            "data": {"description": "What Pexip says about it, an object."},
        },
    }


def _attributes() -> Json:
    return {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "What the link was made with.",
    }


def _object(description: str, **properties: Json) -> Json:
    """An object that has all of these properties."""
    return {"type": "object", "description": description, "required": list(properties), "properties": properties}


def _text(description: str, kind: str | None = None, *, or_null: bool = False) -> Json:
    return {
        "type": ["string", "null"] if or_null else "string",
        **({"format": kind} if kind else {}),
        "description": description,
    }


def _json_text(schema: str) -> Json:
    return {"type": "string", "contentMediaType": "application/json", "contentSchema": ref(schema)}


def _time(description: str, *, or_null: bool = False) -> Json:
    return _text(description, "date-time", or_null=or_null)


def _flag(description: str) -> Json:
    return {"type": "boolean", "description": description}


def _count(description: str) -> Json:
    return {"type": "integer", "minimum": 0, "description": description}


def _one_of(words: Iterable[str], description: str) -> Json:
    return {"type": "string", "enum": [str(word) for word in words], "description": description}


def ref(name: str) -> Json:
    """A reference to one of the shapes."""
    return {"$ref": f"#/components/schemas/{name}"}

"""``/openapi.json``: links, lookup and events for the developers who call them, and what they are told (OpenAPI 3.1)."""

from collections.abc import Collection, Iterable
from importlib.metadata import version
from typing import Final

from policy_server.conferences.store import IDEMPOTENCY_KEY_LENGTH
from policy_server.conferences.view import EXAMPLE_AGENT, EXAMPLE_CALL
from policy_server.web.agents import PATH as AGENTS_PATH
from policy_server.web.conferences import PATH as CONFERENCES_PATH
from policy_server.web.events import BODY_LIMIT as EVENTS_LIMIT
from policy_server.web.events import PATH as EVENTS_PATH
from policy_server.web.links import BODY_LIMIT
from policy_server.web.links import PATH as LINKS_PATH
from policy_server.web.openapi_calls import find_calls, id_parameter, show_call
from policy_server.web.openapi_parts import as_json, header, problem, unauthorized
from policy_server.web.openapi_webhooks import webhooks
from policy_server.web.problem import TYPE_ROOT
from policy_server.web.schemas import Json, example_of, ref, schemas
from policy_server.web.streams import KEEP_ALIVE_SECONDS, RECONNECT_MILLISECONDS, STREAMS_LIMIT, STREAMS_PATH

PATH: Final = "/openapi.json"

_CONVERSATION: Final = "c3b1f6de-8f0b-4c5e-9a77-2f4f0c1d5e90"

_DESCRIPTION: Final = f"""\
What surrounds a customer's video call: customer links for your own systems, conferences for the agents' widget, and the
event sink for Pexip Infinity.

Every error is `application/problem+json` (RFC 9457). Its `type` is stable and meant to be compared; the texts beside it
are for people and may change. New fields may appear in answers: ignore those that you do not know. Times are ISO 8601
with an offset.

Pages of the origins that the operator configured may use what lies under `/agent/` from a browser (CORS).
`Authorization` and `Last-Event-ID` may be sent, `Retry-After` and `WWW-Authenticate` read. A method that a path does
not have is answered 405 with `Allow` and the problem `{TYPE_ROOT}method-not-allowed`.
"""


def document(link_types: Iterable[str], joining: Collection[str] = ()) -> Json:
    """The whole document, for the types of link that there are now; ``joining`` are those that join another."""
    shapes = schemas(list(link_types), joining)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Policy server",
            "summary": "Customer links, conferences and events of a contact centre's video calls",
            "description": _DESCRIPTION,
            "version": version("policy-server"),
        },
        "servers": [{"url": "/", "description": "The server that answered this"}],
        "tags": [
            {
                "name": "links",
                "description": "For your own systems: make a customer's link, look at it, move it, revoke it.",
            },
            {"name": "conferences", "description": "For your own systems: what became of calls."},
            {"name": "agents", "description": "For the agents' widget: the conference of the call that is on screen."},
            {
                "name": "webhooks",
                "description": "What this server sends to your own systems when something happens to a call.",
            },
            {"name": "events", "description": "For Pexip Infinity: the URL of an event sink, with or without bulk."},
        ],
        "paths": {
            LINKS_PATH: {"post": _make_link(shapes)},
            f"{LINKS_PATH}/{{call}}": {
                "parameters": [_call_parameter()],
                "get": _show_link(shapes),
                "patch": _move_link(shapes),
                "delete": _revoke_link(),
            },
            CONFERENCES_PATH: {"get": find_calls(shapes)},
            f"{CONFERENCES_PATH}/{{id}}": {"parameters": [id_parameter()], "get": show_call(shapes)},
            AGENTS_PATH: {"parameters": [_alias_parameter(), _conversation_parameter()], "get": _look_up(shapes)},
            STREAMS_PATH: {"parameters": [_alias_parameter(), _conversation_parameter()], "get": _follow()},
            EVENTS_PATH: {"post": _take_events(shapes)},
        },
        "webhooks": webhooks(shapes),
        "components": {"schemas": shapes, "securitySchemes": _security_schemes()},
    }


# ------------------------------------------------------------------ operations


def _make_link(shapes: Json) -> Json:
    found = {"parameters": {"call": "$response.body#/call"}}
    return {
        "operationId": "makeLink",
        "tags": ["links"],
        "summary": "Make a customer's link",
        "description": f"Send `url` to the customer. The body may have {BODY_LIMIT} bytes.",
        "security": [{"apiKey": []}],
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Makes it safe to send a request again: the same key with the same request of the same "
                "caller is answered with the link that was made first.",
                "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_LENGTH},
                "example": "appointment-4711",
            }
        ],
        "requestBody": {"required": True, "content": as_json("LinkRequest", shapes)},
        "responses": {
            "201": {
                "description": "The link, made now or by an earlier request with the same `Idempotency-Key`.",
                "headers": {
                    "Location": header("Where the link can be looked at and revoked", format="uri", required=True),
                    "Idempotency-Replayed": header("There when an earlier request made the link", const="true"),
                },
                "content": as_json("Link", shapes),
                "links": {
                    "show": {"operationId": "showLink", **found},
                    "revoke": {"operationId": "revokeLink", **found},
                },
            },
            **problem(400, "invalid-idempotency-key", "invalid-json", "incomplete"),
            **unauthorized("Bearer"),
            **problem(413, "too-large"),
            **problem(415, "unsupported-media-type"),
            **problem(409, "call-over"),
            **problem(422, "invalid-link", "unknown-link-type", "idempotency-conflict"),
            **problem(500, "internal"),
            **problem(503, "store-unavailable", "busy", comes_back=True),
        },
    }


def _show_link(shapes: Json) -> Json:
    return {
        "operationId": "showLink",
        "tags": ["links"],
        "summary": "Look at a link and its conference",
        "security": [{"apiKey": []}],
        "responses": {
            "200": {
                "description": "The link, also when it has expired or was revoked.",
                "content": as_json("LinkWithConference", shapes),
            },
            **_link_refusals(),
        },
    }


def _move_link(shapes: Json) -> Json:
    return {
        "operationId": "moveLink",
        "tags": ["links"],
        "summary": "Move an appointment to another time",
        "description": "Makes a link for that time, with the same type, name and attributes, and a `call` of its own: send its "
        "`url` to the customer. The link before is `moved`: nobody gets in by it any more, and its page leads on to the new one. "
        "Whoever is in its room stays there, and may come back while it runs.",
        "security": [{"apiKey": []}],
        "requestBody": {"required": True, "content": as_json("LinkMove", shapes)},
        "responses": {
            "201": {
                "description": "The link for that time, made now or by an earlier request with the same time.",
                "headers": {
                    "Location": header("Where the link can be looked at and revoked", format="uri", required=True),
                    "Idempotency-Replayed": header("There when an earlier request made the link", const="true"),
                },
                "content": as_json("Link", shapes),
            },
            **problem(400, "invalid-json", "incomplete"),
            **unauthorized("Bearer"),
            **problem(404, "unknown-link", "not-found"),
            **problem(409, "not-movable"),
            **problem(413, "too-large"),
            **problem(415, "unsupported-media-type"),
            **problem(422, "invalid-link", "unknown-link-type"),
            **problem(500, "internal"),
            **problem(503, "store-unavailable", "busy", comes_back=True),
        },
    }


def _revoke_link() -> Json:
    return {
        "operationId": "revokeLink",
        "tags": ["links"],
        "summary": "Revoke a link",
        "description": "From the next request on nobody gets in by it, on any replica. Revoking it again changes nothing.",
        "security": [{"apiKey": []}],
        "responses": {
            "204": {"description": "It is revoked."},
            **_link_refusals(),
        },
    }


def _link_refusals() -> Json:
    return {
        **unauthorized("Bearer"),
        **problem(404, "unknown-link", "not-found"),
        **problem(500, "internal"),
        **problem(503, "store-unavailable", "busy", comes_back=True),
    }


def _look_up(shapes: Json) -> Json:
    return {
        "operationId": "lookUpConference",
        "tags": ["agents"],
        "summary": "Look a conference up",
        "description": "Everything that the widget needs to join the customer's conference, with the host PIN for this "
        "agent. The lookup appears on the timeline.",
        "security": [{"agentToken": []}],
        "responses": {
            "200": {"description": "The conference.", "content": as_json("Conference", shapes)},
            **_agent_refusals(),
            **problem(503, "store-unavailable", "genesys-unavailable", "busy", "not-configured", comes_back=True),
        },
    }


def _follow() -> Json:
    return {
        "operationId": "followConference",
        "tags": ["agents"],
        "summary": "Follow a conference (Server-Sent Events)",
        "description": f"""\
The conference now, and again after each change, until the client goes away:

- `event: conference`: `data` is a `Conference`, as the lookup answers it, on one line; `id` is its number.
- `event: end`: the server ends the stream; `data` is the `Problem` that it would answer to a new request, such as
  `unauthorized` when the access token has expired or `stopping` when the server stops.
- a comment every {KEEP_ALIVE_SECONDS:.0f} seconds, so that nothing on the way takes the stream for dead.

Whether the agent may see the conference is checked again all the time. A browser's own `EventSource` cannot send
`Authorization`: use `fetch` and read the body. An agent may have {STREAMS_LIMIT} streams at a time.
""",
        "security": [{"agentToken": []}],
        "parameters": [
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "The `id` of the last event that came. When nothing has changed since, nothing is sent "
                "until it does. Anything that is no such id is ignored.",
                "schema": {"type": "string"},
                "example": "7",
            }
        ],
        "responses": {
            "200": {
                "description": "The stream.",
                "content": {
                    # OpenAPI 3.1 has no word for the events of a stream; tools take the schema for that of each.
                    "text/event-stream": {
                        "schema": {"oneOf": [ref("ConferenceEvent"), ref("EndEvent")]},
                        "example": f"retry: {RECONNECT_MILLISECONDS[0]}\n\nevent: conference\nid: 7\n"
                        'data: {"call": "…", "state": "active", …}\n\n: keep-alive\n\n',
                    }
                },
            },
            **_agent_refusals(),
            **problem(429, "too-many-streams", "too-many-refusals", "too-many-tokens", comes_back=True),
            **problem(
                503, "store-unavailable", "genesys-unavailable", "busy", "not-configured", "stopping", comes_back=True
            ),
        },
    }


def _take_events(shapes: Json) -> Json:
    wrapper = {"node": "127.0.0.1", "seq": 0, "version": 2, "time": 1559897775.0}
    examples = {
        "single": {"value": example_of("EventMessage", shapes)},
        "bulk": {"value": {**wrapper, **example_of("BulkMessage", shapes)}},
    }
    anything = {"description": "Whatever else is sent is read as far as it goes, or counted as unreadable."}
    return {
        "operationId": "takeEvents",
        "tags": ["events"],
        "summary": "Take messages of an event sink",
        "description": f"Single and bulk messages, versions 1 and 2. Messages that came before are taken and not stored "
        f"again, and what cannot be read is counted. Of a body {EVENTS_LIMIT} bytes are read; its Content-Type is not "
        "looked at.",
        "security": [{"eventSink": []}],
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {
                    "schema": {"anyOf": [ref("EventMessage"), ref("BulkMessage"), anything]},
                    "examples": examples,
                }
            },
        },
        "responses": {
            "200": {
                "description": "Every message that can be read is stored durably.",
                "content": as_json("EventsTaken", shapes),
            },
            **unauthorized("Basic"),
            **problem(413, "too-large"),
            **problem(500, "internal"),
            **problem(503, "store-unavailable", "not-configured", comes_back=True),
        },
    }


def _agent_refusals() -> Json:
    return {
        **problem(400, "conversation-required", "invalid-conversation"),
        **unauthorized("Bearer"),
        **problem(403, "forbidden", "not-bound"),
        **problem(404, "unknown-conference", "not-found"),
        **problem(429, "too-many-refusals", "too-many-tokens", comes_back=True),
        **problem(500, "internal"),
    }


# ------------------------------------------------------------------ parameters and refusals


def _call_parameter() -> Json:
    return {
        "name": "call",
        "in": "path",
        "required": True,
        "description": "The `call` of the link.",
        "schema": {"type": "string"},
        "example": EXAMPLE_CALL,
    }


def _alias_parameter() -> Json:
    return {
        "name": "alias",
        "in": "path",
        "required": True,
        "description": "The call id, which is what Genesys Cloud has in `ani` or shows as `aniName`, or the agents' "
        "alias; in any case, in quotation marks or not, with or without `sip:` and domain. With `conversation`, also whatever "
        "Genesys Cloud shows of its customer. Of a room that no link led to, its name or the alias that was dialled.",
        "schema": {"type": "string"},
        "examples": {
            "call": {"value": EXAMPLE_CALL},
            "agent": {"value": f"sip:hcp{EXAMPLE_AGENT}@video.example.com"},
        },
    }


def _conversation_parameter() -> Json:
    return {
        "name": "conversation",
        "in": "query",
        "description": "The id of the Genesys Cloud conversation that the agent is on. Given, it is checked that the "
        "agent is on it and that its customer is in this conference. Some servers demand it.",
        "schema": {"type": "string", "format": "uuid"},
        "example": _CONVERSATION,
    }


def _security_schemes() -> Json:
    return {
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key of one of your own systems, which the operator gave you.",
        },
        "agentToken": {
            "type": "http",
            "scheme": "bearer",
            "description": "The agent's own Genesys Cloud access token. It needs the scope `users:readonly`, and "
            "`conversations:readonly` for `conversation`.",
        },
        "eventSink": {
            "type": "http",
            "scheme": "basic",
            "description": "User name and password of the event sink in Pexip Infinity.",
        },
    }

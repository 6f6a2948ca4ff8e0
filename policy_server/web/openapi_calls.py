"""What ``/openapi.json`` says of finding calls."""

from collections.abc import Mapping

from policy_server.conferences.fold import Phase
from policy_server.conferences.search import MOST, PARAMETERS, USUAL
from policy_server.conferences.tables import NAME_LENGTH
from policy_server.conferences.verdict import Code
from policy_server.conferences.view import EXAMPLE_CALL
from policy_server.web.openapi_parts import as_json, problem, unauthorized
from policy_server.web.schemas import Json


def find_calls(shapes: Json) -> Json:
    """The operation that finds calls."""
    texts = {
        "since": "The first moment: when somebody first came, or a link was made that nobody has used.",
        "until": "The first moment after.",
        "name": "A part of the customer's name; neither case nor accents matter.",
        "attribute": "An attribute of the link and its value, as `language=es`; may be given several times.",
        "rule": "The id of the rule that made the room.",
        "state": "Where the call is in its life.",
        "verdict": "What became of it.",
        "limit": f"How many calls a page has at the most, {USUAL} if it is not given.",
        "cursor": "The `next` of the page before.",
    }
    text: Json = {"type": "string", "maxLength": NAME_LENGTH}
    kinds: Mapping[str, Json] = {
        "since": {"type": "string", "format": "date-time"},
        "until": {"type": "string", "format": "date-time"},
        "attribute": {"type": "array", "items": {**text, "pattern": "="}},
        "state": {"type": "string", "enum": list(Phase)},
        "verdict": {"type": "string", "enum": list(Code)},
        "cursor": {**text, "format": "conference-cursor"},
        "limit": {"type": "integer", "minimum": 1, "maximum": MOST},
    }
    return {
        "operationId": "findConferences",
        "tags": ["conferences"],
        "summary": "Find calls",
        "description": "Calls that led to a room, links that nobody has used yet, and meetings in rooms without a link, the "
        "latest first. A key for its own links sees the calls of those alone.",
        "security": [{"apiKey": []}],
        "parameters": [
            {"name": name, "in": "query", "description": texts[name], "schema": kinds.get(name, text)}
            for name in PARAMETERS
        ],
        "responses": {
            "200": {"description": "A page of calls.", "content": as_json("CallPage", shapes)},
            **unauthorized("Bearer"),
            **problem(422, "invalid-search"),
            **problem(500, "internal"),
            **problem(503, "store-unavailable", "busy", comes_back=True),
        },
    }


def show_call(shapes: Json) -> Json:
    """The operation that shows one."""
    return {
        "operationId": "showConference",
        "tags": ["conferences"],
        "summary": "Look at a call",
        "security": [{"apiKey": []}],
        "responses": {
            "200": {
                "description": "All that is known of it, without what would join it.",
                "content": as_json("CallDetails", shapes),
            },
            **unauthorized("Bearer"),
            **problem(404, "unknown-conference", "not-found"),
            **problem(500, "internal"),
            **problem(503, "store-unavailable", "busy", comes_back=True),
        },
    }


def id_parameter() -> Json:
    """The id of a call in a path."""
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The `id` of a call in a list, or its call id.",
        "schema": {"type": "string"},
        "example": EXAMPLE_CALL,
    }

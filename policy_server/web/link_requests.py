"""What the organisation's systems send to make a link: read whole, or refused with everything that is wrong."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect, Request

from policy_server.pexip.query import clean
from policy_server.policy.links import TTL
from policy_server.policy.ruleset import LinkType
from policy_server.policy.services import FIELD_LIMIT
from policy_server.web.problem import ProblemResponse
from policy_server.wording.values import shown
from policy_server.wording.words import one_of, unknown_key

BODY_LIMIT: Final = 64 * 1024
FIELDS: Final = ("type", "name", "attributes", "ttl")
NAME_LIMIT: Final = FIELD_LIMIT
"""Characters of a customer's name: as many as Pexip takes."""
MOST_ATTRIBUTES: Final = 50
ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
ATTRIBUTE_LIMIT: Final = 500
"""Characters of an attribute's value."""

MOST_PROBLEMS: Final = 10
"""Problems of one request that are told."""

MOST_NESTED: Final = 32
"""Lists and objects inside each other of which a body that cannot be read is told; a link has two."""

_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[{\]}]', re.DOTALL)
_JSON_TYPE: Final = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """A link as somebody asks for it; ``ttl`` in seconds, ``None`` for that of the type.

    ``digest`` is the same for the same request, however its JSON is written.
    """

    type: str
    name: str = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False)
    ttl: int | None
    digest: str


async def read_body(request: Request) -> bytes | ProblemResponse:
    """A body of JSON of up to ``BODY_LIMIT`` bytes."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type and not _JSON_TYPE.fullmatch(media_type):
        detail = f"the body must be JSON; send Content-Type: application/json instead of {shown(media_type)}"
        return ProblemResponse(415, "unsupported-media-type", "The body is not JSON", detail)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_LIMIT:
                detail = f"the body may have {BODY_LIMIT} bytes"
                return ProblemResponse(413, "too-large", "The body is too large", detail)
    except ClientDisconnect:
        return ProblemResponse(400, "incomplete", "The body broke off")
    return bytes(body)


def parse_link_request(body: bytes, links: Mapping[str, LinkType]) -> LinkRequest | ProblemResponse:
    """Reads the body of a request for a link of one of some types."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        fault = f"it is nested deeper than {MOST_NESTED} levels" if _nests_too_deep(body) else str(error)
        detail = (
            f"the body is not JSON that can be read: {fault}"
            if body
            else "the body is empty; send a JSON object with a type"
        )
        return ProblemResponse(400, "invalid-json", "The body is not JSON", detail)
    if not isinstance(fields, dict):
        detail = f'the body must be an object such as {{"type": "patient"}} but is {_kind(fields)}'
        return ProblemResponse(422, "invalid-link", "The link cannot be made", detail)
    problems = list(islice(_problems(fields, links), MOST_PROBLEMS))
    if problems:
        return ProblemResponse(422, "invalid-link", "The link cannot be made", "; ".join(problems))
    if fields["type"] not in links:
        detail = one_of("type", links, fields["type"])
        return ProblemResponse(422, "unknown-link-type", "There is no such type of link", detail)
    return LinkRequest(
        type=fields["type"],
        name=clean(fields.get("name", "")),
        attributes={name: clean(value) for name, value in fields.get("attributes", {}).items()},
        ttl=TTL.seconds(fields["ttl"]) if "ttl" in fields else None,
        digest=sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest(),
    )


def _nests_too_deep(body: bytes) -> bool:
    depth = 0
    for found in _BRACKET.finditer(body):
        depth += 1 if found[0] in b"[{" else -1 if found[0] in b"]}" else 0
        if depth > MOST_NESTED:
            return True
    return False


def _problems(fields: Mapping[str, Any], links: Mapping[str, LinkType]) -> Iterator[str]:
    for key in fields:
        if key not in FIELDS:
            yield unknown_key(key, FIELDS, "a link")
    if "type" not in fields:
        yield (
            f"type is missing; write one of {', '.join(map(shown, islice(links, 12)))}" if links else "type is missing"
        )
    elif not isinstance(fields["type"], str):
        yield f"type {_not_text(fields['type'])}"
    name = fields.get("name", "")
    if not isinstance(name, str):
        yield f"name {_not_text(name)}"
    elif len(name) > NAME_LIMIT:
        yield f"name has {len(name)} characters; the limit is {NAME_LIMIT}"
    attributes = fields.get("attributes", {})
    if isinstance(attributes, dict):
        yield from _attribute_problems(attributes)
    else:
        hint = "; leave attributes out" if attributes is None else ""
        yield f'attributes must be an object of texts such as {{"language": "es"}} but is {_kind(attributes)}{hint}'
    if "ttl" in fields:
        yield from _ttl_problems(fields["ttl"])


def _attribute_problems(attributes: Mapping[str, Any]) -> Iterator[str]:
    if len(attributes) > MOST_ATTRIBUTES:
        yield f"there are {len(attributes)} attributes; the limit is {MOST_ATTRIBUTES}"
        return
    for name, value in attributes.items():
        if not ATTRIBUTE_NAME.fullmatch(name):
            yield f"the name of an attribute must be 1 to 64 letters, digits, '_' and '-' but is {shown(name)}"
        elif not isinstance(value, str):
            yield f"attribute {shown(name)} {_not_text(value)}"
        elif len(value) > ATTRIBUTE_LIMIT:
            yield f"attribute {shown(name)} has {len(value)} characters; the limit is {ATTRIBUTE_LIMIT}"


def _ttl_problems(ttl: object) -> Iterator[str]:
    if not isinstance(ttl, str) or TTL.seconds(ttl) is None:
        is_number = isinstance(ttl, int) and not isinstance(ttl, bool) and TTL.shortest <= ttl <= TTL.longest
        hint = f'; for seconds write "{ttl}s"' if is_number else ""
        told = shown(ttl) if isinstance(ttl, str | int) and not isinstance(ttl, bool) else _kind(ttl)
        yield TTL.fault("ttl", told) + hint


def _not_text(value: object) -> str:
    hint = "; leave it out" if value is None else "; put it in quotes" if isinstance(value, bool | int | float) else ""
    return f"must be text but is {_kind(value)}{hint}"


def _kind(value: object) -> str:
    """What JSON calls a value, which may be a customer's and is not repeated."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else "text" if isinstance(value, str) else "an object"

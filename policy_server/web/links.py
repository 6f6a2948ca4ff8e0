"""For the organisation's own systems: make a customer link, look at one, move it to another time, revoke it."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Final, TypeVar

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import TypedDict

from policy_server.conferences import records
from policy_server.conferences.customer_links import CustomerLinks
from policy_server.conferences.ending import course_of
from policy_server.conferences.errors import CallOverError, IdempotencyConflictError, JoinedCallError
from policy_server.conferences.fold import Phase
from policy_server.conferences.keeper import Keeper, latest_of_call
from policy_server.conferences.link_requests import (
    LinkRequestError,
    LinkWorth,
    NotMovableError,
    UnknownLinkTypeError,
    read_link_move,
    read_link_request,
    worth_of,
)
from policy_server.conferences.reader import Reader
from policy_server.conferences.shapes import Time, means, stamp
from policy_server.conferences.store import IDEMPOTENCY_KEY_LENGTH
from policy_server.conferences.view import CALL_MEANS, EXAMPLE_CALL, EXAMPLE_SESSION
from policy_server.policy.links import link_of
from policy_server.policy.names import Keyring, Role
from policy_server.policy.ruleset import LinkType, Rules, Ruleset
from policy_server.web.admission import Admission
from policy_server.web.api_keys import ApiKeys
from policy_server.web.problem import ProblemResponse, Refused
from policy_server.web.refusals import Refusals
from policy_server.web.systems import NO_STORE, SystemsDoor
from policy_server.wording.values import shown
from policy_server.wording.words import one_of

T = TypeVar("T")

PATH: Final = "/api/v1/links"
JOIN_PATH: Final = "/join/"

BODY_LIMIT: Final = 64 * 1024

MOST_NESTED: Final = 32
"""Lists and objects inside each other of which a body that cannot be read is told; a link has two."""

_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[{\]}]', re.DOTALL)
_JSON_TYPE: Final = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json", re.IGNORECASE)


class Link(TypedDict):
    """A customer's link."""

    call: Annotated[str, means(CALL_MEANS, EXAMPLE_CALL)]
    type: Annotated[str, means("The type of link.", "patient")]
    state: Annotated[
        LinkWorth,
        means("Whether it lets the customer in; `invalid` once the key that signed it is gone.", "valid"),
    ]
    url: Annotated[
        str | None,
        means(
            "What the customer opens in a browser; `null` for types that have no page.",
            f"https://join.example.com/join/{EXAMPLE_SESSION}",
            format="uri",
        ),
    ]
    session: Annotated[
        str | None,
        means(
            "The customer's name of the call: whoever has it is let in as the customer, so show it to nobody else. `null` "
            "once the key that signed it is gone.",
            EXAMPLE_SESSION,
        ),
    ]
    alias: Annotated[
        str | None,
        means(
            "What the customer dials; `null` once the key is gone, or the type. The agents' alias is given by the lookup "
            "alone.",
            f"mp{EXAMPLE_SESSION}",
        ),
    ]
    name: Annotated[str, means("The customer's name; may be empty.", "Ada L")]
    attributes: Annotated[dict[str, str], means("What the link was made with.", {"language": "es"})]
    created_at: Annotated[Time, means("When it was made.", "2026-11-23T16:00:00+00:00")]
    created_by: Annotated[str, means("The name of the API key that asked for it.", "booking")]
    starts_at: Annotated[Time | None, means("The time of an appointment.", None)]
    opens_at: Annotated[Time | None, means("When the door of an appointment opens; `null`: from the start.", None)]
    expires_at: Annotated[Time, means("When it expires.", "2026-11-23T18:00:00+00:00")]
    revoked_at: Annotated[Time | None, means("When it was revoked.", None)]
    moved_at: Annotated[Time | None, means("When it was moved to another time.", None)]
    moved_to: Annotated[str | None, means("The `call` of the link that took its place then.", None)]
    joins: Annotated[
        str | None, means("The call into whose room it leads; `null` for a link that has a room of its own.", None)
    ]


class LinkConference(TypedDict):
    """The latest life of the room that a link leads to."""

    state: Annotated[Phase, means("Where it is in its life.", "active")]
    name: Annotated[str, means("The room's name.", EXAMPLE_CALL)]
    service_tag: Annotated[str, means("The room's service tag; may be empty.", "telehealth")]
    held_at: Annotated[Time, means("When somebody first came.", "2026-11-23T16:05:00+00:00")]
    expires_at: Annotated[Time, means("When it is over at the latest.", "2026-11-24T04:05:00+00:00")]
    ended_at: Annotated[Time | None, means("When it ended.", None)]


class LinkWithConference(Link):
    """A customer's link, and the conference that it led to."""

    conference: Annotated[LinkConference | None, means("`null` before anybody came.")]


class LinkEndpoints:
    """``/api/v1/links`` and ``/api/v1/links/{call}``.

    ``public_url`` is what customers reach this server by; ``""`` for whatever the caller reached it by. ``nonce`` makes
    the random bytes of a call.
    """

    def __init__(
        self,
        rules: Rules,
        keyring: Keyring,
        keeper: Keeper,
        api_keys: ApiKeys,
        public_url: str,
        nonce: Callable[[], bytes],
        refusals: Refusals | None = None,
        audit: Callable[..., None] = lambda *_, **__: None,
        admission: Admission | None = None,
    ) -> None:
        self._rules: Final = rules
        self._keyring: Final = keyring
        self._keeper: Final = keeper
        self._public_url: Final = public_url.rstrip("/")
        self._door: Final = SystemsDoor(api_keys, refusals)
        self._audit: Final = audit
        self._admission: Final = admission or Admission()
        self._links: Final = CustomerLinks(keyring, keeper, nonce, api_keys.own, audit)

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route(PATH, self.links, methods=["POST"]),
            Route(f"{PATH}/{{call}}", self.link, methods=["GET", "PATCH", "DELETE"]),
        ]

    async def links(self, request: Request) -> Response:
        """Makes a link."""
        return await self._answer(request, self._create)

    async def link(self, request: Request) -> Response:
        """Shows, moves or revokes a link."""
        works = {"PATCH": self._move, "DELETE": self._revoke}
        return await self._answer(request, works.get(request.method, self._show))

    async def _create(self, request: Request, caller: str) -> Response:
        ruleset, idempotency_key = self._rules.ruleset, _idempotency_key(request)
        body, now = await _read_body(request), self._keeper.clock()
        wanted = _read(body, lambda fields: read_link_request(fields, ruleset.links, now), "a type")
        async with self._admission:
            link, is_new = await self._links.make(wanted, caller, idempotency_key)
        return self._made(request, link, ruleset, is_new)

    def _made(self, request: Request, link: records.Link, ruleset: Ruleset, is_new: bool) -> Response:
        headers = {"location": f"{self._base(request)}{PATH}/{link.call}", **NO_STORE}
        if not is_new:
            headers["idempotency-replayed"] = "true"
        return JSONResponse(self._shown(request, link, ruleset), status_code=201, headers=headers)

    async def _move(self, request: Request, caller: str) -> Response:
        ruleset, body = self._rules.ruleset, await _read_body(request)
        async with self._admission:
            link = await self._links.find(request.path_params["call"], caller)
            if link is None:
                return _unknown()
            now = self._keeper.clock()

            def read(fields: object) -> tuple[LinkType, datetime]:
                if link.type not in ruleset.links:
                    raise UnknownLinkTypeError(one_of("type", ruleset.links, link.type))
                return ruleset.links[link.type], read_link_move(fields, ruleset.links[link.type], now)

            link_type, starts_at = _read(body, read, "starts_at")
            new, is_new = await self._links.move(link, link_type, starts_at, caller)
        return self._made(request, new, ruleset, is_new)

    async def _show(self, request: Request, caller: str) -> Response:
        async with self._admission:
            link = await self._links.find(request.path_params["call"], caller)
            if link is None:
                return _unknown()
            self._audit("link.read", by=caller, call=link.call)
            shown_link = self._shown(request, link, self._rules.ruleset)
            content: LinkWithConference = {**shown_link, "conference": await self._conference(link)}
        return JSONResponse(content, headers=NO_STORE)

    async def _revoke(self, request: Request, caller: str) -> Response:
        async with self._admission:
            is_there = await self._links.revoke(request.path_params["call"], caller)
        return Response(status_code=204, headers=NO_STORE) if is_there else _unknown()

    async def _answer(self, request: Request, work: Callable[[Request, str], Awaitable[Response]]) -> Response:
        async def answered(request: Request, caller: str) -> Response:
            try:
                return await work(request, caller)
            except JoinedCallError as error:
                return ProblemResponse(422, "invalid-link", "The link cannot be made", str(error))
            except CallOverError as error:
                return ProblemResponse(409, "call-over", "The call cannot be joined any more", str(error))
            except IdempotencyConflictError as error:
                return ProblemResponse(422, "idempotency-conflict", "Another request had this key", str(error))
            except NotMovableError as error:
                return ProblemResponse(409, "not-movable", "The link cannot be moved any more", str(error), NO_STORE)

        return await self._door.answer(request, answered)

    def _shown(self, request: Request, link: records.Link, ruleset: Ruleset) -> Link:
        link_type, call = ruleset.links.get(link.type), self._keyring.open(link.call, Role.CALL, (link.type,))
        made = link_of(link_type, call) if link_type is not None and call is not None else None
        has_door = made is not None and link_type is not None and link_type.url is not None
        return {
            "call": link.call,
            "type": link.type,
            "state": worth_of(link, call, self._keeper.clock()),
            "url": f"{self._base(request)}{JOIN_PATH}{made.call.session}" if made is not None and has_door else None,
            "session": call.session if call is not None else None,
            "alias": made.alias if made is not None else None,
            "name": link.name,
            "attributes": dict(link.attributes),
            "created_at": stamp(link.created_at, "seconds"),
            "created_by": link.created_by,
            "starts_at": stamp(link.starts_at, "seconds"),
            "opens_at": stamp(link.opens_at, "seconds"),
            "expires_at": stamp(link.expires_at, "seconds"),
            "revoked_at": stamp(link.revoked_at, "seconds"),
            "moved_at": stamp(link.moved_at, "seconds"),
            "moved_to": link.moved_to,
            "joins": link.joins or None,
        }

    async def _conference(self, link: records.Link) -> LinkConference | None:
        now = self._keeper.clock()
        return await self._keeper.store.read(self._conference_of, link.joins or link.call, now)

    def _conference_of(self, reader: Reader, call: str, now: datetime) -> LinkConference | None:
        held = latest_of_call(self._keeper, reader, call, now)
        if held is None:
            return None
        course = course_of(reader, held, now)
        return {
            "state": course.phase,
            "name": held.name,
            "service_tag": held.service_tag,
            "held_at": stamp(held.held_at, "seconds"),
            "expires_at": stamp(held.expires_at, "seconds"),
            "ended_at": stamp(_ended_at(held, now), "seconds"),
        }

    def _base(self, request: Request) -> str:
        return self._public_url or str(request.base_url).rstrip("/")


def _ended_at(held: records.HeldConference, now: datetime) -> datetime | None:
    return held.ended_at or (held.expires_at if held.expires_at <= now else None)


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= IDEMPOTENCY_KEY_LENGTH:
        detail = f"it must have 1 to {IDEMPOTENCY_KEY_LENGTH} characters but has {len(key)}"
        raise Refused(ProblemResponse(400, "invalid-idempotency-key", "The Idempotency-Key cannot be used", detail))
    return key


async def _read_body(request: Request) -> bytes:
    """A body of JSON of up to ``BODY_LIMIT`` bytes."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type and not _JSON_TYPE.fullmatch(media_type):
        detail = f"the body must be JSON; send Content-Type: application/json instead of {shown(media_type)}"
        raise Refused(ProblemResponse(415, "unsupported-media-type", "The body is not JSON", detail))
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_LIMIT:
                detail = f"the body may have {BODY_LIMIT} bytes"
                raise Refused(ProblemResponse(413, "too-large", "The body is too large", detail))
    except ClientDisconnect:
        raise Refused(ProblemResponse(400, "incomplete", "The body broke off")) from None
    return bytes(body)


def _read(body: bytes, read: Callable[[object], T], needed: str) -> T:
    """What a body says, which must have JSON with what is needed."""
    try:
        return read(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        fault = f"it is nested deeper than {MOST_NESTED} levels" if _nests_too_deep(body) else str(error)
        detail = (
            f"the body is not JSON that can be read: {fault}"
            if body
            else f"the body is empty; send a JSON object with {needed}"
        )
        raise Refused(ProblemResponse(400, "invalid-json", "The body is not JSON", detail)) from None
    except UnknownLinkTypeError as error:
        problem = ProblemResponse(422, "unknown-link-type", "There is no such type of link", str(error))
        raise Refused(problem) from None
    except LinkRequestError as error:
        raise Refused(ProblemResponse(422, "invalid-link", "The link cannot be made", str(error))) from None


def _nests_too_deep(body: bytes) -> bool:
    depth = 0
    for found in _BRACKET.finditer(body):
        depth += 1 if found[0] in b"[{" else -1 if found[0] in b"]}" else 0
        if depth > MOST_NESTED:
            return True
    return False


def _unknown() -> Response:
    return ProblemResponse(404, "unknown-link", "There is no such link", headers=NO_STORE)

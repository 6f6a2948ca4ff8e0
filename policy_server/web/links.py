"""For the organisation's own systems: make a customer link, look at one, revoke it."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from policy_server.conferences.errors import CallTakenError, IdempotencyConflictError, StoreUnavailableError
from policy_server.conferences.fold import Phase, fold
from policy_server.conferences.lives import told_since
from policy_server.conferences.records import HeldConference, Link
from policy_server.conferences.store import IDEMPOTENCY_KEY_LENGTH, ConferenceStore
from policy_server.policy.links import default_expiry, link_of, make_link
from policy_server.policy.names import Keyring, Role, link_state
from policy_server.policy.ruleset import LinkType, Ruleset
from policy_server.web.agent_answers import conference_phase
from policy_server.web.api_keys import ApiKeys
from policy_server.web.link_requests import LinkRequest, parse_link_request, read_body
from policy_server.web.policy import Rules
from policy_server.web.problem import ProblemResponse
from policy_server.web.refusals import Door, Refusals

PATH: Final = "/api/v1/links"
JOIN_PATH: Final = "/join/"

RETRY_SECONDS: Final = 5
"""What ``Retry-After`` says when the database is away."""

MOST_SIGNATURES: Final = 5
"""Calls that are signed for one link before giving up: two of one minute are the same once in 4 * 10^9."""

CREATED: Final = "link.created"
REVOKED: Final = "link.revoked"
"""What the timeline calls it."""

_CHALLENGE: Final = 'Bearer realm="policy-server"'
_NO_STORE: Final = {"cache-control": "no-store"}


class Conferences(Protocol):
    """Whoever keeps links and timelines."""

    @property
    def store(self) -> ConferenceStore:
        """The store that all replicas share."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """The clock of the service."""

    def link(self, call: str) -> Link | None:
        """The link of a call as far as this process knows it, also while the database is away."""

    def learn(self, link: Link) -> None:
        """Takes note of a link that was stored or revoked just now, for the very next question."""

    def live_of_call(self, call: str, at: datetime) -> HeldConference | None:
        """The conference that runs in the room of a call, as far as this process knows."""

    def note(self, key: str, kind: str, data: Mapping[str, object], at: datetime) -> None:
        """Puts something on a timeline."""


class LinkEndpoints:
    """``/api/v1/links`` and ``/api/v1/links/{call}``.

    ``public_url`` is what customers reach this server by; ``""`` for whatever the caller reached it by. ``nonce`` makes
    the random bytes of a call.
    """

    def __init__(
        self,
        rules: Rules,
        keyring: Keyring,
        conferences: Conferences,
        api_keys: ApiKeys,
        public_url: str,
        nonce: Callable[[], bytes],
        refusals: Refusals | None = None,
        audit: Callable[..., None] = lambda *_, **__: None,
    ) -> None:
        self._audit: Final = audit
        self._rules: Final = rules
        self._keyring: Final = keyring
        self._conferences: Final = conferences
        self._keys: Final = api_keys
        self._public_url: Final = public_url.rstrip("/")
        self._nonce: Final = nonce
        self._refusals: Final = refusals or Refusals(Door.API)

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route(PATH, self.links, methods=["POST"]),
            Route(f"{PATH}/{{call}}", self.link, methods=["GET", "DELETE"]),
        ]

    async def links(self, request: Request) -> Response:
        """Makes a link."""
        return await self._answer(request, self._create)

    async def link(self, request: Request) -> Response:
        """Shows or revokes a link."""
        return await self._answer(request, self._revoke if request.method == "DELETE" else self._show)

    async def _answer(self, request: Request, work: Callable[[Request, str], Awaitable[Response]]) -> Response:
        given = request.headers.get("authorization")
        caller = self._keys.name_of(None if given is None else given.encode("latin-1"))
        if caller is None:
            return await self._refuse(request, given is not None)
        try:
            return await work(request, caller)
        except StoreUnavailableError:
            detail = "the database cannot be reached; try again, with the same Idempotency-Key if you sent one"
            headers = {"retry-after": str(RETRY_SECONDS), **_NO_STORE}
            return ProblemResponse(503, "store-unavailable", "Links cannot be kept at the moment", detail, headers)

    async def _refuse(self, request: Request, with_credentials: bool) -> Response:
        reason = "wrong API key" if with_credentials else "no API key"
        answer = await self._refusals.refuse(request.scope, reason, is_guess=with_credentials)
        if answer is not None:
            return answer
        challenge = f'{_CHALLENGE}, error="invalid_token"' if with_credentials else _CHALLENGE
        detail = "send Authorization: Bearer <API key>" if self._keys else "no API keys are set in POLICY_API_KEYS"
        return ProblemResponse(401, "unauthorized", "Wrong or no API key", detail, {"www-authenticate": challenge})

    async def _create(self, request: Request, caller: str) -> Response:
        ruleset = self._rules.ruleset
        idempotency_key = request.headers.get("idempotency-key")
        if idempotency_key is not None and not 0 < len(idempotency_key) <= IDEMPOTENCY_KEY_LENGTH:
            detail = f"it must have 1 to {IDEMPOTENCY_KEY_LENGTH} characters but has {len(idempotency_key)}"
            return ProblemResponse(400, "invalid-idempotency-key", "The Idempotency-Key cannot be used", detail)
        body = await read_body(request)
        if isinstance(body, ProblemResponse):
            return body
        wanted = parse_link_request(body, ruleset.links)
        if isinstance(wanted, ProblemResponse):
            return wanted
        try:
            link, is_new = await self._store(wanted, ruleset.links[wanted.type], caller, idempotency_key)
        except IdempotencyConflictError as error:
            return ProblemResponse(422, "idempotency-conflict", "Another request had this key", str(error))
        self._conferences.learn(link)
        if is_new:
            self._conferences.note(link.call, CREATED, told_created(caller, link.type), link.created_at)
        self._audit("link.made", by=caller, call=link.call)
        headers = {"location": f"{self._base(request)}{PATH}/{link.call}", **_NO_STORE}
        if not is_new:
            headers["idempotency-replayed"] = "true"
        content = self._fields(request, ruleset, link, self._conferences.clock())
        return JSONResponse(content, status_code=201, headers=headers)

    async def _store(
        self, wanted: LinkRequest, link_type: LinkType, caller: str, idempotency_key: str | None
    ) -> tuple[Link, bool]:
        """The link, and whether it was not there before."""
        for _ in range(MOST_SIGNATURES - 1):
            with suppress(CallTakenError):
                return await self._store_once(wanted, link_type, caller, idempotency_key)
        return await self._store_once(wanted, link_type, caller, idempotency_key)

    async def _store_once(
        self, wanted: LinkRequest, link_type: LinkType, caller: str, idempotency_key: str | None
    ) -> tuple[Link, bool]:
        now = self._conferences.clock()
        made = make_link(link_type, self._keyring, default_expiry(link_type, now, wanted.ttl), self._nonce())
        link = Link.of(made.call, name=wanted.name, attributes=wanted.attributes, created_at=now, created_by=caller)
        stored = await self._conferences.store.create_link(link, idempotency_key, wanted.digest)
        return stored, stored.call == link.call

    async def _show(self, request: Request, caller: str) -> Response:
        store, now = self._conferences.store, self._conferences.clock()
        link = await store.link(request.path_params["call"])
        if link is None or not self._may_see(caller, link):
            return _unknown()
        self._audit("link.read", by=caller, call=link.call)
        held = await store.conference_of_call(link.call)
        content = self._fields(request, self._rules.ruleset, link, now)
        content["conference"] = None if held is None else await _conference_fields(store, held, now)
        return JSONResponse(content, headers=_NO_STORE)

    async def _revoke(self, request: Request, caller: str) -> Response:
        store, now = self._conferences.store, self._conferences.clock()
        link = await store.link(request.path_params["call"])
        if link is None or not self._may_see(caller, link) or not await store.revoke_link(link.call, now):
            return _unknown()
        self._audit("link.revoked", by=caller, call=link.call)
        if link.revoked_at is None:
            self._conferences.learn(replace(link, revoked_at=now))
            self._conferences.note(link.call, REVOKED, told_revoked(caller), now)
        return Response(status_code=204, headers=_NO_STORE)

    def _may_see(self, caller: str, link: Link) -> bool:
        """Whether a link is any of this caller's business; to others it is as if there were none."""
        return caller not in self._keys.own or link.created_by == caller

    def _fields(self, request: Request, ruleset: Ruleset, link: Link, now: datetime) -> dict[str, object]:
        link_type, call = ruleset.links.get(link.type), self._keyring.open(link.call, Role.CALL, (link.type,))
        made = link_of(link_type, call) if link_type is not None and call is not None else None
        has_door = made is not None and link_type is not None and link_type.url is not None
        state = link_state(call, now).value
        return {
            "call": link.call,
            "type": link.type,
            "state": "revoked" if link.revoked_at is not None else state,
            "url": f"{self._base(request)}{JOIN_PATH}{made.call.session}" if made is not None and has_door else None,
            "session": call.session if call is not None else None,
            "alias": made.alias if made is not None else None,
            "name": link.name,
            "attributes": dict(link.attributes),
            "created_at": _stamp(link.created_at),
            "created_by": link.created_by,
            "expires_at": _stamp(link.expires_at),
            "revoked_at": _stamp(link.revoked_at),
        }

    def _base(self, request: Request) -> str:
        return self._public_url or str(request.base_url).rstrip("/")


def told_created(by: str, link_type: str) -> dict[str, object]:
    """What the timeline says of a link that was made."""
    return {"text": f"The link was made by '{by}'.", "by": by, "type": link_type}


def told_revoked(by: str) -> dict[str, object]:
    """What the timeline says of a link that was revoked."""
    return {"text": f"The link was revoked by '{by}'.", "by": by}


async def _conference_fields(store: ConferenceStore, held: HeldConference, now: datetime) -> dict[str, object]:
    phase, ended_at = Phase.ENDED, held.ended_at
    if now < held.expires_at:
        told = told_since(await store.events_of(held), held.held_at)
        phase = conference_phase(fold(told), held, now)
    elif ended_at is None:
        ended_at = held.expires_at
    return {
        "state": phase.value,
        "name": held.name,
        "service_tag": held.service_tag,
        "held_at": _stamp(held.held_at),
        "expires_at": _stamp(held.expires_at),
        "ended_at": _stamp(ended_at),
    }


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _unknown() -> Response:
    return ProblemResponse(404, "unknown-link", "There is no such link", headers=_NO_STORE)

"""The agents' lookup: who may ask, and the answer (README.md: Agents)."""

import logging
import re
import sys
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple, assert_never

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from policy_server.conferences.bindings import Identified, check_dialled, check_place, identify
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.found import Found, Subject
from policy_server.conferences.link_reading import undisguised
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.view import FoundBy
from policy_server.genesys.client import GenesysClient
from policy_server.genesys.memory import Expiring
from policy_server.genesys.results import (
    Agent,
    AgentForbidden,
    Binding,
    ForbiddenReason,
    GenesysUnavailable,
    InvalidConversationId,
    NoSuchConversation,
    TokenRefused,
    TooManyTokens,
)
from policy_server.web.admission import Admission
from policy_server.web.callers import caller_network
from policy_server.web.problem import ProblemResponse, Refused
from policy_server.web.refusals import Door, Refusals

PATH: Final = "/agent/v1/conferences/{alias}"

RETRY_SECONDS: Final = 2
"""What an agent's widget is told when the database is away."""

OWN_SECONDS: Final = 43_200.0
OWN_LIMIT: Final = 10_000
"""For how long it is remembered that a conversation is a conference's own, and of how many."""

_FORBIDDEN: Final[dict[ForbiddenReason, str]] = {
    "organization": "the token is of another Genesys Cloud organisation",
    "division": "the user is in a division whose agents are not let in",
    "inactive": "the user is not active in Genesys Cloud",
    "permission": "Genesys Cloud does not let the token read its own user: it needs the scope users:readonly",
    "conversation": "Genesys Cloud does not show this user that conversation",
}


# What browsers, scripts and templates write where there was no value.
_NOT_FILLED_IN: Final = frozenset({"", "undefined", "null", "none", "nan", "[object object]"})
_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\$\{|pcConversationId|^:\w+$|^<\w+>$|^%\w+%$", re.IGNORECASE)
_MOST_SHOWN: Final = 40
# Not what is missing or away: that is no attempt to come in.
_REFUSALS: Final = frozenset({401, 403, 429})


log = logging.getLogger(__name__)


class Admitted(NamedTuple):
    """An agent who may ask, and what for: what was in the path, or what the conversation that the agent named is about, and
    then by what of its customer.
    """

    agent: Agent
    subject: Subject
    bound: Binding | None = None
    found_by: FoundBy | None = None

    @property
    def conversation(self) -> str:
        """The id of the conversation, or ``""``."""
        return self.bound.conversation_id if self.bound is not None else ""


class AgentAccess:
    """Lets agents in by their Genesys access token, and by the conversation that they are on.

    ``binding_required``: the conversation must be named, and is then always checked. ``now`` is the clock of the
    Genesys client.
    """

    def __init__(
        self,
        genesys: GenesysClient,
        *,
        binding_required: bool = False,
        now: Callable[[], float] = monotonic,
        refusals: Refusals | None = None,
    ) -> None:
        self._genesys: Final = genesys
        self._binding_required: Final = binding_required
        self._now: Final = now
        self._refusals: Final = refusals or Refusals(Door.AGENTS)
        self._rooms: Final[Expiring[tuple[str, Subject], Identified]] = Expiring(OWN_LIMIT)
        self._own: Final[Expiring[tuple[str, str, str | None], bool]] = Expiring(OWN_LIMIT)

    async def admit(self, request: Request, lookup: ConferenceLookup, subject: Subject) -> Admitted:
        """Who asks, and what for. May be asked again with the same request, for as long as it lasts. Raises Refused."""
        admitted = await self._admit(request, lookup, subject)
        if isinstance(admitted, ProblemResponse):
            raise Refused(await self._noted(request, admitted))
        return admitted

    async def bind(self, request: Request, admitted: Admitted, found: Found, store: ConferenceStore) -> None:
        """Raises Refused when the conversation of an agent who was let in is not that of the conference that was found."""
        bound, conference, now = admitted.bound, found.conference, self._now()
        if bound is None:
            return
        own = (conference.id if conference is not None else "", bound.conversation_id, bound.dialled)
        if self._own.get(own, now):
            return
        reason = check_dialled(bound.dialled, found.dials)
        if not reason:
            try:
                reason = await check_place(store, found, bound.conversation_id)
            except StoreUnavailableError as error:
                # What was read is enough to let the agent help the customer; only nothing is remembered.
                log.warning("conversations.unwritten: %s", error)
                return
        if reason:
            raise Refused(await self._noted(request, _not_bound(reason)))
        if conference is not None:
            # What such a room dials never changes, nor does the place that the conversation has.
            self._own.put(own, True, now + OWN_SECONDS)

    async def _noted(self, request: Request, refusal: ProblemResponse) -> ProblemResponse:
        if refusal.status_code not in _REFUSALS:
            return refusal
        is_guess = refusal.status_code == 401 and bool(_bearer(request))
        return await self._refusals.refuse(request.scope, refusal.reason, is_guess=is_guess) or refusal

    async def _admit(self, request: Request, lookup: ConferenceLookup, subject: Subject) -> Admitted | ProblemResponse:
        token = _bearer(request)
        if not token:
            return agent_problem(
                401,
                "unauthorized",
                "No access token",
                "send the agent's Genesys Cloud access token: Authorization: Bearer <token>",
                {"www-authenticate": "Bearer"},
            )
        address = caller_network(request.scope)
        agent = await self._genesys.agent(token, self._now(), address)
        if not isinstance(agent, Agent):
            return _refusal(agent)
        conversations = request.query_params.getlist("conversation")
        if conversations:
            return await self._check_binding(token, address, conversations, lookup, subject)
        if self._binding_required:
            detail = "add ?conversation=<id of the Genesys conversation>: this server looks up nothing without it"
            return agent_problem(400, "conversation-required", "Which conversation?", detail)
        return Admitted(agent, subject)

    async def _check_binding(
        self, token: str, address: str, conversations: list[str], lookup: ConferenceLookup, subject: Subject
    ) -> Admitted | ProblemResponse:
        bound = (
            await self._genesys.conversation(token, conversations[0], self._now(), address)
            if len(conversations) == 1
            else InvalidConversationId()
        )
        match bound:
            case Binding():
                identified = self._identify(bound, lookup, subject)
                if isinstance(identified, str):
                    return _not_bound(identified)
                return Admitted(bound.agent, identified.subject, bound, identified.found_by)
            case InvalidConversationId():
                detail = _not_an_id(conversations)
                return agent_problem(400, "invalid-conversation", "This is not the id of a conversation", detail)
            case NoSuchConversation():
                return _not_bound("Genesys Cloud knows no conversation of that id")
            case AgentForbidden(reason="conversation"):
                return _not_bound(_FORBIDDEN["conversation"])
            case TokenRefused() | AgentForbidden() | GenesysUnavailable() | TooManyTokens():
                return _refusal(bound)
            case _:
                assert_never(bound)

    def _identify(self, bound: Binding, lookup: ConferenceLookup, subject: Subject) -> Identified | str:
        """What an agent's conversation is about, or why it is not about what was asked for, as far as it says."""
        seen = f"its participants are {', '.join(bound.participants) or 'none'}"
        if not bound.agent_listed:
            return f"this agent is not in that conversation; {seen}"
        if not bound.agent_connected:
            return f"this agent's call in that conversation is not connected; {seen}"
        asked, now = (bound.conversation_id, subject), self._now()
        identified = identify(lookup, subject, bound.ani_name, bound.ani, self._rooms.get(asked, now))
        if isinstance(identified, str):
            return identified or _told_caller(bound, seen)
        if identified.subject.name:
            self._rooms.put(asked, identified, now + OWN_SECONDS)
        return identified


class AgentDesk:
    """Where agents' widgets ask for conferences, in turn once it is known who asks."""

    def __init__(self, lookup: ConferenceLookup, access: AgentAccess, admission: Admission | None = None) -> None:
        self.lookup: Final = lookup
        self.access: Final = access
        self.admission: Final = admission or Admission()
        # Nobody is turned away by it: there are no more than connections.
        self._beginning: Final = Admission(waiting_limit=sys.maxsize)

    async def admit(self, request: Request, before: Admitted | None = None) -> Admitted:
        """Who asks, and what for; ``before`` is what the same request was told earlier. Raises Refused."""
        if before is not None:
            return await self.access.admit(request, self.lookup, before.subject)
        # All may come in one round of the loop, after a restart: a few of them go on in each.
        async with self._beginning:
            subject = self.lookup.subject_of(request.path_params["alias"])
        return await self.access.admit(request, self.lookup, subject)

    async def open(self, request: Request, admitted: Admitted) -> Found:
        """The conference, which it notes on its timeline that the agent saw. Raises Refused."""
        async with self.admission:
            try:
                found = await self.lookup.look_up(admitted.subject)
            except StoreUnavailableError:
                raise Refused(store_unavailable()) from None
            if found is None:
                raise Refused(unknown_conference())
            await self.access.bind(request, admitted, found, self.lookup.conferences.store)
            self.lookup.note(found, admitted.agent.id, admitted.agent.name, admitted.conversation)
            return found


class AgentEndpoint:
    """``GET /agent/v1/conferences/{alias}``: the whole conference, with the host PIN for this agent."""

    def __init__(self, desk: AgentDesk) -> None:
        self._desk: Final = desk

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [Route(PATH, self.show)]

    async def show(self, request: Request) -> Response:
        """Answers one lookup and puts it on the conference's timeline."""
        try:
            admitted = await self._desk.admit(request)
            found = await self._desk.open(request, admitted)
        except Refused as refused:
            return refused.problem
        headers = {"cache-control": "no-store"}
        return Response(found.body(admitted.found_by), headers=headers, media_type="application/json")


def agent_problem(
    status: int, kind: str, title: str, detail: str = "", headers: dict[str, str] | None = None
) -> ProblemResponse:
    """A problem that nobody may keep: it is about one agent at one moment."""
    return ProblemResponse(status, kind, title, detail, {"cache-control": "no-store", **(headers or {})})


def store_unavailable() -> ProblemResponse:
    """The database is away."""
    headers = {"retry-after": str(RETRY_SECONDS)}
    return agent_problem(503, "store-unavailable", "The database cannot be reached", "try again", headers)


def unknown_conference() -> ProblemResponse:
    """Neither a call that we signed, nor one that we know."""
    detail = (
        "it must be the call id, which Genesys Cloud shows as the caller's name or address, or the agents' alias; or, of a room "
        "that no link led to, its name or the alias that was dialled"
    )
    return agent_problem(404, "unknown-conference", "There is no such conference", detail)


def _bearer(request: Request) -> str:
    given = request.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""


def _told_caller(bound: Binding, seen: str) -> str:
    """What is known of a caller who is none of the conference that was asked for."""
    if bound.ani_name is None:
        what = "an address (ani) that is not this conference" if bound.ani else "no address (ani)"
        return f"the customer of that conversation has no caller's name (aniName) and {what}; {seen}"
    return "the customer of that conversation is in another conference: neither aniName nor ani is this one"


def _not_an_id(conversations: list[str]) -> str:
    """What is wrong with the values of ``conversation``."""
    given = undisguised(conversations[0]).strip()
    if len(conversations) > 1 or not (given.lower() in _NOT_FILLED_IN or _PLACEHOLDER.search(given)):
        return "conversation must be given once, as the id that Genesys Cloud gives it, a UUID"
    shown = repr(given[:_MOST_SHOWN]) if given else "empty"
    return (
        f"conversation is {shown}: the placeholder was not filled in. Genesys Cloud fills in {{{{pcConversationId}}}}, spelt "
        "so, in the Application URL of an Interaction Widget that is opened from a call"
    )


def _not_bound(detail: str) -> ProblemResponse:
    return agent_problem(403, "not-bound", "The agent is not on the customer's conversation", detail)


def _refusal(result: TokenRefused | AgentForbidden | GenesysUnavailable | TooManyTokens) -> ProblemResponse:
    match result:
        case TokenRefused():
            detail = "Genesys Cloud does not take the access token for a user's (any more): log in again"
            headers = {"www-authenticate": 'Bearer error="invalid_token"'}
            return agent_problem(401, "unauthorized", "The access token is not good", detail, headers)
        case AgentForbidden():
            return agent_problem(403, "forbidden", "This agent may not ask", _FORBIDDEN[result.reason])
        case GenesysUnavailable():
            headers = {"retry-after": str(result.retry_after)}
            detail = "Genesys Cloud cannot say who the agent is at the moment: try again"
            return agent_problem(503, "genesys-unavailable", "Genesys Cloud cannot be asked", detail, headers)
        case TooManyTokens():
            headers = {"retry-after": str(result.retry_after)}
            detail = "too many access tokens that were never verified come from this address, or in all: try again"
            return agent_problem(429, "too-many-tokens", "Too many unknown tokens", detail, headers)
        case _:
            assert_never(result)

"""Who is this agent, and is it on that conversation? Asked of Genesys Cloud, remembered briefly, never guessed."""

import asyncio
import logging
import re
from collections.abc import Callable
from hashlib import sha256
from math import ceil
from typing import Final, Self, assert_never

from policy_server.genesys.exchange import Exchange, Reply
from policy_server.genesys.memory import Expiring, Flights
from policy_server.genesys.replies import parse_agent, parse_conversation, parse_error
from policy_server.genesys.results import (
    Agent,
    AgentForbidden,
    AgentResult,
    Binding,
    ConversationResult,
    GenesysUnavailable,
    InvalidConversationId,
    NoSuchConversation,
    TokenRefused,
    TooManyTokens,
)
from policy_server.genesys.strangers import AT_ONCE, WAITING_LIMIT, Strangers
from policy_server.genesys.tenant import UUID_TEXT, Tenant
from policy_server.outbound.exchange import NoReply

TIMEOUT: Final = 2.0
"""Seconds that an answer may take in all."""

CACHE_SECONDS: Final = 60.0
"""Seconds that a verified token is believed without asking again; a logout is seen only then."""

SHORT_CACHE_SECONDS: Final = 5.0
"""Seconds that anything else is believed: tokens turned away, and conversations, which change."""

KNOWN_SECONDS: Final = 172_800.0
"""Seconds that a token which was verified once keeps a place apart from unknown ones: as long as tokens can live
(genesys/README.md: Access tokens).
"""

CACHE_ENTRIES: Final = 10_000
"""Entries of each cache."""

FLIGHTS: Final = 500
"""Questions under way at a time about agents who were verified, and about conversations."""

STRANGERS_CONNECTIONS: Final = AT_ONCE
"""Connections to Genesys for tokens that are not known yet, beside those of agents."""

RETRY_SECONDS: Final = 5
"""What a caller is told when Genesys said nothing about when to come back."""

RATE_LIMIT_SECONDS: Final = 10
"""How long a token pauses after a 429 that does not say."""

_ME: Final = "/api/v2/users/me?expand=organization,authorization"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{1,4096}=*")
_CONVERSATION_ID: Final = re.compile(UUID_TEXT)

log = logging.getLogger(__name__)


def hash_token(token: str) -> str:
    """What stands for a token in caches: SHA-256, in hexadecimal."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class GenesysClient:
    """Asks one Genesys Cloud API about agents of one organisation. Belongs to one event loop; close it at the end.

    ``now`` is seconds of a clock that never goes back (``time.monotonic``), the same for all calls. ``tell`` hears of each
    request what kept it from being answered, ``""`` for nothing.
    """

    def __init__(
        self,
        tenant: Tenant,
        *,
        cache_seconds: float = CACHE_SECONDS,
        timeout: float = TIMEOUT,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._tell: Final = tell
        self._tenant: Final = tenant
        self._cache_seconds: Final = cache_seconds
        self._timeout: Final = timeout
        # Apart from each other: made-up tokens must neither push out agents who were verified nor keep them waiting.
        self._exchange: Final = Exchange(tenant.api, timeout)
        self._strangers_exchange: Final = Exchange(tenant.api, timeout, STRANGERS_CONNECTIONS)
        self._strangers: Final = Strangers()
        self._known: Final[Expiring[str, bool]] = Expiring(CACHE_ENTRIES)
        self._accepted: Final[Expiring[str, Agent]] = Expiring(CACHE_ENTRIES)
        self._turned_away: Final[Expiring[str, TokenRefused | AgentForbidden]] = Expiring(CACHE_ENTRIES)
        self._conversations: Final[Expiring[tuple[str, str], ConversationResult]] = Expiring(CACHE_ENTRIES)
        self._paused_tokens: Final[Expiring[str, float]] = Expiring(CACHE_ENTRIES)
        self._paused_until = float("-inf")
        self._agent_flights: Final[Flights[str, AgentResult]] = Flights(FLIGHTS)
        self._stranger_flights: Final[Flights[str, AgentResult]] = Flights(AT_ONCE + WAITING_LIMIT)
        self._conversation_flights: Final[Flights[tuple[str, str], ConversationResult]] = Flights(FLIGHTS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends what is under way (its callers get GenesysUnavailable) and closes the connections."""
        for flights in (self._agent_flights, self._stranger_flights, self._conversation_flights):
            await flights.close()
        await self._exchange.close()
        await self._strangers_exchange.close()

    async def agent(self, token: str, now: float, address: str = "") -> AgentResult:
        """The agent whose access token this is, if of our organisation, of a division that is let in, and active.

        A token verified within the cache's time is not asked about again, so that agents go on working while Genesys
        cannot be reached. Everything that is not a clear yes is something other than an Agent. ``address`` is who asks:
        tokens that were never verified are asked about in turn, so many of one address and in all.
        """
        if not _TOKEN.fullmatch(token):
            return TokenRefused("malformed")
        key = hash_token(token)
        known = self._accepted.get(key, now) or self._turned_away.get(key, now)
        if known is not None:
            return known
        if self._known.get(key, now):
            return await self._agent_flights.join(key, lambda: self._ask_agent(key, token, now)) or _BUSY
        return await self._stranger_flights.join(key, lambda: self._ask_stranger(address, key, token, now)) or _BUSY

    async def conversation(self, token: str, conversation_id: str, now: float, address: str = "") -> ConversationResult:
        """What a conversation says about the owner of a token, who is looked up first, all within the timeout."""
        identifier = conversation_id.lower()
        if not _CONVERSATION_ID.fullmatch(identifier):
            return InvalidConversationId()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._conversation(token, identifier, now, address)
        except TimeoutError:
            return GenesysUnavailable(RETRY_SECONDS, "timeout")

    async def _conversation(self, token: str, identifier: str, now: float, address: str) -> ConversationResult:
        agent = await self.agent(token, now, address)
        if not isinstance(agent, Agent):
            return agent
        key = (agent.token_hash, identifier)
        known = self._conversations.get(key, now)
        if known is not None:
            return known
        asking = self._conversation_flights.join(key, lambda: self._ask_conversation(agent, token, identifier, now))
        return await asking or _BUSY

    async def _ask_stranger(self, address: str, key: str, token: str, now: float) -> AgentResult:
        if seconds := await self._strangers.enter(address, now):
            return TooManyTokens(seconds)
        found: AgentResult = _BUSY
        try:
            found = await self._ask_agent(key, token, now, self._strangers_exchange)
        finally:
            self._strangers.leave(address, now, is_bad=_is_strange(found))
        return found

    async def _ask_agent(self, key: str, token: str, now: float, exchange: Exchange | None = None) -> AgentResult:
        reply = await self._send(_ME, key, token, now, exchange)
        if isinstance(reply, GenesysUnavailable):
            return reply
        found: Agent | TokenRefused | AgentForbidden | None
        match reply.status:
            case 200:
                found = parse_agent(reply.body, key, self._tenant)
            case 400 | 404:
                found = TokenRefused("no_user")
            case 401:
                found = TokenRefused("rejected")
            case _:
                found = AgentForbidden("permission")
        if found is None:
            return _malformed(_ME, reply, token)
        if isinstance(found, Agent):
            self._accepted.put(key, found, now + self._cache_seconds)
            self._known.put(key, True, now + KNOWN_SECONDS)
        else:
            self._turn_away(key, found, now)
        return found

    async def _ask_conversation(self, agent: Agent, token: str, identifier: str, now: float) -> ConversationResult:
        path = f"/api/v2/conversations/{identifier}"
        reply = await self._send(path, agent.token_hash, token, now)
        if isinstance(reply, GenesysUnavailable):
            return reply
        found: Binding | NoSuchConversation | AgentForbidden | None
        match reply.status:
            case 200:
                found = parse_conversation(reply.body, identifier, agent)
            case 400 | 404:
                found = NoSuchConversation(identifier)
            case 401:
                # The token ended since it was verified.
                self._accepted.drop(agent.token_hash)
                self._turn_away(agent.token_hash, refused := TokenRefused("rejected"), now)
                return refused
            case _:
                found = AgentForbidden("conversation")
        if found is None:
            return _malformed(path, reply, token)
        self._conversations.put((agent.token_hash, identifier), found, now + SHORT_CACHE_SECONDS)
        return found

    def _turn_away(self, key: str, found: TokenRefused | AgentForbidden, now: float) -> None:
        self._known.drop(key)
        self._turned_away.put(key, found, now + SHORT_CACHE_SECONDS)

    async def _send(
        self, path: str, key: str, token: str, now: float, exchange: Exchange | None = None
    ) -> Reply | GenesysUnavailable:
        """A reply of status 200, 400, 401, 403 or 404; anything else is that Genesys cannot be asked."""
        until = max(self._paused_until, self._paused_tokens.get(key, now) or float("-inf"))
        if now < until:
            return GenesysUnavailable(ceil(until - now), "paused")
        clock = asyncio.get_running_loop().time
        started = clock()
        reply = await (exchange or self._exchange).get(path, token)
        if isinstance(reply, NoReply):
            log.warning("genesys.unanswered: GET %s: %s", path, reply.detail)
            self._tell(reply.detail)
            return GenesysUnavailable(RETRY_SECONDS, reply.failure)
        # Of 429 one token alone is told.
        self._tell("" if reply.status < 500 else f"it answered {reply.status}")
        if reply.status == 200:
            return reply
        _log_status(path, reply, token)
        if reply.status in {400, 401, 403, 404}:
            return reply
        return self._unavailable(reply, key, now + round(clock() - started))

    def _unavailable(self, reply: Reply, key: str, now: float) -> GenesysUnavailable:
        if reply.status == 429:
            # Genesys counts requests per token: one busy agent is no reason to stop asking about the others.
            seconds = reply.retry_after or reply.rate_reset or RATE_LIMIT_SECONDS
            self._paused_tokens.put(key, now + seconds, now + seconds)
            return GenesysUnavailable(seconds, "rate_limited")
        if reply.status >= 500 and reply.retry_after:
            self._paused_until = max(self._paused_until, now + reply.retry_after)
        return GenesysUnavailable(reply.retry_after or RETRY_SECONDS, "status")


_BUSY: Final = GenesysUnavailable(1, "busy")


def _is_strange(found: AgentResult) -> bool:
    """Whether the token stands for nobody of our organisation."""
    match found:
        case TokenRefused():
            return True
        case AgentForbidden():
            return found.reason in {"organization", "permission"}
        case Agent() | GenesysUnavailable() | TooManyTokens():
            return False
        case _:
            assert_never(found)


def _malformed(path: str, reply: Reply, token: str) -> GenesysUnavailable:
    text = "genesys.misunderstood: GET %s: the body is not what Genesys sends, correlation %s"
    log.warning(text, path, _shown(reply.correlation_id, token))
    return GenesysUnavailable(RETRY_SECONDS, "malformed")


def _log_status(path: str, reply: Reply, token: str) -> None:
    code, context_id = parse_error(reply.body)
    level = logging.INFO if reply.status in {401, 404} else logging.WARNING
    texts = (_shown(text, token) for text in (code, context_id, reply.correlation_id))
    log.log(
        level, "genesys.refused: GET %s: status %d, code %s, context %s, correlation %s", path, reply.status, *texts
    )


def _shown(text: str, token: str) -> str:
    return text if text and token not in text else "-"

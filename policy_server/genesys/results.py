"""What a question to Genesys comes to: closed unions, each answer with its reason. None of them holds a token."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

RefusalReason: TypeAlias = Literal["malformed", "rejected", "no_user"]
"""Not a token at all (Genesys was not asked), 401, or a token without a user (400 or 404)."""

ForbiddenReason: TypeAlias = Literal["organization", "division", "inactive", "permission", "conversation"]
"""Wrong organisation, wrong division, user not active, 403 on the user, 403 on the conversation."""

UnavailableReason: TypeAlias = Literal[
    "timeout", "connection", "status", "malformed", "too_large", "rate_limited", "paused", "busy"
]
"""``rate_limited`` is a 429, ``status`` any other unexpected status, ``paused`` that an earlier Retry-After has
not passed, ``busy`` that too many questions are under way here. All of them serve as a metric's label."""


@dataclass(frozen=True, slots=True)
class Agent:
    """An active user of our organisation and of a division that is let in, as the owner of a token.

    ``token_hash`` is what caches and limits per token may use as a key. ``name`` is for display: it holds no control
    characters and may be empty.
    """

    id: str
    name: str
    organization_id: str
    division_id: str
    token_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The token does not stand for a user: the widget has to log in again (401)."""

    reason: RefusalReason


@dataclass(frozen=True, slots=True)
class AgentForbidden:
    """The token is good, but not for this (403)."""

    reason: ForbiddenReason


@dataclass(frozen=True, slots=True)
class GenesysUnavailable:
    """Nothing is known, so nobody is let in (503). ``retry_after`` is whole seconds, one or more."""

    retry_after: int
    reason: UnavailableReason


@dataclass(frozen=True, slots=True)
class TooManyTokens:
    """Too many tokens come that were never verified, so this one was not asked about (429).

    ``retry_after`` is whole seconds, one or more.
    """

    retry_after: int


@dataclass(frozen=True, slots=True)
class Binding:
    """What a conversation says about an agent and a customer.

    ``ani_name`` and ``ani`` are the caller's name and address of the first customer who has a name, or else an address
    (genesys/README.md: How the widget finds the conference, Conversations), and ``dialled`` what that customer
    dialled. ``agent_connected``: this agent's call is up now, on hold or not. ``agent_listed``: this agent is or was
    on the conversation, and may have left it. ``participants`` says for an administrator who was seen, by purpose and
    state, without names.
    """

    conversation_id: str
    agent: Agent
    agent_connected: bool
    agent_listed: bool
    ani_name: str | None = field(repr=False)
    ani: str | None = field(repr=False)
    participants: tuple[str, ...] = ()
    dialled: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NoSuchConversation:
    """Genesys knows no conversation of that id (404)."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class InvalidConversationId:
    """What was given cannot be the id of a conversation; Genesys was not asked."""


AgentResult: TypeAlias = Agent | TokenRefused | AgentForbidden | GenesysUnavailable | TooManyTokens

ConversationResult: TypeAlias = (
    Binding
    | NoSuchConversation
    | InvalidConversationId
    | TokenRefused
    | AgentForbidden
    | GenesysUnavailable
    | TooManyTokens
)

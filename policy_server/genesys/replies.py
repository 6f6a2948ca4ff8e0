"""Reading what Genesys answers: bytes in, typed values out, nothing believed unseen.

(genesys/README.md: Access tokens, Conversations)
"""

import re
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy_server.genesys.results import Agent, AgentForbidden, Binding
from policy_server.genesys.tenant import Tenant

NAME_LIMIT: Final = 250
"""Characters of an agent's name that are kept."""

SHOWN_PARTICIPANTS: Final = 20
"""How many participants are named, by purpose and state, for who was refused; the latest."""

# (genesys/README.md: Conversations)
_AGENTS: Final = frozenset({"agent", "user"})
_CALLERS: Final = ("customer", "external")

_CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class _Part(BaseModel):
    # Nearly every text is that of one call or agent alone, and pydantic would keep the last 16,000 for the next that is the same.
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True, cache_strings="keys")


class _Owner(_Part):
    id: _Id


class _User(_Part):
    id: _Id
    name: str | None = None
    state: str | None = None
    division: _Owner | None = None
    organization: _Owner | None = None


class _Address(_Part):
    raw: str | None = Field(default=None, alias="addressRaw")
    normalized: str | None = Field(default=None, alias="addressNormalized")


class _Call(_Part):
    state: str | None = None
    held: bool | None = None
    other: _Address | None = None


class _Participant(_Part):
    purpose: str | None = None
    user_id: str | None = Field(default=None, alias="userId")
    ani_name: str | None = Field(default=None, alias="aniName")
    ani: str | None = None
    dnis: str | None = None
    state: str | None = None
    end_time: str | None = Field(default=None, alias="endTime")
    calls: tuple[_Call, ...] | None = None


class _Conversation(_Part):
    id: _Id
    participants: tuple[_Participant, ...]


class _Error(_Part):
    code: str | None = None
    context_id: str | None = Field(default=None, alias="contextId")


def parse_agent(body: bytes, token_hash: str, tenant: Tenant) -> Agent | AgentForbidden | None:
    """The owner of a token if let in, or why not; None if the body is not what ``users/me`` answers.

    What the body leaves out counts as wrong: a user without an organisation is not of ours.
    """
    try:
        user = _User.model_validate_json(body)
    except ValidationError:
        return None
    organization_id = user.organization.id.lower() if user.organization else ""
    division_id = user.division.id.lower() if user.division else ""
    if organization_id != tenant.organization_id:
        return AgentForbidden("organization")
    if user.state != "active":
        return AgentForbidden("inactive")
    if tenant.division_ids and division_id not in tenant.division_ids:
        return AgentForbidden("division")
    return Agent(user.id.lower(), _readable(user.name or ""), organization_id, division_id, token_hash)


def parse_conversation(body: bytes, conversation_id: str, agent: Agent) -> Binding | None:
    """What a conversation says about an agent; None if the body is not that conversation.

    A transferred conversation lists every agent it ever had, those who left with an ``endTime``, the same agent
    twice if the call came back. Who called is a ``customer``, and on a call to a direct number an ``external``.
    """
    try:
        conversation = _Conversation.model_validate_json(body)
    except ValidationError:
        return None
    if conversation.id.lower() != conversation_id:
        return None
    people = conversation.participants
    own = [one for one in people if _purpose(one) in _AGENTS and (one.user_id or "").lower() == agent.id]
    name, address, dialled = _caller(people)
    return Binding(
        conversation_id=conversation_id,
        agent=agent,
        agent_connected=any(_state(one) == _CONNECTED for one in own),
        agent_listed=bool(own),
        ani_name=name,
        ani=address,
        dialled=dialled,
        participants=tuple(_shown(one, any(one is mine for mine in own)) for one in people[-SHOWN_PARTICIPANTS:]),
    )


def parse_error(body: bytes) -> tuple[str, str]:
    """Code and context id of an error, as far as it has them and they are fit for a log."""
    try:
        error = _Error.model_validate_json(body)
    except ValidationError:
        return "", ""
    return code_or_nothing(error.code), code_or_nothing(error.context_id)


def code_or_nothing(text: str | None) -> str:
    """The text if it is a plain code or id, which cannot forge a line of a log."""
    return text if text and _CODE.fullmatch(text) else ""


_CONNECTED: Final = "connected"
_OVER: Final = frozenset({"disconnected", "terminated"})


def _purpose(participant: _Participant) -> str:
    return (participant.purpose or "").lower()


def _caller(people: tuple[_Participant, ...]) -> tuple[str | None, str | None, str | None]:
    """The caller's name and address of one participant, and what that caller dialled."""
    for purpose in _CALLERS:
        callers = [one for one in people if _purpose(one) == purpose]
        shown = [(_text(one.ani_name), _text(one.ani), _dialled(one)) for one in callers]
        for found in (*(one for one in shown if one[0]), *(one for one in shown if one[1])):
            return found
    return None, None, None


def _dialled(caller: _Participant) -> str | None:
    """What a caller dialled: said of the caller, or else as the other end of the caller's own call."""
    ends = [call.other for call in caller.calls or () if call.other is not None]
    found = (caller.dnis, *(text for end in ends for text in (end.normalized, end.raw)))
    return next(filter(None, map(_text, found)), None)


def _text(text: str | None) -> str | None:
    return (text or "").strip() or None


def _state(participant: _Participant) -> str:
    """The state of a participant's calls, of which the one that is up counts, or its own where no call has one."""
    if participant.end_time:
        return "ended"
    states = [call.state for call in participant.calls or () if call.state] or [participant.state or "without a call"]
    return next((state for state in states if state == _CONNECTED), None) or next(
        (state for state in states if state not in _OVER), states[-1]
    )


def _shown(participant: _Participant, is_own: bool) -> str:
    state = _state(participant)
    said = [state if state == "without a call" else code_or_nothing(state) or "in an unknown state"]
    if any(call.held and call.state == _CONNECTED for call in participant.calls or ()):
        said.append("on hold")
    if is_own:
        said.append("this agent")
    return f"{code_or_nothing(participant.purpose) or 'unknown'} ({', '.join(said)})"


def _readable(name: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())[:NAME_LIMIT]

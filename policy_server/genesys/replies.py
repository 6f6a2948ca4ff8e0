"""Reading what Genesys answers (genesys.md, sections 5 and 6): bytes in, typed values out, nothing believed unseen."""

import re
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy_server.genesys.results import Agent, AgentForbidden, Binding
from policy_server.genesys.tenant import Tenant

NAME_LIMIT: Final = 250
"""Characters of an agent's name that are kept."""

_CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class _Owner(_Part):
    id: _Id


class _User(_Part):
    id: _Id
    name: str | None = None
    state: str | None = None
    division: _Owner | None = None
    organization: _Owner | None = None


class _Call(_Part):
    state: str | None = None


class _Participant(_Part):
    purpose: str | None = None
    user_id: str | None = Field(default=None, alias="userId")
    ani_name: str | None = Field(default=None, alias="aniName")
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
    twice if the call came back.
    """
    try:
        conversation = _Conversation.model_validate_json(body)
    except ValidationError:
        return None
    if conversation.id.lower() != conversation_id:
        return None
    people = conversation.participants
    own = [one for one in people if one.purpose == "agent" and (one.user_id or "").lower() == agent.id]
    names = (one.ani_name.strip() for one in people if one.purpose == "customer" and one.ani_name)
    return Binding(
        conversation_id=conversation_id,
        agent=agent,
        agent_connected=any(_is_connected(one) for one in own),
        agent_listed=bool(own),
        ani_name=next(filter(None, names), None),
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


def _is_connected(participant: _Participant) -> bool:
    return not participant.end_time and any(call.state == "connected" for call in participant.calls or ())


def _readable(name: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())[:NAME_LIMIT]

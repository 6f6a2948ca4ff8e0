"""A call in Genesys Cloud: who is on it, what each command makes of it, and how the API shows it.

Pure: every function gives a new conversation; time and ids are arguments. Shapes and words are the real
ones (genesys/README.md: Conversations, Notifications, Ending the call). What they leave open is decided here: in
a consult the leg that hears music is ``confined``, both agents name each other in ``consultParticipantId``, and the
one who asked has the attribute ``consultInitiator``; a consulted agent whom the other one sends away ends with
``peer``; a leg keeps what it was when it ended.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

QUEUE: Final = "7a1d2c3b-4e5f-4061-8273-94a5b6c7d8e9"
CALLER_HOST: Final = "pexip.example.com"
"""The host in a caller's address, which the trunk does not record."""

Json = dict[str, Any]
NewId = Callable[[], str]
Purpose = Literal["customer", "ivr", "acd", "agent"]
State = Literal["alerting", "connected", "disconnected", "terminated"]
DisconnectType = Literal["client", "endpoint", "peer", "transfer", "transfer.consult"]
Listener = Literal["agent", "customer", "both"]

_NUMBER: Final = re.compile(r"\+[0-9]{3,15}")
_INITIATOR: Final = "consultInitiator"


class CallStateError(Exception):
    """A command that a conversation does not allow as it is; says why and what to do first."""


@dataclass(frozen=True, slots=True)
class AgentName:
    """An agent as conversations name one."""

    user_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody on a call, and the one leg that comes with it. A second time on the call is a second participant."""

    id: str
    call_id: str
    purpose: Purpose
    name: str
    state: State
    started: datetime
    connected: datetime | None = None
    ended: datetime | None = None
    disconnect_type: DisconnectType | None = None
    held: bool = False
    muted: bool = False
    confined: bool = False
    user_id: str = ""
    address: str = ""
    ani_name: str = ""
    dnis: str = ""
    consult_participant_id: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_live(self) -> bool:
        """Whether the leg is up or rings."""
        return self.state in {"alerting", "connected"}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A call from its arrival on. ``sip_call_id`` is the Call-ID on the trunk. Nobody ever leaves the list."""

    id: str
    sip_call_id: str
    participants: tuple[Participant, ...]

    @property
    def customer(self) -> Participant:
        """Who called."""
        return next(one for one in self.participants if one.purpose == "customer")

    @property
    def agents(self) -> tuple[Participant, ...]:
        """All legs of agents, those that ended too, in the order in which they began."""
        return tuple(one for one in self.participants if one.purpose == "agent")

    def legs(self, user_id: str, *states: State) -> tuple[Participant, ...]:
        """An agent's legs in these states."""
        return tuple(one for one in self.agents if one.user_id == user_id and one.state in states)


def arrive(
    request_uri: str,
    caller_name: str,
    caller_user: str,
    sip_call_id: str,
    agent: AgentName,
    new_id: NewId,
    now: datetime,
) -> Conversation:
    """A call that the flow has answered and the queue has given to an agent, where it rings."""
    address = _caller_address(caller_user)
    customer = Participant(
        id=new_id(),
        call_id=new_id(),
        purpose="customer",
        name=caller_name or caller_user,
        state="connected",
        started=now,
        connected=now,
        address=address,
        ani_name=caller_name,
        dnis=_dialled_address(request_uri),
    )
    passed = tuple(
        Participant(new_id(), new_id(), purpose, name, "disconnected", now, now, now, "transfer")
        for purpose, name in _PASSED
    )
    return Conversation(new_id(), sip_call_id, (customer, *passed, _alerting(agent, new_id, now)))


def answer(conversation: Conversation, user_id: str, now: datetime) -> Conversation:
    """The agent takes the call that rings."""
    leg = _leg(conversation, user_id, "answer", "alerting")
    return _changed(conversation, replace(leg, state="connected", connected=now))


def hold(conversation: Conversation, user_id: str, held: bool) -> Conversation:
    """The agent puts the customer on hold, or takes the call up again."""
    return _changed(conversation, replace(_leg(conversation, user_id, "hold", "connected"), held=held))


def mute(conversation: Conversation, user_id: str, muted: bool) -> Conversation:
    """The agent's microphone goes off, or on again."""
    return _changed(conversation, replace(_leg(conversation, user_id, "mute", "connected"), muted=muted))


def transfer(conversation: Conversation, user_id: str, to: AgentName, new_id: NewId, now: datetime) -> Conversation:
    """The agent leaves, and the call rings at another one: a blind transfer."""
    leg = _not_consulting(conversation, _leg(conversation, user_id, "transfer", "connected"))
    target = _target(conversation, leg, to, new_id, now)
    return _changed(conversation, _end(leg, "transfer", now), target)


def previous_agent(conversation: Conversation, user_id: str) -> AgentName:
    """Who had the call before this agent. Raises CallStateError when nobody had."""
    leg = _leg(conversation, user_id, "transfer back", "connected")
    earlier = conversation.agents[: conversation.agents.index(leg)]
    for one in reversed(earlier):
        if one.user_id != user_id and one.connected is not None:
            return AgentName(one.user_id, one.name)
    raise CallStateError(f"cannot transfer conversation {conversation.id} back: {leg.name} is the first agent on it")


def consult(conversation: Conversation, user_id: str, to: AgentName, new_id: NewId, now: datetime) -> Conversation:
    """The agent asks another one, while the customer hears music: the first half of a consult transfer."""
    leg = _not_consulting(conversation, _leg(conversation, user_id, "consult", "connected"))
    target = replace(_target(conversation, leg, to, new_id, now), consult_participant_id=leg.id)
    asking = replace(leg, consult_participant_id=target.id, attributes={**leg.attributes, _INITIATOR: "true"})
    return _changed(conversation, asking, target, replace(conversation.customer, confined=True))


def speak_to(conversation: Conversation, user_id: str, listener: Listener) -> Conversation:
    """In a consult: the agent turns to the other agent, to the customer, or to both; who is left out hears music."""
    _, other = _consultation(conversation, user_id, "speak to somebody")
    customer = replace(conversation.customer, confined=listener == "agent")
    return _changed(conversation, customer, replace(other, confined=listener == "customer"))


def complete_consult(conversation: Conversation, user_id: str, now: datetime) -> Conversation:
    """The agent who asked leaves the call to the other one."""
    leg, other = _consultation(conversation, user_id, "complete the transfer")
    customer = replace(conversation.customer, confined=False)
    return _changed(conversation, _end(leg, "transfer.consult", now), _released(other), customer)


def cancel_consult(conversation: Conversation, user_id: str, now: datetime) -> Conversation:
    """The agent who asked sends the other one away and goes on with the customer."""
    leg, other = _consultation(conversation, user_id, "cancel the transfer")
    customer = replace(conversation.customer, confined=False)
    return _changed(conversation, _released(leg), _end(other, "peer", now), customer)


def disconnect(conversation: Conversation, user_id: str, now: datetime) -> Conversation:
    """The agent hangs up. The customer stays while another agent is there or rings, else that leg ends too."""
    leg = _leg(conversation, user_id, "hang up", "connected")
    others = [one for one in conversation.agents if one.is_live and one.id != leg.id]
    customer = conversation.customer
    if not others:
        return _changed(conversation, _end(leg, "client", now), _end(customer, "peer", now))
    released = [_released(one) for one in others if one.consult_participant_id == leg.id]
    customer = replace(customer, confined=customer.confined and not released)
    return _changed(conversation, _end(leg, "client", now), customer, *released)


def customer_left(conversation: Conversation, now: datetime) -> Conversation:
    """The trunk has seen the caller hang up: everybody's leg ends. The same conversation when it was over already."""
    customer = conversation.customer
    if not customer.is_live:
        return conversation
    agents = (_end(one, "peer", now) for one in conversation.agents if one.is_live)
    return _changed(conversation, _end(customer, "endpoint", now), *agents)


def wrap_up(conversation: Conversation, user_id: str) -> Conversation:
    """The agent has given the wrap-up code, and the interaction leaves that agent's desktop."""
    _leg(conversation, user_id, "wrap up", "disconnected")
    legs = conversation.legs(user_id, "disconnected")
    return _changed(conversation, *(replace(leg, state="terminated") for leg in legs))


def rename_caller(conversation: Conversation, ani_name: str) -> Conversation:
    """Something on the way, such as a caller name service, has changed the caller's name; ``""``: taken it away."""
    customer = conversation.customer
    return _changed(conversation, replace(customer, name=ani_name or customer.address, ani_name=ani_name))


def render_conversation(conversation: Conversation) -> Json:
    """The answer of ``conversations/{id}``."""
    return {
        "id": conversation.id,
        "startTime": _time(conversation.customer.started),
        "participants": [_render_rest(one) for one in conversation.participants],
    }


def render_event(conversation: Conversation) -> Json:
    """The body of a notification: always all participants, and no caller's name."""
    participants = [_render_notified(one) for one in conversation.participants]
    return {"id": conversation.id, "participants": participants, "recordingState": "active"}


_PASSED: Final[tuple[tuple[Purpose, str], ...]] = (("ivr", "Video visits"), ("acd", "Telehealth"))


def _alerting(agent: AgentName, new_id: NewId, now: datetime) -> Participant:
    return Participant(new_id(), new_id(), "agent", agent.name, "alerting", now, user_id=agent.user_id)


def _changed(conversation: Conversation, *changed: Participant) -> Conversation:
    """With these in the place of who they were, and newcomers at the end."""
    by_id = {one.id: one for one in changed}
    stayed = [by_id.pop(one.id, one) for one in conversation.participants]
    return replace(conversation, participants=(*stayed, *by_id.values()))


def _end(leg: Participant, disconnect_type: DisconnectType, now: datetime) -> Participant:
    return replace(leg, state="disconnected", disconnect_type=disconnect_type, ended=now)


def _released(leg: Participant) -> Participant:
    """An agent's leg when the consult is over."""
    kept = {name: value for name, value in leg.attributes.items() if name != _INITIATOR}
    return replace(leg, consult_participant_id=None, confined=False, attributes=kept)


def _leg(conversation: Conversation, user_id: str, what: str, *states: State) -> Participant:
    legs = conversation.legs(user_id, *states)
    if legs:
        return legs[-1]
    theirs = ", ".join(one.state for one in conversation.agents if one.user_id == user_id) or "none at all"
    remedy = "" if "alerting" in states else "; the agent has to answer first" if "connected" in states else ""
    raise CallStateError(
        f"cannot {what}: agent {user_id} has no {' or '.join(states)} leg on conversation {conversation.id}, "
        f"but {theirs}{remedy}"
    )


def _not_consulting(conversation: Conversation, leg: Participant) -> Participant:
    if leg.consult_participant_id is not None:
        raise CallStateError(
            f"{leg.name} is in a consult on conversation {conversation.id}; complete_consult or cancel_consult first"
        )
    return leg


def _target(conversation: Conversation, leg: Participant, to: AgentName, new_id: NewId, now: datetime) -> Participant:
    if conversation.legs(to.user_id, "alerting", "connected"):
        raise CallStateError(f"{to.name} is on conversation {conversation.id} already; choose another agent")
    if not conversation.customer.is_live:
        raise CallStateError(f"{leg.name} cannot transfer conversation {conversation.id}: the customer is gone")
    return _alerting(to, new_id, now)


def _consultation(conversation: Conversation, user_id: str, what: str) -> tuple[Participant, Participant]:
    """The leg of the agent who asked, and that of the one who was asked."""
    leg = _leg(conversation, user_id, what, "connected")
    if _INITIATOR in leg.attributes:
        for one in conversation.agents:
            if one.id == leg.consult_participant_id and one.is_live:
                return leg, one
    raise CallStateError(f"cannot {what}: {leg.name} consults nobody on conversation {conversation.id}; consult first")


def _caller_address(user: str) -> str:
    if _NUMBER.fullmatch(user):
        return f"tel:{user}"
    return f"sip:{user}" if "@" in user else f"sip:{user}@{CALLER_HOST}"


def _dialled_address(request_uri: str) -> str:
    """``tel:`` and the number; the URI itself when its user is none. Parameters such as tgrp are no part of either."""
    user = request_uri.partition(":")[2].partition("@")[0].partition(";")[0]
    return f"tel:{user}" if _NUMBER.fullmatch(user) else request_uri


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _times(one: Participant) -> Json:
    times = {"startTime": one.started, "connectedTime": one.connected, "endTime": one.ended}
    return {name: _time(moment) for name, moment in times.items() if moment is not None}


def _render_rest(one: Participant) -> Json:
    call: Json = {
        "id": one.call_id,
        "state": one.state,
        "direction": "inbound",
        "held": one.held,
        "muted": one.muted,
        "confined": one.confined,
        "disconnectType": one.disconnect_type,
    }
    shown: Json = {"id": one.id, "purpose": one.purpose, **_times(one), "name": one.name}
    shown |= {"attributes": dict(one.attributes), "calls": [call]}
    match one.purpose:
        case "customer":
            raw = one.address
            call["self"] = {"name": one.name, "nameRaw": one.name, "addressNormalized": raw, "addressRaw": raw}
            call["self"]["addressDisplayable"] = raw.partition(":")[2].partition("@")[0]
            call["other"] = {"name": "", "addressRaw": one.dnis}
            shown |= {"participantType": "External", "address": raw, "ani": raw, "dnis": one.dnis}
            if one.ani_name:
                shown["aniName"] = one.ani_name
        case "acd":
            shown |= {"participantType": "Internal", "queueId": QUEUE}
        case "agent":
            shown |= {"participantType": "Internal", "userId": one.user_id, "queueId": QUEUE}
            shown |= {"wrapupRequired": True, "wrapupPrompt": "mandatory"}
            shown["consultParticipantId"] = one.consult_participant_id
        case "ivr":
            shown["participantType"] = "Internal"
    return shown


def _render_notified(one: Participant) -> Json:
    shown: Json = {
        "id": one.id,
        "name": one.name,
        **_times(one),
        "purpose": one.purpose,
        "state": one.state,
        "initialState": "alerting" if one.purpose == "agent" else "connected",
        "direction": "inbound",
        "held": one.held,
        "muted": one.muted,
        "confined": one.confined,
        "recording": one.purpose == "customer",
        "recordingState": "active" if one.purpose == "customer" else "none",
        "securePause": False,
        "wrapupRequired": one.purpose == "agent",
        "attributes": dict(one.attributes),
    }
    further = {
        "disconnectType": one.disconnect_type,
        "address": one.address,
        "ani": one.address,
        "dnis": one.dnis,
        "user": {"id": one.user_id} if one.user_id else None,
        "queue": {"id": QUEUE} if one.purpose in {"acd", "agent"} else None,
        "wrapupPrompt": "mandatory" if one.purpose == "agent" else None,
        "consultParticipantId": one.consult_participant_id,
    }
    return shown | {name: value for name, value in further.items() if value}

"""The calls of the Genesys Cloud stand-in: from the trunk to an agent, and whatever an agent then does, on command.

Each call that the trunk answers becomes a conversation, which ``conversations/{id}`` shows to its agents and which every
change is told to them of. ``routes`` take the same commands over HTTP:

    GET  /lab/state
    POST /lab/conversations/ID/COMMAND    {"agent": "maria", "to": "tom"}    the arguments of the method of that name
    POST /lab/agents/AGENT/FAILURE        expire_token, deaf_channel, hearing_channel, drop_channel
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from inspect import isawaitable, signature
from typing import Any, Final, Protocol
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from policy_server.lab.genesys import conversations as model
from policy_server.lab.genesys.cloud import GenesysCloud
from policy_server.lab.genesys.conversations import (
    AgentName,
    CallStateError,
    Conversation,
    Json,
    Listener,
    NewId,
    render_conversation,
    render_event,
)
from policy_server.lab.sip.trunk import Answer, Invite


class Trunk(Protocol):
    """The contact centre's end of the SIP trunk, as far as calls need it."""

    @property
    def answer(self) -> Answer:
        """What it does with calls; those that it does not answer never get to Genesys."""

    def on_invite(self, callback: Callable[[Invite], None]) -> None:
        """Tells of each call that arrives."""

    def on_end(self, callback: Callable[[Invite], None]) -> None:
        """Tells of each call that the caller ends."""

    async def hang_up(self, call_id: str) -> None:
        """Ends a call: BYE."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _new_uuid() -> str:
    return str(uuid4())


class GenesysCalls:
    """The conversations of a stand-in. Belongs to the event loop of the trunk.

    Agents go by the words of ``GenesysCloud.agents``. A command raises LookupError for a conversation or an agent that
    is not there, and CallStateError for what the conversation does not allow as it is.
    """

    def __init__(
        self, cloud: GenesysCloud, trunk: Trunk, *, now: Callable[[], datetime] = _utc_now, new_id: NewId = _new_uuid
    ) -> None:
        self.cloud: Final = cloud
        self.copies = 1
        """How often each event is sent. Genesys repeats itself; 2 and more must change nothing."""
        self.ring_at = ""
        """The agent at whom calls ring; ``""``: the one with the fewest calls."""
        self._trunk: Final = trunk
        self._now: Final = now
        self._new_id: Final = new_id
        self._conversations: Final[dict[str, Conversation]] = {}
        self._changed: Final[list[Callable[[Conversation], None]]] = []
        self._commands: Final[Mapping[str, Callable[..., Any]]] = {
            command.__name__: command
            for command in (
                self.answer,
                self.hold,
                self.unhold,
                self.mute,
                self.unmute,
                self.transfer,
                self.transfer_back,
                self.consult,
                self.speak_to,
                self.complete_consult,
                self.cancel_consult,
                self.disconnect,
                self.wrap_up,
                self.rename_caller,
                self.repeat,
            )
        }
        self.routes: Final = (
            Route("/lab/state", self._get_state),
            Route("/lab/conversations/{id}/{command}", self._post_command, methods=["POST"]),
            Route("/lab/agents/{agent}/{failure}", self._post_failure, methods=["POST"]),
        )
        trunk.on_invite(self._arrive)
        trunk.on_end(self._caller_hung_up)

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """All of them as they are now, in the order of their arrival."""
        return tuple(self._conversations.values())

    def conversation(self, conversation_id: str) -> Conversation:
        """One of them. Raises LookupError."""
        if conversation_id not in self._conversations:
            known = ", ".join(self._conversations) or "none yet"
            raise LookupError(f"there is no conversation {conversation_id!r}; the conversations are: {known}")
        return self._conversations[conversation_id]

    def on_change(self, callback: Callable[[Conversation], None]) -> None:
        """Tells of each conversation that begins or changes, after its agents were told."""
        self._changed.append(callback)

    def answer(self, conversation_id: str, agent: str) -> None:
        """The agent takes the call that rings."""
        self._put(model.answer(self.conversation(conversation_id), self._user_id(agent), self._now()))

    def hold(self, conversation_id: str, agent: str) -> None:
        """The agent puts the customer on hold."""
        self._put(model.hold(self.conversation(conversation_id), self._user_id(agent), True))

    def unhold(self, conversation_id: str, agent: str) -> None:
        """The agent takes the call up again."""
        self._put(model.hold(self.conversation(conversation_id), self._user_id(agent), False))

    def mute(self, conversation_id: str, agent: str) -> None:
        """The agent's microphone goes off."""
        self._put(model.mute(self.conversation(conversation_id), self._user_id(agent), True))

    def unmute(self, conversation_id: str, agent: str) -> None:
        """The agent's microphone goes on."""
        self._put(model.mute(self.conversation(conversation_id), self._user_id(agent), False))

    def transfer(self, conversation_id: str, agent: str, to: str) -> None:
        """The agent leaves, and the call rings at another."""
        self._transfer(conversation_id, agent, self._name(to))

    def transfer_back(self, conversation_id: str, agent: str) -> None:
        """The agent leaves, and the call rings at the one who had it before."""
        previous = model.previous_agent(self.conversation(conversation_id), self._user_id(agent))
        self._transfer(conversation_id, agent, previous)

    def consult(self, conversation_id: str, agent: str, to: str) -> None:
        """The agent asks another, while the customer hears music."""
        there = self.conversation(conversation_id)
        self._put(model.consult(there, self._user_id(agent), self._name(to), self._new_id, self._now()))

    def speak_to(self, conversation_id: str, agent: str, listener: Listener) -> None:
        """The agent who consults turns to the other ``agent``, to the ``customer``, or to ``both``."""
        if listener not in {"agent", "customer", "both"}:
            raise CallStateError(f"listener must be agent, customer or both, but is {listener!r}")
        self._put(model.speak_to(self.conversation(conversation_id), self._user_id(agent), listener))

    def complete_consult(self, conversation_id: str, agent: str) -> None:
        """The agent who consulted leaves the call to the other."""
        self._put(model.complete_consult(self.conversation(conversation_id), self._user_id(agent), self._now()))

    def cancel_consult(self, conversation_id: str, agent: str) -> None:
        """The agent who consulted sends the other away."""
        self._put(model.cancel_consult(self.conversation(conversation_id), self._user_id(agent), self._now()))

    async def disconnect(self, conversation_id: str, agent: str) -> None:
        """The agent hangs up; the trunk sends BYE when no other agent is on the call. Raises what the trunk raises."""
        after = model.disconnect(self.conversation(conversation_id), self._user_id(agent), self._now())
        self._put(after)
        if not after.customer.is_live:
            await self._trunk.hang_up(after.sip_call_id)

    def wrap_up(self, conversation_id: str, agent: str) -> None:
        """The agent has given the wrap-up code."""
        self._put(model.wrap_up(self.conversation(conversation_id), self._user_id(agent)))

    def rename_caller(self, conversation_id: str, ani_name: str) -> None:
        """The caller's name is another one on its way to the agent; ``""``: there is none."""
        self._put(model.rename_caller(self.conversation(conversation_id), ani_name))

    def repeat(self, conversation_id: str) -> None:
        """Tells everybody once more what they know."""
        self._publish(self.conversation(conversation_id))

    async def command(self, conversation_id: str, name: str, arguments: Mapping[str, Any]) -> None:
        """A command by name. Raises LookupError too for a command that there is not, TypeError for wrong arguments."""
        if name not in self._commands:
            raise LookupError(f"there is no command {name!r}; the commands are {', '.join(self._commands)}")
        command = self._commands[name]
        wrong = [argument for argument, value in arguments.items() if not isinstance(value, str)]
        if wrong:
            raise TypeError(f"{name}: {', '.join(wrong)} must be text")
        try:
            bound = signature(command).bind(conversation_id, **arguments)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
        result = command(*bound.args)
        if isawaitable(result):
            await result

    def _arrive(self, invite: Invite) -> None:
        if self._trunk.answer is not Answer.ANSWER:
            return
        agent = self._name(self.ring_at or min(self.cloud.agents, key=self._calls_of))
        self._put(
            model.arrive(
                invite.request_uri,
                invite.from_display_name,
                invite.from_user,
                invite.call_id,
                agent,
                self._new_id,
                self._now(),
            )
        )

    def _caller_hung_up(self, invite: Invite) -> None:
        for conversation in self.conversations:
            if conversation.sip_call_id == invite.call_id:
                after = model.customer_left(conversation, self._now())
                if after is not conversation:
                    self._put(after)

    def _transfer(self, conversation_id: str, agent: str, to: AgentName) -> None:
        there = self.conversation(conversation_id)
        self._put(model.transfer(there, self._user_id(agent), to, self._new_id, self._now()))

    def _put(self, conversation: Conversation) -> None:
        self._conversations[conversation.id] = conversation
        # First what can be asked for, then the news of it: who is told asks at once.
        self.cloud.conversations[conversation.id] = render_conversation(conversation)["participants"]
        for _ in range(self.copies):
            self._publish(conversation)
        for callback in self._changed:
            callback(conversation)

    def _publish(self, conversation: Conversation) -> None:
        for user_id in dict.fromkeys(one.user_id for one in conversation.agents):
            self.cloud.channels.publish(user_id, render_event(conversation))

    def _user_id(self, agent: str) -> str:
        return self.cloud.agent(agent).id

    def _name(self, agent: str) -> AgentName:
        user = self.cloud.agent(agent)
        return AgentName(user.id, user.name)

    def _calls_of(self, agent: str) -> int:
        user_id = self._user_id(agent)
        return sum(bool(each.legs(user_id, "alerting", "connected")) for each in self.conversations)

    async def _get_state(self, _: Request) -> Response:
        cloud = self.cloud
        agents = [
            {"agent": agent, "id": user.id, "name": user.name, "listening": cloud.channels.is_listening(user.id)}
            for agent, user in cloud.agents.items()
        ]
        return JSONResponse({"agents": agents, "conversations": list(map(render_conversation, self.conversations))})

    async def _post_command(self, request: Request) -> Response:
        try:
            arguments = json.loads(await request.body() or b"{}")
            if not isinstance(arguments, dict):
                return _refuse(400, 'the body must be a JSON object, such as {"agent": "maria"}')
            await self.command(request.path_params["id"], request.path_params["command"], arguments)
        except LookupError as error:
            return _refuse(404, str(error))
        except CallStateError as error:
            return _refuse(409, str(error))
        except (TypeError, ValueError) as error:
            return _refuse(400, str(error))
        return JSONResponse(render_conversation(self.conversation(request.path_params["id"])))

    async def _post_failure(self, request: Request) -> Response:
        agent, failure = request.path_params["agent"], request.path_params["failure"]
        failures: Mapping[str, Callable[[str], None]] = {
            "expire_token": self.cloud.expire_token,
            "deaf_channel": self.cloud.deaf_channel,
            "hearing_channel": lambda who: self.cloud.deaf_channel(who, False),
            "drop_channel": self.cloud.drop_channel,
        }
        if failure not in failures:
            return _refuse(404, f"there is no failure {failure!r}; the failures are {', '.join(failures)}")
        try:
            failures[failure](agent)
        except LookupError as error:
            return _refuse(404, str(error))
        return Response(status_code=204)


def _refuse(status: int, error: str) -> Response:
    answer: Json = {"error": error}
    return JSONResponse(answer, status)

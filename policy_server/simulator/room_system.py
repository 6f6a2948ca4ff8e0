"""The call of a room system or a kiosk: no link leads to it, and no call id; whoever dials an alias gets a room."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from policy_server.pexip.request_types import RequestType
from policy_server.simulator.events import room_system
from policy_server.simulator.node import room_system_question, service_fields
from policy_server.simulator.scenes import Scenes, part
from policy_server.simulator.steps import Cast, Check, LeftOut, Step
from policy_server.simulator.transfers import Course

Protocol = Literal["sip", "h323"]


@dataclass(frozen=True, slots=True)
class Dialled:
    """Who dials what: ``parameters`` are those of the room system's questions that are not as usual."""

    protocol: Protocol
    alias: str
    name: str
    parameters: Mapping[str, str]

    @property
    def question(self) -> Mapping[str, str]:
        """The parameters that its questions share."""
        return room_system_question(self.protocol, self.alias, self.name, **self.parameters)


async def play_room_system(cast: Cast, dialled: Dialled) -> AsyncIterator[Step | LeftOut]:
    """A room system that gets in, the leg to the contact centre, the agent, and how they part.

    Ends when a request gets no answer at all, and when the room system gets no room.
    """
    call = _Call(cast, dialled)
    for scene in (call.enter, call.dial, call.find, call.assist, call.hang_up, call.look_back):
        async for step in scene():
            yield step
            if isinstance(step, Step) and step.exchange.unreachable:
                return
        if not call.service:
            return


class _Call(Scenes):
    """The call of a room system: its scenes, in the order of ``play_room_system``."""

    def __init__(self, cast: Cast, dialled: Dialled) -> None:
        super().__init__(cast)
        self._dialled: Final = dialled

    async def enter(self) -> AsyncIterator[Step | LeftOut]:
        """The room system dials, and gets into the room."""
        node, dialled = self.cast.node, self._dialled
        course = Course(dialled.question)
        steps, title, exchange, checks = await self.come(
            course, f"A room system ({dialled.protocol}) dials {dialled.alias}: which service is that alias?"
        )
        for step in steps:
            yield step
        yield Step(title, exchange, tuple(checks))
        if not self.service:
            return
        # Who is asked for a PIN has no role before it (pexip/README.md: Example questions).
        known = {} if self.service.get("pin") else {"preauthenticated_role": "chair"}
        in_room = {**course.question, **service_fields(self.service)}
        exchange = await node.ask(RequestType.PARTICIPANT, {**in_room, "participant_type": "standard", **known})
        role = exchange.result.get("preauthenticated_role") or known.get("preauthenticated_role")
        may_join = Check(
            exchange.verdict.outcome in {"continue", "properties"},
            "the room system may join" + (", and is not asked for a PIN" if role else " when it has given a PIN"),
        )
        yield Step("The room system joins: any changes to the participant?", exchange, (may_join,))
        exchange = await node.ask(RequestType.LOCATION, {**in_room, "proxy_node_address": ""})
        yield Step("Where shall the room system's media go?", exchange, ())
        caller = room_system(course.question, str(role or "guest"))
        async for each in self.arrive("The node reports the room system", caller):
            yield each

    async def find(self) -> AsyncIterator[Step | LeftOut]:
        """The agent finds the room by the From of its leg, through the conversation."""
        agent = self.cast.agent
        if isinstance(agent, LeftOut):
            yield agent
        if isinstance(agent, LeftOut) or not self.legs:
            return
        exchange, checks = await self.look_up(agent, "")
        checks.append(Check(bool(self._agents_alias), "and an alias to join by"))
        checks += self.state_checks("room system")
        yield Step("The agent's widget looks the room up", exchange, tuple(checks))

    async def assist(self) -> AsyncIterator[Step | LeftOut]:
        """The agent joins by video, through the alias that the lookup gave."""
        if self._agents_alias:
            async for each in self.join(self._agents_alias):
                yield each

    @property
    def _agents_alias(self) -> str:
        alias = part(self.found, "join").get("alias")
        return alias if isinstance(alias, str) else ""

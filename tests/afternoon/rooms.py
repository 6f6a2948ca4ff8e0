"""A room that runs on a Conferencing Node of the bank: what the node asks and tells of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from policy_server.pexip.request_types import RequestType
from policy_server.simulator.events import Message, Participant, Reporter, bulk, trunk_leg
from policy_server.simulator.node import dial_out_question, service_fields
from tests.afternoon.bank import Bank

RINGS: Final[Mapping[str, object]] = {"service_type": "connecting", "connect_time": None, "has_media": False}
"""What a node tells of a leg that nobody has answered."""

_NUMBERS: Final = count(1)


@dataclass(frozen=True, slots=True)
class Node:
    """A Conferencing Node, and what every question and message of it says."""

    address: str
    location: str

    @property
    def fields(self) -> dict[str, str]:
        """What its questions say."""
        return {"node_ip": self.address, "location": self.location}

    def says(self, message: Message) -> Message:
        """A message as this node tells it."""
        data = dict(message["data"])  # type: ignore[call-overload]
        own = {"media_node": self.address, "signalling_node": self.address, "system_location": self.location}
        data.update({name: value for name, value in own.items() if name in data})
        return {**message, "node": self.address, "data": data}


ZURICH: Final = Node("10.144.101.21", "Zurich DMZ")
ZURICH_2: Final = Node("10.144.101.22", "Zurich DMZ")
BRANCHES: Final = Node("10.20.0.21", "Branches")
TICINO: Final = Node("10.20.31.21", "Ticino")


class Room:
    """A room of a service that was answered."""

    def __init__(self, bank: Bank, node: Node, service: Mapping[str, Any]) -> None:
        self.node: Final = node
        self.service: Final = service
        self.name: Final = str(service["name"])
        self._bank: Final = bank
        # Copies of a message are told by its number: rooms have numbers of their own.
        self._reporter: Final = Reporter(service, bank.clock, next(_NUMBERS) * 1000)
        self._there: Final[dict[str, Participant]] = {}

    async def let_in(self, question: Mapping[str, str], halves: tuple[tuple[str, str], ...], role: str) -> None:
        """The node asks what it asks when somebody comes in: of each half (type and protocol), and where media goes."""
        about = {**question, **service_fields(self.service)}
        for participant_type, protocol in halves:
            fields = {
                **about,
                "participant_type": participant_type,
                "protocol": protocol,
                "preauthenticated_role": role,
            }
            await self._bank.ask(RequestType.PARTICIPANT, fields)
        await self._bank.ask(RequestType.LOCATION, {**about, "protocol": halves[-1][1], "proxy_node_address": ""})

    async def begin(self, *who: Participant) -> None:
        """It starts, and somebody connects."""
        self._bank.management.begins(self.name, self.service, self._bank.clock())
        await self._tell(self._reporter.started(), *self._coming(who))

    async def come(self, *who: Participant) -> None:
        """Somebody connects."""
        await self._tell(*self._coming(who))

    async def ring(self, leg: Mapping[str, object]) -> Participant:
        """A leg is dialled, and rings."""
        answered = await self._bank.ask(
            RequestType.SERVICE, {**dial_out_question(leg, self.service), **self.node.fields}
        )
        if answered.result.get("name") != self.name:
            self._bank.faults.append(f"a leg of {self.name} is not for that room")
        called = trunk_leg(leg)
        ringing = Participant({**called.data, **RINGS}, called.uuid)
        self._there[called.uuid] = ringing
        self._bank.management.comes(self.name, called.uuid, ringing.data, None)
        await self._tell(self._reporter.connected(ringing))
        return called

    async def answer(self, called: Participant) -> None:
        """The leg is answered."""
        self._bank.management.comes(self.name, called.uuid, called.data, self._bank.clock())
        self._there[called.uuid] = called
        await self._tell({**self._reporter.connected(called), "event": "participant_updated"})

    async def go(self, reason: str, *who: Participant) -> None:
        """Some leave."""
        await self._tell(*self._going(who, reason))

    async def end(self, reason: str) -> None:
        """All others leave, and it is over."""
        going = self._going(list(self._there.values()), reason)
        self._bank.management.ends(self.name)
        await self._tell(*going, self._reporter.ended())

    def _coming(self, who: Sequence[Participant]) -> list[Message]:
        for each in who:
            self._there[each.uuid] = each
            self._bank.management.comes(self.name, each.uuid, each.data, self._bank.clock())
        return [self._reporter.connected(each) for each in who]

    def _going(self, who: Sequence[Participant], reason: str) -> list[Message]:
        for each in who:
            self._bank.management.goes(each.uuid)
        return [self._reporter.disconnected(self._there.pop(each.uuid), reason) for each in who]

    async def _tell(self, *messages: Message) -> None:
        said = [self.node.says(message) for message in messages]
        await self._bank.tell(said[0] if len(said) == 1 else bulk(said))

"""What customers of the bank do in an afternoon. Each course yields the seconds until it goes on."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final

from policy_server.pexip.request_types import RequestType
from policy_server.simulator.doors import is_room
from policy_server.simulator.events import Participant, browser, room_system
from policy_server.simulator.node import room_system_question, web_question
from policy_server.simulator.scenes import part, shown_caller
from policy_server.simulator.transfers import Course
from tests.afternoon.bank import Bank
from tests.afternoon.rooms import ZURICH, Node, Room

Steps = AsyncGenerator[float, None]

BROWSER: Final = (("api", "api"), ("standard", "webrtc"))
"""The halves of somebody in a browser: type of participant and protocol."""
ROOM_SYSTEM: Final = (("standard", "sip"),)

HUNG_UP: Final = "Call disconnected"
ENDED: Final = "API initiated conference termination"


class Fate(Enum):
    """What becomes of a visit."""

    ANSWERED = auto()
    BUSY_FIRST = auto()
    """The first number is busy, and the next one answers."""
    BUSY = auto()
    """The number is busy, and there is no other."""
    NOBODY = auto()
    """Genesys takes the call, and no agent does."""
    LEFT = auto()
    """The customer leaves before anybody can come."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A customer: from where, with what."""

    name: str
    address: str
    vendor: str
    node: Node = ZURICH

    def question(self, alias: str) -> dict[str, str]:
        """What a node asks for their browser."""
        own = {"remote_address": self.address, "vendor": self.vendor}
        return web_question(alias, self.name, **own, **self.node.fields)


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit. ``kind`` is the type of its link, with ``attributes``; times are seconds, and ``wait`` that for an agent who is
    on the phone. ``interpreter`` is somebody who joins, with a link of their own.
    """

    kind: str
    guest: Guest
    agent: str
    attributes: Mapping[str, str]
    fate: Fate = Fate.ANSWERED
    rings: float = 5
    wait: float = 15
    talk: float = 300
    interpreter: Guest | None = None
    further: Mapping[str, object] = field(default_factory=dict)
    """What else is said when the link is made."""

    async def play(self, bank: Bank) -> Steps:
        """From the link to the last hang-up."""
        link = await bank.link(self.kind, self.guest.name, self.attributes, **self.further)
        joining = await self._second_link(bank, link)
        yield 45
        await bank.follow(link)
        yield 3
        course = Course(self.guest.question(str(link["alias"])))
        answer = await bank.ask(RequestType.SERVICE, course.question)
        while course.goes_on(answer.result):
            yield 9
            answer = await bank.ask(RequestType.SERVICE, course.question)
        if not is_room(answer):
            bank.faults.append(f"{self.guest.name} came into no room")
            return
        room = Room(bank, self.guest.node, answer.result)
        await room.let_in(course.question, BROWSER, "guest")
        yield 1
        await room.begin(*browser(self.guest.name, course.question["local_alias"], "guest"))
        async for seconds in self._go_on(bank, room, joining):
            yield seconds

    async def _second_link(self, bank: Bank, link: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.interpreter is None:
            return {}
        wanted = {"speaks": "Portuguese"}
        return await bank.link("interpreter", self.interpreter.name, wanted, joins=link["call"])

    async def _go_on(self, bank: Bank, room: Room, joining: Mapping[str, Any]) -> Steps:
        """What happens when the customer is in the room."""
        if self.fate is Fate.LEFT:
            yield 7
            await room.end("Browser closed")
            return
        yield 10
        (leg,) = room.service["automatic_participants"]
        called = await room.ring(leg)
        if self.fate in {Fate.BUSY_FIRST, Fate.BUSY}:
            yield 1.4
            await room.go("User busy", called)
            if self.fate is Fate.BUSY:
                yield 48
                await room.end("User initiated disconnect")
                return
            yield 2.2
            command = bank.told_to_dial(str(leg["local_alias"]))
            leg = {**leg, **command, "remote_alias": command["destination"]}
            yield 0.4
            called = await room.ring(leg)
        yield self.rings
        await room.answer(called)
        if self.fate is Fate.NOBODY:
            yield 214
            await room.end("User initiated disconnect")
            return
        yield self.wait
        await helped(bank, room, leg, self.agent)
        left = self.talk
        if self.interpreter is not None:
            yield 95
            left -= 95
            await _joins(bank, room, self.interpreter, str(joining["alias"]))
        yield left
        await room.go(HUNG_UP, called)
        yield 1.6
        await room.end(ENDED)


async def _joins(bank: Bank, room: Room, guest: Guest, alias: str) -> None:
    """An interpreter comes into the room of a visit."""
    question = guest.question(alias)
    answer = await bank.ask(RequestType.SERVICE, question)
    if answer.result.get("name") != room.name:
        bank.faults.append(f"{guest.name} came into another room")
    await room.let_in(question, BROWSER, "guest")
    await room.come(*browser(guest.name, alias, "guest"))


async def helped(bank: Bank, room: Room, leg: Mapping[str, object], agent: str) -> None:
    """An agent answers on the phone, and the widget finds the room and joins."""
    caller = shown_caller(leg)
    path = caller[1].removeprefix("sip:").partition("@")[0]
    found = await bank.look_up(agent, caller, str(leg["remote_alias"]), path)
    alias = str(part(found, "join").get("alias"))
    question = web_question(alias, agent, remote_address="10.30.4.17", **room.node.fields)
    answer = await bank.ask(RequestType.SERVICE, question)
    if answer.result.get("name") != room.name:
        bank.faults.append(f"{agent} came into another room")
    await room.let_in(question, BROWSER, "chair")
    await room.come(*browser(agent, alias, "chair"))


@dataclass(frozen=True, slots=True)
class Kiosk:
    """A screen in a branch that dials an adviser, or hears that the branch is closed."""

    name: str
    address: str
    node: Node
    agent: str
    talk: float = 240

    async def play(self, bank: Bank) -> Steps:
        """From the call to the last hang-up."""
        here = f"sip:{self.name}@bank.example.com"
        question = room_system_question(
            "sip",
            "sip:advisor@bank.example.com",
            self.name,
            remote_alias=here,
            remote_address=self.address,
            registered="True",
            **self.node.fields,
        )
        answer = await bank.ask(RequestType.SERVICE, question)
        if not is_room(answer):
            return
        room = Room(bank, self.node, answer.result)
        await room.let_in(question, ROOM_SYSTEM, "guest")
        yield 1
        await room.begin(room_system(question, "guest"))
        yield 10
        (leg,) = room.service["automatic_participants"]
        called: Participant = await room.ring(leg)
        yield 4
        await room.answer(called)
        yield 12
        await helped(bank, room, leg, self.agent)
        yield self.talk
        await room.go(HUNG_UP, called)
        yield 2
        await room.end(ENDED)


async def too_late(bank: Bank, guest: Guest) -> Steps:
    """Somebody opens a link that is over, and dials its alias all the same."""
    link = await bank.link("help", guest.name, {"language": "fr"}, ttl="30m")
    yield timedelta(minutes=41).total_seconds()
    await bank.follow(link, 410)
    yield 20
    await bank.ask(RequestType.SERVICE, guest.question(str(link["alias"])))


async def asked(bank: Bank, question: RequestType, fields: Mapping[str, str], alias: str = "") -> Steps:
    """A node asks something that is no visit."""
    await bank.ask(question, fields, alias=alias)
    yield 0

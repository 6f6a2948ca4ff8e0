"""What the calls of customers with a link and of room systems have in common when they are played: legs, agent, hang-up."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final
from urllib.parse import quote

from policy_server.pexip.field_facts import DOOR_FIELDS
from policy_server.pexip.request_types import RequestType
from policy_server.policy.services import LEGS
from policy_server.simulator.doors import is_room, led_on, told_instead
from policy_server.simulator.events import Message, Participant, Reporter, browser, bulk, trunk_leg
from policy_server.simulator.exchange import Caller, Exchange
from policy_server.simulator.node import NODE_ADDRESS, Judged, dial_out_question, web_question
from policy_server.simulator.steps import AGENT, Agent, Cast, Check, LeftOut, Step
from policy_server.simulator.transfers import Course

EVENTS: Final = "/events/v1/pexip"
LOOKUPS: Final = "/agent/v1/conferences"

_FOUND_BY: Final = {
    "ani": "by the address that Genesys Cloud shows of the caller (ani)",
    "aniName": "by the name that Genesys Cloud shows of the caller (aniName)",
}

_MAY_DIFFER: Final = DOOR_FIELDS | {LEGS}
"""What answers for one conference may differ in: the door, and the list that is read when the room starts."""


class Scenes:
    """A call while it is played: the scenes that all calls have, and what was found out so far."""

    def __init__(self, cast: Cast) -> None:
        self.cast: Final = cast
        self.service: Mapping[str, object] = {}
        self.legs: list[Mapping[str, object]] = []
        self.news: _News | None = None
        self.lookup: tuple[str, str] | None = None
        self.found: Mapping[str, object] = {}

    async def come(self, course: Course, title: str) -> tuple[list[Step], str, Judged, list[Check]]:
        """Somebody dials an alias, and perhaps hears playlists first: the steps of these, then the title of the last
        question, its answer, and whether that is a room which calls the contact centre.
        """
        steps, title, exchange = await led_on(self.cast.node, course, title)
        self.service = exchange.result if is_room(exchange) else {}
        self.legs = _legs(self.service)
        instead = told_instead(exchange, course)
        checks = [
            Check(
                bool(self.service),
                f"a meeting room, but the door is closed: {instead}" if instead else "a meeting room",
            ),
            Check(len(self.legs) > 0, "with the contact centre's number as automatic participant"),
        ]
        return steps, title, exchange, checks

    async def arrive(self, title: str, *who: Participant) -> AsyncIterator[Step | LeftOut]:
        """The node reports that the conference starts, and who came first."""
        if isinstance(self.cast.sink, LeftOut):
            yield self.cast.sink
            return
        # The milliseconds of this moment, so that another call has other numbers.
        first = int(self.cast.clock().timestamp() * 1000)
        news = self.news = _News(self.cast.sink, Reporter(self.service, self.cast.clock, first))
        yield await news.report("The node reports that the conference starts", news.reporter.started())
        yield await news.connect(title, *who)

    async def dial(self) -> AsyncIterator[Step | LeftOut]:
        """The room dials the contact centre, which answers."""
        for leg in self.legs:
            question = dial_out_question(leg, self.service)
            exchange = await self.cast.node.ask(RequestType.SERVICE, question, running=self.service)
            yield Step(
                f"Ten seconds later the room dials {leg.get('remote_alias')}: which service is that?",
                exchange,
                (Check(_same(self.service, exchange.result), "the same room"),),
            )
            if self.news is not None:
                title = "The node reports that the contact centre has answered"
                yield await self.news.connect(title, trunk_leg(leg), reason="Call disconnected")

    async def look_up(self, agent: Agent, call: str) -> tuple[Exchange, list[Check]]:
        """The agent has taken the call, and the widget looks the conference up by what Genesys Cloud shows of the caller: the
        call id, where a name or an address has it, else the address.
        """
        leg = next((leg for leg in self.legs if leg.get("protocol") == "sip"), self.legs[0])
        name, address = shown_caller(leg)
        conversation = agent.genesys.connect(name, str(leg.get("remote_alias")), agent.user, address)
        user = address.removeprefix("sip:").partition("@")[0]
        caller = next((each for each in (user, name) if call in each), name)
        self.lookup = f"{LOOKUPS}/{quote(caller, safe='')}", f"conversation={conversation}"
        exchange = await agent.widget.send("GET", *self.lookup)
        found = self.found = exchange.fields
        by = _FOUND_BY.get(str(found.get("found_by")), "by what Genesys Cloud shows of the caller")
        is_this = bool(found) and found.get("call") == (call or None)
        return exchange, [
            Check(exchange.status == 200, "the conference is found"),
            Check(is_this, by),
            Check(found.get("name") == self.service.get("name"), "with the room's name"),
            Check(
                bool(found) and self.pin_found == (self.service.get("pin") or None), "its host PIN for the agent alone"
            ),
        ]

    @property
    def pin_found(self) -> object:
        """The PIN that the agent's lookup gave."""
        return part(self.found, "join").get("pin")

    def state_checks(self, who: str) -> Iterable[Check]:
        """What the lookup says of a call that runs, where the server was told of it; ``who`` called."""
        if self.news is None:
            return ()
        return (
            Check(self.found.get("state") == "active", "it is active"),
            Check(part(self.found, "customer").get("is_present") is True, f"the {who} is there"),
            Check(part(self.found, "trunk_leg").get("state") == "connected", "the contact centre's leg is up"),
        )

    async def join(self, alias: str) -> AsyncIterator[Step | LeftOut]:
        """The agent joins by video, through an alias."""
        exchange = await self.cast.node.ask(RequestType.SERVICE, web_question(alias, f"Agent: {AGENT}"))
        room = exchange.result
        checks = [
            Check(_same(self.service, room), "the same room"),
            Check(bool(room) and room.get("pin") == self.service.get("pin"), "with the same host PIN"),
            Check(bool(room) and not _legs(room), "and nobody to dial"),
        ]
        if self.lookup is not None:
            is_told = bool(room) and (room.get("pin") or None) == self.pin_found
            checks.append(Check(is_told, "the lookup gave that PIN"))
        yield Step("The agent's widget joins by video: which service is the agent's alias?", exchange, tuple(checks))
        if self.news is not None and room:
            halves = browser(f"Agent: {AGENT}", alias, "chair")
            yield await self.news.connect("The node reports the agent", *halves)

    async def hang_up(self) -> AsyncIterator[Step | LeftOut]:
        """They hang up."""
        if self.news is not None:
            yield await self.news.part("They hang up, and the node reports that all are gone")
            ended = self.news.reporter.ended()
            yield await self.news.report("The node reports that the conference is over", ended)

    async def look_back(self) -> AsyncIterator[Step | LeftOut]:
        """What agents are told when the call is over."""
        agent = self.cast.agent
        if self.news is None or isinstance(agent, LeftOut) or self.lookup is None:
            return
        exchange = await agent.widget.send("GET", *self.lookup)
        found = exchange.fields
        kinds = {line.get("kind") for line in _parts(found, "timeline")}
        people = _parts(found, "participants")
        told = {"conference_started", "joined", "trunk_answered", "left", "trunk_ended", "conference_ended"}
        checks = [
            Check(found.get("state") == "ended", "it is ended"),
            Check(bool(people) and not any(one.get("is_present") for one in people), "nobody is there"),
            Check(part(found, "trunk_leg").get("state") == "ended", "the contact centre's leg is down"),
            Check(told <= kinds, "and its timeline tells it from the start to the end"),
        ]
        yield Step("The agent's widget looks the conference up again", exchange, tuple(checks))


def shown_caller(leg: Mapping[str, object]) -> tuple[str, str]:
    """What Genesys Cloud shows of a leg's caller: ``aniName`` and ``ani`` (genesys/README.md: How the widget finds the
    conference).
    """
    sender = str(leg.get("local_alias", ""))
    address = f"sip:{sender}" if "@" in sender else f"sip:{sender}@{NODE_ADDRESS}"
    return str(leg.get("local_display_name") or sender), address


class _News:
    """What the node reports to the event sink, and who is there by that."""

    def __init__(self, sink: Caller, reporter: Reporter) -> None:
        self.reporter: Final = reporter
        self._sink: Final = sink
        self._there: Final[list[tuple[Participant, str]]] = []

    async def report(self, title: str, *messages: Message) -> Step:
        """Sends one message, or several in bulk."""
        body = messages[0] if len(messages) == 1 else bulk(messages)
        exchange = await self._sink.send("POST", EVENTS, body=body)
        return Step(title, exchange, (Check(exchange.status == 200, "it is taken and need not be sent again"),))

    async def connect(self, title: str, *who: Participant, reason: str = "User initiated disconnect") -> Step:
        """Participants come, who will go for ``reason``."""
        self._there.extend((one, reason) for one in who)
        return await self.report(title, *map(self.reporter.connected, who))

    async def part(self, title: str) -> Step:
        """All go."""
        return await self.report(title, *(self.reporter.disconnected(who, reason) for who, reason in self._there))


def part(value: Mapping[str, object], key: str) -> Mapping[str, object]:
    """An object in a JSON object, ``{}`` where there is none."""
    part = value.get(key)
    return part if isinstance(part, dict) else {}


def _parts(value: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    """The objects of a list in a JSON object."""
    parts = value.get(key)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _legs(service: Mapping[str, object]) -> list[Mapping[str, object]]:
    return _parts(service, "automatic_participants")


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return bool(one) and all(one.get(field) == other.get(field) for field in {*one, *other} if field not in _MAY_DIFFER)

"""One customer's call from the link to the hang-up, each answer judged and checked against what the call needs."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import quote, unquote

from policy_server.conferences.holding import LEGS
from policy_server.pexip.field_facts import DOOR_FIELDS
from policy_server.pexip.request_types import RequestType
from policy_server.policy.doors import guest_pin_of
from policy_server.policy.link_attributes import completed
from policy_server.policy.links import CustomerLink, web_app_url
from policy_server.policy.ruleset import LinkType
from policy_server.simulator.doors import (
    LINKS,
    after_playing,
    is_room,
    leads_on,
    link_checks,
    make_link,
    told_instead,
)
from policy_server.simulator.events import Message, Participant, Reporter, browser, bulk, trunk_leg
from policy_server.simulator.exchange import Caller, Exchange
from policy_server.simulator.node import NODE_ADDRESS, dial_out_question, service_fields, web_question
from policy_server.simulator.steps import AGENT, Cast, Check, LeftOut, Script, Step
from policy_server.simulator.transfers import Course

EVENTS: Final = "/events/v1/pexip"
LOOKUPS: Final = "/agent/v1/conferences"

_FOUND: Final = "by what Genesys Cloud shows of the caller"
_FOUND_BY: Final = {
    "ani": "by the address that Genesys Cloud shows of the caller (ani)",
    "aniName": "by the name that Genesys Cloud shows of the caller (aniName)",
}

_MAY_DIFFER: Final = DOOR_FIELDS | {LEGS}
"""What answers for one conference may differ in: the door, and the list that is read when the room starts."""


async def play_call(cast: Cast, script: Script) -> AsyncIterator[Step | LeftOut]:
    """A customer who gets in, the leg to the contact centre, the agent, and how they part.

    Ends when a request gets no answer at all, and when the customer gets no room.
    """
    call = _Call(cast, script)
    for scene in (call.prepare, call.enter, call.dial, call.find, call.assist, call.part, call.look_back):
        async for step in scene():
            yield step
            if isinstance(step, Step) and step.exchange.unreachable:
                return
        if call.is_over:
            return


class _Call:
    """A call while it is played: its scenes, in the order of ``play_call``, and what they found out."""

    def __init__(self, cast: Cast, script: Script) -> None:
        self._cast: Final = cast
        self._script: Final = script
        self.is_over = False
        self._link = script.link
        self._is_made = False
        self._location = ""
        self._pin_told: str | None = None
        self._service: Mapping[str, object] = {}
        self._legs: list[Mapping[str, object]] = []
        self._news: _News | None = None
        self._lookup: tuple[str, str] | None = None
        self._pin_found: object = None

    async def prepare(self) -> AsyncIterator[Step | LeftOut]:
        """The organisation's system makes a link, and the customer opens it."""
        organisation = self._cast.organisation
        if isinstance(organisation, LeftOut):
            yield organisation
        else:
            exchange, made = await make_link(organisation, self._script)
            title = f"The organisation's system makes a link for {self._script.name}"
            yield Step(title, exchange, link_checks(exchange, self._script, made))
            if made is not None:
                self._link, self._is_made = made, True
        if self._script.link_type.url is None:
            yield LeftOut("the customer's way through the door", "a url of the link type in the rules")
            return
        exchange = await self._cast.customer.send("GET", f"/join/{self._link.call.session}")
        self._location = exchange.headers.get("location", "")
        yield Step("The customer follows the link: where does the door lead?", exchange, self._door_checks(exchange))

    def _door_checks(self, exchange: Exchange) -> tuple[Check, ...]:
        pins = self._link.call.pins
        name = self._script.name if self._is_made else ""
        found = _urls(self._script.link_type, self._link, name).fullmatch(self._location)
        self._pin_told = unquote(found["pin"]) if found is not None and "pin" in found.groupdict() else None
        url = self._script.link_type.url
        has_pin = url is not None and "guest_pin" in url.names
        is_open = exchange.status == 303
        return (
            Check(is_open and found is not None, "to the web app, by the URL of the link type"),
            *([Check(bool(self._pin_told), "with the guest PIN in it")] if has_pin and self._pin_told != "" else []),
            Check(is_open and pins.host not in _words(self._location), "and without the host PIN"),
            Check(exchange.headers.get("referrer-policy") == "no-referrer", "Referrer-Policy: no-referrer"),
            Check("no-store" in exchange.headers.get("cache-control", ""), "Cache-Control: no-store"),
        )

    async def enter(self) -> AsyncIterator[Step | LeftOut]:
        """The customer's browser gets into the room, perhaps by way of a playlist."""
        node, link, name = self._cast.node, self._link, self._script.name
        course = Course(web_question(link.alias, name))
        title = "The customer opens the link: which service is that alias?"
        exchange = await node.ask(RequestType.SERVICE, course.question)
        while course.goes_on(exchange.result):
            yield Step(title, exchange, (leads_on(exchange),))
            title = after_playing(exchange)
            exchange = await node.ask(RequestType.SERVICE, course.question)
        service = self._service = exchange.result if is_room(exchange) else {}
        self._legs = _legs(service)
        instead = told_instead(exchange, course)
        checks = [
            Check(bool(service), f"a meeting room, but the door is closed: {instead}" if instead else "a meeting room"),
            Check(len(self._legs) > 0, "with the contact centre's number as automatic participant"),
        ]
        if service and self._location:
            is_hidden = str(service.get("pin") or "-").rstrip("#") not in _words(self._location)
            checks.append(Check(is_hidden, "whose host PIN was not in the URL"))
        if service and self._pin_told is not None:
            checks.append(Check(self._pin_told == guest_pin_of(service), "and whose guest PIN was"))
        yield Step(title, exchange, tuple(checks))
        self.is_over = not service
        if self.is_over:
            return
        for participant_type, protocol in (("api", "api"), ("standard", "webrtc")):
            question = {
                **course.question,
                "protocol": protocol,
                "participant_type": participant_type,
                "preauthenticated_role": "guest",
                **service_fields(service),
            }
            exchange = await node.ask(RequestType.PARTICIPANT, question)
            title = f"The customer joins ({participant_type}): any changes to the participant?"
            may_join = Check(exchange.verdict.outcome in {"continue", "properties"}, "the customer may join")
            yield Step(title, exchange, (may_join,))
        question = {**course.question, "protocol": "webrtc", "proxy_node_address": "", **service_fields(service)}
        yield Step("Where shall the customer's media go?", await node.ask(RequestType.LOCATION, question), ())
        if isinstance(self._cast.sink, LeftOut):
            yield self._cast.sink
        else:
            # The milliseconds of this moment, so that another call has other numbers.
            first = int(self._cast.clock().timestamp() * 1000)
            news = self._news = _News(self._cast.sink, Reporter(service, self._cast.clock, first))
            yield await news.report("The node reports that the conference starts", news.reporter.started())
            halves = browser(name, course.question["local_alias"], "guest")
            yield await news.connect("The node reports the customer: a browser is two participants", *halves)

    async def dial(self) -> AsyncIterator[Step | LeftOut]:
        """The room dials the contact centre, which answers."""
        for leg in self._legs:
            question = dial_out_question(leg, self._service)
            exchange = await self._cast.node.ask(RequestType.SERVICE, question, running=self._service)
            yield Step(
                f"Ten seconds later the room dials {leg.get('remote_alias')}: which service is that?",
                exchange,
                (Check(_same(self._service, exchange.result), "the same room"),),
            )
            if self._news is not None:
                title = "The node reports that the contact centre has answered"
                yield await self._news.connect(title, trunk_leg(leg), reason="Call disconnected")

    async def find(self) -> AsyncIterator[Step | LeftOut]:
        """The agent has taken the call, and the widget looks the conference up by the caller's address or name."""
        agent = self._cast.agent
        if isinstance(agent, LeftOut):
            yield agent
        if isinstance(agent, LeftOut) or not self._legs:
            return
        leg = next((leg for leg in self._legs if leg.get("protocol") == "sip"), self._legs[0])
        name, address = shown_caller(leg)
        conversation = agent.genesys.connect(name, str(leg.get("remote_alias")), agent.user, address)
        user = address.removeprefix("sip:").partition("@")[0]
        caller = next((each for each in (user, name) if self._link.call.id in each), name)
        self._lookup = f"{LOOKUPS}/{quote(caller, safe='')}", f"conversation={conversation}"
        exchange = await agent.widget.send("GET", *self._lookup)
        found = exchange.fields
        join = _part(found, "join")
        pin = self._pin_found = join.get("pin")
        checks = [
            Check(exchange.status == 200, "the conference is found"),
            Check(found.get("call") == self._link.call.id, _FOUND_BY.get(str(found.get("found_by")), _FOUND)),
            Check(found.get("name") == self._service.get("name"), "with the room's name"),
            Check(bool(found) and pin == (self._service.get("pin") or None), "its host PIN for the agent alone"),
            Check(join.get("alias") == (self._link.agent_alias or self._link.alias), "and the alias to join by"),
        ]
        if self._is_made:
            script = self._script
            checks.append(
                Check(
                    found.get("attributes") == completed(script.link_type.attributes, script.attributes),
                    "the link's attributes",
                )
            )
        if self._news is not None:
            checks += [
                Check(found.get("state") == "active", "it is active"),
                Check(_part(found, "customer").get("is_present") is True, "the customer is there"),
                Check(_part(found, "trunk_leg").get("state") == "connected", "the contact centre's leg is up"),
            ]
        yield Step("The agent's widget looks the conference up", exchange, tuple(checks))

    async def assist(self) -> AsyncIterator[Step | LeftOut]:
        """The agent joins by video."""
        alias = self._link.agent_alias
        if not alias:
            return
        exchange = await self._cast.node.ask(RequestType.SERVICE, web_question(alias, f"Agent: {AGENT}"))
        room = exchange.result
        checks = [
            Check(_same(self._service, room), "the same room"),
            Check(bool(room) and room.get("pin") == self._service.get("pin"), "with the same host PIN"),
            Check(bool(room) and not _legs(room), "and nobody to dial"),
        ]
        if self._lookup is not None:
            checks.append(
                Check(bool(room) and (room.get("pin") or None) == self._pin_found, "the lookup gave that PIN")
            )
        yield Step("The agent's widget joins by video: which service is the agent's alias?", exchange, tuple(checks))
        if self._news is not None and room:
            halves = browser(f"Agent: {AGENT}", alias, "chair")
            yield await self._news.connect("The node reports the agent", *halves)

    async def part(self) -> AsyncIterator[Step | LeftOut]:
        """They hang up."""
        if self._news is not None:
            yield await self._news.part("They hang up, and the node reports that all are gone")
            ended = self._news.reporter.ended()
            yield await self._news.report("The node reports that the conference is over", ended)

    async def look_back(self) -> AsyncIterator[Step | LeftOut]:
        """What is known of the call when it is over."""
        agent, organisation = self._cast.agent, self._cast.organisation
        if self._news is None:
            return
        if not isinstance(agent, LeftOut) and self._lookup is not None:
            exchange = await agent.widget.send("GET", *self._lookup)
            found = exchange.fields
            kinds = {line.get("kind") for line in _parts(found, "timeline")}
            people = _parts(found, "participants")
            told = {"conference_started", "joined", "trunk_answered", "left", "trunk_ended", "conference_ended"}
            checks = [
                Check(found.get("state") == "ended", "it is ended"),
                Check(bool(people) and not any(one.get("is_present") for one in people), "nobody is there"),
                Check(_part(found, "trunk_leg").get("state") == "ended", "the contact centre's leg is down"),
                Check(told <= kinds, "and its timeline tells it from the start to the end"),
            ]
            yield Step("The agent's widget looks the conference up again", exchange, tuple(checks))
        if not isinstance(organisation, LeftOut) and self._is_made:
            exchange = await organisation.send("GET", f"{LINKS}/{self._link.call.id}")
            conference = _part(exchange.fields, "conference")
            checks = [
                Check(exchange.status == 200, "the link is known"),
                Check(conference.get("name") == self._service.get("name"), "with its conference"),
                Check(conference.get("state") == "ended", "which is ended"),
            ]
            yield Step("The organisation's system looks at the link", exchange, tuple(checks))


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


def _part(value: Mapping[str, object], key: str) -> Mapping[str, object]:
    """An object in a JSON object, ``{}`` where there is none."""
    part = value.get(key)
    return part if isinstance(part, dict) else {}


def _parts(value: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    """The objects of a list in a JSON object."""
    parts = value.get(key)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _urls(link_type: LinkType, link: CustomerLink, name: str) -> re.Pattern[str]:
    """The URLs of a link in Pexip's web app, with whatever guest PIN (the group ``pin``, where the URL has one)."""
    mark = "guest-pin-of-the-room"
    before, *others = map(re.escape, web_app_url(link_type, link, name=name, guest_pin=mark).split(mark))
    return re.compile(
        before + "".join(f"{'(?P=pin)' if number else '(?P<pin>[^&]*)'}{each}" for number, each in enumerate(others))
    )


def _words(url: str) -> set[str]:
    """The parts of a URL that may be a PIN."""
    return set(re.findall(r"[0-9A-Za-z]+", unquote(url)))


def _legs(service: Mapping[str, object]) -> list[Mapping[str, object]]:
    return _parts(service, "automatic_participants")


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return bool(one) and all(one.get(field) == other.get(field) for field in {*one, *other} if field not in _MAY_DIFFER)

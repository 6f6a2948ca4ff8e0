"""One customer's call from the link to the hang-up, each answer judged and checked against what the call needs."""

import re
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import unquote

from policy_server.pexip.request_types import RequestType
from policy_server.policy.doors import guest_pin_of
from policy_server.policy.link_attributes import completed
from policy_server.policy.links import CustomerLink, web_app_url
from policy_server.policy.ruleset import LinkType
from policy_server.simulator.doors import LINKS, link_checks, make_link
from policy_server.simulator.events import browser
from policy_server.simulator.exchange import Exchange
from policy_server.simulator.node import service_fields, web_question
from policy_server.simulator.scenes import Scenes, part
from policy_server.simulator.steps import Cast, Check, LeftOut, Script, Step
from policy_server.simulator.transfers import Course


async def play_call(cast: Cast, script: Script) -> AsyncIterator[Step | LeftOut]:
    """A customer who gets in, the leg to the contact centre, the agent, and how they part.

    Ends when a request gets no answer at all, and when the customer gets no room.
    """
    call = _Call(cast, script)
    for scene in (call.prepare, call.enter, call.dial, call.find, call.assist, call.hang_up, call.look_back):
        async for step in scene():
            yield step
            if isinstance(step, Step) and step.exchange.unreachable:
                return
        if call.is_over:
            return


class _Call(Scenes):
    """The call of a customer: its scenes, in the order of ``play_call``."""

    def __init__(self, cast: Cast, script: Script) -> None:
        super().__init__(cast)
        self._script: Final = script
        self.is_over = False
        self._link = script.link
        self._is_made = False
        self._location = ""
        self._pin_told: str | None = None

    async def prepare(self) -> AsyncIterator[Step | LeftOut]:
        """The organisation's system makes a link, and the customer opens it."""
        organisation = self.cast.organisation
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
        exchange = await self.cast.customer.send("GET", f"/join/{self._link.call.session}")
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
        node, link, name = self.cast.node, self._link, self._script.name
        course = Course(web_question(link.alias, name))
        steps, title, exchange, checks = await self.come(
            course, "The customer opens the link: which service is that alias?"
        )
        for step in steps:
            yield step
        service = self.service
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
        halves = browser(name, course.question["local_alias"], "guest")
        async for each in self.arrive("The node reports the customer: a browser is two participants", *halves):
            yield each

    async def find(self) -> AsyncIterator[Step | LeftOut]:
        """The agent finds the conference, with what the organisation's system knows of the customer."""
        agent = self.cast.agent
        if isinstance(agent, LeftOut):
            yield agent
        if isinstance(agent, LeftOut) or not self.legs:
            return
        exchange, checks = await self.look_up(agent, self._link.call.id)
        is_alias = part(self.found, "join").get("alias") == (self._link.agent_alias or self._link.alias)
        checks.append(Check(is_alias, "and the alias to join by"))
        if self._is_made:
            attributes = completed(self._script.link_type.attributes, self._script.attributes)
            checks.append(Check(self.found.get("attributes") == attributes, "the link's attributes"))
        checks += self.state_checks("customer")
        yield Step("The agent's widget looks the conference up", exchange, tuple(checks))

    async def assist(self) -> AsyncIterator[Step | LeftOut]:
        """The agent joins by video."""
        if self._link.agent_alias:
            async for each in self.join(self._link.agent_alias):
                yield each

    async def look_back(self) -> AsyncIterator[Step | LeftOut]:
        """What is known of the call when it is over."""
        async for each in super().look_back():
            yield each
        organisation = self.cast.organisation
        if self.news is not None and not isinstance(organisation, LeftOut) and self._is_made:
            exchange = await organisation.send("GET", f"{LINKS}/{self._link.call.id}")
            conference = part(exchange.fields, "conference")
            checks = [
                Check(exchange.status == 200, "the link is known"),
                Check(conference.get("name") == self.service.get("name"), "with its conference"),
                Check(conference.get("state") == "ended", "which is ended"),
            ]
            yield Step("The organisation's system looks at the link", exchange, tuple(checks))


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

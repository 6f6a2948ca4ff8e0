"""The door of a played call: the link that leads to it, and customers for whom it stays closed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from policy_server.pexip.request_types import RequestType
from policy_server.policy.links import CustomerLink, link_of
from policy_server.policy.names import Role
from policy_server.policy.services import ROOM_TYPES
from policy_server.simulator.exchange import Caller, Exchange
from policy_server.simulator.node import ConferencingNode, Judged, web_question
from policy_server.simulator.steps import Cast, Check, LeftOut, Script, Step
from policy_server.simulator.transfers import Course
from policy_server.wording.values import shown

LINKS: Final = "/api/v1/links"

REPLICA_DELAY: Final = 0.15
"""Seconds after which the other processes of a server know what one was told: 100 ms, and a little for a slow machine."""


async def play_closed_door(node: ConferencingNode, question: Mapping[str, str], title: str) -> AsyncIterator[Step]:
    """Somebody whom the rules do not let in: a refusal, an announcement, another destination, but no room."""
    course = Course(question)
    steps, title, exchange = await led_on(node, course, title)
    for step in steps:
        yield step
    instead = told_instead(exchange, course)
    is_shut = exchange.verdict.outcome == "reject" or bool(instead)
    yield Step(
        title, exchange, (Check(is_shut, f"the door is closed: {instead}" if instead else "the call is refused"),)
    )


async def led_on(node: ConferencingNode, course: Course, title: str) -> tuple[list[Step], str, Judged]:
    """Asks for a service, and for the next as long as playlists lead on: the steps of these, then the title of the last
    question and its answer.
    """
    steps: list[Step] = []
    exchange = await node.ask(RequestType.SERVICE, course.question)
    while course.goes_on(exchange.result):
        steps.append(Step(title, exchange, (_leads_on(exchange),)))
        title = _after_playing(exchange)
        exchange = await node.ask(RequestType.SERVICE, course.question)
    return steps, title, exchange


def _leads_on(exchange: Judged) -> Check:
    """That a playlist was answered, which leads to another alias."""
    return Check(True, f"a playlist, which leads on: {shown(exchange.result.get('name'))}")


def _after_playing(exchange: Judged) -> str:
    """The title of the question that follows when a playlist has been played."""
    return f"{shown(exchange.result.get('name'))} has been played, and leads on: which service is that alias?"


async def play_revoked_link(cast: Cast, script: Script) -> AsyncIterator[Step]:
    """A link that the organisation takes back, and a customer who opens it all the same."""
    if isinstance(cast.organisation, LeftOut):
        return
    exchange, link = await make_link(cast.organisation, script)
    yield Step("The organisation's system makes another link", exchange, link_checks(exchange, script, link))
    if link is None:
        return
    exchange = await cast.organisation.send("DELETE", f"{LINKS}/{link.call.id}")
    yield Step("It revokes that link", exchange, (Check(exchange.status == 204, "the link is revoked"),))
    await asyncio.sleep(REPLICA_DELAY)
    async for step in play_closed_door(
        cast.node, web_question(link.alias, script.name), "A customer with the revoked link"
    ):
        yield step
    if script.link_type.url is not None:
        exchange = await cast.customer.send("GET", f"/join/{link.call.session}")
        checks = (
            Check(exchange.status == 404, "the link is not good any more"),
            Check(exchange.answer.content_type.startswith("text/html"), "which a page says"),
        )
        yield Step("What the door shows that customer", exchange, checks)


async def make_link(organisation: Caller, script: Script) -> tuple[Exchange, CustomerLink | None]:
    """The organisation's system asks for a link; ``None`` when it gets none that the script's key has signed."""
    wanted = {"type": script.link_type.name, "name": script.name, "attributes": dict(script.attributes), "ttl": "1h"}
    exchange = await organisation.send("POST", LINKS, body=wanted)
    name = exchange.fields.get("call")
    if exchange.status != 201 or not isinstance(name, str):
        return exchange, None
    call = script.keyring.open(name, Role.CALL, (script.link_type.name,))
    return exchange, None if call is None else link_of(script.link_type, call)


def link_checks(exchange: Exchange, script: Script, link: CustomerLink | None) -> tuple[Check, ...]:
    """What must be right about a link that was made."""
    made = Check(exchange.status == 201, "a link is made")
    if not made.passed:
        return (made,)
    if link is None:
        return made, Check(False, "signed with the secret key that is set here")
    fields = exchange.fields
    good = [
        made,
        Check(fields.get("alias") == link.alias, "its alias"),
        Check(fields.get("session") == link.call.session, "its session"),
        Check(link.call.agent not in str(fields), "and no agent key"),
    ]
    if script.link_type.url is not None:
        leads_here = urlsplit(str(fields.get("url"))).path.endswith(f"/join/{link.call.session}")
        good.append(Check(leads_here, "and a URL that leads to this server's door"))
    return tuple(good)


def is_room(exchange: Judged) -> bool:
    """Whether the customer gets into a room."""
    return exchange.verdict.outcome == "service" and exchange.result.get("service_type") in ROOM_TYPES


def told_instead(exchange: Judged, course: Course) -> str:
    """Where the customer comes out who gets no room though the call is answered; ``""`` for any other answer."""
    result = exchange.result
    if course.in_circles:
        return f"{shown(result.get('name'))} is played again and again, since it leads to where it is played"
    if exchange.verdict.outcome == "redirect":
        return f"the customer is sent on to {shown(result.get('new_alias'))}"
    if exchange.verdict.outcome == "service" and not is_room(exchange):
        return f"the customer gets the {result.get('service_type')} {shown(result.get('name'))}"
    return ""

"""A whole call in stages, each played and watched: what ``selftest`` does."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx

from policy_server.conferences.lines import TimelineLine
from policy_server.conferences.timeline import Kind
from policy_server.lab.headless import Attendee, NotGivenError, Widget
from policy_server.lab.sip.trunk import FAR_END_HUNG_UP
from policy_server.lab.wiring import CLIENT_ID, LINK_TYPE, TRUNK, Lab
from policy_server.pexip.query import clean
from policy_server.simulator.exchange import Caller, bearer
from policy_server.web.links import PATH as LINKS

CUSTOMER: Final = "Ada L"
AGENT: Final = "maria"
ATTRIBUTES: Final = {"language": "en"}
NUMBER: Final = "+13129998045"

STAGE_SECONDS: Final = 15.0
"""How long one stage may take."""
POLL_SECONDS: Final = 0.02
LOOKUP_SECONDS: Final = 0.1
"""Between two questions to the policy server."""
SETTLING_SECONDS: Final = 0.5

CUSTOMER_BRIGHTNESS: Final = 200
AGENT_BRIGHTNESS: Final = 60
PICTURES: Final = 5
"""How many pictures of somebody must arrive."""

TOLD: Final = frozenset(
    {
        Kind.LINK_CREATED,
        Kind.LINK_OPENED,
        Kind.POLICY_ANSWERED,
        Kind.CONFERENCE_STARTED,
        Kind.JOINED,
        Kind.TRUNK_ANSWERED,
        Kind.AGENT_LOOKED_UP,
        Kind.LEFT,
        Kind.TRUNK_ENDED,
        Kind.CONFERENCE_ENDED,
    }
)
"""The kinds of entries that the timeline of a whole call has."""

_NOWHERE: Final = "http://127.0.0.1/agent/"
"""Where the login leads back to; nobody follows it."""


class NotSoError(Exception):
    """A stage whose outcome is not as it should be; says how it is."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage as it was played. ``passed`` is ``None`` when an earlier one failed and it was not played."""

    title: str
    passed: bool | None
    observed: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """All stages, and the conference's timeline."""

    stages: tuple[Stage, ...]
    timeline: tuple[TimelineLine, ...]

    @property
    def passed(self) -> bool:
        """Whether every stage happened."""
        return all(stage.passed for stage in self.stages)


async def play(lab: Lab, told: Callable[[int, Stage], None], seconds: float = STAGE_SECONDS) -> Report:
    """Plays one call, stage by stage, each in so many seconds; after one that failed the others are only named.

    ``told`` is called with the number of each stage and how it went, when it is over.
    """
    stages: list[Stage] = []
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        call = _Call(lab, http, stack)
        for title, work in call.stages():
            has_failed = any(stage.passed is not True for stage in stages)
            stages.append(Stage(title, None, "", 0.0) if has_failed else await _play_stage(call, title, work, seconds))
            told(len(stages), stages[-1])
        if not all(stage.passed for stage in stages):
            # What happened last is still on its way to the policy server.
            await asyncio.sleep(SETTLING_SECONDS)
        found = await lab.look_up(call.id)
    return Report(tuple(stages), tuple(found["timeline"]) if found is not None else ())


async def _play_stage(call: "_Call", title: str, work: Callable[[], Awaitable[str]], seconds: float) -> Stage:
    started = perf_counter()
    call.awaited = "no answer"
    passed = False
    try:
        async with asyncio.timeout(seconds):
            observed = await work()
            passed = True
    except TimeoutError:
        observed = f"not within {seconds:g} s: {call.awaited}"
    except (NotSoError, NotGivenError) as error:
        observed = str(error)
    except Exception as error:  # whatever is wrong, it is wrong with this stage
        observed = f"{type(error).__name__}: {error}".rstrip(": ")
    return Stage(title, passed, clean(observed), round(perf_counter() - started, 3))


class _Call:
    """A call while it is played: its stages, in their order, and what they found out."""

    def __init__(self, lab: Lab, http: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        self.id = ""
        self.awaited = ""
        """What the stage waits for."""
        self._lab: Final = lab
        self._http: Final = http
        self._stack: Final = stack
        self._url = ""
        self._alias = ""
        self._pin = ""
        self._conversation = ""
        self._found: Mapping[str, Any] = {}

    def stages(self) -> Iterator[tuple[str, Callable[[], Awaitable[str]]]]:
        """Each with what it shows, in words for whoever runs this."""
        yield "The organisation's system makes a link", self._make_link
        yield "The link leads the customer to the node", self._follow_link
        yield "The customer joins by video, and waits", self._join_customer
        yield "The room dials the SIP trunk, which answers", self._dial
        yield "Genesys Cloud gets the call, with the customer's name, and the call id as the address", self._arrive
        yield "An agent signs in and answers", self._answer
        yield "The agent's widget looks the conference up", self._look_up
        yield "The widget joins by video only, and both see each other", self._join_agent
        yield "The agent hangs up in Genesys Cloud, and the trunk's leg ends", self._hang_up
        yield "The widget ends the conference for everybody", self._end
        yield "The policy server knows how it went", self._look_back

    async def _make_link(self) -> str:
        wanted = {"type": LINK_TYPE, "name": CUSTOMER, "attributes": ATTRIBUTES, "ttl": "1h"}
        organisation = Caller(self._http, self._lab.policy_url, bearer(self._lab.api_key))
        exchange = await organisation.send("POST", LINKS, body=wanted)
        if exchange.status != 201:
            raise NotSoError(
                f"POST {LINKS}: HTTP {exchange.status} {exchange.unreachable or exchange.problem}".rstrip()
            )
        self.id, self._url = str(exchange.fields["call"]), str(exchange.fields["url"])
        return f"call {self.id}"

    async def _follow_link(self) -> str:
        answer = await self._http.get(self._url)
        led = urlsplit(answer.headers.get("location", ""))
        place = f"{led.scheme}://{led.netloc}{led.path}"
        if answer.status_code != 303 or not place.startswith(f"{self._lab.node_url}/webapp3/m/"):
            raise NotSoError(f"the door answers HTTP {answer.status_code}, to {place if led.netloc else 'nowhere'}")
        self._alias = led.path.split("/")[3]
        (self._pin,) = parse_qs(led.query).get("pin", [""])
        return f"HTTP 303 to {place}, with the guest PIN"

    async def _join_customer(self) -> str:
        node = self._lab.node_url
        joining = Attendee.joining(
            self._http, node, self._alias, CUSTOMER, pin=self._pin, brightness=CUSTOMER_BRIGHTNESS
        )
        self._customer = await self._stack.enter_async_context(joining)
        await self._until("the customer waits for a Host", lambda: self._customer.has_waited)
        self._check_answers()
        return (
            f"{self._customer.role}, waiting for a Host; the node used every answer ({len(self._lab.node.exchanges)})"
        )

    async def _dial(self) -> str:
        await self._until("an INVITE at the trunk", lambda: self._lab.trunk.invites)
        invite, *others = self._lab.trunk.invites
        told = f"INVITE {invite.request_uri} from {invite.from_display_name!r} at {invite.from_user}"
        if others or (invite.request_uri, invite.from_user) != (f"sip:{NUMBER}@{TRUNK}", self.id):
            raise NotSoError(f"{told}, and {len(others)} more, but it must be one to {NUMBER}@{TRUNK} from the call id")
        customer = self._customer
        await self._until("the trunk's answer", lambda: customer.is_in or any(map(_is_leg, customer.gone)))
        if not customer.is_in:
            raise NotSoError(f"{told}; the leg ended before it was answered")
        self._check_answers()
        return f"{told}; answered, and the customer is in"

    async def _arrive(self) -> str:
        await self._until("a conversation", lambda: self._lab.calls.conversations)
        conversation = self._lab.calls.conversations[0]
        customer, ringing = conversation.customer, conversation.agents[-1]
        told = f"aniName {customer.ani_name!r}, ani {customer.address}, dnis {customer.dnis}, {ringing.state} at {ringing.name}"
        caller = customer.address.removeprefix("sip:").partition("@")[0]
        if (customer.ani_name, caller, customer.dnis) != (CUSTOMER, self.id, f"tel:{NUMBER}"):
            raise NotSoError(told)
        self._conversation = conversation.id
        return told

    async def _answer(self) -> str:
        cloud, url = self._lab.cloud, self._lab.genesys_url
        cloud.sign_in.register(CLIENT_ID, _NOWHERE)
        policy = self._lab.policy_url
        self._widget = await Widget.signed_in(self._http, url, policy, AGENT, CLIENT_ID, _NOWHERE)
        await self._stack.enter_async_context(self._widget.listening())
        self._lab.calls.answer(self._conversation, AGENT)
        await self._until("a notification that the agent is connected", lambda: self._leg().get("state") == "connected")
        return f"{cloud.agent(AGENT).name} is connected, and was notified of it"

    async def _look_up(self) -> str:
        address = await self._widget.caller_address(self._conversation)
        while True:
            self._found = await self._widget.look_up(address, self._conversation)
            if not (lack := _lack(self._found, self.id)):
                break
            self.awaited = f"the lookup of {address} tells {lack}"
            await asyncio.sleep(LOOKUP_SECONDS)
        join = self._found["join"]
        found = self._found
        return f"by {found['found_by']} {address}: {found['state']}, join {join['alias']} at {found['node']}"

    async def _join_agent(self) -> str:
        join, name = self._found["join"], self._lab.cloud.agent(AGENT).name
        node = f"http://{self._found['node']}"
        joining = Attendee.joining(
            self._http, node, join["alias"], name, pin=join["pin"], call_tag="agent", brightness=AGENT_BRIGHTNESS
        )
        self._agent = agent = await self._stack.enter_async_context(joining)
        customer = self._customer
        await self._until("the customer's pictures at the agent", lambda: agent.seen(CUSTOMER_BRIGHTNESS) >= PICTURES)
        await self._until("the agent's pictures at the customer", lambda: customer.seen(AGENT_BRIGHTNESS) >= PICTURES)
        self._check_answers()
        people = sorted(str(one["display_name"]) for one in agent.roster.values())
        told = f"{agent.role}; in the room: {', '.join(people)}"
        if agent.role != "HOST" or people != sorted([CUSTOMER, "Contact centre", name]):
            raise NotSoError(told)
        return f"{told}; {PICTURES} pictures and more each way"

    async def _hang_up(self) -> str:
        await self._lab.calls.disconnect(self._conversation, AGENT)
        await self._until("a notification of that", lambda: self._leg().get("state") == "disconnected")
        await self._until("the end of the trunk's leg", lambda: any(map(_is_leg, self._agent.gone)))
        return f"disconnectType {self._leg()['disconnectType']!r}; the leg has left the room"

    async def _end(self) -> str:
        await self._agent.end_for_all()
        await self._until("the customer is told", lambda: self._customer.ended)
        await self._until("the end of the conference", lambda: not self._lab.node.meetings)
        return f"the customer was told {self._customer.ended!r}; no conference is left on the node"

    async def _look_back(self) -> str:
        self.awaited = "the conference is ended"
        while True:
            found = await self._lab.look_up(self.id)
            if found is not None and found["state"] == "ended":
                break
            await asyncio.sleep(LOOKUP_SECONDS)
        kinds = {line["kind"] for line in found["timeline"]}
        present = [one["display_name"] for one in found["participants"] if one["is_present"]]
        if present or not kinds >= TOLD:
            lacking = ", ".join(sorted(TOLD - kinds)) or "nothing"
            raise NotSoError(f"still there: {', '.join(present) or 'nobody'}; the timeline lacks {lacking}")
        leg = found["trunk_leg"]
        reason = leg["disconnect_reason"] if leg is not None else None
        if reason != FAR_END_HUNG_UP:
            raise NotSoError(f"the trunk's leg ended with {reason!r}, but a BYE from there is {FAR_END_HUNG_UP!r}")
        return f"ended, with nobody there; the leg with {reason!r}; {len(found['timeline'])} lines of timeline"

    async def _until(self, what: str, probe: Callable[[], object]) -> None:
        self.awaited = what
        while True:
            if probe():
                return
            await asyncio.sleep(POLL_SECONDS)

    def _check_answers(self) -> None:
        """A node throws away an answer with a mistake and goes on; here that is no success."""
        for exchange in self._lab.node.exchanges:
            if exchange.verdict.objections:
                why = "; ".join(each.reason for each in exchange.verdict.objections)
                raise NotSoError(f"the node did not use the answer to {exchange.path}: {why}")

    def _leg(self) -> Mapping[str, Any]:
        """The agent's leg by the last notification, ``{}`` before there is one."""
        agent = {"id": self._lab.cloud.agent(AGENT).id}
        people = self._widget.events[-1]["participants"] if self._widget.events else []
        legs = [one for one in people if one.get("user") == agent]
        return legs[-1] if legs else {}


def _is_leg(entry: Mapping[str, Any]) -> bool:
    return bool(entry["call_direction"] == "out")


def _lack(found: Mapping[str, Any], call: str) -> str:
    """The first thing that a lookup should tell and does not, ``""`` when it tells all."""
    leg = found["trunk_leg"] or {}
    told = {
        f"call {call}": found["call"] == call,
        "an active conference": found["state"] == "active",
        "that the customer is there": found["customer"]["is_present"] is True,
        "that the trunk's leg is connected": leg.get("state") == "connected",
        "the link's attributes": found["attributes"] == ATTRIBUTES,
        "alias, PIN and node to join": bool(found["join"]["alias"] and found["join"]["pin"] and found["node"]),
    }
    return next((what for what, is_told in told.items() if not is_told), "")

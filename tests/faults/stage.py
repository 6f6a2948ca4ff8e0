"""A service with everything around it that can fail: node, event sink, Management Node, and trunks that SIPp plays."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx

from policy_server.app import create_app, utc_now
from policy_server.cli.conferences import lookup_in
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.timeline import Kind
from policy_server.conferences.verdict import Code
from policy_server.conferences.view import Conference
from policy_server.lab.node.dialling import RoutingRule
from policy_server.lab.node.infinity import Infinity
from policy_server.lab.node.questions import Caller
from policy_server.lab.node.rooms import Leg, Session
from policy_server.lab.node.sink import SinkAddress
from policy_server.lab.serving import serving
from policy_server.lab.sip.trunk import Answer, Invite, SipCall, SipTrunk
from policy_server.management.access import Access
from policy_server.management.pace import RATE
from policy_server.policy.names import Keyring
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.web.api_keys import ApiKeys
from policy_server.web.decision_log import DecisionLog
from policy_server.web.events import PATH as EVENTS_PATH
from policy_server.web.links import PATH as LINKS
from tests.faults.manager import ACCOUNT, Manager
from tests.servers import write_rules

PEXIP: Final = Credentials("pexip", "password of the policy profile")
EVENTS: Final = Credentials("events", "password of the event sink")
SECRET_KEY: Final = "the secret key of these faults is long enough"
API_KEY: Final = "the-api-key-of-these-faults-is-long-enough"

UNSEEN: Final = 80.0
"""Seconds after which the end of a call of which no node tells is seen: a room that is young may still begin."""
ADP_DELAY: Final = 1.0
"""Seconds before the node dials the first leg; ten or more on a real one."""
TRUNK: Final = "byoc.example"
NUMBERS: Final = {"first": "+13129998045", "second": "+13129998046", "third": "+13129998047", "far": "+13129998099"}

RULES: Final = """
domains: [video.example.com]
trunks:
  first: { number: "+1 312 999 8045", dial_prefix: "99", limits: { legs: LEGS } }
  second: { number: "+1 312 999 8046", dial_prefix: "99" }
  third: { number: "+1 312 999 8047", dial_prefix: "99" }
rooms:
  visit: { name: "{call}", service_tag: visit, pin: derived, guest_pin: derived, allow_guests: true }
  sorry: { name: sorry, service_tag: sorry }
service:
  - id: patient
    when: { link_type: visit, door: customer, link: valid }
    room: visit
    dial_out: [DIAL_OUT]
    assurance: { ASSURANCE }
  - id: agent
    when: { link_type: visit, door: agent, link: [valid, expired] }
    room: visit
  - id: nobody-is-there
    when: { local_alias: sorry }
    room: sorry
links:
  visit:
    alias: "mp{session}"
    agent_alias: "hcp{agent}"
    url: "https://node.example.com/webapp3/m/{alias}/express?name={name}&pin={guest_pin}"
"""
SECOND: Final = "{ trunk: first }, { trunk: second, when: failed }"
KEPT: Final = SECOND.replace(" }", ", keep_conference_alive: keep_conference_alive }")
"""Legs that keep a room running that nobody is in."""
THIRD: Final = f"{SECOND}, {{ trunk: third, when: failed }}"


@dataclass(frozen=True, slots=True)
class Line:
    """What a trunk does with a call: refuses it, or picks it up ``after`` so many seconds, and hangs up when they have
    talked for a while.
    """

    answer: Answer = Answer.RING
    after: float | None = None
    talks: float | None = None


ANSWERS: Final = Line(after=0.5)
BUSY: Final = Line(Answer.BUSY)
SILENT: Final = Line(Answer.SILENT)


@dataclass(slots=True)
class Ring:
    """A call as a trunk saw it, with the seconds at which it arrived, was picked up, and was over."""

    trunk: str
    invite: Invite
    at: float
    answered_at: float | None = None
    over_at: float | None = None

    @property
    def call(self) -> str:
        """The call of ours that it is for: the name that Genesys shows."""
        return self.invite.from_display_name


@dataclass(slots=True)
class Customer:
    """A customer in a room."""

    call: str
    session: Session
    came_at: float
    told: "asyncio.Queue[tuple[str, object] | None]"


Lines = Mapping[str, Line] | Callable[[Ring], Line]
"""What each trunk does; one that is not named answers."""
NOTHING: Final[Lines] = {}


@dataclass
class Stage:
    """All that runs while it does. Times are seconds of ``time.monotonic``."""

    trunk: SipTrunk
    management: Manager
    node: Infinity
    policy_url: str
    database_url: str
    http: httpx.AsyncClient
    rules: RuleStore
    has_sink: bool = True
    lines: Lines = field(default_factory=dict)
    rings: list[Ring] = field(default_factory=list)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.trunk.choose = self._ring
        self.trunk.on_over(self._over)

    # ------------------------------------------------------------------ trunks

    def _ring(self, invite: Invite) -> Answer:
        number = invite.request_uri.removeprefix("sip:").partition("@")[0]
        ring = Ring(next(name for name, known in NUMBERS.items() if known == number), invite, time.monotonic())
        self.rings.append(ring)
        line = self.lines(ring) if callable(self.lines) else self.lines.get(ring.trunk, ANSWERS)
        if line.after is not None:
            asyncio.get_running_loop().call_later(line.after, self.pick_up, ring, line.talks)
        return line.answer

    def pick_up(self, ring: Ring, talks: float | None = None) -> None:
        """The far end answers, and hangs up when they have talked for a while."""
        if ring.over_at is None:
            ring.answered_at = time.monotonic()
            self.trunk.pick_up(ring.invite.call_id)
            if talks is not None:
                asyncio.get_running_loop().call_later(talks, self.hang_up, ring)

    def hang_up(self, ring: Ring) -> None:
        """The far end hangs up."""
        task = asyncio.create_task(self.trunk.hang_up(ring.invite.call_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _over(self, invite: Invite) -> None:
        ring = next(ring for ring in self.rings if ring.invite.call_id == invite.call_id)
        ring.over_at = time.monotonic()

    def of(self, call: str) -> list[Ring]:
        """The calls that trunks saw for one of ours, in order, but no call to anybody else."""
        return [ring for ring in self.rings if ring.call == call and ring.trunk != "far"]

    # ------------------------------------------------------------------ people

    async def customer(self) -> Customer:
        """Makes a link, opens it and joins, with pictures."""
        made = await self.http.post(
            f"{self.policy_url}{LINKS}",
            json={"type": "visit", "name": "Ada L"},
            headers={"authorization": f"Bearer {API_KEY}"},
        )
        assert made.status_code == 201, made.text
        link = made.json()
        led = urlsplit((await self.http.get(_here(link["url"], self.policy_url))).headers["location"])
        alias, (pin,) = led.path.split("/")[3], parse_qs(led.query)["pin"]
        _, session = await self.node.request_token(alias, Caller("Ada L"), pin)
        told = self.node.listen(session)
        self._send_pictures(session)
        return Customer(link["call"], session, time.monotonic(), told)

    async def agent(self, customer: Customer) -> Session:
        """An agent comes by video."""
        found = await self.look_up(customer.call)
        join = found["join"]
        assert join is not None
        _, session = await self.node.request_token(join["alias"] or "", Caller("Maria"), join["pin"])
        self._send_pictures(session)
        return session

    def _send_pictures(self, session: Session) -> None:
        # As start_call does with a browser's; no pictures are needed here.
        rooms, meeting = self.node._rooms, session.room.meeting
        call = str(uuid4())
        session.room.calls[call] = session.uuid
        rooms.apply(session.room, meeting.connect_media(session.uuid, call, time.time()))

    # ------------------------------------------------------------------ what became of it

    def is_running(self, call: str) -> bool:
        """Whether the room of a call is there."""
        return call in self.node.meetings

    def is_with(self, call: str, trunk: str) -> bool:
        """Whether the customer is there and connected with a trunk."""
        meeting = self.node.meetings.get(call)
        people = meeting.participants if meeting is not None else ()
        has_customer = any(not one.is_outgoing for one in people)
        return has_customer and any(one.has_media and NUMBERS[trunk] in one.remote_alias for one in people)

    async def look_up(self, call: str) -> Conference:
        """What the database knows of a call, as an agent would be told it."""
        keyring, settings = Keyring.from_text(SECRET_KEY), Settings(rules=Path(), node="127.0.0.1")
        async with ConferenceStore(self.database_url) as store:
            lookup = lookup_in(store, settings, self.rules.ruleset, keyring)
            found = await lookup.look_up(lookup.subject_of(call))
        assert found is not None
        return found.answer

    async def steps(self, call: str) -> list[str]:
        """What was done for a call, each in a word."""
        found = await self.look_up(call)
        return [str(line["data"]["step"]) for line in found["timeline"] if line["kind"] == Kind.ASSURANCE_ACTED]

    async def ended(self, call: str) -> Conference:
        """The same once it is known there that it is over. Raises TimeoutError."""
        async with asyncio.timeout(10.0 if self.has_sink else UNSEEN):
            while not self._is_known_to_be_over(found := await self.look_up(call)):  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.2)
        return found

    def _is_known_to_be_over(self, found: Conference) -> bool:
        if self.has_sink:
            return found["state"] == "ended"
        # Of a call of which no node tells, the verdict alone goes by what the Management Node shows.
        return found["verdict"]["code"] not in {Code.WAITING, Code.IN_PROGRESS}


def overlap(rings: list[Ring]) -> float:
    """The seconds for which two calls of these lived at the same time, at most."""
    now = time.monotonic()
    spans = [(ring.at, now if ring.over_at is None else ring.over_at) for ring in rings]
    pairs = ((one, other) for number, one in enumerate(spans) for other in spans[:number])
    return max(0.0, *(min(one[1], other[1]) - max(one[0], other[0]) for one, other in pairs), 0.0)


async def until(probe: Callable[[], object], seconds: float) -> float:
    """The time at which something is so. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not probe():  # noqa: ASYNC110 (there is nothing that would tell)
            await asyncio.sleep(0.02)
    return time.monotonic()


def rules_with(folder: Path, dial_out: str, assurance: str, most_legs: int = 1000) -> Path:
    """A folder with the rules. ``most_legs`` is what the first trunk has at a time."""
    text = RULES.replace("DIAL_OUT", dial_out).replace("ASSURANCE", assurance).replace("LEGS", str(most_legs))
    return write_rules(folder / "rules", text)


@asynccontextmanager
async def staged(
    folder: Path,
    dial_out: str = SECOND,
    assurance: str = "",
    lines: Lines = NOTHING,
    *,
    has_sink: bool = True,
    adp_delay: float = ADP_DELAY,
    rate: int = RATE,
    most_legs: int = 1000,
) -> AsyncIterator[Stage]:
    """Everything, with the policy server in this process on SQLite."""
    rules = RuleStore(rules_with(folder, dial_out, assurance, most_legs), utc_now, {"POLICY_MANAGEMENT_URL": "set"})
    database_url = f"sqlite:///{folder}/policy.db"
    async with AsyncExitStack() as stack:
        management = await stack.enter_async_context(Manager())
        settings = Settings(
            rules=folder / "rules",
            pexip=PEXIP,
            secret_key=SECRET_KEY,
            api_keys=ApiKeys({"faults": API_KEY}),
            database_url=database_url,
            events=EVENTS,
            management=Access(management.url, ACCOUNT),
            management_rate=rate,
        )
        app = create_app(settings, rules, DecisionLog("text", lambda _: None))
        policy_url = await stack.enter_async_context(serving(app))
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=20))
        yield await stack.enter_async_context(
            around(
                folder, management, policy_url, http, database_url, rules, lines, has_sink=has_sink, adp_delay=adp_delay
            )
        )


@asynccontextmanager
async def around(
    folder: Path,
    management: Manager,
    policy_url: str,
    http: httpx.AsyncClient,
    database_url: str,
    rules: RuleStore,
    lines: Lines,
    *,
    has_sink: bool = True,
    adp_delay: float = ADP_DELAY,
) -> AsyncIterator[Stage]:
    """What is around a policy server, which ``http`` reaches under its URL."""
    async with AsyncExitStack() as stack:
        trunk = await stack.enter_async_context(SipTrunk(folder))
        legs = await stack.enter_async_context(AsyncExitStack())

        async def dial(uri: str, **further: Any) -> Leg:
            placing = SipCall.place(uri, proxy=trunk.address, folder=folder, **further)
            return await legs.enter_async_context(await placing)

        node = Infinity(
            policy_url,
            (PEXIP.username, PEXIP.password),
            client=http,
            dial=dial,
            event_sink=SinkAddress(policy_url + EVENTS_PATH, EVENTS.username, EVENTS.password) if has_sink else None,
            routing_rules=(RoutingRule(r"99(\+\d{11})", rf"\1@{TRUNK}"),),
            adp_delay=adp_delay,
        )
        management.oversee(await stack.enter_async_context(node))
        yield Stage(trunk, management, node, policy_url, database_url, http, rules, has_sink, lines)


def _here(url: str, policy_url: str) -> str:
    """A link as its server is reached here."""
    return policy_url + urlsplit(url).path

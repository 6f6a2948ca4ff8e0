"""Whoever takes part in calls: the organisation, customers, nodes with their event sink, and agents."""

import asyncio
import json
import math
import statistics
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from policy_server.pexip.requests import encode_query
from policy_server.simulator.events import Message, Participant, Reporter, browser, trunk_leg
from policy_server.simulator.genesys import User
from policy_server.simulator.node import dial_out_question, service_fields, web_question
from tests.benchmarks.connection import Connection, Headers, as_json
from tests.benchmarks.genesys import GenesysCloud
from tests.benchmarks.material import API_KEY, SINK_PASSWORD, SINK_USERNAME, TOKEN, TRUNK
from tests.benchmarks.servers import AUTHORIZATION, Server, basic

POLICY_LIMIT: Final = 0.1
"""Seconds that one in a hundred policy answers may take."""

_SINK: Final = basic(SINK_USERNAME, SINK_PASSWORD)


def agents(number: int) -> dict[str, User]:
    """So many agents, by their tokens."""
    return {f"{TOKEN}-{number}": User(f"Agent {number}") for number in range(number)}


@dataclass
class Seen:
    """What the callers saw: seconds of each request by kind, and what went wrong."""

    window: tuple[float, float] = (0.0, math.inf)
    """Requests that begin within it count, by the clock of perf_counter."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    finished: int = 0
    slow: int = 0
    """Policy answers that took longer than POLICY_LIMIT."""

    def answered(self, kind: str, began: float) -> None:
        """Notes an answer that has just come."""
        if not self.window[0] <= began < self.window[1]:
            return
        seconds = perf_counter() - began
        self.seconds.setdefault(kind, []).append(seconds)
        self.slow += kind == "policy" and seconds > POLICY_LIMIT

    def median(self, kind: str) -> float:
        """Milliseconds."""
        return statistics.median(self.seconds.get(kind, [0.0])) * 1000

    def percentile(self, kind: str, share: float) -> float:
        """Milliseconds."""
        values = sorted(self.seconds.get(kind, [0.0]))
        return values[min(len(values) - 1, int(len(values) * share))] * 1000

    @property
    def reasons(self) -> tuple[str, ...]:
        """How many faults there were, and the first of them; empty if there were none."""
        return (f"{len(self.faults)} faults, such as {self.faults[0]}",) if self.faults else ()


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that an agent has answered."""

    name: str
    conversation: str
    token: str
    """The agent's."""
    news: Reporter

    @property
    def lookup(self) -> str:
        """The target of the agent's lookup."""
        return f"/agent/v1/conferences/{self.name}?{urlencode({'conversation': self.conversation})}"

    @property
    def stream(self) -> str:
        """The target of the agent's stream."""
        return self.lookup.replace("?", "/events?")

    @property
    def agent(self) -> Headers:
        """What the agent's browser sends."""
        return {"Authorization": f"Bearer {self.token}", "Origin": "https://widget.example.com"}


class Callers:
    """All of them, with connections that are kept alive. ``call_seconds`` is from a customer's arrival to the last hang-up,
    ``link_ttl`` how long links are good; ``""`` for as long as their type says.
    """

    def __init__(self, server: Server, genesys: GenesysCloud, call_seconds: float, *, link_ttl: str = "") -> None:
        self.seen: Final = Seen()
        self._port: Final = server.port
        self._genesys: Final = genesys
        self._tokens: Final = tuple(genesys.agents)
        self._call_seconds: Final = call_seconds
        self._wanted: Final = {"type": "visit", **({"ttl": link_ttl} if link_ttl else {})}
        self._idle: Final[list[Connection]] = []
        self._seqs: Final = count(1, 100)

    def close(self) -> None:
        """Closes the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = self._idle.pop() if self._idle else Connection(self._port)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    async def ask(
        self, kind: str, method: str, target: str, headers: Headers, body: object = None
    ) -> tuple[int, Headers, bytes]:
        """One request, timed."""
        sent = as_json(body)
        async with self._connection() as connection:
            began = perf_counter()
            status, found = await connection.send(method, target, headers, sent)
            answer = await connection.body(found)
            self.seen.answered(kind, began)
        if status >= 400:
            self.seen.faults.append(f"{kind}: {status} {answer[:200]!r}")
        return status, found, answer

    async def policy(self, path: str, **fields: str) -> dict[str, Any]:
        """A question of a node; the result of its answer."""
        target = f"/policy/v1/{path}?{encode_query(fields)}"
        _, _, answer = await self.ask("policy", "GET", target, {"Authorization": AUTHORIZATION})
        found = json.loads(answer)
        if found["status"] != "success":
            self.seen.faults.append(f"policy: {found}")
        result = found.get("result", {})
        return result if isinstance(result, dict) else {}

    async def report(self, message: Message) -> None:
        """A message of a node, or several in one."""
        await self.ask("event", "POST", "/events/v1/pexip", {"Authorization": _SINK}, message)

    async def link(self, name: str) -> dict[str, Any]:
        """A customer's link, as the organisation is told of it; ``call`` is what the call is named."""
        bearer = {"Authorization": f"Bearer {API_KEY}"}
        made = json.loads((await self.ask("link", "POST", "/api/v1/links", bearer, {**self._wanted, "name": name}))[2])
        # Version 0.1 had one name for a call.
        return {"call": made["session"], **made}

    def reporter(self, service: Mapping[str, Any]) -> Reporter:
        """What a node has to say of a room."""
        return Reporter(service, lambda: datetime.now(UTC), next(self._seqs) * 100)

    def answered(self, made: Mapping[str, Any], news: Reporter, number: int) -> Answered:
        """The call of a link, answered by an agent, of those who are there in turn."""
        token = self._tokens[number % len(self._tokens)]
        return Answered(made["call"], self._genesys.connect(made["call"], TRUNK, token), token, news)

    async def call(self, number: int) -> None:
        """One call from its link to its end; what goes wrong in it is a fault."""
        try:
            await self._play(number)
        except (OSError, asyncio.IncompleteReadError, KeyError, ValueError) as error:
            self.seen.faults.append(f"call: {type(error).__name__}: {error}")
        else:
            self.seen.finished += 1

    async def _play(self, number: int) -> None:
        name = f"Ada {number}"
        made = await self.link(name)
        page = await self.ask("page", "GET", f"/join/{made['session']}", {"User-Agent": "Mozilla/5.0"})
        guest = urlsplit(page[1].get("location", "")).query
        if page[0] not in {302, 303} or not guest:
            self.seen.faults.append(f"page: {page[0]}")
        asked = web_question(made["alias"], name)
        service = await self.policy("service/configuration", **asked)
        room = service_fields(service)
        news = self.reporter(service)
        control, media = browser(name, made["alias"], "guest")
        await self.policy("participant/properties", **asked, **room, participant_type="api")
        await self.report(news.started())
        await self.report(news.connected(control))
        await self.policy("participant/properties", **{**asked, "protocol": "webrtc"}, **room)
        await self.policy("participant/location", **{**asked, "protocol": "webrtc"}, **room)
        await self.report(news.connected(media))
        await asyncio.sleep(self._call_seconds / 6)
        (leg,) = service["automatic_participants"]
        outgoing = dial_out_question(leg, service)
        await self.policy("service/configuration", **outgoing)
        await self.policy("participant/properties", **outgoing)
        await self.policy("participant/location", **outgoing)
        trunk = trunk_leg(leg)
        await self.report(news.connected(trunk))
        await asyncio.sleep(self._call_seconds / 6)
        call = self.answered(made, news, number)
        found = json.loads((await self.ask("lookup", "GET", call.lookup, call.agent))[2])
        async with self._stream(call):
            await self._talk(call, found["join"]["alias"], room, (control, media, trunk))
        await self.ask("lookup", "GET", call.lookup, call.agent)

    async def _talk(self, call: Answered, alias: str, room: Mapping[str, str], there: tuple[Participant, ...]) -> None:
        agent = self._genesys.agents[call.token].name
        asked = web_question(alias, agent)
        await self.policy("service/configuration", **asked)
        await self.policy("participant/properties", **{**asked, "protocol": "webrtc"}, **room)
        halves = browser(agent, alias, "chair")
        for half in halves:
            await self.report(call.news.connected(half))
        await asyncio.sleep(self._call_seconds / 2)
        for one in (*halves, *there):
            await self.report(call.news.disconnected(one, "Call disconnected"))
        await self.report(call.news.ended())
        # A customer's browser that is closed tells its node twice.
        await self.report(call.news.ended())

    @asynccontextmanager
    async def _stream(self, call: Answered) -> AsyncIterator[None]:
        connection = Connection(self._port)
        began = perf_counter()
        status, _ = await connection.send("GET", call.stream, call.agent)
        if status != 200:
            self.seen.faults.append(f"stream: {status}")
        chunks = connection.chunks()
        await anext(chunks)
        self.seen.answered("stream", began)
        reading = asyncio.create_task(_drain(chunks))
        try:
            yield
        finally:
            reading.cancel()
            connection.close()


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    async for _ in chunks:
        pass

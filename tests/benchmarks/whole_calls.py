"""Whole calls in their real proportions, from the link to the last hang-up, at a steady rate against one process.

A call is a link, its page, nine questions of a node, fourteen messages of an event sink, two lookups of the agent's widget
and its stream, which is open from the agent's answer to the end. Steps come at the times of a real call, made shorter.
"""

import argparse
import asyncio
import json
import os
import statistics
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from policy_server.pexip.requests import encode_query
from policy_server.simulator.events import Message, Participant, Reporter, browser, trunk_leg
from policy_server.simulator.genesys import StandIn, User
from policy_server.simulator.node import dial_out_question, service_fields, web_question
from tests.benchmarks.load import AUTHORIZATION, HERE, Server, basic, serving
from tests.benchmarks.material import API_KEY, SINK_PASSWORD, SINK_USERNAME, TOKEN, write_call_rules
from tests.genesys.asking import settings

CALL_SECONDS: Final = 6.0
"""From the customer's arrival to the last hang-up: a real call is longer, and costs no more for it."""

AGENTS: Final = {f"{TOKEN}-{number}": User(f"Agent {number}") for number in range(200)}
"""Agents by their tokens; each has one call at a time."""

_CPU_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Connection:
    """One HTTP/1.1 connection that is kept alive, cheaper than a client library: the driver must not be what is slow."""

    def __init__(self, port: int) -> None:
        self._port: Final = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, Mapping[str, str]]:
        """Sends a request; the status and the headers of its answer, whose body ``body`` reads."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        lines = [f"{method} {target} HTTP/1.1", "Host: policy.example.com", *(f"{k}: {v}" for k, v in headers.items())]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        assert self._reader is not None
        status_line, *header_lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in header_lines)}
        return int(status_line.split()[1]), found

    async def body(self, headers: Mapping[str, str]) -> bytes:
        """The body of an answer."""
        assert self._reader is not None
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        return b"".join([chunk async for chunk in self.chunks()]) if "transfer-encoding" in headers else b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of an answer as they come."""
        assert self._reader is not None
        while size := int((await self._reader.readline()).strip() or b"0", 16):
            chunk = await self._reader.readexactly(size)
            await self._reader.readline()
            yield chunk
        await self._reader.readline()

    def close(self) -> None:
        """Closes it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


@dataclass
class Seen:
    """What the callers saw: seconds of each request by kind, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    finished: int = 0

    def percentile(self, kind: str, share: float) -> float:
        """Milliseconds."""
        values = sorted(self.seconds.get(kind, [0.0]))
        return values[min(len(values) - 1, int(len(values) * share))] * 1000


class Callers:
    """Customers, nodes, the sink, agents and the organisation, each with connections that are kept alive."""

    def __init__(self, port: int, genesys: StandIn) -> None:
        self.seen: Final = Seen()
        self._port: Final = port
        self._genesys: Final = genesys
        self._idle: Final[list[Connection]] = []
        self._seqs: Final = count(1, 100)

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
        self, kind: str, method: str, target: str, headers: Mapping[str, str], body: object = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request, timed."""
        sent = b"" if body is None else json.dumps(body).encode()
        async with self._connection() as connection:
            began = perf_counter()
            status, found = await connection.send(method, target, headers, sent)
            answer = await connection.body(found)
            self.seen.seconds.setdefault(kind, []).append(perf_counter() - began)
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
        """A message of a node."""
        headers = {"Authorization": basic(SINK_USERNAME, SINK_PASSWORD)}
        await self.ask("event", "POST", "/events/v1/pexip", headers, message)

    async def call(self, number: int) -> None:
        """One call."""
        try:
            await self._play(number)
        except (OSError, asyncio.IncompleteReadError, KeyError, ValueError) as error:
            self.seen.faults.append(f"call: {type(error).__name__}: {error}")
        else:
            self.seen.finished += 1

    async def _play(self, number: int) -> None:
        name = f"Ada {number}"
        bearer = {"Authorization": f"Bearer {API_KEY}"}
        made = json.loads((await self.ask("link", "POST", "/api/v1/links", bearer, {"type": "visit", "name": name}))[2])
        # Version 0.1 had one name for a call.
        call = made.get("call", made["session"])
        page = await self.ask("page", "GET", f"/join/{made['session']}", {"User-Agent": "Mozilla/5.0"})
        guest = urlsplit(page[1].get("location", "")).query
        if page[0] not in {302, 303} or not guest:
            self.seen.faults.append(f"page: {page[0]}")
        asked = web_question(made["alias"], name)
        service = await self.policy("service/configuration", **asked)
        room = service_fields(service)
        news = Reporter(service, lambda: datetime.now(UTC), next(self._seqs) * 100)
        control, media = browser(name, made["alias"], "guest")
        await self.policy("participant/properties", **asked, **room, participant_type="api")
        await self.report(news.started())
        await self.report(news.connected(control))
        await self.policy("participant/properties", **{**asked, "protocol": "webrtc"}, **room)
        await self.policy("participant/location", **{**asked, "protocol": "webrtc"}, **room)
        await self.report(news.connected(media))
        await asyncio.sleep(CALL_SECONDS / 6)
        (leg,) = service["automatic_participants"]
        outgoing = dial_out_question(leg, service)
        await self.policy("service/configuration", **outgoing)
        await self.policy("participant/properties", **outgoing)
        await self.policy("participant/location", **outgoing)
        trunk = trunk_leg(leg)
        await self.report(news.connected(trunk))
        await asyncio.sleep(CALL_SECONDS / 6)
        token = f"{TOKEN}-{number % len(AGENTS)}"
        conversation = self._genesys.connect(call, "+13129998045", AGENTS[token])
        lookup = f"/agent/v1/conferences/{call}"
        query = f"?{urlencode({'conversation': conversation})}"
        agent = {"Authorization": f"Bearer {token}", "Origin": "https://widget.example.com"}
        found = json.loads((await self.ask("lookup", "GET", lookup + query, agent))[2])
        async with self._stream(f"{lookup}/events{query}", agent):
            await self._talk(AGENTS[token].name, found["join"]["alias"], news, room, (control, media, trunk))
        await self.ask("lookup", "GET", lookup + query, agent)

    async def _talk(
        self, agent: str, alias: str, news: Reporter, room: Mapping[str, str], there: tuple[Participant, ...]
    ) -> None:
        asked = web_question(alias, agent)
        await self.policy("service/configuration", **asked)
        await self.policy("participant/properties", **{**asked, "protocol": "webrtc"}, **room)
        halves = browser(agent, alias, "chair")
        for half in halves:
            await self.report(news.connected(half))
        await asyncio.sleep(CALL_SECONDS / 2)
        for one in (*halves, *there):
            await self.report(news.disconnected(one, "Call disconnected"))
        await self.report(news.ended())
        # A customer's browser that is closed tells its node twice.
        await self.report(news.ended())

    @asynccontextmanager
    async def _stream(self, target: str, headers: Mapping[str, str]) -> AsyncIterator[None]:
        connection = Connection(self._port)
        began = perf_counter()
        status, _ = await connection.send("GET", target, headers)
        if status != 200:
            self.seen.faults.append(f"stream: {status}")
        chunks = connection.chunks()
        await anext(chunks)
        self.seen.seconds.setdefault("stream", []).append(perf_counter() - began)
        reading = asyncio.create_task(_drain(chunks))
        try:
            yield
        finally:
            reading.cancel()
            connection.close()


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    async for _ in chunks:
        pass


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used, threads and all."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CPU_TICKS


@dataclass(frozen=True, slots=True)
class Played:
    """What calls at one rate came to. Milliseconds; ``load`` is the share of a core."""

    rate: float
    calls: int
    cpu_a_call: float
    policy_p50: float
    policy_p99: float
    load: float
    faults: int
    examples: tuple[str, ...]


async def play(server: Server, genesys: StandIn, rate: float, seconds: float) -> Played:
    """Calls that begin at a steady rate, and what they cost once as many end as begin."""
    callers = Callers(server.port, genesys)
    calls: list[asyncio.Task[None]] = []
    began, before = perf_counter(), cpu_seconds(server.pid)
    for number in range(int(rate * seconds)):
        calls.append(asyncio.create_task(callers.call(number)))
        await asyncio.sleep(max(0.0, began + (number + 1) / rate - perf_counter()))
    async with asyncio.timeout(CALL_SECONDS * 20):
        await asyncio.gather(*calls)
    spent, lasted = cpu_seconds(server.pid) - before, perf_counter() - began
    seen = callers.seen
    return Played(
        rate,
        seen.finished,
        spent / max(seen.finished, 1) * 1000,
        statistics.median(seen.seconds.get("policy", [0.0])) * 1000,
        seen.percentile("policy", 0.99),
        spent / lasted,
        len(seen.faults),
        tuple(seen.faults[:3]),
    )


def main() -> None:
    """Plays calls against a server of a checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", type=Path, default=HERE)
    parser.add_argument("--database", default="")
    parser.add_argument("--rates", type=float, nargs="+", default=[4.0])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    genesys = StandIn()
    genesys.users.update(AGENTS)
    is_first = not (checkout / "policy_server" / "policy" / "names.py").exists()
    rules = write_call_rules(options.folder, 1000, is_first_version=is_first)
    with genesys.serving() as api:
        further = {
            "POLICY_EVENTS_USERNAME": SINK_USERNAME,
            "POLICY_EVENTS_PASSWORD": SINK_PASSWORD,
            "POLICY_API_KEYS": f"bench:{API_KEY}",
            **settings(api),
            "POLICY_NODE": "node.example.com",
            "POLICY_PUBLIC_URL": "https://join.example.com",
            "POLICY_WIDGET_ORIGINS": "https://widget.example.com",
            "POLICY_AGENT_BINDING": "required",
        }
        if options.database:
            further["POLICY_DATABASE_URL"] = options.database
        with serving(rules, checkout, further) as server:
            for rate in options.rates:
                played = asyncio.run(play(server, genesys, rate, options.seconds))
                print(
                    f"{played.rate:5.1f}/s  {played.calls:4} calls  {played.cpu_a_call:6.1f} ms CPU a call  "
                    f"policy p50 {played.policy_p50:6.1f} p99 {played.policy_p99:7.1f} ms  core {played.load:.2f}  "
                    f"{server.resident_mib:.0f} MiB  {played.faults} faults {played.examples}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

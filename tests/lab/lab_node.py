"""A simulated node for tests: its policy server, trunk and event sink are made up, its client API is real HTTP."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import httpx
import uvicorn

from policy_server.lab.node.client_api import client_api
from policy_server.lab.node.dialling import RoutingRule
from policy_server.lab.node.infinity import Infinity
from policy_server.lab.node.sink import SinkAddress
from tests.waiting import until

T = TypeVar("T")
Json = dict[str, Any]

POLICY: Final = "http://policy.example.com"
CREDENTIALS: Final = ("pexip", "a password")
SINK: Final = SinkAddress("http://events.example.com/events", "events", "another password")
TLS: Final = ssl.create_default_context()
"""Made once, because that takes longer than most of these tests."""
ROUTE: Final = RoutingRule(r"99(\+\d{11})", r"\1@trunk.example")

LEG: Final[Json] = {
    "local_alias": "visit@video.example.com",
    "local_display_name": "session-1",
    "remote_alias": "99+13129998045",
    "remote_display_name": "Contact centre",
    "protocol": "sip",
    "role": "chair",
    "routing": "routing_rule",
    "keep_conference_alive": "keep_conference_alive_never",
}
ROOM: Final[Json] = {"service_type": "conference", "name": "visit-1", "service_tag": "visits"}
CLINIC: Final[Json] = {
    **ROOM,
    "pin": "123456",
    "guest_pin": "654321",
    "allow_guests": True,
    "participant_limit": 4,
}
DIALLING: Final[Json] = {**CLINIC, "automatic_participants": [LEG]}
"""The same with a contact centre to dial."""


@dataclass
class Placed:
    """A call that the node placed, and what may become of it."""

    uri: str
    from_display_name: str
    from_user: str
    on_ringing: Callable[[], None]
    on_answered: Callable[[], None]
    on_ended: Callable[[str], None]
    is_hung_up: bool = False

    async def hang_up(self) -> None:
        """The node ends it."""
        self.is_hung_up = True


@dataclass
class Trunk:
    """Where calls go."""

    placed: list[Placed] = field(default_factory=list)
    trouble: Exception | None = None

    async def __call__(self, uri: str, **further: Any) -> Placed:
        """Takes a call, which rings."""
        if self.trouble is not None:
            raise self.trouble
        call = Placed(uri, **further)
        self.placed.append(call)
        call.on_ringing()
        return call


@dataclass
class World:
    """What the node's requests meet: the answers of the policy server, and an event sink that may be out of order."""

    service: Json = field(default_factory=lambda: dict(CLINIC))
    by_alias: dict[str, object] = field(default_factory=dict)
    """Whole answers for some aliases."""
    dial_out: object = None
    """The whole answer about outgoing legs, when it is another one."""
    properties: object = field(default_factory=lambda: {"status": "success", "action": "continue", "result": {}})
    may_dial: asyncio.Event | None = None
    """Questions about outgoing legs are answered once it is set, at once when there is none."""
    is_sink_down: bool = False
    asked: list[httpx.Request] = field(default_factory=list)
    posted: list[Json] = field(default_factory=list)
    attempts: int = 0

    @property
    def events(self) -> list[Json]:
        """The single messages that were taken."""
        return [
            each for body in self.posted for each in (body["data"] if body["event"] == "eventsink_bulk" else [body])
        ]

    def names(self) -> list[str]:
        """The names of those messages, without those about the sink itself."""
        return [each["event"] for each in self.events if not each["event"].startswith("eventsink")]

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answers the node."""
        if request.method == "POST":
            self.attempts += 1
            if self.is_sink_down:
                return httpx.Response(503)
            self.posted.append(json.loads(request.content))
            return httpx.Response(200)
        self.asked.append(request)
        if request.url.path.endswith("properties"):
            return httpx.Response(200, json=self.properties)
        if request.url.path.endswith("location"):
            return httpx.Response(200, json={"status": "success", "result": {"location": "DMZ"}})
        alias = request.url.params["local_alias"]
        if request.url.params["call_direction"] == "dial_out":
            if self.may_dial is not None:
                await self.may_dial.wait()
            if self.dial_out is not None:
                return httpx.Response(200, json=self.dial_out)
        if alias in self.by_alias:
            return httpx.Response(200, json=self.by_alias[alias])
        return httpx.Response(200, json={"status": "success", "action": "continue", "result": self.service})


@dataclass
class Client:
    """Somebody who has a token, as a browser."""

    http: httpx.AsyncClient
    alias: str
    granted: Json

    @property
    def uuid(self) -> str:
        """Who that is."""
        return str(self.granted["participant_uuid"])

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"token": self.granted["token"]}

    async def post(self, path: str, body: object = None) -> httpx.Response:
        """Tells the node something; ``path`` goes on after the alias."""
        return await self.http.post(f"{root(self.alias)}{path}", json=body, headers=self.headers)

    async def get(self, path: str) -> Any:
        """Asks the node something; returns ``result``."""
        answer = await self.http.get(f"{root(self.alias)}{path}", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def roster(self) -> list[Json]:
        """Who is there."""
        found = await self.get("/participants")
        assert isinstance(found, list)
        return found

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Stream"]:
        """An event stream, once the roster has come."""
        path = f"{root(self.alias)}/events?token={self.granted['token']}"
        async with self.http.stream("GET", path) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            stream = Stream()
            reading = asyncio.create_task(stream.read(response))
            try:
                await until(lambda: "conference_update" in stream.names)
                yield stream
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)


@dataclass
class Stream:
    """The events that have come, and whether the stream is over."""

    events: list[tuple[str, Any]] = field(default_factory=list)
    is_over: bool = False

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [name for name, _ in self.events]

    def told(self, name: str) -> list[Any]:
        """The data of the events of a name."""
        return [data for found, data in self.events if found == name]

    async def read(self, response: httpx.Response) -> None:
        """Reads until the node ends it."""
        name = ""
        async for line in response.aiter_lines():
            kind, _, value = line.partition(": ")
            if kind == "event":
                name = value
            elif kind == "data":
                self.events.append((name, json.loads(value)))
        self.is_over = True


@dataclass
class Lab:
    """A node that is served, and what is around it."""

    node: Infinity
    world: World
    trunk: Trunk
    http: httpx.AsyncClient

    async def request_token(self, alias: str, pin: str | None = None, **body: object) -> httpx.Response:
        """Asks for a token."""
        headers = {"pin": pin} if pin is not None else {}
        asked = {"display_name": "Ada L", **body}
        return await self.http.post(f"{root(alias)}/request_token", json=asked, headers=headers)

    async def join(self, alias: str = "customer", pin: str | None = "654321", **body: object) -> Client:
        """Somebody who gets in."""
        answer = await self.request_token(alias, pin, **body)
        assert answer.status_code == 200, answer.text
        return Client(self.http, alias, answer.json()["result"])


def root(alias: str) -> str:
    """Where the client API of a conference is."""
    return f"/api/client/v2/conferences/{alias}"


@asynccontextmanager
async def serving(node: Infinity) -> AsyncIterator[httpx.AsyncClient]:
    """A node's client API behind a real server on this loop, and a client for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            client_api(node), lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=5
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        # Without serve(), which looks only ten times a second whether it shall end.
        await server.startup([listener])
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=url, trust_env=False, verify=TLS, timeout=20) as client:
                yield client
        finally:
            await server.shutdown([listener])


@asynccontextmanager
async def lab(world: World | None = None, **options: Any) -> AsyncIterator[Lab]:
    """A node with a world around it; ``options`` are those of Infinity. Automatic participants are dialled at once."""
    world = world or World()
    trunk = Trunk()
    async with httpx.AsyncClient(transport=httpx.MockTransport(world.handle)) as client:
        complete = {"event_sink": SINK, "routing_rules": (ROUTE,), "adp_delay": 0.02, **options}
        node = Infinity(POLICY, CREDENTIALS, client=client, dial=trunk, **complete)
        async with serving(node) as http, node:
            yield Lab(node, world, trunk, http)


def questions(asked: list[httpx.Request]) -> list[tuple[str, Mapping[str, str]]]:
    """What was asked: the last word of the path, and the parameters."""
    return [(request.url.path.rpartition("/")[2], dict(request.url.params)) for request in asked]

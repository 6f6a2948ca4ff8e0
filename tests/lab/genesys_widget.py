"""What the tests of the Genesys stand-in ask it with: a widget that signs in and listens, over HTTP and WebSocket."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect

from policy_server.lab.genesys.cloud import GenesysCloud
from policy_server.lab.serving import serving
from policy_server.simulator.genesys import Json
from tests.waiting import PATIENCE, WHOLE_PATIENCE

CLIENT_ID: Final = "3d1c9a52-0e7b-4f2c-8d64-19b8a7c6e5f0"
REDIRECT_URI: Final = "http://127.0.0.1:9/agent/"
ORIGIN: Final = "http://127.0.0.1:9"
VERIFIER: Final = "v3rifier-of-the-widget-which-is-long-enough-for-it"
CHALLENGE: Final = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()

T = TypeVar("T")

ASKED: Final = {
    "response_type": "code",
    "client_id": CLIENT_ID,
    "redirect_uri": REDIRECT_URI,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "state": "a state & more",
}
"""What a widget asks the login with."""


@dataclass
class Genesys:
    """The stand-in as it is served, and a browser's connection to it."""

    cloud: GenesysCloud
    url: str
    http: httpx.AsyncClient

    async def code(self, agent: str) -> str:
        """A code for an agent who signs in."""
        answer = await self.http.get("/oauth/authorize", params={**ASKED, "agent": agent})
        assert answer.status_code == 302, answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    async def redeem(self, code: str, **changed: str) -> httpx.Response:
        """Asks for the token of a code, with fields of the form changed, or left out by ``""``."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": CLIENT_ID,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": VERIFIER,
        }
        sent = {name: value for name, value in {**form, **changed}.items() if value}
        return await self.http.post("/oauth/token", data=sent)

    async def sign_in(self, agent: str) -> "Widget":
        """An agent's widget, with a token of its own."""
        answer = await self.redeem(await self.code(agent))
        assert answer.status_code == 200, answer.text
        return Widget(self, agent, answer.json()["access_token"])


@dataclass
class Widget:
    """A page in an agent's browser."""

    genesys: Genesys
    agent: str
    token: str = field(repr=False)

    async def ask(self, path: str, method: str = "GET", **further: Any) -> httpx.Response:
        """A request to the API, ``path`` going on after ``/api/v2/``."""
        headers = {"authorization": f"Bearer {self.token}", "origin": ORIGIN}
        return await self.genesys.http.request(method, f"/api/v2/{path}", headers=headers, **further)

    async def conversation(self, identifier: str) -> Json:
        """A conversation that the agent may see."""
        answer = await self.ask(f"conversations/{identifier}")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert isinstance(found, dict)
        return found

    async def channel(self, *topics: str) -> Json:
        """A channel, with the agent's calls unless other topics are given."""
        channel: Json = (await self.ask("notifications/channels", "POST")).json()
        wanted = topics or (f"v2.users.{self.genesys.cloud.agent(self.agent).id}.conversations.calls",)
        path = f"notifications/channels/{channel['id']}/subscriptions"
        answer = await self.ask(path, "POST", json=[{"id": topic} for topic in wanted])
        assert answer.status_code == 200, answer.text
        return channel

    @asynccontextmanager
    async def listening(self, channel: Json | None = None) -> AsyncIterator["Ear"]:
        """A socket at a channel, a new one unless one is given, that the stand-in knows to be open."""
        uri = (channel or await self.channel())["connectUri"]
        async with connect(uri, proxy=None) as socket:
            ear = Ear(socket)
            assert await ear.news() == []
            yield ear


@dataclass
class Ear:
    """The widget's end of a WebSocket."""

    socket: ClientConnection

    async def message(self) -> Json:
        """The next message."""
        async with asyncio.timeout(PATIENCE):
            found = json.loads(await self.socket.recv())
        assert isinstance(found, dict)
        return found

    async def news(self) -> list[Json]:
        """All messages that are on their way, heartbeats left out: what comes before the answer to a ping."""
        await self.socket.send('{"message": "ping"}')
        found: list[Json] = []
        while (message := await self.message())["eventBody"] != {"message": "pong"}:
            if message["topicName"] != "channel.metadata":
                found.append(message)
        return found

    async def closed(self) -> int | None:
        """Waits until the other side closes; returns the code."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        return self.socket.close_code


@asynccontextmanager
async def genesys(heartbeat_seconds: float = 30.0) -> AsyncIterator[Genesys]:
    """A stand-in with the client of the tests, served."""
    cloud = GenesysCloud(heartbeat_seconds=heartbeat_seconds)
    cloud.sign_in.register(CLIENT_ID, REDIRECT_URI)
    async with (
        serving(cloud.app) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False) as http,
    ):
        yield Genesys(cloud, url, http)


Scene = Callable[[Genesys], Awaitable[None]]


class Stage:
    """A stand-in that serves all scenes of a module, on a loop of its own; use it in ``with``."""

    def __init__(self) -> None:
        self._runner: Final = asyncio.Runner()
        self._open: Final = AsyncExitStack()

    def __enter__(self) -> Self:
        self._genesys = self._runner.run(self.enter(genesys()))
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._open.aclose())
        self._runner.close()

    def play(self, scene: Scene) -> None:
        """Plays a scene; nothing of an earlier one is left."""
        self._genesys.cloud.reset()
        self._genesys.cloud.clear()
        self._genesys.cloud.sign_in.default = ""
        self._genesys.http.cookies.clear()
        self._runner.run(_bounded(scene, self._genesys))

    async def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Keeps something open as long as the stage."""
        return await self._open.enter_async_context(context)

    def serve(self, app: ASGIApp) -> str:
        """Serves one more application; returns its address."""
        return self._runner.run(self.enter(serving(app)))


def play_alone(scene: Scene, heartbeat_seconds: float) -> None:
    """Plays a scene at a stand-in of its own with other heartbeats."""

    async def run() -> None:
        async with genesys(heartbeat_seconds) as served:
            await _bounded(scene, served)

    asyncio.run(run())


async def _bounded(scene: Scene, served: Genesys) -> None:
    async with asyncio.timeout(WHOLE_PATIENCE):
        await scene(served)

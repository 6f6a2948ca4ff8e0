"""A stand-in of the Genesys Cloud API: what agents' lookup and widgets need of it, and every way in which it can fail.

``StandIn`` is what the lookup asks. ``GenesysCloud`` is the whole of it for a widget in a browser: agents who sign in,
notification channels, CORS; ``genesys_calls.py`` puts calls into it. In a program, ``with StandIn().serving() as url``; either
can be served from another loop or thread. Alone, ``python -m policy_server.simulator.genesys_cloud --port 8090``;
then the commands under ``/stand-in/`` make users and conversations and set failures:

    PUT    /stand-in/users/TOKEN        {"name": "Maria Silva", "division_id": "…"}   fields of User
    PUT    /stand-in/conversations/ID   [participant, …]
    PUT    /stand-in/trouble            {"status": 429, "headers": {"Retry-After": "30"}, "times": 1}   fields of Trouble
    DELETE /stand-in/trouble
    GET    /stand-in/requests

The shapes are those of genesys.md, sections 5 to 7.
"""

import argparse
import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe
from typing import Any, Final, Literal
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from policy_server.simulator.genesys_channels import Channel, Channels
from policy_server.simulator.genesys_oauth import SignIn, WidgetCors

ORGANIZATION: Final = "0f1e2d3c-4b5a-4697-8877-665544332211"
DIVISION: Final = "1b2c3d4e-5f60-4a71-8b92-a3b4c5d6e7f8"

Json = dict[str, Any]


@dataclass(frozen=True)
class User:
    """The owner of a token. ``kind`` ``client`` is a token without a user, ``unscoped`` one that may not ask."""

    name: str = "Maria Silva"
    id: str = field(default_factory=lambda: str(uuid4()))
    organization_id: str = ORGANIZATION
    division_id: str = DIVISION
    state: str = "active"
    kind: Literal["user", "client", "unscoped"] = "user"
    sees_all: bool = False
    """May see conversations of others, as a supervisor may."""


@dataclass(frozen=True)
class Trouble:
    """What happens instead of an answer: so many ``times``, or until it is cleared."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    how: Literal["answer", "hang", "drip"] = "answer"
    times: int | None = None
    only: str = ""
    """Of which paths: those that begin so."""
    over: "Future[None]" = field(default_factory=Future, repr=False)
    """Done when it is cleared: what hung is answered then."""


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    path: str
    token: str = field(repr=False)
    cookie: str = field(repr=False)


def participant(purpose: str, state: str = "connected", **further: Any) -> Json:
    """A participant with one call; ``further`` are fields such as ``userId``, ``aniName``, ``endTime``."""
    call = {"id": str(uuid4()), "state": state, "held": False, "muted": False}
    return {"id": str(uuid4()), "purpose": purpose, "calls": [call], **further}


class StandIn:
    """The state of the stand-in, safe to change from another thread than the one that serves."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.clients: dict[str, str] = {}
        """The OAuth client of a token."""
        self.conversations: dict[str, list[Json]] = {}
        self.requests: list[Seen] = []
        self._arrived = threading.Condition()
        self._trouble: Trouble | None = None
        self._left = 0
        command = "/stand-in"
        self.app: Final = Starlette(
            routes=[
                Route("/api/v2/users/me", self._me),
                Route("/api/v2/tokens/me", self._token_info),
                Route("/api/v2/conversations/{id}", self._conversation),
                Route(command + "/users/{token}", self._put_user, methods=["PUT"]),
                Route(command + "/conversations/{id}", self._put_conversation, methods=["PUT"]),
                Route(command + "/trouble", self._put_trouble, methods=["PUT", "DELETE"]),
                Route(command + "/requests", self._get_requests),
            ]
        )

    def connect(self, ani_name: str, dnis: str, user: User) -> str:
        """Makes the conversation of a caller with this name, who dialled this, and a user who has answered; returns its id."""
        identifier = str(uuid4())
        self.conversations[identifier] = [
            participant("customer", aniName=ani_name, dnis=dnis),
            participant("agent", userId=user.id),
        ]
        return identifier

    def reset(self) -> None:
        """Forgets everything."""
        self.clear()
        self.users, self.clients, self.conversations, self.requests = {}, {}, {}, []

    def trouble(self, **fields: Any) -> None:
        """Sets a failure: the fields of Trouble."""
        self.clear()
        self._trouble = Trouble(**fields)
        self._left = -1 if self._trouble.times is None else self._trouble.times

    def clear(self) -> None:
        """Ends a failure; requests that hang are answered now."""
        ended, self._trouble = self._trouble, None
        if ended is not None:
            ended.over.set_result(None)

    def wait_for(self, count: int, seconds: float = 10.0) -> None:
        """Returns when so many requests have arrived. Blocks: not for an event loop. Raises TimeoutError."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, seconds):
                raise TimeoutError(f"{len(self.requests)} of {count} requests arrived")

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[str]:
        """Serves over HTTP from a thread; yields the address. Raises OSError when the port is taken."""
        with socket.create_server(("127.0.0.1", port)) as listening:
            # asyncio sets it only where the protocol is named; without it answers wait for acknowledgements.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = uvicorn.Server(
                uvicorn.Config(
                    self.app,
                    lifespan="off",
                    ws="websockets-sansio",
                    loop="asyncio",
                    log_level="error",
                    timeout_graceful_shutdown=1,
                )
            )
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                self.clear()
                server.should_exit = True
                thread.join(10)

    async def _me(self, request: Request) -> Response:
        user = await self._owner(request)
        if isinstance(user, Response):
            return user
        if user.kind == "client":
            return _error(400, "bad.request")
        if user.kind == "unscoped":
            return _error(403, "missing.any.permissions")
        email = user.name.lower().replace(" ", ".") + "@example.com"
        division = {"id": user.division_id, "name": "Home"}
        answer: Json = {
            "id": user.id,
            "name": user.name,
            "email": email,
            "username": email,
            "state": user.state,
            "division": {**division, "selfUri": f"/api/v2/authorization/divisions/{user.division_id}"},
            "version": 12,
            "selfUri": f"/api/v2/users/{user.id}",
        }
        expand = request.query_params.get("expand", "").split(",")
        if "organization" in expand:
            answer["organization"] = {"id": user.organization_id, "name": "Example"}
        if "authorization" in expand:
            answer["authorization"] = {"roles": [], "permissions": ["conversation:call:view"]}
        if "token" in expand:
            answer["token"] = self._describe_token(request, user)
        return _answer(answer)

    async def _token_info(self, request: Request) -> Response:
        user = await self._owner(request)
        return user if isinstance(user, Response) else _answer(self._describe_token(request, user))

    def _describe_token(self, request: Request, user: User) -> Json:
        organization = {"id": user.organization_id, "name": "Example"}
        client = {"id": self.clients.get(_token(request), ""), "name": "Widget", "organization": organization}
        return {"organization": organization, "homeOrganization": organization, "OAuthClient": client}

    async def _conversation(self, request: Request) -> Response:
        user = await self._owner(request)
        if isinstance(user, Response):
            return user
        identifier = request.path_params["id"]
        people = self.conversations.get(identifier)
        if people is None:
            return _error(404, "not.found")
        if not user.sees_all and all(one.get("userId") != user.id for one in people):
            return _error(403, "missing.any.permissions")
        start = next((one["startTime"] for one in people if "startTime" in one), "2026-01-15T10:02:11.120Z")
        return _answer({"id": identifier, "startTime": start, "participants": people})

    async def _owner(self, request: Request) -> User | Response:
        """The owner of the token in a request, or the answer if it comes to nothing."""
        failure = await self._arrive(request)
        return failure or self.users.get(_token(request)) or _error(401, "bad.credentials")

    async def _arrive(self, request: Request) -> Response | None:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        with self._arrived:
            self.requests.append(Seen(path, _token(request), request.headers.get("cookie", "")))
            self._arrived.notify_all()
        trouble = self._trouble
        if trouble is None or self._left == 0 or not path.startswith(trouble.only):
            return None
        self._left -= 1
        if trouble.how == "hang":
            gone = asyncio.create_task(_gone(request))
            await asyncio.wait((gone, asyncio.wrap_future(trouble.over)), return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            return None
        if trouble.how == "drip":
            return StreamingResponse(_drip(), trouble.status, trouble.headers)
        if trouble.body is None:
            return _error(trouble.status, "stand.in", trouble.headers)
        return Response(trouble.body.encode("utf-8", "surrogatepass"), trouble.status, trouble.headers)

    async def _put_user(self, request: Request) -> Response:
        self.users[request.path_params["token"]] = User(**await request.json())
        return Response(status_code=204)

    async def _put_conversation(self, request: Request) -> Response:
        self.conversations[request.path_params["id"]] = await request.json()
        return Response(status_code=204)

    async def _put_trouble(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.clear()
        else:
            self.trouble(**await request.json())
        return Response(status_code=204)

    async def _get_requests(self, _: Request) -> Response:
        return JSONResponse([seen.path for seen in self.requests])


AGENTS: Final[Mapping[str, User]] = {
    "maria": User("Maria Silva", id="8f3c1c52-58a5-4b7d-9a6e-0d4e2f7b9c11"),
    "tom": User("Tom Becker", id="2c7f0f3e-6b1d-4d52-8f0a-5a9c3e1b7d24"),
    "aiko": User("Aiko Tanaka", id="b45d9a10-93c8-4f6e-a1d7-7e2f8c6b0a35"),
}
"""Three agents of one organisation and division, by the words that commands and addresses call them by."""

HEARTBEAT_SECONDS: Final = 30.0
"""About how often Genesys Cloud sends one (genesys.md, section 7)."""

CHANNEL_LIFE: Final = timedelta(hours=24)


class GenesysCloud(StandIn):
    """The stand-in with all that a widget needs: agents who sign in by PKCE, notifications, CORS for its pages.

    A widget's client and redirect URI have to be registered with ``sign_in``; its origin is let in with that.
    """

    def __init__(self, agents: Mapping[str, User] = AGENTS, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        super().__init__()
        self.agents: Final = dict(agents)
        self.sign_in: Final = SignIn({agent: user.name for agent, user in agents.items()}, self._issue)
        self.channels: Final = Channels(heartbeat_seconds)
        channels = "/api/v2/notifications/channels"
        self.app.router.routes += [
            *self.sign_in.routes,
            Route(channels, self._open_channel, methods=["POST"]),
            Route(channels + "/{id}/subscriptions", self._subscribe, methods=["POST", "PUT"]),
            WebSocketRoute("/channels/{id}", self.channels.serve),
        ]
        self.app.add_middleware(WidgetCors, sign_in=self.sign_in)

    def agent(self, agent: str) -> User:
        """An agent by word. Raises LookupError."""
        if agent not in self.agents:
            raise LookupError(f"there is no agent {agent!r}; the agents are {', '.join(self.agents)}")
        return self.agents[agent]

    def reset(self) -> None:
        """Forgets everything but agents and clients; sockets are closed."""
        super().reset()
        self.channels.reset()

    def expire_token(self, agent: str) -> None:
        """Ends all tokens of an agent, who has to sign in again."""
        user = self.agent(agent)
        for token in [token for token, owner in self.users.items() if owner.id == user.id]:
            del self.users[token]

    def deaf_channel(self, agent: str, deaf: bool = True) -> None:
        """An agent's channels, later ones too, stay open, send heartbeats and deliver nothing, until ``deaf=False``."""
        self.channels.deafen(self.agent(agent).id, deaf)

    def drop_channel(self, agent: str) -> None:
        """Closes an agent's WebSockets."""
        self.channels.drop(self.agent(agent).id)

    def _issue(self, agent: str, client_id: str) -> str:
        token = token_urlsafe(32)
        self.users[token], self.clients[token] = self.agents[agent], client_id
        return token

    async def _open_channel(self, request: Request) -> Response:
        user = await self._owner(request)
        if isinstance(user, Response):
            return user
        channel = self.channels.open(user.id)
        streaming = str(request.base_url.replace(scheme="wss" if request.url.scheme == "https" else "ws"))
        expires = (datetime.now(UTC) + CHANNEL_LIFE).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return _answer({"id": channel.id, "connectUri": f"{streaming}channels/{channel.id}", "expires": expires})

    async def _subscribe(self, request: Request) -> Response:
        user = await self._owner(request)
        if isinstance(user, Response):
            return user
        channel = self.channels.find(request.path_params["id"], user.id)
        if channel is None:
            return _error(404, "not.found")
        try:
            topics = [str(topic["id"]) for topic in await request.json()]
        except (ValueError, TypeError, KeyError):
            return _error(400, "bad.request")
        if not all(topic.startswith(f"v2.users.{user.id}.") for topic in topics):
            return _error(403, "notification.topic.not.permitted")
        return _answer({"entities": [{"id": topic} for topic in _put_topics(channel, topics, request.method)]})


def _put_topics(channel: Channel, topics: list[str], method: str) -> list[str]:
    """PUT replaces what was subscribed to, POST adds to it."""
    channel.topics = dict.fromkeys(topics if method == "PUT" else [*channel.topics, *topics])
    return list(channel.topics)


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def _answer(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    always = {
        "inin-correlation-id": "c0ffee00-0000-4000-8000-000000000001",
        "inin-ratelimit-reset": "47",
        "set-cookie": f"session={uuid4()}; Path=/",
    }
    return Response(json.dumps(body), status, {**always, **(headers or {})}, "application/json")


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> Response:
    body = {"message": "No.", "code": code, "status": status, "contextId": "context-0001", "details": [], "errors": []}
    return _answer(body, status, headers)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.02)


def main() -> None:
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(description="A stand-in of the Genesys Cloud API")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    options = parser.parse_args()
    uvicorn.run(StandIn().app, host=options.host, port=options.port)


if __name__ == "__main__":
    main()

"""A stand-in of the Genesys Cloud API: what the agents' lookup asks of it, and every way in which it can fail.

``with StandIn().serving() as url`` serves it from a thread; ``app`` can be served from another loop as well. The shapes
are the real ones (genesys/README.md: Access tokens, Conversations, Notifications).
"""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

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
        self.app: Final = Starlette(
            routes=[
                Route("/api/v2/users/me", self._me),
                Route("/api/v2/tokens/me", self._token_info),
                Route("/api/v2/conversations/{id}", self._conversation),
            ]
        )

    def connect(self, ani_name: str, dnis: str, user: User, ani: str = "") -> str:
        """Makes the conversation of a caller with this name and address, who dialled this, and a user who has answered;
        returns its id.
        """
        identifier = str(uuid4())
        address = {"ani": ani} if ani else {}
        self.conversations[identifier] = [
            participant("customer", aniName=ani_name, dnis=dnis, **address),
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

    def wait_for(self, count: int, seconds: float = 60.0) -> None:
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
            return json_error(400, "bad.request")
        if user.kind == "unscoped":
            return json_error(403, "missing.any.permissions")
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
        return json_answer(answer)

    async def _token_info(self, request: Request) -> Response:
        user = await self._owner(request)
        return user if isinstance(user, Response) else json_answer(self._describe_token(request, user))

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
            return json_error(404, "not.found")
        if not user.sees_all and all(one.get("userId") != user.id for one in people):
            return json_error(403, "missing.any.permissions")
        start = next((one["startTime"] for one in people if "startTime" in one), "2026-01-15T10:02:11.120Z")
        return json_answer({"id": identifier, "startTime": start, "participants": people})

    async def _owner(self, request: Request) -> User | Response:
        """The owner of the token in a request, or the answer if it comes to nothing."""
        failure = await self._arrive(request)
        return failure or self.users.get(_token(request)) or json_error(401, "bad.credentials")

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
            return json_error(trouble.status, "stand.in", trouble.headers)
        return Response(trouble.body.encode("utf-8", "surrogatepass"), trouble.status, trouble.headers)


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def json_answer(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON with the headers that Genesys Cloud always sends."""
    always = {
        "inin-correlation-id": "c0ffee00-0000-4000-8000-000000000001",
        "inin-ratelimit-reset": "47",
        "set-cookie": f"session={uuid4()}; Path=/",
    }
    return Response(json.dumps(body), status, {**always, **(headers or {})}, "application/json")


def json_error(status: int, code: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal as Genesys Cloud words it."""
    body = {"message": "No.", "code": code, "status": status, "contextId": "context-0001", "details": [], "errors": []}
    return json_answer(body, status, headers)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.02)

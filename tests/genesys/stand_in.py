"""A stand-in of the Genesys Cloud API: what agents' lookup needs of it, and every way in which it can fail.

In a test, ``with StandIn().serving() as url``. Alone, ``python -m tests.genesys.stand_in --port 8090``; then the
commands under ``/stand-in/`` make users and conversations and set failures:

    PUT    /stand-in/users/TOKEN        {"name": "Maria Silva", "division_id": "…"}   fields of User
    PUT    /stand-in/conversations/ID   [participant, …]
    PUT    /stand-in/trouble            {"status": 429, "headers": {"Retry-After": "30"}, "times": 1}   fields of Trouble
    DELETE /stand-in/trouble
    GET    /stand-in/requests

The shapes are those of genesys.md, sections 5 and 6.
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
from typing import Any, Final, Literal
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
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
    over: "Future[None]" = field(default_factory=Future, repr=False)
    """Done when it is cleared: what hung is answered then."""


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    path: str
    token: str
    cookie: str


def participant(purpose: str, state: str = "connected", **further: Any) -> Json:
    """A participant with one call; ``further`` are fields such as ``userId``, ``aniName``, ``endTime``."""
    call = {"id": str(uuid4()), "state": state, "held": False, "muted": False}
    return {"id": str(uuid4()), "purpose": purpose, "calls": [call], **further}


class StandIn:
    """The state of the stand-in, safe to change from another thread than the one that serves."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.conversations: dict[str, list[Json]] = {}
        self.requests: list[Seen] = []
        self._arrived = threading.Condition()
        self._trouble: Trouble | None = None
        self._left = 0
        command = "/stand-in"
        self.app: Final = Starlette(
            routes=[
                Route("/api/v2/users/me", self._me),
                Route("/api/v2/conversations/{id}", self._conversation),
                Route(command + "/users/{token}", self._put_user, methods=["PUT"]),
                Route(command + "/conversations/{id}", self._put_conversation, methods=["PUT"]),
                Route(command + "/trouble", self._put_trouble, methods=["PUT", "DELETE"]),
                Route(command + "/requests", self._get_requests),
            ]
        )

    def reset(self) -> None:
        """Forgets everything."""
        self.clear()
        self.users, self.conversations, self.requests = {}, {}, []

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
        """Returns when so many requests have arrived; fails if they do not. Blocks: not for an event loop."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, seconds), self.requests

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[str]:
        """Serves over HTTP from a thread; yields the address."""
        with socket.create_server(("127.0.0.1", port)) as listening:
            server = uvicorn.Server(
                uvicorn.Config(
                    self.app, lifespan="off", ws="none", loop="asyncio", log_level="error", timeout_graceful_shutdown=1
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
        if (failure := await self._arrive(request)) is not None:
            return failure
        user = self.users.get(_token(request))
        if user is None:
            return _error(401, "bad.credentials")
        if user.kind == "client":
            return _error(400, "bad.request")
        if user.kind == "unscoped":
            return _error(403, "missing.any.permissions")
        answer: Json = {
            "id": user.id,
            "name": user.name,
            "state": user.state,
            "division": {"id": user.division_id, "name": "Home"},
            "version": 12,
        }
        expand = request.query_params.get("expand", "").split(",")
        if "organization" in expand:
            answer["organization"] = {"id": user.organization_id, "name": "Example"}
        if "authorization" in expand:
            answer["authorization"] = {"roles": [], "permissions": ["conversation:call:view"]}
        return _answer(answer)

    async def _conversation(self, request: Request) -> Response:
        if (failure := await self._arrive(request)) is not None:
            return failure
        user = self.users.get(_token(request))
        if user is None:
            return _error(401, "bad.credentials")
        identifier = request.path_params["id"]
        people = self.conversations.get(identifier)
        if people is None:
            return _error(404, "not.found")
        if not user.sees_all and all(one.get("userId") != user.id for one in people):
            return _error(403, "missing.any.permissions")
        return _answer({"id": identifier, "startTime": "2026-01-15T10:02:11.120Z", "participants": people})

    async def _arrive(self, request: Request) -> Response | None:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        with self._arrived:
            self.requests.append(Seen(path, _token(request), request.headers.get("cookie", "")))
            self._arrived.notify_all()
        trouble = self._trouble
        if trouble is None or self._left == 0:
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

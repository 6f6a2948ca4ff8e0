"""How connections end when the server stops: in time, and without a word of what was cut."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from policy_server.cli import connections
from policy_server.cli.bounded import BoundedConnection
from policy_server.web.callers import Proxies
from policy_server.web.doors import Doors
from policy_server.web.places import Places
from policy_server.web.refusals import Door, Refusals
from tests.waiting import eventually

GET = b"GET / HTTP/1.1\r\nhost: policy.example.com\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: policy.example.com\r\ncontent-length: 100000\r\n\r\n{"
MUCH = b"x" * 1_000_000


class App:
    """Answers when it has the whole body and ``go`` is set; ``ended`` counts requests that came to their end."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.ended = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        self.asked.set()
        message = {"type": "http.request", "more_body": True}
        while message["type"] == "http.request" and message.get("more_body"):
            message = dict(await receive())
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(20):
            await send({"type": "http.response.body", "body": MUCH, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self.ended += 1


Scenario = Callable[[App, asyncio.StreamReader, asyncio.StreamWriter, uvicorn.Server], Awaitable[int]]


async def played(scenario: Scenario) -> None:
    """Plays something with one client of a server, then stops the server; as many requests as it says have ended."""
    app = App()
    doors, places = Doors(None, app, "", Proxies(), Refusals(Door.LISTENER)), Places(10)

    def connect(*, server_state: ServerState, **_: object) -> BoundedConnection:
        place = places.take("127.0.0.1")
        assert place is not None
        return BoundedConnection(server_state, ("127.0.0.1", 50_000), doors, place)

    # uvicorn would have a class, and calls it.
    http = cast("type[asyncio.Protocol]", connect)
    config = uvicorn.Config(app, http=http, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=20)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        expected = await scenario(app, reader, writer, server)
        server.should_exit = True
        await serving
    assert app.ended == expected
    writer.transport.abort()


async def slow_body(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: uvicorn.Server) -> int:
    """A client that never sends the rest."""
    app.go.set()
    writer.write(POST)
    await app.asked.wait()
    return 1


async def slow_reader(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: uvicorn.Server) -> int:
    """A client that reads nothing of a long answer."""
    app.go.set()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(GET)
    await app.asked.wait()
    return 1


async def left_in_the_middle(
    app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: uvicorn.Server
) -> int:
    """A client that sends several requests at once and goes away before the first answer."""
    writer.write(GET * 3)
    await app.asked.wait()
    writer.transport.abort()
    await asyncio.to_thread(eventually, lambda: not server.server_state.connections)
    app.go.set()
    return 1


@pytest.mark.parametrize(
    ("scenario", "told"),
    [
        (slow_body, ["server.cut: 1 connections that were not done 0.2 s after the stop"]),
        (slow_reader, ["server.cut: 1 connections that were not done 0.2 s after the stop"]),
        (left_in_the_middle, []),
    ],
)
def test_a_stop_is_told_in_one_line_or_none(
    scenario: Scenario, told: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is under way when a server stops ends by itself, as if its client had gone away: no task is cancelled."""
    monkeypatch.setattr(connections, "CUT_SECONDS", 0.2)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(played(scenario))
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == told

"""One request over HTTP: whether it was surely not sent, and what headers may ask for."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from policy_server.outbound.exchange import LONGEST_PAUSE, Exchange, NoReply, Reply, seconds

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(
    handler: Handler | None, *, timeout: float = 20.0, method: str = "POST", repeats: bool = True
) -> tuple[Reply | NoReply, int]:
    """The reply of a server that does what ``handler`` does, or that is not there, and how many connections it had."""

    async def play() -> tuple[Reply | NoReply, int]:
        served: list[asyncio.Task[None]] = []

        async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if handler is not None:
                await handler(reader, writer)
            writer.close()
            await writer.wait_closed()

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(asyncio.create_task(answer_one(reader, writer)))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if handler is None:
            server.close()
            await server.wait_closed()
        exchange = Exchange(f"http://127.0.0.1:{port}", timeout, reuses=False, repeats=repeats)
        try:
            return await exchange.send(method, "/", {"authorization": "Bearer s3cret"}, b"{}"), len(served)
        finally:
            await exchange.close()
            await asyncio.gather(*served)
            server.close()

    return asyncio.run(play())


async def cut(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Reads the request, and hangs up."""
    await reader.readuntil(b"\r\n\r\n")


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Reads until the client has had enough."""
    await reader.read()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers at once."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 202 Accepted\r\nRetry-After: 7\r\ncontent-length: 2\r\n\r\nok")
    await writer.drain()


def test_a_system_that_is_not_there_got_nothing() -> None:
    """Where no connection comes about, the request is surely unsent."""
    reply, _ = ask(None)
    assert isinstance(reply, NoReply)
    assert (reply.failure, reply.is_unsent) == ("connection", True)
    assert "s3cret" not in repr(reply)


@pytest.mark.parametrize(("handler", "timeout", "failure"), [(cut, 20.0, "connection"), (hang, 1.0, "timeout")])
def test_a_request_that_left_may_have_arrived(handler: Handler, timeout: float, failure: str) -> None:
    """After the first byte nobody knows what the other side has done."""
    reply, arrived = ask(handler, timeout=timeout)
    assert isinstance(reply, NoReply)
    assert (reply.failure, reply.is_unsent, arrived) == (failure, False, 1)
    assert "s3cret" not in repr(reply)


@pytest.mark.parametrize(
    ("method", "repeats", "expected"), [("GET", True, 2), ("GET", False, 1), ("POST", True, 1), ("POST", False, 1)]
)
def test_what_is_sent_twice(method: str, repeats: bool, expected: int) -> None:
    """A lost GET is sent once more unless that is unwanted; anything else is sent once."""
    reply, arrived = ask(cut, method=method, repeats=repeats)
    assert isinstance(reply, NoReply)
    assert (reply.is_unsent, arrived) == (False, expected)


def test_who_waits_in_vain_for_a_connection_has_sent_nothing() -> None:
    """A backlog that is full takes no connection: that is a timeout, and surely unsent."""

    async def play() -> Reply | NoReply:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
            first.connect(full.getsockname())
            second = socket.socket()
            second.setblocking(False)
            second.connect_ex(full.getsockname())
            exchange = Exchange(f"http://127.0.0.1:{full.getsockname()[1]}", 0.3)
            try:
                return await exchange.send("POST", "/", {}, b"{}")
            finally:
                await exchange.close()
                second.close()

    reply = asyncio.run(play())
    assert isinstance(reply, NoReply)
    assert (reply.failure, reply.is_unsent) == ("timeout", True)


def test_an_answer_is_given_whole() -> None:
    """Status, headers in any case, and body."""
    reply, _ = ask(answer)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body, reply.headers["RETRY-AFTER"], reply.retry_after) == (202, b"ok", "7", 7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("0", 1),
        (" 30 ", 30),
        ("999999999", LONGEST_PAUSE),
        ("-1", None),
        ("1.5", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("1" * 20, None),
    ],
)
def test_seconds_of_a_header(text: str | None, expected: int | None) -> None:
    """Whole seconds within bounds, and nothing else."""
    assert seconds(text) == expected

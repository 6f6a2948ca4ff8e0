"""Another policy server, on a thread of its own, that does whatever a test says."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import orjson

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def sends(data: bytes) -> Behave:
    """Writes these bytes for a question, whatever they are."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return send


def http(body: bytes, status: str = "200 OK", *headers: str) -> Behave:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *headers, "", ""]
    return sends("\r\n".join(lines).encode() + body)


def says(answer: Any, status: str = "200 OK") -> Behave:
    """An answer in JSON."""
    return http(orjson.dumps(answer), status)


async def hangs(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Says nothing until whoever asked has gone."""
    await reader.read()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begins an answer, and goes on with it for as long as anybody listens."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n")
    await writer.drain()
    await reader.read()


async def hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends the connection instead of an answer."""
    writer.close()


async def cuts(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends the connection in the middle of an answer."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")
    writer.close()


class StandIn:
    """Listens on loopback within ``with``. ``asked`` are the heads of the questions, ``behave`` is what becomes of them."""

    def __init__(self, behave: Behave, context: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.asked: Final[list[bytes]] = []
        self.connections = 0
        self.port = 0
        self._context: Final = context
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = threading.Thread(target=self._loop.run_forever)
        self._serving: Final[set[asyncio.Task[None]]] = set()
        self._writers: Final[list[asyncio.StreamWriter]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http{'s' if self._context else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _stop(self) -> None:
        # A connection that has just come is let in first: once the server is closed, nobody closes it.
        while letting_in := asyncio.all_tasks() - {asyncio.current_task()} - self._serving:
            await asyncio.gather(*letting_in)
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        # The turn of the loop in which sockets are closed.
        await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        task = self._loop.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                self.asked.append(await reader.readuntil(b"\r\n\r\n"))
                await self.behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

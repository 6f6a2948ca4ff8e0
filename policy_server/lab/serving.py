"""Serves an application over HTTP and WebSocket from the running event loop, on loopback, while a block lasts."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

HOST: Final = "127.0.0.1"


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Yields the address, without a slash at its end. Raises OSError when the port is taken."""
    with socket.create_server((HOST, port)) as listening:
        # asyncio sets it only where the protocol is named; without it each answer waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = _Server(
            uvicorn.Config(
                app,
                ws="websockets-sansio",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=1,
            )
        )
        task = asyncio.create_task(server.serve([listening]))
        try:
            # Who connects before it has started waits in the socket's queue.
            yield f"http://{HOST}:{listening.getsockname()[1]}"
        finally:
            await server.stop(task)


class _Server(uvicorn.Server):
    """A server that leaves signals to the program, and can be stopped as soon as it was begun."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._is_up: Final = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none: several servers run in one program, whose own business Ctrl-C is."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to answer."""
        await super().startup(sockets)
        self._is_up.set()

    async def stop(self, task: "asyncio.Task[None]") -> None:
        """Ends it and its connections."""
        up = asyncio.create_task(self._is_up.wait())
        await asyncio.wait((up, task), return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        self.should_exit = True
        await task

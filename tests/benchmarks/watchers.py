"""Agents' widgets that watch calls, and some that never read what they are sent."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from time import perf_counter
from typing import Final

from tests.benchmarks.callers import Answered
from tests.benchmarks.connection import Connection, written

RETRY_SECONDS: Final = 2.0
"""A browser waits so long before it connects again, unless it is told otherwise."""

JITTER_SECONDS: Final = 1.0
"""And up to so much longer."""

RECEIVED: Final = 4096
"""Bytes that one who does not read takes at the most; the kernel doubles it."""

_LET_IN: Final = b"HTTP/1.1 200"
_EVENT: Final = b"event: conference\n"


class Watcher:
    """A widget with the stream of one call, which connects again when it is turned away or the stream ends."""

    def __init__(self, port: int, call: Answered, random: Random) -> None:
        self.told = 0
        """Events that have come."""
        self.first_at: float | None = None
        """When the first came, by the clock of perf_counter."""
        self.turned_away = 0
        """How often it was not let in, or lost its stream."""
        self._connection: Final = Connection(port)
        self._call: Final = call
        self._random: Final = random

    async def watch(self) -> None:
        """Watches until it is cancelled."""
        while True:
            pause = RETRY_SECONDS
            try:
                status, headers = await self._connection.send("GET", self._call.stream, self._call.agent)
                pause = float(headers.get("retry-after", RETRY_SECONDS))
                if status == 200:
                    await self._read()
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                self._connection.close()
            self.turned_away += 1
            await asyncio.sleep(pause + self._random.uniform(0, JITTER_SECONDS))

    async def _read(self) -> None:
        async for chunk in self._connection.chunks():
            self.told += chunk.count(_EVENT)
            if self.told and self.first_at is None:
                self.first_at = perf_counter()


@asynccontextmanager
async def deaf(port: int, calls: Sequence[Answered]) -> AsyncIterator[None]:
    """Streams that are let in, and of which nobody reads what comes then."""
    streams: list[socket.socket] = []
    try:
        for call in calls:
            streams.append(await asyncio.to_thread(_open_deaf, port, call))  # noqa: PERF401  closed if one fails
        yield
    finally:
        for stream in streams:
            stream.close()


def _open_deaf(port: int, call: Answered) -> socket.socket:
    while True:
        stream = socket.socket()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        stream.connect(("127.0.0.1", port))
        stream.sendall(written("GET", call.stream, call.agent))
        if stream.recv(len(_LET_IN)) == _LET_IN:
            return stream
        stream.close()
        time.sleep(0.1)

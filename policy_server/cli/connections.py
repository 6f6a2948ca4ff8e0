"""Connections of the server, and how they end: in silence."""

import asyncio
import logging
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CUT_SECONDS: Final = 4.0
"""Seconds that a server which stops waits for responses and bodies under way, before it cuts their connections."""

STOP_SECONDS: Final = 5
"""Seconds after which it waits for no request any more."""

log = logging.getLogger(__name__)


class Connection(HttpToolsProtocol):
    """One connection.

    What is under way when the server stops has some seconds to end. Then its connection is cut, which a request sees as
    its client going away: unlike a cancelled task it ends by itself, and there is nothing to report.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins."""
        self._silent = _SilentTransport(transport)
        super().connection_made(self._silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._silent.is_lost = True
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Called for every connection when the server is to stop."""
        super().shutdown()
        self.loop.call_later(CUT_SECONDS, self._cut_all)

    def _cut_all(self) -> None:
        # The first that is still there speaks for all, or each would have a line of its own.
        if self not in self.connections:
            return
        rest = tuple(self.connections)
        self.connections.clear()
        log.warning("server.cut: %d connections that were not done %g s after the stop", len(rest), CUT_SECONDS)
        for connection in rest:
            connection.transport.abort()


class _SilentTransport(asyncio.Transport):
    """Drops what comes after the end, as the transports of asyncio do: those of uvloop raise RuntimeError.

    It comes from responses to pipelined requests: of those only the last is told that the connection is lost.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport: Final = transport
        self.is_lost = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_lost:
            self._transport.write(data)

    def can_write_eof(self) -> bool:
        return not self.is_lost and self._transport.can_write_eof()

    def write_eof(self) -> None:
        if not self.is_lost:
            self._transport.write_eof()

    def pause_reading(self) -> None:
        if not self.is_lost:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.is_lost:
            self._transport.resume_reading()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

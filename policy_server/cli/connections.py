"""Connections of the server, and how they end: in silence."""

import asyncio
import logging
from typing import Final, cast

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

CUT_SECONDS: Final = 4.0
"""Seconds that a server which stops waits for responses and bodies under way, before it cuts their connections."""

STOP_SECONDS: Final = 5
"""Seconds after which it waits for no request any more."""

log = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """One connection from a client, whose address is ``client``.

    What is under way when the server stops has some seconds to end. Then its connection is cut, which a request sees as
    its client going away: unlike a cancelled task it ends by itself, and there is nothing to report.
    """

    transport: asyncio.Transport
    flow: FlowControl
    scheme: str

    def __init__(self, state: ServerState, client: tuple[str, int]) -> None:
        self.loop: Final = asyncio.get_running_loop()
        self.state: Final = state
        self._all: Final = cast("set[Connection]", state.connections)
        self.client: Final = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        self.transport = cast("asyncio.Transport", transport)
        self.flow = FlowControl(self.transport)
        self.scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._all.discard(self)

    def shutdown(self) -> None:
        """Called for every connection when the server is to stop."""
        self.loop.call_later(CUT_SECONDS, self._cut_all)

    def _cut_all(self) -> None:
        # The first that is still there speaks for all, or each would have a line of its own.
        if self not in self._all:
            return
        rest = tuple(self._all)
        self._all.clear()
        log.warning("server.cut: %d connections that were not done %g s after the stop", len(rest), CUT_SECONDS)
        for connection in rest:
            connection.transport.abort()

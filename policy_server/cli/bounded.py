"""One HTTP connection of uvicorn's, with an end to what a stranger may have it keep, and for how long.

Nothing of a request that is too large or too slow reaches the application: it is answered here, and the connection ends.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from policy_server.cli.connections import Connection
from policy_server.web.doors import Doors
from policy_server.web.places import Place
from policy_server.web.problem import ProblemResponse

LINE_LIMIT: Final = 16 * 1024
"""Bytes of a request's first line. A policy question may be longer: its endpoint has an answer that a node understands."""

HEADERS_LIMIT: Final = 64 * 1024
MOST_HEADERS: Final = 100
"""Bytes and number of a request's headers, trailers too."""

HEAD_SECONDS: Final = 10.0
"""What a client has from the beginning of a connection or request to the end of the headers."""

REST_SECONDS: Final = 5.0
"""What is left for the rest of a body once the answer is out: nobody waits for it."""

STALL_SECONDS: Final = 30.0
"""How long a client may take nothing of an answer."""

LINGER_SECONDS: Final = 2.0
"""How long what a refused client still sends is thrown away, so that it reads why."""

MOST_PIPELINED: Final = 16
"""Requests that may wait behind the one that is answered."""

_LINE_BEYOND_TARGET: Final = len(" ") + len(" HTTP/1.1")
_NEARLY: Final = LINE_LIMIT - 64

_TOO_LARGE: Final = (
    431,
    "head-too-large",
    f"a request has {LINE_LIMIT // 1024} KiB of first line, {HEADERS_LIMIT // 1024} KiB of headers and {MOST_HEADERS} "
    "headers at the most",
)
_TOO_SLOW: Final = (408, "too-slow", f"first line and headers have to be here within {HEAD_SECONDS:.0f} seconds")
_NO_REQUEST: Final = (400, "malformed", "this is not a request of HTTP/1.1")

_TITLES: Final[Mapping[int, str]] = {
    431: "The head of the request is too large",
    408: "The request took too long",
    400: "This is no request",
}


class _TooLargeError(Exception):
    """Carries the finding out of the parser's callbacks."""


class BoundedConnection(Connection):
    """A connection at its place, to what lies behind one listener."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], doors: Doors, place: Place
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.app = doors
        self._doors: Final = doors
        self._place: Final = place
        # Whether what comes next is the head of a request; bytes that came since the parser last had something whole.
        self._is_at_head = True
        self._unread = 0
        self._headers_size = 0
        self.url = b""
        self._is_over = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection begins, and so does the time for its first request."""
        super().connection_made(transport)
        self._place.end = transport.abort
        self._set_deadline(HEAD_SECONDS, self._end_of_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._place.leave()
        self._drop_deadline()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Lets the parser read, and looks at what that led to."""
        if self._is_over:
            return
        self._unset_keepalive_if_required()
        self._unread += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Answered in HTTP/1.1, as a server does that knows no other protocol.
            pass
        except httptools.HttpParserError as error:
            self._refuse(*(_TOO_LARGE if isinstance(error.__context__, _TooLargeError) else _NO_REQUEST))
            return
        if self._unread > HEADERS_LIMIT + len(self.url):
            self._refuse(*_TOO_LARGE)
        elif self._is_at_head and self._unread and self._deadline is None:
            self._set_deadline(HEAD_SECONDS, self._end_of_patience)

    def on_url(self, url: bytes) -> None:
        """A piece of the first line."""
        self.url += url
        if len(self.url) > _NEARLY:
            line = len(self.parser.get_method()) + len(self.url) + _LINE_BEYOND_TARGET
            if line > LINE_LIMIT and not self._doors.is_question(self.url.partition(b"?")[0]):
                raise _TooLargeError

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._headers_size += len(name) + len(value) + 4
        if self._headers_size > HEADERS_LIMIT or len(self.headers) >= MOST_HEADERS:
            raise _TooLargeError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request is known: the application gets it, and this connection keeps its place."""
        if len(self.pipeline) >= MOST_PIPELINED:
            raise _TooLargeError
        self._drop_deadline()
        self._is_at_head = False
        self._unread = self._headers_size = 0
        self._place.work()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._is_at_head = True
        self._unread = self._headers_size = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is out."""
        super().on_response_complete()
        if self.transport.is_closing():
            # It closes when all was taken; who takes nothing shall not hold the place.
            self._set_deadline(STALL_SECONDS, self.transport.abort)
        elif self.cycle.response_complete:
            self._place.rest()
            if not self._is_at_head:
                self._set_deadline(REST_SECONDS, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for a while after an answer."""
        super().timeout_keep_alive_handler()
        self._set_deadline(STALL_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes it."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _unsupported_upgrade_warning(self) -> None:
        """Says nothing: any stranger may ask for another protocol."""

    def _end_of_patience(self) -> None:
        self._deadline = None
        if self._unread:
            self._refuse(*_TOO_SLOW)
        else:
            # A browser opens some connections ahead, and takes an answer without a question for a fault.
            self._is_over = True
            self.transport.abort()

    def _refuse(self, status: int, kind: str, why: str) -> None:
        self._is_over = True
        self._doors.refusals.note({"client": self.client}, why)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            has_begun = cycle.response_started or bool(self.pipeline)
            cycle.disconnected = True
            cycle.message_event.set()
            if has_begun:
                self.transport.abort()
                return
        body = bytes(ProblemResponse(status, kind, _TITLES[status], why).body)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_deadline(LINGER_SECONDS, self.transport.abort)

    def _set_deadline(self, seconds: float, then: Any) -> None:
        self._drop_deadline()
        self._deadline = self.loop.call_later(seconds, then)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

"""One HTTP connection, with an end to what a stranger may have it keep, and for how long.

Nothing of a request that is too large or too slow reaches the application: it is answered here, and the connection ends.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from math import inf
from typing import Final, cast
from urllib.parse import unquote

import httptools
from uvicorn.server import ServerState

from policy_server.cli.connections import Connection
from policy_server.cli.exchanges import Exchange, Work, begin
from policy_server.web.doors import Doors
from policy_server.web.headers import Header
from policy_server.web.places import Place
from policy_server.web.problem import ProblemResponse

LINE_LIMIT: Final = 16 * 1024
"""Bytes of a request's first line. A policy question may be longer: its endpoint has an answer that a node understands."""

HEADERS_LIMIT: Final = 64 * 1024
MOST_HEADERS: Final = 100
"""Bytes and number of a request's headers, trailers too."""

HEAD_SECONDS: Final = 10.0
"""What a client has from the beginning of a connection or request to the end of the headers."""

KEEP_ALIVE_SECONDS: Final = 5.0
"""How long a connection waits for its next request."""

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

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_SLASH, _FRAGMENT = b"/#"


class _TooLargeError(Exception):
    """Carries the finding out of the parser's callbacks."""


class BoundedConnection(Connection):
    """A connection at its place, to what lies behind one listener."""

    def __init__(self, state: ServerState, client: tuple[str, int], doors: Doors, place: Place) -> None:
        super().__init__(state, client)
        self._doors: Final = doors
        self._place: Final = place
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        # What follows a request that closes the connection is nobody's, and no reason not to answer that request.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        # Whether what comes next is the head of a request, and its time runs; bytes since the parser had something whole.
        self._is_at_head = self._is_head_timed = True
        self._unread = 0
        self._url = b""
        self._headers: list[Header] = []
        self._expects_continue = False
        # The request that was read last, those that wait to be answered, and the one that is.
        self._latest: Exchange | None = None
        self._waiting: Final[deque[Exchange]] = deque()
        self._answered: Exchange | None = None
        self._is_answering = self._is_over = False
        # Until when something has to happen, and else what. The timer is left alone when that moves on: it looks again.
        self._patience: tuple[float, Callable[[], None]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = inf
        self._stall: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------ the transport's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection begins, and so does the time for its first request."""
        super().connection_made(transport)
        self._place.end = self.transport.abort
        self._wait(HEAD_SECONDS, self._end_of_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        super().connection_lost(exc)
        self._is_over = True
        self._place.leave()
        for timer in (self._timer, self._stall):
            if timer is not None:
                timer.cancel()
        for exchange in self._give_up_answers():
            exchange.disconnect()
        self.flow.resume_writing()
        # What leads back here would keep it until garbage is looked for.
        self._parser = self._patience = self._latest = self._answered = None

    def data_received(self, data: bytes) -> None:
        """Lets the parser read, looks at what that led to, and answers what is whole."""
        if self._is_over or self._parser is None:
            return
        self._unread += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Answered in HTTP/1.1, as a server does that knows no other protocol.
            pass
        except httptools.HttpParserError as error:
            self._refuse(*(_TOO_LARGE if isinstance(error.__context__, _TooLargeError) else _NO_REQUEST))
            return
        if self._unread > HEADERS_LIMIT + len(self._url):
            self._refuse(*_TOO_LARGE)
            return
        if self._is_at_head and self._unread and not self._is_head_timed:
            self._is_head_timed = True
            self._wait(HEAD_SECONDS, self._end_of_patience)
        if self._waiting and (self._answered is None or self._answered.is_complete):
            self._answer()

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        self.flow.pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes it again."""
        self.flow.resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    # ------------------------------------------------------------------ the parser's

    def on_message_begin(self) -> None:
        """A first line follows, and may have come with the end of another request: it has a head's time then too."""
        self._url = b""
        self._unread = self._unread or 1
        self._expects_continue = False

    def on_url(self, url: bytes) -> None:
        """A piece of the first line."""
        self._url += url
        if len(self._url) > _NEARLY and self._parser is not None:
            line = len(self._parser.get_method()) + len(self._url) + _LINE_BEYOND_TARGET
            if line > LINE_LIMIT and not self._doors.is_question(self._url.partition(b"?")[0]):
                raise _TooLargeError

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        if len(self._headers) >= MOST_HEADERS:
            raise _TooLargeError
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The request is known: it waits until its turn comes."""
        if len(self._waiting) >= MOST_PIPELINED or self._parser is None:
            raise _TooLargeError
        headers = self._end_of_headers()
        self._patience, self._is_head_timed, self._is_at_head = None, False, False
        version, (raw_path, query) = self._parser.get_http_version(), _parts(self._url)
        path = raw_path.decode("ascii")
        scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": self._parser.get_method().decode("ascii"),
            "scheme": self.scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self.client,
        }
        exchange = Exchange(
            scope,
            self.transport,
            self.flow,
            self.state.default_headers,
            self._finish,
            keep_alive=version == "1.1" and self._parser.should_keep_alive(),
            expects_continue=self._expects_continue,
        )
        if self._waiting:
            self.flow.pause_reading()
        self._waiting.append(exchange)
        self._latest = exchange

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._unread = 0
        if self._latest is not None and not self._latest.is_complete:
            self._latest.take_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._is_at_head = True
        self._end_of_headers()
        if self._latest is not None and not self._latest.is_complete:
            self._latest.end_body()

    def _end_of_headers(self) -> list[Header]:
        """The headers or trailers that there were. The parser may have had more at once than they may have together."""
        headers, self._headers = self._headers, []
        if self._unread > HEADERS_LIMIT and sum(len(name) + len(value) + 4 for name, value in headers) > HEADERS_LIMIT:
            raise _TooLargeError
        self._unread = 0
        return headers

    # ------------------------------------------------------------------ answers, one after the other

    def _answer(self) -> None:
        """Has what waits answered, as far as that is possible at once."""
        self._is_answering = True
        while self._waiting:
            exchange = self._answered = self._waiting.popleft()
            work = exchange.run(self._doors)
            rest = begin(work) if self._doors.is_question(exchange.scope["raw_path"]) else work
            if rest is not None:
                self._place.work()
                self.state.tasks.add(self.loop.create_task(self._go_on(rest)))
                break
        self._is_answering = False

    async def _go_on(self, work: Work) -> None:
        try:
            await work
        finally:
            # Not in a callback of the task, for which the loop would go round once more after each answer.
            self.state.tasks.remove(cast("asyncio.Task[None]", asyncio.current_task(self.loop)))

    def _finish(self) -> None:
        """An answer is out."""
        if self.transport.is_closing():
            self._waiting.clear()
            # It closes when all was taken; who takes nothing shall not hold the place.
            self._wait(STALL_SECONDS, self.transport.abort)
            return
        self.flow.resume_reading()
        if self._waiting:
            if not self._is_answering:
                self._answer()
            return
        self._place.rest()
        if not self._is_at_head:
            self._wait(REST_SECONDS, self.transport.abort)
        elif not self._is_head_timed:
            self._wait(KEEP_ALIVE_SECONDS, self._end_of_patience)

    def _give_up_answers(self) -> list[Exchange]:
        """Those that are not complete, the one under way first."""
        under_way = [each for each in (self._answered, *self._waiting) if each is not None and not each.is_complete]
        self._waiting.clear()
        return under_way

    def shutdown(self) -> None:
        """Ends after the last answer that was asked for."""
        super().shutdown()
        if self._latest is None or self._latest.is_complete:
            self.transport.close()
        else:
            self._latest.keep_alive = False

    # ------------------------------------------------------------------ the end

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        """Does something when that time has passed, unless something else is waited for until then."""
        self._patience = (self.loop.time() + seconds, then)
        self._watch()

    def _watch(self) -> None:
        if self._patience is None:
            return
        until, _ = self._patience
        if until < self._looks_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._looks_at = self.loop.call_at(until, self._look), until

    def _look(self) -> None:
        self._timer, self._looks_at = None, inf
        if self._patience is None:
            return
        until, then = self._patience
        if self.loop.time() < until:
            self._watch()
        else:
            self._patience = None
            then()

    def _end_of_patience(self) -> None:
        if self._unread:
            self._refuse(*_TOO_SLOW)
            return
        # A browser opens some connections ahead, and takes an answer without a question for a fault.
        self._is_over = True
        self.transport.close()
        self._wait(STALL_SECONDS, self.transport.abort)

    def _refuse(self, status: int, kind: str, why: str) -> None:
        self._is_over = True
        self._doors.refusals.note({"client": self.client}, why)
        under_way = self._give_up_answers()
        for exchange in under_way:
            exchange.disconnect()
        if len(under_way) > 1 or any(exchange.is_begun for exchange in under_way):
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
        self._wait(LINGER_SECONDS, self.transport.abort)


def _parts(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target (RFC 9112, section 3.2), which has passed the parser's checks."""
    if target[0] != _SLASH:
        # A whole URL, as for a proxy, or what other methods have.
        url = httptools.parse_url(target)
        return url.path, url.query or b""
    if _FRAGMENT in target:
        target = target.partition(b"#")[0]
    path, _, query = target.partition(b"?")
    return path, query

"""One request and its response, between the bytes of a connection and an application (ASGI 3, HTTP/1.1)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Iterable
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from types import coroutine
from typing import Any, Final, assert_never

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from policy_server.web.headers import Header

Work = Coroutine[Any, Any, None]

log = logging.getLogger(__name__)

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}
_END: Final = b"\r\n"
"""What ends a line of a head."""
_WITHOUT_BODY: Final = frozenset({204, 304})
_FIT: Final = bytes({ord("\t"), *range(0x20, 0x7F), *range(0x80, 0x100)})
"""Every byte that a header may hold: none that ends one."""


class _Framing(Enum):
    """How a client tells where a body ends (RFC 9112, section 6.3)."""

    NO_BODY = auto()
    LENGTH = auto()
    CHUNKS = auto()
    UNTIL_CLOSED = auto()


# Whoever looks a member up in its class pays for a look-up of the metaclass, and each response asks for eight.
_NO_BODY: Final = _Framing.NO_BODY
_LENGTH: Final = _Framing.LENGTH
_CHUNKS: Final = _Framing.CHUNKS
_UNTIL_CLOSED: Final = _Framing.UNTIL_CLOSED


class Exchange:
    """A request that is being answered.

    ``is_begun`` says whether anything of the response is on its way, and ``keep_alive`` whether the connection may serve
    another request after it. ``over`` is called when the response is complete.
    """

    __slots__ = (
        "_body",
        "_expects_continue",
        "_flow",
        "_framing",
        "_given",
        "_has_news",
        "_head",
        "_left",
        "_more",
        "_news",
        "_over",
        "_transport",
        "is_begun",
        "is_complete",
        "is_disconnected",
        "keep_alive",
        "scope",
    )

    def __init__(
        self,
        scope: Scope,
        transport: asyncio.Transport,
        flow: FlowControl,
        given: Iterable[Header],
        over: Callable[[], None],
        *,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        self.scope: Final = scope
        self.keep_alive = keep_alive
        self.is_begun = self.is_complete = self.is_disconnected = False
        self._transport: Final = transport
        self._flow: Final = flow
        self._given: Final = given
        self._over: Final = over
        # Of the request: what the application has not had yet of its body, and whether there will be more.
        self._body = bytearray()
        self._more = True
        self._has_news = False
        self._news: asyncio.Event | None = None
        self._expects_continue = expects_continue
        # Of the response: its head until that is on its way, and how much of a body whose length it says is missing.
        self._head = b""
        self._framing: _Framing = _NO_BODY
        self._left = 0

    # ------------------------------------------------------------------ what the connection tells

    def take_body(self, body: bytes) -> None:
        """A piece of the request's body."""
        self._body += body
        if len(self._body) > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        self._tell()

    def end_body(self) -> None:
        """The request is whole."""
        self._more = False
        self._tell()

    def disconnect(self) -> None:
        """The client is gone: nobody reads what is still written."""
        self.is_disconnected = True
        self._tell()

    def _tell(self) -> None:
        self._has_news = True
        if self._news is not None:
            self._news.set()

    # ------------------------------------------------------------------ what the application asks for

    async def run(self, app: ASGIApp) -> None:
        """Has the application answer. What it fails to answer is 500, or ends the connection."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:
            log.exception("request.failed: %s %s", self.scope["method"], self.scope["path"])
        if self.is_complete or self.is_disconnected:
            return
        if self.is_begun:
            self._transport.close()
            self._over()
            return
        self._head, self.keep_alive = b"", False
        await self.send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
        await self.send({"type": "http.response.body"})

    async def receive(self) -> Message:
        """The next piece of the request's body, or that the client is gone or has its answer."""
        if self._expects_continue and not self.is_disconnected:
            self._expects_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self.is_disconnected and not self.is_complete:
            self._flow.resume_reading()
            if not self._has_news:
                if self._news is None:
                    self._news = asyncio.Event()
                await self._news.wait()
        self._has_news = False
        if self._news is not None:
            self._news.clear()
        if self.is_disconnected or self.is_complete:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def send(self, message: Message) -> None:
        """Takes a piece of the response. Raises RuntimeError for one that does not belong there."""
        if self._flow.write_paused and not self.is_disconnected:
            await self._flow.drain()
        if self.is_disconnected:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message.get("headers", ()))
        else:
            self._go_on(message.get("body", b""), is_last=not message.get("more_body", False))

    def _start(self, status: int, headers: Iterable[Header]) -> None:
        if self._head or self.is_begun:
            raise RuntimeError("a response begins once")
        self._expects_continue = False
        lines = [_STATUS_LINES[status]]
        length = None
        for name, value in (*self._given, *headers):
            if name == b"content-length":
                length = int(value)
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
                continue
            lines.append(name + b": " + value)
        if self.scope["method"] == "HEAD" or status in _WITHOUT_BODY:
            self._framing = _NO_BODY
        elif length is not None:
            self._framing, self._left = _LENGTH, length
        elif self.scope["http_version"] == "1.1":
            self._framing = _CHUNKS
            lines.append(b"transfer-encoding: chunked")
        else:
            self._framing, self.keep_alive = _UNTIL_CLOSED, False
        if not self.keep_alive:
            lines.append(b"connection: close")
        head = _END.join(lines) + _END + _END
        if head.translate(None, _FIT) != _END * (len(lines) + 1):
            raise RuntimeError("a header has a control character in it")
        self._head = head
        if self._framing is _CHUNKS or self._framing is _UNTIL_CLOSED:
            # Its body may take its time. Where there is a length, head and body leave in one piece.
            self._write(b"")

    def _go_on(self, body: bytes, *, is_last: bool) -> None:
        if self.is_complete or not (self._head or self.is_begun):
            raise RuntimeError("a body stands between a response's beginning and its end")
        framing = self._framing
        if framing is _LENGTH:
            self._left -= len(body)
            if self._left < 0 or (is_last and self._left > 0):
                raise RuntimeError("a body is as long as its head says")
            self._write(body)
        elif framing is _CHUNKS:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._write(chunk + b"0\r\n\r\n" if is_last else chunk)
        elif framing is _UNTIL_CLOSED:
            self._write(body)
        elif framing is _NO_BODY:
            self._write(b"")
        else:
            assert_never(framing)
        if is_last:
            self.is_complete = True
            if self._news is not None:
                self._news.set()
            if not self.keep_alive:
                self._transport.close()
            self._over()

    def _write(self, data: bytes) -> None:
        if self._head:
            data, self._head, self.is_begun = self._head + data, b"", True
        if data:
            self._transport.write(data)


def begin(work: Work) -> Work | None:
    """Runs something as far as it comes without waiting; what is left of it is for a task, ``None`` when nothing is.

    Most answers need no wait, and none should have to pay for a task and a round of the event loop. Until its first wait
    the work may not ask for the current task, so it may not use `asyncio.timeout` or AnyIO.
    """
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return _rest(work, awaited)


@coroutine
def _rest(work: Work, awaited: Any) -> Generator[Any, Any, None]:
    """What stands in for a task's own coroutine: waits for what the work waits for, and passes on what comes of it."""
    while True:
        try:
            sent = yield awaited
        except BaseException as error:
            step: Callable[[], Any] = partial(work.throw, error)
        else:
            step = partial(work.send, sent)
        try:
            awaited = step()
        except StopIteration:
            return

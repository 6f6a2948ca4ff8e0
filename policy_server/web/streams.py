"""Server-Sent Events for agents' widgets: the conference, and again after each change (README.md: Agents).

Plain ASGI: only here is it known when a browser goes away while there is nothing to send.
"""

import asyncio
import contextlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import randint
from typing import Final, NamedTuple, NoReturn

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.found import Found
from policy_server.conferences.subscriptions import Subscription
from policy_server.genesys.results import Agent
from policy_server.web.admission import Admission
from policy_server.web.agents import PATH, Admitted, AgentDesk, agent_problem, unknown_conference
from policy_server.web.problem import ProblemResponse, Refused

STREAMS_PATH: Final = PATH + "/events"

STREAMS_LIMIT: Final = 6
"""Streams that one agent may have at a time."""

CHECK_SECONDS: Final = 15.0
"""Seconds between two looks at whether the agent may still see this. Most cost nothing, since the client of Genesys
remembers good tokens for a time of its own; a stream outlives that time by this much at the most."""

KEEP_ALIVE_SECONDS: Final = 15.0
"""Seconds between comments that keep proxies from closing a quiet stream."""

PAUSE_SECONDS: Final = 0.2
"""Seconds between two events at least; changes in between come together."""

STALLED_SECONDS: Final = 30.0
"""Seconds that a client may read nothing."""

RETRY_SECONDS: Final = 1.0
"""Seconds between attempts to read while the database is away."""

RECONNECT_MILLISECONDS: Final = (1000, 4000)
"""How long a client waits at the least and at the most before it connects again: each another time, so that after a restart
not all come at once.
"""

LAST_WORDS_SECONDS: Final = 1.0
"""Seconds that the server waits to say why it ends a stream."""

_EVENT_ID: Final = re.compile(r"[0-9]{1,18}")

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # What reverse proxies understand as: pass it on at once.
    (b"x-accel-buffering", b"no"),
]


class AgentStreams:
    """``GET /agent/v1/conferences/{alias}/events``.

    Events: ``conference`` holds the whole answer of the lookup and has the change number for its id; ``end`` holds the
    problem for which the server ends the stream. Call ``close`` as soon as the server is to stop: it waits for streams.
    """

    def __init__(
        self,
        desk: AgentDesk,
        *,
        limit: int = STREAMS_LIMIT,
        check_seconds: float = CHECK_SECONDS,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
        random: Callable[[int, int], int] = randint,
    ) -> None:
        self._parts: Final = _Parts(desk, Admission(), check_seconds, keep_alive_seconds, pause_seconds)
        self._limit: Final = limit
        self._random: Final = random
        self._open: Final[Counter[str]] = Counter()
        self._streams: Final[set[_Stream]] = set()
        self._is_closed = False

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [Route(STREAMS_PATH, self)]

    @property
    def count(self) -> int:
        """Streams that are open."""
        return self._open.total()

    def close(self) -> None:
        """Ends every stream, and begins none any more."""
        self._is_closed = True
        for stream in self._streams:
            stream.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, for as long as the stream lasts."""
        try:
            await self._serve(Request(scope, receive), send)
        except Refused as refused:
            await refused.problem(scope, receive, send)

    async def _serve(self, request: Request, send: Send) -> None:
        if request.method != "GET":
            raise Refused(agent_problem(405, "method-not-allowed", "Method not allowed", headers={"allow": "GET"}))
        admitted = await self._parts.desk.admit(request)
        reconnect = self._random(*RECONNECT_MILLISECONDS)
        with self._slot(admitted.agent):
            found = await self._parts.desk.open(request, admitted)
            if self._is_closed:
                raise Refused(_stopping(reconnect))
            stream = _Stream(self._parts, request, admitted, send, reconnect)
            self._streams.add(stream)
            try:
                await stream.run(found)
            finally:
                self._streams.discard(stream)

    @contextmanager
    def _slot(self, agent: Agent) -> Iterator[None]:
        if self._open[agent.id] >= self._limit:
            detail = f"an agent may have {self._limit} streams at a time; close one"
            raise Refused(agent_problem(429, "too-many-streams", "Too many streams", detail))
        self._open[agent.id] += 1
        try:
            yield
        finally:
            self._open[agent.id] -= 1
            if not self._open[agent.id]:
                del self._open[agent.id]


class _Parts(NamedTuple):
    """What all streams share. Times are in seconds."""

    desk: AgentDesk
    turns: Admission
    check: float
    keep_alive: float
    pause: float


class _End(Exception):  # noqa: N818  the end of a stream is no error
    """The server ends a stream; ``problem`` is what the widget is told, ``None`` when it does not listen."""

    def __init__(self, problem: ProblemResponse | None = None) -> None:
        super().__init__(problem.status_code if problem is not None else None)
        self.problem: Final = problem


class _Stream:
    """One stream to one widget, which comes back after ``reconnect`` milliseconds."""

    def __init__(self, parts: _Parts, request: Request, admitted: Admitted, send: Send, reconnect: int) -> None:
        self._parts: Final = parts
        self._request: Final = request
        self._admitted: Final = admitted
        self._send_message: Final = send
        self._reconnect: Final = reconnect
        self._clock: Final = asyncio.get_running_loop().time
        self._check_at = self._clock() + parts.check
        self._keep_alive_at = self._clock() + parts.keep_alive
        self._paused_until = -math.inf
        # One for all that is sent: most of it goes out without any wait.
        self._patience: Final = asyncio.timeout(None)
        self._subscription: Subscription | None = None
        self._is_left = False
        self._is_stopped = False

    def stop(self) -> None:
        """The server stops."""
        self._is_stopped = True
        self._wake()

    async def run(self, found: Found) -> None:
        """Sends what there is until the client goes away, the agent is refused or the server stops."""
        # Nothing else says that a browser has gone while there is nothing to send.
        leaving = asyncio.create_task(self._leave())
        try:
            async with self._patience:
                await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
                await self._send_text(b"retry: %d\n\n" % self._reconnect)
                await self._tell(found)
        except TimeoutError:
            # It reads nothing.
            if not self._patience.expired():
                raise
        except _End as end:
            if end.problem is not None:
                await self._say_why(end.problem)
        finally:
            leaving.cancel()

    async def _leave(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._is_left = True
        self._wake()

    def _wake(self) -> None:
        if self._subscription is not None:
            self._subscription.tell()

    async def _tell(self, found: Found) -> NoReturn:
        told = _last_event_id(self._request)
        while True:
            with self._parts.desk.lookup.conferences.subscribe(*found.keys) as self._subscription:
                # Read again: something may have changed before the subscription began.
                fresh = await self._read()
                while fresh is None or fresh.keys == found.keys:
                    if fresh is not None and fresh.number != told:
                        told = fresh.number
                        await self._send_text(event_text("conference", fresh.body(self._admitted.found_by), told))
                        self._paused_until = self._clock() + self._parts.pause
                    await self._wait(self._subscription, RETRY_SECONDS if fresh is None else math.inf)
                    fresh = await self._read()
                found = fresh

    async def _read(self) -> Found | None:
        """The conference now; ``None`` while the database is away or there is too much to do."""
        try:
            async with self._parts.turns:
                found = await self._parts.desk.lookup.look_up(self._admitted.subject)
        except (StoreUnavailableError, Refused):
            return None
        if found is None:
            raise _End(unknown_conference())
        return found

    async def _wait(self, subscription: Subscription, longest: float) -> None:
        """Returns when there may be something new, and now and then without."""
        until = min(self._clock() + longest, self._keep_alive_at)
        changed = False
        while not changed and self._clock() < until:
            self._end_if_over()
            changed = await subscription.wait(max(0.0, min(until, self._check_at) - self._clock()))
            self._end_if_over()
            await self._check()
        if changed and (rest := self._paused_until - self._clock()) > 0.0:
            await asyncio.sleep(rest)
            # What came meanwhile is read with it.
            subscription.forget()
        if self._clock() >= self._keep_alive_at:
            await self._send_text(b": keep-alive\n\n")

    def _end_if_over(self) -> None:
        if self._is_left:
            raise _End
        if self._is_stopped:
            raise _End(_stopping(self._reconnect))

    async def _check(self) -> None:
        if self._clock() < self._check_at:
            return
        try:
            await self._parts.desk.admit(self._request, self._admitted)
        except Refused as refused:
            raise _End(refused.problem) from None
        self._check_at = self._clock() + self._parts.check

    async def _say_why(self, problem: ProblemResponse) -> None:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                body = event_text("end", bytes(problem.body))
                await self._send_message({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_text(self, text: bytes) -> None:
        await self._send({"type": "http.response.body", "body": text, "more_body": True})
        self._keep_alive_at = self._clock() + self._parts.keep_alive

    async def _send(self, message: Message) -> None:
        self._patience.reschedule(self._clock() + STALLED_SECONDS)
        try:
            await self._send_message(message)
        except OSError:
            # It went away in the middle.
            raise _End from None
        self._patience.reschedule(None)


def event_text(name: str, data: bytes, number: int | None = None) -> bytes:
    """An event as it is sent, with its number if it has one; ``data`` is one line."""
    identifier = b"" if number is None else b"id: %d\n" % number
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), identifier, data)


def _last_event_id(request: Request) -> int | None:
    given = request.headers.get("last-event-id", "")
    return int(given) if _EVENT_ID.fullmatch(given) else None


def _stopping(reconnect: int) -> ProblemResponse:
    headers = {"retry-after": str(math.ceil(reconnect / 1000))}
    return agent_problem(503, "stopping", "The server stops", "connect again", headers)

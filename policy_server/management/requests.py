"""Requests to the Management Node: at their pace, with a login, repeated where they may be, and left while it is away."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from typing import Final, Generic, TypeVar

from policy_server.management.access import Access, certificates
from policy_server.management.logins import login_of
from policy_server.management.pace import PATIENCE, RATE, Pace
from policy_server.management.replies import parse_error
from policy_server.management.results import Reason, Unanswered
from policy_server.outbound.circuit import PAUSE, Circuit
from policy_server.outbound.exchange import Exchange, NoReply, Reply

ROOT: Final = "/api/admin"

TIMEOUT: Final = 3.0
"""Seconds from the wait for a connection to the last byte of an answer."""

ATTEMPTS: Final = 3
"""How often a request is sent that may be repeated."""

FIRST_PAUSE: Final = 0.25
"""Seconds between the first two attempts, half to one and a half times; then twice as long each."""

BUSY_SECONDS: Final = 10.0
"""How long nothing is sent after a 429 that does not say."""

BODY_LIMIT: Final = 4_194_304
"""Bytes of a body: a page of a hundred participants has some 150 KiB."""

T = TypeVar("T")
Read = Callable[[Reply], T | None]
Clock = Callable[[], float]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One thing to ask. ``path`` follows ``ROOT``; ``read`` makes of an answer what was asked for, None if it is not that.

    ``is_repeatable``: asking twice is as good as asking once. ``told`` is what of it no message may repeat.
    """

    method: str
    path: str
    read: Read[T]
    body: bytes | None = None
    is_repeatable: bool = True
    told: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {ROOT}{self.path.partition('?')[0]}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """There is no answer. ``is_undone``: the node has surely done nothing; ``is_passing``: another attempt may help."""

    reason: Reason
    detail: str
    is_undone: bool
    is_passing: bool = False
    retry_after: float | None = None

    @property
    def as_unanswered(self) -> Unanswered:
        """The same for who only asked."""
        return Unanswered(self.reason, self.detail, self.retry_after)


@dataclass(slots=True)
class Counts:
    """What was sent and what became of it, since the start."""

    sent: int = 0
    failed: int = 0
    put_off: int = 0


class Requests:
    """Sends requests to one Management Node. Belongs to one event loop; close it at the end.

    ``clock`` is seconds that never go back, ``epoch`` the time, ``jitter`` a random number from 0 to 1.
    """

    def __init__(
        self,
        access: Access,
        rate: int = RATE,
        *,
        timeout: float = TIMEOUT,
        clock: Clock = time.monotonic,
        epoch: Clock = time.time,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.counts: Final = Counts()
        self._clock: Final = clock
        self._jitter: Final = jitter
        self._sleep: Final = sleep
        self._pace: Final = Pace(rate)
        self._circuit: Final = Circuit()
        self._is_said_away = False
        trusted = certificates(access.ca)
        # What is sent again is counted, so that is done here.
        self._asking: Final = Exchange(access.url, timeout, certificates=trusted, body_limit=BODY_LIMIT, repeats=False)
        # On a connection that was kept, and that the node closes just now, nobody knows what arrived.
        self._telling: Final = Exchange(access.url, timeout, certificates=trusted, body_limit=BODY_LIMIT, reuses=False)
        self._login: Final = login_of(access, self._post, epoch)

    @property
    def is_away(self) -> bool:
        """Whether the node is left alone because it did not answer."""
        return self._circuit.is_open

    async def close(self) -> None:
        """Closes the connections."""
        await self._asking.close()
        await self._telling.close()

    async def send(self, request: Request[T]) -> T | Trouble:
        """What was asked for, or why there is nothing."""
        pause = FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            found = await self._attempt(request)
            if not isinstance(found, Trouble):
                return found
            may_repeat = found.is_passing and (request.is_repeatable or found.is_undone)
            if attempt == ATTEMPTS or not may_repeat:
                break
            await self._sleep(pause * (0.5 + self._jitter()))
            pause *= 2
        return found

    async def _attempt(self, request: Request[T]) -> T | Trouble:
        now = self._clock()
        if not self._circuit.allows(now):
            wait = self._circuit.wait(now)
            return Trouble("away", "the node did not answer before, and is tried again soon", True, retry_after=wait)
        found = await self._ask(request)
        if not isinstance(found, Trouble):
            self._circuit.succeeded()
        elif found.reason in _FAILURES:
            self._circuit.failed(self._clock())
            self.counts.failed += 1
            log.warning("management.unanswered: %s: %s", request, found.detail)
        else:
            if found.reason != "pace":
                self._circuit.succeeded()
            log.warning("management.refused: %s: %s", request, found.detail)
        self._say_whether_away()
        return found

    def _say_whether_away(self) -> None:
        if self._circuit.is_open == self._is_said_away:
            return
        self._is_said_away = self._circuit.is_open
        if self._is_said_away:
            log.warning("management.away: the Management Node does not answer; it is tried again every %g s", PAUSE)
        else:
            log.warning("management.back: the Management Node answers again")

    async def _ask(self, request: Request[T]) -> T | Trouble:
        reply = await self._reply(request)
        if isinstance(reply, Trouble):
            return reply
        found = request.read(reply)
        if found is not None:
            return found
        if reply.status in _GOOD:
            return Trouble("malformed", "the body is not what the reference says", False, is_passing=True)
        words = parse_error(reply.body, request.told)
        return Trouble("refused", f"status {reply.status}{f': {words}' if words else ''}", is_undone=True)

    async def _reply(self, request: Request[T]) -> Reply | Trouble:
        """An answer of the node itself: neither 401, 403 and 429, nor a redirection or 5xx."""
        for _ in range(2):
            header = await self._login.header(self._clock())
            if isinstance(header, Unanswered):
                # Without a login nothing was sent.
                passing = header.reason not in {"credentials", "busy", "pace"}
                return Trouble(header.reason, header.detail, True, passing, header.retry_after)
            headers = {"authorization": header}
            if request.body is not None:
                headers["content-type"] = "application/json"
            exchange = self._asking if request.method == "GET" else self._telling
            reply = await self._take_turn(exchange, request.method, ROOT + request.path, headers, request.body)
            if isinstance(reply, Trouble) or reply.status != 401 or not self._login.refused(header):
                break
        return reply if isinstance(reply, Trouble) else self._checked(reply)

    async def _post(self, path: str, headers: dict[str, str], body: bytes) -> Reply | Unanswered:
        """A request without a login: for a token."""
        reply = await self._take_turn(self._telling, "POST", path, headers, body)
        return reply.as_unanswered if isinstance(reply, Trouble) else reply

    async def _take_turn(
        self, exchange: Exchange, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> Reply | Trouble:
        """A whole answer, whatever it is, but for 429: that stops all."""
        now = self._clock()
        wait = self._pace.reserve(now)
        if wait is None:
            self.counts.put_off += 1
            later = self._pace.wait(now)
            return Trouble(
                "pace",
                f"more than POLICY_MANAGEMENT_RATE allows; a turn is {later:.1f} s away",
                True,
                retry_after=later,
            )
        if wait:
            await self._sleep(wait)
        self.counts.sent += 1
        reply = await exchange.send(method, path, headers, body)
        if isinstance(reply, NoReply):
            return Trouble(reply.failure, reply.detail, reply.is_unsent, is_passing=True)
        if reply.status == 429:
            seconds = reply.retry_after or BUSY_SECONDS
            self._pace.pause(self._clock() + seconds)
            return Trouble("busy", f"status 429: too many requests, for {ceil(seconds)} s", True, retry_after=seconds)
        return reply

    def _checked(self, reply: Reply) -> Reply | Trouble:
        match reply.status:
            case 401:
                return Trouble("credentials", "status 401: the node does not accept these credentials", True)
            case 403:
                return Trouble("forbidden", "status 403: the role of this account may not do that", True)
            case status if 300 <= status < 400:
                return Trouble("status", f"status {status}: it leads elsewhere, and nobody follows", True)
            case status if status >= 500:
                wait = reply.retry_after
                return Trouble("status", f"status {status}", False, wait is None or wait <= PATIENCE, wait)
            case _:
                return reply


_GOOD: Final = range(200, 300)

_FAILURES: Final[frozenset[Reason]] = frozenset(
    {"timeout", "connection", "too_large", "status", "malformed", "credentials"}
)
"""What counts against the node; the rest is an answer, or is ours."""

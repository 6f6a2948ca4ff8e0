"""One other policy server: its connections, and what becomes of a question there."""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from policy_server.outbound.circuit import FAILURES, Circuit
from policy_server.outbound.exchange import Exchange, Failure, NoReply, Reply
from policy_server.policy.upstreams import Upstream
from policy_server.wording.values import shown

BODY_LIMIT: Final = 262_144
"""Bytes of an answer; the largest that a node could use has some thousands."""

AT_ONCE: Final = 64
"""Questions that one server is asked at a time by one process; a further one is answered without it, at once."""

_OF_THE_SERVER: Final = frozenset({401, 403, 407, 429, 502, 503, 504})
"""Statuses that say nothing about the question: with these a server is as good as away."""

_IN_REQUEST_LINE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '#"<>')
"""What goes out as it came. A node sends nothing else; anything else is escaped, for it would end the line or the query."""

log = logging.getLogger(__name__)


class How(StrEnum):
    """How a question came out that was forwarded, in the words of logs and metrics."""

    ANSWERED = "answered"
    WRONG = "wrong"
    """It answered, and nothing that a node would take."""
    LATE = "late"
    AWAY = "away"
    BUSY = "busy"
    """So many questions wait for it that this one was not asked."""
    LEFT_ALONE = "left_alone"
    NOT_ASKED = "not_asked"


_HOW: Final[Mapping[Failure, How]] = {"timeout": How.LATE, "connection": How.AWAY, "too_large": How.WRONG}


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """There was none that could be read; ``detail`` is for the log."""

    how: How
    detail: str


class Line:
    """One other policy server, its connections, which are kept, and whether it is left alone."""

    def __init__(self, upstream: Upstream, clock: Callable[[], float]) -> None:
        self.trouble = ""
        """Why it failed the last time; ``""`` when it did not."""
        self._upstream: Final = upstream
        self._clock: Final = clock
        self._circuit: Final = Circuit()
        self._exchange: Final = Exchange(upstream.url, upstream.timeout, connections=AT_ONCE, body_limit=BODY_LIMIT)
        self._asking: Final[set[asyncio.Task[Reply | NoReply]]] = set()
        credentials = f"{upstream.username}:{upstream.password}".encode()
        self._headers: Final = (
            {"authorization": f"Basic {b64encode(credentials).decode()}"} if upstream.username else {}
        )

    @property
    def is_idle(self) -> bool:
        """Whether no question waits."""
        return not self._asking

    @property
    def is_left_alone(self) -> bool:
        """Whether it is asked only now and then, since it kept failing."""
        return self._circuit.is_open

    async def ask(self, question: bytes) -> Reply | NoAnswer:
        """Asks for a path and query below the upstream's URL. Takes no longer than its timeout, and never raises for what the
        other side does.
        """
        timeout = self._upstream.timeout
        if len(self._asking) >= AT_ONCE:
            return NoAnswer(How.BUSY, f"{AT_ONCE} questions wait for it")
        if not self._circuit.allows(self._clock()):
            return NoAnswer(How.LEFT_ALONE, f"it failed {FAILURES} times in a row: {self.trouble}")
        written = quote(question, safe=_IN_REQUEST_LINE)
        # In a task of its own: whoever asks may not be in one until the first wait (cli.exchanges.begin).
        asking = asyncio.get_running_loop().create_task(
            self._exchange.send("GET", written, self._headers, as_written=True)
        )
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        try:
            await asyncio.wait((asking,), timeout=timeout)
        finally:
            asking.cancel()
        if not asking.done():
            answer: Reply | NoAnswer = NoAnswer(How.LATE, f"no whole answer within {timeout:g} s")
        elif asking.cancelled():
            return NoAnswer(How.AWAY, "this server stops")
        else:
            reply = asking.result()
            answer = reply if isinstance(reply, Reply) else NoAnswer(_HOW[reply.failure], reply.detail)
        self._judge(answer)
        return answer

    async def close(self) -> None:
        """Ends what is being asked, and the connections."""
        for asking in tuple(self._asking):
            asking.cancel()
        await self._exchange.close()

    def _judge(self, answer: Reply | NoAnswer) -> None:
        name, was_open = shown(self._upstream.name), self._circuit.is_open
        if isinstance(answer, Reply) and answer.status in _OF_THE_SERVER:
            self.trouble = f"HTTP {answer.status}"
        elif isinstance(answer, NoAnswer) and answer.how is not How.WRONG:
            self.trouble = answer.detail
        else:
            self.trouble = ""
            self._circuit.succeeded()
            if was_open:
                log.info("upstream.back: %s answers again", name)
            return
        self._circuit.failed(self._clock())
        if self._circuit.is_open and not was_open:
            log.warning("upstream.left_alone: %s failed %d times in a row: %s", name, FAILURES, self.trouble)

"""Decisions as they happen, for every page that is open: Server-Sent Events.

Twice a second one task looks at what was decided since, in all processes, and only while a page is open. Each process picks
the rows that are wanted and no more than are shown, so that neither the number of pages nor that of questions makes much work;
no answer waits for any of it.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import orjson
from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from policy_server.web.admin.decision_rows import Row, Wanted, fitting, row_of, sampled
from policy_server.web.admin.door import HEADERS
from policy_server.web.admin.siblings import Siblings
from policy_server.web.recent_decisions import RecentDecisions
from policy_server.web.streams import KEEP_ALIVE_SECONDS, STALLED_SECONDS, event_text

NEW: Final = "decisions.new"
"""What processes ask each other for ``new_rows``."""

STREAMS: Final = 20
"""Pages that may be open at a time, in each process."""

A_SECOND: Final = 50
"""Decisions a second that one page shows; of more it shows so many."""

TICKS: Final = 2
"""Looks a second."""

WAITING: Final = 8
"""Events that may wait for a browser; one that reads so slowly is cut off, and comes back."""

RECONNECT_MILLISECONDS: Final = 2000

log = logging.getLogger(__name__)

Render = Callable[[Sequence[Row]], str]
"""Makes rows of a table, for a thread."""


def new_rows(recent: RecentDecisions, argument: Mapping[str, Any]) -> dict[str, Any]:
    """What was decided in this process after the number that it told last (``after``, by process), for each of the ``wanted``:
    how many fit, and the rows of as many as are shown.
    """
    number = recent.number
    after = argument["after"].get(recent.process, number)
    kept = recent.since(after)
    missed = number - after - len(kept) if number > after else 0
    found = []
    for told in argument["wanted"]:
        wanted = Wanted(**told)
        if wanted.is_all:
            rows = [row_of(recent, each) for each in sampled(kept, argument["most"])]
            found.append({"seen": len(kept) + max(0, missed), "rows": rows})
        else:
            fits = list(fitting(recent, kept, wanted))
            found.append({"seen": len(fits), "rows": sampled(fits, argument["most"])})
    return {"process": recent.process, "number": kept[-1].number if kept else number, "of": found}


def told_sample(shown: int, seen: int) -> str:
    """What a page says while it does not show everything."""
    return f"Showing {shown} of {seen} a second" if seen > shown else ""


class LiveDecisions:
    """The streams of this process. Call ``close`` as soon as the server is to stop: it waits for streams."""

    def __init__(self, siblings: Siblings, render: Render, *, tick: float = 1 / TICKS, limit: int = STREAMS) -> None:
        self._siblings: Final = siblings
        self._render: Final = render
        self._tick: Final = tick
        self._limit: Final = limit
        self._streams: Final[set[DecisionStream]] = set()
        self._after: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._is_closed = False

    @property
    def count(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    @property
    def is_full(self) -> bool:
        """Whether no further page gets a stream."""
        return len(self._streams) >= self._limit

    def close(self) -> None:
        """Ends every stream, and begins none any more."""
        self._is_closed = True
        for stream in self._streams:
            stream.end()

    def open(self, wanted: Wanted, first: Callable[[], Awaitable[bytes]]) -> "DecisionStream":
        """A stream of what is wanted, which begins with the event that ``first`` makes once it hears of all that is new."""
        return DecisionStream(self, wanted, first)

    def join(self, stream: "DecisionStream") -> bool:
        """Takes a stream in, unless there are too many, or the server stops."""
        if self._is_closed or self.is_full:
            return False
        self._streams.add(stream)
        if self._looking is None or self._looking.done():
            self._after, self._begun = {}, asyncio.Event()
            self._looking = asyncio.create_task(self._look())
        return True

    async def begun(self) -> None:
        """Waits until everything that is new is heard of: whoever looks from then on misses nothing."""
        await self._begun.wait()

    def leave(self, stream: "DecisionStream") -> None:
        """Lets a stream go; after the last nobody looks any more."""
        self._streams.discard(stream)
        if not self._streams and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        while True:
            try:
                await self._tell()
            except Exception:
                log.exception("admin.decisions: pages hear nothing for the moment")
            self._begun.set()
            await asyncio.sleep(self._tick)

    async def _tell(self) -> None:
        wanted = list({stream.wanted: None for stream in self._streams})
        most = max(1, round(A_SECOND * self._tick))
        argument = {"after": self._after, "wanted": [each.told() for each in wanted], "most": most}
        heard = await self._siblings.ask(NEW, argument)
        # One that is silent is asked for the rest later.
        self._after |= {told["process"]: told["number"] for told in heard.answers}
        of_each = await run_sync(self._made, heard.answers, len(wanted), most)
        for stream in tuple(self._streams):
            # One that came meanwhile hears of what is new from now on.
            if stream.wanted in wanted:
                stream.take(*of_each[wanted.index(stream.wanted)])

    def _made(self, answers: Sequence[Mapping[str, Any]], count: int, most: int) -> list[tuple[str, int, int]]:
        """For each of what is wanted the rows, the newest first, how many they are, and of how many."""
        made = []
        for number in range(count):
            rows = [Row(*row) for told in answers for row in told["of"][number]["rows"]]
            seen = sum(told["of"][number]["seen"] for told in answers)
            shown = sampled(sorted(rows, key=attrgetter("time")), most)[::-1]
            made.append((self._render(shown) if shown else "", len(shown), seen))
        return made


class DecisionStream(Response):
    """One stream to one page."""

    def __init__(self, live: LiveDecisions, wanted: Wanted, first: Callable[[], Awaitable[bytes]]) -> None:
        self.wanted: Final = wanted
        self._live: Final = live
        self._first: Final = first
        self._events: Final[asyncio.Queue[bytes | None]] = asyncio.Queue(WAITING)
        self._last: Final[deque[tuple[int, int]]] = deque(maxlen=TICKS)
        self._told = ""
        super().__init__(None, 200, {**HEADERS, "x-accel-buffering": "no"}, "text/event-stream")
        del self.headers["content-length"]

    def take(self, html: str, shown: int, seen: int) -> None:
        """Hears of what is new: rows, how many, and of how many."""
        self._last.append((shown, seen))
        told = told_sample(sum(each[0] for each in self._last), sum(each[1] for each in self._last))
        if html or told != self._told:
            self._told = told
            self._put(event("rows", {"html": html, "told": told}))

    def end(self) -> None:
        """Ends it, whatever waits."""
        self._put(None)

    def _put(self, data: bytes | None) -> None:
        try:
            self._events.put_nowait(data)
        except asyncio.QueueFull:
            while not self._events.empty():
                self._events.get_nowait()
            self._events.put_nowait(None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends what there is until the browser goes away, reads too slowly, or the server stops."""
        leaving = asyncio.create_task(self._leave(receive))
        has_joined = self._live.join(self)
        try:
            await _send(send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if not has_joined:
                full = (
                    f"{STREAMS} pages watch decisions already; this one shows those that there were when it was loaded."
                )
                await _send_text(send, event("end", {"told": full}), more=False)
                return
            await _send_text(send, b"retry: %d\n\n" % RECONNECT_MILLISECONDS)
            await self._live.begun()
            await _send_text(send, await self._first())
            while (data := await self._next()) is not None:
                await _send_text(send, data)
            await _send_text(send, b"", more=False)
        except OSError:
            # It went away in the middle, or it reads nothing.
            return
        finally:
            self._live.leave(self)
            leaving.cancel()

    async def _next(self) -> bytes | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                return await self._events.get()
        return b": keep-alive\n\n"

    async def _leave(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end()


def event(name: str, told: Mapping[str, object]) -> bytes:
    """An event of the stream, as JSON."""
    return event_text(name, orjson.dumps(told))


async def _send_text(send: Send, text: bytes, *, more: bool = True) -> None:
    await _send(send, {"type": "http.response.body", "body": text, "more_body": more})


async def _send(send: Send, message: dict[str, Any]) -> None:
    # A TimeoutError is an OSError.
    async with asyncio.timeout(STALLED_SECONDS):
        await send(message)

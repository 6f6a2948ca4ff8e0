"""The event sink: nodes report what happens in conferences, and are told so once it is stored.

Nodes repeat what is not answered with 2xx, and what is behind it waits (pexip/README.md: How events arrive). So
nothing is refused for what it is: what nobody can read is counted, and the rest taken.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from policy_server.conferences.clocks import NodeClocks
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.fold import fold
from policy_server.conferences.live import Conferences
from policy_server.conferences.lives import told_since
from policy_server.conferences.store import MANY_EVENTS
from policy_server.pexip.events import Event, Parsed, parse_events
from policy_server.web.basic import BasicAuthentication
from policy_server.web.once import OnceAMinute
from policy_server.web.problem import ProblemResponse
from policy_server.web.refusals import Door, Refusals

PATH: Final = "/events/v1/pexip"

BODY_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a body that are read for messages, far above what nodes send; those beyond are lost, and said so."""

DRAIN_LIMIT: Final = 8 * BODY_LIMIT
"""Bytes of a body that are received at all."""

FOLD_PATIENCE: Final = 1.0
"""Seconds that an answer waits until it is known which conferences ended; nodes give up after about five."""

RETRY_SECONDS: Final = 2
"""What a node is told when the database is away."""

_LARGE_BODY: Final = 64 * 1024
# Without one of these messages, a conference that was not over is not over now.
_ENDINGS: Final = frozenset({"conference_ended", "participant_disconnected"})

Data = Mapping[str, object]

log = logging.getLogger(__name__)


class EventSinkEndpoint:
    """``POST /events/v1/pexip``: single and bulk messages. Ends the conferences that they say are over.

    ``kept`` gives what is kept of named values of a message. ``unreadable`` counts messages that nobody can read, ``clocks``
    knows what their senders take the time to be.
    """

    def __init__(
        self,
        conferences: Conferences,
        authentication: BasicAuthentication,
        refusals: Refusals | None = None,
        kept: Callable[[Data], Data] = dict,
    ) -> None:
        self._conferences: Final = conferences
        self._kept: Final = kept
        self._authentication: Final = authentication
        self._refusals: Final = refusals or Refusals(Door.EVENTS)
        self._folding: Final[set[asyncio.Task[None]]] = set()
        self._said: Final = OnceAMinute()
        self.unreadable = 0
        self.clocks: Final = NodeClocks()

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [Route(PATH, self.take, methods=["POST"])]

    async def close(self) -> None:
        """Waits until every conference whose end was reported is ended; call it before the store is closed."""
        if self._folding:
            await asyncio.wait(tuple(self._folding))

    async def take(self, request: Request) -> Response:
        """Takes one request: 200 means that every message in it is durable."""
        if not self._authentication.accepts(request.scope["headers"]):
            return await self._authentication.refuse(self._refusals, request.scope)
        try:
            body = await _read_body(request)
        except ClientDisconnect:
            # Nobody is there to read this.
            return Response(status_code=400)
        if body is None:
            detail = f"a body has {DRAIN_LIMIT} bytes ({DRAIN_LIMIT // 1024**2} MiB) at the most"
            return ProblemResponse(413, "too-large", "The body is too large", detail)
        now = self._conferences.clock()
        # A large body takes a tenth of a second, in which calls would wait for their answers.
        if len(body) > _LARGE_BODY:
            parsed = await asyncio.to_thread(self._parse, body, now)
        else:
            parsed = self._parse(body, now)
        if parsed.unreadable:
            self._say_unreadable(parsed, now)
        try:
            added = await self._conferences.store.add_events(parsed.events)
        except StoreUnavailableError as error:
            log.warning("events.unstored: %d messages; %s", len(parsed.events), error)
            return _unavailable()
        if not await self._end_in_time(parsed.events):
            # A repeated message ends what this one could not.
            return _unavailable()
        for event in parsed.events:
            if "time" not in event.envelope:
                self.clocks.learn(event.node, event.time, now.timestamp())
        told = {"unreadable": parsed.unreadable} if parsed.unreadable else {}
        return JSONResponse({"received": len(parsed.events), "new": added, **told})

    def _parse(self, body: bytes, now: datetime) -> Parsed:
        """The messages as they are kept: without what opens a door."""
        parsed = parse_events(body, now)
        return replace(parsed, events=tuple(map(self._kept_of, parsed.events)))

    def _kept_of(self, event: Event) -> Event:
        name = str(self._kept({"event": event.name})["event"])
        return replace(event, name=name, data=self._kept(event.data), envelope=self._kept(event.envelope))

    def _say_unreadable(self, parsed: Parsed, now: datetime) -> None:
        self.unreadable += parsed.unreadable
        if self._said.is_first("unreadable", now, 1):
            log.warning(
                "events.unreadable: %d of %d messages are not stored, %d since the start: %s",
                parsed.unreadable,
                parsed.unreadable + len(parsed.events),
                self.unreadable,
                "; ".join(parsed.reasons),
            )

    async def _end_in_time(self, events: Iterable[Event]) -> bool:
        """Ends what is over, for ``FOLD_PATIENCE`` in this request and then beside it; false when the database failed
        before that.
        """
        ending = (event for event in events if event.conference and event.name in _ENDINGS)
        names = dict.fromkeys(name for event in ending for name in (event.room, event.conference))
        if not names:
            return True
        folding = asyncio.create_task(self._end_all(tuple(names)))
        self._folding.add(folding)
        folding.add_done_callback(self._folded)
        done, _ = await asyncio.wait((folding,), timeout=FOLD_PATIENCE)
        return not done or folding.exception() is None

    def _folded(self, folding: asyncio.Task[None]) -> None:
        self._folding.discard(folding)
        if not folding.cancelled() and (error := folding.exception()) is not None:
            log.warning("conferences.not_ended: %s", error)

    async def _end_all(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                await self._end_if_over(name)
            except StoreUnavailableError:
                raise
            except Exception:
                # The messages are stored. Refusing them would hold up all that follow.
                log.exception("conferences.not_ended: its messages cannot be understood")

    async def _end_if_over(self, name: str) -> None:
        conferences = self._conferences
        now = conferences.clock()
        held = await conferences.store.holder(name, now)
        if held is None and (running := conferences.live(name, now)) is not None:
            # A call as short as that: its hold is still waiting to be written. Holds may be written twice.
            held = await conferences.store.hold(running)
        if held is None:
            return
        stored = await conferences.store.events_of(held)
        events = told_since(stored, held.held_at)
        state = await asyncio.to_thread(fold, events) if len(stored) > MANY_EVENTS else fold(events)
        if state.ended_at is not None:
            # When we were told: by a node's clock it might be deleted too early, or never.
            await conferences.store.end(name, now)


def _unavailable() -> ProblemResponse:
    headers = {"retry-after": str(RETRY_SECONDS)}
    return ProblemResponse(503, "store-unavailable", "The database cannot be reached", "send it again", headers)


async def _read_body(request: Request) -> bytes | None:
    """The body, of one that is longer its first ``BODY_LIMIT`` bytes; ``None`` as soon as it is longer than
    ``DRAIN_LIMIT``, whatever its headers say.
    """
    chunks: list[bytes] = []
    length = 0
    async for chunk in request.stream():
        chunks.append(chunk[: max(0, BODY_LIMIT - length)])
        length += len(chunk)
        if length > DRAIN_LIMIT:
            return None
    if length > BODY_LIMIT:
        log.error("events.too_large: what lies beyond the first %d of %d bytes of a body is lost", BODY_LIMIT, length)
    return b"".join(chunks)

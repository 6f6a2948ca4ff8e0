"""The event sink: nodes report what happens in conferences, and are told so once it is stored.

Nodes repeat what is not answered with 2xx, and what is behind it waits (reference: pexip-events.md, section 1), so
everything that is a message at all is taken.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.fold import fold
from policy_server.conferences.live import Conferences
from policy_server.conferences.records import StoredEvent
from policy_server.pexip.events import Event, EventError, parse_events
from policy_server.web.basic import BasicAuthentication, credentials_refused
from policy_server.web.problem import ProblemResponse

PATH: Final = "/events/v1/pexip"

BODY_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a body."""

CLOCK_DIFFERENCE: Final = timedelta(minutes=5)
"""How far the clocks of nodes may be behind ours."""

FOLD_PATIENCE: Final = 1.0
"""Seconds that an answer waits until it is known which conferences ended; nodes give up after about five."""

RETRY_SECONDS: Final = 2
"""What a node is told when the database is away."""

_LARGE_BODY: Final = 64 * 1024
_MANY_EVENTS: Final = 200
# Without one of these messages, a conference that was not over is not over now.
_ENDINGS: Final = frozenset({"conference_ended", "participant_disconnected"})

log = logging.getLogger(__name__)


def stored_event(event: Event) -> StoredEvent:
    """A message as the store keeps it."""
    return StoredEvent(event.node, event.seq, event.time, event.name, event.version, event.conference, event.data)


def told_event(stored: StoredEvent) -> Event:
    """A stored message as its node sent it."""
    return Event(stored.node, stored.seq, stored.version, stored.time, stored.event, stored.data)


class EventSinkEndpoint:
    """``POST /events/v1/pexip``: single and bulk messages. Ends the conferences that they say are over."""

    def __init__(self, conferences: Conferences, authentication: BasicAuthentication) -> None:
        self._conferences: Final = conferences
        self._authentication: Final = authentication
        self._folding: Final[set[asyncio.Task[None]]] = set()

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
            return credentials_refused()
        try:
            body = await _read_body(request)
        except ClientDisconnect:
            # Nobody is there to read this.
            return Response(status_code=400)
        if body is None:
            detail = f"a body has {BODY_LIMIT} bytes (8 MiB) at the most"
            return ProblemResponse(413, "too-large", "The body is too large", detail)
        try:
            # A large body takes a tenth of a second, in which calls would wait for their answers.
            parsed = await asyncio.to_thread(_parse, body) if len(body) > _LARGE_BODY else _parse(body)
        except EventError as error:
            log.warning("events.refused: %s", error)
            return ProblemResponse(400, "invalid-event", "This is not a message of an event sink", str(error))
        try:
            added = await self._conferences.store.add_events(parsed)
        except StoreUnavailableError as error:
            log.warning("events.unstored: %d messages; %s", len(parsed), error)
            return _unavailable()
        if not await self._end_in_time(parsed):
            # A repeated message ends what this one could not.
            return _unavailable()
        return JSONResponse({"received": len(parsed), "new": added})

    async def _end_in_time(self, events: Iterable[StoredEvent]) -> bool:
        """Ends what is over, for ``FOLD_PATIENCE`` in this request and then beside it; false when the database failed
        before that.
        """
        names = dict.fromkeys(event.conference for event in events if event.conference and event.event in _ENDINGS)
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
        held = await conferences.store.pinned(name, now)
        if held is None and (running := conferences.live(name, now)) is not None:
            # A call as short as that: its pin is still waiting to be written. Pins may be written twice.
            held = await conferences.store.pin(running)
        if held is None:
            return
        stored = await conferences.store.events(name, held.pinned_at - CLOCK_DIFFERENCE)
        events = map(told_event, stored)
        state = await asyncio.to_thread(fold, events) if len(stored) > _MANY_EVENTS else fold(events)
        if state.ended_at is not None:
            # By the nodes' clocks: what they say of an earlier life of the room must not end this one.
            await conferences.store.end(name, datetime.fromtimestamp(state.ended_at, UTC))


def _unavailable() -> ProblemResponse:
    headers = {"retry-after": str(RETRY_SECONDS)}
    return ProblemResponse(503, "store-unavailable", "The database cannot be reached", "send it again", headers)


def _parse(body: bytes) -> tuple[StoredEvent, ...]:
    return tuple(map(stored_event, parse_events(body)))


async def _read_body(request: Request) -> bytes | None:
    """The body; ``None`` as soon as it is longer than ``BODY_LIMIT``, whatever its headers say."""
    chunks: list[bytes] = []
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > BODY_LIMIT:
            return None
        chunks.append(chunk)
    return b"".join(chunks)

"""The event sink: nodes report what happens in conferences, and are told so once it is stored.

Nodes repeat what is not answered with 2xx, and what is behind it waits (pexip/README.md: How events arrive). So
nothing is refused for what it is: what nobody can read is counted, and the rest taken.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final, Literal, NotRequired, Required

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from typing_extensions import TypedDict

from policy_server.conferences.clocks import NodeClocks
from policy_server.conferences.ending import Endings
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.live import Conferences
from policy_server.conferences.once import OnceAMinute
from policy_server.conferences.shapes import Count, means
from policy_server.conferences.view import EXAMPLE_CALL
from policy_server.pexip.events import BULK, Data, Parsed, parse_events
from policy_server.web.basic import BasicAuthentication
from policy_server.web.problem import ProblemResponse
from policy_server.web.refusals import Door, Refusals

PATH: Final = "/events/v1/pexip"

BODY_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a body that are read for messages, far above what nodes send; those beyond are lost, and said so."""

DRAIN_LIMIT: Final = 8 * BODY_LIMIT
"""Bytes of a body that are received at all."""

RETRY_SECONDS: Final = 2
"""What a node is told when the database is away."""

_LARGE_BODY: Final = 64 * 1024

log = logging.getLogger(__name__)


class EventMessage(TypedDict, total=False):
    """One message of one node. What is missing or of another type is taken all the same, and events and fields that nobody
    knows yet are kept.
    """

    node: Annotated[object, means("The node's address, a text.", "10.44.99.2")]
    seq: Annotated[object, means("Counts the messages of a node to a sink, from 1 after each restart.", 688)]
    version: Annotated[object, means("Of the format: 1 or 2.", 2)]
    time: Annotated[object, means("The node's clock, in seconds since 1970.", 1559897774.520606)]
    event: Annotated[
        Required[str],
        means("What happened.", "participant_disconnected", minLength=1, **{"not": {"const": BULK}}),
    ]
    data: Annotated[
        object,
        means(
            "What Pexip says about it, an object.",
            {
                "uuid": "a0ed2c58-f45b-4d96-a1cb-89812ec938ea",
                "conference": EXAMPLE_CALL,
                "display_name": "Ada L",
                "disconnect_reason": "Call disconnected",
            },
        ),
    ]


class BulkMessage(TypedDict):
    """Messages of some seconds together. What the wrapper says of itself means nothing."""

    event: Literal["eventsink_bulk"]
    data: list[EventMessage]


class EventsTaken(TypedDict):
    """What became of a request."""

    received: Annotated[Count, means("Messages in the request that can be read.", 1)]
    new: Annotated[Count, means("Messages among them that had not come before.", 1)]
    unreadable: Annotated[
        NotRequired[Count], means("Messages that cannot be read, if there are any; the log says why.")
    ]


class EventSinkEndpoint:
    """``POST /events/v1/pexip``: single and bulk messages. Ends the conferences that they say are over. Plain ASGI, as most
    of what nodes send comes here.

    ``kept`` gives what is kept of named values of a message. ``unreadable`` counts messages that nobody can read, ``clocks``
    knows what their senders take the time to be.
    """

    def __init__(
        self,
        conferences: Conferences,
        endings: Endings,
        authentication: BasicAuthentication,
        refusals: Refusals | None = None,
        kept: Callable[[Data], Data] = dict,
    ) -> None:
        self._conferences: Final = conferences
        self._kept: Final = kept
        self._authentication: Final = authentication
        self._refusals: Final = refusals or Refusals(Door.EVENTS)
        self._endings: Final = endings
        self._said: Final = OnceAMinute()
        self.unreadable = 0
        self.clocks: Final = NodeClocks()

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [Route(PATH, self, methods=["POST"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes one request: 200 means that every message in it is durable."""
        taken = await self._take(scope, receive)
        if isinstance(taken, Response):
            await taken(scope, receive, send)
            return
        body = orjson.dumps(taken)
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _take(self, scope: Scope, receive: Receive) -> EventsTaken | Response:
        if not self._authentication.accepts(scope["headers"]):
            return await self._authentication.refuse(self._refusals, scope)
        try:
            body = await _read_body(receive)
        except ClientDisconnect:
            # Nobody is there to read this.
            return Response(status_code=400)
        if body is None:
            detail = f"a body has {DRAIN_LIMIT} bytes ({DRAIN_LIMIT // 1024**2} MiB) at the most"
            return ProblemResponse(413, "too-large", "The body is too large", detail)
        now = self._conferences.clock()
        # A large body takes a tenth of a second, in which calls would wait for their answers.
        if len(body) > _LARGE_BODY:
            parsed = await asyncio.to_thread(parse_events, body, now, self._kept)
        else:
            parsed = parse_events(body, now, self._kept)
        if parsed.unreadable:
            self._say_unreadable(parsed, now)
        try:
            added = await self._conferences.store.add_events(parsed.events)
        except StoreUnavailableError as error:
            log.warning("events.unstored: %d messages; %s", len(parsed.events), error)
            return _unavailable()
        if not await self._endings.end_in_time(parsed.events):
            # A repeated message ends what this one could not.
            return _unavailable()
        for event in parsed.events:
            if "time" not in event.envelope:
                self.clocks.learn(event.node, event.time, now.timestamp())
        taken: EventsTaken = {"received": len(parsed.events), "new": added}
        if parsed.unreadable:
            taken["unreadable"] = parsed.unreadable
        return taken

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


def _unavailable() -> ProblemResponse:
    headers = {"retry-after": str(RETRY_SECONDS)}
    return ProblemResponse(503, "store-unavailable", "The database cannot be reached", "send it again", headers)


async def _read_body(receive: Receive) -> bytes | None:
    """The body, of one that is longer its first ``BODY_LIMIT`` bytes; ``None`` as soon as it is longer than
    ``DRAIN_LIMIT``, whatever its headers say.
    """
    chunks: list[bytes] = []
    length = 0
    is_whole = False
    while not is_whole:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, is_whole = message.get("body", b""), not message.get("more_body", False)
        chunks.append(chunk[: max(0, BODY_LIMIT - length)])
        length += len(chunk)
        if length > DRAIN_LIMIT:
            return None
    if length > BODY_LIMIT:
        log.error("events.too_large: what lies beyond the first %d of %d bytes of a body is lost", BODY_LIMIT, length)
    return b"".join(chunks)

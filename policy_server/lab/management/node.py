"""The Management Node: URLs, envelopes, pages and errors of the Management API over the meetings of a simulated node.

Written from the reference, without the models of the client (management/README.md: Basics, Commands, Status).
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from math import ceil
from typing import Final, Self, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from policy_server.lab.management.doors import Administrator, Client, Doors
from policy_server.lab.management.status import Entry, conference_entries, conference_id, participant_entries
from policy_server.lab.management.troubles import Dials, Troubles
from policy_server.lab.node.errors import NotFoundError
from policy_server.lab.node.infinity import Infinity
from policy_server.lab.node.meeting import Meeting
from policy_server.lab.node.people import KeepAlive, Role
from policy_server.lab.node.questions import NOT_FOUND
from policy_server.lab.serving import serving

ROOT: Final = "/api/admin"
TOKEN_PATH: Final = "/oauth/token/"

PAGE: Final = 20
"""Objects of a page when nobody says how many."""
LARGEST_PAGE: Final = 1000
LIMIT: Final = 1000
WINDOW: Final = 60.0
"""So many requests are taken in so many seconds."""
TOKEN_SECONDS: Final = 3600

DIAL_FAILED: Final = "Call failed"

_DIAL_DEFAULTS: Final = {
    "role": "guest",
    "protocol": "sip",
    "routing": "manual",
    "call_type": "video",
    "keep_conference_alive": str(KeepAlive.ALWAYS),
}
_DIAL_FIELDS: Final = {
    "conference_alias": 250,
    "destination": 250,
    "system_location": 250,
    "node": 255,
    "local_display_name": 250,
    "remote_display_name": 250,
    "dtmf_sequence": 250,
    "presentation_url": 250,
}
_DIAL_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "role": ("guest", "chair"),
    "protocol": ("h323", "sip", "mssip", "rtmp", "gms", "teams"),
    "routing": ("manual", "routing_rule"),
    "call_type": ("audio", "video", "video-only"),
    "keep_conference_alive": tuple(KeepAlive),
}


Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that arrived."""

    method: str
    path: str
    query: str
    body: Mapping[str, object] = field(default_factory=dict)


class ManagementNode:
    """Is served while it is entered, and not while it is down. ``requests`` are those that arrived, refused ones too.

    Whoever plays sets ``troubles``. ``port`` is a free one for 0; ``clock`` is epoch seconds.
    """

    def __init__(
        self,
        administrator: Administrator,
        client: Client | None = None,
        *,
        port: int = 0,
        address: str = "127.0.0.1",
        token_seconds: int = TOKEN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.troubles: Final = Troubles()
        self.doors: Final = Doors(administrator, client, token_seconds, clock)
        self.requests: Final[deque[Asked]] = deque(maxlen=10_000)
        self.url = ""
        self._node: Infinity | None = None
        self._address: Final = address
        self._clock: Final = clock
        self._arrivals: Final[deque[float]] = deque()
        self._seen: dict[str, list[Entry]] = {}
        self._seen_at = float("-inf")
        self._router: Final = Router(self._routes(), redirect_slashes=False)
        self._port = port
        self._served: AsyncExitStack | None = None

    def oversee(self, node: Infinity) -> None:
        """The Conferencing Node whose meetings it sees and changes. Without one there are none."""
        self._node = node

    async def __aenter__(self) -> Self:
        await self.come_up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_down()

    async def come_up(self) -> None:
        """Listens, on the same port each time. Raises OSError when it is taken."""
        if self._served is None:
            stack = AsyncExitStack()
            self.url = await stack.enter_async_context(serving(self, self._port))
            self._port, self._served = urlsplit(self.url).port or 0, stack

    async def go_down(self) -> None:
        """Refuses connections from now on."""
        if self._served is not None:
            stack, self._served = self._served, None
            await stack.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or not, as ``troubles`` say."""
        if scope["type"] != "http":
            return
        await asyncio.sleep(self.troubles.delay)
        if not self.troubles.loses_answers:
            await self._router(scope, receive, send)
            return

        async def swallow(_: Message) -> None:
            pass

        await self._router(scope, receive, swallow)
        # More is promised than comes, so the connection is cut.
        headers = [(b"content-length", b"100")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})

    def _routes(self) -> list[Route]:
        status, command = f"{ROOT}/status/v1", f"{ROOT}/command/v1"
        asked: dict[str, Endpoint] = {
            f"{status}/conference/": self._guarded(self._conferences),
            f"{status}/conference/{{id}}/": self._guarded(self._conference),
            f"{status}/participant/": self._guarded(self._participants),
            f"{status}/participant/{{id}}/": self._guarded(self._participant),
        }
        told: dict[str, Endpoint] = {
            TOKEN_PATH: self._token,
            f"{command}/participant/dial/": self._guarded(self._dial),
            f"{command}/participant/disconnect/": self._guarded(self._disconnect),
            f"{command}/participant/transfer/": self._guarded(self._transfer),
            f"{command}/conference/disconnect/": self._guarded(self._terminate),
        }
        return [
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in asked.items()),
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in told.items()),
        ]

    def _guarded(self, endpoint: "Callable[[Request, Mapping[str, object]], Awaitable[Response]]") -> Endpoint:
        async def answer(request: Request) -> Response:
            body = await _body(request)
            self.requests.append(Asked(request.method, request.url.path, request.url.query, body))
            if (refusal := self._refusal(request)) is not None:
                return refusal
            return await endpoint(request, body)

        return answer

    def _refusal(self, request: Request) -> Response | None:
        troubles, now = self.troubles, self._clock()
        if troubles.status:
            headers = {"retry-after": str(troubles.retry_after)} if troubles.retry_after else None
            return _json(troubles.status, {"error": f"status {troubles.status}, on command"}, headers)
        if not self.doors.lets_in(request.headers.get("authorization", "")):
            return Response(status_code=401, headers={"www-authenticate": 'Basic realm="Pexip Infinity"'})
        while self._arrivals and self._arrivals[0] <= now - WINDOW:
            self._arrivals.popleft()
        if len(self._arrivals) >= LIMIT:
            wait = self._arrivals[0] + WINDOW - now
            return Response(status_code=429, headers={"retry-after": str(ceil(wait))})
        self._arrivals.append(now)
        return None

    # ------------------------------------------------------------------ tokens

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        self.requests.append(Asked("POST", TOKEN_PATH, "", {}))
        granted = self.doors.grant(form, self.url + TOKEN_PATH)
        return _json(400, {"error": granted}) if isinstance(granted, str) else _json(200, granted)

    # ------------------------------------------------------------------ status

    @property
    def _meetings(self) -> Mapping[str, Meeting]:
        return self._node.meetings if self._node is not None else {}

    @property
    def _commanded(self) -> Infinity:
        if self._node is None:
            raise NotFoundError(NOT_FOUND)
        return self._node

    def _status(self) -> dict[str, list[Entry]]:
        """What is known: of now, or up to ``troubles.lag`` seconds old."""
        now = self._clock()
        if now - self._seen_at >= self.troubles.lag:
            meetings = self._meetings
            self._seen_at = now
            self._seen = {
                "conference": conference_entries(meetings),
                "participant": participant_entries(meetings, self._address),
            }
        return self._seen

    async def _conferences(self, request: Request, _: Mapping[str, object]) -> Response:
        return _page(request, self._status()["conference"])

    async def _participants(self, request: Request, _: Mapping[str, object]) -> Response:
        return _page(request, self._status()["participant"])

    async def _conference(self, request: Request, _: Mapping[str, object]) -> Response:
        return _one(request, self._status()["conference"])

    async def _participant(self, request: Request, _: Mapping[str, object]) -> Response:
        return _one(request, self._status()["participant"])

    # ------------------------------------------------------------------ commands

    async def _dial(self, _: Request, body: Mapping[str, object]) -> Response:
        if fault := _dial_fault(body):
            return _failed(400, fault)
        leg = {
            **_DIAL_DEFAULTS,
            **body,
            "local_alias": body["conference_alias"],
            "remote_alias": body["destination"],
        }
        if self.troubles.dials is Dials.FORGOTTEN:
            return _accepted({"participant_id": str(uuid4())})
        failure = DIAL_FAILED if self.troubles.dials is Dials.FAILED else ""
        try:
            called = await self._commanded.call_out(str(body["conference_alias"]), leg, failure)
        except NotFoundError as error:
            return _failed(400, str(error))
        return _accepted({"participant_id": called})

    async def _disconnect(self, _: Request, body: Mapping[str, object]) -> Response:
        try:
            self._commanded.expel(str(body.get("participant_id", "")))
        except NotFoundError:
            return _failed(404, "Participant not found")
        return _accepted()

    async def _transfer(self, _: Request, body: Mapping[str, object]) -> Response:
        role = str(body.get("role", "guest"))
        if role not in tuple(Role):
            return _failed(400, "role must be chair or guest")
        try:
            await self._commanded.transfer(
                str(body.get("participant_id", "")), str(body.get("conference_alias")), Role(role)
            )
        except NotFoundError as error:
            return _failed(404, str(error))
        return _accepted()

    async def _terminate(self, _: Request, body: Mapping[str, object]) -> Response:
        meetings = self._meetings.values()
        meant = [meeting.name for meeting in meetings if conference_id(meeting) == body.get("conference_id")]
        if not meant:
            return _failed(404, "Conference not found")
        self._commanded.terminate(meant[0])
        return _accepted()


def _dial_fault(body: Mapping[str, object]) -> str:
    """What is wrong with a dial (management/README.md: Dial a participant)."""
    known = {*_DIAL_FIELDS, *_DIAL_WORDS, "streaming", "custom_sip_headers"}
    if unknown := [name for name in body if name not in known]:
        return f"{unknown[0]} is not a field"
    if absent := [name for name in ("conference_alias", "destination") if not body.get(name)]:
        return f"{absent[0]} is required"
    if not (body.get("system_location") or body.get("node")):
        return "system_location or node is required"
    for name, most in _DIAL_FIELDS.items():
        if len(str(body.get(name, ""))) > most:
            return f"{name} has more than {most} characters"
    for name, words in _DIAL_WORDS.items():
        if body.get(name, words[0]) not in words:
            return f"{name} must be one of {', '.join(words)}"
    return ""


def _page(request: Request, entries: list[Entry]) -> Response:
    """One page of a list (management/README.md: Basics)."""
    query = dict(request.query_params)
    try:
        limit, offset = (int(query.pop(name, default)) for name, default in (("limit", PAGE), ("offset", 0)))
    except ValueError:
        return _json(400, {"error": "Invalid limit or offset provided."})
    limit = min(limit or LARGEST_PAGE, LARGEST_PAGE)
    if limit < 0 or offset < 0:
        return _json(400, {"error": "Invalid limit or offset provided."})
    for name, value in query.items():
        entries = [entry for entry in entries if str(entry.get(name)) == value]

    def uri(start: int) -> str:
        return f"{request.url.path}?{urlencode({**query, 'limit': limit, 'offset': start})}"

    meta = {
        "limit": limit,
        "next": uri(offset + limit) if offset + limit < len(entries) else None,
        "offset": offset,
        "previous": uri(max(offset - limit, 0)) if offset else None,
        "total_count": len(entries),
    }
    return _json(200, {"meta": meta, "objects": entries[offset : offset + limit]})


def _one(request: Request, entries: list[Entry]) -> Response:
    found = next((entry for entry in entries if entry["id"] == request.path_params["id"]), None)
    return Response(status_code=404) if found is None else _json(200, found)


async def _body(request: Request) -> Mapping[str, object]:
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _accepted(data: Mapping[str, object] | None = None) -> Response:
    return _json(200, {"status": "success", **({"data": data} if data is not None else {})})


def _failed(status: int, message: str) -> Response:
    return _json(status, {"status": "failed", "message": message})


def _json(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")

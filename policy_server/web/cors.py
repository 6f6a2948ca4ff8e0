"""Which browsers' pages may read the agents' lookup: those of the configured origins, and of no other (CORS).

Agents' tokens travel in a header that the page sets itself, so credentials of the browser are never allowed.
"""

import re
from collections.abc import Awaitable, Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from policy_server.web.problem import ProblemResponse
from policy_server.wording.values import shown_address

ROOT: Final = "/agent/"

MAX_AGE: Final = 3600
"""Seconds that a browser may remember the answer to a preflight."""

_PREFLIGHT: Final = [
    (b"access-control-allow-methods", b"GET"),
    (b"access-control-allow-headers", b"Authorization, Last-Event-ID"),
    (b"access-control-max-age", str(MAX_AGE).encode()),
]
# The page could not read them otherwise; with a 503 it has to know when to come back.
_EXPOSED: Final = (b"access-control-expose-headers", b"Retry-After, WWW-Authenticate")
_VARY: Final = (b"vary", b"Origin")

# As a browser writes it: lower case, no path, no port that goes without saying.
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_NEEDLESS_PORTS: Final = {"http": ":80", "https": ":443"}
_EXAMPLE: Final = "https://widget.example.com"
_MAX_SHOWN: Final = 80

Headers = list[tuple[bytes, bytes]]


def check_origin(origin: str) -> str | None:
    """What is wrong with an origin as somebody configured it, in words for that person; ``None`` when it is good."""
    shown = shown_address(origin)
    if origin in {"*", "null"}:
        return f"must name every origin, such as {_EXAMPLE}; {shown} would let any page read what agents may read"
    if not _ORIGIN.fullmatch(origin):
        scheme, _, rest = origin.lower().partition("://")
        likely = f"{scheme}://{rest.partition('/')[0]}"
        is_short = len(likely) <= _MAX_SHOWN and _ORIGIN.fullmatch(likely)
        hint = f"write {likely}" if is_short else f"write scheme and host alone, such as {_EXAMPLE}"
        return f"must be an origin as browsers send it, but is {shown}; {hint}"
    port = _NEEDLESS_PORTS[origin.partition(":")[0]]
    if origin.endswith(port):
        return f"must be an origin as browsers send it, but is {shown}; write {origin.removesuffix(port)}"
    return None


class AgentCors:
    """Lets pages of some origins use what lies under ``/agent/``; everything else passes unchanged.

    Plain ASGI, so that nothing of a stream is held back. Raises ValueError for what ``check_origin`` objects to.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app: Final = app
        named = frozenset(origins)
        for origin in sorted(named):
            if (fault := check_origin(origin)) is not None:
                raise ValueError(f"an origin {fault}")
        self._origins: Final = frozenset(map(str.encode, named))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, or answers it if it is a preflight."""
        if scope["type"] != "http" or not scope["path"].startswith(ROOT):
            await self._app(scope, receive, send)
            return
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        origin = origins[0] if len(origins) == 1 and origins[0] in self._origins else None
        if origins and scope["method"] == "OPTIONS" and _asks_first(scope):
            await self._answer_preflight(origin, scope, receive, send)
            return
        added: Headers = [_VARY]
        if origin is not None:
            added += [(b"access-control-allow-origin", origin), _EXPOSED]

        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            return send(message)

        await self._app(scope, receive, send_with_headers)

    async def _answer_preflight(self, origin: bytes | None, scope: Scope, receive: Receive, send: Send) -> None:
        if origin is None:
            detail = "the page's origin is not one of POLICY_WIDGET_ORIGINS"
            refusal = ProblemResponse(403, "origin", "This page may not ask", detail, {"vary": "Origin"})
            await refusal(scope, receive, send)
            return
        headers = [(b"access-control-allow-origin", origin), *_PREFLIGHT, _VARY]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _asks_first(scope: Scope) -> bool:
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])

"""What every answer says beside its content: how it may be read, kept, and reached (RFC 9111, RFC 6797)."""

from collections.abc import Awaitable
from typing import Final

from starlette.types import Message, Scope, Send

Header = tuple[bytes, bytes]

NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
NO_STORE: Final = (b"cache-control", b"no-store")

HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
"""For a year, and for this host alone: others of the domain may not have https."""


_SAFE: Final = (NOSNIFF, NO_STORE)
_SAFE_BY_TLS: Final = (NOSNIFF, NO_STORE, HSTS)


def safe_headers(scope: Scope) -> tuple[Header, ...]:
    """What every answer to a request says.

    Nothing here may be kept by anybody: nearly all of it is about a person, or holds a PIN. Over https browsers are told
    to come by https alone; ``scope["scheme"]`` is what the server or a trusted proxy says.
    """
    return _SAFE_BY_TLS if scope.get("scheme") == "https" else _SAFE


def with_safe_headers(scope: Scope, send: Send) -> Send:
    """Adds them to an answer that does not say them for itself: around all endpoints, so that none can forget, but for
    the policy endpoint, which is asked too often.
    """
    wanted = safe_headers(scope)

    def send_safe(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            given = message.get("headers", ())
            named = dict(given)
            message["headers"] = [*given, *[header for header in wanted if header[0] not in named]]
        return send(message)

    return send_safe

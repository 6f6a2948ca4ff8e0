"""What every answer says beside its content: how it may be read, kept, and reached (RFC 9111, RFC 6797)."""

from typing import Final

from starlette.types import Message, Scope, Send

NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
NO_STORE: Final = (b"cache-control", b"no-store")

HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
"""For a year, and for this host alone: others of the domain may not have https."""


def with_safe_headers(scope: Scope, send: Send) -> Send:
    """Adds to an answer what it does not say for itself: around all endpoints, so that none can forget.

    Nothing here may be kept by anybody: nearly all of it is about a person, or holds a PIN. Over https browsers are told
    to come by https alone; ``scope["scheme"]`` is what the server or a trusted proxy says.
    """
    wanted = (NOSNIFF, NO_STORE, HSTS) if scope.get("scheme") == "https" else (NOSNIFF, NO_STORE)

    async def send_safe(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = message.get("headers", ())
            names = {name.lower() for name, _ in given}
            message["headers"] = [*given, *(header for header in wanted if header[0] not in names)]
        await send(message)

    return send_safe

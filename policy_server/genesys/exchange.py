"""One GET of the Genesys API over HTTP: in time, of bounded size, without redirects and without memory."""

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import httpx

from policy_server.genesys.replies import code_or_nothing

BODY_LIMIT: Final = 1_048_576
"""Bytes of a body; Genesys itself stops at 512,000 (genesys/README.md: Access tokens)."""

CONNECTIONS: Final = 20
"""Connections to Genesys at a time; a request that waits for one waits within its timeout."""

LONGEST_PAUSE: Final = 3600
"""Seconds that a Retry-After may ask for; Genesys counts by the minute."""

_SECONDS: Final = re.compile(r"[0-9]{1,9}")

Failure: TypeAlias = Literal["timeout", "connection", "too_large"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, whatever its status.

    ``retry_after`` is whole seconds, None if the answer has none. ``rate_reset`` is when Genesys counts requests anew,
    which answers without any trouble say too.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: int | None
    rate_reset: int | None
    correlation_id: str


@dataclass(frozen=True, slots=True)
class NoReply:
    """There was no answer, or none that can be read; ``detail`` is for the log."""

    failure: Failure
    detail: str


class Exchange:
    """Sends requests to one API over connections that it keeps.

    Over HTTPS it uses the proxy and the certificates of the environment, if it has some (``HTTPS_PROXY``,
    ``SSL_CERT_FILE``); plain HTTP, which is for loopback addresses, is direct.
    """

    def __init__(self, api: str, timeout: float, connections: int = CONNECTIONS) -> None:
        self._api: Final = api
        self._timeout: Final = timeout
        self._http: Final = httpx.AsyncClient(
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "policy-server"},
            # One agent's session cookie must never go out with another agent's token.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            timeout=timeout,
            trust_env=urlsplit(api).scheme == "https",
            verify=_certificates(),
        )

    async def get(self, path: str, token: str) -> Reply | NoReply:
        """Asks for a path on behalf of the owner of a token. Never raises for what the other side does."""
        request = self._http.stream("GET", self._api + path, headers={"authorization": f"Bearer {token}"})
        try:
            # httpx limits each step; a server that drips bytes would be waited for without end.
            async with asyncio.timeout(self._timeout), request as response:
                return await _read(response)
        except (TimeoutError, httpx.TimeoutException):
            return NoReply("timeout", f"no whole answer within {self._timeout:g} s")
        except httpx.ConnectError as error:
            return NoReply("connection", f"cannot connect: {error}")
        except httpx.HTTPError as error:
            # Without its text, which may quote what was sent.
            return NoReply("connection", type(error).__name__)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()


async def _read(response: httpx.Response) -> Reply | NoReply:
    body = bytearray()
    # Raw: it was asked for plain, and what is packed all the same has no bound once it is unpacked.
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > BODY_LIMIT:
            return NoReply("too_large", f"the body is larger than {BODY_LIMIT} bytes")
    headers = response.headers
    return Reply(
        response.status_code,
        bytes(body),
        _seconds(headers.get("retry-after")),
        _seconds(headers.get("inin-ratelimit-reset")),
        code_or_nothing(headers.get("inin-correlation-id")),
    )


def _seconds(text: str | None) -> int | None:
    if text is None or not _SECONDS.fullmatch(text.strip()):
        return None
    return min(max(int(text), 1), LONGEST_PAUSE)

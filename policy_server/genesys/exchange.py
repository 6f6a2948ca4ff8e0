"""One GET of the Genesys API over HTTP: in time, of bounded size, without redirects and without memory."""

import os
import re
import ssl
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi

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
        self._connections: Final = connections
        self._proxy: Final = _proxy(api)
        # Read here, and not while others wait for their answers.
        self._certificates: Final = _certificates() if urlsplit(api).scheme == "https" else True
        self._opened: aiohttp.ClientSession | None = None

    async def get(self, path: str, token: str) -> Reply | NoReply:
        """Asks for a path on behalf of the owner of a token. Never raises for what the other side does."""
        headers = {"authorization": f"Bearer {token}"}
        try:
            async with self._session().get(self._api + path, headers=headers, allow_redirects=False) as response:
                return await _read(response)
        except TimeoutError:
            return NoReply("timeout", f"no whole answer within {self._timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            return NoReply("connection", f"cannot connect: {error}")
        except aiohttp.ClientError as error:
            # Without its text, which may quote what was sent.
            return NoReply("connection", type(error).__name__)

    async def close(self) -> None:
        """Closes the connections."""
        if self._opened is not None:
            await self._opened.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            # Not before there is an event loop.
            self._opened = aiohttp.ClientSession(
                headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "policy-server"},
                # One agent's session cookie must never go out with another agent's token.
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._certificates),
                timeout=aiohttp.ClientTimeout(self._timeout),
                # It was asked for plain, and what is packed all the same has no bound once it is unpacked.
                auto_decompress=False,
                proxy=self._proxy,
            )
        return self._opened


@cache
def _certificates() -> ssl.SSLContext:
    is_set = any(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    return ssl.create_default_context(cafile=None if is_set else certifi.where())


def _proxy(api: str) -> str | None:
    parts, proxies = urlsplit(api), getproxies()
    if parts.scheme != "https" or proxy_bypass(parts.hostname or ""):
        return None
    return proxies.get("https") or proxies.get("all")


async def _read(response: aiohttp.ClientResponse) -> Reply | NoReply:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT:
            # The rest of it is not waited for.
            response.close()
            return NoReply("too_large", f"the body is larger than {BODY_LIMIT} bytes")
    headers = response.headers
    return Reply(
        response.status,
        bytes(body),
        _seconds(headers.get("retry-after")),
        _seconds(headers.get("inin-ratelimit-reset")),
        code_or_nothing(headers.get("inin-correlation-id")),
    )


def _seconds(text: str | None) -> int | None:
    if text is None or not _SECONDS.fullmatch(text.strip()):
        return None
    return min(max(int(text), 1), LONGEST_PAUSE)

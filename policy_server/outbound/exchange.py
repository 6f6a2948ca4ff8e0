"""One request over HTTP: in time, of bounded size, without redirects and without memory."""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi
from yarl import URL

BODY_LIMIT: Final = 1_048_576
"""Bytes of a body, unless it is said otherwise."""

CONNECTIONS: Final = 20
"""Connections to a system at a time; a request that waits for one waits within its timeout."""

LONGEST_PAUSE: Final = 3600
"""Seconds that a Retry-After may ask for."""

_SECONDS: Final = re.compile(r"[0-9]{1,9}")

Failure: TypeAlias = Literal["timeout", "connection", "too_large"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, whatever its status. The names of ``headers`` are found in any case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def retry_after(self) -> int | None:
        """Whole seconds of ``Retry-After``, from 1 to an hour; None if there are none."""
        return seconds(self.headers.get("retry-after"))


@dataclass(frozen=True, slots=True)
class NoReply:
    """There was no answer, or none that can be read; ``detail`` is for the log and quotes nothing that was sent.

    ``is_unsent`` is that no byte of the request has left: the other side cannot have done anything about it.
    """

    failure: Failure
    detail: str
    is_unsent: bool = False


class Exchange:
    """Sends requests to one system over connections that it keeps, or with ``reuses=False`` over a new one each.

    A GET whose connection is lost without an answer is sent once more, since it may have been one that was just closed;
    with ``repeats=False`` nothing is sent twice. Anything else never is.

    ``base`` is where all paths begin, ``timeout`` seconds from the wait for a connection to the last byte. Over HTTPS it
    uses the proxy of the environment (``HTTPS_PROXY``) and always verifies the certificate: with ``certificates``, or else
    with those of the environment (``SSL_CERT_FILE``) or of certifi; plain HTTP, for loopback addresses, is direct.
    """

    def __init__(
        self,
        base: str,
        timeout: float,
        *,
        connections: int = CONNECTIONS,
        certificates: ssl.SSLContext | None = None,
        reuses: bool = True,
        repeats: bool = True,
        body_limit: int = BODY_LIMIT,
    ) -> None:
        self._base: Final = base
        self._timeout: Final = timeout
        self._connections: Final = connections
        self._reuses: Final = reuses
        self._repeats: Final = repeats
        self._body_limit: Final = body_limit
        self._proxy: Final = _proxy(base)
        is_secure = urlsplit(base).scheme == "https"
        # Read here, and not while others wait for their answers.
        self._certificates: Final = (certificates or _certificates()) if is_secure else True
        self._opened: aiohttp.ClientSession | None = None

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        as_written: bool = False,
    ) -> Reply | NoReply:
        """One request. Never raises for what the other side does.

        ``path``, with a query or without, is brought into the usual form, or is already and goes out ``as_written``.
        """
        sent = SimpleNamespace(has_begun=False)
        try:
            async with self._session().request(
                method,
                URL(self._base + path, encoded=as_written),
                headers=headers,
                data=body,
                allow_redirects=False,
                trace_request_ctx=sent,
            ) as response:
                return await self._read(response)
        except TimeoutError:
            return NoReply("timeout", f"no whole answer within {self._timeout:g} s", not sent.has_begun)
        except aiohttp.ClientConnectorError as error:
            return NoReply("connection", f"cannot connect: {_reason(error)}", is_unsent=True)
        except aiohttp.ClientError as error:
            # Without its text, which may quote what was sent.
            return NoReply("connection", type(error).__name__, not sent.has_begun)

    async def close(self) -> None:
        """Closes the connections."""
        if self._opened is not None:
            await self._opened.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            # Not before there is an event loop.
            self._opened = aiohttp.ClientSession(
                headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "policy-server"},
                # The cookie of one caller must never go out with the token of another.
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(
                    limit=self._connections, ssl=self._certificates, force_close=not self._reuses
                ),
                timeout=aiohttp.ClientTimeout(self._timeout),
                # It was asked for plain, and what is packed all the same has no bound once it is unpacked.
                auto_decompress=False,
                proxy=self._proxy,
                trace_configs=[_trace(self._repeats)],
            )
        return self._opened

    async def _read(self, response: aiohttp.ClientResponse) -> Reply | NoReply:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._body_limit:
                # The rest of it is not waited for.
                response.close()
                return NoReply("too_large", f"the body is larger than {self._body_limit} bytes")
        return Reply(response.status, response.headers, bytes(body))


def _reason(error: aiohttp.ClientConnectorError) -> str:
    cause = getattr(error, "certificate_error", None) or error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {cause.verify_message}"
    return getattr(cause, "strerror", None) or str(cause)


def seconds(text: str | None) -> int | None:
    """The whole seconds of a header, from 1 to an hour; None if it is absent or says them in another way."""
    if text is None or not _SECONDS.fullmatch(text.strip()):
        return None
    return min(max(int(text), 1), LONGEST_PAUSE)


@cache
def _certificates() -> ssl.SSLContext:
    is_set = any(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    return ssl.create_default_context(cafile=None if is_set else certifi.where())


def _proxy(base: str) -> str | None:
    parts, proxies = urlsplit(base), getproxies()
    if parts.scheme != "https" or proxy_bypass(parts.hostname or ""):
        return None
    return proxies.get("https") or proxies.get("all")


def _trace(repeats: bool) -> aiohttp.TraceConfig:
    """Notes in the context of a request that it begins to leave: called before the first byte is written."""

    async def check(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        if context.trace_request_ctx.has_begun and not repeats:
            # aiohttp has no other way to be told that.
            raise aiohttp.ServerDisconnectedError

    async def begin(session: aiohttp.ClientSession, context: SimpleNamespace, parameters: object) -> None:
        await check(session, context, parameters)
        context.trace_request_ctx.has_begun = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(check)
    trace.on_request_headers_sent.append(begin)
    return trace

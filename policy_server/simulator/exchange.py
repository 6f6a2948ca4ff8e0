"""One HTTP request of somebody in a played call, and its answer or why none came."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import httpx
import orjson

from policy_server.simulator.judge import HttpAnswer

TIMEOUT: Final = 5.0
"""Seconds that a node waits (pexip/README.md: Transport), and everybody else here."""

MOST_SAID: Final = 300
"""Characters of a problem that are told."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. Nothing of the answer's body or headers is for printing: there are PINs in them."""

    method: str
    path: str
    query: str
    answer: HttpAnswer = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    unreachable: str
    """Why no answer came at all, ``""`` when one came."""

    @property
    def status(self) -> int:
        """The HTTP status, 0 when no answer came."""
        return self.answer.status

    @property
    def fields(self) -> Mapping[str, object]:
        """The body when it is a JSON object, ``{}`` when it is none."""
        try:
            body = orjson.loads(self.answer.body)
        except orjson.JSONDecodeError:
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def problem(self) -> str:
        """What the server says is wrong (RFC 9457), ``""`` when it does not."""
        if self.answer.content_type.partition(";")[0] != "application/problem+json":
            return ""
        said = (self.fields.get(key) for key in ("title", "detail"))
        text = ": ".join(part for part in said if isinstance(part, str) and part)
        return "".join(letter if letter.isprintable() else " " for letter in text)[:MOST_SAID]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks the server at ``root``, with what he has to show for himself."""

    client: httpx.AsyncClient = field(repr=False)
    root: str
    authorization: str = field(default="", repr=False)

    async def send(self, method: str, path: str, query: str = "", body: object = None) -> Exchange:
        """Sends one request, with ``body`` as JSON unless it is ``None``. Redirects are not followed."""
        headers = {"authorization": self.authorization} if self.authorization else {}
        content = None
        if body is not None:
            headers["content-type"] = "application/json"
            content = orjson.dumps(body)
        url = f"{self.root.rstrip('/')}{path}{'?' if query else ''}{query}"
        started = perf_counter()
        try:
            response = await self.client.request(
                method, url, headers=headers, content=content, timeout=TIMEOUT, follow_redirects=False
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            unreachable = f"{type(error).__name__}: {error}".rstrip(": ")
            return Exchange(method, path, query, HttpAnswer(0, "", b"", perf_counter() - started), {}, unreachable)
        content_type = response.headers.get("content-type", "")
        answer = HttpAnswer(response.status_code, content_type, response.content, perf_counter() - started)
        return Exchange(method, path, query, answer, response.headers, "")


def basic(username: str, password: str) -> str:
    """The Authorization header of HTTP Basic."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def bearer(token: str) -> str:
    """The Authorization header of a key or token."""
    return f"Bearer {token}"

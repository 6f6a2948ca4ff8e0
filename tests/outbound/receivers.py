"""A system that is told of calls, over HTTP: it answers what it is told to, and remembers what it got."""

import base64
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import orjson
from standardwebhooks import Webhook

KEY: Final = bytes(range(32))
SECRET: Final = f"whsec_{base64.b64encode(KEY).decode()}"
OTHER_KEY: Final = bytes(range(40, 72))
OTHER_SECRET: Final = f"whsec_{base64.b64encode(OTHER_KEY).decode()}"


@dataclass(frozen=True)
class Got:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What is in it."""
        return orjson.loads(self.body)

    def verify(self, key: bytes = KEY) -> Any:
        """What is in it, if the library of Standard Webhooks takes the signature; else WebhookVerificationError."""
        return Webhook(key).verify(self.body, dict(self.headers))


@dataclass
class Site:
    """What answers. ``script`` is what comes next (a status, and headers), after which every answer is 204."""

    url: str = ""
    script: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    is_down: bool = False
    got: list[Got] = field(default_factory=list)


@contextmanager
def receiving() -> Iterator[Site]:
    """A receiver on this machine."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            site.got.append(Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status, headers = site.script.pop(0) if site.script else (503 if site.is_down else 204, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_port}/hooks?token=planted-token"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()

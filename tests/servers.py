"""Servers for tests: the application in this process behind an HTTP client, and a real one in a process of its own."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self, TypeVar

import httpx

from policy_server.app import Application, create_app, utc_now
from policy_server.conferences.pace import Limits, Pace
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.web.decision_log import DecisionLog
from tests.waiting import eventually

USERNAME: Final = "pexip"
PASSWORD: Final = "a password: with ü and a colon"
SECRET_KEY: Final = "the secret key of these tests is long enough"
ROOT: Final = "/policy/v1"

T = TypeVar("T")


def basic(username: str = USERNAME, password: str = PASSWORD) -> str:
    """The Authorization header of HTTP Basic."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def write_rules(folder: Path, text: str, name: str = "rules.yaml") -> Path:
    """Puts a rules file into a folder, made if need be, in one step; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{name}.new"
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(folder / name)
    return folder


class InProcess:
    """The application with its lifespan, in this process and without a socket; use it in ``with``.

    ``lines`` is what the decision log wrote, complete once the block is left or ``flush`` was called.
    """

    def __init__(
        self,
        rules: Path,
        *,
        clock: Callable[[], datetime] = utc_now,
        peer: str = "127.0.0.1",
        environment: Mapping[str, str] | None = None,
        pace: Pace | None = None,
        limits: Limits | None = None,
        **settings: Any,
    ) -> None:
        self._folder: Final = TemporaryDirectory(prefix="policy-server-test-")
        complete = Settings(
            rules=rules,
            pexip=Credentials(USERNAME, PASSWORD),
            secret_key=SECRET_KEY,
            database_url=f"sqlite:///{self._folder.name}/policy.db",
        )
        self.settings: Final = replace(complete, **settings)
        self.rules: Final = RuleStore(rules, clock, environment or {})
        self._written: Final[list[bytes]] = []
        self.decision_log: Final = DecisionLog(
            self.settings.log_format, write=self._written.append, shows_people=self.settings.log_pii
        )
        self.app: Final[Application] = create_app(
            self.settings, self.rules, self.decision_log, clock=clock, pace=pace, limits=limits
        )
        self._runner: Final = asyncio.Runner()
        self._peer: Final = peer

    def __enter__(self) -> Self:
        self._runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._stop())
        self._runner.close()
        self._folder.cleanup()

    @property
    def lines(self) -> list[str]:
        """The lines of the decision log so far."""
        return b"".join(self._written).decode().splitlines()

    def flush(self) -> list[str]:
        """Writes what the decision log holds, and returns all its lines."""
        self.decision_log.flush()
        return self.lines

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something on the loop of the application."""
        return self._runner.run(work)

    def request(
        self,
        method: str,
        path: str,
        *,
        authorization: str | None = None,
        headers: Mapping[str, str] | None = None,
        peer: str | None = None,
        form: Mapping[str, str] | None = None,
        json: object = None,
        files: Any = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """One request. ``path`` is sent as it is, query and all; ``form`` and ``files`` are posted as browsers do, ``json`` as
        programs do.
        """
        sent = {**({"authorization": authorization} if authorization is not None else {}), **(headers or {})}
        transport = httpx.ASGITransport(app=self.app, client=(peer or self._peer, 50_000))

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport) as client:
                url = f"http://policy.example.com{path}"
                return await client.request(
                    method, url, headers=sent, data=form, json=json, files=files, content=content
                )

        return self.run(ask())

    def get(self, path: str, **further: Any) -> httpx.Response:
        """A request of a node with good credentials."""
        return self.request("GET", path, authorization=basic(), **further)

    def ask(self, path: str, **parameters: str) -> dict[str, Any]:
        """A policy question and the JSON of its answer; ``path`` goes on after ``/policy/v1``."""
        query = str(httpx.QueryParams(parameters))
        response = self.get(f"{ROOT}{path}?{query}")
        assert response.status_code == 200, response.text
        answer = response.json()
        assert isinstance(answer, dict)
        return answer

    def metrics(self) -> str:
        """What ``/metrics`` says."""
        return self.request("GET", "/metrics", peer="127.0.0.1").text

    async def _start(self) -> None:
        self._to_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._from_app: asyncio.Queue[str] = asyncio.Queue()

        async def send(message: Any) -> None:
            await self._from_app.put(message["type"])

        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._lifespan = asyncio.create_task(self.app(scope, self._to_app.get, send))
        await self._to_app.put({"type": "lifespan.startup"})
        assert await self._from_app.get() == "lifespan.startup.complete"

    async def _stop(self) -> None:
        await self._to_app.put({"type": "lifespan.shutdown"})
        assert await self._from_app.get() == "lifespan.shutdown.complete"
        await self._lifespan


@dataclass
class RealServer:
    """``python -m policy_server serve`` in a process of its own."""

    process: subprocess.Popen[bytes]
    folder: Path
    verify: Any = field(default=True)

    @property
    def out(self) -> str:
        """What it printed so far."""
        return (self.folder / "stdout.txt").read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """What it logged so far."""
        return (self.folder / "stderr.txt").read_text(encoding="utf-8")

    @property
    def url(self) -> str:
        """Where it listens, ``""`` before it says so."""
        found = re.search(r"listens on (\S+)\n", self.out)
        return found[1] if found else ""

    def client(self, **further: Any) -> httpx.Client:
        """A client with the credentials of the tests. It opens a connection for each request."""
        options: dict[str, Any] = {
            "base_url": self.url,
            "auth": (USERNAME, PASSWORD),
            "verify": self.verify,
            "timeout": 10,
            "trust_env": False,
            "limits": httpx.Limits(max_keepalive_connections=0),
        }
        return httpx.Client(**{**options, **further})

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit status."""
        self.process.send_signal(how)
        return self.process.wait(20)


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment of this process without settings of ours, and with some."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("POLICY_", "PROMETHEUS_"))}
    return {**kept, **variables}


@contextmanager
def real_server(
    folder: Path,
    *options: str,
    verify: Any = True,
    program: tuple[str, ...] = ("-m", "policy_server"),
    environment: Mapping[str, str] | None = None,
) -> Iterator[RealServer]:
    """Starts a server in ``folder`` on a free port, waits until it answers, and ends it whatever happens.

    ``environment`` replaces the credentials of the tests; ``program`` is what Python runs.
    """
    given = environment
    if given is None:
        given = {
            "POLICY_PEXIP_USERNAME": USERNAME,
            "POLICY_PEXIP_PASSWORD": PASSWORD,
            "POLICY_SECRET_KEY": SECRET_KEY,
        }
    command = [sys.executable, *program, "serve", "--port", "0", *options]
    with (folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("wb") as err:
        process = subprocess.Popen(
            command, cwd=folder, env=clean_environment(**given), stdout=out, stderr=err, start_new_session=True
        )
    server = RealServer(process, folder, verify)
    try:
        eventually(lambda: server.url or process.poll() is not None)
        assert process.poll() is None, server.err
        eventually(lambda: _answers(server))
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _answers(server: RealServer) -> bool:
    assert server.process.poll() is None, server.err
    try:
        with server.client() as client:
            return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False

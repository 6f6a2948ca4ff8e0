"""A Management Node that answers as a test says, however wrong, and a client for it whose time is made up."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson

from policy_server.management.access import Access, Account
from policy_server.management.client import ManagementClient
from policy_server.management.requests import Requests
from tests.waiting import WHOLE_PATIENCE

T = TypeVar("T")

PASSWORD: Final = "planted-password"
ACCOUNT: Final = Account("policy", PASSWORD)

CONFERENCE: Final[dict[str, Any]] = {
    "id": "conference-1",
    "name": "visit-1",
    "service_type": "conference",
    "tag": "visits",
    "start_time": "2026-11-27T12:00:00.250000",
    "is_started": True,
    "is_locked": False,
}
PARTICIPANT: Final[dict[str, Any]] = {
    "id": "participant-1",
    "conference": "visit-1",
    "display_name": "Ada L",
    "call_direction": "in",
    "source_alias": "Ada L",
    "destination_alias": "customer",
    "protocol": "WebRTC",
    "role": "guest",
    "service_type": "conference",
    "service_tag": "visits",
    "call_uuid": "call-1",
    "has_media": True,
    "connect_time": "2026-11-27T12:00:01",
}


@dataclass(frozen=True)
class Answer:
    """What is sent back: an answer of HTTP, or only some bytes of it, or nothing."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    cut_after: int | None = None
    """Hangs up after so many bytes of the whole."""
    hangs: bool = False
    """Never answers."""

    def bytes(self) -> bytes:
        """As it goes over the wire."""
        lines = [f"HTTP/1.1 {self.status} X", f"content-length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "connection: close", "", ""]).encode() + self.body


def json(content: object, status: int = 200, **headers: str) -> Answer:
    """An answer in JSON."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status, orjson.dumps(content), named)


def page(*objects: object, has_next: bool = False) -> Answer:
    """One page of a list."""
    next_page = "/elsewhere/" if has_next else None
    meta = {"limit": 100, "next": next_page, "offset": 0, "previous": None, "total_count": len(objects)}
    return json({"meta": meta, "objects": objects})


SUCCESS: Final = json({"status": "success", "data": {"participant_id": "participant-9"}})


@dataclass
class Arrived:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """What it says."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Moves it."""
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Scripted:
    """Gives its answers in order, the last again and again."""

    answers: list[Answer]
    url: str = ""
    arrived: list[Arrived] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection, whose only request it is."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, target, _ = head[0].split(" ")
            pairs = [line.split(": ", 1) for line in head[1:] if line]
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.arrived.append(Arrived(method, target, headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if answer.hangs:
                await reader.read()
                return
            writer.write(answer.bytes()[: answer.cut_after])
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            # The client has had enough.
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """A node that gives these answers."""
    node, tasks = Scripted(list(answers)), list[asyncio.Task[None]]()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(node.handle(reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    node.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield node
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Scene:
    """A node that plays its script, the client, and its clock."""

    node: Scripted
    client: ManagementClient
    time: Time


def client_of(access: Access, time: Time | None = None, *, timeout: float = 20.0, rate: int = 1000) -> ManagementClient:
    """A client whose pauses take no time; a slow machine does not reach its timeout."""
    time = time or Time()
    requests = Requests(access, rate, timeout=timeout, clock=time, jitter=lambda: 0.5, sleep=time.sleep)
    return ManagementClient(access, requests=requests)


def play(
    scenario: Callable[[Scene], Awaitable[T]], *answers: Answer, timeout: float = 20.0, rate: int = 1000
) -> tuple[T, Scene]:
    """What a scenario comes to with a node that gives these answers."""

    async def run() -> tuple[T, Scene]:
        async with asyncio.timeout(WHOLE_PATIENCE), serving(*answers) as node:
            time = Time()
            async with client_of(Access(node.url, ACCOUNT), time, timeout=timeout, rate=rate) as client:
                scene = Scene(node, client, time)
                return await scenario(scene), scene

    return asyncio.run(run())

"""The server that is attacked, the call that is measured meanwhile, and what attackers have in their hands."""

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from policy_server.policy.names import NAME_LENGTH, Call, Keyring, Role
from policy_server.simulator.genesys import StandIn
from tests.genesys.asking import settings
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, RealServer, basic, real_server
from tests.waiting import eventually

OPEN_FILES: Final = 1024
"""What a process may have open on many machines."""

OPEN_ROOMS: Final = 500
NODE: Final = "127.0.0.1"
STRANGER: Final = "127.0.0.66"
AGENTS: Final = "127.0.0.77"
"""Where nodes, attackers and agents come from."""

SINK: Final = ("sink", "the password of the event sink")
API_KEY: Final = "booking-key-that-is-long-enough-to-be-good"

LINK_TYPE: Final = "visit"
NUMBER: Final = "+13129998045"
"""What the room dials."""

RULES: Final = """
trunks:
  clinic: { number: "+1 312 999 8045", dial_prefix: "99" }
rooms:
  visit: { name: "{call}", service_tag: visit, pin: derived, guest_pin: derived, allow_guests: true }
  desk: { name: "Desk {who}", service_tag: desk }
service:
  - id: customer
    when: { link_type: visit, door: customer, link: valid }
    room: visit
    dial_out: [{ trunk: clinic, display_name: "{call}" }]
  - id: agent
    when: { link_type: visit, door: agent, link: [valid, expired] }
    room: visit
  - id: refused
    when: { link_type: visit }
    reject: This link is not valid.
  - id: desks
    when: { local_alias: 'desk-(?P<who>.+)' }
    room: desk
links:
  visit: { alias: "mp{session}", agent_alias: "hcp{agent}", ttl: 4h, url: "https://video.example.com/{alias}" }
"""

Answer = tuple[int, bytes]
"""Status and all bytes; status 0 when there was none."""


@dataclass(frozen=True)
class Listener:
    """Where one of the server's listeners can be reached."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Listener":
        """The listener of a URL."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        return cls(parts.hostname, parts.port)


@dataclass
class Stage:
    """A running server, as seen by everybody who is on the stage."""

    server: RealServer
    nodes: Listener
    public: Listener
    genesys: StandIn
    link: Mapping[str, Any]
    until: float = 0.0
    """When the attack that runs has to end, by the monotonic clock."""

    async def connect(
        self, where: Listener, stranger: str = STRANGER
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of a stranger."""
        return await asyncio.open_connection(where.host, where.port, local_addr=(stranger, 0))

    async def send(self, where: Listener, data: bytes, stranger: str = STRANGER, seconds: float = 8.0) -> Answer:
        """Sends bytes on a connection of its own, and reads until the server closes it."""
        answer = b""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(seconds):
                reader, writer = await self.connect(where, stranger)
                try:
                    with suppress(OSError):
                        writer.write(data)
                        await writer.drain()
                    while piece := await reader.read(65536):
                        answer += piece
                finally:
                    writer.close()
        found = re.match(rb"HTTP/1\.1 (\d{3})", answer)
        return int(found[1]) if found else 0, answer

    async def ask(
        self,
        where: Listener,
        path: str,
        authorization: str = "",
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        stranger: str = STRANGER,
    ) -> Answer:
        """One request of a stranger."""
        lines = [f"{method} {path} HTTP/1.1", "Host: policy", "Connection: close"]
        lines += [f"Authorization: {authorization}"] if authorization else []
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body or method == "POST" else []
        return await self.send(where, "\r\n".join([*lines, "", ""]).encode() + body, stranger)

    async def dial(self, alias: str) -> dict[str, Any]:
        """What a node is told when somebody dials an alias."""
        path = f"/policy/v1/service/configuration?protocol=api&call_direction=dial_in&local_alias={quote(alias)}"
        status, answer = await self.ask(self.nodes, path, basic())
        return read_json(answer) if status == 200 else {}

    async def make_link(self) -> dict[str, Any]:
        """A link, made by the booking system."""
        body = json.dumps({"type": "visit", "name": "Ada L"}).encode()
        status, answer = await self.ask(self.public, "/api/v1/links", f"Bearer {API_KEY}", "POST", body)
        assert status == 201, answer
        return read_json(answer)

    def names(self) -> Call:
        """The customer's call with its three names, as whoever has all of them knows it."""
        session = str(self.link["alias"])[-NAME_LENGTH:]
        call = Keyring.from_text(SECRET_KEY).open(session, Role.SESSION, (LINK_TYPE,))
        assert call is not None, "the customer's link is not the server's own"
        return call

    def memory(self) -> int:
        """MiB that the server holds."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.server.process.pid}/status").read_text())
        return int(found[1]) // 1024 if found else 0

    @property
    def is_over(self) -> bool:
        """Whether the attack that runs has to end."""
        return asyncio.get_running_loop().time() >= self.until


def keep_to(cores: set[int]) -> None:
    """Keeps this thread, and whatever it starts from now on, to some cores, where the system can do that."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, cores)


def cores() -> tuple[set[int], set[int]]:
    """The core of the server and the call, and those of attackers: no attacker sits in the machine that is attacked."""
    if sys.platform != "linux":
        return set(), set()
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


def read_json(answer: bytes) -> dict[str, Any]:
    """The body of an answer that is not chunked."""
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert isinstance(found, dict)
    return found


def counted(statuses: Counter[int]) -> str:
    """How often each status came, in words."""
    words = {0: "no answer"}
    return ", ".join(f"{count} x {words.get(status, status)}" for status, count in sorted(statuses.items()))


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Starts the server with two listeners and a limit of open files."""
    (folder / "rules").mkdir()
    (folder / "rules" / "rules.yaml").write_text(RULES, encoding="utf-8")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    genesys = StandIn()
    with genesys.serving() as api:
        environment = {
            "POLICY_PEXIP_USERNAME": USERNAME,
            "POLICY_PEXIP_PASSWORD": PASSWORD,
            "POLICY_EVENTS_USERNAME": SINK[0],
            "POLICY_EVENTS_PASSWORD": SINK[1],
            "POLICY_SECRET_KEY": SECRET_KEY,
            "POLICY_API_KEYS": f"booking:{API_KEY}",
            **settings(api),
            "POLICY_TRUSTED_PROXIES": STRANGER,
            "POLICY_OPEN_ROOMS": str(OPEN_ROOMS),
            "POLICY_DATABASE_URL": f"sqlite:///{folder}/policy.db",
        }
        start = (
            f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({OPEN_FILES}, {OPEN_FILES})); "
            "from policy_server.cli import main; main()"
        )
        with real_server(folder, "--public-port", "0", program=("-c", start), environment=environment) as server:
            found = eventually(lambda: re.search(r"listens on (\S+) for customers", server.out))
            assert found is not None
            stage = Stage(server, Listener.of(server.url), Listener.of(found[1]), genesys, {})
            stage.link = asyncio.run(stage.make_link())
            yield stage


@contextmanager
def customer(stage: Stage, out: Path) -> Iterator[None]:
    """Lets a customer's call go on meanwhile, in a process of its own."""
    path = f"/policy/v1/service/configuration?protocol=api&call_direction=dial_in&local_alias={stage.link['alias']}"
    command = [sys.executable, "-m", "tests.attack.customer", stage.nodes.host, str(stage.nodes.port), path, basic()]
    with out.open("wb") as written:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=written, env=dict(os.environ))
    try:
        eventually(lambda: out.stat().st_size)
        yield
    finally:
        process.communicate(timeout=20)

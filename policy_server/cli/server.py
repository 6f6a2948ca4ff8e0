"""uvicorn's server with listeners of ours: one or two sockets, each with its part of the service, its TLS, its places."""

import asyncio
import contextlib
import gc
import resource
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess, multiprocess

from policy_server.app import Application
from policy_server.cli.bounded import BoundedConnection
from policy_server.cli.connections import STOP_SECONDS
from policy_server.cli.listener import Listener
from policy_server.cli.stopping import end_in_time, stop_with_parent
from policy_server.web.doors import Doors
from policy_server.web.places import ENOUGH_FILES, Place, Places, connection_limit

WORKER_PATIENCE: Final = 60
"""Seconds in which a process must show that it lives. It cannot while it is starting, which a busy machine draws out."""

TURN_SECONDS: Final = 0.001
"""How long a thread of the database may go on in Python while the event loop has something to do. Python's own five
milliseconds are what each round of the loop may wait then; shorter turns cost next to nothing.
"""

YOUNG_OBJECTS: Final = 3_000
"""More objects than there were after the last look for garbage make Python look through them, instead of 700: what a call holds
for its while comes and goes without that.
"""

WHOLE_COLLECTIONS: Final = 100
"""Every so many collections of garbage that has grown old, instead of ten, all objects are looked through. With some hundreds
of streams that takes a tenth of a second, in which nothing is answered; young garbage, which is nearly all, goes as before.
"""

DATE_SECONDS: Final = 1.0
"""Seconds after which answers get another date."""

MOST_FILES: Final = 65_536
"""Open files that a process asks for, if it may."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for https; ``client_ca`` makes every client show a certificate."""

    cert: str
    key: str
    client_ca: str | None = None

    def context(self) -> ssl.SSLContext:
        """What a listener needs. Raises OSError or ValueError when certificate and key cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Without a password of ours OpenSSL would ask for one, and wait, on the terminal.
        context.load_cert_chain(self.cert, self.key, password="")
        if self.client_ca:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Config(uvicorn.Config):
    """How the server runs; ``tls`` is that of each socket, the nodes' first. Passed on to every process."""

    def __init__(self, app: Application | str, workers: int, tls: Sequence[Tls | None]) -> None:
        super().__init__(
            app,
            factory=workers > 1,
            workers=workers,
            loop="uvloop",
            ws="none",
            access_log=False,
            server_header=False,
            # Whose headers count is a setting of ours.
            proxy_headers=False,
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=STOP_SECONDS,
            timeout_worker_healthcheck=WORKER_PATIENCE,
        )
        self.tls: Final = tls


class Server(uvicorn.Server):
    """Answers at one socket, or at that of the nodes and the public one."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_to_stop: Final = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the service, then listens."""
        sys.setswitchinterval(TURN_SECONDS)
        gc.set_threshold(YOUNG_OBJECTS, gc.get_threshold()[1], WHOLE_COLLECTIONS)
        config, listening = self.config, sockets or []
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        app = config.loaded_app
        if not isinstance(app, Application) or not isinstance(config, Config):
            raise TypeError("this server runs the application of this program alone")
        limit = connection_limit(open_files(), len(listening))

        def connect(client: tuple[str, int], doors: Doors, place: Place) -> BoundedConnection:
            return BoundedConnection(self.server_state, client, doors, place)

        parts = (app.whole,) if len(listening) == 1 else (app.nodes, app.public)
        listeners = [
            Listener(each, doors, Places(limit, doors.proxies.networks), tls.context() if tls else None, connect)
            for each, doors, tls in zip(listening, parts, config.tls, strict=True)
        ]
        # What uvicorn does with them is to close them, and to wait for that.
        self.servers = listeners  # type: ignore[assignment]
        stop_with_parent()
        self.started = True

    async def main_loop(self) -> None:
        """Waits until the server is to stop. uvicorn would look ten times a second whether it is."""
        self._loop = asyncio.get_running_loop()
        # Counted from 0 each time: at 0 it is that uvicorn makes the date.
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DATE_SECONDS):
                    await self._told_to_stop.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to stop."""
        end_in_time()
        super().handle_exit(sig, frame)
        if self._loop is not None:
            # The signal may have come at any moment of what the loop does.
            self._loop.call_soon_threadsafe(self._told_to_stop.set)


class _Process(multiprocess.Process):
    @property
    def server(self) -> Server:
        """The server of this process."""
        if not isinstance(self._server, Server):
            self._server = Server(self.config)
        return self._server


class Processes(Multiprocess):
    """Several processes that answer at the same sockets; one that dies is replaced."""

    def init_processes(self) -> None:
        """Starts them."""
        # The name by which the supervisor makes a process, also in place of a dead one; it cannot be told of another.
        multiprocess.Process = _Process  # type: ignore[misc]
        super().init_processes()


def open_files() -> int:
    """How many files this process may have open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_FILES if files == resource.RLIM_INFINITY else files


def raise_open_files(listeners: int) -> str | None:
    """Has as many files as the system lets this process have; a warning if those are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    files = open_files()
    if files >= ENOUGH_FILES:
        return None
    each = " at each listener" if listeners > 1 else ""
    return (
        f"this process may have no more than {files} files open, which leaves {connection_limit(files, listeners)} "
        f"connections{each}; write LimitNOFILE={MOST_FILES} into the systemd unit, or `ulimit -n {MOST_FILES}` before "
        "the start"
    )

"""Takes connections at one socket: gives each its place before anything is read, and lets TLS begin."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from policy_server.cli.bounded import HEAD_SECONDS, REST_SECONDS, STALL_SECONDS, BoundedConnection
from policy_server.web.doors import Doors
from policy_server.web.places import Place, Places

AT_A_TIME: Final = 8
"""Connections that are taken before answers get their turn."""

PAUSE: Final = 0.5
"""Seconds without new connections when the process cannot have another file open."""

log = logging.getLogger(__name__)


class Listener:
    """What listens at one socket, of which other processes may take connections too.

    ``connect`` makes the protocol of a connection; ``tls`` is absent for plain HTTP. Begins when it is made, in a loop.
    """

    def __init__(
        self,
        listening: socket.socket,
        doors: Doors,
        places: Places,
        tls: ssl.SSLContext | None,
        connect: Callable[[tuple[str, int], Doors, Place], BoundedConnection],
    ) -> None:
        self._socket: Final = listening
        self._doors: Final = doors
        self._places: Final = places
        self._tls: Final = tls
        self._connect: Final = connect
        self._loop: Final = asyncio.get_running_loop()
        self._beginning: Final[set[asyncio.Task[None]]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Each connection has it from here. A client that takes nothing may still have room in the system's buffers for
            # hours of what a stream tells; one that is gone would be tried again for a quarter of an hour.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALL_SECONDS * 1000))
        self._begin()

    def close(self) -> None:
        """Takes no more connections."""
        self._loop.remove_reader(self._socket)
        if self._pause is not None:
            self._pause.cancel()
        for task in self._beginning:
            task.cancel()

    async def wait_closed(self) -> None:
        """Waits for those that were about to begin."""
        if self._beginning:
            await asyncio.wait(tuple(self._beginning))

    def _begin(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._take)

    def _take(self) -> None:
        for _ in range(AT_A_TIME):
            try:
                connected, address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                log.error("connections.refused: %s; raise the limit of open files (LimitNOFILE)", error.strerror)
                self._loop.remove_reader(self._socket)
                self._pause = self._loop.call_later(PAUSE, self._begin)
                return
            place = self._places.take(address[0])
            if place is None:
                connected.close()
                self._doors.refusals.note({"client": address}, "no place for another connection")
                continue
            task = self._loop.create_task(self._start(connected, address, place))
            place.end = task.cancel
            self._beginning.add(task)
            task.add_done_callback(partial(self._started, connected, place))

    async def _start(self, connected: socket.socket, address: tuple[str, int], place: Place) -> None:
        connected.setblocking(False)
        seconds = (HEAD_SECONDS, REST_SECONDS) if self._tls is not None else (None, None)
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._connect(address[:2], self._doors, place),
                connected,
                ssl=self._tls,
                ssl_handshake_timeout=seconds[0],
                ssl_shutdown_timeout=seconds[1],
            )
        except ssl.SSLError as error:
            self._give_up(connected, place)
            self._doors.refusals.note({"client": address}, f"no TLS ({(error.reason or 'failed').lower()})")
        except OSError:
            # The client went, or took too long.
            self._give_up(connected, place)

    def _started(self, connected: socket.socket, place: Place, task: asyncio.Task[None]) -> None:
        self._beginning.discard(task)
        # One that made room may never have begun to run.
        if task.cancelled():
            self._give_up(connected, place)

    @staticmethod
    def _give_up(connected: socket.socket, place: Place) -> None:
        place.leave()
        connected.close()

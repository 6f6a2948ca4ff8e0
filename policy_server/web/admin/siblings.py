"""The processes of one server (``serve --workers``) ask each other what each has counted and kept, so that a page has it of all.

Each listens at a Unix socket of its own in the folder in which they count together (``web.metrics``), which only this user may
open. One question and one answer a connection: four bytes of length, then JSON. Whoever does not answer in time is left out,
and the page can say so.
"""

import asyncio
import contextlib
import logging
import os
import socket
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from policy_server.web.metrics import lives

DEADLINE: Final = 0.5
"""Seconds in which a process must have answered, unless whoever asks has more time."""

LONGEST: Final = 5.0
"""Seconds that a process works for others at the most."""

QUESTION_LIMIT: Final = 65_536
ANSWER_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a question and of an answer that are read."""

AT_ONCE: Final = 2
"""Questions of others that a process works on at a time: what pages cost is taken from no call."""

MOST: Final = 64
"""Processes that are asked; ``serve`` starts no more."""

_LENGTH: Final = 4
_PREFIX: Final = "sibling-"

log = logging.getLogger(__name__)

Function = Callable[[Any], object]
"""Makes an answer of an argument, both JSON, in a thread."""


class Heard(NamedTuple):
    """The answers of all processes as JSON has them, this one's first, and how many processes did not answer in time."""

    answers: list[Any]
    silent: int = 0


class Siblings:
    """Asks the processes that share a folder, and answers them; without a folder there is this process alone."""

    def __init__(self, folder: Path | None, *, deadline: float = DEADLINE, pid: int | None = None) -> None:
        self._path: Final = folder / f"{_PREFIX}{pid or os.getpid()}" if folder is not None else None
        self._deadline: Final = deadline
        self._functions: Final[dict[str, Function]] = {}
        self._limiter: CapacityLimiter | None = None
        self._server: asyncio.Server | None = None

    def answers(self, what: str, function: Function) -> None:
        """Has a function answer a kind of question."""
        self._functions[what] = function

    async def ask(self, what: str, argument: object = None, seconds: float | None = None) -> Heard:
        """Every process's answer to a question, of others within some seconds. Raises what the function of this one raises."""
        deadline = min(seconds or self._deadline, LONGEST)
        others = [asyncio.create_task(self._hear(path, what, argument, deadline)) for path in self._others()]
        try:
            own = orjson.loads(await run_sync(self._answer, what, argument))
            heard = await asyncio.gather(*others)
        finally:
            for each in others:
                each.cancel()
        answers = [orjson.loads(answer) for answer in heard if answer]
        return Heard([own, *answers], heard.count(None))

    async def start(self) -> None:
        """Begins to answer others. Where that is not possible a warning says so, and this process is not heard."""
        if self._path is None:
            return
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _take_away(self._path)
            listener.bind(str(self._path))
            # Before it listens, so nobody else gets in between.
            self._path.chmod(0o600)
            self._limiter = CapacityLimiter(AT_ONCE)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=QUESTION_LIMIT)
        except OSError as error:
            listener.close()
            log.warning("admin.alone: pages do not show what this process counts: %s: %s", self._path, error)

    async def close(self) -> None:
        """Answers no more."""
        if self._server is not None and self._path is not None:
            self._server.close()
            self._server = None
            _take_away(self._path)

    def _others(self) -> list[Path]:
        if self._path is None:
            return []
        return [path for path in sorted(self._path.parent.glob(f"{_PREFIX}*")) if path != self._path][:MOST]

    def _answer(self, what: str, argument: object) -> bytes:
        # Named tuples are lists in JSON.
        return orjson.dumps(self._functions[what](argument), default=tuple)

    async def _hear(self, path: Path, what: str, argument: object, deadline: float) -> bytes | None:
        """What one process answers; nothing of one that is gone, ``None`` of one that is silent."""
        try:
            async with asyncio.timeout(deadline):
                reader, writer = await asyncio.open_unix_connection(str(path))
                try:
                    _send(writer, orjson.dumps([what, argument, deadline]))
                    await writer.drain()
                    return await _read(reader, ANSWER_LIMIT)
                finally:
                    writer.close()
        except (ConnectionRefusedError, FileNotFoundError):
            pid = path.name.removeprefix(_PREFIX)
            if pid.isdecimal() and lives(int(pid)):
                return None
            # It was killed, and could not take its socket away.
            _take_away(path)
            return b""
        except (OSError, TimeoutError, IncompleteReadError, ValueError):
            return None

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            async with asyncio.timeout(LONGEST) as until:
                what, argument, deadline = orjson.loads(await _read(reader, QUESTION_LIMIT))
                until.reschedule(asyncio.get_running_loop().time() + min(deadline, LONGEST))
                _send(writer, await run_sync(self._answer, what, argument, limiter=self._limiter))
                await writer.drain()
        except (OSError, TimeoutError, IncompleteReadError):
            # Whoever asked waits no longer.
            pass
        except Exception:
            log.exception("admin.unanswered: another process gets no answer")
        finally:
            with contextlib.suppress(OSError):
                writer.close()


def _take_away(path: Path) -> None:
    path.unlink(missing_ok=True)


def _send(writer: StreamWriter, body: bytes) -> None:
    writer.write(len(body).to_bytes(_LENGTH, "big") + body)


async def _read(reader: StreamReader, limit: int) -> bytes:
    """A message; raises ValueError for one that is too long."""
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    if length > limit:
        raise ValueError(f"a message of {length} bytes")
    return await reader.readexactly(length)

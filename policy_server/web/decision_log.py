"""One line per decision, without PINs and passwords, written beside the event loop."""

import os
from collections import deque
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Final

import orjson

from policy_server.wording.values import visible_json

LINES_LIMIT: Final = 20_000
"""Lines that may wait for a writer that cannot keep up; beyond them lines are dropped and counted."""

INTERVAL: Final = 0.05
"""Seconds between writes: a line is complete when it is queued, so that writing is one system call for many."""

STANDARD_ERROR: Final = 2

STOP_SECONDS: Final = 2.0
"""How long the end waits for a writer that is stuck; what it could not write is dropped."""

Record = Mapping[str, object]


def render_json(record: Record) -> bytes:
    """Fields for machines: the inside of a JSON object."""
    return orjson.dumps(record)[1:-1]


def render_text(record: Record) -> bytes:
    """Fields for people: ``key=value``, values with spaces or nothing in them as JSON."""
    parts = []
    for name, value in record.items():
        if isinstance(value, str) and value and value.isprintable() and not set(value) & set(' "='):
            parts.append(f"{name}={value}")
        elif value is not None and value != "":
            parts.append(f"{name}={visible_json(orjson.dumps(value).decode())}")
    return " ".join(parts).encode()


class DecisionLog:
    """Takes records from the event loop and writes them from a thread."""

    def __init__(self, log_format: str, write: Callable[[bytes], object] | None = None) -> None:
        is_json = log_format == "json"
        self.render: Final[Callable[[Record], bytes]] = render_json if is_json else render_text
        self._line: Final = (
            b'{"time":"%b","decision_id":"%b","ms":%.3f,%b}\n' if is_json else b"%b decision_id=%b ms=%.3f %b\n"
        )
        self.separator: Final = b"," if is_json else b" "
        self._write: Final = write or _write_to_stderr
        self._lines: Final[deque[bytes]] = deque()
        self._stopping: Final = Event()
        self._thread: Thread | None = None
        self.dropped = 0

    def put(self, time: bytes, decision_id: bytes, seconds: float, rendered: bytes) -> None:
        """Queues one line: when, which decision, how long it took, and its fields as ``render`` made them."""
        self.put_line(self._line % (time, decision_id, seconds * 1000, rendered))

    def put_line(self, line: bytes) -> None:
        """Queues one line as it is."""
        if len(self._lines) >= LINES_LIMIT:
            self.dropped += 1
            return
        self._lines.append(line)

    def flush(self) -> None:
        """Writes what is queued."""
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        if lines:
            try:
                self._write(b"".join(lines))
            except (OSError, ValueError):
                # A full disk, or a pipe whose reader went away: perhaps the next lines can be written.
                self.dropped += len(lines)

    def start(self) -> None:
        """Begins to write."""
        self._stopping.clear()
        self._thread = Thread(target=self._run, name="decision-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Writes the rest and ends the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                self.dropped += len(self._lines)
                return
            self._thread = None
        self.flush()

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL):
            self.flush()


def _write_to_stderr(data: bytes) -> None:
    # Not through sys.stderr, whose lock a stuck writer would hold while the interpreter ends.
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(STANDARD_ERROR, rest) :]

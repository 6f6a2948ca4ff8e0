"""One line per decision, without PINs and passwords, written beside the event loop."""

import os
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Final

import orjson

from policy_server.wording.values import visible_json

LINES_LIMIT: Final = 20_000
"""Lines that may wait for a writer that cannot keep up; beyond them lines are dropped and counted."""

BYTES_LIMIT: Final = 32 * 1024 * 1024
"""Bytes that may wait so: strangers make lines long."""

INTERVAL: Final = 0.2
"""Seconds between writes: a line is complete when it is queued, so that writing is one system call for many, and waking the
thread costs more than what it writes."""

STANDARD_OUTPUT: Final = Path("-")
"""The path that stands for it."""

_OUT, _ERR = 1, 2

STOP_SECONDS: Final = 2.0
"""How long the end waits for a writer that is stuck; what it could not write is dropped."""

_VISIBLE: Final = bytes(range(0x20, 0x7F))
"""The characters of ASCII that can be seen, and the space."""

Record = Mapping[str, object]


def render_json(record: Record) -> bytes:
    """Fields for machines: the inside of a JSON object."""
    return orjson.dumps(record)[1:-1]


def render_text(record: Record) -> bytes:
    """Fields for people: ``key=value``, values with spaces or nothing in them as JSON."""
    line = _line(record, is_visible=True)
    # Whether it is so, is asked of all of it at once: of each value by itself it costs as much as all else.
    return line if line.translate(None, _VISIBLE).decode().isprintable() else _line(record, is_visible=False)


def _line(record: Record, *, is_visible: bool) -> bytes:
    """The same; ``is_visible`` if there is nothing in it that a terminal would obey."""
    parts = []
    for name, value in record.items():
        if value is None or value == "":
            continue
        if (
            isinstance(value, str)
            and not (" " in value or '"' in value or "=" in value)
            and (is_visible or value.isprintable())
        ):
            parts.append(f"{name}={value}")
        else:
            text = orjson.dumps(value).decode()
            parts.append(f"{name}={text if is_visible else visible_json(text)}")
    return " ".join(parts).encode()


class DecisionLog:
    """Takes records from the event loop and writes them from a thread.

    Unless it ``shows_people`` whoever puts them leaves out their names and addresses.
    """

    def __init__(
        self, log_format: str, write: Callable[[bytes], object] | None = None, *, shows_people: bool = True
    ) -> None:
        self.shows_people: Final = shows_people
        self.is_json: Final = log_format == "json"
        """Whether lines are for programs, and so say everything."""
        self.render: Final[Callable[[Record], bytes]] = render_json if self.is_json else render_text
        self._line: Final = (
            b'{"time":"%b","decision_id":"%b","ms":%.3f,%b}\n' if self.is_json else b"%b decision_id=%b ms=%.3f %b\n"
        )
        self.separator: Final = b"," if self.is_json else b" "
        self._write: Final = write or partial(_write_to, _ERR)
        self._lines: Final[deque[bytes]] = deque()
        self._stopping: Final = Event()
        # Set while something may be queued; the thread sleeps else.
        self._has_news: Final = Event()
        self._thread: Thread | None = None
        # Two, since one thread queues and another takes.
        self._queued = self._taken = 0
        self.dropped = 0

    def put(self, time: bytes, decision_id: bytes, seconds: float, rendered: bytes) -> None:
        """Queues one line: when, which decision, how long it took, and its fields as ``render`` made them."""
        self.put_line(self._line % (time, decision_id, seconds * 1000, rendered))

    def put_record(self, record: Record) -> None:
        """Queues a line that is about no decision; programs alone get it, people have it among the other logs."""
        if self.is_json:
            self.put_line(b"{%b}\n" % self.render(record))

    def put_line(self, line: bytes) -> None:
        """Queues one line as it is."""
        if len(self._lines) >= LINES_LIMIT or self._queued - self._taken >= BYTES_LIMIT:
            self.dropped += 1
            return
        self._queued += len(line)
        self._lines.append(line)
        if not self._has_news.is_set():
            self._has_news.set()

    def flush(self) -> None:
        """Writes what is queued."""
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
            self._taken += len(lines[-1])
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
        self._has_news.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                self.dropped += len(self._lines)
                return
            self._thread = None
        self.flush()

    def _run(self) -> None:
        while self._has_news.wait() and not self._stopping.wait(INTERVAL):
            # Before the lines are taken, so that the next one is not overlooked.
            self._has_news.clear()
            self.flush()


def open_decision_log(log_format: str, path: Path | None, shows_people: bool = True) -> DecisionLog:
    """The log of the settings: JSON in a file or on standard output, or in the format of all logs on standard error."""
    if path is None:
        return DecisionLog(log_format, shows_people=shows_people)
    write = partial(_write_to, _OUT) if path == STANDARD_OUTPUT else Appender(path)
    return DecisionLog("json", write, shows_people=shows_people)


class Appender:
    """Adds lines to a file that others write to as well, whole ones each time, and that somebody moves away now and then.

    It is opened anew each time: whoever moves it need tell nobody.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._is_torn = False

    def open(self) -> int:
        """The file, to be closed again. Raises OSError."""
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __call__(self, data: bytes) -> None:
        """Adds lines. Raises OSError, perhaps in the midst of one."""
        descriptor = self.open()
        try:
            # What a full disk broke off ends here, and nothing is glued to it.
            rest = memoryview(b"\n" + data if self._is_torn else data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
                self._is_torn = bool(rest)
        finally:
            os.close(descriptor)


def _write_to(descriptor: int, data: bytes) -> None:
    # Not through sys.stderr, whose lock a stuck writer would hold while the interpreter ends.
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]

"""Who was given what: one line of JSON for each, apart from the decision log (``POLICY_AUDIT_LOG``).

A line has ``time``, ``event`` and what belongs to it: ``pin.given`` (``agent``, ``name``, ``call``: a host PIN was in the
answer), ``link.made``, ``link.read``, ``link.revoked``, ``conference.read`` (``by``, the API key's name, ``call``),
``conferences.found`` (``by``, ``count``) and ``access.refused``
(``door``, ``address``, ``reason``). No line has a PIN, a token, a key or what opens a link: ``call`` is a digest of the
session, the same for the same call.
"""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from policy_server.web.decision_log import DecisionLog


class AuditLog:
    """Takes lines from the event loop; a thread writes them. Without a file it takes none."""

    def __init__(self, path: Path | None, clock: Callable[[], datetime]) -> None:
        self._path: Final = path
        self._clock: Final = clock
        self._lines: Final = DecisionLog("json", write=self._write)

    @property
    def dropped(self) -> int:
        """Lines that could not be written."""
        return self._lines.dropped

    def put(self, event: str, **fields: str) -> None:
        """Queues one line; what is empty is left out."""
        if self._path is not None:
            told = {"time": self._clock().isoformat(timespec="milliseconds"), "event": event}
            self._lines.put_line(orjson.dumps(told | {k: v for k, v in fields.items() if v}) + b"\n")

    def start(self) -> None:
        """Begins to write."""
        if self._path is not None:
            self._lines.start()

    def stop(self) -> None:
        """Writes the rest."""
        if self._path is not None:
            self._lines.stop()

    def _write(self, data: bytes) -> None:
        # Opened anew each time: whoever moves the file away need tell nobody.
        if self._path is None:
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)

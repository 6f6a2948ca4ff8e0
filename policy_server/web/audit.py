"""Who was given what: one line of JSON for each, apart from the decision log (``POLICY_AUDIT_LOG``).

A line has ``time``, ``event`` and what belongs to it: ``pin.given`` (``agent``, ``name``, ``call``: a host PIN was in the
answer), ``link.made``, ``link.read``, ``link.revoked``, ``conference.read`` (``by``, the API key's name, ``call``),
``conferences.found`` (``by``, ``count``), both with ``door`` where ``by`` is the admin's name, ``decision.read`` (``by``, an
admin's name, ``decision``, ``call``), and ``access.refused``
(``door``, ``address``, ``reason``). No line has a PIN, a token, a key or what opens a link: ``call`` is a digest of the
session, the same for the same call.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from policy_server.web.decision_log import Appender, DecisionLog


class AuditLog:
    """Takes lines from the event loop; a thread writes them. Without a file it takes none."""

    def __init__(self, path: Path | None, clock: Callable[[], datetime]) -> None:
        self._path: Final = path
        self._clock: Final = clock
        self._lines: Final = DecisionLog("json", Appender(path) if path is not None else None)

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

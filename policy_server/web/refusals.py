"""Who was refused at which door: so many lines a minute, and how many more there were."""

import asyncio
import logging
from typing import Final

from starlette.types import Scope

from policy_server.rulefiles.problems import printable

LINES_A_MINUTE: Final = 10
"""Lines that a door may write within a minute; whoever tries a thousand passwords shall not fill the disk."""

MINUTE: Final = 60.0

_LONGEST_ADDRESS: Final = 64

log = logging.getLogger(__name__)


def caller_address(scope: Scope) -> str:
    """Who asks: the address of the connection, or what a proxy on this machine says it is."""
    client = scope.get("client")
    # A proxy passes on what it was sent.
    return printable(str(client[0])[:_LONGEST_ADDRESS]) if client else "unknown"


class Refusals:
    """What one door logs. Credentials never are, nor the user name: it may be a password in the wrong field."""

    def __init__(self, door: str, lines: int = LINES_A_MINUTE, minute: float = MINUTE) -> None:
        self._door: Final = door
        self._lines: Final = lines
        self._minute: Final = minute
        self._written = 0
        self._left_out = 0
        self._end: asyncio.TimerHandle | None = None

    def note(self, scope: Scope, reason: str) -> None:
        """Logs one refusal, with a reason in our words. Call it in the event loop."""
        if self._end is None:
            self._end = asyncio.get_running_loop().call_later(self._minute, self._end_minute)
        if self._written >= self._lines:
            self._left_out += 1
            return
        self._written += 1
        log.warning("access.refused: %s at %s: %s", caller_address(scope), self._door, reason)

    def _end_minute(self) -> None:
        if self._left_out:
            log.warning("access.refused: %d more within a minute at %s", self._left_out, self._door)
        self._written = self._left_out = 0
        self._end = None

"""Whether other processes have written to a file of SQLite, told by what its write-ahead log looks like.

A write shows there before it can be read, so what may be on its way to the disk is looked for again and again. So is what
comes from somebody who has just written: two writes that follow each other closely may look like one. And whatever the log
looks like, the last look is never long ago.
"""

from math import inf
from typing import Final

from policy_server.conferences.database_file import Log

HERE_SECONDS: Final = 2.0
"""So long after others have written they are looked for each time."""

LOOK_SECONDS: Final = 1.0
"""So long nobody looks at the most."""


class Others:
    """Whether other processes may have written to a file since it was looked into."""

    def __init__(self) -> None:
        self._log: Log | None = None
        self._is_seen = self._are_here = False
        self._here_until = self._look_by = -inf

    def leave(self, log: Log | None, *, is_seen: bool) -> None:
        """This process has written, and left the log so; ``is_seen`` when it is known what others wrote before."""
        self._log, self._is_seen = log, is_seen

    def show(self) -> None:
        """Others have written something."""
        self._are_here = True

    def may_have_written(self, log: Log | None, now: float) -> bool:
        """Whether it is time to look, as is done then. ``now`` is by the clock of the event loop."""
        if log != self._log:
            # Who empties the log has written nothing, and nobody is just writing.
            self._are_here = self._are_here or log is None or log.size > 0
            self._log, self._is_seen = log, False
        if self._are_here:
            self._are_here, self._here_until = False, now + HERE_SECONDS
        if log is not None and self._is_seen and self._here_until < now < self._look_by:
            return False
        self._is_seen, self._look_by = True, now + LOOK_SECONDS
        return True

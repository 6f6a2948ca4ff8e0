"""The file of an SQLite database while it is open: whether it is still the one that others will find by its name.

A file that is deleted, moved or replaced stays open, and everything written to it is lost with the process. So nothing
is written or acknowledged then. A server never goes on with another file by itself: that may be a copy from yesterday,
or empty, and what it holds at the moment would not be in it. It goes on when the same file is back, or is restarted.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

from policy_server.conferences.errors import StoreUnavailableError


class Log(NamedTuple):
    """What a write-ahead log looks like from outside: another way after each write, unless it was written over twice within
    one turn of the system's clock, which is some milliseconds.
    """

    inode: int
    size: int
    changed: int
    """Nanoseconds, as all clocks of files have them."""


class OpenFile:
    """Watches one database file. Looking costs a microsecond or two, so it is done with every operation."""

    def __init__(self, path: Path) -> None:
        self._path: Final = str(path)
        self._log_path: Final = f"{path}-wal"
        self._identity: tuple[int, int] | None = None

    def remember(self) -> None:
        """Takes the file that is there now for the one that is open."""
        self._identity = _identity(self._path)

    def check(self) -> None:
        """Raises StoreUnavailableError when the file is not the one that was remembered."""
        if self._identity is None:
            return
        found = _identity(self._path)
        if found is None:
            raise StoreUnavailableError(
                f"the database file {self._path} was deleted or moved while the server ran, and nothing is written any "
                "more; put the same file back, or restart the server to begin with a new one"
            )
        if found != self._identity:
            raise StoreUnavailableError(
                f"the database file {self._path} was replaced by another while the server ran, and nothing is written "
                "any more; restart the server to go on with the new file"
            )

    def check_written(self) -> Log:
        """What the write-ahead log looks like that was just written to. Raises StoreUnavailableError as ``check`` does, and
        when the log is not where others look for it.
        """
        self.check()
        log = self.log()
        if log is None:
            raise StoreUnavailableError(
                f"the write-ahead log {self._log_path} was deleted or moved while the server ran; restart the server"
            )
        return log

    def log(self) -> Log | None:
        """What the write-ahead log looks like now, if there is one. Waits for no disk: the log is open here."""
        try:
            found = os.stat(self._log_path)  # noqa: PTH116
        except OSError:
            return None
        return Log(found.st_ino, found.st_size, found.st_mtime_ns)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        # A Path makes a text of itself for each look.
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino

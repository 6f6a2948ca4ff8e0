"""New databases of each kind, and how large they are."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conferences.postgres import running_postgres


@dataclass(frozen=True, slots=True)
class Database:
    """A database: its URL, and how to learn how many bytes it has in use."""

    url: str
    size: Callable[[], int]


Kind = Callable[[Path], AbstractContextManager[Database]]
"""Makes a database of one kind, for a time, in a folder."""


@contextmanager
def sqlite(folder: Path) -> Iterator[Database]:
    """A file."""
    file = folder / "policy.db"

    def size() -> int:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            names = ("page_count", "freelist_count", "page_size")
            pages, free, page = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in names)
        return (pages - free) * page

    yield Database(f"sqlite:///{file}", size)


@contextmanager
def postgresql(folder: Path) -> Iterator[Database]:
    """A server that is started for it, elsewhere. Raises PostgresMissingError."""
    del folder
    with running_postgres() as server:
        yield Database(server.url(), lambda: int(str(server.execute("SELECT pg_database_size('postgres')")[0][0])))

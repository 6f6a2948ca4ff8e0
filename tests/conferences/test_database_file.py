"""The file of a database that is deleted, moved or replaced while it is open."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.reader import Reader
from policy_server.conferences.store import ConferenceStore
from tests.conferences.samples import CALL, NOW, conference, stored_event


def delete(file: Path) -> None:
    """The file is gone."""
    file.unlink()


def delete_all(file: Path) -> None:
    """The folder is gone."""
    shutil.rmtree(file.parent)


def move(file: Path) -> None:
    """The file has another name."""
    file.rename(file.with_name("moved"))


def replace_it(file: Path) -> None:
    """A copy, as of a backup, is in its place."""
    copy = file.with_name("copy")
    shutil.copy(file, copy)
    copy.rename(file)


def empty(file: Path) -> None:
    """A new file is in its place."""
    file.unlink()
    file.touch()


def delete_log(file: Path) -> None:
    """The write-ahead log is gone."""
    Path(f"{file}-wal").unlink()


@pytest.mark.parametrize(
    ("happen", "words"),
    [
        (delete, "was deleted or moved while the server ran"),
        (delete_all, "was deleted or moved while the server ran"),
        (move, "was deleted or moved while the server ran"),
        (replace_it, "was replaced by another while the server ran"),
        (empty, "was replaced by another while the server ran"),
        (delete_log, "-wal was deleted or moved while the server ran"),
    ],
)
def test_nothing_is_acknowledged_that_nobody_will_find(
    tmp_path: Path, happen: Callable[[Path], None], words: str
) -> None:
    """A file that is not where it was takes no events and no holds, says so, and no other file is made or touched."""
    file = tmp_path / "var" / "policy.db"

    async def scenario() -> None:
        async with ConferenceStore(f"sqlite:///{file}") as store:
            await store.add_events([stored_event(1)])
            happen(file)
            before = file.exists() and file.read_bytes()
            for attempt in (store.add_events([stored_event(2)]), store.hold(conference())):
                with pytest.raises(StoreUnavailableError, match=words):
                    await attempt
            assert (file.exists() and file.read_bytes()) == before

    asyncio.run(scenario())


@pytest.mark.parametrize("happen", [delete, replace_it], ids=["deleted", "replaced"])
def test_readers_notice_too(tmp_path: Path, happen: Callable[[Path], None]) -> None:
    """What /readyz asks fails as soon as the file is another."""
    file = tmp_path / "policy.db"

    async def scenario() -> None:
        async with ConferenceStore(f"sqlite:///{file}") as store:
            await store.prepare()
            await store.check()
            happen(file)
            with pytest.raises(StoreUnavailableError, match="while the server ran"):
                await store.check()

    asyncio.run(scenario())


def test_the_same_file_that_is_back_is_used_again(tmp_path: Path) -> None:
    """A file that was moved away by mistake goes on, with all that was in it."""
    file = tmp_path / "policy.db"

    async def scenario() -> list[int]:
        async with ConferenceStore(f"sqlite:///{file}") as store:
            await store.add_events([stored_event(1)])
            file.rename(tmp_path / "moved")
            with pytest.raises(StoreUnavailableError):
                await store.add_events([stored_event(2)])
            (tmp_path / "moved").rename(file)
            await store.add_events([stored_event(3)])
            return [told.seq for told in await store.read(Reader.events, CALL, NOW)]

    assert asyncio.run(scenario()) == [1, 3]

"""Processes of one server that ask each other."""

import asyncio
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from policy_server.web.admin.siblings import ANSWER_LIMIT, Heard, Siblings
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, real_server
from tests.waiting import eventually
from tests.web.admin.test_rules_page import ADMIN, rule
from tests.web.samples import KIOSK_PASSWORD, sample_folder

NOBODY = 2**22 + 1
"""More than any id of a process."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with TemporaryDirectory(prefix="siblings-") as made:
        yield Path(made)


def other(folder: Path, function: Callable[[Any], object]) -> Siblings:
    """The end of another process that lives."""
    made = Siblings(folder, pid=1)
    made.answers("what", function)
    return made


def one(folder: Path | None, deadline: float = 10.0) -> Siblings:
    """The end of this process, which gives a busy machine time."""
    made = Siblings(folder, deadline=deadline)
    made.answers("what", lambda argument: ["mine", argument])
    return made


def modes(folder: Path) -> list[int]:
    """The modes of the files in it."""
    return [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()]


def test_a_process_alone_hears_itself() -> None:
    """Without a folder the only answer is one's own, as JSON has it."""

    async def run() -> Heard:
        alone = Siblings(None)
        alone.answers("what", lambda argument: (argument, 1))
        await alone.start()
        try:
            return await alone.ask("what", {"a": None})
        finally:
            await alone.close()

    assert asyncio.run(run()) == Heard([[{"a": None}, 1]])


def test_others_are_heard(folder: Path) -> None:
    """One's own answer comes first, then those of all others; their sockets are closed to other users, and go with them."""

    async def run() -> None:
        mine, its = one(folder), other(folder, lambda argument: ["its", argument])
        await mine.start()
        await its.start()
        assert modes(folder) == [0o600, 0o600]
        assert await mine.ask("what", 7) == Heard([["mine", 7], ["its", 7]])
        await its.close()
        assert await mine.ask("what", 7) == Heard([["mine", 7]])
        await mine.close()
        assert modes(folder) == []

    asyncio.run(run())


def test_what_a_dead_process_left_is_taken_away(folder: Path) -> None:
    """The socket of a process that was killed counts for nothing; that of one that lives and does not listen yet is silent."""
    for pid in (NOBODY, 1):
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(folder / f"sibling-{pid}"))
        left.close()

    async def run() -> None:
        assert await one(folder).ask("what") == Heard([["mine", None]], silent=1)

    asyncio.run(run())
    assert [path.name for path in folder.iterdir()] == ["sibling-1"]


def test_nobody_is_waited_for(folder: Path) -> None:
    """A process that hangs costs the deadline and is called silent."""
    hangs = threading.Event()

    async def run() -> Heard:
        its = other(folder, lambda _: hangs.wait(60))
        await its.start()
        try:
            return await one(folder, deadline=0.05).ask("what")
        finally:
            hangs.set()
            await its.close()

    assert asyncio.run(run()) == Heard([["mine", None]], silent=1)


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda _: "x" * ANSWER_LIMIT, id="longer than is read"),
        pytest.param(lambda _: 1 / 0, id="an error"),
        pytest.param(lambda _: object(), id="no JSON"),
    ],
)
def test_a_broken_answer_is_none(folder: Path, function: Callable[[Any], object]) -> None:
    """What another process cannot answer well leaves the rest as it is."""

    async def run() -> Heard:
        its = other(folder, function)
        await its.start()
        try:
            return await one(folder).ask("what")
        finally:
            await its.close()

    assert asyncio.run(run()) == Heard([["mine", None]], silent=1)


def test_a_path_that_is_too_long_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the system takes no socket the service runs, and a warning says what pages lack."""
    folder = tmp_path / ("f" * 120)
    folder.mkdir()

    async def run() -> Heard:
        mine = one(folder)
        await mine.start()
        try:
            return await mine.ask("what")
        finally:
            await mine.close()

    assert asyncio.run(run()) == Heard([["mine", None]])
    assert "admin.alone" in caplog.text


@pytest.mark.slow
def test_hits_of_several_processes_are_added_up(tmp_path: Path) -> None:
    """With --workers 2 the page of the rules has what both answered, whichever is asked."""
    sample_folder(tmp_path / "rules")
    environment = {
        "POLICY_ADMIN_USERNAME": ADMIN.username,
        "POLICY_ADMIN_PASSWORD": ADMIN.password,
        "KIOSK_PASSWORD": KIOSK_PASSWORD,
        "POLICY_PEXIP_USERNAME": USERNAME,
        "POLICY_PEXIP_PASSWORD": PASSWORD,
        "POLICY_SECRET_KEY": SECRET_KEY,
    }
    with real_server(tmp_path, "--workers", "2", environment=environment) as running, running.client() as client:
        answered: dict[str, int] = {}

        def both_answered() -> bool:
            answer = client.get("/policy/v1/service/configuration?local_alias=moved").json()
            process = answer["decision_id"].partition("-")[0]
            answered[process] = answered.get(process, 0) + 1
            return len(answered) == 2

        def page() -> str:
            return client.get("/admin/rules", auth=(ADMIN.username, ADMIN.password)).text

        eventually(both_answered)
        total = sum(answered.values())
        for _ in range(6):
            assert "by 2 processes together" in page()
            assert f"{total} hits {total} in the last hour" in rule(page(), "service-moved")

"""Commands in processes of their own, and proof that nothing is left of them."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers import clean_environment


@contextmanager
def started(folder: Path, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    """``policy-server`` with its output in ``out.txt`` and ``err.txt``, ended with its children whatever happens."""
    with (folder / "out.txt").open("wb") as out, (folder / "err.txt").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "policy_server", *arguments],
            cwd=folder,
            env=clean_environment(),
            stdout=out,
            stderr=err,
        )
    try:
        yield process
    finally:
        left = children(process.pid)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for child in filter(is_alive, left):
            os.kill(child, 9)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for task in tasks for word in task.read_text(encoding="ascii").split()]


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    return Path(f"/proc/{pid}").exists()


def is_listening(url: str) -> bool:
    """Whether somebody takes connections there."""
    place = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((place.hostname, place.port)) == 0

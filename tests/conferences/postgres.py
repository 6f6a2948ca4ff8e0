"""A real PostgreSQL that tests start themselves: on a free port, in a folder of its own, gone afterwards."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import psycopg

PASSWORD: Final = "p4ssword-of-the-test-server"
HOW_TO_GET_IT: Final = (
    "these tests need PostgreSQL 12 or newer: apt-get install postgresql (or brew install postgresql); "
    "it need not run, and is looked for in PATH and in /usr/lib/postgresql"
)
PACKAGED: Final = Path("/usr/lib/postgresql")
START_SECONDS: Final = 30.0


class PostgresMissingError(Exception):
    """PostgreSQL is not installed; says how to install it."""

    def __init__(self) -> None:
        super().__init__(HOW_TO_GET_IT)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server that runs, as its superuser reaches it."""

    port: int

    def url(self, schema: str = "public", database: str = "postgres") -> str:
        """The ``POLICY_DATABASE_URL`` of a schema in a database."""
        server = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}"
        return f"{server}/{database}?options=-csearch_path%3D{schema}"

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Runs one statement outside a transaction and returns its rows."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def find_binaries() -> Path:
    """The folder of initdb and postgres. Raises PostgresMissingError."""
    on_path = [Path(found).resolve().parent for found in (shutil.which("postgres"),) if found]
    versions = sorted(PACKAGED.glob("*/bin"), key=_version, reverse=True)
    for folder in (*on_path, *versions):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise PostgresMissingError


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


@contextmanager
def running_postgres(*options: str) -> Iterator[Postgres]:
    """A new server, stopped and removed at the end. ``options`` are settings such as ``fsync=off``."""
    with _folder() as folder:
        secret = folder.path / "password"
        secret.write_text(PASSWORD)
        if folder.user is not None:
            os.chown(secret, folder.user.pw_uid, folder.user.pw_gid)
        folder.run(
            "initdb",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
        )
        with _serving(folder, options) as postgres:
            yield postgres


@contextmanager
def running_standby(primary: Postgres) -> Iterator[Postgres]:
    """A hot standby of ``primary``: it answers questions and takes no changes."""
    with _folder() as folder:
        source = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{primary.port}"
        folder.run("pg_basebackup", "-d", source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        with _serving(folder, ("fsync=off",)) as standby:
            yield standby


@dataclass(frozen=True, slots=True)
class _Folder:
    """Where one server lives, and who runs it: PostgreSQL refuses root, which hands it to its package's user."""

    path: Path
    binaries: Path
    user: pwd.struct_passwd | None

    @property
    def data(self) -> str:
        return str(self.path / "data")

    def start(self, program: str, *arguments: str, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        uid, gid = (None, None) if self.user is None else (self.user.pw_uid, self.user.pw_gid)
        command = [str(self.binaries / program), "-D", self.data, *arguments]
        return subprocess.Popen(command, cwd=self.path, stdout=output, stderr=output, user=uid, group=gid)

    def run(self, program: str, *arguments: str) -> None:
        log = self.path / f"{program}.log"
        with log.open("wb") as output:
            status = self.start(program, *arguments, output=output).wait(START_SECONDS)
        assert status == 0, log.read_text()


@contextmanager
def _folder() -> Iterator[_Folder]:
    binaries = find_binaries()
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    path = Path(tempfile.mkdtemp(prefix="policy-server-postgres-"))
    try:
        if user is not None:
            os.chown(path, user.pw_uid, user.pw_gid)
        yield _Folder(path, binaries, user)
    finally:
        shutil.rmtree(path)


@contextmanager
def _serving(folder: _Folder, options: Iterable[str]) -> Iterator[Postgres]:
    port = _free_port()
    settings = ["listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder.path}", *options]
    log = folder.path / "log"
    with log.open("wb") as output:
        server = folder.start("postgres", *(flag for setting in settings for flag in ("-c", setting)), output=output)
    try:
        postgres = Postgres(port)
        _await_answer(postgres, server, log)
        yield postgres
    finally:
        # An immediate stop: nothing of it is needed any more.
        server.send_signal(signal.SIGQUIT)
        server.wait(START_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_answer(postgres: Postgres, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            postgres.execute("SELECT 1")
        except psycopg.OperationalError:
            ended = server.poll() is not None
            assert not ended, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return

"""Servers to measure: each pinned to one core, while whoever asks them has the other; on loopback."""

import os
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from tests.benchmarks.material import PASSWORD, SECRET, USERNAME
from tests.benchmarks.versions import LIBRARIES

PATH: Final = "/policy/v1/service/configuration"
SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def basic(username: str, password: str) -> str:
    """The header of HTTP Basic."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


AUTHORIZATION: Final = basic(USERNAME, PASSWORD)


def take_load_core() -> None:
    """Leaves the servers their core: this process, and whatever it starts without pinning it, keeps to the other."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {LOAD_CORE})


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers, and how many seconds it took to."""

    port: int
    pid: int
    started_in: float
    log: Path

    @property
    def resident_mib(self) -> float:
        """Resident memory of its processes in MiB; what they share counts for each."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _family(self.pid))
        return sum(pages) * _PAGE / 2**20

    @property
    def cpu_seconds(self) -> float:
        """CPU that it has used: all threads and processes, those that have ended too."""
        return sum(map(_cpu_ticks, _family(self.pid))) / _TICKS

    def metric(self, name: str) -> float:
        """A gauge without labels, which is a second old at the most."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as response:
            text: str = response.read().decode()
        line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
        return float(line.split()[1])

    def ask(self, query: str) -> bytes:
        """One answer."""
        request = Request(f"http://127.0.0.1:{self.port}{PATH}?{query}", headers={"Authorization": AUTHORIZATION})
        with urlopen(request, timeout=5) as response:
            body: bytes = response.read()
        return body


def _family(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from _family(int(child))


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def bare_server(body: Path) -> Iterator[Server]:
    """The floor: an endpoint that answers with ready-made bytes, on the same uvicorn with the same options."""
    port = free_port()
    options = ["--http", "httptools", "--loop", "uvloop", "--no-access-log", "--log-level", "warning"]
    arguments = ["-m", "uvicorn", "tests.benchmarks.bare:app", "--port", str(port), *options]
    with _running(arguments, port, {"BENCH_BODY": str(body)}, Path(os.devnull)) as server:
        yield server


@contextmanager
def serving(rules: Path, checkout: Path, further: Mapping[str, str] | None = None) -> Iterator[Server]:
    """The whole service of a checkout with these rules and further settings; its log goes to a file, as it would."""
    port = free_port()
    environment = {
        "POLICY_PEXIP_USERNAME": USERNAME,
        "POLICY_PEXIP_PASSWORD": PASSWORD,
        "POLICY_SECRET_KEY": SECRET,
        "POLICY_LOG_FORMAT": "json",
        "POLICY_DATABASE_URL": f"sqlite:///{rules}/var/policy.db",
        "PYTHONPATH": f"{checkout}{os.pathsep}{checkout / LIBRARIES}",
        **(further or {}),
    }
    arguments = ["-m", "policy_server", "serve", "--port", str(port), "--rules", str(rules)]
    with _running(arguments, port, environment, rules / "decisions.log", checkout) as server:
        yield server


@contextmanager
def _running(
    arguments: list[str], port: int, environment: Mapping[str, str], log: Path, folder: Path | None = None
) -> Iterator[Server]:
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), sys.executable, *arguments],
            env={**os.environ, **environment},
            # Python looks here first.
            cwd=folder,
            stdout=output,
            stderr=output,
        )
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                        raise RuntimeError(f"{arguments} did not start: see {log}") from None
                    time.sleep(0.01)
            yield Server(port, process.pid, time.perf_counter() - started, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

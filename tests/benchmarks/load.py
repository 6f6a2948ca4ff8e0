"""Servers and load: each server pinned to one core, wrk to another, on loopback."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from tests.benchmarks.material import PASSWORD, SECRET, USERNAME

PATH = "/policy/v1/service/configuration"


def basic(username: str, password: str) -> str:
    """The header of HTTP Basic."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


AUTHORIZATION = basic(USERNAME, PASSWORD)
SERVER_CORE, LOAD_CORE = "0", "1"
HERE = Path(__file__).parents[2]

_SCRIPT = """
local queries = {}
for line in io.lines("%(queries)s") do queries[#queries + 1] = line end
local number = 0
local headers = { ["Authorization"] = "%(authorization)s", ["Connection"] = %(connection)s }
request = function()
  number = number %% #queries + 1
  return wrk.format("GET", "%(path)s?" .. queries[number], headers)
end
%(delay)s
done = function(summary, latency, requests)
  io.write(string.format('JSON {"requests":%%d,"seconds":%%f,"p50":%%f,"p99":%%f,"max":%%f,"bad":%%d,"errors":%%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), latency.max,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What wrk saw: requests a second, and latencies in microseconds."""

    rate: float
    p50: float
    p99: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers, and how long it took to."""

    port: int
    pid: int
    started_in: float

    @property
    def resident_mib(self) -> float:
        """Resident memory in MiB."""
        line = next(
            line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if line.startswith("VmRSS")
        )
        return int(line.split()[1]) / 1024

    def ask(self, query: str) -> bytes:
        """One answer."""
        request = Request(f"http://127.0.0.1:{self.port}{PATH}?{query}", headers={"Authorization": AUTHORIZATION})
        with urlopen(request, timeout=5) as response:
            body: bytes = response.read()
        return body


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def bare_server(body: Path) -> Iterator[Server]:
    """The floor, on the same uvicorn with the same options."""
    port = free_port()
    arguments = [
        "-m",
        "uvicorn",
        "tests.benchmarks.bare:app",
        "--port",
        str(port),
        "--http",
        "httptools",
        "--loop",
        "uvloop",
    ]
    with _running([*arguments, "--no-access-log", "--log-level", "warning"], port, {"BENCH_BODY": str(body)}) as server:
        yield server


@contextmanager
def policy_server(rules: Path, checkout: Path = HERE) -> Iterator[Server]:
    """The whole service of a checkout, which may be that of another version; its log goes to a file, as it would."""
    with serving(rules, checkout, {}) as server:
        yield server


@contextmanager
def serving(rules: Path, checkout: Path, further: Mapping[str, str]) -> Iterator[Server]:
    """The same with further settings."""
    port = free_port()
    environment = {
        "POLICY_PEXIP_USERNAME": USERNAME,
        "POLICY_PEXIP_PASSWORD": PASSWORD,
        "POLICY_SECRET_KEY": SECRET,
        "POLICY_LOG_FORMAT": "json",
        "POLICY_DATABASE_URL": f"sqlite:///{rules}/var/policy.db",
        "PYTHONPATH": str(checkout),
        **further,
    }
    arguments = ["-m", "policy_server", "serve", "--port", str(port), "--rules", str(rules)]
    with _running(arguments, port, environment, rules / "decisions.log") as server:
        yield server


@contextmanager
def _running(
    arguments: list[str], port: int, environment: Mapping[str, str], log: Path | None = None
) -> Iterator[Server]:
    started = time.perf_counter()
    with Path(log or os.devnull).open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, sys.executable, *arguments],
            env={**os.environ, **environment},
            # Python looks here first.
            cwd=environment.get("PYTHONPATH"),
            stdout=output,
            stderr=output,
        )
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.perf_counter() - started > 60:
                        raise RuntimeError(f"{arguments} did not start") from None
                    time.sleep(0.01)
            yield Server(port, process.pid, time.perf_counter() - started)
        finally:
            process.terminate()
            process.wait(timeout=10)


def load(
    server: Server, queries: Path, *, seconds: int = 3, connections: int = 16, close: bool = False, rate: float = 0
) -> Run:
    """Asks as fast as the server answers, or about `rate` times a second."""
    delay = ""
    if rate:
        # Every connection waits between its requests; spread, so that they do not come in bursts.
        mean = connections / rate * 1000
        delay = f"delay = function() return math.random(0, {max(1, round(2 * mean))}) end"
    script = queries.with_suffix(".lua")
    script.write_text(
        _SCRIPT
        % {
            "queries": queries,
            "authorization": AUTHORIZATION,
            "connection": '"close"' if close else '"keep-alive"',
            "path": PATH,
            "delay": delay,
        }
    )
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is missing; install it with: apt-get install wrk")
    result = subprocess.run(
        [
            "taskset",
            "-c",
            LOAD_CORE,
            wrk,
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "-s",
            script,
            f"http://127.0.0.1:{server.port}",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    line = next(line for line in result.stdout.splitlines() if line.startswith("JSON "))
    figures = json.loads(line[5:])
    if figures["bad"] or (figures["errors"] and not close):
        raise RuntimeError(f"{figures['bad']} bad answers, {figures['errors']} errors")
    return Run(figures["requests"] / figures["seconds"], figures["p50"], figures["p99"], figures["max"])

"""Load by wrk: as many questions as a server answers, or so many a second."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.servers import AUTHORIZATION, LOAD_CORE, PATH, Server

_SCRIPT: Final = """
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


class WrkMissingError(Exception):
    """wrk is not installed; says how to install it."""

    def __init__(self) -> None:
        super().__init__("wrk is missing; install it with: apt-get install wrk")


@dataclass(frozen=True, slots=True)
class Run:
    """What wrk saw: requests a second, and latencies in microseconds."""

    rate: float
    p50: float
    p99: float
    slowest: float
    faults: tuple[str, ...]


def load(
    server: Server, queries: Path, *, seconds: int, connections: int = 16, close: bool = False, rate: float = 0
) -> Run:
    """Asks as fast as the server answers, or about ``rate`` times a second. Raises WrkMissingError."""
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
        raise WrkMissingError
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{server.port}"]
    command = ["taskset", "-c", str(LOAD_CORE), wrk, *options]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    line = next(line for line in result.stdout.splitlines() if line.startswith("JSON "))
    seen = json.loads(line[5:])
    # Without keep-alive wrk counts connections that end as errors.
    bad = {"bad answers": seen["bad"], "errors of connections": 0 if close else seen["errors"]}
    faults = tuple(f"{count} {what}" for what, count in bad.items() if count)
    return Run(seen["requests"] / seen["seconds"], seen["p50"], seen["p99"], seen["max"], faults)

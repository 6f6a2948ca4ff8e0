"""`make bench`: every figure of the goals, side by side with version 0.1 in one run. Raw figures go to build/bench.json.

Machines are noisy: runs alternate, CPU is what the kernel counted, and ratios are what counts.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Final

from tests.benchmarks import admin_pages, agent_streams, call_costs, growth, outage, questions, reloading
from tests.benchmarks.bench import DEFAULT, QUICK, Bench, Scenario
from tests.benchmarks.servers import take_load_core
from tests.benchmarks.table import HEADING, lines
from tests.benchmarks.versions import HERE, NoHistoryError, Version, first_version
from tests.benchmarks.wrk import WrkMissingError
from tests.conferences.postgres import PostgresMissingError

BUILD: Final = HERE / "build"

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "evaluate": questions.evaluate_alone,
    "questions": questions.different_questions,
    "rules": questions.many_rules,
    "sqlite": call_costs.costs_on_sqlite,
    "postgresql": call_costs.costs_on_postgresql,
    "rate": call_costs.highest_rate,
    "streams": agent_streams.streams,
    "reload": reloading.reload,
    "outage": outage.outage,
    "growth": growth.growth,
    "pages": admin_pages.pages,
}


def main() -> None:
    """Runs what was asked for, or all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=tuple(SCENARIOS), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="only whether everything runs: its figures mean nothing")
    parser.add_argument("--calls", type=int, help="of growth, and as many again; 50000 take two hours")
    parser.add_argument("--alone", action="store_true", help="without version 0.1")
    parser.epilog = f"NAME is one of {', '.join(SCENARIOS)}."
    options = parser.parse_args()
    take_load_core()
    first = None if options.alone else _first_version()
    with tempfile.TemporaryDirectory(prefix="policy-server-bench-") as folder:
        effort = QUICK if options.quick else DEFAULT
        if options.calls:
            effort = replace(effort, calls_in_a_row=options.calls)
        bench = Bench(Path(folder), effort, first)
        asyncio.run(_run(bench, {name: SCENARIOS[name] for name in options.only}))
    out = BUILD / "bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(bench.raw, indent=1))
    print(f"raw figures: {out.relative_to(HERE)}")


def _first_version() -> Version | None:
    try:
        return first_version(BUILD / "version-0.1")
    except NoHistoryError as error:
        print(f"without version 0.1: {error}")
        return None


async def _run(bench: Bench, scenarios: Mapping[str, Scenario]) -> None:
    print(f"{_machine()}\n\n{HEADING}", flush=True)
    bench.raw["machine"] = _machine()
    for name, scenario in scenarios.items():
        began = perf_counter()
        try:
            async for row in scenario(bench):
                for line in lines(row):
                    print(line, flush=True)
        except (PostgresMissingError, WrkMissingError) as error:
            print(f"{'':<4} {name}: left out: {error}", flush=True)
        bench.raw[f"seconds of {name}"] = perf_counter() - began


def _machine() -> str:
    model = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ":"
    )
    return f"{model.partition(':')[2].strip()}, {os.cpu_count()} cores; Python {platform.python_version()}, {platform.platform()}"


if __name__ == "__main__":
    main()

"""`make bench`: every figure of the goals, side by side in one run. Raw figures go to build/bench.json.

The machines are noisy: runs alternate, and medians and ratios are what counts.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import parse_request
from policy_server.policy.decisions import Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.names import Keyring
from policy_server.rulefiles.store import load_folder
from tests.benchmarks.load import Run, Server, bare_server, load, policy_server
from tests.benchmarks.material import SECRET, questions, write_rules

ROOMS: Final = 1000
"""Conferences that run at a time while every question is different."""

Raw = dict[str, object]


def main() -> None:
    """Runs all benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each pair (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of each run (default 3)")
    parser.add_argument(
        "--beside", type=Path, help="a checkout of another version, measured side by side with this one"
    )
    options = parser.parse_args()
    raw: Raw = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _bench_servers(folder, options.rounds, options.seconds, raw)
        if options.beside is not None:
            _bench_versions(folder, options.beside.resolve(), options.rounds, options.seconds, raw)
    _bench_evaluate(raw)
    out = Path("build/bench.json")
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(raw, indent=1))
    print(f"raw figures: {out}")


def _report(name: str, figure: str, goal: str, *, good: bool) -> None:
    print(f"{'ok  ' if good else 'MISS'} {name:<62} {figure:>12}  (goal {goal})", flush=True)


def _pair(
    name: str, one: Callable[[], Run], other: Callable[[], Run], goal: float, rounds: int, raw: Raw
) -> tuple[float, float]:
    """Alternates two loads and reports the median ratio of their rates; returns the median rates."""
    rates = [(one().rate, other().rate) for _ in range(rounds)]
    ratios = [first / second for first, second in rates]
    ratio = statistics.median(ratios)
    raw[name] = {"rates": rates, "ratios": ratios}
    first, second = (statistics.median(column) for column in zip(*rates, strict=True))
    _report(f"{name} ({first:.0f}/s : {second:.0f}/s)", f"{ratio:.2f}", f"{goal:.2f} or more", good=ratio >= goal)
    return first, second


def _queries(folder: Path, name: str, count: int, rooms: int | None = None) -> Path:
    path = folder / f"{name}.txt"
    path.write_text("\n".join(questions(count, rooms)) + "\n")
    return path


def _bench_servers(folder: Path, rounds: int, seconds: int, raw: Raw) -> None:
    one, distinct = _queries(folder, "one", 1), _queries(folder, "distinct", 200_000, ROOMS)
    new_rooms = _queries(folder, "new-rooms", 100_000)
    body = folder / "body"
    rules = {count: write_rules(folder / f"rules-{count}", count) for count in (10, 1000, 10_000)}
    wildcards = write_rules(folder / "wildcards", 1000, "wildcards")

    def at(server: Server, queries: Path, *, close: bool = False) -> Callable[[], Run]:
        return lambda: load(server, queries, seconds=seconds, close=close)

    with policy_server(rules[1000]) as ours:
        body.write_bytes(ours.ask(one.read_text().strip()))
        with bare_server(body) as bare, policy_server(wildcards) as wild:
            for server in (ours, bare, wild):
                load(server, distinct, seconds=2)
            rate, _ = _pair(
                "every question different : bare", at(ours, distinct), at(bare, distinct), 0.80, rounds, raw
            )
            _pair("the same, patterns with wildcards : bare", at(wild, distinct), at(bare, distinct), 0.80, rounds, raw)
            _pair(
                "no keep-alive : bare without keep-alive",
                at(ours, distinct, close=True),
                at(bare, distinct, close=True),
                0.80,
                rounds,
                raw,
            )
            _pair("a room held on disk by every question : bare", at(wild, new_rooms), at(bare, new_rooms), 0.1, 1, raw)
            runs = [load(ours, distinct, seconds=seconds, rate=rate / 2) for _ in range(rounds)]
            slowness = statistics.median(run.p99 / run.p50 for run in runs)
            raw["half rate"] = [[run.rate, run.p50, run.p99, run.slowest] for run in runs]
            median_rate = statistics.median(run.rate for run in runs)
            _report(f"p99 : median at {median_rate:.0f}/s", f"{slowness:.1f}", "5 or less", good=slowness <= 5)
    with policy_server(rules[10_000]) as many, policy_server(rules[10]) as few:
        load(few, distinct, seconds=1)
        load(many, distinct, seconds=1)
        _pair("10,000 rules : 10 rules", at(many, distinct), at(few, distinct), 0.95, rounds, raw)
        raw["10,000 rules"] = {"start": many.started_in, "mib": many.resident_mib}
        _report("start with 10,000 rules", f"{many.started_in:.1f} s", "5 s", good=many.started_in <= 5)
        _report("memory with 10,000 rules", f"{many.resident_mib:.0f} MiB", "200 MiB", good=many.resident_mib <= 200)


def _bench_versions(folder: Path, other: Path, rounds: int, seconds: int, raw: Raw) -> None:
    """This version against another, on the same questions and rules."""
    distinct, new_rooms = folder / "distinct.txt", folder / "new-rooms.txt"
    rules = [write_rules(folder / f"version-{name}", 1000, "wildcards") for name in ("now", "before")]
    with policy_server(rules[0]) as now, policy_server(rules[1], other) as before:
        for queries, name in ((distinct, "every question different"), (new_rooms, "a room held by every question")):
            for server in (now, before):
                load(server, queries, seconds=1)

            def rate(server: Server, queries: Path = queries) -> Callable[[], Run]:
                return lambda: load(server, queries, seconds=seconds)

            _pair(f"{name}, now : before", rate(now), rate(before), 0.95, rounds, raw)
        memory = now.resident_mib / before.resident_mib
        _report("memory, 1,000 rules, now : before", f"{memory:.2f}", "1.05 or less", good=memory <= 1.05)


def _bench_evaluate(raw: Raw) -> None:
    """CPU time of `evaluate` alone, on requests parsed before, every call different."""
    now = datetime.now(UTC)
    keyring = Keyring.from_text(SECRET)
    queries = [query.encode() for query in questions(2000)]
    with tempfile.TemporaryDirectory() as name:
        medians: dict[int, float] = {}
        rulesets = {
            count: load_folder(write_rules(Path(name, str(count)), count), now)[0].ruleset for count in (1000, 10_000)
        }
        figures: dict[int, list[float]] = {count: [] for count in rulesets}
        for _ in range(30):
            for count, ruleset in rulesets.items():
                if ruleset is None:
                    raise RuntimeError("the rules of the benchmark are bad")
                requests = [parse_request(RequestType.SERVICE, query) for query in queries[:500]]
                started = time.process_time()
                for request in requests:
                    decision = evaluate(ruleset, request, now, keyring)
                figures[count].append((time.process_time() - started) / len(requests) * 1e6)
                if not isinstance(decision, Serve):
                    raise RuntimeError(f"the last rule does not match: {decision}")
        for count, values in figures.items():
            medians[count] = statistics.median(values)
    raw["evaluate"] = figures
    ratio = statistics.median(many / few for many, few in zip(figures[10_000], figures[1000], strict=True))
    _report("evaluate, 1,000 rules, CPU", f"{medians[1000]:.1f} us", "20 us", good=medians[1000] <= 20)
    _report("evaluate, 10,000 rules : 1,000 rules", f"{ratio:.2f}", "1.10 or less", good=ratio <= 1.1)


if __name__ == "__main__":
    main()

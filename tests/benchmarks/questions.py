"""Policy questions alone: the whole service beside a bare endpoint that returns the same bytes, and `evaluate` by itself."""

import statistics
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import parse_request
from policy_server.policy.decisions import Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.store import load_folder
from tests.benchmarks.bench import Bench
from tests.benchmarks.material import SECRET, questions, write_questions, write_rules
from tests.benchmarks.servers import Server, bare_server, serving
from tests.benchmarks.table import Beside, Goal, Row
from tests.benchmarks.versions import HERE
from tests.benchmarks.wrk import Run, load

ROOMS: Final = 1000
"""Conferences that run at a time while every question is different."""

QUESTIONS: Final = 30_000
"""More than a run asks, so that none comes twice."""

NEW_ROOMS: Final = 8_000
"""The same where each holds a room."""

EVALUATIONS: Final = 500
"""In each of EVALUATE_ROUNDS."""

EVALUATE_ROUNDS: Final = 30


async def different_questions(bench: Bench) -> AsyncIterator[Row]:
    """Every question about another call or from another caller: the service beside the bare endpoint."""
    folder, seconds = bench.new_folder(), bench.effort.wrk_seconds
    distinct = write_questions(folder / "distinct.txt", questions(QUESTIONS, ROOMS))
    ruled, wildcards, new = (
        write_rules(folder / name, 1000, kind)
        for name, kind in (("rules", "prefixed"), ("wildcards", "wildcards"), ("new", "prefixed"))
    )
    with serving(ruled, HERE) as ours, serving(wildcards, HERE) as wild, serving(new, HERE) as fresh:
        body = folder / "body"
        body.write_bytes(ours.ask(questions(1)[0]))
        with bare_server(body) as bare:
            for server in (ours, wild, fresh, bare):
                load(server, distinct, seconds=seconds)

            def asked(server: Server, *, close: bool = False) -> Callable[[], Run]:
                return lambda: load(server, distinct, seconds=seconds, close=close)

            def held() -> Run:
                return load(fresh, write_questions(folder / "new.txt", questions(NEW_ROOMS)), seconds=seconds)

            yield _pair(bench, "every question different", asked(ours), "bare", asked(bare), 0.80)
            yield _pair(bench, "patterns with wildcards", asked(wild), "bare", asked(bare), 0.80)
            yield _pair(bench, "no keep-alive", asked(ours, close=True), "bare", asked(bare, close=True), 0.80)
            row = _pair(bench, "a room held by every question", held, "bare", asked(bare), 0.35)
            # Beyond a limit rooms are answered and not held, which is cheaper.
            too_many = "rooms.unheld" in fresh.log.read_text()
            yield replace(row, faults=(*row.faults, *(("too many rooms: some were not held",) if too_many else ())))
        half = asked(ours)().rate / 2
        runs = [load(ours, distinct, seconds=seconds, rate=half) for _ in range(bench.effort.rounds)]
    bench.raw["half rate"] = [asdict(run) for run in runs]
    slowness = statistics.median(run.p99 / run.p50 for run in runs)
    rate = statistics.median(run.rate for run in runs)
    yield Row(f"policy p99 : median at {rate:.0f} questions a second", slowness, "", Goal(5, "at most", "figure"))


async def many_rules(bench: Bench) -> AsyncIterator[Row]:
    """What 10,000 rules cost beside 10: each question, the start, memory."""
    folder, seconds = bench.new_folder(), bench.effort.wrk_seconds
    distinct = write_questions(folder / "distinct.txt", questions(QUESTIONS, ROOMS))
    rules = {count: write_rules(folder / str(count), count) for count in (10, bench.effort.rules)}
    with serving(rules[bench.effort.rules], HERE) as many, serving(rules[10], HERE) as few:
        name = f"{bench.effort.rules:,} rules"
        memory = many.resident_mib
        for server in (many, few):
            load(server, distinct, seconds=seconds)
        yield _pair(
            bench,
            f"{name} beside 10",
            lambda: load(many, distinct, seconds=seconds),
            "10 rules",
            lambda: load(few, distinct, seconds=seconds),
            0.95,
        )
    bench.raw["start"] = {"seconds": many.started_in, "mib": memory}
    yield Row(f"start with {name}", many.started_in, "s", Goal(3, "at most", "figure"))
    yield Row(f"memory with {name}", memory, "MiB", Goal(150, "at most", "figure"))


async def evaluate_alone(bench: Bench) -> AsyncIterator[Row]:
    """CPU of `evaluate`, on requests parsed before, every call different."""
    now, keyring, folder = datetime.now(UTC), Keyring.from_text(SECRET), bench.new_folder()
    queries = [query.encode() for query in questions(EVALUATIONS)]
    rulesets = {count: _loaded(write_rules(folder / str(count), count), now) for count in (1000, bench.effort.rules)}
    spent: dict[int, list[float]] = {count: [] for count in rulesets}
    for _ in range(EVALUATE_ROUNDS):
        for count, ruleset in rulesets.items():
            requests = [parse_request(RequestType.SERVICE, query) for query in queries]
            began = time.process_time()
            for request in requests:
                decision = evaluate(ruleset, request, now, keyring)
            spent[count].append((time.process_time() - began) / len(requests) * 1e6)
            if not isinstance(decision, Serve):
                raise RuntimeError(f"the last rule does not match: {decision}")
    bench.raw["evaluate"] = spent
    yield Row("evaluate alone, 1,000 rules", statistics.median(spent[1000]), "us", Goal(20, "at most", "figure"))


def _loaded(folder: Path, now: datetime) -> Ruleset:
    ruleset = load_folder(folder, now)[0].ruleset
    if ruleset is None:
        raise RuntimeError("the rules of the benchmark are bad")
    return ruleset


def _pair(bench: Bench, what: str, one: Callable[[], Run], name: str, other: Callable[[], Run], goal: float) -> Row:
    """Questions a second of two servers by turns; the median ratio is what counts."""
    runs = [(one(), other()) for _ in range(bench.effort.rounds)]
    bench.raw[what] = [[asdict(run) for run in pair] for pair in runs]
    ratio = statistics.median(first.rate / second.rate for first, second in runs)
    first, second = (statistics.median(run.rate for run in column) for column in zip(*runs, strict=True))
    faults = tuple(fault for run, _ in runs for fault in run.faults)
    return Row(what, first, "/s", Goal(goal, "at least", "ratio"), Beside(name, second), ratio, faults)

"""Metrics for Prometheus. Labels come from us, never from callers, so that their number stays small.

Several processes count in files of the folder that ``PROMETHEUS_MULTIPROC_DIR`` names when ``prometheus_client`` is
imported; whichever of them is asked adds them up.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from policy_server.web.refusals import Door

BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 5.0)
"""Seconds. A node waits five."""

FORWARDED_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Seconds of a question that another server answers, which has three at the most."""

NODES_LIMIT: Final = 200
"""Addresses that get a label of their own for refused credentials; further ones are counted as ``other``."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


Together = Literal["livemax", "livesum", "max", "sum"]
"""How a gauge of several processes is one number: the highest or the sum of those that live, or of all."""


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        # prometheus_client decides once, on import, whether it counts in memory or in files.
        self._folder: Final = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "") if _counts_in_files() else ""
        if self._folder:
            Path(self._folder).mkdir(parents=True, exist_ok=True)
        self._watched: Final[list[tuple[Gauge, Callable[[], float]]]] = []
        self._watched_each: Final[list[tuple[Gauge, Callable[[], Mapping[str, float]]]]] = []
        self._answers: Final = Counter(
            "policy_answers",
            "Answers by question, outcome and rule",
            ["question", "outcome", "rule"],
            registry=self.registry,
        )
        self._seconds: Final = Histogram(
            "policy_answer_seconds", "Time to answer a question", ["question"], buckets=BUCKETS, registry=self.registry
        )
        self._refused: Final = Counter(
            "policy_unauthorized", "Questions with wrong or no credentials, by node", ["node"], registry=self.registry
        )
        self._refused_at: Final = Counter("policy_refused", "Refused callers by door", ["door"], registry=self.registry)
        self._forwarded: Final = Counter(
            "policy_forwarded",
            "Questions that were forwarded, by upstream and how they came out there",
            ["upstream", "outcome"],
            registry=self.registry,
        )
        self._forwarded_seconds: Final = Histogram(
            "policy_forwarded_seconds",
            "Time that a forwarded question took",
            ["upstream"],
            buckets=FORWARDED_BUCKETS,
            registry=self.registry,
        )
        self._answered: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
        self._answer_children: Final[dict[tuple[str, str, str], Counter]] = {}
        self._second_children: Final[dict[str, Histogram]] = {}
        self._nodes: Final[set[str]] = set()

    @property
    def folder(self) -> Path | None:
        """Where several processes count together; ``None`` where there is one."""
        return Path(self._folder) if self._folder else None

    def answered(self, question: str, outcome: str, rule: str, seconds: float) -> None:
        """Counts one answer, when the gauges are read next: nobody waits for that."""
        self._answered[question, outcome, rule].append(seconds)

    def _count_answers(self) -> None:
        counted, self._answered = self._answered, defaultdict(list)
        for key, times in counted.items():
            # Finding a child by its labels takes three times as long as counting.
            child = self._answer_children.get(key)
            if child is None:
                child = self._answer_children[key] = self._answers.labels(*key)
            child.inc(len(times))
            question, _, _ = key
            histogram = self._second_children.get(question)
            if histogram is None:
                histogram = self._second_children[question] = self._seconds.labels(question)
            for seconds in times:
                histogram.observe(seconds)

    def forwarded(self, upstream: str, outcome: str, seconds: float) -> None:
        """Counts a question that was forwarded."""
        self._forwarded.labels(upstream, outcome).inc()
        self._forwarded_seconds.labels(upstream).observe(seconds)

    def refused(self, node: str) -> None:
        """Counts a question with wrong or no credentials."""
        if node not in self._nodes:
            if len(self._nodes) >= NODES_LIMIT:
                node = "other"
            self._nodes.add(node)
        self._refused.labels(node).inc()

    def refused_at(self, door: Door) -> None:
        """Counts a caller who was refused at a door."""
        self._refused_at.labels(door.name.lower()).inc()

    def watch(self, name: str, text: str, read: Callable[[], float], together: Together = "livemax") -> None:
        """Adds a gauge, which ``update`` reads."""
        self._watched.append((Gauge(name, text, registry=self.registry, multiprocess_mode=together), read))

    def watch_each(
        self,
        name: str,
        text: str,
        label: str,
        read: Callable[[], Mapping[str, float]],
        together: Together = "livemax",
    ) -> None:
        """Adds a gauge for each of a few names of ours, which ``update`` reads."""
        gauge = Gauge(name, text, [label], registry=self.registry, multiprocess_mode=together)
        self._watched_each.append((gauge, read))

    def update(self) -> None:
        """Reads the gauges and counts answers. Call it now and then, so that other processes see those of this one."""
        self._count_answers()
        for gauge, read in self._watched:
            gauge.set(read())
        for each, read_each in self._watched_each:
            for value, number in read_each().items():
                each.labels(value).set(number)

    def render(self) -> bytes:
        """All metrics of all processes in the text format."""
        self.update()
        if not self._folder:
            return generate_latest(self.registry)
        for file in Path(self._folder).glob("gauge_live*.db"):
            pid = file.stem.rpartition("_")[2]
            if pid.isdigit() and not lives(int(pid)):
                mark_process_dead(int(pid), self._folder)  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _counts_in_files() -> bool:
    return bool(getattr(values.ValueClass, "_multiprocess", False))


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

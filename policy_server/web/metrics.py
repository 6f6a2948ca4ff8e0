"""Metrics for Prometheus. Labels come from us, never from callers, so that their number stays small."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 5.0)
"""Seconds. A node waits five."""

NODES_LIMIT: Final = 200
"""Addresses that get a label of their own for refused credentials; further ones are counted as ``other``."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
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
        self._answer_children: Final[dict[tuple[str, str, str], Counter]] = {}
        self._second_children: Final[dict[str, Histogram]] = {}
        self._nodes: Final[set[str]] = set()

    def answered(self, question: str, outcome: str, rule: str, seconds: float) -> None:
        """Counts one answer."""
        # Finding a child by its labels takes three times as long as counting.
        key = (question, outcome, rule)
        child = self._answer_children.get(key)
        if child is None:
            child = self._answer_children[key] = self._answers.labels(*key)
        child.inc()
        histogram = self._second_children.get(question)
        if histogram is None:
            histogram = self._second_children[question] = self._seconds.labels(question)
        histogram.observe(seconds)

    def refused(self, node: str) -> None:
        """Counts a question with wrong or no credentials."""
        if node not in self._nodes:
            if len(self._nodes) >= NODES_LIMIT:
                node = "other"
            self._nodes.add(node)
        self._refused.labels(node).inc()

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Adds a gauge that is read when somebody asks for the metrics."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def render(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self.registry)

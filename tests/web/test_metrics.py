"""Metrics: what is counted under which labels, and how several processes add up."""

import subprocess
import sys
from pathlib import Path

import pytest

from policy_server.web.metrics import CONTENT_TYPE, NODES_LIMIT, Metrics
from tests.servers import clean_environment


def lines(metrics: Metrics, name: str) -> list[str]:
    """The samples of one metric."""
    return [line for line in metrics.render().decode().splitlines() if line.startswith(name)]


def test_answers_are_counted_by_question_outcome_and_rule() -> None:
    """Each answer counts once, in a counter and in the histogram of its question."""
    metrics = Metrics()
    for _ in range(3):
        metrics.answered("service", "serve", "customer", 0.0002)
    metrics.answered("avatar", "continue", "", 7.0)
    assert lines(metrics, "policy_answers_total") == [
        'policy_answers_total{outcome="serve",question="service",rule="customer"} 3.0',
        'policy_answers_total{outcome="continue",question="avatar",rule=""} 1.0',
    ]
    assert 'policy_answer_seconds_count{question="service"} 3.0' in lines(metrics, "policy_answer_seconds")
    assert 'policy_answer_seconds_bucket{le="0.0001",question="service"} 0.0' in lines(metrics, "policy_answer_sec")
    assert 'policy_answer_seconds_bucket{le="0.00025",question="service"} 3.0' in lines(metrics, "policy_answer_sec")
    assert 'policy_answer_seconds_bucket{le="5.0",question="avatar"} 0.0' in lines(metrics, "policy_answer_seconds")


def test_refused_nodes_have_a_bounded_number_of_labels() -> None:
    """The first addresses are counted by name, and any number of further ones together."""
    metrics = Metrics()
    for number in range(NODES_LIMIT + 500):
        metrics.refused(f"192.0.2.{number}")
    metrics.refused("192.0.2.0")
    counted = lines(metrics, "policy_unauthorized_total")
    assert len(counted) == NODES_LIMIT + 1
    assert 'policy_unauthorized_total{node="192.0.2.0"} 2.0' in counted
    assert 'policy_unauthorized_total{node="other"} 500.0' in counted


def test_gauges_are_read_when_asked() -> None:
    """A watched value is the one of the moment of asking."""
    metrics = Metrics()
    values = [1, 2]
    metrics.watch("policy_things", "Things", lambda: len(values))
    assert lines(metrics, "policy_things") == ["policy_things 2.0"]
    values.clear()
    assert lines(metrics, "policy_things") == ["policy_things 0.0"]


def test_the_text_format_has_help_and_type() -> None:
    """What Prometheus reads names each metric's type."""
    metrics = Metrics()
    metrics.watch("policy_things", "Things", lambda: 1.0)
    text = metrics.render().decode()
    assert "# HELP policy_things Things\n# TYPE policy_things gauge\n" in text
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


_WORKER = """
import sys
from policy_server.web.metrics import Metrics
metrics = Metrics()
metrics.watch("policy_rules", "Rules", lambda: 5)
metrics.watch("policy_log_lines_dropped", "Dropped", lambda: 2, "sum")
metrics.watch("policy_agent_streams", "Streams", lambda: 3, "livesum")
metrics.answered("service", "serve", "customer", 0.001)
metrics.refused("192.0.2.1")
sys.stdout.buffer.write(metrics.render())
"""


@pytest.mark.slow
def test_processes_add_up(tmp_path: Path) -> None:
    """In files, counts of all processes add up, ended ones too; gauges of ended ones are forgotten or added."""
    folder = tmp_path / "made" / "on demand"
    environment = clean_environment(PROMETHEUS_MULTIPROC_DIR=str(folder))
    texts = [
        subprocess.run([sys.executable, "-c", _WORKER], env=environment, capture_output=True, check=True, text=True)
        for _ in range(2)
    ]
    first, second = ([line for line in run.stdout.splitlines() if line[0] != "#"] for run in texts)
    assert 'policy_answers_total{outcome="serve",question="service",rule="customer"} 1.0' in first
    assert 'policy_answers_total{outcome="serve",question="service",rule="customer"} 2.0' in second
    assert 'policy_answer_seconds_bucket{le="0.001",question="service"} 2.0' in second
    assert 'policy_unauthorized_total{node="192.0.2.1"} 2.0' in second
    assert "policy_rules 5.0" in second
    assert "policy_log_lines_dropped 4.0" in second
    assert "policy_agent_streams 3.0" in second
    for kind in ("livemax", "livesum"):
        assert len(list(folder.glob(f"gauge_{kind}_*.db"))) == 1, "the gauges of the first process are still there"

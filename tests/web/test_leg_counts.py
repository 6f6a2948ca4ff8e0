"""Legs are counted by trunk and outcome, once for each call that is over."""

import pytest

from policy_server.conferences.fold import Chronicle
from policy_server.policy.assurance import Assured
from policy_server.web.leg_counts import LegCounts
from policy_server.web.metrics import Metrics
from tests.conferences.watched_world import BUSY, Trunk, World, answers


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    """A sample, 0 when there is none."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("trunks", "outcomes", "seconds"),
    [
        pytest.param([BUSY, answers(7, talks=1)], ["busy", "answered"], 7.0, id="busy, then answered"),
        pytest.param([Trunk(2, "503 Service Unavailable"), BUSY], ["unreachable", "busy"], None, id="none"),
    ],
)
def test_legs_of_a_call_are_counted_when_it_is_over(
    trunks: list[Trunk], outcomes: list[str], seconds: float | None
) -> None:
    """Each leg counts under its trunk by what became of it, and one that was answered by how long that took."""
    metrics = Metrics()
    counts = LegCounts(metrics)
    world = World(trunks, customer_leaves=60.0)
    heard: list[tuple[Assured, Chronicle]] = []

    def over(known: Assured, told: Chronicle) -> None:
        heard.append((known, told))
        counts.over(known, told)

    world.watch.over = over  # type: ignore[misc]
    world.run(600)
    assert len(heard) == 1
    for number, outcome in enumerate(outcomes):
        last = counts.last[f"trunk-{number}"]
        assert (last.answered > 0, last.failure) == (outcome == "answered", "" if outcome == "answered" else outcome)
    for number, outcome in enumerate(outcomes):
        assert sample(metrics, "policy_legs_total", trunk=f"trunk-{number}", outcome=outcome) == 1
    total = sum(
        one.value for family in metrics.registry.collect() for one in family.samples if one.name == "policy_legs_total"
    )
    assert total == len(outcomes)
    assert sample(metrics, "policy_leg_answer_seconds_count", trunk="trunk-1") == (seconds is not None)
    assert sample(metrics, "policy_leg_answer_seconds_sum", trunk="trunk-1") == pytest.approx(seconds or 0.0)

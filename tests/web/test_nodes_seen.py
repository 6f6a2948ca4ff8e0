"""Which nodes ask is known, of so many of them."""

from policy_server.web.metrics import NODES_LIMIT, Metrics
from policy_server.web.nodes_seen import LONGEST_LOCATION, NodeSeen, NodesSeen
from tests.conferences.samples import NOW, SECOND


def test_a_node_is_known_by_its_last_question() -> None:
    """Its location is the last that it named, and a question without one takes nothing away."""
    seen, metrics = NodesSeen(), Metrics()
    seen.watch_gauges(metrics)
    seen.note("10.44.1.1", "DMZ", NOW)
    seen.note("10.44.1.1", "", NOW + SECOND)
    assert seen.nodes == {"10.44.1.1": NodeSeen("DMZ", (NOW + SECOND).timestamp(), 2)}
    seen.note("10.44.1.1", "x" * 500, NOW)
    assert seen.nodes["10.44.1.1"].location == "x" * LONGEST_LOCATION
    (sample,) = [line for line in metrics.render().decode().splitlines() if line.startswith("policy_node_asked")]
    name, _, at = sample.partition(" ")
    assert (name, float(at)) == ('policy_node_asked_timestamp_seconds{node="10.44.1.1"}', NOW.timestamp())


def test_there_is_an_end_to_them() -> None:
    """However many addresses ask, so many are kept, those that came first."""
    seen = NodesSeen()
    for number in range(NODES_LIMIT + 100):
        seen.note(f"10.44.{number}.1", "", NOW)
    seen.note("10.44.0.1", "Oslo", NOW)
    assert len(seen.nodes) == NODES_LIMIT
    assert seen.nodes["10.44.0.1"].location == "Oslo"

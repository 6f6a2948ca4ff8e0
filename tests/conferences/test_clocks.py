"""The clocks of nodes, as their messages show them."""

from policy_server.conferences.clocks import NODES_LIMIT, NOTABLE_SECONDS, RECENT, RECENT_SECONDS, NodeClocks
from tests.conferences.event_histories import NODE, OTHER

NOW = 1_760_000_000.0


def test_a_difference_is_what_the_quickest_message_shows() -> None:
    """Messages that waited in a bulk, in a queue or for an answer do not make a clock wrong."""
    clocks = NodeClocks()
    for waited in (3600.0, 30.0, 0.5, 90.0):
        clocks.learn(NODE, NOW - waited, NOW)
        clocks.learn(OTHER, NOW - waited + 40, NOW)
    assert clocks.differences(NOW) == {NODE: -0.5, OTHER: 39.5}
    assert clocks.notable(NOW) == {OTHER: 39.5}


def test_a_clock_that_is_behind_is_notable() -> None:
    """A node whose every message comes late has a clock that is behind."""
    clocks = NodeClocks()
    for number in range(20):
        clocks.learn(NODE, NOW + number - 120 - number % 3, NOW + number)
    assert clocks.notable(NOW) == {NODE: -120.0}


def test_a_clock_that_was_put_right_is_forgotten() -> None:
    """Only recent messages count, by their number and by when they came."""
    clocks = NodeClocks()
    clocks.learn(NODE, NOW + 3600, NOW)
    clocks.learn(OTHER, NOW + 3600, NOW)
    for _ in range(RECENT):
        clocks.learn(NODE, NOW, NOW)
    assert clocks.notable(NOW) == {OTHER: 3600.0}
    assert clocks.notable(NOW + RECENT_SECONDS + 1) == {}


def test_what_is_kept_is_bounded() -> None:
    """However many nodes messages name, only so many are kept, and none without a name."""
    clocks = NodeClocks()
    for number in range(2 * NODES_LIMIT):
        clocks.learn(f"node-{number}" if number else "", NOW + NOTABLE_SECONDS + 1, NOW)
    assert len(clocks.notable(NOW)) == NODES_LIMIT

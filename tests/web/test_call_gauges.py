"""Operators see how many calls wait, talk and came to what, and whether nodes tell of them."""

import re
from pathlib import Path

import pytest

from policy_server.conferences.figures import LEG_OUTCOMES, CallFigures
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.verdict import Code
from policy_server.web.call_gauges import CallGauges
from policy_server.web.metrics import Metrics
from tests.conferences.event_histories import BEGIN, started
from tests.conferences.samples import Place
from tests.conferences.test_figures import nothing_kept
from tests.conferences.told_world import CALL, Clock, Rules, at, held, told, visit
from tests.rule_sets import KEYRING


def samples(metrics: Metrics) -> dict[str, float]:
    """What the metrics say."""
    return {
        name: float(value)
        for name, value in re.findall(r"^(policy\S+) (\S+)$", metrics.render().decode(), re.MULTILINE)
    }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A database."""
    return Place(f"sqlite:///{tmp_path}/policy.db", "sqlite")


def test_calls_are_counted(place: Place) -> None:
    """A call that waits is one, then one that is over with its verdict and its legs; every verdict and outcome is there."""

    async def scenario(store: ConferenceStore) -> None:
        clock, metrics = Clock(), Metrics()
        gauges = CallGauges(CallFigures(store, nothing_kept(), Rules(), KEYRING, clock))
        gauges.watch_gauges(metrics)
        await store.hold_all([held()])
        await store.add_events(visit(answered=None)[:2])
        clock.now = at(31)
        await gauges.count()
        found = samples(metrics)
        assert found['policy_calls{state="waiting"}'] == 1
        assert found["policy_calls_longest_wait_seconds"] == 30
        assert found["policy_events_told_timestamp_seconds"] == BEGIN + 1
        assert {f'policy_calls_last_hour{{verdict="{code}"}}' for code in Code} <= set(found)
        assert {f'policy_calls_legs_last_hour{{outcome="{outcome}"}}' for outcome in LEG_OUTCOMES} <= set(found)
        await store.add_events(visit(answered=None)[2:])
        await store.end(CALL.id, at(61))
        clock.now = at(80)
        await gauges.count()
        found = samples(metrics)
        assert found['policy_calls{state="waiting"}'] == found["policy_calls_longest_wait_seconds"] == 0
        assert found['policy_calls_last_hour{verdict="leg_busy"}'] == 1
        assert found['policy_calls_legs_last_hour{outcome="busy"}'] == 1
        clock.now = at(3_662)
        assert samples(metrics)['policy_calls_last_hour{verdict="leg_busy"}'] == 0

    place.run(scenario)


def test_a_sink_that_is_silent_shows(place: Place) -> None:
    """Where three rooms are held for minutes and no node tells anything since, somebody should look; a word of a node ends that."""

    async def scenario(store: ConferenceStore) -> None:
        clock, metrics = Clock(), Metrics()
        gauges = CallGauges(CallFigures(store, nothing_kept(), Rules(), KEYRING, clock))
        gauges.watch_gauges(metrics)
        await store.hold_all([held(), held(1, "kiosk 1")])
        clock.now = at(500)
        await gauges.count()
        assert gauges.sink_state(0)["silent_since"] is None
        await store.hold_all([held(2, "kiosk 2", held_at=at(500))])
        clock.now = at(619)
        await gauges.count()
        assert gauges.sink_state(3) == {"last_at": None, "silent_since": None, "unreadable": 3}
        clock.now = at(620)
        await gauges.count()
        assert gauges.sink_state(0)["silent_since"] == at(0).isoformat(timespec="seconds")
        assert samples(metrics)["policy_events_silent"] == 1
        await store.add_events(told(started(BEGIN + 500), room="kiosk 2"))
        await gauges.count()
        expected = at(500).isoformat(timespec="seconds")
        assert gauges.sink_state(0) == {"last_at": expected, "silent_since": None, "unreadable": 0}
        assert samples(metrics)["policy_events_silent"] == 0

    place.run(scenario)

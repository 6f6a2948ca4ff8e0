"""Counting what rules answer."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.request_types import RequestType
from policy_server.web.admin.hits import MINUTES, STRIP_MINUTES, Hits, OutcomeCounts, RuleHits

BEGUN = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


@given(st.lists(st.integers(0, 3600), max_size=60), st.integers(0, 20_000))
def test_the_last_hour_is_what_a_list_of_all_answers_says(gaps: list[int], later: int) -> None:
    """The total is how many there were, the last hour those of its sixty minutes, whenever they came."""
    hits, times, now = RuleHits(), [], BEGUN
    for gap in gaps:
        now += timedelta(seconds=gap)
        times.append(now)
        hits.count(RequestType.SERVICE, "a", now)
    now += timedelta(seconds=later)
    first = int(now.timestamp()) // 60 - MINUTES + 1
    within = sum(int(time.timestamp()) // 60 >= first for time in times)
    last = times[-1].timestamp() if times else 0.0
    assert hits.of(RequestType.SERVICE, "a", now) == Hits(len(times), within, last)
    assert hits.of(RequestType.PARTICIPANT, "a", now) == Hits()


@given(st.lists(st.tuples(st.sampled_from(["serve", "reject"]), st.integers(0, 7200)), max_size=60))
def test_outcomes_are_counted_by_minute(answers: list[tuple[str, int]]) -> None:
    """Of each outcome every minute of six hours has as many as there were, and what is older is forgotten."""
    counts, now, expected = OutcomeCounts(), BEGUN, Counter[tuple[str, int]]()
    for outcome, gap in answers:
        now += timedelta(seconds=gap)
        counts.count(outcome, now)
        expected[outcome, int(now.timestamp() // 60)] += 1
    oldest = int(now.timestamp() // 60) - STRIP_MINUTES
    found = {(outcome, minute): count for outcome, told in counts.told(now).items() for minute, count in told}
    assert found == {key: count for key, count in expected.items() if key[1] > oldest}

"""What is noted once a minute."""

from datetime import UTC, datetime, timedelta

from policy_server.conferences.once import OnceAMinute

NOON = datetime(2026, 7, 20, 12, tzinfo=UTC)


def test_each_thing_once_in_its_minute() -> None:
    """It happens for the first time again in the next minute, and where so much else happened that it was forgotten."""
    once = OnceAMinute()
    happened = [("a", 0), ("a", 59), ("b", 59), ("a", 60), ("b", 60), ("b", 60), ("c", 60), ("a", 60)]
    told = [once.is_first(what, NOON + timedelta(seconds=seconds), 2) for what, seconds in happened]
    assert told == [True, False, True, True, True, False, True, True]


def test_no_more_is_remembered_than_happened_within_a_minute() -> None:
    """What happened before that takes no room."""
    once = OnceAMinute()
    remembered: list[int] = []
    for second in range(1_000):
        assert once.is_first(second, NOON + timedelta(seconds=second), 10_000)
        remembered.append(len(once))
    assert max(remembered) == 60

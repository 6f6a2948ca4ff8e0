"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.wording.durations import DAY, Durations, duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4h", 14_400),
        ("90m", 5_400),
        ("1d 12h", 129_600),
        ("1d12h30m15s", 131_415),
        (" 2H ", 7_200),
        ("60s", 60),
        ("0h", 0),
        ("", None),
        ("4", None),
        ("h", None),
        ("-4h", None),
        ("4h 1d", None),
        ("1.5h", None),
        ("\N{ARABIC-INDIC DIGIT FOUR}h", None),
        ("99999999999s", None),
    ],
)
def test_a_duration_is_days_hours_minutes_and_seconds(text: str, seconds: int | None) -> None:
    """Units in this order, each at most once; anything else is none."""
    assert parse_duration(text) == seconds


@given(st.integers(0, 99_999_999))
def test_a_duration_that_is_told_is_one_that_can_be_written(seconds: int) -> None:
    """Whoever copies what a message says gets what it meant."""
    assert parse_duration(duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("59s", None), ("1m", 60), ("2d", 2 * DAY), ("48h 1s", None), ("soon", None)],
)
def test_a_duration_is_held_to_its_bounds(text: str, seconds: int | None) -> None:
    """Both bounds are allowed; outside them there is none."""
    assert Durations(60, 2 * DAY, "1h").seconds(text) == seconds


def test_a_wrong_duration_is_told_with_its_bounds_and_examples() -> None:
    """The message has what is allowed, what that looks like, and what is there."""
    assert (
        Durations(60, 3660 * DAY, "90m or 12h").fault("ttl", "'soon'")
        == "ttl must be a duration from 1m to 3660d, such as 90m or 12h, but is 'soon'"
    )
    assert str(Durations(0, DAY, "15m")) == "up to 1d"

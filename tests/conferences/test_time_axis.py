"""The axis of a call's picture: what is long and silent takes little room, and all else can be told apart."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.time_axis import axis_of

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def moments(*seconds: float) -> list[datetime]:
    """So many seconds after noon."""
    return [NOON + timedelta(seconds=each) for each in seconds]


@pytest.mark.parametrize(
    ("seconds", "left_out"),
    [
        pytest.param((0,), [], id="one moment"),
        pytest.param((0, 2, 12, 16, 48), [], id="a short call"),
        pytest.param((0, 1800), [], id="nothing but a silence"),
        pytest.param((0, 7200, 7202, 7212, 7260), [7200], id="a link made long before"),
        pytest.param((0, 2, 12, 16, 1816, 1817), [1800], id="a long talk"),
        pytest.param((0, 2, 12, 212, 492, 792), [200, 280, 300], id="silences of about one length"),
        pytest.param((0, 50, 55), [], id="a silence of less than a minute"),
        pytest.param((0, 100, 200, 300), [], id="silences alone"),
    ],
)
def test_long_silences_are_left_out(seconds: tuple[float, ...], left_out: list[float]) -> None:
    """A silence that is out of proportion is a break, and so is every longer one."""
    assert [each for _, _, each in axis_of(moments(*seconds)).breaks] == left_out


def test_what_is_between_silences_has_room() -> None:
    """Fifteen seconds of dialling before half an hour of talk have most of the axis."""
    axis = axis_of(moments(0, 2, 12, 16, 1816))
    assert axis.place(NOON + timedelta(seconds=16)) > 0.5
    assert axis.place(NOON) == 0.0
    assert axis.place(NOON + timedelta(seconds=900)) == axis.place(NOON + timedelta(seconds=16))
    assert axis.place(NOON + timedelta(hours=3)) == axis.place(NOON + timedelta(seconds=1816))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        pytest.param((0, 48), ["12:00:00", "12:00:10", "12:00:20", "12:00:30", "12:00:40"], id="seconds"),
        pytest.param((3, 49), ["12:00:10", "12:00:20", "12:00:30", "12:00:40"], id="round ones"),
        pytest.param((0, 1, 600), ["12:00:00", "12:00:01", "12:10:00"], id="a break"),
        pytest.param(
            (-7200, 0, 20), ["10:00:00", "12:00:00", "12:00:05", "12:00:10", "12:00:15", "12:00:20"], id="both"
        ),
    ],
)
def test_ticks_are_round(seconds: tuple[float, ...], told: list[str]) -> None:
    """Moments at the axis are round on the clock that is shown, and a moment alone is told as it is."""
    axis = axis_of(moments(*seconds))
    assert [f"{tick.at:%H:%M:%S}" for tick in axis.ticks(UTC)] == told


@given(st.lists(st.floats(-1e7, 1e7, allow_nan=False), min_size=1, max_size=60))
def test_an_axis_keeps_the_order(seconds: list[float]) -> None:
    """Whatever the moments, they lie on the axis, in their order, those that differ apart; its pieces do not overlap."""
    times = sorted(moments(*seconds))
    axis = axis_of(times)
    places = [axis.place(at) for at in times]
    assert 0.0 <= places[0] <= places[-1] <= 1.0
    assert all(first <= second for first, second in pairwise(places))
    assert all(before.left <= before.right <= after.left for before, after in pairwise(axis.pieces))
    assert axis.pieces[-1].right == 1.0
    assert len(axis.breaks) == len(axis.pieces) - 1
    assert all(0.0 <= tick.place <= 1.0 for tick in axis.ticks(UTC))
    assert len(list(axis.ticks(UTC))) <= 2 * len(axis.pieces) + 12


@pytest.mark.parametrize(
    ("begin", "minutes", "told"),
    [
        pytest.param("2027-03-28T00:50", 20, "01:50 01:55 03:00 03:05 03:10", id="an hour is left out"),
        pytest.param("2027-10-31T00:50", 20, "02:50 02:55 02:00 02:05 02:10", id="an hour comes twice"),
        pytest.param("2027-10-31T01:05", 10, "02:06 02:08 02:10 02:12 02:14", id="within its second time"),
        pytest.param(
            "2027-03-27T20:00", 960, "22:00 00:00 04:00 06:00 08:00 10:00 12:00 14:00", id="what is not there"
        ),
        pytest.param("2027-10-30T10:00", 2160, "12:00 18:00 00:00 06:00 12:00 18:00", id="a longer day"),
        pytest.param("2027-03-26T22:00", 7200, "00:00 00:00 00:00 00:00 00:00 00:00", id="days"),
        pytest.param("2027-03-20T23:00", 43_200, "00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00", id="a month"),
    ],
)
def test_ticks_are_round_when_the_clock_changes(begin: str, minutes: int, told: str) -> None:
    """Each is what the clock shows there, which is put back and forward in two nights of the year."""
    first = datetime.fromisoformat(f"{begin}+00:00")
    axis, oslo = axis_of((first, first + timedelta(minutes=minutes))), ZoneInfo("Europe/Oslo")
    assert " ".join(f"{tick.at.astimezone(oslo):%H:%M}" for tick in axis.ticks(oslo)) == told


@given(
    st.sampled_from(("Europe/Oslo", "America/Chicago", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata")),
    st.integers(0, 365 * 24 * 60).map(lambda minutes: NOON + timedelta(minutes=minutes)),
    st.integers(1, 400_000),
)
def test_ticks_follow_each_other(zone: str, begin: datetime, seconds: int) -> None:
    """In no night of the year one is before another, or outside of what is shown, and they are not more than can be read."""
    end = begin + timedelta(seconds=seconds)
    ticks = [tick.at for tick in axis_of((begin, end)).ticks(ZoneInfo(zone))]
    assert all(earlier < later for earlier, later in pairwise([begin - timedelta.resolution, *ticks]))
    assert ticks[-1] <= end
    assert len(ticks) <= 12

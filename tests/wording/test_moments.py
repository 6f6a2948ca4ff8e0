"""Times as people say them and as programs read them."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy_server.wording.moments import parse_said, to_the_millisecond

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
"""Still the 22nd in Chicago."""
CHICAGO = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("14:05", "2026-11-22T14:05:00-06:00", id="a time of day is today's there"),
        pytest.param(" 9:05 ", "2026-11-22T09:05:00-06:00", id="without a zero"),
        pytest.param("9:05:30", "2026-11-22T09:05:30-06:00", id="with seconds"),
        pytest.param("2026-07-01", "2026-07-01T00:00:00-05:00", id="a day, in summer"),
        pytest.param("2026-11-23 14:05", "2026-11-23T14:05:00-06:00", id="both"),
        pytest.param("2026-11-23T14:05:00Z", "2026-11-23T14:05:00+00:00", id="with an offset"),
        pytest.param("yesterday", None, id="a word"),
        pytest.param("25:00", None, id="no hour"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_time_is_read_by_the_clock_of_a_place(text: str, expected: str | None) -> None:
    """What has no offset is by that clock."""
    found = parse_said(text, NOW, CHICAGO)
    assert (found.isoformat() if found is not None else None) == expected


def test_without_a_place_it_is_this_machines() -> None:
    """As `date` prints it."""
    found = parse_said("2026-11-23T14:05", NOW, None)
    assert found == datetime(2026, 11, 23, 14, 5).astimezone()


_ZONES = st.none() | st.just(UTC) | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))


@given(moment=st.datetimes(timezones=_ZONES))
@example(moment=datetime(2026, 11, 23, 10, 0, 0, 999, tzinfo=UTC))
@example(moment=datetime(1, 1, 1, tzinfo=UTC))
def test_a_moment_is_written_as_the_standard_library_writes_it(moment: datetime) -> None:
    """In UTC and elsewhere, with any fraction of a second and without one."""
    assert to_the_millisecond(moment) == moment.isoformat(timespec="milliseconds")

"""Strips of the last hours: bars that are as high as what they count, and the same in numbers."""

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from policy_server.web.admin.strips import BARS, HEIGHT, MINUTES_OF_BAR, WIDTH, Piece, Series, strip_of

NOW = datetime(2026, 11, 23, 16, 7, 30, tzinfo=UTC)
THIS = int(NOW.timestamp() // 60)
SERIES = {"answered": frozenset({"answered"}), "failed": frozenset({"busy", "rejected"})}
KINDS = {"answered": "good", "failed": "bad"}


def test_a_strip_is_drawn_and_told() -> None:
    """The latest five minutes are at the right, the highest bar fills the height, and hours add up in the table."""
    counts = Counter(
        {
            ("answered", THIS): 3,
            ("busy", THIS - 1): 1,
            ("rejected", THIS - 4): 2,
            ("elsewhere", THIS): 9,
            ("busy", 5): 7,
        }
    )
    strip = strip_of("Legs", counts, SERIES, KINDS, NOW)
    last = (BARS - 1) * WIDTH
    assert strip.pieces == (
        Piece("bad", last - WIDTH, 50.0, 50.0),
        Piece("good", last, 25.0, 75.0),
        Piece("bad", last, 0.0, 25.0),
    )
    assert strip.series == (Series("answered", "good", 3), Series("failed", "bad", 3))
    assert (strip.total, strip.highest) == (6, 4)
    assert strip.rows[0] == ("15:10", (3, 3))
    assert strip.rows[-1] == ("10:10", (0, 0))
    assert [name for _, name in strip.hours] == ["11:00", "12:00", "13:00", "14:00", "15:00", "16:00"]
    assert strip.words == "Legs in the last six hours: 3 answered, 3 failed; at the most 4 in five minutes."


def test_a_strip_of_nothing() -> None:
    """Where nothing happened nothing is drawn, and that is said."""
    strip = strip_of("Legs", Counter(), SERIES, KINDS, NOW)
    assert (strip.pieces, strip.words) == ((), "Legs: none in the last six hours.")


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["answered", "busy", "rejected", "else"]), st.integers(THIS - 400, THIS + 10)),
        st.integers(1, 10**6),
    )
)
def test_nothing_is_lost_and_nothing_hangs_over(found: dict[tuple[str, int], int]) -> None:
    """Whatever is counted: bars are within the picture, one does not cover another, and all sums agree."""
    strip = strip_of("Legs", Counter(found), SERIES, KINDS, NOW)
    first = (THIS // MINUTES_OF_BAR - BARS + 1) * MINUTES_OF_BAR
    after = first + BARS * MINUTES_OF_BAR
    within = sum(count for (word, minute), count in found.items() if word != "else" and first <= minute < after)
    assert strip.total == within == sum(each.total for each in strip.series)
    assert within == sum(sum(numbers) for _, numbers in strip.rows)
    filled: Counter[int] = Counter()
    for piece in strip.pieces:
        assert 0 <= piece.x <= (BARS - 1) * WIDTH
        assert -0.1 <= piece.y <= piece.y + piece.height <= HEIGHT + 0.1
        filled[piece.x] += 1
        assert filled[piece.x] <= len(SERIES)

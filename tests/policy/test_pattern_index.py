"""The index of expressions names all that match, and hardly any other, however many there are."""

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.pexip.aliases import bare_alias
from policy_server.policy.certain_text import certain_texts
from policy_server.policy.pattern_index import FEW, SET_SIZE, PatternIndex
from policy_server.policy.patterns import PatternError, compile_pattern
from tests.policy.strategies import Expression, expressions


def _joined(parts: list[Expression]) -> Expression:
    return Expression("".join(part.text for part in parts), "".join(part.sample for part in parts))


def _compiles(written: Expression) -> bool:
    try:
        compile_pattern(written.text, ignore_case=True)
    except PatternError:
        return False
    return True


_WORDS = st.sampled_from(["desk", r"desk\.video", "Kiosk-1", "tenant"]).map(
    lambda text: Expression(text, text.replace("\\", ""))
)
wordy = st.lists(_WORDS | expressions(), min_size=1, max_size=4).map(_joined)
"""Expressions with text of their own somewhere."""


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        (".*[.]tenant7[.].*[a-z2-7]{32}", (".tenant7.",)),
        (r"(?P<user>.+)@Video\.example\.com", ("@video.example.com",)),
        ("abcd?efg*hij+klm{2}nop{0,1}qrs*?tu", ("abc", "ef", "hi", "kl", "no", "qr", "tu")),
        ("^desk(?:a|b)+room$", ("desk", "room")),
        (r"\d\ddesk\b.", ("desk",)),
        ("[ab]desk[^c]", ("desk",)),
        ("(desk)?", ()),
        ("desk|room", ()),
        ("", ()),
        (r"\Qdesk\E", ()),
        (r"\x41desk", ()),
        (r"\pLdesk", ()),
        ("(?i)desk", ()),
        ("desk{,5}room", ()),
        ("kiosk-é", ()),
    ],
)
def test_certain_texts(text: str, texts: tuple[str, ...]) -> None:
    """Text outside groups and classes that nothing repeats is certain; of what is not read nothing is said."""
    assert certain_texts(text, ignore_case=True) == texts


@given(written=wordy.filter(_compiles), ignore_case=st.booleans())
@settings(deadline=None)
def test_what_matches_has_the_certain_texts(written: Expression, ignore_case: bool) -> None:
    """A value that an expression matches holds each of them, folded as values are."""
    value = bare_alias(written.sample) if ignore_case else written.sample
    if re2.fullmatch(f"(?i){written.text}" if ignore_case else written.text, value) is not None:
        assert compile_pattern(written.text, ignore_case=ignore_case).match(value) is not None
        assert all(text in value for text in certain_texts(written.text, ignore_case=ignore_case))


@given(
    written=st.lists(expressions() | wordy.filter(_compiles), min_size=1, max_size=12),
    ignore_case=st.booleans(),
    other=st.text(max_size=4),
)
@settings(deadline=None)
def test_index_leaves_no_match_out(written: list[Expression], ignore_case: bool, other: str) -> None:
    """Whatever an expression matches, the index names it: compared with RE2 itself, for each text of any of them."""
    patterns = [compile_pattern(expression.text, ignore_case=ignore_case) for expression in written]
    index = PatternIndex((pattern, number) for number, pattern in enumerate(patterns))
    for text in (other, *(expression.sample for expression in written)):
        value = bare_alias(text) if ignore_case else text
        flag = "(?i)" if ignore_case else ""
        matching = {number for number, expression in enumerate(written) if re2.fullmatch(flag + expression.text, value)}
        assert matching <= set(index.candidates(value))


@pytest.mark.parametrize(
    "number", [1, FEW, FEW + 1, SET_SIZE, 2 * SET_SIZE + 1], ids=["one", "few", "more", "many", "several sets"]
)
@pytest.mark.parametrize("form", ["desk-{}", "desk-{}x?", ".*-{}", ".*desk-{}x?", "(?i)desk-{}", r"\Qdesk-{}"])
def test_index_of_any_size(number: int, form: str) -> None:
    """By their own text, one by one or in sets, the pattern that matches is found, and hardly another."""
    patterns = [compile_pattern(form.format(place), ignore_case=True) for place in range(number)]
    found = PatternIndex((pattern, place) for place, pattern in enumerate(patterns)).candidates(f"desk-{number - 1}")
    assert number - 1 in found
    assert len(found) <= 2 * FEW
    # Beyond a few, patterns without text of their own are in sets, which name no other.
    if number > FEW and form.startswith(("(?i)", r"\Q")):
        assert list(found) == [number - 1]


def test_index_of_equal_patterns() -> None:
    """Rules that share an expression are all named."""
    pattern = compile_pattern("mp.*", ignore_case=True)
    assert sorted(PatternIndex([(pattern, 4), (pattern, 2)]).candidates("mp1")) == [2, 4]
    assert not PatternIndex([(pattern, 4)]).candidates("hcp1")


@pytest.mark.slow
def test_index_too_large() -> None:
    """Expressions that need too much memory together are refused, and the error says what to do."""
    wide = [compile_pattern(f".*{letter}.{{900}}.*", ignore_case=False) for letter in "abcdefghijklmnopqrstuvwxyz" * 8]
    many = [compile_pattern(f".*{pattern.text}{place}", ignore_case=False) for place, pattern in enumerate(wide)]
    with pytest.raises(PatternError, match=r"^208 regular expressions on one parameter need more than 64 MiB together"):
        PatternIndex((pattern, place) for place, pattern in enumerate(many))

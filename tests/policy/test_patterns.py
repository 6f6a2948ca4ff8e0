"""Regular expressions are RE2's, must match the whole value, and are found again through an index."""

import time

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.policy.patterns import (
    PREFIX_LIMIT,
    SMALL,
    PatternError,
    compile_pattern,
    group_source,
)
from tests.policy.strategies import Expression, expressions


@pytest.mark.parametrize(
    ("text", "ignore_case", "value", "groups"),
    [
        ("mp.*", False, "mp1", {}),
        ("mp", False, "mp1", None),
        ("p1", False, "mp1", None),
        ("MP1", True, "mp1", {}),
        ("MP1", False, "mp1", None),
        ("mp(?P<n>[0-9]+)", False, "mp42", {"n": "42"}),
        ("mp(?P<n>[0-9]+)?(?P<x>z)?", False, "mpz", {"n": "", "x": "z"}),
        ("(?P<who>.+)", False, "王 é", {"who": "王 é"}),
        ("mp(?<n>1)", False, "mp1", {"n": "1"}),
        ("a|b", False, "ab", None),
        (".", False, "\n", None),
        ("MP.*", True, "Mp1", {}),
        ("kiosk-.", True, "\N{KELVIN SIGN}iosk-1", {}),
        ("s1.*", True, "\N{LATIN SMALL LETTER LONG S}1", {}),
        ("kiosk-.", True, "k", None),
    ],
)
def test_match(text: str, ignore_case: bool, value: str, groups: dict[str, str] | None) -> None:
    """The whole value must match; named groups are given, absent ones as empty text."""
    assert compile_pattern(text, ignore_case=ignore_case).match(value) == groups


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("mp(", "missing ): mp("),
        ("[a", "missing ]: [a"),
        ("a**", "bad repetition operator: **"),
        ("a{1001}", "invalid repetition size: {1001}"),
        ("[b-a]", "invalid character class range: b-a"),
        ("mp\\", "trailing \\"),
        ("((a{100}){100}){100}", ""),
        (r"(?:\pL{500}){2}", "pattern too large"),
        (r"(?i)\W{1000}" * 20, "pattern too large"),
        ("\ud800", ""),
    ],
)
def test_errors_give_the_reason_of_re2(text: str, reason: str) -> None:
    """What RE2 refuses is refused in its words."""
    with pytest.raises(PatternError) as caught:
        compile_pattern(text, ignore_case=False)
    assert reason in str(caught.value)
    assert str(caught.value)


@pytest.mark.parametrize("length", [1, 20, SMALL])
@pytest.mark.parametrize("unit", [".", r"\W", r"[\W\s]", "[^k]", "k", "(.)", "[!-~]", "[[:^word:]]"])
def test_small_expressions_have_programs(unit: str, length: int) -> None:
    """What is only parsed when the rules load compiles when a caller meets it: as much as there may be of each."""
    group = f"(?:{unit * max(1, length // len(unit))})"
    text = f"{group}{{0,{min(1000, max(1, SMALL // (len(group) + 6)))}}}"
    assert compile_pattern(text, ignore_case=True).match("") is not None


@pytest.mark.parametrize("text", ["a(?=b)", "a(?!b)", "(?<=a)b", "(?<!a)b"])
def test_look_around_has_a_remedy(text: str) -> None:
    """Look-ahead and look-behind do not exist in RE2, and the error says what to write instead."""
    with pytest.raises(PatternError) as caught:
        compile_pattern(text, ignore_case=True)
    assert "RE2 has no look-ahead or look-behind" in str(caught.value)
    assert "write it as `not:`" in str(caught.value)


@pytest.mark.parametrize("text", [r"(a)\1", "(?P<x>a)(?P=x)"])
def test_back_references_have_a_remedy(text: str) -> None:
    """Back-references do not exist in RE2, and the error says what to write instead."""
    with pytest.raises(PatternError) as caught:
        compile_pattern(text, ignore_case=True)
    assert str(caught.value).endswith("RE2 has no back-references: write the repeated part out")


@pytest.mark.parametrize(
    "text",
    [
        "(a)(?P<n>b)",
        "(?:a)(?P<n>b)",
        "(?i:a)(?i)((?<n>b))(?P<m>c)",
        r"\((?P<n>b)[(](?P<m>c)",
        r"[](](?P<n>b)[^](](?P<m>c)[[:alpha:](](?P<x>d)[\](](?P<y>e)",
        r"\(?P<n>a",
        "[(?P<n>](?P<m>b)",
        r"\Q(\E(?P<n>b)",
        "(a)(?P<1>b)(?P<m>c)",
        "(é)(?P<ñ>b)(?P<n>c)",
        r"(a)(?P<n>\pL{100})",
    ],
)
def test_groups_are_numbered_as_by_re2(text: str) -> None:
    """Counted or told by RE2, each named group has the number that matches have it by."""
    assert compile_pattern(text, ignore_case=False).groups == re2.compile(text).groupindex


@pytest.mark.parametrize("text", ["mp(?P<s>.)|hcp(?P<s>.)", "(?P<s>a)(?<s>b)"])
def test_group_named_twice(text: str) -> None:
    """Of two groups with one name RE2 would fill only the first, so the second is refused."""
    with pytest.raises(PatternError, match=r"named group 's' stands twice.*list of expressions"):
        compile_pattern(text, ignore_case=False)


def test_linear_time() -> None:
    """The classic bomb for backtracking engines takes no time."""
    pattern = compile_pattern("(a*)*b", ignore_case=False)
    started = time.process_time()
    assert pattern.match("a" * 10_000) is None
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "ignore_case", "literal"),
    [
        ("mp1", False, "mp1"),
        ("MP1", True, "mp1"),
        ("MP1", False, "MP1"),
        (r"a\.b\-c", False, "a.b-c"),
        (r"kiosk-1@video\.example\.com", True, "kiosk-1@video.example.com"),
        ("zoë", False, "zoë"),
        ("zoë", True, None),
        ("a.b", False, None),
        ("ab?", False, None),
        ("a|b", False, None),
        (r"\d", False, None),
        (r"\Qab\E", False, None),
        ("(?i)ab", False, None),
        ("", False, None),
    ],
)
def test_literals(text: str, ignore_case: bool, literal: str | None) -> None:
    """An expression that matches one text is known by it, in lower case where case does not count."""
    assert compile_pattern(text, ignore_case=ignore_case).literal == literal


@pytest.mark.parametrize(
    ("text", "ignore_case", "prefix"),
    [
        ("mp(?P<session>[a-z2-7]{32})", False, "mp"),
        ("MP.*", True, "mp"),
        ("MP.*", False, "MP"),
        ("mpx*", False, "mp"),
        ("mpx?", False, "mp"),
        ("mpx+", False, "mp"),
        ("mpx{2}", False, "mp"),
        (r"a\.b.*", False, "a.b"),
        (r"a\.?b", False, "a"),
        (r"ab\d", False, "ab"),
        ("ab|ac", False, ""),
        ("a(b|c)", False, "a"),
        ("a[|]b", False, "a"),
        (r"a\|b.", False, "a|b"),
        ("zoë.*", False, "zoë"),
        ("zoë.*", True, "zo"),
        ("(?i)ab.*", False, ""),
        ("^ab", False, ""),
        ("ab(?i)*c.", False, "a"),
        ("ab(?-s)(?i)*c.", False, "a"),
        (".*ab", False, ""),
        ("x" * 40 + ".", False, "x" * PREFIX_LIMIT),
        (r"x\Q(\Ea|b", False, ""),
        (r"x[\](]a|b", False, ""),
        ("x[](]a|b", False, ""),
        ("x[^](]a|b", False, ""),
        ("x[[:alpha:](]a|b", False, ""),
        (r"x\(a|b", False, ""),
        ("mp1", False, "mp1"),
    ],
)
def test_prefixes(text: str, ignore_case: bool, prefix: str) -> None:
    """Every match begins with the prefix; where that is not plain to see there is none."""
    assert compile_pattern(text, ignore_case=ignore_case).prefix == prefix


@given(expression=expressions(), ignore_case=st.booleans())
@settings(deadline=None)
def test_matches_begin_with_the_prefix(expression: Expression, ignore_case: bool) -> None:
    """A text that matches begins with the prefix, and is the literal if there is one; groups are those of RE2."""
    pattern = compile_pattern(expression.text, ignore_case=ignore_case)
    assert pattern.groups == re2.compile(expression.text).groupindex
    sample = expression.sample.lower() if ignore_case else expression.sample
    if re2.fullmatch(f"(?i){expression.text}" if ignore_case else expression.text, sample):
        assert sample.startswith(pattern.prefix)
        assert pattern.literal in {None, sample}
        assert pattern.match(sample) is not None
    elif not ignore_case:
        pytest.fail("RE2 does not match the sample")


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        ("mp(?P<session>[a-z2-7]{32})", "session", "[a-z2-7]{32}"),
        ("mp(?<session>.)", "session", "."),
        ("(?P<a>x)(?P<b>y|z)", "b", "y|z"),
        (r"(?P<a>\)[)\]](x))y", "a", r"\)[)\]](x)"),
        ("(?P<a>x(?P<b>y)z)", "a", "x(?:y)z"),
        ("(?P<a>[[:alpha:])])z", "a", "[[:alpha:])]"),
        ("(?P<a>)z", "a", ""),
        ("mp.*", "session", None),
        ("(session)", "session", None),
    ],
)
def test_group_source(text: str, name: str, source: str | None) -> None:
    """The expression inside a named group is cut out whole, names inside it dropped."""
    assert group_source(text, name) == source

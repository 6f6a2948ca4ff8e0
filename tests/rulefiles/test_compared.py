"""Expressions that can match no alias in its compared form are found, whatever the reason, and no others."""

import re

import pytest
from hypothesis import given, settings

from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.query import clean
from policy_server.policy.patterns import PatternError, compile_pattern
from policy_server.rulefiles.compared import REASONS, why_never
from tests.policy.strategies import Expression, aliases, expressions

OURS = frozenset({"video.example.com", "example.org"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sip:.*", "scheme"),
        ("(sips?|h323):x", "scheme"),
        ("^(?:sip:)+x$", "scheme"),
        ("(?i)SIP:mp(?P<session>[a-z2-7]{32})", "scheme"),
        (r"\+1\d+;phone-context=.*", "parameters"),
        (r"(?P<user>[^@]+)@(?P<dom>[^;]+);gruu;opaque=app:conf:focus:id:(?P<id>[a-z0-9]+)", "parameters"),
        (r"meet\?x=1", "parameters"),
        (".*[;?].*", "parameters"),
        (r"\pL+\x3b", "parameters"),
        ("[[:alpha:]]{2,3};", "parameters"),
        (r"meet@example\.net:5060", "port"),
        (r"[^@:]+@[^@:]+:\d{2,4}", "port"),
        (r"(?P<x>.+)@video\.example\.com", "domain"),
        (r"(a|b)@example\.org", "domain"),
        ("team-a@example.org", "domain"),
        ("(?P<x>.+)@video.example.com", "domain"),
        ("[^@]+@(example.org|video.example.com)", "domain"),
        (" meet", "blanks"),
        (r"meet\s+", "blanks"),
        ("(?-i:ABC)", "case"),
        (r"\x07a", "controls"),
        (r"a\ta", "controls"),
    ],
)
def test_what_can_never_match_is_told_with_its_reason(text: str, reason: str) -> None:
    """The reason names what the compared form lacks."""
    assert why_never(compile_pattern(text, ignore_case=True), OURS) == REASONS[reason]


def test_two_reasons_at_once() -> None:
    """Where leaving one thing out would not help, all are named."""
    assert "scheme, parameters, port" in why_never(compile_pattern("sip:a@b:5060", ignore_case=True), OURS)


@pytest.mark.parametrize(
    "text",
    [
        ".*",
        "MEET",
        "tel:.*",
        "a:5060",
        ".*:5060",
        "sips?",
        "sip:?x",
        r"meet\s*",
        "(sip:)?meet(;.*)?",
        "x|sip:y",
        r"meet(@video\.example\.com)?",
        r"meet@video\.example\.com\.au",
        "meet@(video.example.com|elsewhere.example)",
        "meet(@video.example.com)?",
        r"meet@example\.net:\d+",
        r"\Qsip:\E.*",
        "[^;]+",
        "(?i:K)ey@there",
        r"\PL:",
        "a{0}b",
        "(?s).+:x",
    ],
)
def test_what_may_match_is_left_alone(text: str) -> None:
    """An expression that some alias matches, or that is not understood, gives no warning."""
    assert why_never(compile_pattern(text, ignore_case=True), OURS) == ""


@given(expression=expressions() | aliases.map(lambda text: Expression(re.escape(text), text)), alias=aliases)
@settings(deadline=None)
def test_no_false_alarm(expression: Expression, alias: str) -> None:
    """Whatever matches an alias in its compared form is never said to match none."""
    try:
        pattern = compile_pattern(expression.text, ignore_case=True)
    except PatternError:
        return
    compared = (normalise_alias(clean(text), OURS) for text in (expression.sample, alias))
    if any(text and pattern.match(text) is not None for text in compared):
        assert why_never(pattern, OURS) == ""

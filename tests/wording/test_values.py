"""How a message shows a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.wording.values import shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("clinic", "'clinic'", id="text"),
        pytest.param(r"kiosk-\d+", r"'kiosk-\d+'", id="a backslash stays one"),
        pytest.param("it's", '"it\'s"', id="a quote inside"),
        pytest.param("a\nb\x1b[31m\u202e\ud800", r"'a\nb\x1b[31m\u202e\ud800'", id="control characters"),
        pytest.param("Zoë 🎥", "'Zoë 🎥'", id="letters of any language"),
        pytest.param("x" * 60, f"'{'x' * 60}'", id="60 characters"),
        pytest.param("x" * 61, f"'{'x' * 59}…'", id="61 characters"),
        pytest.param("\x07" * 50, "'" + r"\x07" * 14 + "…'", id="escapes are not cut in two"),
        pytest.param(True, "true", id="true"),
        pytest.param(False, "false", id="false"),
        pytest.param(None, "empty", id="nothing"),
        pytest.param(1.5, "1.5", id="a number"),
        pytest.param(10**5000, "a number of more than 60 digits", id="an enormous number"),
        pytest.param([1], "a list", id="a list"),
        pytest.param({"a": 1}, "a mapping", id="a mapping"),
    ],
)
def test_a_value_is_shown_as_an_admin_wrote_it(value: object, expected: str) -> None:
    """Text is quoted, escaped and cut; everything else looks as in YAML."""
    assert shown(value) == expected


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])) | st.text(min_size=55))
def test_shown_text_is_printable_and_short(text: str) -> None:
    """Whatever the text, a message stays on one line, encodable and within its length."""
    result = shown(text)
    assert result.isprintable()
    assert len(result) <= 62
    assert result.encode("utf-8")

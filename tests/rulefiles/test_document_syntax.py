"""Syntax errors in words for somebody who writes rules, whichever parser PyYAML has."""

import pytest
import yaml

from policy_server.rulefiles import document
from tests.requirements import leave_out

FAULTS = [
    pytest.param("a:\n\tb: 1\n", "2:1", "there is a tab in the indentation", id="tab"),
    pytest.param("a:\n  b: 1\n \tc: 2\n", "3:2", "there is a tab in the indentation", id="tab after space"),
    pytest.param("a: 1\nb: 'x\nc: 1\n", "2:4", """the quote "'" that opens here is never closed""", id="quote"),
    pytest.param('a: "x\n---\n"', "1:4", "the quote '\"' that opens here is never closed", id="quote and document"),
    pytest.param("a: 'it's'\n", "1:8", "there is text after a closing quote", id="quote inside quotes"),
    pytest.param("- a\n-b\n- c\n", "2:1", "there is no ': ' after this key", id="no space after dash"),
    pytest.param("a: 1\nb\n", "2:1", "there is no ': ' after this key", id="no colon"),
    pytest.param("a:1\nb: 2\n", "2:1", "this key cannot be here", id="no space after colon"),
    pytest.param("a: 1\n  b: 2\n", "2:3", "this key cannot be here", id="indented too far"),
    pytest.param("name: Ada: desk\n", "1:10", "a text that contains ': ' must be in quotes", id="colon in value"),
    pytest.param("x: 1\na:\n  b: 1\n c: 2\n", "4:2", "(this one begins in line 1)", id="key column"),
    pytest.param("a:\n  - b\nc:\n  - d\n - e\n", "5:2", "this line does not fit", id="list column"),
    pytest.param("- a\nb: 1\n", "2:1", "the items of one list (this one begins in line 1)", id="key in list"),
    pytest.param("a: [1, 2\nb: 3\n", "1:4", "the bracket '[' that opens here is not closed", id="bracket"),
    pytest.param("a: {x: 1\nb: 3\n", "1:4", "the bracket '{' that opens here is not closed", id="brace"),
    pytest.param("a: [1,\n", "1:4", "the bracket that opens here is never closed", id="bracket at the end"),
    pytest.param("a: [1, 2]]\n", "1:10", "no bracket is open that this ']' could close", id="bracket too many"),
    pytest.param("a: }\n", "1:4", "a value is missing here, before '}'", id="no value"),
    pytest.param("a: @x\n", "1:4", "a text cannot begin with '@' unless it is in quotes", id="at sign"),
    pytest.param("a: %x\n", "1:4", "a text cannot begin with '%' unless it is in quotes", id="percent sign"),
    pytest.param("a: - b\n", "1:4", "a list cannot begin here", id="list beside key"),
    pytest.param("a: ? b\n", "1:4", "a text that begins with '? ' must be in quotes", id="question mark"),
    pytest.param("a: *.example.com\n", "1:4", "a text that begins with '*' must be in quotes", id="star"),
    pytest.param("a: &.\n", "1:4", "a text that begins with '&' must be in quotes", id="ampersand"),
    pytest.param("a: |x\n  y\n", "1:4", "after '|' or '>' the text must begin on the next line", id="block"),
    pytest.param("a: !<> b\n", "1:4", "a text that begins with '!' must be in quotes", id="exclamation mark"),
    pytest.param("a: !x!y z\n", "1:4", "a text that begins with '!' must be in quotes", id="tag handle"),
    pytest.param("%YAML 2.0\n---\na\n", "1:1", "this is not YAML: found incompatible YAML", id="another YAML"),
    pytest.param("{a: 1}\n}\n", "2:1", "the document has ended before this line", id="after the end"),
]


@pytest.mark.parametrize(("text", "place", "message"), FAULTS)
@pytest.mark.parametrize("loader", [yaml.Loader, pytest.param(getattr(yaml, "CLoader", None), id="CLoader")])
def test_a_syntax_error_says_what_to_write_where(
    monkeypatch: pytest.MonkeyPatch, loader: type, text: str, place: str, message: str
) -> None:
    """Every usual slip has its own words, at the place where an admin must change something."""
    if loader is None:
        leave_out("this PyYAML was built without libyaml: pip install the wheel of PyYAML")
    monkeypatch.setattr(document, "_LOADER", loader)
    node, problems = document.parse_document("a.yaml", text.encode())
    assert node is None
    assert [str(problem).split(" ")[0] for problem in problems] == [f"a.yaml:{place}:"]
    assert message in problems[0].message


@pytest.mark.parametrize(
    ("text", "escape"),
    [
        pytest.param(r'a: "kiosk-\d+"', r"'\d'", id="unknown"),
        pytest.param(r'a: "\x4"', r"'\x'", id="too few digits"),
    ],
)
def test_a_backslash_in_double_quotes_is_explained(text: str, escape: str) -> None:
    """A regular expression in double quotes is the most usual slip of all: the message says single quotes."""
    _, problems = document.parse_document("a.yaml", text.encode())
    assert [problem.message for problem in problems] == [
        f"in double quotes a backslash begins an escape, and {escape} is none; write the text in single quotes, "
        "where a backslash is just a backslash (best for regular expressions), or write \\\\ for each"
    ]

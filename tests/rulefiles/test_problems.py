"""What messages to admins look like."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.rulefiles.problems import Place, Problem, Severity, nearest, one_of, shown, unknown_key

TRUNKS = ("clinic", "clinic-backup")
MANY = [f"trunk-{number:02}" for number in range(43)]


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        pytest.param(
            Problem(
                Place("rules/genesys.yaml", 14, 7),
                Severity.ERROR,
                one_of("trunk", TRUNKS, "clinc"),
                "patient",
            ),
            "rules/genesys.yaml:14:7: error: rule 'patient': trunk must be one of 'clinic', 'clinic-backup' "
            "but is 'clinc' (did you mean 'clinic'?)",
            id="in a rule",
        ),
        pytest.param(
            Problem(Place("rules/genesys.yaml", 3, 1), Severity.WARNING, "trunk 'x' is not used"),
            "rules/genesys.yaml:3:1: warning: trunk 'x' is not used",
            id="outside a rule",
        ),
        pytest.param(
            Problem(Place("rules/genesys.yaml"), Severity.ERROR, "the file is too large"),
            "rules/genesys.yaml: error: the file is too large",
            id="the whole file",
        ),
    ],
)
def test_a_problem_is_told_on_one_line_with_its_place(problem: Problem, text: str) -> None:
    """A problem reads file:line:column, severity, rule, message; what it has not is left out."""
    assert str(problem) == text


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        pytest.param(
            Problem(Place("a.yaml", 2, 3), Severity.WARNING, "odd", "patient"),
            {
                "file": "a.yaml",
                "line": 2,
                "column": 3,
                "severity": "warning",
                "rule": "patient",
                "message": "odd",
            },
            id="in a rule",
        ),
        pytest.param(
            Problem(Place("a.yaml"), Severity.ERROR, "bad"),
            {
                "file": "a.yaml",
                "line": None,
                "column": None,
                "severity": "error",
                "rule": None,
                "message": "bad",
            },
            id="the whole file",
        ),
    ],
)
def test_a_problem_as_json_has_null_for_what_it_has_not(problem: Problem, expected: dict[str, object]) -> None:
    """A machine finds the same keys in every problem."""
    assert json.loads(json.dumps(problem.as_json())) == expected


def test_places_sort_as_an_admin_reads() -> None:
    """Places sort by file, then by line and column as numbers, the whole file first."""
    ordered = [Place("a", 0, 0), Place("a", 2, 9), Place("a", 2, 10), Place("a", 10, 1), Place("b", 1, 1)]
    assert sorted(set(ordered)) == ordered


@pytest.mark.parametrize(
    ("word", "words", "expected"),
    [
        pytest.param("clinc", TRUNKS, "clinic", id="a letter missing"),
        pytest.param("CLINIC", TRUNKS, "clinic", id="other case"),
        pytest.param("telehelth", ("Telehealth", "Default"), "Telehealth", id="the word's own case is kept"),
        pytest.param("clinic-bakcup", TRUNKS, "clinic-backup", id="letters swapped"),
        pytest.param("reception", TRUNKS, None, id="nothing near"),
        pytest.param("host", ("chair", "guest"), "chair", id="Pexip's word for a role"),
        pytest.param("Audio-only", ("video", "video-only", "audio"), "audio", id="Pexip's word for a call type"),
        pytest.param("H.323", ("sip", "h323"), "h323", id="a protocol as people write it"),
        pytest.param("host", TRUNKS, None, id="Pexip's word where no value is meant by it"),
        pytest.param("", TRUNKS, None, id="no word"),
        pytest.param("clinic", (), None, id="no words"),
        pytest.param("c" * 101, ("c" * 102,), None, id="too long to compare"),
    ],
)
def test_the_nearest_word_is_one_that_was_probably_meant(
    word: str, words: tuple[str, ...], expected: str | None
) -> None:
    """A slip of the finger finds the word; an unrelated word finds none."""
    assert nearest(word, words) == expected


def test_the_nearest_of_very_many_words_is_sought_among_the_first_thousand() -> None:
    """A message never costs a comparison with every name of a huge file."""
    words = iter([f"{number:04}" for number in range(1_000)] + ["clinic"] * 1_000)
    assert nearest("clinc", words) is None
    assert len(list(words)) == 1_000


@pytest.mark.parametrize(
    ("words", "value", "message"),
    [
        pytest.param(TRUNKS, "reception", "must be one of 'clinic', 'clinic-backup' but is 'reception'", id="far"),
        pytest.param(TRUNKS, 5, "must be one of 'clinic', 'clinic-backup' but is 5", id="a number"),
        pytest.param(TRUNKS, None, "must be one of 'clinic', 'clinic-backup' but is empty", id="nothing"),
        pytest.param(["clinic"], "x", "must be 'clinic' but is 'x'", id="one word"),
        pytest.param([], "x", "is 'x' but there is none to choose from", id="no words"),
        pytest.param(
            iter(MANY),
            "trnk-42",
            f"must be one of {', '.join(repr(word) for word in MANY[:12])}, … 31 more but is 'trnk-42' "
            "(did you mean 'trunk-42'?)",
            id="many words",
        ),
        pytest.param(
            MANY[:12],
            "x",
            f"must be one of {', '.join(repr(word) for word in MANY[:12])} but is 'x'",
            id="twelve words",
        ),
    ],
)
def test_one_of_names_the_allowed_words_the_value_and_the_nearest(
    words: list[str], value: object, message: str
) -> None:
    """The message has what is allowed (twelve words at most), what is there, and what was meant."""
    assert one_of("trunk", words, value) == f"trunk {message}"


@pytest.mark.parametrize(
    ("key", "known", "message"),
    [
        pytest.param(
            "trunck",
            ["display_name", "trunk"],
            "'trunck' is not a key of dial_out (did you mean 'trunk'?); it can have 'display_name', 'trunk'",
            id="near",
        ),
        pytest.param("xyz", ["trunk"], "'xyz' is not a key of dial_out; it can have 'trunk'", id="far"),
        pytest.param("xyz", [], "'xyz' is not a key of dial_out; it can have no keys", id="no keys"),
    ],
)
def test_an_unknown_key_is_told_with_the_keys_there_are(key: str, known: list[str], message: str) -> None:
    """The message has the key, where it is, the key that was meant, and every key there is."""
    assert unknown_key(key, known, "dial_out") == message


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


@given(st.text(), st.lists(st.text(), max_size=20))
def test_nearest_gives_one_of_the_words(word: str, words: list[str]) -> None:
    """The word found is one of the words, and a word that is there is always found."""
    assert nearest(word, words) in {None, *words}
    assert all((nearest(known, words) or "").lower() == known.lower() for known in words if len(known) <= 100)

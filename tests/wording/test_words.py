"""What a message says about words that may stand somewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.wording.words import listed, nearest, one_of, unknown_key

TRUNKS = ("clinic", "clinic-backup")
MANY = [f"trunk-{number:02}" for number in range(43)]


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


@given(st.text(), st.lists(st.text(), max_size=20))
def test_nearest_gives_one_of_the_words(word: str, words: list[str]) -> None:
    """The word found is one of the words, and a word that is there is always found."""
    assert nearest(word, words) in {None, *words}
    assert all((nearest(known, words) or "").lower() == known.lower() for known in words if len(known) <= 100)


@pytest.mark.parametrize(
    ("words", "text"),
    [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")],
)
def test_words_are_listed_as_in_a_sentence(words: list[str], text: str) -> None:
    """Commas, and the last word after "or"."""
    assert listed(words, "or") == text

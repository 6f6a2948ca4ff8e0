"""The directory search ranks exact before prefix before substring, and pictures belong to aliases."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.policy.directory import DirectoryEntry, build_directory

ENTRIES = (
    DirectoryEntry("front.desk@example.com", "The Desk at the entrance", "reception", "front.jpg"),
    DirectoryEntry("deskside@example.com", "Support"),
    DirectoryEntry("desk@example.com", "Reception"),
    DirectoryEntry("zoe@example.com.au", "Zoë Straße", "zoe"),
    DirectoryEntry("zoe@example.com", "Zoë", "zoe"),
)
DIRECTORY = build_directory(ENTRIES, ignore_local=False, domains=frozenset({"example.com"}))


@pytest.mark.parametrize(
    ("text", "limit", "found"),
    [
        ("desk", 10, [2, 1, 0]),
        ("DESK", 10, [2, 1, 0]),
        ("desk", 2, [2, 1]),
        ("desk", 0, []),
        ("desk@example.com", 10, [2, 0]),
        ("reception", 10, [0, 2]),
        ("the desk", 10, [0]),
        ("example", 10, [0, 1, 2, 3, 4]),
        ("zoe@example.com", 10, [4, 3]),
        ("ZOË", 10, [4, 3]),
        ("strasse", 10, [3]),
        ("", 10, [0, 1, 2, 3, 4]),
        ("", 2, [0, 1]),
        ("nobody", 10, []),
    ],
)
def test_search(text: str, limit: int, found: list[int]) -> None:
    """Exact, prefix, substring, each in the order of the files; case does not count; no text finds the first ones."""
    assert DIRECTORY.search(text, limit) == tuple(ENTRIES[number] for number in found)


@given(text=st.text(max_size=4), limit=st.integers(0, 5))
@settings(deadline=None)
def test_search_is_a_prefix_of_the_whole(text: str, limit: int) -> None:
    """A limit cuts the list and changes nothing else; every entry that is found has the text."""
    found = DIRECTORY.search(text, limit)
    assert found == DIRECTORY.search(text, 100)[:limit]
    for entry in found:
        texts = (entry.alias, entry.description, entry.username)
        assert any(text.casefold() in part.casefold() for part in texts)


def test_answer_of_an_entry() -> None:
    """An entry is answered with three texts, all present."""
    assert ENTRIES[1].answer() == {"alias": "deskside@example.com", "description": "Support", "username": ""}


def test_pictures() -> None:
    """Pictures are filed by alias in normal form; of two entries with one alias, the first picture counts."""
    entries = [
        DirectoryEntry("sip:Desk@Example.com", "", picture="first.jpg"),
        DirectoryEntry("desk", "", picture="second.jpg"),
        DirectoryEntry("desk@other.com", "", picture="third.jpg"),
        DirectoryEntry("plain", ""),
    ]
    directory = build_directory(entries, ignore_local=True, domains=frozenset({"example.com"}))
    assert directory.pictures == {"desk": "first.jpg", "desk@other.com": "third.jpg"}
    assert directory.ignore_local

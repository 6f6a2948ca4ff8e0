"""The directory search ranks exact before prefix before substring, and pictures belong to aliases."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.policy.directory import DirectoryEntry, build_directory, spellings

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


PEOPLE = (
    DirectoryEntry("jose@example.com", "José García"),
    DirectoryEntry("p1@example.com", "Jose\u0301 Garci\u0301a Núñez"),
    DirectoryEntry("p2@example.com", "Müller, Jürgen"),
    DirectoryEntry("p3@example.com", "Mueller, Ada"),
    DirectoryEntry("p4@example.com", "Muller, Eve"),
    DirectoryEntry("p5@example.com", "Søren Ærø-Łukasz"),
    DirectoryEntry("p6@example.com", "IŞIK Diyarbak\u0131r"),
    DirectoryEntry("p7@example.com", "O\u2019Brien\u00a0\u2013  Empfang"),
    DirectoryEntry("p8@example.com", "Юрий Ёлкин"),
    DirectoryEntry("p9@example.com", "受付ガイド"),
    DirectoryEntry("p10@example.com", "\uff26\uff52\uff4f\uff4e\uff54 desk"),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("garcia", [0, 1]),
        ("GARCÍA", [0, 1]),
        ("Garci\u0301a N", [1]),
        ("muller", [4, 2]),
        ("müller", [2, 3, 4]),
        ("mueller", [3, 2]),
        ("Jurgen", [2]),
        ("soren", [5]),
        ("soeren", [5]),
        ("SØREN aerø", [5]),
        ("lukasz", [5]),
        ("isik", [6]),
        ("\u0131ş\u0131k", [6]),
        ("İŞIK", [6]),
        ("diyarbakir", [6]),
        ("o'brien - empfang", [7]),
        ("елкин", [8]),
        ("ガイド", [9]),
        ("カイド", []),
        ("front", [10]),
        (" front  desk ", [10]),
    ],
)
def test_accents_do_not_count(text: str, found: list[int]) -> None:
    """People type names without the accents, or with umlauts written out; who types an accent gets that first."""
    directory = build_directory(PEOPLE, ignore_local=False, domains=frozenset())
    assert directory.search(text, 20) == tuple(PEOPLE[number] for number in found)


@given(text=st.text(max_size=8))
@settings(deadline=None)
def test_whatever_an_entry_is_called_finds_it(text: str) -> None:
    """A description finds its own entry first, in any case."""
    entry = DirectoryEntry("desk@example.com", text)
    directory = build_directory([DirectoryEntry("other", f"x{text}x"), entry], ignore_local=False, domains=frozenset())
    for typed in (text, text.upper(), text.lower(), text.casefold()):
        if any(spellings(typed)) and text:
            assert entry in directory.search(typed, 2)


@given(text=st.text(max_size=4), limit=st.integers(0, 5))
@settings(deadline=None)
def test_search_is_a_prefix_of_the_whole(text: str, limit: int) -> None:
    """A limit cuts the list and changes nothing else; every entry that is found has the text."""
    found = DIRECTORY.search(text, limit)
    assert found == DIRECTORY.search(text, 100)[:limit]
    for entry in found:
        assert any(spelling in part for spelling in spellings(text) for part in entry.typed)


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

"""The directory of registered apps: entries, ranked search, and the pictures of aliases."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from policy_server.pexip.aliases import normalise_alias

# Letters that Unicode does not take for one with an accent, and punctuation as word processors write it.
_PLAIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th"}
    | dict.fromkeys("\u2018\u2019\u02bc", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014", "-")
)
_WRITTEN_OUT: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_ACCENT: Final = re.compile("[\u0300-\u036f]")


def spellings(text: str) -> tuple[str, ...]:
    """The ways to type a text, for a search: without case and accents, and with umlauts written out if it has any.

    `Zoë Straße` is `zoe strasse`; `Müller` is `muller` and `mueller`, for both are what people type.
    """
    composed = unicodedata.normalize("NFC", text.casefold())
    return tuple(dict.fromkeys(map(_without_accents, (composed, composed.translate(_WRITTEN_OUT)))))


def _without_accents(text: str) -> str:
    bare = _ACCENT.sub("", unicodedata.normalize("NFKD", text))
    return " ".join(unicodedata.normalize("NFKC", bare).casefold().translate(_PLAIN).split())


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One contact; ``picture`` is a file of the rules folder, or ``""``."""

    alias: str
    description: str
    username: str = ""
    picture: str = ""
    written: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The texts that a search looks through, without case."""
    typed: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Every spelling of them."""

    def __post_init__(self) -> None:
        texts = [text for text in (self.alias, self.description, self.username) if text]
        object.__setattr__(self, "written", tuple(text.casefold() for text in texts))
        object.__setattr__(self, "typed", tuple(spelling for text in texts for spelling in spellings(text)))

    def answer(self) -> Mapping[str, str]:
        """The entry as Pexip wants it (pexip/README.md: Directory)."""
        return {"alias": self.alias, "description": self.description, "username": self.username}


@dataclass(frozen=True, slots=True)
class Directory:
    """The entries in the order of the files. ``ignore_local`` leaves Pexip's own results out."""

    entries: tuple[DirectoryEntry, ...]
    ignore_local: bool
    pictures: Mapping[str, str]

    def search(self, text: str, limit: int) -> tuple[DirectoryEntry, ...]:
        """Entries whose alias, description or user name is, begins with, or contains the text, in that order of rank.

        Case and accents do not count, except that of two entries of one rank the one that is written as the text is
        comes first. Without a text, the first entries of the files.
        """
        wanted, written = spellings(text), (text.casefold(),)
        ranked = ((_rank(entry.typed, wanted), _rank(entry.written, written), entry) for entry in self.entries)
        found = sorted((each for each in ranked if each[0] < _NOT_FOUND), key=lambda each: each[:2])
        return tuple(entry for _, _, entry in found[:limit])


_NOT_FOUND: Final = 3


def _rank(texts: tuple[str, ...], wanted: tuple[str, ...]) -> int:
    if any(word in ("", text, text.partition("@")[0]) for text in texts for word in wanted):
        return 0
    if any(text.startswith(wanted) for text in texts):
        return 1
    return 2 if any(word in text for text in texts for word in wanted) else _NOT_FOUND


def build_directory(entries: Iterable[DirectoryEntry], *, ignore_local: bool, domains: frozenset[str]) -> Directory:
    """Files the pictures by alias, compared as aliases are; of two entries with one alias, the first counts."""
    listed = tuple(entries)
    pictures: dict[str, str] = {}
    for entry in listed:
        if entry.picture:
            pictures.setdefault(normalise_alias(entry.alias, domains), entry.picture)
    return Directory(listed, ignore_local, pictures)

"""The directory of registered apps: entries, ranked search, and the pictures of aliases."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from policy_server.pexip.aliases import normalise_alias


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One contact; ``picture`` is a file of the rules folder, or ``""``."""

    alias: str
    description: str
    username: str = ""
    picture: str = ""

    def answer(self) -> Mapping[str, str]:
        """The entry as Pexip wants it (reference: pexip-policy-responses.md, section 13)."""
        return {"alias": self.alias, "description": self.description, "username": self.username}


@dataclass(frozen=True, slots=True)
class Directory:
    """The entries in the order of the files. ``ignore_local`` leaves Pexip's own results out."""

    entries: tuple[DirectoryEntry, ...]
    ignore_local: bool
    pictures: Mapping[str, str]

    def search(self, text: str, limit: int) -> tuple[DirectoryEntry, ...]:
        """Entries whose alias, description or user name is, begins with, or contains the text, in that order of rank.

        Case does not count. Without a text, the first entries of the files.
        """
        wanted = text.casefold()
        ranked = ((_rank(entry, wanted), entry) for entry in self.entries)
        found = sorted(((rank, entry) for rank, entry in ranked if rank is not None), key=lambda pair: pair[0])
        return tuple(entry for _, entry in found[:limit])


def _rank(entry: DirectoryEntry, wanted: str) -> int | None:
    texts = [text.casefold() for text in (entry.alias, entry.description, entry.username) if text]
    if not wanted or wanted in texts or any(text.partition("@")[0] == wanted for text in texts):
        return 0
    if any(text.startswith(wanted) for text in texts):
        return 1
    return 2 if any(wanted in text for text in texts) else None


def build_directory(entries: Iterable[DirectoryEntry], *, ignore_local: bool, domains: frozenset[str]) -> Directory:
    """Files the pictures by alias, compared as aliases are; of two entries with one alias, the first counts."""
    listed = tuple(entries)
    pictures: dict[str, str] = {}
    for entry in listed:
        if entry.picture:
            pictures.setdefault(normalise_alias(entry.alias, domains), entry.picture)
    return Directory(listed, ignore_local, pictures)

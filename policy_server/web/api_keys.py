"""API keys of the organisation's own systems (``POLICY_API_KEYS``), compared in constant time."""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final

MIN_KEY_LENGTH: Final = 20
"""Characters that a key must have at least."""

HOW_TO_MAKE_ONE: Final = "make one with python -c 'import secrets; print(secrets.token_urlsafe(32))'"

OWN: Final = "own"
"""What follows a key that is good for its own links alone."""

# Shorter than a key as we say how to make one, so that name and key the wrong way round are noticed.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
# What an Authorization header can carry after Bearer (RFC 6750, section 2.1).
_KEY: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class ApiKeysError(ValueError):
    """Keys that cannot be used; the text lists every reason, names entries by their place, and holds no secret."""


class ApiKeys:
    """Keys with their names. Several are good at once, so that they can be rotated.

    ``own`` are the names of those that see and revoke the links that they made, and no others.
    """

    __slots__ = ("_digests", "own")

    def __init__(self, keys: Mapping[str, str], own: Iterable[str] = ()) -> None:
        self.own: Final = frozenset(own)
        self._digests: Final = tuple((name, _digest(key.encode())) for name, key in keys.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKeys) and (self._digests, self.own) == (other._digests, other.own)

    def __hash__(self) -> int:
        return hash((self._digests, self.own))

    def __len__(self) -> int:
        return len(self._digests)

    def __repr__(self) -> str:
        return f"<ApiKeys {', '.join(name for name, _ in self._digests) or 'none'}>"

    def name_of(self, authorization: bytes | None) -> str | None:
        """The name of the key in an ``Authorization`` header; ``None`` when there is no good one.

        Takes the same time whichever key it is, and whether it is one.
        """
        scheme, _, given = (authorization or b"").partition(b" ")
        digest = _digest(given.strip(b" "))
        found = None
        for name, expected in self._digests:
            if compare_digest(digest, expected):
                found = name
        return found if scheme.lower() == b"bearer" else None


def parse_api_keys(text: str) -> ApiKeys:
    """Reads ``name:key,name:key``, or one ``name:key`` a line; nothing is no keys. ``:own`` may follow a key.

    Raises ApiKeysError listing everything that is wrong.
    """
    entries = [entry.strip() for entry in re.split(r"[,\n]", text) if entry.strip()]
    split = [[part.strip() for part in (*entry.split(":", 2), "", "")[:3]] for entry in entries]
    pairs = [(name, key) for name, key, _ in split]
    errors = [
        f"POLICY_API_KEYS: entry {number} of {len(pairs)} {fault}"
        for number, (name, key) in enumerate(pairs, 1)
        for fault in _faults(name, key)
    ]
    errors += [
        f"POLICY_API_KEYS: entry {number} of {len(pairs)} has a second colon; behind it there can be own alone, for a key "
        "that sees and revokes its own links and no others"
        for number, (entry, (_, _, scope)) in enumerate(zip(entries, split, strict=True), 1)
        if entry.count(":") > 1 and scope != OWN
    ]
    errors += _repeated("name", [name for name, _ in pairs])
    errors += _repeated("key", [key for _, key in pairs])
    if errors:
        raise ApiKeysError("\n".join(errors))
    return ApiKeys(dict(pairs), (name for name, _, scope in split if scope == OWN))


def _faults(name: str, key: str) -> Iterable[str]:
    if not name or not key:
        yield "must be a name, a colon and a key, such as booking:<key>; separate entries with commas"
        return
    if not _NAME.fullmatch(name):
        yield (
            "has a name that cannot be used: write up to 40 letters, digits, '.', '-' and '_' before the colon, "
            "and the key after it"
        )
    if len(key) < MIN_KEY_LENGTH:
        yield f"has a key of {len(key)} characters and needs {MIN_KEY_LENGTH} or more: {HOW_TO_MAKE_ONE}"
    elif not _KEY.fullmatch(key):
        yield (
            "has a key with characters that a header cannot carry; use letters, digits and -._~+/ only: "
            f"{HOW_TO_MAKE_ONE}"
        )


def _repeated(what: str, words: list[str]) -> Iterable[str]:
    places: dict[str, list[int]] = {}
    for number, word in enumerate(words, 1):
        places.setdefault(word, []).append(number)
    for word, numbers in places.items():
        if word and len(numbers) > 1:
            yield f"POLICY_API_KEYS: entries {', '.join(map(str, numbers))} have the same {what}; each needs its own"


def _digest(key: bytes) -> bytes:
    # Of one length, so that a comparison does not tell how long a key is.
    return sha256(key).digest()

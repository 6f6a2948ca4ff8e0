"""A call's three names, signed so that no database is needed to trust them (README.md: Names of a call).

The **session** is the customer's, the **agent key** the agents', the **call id** may be seen by all who work with calls.
Each is 32 characters of lower-case base32 (`a-z2-7`), which is exactly 20 bytes:

    bytes 0-9    the call, the same in all three names
    bytes 10-19  HMAC-SHA256 over the role of the name, bytes 0-9 and the name of the link type, the first 80 bits

    bits  0-3    version
    bits  4-7    number of the key
    bits  8-35   expiry in minutes since 1970-01-01T00:00Z
    bits 36-47   how long before the expiry the door opens, see `_SPAN_EXACT`; 0: it is open from the start
    bits 48-79   random nonce

So whoever has the key turns one name into the others, and nobody else does. Of the other 176 bits of the HMAC of the call id,
which stand in no name, come the derived PINs of the call's room.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from policy_server.light import light_dataclass

NAME_LENGTH: Final = 32
"""Characters in a name."""
NONCE_BYTES: Final = 4
"""Random bytes that `Keyring.sign` needs."""
MIN_SECRET_LENGTH: Final = 32
"""Characters (and bytes) that a secret key must have at least."""
PIN_DIGITS: Final = 8
"""Digits in a derived PIN; Pexip takes 4 to 20 (pexip/README.md: PINs)."""

_VERSION: Final = 2
_NOBODY: Final = -1
_SIGNED_BYTES: Final = 10
_SIGNATURE_BYTES: Final = 10
_NAME_BYTES: Final = 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_LAST_MINUTE: Final = (1 << 28) - 1
_LAST_EXPIRY: Final = _EPOCH + _LAST_MINUTE * _MINUTE
_HOST_PINS: Final = 10**PIN_DIGITS
_GUEST_PINS: Final = _HOST_PINS - 1

# Up to 34 hours before the expiry the minute of the opening is exact, before that the quarter of an hour.
_SPAN_EXACT: Final = 1 << 11
_SPAN_STEP: Final = 15
LONGEST_SPAN: Final = _SPAN_EXACT + (_SPAN_EXACT - 1) * _SPAN_STEP
"""Minutes that a door may be open, when it does not open at once."""

# int() reads base 32 with the digits 0-9a-v, in a tenth of the time of base64.b32decode. It also reads
# spaces, signs, underscores and capitals, so every byte outside our alphabet becomes one that it refuses.
_ALPHABET: Final = b"abcdefghijklmnopqrstuvwxyz234567"
_DIGITS: Final = b"0123456789abcdefghijklmnopqrstuv"
_TO_DIGITS: Final = bytes(_DIGITS[_ALPHABET.index(byte)] if byte in _ALPHABET else ord("!") for byte in range(256))
_LETTERS: Final = _ALPHABET.decode("ascii")
_PAIRS: Final = tuple(first + second for first in _LETTERS for second in _LETTERS)


class Role(StrEnum):
    """Whose name it is; each opens its own door alone."""

    SESSION = "session"
    """The customer's: in the link and in the customer's alias."""
    AGENT = "agent"
    """In the agent's alias, for agents who have been let in."""
    CALL = "call"
    """For people and systems: room names, the caller's name at the trunk, logs, timelines."""


# Whoever looks a member up in its class pays for the look-up of an enumeration's metaclass each time.
_CALL: Final = Role.CALL

NAMES: Final[Mapping[str, Role]] = {role.value: role for role in Role}
"""The placeholders that stand for a call's names."""


class LinkState(StrEnum):
    """What the link in an alias is worth at a given time; `absent` means that there is none."""

    VALID = "valid"
    EARLY = "early"
    EXPIRED = "expired"
    INVALID = "invalid"
    ABSENT = "absent"


_VALID: Final = LinkState.VALID

UNSIGNED: Final = frozenset({LinkState.INVALID, LinkState.ABSENT})
"""The states in which an alias belongs to no call."""


class Pins(NamedTuple):
    """The derived PINs of a room: digits only, equally long, never the same."""

    host: str
    guest: str


@light_dataclass(frozen=True, slots=True)
class Call:
    """A call that one of our keys signed, of one link type."""

    type: str
    id: str
    """The name for everybody."""
    _key: "_Key" = field(repr=False)
    _signed: bytes = field(repr=False)
    _unseen: bytes = field(repr=False, compare=False)
    """What its name for everybody leaves of the digest that signs it."""
    _names: dict[Role, str] = field(repr=False, compare=False)
    """Those of the other names that were asked for."""

    def name(self, role: Role) -> str:
        """One of the three names."""
        if role is _CALL:
            return self.id
        name = self._names.get(role)
        if name is None:
            # All names begin alike.
            signature = self._key.digest(role, self._signed, self.type)[:_SIGNATURE_BYTES]
            name = self._names[role] = self.id[: NAME_LENGTH // 2] + _written(signature)
        return name

    @property
    def session(self) -> str:
        """The customer's name."""
        return self.name(Role.SESSION)

    @property
    def agent(self) -> str:
        """The agents' name."""
        return self.name(Role.AGENT)

    @property
    def pins(self) -> Pins:
        """The derived PINs of the call's room, of the key that signed it: they outlive a change of keys."""
        return _pins(self._unseen)

    @property
    def opens_at(self) -> datetime | None:
        """When its door opens (UTC); `None` for one that is open from the start."""
        opens, _ = _minutes(self._signed)
        return None if opens is None else _EPOCH + opens * _MINUTE

    @property
    def expires_at(self) -> datetime:
        """When its door is shut (UTC)."""
        _, expires = _minutes(self._signed)
        return _EPOCH + expires * _MINUTE

    def state(self, now: datetime) -> LinkState:
        """What the call's link is worth by its times. Raises `ValueError` for a `now` without zone."""
        opens, expires = _minutes(self._signed)
        minute = _minute(now)
        if opens is not None and minute < opens:
            return LinkState.EARLY
        return _VALID if minute < expires else LinkState.EXPIRED


class Keyring:
    """The secret keys: `current` signs, `previous` ones only verify.

    Immutable. Shows key numbers (which every name carries in the clear) and never keys.
    Raises `ValueError` for keys of fewer than 32 bytes.
    """

    __slots__ = ("_by_number", "_current")

    _current: "_Key"
    _by_number: tuple[tuple["_Key", ...], ...]

    def __init__(self, current: bytes, previous: tuple[bytes, ...] = ()) -> None:
        for place, secret in enumerate((current, *previous)):
            if len(secret) < MIN_SECRET_LENGTH:
                raise ValueError(_too_short(place, len(secret), "bytes"))
        keys = [_derive_key(secret) for secret in dict.fromkeys((current, *previous))]
        # Numbers that no key has get one whose signatures nobody can make, so that refusing them is the
        # same work as refusing a forgery.
        nobody = (_derive_key(_derive(current, "nobody"))._replace(number=_NOBODY),)
        by_number = (tuple(key for key in keys if key.number == number) or nobody for number in range(16))
        object.__setattr__(self, "_current", keys[0])
        object.__setattr__(self, "_by_number", tuple(by_number))

    @classmethod
    def from_text(cls, current: str, previous: Sequence[str] = ()) -> "Keyring":
        """Make a keyring of secrets as they stand in settings; white space around them is dropped.

        Raises `ValueError`, saying how to make a key, for secrets of fewer than 32 characters.
        """
        secrets = [secret.strip() for secret in (current, *previous)]
        for place, secret in enumerate(secrets):
            if len(secret) < MIN_SECRET_LENGTH:
                raise ValueError(_too_short(place, len(secret), "characters"))
        first, *others = (secret.encode("utf-8", "surrogatepass") for secret in secrets)
        return cls(first, tuple(others))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Keyring is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Keyring is immutable: cannot delete {name!r}")

    def __repr__(self) -> str:
        numbers = {key.number for keys in self._by_number for key in keys}
        previous = sorted(numbers - {self._current.number, _NOBODY})
        return f"<Keyring signs with key {self._current.number}, also verifies {previous}>"

    def sign(self, link_type: str, expires_at: datetime, nonce: bytes, opens_at: datetime | None = None) -> Call:
        """Make the call of a link type that expires at a time (rounded up to the minute) and has a nonce.

        Its door opens at `opens_at`, rounded down to the minute, or to a quarter of an hour if that is more than 34
        hours before the expiry. The nonce is random bytes, `NONCE_BYTES` of them. Raises `ValueError` for any other
        length, for times without zone, and for those that a name cannot hold.
        """
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a call's nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        minutes = _minute(expires_at)
        minutes += _EPOCH + minutes * _MINUTE < expires_at
        if not 0 <= minutes <= _LAST_MINUTE:
            raise ValueError(
                f"a call cannot expire at {expires_at.isoformat()}: choose a time from 1970 to {_LAST_EXPIRY.year - 1}"
            )
        span = 0 if opens_at is None else _coded_span(minutes, opens_at)
        head = _VERSION << 4 | self._current.number
        packed = head << 72 | minutes << 44 | span << 32 | int.from_bytes(nonce, "big")
        signed = packed.to_bytes(_SIGNED_BYTES, "big")
        digest = self._current.digest(Role.CALL, signed, link_type)
        name = _written(signed) + _written(digest[:_SIGNATURE_BYTES])
        return Call(link_type, name, self._current, signed, digest[_SIGNATURE_BYTES:], {})

    def open(self, text: str, role: Role, link_types: Iterable[str]) -> Call | None:
        """The call that a text names in a role, as one of some link types; None if none of our keys signed it so."""
        if len(text) != NAME_LENGTH:
            return None
        try:
            content = int(text.encode("ascii").translate(_TO_DIGITS), 32).to_bytes(_NAME_BYTES, "big")
        except ValueError:
            return None
        signed, signature = content[:_SIGNED_BYTES], content[_SIGNED_BYTES:]
        found = None
        for link_type in link_types:
            for key in self._by_number[content[0] & 15]:
                digest = key.digest(role, signed, link_type)
                if hmac.compare_digest(digest[:_SIGNATURE_BYTES], signature):
                    found = (link_type, key, digest)
        if found is None or content[0] >> 4 != _VERSION:
            return None
        link_type, key, digest = found
        if role is _CALL:
            return Call(link_type, text, key, signed, digest[_SIGNATURE_BYTES:], {})
        digest = key.digest(_CALL, signed, link_type)
        name = text[: NAME_LENGTH // 2] + _written(digest[:_SIGNATURE_BYTES])
        return Call(link_type, name, key, signed, digest[_SIGNATURE_BYTES:], {role: text})

    def room_keys(self, conference: str) -> Iterator[str]:
        """The agents' names of one life of a room that no call belongs to, by the id of its conference: that of the current
        key first, then those of the previous ones.
        """
        for key in dict.fromkeys((self._current, *(key for keys in self._by_number for key in keys))):
            digest = key.signatures.digest(_ROOM + conference.encode("utf-8", "surrogatepass"))
            yield _written(digest[:_SIGNED_BYTES]) + _written(digest[_SIGNED_BYTES:_NAME_BYTES])

    def room_pins(self, room: str) -> Pins:
        """Derive the PINs of a room that no call belongs to, of its name; they change with the current key."""
        return _pins(self._current.pins.digest(room.encode("utf-8", "surrogatepass")))


def link_state(call: Call | None, now: datetime) -> LinkState:
    """What an alias that looks like a link's is worth; `call` is `None` when it was not signed by us."""
    return LinkState.INVALID if call is None else call.state(now)


@dataclass(frozen=True, slots=True)
class _Mac:
    """HMAC-SHA256 by one secret (RFC 2104), of which the secret's part is done once and not for every message."""

    secret: bytes = field(repr=False)
    inner: "hashlib._Hash" = field(init=False, repr=False, compare=False)
    outer: "hashlib._Hash" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        block = self.secret.ljust(64, b"\0")
        object.__setattr__(self, "inner", hashlib.sha256(bytes(byte ^ 0x36 for byte in block)))
        object.__setattr__(self, "outer", hashlib.sha256(bytes(byte ^ 0x5C for byte in block)))

    def digest(self, message: bytes) -> bytes:
        """What signs a message."""
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


class _Key(NamedTuple):
    """What is derived from one secret: its number, what signs, and what the PINs of rooms without a call come from."""

    number: int
    signatures: _Mac
    pins: _Mac

    def digest(self, role: Role, signed: bytes, link_type: str) -> bytes:
        """What signs a name in a role: the name has the first of it, and nobody sees the rest."""
        # The first byte and the fixed length of what follows keep all three apart.
        return self.signatures.digest(_ROLES[role] + signed + link_type.encode("utf-8", "surrogatepass"))

    def __repr__(self) -> str:
        return f"<key {self.number}>"


_ROLES: Final = {Role.SESSION: b"s", Role.AGENT: b"a", Role.CALL: b"c"}
_ROOM: Final = b"r"


def _written(half: bytes) -> str:
    """Half of a name as text: 10 bytes are 16 characters, and two of them are looked up at a time."""
    first, last = int.from_bytes(half[:5], "big"), int.from_bytes(half[5:], "big")
    return (
        f"{_PAIRS[first >> 30]}{_PAIRS[first >> 20 & 1023]}{_PAIRS[first >> 10 & 1023]}{_PAIRS[first & 1023]}"
        f"{_PAIRS[last >> 30]}{_PAIRS[last >> 20 & 1023]}{_PAIRS[last >> 10 & 1023]}{_PAIRS[last & 1023]}"
    )


def _minutes(signed: bytes) -> tuple[int | None, int]:
    """The minutes since the epoch in which a door opens, `None` for one that is open from the start, and is shut."""
    packed = int.from_bytes(signed[1:6])
    expires, span = packed >> 12, packed & 0xFFF
    if not span:
        return None, expires
    return expires - (span if span < _SPAN_EXACT else _SPAN_EXACT + (span - _SPAN_EXACT) * _SPAN_STEP), expires


def _coded_span(expires: int, opens_at: datetime) -> int:
    """How long before the expiry the door opens, in minutes or beyond `_SPAN_EXACT` in longer steps, rounded up."""
    minutes = expires - _minute(opens_at)
    if not 0 < minutes <= LONGEST_SPAN:
        days = LONGEST_SPAN // 1440
        raise ValueError(
            f"a door cannot open at {opens_at.isoformat()}: it opens before it closes, {days} days at most"
        )
    return minutes if minutes < _SPAN_EXACT else _SPAN_EXACT - (_SPAN_EXACT - minutes) // _SPAN_STEP


def _pins(digest: bytes) -> Pins:
    half = len(digest) // 2
    host = int.from_bytes(digest[:half]) % _HOST_PINS
    guest = int.from_bytes(digest[half:]) % _GUEST_PINS
    # Counting on past the host's PIN keeps the two apart and every guest PIN as likely as any other.
    guest += guest >= host
    return Pins(str(host).zfill(PIN_DIGITS), str(guest).zfill(PIN_DIGITS))


def _derive(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, b"policy-server/2/" + purpose.encode("ascii"), "sha256")


def _derive_key(secret: bytes) -> _Key:
    number = _derive(secret, "key number")[0] & 15
    return _Key(number, _Mac(_derive(secret, "name signature")), _Mac(_derive(secret, "room pins")))


def _minute(moment: datetime) -> int:
    """The minute since the epoch that a moment is in. Raises `ValueError` for one without zone."""
    try:
        since = moment - _EPOCH
    except TypeError:
        raise ValueError(f"{moment.isoformat()} needs a time zone") from None
    return since.days * 1440 + since.seconds // 60


def _too_short(place: int, length: int, unit: str) -> str:
    which = "the secret key" if place == 0 else f"previous secret key number {place}"
    return (
        f"{which} has {length} {unit} and needs {MIN_SECRET_LENGTH} or more: make one with "
        "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
    )

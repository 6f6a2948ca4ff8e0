"""The tables, and how Python's values lie in them; the same in SQLite and PostgreSQL.

Times are microseconds since 1970, so that both databases compare them alike and nothing is rounded.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

NAME_LENGTH: Final = 500
"""Characters kept of a name: twice Pexip's limit, and what fits into an index of PostgreSQL."""

HOUR: Final = 3_600_000_000
"""Microseconds by which an index may have times: those of one hour are the same there."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


# ------------------------------------------------------------------ values


def instant(at: datetime) -> int:
    """Microseconds since 1970. Raises ValueError for a time without a zone."""
    try:
        return (at - _EPOCH) // _MICROSECOND
    except TypeError:
        raise ValueError(f"a time must have a zone, but {at.isoformat()} has none") from None


def moment(microseconds: int) -> datetime:
    """The time in UTC of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def storable(text: str) -> str:
    """The text with U+FFFD for what PostgreSQL cannot hold: NUL and lone surrogates."""
    if text.isprintable():
        return text
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def storable_name(name: str) -> str:
    """A name as it comes back from an indexed column."""
    return name if name.isprintable() and len(name) <= NAME_LENGTH else storable(name[:NAME_LENGTH])


def encode(value: object) -> str:
    """JSON text of a value, in the order of its keys. Raises TypeError for what is not JSON."""
    return encode_bytes(value).decode()


def encode_bytes(value: object) -> bytes:
    """``encode`` in UTF-8."""
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError:
        # orjson refuses numbers over 64 bits and lone surrogates, which are legal JSON.
        return json.dumps(value, default=_plain).encode()


def decode(text: str | bytes) -> Any:
    """The value of a JSON text."""
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be stored as JSON")


# ------------------------------------------------------------------ columns


class Kind(NamedTuple):
    """What lies in a column: PostgreSQL's name for it, and how it gets there and back."""

    sql: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _as_it_is(value: Any) -> Any:
    return value


_NAME: Final = Kind("text", storable_name, _as_it_is)
_TEXT: Final = Kind("text", storable, _as_it_is)
_JSON: Final = Kind("text", encode, decode)
_LIST: Final = Kind("text", encode, lambda text: tuple(decode(text)))
_INSTANT: Final = Kind("bigint", instant, moment)
_NUMBER: Final = Kind("bigint", _as_it_is, _as_it_is)
_BYTES: Final = Kind("bytea", _as_it_is, _as_it_is)


def _shared(kind: Kind) -> Kind:
    """The same, of which few values are different: in memory all rows have the same text, however many there are."""
    return kind._replace(decode=sys.intern)


class Column(NamedTuple):
    """A column, under the name that the record's field has."""

    name: str
    kind: Kind
    is_nullable: bool = False


_SELECT: Final = "SELECT {names} FROM {table}"
_INSERT_ONE: Final = "INSERT INTO {into} VALUES ({values}) ON CONFLICT DO NOTHING"
_INSERT_MANY: Final = "INSERT INTO {into} SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING RETURNING {keys}"


class Table:
    """A table. ``key`` is what tells its rows apart; ``is_numbered`` says whether they also have a number, ``id``."""

    def __init__(self, name: str, *columns: Column, key: tuple[str, ...], is_numbered: bool = False) -> None:
        self.name: Final = name
        self.columns: Final = columns
        self.key: Final = key
        self.is_numbered: Final = is_numbered
        names = [column.name for column in columns]
        self.names: Final = tuple(names)
        self.key_places: Final = tuple(map(names.index, key))
        listed = ", ".join(names)
        self.select: Final = _SELECT.format(names=listed, table=name)
        """Every column but the number, in the order of ``columns``."""
        into = f"{name} ({listed})"
        values = ", ".join("?" for _ in names)
        self.insert_one: Final = _INSERT_ONE.format(into=into, values=values)
        """Adds a row unless it is there."""
        arrays = ", ".join(f"?::{column.kind.sql}[]" for column in columns)
        self.insert_many: Final = _INSERT_MANY.format(into=into, arrays=arrays, keys=", ".join(key))
        """Adds the rows that are not there, from an array for each column, and gives their keys; in PostgreSQL."""
        self._encoders: Final = [column.kind.encode for column in columns]
        self._decoders: Final = [(column.name, column.kind.decode) for column in columns]

    def encode(self, values: Iterable[Any]) -> tuple[Any, ...]:
        """The row of some values, in the order of ``columns``."""
        places = zip(self._encoders, values, strict=True)
        return tuple([None if value is None else encode(value) for encode, value in places])

    def decode(self, row: Sequence[Any]) -> dict[str, Any]:
        """The values of a row, by the names of their columns."""
        places = zip(self._decoders, row, strict=True)
        return {name: None if stored is None else decode(stored) for (name, decode), stored in places}


LINKS: Final = Table(
    "links",
    Column("call", _NAME),
    Column("type", _shared(_TEXT)),
    Column("name", _TEXT),
    Column("attributes", _JSON),
    Column("created_at", _INSTANT),
    Column("expires_at", _INSTANT),
    Column("created_by", _shared(_NAME)),
    Column("revoked_at", _INSTANT, is_nullable=True),
    Column("joins", _NAME),
    Column("idempotency_key", _NAME, is_nullable=True),
    # Of the request that had the key.
    Column("request_digest", _TEXT, is_nullable=True),
    # Of an appointment.
    Column("starts_at", _INSTANT, is_nullable=True),
    Column("opens_at", _INSTANT, is_nullable=True),
    Column("moved_at", _INSTANT, is_nullable=True),
    # The call of the link that took its place.
    Column("moved_to", _NAME, is_nullable=True),
    key=("call",),
)

CONFERENCES: Final = Table(
    "conferences",
    Column("id", _NAME),
    Column("name", _NAME),
    Column("call", _NAME),
    Column("link_type", _TEXT),
    Column("service_tag", _TEXT),
    Column("service", _JSON),
    Column("legs", _LIST),
    Column("fallbacks", _LIST),
    Column("rule", _TEXT),
    Column("revision", _TEXT),
    Column("alias", _TEXT),
    Column("held_at", _INSTANT),
    Column("expires_at", _INSTANT),
    Column("ended_at", _INSTANT, is_nullable=True),
    Column("aliases", _JSON),
    # The room name while this conference holds it, so that a unique index chooses the winner; null once it has ended
    # or another took the room after it expired.
    Column("live_name", _NAME, is_nullable=True),
    key=("id",),
)

DOORS: Final = Table(
    "doors",
    Column("conference_id", _NAME),
    Column("rule", _NAME),
    Column("fields", _JSON),
    Column("asked", _JSON),
    key=("conference_id", "rule"),
)

CONVERSATIONS: Final = Table(
    "conversations",
    Column("conference_id", _NAME),
    # From 0: the first conversation of the conference, the second, …
    Column("place", _NUMBER),
    Column("conversation_id", _NAME),
    key=("conference_id", "place"),
)

EVENTS: Final = Table(
    "events",
    # When it was sent, and of the content without seq.
    Column("digest", _BYTES),
    Column("arrived_at", _INSTANT),
    # What the message is found by; the content has the name of the service itself.
    Column("room", _NAME),
    Column("seq", _NUMBER),
    # Packed: node, version, time, name, data, envelope.
    Column("content", _BYTES),
    key=("digest",),
)

TIMELINE: Final = Table(
    "timeline",
    Column("key", _NAME),
    Column("at", _INSTANT),
    # Of all but the time.
    Column("digest", _NUMBER),
    # Packed: of each of the entries how many microseconds before that it was, kind, data.
    Column("content", _BYTES),
    key=("at", "digest"),
    is_numbered=True,
)

DUE_ACTIONS: Final = Table(
    "due_actions",
    Column("id", _NAME),
    Column("kind", _NAME),
    Column("key", _NAME),
    Column("lane", _NAME),
    Column("place", _NUMBER),
    Column("due_at", _INSTANT),
    Column("data", _JSON),
    Column("attempts", _NUMBER),
    Column("owner", _NAME, is_nullable=True),
    Column("leased_until", _INSTANT, is_nullable=True),
    Column("done_at", _INSTANT, is_nullable=True),
    Column("outcome", _TEXT, is_nullable=True),
    key=("id",),
)

CHANGES: Final = Table(
    "changes",
    Column("key", _NAME),
    Column("number", _NUMBER),
    # When it was. In PostgreSQL the end of that hour, since a row is changed where it lies as long as its indexes stay as
    # they are. In SQLite one more than that of any other change if that is later: by it another process on the same file
    # finds what is new.
    Column("position", _NUMBER),
    key=("key",),
)

TABLES: Final = (LINKS, CONFERENCES, DOORS, CONVERSATIONS, EVENTS, TIMELINE, DUE_ACTIONS, CHANGES)

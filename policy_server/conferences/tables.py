"""The tables, and how Python's values lie in them; the same in SQLite and PostgreSQL.

Times are microseconds since 1970, so that both databases compare them alike and nothing is rounded.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Column, Dialect, Double, Integer, MetaData, Table, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeDecorator

NAME_LENGTH: Final = 500
"""Characters kept of a name: twice Pexip's limit, and what fits into an index of PostgreSQL."""

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware datetime. A naive one raises ValueError."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Microseconds since 1970."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"a time must have a zone, but {value.isoformat()} has none")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """The time in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Line(TypeDecorator[str]):
    """Text from anywhere. What PostgreSQL cannot hold, NUL and lone surrogates, is replaced, also when comparing."""

    impl = Text
    cache_ok = True

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self.limit = limit

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as it can be stored."""
        return None if value is None else storable(value[: self.limit])


class Json(TypeDecorator[Any]):
    """A value of JSON, as text: PostgreSQL's own type refuses strings with NUL, which callers can send."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        """The text of a value."""
        return encode(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:
        """The value of a text."""
        if value is None:
            return None
        try:
            return orjson.loads(value)
        except ValueError:
            return json.loads(value)


def storable(text: str) -> str:
    """The text with U+FFFD for what not every database can hold."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def storable_name(name: str) -> str:
    """A name as it comes back from an indexed column."""
    return storable(name[:NAME_LENGTH])


def encode(value: object) -> str:
    """JSON text of a value, in the order of its keys. Raises TypeError for what is not JSON."""
    try:
        return orjson.dumps(value, default=_plain).decode()
    except TypeError:
        # orjson refuses numbers over 64 bits and lone surrogates, which are legal JSON.
        return json.dumps(value, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be stored as JSON")


def _name(name: str, *, nullable: bool = False, unique: bool = False) -> "Column[Any]":
    return Column(name, Line(NAME_LENGTH), nullable=nullable, unique=unique)


def _instant(name: str, *, nullable: bool = False) -> "Column[Any]":
    return Column(name, Instant, nullable=nullable)


def _text(name: str) -> "Column[Any]":
    return Column(name, Line, nullable=False)


def _json(name: str) -> "Column[Any]":
    return Column(name, Json, nullable=False)


def _number(name: str) -> "Column[Any]":
    return Column(name, BigInteger, nullable=False)


def _row_number() -> "Column[Any]":
    return Column("id", BigInteger().with_variant(Integer, SQLITE), primary_key=True)


METADATA: Final = MetaData()

LINKS: Final = Table(
    "links",
    METADATA,
    Column("call", Line(NAME_LENGTH), primary_key=True),
    _text("type"),
    _text("name"),
    _json("attributes"),
    _instant("created_at"),
    _instant("expires_at"),
    _instant("revoked_at", nullable=True),
    _name("created_by"),
    _name("idempotency_key", nullable=True),
    Column("request_digest", Text),
)

CONFERENCES: Final = Table(
    "conferences",
    METADATA,
    Column("id", Line(NAME_LENGTH), primary_key=True),
    _name("name"),
    # The room name while this conference holds it, so that a unique index chooses the winner; null once it has ended
    # or another took the room after it expired.
    _name("live_name", nullable=True, unique=True),
    _name("call"),
    _text("link_type"),
    _text("service_tag"),
    _json("service"),
    _json("legs"),
    _json("fallbacks"),
    _text("rule"),
    _text("revision"),
    _text("alias"),
    _json("aliases"),
    _instant("held_at"),
    _instant("expires_at"),
    _instant("ended_at", nullable=True),
)

DOORS: Final = Table(
    "doors",
    METADATA,
    Column("conference_id", Line(NAME_LENGTH), primary_key=True),
    Column("rule", Line(NAME_LENGTH), primary_key=True),
    _json("fields"),
    _json("asked"),
)

CONVERSATIONS: Final = Table(
    "conversations",
    METADATA,
    Column("conference_id", Line(NAME_LENGTH), primary_key=True),
    # From 0: the first conversation of the conference, the second, …
    Column("place", Integer, primary_key=True),
    _name("conversation_id"),
)

EVENTS: Final = Table(
    "events",
    METADATA,
    _row_number(),
    # Of the content, without seq.
    _name("digest"),
    _instant("arrived_at"),
    # What the message is found by; data has the name of the service itself.
    _name("room"),
    _text("node"),
    _number("seq"),
    _number("version"),
    Column("time", Double, nullable=False),
    _text("event"),
    _json("data"),
    _json("envelope"),
)

TIMELINE: Final = Table(
    "timeline",
    METADATA,
    _row_number(),
    _name("key"),
    _instant("at"),
    _text("kind"),
    _json("data"),
    Column("digest", Text, nullable=False),
)

CHANGES: Final = Table(
    "changes",
    METADATA,
    Column("key", Line(NAME_LENGTH), primary_key=True),
    _number("number"),
    # Grows over all keys: by it another process on the same SQLite file finds what is new. 0 in PostgreSQL.
    _number("position"),
    _instant("changed_at"),
)

SCHEMA_VERSION: Final = Table("schema_version", METADATA, Column("version", Integer, nullable=False))


def insert_into(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT, which both databases spell alike and SQL has not."""
    return sqlite.insert(table) if dialect == SQLITE else postgresql.insert(table)

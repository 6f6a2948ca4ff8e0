"""The schema's versions, and bringing a database to the newest.

The statements of a version never change once it was released; a change of the tables is a new version.
"""

from typing import Final

from sqlalchemy import Connection, insert, inspect, select, text, update

from policy_server.conferences.errors import StoreSetupError
from policy_server.conferences.tables import POSTGRESQL, SCHEMA_VERSION, SQLITE

_ROW_NUMBER: Final = {
    SQLITE: "INTEGER NOT NULL PRIMARY KEY",
    POSTGRESQL: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
}

_ADVISORY_LOCK: Final = 7_046_029_254_386_353
"""A number nobody else's advisory locks are likely to have."""

_VERSION_2: Final = (
    """CREATE TABLE links (
        call TEXT NOT NULL PRIMARY KEY, type TEXT NOT NULL,
        name TEXT NOT NULL, attributes TEXT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,
        revoked_at BIGINT, created_by TEXT NOT NULL, idempotency_key TEXT, request_digest TEXT)""",
    "CREATE UNIQUE INDEX links_idempotency ON links (created_by, idempotency_key)",
    "CREATE INDEX links_expires_at ON links (expires_at)",
    """CREATE TABLE conferences (
        id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, live_name TEXT, call TEXT NOT NULL,
        link_type TEXT NOT NULL, service_tag TEXT NOT NULL, service TEXT NOT NULL, legs TEXT NOT NULL, fallbacks TEXT NOT NULL,
        rule TEXT NOT NULL, revision TEXT NOT NULL, alias TEXT NOT NULL, aliases TEXT NOT NULL,
        held_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, ended_at BIGINT)""",
    "CREATE UNIQUE INDEX conferences_live_name ON conferences (live_name)",
    "CREATE INDEX conferences_call ON conferences (call, held_at)",
    "CREATE INDEX conferences_name ON conferences (name, held_at)",
    "CREATE INDEX conferences_over_at ON conferences (coalesce(ended_at, expires_at))",
    """CREATE TABLE doors (
        conference_id TEXT NOT NULL, rule TEXT NOT NULL, fields TEXT NOT NULL, asked TEXT NOT NULL,
        PRIMARY KEY (conference_id, rule))""",
    """CREATE TABLE conversations (
        conference_id TEXT NOT NULL, place INTEGER NOT NULL, conversation_id TEXT NOT NULL,
        PRIMARY KEY (conference_id, place))""",
    """CREATE TABLE events (
        id {row_number}, digest TEXT NOT NULL, arrived_at BIGINT NOT NULL, room TEXT NOT NULL, node TEXT NOT NULL,
        seq BIGINT NOT NULL, version BIGINT NOT NULL, time DOUBLE PRECISION NOT NULL, event TEXT NOT NULL,
        data TEXT NOT NULL, envelope TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX events_identity ON events (digest)",
    "CREATE INDEX events_room ON events (room, arrived_at)",
    "CREATE INDEX events_arrived_at ON events (arrived_at)",
    """CREATE TABLE timeline (
        id {row_number}, key TEXT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL,
        digest TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX timeline_identity ON timeline (key, at, digest)",
    "CREATE INDEX timeline_at ON timeline (at)",
    """CREATE TABLE changes (
        key TEXT NOT NULL PRIMARY KEY, number BIGINT NOT NULL, position BIGINT NOT NULL, changed_at BIGINT NOT NULL)""",
    "CREATE INDEX changes_position ON changes (position)",
    "CREATE INDEX changes_changed_at ON changes (changed_at)",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = ((), _VERSION_2)
"""What makes version 1 out of an empty database, version 2 out of 1, …; version 1 was that of 0.1, and is not read."""

OLDEST: Final = 2
"""The oldest version that is brought to the newest."""


def check_version(connection: Connection, name: str) -> None:
    """Does nothing if the database, called ``name``, has the newest version; raises StoreSetupError for any other."""
    newest = len(MIGRATIONS)
    has_table = inspect(connection).has_table(SCHEMA_VERSION.name)
    found = connection.execute(select(SCHEMA_VERSION.c.version)).scalar_one_or_none() if has_table else None
    if found is None:
        raise StoreSetupError(f"the database {name} was never used by policy-server; is that the server's?")
    if found != newest:
        raise StoreSetupError(
            f"the database {name} has version {found}, and this policy-server knows version {newest}; use the "
            "policy-server that runs on it"
        )


def migrate(connection: Connection, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Brings the database to the newest version, in the transaction that ``connection`` is in.

    Replicas that start together take turns: in SQLite by the transaction itself, which must hold the write lock, in
    PostgreSQL by an advisory lock. Raises StoreSetupError for a database that a newer version of this service made.
    """
    dialect = connection.dialect.name
    if dialect == POSTGRESQL:
        # Waiting for the other replica, or for a large table, is not the slowness that time limits are for.
        connection.execute(text("SET LOCAL statement_timeout = '60s'"))
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    connection.execute(text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"))
    found = (connection.execute(select(SCHEMA_VERSION.c.version))).scalar_one_or_none()
    version = found or 0
    if found is not None and found < OLDEST:
        raise StoreSetupError(
            "the database was made by policy-server 0.1, which kept calls in another way; name a new one in "
            "POLICY_DATABASE_URL"
        )
    if version > len(migrations):
        raise StoreSetupError(
            f"the database was made by a newer policy-server: it has version {version} and this one knows up to "
            f"{len(migrations)}; run the newer policy-server, or restore a backup of the database from before"
        )
    for statements in migrations[version:]:
        for statement in statements:
            connection.execute(text(statement.format(row_number=_ROW_NUMBER[dialect])))
    if found is None:
        connection.execute(insert(SCHEMA_VERSION).values(version=len(migrations)))
    elif version < len(migrations):
        connection.execute(update(SCHEMA_VERSION).values(version=len(migrations)))

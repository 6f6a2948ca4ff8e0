"""The schema's versions, and bringing a database to the newest.

The statements of a version never change once it was released; a change of the tables is a new version.
"""

from typing import Final

from policy_server.conferences.connection import POSTGRESQL, SQLITE, Connection
from policy_server.conferences.errors import StoreSetupError

_WORDS: Final = {
    SQLITE: {
        # That of the row itself.
        "row_number": "INTEGER NOT NULL PRIMARY KEY",
        "unless_numbered": "UNIQUE",
        "bytes": "BLOB",
        # Rows lie in the index of the primary key, and not beside it.
        "in_key": "WITHOUT ROWID",
        "with_room": "",
    },
    POSTGRESQL: {
        "row_number": "BIGINT GENERATED ALWAYS AS IDENTITY",
        "unless_numbered": "PRIMARY KEY",
        "bytes": "BYTEA",
        "in_key": "",
        # A row that changes again and again does so on its page, where what it was gives way.
        "with_room": "WITH (fillfactor = 80)",
    },
}
"""What the databases call differently."""

_ADVISORY_LOCK: Final = 7_046_029_254_386_353
"""A number nobody else's advisory locks are likely to have."""

# PostgreSQL fills up a number behind a text to a multiple of eight bytes, so of what there is most the numbers come first.
_FIRST: Final = (
    """CREATE TABLE links (
        call TEXT NOT NULL PRIMARY KEY, type TEXT NOT NULL,
        name TEXT NOT NULL, attributes TEXT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,
        created_by TEXT NOT NULL, revoked_at BIGINT, joins TEXT NOT NULL, idempotency_key TEXT, request_digest TEXT,
        starts_at BIGINT, opens_at BIGINT, moved_at BIGINT, moved_to TEXT) {in_key}""",
    "CREATE UNIQUE INDEX links_idempotency ON links (created_by, idempotency_key) WHERE idempotency_key IS NOT NULL",
    "CREATE INDEX links_expires_at ON links (expires_at)",
    "CREATE INDEX links_created_at ON links (created_at, call)",
    "CREATE INDEX links_joins ON links (joins) WHERE joins <> ''",
    """CREATE TABLE conferences (
        id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, call TEXT NOT NULL,
        link_type TEXT NOT NULL, service_tag TEXT NOT NULL, service TEXT NOT NULL, legs TEXT NOT NULL, fallbacks TEXT NOT NULL,
        rule TEXT NOT NULL, revision TEXT NOT NULL, alias TEXT NOT NULL,
        held_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, ended_at BIGINT, aliases TEXT NOT NULL, live_name TEXT)""",
    "CREATE UNIQUE INDEX conferences_live_name ON conferences (live_name) WHERE live_name IS NOT NULL",
    "CREATE INDEX conferences_call ON conferences (call, held_at)",
    "CREATE INDEX conferences_name ON conferences (name, held_at)",
    "CREATE INDEX conferences_held_at ON conferences (held_at, id)",
    "CREATE INDEX conferences_over_at ON conferences (coalesce(ended_at, expires_at))",
    """CREATE TABLE doors (
        conference_id TEXT NOT NULL, rule TEXT NOT NULL, fields TEXT NOT NULL, asked TEXT NOT NULL,
        PRIMARY KEY (conference_id, rule)) {in_key}""",
    """CREATE TABLE conversations (
        conference_id TEXT NOT NULL, place INTEGER NOT NULL, conversation_id TEXT NOT NULL,
        PRIMARY KEY (conference_id, place)) {in_key}""",
    """CREATE TABLE events (
        arrived_at BIGINT NOT NULL, seq BIGINT NOT NULL, digest {bytes} NOT NULL PRIMARY KEY, room TEXT NOT NULL,
        content {bytes} NOT NULL)""",
    # By the hour: what is equal in an index of PostgreSQL is written there once.
    "CREATE INDEX events_room ON events (room, (arrived_at / 3600000000))",
    "CREATE INDEX events_arrived_at ON events (arrived_at)",
    """CREATE TABLE timeline (
        id {row_number}, at BIGINT NOT NULL, digest BIGINT NOT NULL, key TEXT NOT NULL, content {bytes} NOT NULL,
        {unless_numbered} (at, digest))""",
    "CREATE INDEX timeline_key ON timeline (key)",
    """CREATE TABLE changes (
        key TEXT NOT NULL PRIMARY KEY, number BIGINT NOT NULL, position BIGINT NOT NULL)
        {in_key} {with_room}""",
    "CREATE INDEX changes_position ON changes (position)",
    """CREATE TABLE due_actions (
        id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, lane TEXT NOT NULL, place BIGINT NOT NULL,
        due_at BIGINT NOT NULL, data TEXT NOT NULL, attempts BIGINT NOT NULL, owner TEXT, leased_until BIGINT,
        done_at BIGINT, outcome TEXT)""",
    "CREATE INDEX due_actions_due_at ON due_actions (due_at) WHERE done_at IS NULL",
    "CREATE INDEX due_actions_lane ON due_actions (lane, place) WHERE done_at IS NULL",
    "CREATE INDEX due_actions_key ON due_actions (key)",
    "CREATE INDEX due_actions_done_at ON due_actions (coalesce(done_at, due_at))",
    "CREATE INDEX due_actions_outcome ON due_actions (outcome, done_at) WHERE done_at IS NOT NULL",
)

OLDEST: Final = 13
"""The oldest version that is brought to the newest, that of 0.2.0. Version 1 was that of 0.1, and those between came before
0.2.0 was released.
"""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (*((),) * (OLDEST - 1), _FIRST)
"""What makes version 1 out of an empty database, version 2 out of 1, …"""

_FIND_VERSION: Final = "SELECT version FROM schema_version"


def check_version(connection: Connection, name: str) -> None:
    """Does nothing if the database, called ``name``, has the newest version; raises StoreSetupError for any other."""
    newest = len(MIGRATIONS)
    found = _find_version(connection) if _has_versions(connection) else None
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
    if connection.dialect == POSTGRESQL:
        # Waiting for the other replica, or for a large table, is not the slowness that time limits are for.
        connection.execute("SET LOCAL statement_timeout = '60s'")
        connection.execute("SET LOCAL lock_timeout = '60s'")
        connection.execute("SELECT pg_advisory_xact_lock(?)", _ADVISORY_LOCK)
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    found = _find_version(connection)
    version = found or 0
    if found is not None and found < OLDEST:
        made_by = "0.1" if found == 1 else "0.2 before it was released"
        raise StoreSetupError(
            f"the database was made by policy-server {made_by}, which kept calls in another way; name a new one in "
            "POLICY_DATABASE_URL"
        )
    if version > len(migrations):
        raise StoreSetupError(
            f"the database was made by a newer policy-server: it has version {version} and this one knows up to "
            f"{len(migrations)}; run the newer policy-server, or restore a backup of the database from before"
        )
    for statements in migrations[version:]:
        for statement in statements:
            connection.execute(statement.format(**_WORDS[connection.dialect]))
    if found is None:
        connection.execute("INSERT INTO schema_version (version) VALUES (?)", len(migrations))
    elif version < len(migrations):
        connection.execute("UPDATE schema_version SET version = ?", len(migrations))


def _has_versions(connection: Connection) -> bool:
    if connection.dialect == SQLITE:
        return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"))
    return connection.execute("SELECT to_regclass('schema_version') IS NOT NULL") == [(True,)]


def _find_version(connection: Connection) -> int | None:
    versions = connection.execute(_FIND_VERSION)
    return int(versions[0][0]) if versions else None

"""Customer links in the database (DESIGN section 6)."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.sql.dml import ReturningInsert

from policy_server.conferences.changes import announce
from policy_server.conferences.errors import IdempotencyConflictError, SessionTakenError
from policy_server.conferences.records import Link
from policy_server.conferences.tables import LINKS, insert_into


def create_link(connection: Connection, link: Link, idempotency_key: str | None, digest: str) -> Link:
    """Stores a link, or finds the one that the same request made before."""
    row = _values(link) | {"idempotency_key": idempotency_key, "request_digest": digest}
    created = (connection.execute(_insert(connection.dialect.name), row)).one_or_none()
    if created is not None:
        announce(connection, [link.session], link.created_at)
        return _link(created)
    if idempotency_key is not None:
        same = (LINKS.c.created_by == link.created_by) & (LINKS.c.idempotency_key == idempotency_key)
        first = (connection.execute(select(LINKS).where(same))).one_or_none()
        if first is not None:
            if first.request_digest != digest:
                raise IdempotencyConflictError(
                    "this Idempotency-Key was used for another request; use a new one for each link"
                )
            return _link(first)
    stored = (connection.execute(select(LINKS).where(LINKS.c.session == link.session))).one_or_none()
    # The same link again is a repeated write. Anything else would hand one customer's room to another.
    if stored is None or (stored.created_by, stored.created_at) != (link.created_by, link.created_at):
        raise SessionTakenError("another link has this session already")
    return _link(stored)


def find_link(connection: Connection, session: str) -> Link | None:
    """The link of a session."""
    row = (connection.execute(select(LINKS).where(LINKS.c.session == session))).one_or_none()
    return None if row is None else _link(row)


def find_links(connection: Connection, sessions: Sequence[str]) -> tuple[Link, ...]:
    """The links of some sessions."""
    rows = connection.execute(select(LINKS).where(LINKS.c.session.in_(sessions)))
    return tuple(_link(row) for row in rows)


def find_good(connection: Connection, at: datetime) -> tuple[Link, ...]:
    """The links that have not expired at a time."""
    rows = connection.execute(select(LINKS).where(LINKS.c.expires_at > at))
    return tuple(_link(row) for row in rows)


def revoke_link(connection: Connection, session: str, at: datetime) -> bool:
    """Revokes a link unless that was done before; says whether there is one."""
    valid = (LINKS.c.session == session) & LINKS.c.revoked_at.is_(None)
    revoked = connection.execute(update(LINKS).where(valid).values(revoked_at=at).returning(LINKS.c.session))
    if revoked.one_or_none() is not None:
        announce(connection, [session], at)
        return True
    return find_link(connection, session) is not None


@cache
def _insert(dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    return insert_into(LINKS, dialect).on_conflict_do_nothing().returning(LINKS)


def _values(link: Link) -> dict[str, object]:
    return {
        "session": link.session,
        "type": link.type,
        "alias": link.alias,
        "agent_alias": link.agent_alias,
        "name": link.name,
        "attributes": link.attributes,
        "created_at": link.created_at,
        "expires_at": link.expires_at,
        "created_by": link.created_by,
        "revoked_at": link.revoked_at,
    }


def _link(row: Row[*tuple[Any, ...]]) -> Link:
    return Link(
        session=row.session,
        type=row.type,
        alias=row.alias,
        agent_alias=row.agent_alias,
        name=row.name,
        attributes=row.attributes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        created_by=row.created_by,
        revoked_at=row.revoked_at,
    )

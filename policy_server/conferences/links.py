"""Customer links in the database (README.md: Links)."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.sql.dml import ReturningInsert

from policy_server.conferences.changes import announce
from policy_server.conferences.errors import CallTakenError, IdempotencyConflictError
from policy_server.conferences.records import Link
from policy_server.conferences.tables import LINKS, insert_into

_FIELDS: Final = tuple(field.name for field in fields(Link))
"""The columns that a link's record has, under the same names."""


def create_link(connection: Connection, link: Link, idempotency_key: str | None, digest: str) -> Link:
    """Stores a link, or finds the one that the same request made before."""
    row = {name: getattr(link, name) for name in _FIELDS} | {
        "idempotency_key": idempotency_key,
        "request_digest": digest,
    }
    created = (connection.execute(_insert(connection.dialect.name), row)).one_or_none()
    if created is not None:
        announce(connection, [link.call], link.created_at)
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
    stored = (connection.execute(select(LINKS).where(LINKS.c.call == link.call))).one_or_none()
    # The same link again is a repeated write. Anything else would hand one customer's room to another.
    if stored is None or (stored.created_by, stored.created_at) != (link.created_by, link.created_at):
        raise CallTakenError("another link has this call already")
    return _link(stored)


def find_link(connection: Connection, call: str) -> Link | None:
    """The link of a call."""
    row = (connection.execute(select(LINKS).where(LINKS.c.call == call))).one_or_none()
    return None if row is None else _link(row)


def find_links(connection: Connection, calls: Sequence[str]) -> tuple[Link, ...]:
    """The links of some calls."""
    rows = connection.execute(select(LINKS).where(LINKS.c.call.in_(calls)))
    return tuple(_link(row) for row in rows)


def find_good(connection: Connection, at: datetime) -> tuple[Link, ...]:
    """The links that have not expired at a time."""
    rows = connection.execute(select(LINKS).where(LINKS.c.expires_at > at))
    return tuple(_link(row) for row in rows)


def revoke_link(connection: Connection, call: str, at: datetime) -> bool:
    """Revokes a link unless that was done before; says whether there is one."""
    valid = (LINKS.c.call == call) & LINKS.c.revoked_at.is_(None)
    revoked = connection.execute(update(LINKS).where(valid).values(revoked_at=at).returning(LINKS.c.call))
    if revoked.one_or_none() is not None:
        announce(connection, [call], at)
        return True
    return find_link(connection, call) is not None


@cache
def _insert(dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    return insert_into(LINKS, dialect).on_conflict_do_nothing().returning(LINKS)


def _link(row: Row[*tuple[Any, ...]]) -> Link:
    return Link(**{name: getattr(row, name) for name in _FIELDS})

"""Customer links in the database (README.md: Links)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final

from policy_server.conferences.changes import announce
from policy_server.conferences.connection import Connection, Row
from policy_server.conferences.errors import CallTakenError, IdempotencyConflictError, RefusedLinkError
from policy_server.conferences.records import WITHDRAWN_KEPT, Link
from policy_server.conferences.tables import LINKS, instant, storable_name

_OF_REQUEST_ALONE: Final = ("idempotency_key", "request_digest")
"""The columns that are about the request; a link's record has the others, under the same names."""

_VALUES: Final = attrgetter(*(name if name in _OF_REQUEST_ALONE else f"link.{name}" for name in LINKS.names))

_OF_CALL: Final = f"{LINKS.select} WHERE call = ?"
_OF_CALLS: Final = f"{LINKS.select} WHERE call = ANY(?)"
_OF_REQUEST: Final = f"{LINKS.select} WHERE created_by = ? AND idempotency_key = ?"
_JOINING: Final = f"{LINKS.select} WHERE joins = ANY(?) AND joins <> ''"
_MATTERS: Final = f"""{LINKS.select} WHERE expires_at > ?
    AND (expires_at > ? OR revoked_at IS NOT NULL OR moved_at IS NOT NULL)"""
_DIGEST: Final = LINKS.names.index("request_digest")
_REVOKE: Final = "UPDATE links SET revoked_at = ? WHERE call = ? AND revoked_at IS NULL RETURNING call, joins"

_MOVE: Final = """UPDATE links SET moved_at = ?, moved_to = ?
    WHERE call = ? AND revoked_at IS NULL AND moved_to IS NULL RETURNING call"""

_COME_ALONG: Final = "UPDATE links SET joins = ? WHERE joins = ? AND joins <> '' RETURNING call"


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link to be stored. The same request has the same ``idempotency_key``, if any, and then the same ``digest``."""

    link: Link
    idempotency_key: str | None
    digest: str

    @property
    def request_digest(self) -> str | None:
        """The digest of a request that had a key."""
        return None if self.idempotency_key is None else self.digest


def create_links(connection: Connection, wanted: Sequence[NewLink]) -> list[tuple[Link | RefusedLinkError, bool]]:
    """Stores links, or finds those that the same requests made before; whether each is new."""
    # In one order everywhere, so that two replicas wait for each other and do not block each other.
    ordered = sorted(range(len(wanted)), key=lambda place: wanted[place].link.call)
    found = {place: _create(connection, wanted[place]) for place in ordered}
    return [found[place] for place in range(len(wanted))]


def _create(connection: Connection, wanted: NewLink) -> tuple[Link | RefusedLinkError, bool]:
    row = _row(wanted)
    if connection.insert(LINKS, [row]):
        return _link(row), True
    link, key = wanted.link, wanted.idempotency_key
    if key is not None:
        same = connection.execute(_OF_REQUEST, storable_name(link.created_by), storable_name(key))
        if same:
            if same[0][_DIGEST] != wanted.digest:
                detail = "this Idempotency-Key was used for another request; use a new one for each link"
                return IdempotencyConflictError(detail), False
            return _link(same[0]), False
    stored = find_link(connection, link.call)
    # The same link again is a repeated write. Anything else would hand one customer's room to another.
    if stored is None or (stored.created_by, stored.created_at) != (link.created_by, link.created_at):
        return CallTakenError("another link has this call already"), False
    return stored, False


def find_link(connection: Connection, call: str) -> Link | None:
    """The link of a call."""
    rows = connection.execute(_OF_CALL, storable_name(call))
    return _link(rows[0]) if rows else None


def find_links(connection: Connection, calls: Sequence[str]) -> tuple[Link, ...]:
    """The links of some calls."""
    return tuple(map(_link, connection.execute(_OF_CALLS, list(map(storable_name, calls)))))


def find_joining(connection: Connection, calls: Sequence[str]) -> tuple[Link, ...]:
    """The links that lead into the rooms of some calls, those made first before the others."""
    found = map(_link, connection.execute(_JOINING, list(map(storable_name, calls))))
    return tuple(sorted(found, key=lambda link: (link.created_at, link.call)))


def find_good(connection: Connection, at: datetime) -> tuple[Link, ...]:
    """The links that have not expired at a time, and those withdrawn that are remembered beyond (``Link.is_remembered``)."""
    found = map(_link, connection.execute(_MATTERS, instant(at - WITHDRAWN_KEPT), instant(at)))
    return tuple(link for link in found if link.is_remembered(at))


def revoke_link(connection: Connection, call: str, at: datetime) -> bool:
    """Revokes a link unless that was done before; says whether there is one."""
    revoked = connection.execute(_REVOKE, instant(at), storable_name(call))
    if revoked:
        # Whoever watches the call that it joins is told too.
        announce(connection, sorted(set(filter(None, revoked[0]))), at)
        return True
    return find_link(connection, call) is not None


def move_link(connection: Connection, call: str, new: Link, at: datetime) -> Link | None:
    """Stores a link in place of another, unless that was revoked or has been moved; the other as it is then, if there is one.

    Raises CallTakenError.
    """
    if connection.execute(_MOVE, instant(at), storable_name(new.call), storable_name(call)):
        if not connection.insert(LINKS, [_row(NewLink(new, None, ""))]):
            raise CallTakenError("another link has this call already")
        # Those who join it come along.
        along = connection.execute(_COME_ALONG, storable_name(new.call), storable_name(call))
        announce(connection, sorted({call, new.call, *(row[0] for row in along)}), at)
    return find_link(connection, call)


def _row(wanted: NewLink) -> Row:
    return LINKS.encode(_VALUES(wanted))


def _link(row: Row) -> Link:
    found = LINKS.decode(row)
    for name in _OF_REQUEST_ALONE:
        del found[name]
    return Link(**found)

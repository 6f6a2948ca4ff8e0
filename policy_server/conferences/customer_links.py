"""Customers' links as the organisation's own systems have them: made, found, moved, revoked (README.md: Links)."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from policy_server.conferences.errors import CallOverError, CallTakenError, JoinedCallError
from policy_server.conferences.keeper import Keeper
from policy_server.conferences.link_requests import NotMovableError, WantedLink
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import Link
from policy_server.conferences.timeline import (
    link_created,
    link_joined,
    link_made_for_moved,
    link_moved,
    link_revoked,
)
from policy_server.policy.links import CustomerLink, make_link, span_of
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import LinkType
from policy_server.wording.values import shown

MOST_SIGNATURES: Final = 5
"""Calls that are signed for one link before giving up: two of one minute are the same once in 4 * 10^9."""


def check_joined(wanted: WantedLink, found: Link | None, now: datetime) -> None:
    """Does nothing if a link may lead into the room of the call that it names, whose own link was ``found``.

    Raises JoinedCallError, and CallOverError for a link that is revoked or has expired.
    """
    joins, kind = wanted.joins, shown(wanted.type.joins)
    if found is None:
        raise JoinedCallError(
            f"joins must be the call id of a link of type {kind}, and there is no link {shown(joins)}"
        )
    if found.type != wanted.type.joins:
        hint = f"; the call that it joins is {found.joins}" if found.joins else ""
        raise JoinedCallError(
            f"joins must be the call id of a link of type {kind}, but that is one of type {shown(found.type)}{hint}"
        )
    if found.revoked_at is not None:
        raise CallOverError("the link of the call that it would join is revoked; make a new one, and join that")
    if found.moved_to is not None:
        raise CallOverError(
            f"the link of the call that it would join was moved; join {found.moved_to}, which took its place"
        )
    if found.expires_at <= now:
        raise CallOverError("the link of the call that it would join has expired; make a new one, and join that")


def new_link(
    wanted: WantedLink, keyring: Keyring, nonce: bytes, now: datetime, created_by: str
) -> tuple[CustomerLink, Link]:
    """A link that is signed now, as its maker gets it and as it is kept."""
    opens_at, expires_at = span_of(wanted.type, now, wanted.ttl, wanted.starts_at)
    made = make_link(wanted.type, keyring, expires_at, nonce, opens_at)
    kept = Link.of(
        made.call,
        name=wanted.name,
        attributes=wanted.attributes,
        created_at=now,
        created_by=created_by,
        starts_at=wanted.starts_at,
        joins=wanted.joins,
    )
    return made, kept


class CustomerLinks:
    """Makes, finds and revokes links for whoever asks with an API key, of which ``by`` is the name.

    ``nonce`` makes the random bytes of a call. ``own`` are the keys to which others' links do not exist. Every method
    raises StoreUnavailableError.
    """

    def __init__(
        self,
        keyring: Keyring,
        keeper: Keeper,
        nonce: Callable[[], bytes],
        own: frozenset[str],
        audit: Callable[..., None],
    ) -> None:
        self._keyring: Final = keyring
        self._keeper: Final = keeper
        self._nonce: Final = nonce
        self._own: Final = own
        self._audit: Final = audit

    async def make(self, wanted: WantedLink, by: str, idempotency_key: str | None) -> tuple[Link, bool]:
        """The link, and whether it is new. Raises IdempotencyConflictError, and what ``check_joined`` raises."""
        if wanted.joins:
            check_joined(wanted, await self.find(wanted.joins, by), self._keeper.clock())
        link, is_new = await _until_free(partial(self._store_once, wanted, by, idempotency_key))
        self._keeper.learn(link)
        if is_new:
            self._keeper.note(link.call, *link_created(by, link.type), link.created_at)
            if link.joins:
                self._keeper.note(link.joins, *link_joined(by, link.type, link.call, link.name), link.created_at)
        self._audit("link.made", by=by, call=link.call)
        return link, is_new

    async def find(self, call: str, by: str) -> Link | None:
        """The link of a call, if it is any of the caller's business."""
        link = await self._keeper.store.link(call)
        return link if link is not None and (by not in self._own or link.created_by == by) else None

    async def revoke(self, call: str, by: str) -> bool:
        """Revokes a link and says whether there is one; revoking it again changes nothing."""
        now, link = self._keeper.clock(), await self.find(call, by)
        if link is None or not await self._keeper.store.revoke_link(call, now):
            return False
        self._audit("link.revoked", by=by, call=call)
        if link.revoked_at is None:
            self._keeper.learn(replace(link, revoked_at=now))
            self._keeper.note(call, *link_revoked(by), now)
        return True

    async def move(self, link: Link, link_type: LinkType, starts_at: datetime, by: str) -> tuple[Link, bool]:
        """The link for another time that takes the place of one of a type, and whether it is new.

        It has the same name and attributes, and is the same key's. Moved to the time that it has, a link stays; moved again
        to the same time, the first new link is told. Raises NotMovableError.
        """
        if link.withdrawn_at is None and link.starts_at == starts_at:
            return link, False
        wanted = WantedLink(link_type, link.name, link.attributes, None, starts_at, "", link.joins)
        return await _until_free(partial(self._move_once, link, wanted, starts_at, by))

    async def _move_once(self, link: Link, wanted: WantedLink, starts_at: datetime, by: str) -> tuple[Link, bool]:
        store, now = self._keeper.store, self._keeper.clock()
        _, new = new_link(wanted, self._keyring, self._nonce(), now, link.created_by)
        moved = await store.move_link(link.call, new, now)
        if moved is not None and moved.moved_to == new.call:
            for each in (moved, new, *await store.read(Reader.joining, new.call)):
                self._keeper.learn(each)
            self._keeper.note(link.call, *link_moved(by, new.call, starts_at), now)
            self._keeper.note(new.call, *link_made_for_moved(by, new.type, link.call), now)
            self._audit("link.moved", by=by, call=link.call, to=new.call)
            return new, True
        if moved is None or moved.revoked_at is not None:
            raise NotMovableError("the link was revoked; make a new one")
        other = await store.link(moved.moved_to) if moved.moved_to is not None else None
        if other is not None and other.starts_at == starts_at:
            return other, False
        raise NotMovableError(f"the link was moved already; move the one that took its place, {moved.moved_to}")

    async def _store_once(self, wanted: WantedLink, by: str, idempotency_key: str | None) -> tuple[Link, bool]:
        _, link = new_link(wanted, self._keyring, self._nonce(), self._keeper.clock(), by)
        stored = await self._keeper.store.create_link(link, idempotency_key, wanted.digest)
        return stored, stored.call == link.call


async def _until_free(sign: Callable[[], Awaitable[tuple[Link, bool]]]) -> tuple[Link, bool]:
    """What ``sign`` comes to, which signs another call each time. Raises CallTakenError if even the last is taken."""
    for _ in range(MOST_SIGNATURES - 1):
        with suppress(CallTakenError):
            return await sign()
    return await sign()

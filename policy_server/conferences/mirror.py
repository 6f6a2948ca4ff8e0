"""Links and held rooms in memory, as a policy answer needs them: within microseconds, whatever the database does."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Final

from policy_server.conferences.caller_names import callers_of
from policy_server.conferences.records import Ended, HeldConference, Link
from policy_server.pexip.aliases import folded
from policy_server.pexip.events import room_of
from policy_server.telephony.trunks import Load

NEARBY_LIMIT: Final = 4
"""Rooms that are found by one call or alias, the newest; each costs a decision. The others are found by name."""

MINUTE: Final = timedelta(minutes=1)
"""How long a call counts to those of a minute."""

_FEW: Final = 64
"""Expiries of rooms that have ended that may be kept anyway, so that few rooms make no work."""

_Index = dict[str, tuple[HeldConference, ...]]


class Mirror:
    """What this process knows. An object that is returned is returned again until something in it changes."""

    def __init__(self) -> None:
        self._links: Final[dict[str, Link]] = {}
        self._joined_by: Final[defaultdict[str, set[str]]] = defaultdict(set)
        self._rooms: Final[dict[str, HeldConference]] = {}
        self._of_call: Final[_Index] = {}
        self._of_alias: Final[_Index] = {}
        self._of_caller: Final[_Index] = {}
        self._open: Final[set[str]] = set()
        self._legs: Final[Counter[str]] = Counter()
        self._begun: Final[deque[tuple[datetime, str]]] = deque()
        self._lately: Final[Counter[str]] = Counter()
        self._expiring: Final[list[tuple[datetime, str, str]]] = []

    @property
    def room_count(self) -> int:
        """Rooms that are held."""
        return len(self._rooms)

    @property
    def open_count(self) -> int:
        """Rooms that are held and that no signed link led to."""
        return len(self._open)

    @property
    def names(self) -> Iterable[str]:
        """The names of the rooms that are held."""
        return self._rooms.keys()

    def has(self, key: str) -> bool:
        """Whether a room of this name is held, or one of this call."""
        return key in self._rooms or key in self._of_call

    def is_open(self, key: str) -> bool:
        """Whether a timeline is that of a room that no signed link led to: its key is the room's name."""
        return key in self._open

    def link(self, call: str, at: datetime) -> Link | None:
        """The link of a call that matters at a time: of itself, or to a room that began before it expired, or to a link that
        joins it. Whether what is over has been forgotten already makes no difference.
        """
        link = self._links.get(call)
        return link if link is None or link.expires_at > at or self._matters(link, at) else None

    def learn(self, link: Link) -> bool:
        """Takes note of a link, and says whether it was news."""
        known = self._links.get(link.call)
        # A reading from before the revocation may arrive after it.
        if known == link or (known is not None and link.is_older_than(known)):
            return False
        if known is not None:
            # A visit that is moved takes along who joins it.
            self._unlink(known)
        self._links[link.call] = link
        if link.joins:
            self._joined_by[link.joins].add(link.call)
        return True

    def room(self, name: str) -> HeldConference | None:
        """What holds a room, or held it last, if that has not been forgotten yet."""
        return self._rooms.get(name)

    def live(self, name: str, at: datetime) -> HeldConference | None:
        """The conference that holds a room at a time."""
        room = self._rooms.get(name)
        return room if room is not None and at < room.expires_at else None

    def live_of_call(self, call: str, at: datetime) -> HeldConference | None:
        """The latest conference that a call's link led to; one in a breakout room only where there is no other."""
        running = (room for room in self._of_call.get(call, ()) if at < room.expires_at)
        return min(running, key=lambda room: room.name != room_of(room.name), default=None)

    def nearby(self, call: str, alias: str) -> tuple[HeldConference, ...]:
        """The rooms that an alias leads to (as ``alias_key`` writes it), and those that a call's link led to.

        Of each the latest come first; some may be there twice, and some may have expired.
        """
        return self._of_alias.get(alias, ()) + self._of_call.get(call, ())

    def of_caller(self, caller: str, at: datetime) -> tuple[HeldConference, ...]:
        """The rooms without a call that call out as ``caller``, in lower case: a user part of ``callers_of``."""
        return tuple(room for room in self._of_caller.get(caller, ()) if at < room.expires_at)

    def load(self, remote_alias: str, at: datetime) -> Load:
        """How much goes to what is dialled, by the rooms that are held: each counts with its first legs, until it ends."""
        self._forget_begun(at)
        self._drop_expired(at)
        return Load(self._legs[remote_alias], self._lately[remote_alias])

    def keep(self, conference: HeldConference) -> None:
        """The conference holds its room from now on."""
        present = self._rooms.get(conference.name)
        if present is conference:
            return
        if present is not None and present.id == conference.id:
            # Doors are only ever added, and some may not be written yet.
            doors = {**present.doors, **conference.doors}
            if doors != conference.doors:
                conference = replace(conference, doors=doors)
            if present == conference:
                return
        self.drop(conference.name)
        self._rooms[conference.name] = conference
        if conference.legs:
            self._count(conference, is_new=present is None or present.id != conference.id)
        if not conference.call:
            self._open.add(conference.name)
        for index, key in self._indexes(conference):
            index[key] = (conference, *index.get(key, ())[: NEARBY_LIMIT - 1])

    def drop(self, name: str) -> None:
        """Nothing holds the room any more."""
        over = self._rooms.pop(name, None)
        if over is None:
            return
        self._open.discard(name)
        for alias in _dialled(over):
            self._legs[alias] -= 1
            if self._legs[alias] <= 0:
                del self._legs[alias]
        for index, key in self._indexes(over):
            others = tuple(room for room in index.pop(key, ()) if room is not over)
            if others:
                index[key] = others

    def drop_if(self, conference: HeldConference) -> None:
        """Nothing holds the room any more if it is this conference that does."""
        present = self._rooms.get(conference.name)
        if present is not None and present.id == conference.id:
            self.drop(conference.name)

    def end(self, over: Ended) -> None:
        """A conference holds its room no more."""
        present = self._rooms.get(over.room)
        if present is not None and present.id == over.id:
            self.drop(over.room)

    def forget_expired(self, now: datetime) -> None:
        """Forgets rooms that have expired, and expired links that neither a room needs nor a link that joins them."""
        self._drop_expired(now)
        for name in [name for name, room in self._rooms.items() if room.expires_at <= now]:
            self.drop(name)
        expired = [link for link in self._links.values() if link.expires_at <= now]
        for link in [link for link in expired if not self._matters(link, now)]:
            del self._links[link.call]
            self._unlink(link)

    def _unlink(self, link: Link) -> None:
        if link.joins:
            self._joined_by[link.joins].discard(link.call)
            if not self._joined_by[link.joins]:
                del self._joined_by[link.joins]

    def _drop_expired(self, at: datetime) -> None:
        """Drops expired rooms that have legs; the others wait until they are looked for."""
        while self._expiring and self._expiring[0][0] <= at:
            _, name, conference_id = heappop(self._expiring)
            if name in self._rooms and self._rooms[name].id == conference_id:
                self.drop(name)

    def _matters(self, link: Link, at: datetime) -> bool:
        return (
            link.is_remembered(at)
            or any(
                room.held_at < link.expires_at and at < room.expires_at
                for call in (link.call, link.joins)
                for room in self._of_call.get(call, ())
            )
            or any(self._links[call].expires_at > at for call in self._joined_by.get(link.call, ()))
        )

    def _count(self, room: HeldConference, *, is_new: bool) -> None:
        """Counts the legs of a room that is held, and its calls if it began just now."""
        for alias in _dialled(room):
            self._legs[alias] += 1
            if is_new:
                self._lately[alias] += 1
                self._begun.append((room.held_at, alias))
        if is_new:
            heappush(self._expiring, (room.expires_at, room.name, room.id))
        if len(self._expiring) > 2 * len(self._rooms) + _FEW:
            # Most rooms end long before they would expire.
            self._expiring[:] = [(one.expires_at, one.name, one.id) for one in self._rooms.values() if one.legs]
            heapify(self._expiring)
        self._forget_begun(room.held_at)

    def _forget_begun(self, now: datetime) -> None:
        """Rooms come in the order in which they begin, but for those of other replicas, which are late by seconds."""
        while self._begun and self._begun[0][0] <= now - MINUTE:
            _, alias = self._begun.popleft()
            self._lately[alias] -= 1
            if self._lately[alias] <= 0:
                del self._lately[alias]

    def _indexes(self, room: HeldConference) -> Iterator[tuple[_Index, str]]:
        if room.call:
            yield self._of_call, room.call
        else:
            for caller in {folded(key) for key in callers_of(room)}:
                yield self._of_caller, caller
        for alias in dict.fromkeys(room.aliases.values()):
            yield self._of_alias, alias


def _dialled(room: HeldConference) -> list[str]:
    """What the legs of a room dial."""
    return [str(leg.get("remote_alias", "")) for leg in room.legs]

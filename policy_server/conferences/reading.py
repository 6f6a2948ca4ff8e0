"""What was known of links and rooms at one moment: decisions by it leave no trace anywhere else."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from policy_server.conferences.holding import with_door
from policy_server.conferences.mirror import MINUTE, NEARBY_LIMIT
from policy_server.conferences.records import Door, HeldConference, Link
from policy_server.conferences.store import ConferenceStore
from policy_server.telephony.trunks import Load


class Snapshot:
    """Links and rooms as they were, for ``Rooms``: it answers as ``Conferences`` would, and keeps nothing.

    ``rooms`` are those that were held, oldest first; ``lifetime`` is how long a room would be; ``over`` are rooms that began
    lately and were over.
    """

    def __init__(
        self,
        links: Iterable[Link] = (),
        rooms: Iterable[HeldConference] = (),
        lifetime: timedelta = timedelta(1),
        over: Iterable[HeldConference] = (),
    ) -> None:
        self.lifetime: Final = lifetime
        self._over: Final = tuple(over)
        self.links: Final = {link.call: link for link in links}
        self.rooms: Final = {room.name: room for room in rooms}

    def link(self, call: str) -> Link | None:
        """The link of a call that had not expired or had a room."""
        return self.links.get(call)

    def live(self, name: str, at: datetime) -> HeldConference | None:
        """The conference that held a room."""
        room = self.rooms.get(name)
        return room if room is not None and at < room.expires_at else None

    def nearby(self, call: str, alias: str) -> tuple[HeldConference, ...]:
        """The rooms that began when somebody dialled an alias, and those that a call's link led to, the latest first."""
        latest = tuple(reversed(self.rooms.values()))
        of_alias = tuple(room for room in latest if alias and alias in room.aliases.values())
        of_call = tuple(room for room in latest if call and room.call == call)
        return of_alias[:NEARBY_LIMIT] + of_call[:NEARBY_LIMIT]

    def load(self, remote_alias: str, at: datetime) -> Load:
        """How much went to what is dialled, by the rooms that were held; one that is over was a call all the same."""
        held = [room for room in self.rooms.values() if at < room.expires_at and _dials(room, remote_alias)]
        begins = [room.held_at for room in (*held, *(room for room in self._over if _dials(room, remote_alias)))]
        return Load(len(held), sum(begun > at - MINUTE for begun in begins))

    async def hold(self, conference: HeldConference) -> HeldConference:
        """The conference that would hold the room."""
        return self.live(conference.name, conference.held_at) or conference

    async def agreed(self, held: HeldConference, rule: str) -> HeldConference:
        """The conference itself: nobody else is heard."""
        return held

    async def open_door(self, held: HeldConference, rule: str, door: Door) -> HeldConference:
        """The conference as it would be with one more door."""
        return with_door(held, rule, door)


def _dials(room: HeldConference, remote_alias: str) -> bool:
    return any(leg.get("remote_alias") == remote_alias for leg in room.legs)


async def read_snapshot(store: ConferenceStore, at: datetime, lifetime: timedelta, *, is_now: bool) -> Snapshot:
    """What a server knows now, or what one knew or will know at another time as far as that can be told today.

    At another time a room is held from its first question until it ended or, if it still runs, until nobody would remember
    it; a link that was revoked later is still good. Raises StoreUnavailableError.
    """
    rooms = await (store.live(at) if is_now else store.held_at(at))
    links = await store.links_that_matter(at, rooms)
    if not is_now:
        links = tuple(link.as_of(at) for link in links)
    running = {room.id for room in rooms}
    over = [room for room in await store.begun(at - MINUTE, at) if room.id not in running]
    return Snapshot(links, rooms, lifetime, over)

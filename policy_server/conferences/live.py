"""What this replica knows of links and rooms, kept equal to the store, and what it still has to write.

Policy answers need links and held rooms within microseconds and must not depend on the database, so they are mirrored
here: loaded at the start, and renewed whenever the store says that something changed, here or on another replica.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.holding import with_door
from policy_server.conferences.records import LOOK_AGAIN, Change, Door, HeldConference, Link, TimelineEntry
from policy_server.conferences.store import ConferenceStore

HOLD_PATIENCE: Final = 0.25
"""Seconds that a policy answer waits for its room to be held (DESIGN section 7)."""

START_PATIENCE: Final = 3.0
"""Seconds that the start waits for what the store knows."""

STOP_PATIENCE: Final = 3.0
"""Seconds that the end waits until everything is written."""

WAITING_LIMIT: Final = 20_000
"""Timeline entries that may wait for a database that is away; what comes beyond is dropped and counted."""

ROOMS_LIMIT: Final = 20_000
"""Rooms that may be held at a time: more than Pexip can run, and an end to what strangers can make us remember."""

OPEN_ROOMS: Final = 2_000
"""Of these, how many may be rooms that no signed link led to, unless it is set otherwise: anybody who can dial an alias
makes those.
"""

SAID_SECONDS: Final = 60.0
"""Seconds between two lines of the log that say the same."""

NEARBY_LIMIT: Final = 4
"""Rooms that are found by one call or alias, the newest; each costs a decision. The others are found by name."""

TIDY_SECONDS: Final = 60.0
"""Seconds between two times at which what is over is forgotten here, and what is too old is deleted from the store."""

GATHER_SECONDS: Final = 0.05
"""Seconds that notes wait for others to be written with, unless a hold comes, for which calls wait."""

WRITTEN_AT_ONCE: Final = 500
RETRY_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hold:
    """A room, or one more door of it, on its way to the store. ``deadline`` is by the clock of the event loop."""

    conference: HeldConference
    rule: str
    holder: asyncio.Future[HeldConference]
    deadline: float


class Subscription:
    """Told when one of its keys, calls or room names, changes."""

    def __init__(self) -> None:
        self._changed: Final = asyncio.Event()

    def tell(self) -> None:
        """Something changed."""
        self._changed.set()

    async def wait(self, seconds: float) -> bool:
        """Waits for a change and says whether there was one within ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        changed = self._changed.is_set()
        self._changed.clear()
        return changed


class Conferences:
    """Links, live rooms and notes of one process; ``start`` and ``stop`` it in its event loop.

    ``lifetime`` is how long a room stays held when nobody says that it ended, ``retention`` how long the store keeps
    what is over (``None``: for ever). ``open_rooms`` is the limit of rooms that no signed link led to.
    ``late`` counts answers that did not wait for their hold, ``dropped`` what could not be kept for writing, ``unheld``
    rooms that were not held because there were too many. An object that ``link`` or ``live`` returned is returned again
    until something in it changes.
    """

    def __init__(
        self,
        store: ConferenceStore,
        clock: Callable[[], datetime],
        lifetime: timedelta,
        retention: timedelta | None = None,
        *,
        open_rooms: int = OPEN_ROOMS,
    ) -> None:
        self.store: Final = store
        self.clock: Final = clock
        self.lifetime: Final = lifetime
        self.dropped = 0
        self.late = 0
        self.unheld = 0
        self.open_limit: Final = open_rooms
        self._open: Final[set[str]] = set()
        self._said_at = -SAID_SECONDS
        self._retention: Final = retention
        self._links: Final[dict[str, Link]] = {}
        self._rooms: Final[dict[str, HeldConference]] = {}
        self._of_call: Final[dict[str, tuple[HeldConference, ...]]] = {}
        self._of_alias: Final[dict[str, tuple[HeldConference, ...]]] = {}
        self._notes: Final[deque[TimelineEntry]] = deque()
        self._holds: Final[dict[tuple[str, str], Hold]] = {}
        self._own: Final[dict[str, set[int]]] = {}
        self._heard: Final[dict[str, int]] = {}
        self._unwritten: Final = asyncio.Event()
        self._urgent: Final = asyncio.Event()
        self._stale: Final[set[str]] = set()
        self._to_renew: Final = asyncio.Event()
        self._loaded: Final = asyncio.Event()
        self._subscriptions: Final[dict[str, set[Subscription]]] = {}
        self._tasks: Final[list[asyncio.Task[None]]] = []

    async def start(self) -> None:
        """Begins to follow the store and to write to it. Waits a moment for what it knows; it need not be there yet."""
        loops = (self._follow, self._renew_stale, self._write_unwritten, self._tidy)
        self._tasks.extend(asyncio.create_task(_for_ever(loop)) for loop in loops)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_PATIENCE):
                await self._loaded.wait()

    async def stop(self) -> None:
        """Writes what can be written and lets go of the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        try:
            # What a cancelled task has begun to write may be written twice, which the store does not mind.
            async with asyncio.timeout(STOP_PATIENCE):
                await self._write_all()
        except (StoreUnavailableError, TimeoutError) as error:
            log.warning("conferences.lost: %d holds and %d notes; %s", len(self._holds), len(self._notes), error)
        finally:
            await self.store.close()

    @property
    def waiting(self) -> int:
        """Pins and notes that are not written yet."""
        return len(self._holds) + len(self._notes)

    @property
    def live_count(self) -> int:
        """Rooms that are held."""
        return len(self._rooms)

    @property
    def open_count(self) -> int:
        """Rooms that are held and that no signed link led to."""
        return len(self._open)

    def is_open(self, key: str) -> bool:
        """Whether a timeline is that of such a room: its key is the room's name or call."""
        return key in self._open or any(room.name in self._open for room in self._of_call.get(key, ()))

    def link(self, call: str) -> Link | None:
        """The link of a call that has not expired or has a room, as far as it is known here."""
        return self._links.get(call)

    def learn(self, link: Link) -> None:
        """Takes note of a link that this process has stored or revoked, before the store says so."""
        known = self._links.get(link.call)
        # A reading from before the revocation may arrive after it.
        if known != link and (known is None or known.revoked_at is None or link.revoked_at is not None):
            self._links[link.call] = link

    def live(self, name: str, at: datetime) -> HeldConference | None:
        """The conference that holds a room."""
        return _unless_over(self._rooms.get(name), at)

    def live_of_call(self, call: str, at: datetime) -> HeldConference | None:
        """The latest conference that a call's link led to."""
        return next((room for room in self._of_call.get(call, ()) if at < room.expires_at), None)

    def nearby(self, call: str, alias: str) -> tuple[HeldConference, ...]:
        """The rooms that an alias leads to (as ``alias_key`` writes it), and those that a call's link led to.

        Of each the latest come first; some may be there twice, and some may have expired.
        """
        return self._of_alias.get(alias, ()) + self._of_call.get(call, ())

    @contextmanager
    def subscribe(self, *keys: str) -> Iterator[Subscription]:
        """A subscription to some calls and room names for as long as the block runs."""
        subscription = Subscription()
        for key in keys:
            self._subscriptions.setdefault(key, set()).add(subscription)
        try:
            yield subscription
        finally:
            for key in keys:
                others = self._subscriptions.get(key, set())
                others.discard(subscription)
                if not others:
                    self._subscriptions.pop(key, None)

    def note(self, key: str, kind: str, data: Mapping[str, object], at: datetime) -> None:
        """Puts something on the timeline of a call or room name, when the database has time."""
        if not key:
            return
        # While the database is away strangers must not take the places of customers' notes.
        if len(self._notes) >= WAITING_LIMIT or (len(self._notes) >= WAITING_LIMIT // 2 and self.is_open(key)):
            self.dropped += 1
            return
        self._notes.append(TimelineEntry(key, at, kind, data))
        self._unwritten.set()

    async def hold(self, conference: HeldConference) -> HeldConference:
        """Pins a room and returns the conference that holds it.

        Waits for the database for ``HOLD_PATIENCE`` at the most; then the answer goes out, and the hold is written later.
        Where there are too many rooms already, nobody holds it: the answer goes out, and the next is decided anew.
        """
        held = self.live(conference.name, conference.held_at)
        if held is not None:
            return await self.agreed(held, conference.rule)
        is_one_too_many = len(self._open) >= self.open_limit and not conference.call
        if is_one_too_many or max(len(self._rooms), len(self._holds)) >= ROOMS_LIMIT:
            self._say_unheld(is_one_too_many)
            return conference
        return await self._write(conference, conference.rule)

    async def open_door(self, held: HeldConference, rule: str, door: Door) -> HeldConference:
        """Holds the door of one more rule of a room, waiting as ``hold`` does; returns the conference with its doors.

        Another replica may have been first, and then the door is the one that it holds.
        """
        room = self._rooms.get(held.name)
        # Of an open room there may be more doors than rooms, and none may take a customer's place.
        limit = ROOMS_LIMIT // 2 if held.name in self._open else ROOMS_LIMIT
        if room is None or room.id != held.id or len(self._holds) >= limit:
            # The room has just ended or changed hands, or nothing more can be kept for writing.
            return with_door(held, rule, door)
        if rule in room.doors:
            return await self.agreed(room, rule)
        return await self._write(with_door(room, rule, door), rule)

    def _say_unheld(self, is_open: bool) -> None:
        self.unheld += 1
        now = asyncio.get_running_loop().time()
        if now - self._said_at < SAID_SECONDS:
            return
        self._said_at = now
        what = (
            f"{self.open_limit} rooms without a signed link (POLICY_OPEN_ROOMS)" if is_open else f"{ROOMS_LIMIT} rooms"
        )
        log.warning(
            "rooms.unheld: %s are held, the most that may be; further ones are answered and not held, %d since the start; "
            "if no event sink reports the end of conferences, set one up; else look in the log who dials so many aliases",
            what,
            self.unheld,
        )

    async def _write(self, conference: HeldConference, rule: str) -> HeldConference:
        self._keep(conference)
        loop = asyncio.get_running_loop()
        hold = Hold(conference, rule, loop.create_future(), loop.time() + HOLD_PATIENCE)
        self._holds[conference.id, rule] = hold
        self._unwritten.set()
        self._urgent.set()
        return await self.agreed(conference, rule)

    async def agreed(self, held: HeldConference, rule: str) -> HeldConference:
        """The conference that holds a room which is held here: while it is being written, another replica may win.

        So it is with the door of ``rule``. All questions about the room wait together, until ``HOLD_PATIENCE`` after the
        first at the most.
        """
        for key in dict.fromkeys(((held.id, held.rule), (held.id, rule))):
            hold = self._holds.get(key)
            if hold is None:
                continue
            seconds = hold.deadline - asyncio.get_running_loop().time()
            if seconds > 0:
                await asyncio.wait((hold.holder,), timeout=seconds)
            if not hold.holder.done():
                self.late += 1
                return held
            held = hold.holder.result()
        return held

    def _keep(self, conference: HeldConference) -> None:
        present = self._rooms.get(conference.name)
        if present is not None and present.id == conference.id:
            # Doors are only ever added, and some may not be written yet.
            conference = replace(conference, doors={**present.doors, **conference.doors})
        if present == conference:
            return
        self._drop(conference.name)
        self._rooms[conference.name] = conference
        if not conference.call:
            self._open.add(conference.name)
        for index, key in self._indexes(conference):
            index[key] = (conference, *index.get(key, ())[: NEARBY_LIMIT - 1])

    def _drop(self, name: str) -> None:
        over = self._rooms.pop(name, None)
        if over is None:
            return
        self._open.discard(name)
        for index, key in self._indexes(over):
            others = tuple(room for room in index.pop(key, ()) if room is not over)
            if others:
                index[key] = others

    def _indexes(self, room: HeldConference) -> Iterator[tuple[dict[str, tuple[HeldConference, ...]], str]]:
        if room.call:
            yield self._of_call, room.call
        for alias in dict.fromkeys(room.aliases.values()):
            yield self._of_alias, alias

    async def _write_unwritten(self) -> None:
        await self._unwritten.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GATHER_SECONDS):
                await self._urgent.wait()
        self._unwritten.clear()
        self._urgent.clear()
        try:
            await self._write_all()
        except StoreUnavailableError as error:
            log.warning(
                "conferences.unwritten: %d holds and %d notes wait; %s", len(self._holds), len(self._notes), error
            )
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            if self.waiting:
                self._unwritten.set()

    async def _write_all(self) -> None:
        while self._holds or self._notes:
            holds = list(self._holds.values())[:WRITTEN_AT_ONCE]
            # As many notes only as do not keep calls waiting for their holds.
            notes = [self._notes[place] for place in range(min(len(self._notes), WRITTEN_AT_ONCE))]
            try:
                await self._record(holds, notes)
            except (ValueError, TypeError):
                # Something among them cannot be written, ever.
                log.exception("conferences.unwritable: %d holds and %d notes are dropped", len(holds), len(notes))
                self.dropped += len(holds) + len(notes)
                self._settle(holds, [hold.conference for hold in holds])
            for _ in notes:
                self._notes.popleft()

    async def _record(self, holds: Sequence[Hold], notes: Sequence[TimelineEntry]) -> None:
        recorded = await self.store.record([hold.conference for hold in holds], notes)
        for key, number in recorded.numbers.items():
            self._own.setdefault(key, set()).add(number)
        self._settle(holds, recorded.holders)

    def _settle(self, holds: Sequence[Hold], holders: Sequence[HeldConference]) -> None:
        """Lets go those that wait for their holds."""
        for hold, holder in zip(holds, holders, strict=True):
            conference = hold.conference
            self._holds.pop((conference.id, hold.rule), None)
            room = self._rooms.get(conference.name)
            if holder.ended_at is None:
                self._keep(holder)
                room = self._rooms.get(conference.name)
            elif room is not None and room.id == conference.id:
                # It was written before, although that could not be seen from here, and ended meanwhile.
                self._drop(conference.name)
            if not hold.holder.done():
                hold.holder.set_result(room if room is not None and room.id == holder.id else holder)

    async def _follow(self) -> None:
        async with contextlib.aclosing(self.store.changes()) as changes:
            async for change in changes:
                if self._is_own(change):
                    # Nothing but what this process has held and noted itself.
                    self._tell((change.key,))
                else:
                    self._stale.add(change.key)
                    self._to_renew.set()
        # The store was closed.
        await asyncio.sleep(RETRY_SECONDS)

    def _is_own(self, change: Change) -> bool:
        """Whether this process itself wrote all that changed since a key was heard of last.

        Not every change is heard: SQLite tells only the latest of several.
        """
        if len(self._heard) > WAITING_LIMIT or len(self._own) > WAITING_LIMIT:
            self._heard.clear()
            self._own.clear()
        heard, own = self._heard.get(change.key, 0), self._own.pop(change.key, ())
        self._heard[change.key] = change.number
        return heard < change.number and all(number in own for number in range(heard + 1, change.number + 1))

    async def _renew_stale(self) -> None:
        """Reads again what changed. Nothing else reads, or an old reading could be taken for news."""
        await self._to_renew.wait()
        self._to_renew.clear()
        try:
            while self._stale:
                everything = LOOK_AGAIN.key in self._stale
                keys = list(self._stale)[: None if everything else WRITTEN_AT_ONCE]
                self._stale.difference_update(keys)
                try:
                    await (self._renew_all() if everything else self._renew(keys))
                except BaseException:
                    self._stale.update(keys)
                    raise
        except StoreUnavailableError as error:
            log.warning("conferences.stale: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            if self._stale:
                self._to_renew.set()

    async def _renew_all(self) -> None:
        now = self.clock()
        before = self._dropped_unless_found(self._rooms)
        rooms = await self.store.live(now)
        self._take(await self.store.links_that_matter(now, rooms), rooms, before)
        self._tell(tuple(self._subscriptions))
        self._loaded.set()

    async def _renew(self, keys: Sequence[str]) -> None:
        before = self._dropped_unless_found(keys)
        links = await self.store.links(keys)
        rooms = await self.store.holders_among(keys, self.clock())
        self._take(links, rooms, before)
        self._tell(keys)

    def _dropped_unless_found(self, names: Iterable[str]) -> dict[str, HeldConference]:
        """The rooms that the store must know if they still run: those whose hold was written before it is read."""
        rooms = ((name, self._rooms.get(name)) for name in names)
        return {name: room for name, room in rooms if room is not None and (room.id, room.rule) not in self._holds}

    def _take(self, links: Iterable[Link], rooms: Iterable[HeldConference], before: dict[str, HeldConference]) -> None:
        for link in links:
            self.learn(link)
        for room in rooms:
            before.pop(room.name, None)
            self._keep(room)
        for name, room in before.items():
            if (present := self._rooms.get(name)) is not None and present.id == room.id:
                self._drop(name)

    def _tell(self, keys: Iterable[str]) -> None:
        for key in keys:
            for subscription in tuple(self._subscriptions.get(key, ())):
                subscription.tell()

    async def _tidy(self) -> None:
        await asyncio.sleep(TIDY_SECONDS)
        now = self.clock()
        for name in [name for name, room in self._rooms.items() if room.expires_at <= now]:
            self._drop(name)
        over = [call for call, link in self._links.items() if link.expires_at <= now]
        for call in over:
            if call not in self._of_call:
                del self._links[call]
        try:
            await self.store.forget_secrets(now)
        except StoreUnavailableError as error:
            log.warning("conferences.unforgotten: %s", error)
        if self._retention is not None:
            try:
                deleted = await self.store.purge(now - self._retention)
            except StoreUnavailableError as error:
                log.warning("conferences.unpurged: %s", error)
            else:
                log.log(logging.INFO if deleted else logging.DEBUG, "conferences.purged: %d rows", deleted)


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Does something again and again. Nothing that goes wrong in it may end it."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("conferences.failed: it is tried again")
            await asyncio.sleep(RETRY_SECONDS)


def _unless_over(conference: HeldConference | None, at: datetime) -> HeldConference | None:
    return conference if conference is not None and at < conference.expires_at else None

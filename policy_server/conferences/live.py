"""What this replica knows of links and rooms, kept equal to the store, and what it still has to write.

Policy answers need links and pinned rooms within microseconds and must not depend on the database, so they are mirrored
here: loaded at the start, and renewed whenever the store says that something changed, here or on another replica.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.records import LOOK_AGAIN, Link, PinnedConference, TimelineEntry
from policy_server.conferences.store import ConferenceStore

PIN_PATIENCE: Final = 0.25
"""Seconds that a policy answer waits for its room to be pinned (DESIGN section 7)."""

WAITING_LIMIT: Final = 20_000
"""Timeline entries, and pins, that may wait for a database that is away; what comes beyond is dropped and counted."""

WRITTEN_AT_ONCE: Final = 500
RETRY_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class Subscription:
    """Told when one of its keys, sessions or room names, changes."""

    def __init__(self) -> None:
        self._changed: Final = asyncio.Event()

    def tell(self) -> None:
        """Something changed."""
        self._changed.set()

    async def wait(self, seconds: float) -> bool:
        """Waits for a change and says whether there was one within ``seconds``."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        changed = self._changed.is_set()
        self._changed.clear()
        return changed


class Conferences:
    """Links, live rooms and notes of one process; ``start`` and ``stop`` it in its event loop.

    ``lifetime`` is how long a room stays pinned when nobody says that it ended. ``version`` grows with everything that
    a policy answer may depend on; ``late`` counts answers that did not wait for their pin, ``dropped`` what was lost.
    """

    def __init__(self, store: ConferenceStore, clock: Callable[[], datetime], lifetime: timedelta) -> None:
        self.store: Final = store
        self.clock: Final = clock
        self.lifetime: Final = lifetime
        self.version = 0
        self.dropped = 0
        self.late = 0
        self._links: dict[str, Link] = {}
        self._rooms: dict[str, PinnedConference] = {}
        self._sessions: dict[str, PinnedConference] = {}
        self._notes: Final[deque[TimelineEntry]] = deque()
        self._pins: Final[dict[str, tuple[PinnedConference, asyncio.Future[PinnedConference]]]] = {}
        self._work: Final = asyncio.Event()
        self._subscriptions: Final[dict[str, set[Subscription]]] = {}
        self._tasks: Final[list[asyncio.Task[None]]] = []

    async def start(self) -> None:
        """Begins to follow the store and to write to it; the database need not be there yet."""
        self._tasks.extend((asyncio.create_task(self._follow()), asyncio.create_task(self._write())))

    async def stop(self) -> None:
        """Writes what can be written and lets go of the store."""
        with contextlib.suppress(StoreUnavailableError):
            await self._write_some()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.store.close()

    def link(self, session: str) -> Link | None:
        """The link of a session that has not expired, as far as it is known here."""
        return self._links.get(session)

    def live(self, name: str, at: datetime) -> PinnedConference | None:
        """The conference that holds a room."""
        return _unless_over(self._rooms.get(name), at)

    def live_of_session(self, session: str, at: datetime) -> PinnedConference | None:
        """The conference that a session's link led to."""
        return _unless_over(self._sessions.get(session), at) if session else None

    @contextmanager
    def subscribe(self, *keys: str) -> Iterator[Subscription]:
        """A subscription to some sessions and room names for as long as the block runs."""
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
        """Puts something on the timeline of a session or room name, when the database has time."""
        if not key:
            return
        if len(self._notes) >= WAITING_LIMIT:
            self.dropped += 1
            return
        self._notes.append(TimelineEntry(key, at, kind, data))
        self._work.set()

    async def pin(self, conference: PinnedConference) -> PinnedConference:
        """Pins a room and returns the conference that holds it.

        Waits for the database for ``PIN_PATIENCE`` at the most; then the answer goes out, and the pin is written later.
        """
        held = self.live(conference.name, conference.pinned_at)
        if held is not None:
            return held
        self._keep(conference)
        if len(self._pins) >= WAITING_LIMIT:
            self.dropped += 1
            return conference
        written: asyncio.Future[PinnedConference] = asyncio.get_running_loop().create_future()
        self._pins[conference.id] = (conference, written)
        self._work.set()
        try:
            return await asyncio.wait_for(asyncio.shield(written), PIN_PATIENCE)
        except TimeoutError:
            self.late += 1
            return conference

    def _keep(self, conference: PinnedConference) -> None:
        self._rooms[conference.name] = conference
        if conference.session:
            self._sessions[conference.session] = conference
        self.version += 1

    async def _write(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self._write_some()
            except StoreUnavailableError as error:
                log.warning(
                    "conferences.unwritten: %d pins and %d notes wait; %s", len(self._pins), len(self._notes), error
                )
                await asyncio.sleep(RETRY_SECONDS)
                self._work.set()

    async def _write_some(self) -> None:
        while self._pins or self._notes:
            waiting = list(self._pins.values())[:WRITTEN_AT_ONCE]
            if waiting:
                holders = await self.store.pin_all([conference for conference, _ in waiting])
                for (conference, written), holder in zip(waiting, holders, strict=True):
                    self._pins.pop(conference.id, None)
                    if holder.id != conference.id:
                        self._keep(holder)
                    if not written.done():
                        written.set_result(holder)
            notes = [self._notes[place] for place in range(min(len(self._notes), WRITTEN_AT_ONCE))]
            if notes:
                await self.store.add_timeline(notes)
                for _ in notes:
                    self._notes.popleft()

    async def _follow(self) -> None:
        changes = self.store.changes()
        try:
            async for change in changes:
                try:
                    await (self._load() if change == LOOK_AGAIN else self._renew(change.key))
                except StoreUnavailableError as error:
                    # The store says LOOK_AGAIN once the database is back.
                    log.warning("conferences.stale: %s", error)
                self._tell(None if change == LOOK_AGAIN else change.key)
        finally:
            await changes.aclose()

    async def _load(self) -> None:
        now = self.clock()
        links, rooms = await self.store.good_links(now), await self.store.live(now)
        self._links = {link.session: link for link in links}
        unwritten = [conference for conference, _ in self._pins.values()]
        self._rooms = {room.name: room for room in (*unwritten, *rooms)}
        self._sessions = {room.session: room for room in (*unwritten, *rooms) if room.session}
        self.version += 1

    async def _renew(self, key: str) -> None:
        now = self.clock()
        link, room = await self.store.link(key), await self.store.pinned(key, now)
        if link is not None:
            self._links[key] = link
        if room is not None:
            self._keep(room)
        elif key in self._rooms and not any(conference.name == key for conference, _ in self._pins.values()):
            over = self._rooms.pop(key)
            self._sessions.pop(over.session, None)
        self.version += 1

    def _tell(self, key: str | None) -> None:
        keys = tuple(self._subscriptions) if key is None else (key,)
        for some in keys:
            for subscription in tuple(self._subscriptions.get(some, ())):
                subscription.tell()


def _unless_over(conference: PinnedConference | None, at: datetime) -> PinnedConference | None:
    return conference if conference is not None and at < conference.expires_at else None

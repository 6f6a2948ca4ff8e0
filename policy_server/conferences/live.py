"""What this replica knows of links and rooms, kept equal to the store, and what it still has to write.

Policy answers need links and held rooms within microseconds and must not depend on the database, so they are mirrored
here: loaded at the start, and renewed whenever the store says that something changed, here or on another replica.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final

from policy_server.conferences.due import DueAction
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.follower import Follower
from policy_server.conferences.holding import with_door
from policy_server.conferences.mirror import Mirror
from policy_server.conferences.pace import Limits, Pace
from policy_server.conferences.records import Door, HeldConference, Link, News, TimelineEntry
from policy_server.conferences.running import RunningCalls
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.subscriptions import Subscription, Subscriptions
from policy_server.conferences.writer import Writer
from policy_server.telephony.trunks import Load

log = logging.getLogger(__name__)


class Conferences:
    """Links, live rooms and notes of one process; ``start`` and ``stop`` it in its event loop.

    ``lifetime`` is how long a room stays held when nobody says that it ended, ``retention`` how long the store keeps
    what is over (``None``: for ever). ``unheld`` counts rooms that were not held because there were too many. An object
    that ``link`` or ``live`` returned is returned again until something in it changes.
    """

    def __init__(
        self,
        store: ConferenceStore,
        clock: Callable[[], datetime],
        lifetime: timedelta,
        retention: timedelta | None = None,
        *,
        pace: Pace | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.store: Final = store
        self.clock: Final = clock
        self.lifetime: Final = lifetime
        self.limits: Final = limits or Limits()
        self.subscriptions: Final = Subscriptions()
        self.unheld = 0
        self._pace: Final = pace or Pace()
        self._retention: Final = retention
        self._mirror: Final = Mirror()
        self._writer: Final = Writer(store, self._mirror, self._pace, self.limits)
        self.running: Final = RunningCalls(self._mirror.live, self.is_wanted)
        self._follower: Final = Follower(
            store, self._mirror, self._writer, self.running, self.subscriptions, clock, self._pace
        )
        store.tell_news(self._hear_news)
        self._said_at = -self._pace.say
        self._scheduled: Final[set[str]] = set()
        self._tasks: Final[list[asyncio.Task[None]]] = []

    async def start(self) -> None:
        """Begins to follow the store and to write to it. Waits a moment for what it knows; it need not be there yet."""
        loops = (
            self._follower.listen,
            self._follower.renew,
            self._follower.check,
            self._writer.write_holds,
            self._tidy,
        )
        self._tasks.extend(asyncio.create_task(self._for_ever(loop)) for loop in loops)
        self._writer.start()
        await self._follower.wait(self._pace.start)

    async def stop(self) -> None:
        """Writes what can be written and lets go of the store."""
        self._writer.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        try:
            # What a cancelled task has begun to write may be written twice, which the store does not mind.
            async with asyncio.timeout(self._pace.stop):
                await self._writer.write_all()
        except (StoreUnavailableError, TimeoutError) as error:
            log.warning(
                "conferences.lost: %d holds and %d notes; %s", self._writer.hold_count, self._writer.note_count, error
            )
        finally:
            await self.store.close()

    @property
    def waiting(self) -> int:
        """Holds and notes that are not written yet."""
        return self._writer.hold_count + self._writer.note_count

    @property
    def late(self) -> int:
        """Answers that did not wait for their hold."""
        return self._writer.late

    @property
    def dropped(self) -> int:
        """Holds and notes that could not be kept for writing."""
        return self._writer.dropped

    @property
    def live_count(self) -> int:
        """Rooms that are held."""
        return self._mirror.room_count

    @property
    def open_count(self) -> int:
        """Rooms that are held and that no signed link led to."""
        return self._mirror.open_count

    def is_open(self, key: str) -> bool:
        """Whether a timeline is that of such a room: its key is the room's name."""
        return self._mirror.is_open(key)

    def link(self, call: str) -> Link | None:
        """The link of a call that has not expired or has a room, as far as it is known here."""
        return self._mirror.link(call, self.clock())

    def learn(self, link: Link) -> None:
        """Takes note of a link that this process has stored or revoked, before the store says so."""
        if self._mirror.learn(link):
            self.running.forget(link.call)
            if link.joins:
                self.running.forget(link.joins)

    def live(self, name: str, at: datetime) -> HeldConference | None:
        """The conference that holds a room."""
        return self._mirror.live(name, at)

    def live_of_call(self, call: str, at: datetime) -> HeldConference | None:
        """The latest conference that a call's link led to."""
        return self._mirror.live_of_call(call, at)

    def nearby(self, call: str, alias: str) -> tuple[HeldConference, ...]:
        """The rooms that an alias leads to (as ``alias_key`` writes it), and those that a call's link led to.

        Of each the latest come first; some may be there twice, and some may have expired.
        """
        return self._mirror.nearby(call, alias)

    def load(self, remote_alias: str, at: datetime) -> Load:
        """How much goes to what is dialled, by the rooms that are held: a room counts with its first legs, until it ends."""
        return self._mirror.load(remote_alias, at)

    def of_caller(self, caller: str, at: datetime) -> tuple[HeldConference, ...]:
        """The rooms without a call that call out as ``caller``, in lower case: a user part of ``callers_of``."""
        return self._mirror.of_caller(caller, at)

    def is_wanted(self, key: str) -> bool:
        """Whether a call or room runs, or somebody waits for its changes."""
        return self.subscriptions.has(key) or self._mirror.has(key)

    def subscribe(self, *keys: str) -> AbstractContextManager[Subscription]:
        """A subscription to some calls and room names for as long as the block runs."""
        return self.subscriptions.subscribe(*keys)

    def note(self, key: str, kind: str, data: Mapping[str, object], at: datetime) -> None:
        """Puts something on the timeline of a call or room name, when the database has time."""
        if key:
            self._writer.note(TimelineEntry(key, at, kind, data))

    def is_scheduled(self, action_id: str) -> bool:
        """Whether an action was scheduled here lately; scheduling it again does no harm."""
        return action_id in self._scheduled

    def schedule(self, action: DueAction) -> None:
        """Stores an action that is due some time, when the database has time."""
        if len(self._scheduled) >= self.limits.rooms:
            # The store does not mind those that it has.
            self._scheduled.clear()
        self._scheduled.add(action.id)
        self._writer.schedule(action)

    async def hold(self, conference: HeldConference) -> HeldConference:
        """Holds a room and returns the conference that holds it.

        Waits for the database for ``Pace.hold`` at the most; then the answer goes out, and the hold is written later.
        Where there are too many rooms already, nobody holds it: the answer goes out, and the next is decided anew.
        """
        held = self.live(conference.name, conference.held_at)
        if held is not None:
            return await self.agreed(held, conference.rule)
        is_one_too_many = self.open_count >= self.limits.open_rooms and not conference.call
        if is_one_too_many or max(self.live_count, self._writer.hold_count) >= self.limits.rooms:
            self._say_unheld(is_one_too_many)
            return conference
        return await self._writer.hold(conference, conference.rule)

    async def open_door(self, held: HeldConference, rule: str, door: Door) -> HeldConference:
        """Holds the door of one more rule of a room, waiting as ``hold`` does; returns the conference with its doors.

        Another replica may have been first, and then the door is the one that it holds.
        """
        room = self._mirror.room(held.name)
        # Of an open room there may be more doors than rooms, and none may take a customer's place.
        limit = self.limits.rooms if held.call else self.limits.rooms // 2
        if room is None or room.id != held.id or self._writer.hold_count >= limit:
            # The room has just ended or changed hands, or nothing more can be kept for writing.
            return with_door(held, rule, door)
        if rule in room.doors:
            return await self.agreed(room, rule)
        return await self._writer.hold(with_door(room, rule, door), rule)

    async def agreed(self, held: HeldConference, rule: str) -> HeldConference:
        """The conference that holds a room, when all who may hold it have been heard, or ``Pace.hold`` is over."""
        return await self._writer.agreed(held, rule)

    def _hear_news(self, news: News) -> None:
        for conference in news.conferences:
            if conference.ended_at is None:
                self._mirror.keep(conference)
        for link in news.links:
            self._mirror.learn(link)
        for over in news.ended:
            self._mirror.end(over)
        self.running.hear_news(news)
        self._follower.expect(news.numbers)
        self.subscriptions.tell(news.numbers)

    def _say_unheld(self, is_open: bool) -> None:
        self.unheld += 1
        now = asyncio.get_running_loop().time()
        if now - self._said_at < self._pace.say:
            return
        self._said_at = now
        what = (
            f"{self.limits.open_rooms} rooms without a signed link (POLICY_OPEN_ROOMS)"
            if is_open
            else f"{self.limits.rooms} rooms"
        )
        log.warning(
            "rooms.unheld: %s are held, the most that may be; further ones are answered and not held, %d since the start; "
            "if no event sink reports the end of conferences, set one up; else look in the log who dials so many aliases",
            what,
            self.unheld,
        )

    async def _tidy(self) -> None:
        await asyncio.sleep(self._pace.tidy)
        now = self.clock()
        self._mirror.forget_expired(now)
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

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        """Does something again and again. Nothing that goes wrong in it may end it."""
        while True:
            try:
                await work()
            except Exception:
                log.exception("conferences.failed: it is tried again")
                await asyncio.sleep(self._pace.retry)

"""What this process still has to write: rooms that it holds, for which calls wait a moment, and notes, for which nobody does."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final

from policy_server.conferences.due import DueAction
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.mirror import Mirror
from policy_server.conferences.pace import Limits, Pace
from policy_server.conferences.records import HeldConference, TimelineEntry
from policy_server.conferences.store import ConferenceStore
from policy_server.light import light_dataclass

WRITTEN_AT_ONCE: Final = 500

log = logging.getLogger(__name__)


@light_dataclass(frozen=True, slots=True)
class Hold:
    """A room, or one more door of it, on its way to the store. ``deadline`` is by the clock of the event loop."""

    conference: HeldConference
    rule: str
    holder: asyncio.Future[HeldConference]
    deadline: float


class Writer:
    """Writes to the store in groups, again and again until it succeeds; ``write_holds`` and
    ``write_notes`` each run one round of it.

    ``late`` counts answers that did not wait for their hold, ``dropped`` what could not be kept for writing.
    """

    def __init__(self, store: ConferenceStore, mirror: Mirror, pace: Pace, limits: Limits) -> None:
        self.late = 0
        self.dropped = 0
        self._is_away = False
        self._store: Final = store
        self._mirror: Final = mirror
        self._pace: Final = pace
        self._limits: Final = limits
        self._notes: Final[deque[TimelineEntry]] = deque()
        self._actions: Final[deque[DueAction]] = deque()
        self._holds: Final[dict[tuple[str, str], Hold]] = {}
        self._unwritten: Final = asyncio.Event()
        self._urgent: Final = asyncio.Event()

    @property
    def hold_count(self) -> int:
        """Holds that are not written yet."""
        return len(self._holds)

    @property
    def note_count(self) -> int:
        """Notes that are not written yet."""
        return len(self._notes)

    def is_writing(self, conference: HeldConference) -> bool:
        """Whether the conference is not known to be in the store yet."""
        return (conference.id, conference.rule) in self._holds

    def note(self, entry: TimelineEntry) -> None:
        """Puts something on a timeline, when the database has time."""
        # While the database is away strangers must not take the places of customers' notes.
        most = self._limits.notes
        if len(self._notes) >= most or (len(self._notes) >= most // 2 and self._mirror.is_open(entry.key)):
            self.dropped += 1
            return
        self._notes.append(entry)
        self._unwritten.set()

    def schedule(self, action: DueAction) -> None:
        """Stores an action that is due some time, with what is written next."""
        if len(self._actions) >= self._limits.rooms:
            self.dropped += 1
            return
        self._actions.append(action)
        self._unwritten.set()

    async def hold(self, conference: HeldConference, rule: str) -> HeldConference:
        """Holds a room by the door of a rule, here at once; returns what ``agreed`` does.

        Nobody waits for a database that let the last one wait in vain, until something is written again.
        """
        self._mirror.keep(conference)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (0.0 if self._is_away else self._pace.hold)
        self._holds[conference.id, rule] = Hold(conference, rule, loop.create_future(), deadline)
        self._urgent.set()
        return await self.agreed(conference, rule)

    async def agreed(self, held: HeldConference, rule: str) -> HeldConference:
        """The conference that holds a room which is held here: while it is being written, another replica may win.

        So it is with the door of ``rule``. All questions about the room wait together, until ``Pace.hold`` after the
        first at the most.
        """
        if not self._holds:
            return held
        for key in dict.fromkeys(((held.id, held.rule), (held.id, rule))):
            hold = self._holds.get(key)
            if hold is None:
                continue
            seconds = hold.deadline - asyncio.get_running_loop().time()
            if seconds > 0:
                await asyncio.wait((hold.holder,), timeout=seconds)
            if not hold.holder.done():
                self.late += 1
                self._is_away = True
                return held
            held = hold.holder.result()
        return held

    async def write_holds(self) -> None:
        """Waits until there are holds to write, and writes them."""
        await self._urgent.wait()
        self._urgent.clear()
        try:
            await self._retried(self._write_holds)
        finally:
            if self._holds:
                self._urgent.set()

    async def write_notes(self) -> None:
        """Waits until there are notes to write, and writes them, with whatever else is to be written by then."""
        await self._unwritten.wait()
        self._unwritten.clear()
        try:
            await self._retried(self._write_notes)
        finally:
            if self._notes or self._actions:
                self._unwritten.set()

    async def write_all(self) -> None:
        """Writes everything. Raises StoreUnavailableError."""
        while self._holds or self._notes or self._actions:
            await self._write_holds()
            await self._write_notes()

    async def _retried(self, write: Callable[[], Awaitable[None]]) -> None:
        try:
            await write()
        except StoreUnavailableError as error:
            log.warning(
                "conferences.unwritten: %d holds and %d notes wait; %s", self.hold_count, self.note_count, error
            )
            await asyncio.sleep(self._pace.retry)

    async def _write_holds(self) -> None:
        await self._write_some(list(islice(self._holds.values(), WRITTEN_AT_ONCE)), ())

    async def _write_notes(self) -> None:
        # As many only as do not keep calls waiting for their holds.
        notes = list(islice(self._notes, WRITTEN_AT_ONCE))
        actions = list(islice(self._actions, WRITTEN_AT_ONCE))
        await self._write_some((), notes, actions)
        for _ in notes:
            self._notes.popleft()
        for _ in actions:
            self._actions.popleft()

    async def _write_some(
        self, holds: Sequence[Hold], notes: Sequence[TimelineEntry], actions: Sequence[DueAction] = ()
    ) -> None:
        try:
            if holds or notes or actions:
                await self._record(holds, notes, actions)
        except (ValueError, TypeError):
            # Something among them cannot be written, ever.
            log.exception("conferences.unwritable: %d holds and %d notes are dropped", len(holds), len(notes))
            self.dropped += len(holds) + len(notes) + len(actions)
            self._settle(holds, [hold.conference for hold in holds])

    async def _record(
        self, holds: Sequence[Hold], notes: Sequence[TimelineEntry], actions: Sequence[DueAction]
    ) -> None:
        recorded = await self._store.record([hold.conference for hold in holds], notes, self._pace.gather, actions)
        self._is_away = False
        self._settle(holds, recorded.holders)

    def _settle(self, holds: Sequence[Hold], holders: Sequence[HeldConference]) -> None:
        """Lets go those that wait for their holds."""
        for hold, holder in zip(holds, holders, strict=True):
            conference = hold.conference
            self._holds.pop((conference.id, hold.rule), None)
            # The mirror has heard already who holds it.
            room = self._mirror.room(conference.name)
            if holder.ended_at is not None:
                # It was written before, although that could not be seen from here, and ended meanwhile.
                self._mirror.drop_if(conference)
            if not hold.holder.done():
                hold.holder.set_result(room if room is not None and room.id == holder.id else holder)

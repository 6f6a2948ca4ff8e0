"""What this process still has to write: rooms that it holds, for which calls wait a moment, and notes, for which nobody does."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Final

from policy_server.conferences.batches import Batch, Written
from policy_server.conferences.due import DueAction
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.mirror import Mirror
from policy_server.conferences.pace import Limits, Pace
from policy_server.conferences.records import HeldConference, TimelineEntry
from policy_server.conferences.store import ConferenceStore, Passengers
from policy_server.light import light_dataclass

WRITTEN_AT_ONCE: Final = 500

NOTES_OF_PAGE: Final = 10
"""Notes of one timeline that are written in one row, so many at the most."""

log = logging.getLogger(__name__)


@light_dataclass(frozen=True, slots=True)
class Hold:
    """A room, or one more door of it, on its way to the store. ``holder`` is told who holds it, or ``None`` when calls wait no
    longer.
    """

    conference: HeldConference
    rule: str
    holder: asyncio.Future[HeldConference | None]
    patience: asyncio.TimerHandle


class Writer:
    """Writes to the store, again and again until it succeeds: holds by themselves (``write_holds`` runs one round of it), notes
    with whatever is written next, from ``start`` to ``stop``.

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
        self._pages: Final[deque[list[TimelineEntry]]] = deque()
        # To which more may be added: what was given away to be written stays as it is, or it would be written twice.
        self._open_pages: Final[dict[str, list[TimelineEntry]]] = {}
        self.note_count = 0
        """Notes that are not written yet."""
        self._actions: Final[deque[DueAction]] = deque()
        self._holds: Final[dict[tuple[str, str], Hold]] = {}
        self._urgent: Final = asyncio.Event()
        self._is_on = False
        self._aboard: asyncio.Future[Written] | None = None
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """From now on notes are written."""
        self._is_on = True
        self._store.take_along(self._board)
        self._go_on()

    def stop(self) -> None:
        """From now on notes are kept, until ``write_all``."""
        self._is_on = False
        if self._pause is not None:
            self._pause.cancel()

    @property
    def hold_count(self) -> int:
        """Holds that are not written yet."""
        return len(self._holds)

    def is_writing(self, conference: HeldConference) -> bool:
        """Whether the conference is not known to be in the store yet."""
        return (conference.id, conference.rule) in self._holds

    def note(self, entry: TimelineEntry) -> None:
        """Puts something on a timeline, when the database has time."""
        # While the database is away strangers must not take the places of customers' notes.
        most = self._limits.notes
        if self.note_count >= most or (self.note_count >= most // 2 and self._mirror.is_open(entry.key)):
            self.dropped += 1
            return
        self.note_count += 1
        page = self._open_pages.get(entry.key)
        if page is None or len(page) >= NOTES_OF_PAGE:
            page = self._open_pages[entry.key] = []
            self._pages.append(page)
        page.append(entry)
        self._call()

    def schedule(self, action: DueAction) -> None:
        """Stores an action that is due some time, with what is written next."""
        if len(self._actions) >= self._limits.rooms:
            self.dropped += 1
            return
        self._actions.append(action)
        self._call()

    async def hold(self, conference: HeldConference, rule: str) -> HeldConference:
        """Holds a room by the door of a rule, here at once; returns what ``agreed`` does.

        Nobody waits for a database that let the last one wait in vain, until something is written again.
        """
        self._mirror.keep(conference)
        loop = asyncio.get_running_loop()
        holder: asyncio.Future[HeldConference | None] = loop.create_future()
        if self._is_away:
            holder.set_result(None)
        patience = loop.call_later(self._pace.hold, _tell, holder, None)
        self._holds[conference.id, rule] = Hold(conference, rule, holder, patience)
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
            holder = await asyncio.shield(hold.holder)
            if holder is None:
                self.late += 1
                self._is_away = True
                return held
            held = holder
        return held

    async def write_holds(self) -> None:
        """Waits until there are holds to write, and writes them."""
        await self._urgent.wait()
        self._urgent.clear()
        try:
            await self._write_holds()
        except StoreUnavailableError as error:
            self._say_unwritten(error)
            await asyncio.sleep(self._pace.retry)
        finally:
            if self._holds:
                self._urgent.set()

    async def write_all(self) -> None:
        """Writes everything, once it has stopped. Raises StoreUnavailableError."""
        if self._aboard is not None:
            await asyncio.wait((self._aboard,))
        while self._holds or self._pages or self._actions:
            await self._write_holds()
            await self._write_notes()

    async def _write_holds(self) -> None:
        await self._write_some(list(islice(self._holds.values(), WRITTEN_AT_ONCE)), Batch())

    async def _write_notes(self) -> None:
        notes = self._some_notes()
        await self._write_some((), notes)
        self._drop(notes)

    def _some_notes(self) -> Batch:
        # As many only as do not keep calls waiting for their holds.
        self._open_pages.clear()
        pages, actions = islice(self._pages, WRITTEN_AT_ONCE), islice(self._actions, WRITTEN_AT_ONCE)
        return Batch(pages=list(pages), actions=list(actions))

    def _drop(self, notes: Batch) -> None:
        for page in notes.pages:
            self._pages.popleft()
            self.note_count -= len(page)
        for _ in notes.actions:
            self._actions.popleft()

    @property
    def _may_board(self) -> bool:
        return self._is_on and self._pause is None and self._aboard is None and bool(self._pages or self._actions)

    def _call(self) -> None:
        if self._may_board and not self._store.board_within(self._pace.gather):
            self._wait()

    def _board(self) -> Passengers | None:
        if not self._may_board:
            return None
        notes = self._some_notes()
        self._aboard = asyncio.get_running_loop().create_future()
        self._aboard.add_done_callback(partial(self._arrived, notes))
        return notes, self._aboard

    def _arrived(self, notes: Batch, answer: asyncio.Future[Written]) -> None:
        self._aboard = None
        try:
            answer.result()
        except StoreUnavailableError as error:
            self._say_unwritten(error)
            self._wait()
        except (ValueError, TypeError) as error:
            self._say_unwritable(error, 0, notes)
            self._drop(notes)
        except Exception:
            log.exception("conferences.failed: it is tried again")
            self._wait()
        else:
            self._is_away = False
            self._drop(notes)
        self._call()

    def _wait(self) -> None:
        if self._is_on:
            self._pause = asyncio.get_running_loop().call_later(self._pace.retry, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._call()

    async def _write_some(self, holds: Sequence[Hold], notes: Batch) -> None:
        if not (holds or notes.pages or notes.actions):
            return
        rooms: Sequence[HeldConference] = [hold.conference for hold in holds]
        try:
            rooms = (await self._store.record(rooms, notes.pages, self._pace.gather, notes.actions)).holders
            self._is_away = False
        except (ValueError, TypeError) as error:
            self._say_unwritable(error, len(holds), notes)
        self._settle(holds, rooms)

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
            hold.patience.cancel()
            _tell(hold.holder, room if room is not None and room.id == holder.id else holder)

    def _say_unwritten(self, error: StoreUnavailableError) -> None:
        log.warning("conferences.unwritten: %d holds and %d notes wait; %s", self.hold_count, self.note_count, error)

    def _say_unwritable(self, error: Exception, holds: int, notes: Batch) -> None:
        """Something among them cannot be written, ever."""
        what = "conferences.unwritable: %d holds and %d notes are dropped"
        lost = sum(map(len, notes.pages))
        log.error(what, holds, lost, exc_info=error)
        self.dropped += holds + lost + len(notes.actions)


def _tell(waiting: asyncio.Future[HeldConference | None], holder: HeldConference | None) -> None:
    if not waiting.done():
        waiting.set_result(holder)

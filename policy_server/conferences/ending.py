"""When a conference is over: how it goes, computed here for whoever asks, and freeing its room once it has ended."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.fold import Chronicle, Phase
from policy_server.conferences.live import Conferences
from policy_server.conferences.lives import LAST_WORDS
from policy_server.conferences.reader import BEGINNING, CallSource
from policy_server.conferences.records import HeldConference
from policy_server.conferences.running import NotKept
from policy_server.light import light_dataclass
from policy_server.pexip.events import Event

FOLD_PATIENCE: Final = 1.0
"""Seconds that a node waits until it is known which conferences ended; nodes give up after about five."""

log = logging.getLogger(__name__)


# ------------------------------------------------------------------ how a conference goes


@light_dataclass(frozen=True, slots=True, repr=False)
class Course:
    """How a conference goes, by what its nodes tell and by its hold.

    ``whole`` is what was told of all lives of a call's own room, and of another room since it was held; ``latest`` is what
    was told of the latest life.
    """

    whole: Chronicle
    latest: Chronicle
    phase: Phase


def course_of(reader: CallSource, held: HeldConference, now: datetime) -> Course:
    """How a conference goes that holds its room, or held it."""
    room = str(held.service.get("name") or held.name)
    told = reader.told(room, BEGINNING) if held.is_in_own_room else reader.told_of(held)
    latest = told.since(held.held_at)
    return Course(told if held.is_in_own_room else latest, latest, phase_of(latest.phase, held, now))


def course_in(reader: CallSource, room: str, since: datetime) -> Course:
    """How it goes in a room that nobody holds, by what arrived since a time."""
    told = reader.told(room, since)
    return Course(told, told, told.phase)


def phase_of(latest: Phase, held: HeldConference | None, now: datetime) -> Phase:
    """Where a conference is in its life, by its nodes since it was held and by its hold."""
    if held is None:
        return latest
    if held.expires_at <= now:
        # Whoever still seems to be there left without a word.
        return Phase.ENDED
    return latest if latest is Phase.ACTIVE or held.ended_at is None else Phase.ENDED


# ------------------------------------------------------------------ freeing its room


class Endings:
    """Ends the conferences that messages say are over."""

    def __init__(self, conferences: Conferences) -> None:
        self._conferences: Final = conferences
        self._folding: Final[set[asyncio.Task[None]]] = set()

    async def close(self) -> None:
        """Waits until every conference whose end was reported is ended; call it before the store is closed."""
        if self._folding:
            await asyncio.wait(tuple(self._folding))

    async def end_in_time(self, events: Iterable[Event]) -> bool:
        """Ends what is over, for ``FOLD_PATIENCE`` while somebody waits and then beside it; false when the database failed
        before that.
        """
        ending = (event for event in events if event.conference and event.name in LAST_WORDS)
        names = dict.fromkeys(name for event in ending for name in (event.room, event.conference))
        doubtful = tuple(name for name in names if self._may_be_over(name))
        if not doubtful:
            return True
        folding = asyncio.create_task(self._end_all(doubtful))
        self._folding.add(folding)
        folding.add_done_callback(self._folded)
        done, _ = await asyncio.wait((folding,), timeout=FOLD_PATIENCE)
        return not done or folding.exception() is None

    def _folded(self, folding: asyncio.Task[None]) -> None:
        self._folding.discard(folding)
        if not folding.cancelled() and (error := folding.exception()) is not None:
            log.warning("conferences.not_ended: %s", error)

    async def _end_all(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                await self._end_if_over(name)
            except StoreUnavailableError:
                raise
            except Exception:
                # The messages are stored. Refusing them would hold up all that follow.
                log.exception("conferences.not_ended: its messages cannot be understood")

    def _may_be_over(self, name: str) -> bool:
        """Whether what is kept in memory does not show that a room's conference goes on."""
        try:
            held = self._conferences.running.holder(name, self._conferences.clock())
            return held is not None and _is_over(self._conferences.running, held)
        except Exception:
            # It is not kept; or cannot be understood, which is told where it is looked at again.
            return True

    async def _end_if_over(self, name: str) -> None:
        store, now = self._conferences.store, self._conferences.clock()
        kept = self._number_when_over(name, now)
        if kept is not None and await store.end(name, now, kept):
            return
        with self._conferences.running.reading() as reading:
            is_over = await store.read(lambda reader: _is_room_over(reading.of(reader), name, now))
        if is_over is None and (running := self._conferences.live(name, now)) is not None:
            # A call as short as that: its hold is still waiting to be written. Holds may be written twice.
            held = await store.hold(running)
            is_over = await store.read(_is_over, held)
        if is_over:
            # When we were told: by a node's clock it might be deleted too early, or never.
            await store.end(name, now)

    def _number_when_over(self, name: str, now: datetime) -> int | None:
        """The number of the change by which what is kept in memory shows that a stored conference is over: as long as it is
        the store's, nobody else has told otherwise.
        """
        running = self._conferences.running
        try:
            held = running.holder(name, now)
            stored = running.conference_of_call(held.call) if held is not None else None
            if held is None or stored is None or stored.id != held.id or not _is_over(running, held):
                return None
            return running.change_number((name,))
        except NotKept:
            return None


def _is_room_over(reader: CallSource, name: str, now: datetime) -> bool | None:
    """Whether what holds a room has ended; ``None`` where nothing does."""
    reader.change_number((name,))
    held = reader.holder(name, now)
    return None if held is None else _is_over(reader, held)


def _is_over(reader: CallSource, held: HeldConference) -> bool:
    # Of this room alone: while its main room runs a breakout room may be over.
    return reader.told_of(held).since(held.held_at).is_ended

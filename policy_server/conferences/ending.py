"""When a conference is over: how it goes, computed here for whoever asks, and freeing its room once it has ended."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.fold import ConferenceState, Phase, fold
from policy_server.conferences.live import Conferences
from policy_server.conferences.lives import LAST_WORDS, told_since
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import HeldConference
from policy_server.pexip.events import Event

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)

FOLD_PATIENCE: Final = 1.0
"""Seconds that a node waits until it is known which conferences ended; nodes give up after about five."""

log = logging.getLogger(__name__)


# ------------------------------------------------------------------ how a conference goes


@dataclass(frozen=True, slots=True, repr=False)
class Course:
    """How a conference goes, by what its nodes tell and by its hold.

    ``events`` and the state ``whole`` are of all lives of a call's own room, and of another room since it was held;
    ``latest`` is the state of the latest life.
    """

    events: tuple[Event, ...]
    whole: ConferenceState
    latest: ConferenceState
    phase: Phase


def course_of(reader: Reader, held: HeldConference, now: datetime) -> Course:
    """How a conference goes that holds its room, or held it."""
    room = str(held.service.get("name") or held.name)
    # In a room that is not a call's own, others meet at other times.
    is_own = bool(held.call) and held.call in room
    told = reader.events(room, BEGINNING) if is_own else reader.events_of(held)
    since = told_since(told, held.held_at)
    events = told if is_own else since
    latest = fold(since)
    whole = latest if len(since) == len(events) else fold(events)
    return Course(events, whole, latest, phase_of(latest, held, now))


def course_in(reader: Reader, room: str, since: datetime) -> Course:
    """How it goes in a room that nobody holds, by what arrived since a time."""
    events = reader.events(room, since)
    state = fold(events)
    return Course(events, state, state, state.phase)


def phase_of(latest: ConferenceState, held: HeldConference | None, now: datetime) -> Phase:
    """Where a conference is in its life, by its nodes since it was held and by its hold."""
    if held is None:
        return latest.phase
    if held.expires_at <= now:
        # Whoever still seems to be there left without a word.
        return Phase.ENDED
    if latest.phase is Phase.ACTIVE:
        return Phase.ACTIVE
    return latest.phase if held.ended_at is None else Phase.ENDED


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
        if not names:
            return True
        folding = asyncio.create_task(self._end_all(tuple(names)))
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

    async def _end_if_over(self, name: str) -> None:
        store, now = self._conferences.store, self._conferences.clock()
        is_over = await store.read(_is_room_over, name, now)
        if is_over is None and (running := self._conferences.live(name, now)) is not None:
            # A call as short as that: its hold is still waiting to be written. Holds may be written twice.
            held = await store.hold(running)
            is_over = await store.read(_is_over, held)
        if is_over:
            # When we were told: by a node's clock it might be deleted too early, or never.
            await store.end(name, now)


def _is_room_over(reader: Reader, name: str, now: datetime) -> bool | None:
    """Whether what holds a room has ended; ``None`` where nothing does."""
    held = reader.holder(name, now)
    return None if held is None else _is_over(reader, held)


def _is_over(reader: Reader, held: HeldConference) -> bool:
    # Of this room alone: while its main room runs a breakout room may be over.
    return fold(told_since(reader.events_of(held), held.held_at)).ended_at is not None

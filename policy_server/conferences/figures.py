"""How many calls wait, go on and came to what, of all servers of a database: worked out a few at a time, beside all answers.

A call is worked out anew when something about it has changed, and once more when it is over. So a round costs by what
happens, not by how many calls there are, and at the most what ``WORKED_OUT`` calls cost; others wait for the next one.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final, NamedTuple

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.life import glimpse_of
from policy_server.conferences.reader import CallSource, Reader
from policy_server.conferences.records import HeldConference
from policy_server.conferences.running import NotKept, Reading, RunningCalls
from policy_server.conferences.shapes import moment as node_time
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.tables import instant, moment
from policy_server.conferences.telling import SETTLE
from policy_server.conferences.verdict import Code, Outcome, code_of, outcome_of
from policy_server.pexip.leg_ends import LegEnd
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Rules, Ruleset

SPAN: Final = timedelta(hours=6)
"""How long calls that are over are remembered."""

HOUR: Final = timedelta(hours=1)

STALE: Final = timedelta(seconds=15)
"""How old the figures of the last hour may be."""

WORKED_OUT: Final = 300
"""Calls that are worked out in a round."""

AT_ONCE: Final = 10
"""Calls that are worked out in one turn at the database."""

MOST: Final = 10_000
"""Rooms that are looked at, and calls that are over and wait to be counted, or were: the latest."""

OVERLAP: Final = timedelta(minutes=2)
"""How late the end of a call may be on disk after the time that it has, by another server's clock."""

PATIENCE: Final = timedelta(minutes=2)
"""How long after a room was held some node should have told something."""

SILENT_ROOMS: Final = 3
"""Rooms of which nothing is heard that show that nobody tells anything: of one perhaps nobody came."""

ANSWERED: Final = "answered"
"""What a leg is that reached the contact centre; any other is its ``LegEnd``."""

LEG_OUTCOMES: Final = (ANSWERED, *(end.value for end in LegEnd))

_LIVE: Final = """SELECT id, held_at, name, call FROM conferences WHERE live_name IS NOT NULL AND expires_at > ?
    ORDER BY held_at DESC, id LIMIT ?"""
_OVER: Final = """SELECT id, coalesce(ended_at, expires_at), name, call FROM conferences
    WHERE coalesce(ended_at, expires_at) > ? AND coalesce(ended_at, expires_at) <= ?
    ORDER BY coalesce(ended_at, expires_at) DESC LIMIT ?"""


log = logging.getLogger(__name__)


class _Room(NamedTuple):
    """A room that is held or was: since when or until when, its call, and how often something about it changed."""

    id: str
    at: datetime
    call: str
    keys: tuple[str, ...]
    number: int


class _Looked(NamedTuple):
    """The rooms that are held, those that were over between two times, the latest first, and when a node last told anything."""

    rooms: list[_Room]
    ended: list[_Room]
    told_at: datetime | None


class _CameTo(NamedTuple):
    """What became of a call and its legs so far, and when the customer came."""

    code: Code
    came_at: datetime | None
    legs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Live:
    number: int
    outcome: Outcome
    came_at: datetime | None


@dataclass(frozen=True, slots=True)
class Over:
    """A call that is over: when, what became of it, and of its legs (``LEG_OUTCOMES``)."""

    at: datetime
    code: Code
    legs: tuple[str, ...]


class LastHour(NamedTuple):
    """What came of the calls that were over within an hour, and of their legs, as of a moment: how many of each."""

    at: datetime
    counted_at: datetime | None
    verdicts: Counter[str]
    legs: Counter[str]


class CallFigures:
    """The figures of all calls. ``count`` now and then; what is asked in between is as of then.

    A call is worked out from what is ``kept`` of it in memory, as long as that is what the store has. What is read of calls
    at the start is kept for those who watch them, who come back at that time too.
    """

    def __init__(
        self, store: ConferenceStore, kept: RunningCalls, rules: Rules, keyring: Keyring, clock: Callable[[], datetime]
    ) -> None:
        self._store: Final = store
        self._kept: Final = kept
        self._rules: Final = rules
        self._keyring: Final = keyring
        self._clock: Final = clock
        self._live: dict[str, _Live] = {}
        self._over: dict[str, Over] = {}
        self._to_do: dict[str, _Room] = {}
        self._last_hour: LastHour | None = None
        self._left: int = 0
        self._heard_until: datetime | None = None
        self.told_at: datetime | None = None
        """When a node last told anything."""
        self.silent_since: datetime | None = None
        """When the first of ``SILENT_ROOMS`` or more was held since which no node told anything, where that is long ago."""
        self.counted_at: datetime | None = None
        """When it was counted last; ``None`` before the first time."""

    # -------------------------------------------------------------- what can be asked

    @property
    def uncounted(self) -> int:
        """Calls that were not worked out yet, or have changed since."""
        return self._left + len(self._to_do)

    def running(self) -> Mapping[Outcome, int]:
        """How many customers wait, and how many talk."""
        found = Counter(live.outcome for live in self._live.values())
        return {outcome: found[outcome] for outcome in (Outcome.WAITING, Outcome.TALKING)}

    def longest_wait(self) -> float:
        """Seconds that the customer has waited who came first of those that wait; 0 when nobody does."""
        waiting = [live.came_at for live in self._live.values() if live.outcome is Outcome.WAITING and live.came_at]
        return max(0.0, (self._clock() - min(waiting)).total_seconds()) if waiting else 0.0

    def over(self, span: timedelta = HOUR) -> Sequence[Over]:
        """The calls that were over within a time, ``SPAN`` at the most."""
        since = self._clock() - span
        return [over for over in self._over.values() if over.at > since]

    def last_hour(self) -> LastHour:
        """That, of ``STALE`` ago at the most and not before the last count: there are many calls in an hour, and whoever
        watches figures asks each second.
        """
        last, now = self._last_hour, self._clock()
        if last is None or last.counted_at != self.counted_at or now - last.at >= STALE:
            over = self.over()
            verdicts = Counter(each.code.value for each in over)
            legs = Counter(leg for each in over for leg in each.legs)
            last = self._last_hour = LastHour(now, self.counted_at, verdicts, legs)
        return last

    # -------------------------------------------------------------- counting

    async def count(self) -> None:
        """Counts once. Raises StoreUnavailableError; what was counted before stays."""
        now, ruleset = self._clock(), self._rules.ruleset
        until = now - SETTLE
        since = now - SPAN if self._heard_until is None else self._heard_until - OVERLAP
        rooms, ended, self.told_at = await self._store.read(_look, since, until, now)
        unheard = [room.at for room in rooms if room.at <= now - PATIENCE and not self._is_told_since(room)]
        self.silent_since = min(unheard) if len(unheard) >= SILENT_ROOMS else None
        self._heard_until = until
        self._forget({room.id for room in rooms}, now - SPAN)
        self._to_do |= {room.id: room for room in ended if room.id not in self._over}
        changed = {room.id: room for room in rooms if self._is_news(room)}
        over = sorted(self._to_do.values(), key=attrgetter("at"), reverse=True)[:MOST]
        # Of those before so many none would be kept either.
        self._to_do = {room.id: room for room in over}
        wanted = [*changed.values(), *over][:WORKED_OUT]
        self._left = len(changed)
        unknown: list[_Room] = []
        for room in wanted:
            try:
                self._take(room, _came_to(self._kept, _of_kept(self._kept, room), ruleset, self._keyring, now))
            except Exception:
                # It is not kept; or what is wrong with it will be said where it is read.
                unknown.append(room)
            else:
                # Others have their turn after each.
                await asyncio.sleep(0)
        turns = deque(unknown[start : start + AT_ONCE] for start in range(0, len(unknown), AT_ONCE))
        while turns:
            some = turns.popleft()
            try:
                found = await self._read(some, ruleset, now)
            except StoreUnavailableError:
                raise
            except Exception:
                # One that nobody understands must not keep others from being counted.
                if len(some) > 1:
                    turns.extendleft([room] for room in some)
                    continue
                log.exception("calls.uncounted: %s", some[0].id)
                found = [_CameTo(Code.NOT_JOINED, None, ())]
            for room, came_to in zip(some, found, strict=True):
                self._take(room, came_to)
        self.counted_at = now

    async def _read(self, rooms: Sequence[_Room], ruleset: Ruleset, now: datetime) -> list[_CameTo | None]:
        if self.counted_at is not None:
            return await self._store.read(_work_out, None, rooms, ruleset, self._keyring, now)
        with self._kept.reading() as reading:
            return await self._store.read(_work_out, reading, rooms, ruleset, self._keyring, now)

    def _take(self, room: _Room, came_to: _CameTo | None) -> None:
        over = self._to_do.pop(room.id, None)
        if over is None:
            self._left -= 1
        if came_to is None:
            return
        if over is None:
            self._live[room.id] = _Live(room.number, outcome_of(came_to.code), came_to.came_at)
        else:
            self._over[room.id] = Over(room.at, came_to.code, came_to.legs)

    def _is_told_since(self, room: _Room) -> bool:
        return self.told_at is not None and self.told_at >= room.at

    def _is_news(self, room: _Room) -> bool:
        known = self._live.get(room.id)
        return known is None or known.number != room.number

    def _forget(self, rooms: Iterable[str], before: datetime) -> None:
        held = set(rooms)
        self._live = {name: live for name, live in self._live.items() if name in held}
        kept = sorted(((over.at, name) for name, over in self._over.items() if over.at > before), reverse=True)
        self._over = {name: self._over[name] for _, name in kept[:MOST]}
        self._to_do = {name: room for name, room in self._to_do.items() if room.at > before}


def _look(reader: Reader, since: datetime, until: datetime, now: datetime) -> _Looked:
    connection = reader.connection
    live = connection.execute(_LIVE, instant(now), MOST)
    ended = connection.execute(_OVER, instant(since), instant(until), MOST)
    keys = [tuple(sorted({key for key in row[2:4] if key})) for row in (*live, *ended)]
    numbers = reader.change_numbers(sorted({key for some in keys for key in some}))
    rooms = [
        _Room(row[0], moment(row[1]), row[3] or "", some, sum(numbers.get(key, 0) for key in some))
        for row, some in zip((*live, *ended), keys, strict=True)
    ]
    ((told_at,),) = connection.execute("SELECT max(arrived_at) FROM events")
    return _Looked(rooms[: len(live)], rooms[len(live) :], None if told_at is None else moment(told_at))


def _of_kept(kept: CallSource, room: _Room) -> HeldConference:
    """What holds or held a room, if what is kept of its call is what the store has. Raises NotKept."""
    number = sum(kept.change_number((key,)) for key in room.keys)
    held = kept.conference_of_call(room.call)
    if held is None or held.id != room.id or number != room.number:
        raise NotKept
    return held


def _work_out(
    reader: Reader,
    reading: Reading | None,
    rooms: Sequence[_Room],
    ruleset: Ruleset,
    keyring: Keyring,
    now: datetime,
) -> list[_CameTo | None]:
    """What became of each call; ``None`` of a conference that is gone. ``reading`` remembers what is read."""
    source = reader if reading is None else reading.of(reader)
    found = (_held(reader, reading, room) for room in rooms)
    return [_came_to(source, held, ruleset, keyring, now) if held is not None else None for held in found]


def _held(reader: Reader, reading: Reading | None, room: _Room) -> HeldConference | None:
    with suppress(NotKept):
        if reading is not None:
            return _of_kept(reading, room)
    return reader.conference(room.id)


def _came_to(source: CallSource, held: HeldConference, ruleset: Ruleset, keyring: Keyring, now: datetime) -> _CameTo:
    seen = glimpse_of(source, held, ruleset, keyring, now)
    visit = seen.visit
    legs = tuple(ANSWERED if leg.answered_at is not None else (leg.end or LegEnd.UNKNOWN).value for leg in visit.legs)
    return _CameTo(code_of(visit), node_time(visit.came_at, seen.course.latest.arrived_at or now), legs)

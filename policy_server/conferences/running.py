"""Calls that run, as the store has them, kept in memory: whoever watches them reads no database at each change.

A call whose link this process has made is kept from then on, and any other is read once, when somebody first looks at
it; each transaction of this process carries it on. What another process has written shows as a gap in the numbers of its
changes, or is heard of: then it is read again. So what is kept is at each moment what the store said at some number of
its change.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from typing import Final, TypeVar

from policy_server.conferences.fold import Chronicle, tells
from policy_server.conferences.reader import BEGINNING, CallSource
from policy_server.conferences.records import HeldConference, Link, News, TimelineEntry
from policy_server.conferences.tables import storable_name
from policy_server.pexip.events import Event, room_of

ROWS: Final = 40_000
"""Messages and timeline entries that are kept of all calls together, some two kilobytes each; what was asked for longest ago
goes first.
"""

QUIET_ROWS: Final = 4_000
"""Rows that may be kept of calls that do not run and that nobody watches: a customer is about to come, or somebody to look."""

ROWS_OF_CALL: Final = 400
"""Messages and timeline entries of a call that is kept: what comes of more takes so long that a thread has to do it."""

_AT: Final = attrgetter("at")

T = TypeVar("T")


class NotKept(Exception):  # noqa: N818  nothing is wrong
    """The database has to be read."""


class _Told:
    """What was told of a room, and the number of each message by its identity."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle: Final = chronicle
        self._untold: Final[list[Event]] = []
        self.numbers: Final = {event.identity: event.seq for event in chronicle.events}

    @property
    def chronicle(self) -> Chronicle:
        """What comes of it: worked out when it is asked for, of all that came since at once."""
        if self._untold:
            self._chronicle.tell(self._untold)
            self._untold.clear()
        return self._chronicle

    def tell(self, identity: bytes, event: Event) -> None:
        """Takes a message that was stored."""
        if identity not in self.numbers:
            self._untold.append(event)
            if tells(event):
                self.numbers[identity] = event.seq

    def tell_again(self, identity: bytes, event: Event) -> None:
        """Takes another copy of a message, which may have a lower number."""
        if event.seq < self.numbers.get(identity, 0):
            known = next(known for known in self.chronicle.events if known.identity == identity)
            self._untold.append(replace(known, seq=event.seq))
            self.numbers[identity] = event.seq


@dataclass(slots=True)
class _Kept:
    """What is kept of a call or room name: the store's answers, each in a tuple that is empty until it was given."""

    number: int
    link: tuple[Link | None, ...] = ()
    joining: tuple[Sequence[Link], ...] = ()
    conference: tuple[HeldConference | None, ...] = ()
    timeline: tuple[list[TimelineEntry], ...] = ()
    told: tuple[_Told, ...] = ()
    counted: int = 0
    """Its rows when they were counted last."""
    is_quiet: bool = False
    """It did not run then, and nobody watched it."""

    @classmethod
    def new(cls, link: Link | None) -> "_Kept":
        """A call or room name of which nothing was ever stored but a link, if it has one."""
        return cls(0, (link,), ((),), (None,), ([],), (_Told(Chronicle()),))

    @property
    def rows(self) -> int:
        """How much it is."""
        noted = len(self.timeline[0]) if self.timeline else 0
        return 1 + noted + (len(self.told[0].numbers) if self.told else 0)

    def hold(self, conference: HeldConference) -> None:
        """Takes note of a conference of this call that holds its room."""
        # Of another one than before it is not known whether it is the call's latest.
        is_same = all(one is None or one.id == conference.id for one in self.conference)
        self.conference = (conference,) if self.conference and is_same else ()

    def note(self, entry: TimelineEntry) -> None:
        """Takes a new entry of a timeline."""
        for timeline in self.timeline:
            place = bisect_right(timeline, entry.at, key=_AT)
            if entry not in timeline[bisect_left(timeline, entry.at, hi=place, key=_AT) : place]:
                timeline.insert(place, entry)

    def fill(self, other: "_Kept") -> None:
        """Takes what was learnt at the same number of the change."""
        self.link, self.conference = self.link or other.link, self.conference or other.conference
        self.joining = self.joining or other.joining
        self.timeline, self.told = self.timeline or other.timeline, self.told or other.told


class Reading(CallSource):
    """Asks another source, and remembers what it answered. Made in the event loop, used wherever that may be used."""

    def __init__(self) -> None:
        self.learnt: Final[dict[str, _Kept]] = {}
        self.changed: Final[dict[str, float]] = {}
        """What changed meanwhile, and the latest number of each."""
        self._source: CallSource

    def of(self, source: CallSource) -> "Reading":
        """The source that is asked."""
        self._source = source
        return self

    def link(self, call: str) -> Link | None:
        """Passed on and remembered."""
        found = self._source.link(call)
        if call in self.learnt:
            self.learnt[call].link = (found,)
        return found

    def joining(self, call: str) -> Sequence[Link]:
        """Passed on and remembered."""
        found = self._source.joining(call)
        if call in self.learnt:
            self.learnt[call].joining = (found,)
        return found

    def holder(self, name: str, at: datetime) -> HeldConference | None:
        """Passed on."""
        return self._source.holder(name, at)

    def conference_of_call(self, call: str) -> HeldConference | None:
        """Passed on and remembered."""
        found = self._source.conference_of_call(call)
        if call in self.learnt:
            self.learnt[call].conference = (found,)
        return found

    def conference_of_room(self, *names: str) -> HeldConference | None:
        """Passed on."""
        return self._source.conference_of_room(*names)

    def told(self, room: str, since: datetime) -> Chronicle:
        """Passed on and remembered if it is all that was told of the room."""
        told = self._source.told(room, since)
        if since == BEGINNING and room in self.learnt and room == room_of(room):
            self.learnt[room].told = (_Told(told),)
        return told

    def told_of(self, conference: HeldConference) -> Chronicle:
        """Passed on and remembered if it is all that was told of the room."""
        told = self._source.told_of(conference)
        room = conference.name
        if conference.is_in_own_room and room in self.learnt and room == room_of(room):
            self.learnt[room].told = (_Told(told),)
        return told

    def timeline(self, key: str) -> Sequence[TimelineEntry]:
        """Passed on and remembered."""
        entries = self._source.timeline(key)
        if key in self.learnt:
            self.learnt[key].timeline = (list(entries),)
        return entries

    def change_number(self, keys: Sequence[str]) -> int:
        """Passed on; of a single key all that is asked from now on is remembered."""
        number = self._source.change_number(keys)
        if len(keys) == 1:
            self.learnt.setdefault(keys[0], _Kept(number))
        return number


class RunningCalls(CallSource):
    """Answers for what is kept; for anything else it raises NotKept.

    ``live`` gives the conference that holds a room at a time, as far as this process knows; ``is_wanted`` says whether a
    call or room runs, or is watched.
    """

    def __init__(
        self, live: Callable[[str, datetime], HeldConference | None], is_wanted: Callable[[str], bool]
    ) -> None:
        self._live: Final = live
        self._is_wanted: Final = is_wanted
        # What was asked for longest ago comes first.
        self._kept: Final[dict[str, _Kept]] = {}
        self._readings: Final[set[Reading]] = set()
        self._rows = self._quiet_rows = 0

    # -------------------------------------------------------------- what is kept

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """What is read in the block is kept, unless it changes in the meantime."""
        reading = Reading()
        self._readings.add(reading)
        try:
            yield reading
        finally:
            self._readings.discard(reading)
        for key, kept in reading.learnt.items():
            if kept.number >= reading.changed.get(key, 0) and kept.rows <= ROWS_OF_CALL:
                self._keep(key, kept)

    def hear_news(self, news: News) -> None:
        """This process has written something."""
        new = self._new(news) if news.links or news.conferences else {}
        changed: dict[str, _Kept] = {}
        for key, number in news.numbers.items():
            self._note_change(key, number)
            kept = self._kept.get(key)
            if kept is None and number == 1 and key in new:
                kept = self._kept[key] = new[key]
            if kept is not None and number in (kept.number, kept.number + 1):
                kept.number = number
                changed[key] = kept
            else:
                self._drop(key)
        if changed:
            _take(news, changed)
        for key, kept in changed.items():
            self._count(key, kept)

    def _new(self, news: News) -> dict[str, _Kept]:
        """The calls of which nothing was stored before, and the rooms that are theirs alone and have other names."""
        new = {link.call: _Kept.new(link) for link in news.links}
        for one in news.conferences:
            call = self._kept.get(one.call)
            is_first = call is not None and call.conference == (None,)
            if is_first and one.is_in_own_room and one.name == room_of(one.name):
                new.setdefault(one.name, _Kept.new(None))
        return new

    def hear(self, key: str, number: int) -> None:
        """A change of a call or room name was heard of, perhaps one that is known: this process's own come back to it."""
        self._note_change(key, number)
        kept = self._kept.get(key)
        if kept is not None and kept.number < number:
            self._drop(key)

    def forget(self, key: str) -> None:
        """Something about a call or room name is not what it was."""
        self._note_change(key, math.inf)
        self._drop(key)

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._uncount(kept)

    def forget_all(self) -> None:
        """Anything may have changed."""
        for key in (*self._kept, *(key for reading in self._readings for key in reading.learnt)):
            self.forget(key)

    def _note_change(self, key: str, number: float) -> None:
        for reading in self._readings:
            reading.changed[key] = max(number, reading.changed.get(key, 0))

    def _keep(self, key: str, learnt: _Kept) -> None:
        kept = self._kept.get(key)
        if kept is not None and kept.number == learnt.number:
            kept.fill(learnt)
        else:
            self._drop(key)
            kept = self._kept[key] = learnt
        self._count(key, kept)

    def _count(self, key: str, kept: _Kept) -> None:
        self._weigh(key, kept)
        if kept.counted > ROWS_OF_CALL:
            self._drop(key)
        while self._rows > ROWS:
            self._drop(next(iter(self._kept)))
        # Two are looked at for each change, so that those that are over, or watched no more, are counted as that: nothing
        # tells of it. Whoever was looked at comes last again.
        for _ in range(2):
            if self._rows <= QUIET_ROWS:
                break
            oldest, kept = next(iter(self._kept.items()))
            self._weigh(oldest, kept)
            if kept.is_quiet and self._quiet_rows > QUIET_ROWS:
                self._drop(oldest)
            else:
                self._kept[oldest] = self._kept.pop(oldest)

    def _weigh(self, key: str, kept: _Kept) -> None:
        self._uncount(kept)
        kept.counted, kept.is_quiet = kept.rows, not self._is_wanted(key)
        self._rows += kept.counted
        self._quiet_rows += kept.counted if kept.is_quiet else 0

    def _uncount(self, kept: _Kept) -> None:
        self._rows -= kept.counted
        self._quiet_rows -= kept.counted if kept.is_quiet else 0

    # -------------------------------------------------------------- what can be asked

    def link(self, call: str) -> Link | None:
        """The link of a call."""
        return _first(self._of(call).link)

    def joining(self, call: str) -> Sequence[Link]:
        """The links that lead into the room of a call."""
        return _first(self._of(call).joining)

    def holder(self, name: str, at: datetime) -> HeldConference | None:
        """The conference that holds a room."""
        held = self._live(name, at)
        if held is None:
            over = _first(self._of(name).conference)
            if over is None or over.name != name or over.ended_at is None:
                raise NotKept
        return held

    def conference_of_call(self, call: str) -> HeldConference | None:
        """The latest conference of a call."""
        return _first(self._of(call).conference)

    def conference_of_room(self, *names: str) -> HeldConference | None:
        """Not kept: of rooms without a call nothing is."""
        raise NotKept

    def told(self, room: str, since: datetime) -> Chronicle:
        """What was told of a room."""
        if since != BEGINNING:
            raise NotKept
        return _first(self._of(room).told).chronicle

    def told_of(self, conference: HeldConference) -> Chronicle:
        """What was told of a conference in its call's own room."""
        if not conference.is_in_own_room:
            raise NotKept
        return self.told(conference.name, BEGINNING)

    def timeline(self, key: str) -> Sequence[TimelineEntry]:
        """The timeline of a call or room name."""
        return _first(self._of(key).timeline)

    def change_number(self, keys: Sequence[str]) -> int:
        """How many changes there were of any of these calls and room names."""
        return sum(self._of(key).number for key in keys)

    def _of(self, key: str) -> _Kept:
        stored = storable_name(key)
        kept = self._kept.pop(stored, None)
        if kept is None:
            raise NotKept
        self._kept[stored] = kept
        return kept


def _take(news: News, changed: Mapping[str, _Kept]) -> None:
    """Carries on what is kept of calls and rooms."""
    for link in news.links:
        if (kept := changed.get(link.call)) is not None:
            kept.link = (link,)
        if (kept := changed.get(link.joins)) is not None:
            kept.joining = ()
    for conference in news.conferences:
        if (kept := changed.get(conference.call)) is not None:
            kept.hold(conference)
    for over in news.ended:
        if (kept := changed.get(over.call)) is not None:
            kept.conference = (over.latest,)
    for entry in news.entries:
        if (kept := changed.get(storable_name(entry.key))) is not None:
            kept.note(entry)
    for messages, tell in ((news.events, _Told.tell), (news.copies, _Told.tell_again)):
        for identity, event in messages.items():
            if (kept := changed.get(event.room)) is not None:
                for told in kept.told:
                    tell(told, identity, event)


def _first(answers: tuple[T, ...]) -> T:
    if not answers:
        raise NotKept
    return answers[0]

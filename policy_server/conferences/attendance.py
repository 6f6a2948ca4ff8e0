"""When a conference ran and who was in it, from its event-sink messages (pexip/README.md: Events).

Messages are put in order by the time their nodes give, never by the order in which they came. A *run* is one life
of the conference, from its first node that starts to its last that ends; when all have left and somebody returns, the
same service has another run. A *stint* is one stay of a participant.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from policy_server.pexip.events import Event

STARTED: Final = "conference_started"
UPDATED: Final = "conference_updated"
ENDED: Final = "conference_ended"
DISCONNECTED: Final = "participant_disconnected"

# At one moment the end of a life comes last, so that it wins.
_RANKS: Final = {
    STARTED: 0,
    "participant_connected": 0,
    UPDATED: 1,
    "participant_updated": 1,
    ENDED: 2,
    DISCONNECTED: 2,
}
_TEXTS: Final = (
    "display_name",
    "role",
    "protocol",
    "call_direction",
    "source_alias",
    "destination_alias",
    "service_type",
    "service_tag",
    "call_tag",
    "media_node",
    # Seen beside service_type, which it then says more exactly (pexip/README.md: Sink versions).
    "current_service_type",
)
_FLAGS: Final = ("has_media", "is_muted", "is_presenting")

Closes = Mapping[str, Sequence[tuple[float, float]]]
"""Of each service, when its runs were closed and ended, in order."""


@dataclass(slots=True)
class Run:
    """One life of a conference. Times are epoch seconds by the clocks of the nodes."""

    started_at: float | None = None
    """The smallest start_time of its nodes; ``None`` when no message told it."""
    ended_at: float | None = None
    closed_at: float = 0.0
    """When the last word of its end was sent; a little after ``ended_at``."""
    is_locked: bool = False


@dataclass(slots=True)
class Stint:
    """One stay of a participant."""

    seen_at: float
    """Its first message."""
    service: str = ""
    """The conference or breakout room in which it is."""
    connected_at: float | None = None
    """``None`` until the call is answered."""
    left_at: float | None = None
    reason: str = ""
    is_told: bool = False
    """Whether its end was reported; if not, the conference ended and nothing was heard of it again."""

    @property
    def began_at(self) -> float:
        """When it was connected, or else first seen."""
        return self.seen_at if self.connected_at is None else self.connected_at


@dataclass(slots=True)
class Attendance:
    """A participant: what its messages say, merged in order of time, and its stints."""

    uuid: str
    texts: dict[str, str] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    related: set[str] = field(default_factory=set)
    """Every sibling that was ever named."""
    stints: list[Stint] = field(default_factory=list)
    presenting: list[tuple[float, bool]] = field(default_factory=list)
    """When it began and stopped presenting."""
    last_live: float = 0.0
    """Its latest message that is not its end."""

    @property
    def is_present(self) -> bool:
        """Whether it is still there, answered or not."""
        return self.stints[-1].left_at is None

    @property
    def last_heard(self) -> float:
        """When it left, or else its latest message."""
        left_at = self.stints[-1].left_at
        return self.last_live if left_at is None else left_at

    @property
    def service_type(self) -> str:
        """What it is in: a conference, or still connecting, a menu or a lobby."""
        return self.text("current_service_type") or self.text("service_type")

    def is_in_another(self, service: str) -> bool:
        """Whether it is there, but in another service."""
        return bool(self.stints) and self.is_present and self.stints[-1].service not in ("", service)

    def text(self, key: str) -> str:
        """What its messages say last, or ``""``."""
        return self.texts.get(key, "")


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay of a person, who may be several participants at once."""

    joined_at: float | None
    """``None`` when none of them was connected, as far as is known."""
    left_at: float | None
    reason: str
    is_told: bool
    service: str
    """Where it began: in the conference, or a breakout room of it."""


def stays(stints: Iterable[Stint]) -> list[Stay]:
    """The stays of a person, from the stints of all their participants: those that overlap are one."""
    together: list[list[Stint]] = []
    until = -math.inf
    for stint in sorted(stints, key=_life):
        if stint.began_at > until:
            together.append([])
        together[-1].append(stint)
        until = max(until, _life(stint)[1])
    return [_stay(each) for each in together]


def _life(stint: Stint) -> tuple[float, float, bool, str, str]:
    left_at = math.inf if stint.left_at is None else stint.left_at
    return stint.began_at, left_at, stint.is_told, stint.reason, stint.service


def _stay(stints: Sequence[Stint]) -> Stay:
    last = max(stints, key=lambda stint: _life(stint)[1:])
    connected = [stint.connected_at for stint in stints if stint.connected_at is not None]
    return Stay(min(connected, default=None), last.left_at, last.reason, last.is_told, stints[0].service)


def in_order(events: Iterable[Event]) -> list[Event]:
    """The messages that tell of conferences and participants, each once, by time.

    Nothing but the set of events decides: what is equal in time and kind is ordered by the lowest seq that any sink
    gave it, by node and by content.
    """
    ordered: list[Event] = []
    for _, same in groupby(sorted((event for event in events if event.name in _RANKS), key=_when), key=_when):
        moment = list(same)
        if len(moment) > 1:
            different = {event.identity: event for event in sorted(moment, key=_place, reverse=True)}
            moment = [event for _, event in sorted(different.items(), key=lambda item: (*_place(item[1]), item[0]))]
        ordered += moment
    return ordered


def _when(event: Event) -> tuple[float, int]:
    return event.time, _RANKS[event.name]


def _place(event: Event) -> tuple[int, str, str]:
    return event.seq, event.node, event.name


def room_of(events: Iterable[Event]) -> str:
    """The service that all messages are about: the one whose breakout rooms the others are, if there are others."""
    names = {event.conference for event in events} - {""}
    return min(names, key=lambda name: (len(name), name), default="")


def runs_by_service(events: Iterable[Event]) -> dict[str, list[Run]]:
    """The runs of a conference and of each of its breakout rooms, from their messages in order."""
    told: dict[str, list[Event]] = {}
    for event in events:
        if event.name.startswith("conference_"):
            told.setdefault(event.conference, []).append(event)
    return {service: conference_runs(some) for service, some in told.items()}


def conference_runs(events: Iterable[Event]) -> list[Run]:
    """The runs of one service, from its messages in order.

    A run ends when every node that started it has ended it; an update stands for a start that was lost. After that
    a conference_started, or any message that tells of a start after the end, begins the next run.
    """
    runs: list[Run] = []
    running: set[str] = set()
    ends: dict[str, float] = {}
    ended: set[tuple[str, float]] = set()
    last_end = 0.0
    for event in events:
        start = event.moment("start_time") or 0.0
        if event.name == ENDED:
            running.discard(event.node)
            ended.add((event.node, start))
            ends[event.node] = event.moment("end_time") or event.time
            last_end = max(last_end, ends[event.node])
        elif start and (event.node, start) in ended:
            continue  # Its clock was set back meanwhile: what has this start_time is over.
        elif event.name == STARTED or event.node not in ends or start > ends[event.node]:
            running.add(event.node)
        else:
            continue  # A node has something to say about a life that it ended.
        if not runs or _is_after(runs[-1], event, start):
            runs.append(Run())
        _tell_run(runs, event, start)
        if running:
            runs[-1].ended_at = None
        else:
            runs[-1].ended_at, runs[-1].closed_at = last_end, event.time
    return runs


def _is_after(run: Run, event: Event, start: float) -> bool:
    return run.ended_at is not None and (event.name == STARTED or start > run.ended_at)


def _tell_run(runs: Sequence[Run], event: Event, start: float) -> None:
    run = runs[-1]
    previous_end = (runs[-2].ended_at or 0.0) if len(runs) > 1 else 0.0
    began = start if start > previous_end else event.time if event.name == STARTED else None
    if began is not None and (run.started_at is None or began < run.started_at):
        run.started_at = began
    locked = event.flag("is_locked")
    if locked is not None:
        run.is_locked = locked


def attendances(events: Iterable[Event], runs: Mapping[str, Sequence[Run]]) -> dict[str, Attendance]:
    """Every participant by its uuid, from the ordered messages of a conference and its breakout rooms.

    The latest message of a participant decides whether it is there, and where. Whoever is not heard of again after the
    end of a run of that service left with it.
    """
    closes = {
        service: sorted((run.closed_at, run.ended_at) for run in some if run.ended_at is not None)
        for service, some in runs.items()
    }
    found: dict[str, Attendance] = {}
    for event in events:
        if uuid := event.participant:
            if uuid not in found:
                found[uuid] = Attendance(uuid)
            _attend(found[uuid], event, closes)
    for attendance in found.values():
        if attendance.is_present:
            _close(attendance, closes, math.inf)
    return found


def _attend(attendance: Attendance, event: Event, closes: Closes) -> None:
    is_live = event.name != DISCONNECTED
    if not is_live and event.conference and attendance.is_in_another(event.conference):
        # It was moved, and is heard of in its new room already.
        return
    if is_live and attendance.stints and attendance.is_present:
        _close(attendance, closes, event.time)
    stints = attendance.stints
    if not stints or (is_live and not attendance.is_present):
        stints.append(Stint(seen_at=event.time))
    stint = stints[-1]
    stint.service = event.conference or stint.service
    was_presenting = attendance.flags.get("is_presenting", False)
    _merge(attendance, event)
    connected = event.moment("connect_time")
    if connected is not None and (len(stints) == 1 or connected >= (stints[-2].left_at or 0.0)):
        stint.connected_at = connected
    elif is_live and stint.connected_at is None and attendance.service_type != "connecting":
        stint.connected_at = event.time
    if is_live:
        attendance.last_live = event.time
        is_presenting = attendance.flags.get("is_presenting", False)
        if is_presenting != was_presenting:
            attendance.presenting.append((event.time, is_presenting))
        return
    stint.reason = event.text("disconnect_reason") or stint.reason
    attendance.flags["is_presenting"] = was_presenting
    _leave(attendance, event.moment("end_time") or event.moment("disconnect_time") or event.time, is_told=True)


def _close(attendance: Attendance, closes: Closes, before: float) -> None:
    """Let it leave with the run that ended between its last message and ``before``, if one did."""
    own = closes.get(attendance.stints[-1].service, ())
    index = bisect_left(own, (attendance.last_live, 0.0))
    if index < len(own) and own[index][0] < before:
        _leave(attendance, max(attendance.last_live, own[index][1]), is_told=False)


def _leave(attendance: Attendance, left_at: float, *, is_told: bool) -> None:
    stint = attendance.stints[-1]
    stint.left_at, stint.is_told = left_at, is_told
    if attendance.flags.get("is_presenting"):
        attendance.flags["is_presenting"] = False
        attendance.presenting.append((left_at, False))


def _merge(attendance: Attendance, event: Event) -> None:
    """Take what is there and of the right kind: whether a message repeats every field is disputed.

    (pexip/README.md: Conference events)
    """
    for key in _TEXTS:
        text = event.text(key)
        if text or event.data.get(key) == "":
            attendance.texts[key] = text
    for key in _FLAGS:
        flag = event.flag(key)
        if flag is not None:
            attendance.flags[key] = flag
    attendance.related.update(event.texts("related_uuids"))

"""The state and the timeline of a conference, from its event-sink messages (pexip/README.md: Events).

Both are pure functions of the *set* of messages of one conference: any order and any duplicates give the same result.
Give all messages of one service name and its breakout rooms; its lives, when all left and somebody returned, are one
conference here. Whoever is in a breakout room is with the call, whose start and end are those of the room itself.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, TypeAlias, get_args

from policy_server.conferences.attendance import (
    Attendance,
    Run,
    attendances,
    in_order,
    room_of,
    runs_by_service,
    stays,
)
from policy_server.conferences.participants import (
    MAX_PARTICIPANTS,
    LegState,
    Participant,
    TrunkLeg,
    as_participant,
    as_person,
    as_trunk_leg,
    group_people,
    is_in,
    is_trunk_leg,
    keep_latest,
    leg_end,
)
from policy_server.pexip.events import Event, LegEnd
from policy_server.pexip.query import clean

__all__ = [
    "KINDS",
    "MAX_PARTICIPANTS",
    "ConferenceState",
    "Kind",
    "LegState",
    "Participant",
    "Phase",
    "TimelineEvent",
    "TrunkLeg",
    "fold",
    "timeline_events",
]

Kind: TypeAlias = Literal[
    "conference_started",
    "trunk_dialled",
    "trunk_answered",
    "joined",
    "presentation_started",
    "presentation_stopped",
    "left",
    "trunk_ended",
    "conference_ended",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""What a timeline tells, in the order in which it tells what happened at one moment."""

_MAX_NAME_SHOWN: Final = 100
_MAX_REASON_SHOWN: Final = 200
_ROLES: Final = {"chair": " as Host", "guest": " as Guest"}
_LEG_ENDS: Final[Mapping[LegEnd, str]] = {
    LegEnd.ENDED_BY_FAR_END: "hung up",
    LegEnd.REFUSED: "refused the call",
    LegEnd.TEMPORARY: "failed for the moment",
    LegEnd.CONFERENCE_OVER: "was disconnected",
    LegEnd.UNKNOWN: "was disconnected",
}


class Phase(StrEnum):
    """Where a conference is in its life."""

    WAITING = "waiting"
    """Nothing is known of it, or nobody with media is in it."""
    ACTIVE = "active"
    """Somebody with media is in it; the contact centre's leg counts."""
    ENDED = "ended"
    """Every node that started it has ended it, and nobody was heard of since."""


@dataclass(frozen=True, slots=True)
class ConferenceState:
    """What is known of a conference. Times are epoch seconds by the nodes' clocks."""

    phase: Phase
    started_at: float | None
    """The smallest start_time of any node, of its first life when it had several."""
    ended_at: float | None
    """When its last node ended it; ``None`` unless the phase is ended."""
    is_locked: bool
    participants: tuple[Participant, ...]
    """All of them, legs and halves of browsers included, by when they came."""
    people: tuple[Participant, ...]
    """Without trunk legs, and siblings as one: a browser's control half and media half are one person."""
    trunk_legs: tuple[TrunkLeg, ...]
    nodes: tuple[str, ...]
    """The nodes that sent the messages, sorted."""
    left_out: int = 0
    """How many participants came beyond ``MAX_PARTICIPANTS``."""


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One line of a conference's timeline. ``time`` is epoch seconds, ``text`` a short English sentence."""

    time: float
    kind: Kind
    text: str
    data: Mapping[str, object] = field(hash=False)


def fold(events: Iterable[Event]) -> ConferenceState:
    """The state of the conference that the messages are about; other messages are ignored."""
    ordered = in_order(events)
    services = runs_by_service(ordered)
    runs = services.get(room_of(ordered), [])
    everybody = attendances(ordered, services)
    kept = keep_latest(everybody.values())
    is_over = bool(runs) and runs[-1].ended_at is not None
    phase = Phase.WAITING
    if any(is_in(attendance) for attendance in everybody.values()):
        phase = Phase.ACTIVE
    elif is_over and not any(attendance.is_present for attendance in everybody.values()):
        phase = Phase.ENDED
    return ConferenceState(
        phase=phase,
        started_at=runs[0].started_at if runs else None,
        ended_at=runs[-1].ended_at if phase is Phase.ENDED else None,
        is_locked=bool(runs) and runs[-1].is_locked,
        participants=tuple(as_participant(attendance) for attendance in kept),
        people=tuple(as_person(halves) for halves in group_people(kept)),
        trunk_legs=tuple(as_trunk_leg(attendance) for attendance in kept if is_trunk_leg(attendance)),
        nodes=tuple(sorted({event.node for event in ordered})),
        left_out=len(everybody) - len(kept),
    )


def timeline_events(events: Iterable[Event]) -> tuple[TimelineEvent, ...]:
    """What a person wants to read of the messages, by time: the conference, who came and left, who presented,
    and the contact centre's legs. A browser's two halves come and leave once. No text or datum is a PIN.
    """
    ordered = in_order(events)
    room = room_of(ordered)
    services = runs_by_service(ordered)
    runs = services.get(room, [])
    kept = keep_latest(attendances(ordered, services).values())
    lines = list(_run_lines(runs))
    for halves in group_people(kept):
        lines += _person_lines(halves, room)
    for attendance in filter(is_trunk_leg, kept):
        lines += _leg_lines(attendance)
    return tuple(sorted(lines, key=lambda line: (line.time, KINDS.index(line.kind))))


def _run_lines(runs: Sequence[Run]) -> Iterator[TimelineEvent]:
    for number, run in enumerate(runs):
        if run.started_at is not None:
            text = "The conference started again." if number else "The conference started."
            yield TimelineEvent(run.started_at, "conference_started", text, {})
        if run.ended_at is not None:
            yield TimelineEvent(run.ended_at, "conference_ended", "The conference ended.", {})


def _person_lines(halves: Sequence[Attendance], room: str) -> Iterator[TimelineEvent]:
    person = as_person(halves)
    name = clean(person.display_name)[:_MAX_NAME_SHOWN] or "Somebody without a name"
    data = {"participants": list(person.uuids), "display_name": name, "protocol": person.protocol}
    role = _ROLES.get(person.role, "")
    for stay in stays(stint for half in halves for stint in half.stints):
        if stay.joined_at is not None:
            where = "" if stay.service in ("", room) else " a breakout room"
            yield TimelineEvent(stay.joined_at, "joined", f"{name} joined{where}{role}.", {**data, "role": person.role})
        if stay.left_at is not None:
            text = f"{name} left{_because(stay.reason)}." if stay.is_told else f"{name} left with the conference."
            yield TimelineEvent(stay.left_at, "left", text, {**data, "disconnect_reason": stay.reason})
    presenting: set[str] = set()
    # What somebody did at one moment stays in its order: who began and stopped then does not present for ever.
    changes = sorted(
        (time, half.uuid, number, is_on) for half in halves for number, (time, is_on) in enumerate(half.presenting)
    )
    for time, uuid, _, is_on in changes:
        was_presenting = bool(presenting)
        (presenting.add if is_on else presenting.discard)(uuid)
        if was_presenting != bool(presenting):
            if is_on:
                yield TimelineEvent(time, "presentation_started", f"{name} started presenting.", data)
            else:
                yield TimelineEvent(time, "presentation_stopped", f"{name} stopped presenting.", data)


def _leg_lines(attendance: Attendance) -> Iterator[TimelineEvent]:
    leg = as_trunk_leg(attendance)
    number = leg.number or "A number that is not known"
    data = {"participant": leg.uuid, "number": leg.number}
    for stint in attendance.stints:
        answered_at, ended_at = stint.connected_at, stint.left_at
        if stint.seen_at < min(math.inf if at is None else at for at in (answered_at, ended_at)):
            yield TimelineEvent(stint.seen_at, "trunk_dialled", f"{number} was dialled.", data)
        if answered_at is not None:
            yield TimelineEvent(answered_at, "trunk_answered", f"{number} answered.", data)
        if ended_at is not None:
            end = leg_end(stint)
            text = f"{number} {_LEG_ENDS[end]}{_because(stint.reason)}."
            reason = {"disconnect_reason": stint.reason, "leg_end": end.value}
            yield TimelineEvent(ended_at, "trunk_ended", text, {**data, **reason})


def _because(reason: str) -> str:
    shown = clean(reason)[:_MAX_REASON_SHOWN]
    return f" ({shown})" if shown else ""

"""The state of a conference, from its event-sink messages (pexip/README.md: Events).

A pure function of the *set* of messages of one conference: any order and any duplicates give the same result.
Give all messages of one service name and its breakout rooms; its lives, when all left and somebody returned, are one
conference here. Whoever is in a breakout room is with the call, whose start and end are those of the room itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from policy_server.conferences.attendance import attendances, in_order, room_of, runs_by_service
from policy_server.conferences.participants import (
    Participant,
    TrunkLeg,
    as_participant,
    as_person,
    as_trunk_leg,
    group_people,
    is_in,
    is_trunk_leg,
    keep_latest,
)
from policy_server.pexip.events import Event


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

"""Participants, people and trunk legs of a conference, as its attendances tell (pexip/README.md: Events)."""

from collections.abc import Sequence, Set
from enum import StrEnum
from functools import lru_cache
from typing import Final

from policy_server.conferences.attendance import Attendance, Stay, Stint, stays
from policy_server.conferences.kept import JOINING_CALL
from policy_server.light import light_dataclass
from policy_server.pexip.aliases import bare_alias
from policy_server.pexip.events import is_outgoing
from policy_server.pexip.leg_ends import LegEnd, leg_class
from policy_server.telephony.numbers import number_in

MAX_PARTICIPANTS: Final = 1_000
"""Most participants that a state or timeline keeps. Those who are there go before those who left, and then the
latest before the earliest."""

# Whoever is met by a menu, a lobby or a ringing tone is not in the conference, with media or without.
NOT_YET_IN: Final = frozenset({"connecting", "ivr", "waiting_room"})


class LegState(StrEnum):
    """Where an outgoing call is in its life."""

    DIALLING = "dialling"
    CONNECTED = "connected"
    ENDED = "ended"


@light_dataclass(frozen=True, slots=True)
class Participant:
    """One participant as Pexip counts them, or in ``people`` one person with all their participants.

    Times are epoch seconds by the nodes' clocks. Texts are as the node sent them, ``""`` when it did not.
    """

    uuids: tuple[str, ...]
    """Sorted; one, except in ``people``."""
    display_name: str
    role: str
    """chair, guest or unknown."""
    protocol: str
    """In lower case: webrtc, api, sip ..."""
    call_direction: str
    """``in`` or ``out``."""
    source_alias: str
    destination_alias: str
    service_type: str
    service_tag: str
    call_tag: str
    media_node: str
    connected_at: float | None
    """When the first call was answered; ``None`` when it was not."""
    disconnected_at: float | None
    """``None`` while it is there."""
    disconnect_reason: str
    """``""`` also for whoever the conference's end took along without a message."""
    has_media: bool
    """Of somebody who left: the last that was known."""
    is_muted: bool
    is_presenting: bool
    joining_call: str = ""
    """The call of the link by which it came, if that is a link which joins this call; so it is not the customer."""

    @property
    def is_present(self) -> bool:
        """Whether it is there: it may still be ringing or in the lobby."""
        return self.disconnected_at is None

    @property
    def alias(self) -> str:
        """The alias of the far end: who calls in, or whom Pexip called."""
        return self.destination_alias if self.call_direction == "out" else self.source_alias


@light_dataclass(frozen=True, slots=True)
class TrunkLeg:
    """An outgoing SIP call, which is how the contact centre is reached."""

    uuid: str
    number: str
    """The number dialled, in E.164; ``""`` when the destination has none."""
    state: LegState
    connected_at: float | None
    ended_at: float | None
    disconnect_reason: str
    leg_end: LegEnd | None
    """Why it ended; ``None`` until it has."""


@light_dataclass(frozen=True, slots=True)
class Person:
    """A person: the participants that it is, all of them as one, and its stays."""

    halves: Sequence[Attendance]
    whole: Participant
    stays: Sequence[Stay]


def keep_latest(everybody: Sequence[Attendance]) -> list[Attendance]:
    """At most ``MAX_PARTICIPANTS`` of them, by when they came."""
    kept = everybody
    if len(kept) > MAX_PARTICIPANTS:
        kept = sorted(kept, key=lambda attendance: (attendance.is_present, attendance.last_heard, attendance.uuid))
    return sorted(kept[-MAX_PARTICIPANTS:], key=lambda attendance: (attendance.stints[0].began_at, attendance.uuid))


def is_trunk_leg(attendance: Attendance) -> bool:
    """Whether it is an outgoing SIP call."""
    return is_outgoing(attendance.text("call_direction")) and _protocol(attendance) == "sip"


def is_in(attendance: Attendance) -> bool:
    """Whether it is in the conference with media, past menu and lobby."""
    return attendance.is_present and attendance.has_media and attendance.service_type not in NOT_YET_IN


def _protocol(attendance: Attendance) -> str:
    return attendance.text("protocol").strip().lower()


def as_participant(attendance: Attendance) -> Participant:
    """A participant as it was last heard of."""
    return _as_one((attendance,), attendance.stints[-1])


def _as_one(halves: Sequence[Attendance], last: Stint | Stay) -> Participant:
    """Participants as one that was there until the end of ``last``: the one with media speaks for all, the others fill its
    gaps.
    """
    if len(halves) > 1:
        halves = sorted(halves, key=_voice, reverse=True)
    first = halves[0]
    present = [half for half in halves if half.is_present]
    texts = first.texts
    for other in halves[1:]:
        texts = {**other.texts, **{key: text for key, text in texts.items() if text}}
    text = texts.get
    direction = first.text("call_direction")
    answered = [at for half in halves if (at := half.connected_at) is not None]
    return Participant(
        uuids=tuple(sorted([half.uuid for half in halves])),
        display_name=text("display_name", ""),
        role=text("role", ""),
        protocol=_protocol(first),
        call_direction="out" if is_outgoing(direction) else direction and "in",
        source_alias=text("source_alias", ""),
        destination_alias=text("destination_alias", ""),
        service_type=next(filter(None, [half.service_type for half in halves]), ""),
        service_tag=text("service_tag", ""),
        call_tag=text("call_tag", ""),
        media_node=text("media_node", ""),
        connected_at=min(answered, default=None),
        disconnected_at=last.left_at,
        disconnect_reason="" if last.left_at is None else last.reason,
        has_media=any(half.has_media for half in present or halves),
        is_muted=first.flags.get("is_muted", False),
        is_presenting=any(half.is_presenting for half in present),
        joining_call=text(JOINING_CALL, ""),
    )


def _voice(half: Attendance) -> tuple[bool, bool, float, str]:
    return half.is_present, half.has_media, half.connected_at or 0.0, half.uuid


def group_people(kept: Sequence[Attendance], legs: Set[str]) -> list[list[Attendance]]:
    """The participants that are no trunk legs (``legs``, by their uuids), siblings together, by when the first of each came.

    Siblings are linked by ``related_uuids`` of either of them, also through one that is not known.
    """
    parents: dict[str, str] = {}

    def root(uuid: str) -> str:
        while (parent := parents.setdefault(uuid, uuid)) != uuid:
            parents[uuid] = parents[parent]
            uuid = parent
        return uuid

    callers = [attendance for attendance in kept if attendance.uuid not in legs]
    for attendance in callers:
        for sibling in attendance.related - legs:
            parents[root(sibling)] = root(attendance.uuid)
    people: dict[str, list[Attendance]] = {}
    for attendance in callers:
        people.setdefault(root(attendance.uuid), []).append(attendance)
    return list(people.values())


def as_person(halves: Sequence[Attendance]) -> Person:
    """One person of one or more participants."""
    there = stays(stint for half in halves for stint in half.stints)
    return Person(halves, _as_one(halves, halves[0].stints[-1] if len(halves) == 1 else there[-1]), there)


def as_trunk_leg(attendance: Attendance) -> TrunkLeg:
    """An outgoing SIP call as it was last heard of."""
    leg = as_participant(attendance)
    state = LegState.DIALLING if leg.connected_at is None else LegState.CONNECTED
    return TrunkLeg(
        uuid=attendance.uuid,
        number=_number(leg.destination_alias),
        state=state if leg.is_present else LegState.ENDED,
        connected_at=leg.connected_at,
        ended_at=leg.disconnected_at,
        disconnect_reason=leg.disconnect_reason,
        leg_end=None if leg.is_present else leg_end(attendance.stints[-1]),
    )


def leg_end(stint: Stint) -> LegEnd:
    """Why an outgoing call ended."""
    return leg_class(stint.reason) if stint.is_told else LegEnd.ENDED


# The legs of all calls go to a few numbers, and are looked at again with each change.
@lru_cache(1024)
def _number(destination: str) -> str:
    """The number in what was dialled: ``99+13129998045``, ``sip:+1…@host;…``."""
    return number_in(bare_alias(destination).partition("@")[0])

"""What timelines tell: the kinds of their entries and the words of each, in one place.

Some entries are noted when they happen, others are read out of the messages of nodes whenever somebody looks. No text and
no datum is a PIN.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Final, NamedTuple, assert_never

from policy_server.conferences.attendance import Attendance, Stint
from policy_server.conferences.finished import Finished
from policy_server.conferences.fold import Chronicle
from policy_server.conferences.participants import Person, TrunkLeg, leg_end
from policy_server.conferences.runs import Run
from policy_server.light import light_dataclass
from policy_server.pexip.leg_ends import LegEnd, is_hung_up
from policy_server.pexip.query import clean
from policy_server.pexip.request_types import RequestType
from policy_server.policy.decisions import (
    AllowRegistration,
    Continue,
    Decision,
    Fail,
    Forward,
    ListEntries,
    PlaceMedia,
    Redirect,
    Reject,
    Serve,
    SetProperties,
    ShowPicture,
)

_MAX_NAME_SHOWN: Final = 100
_MAX_REASON_SHOWN: Final = 200
_NOBODY: Final[Mapping[str, str]] = {}


class Kind(StrEnum):
    """What an entry tells. Those of nodes' messages stand in the order in which they are told of one moment."""

    LINK_CREATED = "link.created"
    LINK_JOINED = "link.joined"
    LINK_OPENED = "link.opened"
    LINK_PREVIEWED = "link.previewed"
    LINK_MOVED = "link.moved"
    LINK_REVOKED = "link.revoked"
    POLICY_ANSWERED = "policy.answered"
    AGENT_LOOKED_UP = "agent.looked_up"
    ASSURANCE_ACTED = "assurance.acted"
    WEBHOOK_DEAD = "webhook.dead"
    CONFERENCE_STARTED = "conference_started"
    TRUNK_DIALLED = "trunk_dialled"
    TRUNK_ANSWERED = "trunk_answered"
    JOINED = "joined"
    PRESENTATION_STARTED = "presentation_started"
    PRESENTATION_STOPPED = "presentation_stopped"
    LEFT = "left"
    TRUNK_ENDED = "trunk_ended"
    CONFERENCE_ENDED = "conference_ended"


_ORDER: Final = {kind: place for place, kind in enumerate(Kind)}


# ------------------------------------------------------------------ what is noted


class Note(NamedTuple):
    """What ``Conferences.note`` puts on a timeline."""

    kind: Kind
    data: Mapping[str, object]


class Doorstep(StrEnum):
    """How a customer who opens a link finds the door."""

    OPEN = "open"
    EARLY = "early"
    CLOSED = "closed"
    EXPIRED = "expired"
    MOVED = "moved"
    REVOKED = "revoked"


def link_created(by: str, link_type: str) -> Note:
    """A link was made. ``by`` is the name of the API key."""
    return Note(Kind.LINK_CREATED, {"text": f"The link was made by '{by}'.", "by": by, "type": link_type})


def link_moved(by: str, call: str, starts_at: datetime) -> Note:
    """An appointment was moved: another link, of ``call``, took the place of this one."""
    at = starts_at.isoformat(timespec="seconds")
    return Note(Kind.LINK_MOVED, {"text": f"'{by}' moved it to {at}.", "by": by, "to": call, "starts_at": at})


def link_made_for_moved(by: str, link_type: str, call: str) -> Note:
    """A link was made in place of that of ``call``, which was moved."""
    text = f"The link was made by '{by}' in place of one that was moved."
    return Note(Kind.LINK_CREATED, {"text": text, "by": by, "type": link_type, "from": call})


def link_joined(by: str, link_type: str, call: str, name: str) -> Note:
    """A link into the room of this call was made, which is of another type and has a ``call`` and a ``name`` of its own."""
    who = f" for {name}" if name else ""
    text = f"A link of type '{link_type}' into this room was made{who} by '{by}'."
    return Note(Kind.LINK_JOINED, {"text": text, "by": by, "type": link_type, "call": call, "name": name})


def link_revoked(by: str) -> Note:
    """A link was revoked."""
    return Note(Kind.LINK_REVOKED, {"text": f"The link was revoked by '{by}'.", "by": by})


def link_opened(door: Doorstep) -> Note:
    """A customer opened the link."""
    match door:
        case Doorstep.OPEN:
            how = "and was let in"
        case Doorstep.EARLY:
            how = "before its appointment"
        case Doorstep.CLOSED:
            how = "outside opening hours"
        case Doorstep.EXPIRED:
            how = "after it had expired"
        case Doorstep.MOVED:
            how = "after its appointment was moved"
        case Doorstep.REVOKED:
            how = "after it was revoked"
        case _:
            assert_never(door)
    return Note(Kind.LINK_OPENED, {"text": f"A customer opened the link {how}.", "door": door.value})


def link_previewed(by: str) -> Note:
    """A messenger or a scanner fetched the link."""
    text = f"A preview of the link was fetched ({by}). That was not the customer."
    return Note(Kind.LINK_PREVIEWED, {"text": text, "by": by})


def policy_answered(asked: RequestType, decision: Decision, decision_id: str, record: Mapping[str, object]) -> Note:
    """A node got an answer. ``record`` is what the log says of it."""
    match decision:
        # The most frequent come first.
        case Serve():
            told = "served"
        case Continue():
            told = "left to Pexip"
        case Redirect():
            told = "sent to another alias"
        case Reject():
            told = "refused"
        case SetProperties():
            told = "changed"
        case PlaceMedia():
            told = "placed"
        case AllowRegistration():
            told = "allowed"
        case ListEntries():
            told = "listed"
        case ShowPicture():
            told = "shown"
        case Forward():
            told = "forwarded"
        case Fail():
            told = "nothing that Pexip would take"
        case _:
            assert_never(decision)
    by = f"by rule '{decision.rule}'" if decision.rule else "as no rule matched"
    if upstream := record.get("upstream"):
        is_answered = record.get("upstream_outcome") == "answered"
        by += f", as '{upstream}' {'said' if is_answered else 'gave no answer that a node could use'}"
    is_own = asked is RequestType.SERVICE and record.get("call_direction") == "dial_out"
    asks = "The node asked before dialling the trunk" if is_own else f"A node asked {asked.about.asks}"
    return Note(Kind.POLICY_ANSWERED, {"text": f"{asks}: {told}, {by}.", "decision_id": decision_id, **record})


def agent_looked_up(agent_id: str, agent_name: str, conversation: str) -> Note:
    """An agent looked the conference up, for a conversation if ``conversation`` is not ``""``."""
    text = f"{agent_name or 'An agent without a name'} looked up the conference."
    data: dict[str, object] = {"text": text, "agent": {"id": agent_id, "name": agent_name}}
    return Note(Kind.AGENT_LOOKED_UP, {**data, "conversation": conversation} if conversation else data)


class Step(StrEnum):
    """What is noted of a call by whoever watches its legs: what was done, and in what state the call was seen."""

    DIALLED = "dialled"
    DROPPED = "dropped"
    MOVED = "moved"
    ENDED = "ended"
    REFUSED = "refused"
    """The Management Node did not do what it was asked to."""
    EXHAUSTED = "exhausted"
    """All was tried, and the customer stays."""
    HINDERED = "hindered"
    """The Management Node cannot be asked or told."""
    CUSTOMER_SEEN = "customer_seen"
    CUSTOMER_MISSED = "customer_missed"
    ANSWER_SEEN = "answer_seen"
    END_SEEN = "end_seen"
    """The Management Node shows it, of a call of which no node tells."""


def assurance_acted(step: Step, text: str, data: Mapping[str, object]) -> Note:
    """Something was done for a call whose leg failed or which is over, or cannot be done."""
    return Note(Kind.ASSURANCE_ACTED, {"text": text, "step": step.value, **data})


def assurance_saw(step: Step) -> Note:
    """The Management Node shows something of a call of which no node tells."""
    match step:
        case Step.CUSTOMER_SEEN:
            what = "that the customer is in the room"
        case Step.CUSTOMER_MISSED:
            what = "that the customer is not in the room any more"
        case Step.ANSWER_SEEN:
            what = "that the contact centre has answered"
        case Step.END_SEEN:
            what = "that the room is over"
        case _:
            raise ValueError(f"{step} is done, and not seen")
    return assurance_acted(step, f"The Management Node shows {what}; no node reports it.", {})


def webhook_dead(receiver: str, event: str, fact: str, sends: int, reason: str) -> Note:
    """A receiver did not take a message about the call, which is not sent any more by itself. ``fact`` says what it was not
    told, and ``reason`` what came of the last of so many tries.
    """
    tries = "one try" if sends == 1 else f"{sends} tries"
    text = f"The receiver '{receiver}' was not told that {fact}: given up after {tries} ({reason})."
    return Note(
        Kind.WEBHOOK_DEAD, {"text": text, "receiver": receiver, "event": event, "sends": sends, "error": reason}
    )


# ------------------------------------------------------------------ what nodes tell


@light_dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One line of a conference's timeline. ``time`` is epoch seconds, ``text`` a short English sentence."""

    time: float
    kind: Kind
    text: str
    data: Mapping[str, object] = field(hash=False)


class TimelineEvents:
    """What a person wants to read of the messages, by time: the conference, who came and left, who presented,
    and the contact centre's legs. A browser's two halves come and leave once.

    Asked again of a conference, it makes only those lines anew that are about somebody of whom more was heard.
    """

    def __init__(self) -> None:
        self._of_runs: Final = Finished(_run_lines)
        self._of_people: Final = Finished(_person_lines)
        self._of_legs: Final = Finished(_leg_lines)

    def of(self, told: Chronicle, joining: Mapping[str, str] = _NOBODY, only: str = "") -> Sequence[TimelineEvent]:
        """The lines of a conference. ``joining`` says what to call those who came by a link that joins the call, by its own
        call. With ``only`` it is about those alone who came by the link of that call.
        """
        people = [person for person in told.people if not only or person.whole.joining_call == only]
        room = told.room
        runs = enumerate(() if only else told.runs)
        of_runs = self._of_runs.each((run, (number, run.started_at, run.ended_at)) for number, run in runs)
        of_people = self._of_people.each((one, (room, joining.get(one.whole.joining_call, ""))) for one in people)
        of_legs = self._of_legs.each((leg, None) for leg in (() if only else told.trunk_legs))
        lines = chain(*of_runs, *of_people, *of_legs)
        return sorted(lines, key=lambda line: (line.time, _ORDER[line.kind]))


def _run_lines(_: Run, told: tuple[int, float | None, float | None]) -> Sequence[TimelineEvent]:
    """Lines of a run, by its number from 0 and when it started and ended."""
    number, started_at, ended_at = told
    lines: list[TimelineEvent] = []
    if started_at is not None:
        text = "The conference started again." if number else "The conference started."
        lines.append(TimelineEvent(started_at, Kind.CONFERENCE_STARTED, text, {}))
    if ended_at is not None:
        lines.append(TimelineEvent(ended_at, Kind.CONFERENCE_ENDED, "The conference ended.", {}))
    return lines


def _person_lines(somebody: Person, room_and_name: tuple[str, str]) -> Sequence[TimelineEvent]:
    return tuple(_lines_of_person(somebody, *room_and_name))


def _lines_of_person(somebody: Person, room: str, called: str) -> Iterator[TimelineEvent]:
    person = somebody.whole
    name = clean(called or person.display_name)[:_MAX_NAME_SHOWN] or "Somebody without a name"
    data: dict[str, object] = {"participants": list(person.uuids), "display_name": name, "protocol": person.protocol}
    if person.joining_call:
        data["call"] = person.joining_call
    role = {"chair": " as Host", "guest": " as Guest"}.get(person.role, "")
    for stay in somebody.stays:
        if stay.joined_at is not None:
            where = "" if stay.service in ("", room) else " a breakout room"
            yield TimelineEvent(
                stay.joined_at, Kind.JOINED, f"{name} joined{where}{role}.", {**data, "role": person.role}
            )
        if stay.left_at is not None:
            text = f"{name} left{_because(stay.reason)}." if stay.is_told else f"{name} left with the conference."
            yield TimelineEvent(stay.left_at, Kind.LEFT, text, {**data, "disconnect_reason": stay.reason})
    presenting: set[str] = set()
    # What somebody did at one moment stays in its order: who began and stopped then does not present for ever.
    changes = sorted(
        (time, half.uuid, number, is_on)
        for half in somebody.halves
        for number, (time, is_on) in enumerate(half.presenting)
    )
    for time, uuid, _, is_on in changes:
        was_presenting = bool(presenting)
        (presenting.add if is_on else presenting.discard)(uuid)
        if was_presenting != bool(presenting):
            if is_on:
                yield TimelineEvent(time, Kind.PRESENTATION_STARTED, f"{name} started presenting.", data)
            else:
                yield TimelineEvent(time, Kind.PRESENTATION_STOPPED, f"{name} stopped presenting.", data)


def _leg_lines(leg: tuple[Attendance, TrunkLeg], _: None) -> Sequence[TimelineEvent]:
    return tuple(_lines_of_leg(*leg))


def _lines_of_leg(attendance: Attendance, leg: TrunkLeg) -> Iterator[TimelineEvent]:
    number = leg.number or "A number that is not known"
    data = {"participant": leg.uuid, "number": leg.number}
    for stint in attendance.stints:
        answered_at, ended_at = stint.connected_at, stint.left_at
        if stint.seen_at < min(math.inf if at is None else at for at in (answered_at, ended_at)):
            yield TimelineEvent(stint.seen_at, Kind.TRUNK_DIALLED, f"{number} was dialled.", data)
        if answered_at is not None:
            yield TimelineEvent(answered_at, Kind.TRUNK_ANSWERED, f"{number} answered.", data)
        if ended_at is not None:
            end = leg_end(stint)
            text = f"{number} {_ended(end, stint)}{_because(stint.reason)}."
            reason = {"disconnect_reason": stint.reason, "leg_end": end.value}
            yield TimelineEvent(ended_at, Kind.TRUNK_ENDED, text, {**data, **reason})


def _ended(end: LegEnd, stint: Stint) -> str:
    match end:
        case LegEnd.BUSY:
            return "was busy"
        case LegEnd.REJECTED:
            return "refused the call"
        case LegEnd.NO_ANSWER:
            return "did not answer"
        case LegEnd.UNREACHABLE:
            return "could not be reached" if stint.connected_at is None else "was lost"
        case LegEnd.ENDED if is_hung_up(stint.reason):
            return "hung up"
        case LegEnd.ENDED | LegEnd.UNKNOWN:
            return "was disconnected"
        case _:
            assert_never(end)


def _because(reason: str) -> str:
    shown = clean(reason)[:_MAX_REASON_SHOWN]
    return f" ({shown})" if shown else ""

"""What became of a call, in a word and in one line for people who were not there. Pure, and the same for every reader."""

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final, assert_never

from typing_extensions import TypedDict

from policy_server.conferences.shapes import Count, means
from policy_server.conferences.timeline import Doorstep
from policy_server.conferences.visit import Attempt, Visit
from policy_server.pexip.leg_ends import LegEnd, is_hung_up
from policy_server.pexip.query import clean

DIALS_WITHIN: Final = 15.0
"""Seconds within which Pexip dials for a customer who has come (pexip/README.md: When Pexip dials)."""

LONG_RING: Final = 25.0
"""Seconds after which a leg that rings is not going to be answered."""

_MAX_REASON: Final = 100


class Code(StrEnum):
    """What became of a call."""

    NOT_OPENED = "not_opened"
    """Nobody has opened the link."""
    REFUSED_AT_THE_DOOR = "refused_at_the_door"
    """The customer came, and was not let in: out of hours, too late, refused by a rule, or not past PIN entry or lobby."""
    NOT_JOINED = "not_joined"
    """The customer was let in and has not come into the room."""
    NO_CUSTOMER = "no_customer"
    """Others came or were dialled, the customer did not."""
    WAITING = "waiting"
    """The customer is there and waits."""
    IN_PROGRESS = "in_progress"
    """The customer and the contact centre have met, and the customer is still there."""
    ANSWERED = "answered"
    """They talked, and it is over."""
    NO_AGENT = "no_agent"
    """Genesys took the call, or nothing had to be dialled, and no agent came before the customer left."""
    LEG_REFUSED = "leg_refused"
    """Genesys refused the last leg."""
    LEG_BUSY = "leg_busy"
    """It was busy."""
    LEG_SILENT = "leg_silent"
    """It was not answered."""
    LEG_UNREACHABLE = "leg_unreachable"
    """It did not get through."""
    LEG_FAILED = "leg_failed"
    """It ended before it was answered, and nobody said why."""
    NEVER_DIALLED = "never_dialled"
    """The room should have dialled and no leg was heard of."""
    CUSTOMER_LEFT_EARLY = "customer_left_early"
    """The customer left before a leg could be dialled or answered."""
    MEETING = "meeting"
    """People met in a room that dials nobody and that no link led to."""


class Outcome(StrEnum):
    """What a code comes to, for whoever counts calls."""

    WAITING = "waiting"
    """The customer waits for somebody."""
    TALKING = "talking"
    ANSWERED = "answered"
    FAILED = "failed"
    """The customer waited, and nobody of the contact centre came."""
    LEFT = "left"
    """The customer left before anybody could come."""
    NO_CALL = "no_call"
    """No customer came into the room, or it dials nobody."""


def outcome_of(code: Code) -> Outcome:
    """What a code comes to."""
    match code:
        case Code.WAITING:
            return Outcome.WAITING
        case Code.IN_PROGRESS:
            return Outcome.TALKING
        case Code.ANSWERED:
            return Outcome.ANSWERED
        case Code.CUSTOMER_LEFT_EARLY:
            return Outcome.LEFT
        case Code.NO_AGENT | Code.NEVER_DIALLED | Code.LEG_FAILED:
            return Outcome.FAILED
        case Code.LEG_REFUSED | Code.LEG_BUSY | Code.LEG_SILENT | Code.LEG_UNREACHABLE:
            return Outcome.FAILED
        case Code.NOT_OPENED | Code.REFUSED_AT_THE_DOOR | Code.NOT_JOINED | Code.NO_CUSTOMER | Code.MEETING:
            return Outcome.NO_CALL
        case _:
            assert_never(code)


class Verdict(TypedDict):
    """What became of the call so far, for people who were not there. Seconds are `null` while they run."""

    code: Annotated[Code, means("In a word.", "in_progress")]
    text: Annotated[
        str,
        means(
            "In one line, which names nobody.",
            "An agent joined after 16 s; they are talking.",
        ),
    ]
    waited: Annotated[float | None, means("Seconds that the customer was there before anybody came.", 16.0)]
    talked: Annotated[
        float | None, means("Seconds that the customer and the contact centre were there together.", None)
    ]
    answered_after: Annotated[
        float | None,
        means("Seconds from the customer's coming until Genesys answered, be it with an agent or a queue.", 12.0),
    ]
    attempts: Annotated[Count, means("Calls that were placed to the contact centre.", 1)]


def verdict_of(visit: Visit) -> Verdict:
    """The verdict on a visit, so far or at the end."""
    code = code_of(visit)
    return {
        "code": code,
        "text": _sentence(_clauses(visit, code)),
        "waited": _rounded(visit.waited),
        "talked": _rounded(visit.talked if visit.customer else None),
        "answered_after": _rounded(visit.answered_after),
        "attempts": len(visit.legs),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def code_of(visit: Visit) -> Code:
    """The verdict in a word."""
    if not visit.customer:
        return _code_of_nobody(visit)
    is_meeting = not (visit.cast.has_link or visit.cast.dials or visit.legs)
    if not visit.is_over:
        return Code.IN_PROGRESS if visit.talk or is_meeting else Code.WAITING
    if is_meeting:
        return Code.MEETING
    if visit.talk:
        return Code.ANSWERED
    if not visit.legs:
        return _code_without_leg(visit)
    if visit.met:
        return Code.NO_AGENT
    return _code_of_leg(visit, visit.legs[-1])


def _code_of_nobody(visit: Visit) -> Code:
    if visit.at_the_door:
        is_there = not visit.is_over and any(person.is_present for person in visit.at_the_door)
        return Code.WAITING if is_there else Code.REFUSED_AT_THE_DOOR
    if visit.agent or visit.legs or visit.others:
        return Code.NO_CUSTOMER
    if visit.was_served or Doorstep.OPEN in visit.doors:
        return Code.NOT_JOINED
    if visit.was_refused or visit.doors:
        return Code.REFUSED_AT_THE_DOOR
    return Code.NOT_OPENED if visit.cast.has_link else Code.NOT_JOINED


def _code_without_leg(visit: Visit) -> Code:
    if not visit.cast.dials:
        return Code.NO_AGENT
    return Code.CUSTOMER_LEFT_EARLY if (visit.duration or 0.0) < DIALS_WITHIN else Code.NEVER_DIALLED


def _code_of_leg(visit: Visit, leg: Attempt) -> Code:
    """The verdict where no leg and the customer have met, by the last leg."""
    left_at = visit.left_at
    if leg.answered_at is not None:
        return Code.CUSTOMER_LEFT_EARLY
    is_cut_off = left_at is not None and (leg.ended_at is None or leg.ended_at >= left_at)
    if is_cut_off and leg.end in {None, LegEnd.ENDED, LegEnd.NO_ANSWER, LegEnd.UNKNOWN}:
        rang = (left_at or 0.0) - leg.dialled_at
        return Code.LEG_SILENT if rang >= LONG_RING else Code.CUSTOMER_LEFT_EARLY
    match leg.end:
        case LegEnd.BUSY:
            return Code.LEG_BUSY
        case LegEnd.REJECTED:
            return Code.LEG_REFUSED
        case LegEnd.NO_ANSWER | None:
            return Code.LEG_SILENT
        case LegEnd.UNREACHABLE:
            return Code.LEG_UNREACHABLE
        case LegEnd.ENDED | LegEnd.UNKNOWN:
            return Code.LEG_FAILED
        case _:
            assert_never(leg.end)


# ------------------------------------------------------------------ in words


def absent_of(visit: Visit) -> tuple[str, ...]:
    """What has not happened, of what a call goes through; nothing of what could not happen yet."""
    if not visit.was_served and not visit.customer:
        return ("No node asked for the room.",) if not visit.was_refused else ()
    absent = {
        "No node asked for the room.": not visit.was_served,
        "The customer did not come in.": not visit.customer,
        "No node asked to dial.": visit.cast.dials and not visit.was_asked_to_dial,
        "No leg was dialled.": visit.cast.dials and not visit.legs,
        "No agent looked it up.": bool(visit.cast.agents) and not visit.was_looked_up,
        "No agent joined.": bool(visit.cast.agents) and not visit.agent,
    }
    return tuple(text for text, is_absent in absent.items() if is_absent)


def _clauses(visit: Visit, code: Code) -> Iterable[str]:
    match code:
        case Code.NOT_OPENED:
            return ["nobody has opened the link"]
        case Code.REFUSED_AT_THE_DOOR:
            return [_door(visit)]
        case Code.NOT_JOINED:
            return ["the customer was let in and has not come into the room"]
        case Code.NO_CUSTOMER:
            return ["the customer has not come into the room", _agent(visit) if visit.agent else "others have"]
        case Code.WAITING if not visit.customer:
            return ["the customer is at the PIN entry or in the lobby"]
        case Code.WAITING:
            return ["the customer is waiting", *_contact_centre(visit)]
        case Code.IN_PROGRESS | Code.ANSWERED:
            return _talk(visit)
        case Code.MEETING:
            return [f"people were in the room for {told_seconds(visit.duration)}", "it dials nobody"]
        case Code.NO_AGENT | Code.LEG_FAILED | Code.NEVER_DIALLED | Code.CUSTOMER_LEFT_EARLY:
            return _in_vain(visit)
        case Code.LEG_REFUSED | Code.LEG_BUSY | Code.LEG_SILENT | Code.LEG_UNREACHABLE:
            return _in_vain(visit)
        case _:
            assert_never(code)


def _in_vain(visit: Visit) -> Iterable[str]:
    leg, *agent = _contact_centre(visit)
    return [leg, f"the customer waited {told_seconds(visit.waited)} and {visit.parting}", *agent]


def _contact_centre(visit: Visit) -> list[str]:
    """What became of the legs, and of the agent."""
    if visit.legs:
        return [_leg(visit, visit.legs[-1]), _agent(visit)]
    return ["no leg was dialled" if visit.cast.dials else "the room dials nobody", _agent(visit)]


def _leg(visit: Visit, leg: Attempt) -> str:
    count = f", the last of {len(visit.legs)} legs" if len(visit.legs) > 1 else ""
    if visit.met or leg.answered_at is not None:
        after = "" if visit.answered_after is None else f" after {told_seconds(visit.answered_after)}"
        hung_up = " and hung up" if leg.answered_at is not None and is_hung_up(leg.reason) else ""
        return f"Genesys answered{after}{hung_up}{count}"
    if leg.end is None:
        return f"the leg is ringing{count}"
    took = "" if leg.seconds is None else f" after {told_seconds(leg.seconds)}"
    reason = clean(leg.reason)[:_MAX_REASON]
    because = f" ({reason})" if reason else ""
    match leg.end:
        case LegEnd.BUSY:
            told = f"Genesys was busy{because}{took}"
        case LegEnd.REJECTED:
            told = f"Genesys refused the leg{because}{took}"
        case LegEnd.NO_ANSWER:
            told = f"Genesys did not answer{because}{took}"
        case LegEnd.UNREACHABLE:
            told = f"Genesys could not be reached{because}{took}"
        case LegEnd.ENDED | LegEnd.UNKNOWN:
            told = f"the leg ended unanswered{because}{took}"
        case _:
            assert_never(leg.end)
    return told + count


def _agent(visit: Visit) -> str:
    if visit.agent:
        return "an agent joined"
    return "an agent looked the call up and did not join" if visit.was_looked_up else "no agent joined"


def _talk(visit: Visit) -> Iterable[str]:
    if not visit.talk:
        return ["people are in the room"]
    if visit.agent:
        came = "an agent joined"
    elif visit.was_looked_up:
        came = "Genesys answered, and an agent looked the call up,"
    else:
        came = "Genesys answered"
    begun = f"{came} after {told_seconds(visit.waited)}"
    if visit.is_over:
        return [begun, f"they talked for {told_seconds(visit.talked)}"]
    return [begun, "they are talking" if visit.talk[-1][1] == math.inf else "the customer is still there, alone"]


def _door(visit: Visit) -> str:
    reasons = {clean(person.disconnect_reason)[:_MAX_REASON] for person in visit.at_the_door} - {""}
    if visit.at_the_door:
        because = f" ({min(reasons)})" if reasons else ""
        return f"the customer came no further than the PIN entry or the lobby{because}"
    if visit.was_refused:
        return "the customer was refused by the rules"
    if Doorstep.REVOKED in visit.doors:
        return "the customer opened the link after it was revoked"
    if Doorstep.EXPIRED in visit.doors:
        return "the customer opened the link after it had expired"
    return "the customer opened the link outside opening hours"


def _sentence(clauses: Iterable[str]) -> str:
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}."


def told_seconds(seconds: float | None) -> str:
    """A span as people say it: ``48 s``, ``3 min 20 s``, ``1 h 5 min``."""
    whole = round(seconds or 0.0)
    if whole < 120:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

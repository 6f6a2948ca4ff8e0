"""What assurance has noted of a call, as far as a verdict needs it: what it did, and what the Management Node showed it of a
call of which no node told. A pure function of the *set* of notes; times are by our own clock.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple, assert_never

from policy_server.conferences.records import TimelineEntry
from policy_server.conferences.timeline import Step
from policy_server.light import light_dataclass
from policy_server.pexip.leg_ends import LegEnd

CUSTOMER_GONE = "the customer is gone"
"""Why a room is ended in which the customer is not any more."""


class Parting(StrEnum):
    """How the customer's visit ended, as the end of a sentence that begins with the customer."""

    LEFT = "left"
    MOVED = "was transferred"
    RELEASED = "was released, for the room was ended"


class Placed(NamedTuple):
    """A call that was placed to the contact centre; ``end`` is ``None`` while it goes on."""

    at: float
    answered_at: float | None
    ended_at: float | None
    end: LegEnd | None


@light_dataclass(frozen=True, slots=True)
class Acted:
    """What was noted: ``seen`` of what changed the state of the call, in order, and when it was dialled."""

    parting: Parting
    dropped: frozenset[str]
    """The legs that were ended because they were not answered in time."""
    seen: Sequence[tuple[float, Step]]
    dials: frozenset[float]
    has_dialled_first: bool
    """In place of the node."""

    @property
    def is_over(self) -> bool:
        """Whether the Management Node showed that the room is no more."""
        return any(step is Step.END_SEEN for _, step in self.seen)

    @property
    def customer(self) -> Iterable[tuple[float, float]]:
        """When the Management Node showed the customer; to infinity while it does."""
        return _stays(self.seen)

    def placed(self, asked_to_dial_at: float | None) -> Iterable[Placed]:
        """The calls that were placed, where no node tells of them. ``asked_to_dial_at`` is when a node first asked before it
        dialled, which was its own leg unless that was dialled in its place.
        """
        dials = set(self.dials)
        if asked_to_dial_at is not None and not self.has_dialled_first:
            dials.add(asked_to_dial_at)
        answer = next((at for at, step in self.seen if step is Step.ANSWER_SEEN), None)
        if answer is not None and all(at > answer for at in dials):
            # Who answered was called, by whomever.
            dials.add(answer)
        return _placed(sorted(dials), self.seen)


def acted(entries: Iterable[TimelineEntry]) -> Acted:
    """What was noted of a call, by its entries of the kind ``ASSURANCE_ACTED``."""
    parting, dropped = Parting.LEFT, set[str]()
    seen: list[tuple[float, Step]] = []
    dials: set[float] = set()
    has_dialled_first = False
    for entry in entries:
        if entry.data.get("step") not in set(Step):
            continue
        at, step = entry.at.timestamp(), Step(str(entry.data["step"]))
        match step:
            case Step.DIALLED:
                dials.add(at)
                has_dialled_first |= entry.data.get("is_first") is True
            case Step.DROPPED:
                legs = entry.data.get("legs")
                dropped |= set(map(str, legs)) if isinstance(legs, list) else set()
                seen.append((at, step))
            case Step.MOVED:
                parting = Parting.MOVED
            case Step.ENDED:
                if parting is Parting.LEFT and entry.data.get("reason", CUSTOMER_GONE) != CUSTOMER_GONE:
                    parting = Parting.RELEASED
            case Step.EXHAUSTED | Step.CUSTOMER_SEEN | Step.CUSTOMER_MISSED | Step.ANSWER_SEEN | Step.END_SEEN:
                seen.append((at, step))
            case Step.REFUSED | Step.HINDERED:
                # Nobody was called, and nothing was seen.
                pass
            case _:
                assert_never(step)
    return Acted(parting, frozenset(dropped), tuple(sorted(seen)), frozenset(dials), has_dialled_first)


def _stays(seen: Iterable[tuple[float, Step]]) -> Iterator[tuple[float, float]]:
    since: float | None = None
    for at, step in seen:
        if step is Step.CUSTOMER_SEEN and since is None:
            since = at
        elif step in {Step.CUSTOMER_MISSED, Step.END_SEEN} and since is not None:
            yield since, at
            since = None
    if since is not None:
        yield since, math.inf


def _placed(dials: list[float], seen: Iterable[tuple[float, Step]]) -> Iterator[Placed]:
    """The calls in order: each was over when the next was placed."""
    for at, until in pairwise([*dials, math.inf]):
        within = [(when, step) for when, step in seen if at <= when < until]
        answered_at = next((when for when, step in within if step is Step.ANSWER_SEEN), None)
        ends = (when for when, step in within if step in {Step.DROPPED, Step.EXHAUSTED, Step.END_SEEN})
        ended_at = min(next(ends, math.inf), until)
        was_dropped = any(step is Step.DROPPED for _, step in within)
        if ended_at == math.inf:
            yield Placed(at, answered_at, None, None)
        elif answered_at is not None and answered_at <= ended_at:
            yield Placed(at, answered_at, ended_at, LegEnd.ENDED)
        else:
            # Why a leg is over, nobody says but events.
            yield Placed(at, None, ended_at, LegEnd.NO_ANSWER if was_dropped else LegEnd.UNKNOWN)

"""Which messages tell of the life of a room that began when it was held, and which of one before.

A room's name may serve again and again, and news of one life may come in another. No node's clock is compared with
ours or with another's, since they differ: what counts is when messages arrived, and how a life names itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from policy_server.conferences.attendance import DISCONNECTED
from policy_server.conferences.runs import ENDED
from policy_server.pexip.events import Event

LAST_WORDS: Final = frozenset({ENDED, DISCONNECTED})
"""The messages after which a life may be over: without one of them what was not over is not over now."""

Run = tuple[str, str]
"""A service and the node that runs it."""


def told_since(stored: Iterable[Event], held_at: datetime) -> tuple[Event, ...]:
    """The messages about who has held a room since a time, of all about the room.

    Left out is what arrived before, and what arrived since about a conference or participant that was over by then.
    """
    earlier = _Earlier()
    since: list[Event] = []
    for event in stored:
        if event.arrived_at < held_at:
            earlier.learn(event)
        else:
            since.append(event)
    news = tuple(event for event in since if not earlier.knows(event))
    begun = {_run(event) for event in news if event.name not in LAST_WORDS}
    return tuple(event for event in news if not earlier.may_mean(event, begun))


def _run(event: Event) -> Run:
    return event.conference, event.node


@dataclass(slots=True)
class _Earlier:
    """What was over before. Times are by the clock of the node that gave them, and compared with that alone."""

    ends: dict[Run, float] = field(default_factory=dict)
    starts: set[tuple[Run, float]] = field(default_factory=set)
    """Of what has ended: a conference is the same on a node that has the same start_time."""
    departures: dict[str, float] = field(default_factory=dict)

    def learn(self, event: Event) -> None:
        """Takes note of an end."""
        if event.name == ENDED:
            self.ends[_run(event)] = max(event.time, self.ends.get(_run(event), 0.0))
            if start := event.moment("start_time"):
                self.starts.add((_run(event), start))
        elif event.name == DISCONNECTED and event.participant:
            self.departures[event.participant] = max(event.time, self.departures.get(event.participant, 0.0))

    def knows(self, event: Event) -> bool:
        """Whether the message is about what was over."""
        if event.participant:
            return self.knows_participant(event)
        start = event.moment("start_time")
        if start is not None:
            return (_run(event), start) in self.starts
        return event.time <= self.ends.get(_run(event), -1.0)

    def knows_participant(self, event: Event) -> bool:
        """Whether it is an old message about a participant who had left: one who is moved comes again."""
        return event.participant in self.departures and event.time <= self.departures[event.participant]

    def may_mean(self, event: Event, begun: set[Run]) -> bool:
        """Whether an end that does not say of what can only be the end that is known: nothing has begun since."""
        if event.name != ENDED or event.moment("start_time") is not None:
            return False
        return _run(event) in self.ends and _run(event) not in begun

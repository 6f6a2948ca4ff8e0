"""What becomes of a caller who comes at a moment, and when somebody would get in."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from policy_server.cli.common import Unusable
from policy_server.cli.parts import Customer, RoomSystem
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import encode_query, parse_request
from policy_server.policy.decisions import Decision, Fail, Forward, Redirect, Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.services import ROOM_TYPES
from policy_server.simulator.transfers import Course
from policy_server.wording.values import shown

LOOK_AHEAD: Final = (
    (timedelta(days=8), timedelta(hours=1)),
    (timedelta(days=400), timedelta(hours=6)),
)
"""How far to look for a moment when the door is open or closed, and in what steps: weeks first, then holidays."""
LASTS: Final = timedelta(minutes=1)
"""How long playing may take: the door does not open or close meanwhile."""


class Arrivals:
    """Callers who come by a link that is good at every moment from ``now`` on, so that only the rules say who gets in, or
    without any.
    """

    def __init__(self, ruleset: Ruleset, keyring: Keyring, part: Customer | RoomSystem, now: datetime) -> None:
        self._ruleset: Final = ruleset
        self._keyring: Final = keyring
        self._part: Final = part
        self._now: Final = now
        self._question: Final = part.question(keyring, now + LOOK_AHEAD[-1][0] + timedelta(hours=1))

    def come_to(self, at: datetime) -> tuple[Decision, Course]:
        """What becomes of a caller in the end, if playlists lead on, and how they came there."""
        course = Course(self._question)
        while True:
            question = parse_request(RequestType.SERVICE, encode_query(course.question).encode())
            decision = evaluate(self._ruleset, question, at, self._keyring, self._part.link_attributes)
            if not isinstance(decision, Serve) or not course.goes_on(decision.service):
                return decision, course

    def opening(self, at: datetime | None) -> datetime:
        """The moment that was asked for, or the next at which a caller gets in; raises Unusable if there is none."""
        if at is None:
            at = self._next(lets_in=True)
        if at is None:
            raise Unusable(
                f"no {self._part.who} gets in within a year: {_told_instead(self._part, *self.come_to(self._now))}"
            )
        return at

    def closing(self) -> datetime | None:
        """The next moment at which no caller gets in."""
        return self._next(lets_in=False)

    def _next(self, *, lets_in: bool) -> datetime | None:
        return next(
            (each for each in _moments(self._now) if self._lets_in(each) is lets_in is self._lets_in(each + LASTS)),
            None,
        )

    def room(self, at: datetime) -> Serve:
        """The room that a caller gets at a moment; raises Unusable if they get none."""
        decision, course = self.come_to(at)
        if isinstance(decision, Serve) and _is_room(decision):
            return decision
        raise Unusable(f"no {self._part.who} gets in at that moment: {_told_instead(self._part, decision, course)}")

    def _lets_in(self, at: datetime) -> bool:
        return _is_room(self.come_to(at)[0])


def _is_room(decision: Decision) -> bool:
    return isinstance(decision, Serve) and decision.service.get("service_type") in ROOM_TYPES


def _told_instead(part: Customer | RoomSystem, decision: Decision, course: Course) -> str:
    """What becomes of a caller who gets no room."""
    if isinstance(decision, Serve):
        service = decision.service
        if course.in_circles:
            return f"rule {shown(decision.rule)} plays {shown(service.get('name'))} again and again, since it leads to itself"
        return f"rule {shown(decision.rule)} serves a {service.get('service_type')}, which is no room"
    if isinstance(decision, Redirect):
        return f"rule {shown(decision.rule)} sends them on to {shown(decision.new_alias)}"
    if isinstance(decision, Forward):
        upstream = shown(decision.upstream.name)
        return f"rule {shown(decision.rule)} forwards their question to {upstream}, which is not asked in a played call"
    if isinstance(decision, Fail):
        return f"rule {shown(decision.rule)} fails: {decision.reason}"
    return f"no rule serves {part.alias}"


def _moments(now: datetime) -> Iterator[datetime]:
    yield now
    half_past = now.replace(minute=30, second=0, microsecond=0)
    for distance, step in LOOK_AHEAD:
        for number in range(1, distance // step):
            yield half_past + number * step

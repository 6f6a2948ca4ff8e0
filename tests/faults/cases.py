"""Every way in which a leg can fail, or what watches it, and what has to come of it: the rows of ``make faults``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from policy_server.conferences.verdict import Code
from policy_server.lab.management.troubles import Dials
from policy_server.lab.sip.trunk import Answer
from tests.faults.manager import DIAL, DROP, END, LOOK, MOVE, Fate
from tests.faults.plays import (
    PATIENCE,
    Outcome,
    Play,
    agent_stays,
    another_leg_stays,
    answered_as_it_is_ended,
    customer_leaves,
    customer_leaves_a_talk,
    dialled_by_both,
    down,
    during,
    given_up,
    hung_up,
    losing_the_answer,
    moved,
    once,
    reached,
    released,
    trouble,
)
from tests.faults.stage import ADP_DELAY, BUSY, KEPT, SECOND, SILENT, THIRD, Line


@dataclass(frozen=True, slots=True)
class Case:
    """One way to fail. ``within`` is seconds to the outcome at most, on a machine that is busy, and ``two_legs`` those for
    which two legs may live; ``killed`` the step at which the replica is killed that takes it, and ``killed_after`` one that must
    have been taken before.
    """

    name: str
    invites: tuple[str, ...]
    outcome: Outcome
    code: Code
    within: float
    play: Play
    lines: Mapping[str, Line] = field(default_factory=dict)
    dial_out: str = SECOND
    assurance: str = ""
    has_sink: bool = True
    adp_delay: float = ADP_DELAY
    two_legs: float = 0.0
    killed: tuple[str, Fate] | None = None
    killed_after: str = ""


def refused(answer: Answer) -> Mapping[str, Line]:
    """The first trunk refuses."""
    return {"first": Line(answer)}


ONE: Final = ("first",)
TWO: Final = ("first", "second")
BOTH_BUSY: Final = {"first": BUSY, "second": BUSY}
FAST: Final = "answer_within: 6s"
TRANSFER: Final = "on_exhausted: { transfer: sorry }"

CASES: Final = (
    Case("the first trunk answers", ONE, Outcome.FIRST, Code.ANSWERED, 5, reached),
    Case("486 Busy Here", TWO, Outcome.SECOND, Code.ANSWERED, 10, reached, refused(Answer.BUSY)),
    Case("503 Service Unavailable", TWO, Outcome.SECOND, Code.ANSWERED, 10, reached, refused(Answer.UNAVAILABLE)),
    Case("404 Not Found", TWO, Outcome.SECOND, Code.ANSWERED, 10, reached, refused(Answer.NOT_FOUND)),
    Case("408 Request Timeout", TWO, Outcome.SECOND, Code.ANSWERED, 10, reached, refused(Answer.TIMED_OUT)),
    Case("silence", TWO, Outcome.SECOND, Code.ANSWERED, 35, reached, {"first": SILENT}),
    Case("an answer after 24 s", ONE, Outcome.FIRST, Code.ANSWERED, 26, reached, {"first": Line(after=24)}),
    Case("an answer after 26 s", TWO, Outcome.SECOND, Code.ANSWERED, 35, reached, {"first": Line(after=26.5)}),
    Case(
        "an answer as the leg is ended, `answer_within: 6s`",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        20,
        answered_as_it_is_ended,
        {"first": SILENT},
        assurance=FAST,
    ),
    Case(
        "a node dials late, just as it is done in its place",
        ("first", "first"),
        Outcome.FIRST,
        Code.ANSWERED,
        10,
        dialled_by_both,
        {"first": Line(after=4)},
        adp_delay=600,
        two_legs=4,
    ),
    Case("BYE after 1 s", ONE, Outcome.RELEASED, Code.NO_AGENT, 15, hung_up, {"first": Line(after=0.5, talks=1)}),
    Case("all trunks busy, `on_exhausted: keep`", TWO, Outcome.WAITS, Code.LEG_REFUSED, 12, given_up, BOTH_BUSY),
    Case(
        "all trunks busy, `on_exhausted: disconnect`",
        TWO,
        Outcome.RELEASED,
        Code.LEG_REFUSED,
        15,
        released,
        BOTH_BUSY,
        assurance="on_exhausted: disconnect",
    ),
    Case(
        "all trunks busy, `on_exhausted: { transfer: … }`",
        TWO,
        Outcome.MOVED,
        Code.LEG_REFUSED,
        15,
        moved,
        BOTH_BUSY,
        assurance=TRANSFER,
    ),
    Case(
        "busy, `attempts: 2`",
        ("first", "second", "second"),
        Outcome.WAITS,
        Code.LEG_REFUSED,
        18,
        given_up,
        BOTH_BUSY,
        assurance="attempts: 2",
    ),
    Case("the customer leaves a talk", ONE, Outcome.LEFT, Code.ANSWERED, 15, customer_leaves_a_talk, dial_out=KEPT),
    Case(
        "the customer leaves during a redial",
        TWO,
        Outcome.LEFT,
        Code.CUSTOMER_LEFT_EARLY,
        3,
        customer_leaves,
        {"first": BUSY, "second": SILENT},
        KEPT,
    ),
    Case("the first leg ends, an agent is there by video", ONE, Outcome.STAYED, Code.ANSWERED, 15, agent_stays),
    Case("the first leg ends, another leg is there", ONE, Outcome.STAYED, Code.ANSWERED, 15, another_leg_stays),
    Case(
        "busy, event sink silent",
        TWO,
        Outcome.SECOND,
        Code.NO_AGENT,
        30,
        reached,
        refused(Answer.BUSY),
        has_sink=False,
    ),
    Case(
        "silence, event sink silent",
        TWO,
        Outcome.SECOND,
        Code.NO_AGENT,
        50,
        reached,
        {"first": SILENT},
        has_sink=False,
    ),
    Case(
        "busy, Management Node down for 15 s",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        40,
        during(down, 15),
        refused(Answer.BUSY),
    ),
    Case(
        "busy, Management Node down",
        ONE,
        Outcome.WAITS,
        Code.LEG_REFUSED,
        25,
        during(down, PATIENCE, given_up),
        refused(Answer.BUSY),
    ),
    Case(
        "busy, Management Node slow: 2 s",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        20,
        during(trouble(delay=2.0), PATIENCE),
        refused(Answer.BUSY),
    ),
    Case(
        "busy, Management Node too slow for 15 s: 5 s",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        45,
        during(trouble(delay=5.0), 15),
        refused(Answer.BUSY),
    ),
    Case(
        "busy, Management Node says 401 for 10 s",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        40,
        during(trouble(status=401), 10),
        refused(Answer.BUSY),
    ),
    Case(
        "busy, Management Node says 429 for 10 s",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        40,
        during(trouble(status=429, retry_after=4), 10),
        refused(Answer.BUSY),
    ),
    Case(
        "a dial is accepted and nobody dialled, `answer_within: 6s`",
        ("first", "third"),
        Outcome.THIRD,
        Code.ANSWERED,
        20,
        once(Dials.FORGOTTEN),
        refused(Answer.BUSY),
        THIRD,
        FAST,
    ),
    Case(
        "a dial is accepted and fails at once",
        ("first", "third"),
        Outcome.THIRD,
        Code.ANSWERED,
        15,
        once(Dials.FAILED),
        refused(Answer.BUSY),
        THIRD,
    ),
    Case(
        "the answer to a dial is lost",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        10,
        losing_the_answer(DIAL, reached),
        refused(Answer.BUSY),
        THIRD,
    ),
    Case(
        "the answer to the end of a silent leg is lost, `answer_within: 6s`",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        20,
        losing_the_answer(DROP, reached),
        {"first": SILENT},
        assurance=FAST,
    ),
    Case(
        "killed before it asks whether the trunk is busy",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        40,
        reached,
        refused(Answer.BUSY),
        killed=(LOOK, Fate.LOST),
    ),
    Case(
        "killed when it knows that the trunk is busy",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        40,
        reached,
        refused(Answer.BUSY),
        killed=(LOOK, Fate.UNANSWERED),
    ),
    Case(
        "killed as it dials, and nobody is dialled; `answer_within: 6s`",
        ("first", "third"),
        Outcome.THIRD,
        Code.ANSWERED,
        40,
        reached,
        refused(Answer.BUSY),
        THIRD,
        FAST,
        killed=(DIAL, Fate.LOST),
    ),
    Case(
        "killed when it has dialled",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        10,
        reached,
        refused(Answer.BUSY),
        THIRD,
        killed=(DIAL, Fate.UNANSWERED),
    ),
    Case(
        "killed as it ends a silent leg, and nothing is ended; `answer_within: 6s`",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        45,
        reached,
        {"first": SILENT},
        assurance=FAST,
        killed=(DROP, Fate.LOST),
    ),
    Case(
        "killed when it has ended a silent leg; `answer_within: 6s`",
        TWO,
        Outcome.SECOND,
        Code.ANSWERED,
        45,
        reached,
        {"first": SILENT},
        assurance=FAST,
        killed=(DROP, Fate.UNANSWERED),
    ),
    Case(
        "killed as it ends a room, and nothing is ended",
        ONE,
        Outcome.LEFT,
        Code.ANSWERED,
        45,
        customer_leaves_a_talk,
        dial_out=KEPT,
        killed=(END, Fate.LOST),
    ),
    Case(
        "killed when it has ended a room",
        ONE,
        Outcome.LEFT,
        Code.ANSWERED,
        15,
        customer_leaves_a_talk,
        dial_out=KEPT,
        killed=(END, Fate.UNANSWERED),
    ),
    Case(
        "killed before it asks whether all trunks are busy, `on_exhausted: { transfer: … }`",
        TWO,
        Outcome.MOVED,
        Code.LEG_REFUSED,
        45,
        moved,
        BOTH_BUSY,
        assurance=TRANSFER,
        killed=(LOOK, Fate.LOST),
        killed_after=DIAL,
    ),
    Case(
        "killed when it knows that all trunks are busy, `on_exhausted: { transfer: … }`",
        TWO,
        Outcome.MOVED,
        Code.LEG_REFUSED,
        45,
        moved,
        BOTH_BUSY,
        assurance=TRANSFER,
        killed=(LOOK, Fate.UNANSWERED),
        killed_after=DIAL,
    ),
    Case(
        "killed as it transfers the customer, who is not transferred",
        TWO,
        Outcome.MOVED,
        Code.LEG_REFUSED,
        45,
        moved,
        BOTH_BUSY,
        assurance=TRANSFER,
        killed=(MOVE, Fate.LOST),
    ),
    Case(
        "killed when it has transferred the customer",
        TWO,
        Outcome.MOVED,
        Code.LEG_REFUSED,
        15,
        moved,
        BOTH_BUSY,
        assurance=TRANSFER,
        killed=(MOVE, Fate.UNANSWERED),
    ),
)

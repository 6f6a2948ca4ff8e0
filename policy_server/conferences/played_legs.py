"""A call played to its end in simulated time: what is dialled, and what becomes of the customer, if trunks do this and that.

What is to be done is what the server would do (``conferences.assurance.plan``). Events are told at once, none is lost, the
Management Node always answers, the node dials as soon as it ever does, and the customer stays.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Final, assert_never

from policy_server.conferences.assurance import (
    Action,
    Dial,
    Drop,
    End,
    Leg,
    LegState,
    Move,
    Over,
    Picture,
    Wait,
    plan,
    remember,
)
from policy_server.conferences.assurance_memory import Memory
from policy_server.conferences.assured import assured
from policy_server.policy.assurance import Assured
from policy_server.policy.decisions import Serve
from policy_server.policy.fates import Answers, Fails, Failure, Fate, FateOf, Happening, LegsOutcome, PlayedLegs
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.services import LEGS
from policy_server.wording.values import shown

NODE_DIALS: Final = 10.0
"""Seconds after the customer came (pexip/README.md: When Pexip dials)."""

_CUSTOMER: Final = frozenset({"customer"})
_NOBODY: Final[frozenset[str]] = frozenset()


def play_legs(ruleset: Ruleset, decision: Serve, fate_of: FateOf, at: datetime) -> PlayedLegs | None:
    """Plays a call that is served at a time; ``None`` if the decision dials no trunk."""
    known = assured(decision)
    return None if known is None else _Play(ruleset, decision, known, fate_of, at).run()


class _Play:
    """A call while it is played. Times are seconds since the customer came."""

    def __init__(self, ruleset: Ruleset, decision: Serve, known: Assured, fate_of: FateOf, at: datetime) -> None:
        self._ruleset: Final = ruleset
        self._decision: Final = decision
        self._known: Final = known
        self._fate_of: Final = fate_of
        self._began_at: Final = at
        self._now = 0.0
        self._queue: Final[list[tuple[float, int, Callable[[], None]]]] = []
        self._numbers: Final = count()
        self._memory = Memory()
        self._customers = _CUSTOMER
        self._legs: Final[dict[str, Leg]] = {}
        self._called: Final[dict[str, str]] = {}
        self._dialled: Final[list[str]] = []
        self._untold: Final[list[str]] = []
        self._told: Final[list[Happening]] = []
        self._is_moved = self._is_ended = self._is_over = False

    def run(self) -> PlayedLegs:
        """Plays until nothing happens any more."""
        self._tell("the customer joins")
        self._at(NODE_DIALS, self._node_dials)
        self._look()
        while self._queue and not self._is_over:
            self._now, _, happen = heapq.heappop(self._queue)
            happen()
            self._look()
        return PlayedLegs(
            tuple(self._dialled), self._outcome(), self._is_ended, tuple(self._told), tuple(dict.fromkeys(self._untold))
        )

    def _outcome(self) -> LegsOutcome:
        if self._memory.is_answered:
            return LegsOutcome.ANSWERED
        if self._is_moved:
            return LegsOutcome.TRANSFERRED
        return LegsOutcome.DISCONNECTED if self._is_ended else LegsOutcome.KEPT

    def _at(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (seconds, next(self._numbers), happen))

    def _tell(self, text: str) -> None:
        self._told.append(Happening(round(self._now, 3), text))

    # -------------------------------------------------------------- what happens

    def _node_dials(self) -> None:
        legs = self._decision.service[LEGS]
        for leg in legs if isinstance(legs, list) else ():
            alias = str(leg["remote_alias"])
            if alias in self._known.trunks:
                self._dial(self._known.trunks[alias] or alias, "by the node, with the room")

    def _dial(self, called: str, why: str) -> None:
        self._tell(f"{shown(called)} is dialled, {why}")
        fate = self._fate_of(called, Counter(self._dialled)[called])
        self._dialled.append(called)
        if fate is None:
            self._untold.append(called)
        leg = Leg(f"leg-{next(self._numbers)}", LegState.RINGING, self._now)
        self._legs[leg.id] = leg
        self._called[leg.id] = called
        self._ring(leg.id, fate or Fails(Failure.SILENT))

    def _ring(self, leg_id: str, fate: Fate) -> None:
        match fate:
            case Answers(after):
                self._at(self._now + after, lambda: self._answer(leg_id, fate))
            case Fails(how):
                if how.ends_after is not None:
                    self._at(self._now + how.ends_after, lambda: self._hang_up(leg_id, f"is {how.text}"))
            case _:
                assert_never(fate)

    def _answer(self, leg_id: str, fate: Answers) -> None:
        leg = self._legs[leg_id]
        if not leg.is_live:
            return
        self._legs[leg_id] = replace(leg, state=LegState.CONNECTED, since=self._now, was_connected=True)
        self._tell(f"{shown(self._called[leg_id])} answers")
        if fate.talks is not None:
            self._at(self._now + fate.talks, lambda: self._hang_up(leg_id, "hangs up"))

    def _hang_up(self, leg_id: str, how: str) -> None:
        if self._legs[leg_id].is_live:
            self._tell(f"{shown(self._called[leg_id])} {how}")
            self._legs[leg_id] = replace(self._legs[leg_id], state=LegState.GONE)

    # -------------------------------------------------------------- what is done

    def _look(self) -> None:
        """Does what is due, until there is nothing to do at this moment."""
        while True:
            now = self._began_at + timedelta(seconds=self._now)
            entries = [self._is_open(entry.open, now) for entry in self._known.entries]
            is_empty = not self._customers and not any(leg.is_live for leg in self._legs.values())
            picture = Picture(self._is_ended or is_empty, self._customers, 0, tuple(self._legs.values()))
            planned = plan(self._known.assurance, entries, self._memory, picture, now)
            if planned.memory.is_exhausted and not self._memory.is_exhausted:
                self._tell("nobody could be reached: the customer stays in the room")
            self._memory = planned.memory
            match planned.step:
                case Over():
                    self._is_over = True
                    return
                case Wait(until):
                    if until is not None:
                        self._at((until - self._began_at).total_seconds(), lambda: None)
                    return
                case Dial() | Drop() | Move() | End():
                    self._memory = remember(planned.memory, planned.step, picture, now)
                    self._do(planned.step)
                case _:
                    assert_never(planned.step)

    def _do(self, step: Action) -> None:
        match step:
            case Dial(entry):
                # The node has always dialled the first.
                alias = str(self._decision.fallbacks[entry].get("remote_alias", ""))
                self._dial(self._known.entries[entry].trunk or alias, "because no agent was reached")
            case Drop(leg_id):
                seconds = f"{self._known.assurance.answer_within:g}s"
                self._hang_up(leg_id, f"was not connected within {seconds}, and is ended")
            case Move(_, alias):
                self._tell(f"nobody could be reached: the customer is transferred to {shown(alias)}")
                self._is_moved, self._customers = True, _NOBODY
            case End(reason):
                self._tell(f"the room is ended: {reason}")
                self._is_ended = True
            case _:
                assert_never(step)

    def _is_open(self, calendar: str, at: datetime) -> bool:
        return not calendar or self._ruleset.calendars[calendar].is_open(at)

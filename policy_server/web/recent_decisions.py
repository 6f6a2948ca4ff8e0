"""The last answers of this process, for whoever looks at them: in the order in which they went out, bounded in number and bytes.

An answer costs one append here. What was asked and decided is kept by reference as it is, and nothing of it is written in
words, or hidden, until somebody looks; whoever shows something of it hides what opens doors.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from heapq import merge
from itertools import count
from operator import attrgetter
from typing import Final, NamedTuple

import orjson

from policy_server.pexip.field_facts import SECRET_FIELDS
from policy_server.pexip.request_types import RequestType
from policy_server.policy.decisions import Trace, no_rows
from policy_server.policy.masking import Hiding, NameMask
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from policy_server.web.answered import Answered, Decided, Failed
from policy_server.web.callers import Client
from policy_server.web.decision_records import LOGGED_OF_CALLER, MADE, decision_record, further_fields, texts_told
from policy_server.wording.moments import to_the_millisecond

MOST: Final = 1000
"""Answers that are kept."""

BYTES_LIMIT: Final = 24 * 1024 * 1024
"""Bytes of memory that they may take, as far as that can be told: callers make questions long."""

WEIGHT: Final = 7500
"""Bytes that an answer takes beside its question and its JSON."""

MOST_REFUSED: Final = 200
"""Refused callers that are kept, apart: whoever tries a thousand passwords shall not push out the answers."""

REVISIONS: Final = 2
"""Rule sets that are kept alive, the one that runs and the one before: big ones take a hundred megabytes."""

RECORDS_BYTES: Final = 6 * 1024 * 1024
"""Bytes of records that are told at a time."""

GONE: Final = Trace(no_rows)
"""The trace of a decision whose rule set is let go of."""


class Kept(NamedTuple):
    """An answer as ``Answered`` has it, under its number; of its rules what tells and hides texts. Its decision has no trace
    any more where they ``are_gone``.
    """

    number: int
    revision: str
    mask: NameMask
    are_gone: bool
    type: RequestType
    about: Decided | Failed
    at: datetime
    decision_id: str
    seconds: float
    client: Client
    alias: str
    query: bytes
    body: bytes


class RefusedCaller(NamedTuple):
    """Somebody who was not let in: when, under which id of ours, at which door, from where, why."""

    number: int
    at: datetime
    decision_id: str
    door: str
    address: str
    reason: str


class RecentDecisions:
    """Keeps answers and refusals, each under a number that grows. ``process`` names this process among others.

    Add in the event loop; look from wherever.
    """

    def __init__(self, process: str, keyring: Keyring, *, most: int = MOST, bytes_limit: int = BYTES_LIMIT) -> None:
        self.process: Final = process
        self._keyring: Final = keyring
        self._most: Final = most
        self._bytes_limit: Final = bytes_limit
        self._numbers: Final = count(1)
        self._answers: deque[tuple[int, Answered]] = deque()
        self._without_rules: deque[Kept] = deque()
        """Those whose rules are gone, which are older than the others."""
        self._refused: Final[deque[RefusedCaller]] = deque(maxlen=MOST_REFUSED)
        self._bytes = 0
        self._alive: list[Ruleset] = []
        self._newest: Ruleset | None = None
        self.number = 0
        """The number of what was kept last; 0 for nothing."""

    def add(self, answered: Answered) -> None:
        """Keeps an answer."""
        ruleset = answered.ruleset
        if ruleset is not self._newest:
            self._meet(ruleset)
        self.number = number = next(self._numbers)
        self._answers.append((number, answered))
        self._bytes += WEIGHT + len(answered.body) + 3 * len(answered.query)
        if len(self._answers) > self._most or self._bytes > self._bytes_limit or self._without_rules:
            self._drop()

    def refused(self, at: datetime, door: str, address: str, reason: str) -> None:
        """Keeps a refusal. Its id is in no answer and no log."""
        self.number = number = next(self._numbers)
        self._refused.append(RefusedCaller(number, at, f"{self.process}-r{number:x}", door, address, reason))

    def since(self, number: int = 0) -> list[Kept | RefusedCaller]:
        """What was kept after a number, the oldest first."""
        # Copies, since answers are added meanwhile.
        answers = [_kept(each, answered) for each, answered in list(self._answers) if each > number]
        older, refused = list(self._without_rules), list(self._refused)
        both: Iterator[Kept | RefusedCaller] = merge(older, answers, refused, key=attrgetter("number"))
        # While rules are let go of some may be in both.
        return list({each.number: each for each in both if each.number > number}.values())

    def find(self, decision_id: str) -> Kept | RefusedCaller | None:
        """The answer, or refusal, with an id."""
        return next((kept for kept in self.since() if kept.decision_id == decision_id), None)

    def shown(self, kept: Kept, value: Mapping[str, object]) -> dict[str, object]:
        """Values of an answer, or of its question, without what opens doors."""
        return self.hiding(kept).fields(value)

    def text(self, kept: Kept, text: str) -> str:
        """A text of an answer, or of its question, without what opens doors."""
        return self.hiding(kept).text(text)

    def hiding(self, kept: Kept) -> Hiding:
        """What hides that in all that is told of an answer."""
        return kept.mask.hiding(self._keyring, _call_of(kept), SECRET_FIELDS)

    def records(self, asked: Mapping[RequestType, Iterable[str]]) -> list[dict[str, object]]:
        """Every decision as a line of the decision log for programs has it, with nobody masked, the newest first; read them with
        ``web.decision_records.read_record``.

        ``asked`` are the attributes of links that are told. Questions without a decision are left out.
        """
        found: list[dict[str, object]] = []
        size = 0
        for kept in reversed(self.since()):
            if isinstance(kept, Kept) and isinstance(kept.about, Decided):
                line = orjson.dumps(self._record(kept, kept.about, asked))
                size += len(line)
                if size > RECORDS_BYTES:
                    break
                found.append(orjson.loads(line))
        return found

    def _record(self, kept: Kept, about: Decided, asked: Mapping[RequestType, Iterable[str]]) -> dict[str, object]:
        request, settled, carried, links = about
        hiding = self.hiding(kept)
        return {
            "time": to_the_millisecond(kept.at),
            "decision_id": kept.decision_id,
            "ms": round(kept.seconds * 1000, 3),
            "event": MADE,
            **decision_record(request, settled, carried, kept.revision, hiding),
            **texts_told(LOGGED_OF_CALLER, request, hiding),
            **further_fields(request, settled, links, lambda: asked.get(request.type, ()), hiding),
        }

    def _meet(self, ruleset: Ruleset) -> None:
        """Takes rules for those that run, and lets go of those before the ones before."""
        self._newest = ruleset
        # A question may be answered by older rules than one before it.
        self._alive = [*(each for each in self._alive if each is not ruleset), ruleset]
        if len(self._alive) > REVISIONS:
            gone = self._alive.pop(0)
            of_gone = [_without_rules(_kept(*each)) for each in self._answers if each[1].ruleset is gone]
            # Two assignments, between which whoever looks from a thread finds some twice rather than none.
            self._without_rules = deque([*self._without_rules, *of_gone])
            self._answers = deque(each for each in self._answers if each[1].ruleset is not gone)

    def _drop(self) -> None:
        """Lets go of the oldest beyond the limits."""
        while len(self._answers) + len(self._without_rules) > self._most or self._bytes > self._bytes_limit:
            last = self._without_rules.popleft() if self._without_rules else self._answers.popleft()[1]
            self._bytes -= WEIGHT + len(last.body) + 3 * len(last.query)


def _kept(number: int, answered: Answered) -> Kept:
    ruleset = answered.ruleset
    return Kept(number, ruleset.revision, ruleset.mask, False, *answered[1:])


def _call_of(kept: Kept) -> str:
    return kept.about.settled.call if isinstance(kept.about, Decided) else ""


def _without_rules(kept: Kept) -> Kept:
    about = kept.about
    if isinstance(about, Decided):
        decision = replace(about.settled.decision, trace=GONE)
        about = about._replace(settled=about.settled._replace(decision=decision))
    return kept._replace(about=about, are_gone=True)

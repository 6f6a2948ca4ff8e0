"""The page Now: whether something is wrong, how many customers wait, and what the last hours were like."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from policy_server.conferences.figures import ANSWERED, SPAN, CallFigures, Over
from policy_server.conferences.verdict import Outcome, outcome_of, told_seconds
from policy_server.pexip.leg_ends import LegEnd
from policy_server.web.admin.concerns import concerns_of, headline
from policy_server.web.admin.door import ROOT, AdminDoor
from policy_server.web.admin.hits import OutcomeCounts
from policy_server.web.admin.siblings import Heard, Siblings
from policy_server.web.admin.strips import Strip, strip_of
from policy_server.web.health import Ready
from policy_server.web.nodes_seen import NodesSeen

NOW: Final = "now"
"""What processes ask each other for what this page shows of each."""

MOST_NODES: Final = 50
"""Nodes that are shown, those that asked last."""

MEAN_MINUTES: Final = 5
"""Whole minutes of which the decisions a minute are the mean."""

OLD_SECONDS: Final = 60.0
"""Seconds after which figures of calls are not of now any more."""

METRICS: Final[Mapping[str, str]] = {
    "waiting": "policy_calls",
    "longest-wait": "policy_calls_longest_wait_seconds",
    "talking": "policy_calls",
    "failed": "policy_calls_last_hour",
    "over": "policy_calls_last_hour",
    "uncounted": "policy_calls_uncounted",
    "decisions": "policy_answers_total",
    "answers": "policy_answers_total",
    "calls": "policy_calls_last_hour",
    "legs": "policy_calls_legs_last_hour",
    "nodes": "policy_node_asked_timestamp_seconds",
}
"""The metric that has each figure of the page too; those of what is well or not are ``concerns.Concern.metric``."""

ANSWER_SERIES: Final[Mapping[str, frozenset[str]]] = {
    "decided": frozenset({"serve", "redirect", "set", "locate", "allow", "list", "picture"}),
    "left to Pexip": frozenset({"continue"}),
    "rejected": frozenset({"reject"}),
    "gone wrong": frozenset({"fail", "misunderstood", "error"}),
}
"""How outcomes of answers are drawn."""

CALL_SERIES: Final[Mapping[str, frozenset[str]]] = {
    "answered": frozenset({Outcome.ANSWERED}),
    "left early": frozenset({Outcome.LEFT}),
    "failed": frozenset({Outcome.FAILED}),
}

LEG_SERIES: Final[Mapping[str, frozenset[str]]] = {
    "answered": frozenset({ANSWERED}),
    "ended before": frozenset({LegEnd.ENDED, LegEnd.UNKNOWN}),
    "failed": frozenset({LegEnd.BUSY, LegEnd.REJECTED, LegEnd.NO_ANSWER, LegEnd.UNREACHABLE}),
}

_KINDS: Final[Mapping[str, str]] = {
    "decided": "good",
    "answered": "good",
    "left to Pexip": "other",
    "ended before": "other",
    "left early": "other",
    "rejected": "mark",
    "gone wrong": "bad",
    "failed": "bad",
}
"""What a series is drawn as."""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node that asked: how long ago, in words, and how often since the start."""

    address: str
    location: str
    ago: str
    count: int


class NowPage:
    """The page. ``ready`` says what ``/readyz`` does."""

    def __init__(
        self,
        door: AdminDoor,
        siblings: Siblings,
        figures: CallFigures,
        outcomes: OutcomeCounts,
        nodes: NodesSeen,
        ready: Callable[[], Awaitable[Ready]],
        clock: Callable[[], datetime],
    ) -> None:
        self._door: Final = door
        self._siblings: Final = siblings
        self._figures: Final = figures
        self._ready: Final = ready
        self._clock: Final = clock
        siblings.answers(NOW, lambda _: {"outcomes": outcomes.told(clock()), "nodes": nodes.told()})

    def routes(self) -> list[Route]:
        """The routes, for the door."""
        return [Route(ROOT + "/now", self.now)]

    async def now(self, request: Request) -> Response:
        """How it is at this moment."""
        return await self._door.answer(request, self._page)

    async def _page(self) -> Response:
        heard, ready, now = await self._siblings.ask(NOW), await self._ready(), self._clock()
        # Taken here, since it is counted here.
        calls, over = figures_of(self._figures, now), list(self._figures.over(SPAN))
        return await self._door.page("now.html", "Now", lambda: now_page(calls, over, heard, ready, now))


def figures_of(figures: CallFigures, now: datetime) -> dict[str, Any]:
    """What is known of calls at this moment."""
    running = figures.running()
    over = Counter(outcome_of(over.code) for over in figures.over())
    failed = Counter(over.code.value for over in figures.over() if outcome_of(over.code) is Outcome.FAILED)
    counted_at = figures.counted_at
    ago = (now - counted_at).total_seconds() if counted_at is not None else 0.0
    return {
        "waiting": running[Outcome.WAITING],
        "longest_wait": told_seconds(figures.longest_wait()) if running[Outcome.WAITING] else "",
        "talking": running[Outcome.TALKING],
        "failed": over[Outcome.FAILED],
        "over": sum(over[outcome] for outcome in (Outcome.ANSWERED, Outcome.FAILED, Outcome.LEFT)),
        "failures": failed.most_common(),
        "uncounted": figures.uncounted,
        "counted": told_seconds(max(0.0, ago)) if counted_at is not None else "",
        "old": ago > OLD_SECONDS,
    }


def now_page(
    calls: Mapping[str, Any], over: Sequence[Over], heard: Heard, ready: Ready, now: datetime
) -> dict[str, Any]:
    """The values of the page."""
    concerns = concerns_of(ready, now)
    level, said = headline(concerns)
    answers = _added_up(process["outcomes"] for process in heard.answers)
    rows, more_nodes = _nodes((process["nodes"] for process in heard.answers), now)
    return {
        "at": now,
        "level": level,
        "headline": said,
        "concerns": concerns,
        "calls": calls,
        "decisions": _a_minute(answers, now),
        "strips": strips(answers, over, now),
        "nodes": rows,
        "more_nodes": more_nodes,
        "processes": len(heard.answers),
        "silent": heard.silent,
        "metrics": sorted({*METRICS.items(), *((concern.name, concern.metric) for concern in concerns)}),
    }


def strips(answers: Counter[tuple[str, int]], over: Iterable[Over], now: datetime) -> list[tuple[str, Strip]]:
    """The strips of the page, by the names of their figures."""
    calls: Counter[tuple[str, int]] = Counter()
    legs: Counter[tuple[str, int]] = Counter()
    for one in over:
        minute = int(one.at.timestamp() // 60)
        calls[outcome_of(one.code), minute] += 1
        legs.update((leg, minute) for leg in one.legs)
    drawn = (
        ("answers", "Answers to nodes", answers, ANSWER_SERIES),
        ("calls", "Calls that were over", calls, CALL_SERIES),
        ("legs", "Legs of these calls", legs, LEG_SERIES),
    )
    return [(name, strip_of(title, counts, series, _KINDS, now)) for name, title, counts, series in drawn]


def _added_up(processes: Iterable[Mapping[str, Iterable[Sequence[int]]]]) -> Counter[tuple[str, int]]:
    """Answers of all processes by outcome and minute."""
    found: Counter[tuple[str, int]] = Counter()
    for told in processes:
        for outcome, minutes in told.items():
            for minute, count in minutes:
                found[outcome, minute] += count
    return found


def _a_minute(answers: Counter[tuple[str, int]], now: datetime) -> str:
    """Decisions a minute, as the mean of the last whole ones."""
    this = int(now.timestamp() // 60)
    number = sum(count for (_, minute), count in answers.items() if this - MEAN_MINUTES <= minute < this)
    mean = number / MEAN_MINUTES
    return f"{mean:,.0f}" if mean >= 10 or mean == int(mean) else f"{mean:.1f}"


def _nodes(processes: Iterable[Mapping[str, Sequence[Any]]], now: datetime) -> tuple[list[NodeRow], int]:
    """The nodes that asked any process, those that did last first, and how many more there are."""
    found: dict[str, tuple[float, str, int]] = {}
    for told in processes:
        for address, (location, last, count) in told.items():
            known_last, known_location, known_count = found.get(address, (0.0, "", 0))
            latest = location if last > known_last or not known_location else known_location
            found[address] = max(last, known_last), latest, known_count + count
    ordered = sorted(found.items(), key=lambda each: (-each[1][0], each[0]))
    rows = [
        NodeRow(address, location, told_seconds(max(0.0, now.timestamp() - last)), count)
        for address, (last, location, count) in ordered[:MOST_NODES]
    ]
    return rows, max(0, len(ordered) - MOST_NODES)

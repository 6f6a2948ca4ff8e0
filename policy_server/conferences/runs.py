"""When a conference ran: its lives, from the first node that starts one to the last that ends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from policy_server.pexip.events import Event

STARTED: Final = "conference_started"
UPDATED: Final = "conference_updated"
ENDED: Final = "conference_ended"


@dataclass(slots=True)
class Run:
    """One life of a conference. Times are epoch seconds by the clocks of the nodes."""

    started_at: float | None = None
    """The smallest start_time of its nodes; ``None`` when no message told it."""
    ended_at: float | None = None
    closed_at: float = 0.0
    """When the last word of its end was sent; a little after ``ended_at``."""
    is_locked: bool = False


class Runs:
    """The runs of one service, from its messages in order.

    A run ends when every node that started it has ended it; an update stands for a start that was lost. After that
    a conference_started, or any message that tells of a start after the end, begins the next run.
    """

    __slots__ = ("_ended", "_ends", "_last_end", "_running", "runs")

    def __init__(self) -> None:
        self.runs: Final[list[Run]] = []
        self._running: Final[set[str]] = set()
        self._ends: Final[dict[str, float]] = {}
        self._ended: Final[set[tuple[str, float]]] = set()
        self._last_end = 0.0

    @property
    def closes(self) -> tuple[tuple[float, float], ...]:
        """When the runs were closed and ended, in order."""
        return tuple((run.closed_at, run.ended_at) for run in self.runs if run.ended_at is not None)

    def tell(self, event: Event) -> None:
        """Takes the next message, which is one about the conference as a whole."""
        start = event.moment("start_time") or 0.0
        if event.name == ENDED:
            self._running.discard(event.node)
            self._ended.add((event.node, start))
            self._ends[event.node] = event.moment("end_time") or event.time
            self._last_end = max(self._last_end, self._ends[event.node])
        elif start and (event.node, start) in self._ended:
            return  # Its clock was set back meanwhile: what has this start_time is over.
        elif event.name == STARTED or event.node not in self._ends or start > self._ends[event.node]:
            self._running.add(event.node)
        else:
            return  # A node has something to say about a life that it ended.
        if not self.runs or _is_after(self.runs[-1], event, start):
            self.runs.append(Run())
        _tell_run(self.runs, event, start)
        run = self.runs[-1]
        if self._running:
            run.ended_at = None
        else:
            run.ended_at, run.closed_at = self._last_end, event.time


def _is_after(run: Run, event: Event, start: float) -> bool:
    return run.ended_at is not None and (event.name == STARTED or start > run.ended_at)


def _tell_run(runs: Sequence[Run], event: Event, start: float) -> None:
    run = runs[-1]
    previous_end = (runs[-2].ended_at or 0.0) if len(runs) > 1 else 0.0
    began = start if start > previous_end else event.time if event.name == STARTED else None
    if began is not None and (run.started_at is None or began < run.started_at):
        run.started_at = began
    locked = event.flag("is_locked")
    if locked is not None:
        run.is_locked = locked

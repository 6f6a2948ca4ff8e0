"""Legs of calls that are over, by trunk, for operators."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from prometheus_client import Counter, Histogram

from policy_server.conferences.fold import Chronicle
from policy_server.conferences.parties import party
from policy_server.pexip.leg_ends import LegEnd
from policy_server.policy.assurance import Assured
from policy_server.web.metrics import Metrics

BUCKETS: Final = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 16.0, 20.0, 25.0, 30.0, 45.0, 60.0)
"""Seconds until a leg is answered; by default it may take 25."""

NO_TRUNK: Final = "none"
"""What an entry without a trunk is called."""

ANSWERED: Final = "answered"


_FAILURES: Final = frozenset({LegEnd.BUSY, LegEnd.REJECTED, LegEnd.NO_ANSWER, LegEnd.UNREACHABLE})
"""Ends of legs that were not answered for which the far end or the way there is to blame."""


class LastLegs(NamedTuple):
    """When the last leg of a trunk was answered, and when the last one rang that failed, in seconds since 1970, 0 for never;
    and how that failed.
    """

    answered: float = 0.0
    failed: float = 0.0
    failure: str = ""

    def later(self, other: "LastLegs") -> "LastLegs":
        """The later of each."""
        failed = max(self, other, key=lambda each: each.failed)
        return LastLegs(max(self.answered, other.answered), failed.failed, failed.failure)


class LegCounts:
    """Counts the legs of each call that was watched, when it is over. Labels are names of trunks, and words of ours."""

    def __init__(self, metrics: Metrics) -> None:
        self._legs: Final = Counter(
            "policy_legs", "Legs of calls that are over", ["trunk", "outcome"], registry=metrics.registry
        )
        self._seconds: Final = Histogram(
            "policy_leg_answer_seconds",
            "Time until a leg was answered",
            ["trunk"],
            buckets=BUCKETS,
            registry=metrics.registry,
        )
        self._last: Final[dict[str, LastLegs]] = {}

    @property
    def last(self) -> Mapping[str, LastLegs]:
        """The last legs of calls that are over, by trunk, as they are now."""
        return dict(self._last)

    def over(self, known: Assured, told: Chronicle) -> None:
        """Counts the legs of a call."""
        trunks = {party(alias): name or NO_TRUNK for alias, name in known.trunks.items()}
        for attendance, leg in told.trunk_legs:
            trunk = trunks.get(party(attendance.text("destination_alias")))
            if trunk is None:
                continue
            answered_at, rung_at = leg.connected_at, attendance.stints[0].seen_at
            if answered_at is None:
                end = leg.leg_end or LegEnd.UNKNOWN
                self.count(trunk, end.value)
                if end in _FAILURES:
                    self._note(trunk, LastLegs(failed=rung_at, failure=end.value))
            else:
                self.count(trunk, ANSWERED, max(0.0, answered_at - rung_at))
                self._note(trunk, LastLegs(answered=answered_at))

    def _note(self, trunk: str, last: LastLegs) -> None:
        self._last[trunk] = self._last.get(trunk, LastLegs()).later(last)

    def count(self, trunk: str, outcome: str, seconds: float | None = None) -> None:
        """Counts a leg; ``seconds`` is how long it took until it was answered."""
        self._legs.labels(trunk, outcome).inc()
        if seconds is not None:
            self._seconds.labels(trunk).observe(seconds)

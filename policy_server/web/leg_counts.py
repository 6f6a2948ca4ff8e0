"""Legs of calls that are over, by trunk, for operators."""

from typing import Final

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

    def over(self, known: Assured, told: Chronicle) -> None:
        """Counts the legs of a call."""
        trunks = {party(alias): name or NO_TRUNK for alias, name in known.trunks.items()}
        for attendance, leg in told.trunk_legs:
            trunk = trunks.get(party(attendance.text("destination_alias")))
            if trunk is None:
                continue
            answered_at, rung_at = leg.connected_at, attendance.stints[0].seen_at
            if answered_at is None:
                self.count(trunk, (leg.leg_end or LegEnd.UNKNOWN).value)
            else:
                self.count(trunk, ANSWERED, max(0.0, answered_at - rung_at))

    def count(self, trunk: str, outcome: str, seconds: float | None = None) -> None:
        """Counts a leg; ``seconds`` is how long it took until it was answered."""
        self._legs.labels(trunk, outcome).inc()
        if seconds is not None:
            self._seconds.labels(trunk).observe(seconds)

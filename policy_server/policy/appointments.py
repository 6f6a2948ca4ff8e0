"""Appointments: when the door of a link is open that was made for a time (README.md: Links)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from policy_server.policy.names import LONGEST_SPAN
from policy_server.wording.durations import DAY, Durations

WINDOW_LIMIT: Final = LONGEST_SPAN // 1440 * DAY
"""Seconds that a door may be open at the most: whole days of what a call's names can hold."""
BEFORE: Final = Durations(0, WINDOW_LIMIT, "15m or 1h")
"""How long before its time the door of an appointment may open."""
AFTER: Final = Durations(60, WINDOW_LIMIT, "30m, 1h or 8h")
"""How long after its time it may be shut."""
FURTHEST: Final = 366 * DAY
"""Seconds that an appointment may be ahead."""


class Span(NamedTuple):
    """When a link opens, ``None`` for one that is open from the start, and when it expires."""

    opens_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """When the door is open: seconds before and after the time of an appointment.

    A call's names hold minutes: the door opens at the beginning of the minute, or where the window is longer than 34 hours
    of the quarter of an hour before its end, and shuts when a minute has passed (``names.Keyring.sign``).
    """

    before: int
    after: int

    def around(self, starts_at: datetime) -> Span:
        """When it is open for an appointment. Raises OverflowError for times that no calendar has."""
        return Span(starts_at - timedelta(seconds=self.before), starts_at + timedelta(seconds=self.after))

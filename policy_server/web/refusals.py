"""Who was refused at which door: logged, counted, and slowed down if credentials were tried.

A right answer is never slowed, wherever it comes from: nodes may share an address with whoever guesses.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from time import monotonic
from typing import Final

from starlette.types import Scope

from policy_server.genesys.memory import Expiring
from policy_server.pexip.field_facts import MASK
from policy_server.web.callers import caller_address, caller_network
from policy_server.web.decision_log import DecisionLog
from policy_server.web.decision_records import refusal_record
from policy_server.web.problem import ProblemResponse

LINES_A_MINUTE: Final = 10
"""Lines that a door may write within a minute; whoever tries a thousand passwords shall not fill the disk."""

MINUTE: Final = 60.0

FREE_GUESSES: Final = 10
"""Refusals of one address within a minute that are answered at once: people mistype, and tokens expire."""

FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 2.0
"""Seconds that the refusals after those wait; each twice as long as the one before. A node gives up after five."""

WAITING_OF_ADDRESS: Final = 8
WAITING_LIMIT: Final = 200
"""Refusals that wait at a time, of one address and in all; what comes beyond is told to come back later, at once."""

ADDRESSES_LIMIT: Final = 10_000
"""Addresses whose refusals are remembered."""

_NOW: Final = partial(datetime.now, UTC)

log = logging.getLogger(__name__)


class Door(Enum):
    """Where callers have to say who they are; the value is what logs call it, the name in lower case what metrics do."""

    POLICY = "the policy paths"
    EVENTS = "the event sink"
    API = "the API"
    AGENTS = "the agents' lookup"
    OPERATORS = "the operators' paths"
    ADMIN = "the admin pages"
    LISTENER = "the listener"
    NODES_LISTENER = "the nodes' listener"
    PUBLIC_LISTENER = "the public listener"


class Guesses:
    """How often each address was refused lately at any door, and which refusals wait."""

    def __init__(
        self, clock: Callable[[], float] = monotonic, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._clock: Final = clock
        self._pause: Final = pause
        self._refused: Final[Expiring[str, tuple[int, float]]] = Expiring(ADDRESSES_LIMIT)
        self._waiting: Final[Counter[str]] = Counter()

    async def hold_up(self, scope: Scope) -> bool:
        """Waits as long as a refusal of this caller has to; false when too many wait already, and then without waiting."""
        caller, now = caller_network(scope), self._clock()
        count, until = self._refused.get(caller, now) or (0, now + MINUTE)
        self._refused.put(caller, (count + 1, until), until)
        if count < FREE_GUESSES:
            return True
        if self._waiting[caller] >= WAITING_OF_ADDRESS or self._waiting.total() >= WAITING_LIMIT:
            # Counter keeps no entry for what was only read.
            return False
        self._waiting[caller] += 1
        try:
            # The exponent has an end, or the number has none.
            await self._pause(min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(count - FREE_GUESSES, 10)))
        finally:
            self._waiting[caller] -= 1
            if not self._waiting[caller]:
                del self._waiting[caller]
        return True


class Refusals:
    """What becomes of refusals at one door. ``count`` is told of each, for a metric, and the log of ``decisions`` has
    each. Where that shows no people, only the audit has the address. ``keep`` keeps them for the admin's pages: when, at which
    door, from where, why.

    Credentials are never logged, nor the user name: it may be a password in the wrong field.
    """

    def __init__(
        self,
        door: Door,
        guesses: Guesses | None = None,
        count: Callable[[Door], None] = lambda _: None,
        *,
        audit: Callable[..., None] = lambda *_, **__: None,
        decisions: DecisionLog | None = None,
        keep: Callable[[datetime, str, str, str], None] | None = None,
        clock: Callable[[], datetime] = _NOW,
        lines: int = LINES_A_MINUTE,
        minute: float = MINUTE,
    ) -> None:
        self._door: Final = door
        self._guesses: Final = guesses or Guesses()
        self._count: Final = count
        self._audit: Final = audit
        self._decisions: Final = decisions
        self._keep: Final = keep
        self._clock: Final = clock
        self._lines: Final = lines
        self._minute: Final = minute
        self._written = 0
        self._left_out = 0
        self._end: asyncio.TimerHandle | None = None

    async def refuse(self, scope: Scope, reason: str, *, is_guess: bool) -> ProblemResponse | None:
        """Notes one refusal, with a reason in our words, and lets it wait if credentials were tried.

        Returns what has to be answered in place of the refusal, or ``None``.
        """
        self.note(scope, reason, is_guess=is_guess)
        if is_guess and not await self._guesses.hold_up(scope):
            return too_many_guesses()
        return None

    def note(self, scope: Scope, reason: str, *, is_guess: bool = True) -> None:
        """Counts one refusal, and logs it. Call it in the event loop."""
        self._count(self._door)
        address = caller_address(scope)
        # A browser asks an admin for the password by a first request without one.
        if self._keep is not None and (is_guess or self._door is not Door.ADMIN):
            self._keep(self._clock(), self._door.value, address, reason)
        if self._decisions is not None:
            address = address if self._decisions.shows_people else MASK
            self._decisions.put_record(refusal_record(self._clock(), self._door.name.lower(), address, reason))
        if self._end is None:
            self._end = asyncio.get_running_loop().call_later(self._minute, self._end_minute)
        if self._written >= self._lines:
            self._left_out += 1
            return
        self._written += 1
        self._audit("access.refused", door=self._door.name.lower(), address=caller_address(scope), reason=reason)
        log.warning("access.refused: %s at %s: %s", address, self._door.value, reason)

    def _end_minute(self) -> None:
        if self._left_out:
            more = f"{self._left_out} more within a minute"
            self._audit("access.refused", door=self._door.name.lower(), reason=more)
            log.warning("access.refused: %d more within a minute at %s", self._left_out, self._door.value)
        self._written = self._left_out = 0
        self._end = None


def too_many_guesses() -> ProblemResponse:
    """The answer to wrong credentials while others from the same address wait for theirs."""
    detail = "wrong credentials come from this address again and again; good ones are taken at any time"
    # A new connection for each guess is one more thing that guessing costs.
    headers = {"retry-after": str(round(LONGEST_WAIT)), "cache-control": "no-store", "connection": "close"}
    return ProblemResponse(429, "too-many-refusals", "Too many wrong credentials", detail, headers)

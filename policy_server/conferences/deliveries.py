"""Delivers what other systems are told: again for a day when they do not take it, and then it is a dead letter."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, assert_never

from policy_server.conferences.agenda import Done, Later, Remember, Result
from policy_server.conferences.due import DueAction
from policy_server.conferences.reader import BEGINNING
from policy_server.conferences.shapes import stamp
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.telling import Parcel
from policy_server.conferences.timeline import Note, webhook_dead
from policy_server.outbound.webhooks import AT_ONCE, TIMEOUT, Refused, Taken

SENT: Final = "sent"
DEAD: Final = "dead"
"""How a delivery ended."""

LASTS: Final = timedelta(days=1)
"""How long it is tried."""

FIRST_PAUSE: Final = timedelta(seconds=5)
"""Before the second try; each further pause is three times as long."""

LONGEST_PAUSE: Final = timedelta(hours=1)

JITTER: Final = 0.25
"""The part by which a pause is longer or shorter, so that what failed together does not come again together."""

log = logging.getLogger(__name__)


class Post(Protocol):
    """How a message gets to its receiver."""

    async def send(self, message: str, body: str, at: datetime) -> Taken | Refused:
        """Sends it once."""


def pause_after(sends: int, chance: float) -> timedelta:
    """How long to wait after so many tries; ``chance`` is from 0 to 1."""
    grown = LONGEST_PAUSE if sends > 10 else min(FIRST_PAUSE * int(3 ** (sends - 1)), LONGEST_PAUSE)
    return grown * (1 + JITTER * (2 * chance - 1))


@dataclass(slots=True)
class Counts:
    """What became of the tries of this process, and how it is with the receiver now: ``failing_since`` is ``None`` when the
    latest was good, and ``error`` what came of the latest that was not.
    """

    sent: int = 0
    failed: int = 0
    dead: int = 0
    failing_since: datetime | None = None
    error: str = ""


class Deliveries:
    """Carries out the deliveries to one receiver: a handler of the agenda. ``note`` puts something on the timeline of a call or
    room.
    """

    seconds: Final = TIMEOUT + 5.0
    at_once: Final = AT_ONCE

    def __init__(
        self,
        receiver: str,
        post: Post,
        clock: Callable[[], datetime],
        note: Callable[[str, Note], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.receiver: Final = receiver
        self.counts: Final = Counts()
        self._post: Final = post
        self._clock: Final = clock
        self._note: Final = note
        self._chance: Final = chance

    async def carry_out(self, action: DueAction, remember: Remember) -> Result:
        """Sends one message."""
        parcel = Parcel(**action.data)  # type: ignore[arg-type]  # As ``plain`` made it.
        reply = await self._post.send(parcel.message, parcel.body, self._clock())
        now, counts = self._clock(), self.counts
        match reply:
            case Taken():
                counts.sent += 1
                if counts.failing_since is not None:
                    counts.failing_since = None
                    log.info("webhook.back: %s takes messages again", self.receiver)
                # What it said is not kept longer than it is needed.
                return Done(SENT, replace(parcel, body="", sends=parcel.sends + 1, error="").plain())
            case Refused():
                counts.failed += 1
                counts.error = reply.reason
                if counts.failing_since is None:
                    counts.failing_since = now
                    log.warning(
                        "webhook.refused: %s did not take a message, which is sent again: %s",
                        self.receiver,
                        reply.reason,
                    )
                return self._again(action, replace(parcel, sends=parcel.sends + 1, error=reply.reason), reply, now)
            case _:
                assert_never(reply)

    def _again(self, action: DueAction, parcel: Parcel, refused: Refused, now: datetime) -> Result:
        pause = max(pause_after(parcel.sends, self._chance()), timedelta(seconds=refused.pause or 0))
        if not refused.is_gone and now + pause <= datetime.fromisoformat(parcel.since) + LASTS:
            return Later(now + pause, parcel.plain())
        self.counts.dead += 1
        log.warning(
            "webhook.dead: %s did not take %s of conference %s, %d times: %s",
            self.receiver,
            parcel.event,
            action.lane.rpartition(":")[2],
            parcel.sends,
            refused.reason,
        )
        self._note(action.key, webhook_dead(self.receiver, parcel.event, parcel.fact, parcel.sends, refused.reason))
        return Done(DEAD, parcel.plain())


# ------------------------------------------------------------------ by hand


async def dead_letters(store: ConferenceStore, kind: str) -> tuple[DueAction, ...]:
    """Up to 1000 dead letters of a receiver, the oldest first."""
    return await store.done_due(kind, DEAD, BEGINNING)


async def send_again(store: ConferenceStore, letter: DueAction, now: datetime) -> bool:
    """Has a dead letter be delivered again, for a day; false if somebody was faster."""
    parcel = replace(Parcel(**letter.data), sends=0, since=stamp(now, "seconds"))  # type: ignore[arg-type]
    return await store.reopen_due(letter.id, now, parcel.plain())

"""Systems that are told of the calls of the simulated day: whether each got what it is owed, in order and as it came to be."""

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from random import Random
from typing import Any, Final
from unittest.mock import patch

from standardwebhooks import Webhook, WebhookVerificationError

from policy_server.conferences.webhook_messages import Event, WebhookCall, WebhookMessage
from policy_server.outbound.exchange import Exchange, NoReply, Reply
from policy_server.outbound.receivers import Receiver
from policy_server.outbound.webhooks import TIMEOUT, Sender
from tests.conferences.event_histories import BEGIN

ORDER: Final = [event.value for event in Event]

CUT_OFF: Final = NoReply("connection", "ServerDisconnectedError")
AWAY: Final = NoReply("connection", "cannot connect: Connection refused", is_unsent=True)
TOO_LATE: Final = NoReply("timeout", f"no whole answer within {TIMEOUT:g} s")


@dataclass(frozen=True, slots=True)
class Got:
    """A message as it first came: when, in seconds of the day, what it was, and by how much later than it happened."""

    at: float
    event: str
    late: float
    told: WebhookCall
    digest: bytes


@dataclass
class System:
    """A receiver. ``away`` is from when to when nobody is there, and ``trouble`` the part of requests with which something
    goes wrong: 500, 503, an answer that is slow, too slow, or cut off.
    """

    receiver: Receiver
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    chance: Random
    away: tuple[float, float] = (0.0, 0.0)
    trouble: float = 0.0
    first: dict[str, Got] = field(default_factory=dict)
    """The messages by their ids."""
    came: dict[str, list[str]] = field(default_factory=dict)
    """The events of each conference, in the order in which they came, copies too."""
    tries: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name."""
        return self.receiver.name

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Reply | NoReply:
        """What it says to a request, and when."""
        self.tries += 1
        if self.away[0] <= self.clock() < self.away[1]:
            return AWAY
        luck = self.chance.random() / self.trouble if self.trouble else 1.0
        if luck < 0.3:
            return Reply(500, {}, b"")
        if luck < 0.4:
            return Reply(503, {"retry-after": "30"}, b"")
        if not self._take(headers, body):
            return Reply(401, {}, b"")
        if luck < 0.6:
            return CUT_OFF
        if luck < 0.9:
            await self.sleep(self.chance.uniform(1, TIMEOUT - 1))
        elif luck < 1.0:
            await self.sleep(TIMEOUT)
            return TOO_LATE
        return Reply(204, {}, b"")

    def _take(self, headers: Mapping[str, str], body: bytes) -> bool:
        message = headers.get("webhook-id", "")
        try:
            said: WebhookMessage = Webhook(self.receiver.keys[0]).verify(body, dict(headers))
        except WebhookVerificationError as error:
            self.wrong.append(f"{message}: {error}")
            return False
        now, told = self.clock(), said["data"]
        late = BEGIN + now - datetime.fromisoformat(said["timestamp"]).timestamp()
        got = Got(now, said["type"], late, told, hashlib.sha256(body).digest())
        if self.first.setdefault(message, got).digest != got.digest:
            self.wrong.append(f"{message}: a copy says something else")
        self.came.setdefault(told["conference"], []).append(said["type"])
        return True

    @property
    def copies(self) -> int:
        """How many messages came more than once."""
        return sum(count > 1 for events in self.came.values() for count in Counter(events).values())

    def faults(self, owed: Mapping[str, Sequence[str]], verdicts: Mapping[str, Any]) -> list[str]:
        """What it did not get, got in another order, or was told wrong: ``owed`` are the events of each conference in order,
        ``verdicts`` what became of it as it is known at last.
        """
        faults = list(self.wrong)
        for conference, events in owed.items():
            came = self.came.get(conference, [])
            if came != sorted(came, key=ORDER.index):
                faults.append(f"{conference}: out of order: {came}")
            if (each := sorted(set(came), key=ORDER.index)) != list(events):
                faults.append(f"{conference}: {each} instead of {list(events)}")
            faults += self._contradictions(conference, verdicts[conference])
        faults += [f"{conference}: nobody owes it" for conference in self.came.keys() - owed.keys()]
        return faults

    def _contradictions(self, conference: str, verdict: Mapping[str, Any]) -> Iterator[str]:
        found = {
            got.event: got.told for name in Event if (got := self.first.get(f"msg_{conference}_{name.name.lower()}"))
        }
        ended = found.get(Event.ENDED)
        if ended is not None and ended["verdict"] != verdict:
            yield f"{conference}: it ended with {ended['verdict']}, and at last it is {verdict}"
        for event, told in found.items():
            if told["verdict"]["attempts"] > verdict["attempts"]:
                yield f"{conference}: {event} counts more legs than there were"
            for name in ("joined_at", "answered_at") if ended is not None else ():
                if told[name] not in (None, ended[name]):  # type: ignore[index]
                    yield f"{conference}: {event} has another {name} than its end"
        if Event.ANSWERED in found and found[Event.ANSWERED]["answered_at"] is None:
            yield f"{conference}: answered at no time"

    def figures(self, owed: int) -> str:
        """What came of it, in a line."""
        late = max((got.late for got in self.first.values()), default=0.0)
        return (
            f"{self.name}: {owed} owed, {len(self.first)} delivered, {self.copies} more than once, in {self.tries} tries; "
            f"the latest {late:.0f} s after it happened"
        )


class Wire(Sender):
    """The way from a replica to a system: the real sender, and between both what ``strike`` says."""

    def __init__(self, system: System, strike: Callable[[str], None]) -> None:
        super().__init__(system.receiver)
        self._exchange = _Simulated(system, strike)  # type: ignore[misc]


class _Simulated(Exchange):
    def __init__(self, system: System, strike: Callable[[str], None]) -> None:
        super().__init__(system.receiver.url, TIMEOUT)
        self._system: Final = system
        self._strike: Final = strike

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None, *, as_written: bool = False
    ) -> Reply | NoReply:
        self._strike("as it tells")
        answer = await self._system.answer(headers, body or b"")
        self._strike("when it has told")
        return answer


@contextmanager
def at_times_of(clock: Callable[[], datetime]) -> Iterator[None]:
    """Has the library that verifies signatures take another time for now: it refuses those that are minutes old."""

    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return clock().astimezone(tz)

    with patch("standardwebhooks.webhooks.datetime", Now):
        yield

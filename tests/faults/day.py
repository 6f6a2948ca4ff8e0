"""A simulated day of calls of which some fail, on two replicas of which one is killed every ten minutes: ``make day``.

``python -m tests.faults.day [--calls 20000] [--seed 1]``. The store, the agenda, the watch over legs, and what tells others and
delivers it are the real ones, on PostgreSQL; the node, its trunks and the Management Node are those of
``tests.conferences.watched_world``, those who are told those of ``tests.faults.receivers``, and the time is theirs. Exit status
1 when a customer was stranded, a trunk was rung while another rang or talked, a room did not end, or somebody was not told of a
call what became of it, in order.
"""

import argparse
import asyncio
import heapq
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from policy_server.conferences.assuring import CHANGES, KIND
from policy_server.conferences.batches import Wakes
from policy_server.conferences.deliveries import DEAD
from policy_server.conferences.life import life_of
from policy_server.conferences.reader import BEGINNING
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.telling import KIND as TELLING
from policy_server.conferences.telling import WAKES, delivery_kind
from policy_server.conferences.verdict import Verdict
from policy_server.conferences.webhook_messages import Event as Kind
from policy_server.outbound.receivers import Receiver
from policy_server.pexip.events import Event
from tests.conferences.event_histories import BEGIN
from tests.conferences.postgres import running_postgres
from tests.conferences.samples import conference
from tests.conferences.test_assurance import longest
from tests.conferences.told_world import RULES
from tests.conferences.watched_world import BUSY, SILENT, Trunk, World, answers
from tests.faults.processes import IDS, STEPS, Replica
from tests.faults.receivers import System, at_times_of
from tests.outbound.receivers import KEY, OTHER_KEY
from tests.rule_sets import KEYRING

OPEN: Final = (7 * 3600, 21 * 3600)
"""When calls come, in seconds of the day."""
AFTERWARDS: Final = 1800
"""Seconds by which the last call is over."""
KILLED_EVERY: Final = 600
FAILING: Final = 0.05
HOPELESS: Final = 0.1
"""The part of these for which no trunk answers."""
AWAY: Final = 3600.0
"""Seconds for which a system that is told is away."""
TROUBLE: Final = 0.15
"""The part of what it is sent with which something goes wrong at other times."""
TOGETHER: Final = 0.1
"""The part of seconds in which both replicas look."""
PATIENCE: Final = 60.0
"""Seconds that the database may take for an answer: how busy this machine is is not what is tried."""
RETRIES: Final = 86_400
"""Seconds after the day in which what was not taken is sent again."""
STRANDED: Final = 90.0
"""Seconds that a customer stays at least: an agent has to be there by then."""

FIRST_FAILS: Final = (
    BUSY,
    SILENT,
    Trunk(0.2, "Unexpected Response: 503"),
    Trunk(3.0, "404 Not Found"),
    answers(25.5),
    answers(40),
)


class Call(World):
    """A call of the day: what its node tells goes to the day, and what is due is on the real agenda."""

    def __init__(self, day: "Day", number: int, starts: float, trunks: Sequence[Trunk], stays: float) -> None:
        super().__init__(trunks, customer_leaves=stays, seed=number)
        self.day: Final = day
        self.starts: Final = starts
        self.fails: Final = trunks[0] in FIRST_FAILS
        self.is_hopeless: Final = all(trunk.answers_after is None for trunk in trunks)
        self._numbers = itertools.count(number * IDS)  # type: ignore[misc]
        begin = self._time(starts)
        self.held = conference(f"call-{number:06}", held_at=begin, expires_at=begin + timedelta(hours=12))
        legs = [{**leg, "local_alias": self.held.name} for leg in self.action.data["fallbacks"]]  # type: ignore[attr-defined]
        data = {**self.action.data, "fallbacks": legs, "timeline": self.held.name}
        self.action = replace(
            self.action,
            id=f"{KIND}:{self.held.id}",
            key=self.held.name,
            due_at=begin + timedelta(seconds=10),
            data=data,
        )
        self._queue[:] = [(at + starts, place, happen) for at, place, happen in self._queue if happen != self._look]
        heapq.heapify(self._queue)

    @property
    def next_at(self) -> float | None:
        """When something happens next."""
        return self._queue[0][0] if self._queue else None

    def _arrive(self, event: Event) -> None:
        self.day.told.append(replace(event, arrived_at=self._time(self.now)))

    def is_reached(self) -> bool:
        """Whether the customer and the contact centre were there together."""
        return any(moment.customers and moment.connected for moment in self.history)

    @property
    def owed(self) -> list[str]:
        """What others have to be told of it."""
        became = Kind.ANSWERED if self.is_reached() else Kind.FAILED
        return [event.value for event in (Kind.STARTED, became, Kind.ENDED)]


class Day:
    """All calls, those who are told of them, and the time. ``away`` is from when to when one of these is not there."""

    def __init__(
        self,
        calls: int,
        seed: int,
        hours: tuple[int, int] = OPEN,
        failing: float = FAILING,
        away: float = AWAY,
        killed_every: int = KILLED_EVERY,
    ) -> None:
        chance = random.Random(seed)
        self._hours: Final = hours
        self._killed_every: Final = killed_every
        self.now = 0.0
        self.told: Final[list[Event]] = []
        self.killed: Final[Counter[str]] = Counter()
        self.any_call: Final = World([answers()])
        self.calls: Final[dict[str, Call]] = {}
        for number in range(calls):
            trunks = [answers(chance.uniform(1, 15)) for _ in range(3)]
            if chance.random() < failing:
                trunks[0] = chance.choice(FIRST_FAILS)
                if chance.random() < 0.2:
                    trunks[1] = chance.choice([BUSY, Trunk(0.2, "Unexpected Response: 503")])
                if chance.random() < HOPELESS:
                    trunks = [BUSY, Trunk(3.0, "404 Not Found"), Trunk(0.2, "Unexpected Response: 503")]
            call = Call(self, number, chance.uniform(*hours), trunks, chance.uniform(STRANDED, 400))
            self.calls[call.held.name] = call
        self._queue: Final = [(call.starts, name) for name, call in self.calls.items()]
        heapq.heapify(self._queue)
        self.chance: Final = chance
        gone_at = chance.uniform(hours[0], hours[1] - away)
        self.systems: Final = [
            self._system("bi", OTHER_KEY, (0.0, 0.0), 0.0),
            self._system("crm", KEY, (gone_at, gone_at + away), TROUBLE),
        ]
        self.verdicts: Final[dict[str, Verdict]] = {}
        self.left: Final[dict[str, int]] = {}
        self.asleep: Final[set[asyncio.Task[None]]] = set()
        self.nodding: Final = asyncio.Event()
        self._sleepers: Final[list[tuple[float, asyncio.Future[None]]]] = []

    def _system(self, name: str, key: bytes, away: tuple[float, float], trouble: float) -> System:
        receiver = Receiver(name, f"http://{name}.localhost/calls", (key,))
        return System(receiver, lambda: self.now, self.sleep, self.chance, away, trouble)

    def clock(self) -> datetime:
        """The time."""
        return datetime.fromtimestamp(BEGIN + self.now, UTC)

    def at_this_moment(self, room: str) -> Call:
        """A call, which will be looked at again as soon as something happens there."""
        call = self.calls[room]
        call.now = self.now
        heapq.heappush(self._queue, (self.now, room))
        return call

    async def begin(self, store: ConferenceStore) -> None:
        """Lets happen what happens until now, and tells it."""
        new: list[Call] = []
        while self._queue and self._queue[0][0] <= self.now:
            _, room = heapq.heappop(self._queue)
            call = self.calls[room]
            if not call.history:
                new.append(call)
            call.run(self.now)
            if (at := call.next_at) is not None:
                heapq.heappush(self._queue, (at, room))
        if new:
            await store.hold_all([call.held for call in new])
            await store.schedule([call.action for call in new])
        if self.told:
            events, self.told[:] = list(self.told), []
            await store.add_events(events)

    async def sleep(self, seconds: float) -> None:
        """Lets the task that calls it wait, in the time of the day."""
        task, awake = asyncio.current_task(), asyncio.get_running_loop().create_future()
        assert task is not None
        self._sleepers.append((self.now + seconds, awake))
        self.asleep.add(task)
        self.nodding.set()
        try:
            await awake
        finally:
            self.asleep.discard(task)

    def _wake(self) -> None:
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self.now]
        for sleeper in due:
            self._sleepers.remove(sleeper)
            if not sleeper[1].done():
                sleeper[1].set_result(None)

    async def live(self, stores: Sequence[ConferenceStore]) -> None:
        """The whole day, second by second, and then for as long as somebody is still to be told of it."""
        names, steps = itertools.count(), itertools.cycle(STEPS)
        replicas = [Replica(self, store, f"replica-{next(names)}") for store in stores]
        for second in range(self._hours[0], self._hours[1] + AFTERWARDS):
            self.now = float(second)
            await self.begin(stores[second % len(stores)])
            if second % self._killed_every == 0:
                self.chance.choice(replicas).doom = next(steps)
            await self._work(replicas, names)
            if second % 3600 == 0:
                print(f"{second // 3600:02}:00", file=sys.stderr, flush=True)
        over_at = self.now
        while (at := await self._next_delivery(stores[0])) is not None and at < over_at + RETRIES:
            self.now = at
            await self._work(replicas, names)

    async def _work(self, replicas: list[Replica], names: Iterator[int]) -> None:
        self._wake()
        # Most seconds nothing is, of which nobody need ask for each kind and replica.
        due = [kind for kind, (_, first) in (await replicas[0].store.count_due()).items() if first <= self.clock()]
        # Both at the same moment now and then, and mostly in turn: looks for what another has taken already cost time alone.
        together = self.chance.random() < TOGETHER
        looking = replicas if together else [self.chance.choice(replicas)]
        await asyncio.gather(*(replica.work(due) for replica in looking))
        for number, replica in enumerate(replicas):
            if replica.is_dead:
                replicas[number] = Replica(self, replica.store, f"replica-{next(names)}")

    async def _next_delivery(self, store: ConferenceStore) -> float | None:
        """When somebody is to be told next, or has answered."""
        kinds = [TELLING, *(delivery_kind(system.name) for system in self.systems)]
        waiting = [action for kind in kinds for action in await store.waiting_due(kind)]
        if not waiting:
            return None
        due = [at for action in waiting if (at := action.due_at.timestamp() - BEGIN) > self.now]
        # What another has begun, or one of its lane has before it, is looked at again the next second.
        return self.now + 1 if self._sleepers or not due else max(self.now + 1, min(due))

    async def judge(self, store: ConferenceStore) -> None:
        """Looks what became of each call, as it is known at last, and what nobody was told of that."""
        for call in self.calls.values():
            life = await store.read(life_of, call.held.id, RULES, KEYRING, self.clock())
            assert life is not None
            self.verdicts[call.held.id] = life.answer["verdict"]
        waiting, dead = await store.count_due(), await store.count_done(DEAD, BEGINNING)
        for system in self.systems:
            kind = delivery_kind(system.name)
            self.left[system.name] = (waiting[kind][0] if kind in waiting else 0) + dead.get(kind, 0)


def report(day: Day) -> tuple[list[str], bool]:
    """What became of the day's calls, and whether all is well."""
    calls = day.calls.values()
    stranded = [name for name, call in day.calls.items() if not (call.is_reached() or call.is_hopeless)]
    double = [name for name, call in day.calls.items() if longest(call.history, call.now)["lived"] > 0]
    lingering = [name for name, call in day.calls.items() if not call.is_over]
    dials = sum(what == "dial" for call in calls for _, what, _ in call.commands)
    killed = ", ".join(f"{count} {step}" for step, count in sorted(day.killed.items()))
    owed = {call.held.id: call.owed for call in calls}
    number = sum(map(len, owed.values()))
    faults = {system.name: system.faults(owed, day.verdicts) for system in day.systems}
    lines = [
        f"{len(day.calls)} calls: the first leg failed for {sum(call.fails for call in calls)}, "
        f"and every leg for {sum(call.is_hopeless for call in calls)}",
        f"{sum(day.killed.values())} replicas killed: {killed}",
        f"{dials} calls to another trunk",
        f"customers stranded: {len(stranded)} {stranded[:5]}",
        f"two legs at once: {len(double)} {double[:5]}",
        f"rooms that did not end: {len(lingering)} {lingering[:5]}",
        *(system.figures(number) for system in day.systems),
        *(f"{name}: {count} given up or not sent" for name, count in day.left.items()),
        *(f"{name}: {len(wrong)} wrong {wrong[:5]}" for name, wrong in faults.items()),
    ]
    return lines, not (stranded or double or lingering or any(day.left.values()) or any(faults.values()))


async def play(day: Day, url: str) -> None:
    """Plays it on a database."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(ConferenceStore(url, patience=PATIENCE)) for _ in range(2)]
        for store in stores:
            await store.prepare()
            store.wake_by(Wakes(KIND, CHANGES))
            store.wake_by(WAKES)
        with at_times_of(day.clock):
            await day.live(stores)
        await day.judge(stores[0])


def main() -> int:
    """Plays the day."""
    parser = argparse.ArgumentParser(description="A simulated day of calls, on two replicas.")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    day = Day(options.calls, options.seed)
    started = time.monotonic()
    with running_postgres("fsync=off") as postgres:
        asyncio.run(play(day, postgres.url()))
    lines, is_good = report(day)
    print("\n".join([*lines, f"played in {time.monotonic() - started:.0f} s"]))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())

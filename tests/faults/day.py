"""A simulated day of calls of which some fail, on two replicas of which one is killed every ten minutes: ``make day``.

``python -m tests.faults.day [--calls 20000] [--seed 1]``. The store, the agenda and the watch over legs are the real ones, on
PostgreSQL; the node, its trunks and the Management Node are those of ``tests.conferences.watched_world``, and the time is
theirs. Exit status 1 when a customer was stranded, a trunk was rung while another rang or talked, or a room did not end.
"""

import argparse
import asyncio
import heapq
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from policy_server.conferences.agenda import Agenda
from policy_server.conferences.assuring import CHANGES, KIND, LegWatch, Reply
from policy_server.conferences.batches import Wakes
from policy_server.conferences.sightings import Seen
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.events import Event
from tests.conferences.event_histories import BEGIN
from tests.conferences.postgres import running_postgres
from tests.conferences.samples import conference
from tests.conferences.test_assurance import longest
from tests.conferences.watched_world import BUSY, SILENT, Crash, Trunk, World, answers

OPEN: Final = (7 * 3600, 21 * 3600)
"""When calls come, in seconds of the day."""
AFTERWARDS: Final = 1800
"""Seconds by which the last call is over."""
KILLED_EVERY: Final = 600
FAILING: Final = 0.05
STRANDED: Final = 90.0
"""Seconds that a customer stays at least: an agent has to be there by then."""
IDS: Final = 1000
"""Legs of a call at most."""

FIRST_FAILS: Final = (
    BUSY,
    SILENT,
    Trunk(0.2, "Unexpected Response: 503"),
    Trunk(3.0, "404 Not Found"),
    answers(25.5),
    answers(40),
)
Step = Literal["as it looks", "as it dials or ends", "when it has"]
STEPS: Final[tuple[Step, ...]] = ("as it looks", "as it dials or ends", "when it has")


class Call(World):
    """A call of the day: what its node tells goes to the day, and what is due is on the real agenda."""

    def __init__(self, day: "Day", number: int, starts: float, trunks: Sequence[Trunk], stays: float) -> None:
        super().__init__(trunks, customer_leaves=stays, seed=number)
        self.day: Final = day
        self.starts: Final = starts
        self.fails: Final = trunks[0] in FIRST_FAILS
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


class Replica:
    """A process: an agenda with a watch, which may be doomed to die at a step, and then another begins in its place."""

    def __init__(self, day: "Day", store: ConferenceStore, name: str) -> None:
        self.day: Final = day
        self.store: Final = store
        self.doom: Step | None = None
        self.is_dead = False
        self.watch: Final = LegWatch(store, self, day.any_call, lambda *_: None, day.clock)
        self.agenda: Final = Agenda(store, {KIND: self.watch}, name, day.clock)

    async def work(self) -> None:
        """Looks once, and does what is due."""
        if not self.is_dead:
            await self.agenda._look(KIND, self.watch)
        while (tasks := set(self.agenda._working[KIND])) and not self.is_dead:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            crashes = [task.exception() for task in done]
            assert all(each is None or isinstance(each, Crash) for each in crashes), crashes
        for task in self.agenda._working[KIND]:
            task.cancel()

    def _strike(self, step: Step) -> None:
        if self.is_dead:
            raise Crash
        if self.doom == step:
            self.is_dead = True
            self.day.killed[step] += 1
            raise Crash

    async def look(self, room: str) -> Seen | str | None:
        """What is so at this moment."""
        self._strike("as it looks")
        call = self.day.at_this_moment(room)
        seen = await call.look(room)
        return Seen(room, seen.people) if isinstance(seen, Seen) else seen

    async def dial(self, leg: Mapping[str, object], node: str) -> Reply:
        """Calls a trunk."""
        self._strike("as it dials or ends")
        reply = await self.day.at_this_moment(str(leg["local_alias"])).dial(leg, node)
        self._strike("when it has")
        return reply

    async def drop(self, participant: str) -> Reply:
        """Ends a call."""
        self._strike("as it dials or ends")
        number = int(participant.removeprefix("leg-")) // IDS
        reply = await self.day.at_this_moment(f"call-{number:06}").drop(participant)
        self._strike("when it has")
        return reply

    async def end(self, conference: str) -> Reply:
        """Ends the room."""
        self._strike("as it dials or ends")
        reply = await self.day.at_this_moment(conference).end(conference)
        self._strike("when it has")
        return reply

    async def move(self, participant: str, alias: str) -> Reply:
        """Nobody is moved on this day."""
        raise AssertionError(f"{participant} is moved to {alias}")


class Day:
    """All calls, and the time."""

    def __init__(self, calls: int, seed: int, hours: tuple[int, int] = OPEN, failing: float = FAILING) -> None:
        chance = random.Random(seed)
        self._hours: Final = hours
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
            call = Call(self, number, chance.uniform(*hours), trunks, chance.uniform(STRANDED, 400))
            self.calls[call.held.name] = call
        self._queue: Final = [(call.starts, name) for name, call in self.calls.items()]
        heapq.heapify(self._queue)
        self._chance: Final = chance

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

    async def live(self, stores: Sequence[ConferenceStore]) -> None:
        """The whole day, second by second."""
        names = itertools.count()
        replicas = [Replica(self, store, f"replica-{next(names)}") for store in stores]
        for second in range(self._hours[0], self._hours[1] + AFTERWARDS):
            self.now = float(second)
            await self.begin(stores[second % len(stores)])
            if second % KILLED_EVERY == 0:
                self._chance.choice(replicas).doom = self._chance.choice(STEPS)
            for number in self._chance.sample(range(len(replicas)), len(replicas)):
                replica = replicas[number]
                await replica.work()
                if replica.is_dead:
                    replicas[number] = Replica(self, replica.store, f"replica-{next(names)}")
            if second % 3600 == 0:
                print(f"{second // 3600:02}:00", file=sys.stderr, flush=True)


def report(day: Day) -> tuple[list[str], bool]:
    """What became of the day's calls, and whether all is well."""
    calls = day.calls.values()
    stranded = [name for name, call in day.calls.items() if not call.is_reached()]
    double = [name for name, call in day.calls.items() if longest(call.history, call.now)["lived"] > 0]
    lingering = [name for name, call in day.calls.items() if not call.is_over]
    dials = sum(what == "dial" for call in calls for _, what, _ in call.commands)
    killed = ", ".join(f"{count} {step}" for step, count in sorted(day.killed.items()))
    lines = [
        f"{len(day.calls)} calls, of which the first leg failed for {sum(call.fails for call in calls)}",
        f"{sum(day.killed.values())} replicas killed: {killed}",
        f"{dials} calls to another trunk",
        f"customers stranded: {len(stranded)} {stranded[:5]}",
        f"two legs at once: {len(double)} {double[:5]}",
        f"rooms that did not end: {len(lingering)} {lingering[:5]}",
    ]
    return lines, not (stranded or double or lingering)


async def play(day: Day, url: str) -> None:
    """Plays it on a database."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(ConferenceStore(url)) for _ in range(2)]
        for store in stores:
            await store.prepare()
            store.wake_by(Wakes(KIND, CHANGES))
        await day.live(stores)


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

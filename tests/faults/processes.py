"""The processes of the simulated day: each has an agenda with all that is due, and may be doomed to die at a step."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final, Literal, get_args

from policy_server.conferences.agenda import Agenda, Handler, Remember, Result
from policy_server.conferences.assuring import KIND, LegWatch, Reply
from policy_server.conferences.deliveries import Deliveries
from policy_server.conferences.due import DueAction
from policy_server.conferences.sightings import Seen
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.telling import KIND as TELLING
from policy_server.conferences.telling import Telling, delivery_kind
from tests.conferences.told_world import RULES, Rules
from tests.conferences.watched_world import Crash
from tests.faults.receivers import Wire
from tests.rule_sets import KEYRING

if TYPE_CHECKING:
    from tests.faults.day import Day

IDS: Final = 1000
"""Legs of a call at most."""

Step = Literal[
    "as it looks",
    "as it dials or ends",
    "when it has",
    "as it looks what to tell",
    "when it has noted what to tell",
    "as it tells",
    "when it has told",
]
STEPS: Final[tuple[Step, ...]] = get_args(Step)


class Doomed:
    """What others are told is found by a process that may die before that and after it."""

    def __init__(self, handler: Handler, strike: Callable[[str], None]) -> None:
        self.seconds: Final = handler.seconds
        self.at_once: Final = handler.at_once
        self._handler: Final = handler
        self._strike: Final = strike

    async def carry_out(self, action: DueAction, remember: Remember) -> Result:
        """Looks at one call."""
        self._strike("as it looks what to tell")
        result = await self._handler.carry_out(action, remember)
        self._strike("when it has noted what to tell")
        return result


class Replica:
    """A process: an agenda with a watch, with whoever tells others and with deliveries, which may be doomed to die at a step,
    and then another begins in its place.
    """

    def __init__(self, day: "Day", store: ConferenceStore, name: str) -> None:
        self.day: Final = day
        self.store: Final = store
        self.doom: Step | None = None
        self.is_dead = False
        telling = Telling(store, Rules(RULES), KEYRING, [system.name for system in day.systems], day.clock)
        wires = {system.name: Wire(system, self._strike) for system in day.systems}
        self.handlers: Final[Mapping[str, Handler]] = {
            KIND: LegWatch(store, self, day.any_call, lambda *_: None, day.clock),
            TELLING: Doomed(telling, self._strike),
            **{
                delivery_kind(name): Deliveries(name, wire, day.clock, lambda *_: None, day.chance.random)
                for name, wire in wires.items()
            },
        }
        self.agenda: Final = Agenda(store, self.handlers, name, day.clock)
        self._begun: Final[set[asyncio.Task[None]]] = set()

    async def work(self, kinds: Collection[str]) -> None:
        """Looks once for what is due of some kinds, and does it, but for what takes until later."""
        await asyncio.gather(*map(self._look, kinds))
        while (busy := self._begun - self.day.asleep) and not self.is_dead:
            self.day.nodding.clear()
            nodding = asyncio.create_task(self.day.nodding.wait())
            done, _ = await asyncio.wait({*busy, nodding}, return_when=asyncio.FIRST_COMPLETED)
            nodding.cancel()
            self._begun.difference_update(done)
            crashes = [task.exception() for task in done if task is not nodding]
            assert all(each is None or isinstance(each, Crash) for each in crashes), crashes
        if self.is_dead:
            for task in self._begun:
                task.cancel()
            await asyncio.gather(*self._begun, return_exceptions=True)

    async def _look(self, kind: str) -> None:
        await self.agenda._look(kind, self.handlers[kind])
        # Before they are over, and the agenda has forgotten them.
        self._begun.update(self.agenda._working[kind])

    def _strike(self, step: str) -> None:
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

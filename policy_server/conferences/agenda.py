"""Carries out what is due, in turn with every other process that shares the database (README.md: Due actions)."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, assert_never

from policy_server.conferences.due import DueAction
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.store import ConferenceStore

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks for what is due: as late may an action be."""

CLOCKS: Final = timedelta(seconds=5)
"""How far the clocks of two replicas may be apart: so much longer an action is its owner's than the owner works at it."""

RETRY: Final = timedelta(seconds=10)
"""When an action is tried again whose handler failed, for each time that it was taken; an hour at most."""

CLOSE_SECONDS: Final = 1.0
"""Seconds that what is under way has to end when the service stops."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """An action is over; ``outcome`` is a word that says how, and ``data`` what stays of it, ``None`` for all."""

    outcome: str
    data: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """An action is to be looked at again, with what is to be known of it then."""

    at: datetime
    data: Mapping[str, object]


Result = Done | Later


Remember = Callable[[Mapping[str, object]], Awaitable[bool]]
"""Writes down what whoever has the action next must know, before something is done that must not be done twice. Where it
says false, another has the action by now, and nothing may be done.
"""


class Handler(Protocol):
    """Carries out the actions of one kind.

    ``seconds`` is how long it may take at most, after which it is cut off, and ``at_once`` how many it carries out at a time
    in this process.
    """

    @property
    def seconds(self) -> float:
        """How long it may take."""

    @property
    def at_once(self) -> int:
        """How many at a time."""

    async def carry_out(self, action: DueAction, remember: Remember) -> Result:
        """Does it. What it raises is logged, and the action is tried again later."""


class Agenda:
    """Takes what is due and has it carried out, from ``start`` to ``close``. ``owner`` is this process's, and nobody else's."""

    def __init__(
        self,
        store: ConferenceStore,
        handlers: Mapping[str, Handler],
        owner: str,
        clock: Callable[[], datetime],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._store: Final = store
        self._handlers: Final = handlers
        self._owner: Final = owner
        self._clock: Final = clock
        self._look_seconds: Final = look_seconds
        self._wake: Final = asyncio.Event()
        self._working: Final[dict[str, set[asyncio.Task[None]]]] = {kind: set() for kind in handlers}
        self._looking: asyncio.Task[None] | None = None
        self.failed = 0
        """Actions that a handler failed at, which are tried again."""

    def start(self) -> None:
        """Begins to look, if there is anything that could be carried out."""
        if self._handlers:
            self._looking = asyncio.create_task(self._look_for_ever())

    def wake(self) -> None:
        """Something may be due before the next look."""
        self._wake.set()

    async def close(self) -> None:
        """Takes nothing more, and waits for what is under way, which is cut off after ``CLOSE_SECONDS``: others take it over."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        if working := [task for tasks in self._working.values() for task in tasks]:
            _, late = await asyncio.wait(working, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _look_for_ever(self) -> None:
        is_away = False
        while True:
            self._wake.clear()
            try:
                for kind, handler in self._handlers.items():
                    await self._look(kind, handler)
                is_away = False
            except StoreUnavailableError as error:
                if not is_away:
                    log.warning("agenda.unreadable: nothing that is due can be done: %s", error)
                is_away = True
            except Exception:
                log.exception("agenda.unreadable: nothing that is due can be done")
            # Not wait_for: in Python 3.11 that forgets that it was cancelled where it is woken at the same moment.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._wake.wait()

    async def _look(self, kind: str, handler: Handler) -> None:
        tasks = self._working[kind]
        free = handler.at_once - len(tasks)
        now = self._clock()
        # Most looks find nothing, and need not write.
        if free <= 0 or not await self._store.is_due(kind, now):
            return
        for action in await self._store.take_due(kind, self._owner, now, now + _lease(handler), free):
            task = asyncio.create_task(self._carry_out(handler, action))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _carry_out(self, handler: Handler, action: DueAction) -> None:
        try:
            result = await self._ask(handler, action)
            match result:
                case Done():
                    is_own = await self._store.finish_due(action, self._clock(), result.outcome, result.data)
                case Later():
                    is_own = await self._store.postpone_due(action, result.at, result.data)
                case _:
                    assert_never(result)
            if not is_own:
                log.warning("agenda.lost: %s %s took so long that another process has it now", action.kind, action.id)
        except StoreUnavailableError as error:
            # Whoever takes it when the database is back sees that it was taken before.
            log.warning("agenda.unwritten: what became of %s %s is not written: %s", action.kind, action.id, error)
        # Another of its lane, or one that waited for a free place, may have its turn.
        self.wake()

    async def _ask(self, handler: Handler, action: DueAction) -> Result:
        async def remember(data: Mapping[str, object]) -> bool:
            return await self._store.remember_due(action, self._clock() + _lease(handler), data)

        try:
            async with asyncio.timeout(handler.seconds):
                return await handler.carry_out(action, remember)
        except StoreUnavailableError:
            raise
        except Exception:
            self.failed += 1
            log.exception("agenda.failed: %s %s is tried again", action.kind, action.id)
            return Later(self._clock() + min(RETRY * action.attempts, timedelta(hours=1)), action.data)


def _lease(handler: Handler) -> timedelta:
    return timedelta(seconds=handler.seconds) + CLOCKS

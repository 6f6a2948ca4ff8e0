"""Keeps the mirror equal to the store: reads again whatever others changed, and tells those who wait for it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.mirror import Mirror
from policy_server.conferences.pace import Pace
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import LOOK_AGAIN, Change, HeldConference, Link
from policy_server.conferences.running import RunningCalls
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.subscriptions import Subscriptions
from policy_server.conferences.writer import Writer

KEYS_LIMIT: Final = 10_000
"""Keys whose last change is remembered; one that is forgotten is only read again."""

READ_AT_ONCE: Final = 500

log = logging.getLogger(__name__)


class Follower:
    """Follows the changes of the store; ``listen``, ``renew`` and ``check`` each run one round of it."""

    def __init__(
        self,
        store: ConferenceStore,
        mirror: Mirror,
        writer: Writer,
        running: RunningCalls,
        subscriptions: Subscriptions,
        clock: Callable[[], datetime],
        pace: Pace,
    ) -> None:
        self._store: Final = store
        self._mirror: Final = mirror
        self._writer: Final = writer
        self._running: Final = running
        self._subscriptions: Final = subscriptions
        self._clock: Final = clock
        self._pace: Final = pace
        self._heard: Final[dict[str, int]] = {}
        self._stale: Final[set[str]] = set()
        self._to_renew: Final = asyncio.Event()
        self._loaded: Final = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Waits until everything was read once, ``seconds`` at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._loaded.wait()

    async def listen(self) -> None:
        """Hears of changes until the store is closed."""
        async with contextlib.aclosing(self._store.changes()) as changes:
            async for change in changes:
                self._hear(change)
        # The store was closed.
        await asyncio.sleep(self._pace.retry)

    async def check(self) -> None:
        """Looks after a while whether a notice was lost: a connection may be dead without either end knowing."""
        await asyncio.sleep(self._pace.check)
        keys = self._subscriptions.keys
        for start in range(0, len(keys), READ_AT_ONCE):
            try:
                numbers = await self._store.read(Reader.change_numbers, keys[start : start + READ_AT_ONCE])
            except StoreUnavailableError:
                return
            for key, number in numbers.items():
                if number > self._heard.get(key, 0):
                    self._hear(Change(key, number))

    def _hear(self, change: Change) -> None:
        self._running.hear(change.key, change.number)
        self._remember(change.key, change.number)
        self._stale.add(change.key)
        self._to_renew.set()

    def expect(self, numbers: Mapping[str, int]) -> None:
        """This process has made these changes, of which everybody here was told: what it holds, notes and hears of nodes."""
        for key, number in numbers.items():
            if number != self._heard.get(key, 0) + 1:
                # There were others before, and not every change is heard: SQLite tells only the latest of several.
                self._stale.add(key)
                self._to_renew.set()
            self._remember(key, number)

    def _remember(self, key: str, number: int) -> None:
        if len(self._heard) > KEYS_LIMIT:
            self._heard.clear()
        self._heard[key] = number

    async def renew(self) -> None:
        """Reads again what changed. Nothing else reads, or an old reading could be taken for news."""
        await self._to_renew.wait()
        self._to_renew.clear()
        try:
            while self._stale:
                everything = LOOK_AGAIN.key in self._stale
                keys = list(self._stale)[: None if everything else READ_AT_ONCE]
                self._stale.difference_update(keys)
                try:
                    await (self._renew_all() if everything else self._renew(keys))
                except BaseException:
                    self._stale.update(keys)
                    raise
        except StoreUnavailableError as error:
            log.warning("conferences.stale: %s", error)
            await asyncio.sleep(self._pace.retry)
        finally:
            if self._stale:
                self._to_renew.set()

    async def _renew_all(self) -> None:
        now = self._clock()
        self._running.forget_all()
        before = self._dropped_unless_found(self._mirror.names)
        rooms = await self._store.live(now)
        self._take(await self._store.links_that_matter(now, rooms), rooms, before)
        self._subscriptions.tell(self._subscriptions.keys)
        self._loaded.set()

    async def _renew(self, keys: Sequence[str]) -> None:
        before = self._dropped_unless_found(keys)
        links = await self._store.links(keys)
        rooms = await self._store.holders_among(keys, self._clock())
        self._take(links, rooms, before)
        self._subscriptions.tell(keys)

    def _dropped_unless_found(self, names: Iterable[str]) -> dict[str, HeldConference]:
        """The rooms that the store must know if they still run: those whose hold was written before it is read."""
        rooms = ((name, self._mirror.room(name)) for name in names)
        return {name: room for name, room in rooms if room is not None and not self._writer.is_writing(room)}

    def _take(self, links: Iterable[Link], rooms: Iterable[HeldConference], before: dict[str, HeldConference]) -> None:
        for link in links:
            self._mirror.learn(link)
        for room in rooms:
            before.pop(room.name, None)
            self._mirror.keep(room)
        for room in before.values():
            self._mirror.drop_if(room)

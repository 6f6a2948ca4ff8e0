"""Who waits for news of a call or room in this process: the streams of agents' widgets."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final


class Subscription:
    """Told when one of its keys, calls or room names, changes."""

    def __init__(self) -> None:
        self._changed: Final = asyncio.Event()

    def tell(self) -> None:
        """Something changed."""
        self._changed.set()

    async def wait(self, seconds: float) -> bool:
        """Waits for a change and says whether there was one within ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        changed = self._changed.is_set()
        self._changed.clear()
        return changed


class Subscriptions:
    """All that are open, by key."""

    def __init__(self) -> None:
        self._of_key: Final[dict[str, set[Subscription]]] = {}

    @property
    def keys(self) -> tuple[str, ...]:
        """The calls and room names that somebody waits for."""
        return tuple(self._of_key)

    def has(self, key: str) -> bool:
        """Whether somebody waits for a call or room name."""
        return key in self._of_key

    @contextmanager
    def subscribe(self, *keys: str) -> Iterator[Subscription]:
        """A subscription to some calls and room names for as long as the block runs."""
        subscription = Subscription()
        for key in keys:
            self._of_key.setdefault(key, set()).add(subscription)
        try:
            yield subscription
        finally:
            for key in keys:
                others = self._of_key.get(key, set())
                others.discard(subscription)
                if not others:
                    self._of_key.pop(key, None)

    def tell(self, keys: Iterable[str]) -> None:
        """Something changed about these keys."""
        for key in keys:
            for subscription in tuple(self._of_key.get(key, ())):
                subscription.tell()

"""Who waits for news of a call or room in this process: the streams of agents' widgets."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final


class Subscription:
    """Told when one of its keys, calls or room names, changes."""

    def __init__(self) -> None:
        self._has_changed = False
        self._waiting: asyncio.Future[None] | None = None

    def tell(self) -> None:
        """Something changed."""
        self._has_changed = True
        self._go_on()

    def forget(self) -> None:
        """Whatever has changed is known."""
        self._has_changed = False

    async def wait(self, seconds: float) -> bool:
        """Waits for a change and says whether there was one within ``seconds``. One may wait at a time."""
        if not self._has_changed:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(seconds, self._go_on)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        has_changed, self._has_changed = self._has_changed, False
        return has_changed

    def _go_on(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


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

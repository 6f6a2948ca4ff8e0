"""Open streams, and a server that is told to stop: it waits for its responses, and these would never end."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def told_to_stop(*stops: Callable[[], None]) -> Iterator[None]:
    """Calls ``stops`` as soon as the process is asked to end, before the server waits for its open responses."""
    loop = asyncio.get_running_loop()

    def pass_on(number: int, frame: FrameType | None) -> None:
        for stop in stops:
            loop.call_soon_threadsafe(stop)
        servers = before.get(signal.Signals(number))
        if callable(servers):
            servers(number, frame)
        elif servers is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    before: dict[signal.Signals, Any] = {}
    # Only the main thread may handle signals; in a test's thread nobody sends any.
    with contextlib.suppress(ValueError):
        for which in (signal.SIGTERM, signal.SIGINT):
            before[which] = signal.signal(which, pass_on)
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)

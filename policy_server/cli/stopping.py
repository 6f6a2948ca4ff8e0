"""The end of a process: in time whatever hangs, and together with the process that started it.

Once it is asked to stop, connections have ``connections.CUT_SECONDS`` and requests ``connections.STOP_SECONDS``; then the
service has ``app.CLOSE_SECONDS`` to write what is left. All of that is over before ``LATEST``.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from typing import Final

LATEST: Final = 9.0
"""Seconds after which the process ends by force: containers are killed after ten."""


def end_in_time() -> None:
    """Ends this process after ``LATEST`` seconds, unless it has ended by then. Call it when it is asked to stop.

    A thread that waits for a database which does not answer cannot be told to stop, and Python waits for its threads.
    """
    # Nothing is said then: whoever reads the log may be what hangs.
    watchdog = threading.Timer(LATEST, os._exit, (0,))
    watchdog.daemon = True
    watchdog.start()


def stop_with_parent() -> None:
    """Asks this process to stop when the one that started it is gone, however it ended; none did in the main process.

    Call it in the event loop.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop, sentinel = asyncio.get_running_loop(), parent.sentinel

    def stop() -> None:
        loop.remove_reader(sentinel)
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(sentinel, stop)

"""Writes that share transactions: one for all that arrive while another is on its way to the disk."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from math import inf
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from policy_server.conferences.errors import StoreRefusalError, StoreUnavailableError
from policy_server.conferences.threads import Done

ROWS_AT_ONCE: Final = 1000
"""Rows of one transaction: few enough that a room can be held between two of them."""

HASTE: Final = 0.020
"""Seconds less that a write waits where others do not come: nodes that send a message after the other, each when the last
was taken, must not be held up by waiting for nobody.
"""

_MORE_HASTE: Final = 0.001
"""Seconds that a wait in vain adds to that: one for which nobody came any more in its second half. Any other takes half of
it away.
"""

_TICK: Final = 0.001
"""Seconds by which a timer of the event loop may be early: waiting for the rest would only turn the loop."""


class Sized(Protocol):
    """What can be written together with others."""

    @property
    def size(self) -> int:
        """How many rows it may make."""

    @property
    def linger(self) -> float:
        """Seconds that it waits for others to be written with; 0 is also before what has waited longer."""


B = TypeVar("B", bound=Sized)
R = TypeVar("R")


class _Waiting(NamedTuple, Generic[B, R]):
    batch: B
    answer: asyncio.Future[R]
    came: float
    """By the clock of the event loop, as is ``due``."""
    due: float


class Groups(Generic[B, R]):
    """Writes batches in groups. Nobody is told that theirs is stored before it is on disk.

    ``begin`` begins to write a group in one transaction, and has ``done`` hear what became of each batch, in their order,
    or the error. ``give`` gives an answer to whoever waits for it. ``board`` gives what goes along with a group that begins
    now, if there is anything, and where its answer goes.
    """

    def __init__(
        self,
        begin: Callable[[Sequence[B], Done], None],
        give: Callable[[asyncio.Future[R], R | None, BaseException | None], None],
        board: Callable[[], tuple[B, asyncio.Future[R]] | None],
    ) -> None:
        self._begin: Final = begin
        self._give: Final = give
        self._board: Final = board
        self._boards_by = inf
        self._waiting: Final[deque[_Waiting[B, R]]] = deque()
        self._urgent: Final[deque[_Waiting[B, R]]] = deque()
        # Each of these is written alone, since something in one of them cannot be written, ever.
        self._alone: Final[deque[_Waiting[B, R]]] = deque()
        self._group: list[_Waiting[B, R]] = []
        self._due = inf
        self._timer: asyncio.Handle | None = None
        self._wakes_at = inf
        self._is_in_haste = False
        self._haste = 0.0

    def add(self, batch: B) -> asyncio.Future[R]:
        """Writes a batch; what became of it, or what writing it raised. What cannot be written costs no other batch."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        now, linger = loop.time(), batch.linger
        due = now + max(0.0, linger - self._haste)
        (self._waiting if linger else self._urgent).append(_Waiting(batch, answer, now, due))
        self._due = min(self._due, due)
        self._write_in_time(now, loop)
        return answer

    def board_within(self, seconds: float) -> None:
        """Something boards the next group, which begins in so many seconds if nothing else comes."""
        if self._boards_by == inf:
            loop = asyncio.get_running_loop()
            now = loop.time()
            self._boards_by = now + seconds
            self._due = min(self._due, self._boards_by)
            self._write_in_time(now, loop)

    def hurry(self) -> None:
        """Nothing waits for others from now on."""
        self._is_in_haste = True
        self._write_in_time(inf, asyncio.get_running_loop())

    def _write_in_time(self, now: float, loop: asyncio.AbstractEventLoop) -> None:
        """Begins the next group if nothing is on its way and something has waited long enough."""
        if self._group or self._due == inf:
            return
        if self._due > now + _TICK and not self._is_in_haste:
            self._wait_until(self._due, loop)
            return
        self._group = group = self._next_group(now)
        if self._alone or self._urgent or self._waiting:
            self._due = min(waiting.due for waiting in chain(self._alone, self._urgent, self._waiting))
        else:
            self._due = self._boards_by
        if self._due == inf:
            self._wait_no_more()
        if group:
            self._begin([waiting.batch for waiting in group], self._written)

    def _wait_until(self, due: float, loop: asyncio.AbstractEventLoop) -> None:
        if due < self._wakes_at:
            self._wait_no_more()
            self._wakes_at = due
            self._timer = loop.call_at(due, self._stop_waiting, loop)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._wakes_at = None, inf

    def _stop_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._wakes_at = None, inf
        self._write_in_time(loop.time(), loop)

    def _next_group(self, now: float) -> list[_Waiting[B, R]]:
        if self._alone:
            return [self._alone.popleft()]
        group: list[_Waiting[B, R]] = []
        size = 0
        for line in (self._urgent, self._waiting):
            while line and (not group or size + line[0].batch.size <= ROWS_AT_ONCE):
                waiting = line.popleft()
                # Who was told that it failed will come again; who went away wants it written.
                if not waiting.answer.done() or waiting.answer.cancelled():
                    size += waiting.batch.size
                    group.append(waiting)
        if group and group[-1].batch.linger:
            came = [waiting.came for waiting in group]
            was_in_vain = now - max(came) >= max(came) - min(came)
            self._haste = min(HASTE, self._haste + _MORE_HASTE) if was_in_vain else self._haste / 2
        if self._boards_by < inf:
            self._boards_by = inf
            if (passenger := self._board()) is not None:
                group.append(_Waiting(*passenger, now, now))
        return group

    def _written(self, written: Sequence[R] | None, error: BaseException | None) -> None:
        group, self._group = self._group, []
        if written is not None:
            for waiting, one in zip(group, written, strict=True):
                self._give(waiting.answer, one, None)
        elif isinstance(error, StoreUnavailableError) and not isinstance(error, StoreRefusalError):
            # Who waits has waited as long as the database's patience lasts, and is not to wait for another try.
            for line in (group, self._alone, self._urgent, self._waiting):
                for waiting in line:
                    self._give(waiting.answer, None, error)
                line.clear()
            self._due = self._boards_by
        elif len(group) > 1:
            self._alone.extend(group)
            self._due = 0.0
        else:
            self._give(group[0].answer, None, error)
        loop = asyncio.get_running_loop()
        self._write_in_time(loop.time(), loop)

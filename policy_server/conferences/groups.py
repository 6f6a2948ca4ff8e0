"""Writes that share transactions: one for all that arrive while another is on its way to the disk."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from policy_server.conferences.errors import StoreRefusalError, StoreUnavailableError
from policy_server.conferences.threads import Done

ROWS_AT_ONCE: Final = 1000
"""Rows of one transaction: few enough that a room can be held between two of them."""


class Sized(Protocol):
    """What can be written together with others."""

    @property
    def size(self) -> int:
        """How many rows it may make."""

    @property
    def is_urgent(self) -> bool:
        """Whether it goes before what has waited longer."""


B = TypeVar("B", bound=Sized)
R = TypeVar("R")


class _Waiting(NamedTuple, Generic[B, R]):
    batch: B
    answer: asyncio.Future[R]


class Groups(Generic[B, R]):
    """Writes batches in groups. Nobody is told that theirs is stored before it is on disk.

    ``begin`` begins to write a group in one transaction, and has ``done`` hear what became of each batch, in their order,
    or the error. ``give`` gives an answer to whoever waits for it.
    """

    def __init__(
        self,
        begin: Callable[[Sequence[B], Done], None],
        give: Callable[[asyncio.Future[R], R | None, BaseException | None], None],
    ) -> None:
        self._begin: Final = begin
        self._give: Final = give
        self._waiting: Final[deque[_Waiting[B, R]]] = deque()
        self._urgent: Final[deque[_Waiting[B, R]]] = deque()
        # Each of these is written alone, since something in one of them cannot be written, ever.
        self._alone: Final[deque[_Waiting[B, R]]] = deque()
        self._group: list[_Waiting[B, R]] = []

    def add(self, batch: B) -> asyncio.Future[R]:
        """Writes a batch; what became of it, or what writing it raised. What cannot be written costs no other batch."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        (self._urgent if batch.is_urgent else self._waiting).append(_Waiting(batch, answer))
        if not self._group:
            self._write_next()
        return answer

    def _write_next(self) -> None:
        self._group = self._next_group()
        if self._group:
            self._begin([waiting.batch for waiting in self._group], self._written)

    def _next_group(self) -> list[_Waiting[B, R]]:
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
        elif len(group) > 1:
            self._alone.extend(group)
        else:
            self._give(group[0].answer, None, error)
        self._write_next()

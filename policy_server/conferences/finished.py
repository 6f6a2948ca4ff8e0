"""Pieces of an answer that are made again only when what they are made of is another."""

from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

S = TypeVar("S")
B = TypeVar("B")
T = TypeVar("T")


class Finished(Generic[S, B, T]):
    """What was made of some objects the last time, each known by itself and not by what it equals: none of them may change.

    What is not asked for again is forgotten.
    """

    def __init__(self, make: Callable[[S, B], T]) -> None:
        self._make: Final = make
        # By the ids of the objects. Each is there with what was made of it, so that no other can come to have its id.
        self._pieces: dict[int, tuple[S, B, T]] = {}

    def each(self, sources: Iterable[tuple[S, B]]) -> list[T]:
        """What is made of each object and what stands beside it."""
        before, self._pieces = self._pieces, {}
        made: list[T] = []
        for source, beside in sources:
            piece = before.get(id(source))
            if piece is None or piece[1] != beside:
                piece = source, beside, self._make(source, beside)
            self._pieces[id(source)] = piece
            made.append(piece[2])
        return made

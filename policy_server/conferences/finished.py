"""Pieces of an answer that are made again only when what they are made of is another."""

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

S = TypeVar("S")
B = TypeVar("B")
T = TypeVar("T")


class _Piece(NamedTuple, Generic[S, B, T]):
    source: S
    beside: B
    made: T


class Finished(Generic[S, B, T]):
    """What was made of some objects the last time, each known by itself and not by what it equals: none of them may change.

    What is not asked for again is forgotten.
    """

    def __init__(self, make: Callable[[S, B], T]) -> None:
        self._make = make
        # Each has its source, so no other object can come to have the same id.
        self._pieces: dict[int, _Piece[S, B, T]] = {}

    def each(self, sources: Iterable[tuple[S, B]]) -> list[T]:
        """What is made of each object and what stands beside it."""
        pieces = [self._piece(source, beside) for source, beside in sources]
        self._pieces = {id(piece.source): piece for piece in pieces}
        return [piece.made for piece in pieces]

    def _piece(self, source: S, beside: B) -> _Piece[S, B, T]:
        known = self._pieces.get(id(source))
        return (
            known
            if known is not None and known.beside == beside
            else _Piece(source, beside, self._make(source, beside))
        )

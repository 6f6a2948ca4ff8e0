"""What is remembered of what was done for a call, from one look to the next and by whoever takes over after a crash."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

FIRST: Final = -1
"""The number of the leg that is dialled with the room."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What was done for a call so far, and since when what is seen is so, by our own clock.

    ``entry`` is the one that was dialled last, at first ``FIRST``, which the node dials, and ``attempt`` counts how often.
    ``began_at`` is when that was, ``None`` until the first leg is dialled or the customer is there; it may be ahead, for a
    node takes its time. ``before`` are the legs that were there before, which say nothing about this attempt.
    """

    entry: int = FIRST
    attempt: int = 1
    began_at: datetime | None = None
    before: frozenset[str] = frozenset()
    failed_at: datetime | None = None
    """When this attempt had failed."""
    is_answered: bool = False
    """Whether a leg was ever connected."""
    alone_since: datetime | None = None
    """Since when the customer is alone, after a leg was connected."""
    left_since: datetime | None = None
    """Since when no customer is there any more, after one was."""
    has_come: bool = False
    """Whether a customer was ever there."""
    came_at: datetime | None = None
    """When the first customer was seen."""
    doubted: frozenset[int] = frozenset()
    """The entries of which nobody knows whether they were dialled, and no leg was seen."""
    is_exhausted: bool = False
    """Whether all was tried, and what was to become of the customer is done."""
    moved_at: datetime | None = None
    """When customers were told to go elsewhere, if nobody knows whether they were."""
    dropped: Mapping[str, datetime] = field(default_factory=dict)
    """When each leg was told to end."""
    ended_at: datetime | None = None
    """When the room was told to end."""
    is_hindered: bool = False
    """Whether the Management Node could not be asked last time, which was said."""

    @property
    def is_there(self) -> bool:
        """Whether a customer is there."""
        return self.has_come and self.left_since is None

    @property
    def is_waiting(self) -> bool:
        """Whether a customer is there for whom nobody has answered."""
        return self.is_there and not self.is_answered

    @property
    def has_dialled(self) -> bool:
        """Whether the leg of this attempt is ours, and not the one that a node dials."""
        return self.entry != FIRST or self.attempt > 1

    def plain(self) -> dict[str, object]:
        """As JSON."""
        return {
            "entry": self.entry,
            "attempt": self.attempt,
            "began_at": _text(self.began_at),
            "before": sorted(self.before),
            "failed_at": _text(self.failed_at),
            "is_answered": self.is_answered,
            "alone_since": _text(self.alone_since),
            "left_since": _text(self.left_since),
            "has_come": self.has_come,
            "came_at": _text(self.came_at),
            "doubted": sorted(self.doubted),
            "is_exhausted": self.is_exhausted,
            "moved_at": _text(self.moved_at),
            "dropped": {leg: at.isoformat() for leg, at in self.dropped.items()},
            "ended_at": _text(self.ended_at),
            "is_hindered": self.is_hindered,
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """What ``plain`` made of a memory; nothing remembered of nothing."""
        if not plain:
            return cls()
        return cls(
            entry=plain["entry"],
            attempt=plain["attempt"],
            began_at=_moment(plain["began_at"]),
            before=frozenset(plain["before"]),
            failed_at=_moment(plain["failed_at"]),
            is_answered=plain["is_answered"],
            alone_since=_moment(plain["alone_since"]),
            left_since=_moment(plain["left_since"]),
            has_come=plain["has_come"],
            came_at=_moment(plain["came_at"]),
            doubted=frozenset(plain["doubted"]),
            is_exhausted=plain["is_exhausted"],
            # A server of a version before did not write it.
            moved_at=_moment(plain.get("moved_at")),
            dropped={leg: datetime.fromisoformat(at) for leg, at in plain["dropped"].items()},
            ended_at=_moment(plain["ended_at"]),
            is_hindered=plain["is_hindered"],
        )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

"""Dataclasses of which many are made: for every question, message or call.

A frozen dataclass sets each field of a new object by a call that looks it up, which is four fifths of the time of making it.
One of these is frozen for whoever writes code, since mypy sees a frozen dataclass, and is made as one that is not.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as light_dataclass
else:
    from collections.abc import Callable

    def light_dataclass(*, frozen: bool, **options: bool) -> Callable[[type], type]:
        """``dataclass`` with these options, but that nothing keeps a field from being set."""
        return dataclass(unsafe_hash=frozen, **options)


__all__ = ["light_dataclass"]

"""What a rule wants to happen when a leg that its room dials fails, or when one side of a call is gone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self, assert_never

ANSWER_WITHIN: Final = 25.0
ATTEMPTS: Final = 1
PAUSE: Final = 2.0
END_ROOM_WITH_LEG: Final = 10.0
END_LEG_WITH_CUSTOMER: Final = 10.0


@dataclass(frozen=True, slots=True)
class Keep:
    """The customer stays in the room, whoever may come."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The room ends."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """The customer is moved to the service behind an alias."""

    alias: str


Exhausted = Keep | Disconnect | Transfer
"""What becomes of the customer when nobody answered."""


@dataclass(frozen=True, slots=True)
class Assurance:
    """``assurance`` of a rule; seconds, ``None`` for never.

    A leg that is not connected after ``answer_within`` has failed. Each later entry is dialled ``attempts`` times, with
    ``pause`` between two calls. ``end_room_with_leg`` after the last leg is gone the room ends, and
    ``end_leg_with_customer`` after the last customer is gone, leg and room.
    """

    answer_within: float = ANSWER_WITHIN
    attempts: int = ATTEMPTS
    pause: float = PAUSE
    on_exhausted: Exhausted = Keep()
    end_room_with_leg: float | None = END_ROOM_WITH_LEG
    end_leg_with_customer: float | None = END_LEG_WITH_CUSTOMER

    def plain(self) -> dict[str, object]:
        """As JSON."""
        match self.on_exhausted:
            case Keep():
                exhausted: object = "keep"
            case Disconnect():
                exhausted = "disconnect"
            case Transfer(alias):
                exhausted = {"transfer": alias}
            case _:
                assert_never(self.on_exhausted)
        return {
            "answer_within": self.answer_within,
            "attempts": self.attempts,
            "pause": self.pause,
            "on_exhausted": exhausted,
            "end_room_with_leg": self.end_room_with_leg,
            "end_leg_with_customer": self.end_leg_with_customer,
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """What ``plain`` made JSON of."""
        exhausted = plain["on_exhausted"]
        words: dict[str, Exhausted] = {"keep": Keep(), "disconnect": Disconnect()}
        return cls(
            answer_within=plain["answer_within"],
            attempts=plain["attempts"],
            pause=plain["pause"],
            on_exhausted=words[exhausted] if isinstance(exhausted, str) else Transfer(exhausted["transfer"]),
            end_room_with_leg=plain["end_room_with_leg"],
            end_leg_with_customer=plain["end_leg_with_customer"],
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of ``dial_out`` for when a leg failed: its trunk, ``""`` for one with an alias of its own, and the calendar
    that must be open for it to be dialled, ``""`` for none.
    """

    trunk: str = ""
    open: str = ""


@dataclass(frozen=True, slots=True)
class Assured:
    """What is to be known of a room's legs so that they can be watched.

    ``trunks`` has what is dialled (``remote_alias``) for legs that reach the contact centre, with the name of the trunk;
    ``companions`` are those that are dialled beside them, such as a recorder, and reach nobody. ``entries`` are those for
    when a leg failed, in order; the fields of each are the decision's fallbacks.
    """

    assurance: Assurance = field(default_factory=Assurance)
    trunks: Mapping[str, str] = field(default_factory=dict)
    companions: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()

    def plain(self) -> dict[str, object]:
        """As JSON."""
        return {
            "assurance": self.assurance.plain(),
            "trunks": dict(self.trunks),
            "companions": list(self.companions),
            "entries": [{"trunk": entry.trunk, "open": entry.open} for entry in self.entries],
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """What ``plain`` made JSON of."""
        return cls(
            Assurance.of(plain["assurance"]),
            plain["trunks"],
            tuple(plain["companions"]),
            tuple(Entry(**entry) for entry in plain["entries"]),
        )

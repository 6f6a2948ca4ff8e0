"""What the store keeps, as frozen records. Times are aware datetimes and come back in UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final, NamedTuple, Self

from policy_server.light import light_dataclass
from policy_server.pexip.events import Event
from policy_server.policy.names import Call

WITHDRAWN_KEPT: Final = timedelta(days=1)
"""How long it is remembered beyond its time that a link was revoked or moved."""


@light_dataclass(frozen=True, slots=True)
class Link:
    """A customer link as it was handed out, by its call id. ``created_by`` is the name of the API key that asked for it.

    ``starts_at`` is the time of an appointment, and ``opens_at`` when its door opens; ``moved_to`` is the call of the link for
    another time that took its place. ``joins`` is the call into whose room it leads, ``""`` for one that has a room of its
    own. Nothing here opens a door: session and aliases are derived from the call id with the secret key.
    """

    call: str = field(repr=False)
    type: str
    name: str = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False)
    created_at: datetime
    expires_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    starts_at: datetime | None = None
    opens_at: datetime | None = None
    moved_at: datetime | None = None
    moved_to: str | None = field(default=None, repr=False)
    joins: str = field(default="", repr=False)

    @property
    def withdrawn_at(self) -> datetime | None:
        """When it was revoked, or moved to another time; from then on it is invalid."""
        if self.revoked_at is None or self.moved_at is None:
            return self.revoked_at or self.moved_at
        return min(self.revoked_at, self.moved_at)

    def is_remembered(self, at: datetime) -> bool:
        """Whether it matters by itself at a time, whatever rooms there are: until it has expired, or a day longer if it was
        withdrawn by then, for rules may let in whoever has an expired link and mean nobody whose link was taken back.
        """
        if self.expires_at > at:
            return True
        withdrawn_at = self.withdrawn_at
        return withdrawn_at is not None and withdrawn_at < at < self.expires_at + WITHDRAWN_KEPT

    def as_of(self, at: datetime) -> "Link":
        """The link as it was at a time: one that was revoked or moved later was still good."""
        link = self if self.revoked_at is None or self.revoked_at < at else replace(self, revoked_at=None)
        return link if link.moved_at is None or link.moved_at < at else replace(link, moved_at=None, moved_to=None)

    def is_older_than(self, other: "Link") -> bool:
        """Whether it was read before what the other knows of the same link happened."""
        return (self.revoked_at is None and other.revoked_at is not None) or (
            self.moved_to is None and other.moved_to is not None
        )

    @classmethod
    def of(
        cls,
        call: Call,
        *,
        name: str,
        attributes: Mapping[str, str],
        created_at: datetime,
        created_by: str,
        starts_at: datetime | None = None,
        joins: str = "",
    ) -> Self:
        """The record of a link that was signed just now."""
        return cls(
            call=call.id,
            type=call.type,
            name=name,
            attributes=attributes,
            created_at=created_at,
            expires_at=call.expires_at,
            created_by=created_by,
            starts_at=starts_at,
            opens_at=call.opens_at,
            joins=joins,
        )


DIALLED: Final = "dialled"


def alias_key(alias: str) -> str:
    """An alias in normal form, as a key that nobody can dial: what is kept of it must not open the door."""
    return blake2b(alias.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest() if alias else ""


@light_dataclass(frozen=True, slots=True)
class Door:
    """How callers who come by one rule enter a room: PINs, Identity Providers, call rates.

    ``fields`` are those of the service that may differ between callers of one room. ``asked`` is what the first of them
    had in the parameters that decided on the rule, aliases in the form in which they are compared.
    """

    fields: Mapping[str, object] = field(repr=False)
    asked: Mapping[str, str] = field(default_factory=dict, repr=False)


@light_dataclass(frozen=True, slots=True)
class HeldConference:
    """One life of a room: the service it was first answered with, until it ends or ``expires_at``.

    ``id`` is the caller's and unique; ``name`` is the room name, which is Pexip's identity of a conference
    (pexip/README.md: Duplicates and identity). ``call`` is ``""`` for a room that no customer link led to. ``service``
    is the same for everybody, and ``doors``, by the id of the rule, are what is not. ``legs`` are the automatic
    participants and ``fallbacks`` those for when one fails. ``alias`` is the one that was dialled first, by ``rule``, as it
    may be shown. ``aliases`` are those that lead here, each as ``alias_key`` writes it: ``dialled`` first, and for a
    call's room ``customer`` and ``agent``.
    """

    id: str
    name: str = field(repr=False)
    call: str = field(repr=False)
    link_type: str
    service_tag: str
    service: Mapping[str, object] = field(repr=False)
    legs: tuple[Mapping[str, object], ...] = field(repr=False)
    fallbacks: tuple[Mapping[str, object], ...] = field(repr=False)
    rule: str
    revision: str
    alias: str = field(repr=False)
    held_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    doors: Mapping[str, Door] = field(default_factory=dict, repr=False)
    aliases: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_in_own_room(self) -> bool:
        """Whether the room is that of its call alone; in other rooms others meet at other times."""
        return bool(self.call) and self.call in self.name

    @property
    def dialled(self) -> str:
        """The alias that was dialled first, as ``alias_key`` writes it."""
        return self.aliases.get(DIALLED, "")

    def __post_init__(self) -> None:
        if not self.id or not self.name:
            raise ValueError("a held conference needs an id and the name of its room")
        if self.expires_at <= self.held_at:
            raise ValueError(f"a held conference must expire after {self.held_at}, not at {self.expires_at}")


@light_dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened to a conference. ``key`` is what ties its entries together: the call, or room name."""

    key: str = field(repr=False)
    at: datetime
    kind: str
    data: Mapping[str, object] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("a timeline entry needs the call or room name that it belongs to")


Page = Sequence[TimelineEntry]
"""Entries of one timeline that are written together, at least one, in the order in which they were noted."""


@light_dataclass(frozen=True, slots=True)
class Change:
    """Something about a call or room name (``key``) was written; ``number`` counts how often, from 1."""

    key: str = field(repr=False)
    number: int


LOOK_AGAIN: Final = Change("", 0)
"""Anything may have changed: listening has just begun, or had broken off for a while."""


class Recorded(NamedTuple):
    """What became of some conferences and timeline entries."""

    holders: tuple[HeldConference, ...]
    """The conference that holds each room, in the order given."""
    noted: int
    """Entries that are new."""


class Ended(NamedTuple):
    """A conference that was ended: its id, its room and its call, and which is the latest of that call now."""

    id: str
    room: str
    call: str
    latest: HeldConference | None


class News(NamedTuple):
    """What one transaction of this process wrote about calls and rooms, in the store by now."""

    numbers: Mapping[str, int]
    """The number of the change that it made of each call and room name; the last that is known of it."""
    events: Mapping[bytes, Event]
    """By their identity."""
    copies: Mapping[bytes, Event]
    """Messages that were there before, perhaps with a higher number, which the store then lowered to that of the copy."""
    entries: Sequence[TimelineEntry]
    conferences: Sequence[HeldConference]
    """Those that hold the rooms that were to be held, whoever held them first."""
    links: Sequence[Link]
    ended: Sequence[Ended]

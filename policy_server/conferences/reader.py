"""What the store can be asked within one read: many questions for the price of one hop to a thread of the database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from policy_server.conferences import history, holds, links
from policy_server.conferences.connection import Connection
from policy_server.conferences.fold import Chronicle
from policy_server.conferences.records import HeldConference, Link, TimelineEntry
from policy_server.pexip.events import Event

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Before anything arrived."""


class CallSource(Protocol):
    """What can be asked about a call: of the store, or of what is kept of it in memory."""

    def link(self, call: str) -> Link | None:
        """The link of a call, revoked or expired ones too."""

    def joining(self, call: str) -> Sequence[Link]:
        """The links that lead into the room of a call, revoked or expired ones too, those made first before the others."""

    def holder(self, name: str, at: datetime) -> HeldConference | None:
        """The conference that holds a room at a time: neither ended nor expired."""

    def conference_of_call(self, call: str) -> HeldConference | None:
        """The latest conference of a call, ended or expired ones too."""

    def conference_of_room(self, *names: str) -> HeldConference | None:
        """The latest conference of a room of one of these names that no call belongs to, ended or expired ones too."""

    def told(self, room: str, since: datetime) -> Chronicle:
        """What was told of a room, as far as it arrived from ``since``."""

    def told_of(self, conference: HeldConference) -> Chronicle:
        """What was told of a conference, and some from before: ``Chronicle.since`` knows them apart."""

    def timeline(self, key: str) -> Sequence[TimelineEntry]:
        """The timeline of a call or room name, by time."""

    def change_number(self, keys: Sequence[str]) -> int:
        """A number that grows with every change of any of these calls and room names; 0 when nothing is known.

        Compare it for being different, not for being greater: it starts again when old conferences are purged. Ask for
        it before what it stands for, or a change between the two is missed.
        """


class Reader:
    """The store's answers, for ``ConferenceStore.read``. Not for use in the event loop, nor after the read.

    Each is asked on its own: what is written between two of them is seen by the second.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection: Final = connection

    def link(self, call: str) -> Link | None:
        """The link of a call, revoked or expired ones too."""
        return links.find_link(self.connection, call)

    def links(self, calls: Sequence[str]) -> tuple[Link, ...]:
        """The links of some calls."""
        return links.find_links(self.connection, calls)

    def joining(self, call: str) -> tuple[Link, ...]:
        """The links that lead into the room of a call, revoked or expired ones too, those made first before the others."""
        return links.find_joining(self.connection, (call,))

    def holder(self, name: str, at: datetime) -> HeldConference | None:
        """The conference that holds a room at a time: neither ended nor expired."""
        return holds.find_holder(self.connection, name, at)

    def conference_of_call(self, call: str) -> HeldConference | None:
        """The latest conference of a call, ended or expired ones too."""
        return holds.find_latest(self.connection, call)

    def conference_of_room(self, *names: str) -> HeldConference | None:
        """The latest conference of a room of one of these names that no call belongs to, ended or expired ones too."""
        return holds.find_latest_among(self.connection, names)

    def conference(self, conference_id: str) -> HeldConference | None:
        """A conference by its id, whatever became of it."""
        return holds.find_by_id(self.connection, conference_id)

    def events(self, room: str, since: datetime, until: datetime | None = None) -> tuple[Event, ...]:
        """The events of a room that arrived from ``since`` and before ``until``, in order of the nodes' clocks."""
        return history.find_events(self.connection, room, since, until)

    def told(self, room: str, since: datetime) -> Chronicle:
        """What was told of a room, as far as it arrived from ``since``."""
        return Chronicle(self.events(room, since))

    def told_of(self, conference: HeldConference) -> Chronicle:
        """What was told of a conference, and some from before: ``Chronicle.since`` knows them apart."""
        return Chronicle(history.find_events_of(self.connection, conference))

    def timeline(self, key: str) -> tuple[TimelineEntry, ...]:
        """The timeline of a call or room name, by time."""
        return history.find_timeline(self.connection, key)

    def change_number(self, keys: Sequence[str]) -> int:
        """How many changes there were of any of these calls and room names."""
        return sum(self.change_numbers(keys).values())

    def change_numbers(self, keys: Sequence[str]) -> dict[str, int]:
        """The number of the latest change of each call and room name that had one."""
        return history.find_change_numbers(self.connection, keys)

"""What customers' links need of whoever keeps links, rooms and timelines: ``Conferences``, and what stands for it in tests."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from policy_server.conferences.reader import CallSource
from policy_server.conferences.records import HeldConference, Link
from policy_server.conferences.store import ConferenceStore


class Keeper(Protocol):
    """Keeps links, rooms and timelines."""

    @property
    def store(self) -> ConferenceStore:
        """The store that all replicas share."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """The clock of the service."""

    def link(self, call: str) -> Link | None:
        """The link of a call as far as this process knows it, also while the database is away."""

    def learn(self, link: Link) -> None:
        """Takes note of a link that was stored or revoked just now, for the very next question."""

    def live_of_call(self, call: str, at: datetime) -> HeldConference | None:
        """The conference that runs in the room of a call, as far as this process knows."""

    def note(self, key: str, kind: str, data: Mapping[str, object], at: datetime) -> None:
        """Puts something on a timeline."""


def latest_of_call(keeper: Keeper, reader: CallSource, call: str, now: datetime) -> HeldConference | None:
    """The latest conference that a call's link led to, also one that is not written yet."""
    return reader.conference_of_call(call) or keeper.live_of_call(call, now)

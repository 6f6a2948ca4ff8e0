"""Records for the tests of the store, and running a scenario against stores."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import NAMESPACE_OID, uuid5

from policy_server.conferences import due
from policy_server.conferences.due import DueAction
from policy_server.conferences.records import (
    DIALLED,
    Door,
    HeldConference,
    Link,
    TimelineEntry,
    alias_key,
)
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.events import Event
from tests.waiting import PATIENCE

T = TypeVar("T")

NOW: Final = datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
SECOND: Final = timedelta(seconds=1)
CALL: Final = "aeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
HOST_PIN: Final = "70421985"


def link(call: str = CALL, **changed: Any) -> Link:
    """A link; any field can be changed."""
    fields: dict[str, Any] = {
        "type": "patient",
        "name": "Ada L",
        "attributes": {"language": "es"},
        "created_at": NOW,
        "expires_at": NOW + 4 * HOUR,
        "created_by": "booking",
    }
    return Link(call=call, **(fields | changed))


def conference(name: str = CALL, **changed: Any) -> HeldConference:
    """A conference held now for twelve hours; any field can be changed."""
    dialled = alias_key(f"mp{name}")
    door = Door({"pin": HOST_PIN, "allow_guests": True}, {"local_alias": dialled})
    fields: dict[str, Any] = {
        "id": uuid5(NAMESPACE_OID, name).hex,
        "call": name,
        "link_type": "patient",
        "service_tag": "telehealth",
        "service": {"service_type": "conference", "name": name},
        "legs": ({"remote_alias": "99+13129998045", "role": "guest"},),
        "fallbacks": (),
        "rule": "patient",
        "revision": "abc123",
        "alias": "mp…",
        "aliases": {DIALLED: dialled, "customer": dialled},
        "held_at": NOW,
        "expires_at": NOW + 12 * HOUR,
        "doors": {"patient": door},
    }
    return HeldConference(name=name, **(fields | changed))


def stored_event(
    seq: int = 1, room: str = CALL, arrived_at: datetime = NOW, data: Mapping[str, object] = {}, **changed: Any
) -> Event:
    """An event of the conference that arrives at NOW; any field can be changed. Each seq is a message of its own."""
    fields: dict[str, Any] = {
        "node": "10.44.34.14",
        "time": NOW.timestamp(),
        "name": "participant_updated",
        "version": 2,
        "data": {"uuid": f"a0ed2c58-{seq}", "conference": room, "has_media": True, **data},
    }
    return Event(seq=seq, arrived_at=arrived_at, **(fields | changed))


def entry(kind: str = "link_opened", **changed: Any) -> TimelineEntry:
    """A timeline entry of the call at NOW; any field can be changed."""
    fields: dict[str, Any] = {"key": CALL, "at": NOW, "data": {"by": "booking"}}
    return TimelineEntry(kind=kind, **(fields | changed))


@dataclass(frozen=True, slots=True)
class Place:
    """A database that is new and empty; ``url`` is its ``POLICY_DATABASE_URL``."""

    url: str
    kind: str

    def run(self, scenario: Callable[[ConferenceStore], Awaitable[T]]) -> T:
        """What a scenario with one store comes to."""

        async def play() -> T:
            async with ConferenceStore(self.url) as store:
                return await scenario(store)

        return asyncio.run(play())

    def run_two(self, scenario: Callable[[ConferenceStore, ConferenceStore], Coroutine[Any, Any, T]]) -> T:
        """What a scenario with two stores, as two replicas have them, comes to."""

        async def play() -> T:
            async with AsyncExitStack() as stack:
                one = await stack.enter_async_context(ConferenceStore(self.url))
                other = await stack.enter_async_context(ConferenceStore(self.url))
                return await scenario(one, other)

        return asyncio.run(play())


async def due_of(store: ConferenceStore, key: str) -> tuple[DueAction, ...]:
    """All actions about a call or room, done or not."""
    return await store.read(lambda reader: due.find_of(reader.connection, key))


async def bring_forward(store: ConferenceStore, kind: str, keys: Sequence[str], at: datetime) -> int:
    """What messages of nodes do to the actions of a kind; how many it did."""
    return await store._database.write(lambda connection: due.bring_forward(connection, kind, keys, at))


async def eventually(probe: Callable[[], Awaitable[T]], seconds: float = PATIENCE) -> T:
    """Asks until the result is truthy; fails after the deadline with what it was last."""
    deadline = time.monotonic() + seconds
    while not (found := await probe()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        await asyncio.sleep(0.01)
    return found

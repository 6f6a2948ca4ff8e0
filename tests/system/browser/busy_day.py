"""A database that has six hours of calls in it, for pages that show them."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.events import Event
from policy_server.policy.names import Keyring
from tests.conferences import event_histories as told
from tests.conferences.samples import conference, link
from tests.conferences.told_world import told as of_room
from tests.servers import SECRET_KEY

CALLS: Final = 60
FAILS: Final = ("Call rejected: 486 Busy Here", "Call rejected: 603 Decline", "No answer")


def fill(folder: Path, now: datetime) -> None:
    """Makes ``var/policy.db`` with calls until ``now``: most answered, some failed, three that wait and one that goes on."""
    (folder / "var").mkdir()
    # In a thread, since Playwright has a loop that runs in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(_fill(f"sqlite:///{folder}/var/policy.db", now))).result()


async def _fill(url: str, now: datetime) -> None:
    async with ConferenceStore(url) as store:
        await store.prepare()
        for number in range(CALLS):
            ago = 21_000 * ((number * 37) % CALLS) / CALLS + 400
            fails = FAILS[number % 3] if number % 6 == 0 else None
            await _play(store, number, now - timedelta(seconds=ago), _visit(fails, ends=70), ends=71)
        for number in range(3):
            await _play(store, CALLS + number, now - timedelta(seconds=40 + 95 * number), _visit(None)[:2])
        await _play(store, CALLS + 3, now - timedelta(seconds=300), _visit(None)[:-3])


async def _play(
    store: ConferenceStore, number: int, held_at: datetime, events: Sequence[Event], *, ends: float | None = None
) -> None:
    call = Keyring.from_text(SECRET_KEY).sign("visit", held_at + timedelta(hours=4), b"%04d" % number).id
    await store.create_link(
        link(call, type="visit", created_at=held_at, expires_at=held_at + timedelta(hours=4), attributes={})
    )
    held = conference(
        call,
        id=f"{number}",
        link_type="visit",
        rule="customer",
        held_at=held_at,
        expires_at=held_at + timedelta(hours=12),
    )
    await store.hold_all([held])
    begin = held_at.timestamp()
    moved = [_moved(event, begin) for event in of_room(*events, room=call)]
    await store.add_events(moved)
    if ends is not None:
        await store.end(call, held_at + timedelta(seconds=ends))


def _visit(fails: str | None, ends: float = 70) -> list[Event]:
    """A customer comes, Genesys answers and an agent joins, or nobody does; times are seconds."""
    rings = told.leg("leg", 11, service_type="connecting", connect_time=None)
    came = [told.leg("leg", 14, service_type="conference"), told.joined("maria", 25, destination_alias="hcp…")]
    return [
        told.started(1),
        told.joined("ada", 1, destination_alias="mp…", display_name="Ada"),
        rings,
        *([] if fails else came),
        told.left("leg", 18 if fails else ends - 2, disconnect_reason=fails or "Call disconnected"),
        told.left("ada", ends - 1),
        told.ended(ends),
    ]


def _moved(event: Event, begin: float) -> Event:
    """The message, so many seconds after a time."""
    times = {"start_time", "end_time", "connect_time"}
    data = {
        name: value + begin if name in times and isinstance(value, int | float) else value
        for name, value in event.data.items()
    }
    at = event.time + begin
    return Event(event.node, event.seq, event.version, at, event.name, data, arrived_at=datetime.fromtimestamp(at, UTC))

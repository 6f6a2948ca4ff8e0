"""Rooms that no signed link led to: how many are held, what the others get, and what strangers can have written."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Final

import pytest

from policy_server.conferences.live import Conferences
from policy_server.conferences.pace import Limits
from policy_server.conferences.rooms import Rooms, Settled
from policy_server.conferences.store import ConferenceStore
from policy_server.policy.decisions import Serve
from tests.conferences.samples import Place
from tests.conferences.test_live import true
from tests.rule_sets import CALL_ID, KEYRING, NOON, SESSION, load, request

RULES: Final = load(
    r"""
    trunks: { t: { number: "+1 312 999 8045" } }
    rooms:
      visit: { name: "{call}", service_tag: visit }
      meeting: { name: "Meeting {n}", service_tag: meeting }
      shared: { name: "Everybody", service_tag: shared, shared: true }
    service:
      - { id: visit, when: { link_type: patient, link: valid }, room: visit }
      - { id: meeting, when: { local_alias: 'meet(?P<n>\d+)' }, room: meeting, dial_out: [{ trunk: t }] }
      - { id: unsigned, when: { local_alias: 'old(?P<place>[a-z0-9]{4})' }, room: shared }
    links: { patient: { alias: "mp{session}" } }
    """
)
LIMIT: Final = 2


class House:
    """A replica that holds two open rooms at the most."""

    def __init__(self, url: str, limits: Limits) -> None:
        numbers = count(1)
        store = ConferenceStore(url, patience=20.0)
        self.conferences: Final = Conferences(
            store,
            lambda: NOON,
            timedelta(hours=12),
            limits=limits,
        )
        self._rooms: Final = Rooms(self.conferences, KEYRING, lambda: f"{id(self)}-{next(numbers)}")

    async def ask(self, alias: str, **fields: str) -> Settled:
        """What becomes of a question about an alias."""
        asked = {"call_direction": "dial_in", "protocol": "sip", "local_alias": alias, **fields}
        return await self._rooms.settle(RULES, request("service", asked), NOON)


@asynccontextmanager
async def house(place: Place, limits: Limits | None = None) -> AsyncIterator[House]:
    """A replica that runs."""
    one = House(place.url, limits or Limits(open_rooms=LIMIT))
    await one.conferences.start()
    try:
        yield one
    finally:
        await one.conferences.stop()


def test_strangers_leave_room_for_customers(sqlite_place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the limit a stranger's room is answered, not held, and said once; a customer's link is held all the same, and
    a room that ended makes place for another.
    """

    async def scenario() -> None:
        async with house(sqlite_place) as one:
            known = one.conferences
            for number in range(5):
                settled = await one.ask(f"meet{number}")
                assert isinstance(settled.decision, Serve)
                assert settled.decision.service["automatic_participants"]
                assert bool(settled.key) is (number < LIMIT)
                assert (await one.ask(f"meet{number}")).key == settled.key
                # The node asks about the leg that the answer told it to dial.
                name = f"Meeting {number}"
                leg = await one.ask("", call_direction="dial_out", service_name=name, service_tag="meeting")
                assert isinstance(leg.decision, Serve)
                assert bool(leg.key) is (number < LIMIT)
            assert (known.open_count, known.live_count, known.unheld) == (LIMIT, LIMIT, 6)
            visit = await one.ask(f"mp{SESSION}")
            assert (visit.key, known.live_count) == (CALL_ID, LIMIT + 1)
            assert not known.is_open(CALL_ID)
            assert known.is_open("Meeting 0")
            await true(lambda: not known.waiting)
            assert await known.store.end("Meeting 0", NOON)
            await true(lambda: known.open_count < LIMIT)
            assert (await one.ask("meet9")).key == "Meeting 9"

    with caplog.at_level(logging.WARNING):
        asyncio.run(asyncio.wait_for(scenario(), 60))
    (line,) = [message for message in caplog.messages if message.startswith("rooms.unheld")]
    assert f"{LIMIT} rooms without a signed link (POLICY_OPEN_ROOMS)" in line


def test_open_rooms_are_counted_after_a_restart(sqlite_place: Place) -> None:
    """What another replica or an earlier process held counts as well."""

    async def scenario() -> None:
        async with house(sqlite_place) as one:
            for alias in ("meet1", "meet2", f"mp{SESSION}"):
                await one.ask(alias)
        async with house(sqlite_place) as two:
            assert (two.conferences.open_count, two.conferences.live_count) == (LIMIT, LIMIT + 1)
            assert (await two.ask("meet3")).key == ""

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_timelines_are_those_of_rooms_that_are_held(sqlite_place: Place) -> None:
    """Neither aliases that strangers make up, nor questions that are no calls, begin a timeline."""

    async def scenario() -> None:
        async with house(sqlite_place) as one:
            assert (await one.ask("meet1", call_direction="non_dial")).key == ""
            keys = {(await one.ask(f"old{number:04}")).key for number in range(20)}
            assert keys == {"Everybody"}, "the first one's room is everybody's"
            assert one.conferences.is_open("Everybody")

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_strangers_notes_leave_place_for_customers(sqlite_place: Place) -> None:
    """While notes cannot be written, those about open rooms take half of the places."""

    async def scenario() -> None:
        async with house(sqlite_place, Limits(notes=10)) as one:
            await one.ask("meet1")
            await true(lambda: not one.conferences.waiting)
            # Nothing is written before the loop has a turn.
            for key in ["Meeting 1"] * 20 + [CALL_ID] * 20:
                one.conferences.note(key, "x", {}, NOON)
            assert (one.conferences.waiting, one.conferences.dropped) == (10, 30)

    asyncio.run(asyncio.wait_for(scenario(), 60))

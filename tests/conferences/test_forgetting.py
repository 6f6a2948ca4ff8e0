"""PINs and tones leave the database when the room is over, on SQLite and on PostgreSQL."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from policy_server.conferences.holds import forget_secrets
from policy_server.conferences.records import Door, HeldConference
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.tables import CONFERENCES, DOORS
from policy_server.pexip.field_facts import SECRET_FIELDS
from tests.conferences.samples import CALL, HOUR, NOW, SECOND, Place, conference

PIN, TONES = "7731946205", "99887766#"
DOORS_OF_ONE = {"patient": Door({"pin": PIN, "guest_pin": f"{PIN}1"}), "agent": Door({"pin": PIN})}
LEG = {"remote_alias": "99+13129998045", **dict.fromkeys(SECRET_FIELDS, TONES)}


def a_call(**fields: Any) -> HeldConference:
    """A room with everything that is secret in it."""
    return conference(doors=DOORS_OF_ONE, legs=(LEG,), fallbacks=(LEG,), **fields)


def content(folder: Path) -> bytes:
    """All that is in the files of a folder."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def _stored(store: ConferenceStore) -> str:
    """All that the database has of conferences."""
    rows = await store._database.read(
        lambda connection: [connection.execute(table.select) for table in (CONFERENCES, DOORS)]
    )
    return str(rows)


@pytest.mark.parametrize("how", ["ended", "expired", "replaced"])
def test_what_is_secret_leaves_with_the_room(place: Place, how: str) -> None:
    """However a room comes to its end, PINs and tones go, and what happened stays."""

    async def scenario(store: ConferenceStore) -> None:
        await store.hold(a_call(expires_at=NOW + HOUR))
        await store.forget_secrets(NOW + HOUR - SECOND)
        before = await _stored(store)
        assert PIN in before
        assert TONES in before
        if how == "ended":
            await store.end(CALL, NOW + SECOND)
        elif how == "expired":
            assert await store.forget_secrets(NOW + HOUR) == 1
            assert await store.forget_secrets(NOW + HOUR) == 0
        else:
            await store.hold(conference(id="2", doors={}, held_at=NOW + HOUR, expires_at=NOW + 2 * HOUR))
        after = await _stored(store)
        assert PIN not in after
        assert TONES not in after
        assert "99+13129998045" in after

    place.run(scenario)


def test_many_rooms_are_forgotten_a_batch_at_a_time(place: Place) -> None:
    """However many have expired, all are forgotten, and those that run are left alone."""

    async def scenario(store: ConferenceStore) -> None:
        rooms = [
            conference(f"room-{number}", id=str(number), call="", expires_at=NOW + HOUR * (1 + number % 2))
            for number in range(8)
        ]
        await store.hold_all(rooms)
        assert await store.forget_secrets(NOW + HOUR, batch=2) == 4
        assert all(room.doors for room in await store.live(NOW + HOUR))

    place.run(scenario)


def test_the_files_of_a_database_do_not_keep_what_was_forgotten(tmp_path: Path) -> None:
    """SQLite overwrites what is deleted, in its write-ahead log too."""

    async def scenario() -> None:
        async with ConferenceStore(f"sqlite:///{tmp_path}/policy.db") as store:
            await store.prepare()
            for number in range(20):
                room = f"room-{number}"
                await store.hold(conference(room, id=room, call="", doors=DOORS_OF_ONE, legs=(LEG,)))
            assert PIN.encode() in content(tmp_path)
            for number in range(20):
                await store.end(f"room-{number}", NOW + SECOND)
            await store.forget_secrets(NOW + SECOND)
            assert PIN.encode() not in content(tmp_path)
            assert TONES.encode() not in content(tmp_path)

    asyncio.run(scenario())


def test_forgetting_reads_no_conference_that_has_nothing_to_forget(tmp_path: Path) -> None:
    """A month of conferences that are over costs nothing: only what has a door is looked at."""

    async def scenario() -> None:
        async with ConferenceStore(f"sqlite:///{tmp_path}/policy.db") as store:
            await store.prepare()
            await store.hold(a_call())
            await store.end(CALL, NOW + SECOND)
            assert await store._database.write(lambda connection: forget_secrets(connection, NOW + HOUR, 10)) == 0

    asyncio.run(scenario())

"""What was acknowledged survives ``kill -9``."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from policy_server.conferences.reader import Reader
from policy_server.conferences.store import ConferenceStore
from tests.conferences.samples import CALL, NOW, Place

WRITER = """
import asyncio, sys
from policy_server.conferences.store import ConferenceStore
from tests.conferences.samples import conference, entry, stored_event

async def write():
    async with ConferenceStore(sys.argv[1]) as store:
        number = 0
        while True:
            some = range(number, number + 5)
            await asyncio.gather(
                store.add_events([stored_event(seq) for seq in some]),
                *(store.hold(conference(f"room-{seq}")) for seq in some),
                store.add_timeline([entry(str(seq)) for seq in some]),
            )
            print(*some, sep="\\n", flush=True)
            number += 5

asyncio.run(write())
"""


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(place: Place) -> None:
    """Every event, hold and entry that a killed process had been told is stored is found again afterwards."""
    acknowledged = 37
    with subprocess.Popen([sys.executable, "-c", WRITER, place.url], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledged):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        lines = writer.stdout.read()
    assert writer.returncode == -signal.SIGKILL
    # A line may be cut in the middle, but then its end is not there.
    count = acknowledged + lines.count("\n")

    async def scenario(store: ConferenceStore) -> None:
        seen = {told.seq for told in await store.read(Reader.events, CALL, NOW)}
        assert set(range(count)) <= seen
        assert {str(seq) for seq in range(count)} <= {entry.kind for entry in await store.read(Reader.timeline, CALL)}
        for seq in range(count):
            assert await store.read(Reader.holder, f"room-{seq}", NOW) is not None
        assert await store.end("room-0", NOW), "it takes writes again"

    place.run(scenario)


def test_a_power_cut_loses_nothing_acknowledged(sqlite_place: Place) -> None:
    """SQLite waits for the disk at each commit, in write-ahead mode, and the file is its owner's only."""

    async def scenario(store: ConferenceStore) -> None:
        found = await store._database.write(
            lambda connection: [connection.execute(f"PRAGMA {name}") for name in ("synchronous", "journal_mode")]
        )
        assert found == [[(2,)], [("wal",)]]
        folder = Path(sqlite_place.url.removeprefix("sqlite:///")).parent
        assert {path.stat().st_mode & 0o777 for path in folder.glob("policy.db*")} == {0o600}
        assert len(list(folder.glob("policy.db*"))) == 3

    sqlite_place.run(scenario)

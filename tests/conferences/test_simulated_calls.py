"""A whole call as ``simulate`` plays it, from the link to the hang-up, on every kind of database."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from policy_server.conferences.reader import Reader
from policy_server.conferences.store import ConferenceStore
from policy_server.simulator.genesys import ORGANIZATION
from tests.cli.commands import CREDENTIALS, RULES
from tests.conferences.samples import Place
from tests.servers import clean_environment, real_server, write_rules

ALWAYS_OPEN: Final = RULES.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]')


def simulated(folder: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """The JSON of a simulation in a process of its own, which must be a success."""
    done = subprocess.run(
        [sys.executable, "-m", "policy_server", "simulate", "--json", *arguments],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    # A password on the command line, as the PostgreSQL of the tests has, is worth a warning.
    told = [line for line in done.stderr.splitlines() if "every user of this machine sees the password" not in line]
    assert (done.returncode, told) == (0, []), done.stdout
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value


def call_of(value: dict[str, Any]) -> str:
    """The id of the call that was played."""
    paths: list[str] = [step["path"] for step in value["steps"]]
    return next(path.removeprefix("/api/v1/links/") for path in paths if path.startswith("/api/v1/links/"))


def check_kept(place: Place, value: dict[str, Any]) -> None:
    """The database has the link, its ended conference, every event and the timeline of the call."""
    call = call_of(value)

    async def look(store: ConferenceStore) -> None:
        link, conference = await store.link(call), await store.read(Reader.conference_of_call, call)
        assert link is not None
        assert conference is not None
        assert conference.ended_at is not None
        assert len(await store.read(Reader.events, conference.name, link.created_at.replace(year=2000))) == 12
        kinds = {entry.kind for entry in await store.read(Reader.timeline, call)}
        assert kinds >= {"link.created", "link.opened", "policy.answered", "agent.looked_up"}

    place.run(look)


@pytest.mark.slow
def test_in_process(place: Place, tmp_path: Path) -> None:
    """Without a server everything is played, and what was played is in the database."""
    write_rules(tmp_path / "rules", ALWAYS_OPEN)
    value = simulated(tmp_path, "--database", place.url)
    assert (value["ok"], value["left_out"]) == (True, [])
    check_kept(place, value)


@pytest.mark.slow
def test_against_a_server(place: Place, tmp_path: Path) -> None:
    """Against a server everything is played, and what was played is in its database: two processes on PostgreSQL."""
    workers = 2 if place.kind == "postgresql" else 1
    write_rules(tmp_path / "rules", ALWAYS_OPEN)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        **CREDENTIALS,
        "POLICY_DATABASE_URL": place.url,
        "POLICY_API_KEYS": "booking:k3y-of-the-booking-system",
        "POLICY_EVENTS_USERNAME": "sink",
        "POLICY_EVENTS_PASSWORD": "p4ssword-of-the-event-sink",
        "POLICY_GENESYS_API": f"http://127.0.0.1:{port}",
        "POLICY_GENESYS_ORGANIZATION": ORGANIZATION,
    }
    with real_server(tmp_path, "--workers", str(workers), environment=environment) as server:
        value = simulated(tmp_path, "--url", server.url, "--genesys", str(port), **environment)
    assert (value["ok"], value["left_out"]) == (True, [])
    assert {step["where"] for step in value["steps"]} == {server.url}
    check_kept(place, value)

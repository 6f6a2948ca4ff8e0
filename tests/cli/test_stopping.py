"""How the service ends: in time whatever hangs, and with the process that started it."""

import contextlib
import json
import os
import re
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from policy_server.app import CLOSE_SECONDS
from policy_server.cli.connections import CUT_SECONDS, STOP_SECONDS
from policy_server.cli.stopping import LATEST
from tests.cli.commands import RULES, put_rules
from tests.conferences.postgres import Postgres, running_postgres
from tests.genesys.asking import OTHER_TOKEN, TOKEN, settings, standing_in
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, RealServer, basic, real_server
from tests.waiting import eventually

KEY: Final = "an-api-key-of-these-tests"
AT_MOST: Final = 10.0
"""Seconds that containers are given."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a server runs, with rules that are open at any time."""
    put_rules(tmp_path, RULES.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]'))
    return tmp_path


def environment(**further: str) -> dict[str, str]:
    """Credentials for everything."""
    return {
        "POLICY_PEXIP_USERNAME": USERNAME,
        "POLICY_PEXIP_PASSWORD": PASSWORD,
        "POLICY_EVENTS_USERNAME": USERNAME,
        "POLICY_EVENTS_PASSWORD": PASSWORD,
        "POLICY_API_KEYS": f"booking:{KEY}",
        "POLICY_AGENT_BINDING": "optional",
        "POLICY_SECRET_KEY": SECRET_KEY,
        **further,
    }


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in found.split()]


def runs(pid: int) -> bool:
    """Whether a process has not ended; who should know that it has may not have asked."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def tell(pids: Iterable[int], how: signal.Signals) -> None:
    """Sends a signal to processes, of which some may have ended meanwhile."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


@contextmanager
def frozen(postgres: Postgres) -> Iterator[None]:
    """A database server that takes connections and bytes, and answers nothing."""
    (row,) = postgres.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
    status = Path(f"/proc/{row[0]}/status").read_text(encoding="ascii")
    postmaster = int(status.partition("PPid:")[2].split()[0])
    stopped = [postmaster, *children(postmaster)]
    tell(stopped, signal.SIGSTOP)
    try:
        yield
    finally:
        tell(stopped, signal.SIGCONT)


@contextmanager
def sent(running: RealServer, text: str) -> Iterator[socket.socket]:
    """A connection on which something was sent, and from which nothing is read."""
    url = httpx.URL(running.url)
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(text.encode())
        yield connection


def request(head: str, body: str = "", **headers: str) -> str:
    """A request as it is sent."""
    lines = [f"{head} HTTP/1.1", "host: policy.example.com", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", body])


@pytest.mark.slow
@pytest.mark.postgresql
@pytest.mark.parametrize("workers", ["1", "2"])
def test_nothing_that_hangs_keeps_the_service_from_stopping(folder: Path, workers: str) -> None:
    """A database that is frozen while it is written to, a Genesys Cloud that does not answer, a stream that is not read, a
    body that does not end: the service stops all the same, with status 0, and says what is lost.
    """
    of_system, of_agent, of_other = ({"authorization": f"Bearer {each}"} for each in (KEY, TOKEN, OTHER_TOKEN))
    with ExitStack() as stack:
        postgres, genesys = stack.enter_context(running_postgres("fsync=off")), stack.enter_context(standing_in())
        given = environment(POLICY_DATABASE_URL=postgres.url(), **settings(genesys.url))
        running = stack.enter_context(real_server(folder, "--workers", workers, environment=given))
        client = stack.enter_context(running.client())
        link = client.post("/api/v1/links", json={"type": "visit"}, headers=of_system, auth=httpx.Auth()).json()
        lookup = f"GET /agent/v1/conferences/{link['call']}"
        unread = stack.enter_context(sent(running, request(f"{lookup}/events", **of_agent)))
        assert unread.recv(1)
        endless = {"authorization": basic(), "content-length": "99"}
        stack.enter_context(sent(running, request("POST /events/v1/pexip", "{", **endless)))
        genesys.stand_in.trouble(how="hang")
        stack.enter_context(frozen(postgres))
        body = json.dumps({"type": "visit"})
        making = {**of_system, "content-length": str(len(body))}
        stack.enter_context(sent(running, request("POST /api/v1/links", body, **making)))
        asked = f"/policy/v1/service/configuration?call_direction=dial_in&local_alias={link['alias']}"
        assert client.get(asked).json()["result"]["name"] == link["call"]
        known = len(genesys.paths)
        stack.enter_context(sent(running, request(lookup, **of_other)))
        genesys.stand_in.wait_for(known + 1)
        running.process.send_signal(signal.SIGTERM)
        # A deadline that only what hangs reaches.
        assert running.process.wait(2 * AT_MOST) == 0
        assert re.search(r"stop[.]unfinished: .* [1-9][0-9]* records are not written", running.err)


def test_all_that_is_waited_for_fits_into_the_time_there_is() -> None:
    """Connections, requests and the service have their time one after the other before the process ends by force."""
    assert CUT_SECONDS < STOP_SECONDS
    assert STOP_SECONDS + CLOSE_SECONDS < LATEST < AT_MOST


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(folder: Path) -> None:
    """When the first process is killed, the others stop by themselves and let go of the port."""
    with real_server(folder, "--workers", "2", environment=environment()) as running:
        started = children(running.process.pid)
        assert len(started) >= 2
        running.process.kill()
        running.process.wait()
        eventually(lambda: not any(map(runs, started)))
        with pytest.raises(httpx.ConnectError), running.client() as client:
            client.get("/healthz")

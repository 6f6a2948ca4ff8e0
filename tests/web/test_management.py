"""What operators are told of the Management Node: nothing where there is none, and else whether it answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from policy_server.management.access import Access, Account
from tests.servers import InProcess
from tests.waiting import eventually
from tests.web.samples import KIOSK_PASSWORD, sample_folder

PASSWORD = "planted-password"
PAGE = b'{"meta": {"limit": 1, "next": null, "offset": 0, "previous": null, "total_count": 0}, "objects": []}'


@contextmanager
def answering(status: int) -> Iterator[tuple[str, list[str]]]:
    """A node that gives each request that status; its address, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def server(folder: Path, url: str = "") -> Iterator[InProcess]:
    """A server that may have a Management Node."""
    access = Access(url, Account("policy", PASSWORD)) if url else None
    rules = sample_folder(folder / "rules")
    with InProcess(rules, environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}, management=access) as running:
        yield running


def state(running: InProcess) -> dict[str, Any]:
    """What /readyz says once something is known."""

    def look() -> dict[str, Any]:
        response = running.request("GET", "/readyz")
        assert response.status_code == 200
        found = response.json()["management"]
        assert isinstance(found, dict)
        return found if found["state"] != "unknown" else {}

    return eventually(look)


def test_without_one_there_is_nothing(tmp_path: Path) -> None:
    """Neither /readyz nor the metrics speak of a node that nobody set."""
    with server(tmp_path) as running:
        assert "management" not in running.request("GET", "/readyz").json()
        assert "policy_management" not in running.metrics()


@pytest.mark.parametrize(
    ("status", "expected", "problem", "away"),
    [
        (200, "answers", "", 0),
        (403, "refuses", "status 403: the role of this account may not do that", 1),
        (401, "refuses", "status 401: the node does not accept these credentials", 1),
    ],
)
def test_a_node_that_answers(tmp_path: Path, status: int, expected: str, problem: str, away: int) -> None:
    """It is asked once at the start, beside everything else, and what it says stands on /readyz and in the metrics."""
    with answering(status) as (url, asked), server(tmp_path, url) as running:
        found = state(running)
        assert (found["url"], found["state"], found["problem"]) == (url, expected, problem)
        assert found["since"]
        assert asked == ["/api/admin/status/v1/conference/?limit=1"]
        metrics = running.metrics()
        for sample in (
            f"policy_management_away {away}.0",
            "policy_management_requests 1.0",
            f"policy_management_failures {int(status == 401)}.0",
            "policy_management_put_off 0.0",
        ):
            assert f"{sample}\n" in metrics


def test_a_node_that_is_not_there_costs_no_answer(tmp_path: Path) -> None:
    """Calls are decided all the same, the server stays ready, and the password is told nowhere."""
    with server(tmp_path, "http://127.0.0.1:9") as running:
        assert running.request("GET", "/readyz").json()["management"]["state"] in {"unknown", "away"}
        assert running.ask("/service/configuration", local_alias="room-a")["rule"] == "named"
        found = state(running)
        assert found["state"] == "away"
        assert found["problem"].startswith("cannot connect: ")
        assert "policy_management_away 1.0\n" in running.metrics()
        assert PASSWORD not in str(found) + running.metrics()

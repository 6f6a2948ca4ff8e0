"""``demo``: its three pages answer, the customer's page leads into the room, and after a signal nothing is left."""

import re
import signal
import socket
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from policy_server.lab.wiring import PORTS
from tests.cli.commands import run
from tests.system.sipp.processes import children, is_alive, is_listening, started
from tests.waiting import eventually


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_runs_until_it_is_stopped(folder: Path, how: signal.Signals) -> None:
    """Three URLs answer, and after a signal it ends with status 0 and without processes, ports or complaints."""
    with started(folder, "demo", "--adp-delay", "0.2") as process:
        eventually(lambda: "Ctrl+C" in (folder / "out.txt").read_text(encoding="utf-8") or process.poll() is not None)
        out = (folder / "out.txt").read_text(encoding="utf-8")
        urls = re.findall(r"^  (?:customer|agent desktop|trunk) +(http://127\.0\.0\.1:\d+/\S*)$", out, re.MULTILINE)
        assert len(urls) == 3, out + (folder / "err.txt").read_text(encoding="utf-8")
        with httpx.Client(trust_env=False, timeout=10) as http:
            pages = [http.get(url) for url in urls]
            assert [page.status_code for page in pages] == [200] * 3
            assert [_title(page) for page in pages] == ["Start a video visit", "Agent desktop", "What the trunk saw"]
            used = _start_visit(http, urls[0]) + _open_widget(http, urls[1])
        left = children(process.pid)
        assert left, "the trunk is a process of its own"
        assert all(map(is_listening, (*urls, *used)))
        process.send_signal(how)
        assert process.wait(20) == 0
    assert not any(map(is_listening, (*urls, *used)))
    assert not any(map(is_alive, left))
    assert (folder / "out.txt").read_text(encoding="utf-8").endswith("\nStopped.\n")
    assert (folder / "err.txt").read_text(encoding="utf-8") == ""


def _start_visit(http: httpx.Client, url: str) -> list[str]:
    """The form leads through the door of the policy server to the node; returns where it went."""
    made = http.post(url, data={"name": "Ada L", "language": "es"})
    assert made.status_code == 303
    door = http.get(made.headers["location"])
    assert door.status_code == 303
    room = http.get(door.headers["location"])
    assert (room.status_code, _title(room)) == (200, "Video visit (lab)")
    assert urlsplit(str(room.url)).path.endswith("/express")
    assert "name=Ada%20L" in str(room.url)
    return [str(door.url), str(room.url)]


def _open_widget(http: httpx.Client, desktop: str) -> list[str]:
    """The desktop embeds the widget, which has its settings; returns where it went."""
    place = http.get(str(httpx.URL(desktop).join("/settings.json"))).json()["widgetUrl"]
    widget = httpx.URL(place.partition("?")[0])
    assert http.get(widget).status_code == 200
    settings = http.get(widget.join("config.json")).json()
    assert set(settings) == {"genesysLogin", "genesysApi", "clientId", "policyServer", "pexipNode"}
    return [str(widget), settings["genesysApi"], settings["policyServer"], settings["pexipNode"]]


class _Titles(HTMLParser):
    title = ""

    def handle_data(self, data: str) -> None:
        """Text of an element."""
        if self.lasttag == "title" and not self.title:
            self.title = data.strip()


def _title(page: httpx.Response) -> str:
    titles = _Titles()
    titles.feed(page.text)
    return titles.title


def test_without_examples(folder: Path) -> None:
    """Where the examples are not, it says so, with status 2."""
    result = run("demo", "--examples", str(folder))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"there is no customer-app/app.py in {folder}" in result.stderr


def test_port_taken() -> None:
    """Where one of its ports is taken, it names them all, with status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = min(taken.getsockname()[1], 65536 - len(PORTS))
        result = run("demo", "--port", str(port))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"ports {port} to {port + len(PORTS) - 1} are needed: " in result.stderr

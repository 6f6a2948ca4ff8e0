"""``demo``: its three pages answer, the customer's page leads into the room, and after a signal nothing is left."""

import asyncio
import re
import signal
import socket
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from policy_server.lab.examples import EXAMPLES, customer_app
from policy_server.lab.serving import serving
from policy_server.lab.wiring import LINK_TYPE
from tests.cli.commands import run
from tests.lab.processes import children, is_alive, is_listening, started
from tests.requirements import require_sipp
from tests.servers import eventually

API_KEY = "key-of-the-customer-page"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_runs_until_it_is_stopped(folder: Path, how: signal.Signals) -> None:
    """Three URLs answer, and after a signal it ends with status 0 and without processes, ports or complaints."""
    require_sipp()
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


def test_without_sipp() -> None:
    """Where SIPp is not installed, it says how to get it, with status 2."""
    result = run("demo", environment={"PATH": ""})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "sip-tester" in result.stderr


def test_without_examples(folder: Path) -> None:
    """Where the examples are not, it says so, with status 2."""
    require_sipp()
    result = run("demo", "--examples", str(folder))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"there is no customer-app/app.py in {folder}" in result.stderr


def test_port_taken() -> None:
    """Where one of its ports is taken, it names them all, with status 2."""
    require_sipp()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = min(taken.getsockname()[1], 65529)
        result = run("demo", "--port", str(port))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"ports {port} to {port + 6} are needed: " in result.stderr


class Organisation:
    """What the customer's page asks, in place of a policy server."""

    def __init__(self, status: int, body: object) -> None:
        self.asked: list[tuple[str, object]] = []
        self.answer = JSONResponse(body, status)
        self.app = Starlette(routes=[Route("/api/v1/links", self.make, methods=["POST"])])

    async def make(self, request: Request) -> Response:
        """Answers."""
        self.asked.append((request.headers["authorization"], await request.json()))
        return self.answer


def visit(organisation: Organisation, **form: str) -> httpx.Response:
    """Sends the form of the customer's page."""

    async def work() -> httpx.Response:
        async with serving(organisation.app) as url:
            return await submit(customer_app(EXAMPLES, url, API_KEY, LINK_TYPE), form)

    return asyncio.run(work())


async def submit(app: ASGIApp, form: dict[str, str]) -> httpx.Response:
    """The answer to a form."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://visits.example.com") as client:
        return await client.post("/", data=form)


def test_the_customer_page_makes_a_link() -> None:
    """Name and language go with the link, by the API key, of which the browser learns nothing."""
    url = "https://join.example.com/join/abc"
    organisation = Organisation(201, {"url": url})
    answer = visit(organisation, name=" Ada Ł ", language="no")
    assert (answer.status_code, answer.headers["location"]) == (303, url)
    wanted = {"type": "patient", "name": "Ada Ł", "attributes": {"language": "no"}}
    assert organisation.asked == [(f"Bearer {API_KEY}", wanted)]
    assert API_KEY not in str(answer.headers) + answer.text


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"name": "  ", "language": "en"}, id="no name"),
        pytest.param({"name": "Ada L", "language": "tlh"}, id="another language"),
        pytest.param({"name": "A" * 5000, "language": "en"}, id="too long"),
        pytest.param({}, id="nothing"),
    ],
)
def test_the_customer_page_asks_again(form: dict[str, str]) -> None:
    """A form that is not filled in makes no link; the page says what is needed."""
    organisation = Organisation(201, {"url": "https://join.example.com/join/abc"})
    answer = visit(organisation, **form)
    assert answer.status_code == 400
    assert '<p role="alert">Please tell us your name.</p>' in answer.text
    assert organisation.asked == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(401, {"type": "unauthorized"}, id="wrong key"),
        pytest.param(503, {}, id="database away"),
        pytest.param(201, {"url": None}, id="a link type without a URL"),
        pytest.param(201, {}, id="no link at all"),
    ],
)
def test_the_customer_page_without_a_link(status: int, body: object) -> None:
    """Whatever the policy server says instead of a link, the customer is told in one sentence to try again."""
    answer = visit(Organisation(status, body), name="Ada L", language="en")
    assert answer.status_code == 502
    assert "Please try again in a minute." in answer.text


def test_the_customer_page_without_a_server() -> None:
    """A policy server that cannot be reached is the same to the customer."""
    app = customer_app(EXAMPLES, "http://127.0.0.1:9", API_KEY, LINK_TYPE)
    answer = asyncio.run(submit(app, {"name": "Ada L", "language": "en"}))
    assert answer.status_code == 502

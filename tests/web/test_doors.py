"""What lies behind which listener, and that no way of writing a path leads past a proxy."""

from collections.abc import Iterator
from ipaddress import ip_network
from urllib.parse import unquote

import pytest
from starlette.types import ASGIApp, Message, Scope

from policy_server.settings import Credentials
from policy_server.web.doors import is_plain
from tests.servers import InProcess, basic
from tests.web.samples import KIOSK_PASSWORD, sample_folder

POLICY = "/policy/v1/service/configuration?local_alias=x"
FOR_NODES = {POLICY: 200, "/healthz": 200, "/readyz": 200, "/metrics": 200, "/openapi.json": 200}
FOR_SINKS = {"/events/v1/pexip": 405}
FOR_PUBLIC = {"/join/x": 404, "/JOIN/X": 404, "/api/v1/links/x": 401, "/agent/v1/conferences/x": 503}


def is_nothing(status: int, body: str) -> bool:
    """Whether an answer says that there is no such path."""
    return status == 404 and '"title":"There is nothing here"' in body


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A server that a proxy on another machine stands before."""
    rules = sample_folder(tmp_path_factory.mktemp("doors") / "rules")
    with InProcess(
        rules,
        environment={"KIOSK_PASSWORD": KIOSK_PASSWORD},
        events=Credentials("events", "password"),
        trusted_proxies=(ip_network("10.20.0.5"),),
    ) as running:
        yield running


def ask(server: InProcess, app: ASGIApp, target: str) -> tuple[int, str]:
    """Status and body of the answer of a part of the service to this machine, with the credentials of a node.

    No client is used: it would tidy the path.
    """
    path, _, query = target.partition("?")
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"authorization", basic().encode()), (b"host", b"policy.example.com")],
        "client": ("127.0.0.1", 4711),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def asking() -> None:
        await app(scope, receive, send)

    server.run(asking())
    return sent[0]["status"], sent[1]["body"].decode()


@pytest.mark.parametrize("path", [*FOR_NODES, *FOR_SINKS])
def test_the_public_listener_has_nothing_for_nodes_and_operators(server: InProcess, path: str) -> None:
    """Policy, events and operators' paths are there for nodes and on a single listener; the public one knows none."""
    status = (FOR_NODES | FOR_SINKS)[path]
    assert ask(server, server.app, path)[0] == status
    assert ask(server, server.app.nodes, path)[0] == status
    assert is_nothing(*ask(server, server.app.public, path))


@pytest.mark.parametrize("path", FOR_PUBLIC)
def test_the_listener_of_nodes_has_nothing_for_the_public(server: InProcess, path: str) -> None:
    """Customers' pages, agents' lookups and the API are on the public and on a single listener alone."""
    for app in (server.app, server.app.public):
        status, body = ask(server, app, path)
        assert status == FOR_PUBLIC[path]
        assert not is_nothing(status, body)
    assert is_nothing(*ask(server, server.app.nodes, path))


@pytest.mark.parametrize(
    "path",
    [
        "/events/policy/v1/service/configuration",
        "/api/../policy/v1/service/configuration",
        "/policy/v1/../../join/x",
        "/policy/v1/registrations/..%2f..%2F..%2fjoin%2fx",
        "/policy/v1/registrations/%2e%2E/x",
        "/policy%2Fv1/service/configuration",
        "/%70olicy/v1/service/configuration",
        "/policy/v1%2Fservice/configuration",
        "/POLICY/v1/service/configuration",
        "/policy/./v1/service/configuration",
        "/join/%2e%2e/metrics",
        "/join/..%2fmetrics",
        "/%6detrics",
        "/.//metrics",
        "/metrics/",
        "//metrics",
        "/api%2Fv1/links/x",
        "/%61gent/v1/conferences/x",
        "/agent/v1/%2e%2e/v1/conferences/x",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_leads_nowhere(server: InProcess, path: str) -> None:
    """What climbs, hides its first segment, or has another path before it, is 404 on every listener."""
    for app in (server.app, server.app.nodes, server.app.public):
        assert is_nothing(*ask(server, app, path))


@pytest.mark.parametrize(
    "path",
    ["/policy/v1/registrations/a.b%2Fc%40d", "/join/abc.", "/join/abc...", "/agent/v1/conferences/sip%3aa%40b.c"],
)
def test_dots_and_encoded_characters_in_names_are_fine(path: str) -> None:
    """Aliases and links hold dots, and whatever is percent-encoded."""
    assert is_plain(path.encode())


@pytest.mark.parametrize(("peer", "status"), [("10.20.0.5", 403), ("10.20.0.6", 403), ("127.0.0.1", 200)])
def test_callers_of_a_proxy_are_not_this_machine(server: InProcess, peer: str, status: int) -> None:
    """Operators' paths are not open to a stranger who says they are this machine."""
    headers = {"x-forwarded-for": "127.0.0.1, 198.51.100.7"}
    assert server.request("GET", "/metrics", peer=peer, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/join/policy/v1/registrations", "/join//policy/v1/registrations"])
def test_below_join_there_are_pages_alone(server: InProcess, path: str) -> None:
    """Whatever follows /join/ is taken for a customer's link."""
    for app in (server.app, server.app.public):
        status, body = ask(server, app, path)
        assert (status, body[:15].lower()) == (404, "<!doctype html>")


def test_the_log_names_who_is_behind_a_proxy(server: InProcess, caplog: pytest.LogCaptureFixture) -> None:
    """Lines of refused callers have the address that the proxy saw."""
    headers = {"x-forwarded-for": "198.51.100.7"}
    server.request("GET", "/policy/v1/registrations", peer="10.20.0.5", headers=headers)
    assert "access.refused: 198.51.100.7 at the policy paths" in caplog.text

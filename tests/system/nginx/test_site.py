"""The nginx site for operators, run by a real nginx before a real server: what must not be reached is not."""

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.cli.test_bounded import received, status
from tests.requirements import NGINX
from tests.servers import RealServer, basic, real_server, write_rules
from tests.waiting import eventually

ROOT: Final = Path(__file__).parents[3]
SITE: Final = (ROOT / "examples/deploy/nginx.conf").read_text(encoding="utf-8")
ENVIRONMENT: Final = {
    "POLICY_PEXIP_USERNAME": "pexip",
    "POLICY_PEXIP_PASSWORD": "password",
    "POLICY_SECRET_KEY": "the secret key of these tests is long enough",
    "POLICY_EVENTS_USERNAME": "pexip",
    "POLICY_EVENTS_PASSWORD": "password",
    "POLICY_ADMIN_USERNAME": "pexip",
    "POLICY_ADMIN_PASSWORD": "password",
    "POLICY_API_KEYS": "booking:the-key-of-the-booking-system",
    "POLICY_TRUSTED_PROXIES": "127.0.0.1",
}
RULES: Final = """
service:
  - { id: room, when: { local_alias: meet }, service: { service_type: conference, name: meet, service_tag: t } }
links:
  visit: { alias: "mp{session}", url: "https://pexip.example.com/webapp3/m/{alias}" }
"""


@dataclass(frozen=True, slots=True)
class Site:
    """Ports of nginx, and the server behind it."""

    public: int
    nodes: int
    server: RealServer

    def ask(self, port: int, target: str, method: str = "GET", source: str = "127.0.0.1", **headers: str) -> bytes:
        """An answer, with credentials that open every door, to a path sent as it is."""
        lines = {
            "host": "join.example.com",
            "authorization": basic("pexip", "password"),
            "connection": "close",
            **headers,
        }
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", port), 10, source_address=(source, 0)) as plain,
            context.wrap_socket(plain) as client,
        ):
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            client.sendall(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode())
            return received(client)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def nginx(folder: Path, public: int, nodes: int, upstream: dict[str, str]) -> Iterator[None]:
    """The site at these ports of loopback, where this machine is the only node."""
    changes = {
        "listen 443 ssl": f"listen 127.0.0.1:{public} ssl",
        "listen 8443 ssl": f"listen 127.0.0.1:{nodes} ssl",
        "allow 10.44.0.0/16": "allow 127.0.0.1",
        **upstream,
    }
    site = re.sub(r"/etc/nginx/\w+\.(pem|key)", rf"{folder}/site.\1", SITE)
    for written, changed in changes.items():
        assert written in site, written
        site = site.replace(written, changed)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n",
        encoding="utf-8",
    )
    certificate = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x"
    command = ["openssl", *certificate.split(), "-keyout", "site.key", "-out", "site.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    assert NGINX is not None
    arguments = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=out)
    try:
        eventually(lambda: _listens(public) or process.poll() is not None)
        assert process.poll() is None, (folder / "error.log").read_text() + (folder / "out").read_text()
        yield
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site."""
    folder = tmp_path_factory.mktemp("nginx")
    write_rules(folder / "rules", RULES)
    with ExitStack() as stack:
        server = stack.enter_context(real_server(folder, "--public-port", "0", environment=ENVIRONMENT))
        found = re.search(r"listens on (\S+) for", server.out)
        assert found is not None
        public, nodes = free_ports(2)
        upstream = {"http://127.0.0.1:8081": found[1], "http://127.0.0.1:8080": server.url}
        stack.enter_context(nginx(folder, public, nodes, upstream))
        yield Site(public, nodes, server)


@pytest.mark.parametrize(
    "target",
    [
        "/policy/v1/service/configuration?local_alias=meet",
        "//policy/v1/service/configuration?local_alias=meet",
        "/policy%2Fv1/service/configuration?local_alias=meet",
        "/join/policy/v1/service/configuration?local_alias=meet",
        "/join/../policy/v1/service/configuration?local_alias=meet",
        "/join/%2e%2e/policy/v1/service/configuration?local_alias=meet",
        "/join/..%2fpolicy/v1/service/configuration?local_alias=meet",
        "/policy/v1/registrations/..%2f..%2f..%2fjoin/x",
        "/policy/v1/registrations/../../../join/x",
        "/policy/v1/participant/avatar/%2e%2e/%2e%2e/%2e%2e/%2e%2e/api/x",
        "/api/../events/v1/pexip",
        "/events/v1/pexip",
        "/events/v1/pexip/../../../join/x",
        "/metrics",
        "/%6detrics",
        "/join/../metrics",
        "/join/%2e%2e%2fmetrics",
        "/metrics/../join/x",
        "/metrics%2f..%2fjoin/x",
        "/readyz",
        "/agent/%2e%2e/readyz",
        "/healthz",
        "/openapi.json",
        "/admin/",
        "/admin/..%2fjoin/x",
        "/api/..%2f%61dmin/",
        "/JOIN/../metrics",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_internet_reaches_nothing_of_nodes_and_operators(site: Site, target: str, method: str) -> None:
    """With every credential there is, no way of writing a path leads from the public site to what is not public."""
    answer = site.ask(site.public, target, method, **({"content-length": "0"} if method == "POST" else {}))
    assert status(answer) in {400, 404, 405}
    for said in (b"policy_rules", b'"revision"', b'"action"', b'"reachable"', b'"received"', b"ok\n", b'"openapi"'):
        assert said not in answer


def test_customers_widgets_and_booking_systems_reach_what_is_theirs(site: Site) -> None:
    """The public site leads to links, the join page and the agents' lookup, over https as callers see it."""
    key = {"authorization": "Bearer the-key-of-the-booking-system", "content-length": "16"}
    with_body = site.ask(site.public, "/api/v1/links", "POST", **key, x="y\r\n\r\n" + '{"type":"visit"}')
    assert status(with_body) == 201
    assert b'"url":"https://join.example.com/join/' in with_body
    assert status(site.ask(site.public, "/join/x")) == 404
    assert b"<html" in site.ask(site.public, "/JOIN/X")
    assert status(site.ask(site.public, "/agent/v1/conferences/x")) == 503


def test_nodes_reach_policy_and_events_alone(site: Site) -> None:
    """The nodes' site has policy questions and the event sink, aliases with encoded slashes too, and nothing else."""
    question = "/policy/v1/service/configuration?local_alias=meet"
    assert b'"name":"meet"' in site.ask(site.nodes, question)
    assert b'"status":"success"' in site.ask(site.nodes, "/policy/v1/registrations/a%2Fb%40example.com")
    assert status(site.ask(site.nodes, "/events/v1/pexip", "POST", **{"content-length": "0"})) in {200, 400}
    for target in (
        "/metrics",
        "/readyz",
        "/join/x",
        "/api/v1/links/x",
        "/events/v1/pexip/x",
        "/policy/v1/../../metrics",
    ):
        assert status(site.ask(site.nodes, target)) == 404, target
    assert status(site.ask(site.nodes, question, source="127.0.0.2")) == 403


def test_callers_are_who_the_proxy_says_they_are(site: Site) -> None:
    """A stranger behind the proxy is in the log by their own address, whatever header they send."""
    site.ask(site.public, "/api/v1/links/x", source="127.0.0.3", **{"x-forwarded-for": "127.0.0.1"})
    eventually(lambda: "access.refused: 127.0.0.3 at the API" in site.server.err)

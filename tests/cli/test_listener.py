"""A listener with TLS: handshakes have their time and place, and what goes wrong is told with the address."""

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from policy_server.cli import listener
from policy_server.cli.server import Tls
from policy_server.web import places
from tests.cli.test_bounded import HEALTH, Running, received, running, status
from tests.waiting import eventually
from tests.web.test_reload import make_certificates


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Running, ssl.SSLContext]]:
    """A listener with https that has few places, and little patience, and who trusts it."""
    make_certificates(tmp_path)
    monkeypatch.setattr(listener, "HEAD_SECONDS", 2.0)
    monkeypatch.setattr(places, "MOST_CONNECTIONS", 16)
    tls = Tls(str(tmp_path / "server.pem"), str(tmp_path / "server.key"))
    with running(tmp_path, 1, tls) as server:
        yield server, ssl.create_default_context(cafile=tmp_path / "ca.pem")


def ask(server: Running, trusting: ssl.SSLContext) -> int:
    """The status of an answer over https."""
    with server.connect() as plain, trusting.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(HEALTH.replace(b"Host", b"Connection: close\r\nHost"))
        return status(received(client))


def test_silent_handshakes_keep_nobody_out(site: tuple[Running, ssl.SSLContext]) -> None:
    """Connections on which no TLS begins take places as others do, and end by themselves."""
    server, trusting = site
    with ExitStack() as stack:
        silent = [stack.enter_context(server.connect()) for _ in range(40)]
        assert ask(server, trusting) == 200
        for each in silent:
            assert received(each) == b""
    assert ask(server, trusting) == 200


def test_a_handshake_that_fails_is_told(site: tuple[Running, ssl.SSLContext], caplog: pytest.LogCaptureFixture) -> None:
    """A node that does not trust the certificate, and plain HTTP at the port of https, are in the log with the reason."""
    server, trusting = site
    with caplog.at_level(logging.INFO):
        with server.connect() as plain, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")
        server.exchange(HEALTH)
        for reason in ("unknown ca", "http request"):
            eventually(lambda reason=reason: reason in caplog.text.replace("_", " "))  # type: ignore[misc]
    assert "access.refused: 127.0.0.1 at the listener: no TLS (" in caplog.text
    assert ask(server, trusting) == 200


def test_a_client_that_goes_at_once_is_nothing_to_tell(
    site: tuple[Running, ssl.SSLContext], caplog: pytest.LogCaptureFixture
) -> None:
    """Load balancers look whether a port is open, and go."""
    server, trusting = site
    for _ in range(20):
        socket.create_connection(("127.0.0.1", server.ports[0])).close()
    assert ask(server, trusting) == 200
    assert "access.refused" not in caplog.text


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system does not look")
def test_a_client_that_takes_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection ends whose client has not read for a while, although the system would still take more to send."""
    monkeypatch.setattr(listener, "STALL_SECONDS", 0.3)
    with running(tmp_path, 1) as server, socket.socket() as client:
        # Too little for the answer, of which the rest waits in the system of the server.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.connect(("127.0.0.1", server.ports[0]))
        ends = f"0100007F:{server.ports[0]:04X} 0100007F:{client.getsockname()[1]:04X}"
        assert ends in Path("/proc/net/tcp").read_text()
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: policy.example.com\r\n\r\n")
        eventually(lambda: ends not in Path("/proc/net/tcp").read_text())

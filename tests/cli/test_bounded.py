"""Connections over real sockets: what is too large, too slow or no HTTP is refused, logged, and keeps nobody out."""

import logging
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from policy_server.app import create_app, utc_now
from policy_server.cli import bounded
from policy_server.cli.server import Config, Server, Tls
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.web import places
from tests.servers import SECRET_KEY, write_rules
from tests.waiting import eventually

pytestmark = pytest.mark.slow

RULES = """
service:
  - { id: room, when: { local_alias: meet }, service: { service_type: conference, name: meet, service_tag: t } }
"""
AUTHORIZATION = b"Authorization: Basic " + b64encode(b"pexip:password") + b"\r\n"
QUESTION = b"GET /policy/v1/service/configuration?local_alias=meet HTTP/1.1\r\nHost: x\r\n" + AUTHORIZATION + b"\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SOON = 5.0
"""Seconds within which a test must be over that waits for something to happen."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server with a listener for nodes and a public one, or with one for all."""

    ports: tuple[int, ...]

    def connect(self, which: int = 0) -> socket.socket:
        """A connection to one of the listeners."""
        return socket.create_connection(("127.0.0.1", self.ports[which]), timeout=SOON)

    def exchange(self, sent: bytes, which: int = 0) -> bytes:
        """All that comes back until the server closes."""
        with self.connect(which) as client:
            with suppress(ConnectionError):
                client.sendall(sent)
            return received(client)

    def answers(self) -> bool:
        """Whether a policy question gets its answer."""
        with self.connect() as client:
            client.sendall(QUESTION.replace(b"Host", b"Connection: close\r\nHost"))
            return b'"name":"meet"' in received(client)


def received(client: socket.socket) -> bytes:
    """What comes until the end."""
    chunks = []
    try:
        while chunk := client.recv(65536):
            chunks.append(chunk)
    except ConnectionError:
        pass
    return b"".join(chunks)


def status(answer: bytes) -> int:
    """The status of the first answer; 0 for none."""
    return int(answer.split(b" ", 2)[1]) if answer else 0


@contextmanager
def running(folder: Path, listeners: int, tls: Tls | None = None) -> Iterator[Running]:
    """Serves from a thread."""
    rules = write_rules(folder / "rules", RULES)
    settings = Settings(
        rules=rules,
        pexip=Credentials("pexip", "password"),
        events=Credentials("events", "password"),
        secret_key=SECRET_KEY,
        database_url=f"sqlite:///{folder}/policy.db",
    )
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(listeners)]
        ports = tuple(each.getsockname()[1] for each in sockets)
        server = Server(Config(create_app(settings, RuleStore(rules, utc_now, {})), 1, [tls] * listeners))
        thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
        thread.start()
        try:
            eventually(lambda: server.started)
            yield Running(ports)
        finally:
            server.should_exit = True
            thread.join(15)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with two listeners."""
    with running(tmp_path_factory.mktemp("two"), 2) as two:
        yield two


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the times of connections short."""
    for name, seconds in (("HEAD_SECONDS", 0.3), ("REST_SECONDS", 0.3), ("STALL_SECONDS", 0.5)):
        monkeypatch.setattr(bounded, name, seconds)


def headers(count: int, size: int = 1) -> bytes:
    """Headers of a request, each with a value of that size."""
    return b"".join(b"X-%d: %b\r\n" % (number, b"v" * size) for number in range(count))


@pytest.mark.parametrize("which", [0, 1], ids=["nodes", "public"])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /%b HTTP/1.1\r\n" % (b"a" * 16 * 1024), id="first line"),
        pytest.param(b"GET /healthz?%b" % (b"a" * 20_000), id="first line without end"),
        pytest.param(b"GET / HTTP/1.1\r\n" + headers(101) + b"\r\n", id="101 headers"),
        pytest.param(b"GET / HTTP/1.1\r\n" + headers(90, 800) + b"\r\n", id="headers of 70 KiB"),
        pytest.param(b"GET / HTTP/1.1\r\nX: %b\r\n\r\n" % (b"v" * 70_000), id="one header of 70 kB"),
        pytest.param(b"GET / HTTP/1.1\r\nX: %b" % (b"v" * 500_000), id="one header without end"),
        pytest.param(b"GET / HTTP/1.1\r\n%b: v\r\n" % (b"n" * 70_000), id="a name of 70 kB"),
        pytest.param(b"\r\n" * 200_000, id="empty lines without end"),
    ],
)
def test_too_large_a_head_is_431(server: Running, sent: bytes, which: int) -> None:
    """What is too large is refused before it is all there, and the connection ends."""
    answer = server.exchange(sent, which)
    assert status(answer) == 431
    assert b"connection: close\r\n" in answer
    assert b'"type":"urn:policy-server:problem:head-too-large"' in answer


def test_heads_at_the_limit_are_taken(server: Running) -> None:
    """A first line of 16 KiB and 100 headers of less than 64 KiB are no fault."""
    line = b"GET /healthz?%b HTTP/1.1" % (b"a" * (16 * 1024 - len(b"GET /healthz? HTTP/1.1")))
    assert len(line) == 16 * 1024
    sent = line + b"\r\nConnection: close\r\n" + headers(99, 600) + b"\r\n"
    assert status(server.exchange(sent)) == 200
    assert status(server.exchange(sent.replace(b" HTTP", b"a HTTP"))) == 431


def test_a_policy_question_that_is_too_long_gets_the_answer_of_the_settings(server: Running) -> None:
    """A stranger with a long name cannot have a node go without an answer, and so past POLICY_ON_FAILURE."""
    question = QUESTION.replace(b"?", b"?remote_display_name=%b&" % (b"a" * 20_000)).replace(
        b"Host", b"Connection: close\r\nHost"
    )
    assert b'"status":"failure"' in server.exchange(question)
    assert status(server.exchange(question, 1)) == 431


def test_a_stream_of_headers_takes_no_memory(server: Running) -> None:
    """What comes after the refusal is thrown away, and not for long."""
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        sent = 0
        try:
            while sent < 100 * 1024**2:
                sent += client.send(b"X-Header: %b\r\n" % (b"v" * 65_000))
        except ConnectionError:
            pass
    assert server.answers()


def test_trailers_have_the_limits_of_headers(server: Running) -> None:
    """After a body in chunks there can be headers again, with the same end."""
    start = b"POST /events/v1/pexip HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    start += b"Authorization: Basic " + b64encode(b"events:password") + b"\r\n\r\n2\r\n{}\r\n0\r\n"
    for trailers in (headers(120), b"X: " + b"v" * 200_000):
        with server.connect() as client:
            client.sendall(start + trailers)
            assert status(received(client)) == 431


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        pytest.param(b"", 0, id="silence"),
        pytest.param(b"GET / HT", 408, id="half a line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n", 408, id="half a head"),
        pytest.param(b"\r\n", 408, id="an empty line"),
        pytest.param(HEALTH + b"GET /", 408, id="half a line after a request"),
    ],
)
def test_too_slow_a_head_is_408(tmp_path: Path, sent: bytes, answered: int) -> None:
    """Who does not finish a request in time is let go; who never began one without a word."""
    with running(tmp_path, 1) as one:
        answer = one.exchange(sent)
        if sent.startswith(HEALTH):
            assert status(answer) == 200
            answer = answer[answer.index(b"HTTP/1.1 ", 1) :]
        assert status(answer) == answered
        if answered == 408:
            assert b'"type":"urn:policy-server:problem:too-slow"' in answer


@pytest.mark.usefixtures("hurried")
def test_one_byte_now_and_then_does_not_count_as_a_request(tmp_path: Path) -> None:
    """A head that drips in has no longer than any other."""
    with running(tmp_path, 1) as one, one.connect() as client:
        begun, dripping = time.monotonic(), threading.Event()

        def drip() -> None:
            client.sendall(b"GET / HTTP/1.1\r\nX: ")
            while not dripping.wait(0.05):
                try:
                    client.sendall(b"a")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        assert status(received(client)) == 408
        dripping.set()
        thread.join()
        assert time.monotonic() - begun < SOON


@pytest.mark.usefixtures("hurried")
def test_a_body_that_nobody_reads_does_not_hold_a_connection(tmp_path: Path) -> None:
    """After the answer the rest of a body has some seconds, however steadily it comes."""
    head = b"POST /api/v1/links HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    with running(tmp_path, 1) as one, one.connect() as client:
        client.sendall(head)
        assert b" 401 " in client.recv(4096)
        client.settimeout(0.05)

        def is_closed() -> bool:
            try:
                client.sendall(b"a")
                return not client.recv(10)
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        eventually(is_closed, SOON)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS at a port without"),
        pytest.param(b"HELLO WORLD\r\n\r\n", id="no HTTP"),
        pytest.param(b"GET /\xff HTTP/1.1\r\n\r\n", id="bytes in the path"),
        pytest.param(b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", id="a proxy is looked for"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", id="no length"),
    ],
)
def test_what_is_no_request_is_400(server: Running, sent: bytes) -> None:
    """What is no HTTP gets a problem as everything else does."""
    answer = server.exchange(sent, 1)
    assert status(answer) == 400
    assert b"application/problem+json" in answer


def test_strangers_write_ten_lines_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each refused connection is told with address and listener, so many a minute, and none in words of a library."""
    with caplog.at_level(logging.INFO), running(tmp_path, 2) as two:
        for _ in range(30):
            two.exchange(b"HELLO\r\n\r\n", 1)
        two.exchange(b"GET / HTTP/1.1\r\n" + headers(101) + b"\r\n", 0)
        two.exchange(b"GET / HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n", 1)
        eventually(lambda: any("nodes" in message for message in caplog.messages))
    refused = [message for message in caplog.messages if message.startswith("access.refused")]
    public = "access.refused: 127.0.0.1 at the public listener: this is not a request of HTTP/1.1"
    assert refused.count(public) == 10
    assert any(
        line.startswith("access.refused: 127.0.0.1 at the nodes' listener: a request has 16 KiB") for line in refused
    )
    assert len(refused) == 11
    assert not any("Unsupported upgrade" in each or "Invalid HTTP" in each for each in caplog.messages)


def test_many_requests_at_once_are_not_kept(server: Running) -> None:
    """Thousands of requests in one go are not all stored beside the one that is answered."""
    with server.connect() as client:
        client.sendall(QUESTION + HEALTH * 2000)
        assert received(client).count(b"HTTP/1.1 200") < 100
    assert server.answers()


def test_a_few_pipelined_requests_are_answered_in_order(server: Running) -> None:
    """A client may send some requests before it reads."""
    last = HEALTH.replace(b"Host", b"Connection: close\r\nHost")
    assert server.exchange(HEALTH * 4 + last).count(b"HTTP/1.1 200") == 5


@pytest.mark.parametrize("listeners", [1, 2])
def test_silent_connections_keep_nobody_out(tmp_path: Path, listeners: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more silent connections than there are places, from the node's own address, and every question is answered."""
    monkeypatch.setattr(places, "MOST_CONNECTIONS", 64)
    with running(tmp_path, listeners) as server, ExitStack() as stack:
        for number in range(200):
            stack.enter_context(server.connect(listeners - 1))
            if number % 10 == 0:
                assert server.answers()
        assert server.answers()


def test_each_listener_has_its_part(server: Running) -> None:
    """Nodes ask at one port, customers come to the other."""
    closing = b" HTTP/1.1\r\nConnection: close\r\nHost: x\r\n\r\n"
    for path, there in (("healthz", 0), ("readyz", 0), ("metrics", 0), ("join/x", 1), ("api/v1/links/x", 1)):
        answers = [server.exchange(b"GET /" + path.encode() + closing, which) for which in (0, 1)]
        assert b'"title":"There is nothing here"' in answers[1 - there]
        assert b'"title":"There is nothing here"' not in answers[there]

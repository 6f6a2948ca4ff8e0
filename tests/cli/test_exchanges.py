"""What a request and its response look like on the wire, whatever the application does."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from policy_server.cli.bounded import BoundedConnection
from policy_server.pexip.request_types import ROOT
from policy_server.web.callers import Proxies
from policy_server.web.doors import Doors
from policy_server.web.places import Places
from policy_server.web.refusals import Door, Refusals

SAFE = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n"
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Wire(asyncio.Transport):
    """A transport that keeps what is written, each write by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keeps it."""
        self.written.append(bytes(data))

    def close(self) -> None:
        """Remembers that it was closed."""
        self.is_closed = True

    def abort(self) -> None:
        """No other way to close it."""
        self.is_closed = True

    def can_write_eof(self) -> bool:
        """Whether one direction can be closed alone."""
        return False

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.is_closed

    def pause_reading(self) -> None:
        """Whoever feeds the connection does not ask."""

    def resume_reading(self) -> None:
        """Neither."""


def connected(app: App) -> tuple[BoundedConnection, Wire]:
    """A connection to an application that answers policy questions too, and its wire."""
    places = Places(10)
    place = places.take("127.0.0.1")
    assert place is not None
    doors = Doors(app, app, "", Proxies(), Refusals(Door.LISTENER))
    connection, wire = BoundedConnection(ServerState(), ("127.0.0.1", 50_000), doors, place), Wire()
    connection.connection_made(wire)
    return connection, wire


async def settled(connection: BoundedConnection) -> None:
    """Waits until everything is answered."""
    while tasks := tuple(connection.state.tasks):
        await asyncio.wait(tasks)


def exchanged(app: App, *sent: bytes) -> Wire:
    """The wire after all that was sent has had its effect."""

    async def exchange() -> Wire:
        connection, wire = connected(app)
        for data in sent:
            connection.data_received(data)
            await asyncio.sleep(0)
        await settled(connection)
        connection.connection_lost(None)
        return wire

    return asyncio.run(exchange())


def answering(*messages: Message) -> App:
    """An application that sends some messages."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    return app


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> Message:
    """The beginning of a response."""
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    """A piece of its body."""
    return {"type": "http.response.body", "body": data, "more_body": more}


SMALL = answering(start(200, (b"content-length", b"2")), body(b"{}"))
STREAM = answering(start(), body(b"one", more=True), body(b"", more=True), body(b"two"))
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = OK + b"content-length: 2\r\n" + SAFE


def get(line: bytes = b"GET / HTTP/1.1", *headers: bytes) -> bytes:
    """A request."""
    return b"\r\n".join((line, b"host: policy.example.com", *headers, b"", b""))


@pytest.mark.parametrize(
    ("app", "request_bytes", "written", "is_closed"),
    [
        pytest.param(SMALL, get(), [LENGTH + b"\r\n{}"], False, id="small"),
        pytest.param(SMALL, get(b"HEAD / HTTP/1.1"), [LENGTH + b"\r\n"], False, id="HEAD"),
        pytest.param(
            SMALL, get(b"GET / HTTP/1.0"), [LENGTH + b"connection: close\r\n\r\n{}"], True, id="HTTP/1.0 closes"
        ),
        pytest.param(
            SMALL,
            get(b"GET / HTTP/1.1", b"connection: close"),
            [LENGTH + b"connection: close\r\n\r\n{}"],
            True,
            id="the client wants to close",
        ),
        pytest.param(
            answering(start(200, (b"content-length", b"2"), (b"connection", b"close")), body(b"{}")),
            get(),
            [LENGTH + b"connection: close\r\n\r\n{}"],
            True,
            id="the application wants to close",
        ),
        pytest.param(
            STREAM,
            get(),
            [
                OK + SAFE + b"transfer-encoding: chunked\r\n\r\n",
                b"3\r\none\r\n",
                b"3\r\ntwo\r\n0\r\n\r\n",
            ],
            False,
            id="no length",
        ),
        pytest.param(
            STREAM,
            get(b"GET / HTTP/1.0"),
            [OK + SAFE + b"connection: close\r\n\r\n", b"one", b"two"],
            True,
            id="no length for HTTP/1.0",
        ),
        pytest.param(
            answering(start(204), body()),
            get(),
            [b"HTTP/1.1 204 No Content\r\n" + SAFE + b"\r\n"],
            False,
            id="no body",
        ),
    ],
)
def test_responses_on_the_wire(app: App, request_bytes: bytes, written: list[bytes], is_closed: bool) -> None:
    """A client can tell where a response ends, and a response of known length leaves in one piece."""
    wire = exchanged(app, request_bytes)
    assert (wire.written, wire.is_closed) == (written, is_closed)


FAILED = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


async def _fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("a fault of the application")


@pytest.mark.parametrize(
    ("app", "written"),
    [
        pytest.param(_fails, [FAILED], id="an error"),
        pytest.param(answering(), [FAILED], id="nothing"),
        pytest.param(answering(start(200, (b"content-length", b"2"))), [FAILED], id="no body"),
        pytest.param(answering(start(200, (b"content-length", b"1")), body(b"{}")), [FAILED], id="too long a body"),
        pytest.param(answering(start(200, (b"content-length", b"3")), body(b"{}")), [FAILED], id="too short a body"),
        pytest.param(answering(body(b"{}")), [FAILED], id="a body without a beginning"),
        pytest.param(
            answering(start(), start()), [OK + SAFE + b"transfer-encoding: chunked\r\n\r\n"], id="two beginnings"
        ),
        pytest.param(
            answering(start(200, (b"location", b"/\r\nset-cookie: a=b"), (b"content-length", b"0")), body()),
            [FAILED],
            id="a header that holds another",
        ),
    ],
)
def test_what_is_no_response_is_500_or_ends_the_connection(app: App, written: list[bytes]) -> None:
    """Nobody waits for what does not come, and a header cannot smuggle in another."""
    wire = exchanged(app, get())
    assert (wire.written, wire.is_closed) == (written, True)


async def _echoes(scope: Scope, receive: Receive, send: Send) -> None:
    whole, more = b"", True
    while more:
        message = await receive()
        whole += message["body"]
        more = message["more_body"]
    await send(start(200, (b"content-length", b"%d" % len(whole))))
    await send(body(whole))


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param((get(b"POST / HTTP/1.1", b"content-length: 2") + b"ab",), id="at once"),
        pytest.param((get(b"POST / HTTP/1.1", b"content-length: 2") + b"a", b"b"), id="in pieces"),
        pytest.param(
            (get(b"POST / HTTP/1.1", b"transfer-encoding: chunked") + b"1\r\na\r\n", b"1\r\nb\r\n0\r\n\r\n"),
            id="in chunks",
        ),
    ],
)
def test_a_body_reaches_the_application(sent: tuple[bytes, ...]) -> None:
    """However it comes."""
    assert exchanged(_echoes, *sent).written == [LENGTH + b"\r\nab"]


@given(st.text(alphabet="/?#%&=:@.;*ab\t\f\x80\xff", max_size=12).map(lambda rest: b"/" + rest.encode("latin-1")))
@example(b"/a?b=c?d#e?f")
@example(b"//a/b?c")
@example(b"http://policy.example.com/a?b#c")
@example(b"http://policy.example.com")
@example(b"*")
def test_path_and_query_are_those_of_the_target(target: bytes) -> None:
    """As a parser of URLs has them, whatever a client writes."""
    seen: list[tuple[bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["raw_path"], scope["query_string"]))
        await SMALL(scope, receive, send)

    exchanged(app, get(b"GET " + target + b" HTTP/1.1"))
    if seen:
        url = httptools.parse_url(target)
        assert seen == [(url.path, url.query or b"")]


def test_trailers_are_no_headers() -> None:
    """What comes after the body says nothing of who asks."""
    seen: list[list[tuple[bytes, bytes]]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _echoes(scope, receive, send)
        seen.append(scope["headers"])

    chunked = get(b"POST / HTTP/1.1", b"transfer-encoding: chunked") + b"2\r\nab\r\n0\r\nauthorization: me\r\n\r\n"
    assert exchanged(app, chunked).written == [LENGTH + b"\r\nab"]
    assert [[name for name, _ in headers] for headers in seen] == [[b"host", b"transfer-encoding"]]


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    """A body is asked for when the application wants it, and not before."""
    sent = get(b"POST / HTTP/1.1", b"content-length: 2", b"expect: 100-continue")
    assert exchanged(_echoes, sent, b"ab").written == [b"HTTP/1.1 100 Continue\r\n\r\n", LENGTH + b"\r\nab"]
    assert exchanged(SMALL, sent).written == [LENGTH + b"\r\n{}"]

    async def looks_later(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await receive()
        await send(body(b"one"))

    streamed = [OK + SAFE + b"transfer-encoding: chunked\r\n\r\n", b"3\r\none\r\n0\r\n\r\n"]
    assert exchanged(looks_later, sent, b"ab").written == streamed, "nobody goes on in the middle of a response"


def test_an_application_is_told_that_its_client_has_gone() -> None:
    """While it waits for more, and after the answer."""
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        told.append((await receive())["type"])
        await send(start())

    async def goes() -> list[bytes]:
        connection, wire = connected(app)
        connection.data_received(get())
        await asyncio.sleep(0)
        connection.connection_lost(None)
        await settled(connection)
        return wire.written

    assert asyncio.run(goes()) == []
    assert told == ["http.disconnect"]


@pytest.mark.parametrize("waits", [0, 1, 3])
@pytest.mark.parametrize("path", [ROOT + b"service/configuration", b"/healthz"], ids=["question", "other"])
def test_answers_come_in_the_order_of_the_requests(path: bytes, waits: int) -> None:
    """Whether an answer has to wait for something or not, those behind it wait for it."""
    begun: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["query_string"])
        for _ in range(waits if scope["query_string"] == b"1" else 0):
            await asyncio.sleep(0)
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.001 if waits == 3 else 0)
        data = scope["query_string"]
        await send(start(200, (b"content-length", b"%d" % len(data))))
        await send(body(data))

    requests = [get(b"GET %b?%d HTTP/1.1" % (path, number)) for number in range(1, 6)]
    wire = exchanged(app, b"".join(requests[:3]), b"".join(requests[3:]))
    assert [data[-1:] for data in wire.written] == begun == [b"1", b"2", b"3", b"4", b"5"]


def test_a_question_that_needs_no_wait_is_answered_where_it_is_read() -> None:
    """It costs no task and no round of the event loop; anything else gets a task."""

    async def read() -> tuple[int, int]:
        lengths = []
        for path in (ROOT + b"service/configuration", b"/healthz"):
            connection, wire = connected(SMALL)
            connection.data_received(get(b"GET %b HTTP/1.1" % path))
            lengths.append(len(wire.written))
            await settled(connection)
            connection.connection_lost(None)
        return lengths[0], lengths[1]

    assert asyncio.run(read()) == (1, 0)


def test_a_question_that_is_given_up_ends_as_others_do() -> None:
    """What runs without a task at first is cancelled like a task once it waits."""
    ended: list[type[BaseException]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError as error:
            ended.append(type(error))
            raise

    async def cancels() -> None:
        connection, _ = connected(app)
        connection.data_received(get(b"GET %bregistrations HTTP/1.1" % ROOT))
        (task,) = connection.state.tasks
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        connection.connection_lost(None)

    asyncio.run(cancels())
    assert ended == [asyncio.CancelledError]


@pytest.mark.parametrize("path", [ROOT + b"registrations", b"/healthz"], ids=["question", "other"])
def test_a_connection_that_is_over_leaves_nothing_behind(path: bytes) -> None:
    """Its memory is free at once, and not when garbage is looked for next: thousands may come and go in a second."""

    async def comes_and_goes() -> weakref.ref[BoundedConnection]:
        connection, _ = connected(SMALL)
        connection.data_received(get(b"GET %b HTTP/1.1" % path))
        await settled(connection)
        connection.connection_lost(None)
        return weakref.ref(connection)

    gc.disable()
    try:
        assert asyncio.run(comes_and_goes())() is None
    finally:
        gc.enable()


def test_an_answer_costs_one_round_of_the_loop() -> None:
    """When it is out nobody waits for its task any more: the loop does not go round for that alone."""

    async def exchange() -> None:
        connection, wire = connected(SMALL)
        connection.data_received(get())
        await asyncio.sleep(0)
        assert (len(wire.written), connection.state.tasks) == (1, set())
        connection.connection_lost(None)

    asyncio.run(exchange())

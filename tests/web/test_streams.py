"""Server-Sent Events: what a stream tells, when it ends, and that nothing of it stays behind."""

import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import httpx
import pytest
import uvicorn
from starlette.types import Message

from policy_server.conferences.records import Door
from policy_server.simulator.genesys import DIVISION, User
from policy_server.web import streams as streams_module
from policy_server.web.problem import TYPE_ROOT
from tests.conferences import event_histories as told
from tests.genesys.asking import CONVERSATION, OTHER_TOKEN, TOKEN, Genesys, tenant
from tests.rule_sets import NOON
from tests.servers import basic
from tests.waiting import until
from tests.web.calls import (
    AGENT_KEY,
    BEGIN,
    CALL_ID,
    GUEST_PIN,
    HOST_PIN,
    ORIGIN,
    SINK_PASSWORD,
    SINK_USER,
    Desk,
    a_pin,
    bulk,
    customer,
    on_the_phone,
    started,
    trunk,
)

OLD_SESSION = "0f" * 16


@pytest.fixture
def desk(genesys: Genesys, tmp_path: Path) -> Iterator[Desk]:
    """Agents' endpoints on an empty database."""
    with a_desk(genesys, tmp_path) as started_desk:
        yield started_desk


def a_desk(genesys: Genesys, folder: Path, **options: Any) -> Desk:
    """A desk whose events follow each other closely."""
    return Desk(folder, tenant(genesys.url), **{"pause_seconds": 0.001, **options})


class Told(NamedTuple):
    """One event of a stream, or a comment."""

    event: str
    id: int | None
    data: Any

    @property
    def kind(self) -> str:
        """The end of the type of the problem that an ``end`` holds."""
        return str(self.data["type"]).removeprefix(TYPE_ROOT)


def parse_block(block: str) -> Told | None:
    """What one block of lines says; ``None`` for one that only sets how long to wait."""
    if block.startswith(":"):
        return Told("comment", None, block[1:].strip())
    fields = dict(line.split(": ", 1) for line in block.splitlines() if line)
    if "data" not in fields:
        return None
    number = fields.get("id")
    return Told(fields["event"], None if number is None else int(number), json.loads(fields["data"]))


class Stream:
    """A stream to a browser that reads all that comes; use it in ``async with``, which ends with the browser's going."""

    def __init__(
        self, desk: Desk, alias: str = CALL_ID, *, token: str = TOKEN, query: str = "", **headers: str
    ) -> None:
        given = {"authorization": f"Bearer {token}", **{name.replace("_", "-"): headers[name] for name in headers}}
        path = f"/agent/v1/conferences/{alias}/events"
        self._scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        self._app = desk.app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self.start: Message = {}
        self.last: Told | None = None

    async def __aenter__(self) -> Self:
        self._to_app.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self.task = asyncio.create_task(self._run())
        self.start = await self._from_app.get()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()
        with suppress(asyncio.CancelledError):
            await self.task

    async def _run(self) -> None:
        async def send(message: Message) -> None:
            await self._from_app.put(message)

        await self._app(self._scope, self._to_app.get, send)

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self.start["status"])

    def leave(self) -> None:
        """The browser goes away."""
        self._to_app.put_nowait({"type": "http.disconnect"})

    async def next(self) -> Told:
        """What comes next, comments included."""
        while True:
            message = await self._from_app.get()
            if (found := parse_block(message["body"].decode())) is not None:
                self.last = self.last if found.id is None else found
                return found

    async def event(self) -> Told:
        """The next event."""
        while (found := await self.next()).event == "comment":
            pass
        return found

    async def rest(self, desk: Desk) -> Told:
        """The last event: reads until all that is written has been told, after which nothing more comes."""
        await desk.written()
        found = await desk.lookup.look_up(desk.lookup.subject_of(CALL_ID))
        assert found is not None
        while self.last is None or self.last.id != found.number:
            await self.event()
        return self.last

    async def until(self, wanted: Callable[[Any], bool]) -> Told:
        """The first conference that is as wanted."""
        while not wanted((found := await self.event()).data):
            pass
        return found

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came that was not read."""
        return self._from_app.empty()

    async def body(self) -> Any:
        """The JSON of an answer that is no stream."""
        return json.loads((await self._from_app.get())["body"])


async def post(desk: Desk, *events: Any) -> None:
    """Sends messages to the event sink."""
    headers = {"Authorization": basic(SINK_USER, SINK_PASSWORD)}
    response = await desk.client.post("/events/v1/pexip", content=json.dumps(bulk(events)), headers=headers)
    assert response.status_code == 200, response.text


def is_active(answer: Any) -> bool:
    """Whether somebody is in the conference."""
    return bool(answer["state"] == "active")


# ------------------------------------------------------------------ what it tells


def test_first_the_whole_conference(desk: Desk) -> None:
    """The stream begins with the answer of the lookup under its change number, not to be kept or held back by anyone."""
    desk.store_link()

    async def scenario() -> None:
        async with Stream(desk) as stream:
            assert stream.status == 200
            headers = dict(stream.start["headers"])
            assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
            assert headers[b"cache-control"] == b"no-store"
            assert headers[b"x-accel-buffering"] == b"no"
            first = await stream.event()
            assert first.event == "conference"
            assert first.data["join"]["pin"] == HOST_PIN
            assert first.data["state"] == "waiting"
            assert first.data["customer"]["name"] == "Ada L"
            last = await stream.rest(desk)
            found = await desk.lookup.look_up(desk.lookup.subject_of(CALL_ID))
            assert found is not None
            assert (last.id, last.data) == (found.number, found.answer)

    desk.run(scenario())


def test_each_change_is_told(desk: Desk) -> None:
    """Whatever changes the conference sends it again under another number: the room, its events, the link, a note."""
    desk.store_link()

    async def scenario() -> None:
        async with Stream(desk) as stream:
            numbers = [(await stream.event()).id]
            await desk.store.hold(a_pin(doors={"agent": Door({"pin": "4711"})}))
            numbers.append((await stream.until(lambda answer: answer["join"]["pin"] == "4711")).id)
            await post(desk, started(), customer())
            numbers.append((await stream.until(is_active)).id)
            await desk.store.revoke_link(CALL_ID, NOON)
            numbers.append((await stream.until(lambda answer: answer["revoked_at"] is not None)).id)
            desk.conferences.note(CALL_ID, "anything", {}, NOON)
            numbers.append((await stream.until(lambda answer: "anything" in map(kind_of, answer["timeline"]))).id)
            assert len(set(numbers)) == 5

    def kind_of(line: Any) -> Any:
        return line["kind"]

    desk.run(scenario())


def test_a_room_of_another_name(desk: Desk) -> None:
    """When the call gets a room whose name is not the call id, the room's events are told from then on."""
    room = "a room of another name"
    desk.store_link()

    async def scenario() -> None:
        async with Stream(desk) as stream:
            assert (await stream.event()).data["name"] == CALL_ID
            await desk.store.hold(a_pin(name=room, service={**a_pin().service, "name": room}))
            await stream.until(lambda answer: answer["name"] == room)
            await post(desk, started(room=room), told.joined("somebody", BEGIN + 5, conference=room))
            assert (await stream.until(is_active)).data["name"] == room

    desk.run(scenario())


def test_changes_that_follow_each_other_come_together(genesys: Genesys, tmp_path: Path) -> None:
    """However fast fifty changes follow each other, there is one event per pause, and the last of them tells of all."""
    with a_desk(genesys, tmp_path, pause_seconds=0.5) as desk:
        desk.store_hold()

        async def scenario() -> None:
            async with Stream(desk) as stream:
                await stream.event()
                begun, count = time.monotonic(), 1
                for number in range(50):
                    await post(desk, customer(2 + number, uuid=f"p{number}"))
                while len((await stream.event()).data["participants"]) < 50:
                    count += 1
                assert count <= 1 + (time.monotonic() - begun) / 0.5

        desk.run(scenario())


def test_a_quiet_stream_is_kept_alive(genesys: Genesys, tmp_path: Path) -> None:
    """Without changes a comment comes now and then, and no event."""
    with a_desk(genesys, tmp_path, keep_alive_seconds=0.05) as desk:

        async def scenario() -> None:
            async with Stream(desk) as stream:
                await stream.rest(desk)
                assert [(await stream.next()) for _ in range(3)] == [Told("comment", None, "keep-alive")] * 3

        desk.run(scenario())


def test_a_lost_notice_is_made_up_for(genesys: Genesys, tmp_path: Path) -> None:
    """A change that nobody announced is told at the next sign of life."""
    with a_desk(genesys, tmp_path, keep_alive_seconds=0.05) as desk:

        async def scenario() -> None:
            async with Stream(desk) as stream:
                await stream.rest(desk)
                desk.store.is_silent = True
                await desk.store.hold(a_pin())
                await post(desk, started(), customer())
                await stream.until(is_active)

        desk.run(scenario())


def test_a_client_that_has_seen_it_is_not_told_again(desk: Desk) -> None:
    """With the current number as Last-Event-ID the first thing told is the next change."""
    desk.store_hold()

    async def scenario() -> None:
        async with Stream(desk) as first:
            last = await first.rest(desk)
        desk.store.asked.clear()
        async with Stream(desk, last_event_id=str(last.id)) as stream:
            await until(lambda: desk.conferences.subscriptions.has(CALL_ID))
            await post(desk, started(), customer())
            assert is_active((await stream.event()).data)

    desk.run(scenario())


@pytest.mark.parametrize("last", ["0", "999999", "", "abc", "-1", "1e3", "9" * 30])
def test_a_client_that_has_seen_something_else(desk: Desk, last: str) -> None:
    """Any other Last-Event-ID, or none that makes sense, begins with the whole conference."""

    async def scenario() -> None:
        async with Stream(desk, last_event_id=last) as stream:
            assert (await stream.event()).data["call"] == CALL_ID

    desk.run(scenario())


def test_a_stream_is_one_lookup(desk: Desk) -> None:
    """Opening a stream is on the timeline once, however many changes it tells."""
    desk.store_hold()

    async def scenario() -> None:
        async with Stream(desk) as stream:
            await post(desk, started())
            await stream.until(lambda answer: answer["started_at"] is not None)
            await post(desk, customer())
            await stream.until(is_active)

    desk.run(scenario())
    assert len(desk.noted("agent.looked_up")) == 1


def test_the_database_is_away_for_a_while(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream outlasts a database that is away, and tells then what it missed."""
    monkeypatch.setattr(streams_module, "RETRY_SECONDS", 0.01)
    desk.store_hold()

    async def scenario() -> None:
        async with Stream(desk) as stream:
            await stream.event()
            desk.store.away = {"events"}
            await post(desk, started(), customer())
            # As after a loss of all that is kept.
            desk.conferences.running.forget_all()
            desk.conferences.subscriptions.tell([CALL_ID])
            desk.store.asked.clear()
            await until(lambda: desk.store.asked.count("events") >= 3)
            desk.store.away.clear()
            await stream.until(is_active)

    desk.run(scenario())


# ------------------------------------------------------------------ who may ask


@pytest.mark.parametrize(
    ("alias", "token", "query", "status", "kind"),
    [
        (CALL_ID, "wrong", "", 401, "unauthorized"),
        (CALL_ID, "", "", 401, "unauthorized"),
        (CALL_ID, OTHER_TOKEN, "", 403, "forbidden"),
        (CALL_ID, TOKEN, f"conversation={CONVERSATION}", 403, "not-bound"),
        (CALL_ID, TOKEN, "conversation=x", 400, "invalid-conversation"),
        ("meet.alice", TOKEN, "", 404, "unknown-conference"),
        ("meet.alice", "wrong", "", 401, "unauthorized"),
    ],
)
def test_refusals_come_before_the_stream(
    desk: Desk, genesys: Genesys, alias: str, token: str, query: str, status: int, kind: str
) -> None:
    """What the lookup refuses is refused here alike, as a problem and not as a stream; nothing stays open."""
    genesys.stand_in.users[OTHER_TOKEN] = User(organization_id=DIVISION)

    async def scenario() -> None:
        async with Stream(desk, alias, token=token, query=query) as stream:
            assert stream.status == status
            assert (await stream.body())["type"] == TYPE_ROOT + kind
        assert desk.streams.count == 0

    desk.run(scenario())


def test_the_token_is_not_taken_from_the_address(desk: Desk) -> None:
    """A token in the query is none."""

    async def scenario() -> None:
        async with Stream(desk, token="", query=f"token={TOKEN}&access_token={TOKEN}") as stream:
            assert stream.status == 401

    desk.run(scenario())


def test_without_a_database_there_is_no_stream(desk: Desk) -> None:
    """503 when the first reading fails."""
    desk.store.away = {"events"}

    async def scenario() -> None:
        async with Stream(desk) as stream:
            assert stream.status == 503
            assert dict(stream.start["headers"])[b"retry-after"]
        assert desk.streams.count == 0

    desk.run(scenario())


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE"])
def test_only_get(desk: Desk, method: str) -> None:
    """Other methods are 405; HEAD, too, because it would never end."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    response = desk.request(method, f"/agent/v1/conferences/{CALL_ID}/events", headers=headers)
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


def test_an_agent_has_so_many_streams(genesys: Genesys, tmp_path: Path) -> None:
    """One more than the limit is 429, whatever conference it is about; other agents and streams that ended count not."""
    genesys.stand_in.users[OTHER_TOKEN] = User("Joe")
    with a_desk(genesys, tmp_path, limit=2) as desk:

        async def scenario() -> None:
            async with Stream(desk) as first, Stream(desk):
                async with Stream(desk, f"hcp{AGENT_KEY}") as third:
                    assert third.status == 429
                    assert (await third.body())["type"] == TYPE_ROOT + "too-many-streams"
                async with Stream(desk, token=OTHER_TOKEN) as another:
                    assert another.status == 200
                    assert desk.streams.count == 3
                first.leave()
                await first.task
                async with Stream(desk) as third:
                    assert third.status == 200
            assert desk.streams.count == 0

        desk.run(scenario())


# ------------------------------------------------------------------ how it ends


async def frees_everything(desk: Desk, end: Callable[[Stream], Awaitable[None]]) -> None:
    """Opens a stream, ends it, and checks that tasks, subscriptions and counts are as before."""
    before = asyncio.all_tasks()
    stream = Stream(desk)
    await stream.__aenter__()
    await stream.event()
    assert desk.streams.count == 1
    assert desk.conferences.subscriptions.keys
    await end(stream)
    with suppress(asyncio.CancelledError, ZeroDivisionError):
        await stream.task
    assert desk.streams.count == 0
    assert not desk.streams._open
    assert desk.conferences.subscriptions.keys == ()
    await until(lambda: asyncio.all_tasks() <= before)


def test_a_browser_that_goes_away_frees_everything(desk: Desk) -> None:
    """When the browser goes while there is nothing to send, task, subscription and count go at once, without a word."""

    async def leave(stream: Stream) -> None:
        await stream.rest(desk)
        stream.leave()
        await stream.task
        assert stream.is_quiet

    desk.run(frees_everything(desk, leave))


def test_a_stream_that_the_server_gives_up_frees_everything(desk: Desk) -> None:
    """A request that is cancelled leaves nothing."""

    async def cancel(stream: Stream) -> None:
        stream.task.cancel()

    desk.run(frees_everything(desk, cancel))


def test_a_fault_of_ours_frees_everything(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while reading ends the stream as an error, and leaves nothing."""

    async def broken(_: object) -> None:
        raise ZeroDivisionError

    async def fail(stream: Stream) -> None:
        monkeypatch.setattr(desk.lookup, "look_up", broken)
        await post(desk, started())
        with pytest.raises(ZeroDivisionError):
            await stream.task

    desk.run(frees_everything(desk, fail))


def test_a_browser_that_reads_nothing_frees_everything(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes nothing any more loses its stream."""
    monkeypatch.setattr(streams_module, "STALLED_SECONDS", 0.05)

    async def stall(stream: Stream) -> None:
        stream._from_app = asyncio.Queue(1)
        number = 0
        while not stream.task.done():
            number += 1
            await post(desk, customer(number))
        await stream.task

    desk.run(frees_everything(desk, stall))


def test_the_server_stops(desk: Desk) -> None:
    """Closing ends each stream with a reason and properly, and begins no other."""

    async def close(stream: Stream) -> None:
        desk.streams.close()
        end = await _end_of(stream)
        assert end.kind == "stopping"
        await stream.task
        async with Stream(desk) as another:
            assert another.status == 503

    desk.run(frees_everything(desk, close))


async def _end_of(stream: Stream) -> Told:
    """The event ``end``, which is the last thing that comes."""
    while True:
        message = await stream._from_app.get()
        found = parse_block(message["body"].decode())
        if found is not None and found.event == "end":
            assert message["more_body"] is False
            await stream.task
            assert stream.is_quiet
            return found


def log_out(genesys: Genesys) -> None:
    """The agent's token ends."""
    genesys.stand_in.users.clear()


def hang_up(genesys: Genesys) -> None:
    """The agent leaves the conversation."""
    genesys.stand_in.conversations[CONVERSATION] = on_the_phone(state="disconnected")


def go_away(genesys: Genesys) -> None:
    """Genesys answers nobody."""
    genesys.stand_in.trouble(status=503)


@pytest.mark.parametrize(
    ("happens", "status", "kind"),
    [(log_out, 401, "unauthorized"), (hang_up, 403, "not-bound"), (go_away, 503, "genesys-unavailable")],
)
def test_an_agent_who_may_no_longer_ask(
    genesys: Genesys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[Genesys], None],
    status: int,
    kind: str,
) -> None:
    """The agent is looked at again while the stream lasts; it ends with the reason, quiet or not."""
    monkeypatch.setattr("policy_server.genesys.client.SHORT_CACHE_SECONDS", 0.01)
    genesys.stand_in.conversations[CONVERSATION] = on_the_phone()
    options = {"check_seconds": 0.05, "client": {"cache_seconds": 0.02}}
    with a_desk(genesys, tmp_path, **options) as desk:

        async def scenario() -> None:
            async with Stream(desk, query=f"conversation={CONVERSATION}") as stream:
                await stream.event()
                happens(genesys)
                end = await _end_of(stream)
                assert (end.data["status"], end.kind) == (status, kind)
            assert desk.streams.count == 0

        desk.run(scenario())


def test_an_agent_who_still_may(genesys: Genesys, tmp_path: Path) -> None:
    """Looking again changes nothing for an agent whose token is good, and costs nothing while it is remembered."""
    with a_desk(genesys, tmp_path, check_seconds=0.01, keep_alive_seconds=0.02) as desk:

        async def scenario() -> None:
            async with Stream(desk) as stream:
                while (await stream.next()).event != "comment":
                    pass
                for _ in range(5):
                    assert (await stream.next()).event in {"comment", "conference"}

        desk.run(scenario())
    assert len(genesys.paths) == 1


def test_the_conversation_is_not_asked_about_at_every_sign_of_life(
    genesys: Genesys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Genesys forgets nothing so fast that a stream would have to ask before its time."""
    monkeypatch.setattr("policy_server.genesys.client.SHORT_CACHE_SECONDS", 0.0)
    genesys.stand_in.conversations[CONVERSATION] = on_the_phone()
    with a_desk(genesys, tmp_path, check_seconds=60.0, keep_alive_seconds=0.02) as desk:

        async def scenario() -> None:
            async with Stream(desk, query=f"conversation={CONVERSATION}") as stream:
                for _ in range(5):
                    while (await stream.next()).event != "comment":
                        pass

        desk.run(scenario())
    assert len([path for path in genesys.paths if "conversations" in path]) == 1


def test_a_conference_that_is_forgotten(genesys: Genesys, tmp_path: Path) -> None:
    """When old conferences are deleted, a stream about one ends."""
    with a_desk(genesys, tmp_path, keep_alive_seconds=0.03) as desk:
        desk.store_hold(a_pin(f"old{OLD_SESSION}", None))

        async def scenario() -> None:
            async with Stream(desk, OLD_SESSION) as stream:
                await stream.event()
                desk.now += timedelta(days=1)
                await desk.store.purge(desk.now)
                assert (await _end_of(stream)).kind == "unknown-conference"

        desk.run(scenario())


# ------------------------------------------------------------------ over HTTP


@asynccontextmanager
async def over_http(desk: Desk) -> AsyncIterator[tuple[uvicorn.Server, httpx.AsyncClient]]:
    """The desk behind a real server, and a client for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            desk.app, http="httptools", lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=20
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
                yield server, client
        finally:
            desk.streams.close()
            server.should_exit = True
            await serving


def events_of(lines: AsyncIterator[str]) -> AsyncIterator[Told]:
    """The events of a stream over HTTP."""

    async def read() -> AsyncIterator[Told]:
        block: list[str] = []
        async for line in lines:
            if line:
                block.append(line)
            elif (found := parse_block("\n".join(block))) is not None:
                yield found
                block = []
            else:
                block = []

    return read()


HEADERS = {"Authorization": f"Bearer {TOKEN}", "Origin": ORIGIN}
PATH = f"/agent/v1/conferences/hcp{AGENT_KEY}/events"


def test_a_browser_over_http(desk: Desk) -> None:
    """Through a real server each event arrives when it happens, for a page of a configured origin; when the page closes
    its connection, nothing stays.
    """
    desk.store_hold()

    async def scenario() -> None:
        async with over_http(desk) as (_, client):
            async with client.stream("GET", PATH, headers=HEADERS) as response:
                assert response.headers["access-control-allow-origin"] == ORIGIN
                events = events_of(response.aiter_lines())
                assert (await anext(events)).data["state"] == "waiting"
                await post(desk, started(), customer(), trunk())
                async for event in events:
                    if is_active(event.data):
                        break
                assert desk.streams.count == 1
            await until(lambda: desk.streams.count == 0)
            assert desk.conferences.subscriptions.keys == ()

    desk.run(scenario())


def test_a_server_over_http_stops(desk: Desk) -> None:
    """A server that stops does not wait for browsers: the stream ends properly, with its reason."""

    async def scenario() -> None:
        async with over_http(desk) as (server, client), client.stream("GET", PATH, headers=HEADERS) as response:
            events = events_of(response.aiter_lines())
            await anext(events)
            desk.streams.close()
            server.should_exit = True
            assert [event.kind async for event in events if event.event == "end"] == ["stopping"]

    desk.run(scenario())


# ------------------------------------------------------------------ secrets


def test_secrets_are_in_no_log(genesys: Genesys, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the token nor a PIN is logged while a stream runs and ends; the reason for its end holds neither."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "policy_server")
    options = {"check_seconds": 0.05, "client": {"cache_seconds": 0.02}}
    with a_desk(genesys, tmp_path, **options) as desk:
        desk.store_hold()

        async def scenario() -> Told:
            async with Stream(desk) as stream:
                first = await stream.event()
                assert json.dumps(first.data).count(HOST_PIN) == 1
                log_out(genesys)
                return await _end_of(stream)

        end = desk.run(scenario())
    for secret in (TOKEN, HOST_PIN, GUEST_PIN):
        assert secret not in caplog.text
        assert secret not in json.dumps(end.data)

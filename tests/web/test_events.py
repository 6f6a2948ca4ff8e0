"""The event sink: what is taken, when it is durable, and which conferences it ends."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.records import StoredEvent
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.events import Event
from policy_server.web import events as events_module
from policy_server.web.events import BODY_LIMIT
from policy_server.web.lookup import Subject
from policy_server.web.problem import TYPE_ROOT
from tests.conferences.event_histories import OTHER, joined
from tests.genesys.asking import tenant
from tests.rule_sets import NOON, SESSION
from tests.web.calls import (
    BEGIN,
    SINK_PASSWORD,
    SINK_USER,
    Desk,
    a_pin,
    bulk,
    customer,
    ended,
    left,
    message,
    started,
    trunk,
    until,
)

LONG_AGO = NOON - timedelta(days=1)
FIRST = message(started())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An event sink on an empty database."""
    with Desk(tmp_path, tenant("http://127.0.0.1:9")) as started_desk:
        yield started_desk


def stored(desk: Desk, name: str = SESSION) -> tuple[StoredEvent, ...]:
    """What is in the store about a room."""
    return desk.run(desk.store.events(name, LONG_AGO))


def attendance(answer: dict[str, object]) -> tuple[int, int]:
    """How many participants there are in the answer of a lookup, and how many of them are present."""
    found = answer["participants"]
    assert isinstance(found, list)
    return len(found), sum(person["is_present"] for person in found)


def is_pinned(desk: Desk) -> bool:
    """Whether somebody holds the room of the tests."""
    return desk.run(desk.store.pinned(SESSION, desk.now)) is not None


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("is_bulk", [False, True], ids=["single", "bulk"])
def test_messages_are_stored_as_they_were_sent(desk: Desk, is_bulk: bool, version: int) -> None:
    """Single and bulk messages of both versions are stored with all that they say."""
    event = {**FIRST, "version": version, "data": {**FIRST["data"], "new_field": [1, {"a": None}]}}
    body = {**bulk([]), "data": [event], "version": version} if is_bulk else event
    response = desk.post(body)
    assert (response.status_code, response.json()) == (200, {"received": 1, "new": 1})
    (only,) = stored(desk)
    assert only == StoredEvent(
        event["node"], event["seq"], event["time"], "conference_started", version, SESSION, event["data"]
    )


@pytest.mark.parametrize(
    "event",
    [
        {**FIRST, "event": "eventsink_started", "data": {}},
        {**FIRST, "event": "eventsink_ended", "data": None},
        {**FIRST, "event": "recording_began", "data": {"anything": 1}},
        {**FIRST, "event": "participant_media_stream_window", "data": {"uuid": "somebody"}},
        {**FIRST, "event": "participant_updated", "data": {"conference": 5, "uuid": ["odd"]}},
    ],
    ids=["sink", "sink-other-spelling", "unknown", "media", "odd-types"],
)
def test_whatever_is_a_message_is_taken(desk: Desk, event: dict[str, Any]) -> None:
    """Events that nobody knows yet, or that are about no conference, are stored and answered 200."""
    assert desk.post(event).json() == {"received": 1, "new": 1}
    (only,) = stored(desk, "")
    assert only.event == event["event"]


def test_repeated_messages_are_stored_once(desk: Desk) -> None:
    """A message that a node sends again, alone or in a bulk, is answered 200 and not stored again."""
    assert desk.post(FIRST).json() == {"received": 1, "new": 1}
    assert desk.post(FIRST).json() == {"received": 1, "new": 0}
    again = {**bulk([]), "data": [FIRST, FIRST, {**FIRST, "seq": FIRST["seq"] + 10**6}]}
    assert desk.post(again).json() == {"received": 3, "new": 1}
    assert len(stored(desk)) == 2


def test_an_empty_bulk_is_taken(desk: Desk) -> None:
    """A bulk without messages is nothing to complain about."""
    assert desk.post(bulk([])).json() == {"received": 0, "new": 0}


def test_what_is_answered_is_durable(desk: Desk, tmp_path: Path) -> None:
    """Once 200 is there, another process finds every message of the bulk in the database."""
    desk.tell(started(), customer(), trunk())

    async def look() -> int:
        async with ConferenceStore(f"sqlite:///{tmp_path}/policy.db") as other:
            return len(await other.events(SESSION, LONG_AGO))

    assert asyncio.run(look()) == 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'"conference_started"', "must be a JSON object"),
        ({**FIRST, "node": ""}, "node must be"),
        ({**FIRST, "seq": -1}, "seq must be"),
        ({**FIRST, "time": "now"}, "time must be"),
        ({**FIRST, "data": []}, "data of conference_started must be an object"),
        ({**bulk([]), "data": [FIRST, {**FIRST, "version": None}]}, "message 2 of 2 in the bulk: version must be"),
        ({**bulk([]), "data": [bulk([])]}, "a bulk cannot be inside a bulk"),
    ],
    ids=["empty", "cut", "list", "text", "node", "seq", "time", "data", "in-bulk", "bulk-in-bulk"],
)
def test_what_is_no_message_is_refused_with_the_reason(desk: Desk, body: object, reason: str) -> None:
    """400 says what is wrong, and nothing of the body is stored, not even the good messages of a bulk."""
    response = desk.post(body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == TYPE_ROOT + "invalid-event"
    assert reason in response.json()["detail"]
    assert stored(desk) == ()


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_the_content_type_does_not_matter(desk: Desk, content_type: str) -> None:
    """A body that can be read is taken under any content type."""
    assert desk.post(FIRST, **{"Content-Type": content_type}).status_code == 200


@pytest.mark.parametrize("authorization", ["", "Basic", "Bearer abc", "Basic c2luazpndWVzcw=="])
def test_without_the_credentials_nothing_is_read(desk: Desk, authorization: str) -> None:
    """401 comes before the body is looked at, with a challenge for Basic."""
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield json.dumps(FIRST).encode()

    response = desk.post(body(), Authorization=authorization)
    assert response.status_code == 401
    assert response.json()["type"] == TYPE_ROOT + "unauthorized"
    assert response.headers["www-authenticate"].startswith("Basic ")
    assert read == []
    assert stored(desk) == ()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post(desk: Desk, method: str) -> None:
    """Other methods are 405."""
    assert desk.request(method, "/events/v1/pexip", auth=(SINK_USER, SINK_PASSWORD)).status_code == 405


def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(desk: Desk) -> None:
    """8 MiB are good; one byte more is 413 and nothing of it is stored."""
    text = json.dumps(FIRST).encode()
    assert desk.post(text.ljust(BODY_LIMIT + 1)).status_code == 413
    assert stored(desk) == ()
    assert desk.post(text.ljust(BODY_LIMIT)).status_code == 200
    assert len(stored(desk)) == 1


def test_a_body_that_never_ends_is_not_read_to_its_end(desk: Desk) -> None:
    """Reading stops at the limit, whatever length the headers promise."""
    chunk, taken = b" " * 1024 * 1024, 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield chunk

    response = desk.post(body(), **{"Content-Length": "10"})
    assert (response.status_code, response.json()["type"]) == (413, TYPE_ROOT + "too-large")
    assert "8 MiB" in response.json()["detail"]
    assert taken == BODY_LIMIT // len(chunk) + 1


def test_a_node_repeats_what_could_not_be_stored(desk: Desk) -> None:
    """With the database away it is 503 with Retry-After, and the same message is taken when it is back."""
    desk.store.away = {"add_events"}
    response = desk.post(FIRST)
    assert (response.status_code, response.json()["type"]) == (503, TYPE_ROOT + "store-unavailable")
    assert int(response.headers["retry-after"]) > 0
    desk.store.away.clear()
    assert desk.post(FIRST).json() == {"received": 1, "new": 1}


def test_a_conference_ends_with_its_last_node(desk: Desk) -> None:
    """The room is held until every node that started the conference has ended it, by the time that they give."""
    desk.store_pin()
    desk.tell(started(), customer(), started(3, node=OTHER))
    assert is_pinned(desk)
    desk.tell(left("customer", 60), ended(61))
    assert is_pinned(desk)
    desk.tell(ended(62, node=OTHER))
    assert not is_pinned(desk)
    conference = desk.run(desk.store.conference_of_session(SESSION))
    assert conference is not None
    assert conference.ended_at == NOON + timedelta(seconds=62)


def test_the_end_may_be_known_before_somebody_left(desk: Desk) -> None:
    """When the end of the conference overtakes the last participant's, the latter ends the conference."""
    desk.store_pin()
    desk.tell(started(), customer(), joined("late", BEGIN + 90, conference=SESSION), ended(80))
    assert is_pinned(desk)
    desk.tell(left("late", 91))
    assert not is_pinned(desk)


def test_a_node_whose_clock_is_behind_counts(desk: Desk) -> None:
    """Who came, by the clock of another node, a minute before the room was asked for is still there."""
    desk.store_pin()
    desk.tell(started(), started(-59, node=OTHER), joined("there", BEGIN - 58, OTHER, conference=SESSION), ended(30))
    assert is_pinned(desk)


def test_late_news_of_an_earlier_life_ends_nothing(desk: Desk) -> None:
    """The end of a conference that was over before the room was asked for again does not end the new one."""
    desk.store_pin()
    desk.tell(started(), ended(30))
    assert not is_pinned(desk)
    desk.now = NOON + timedelta(seconds=40)
    desk.store_pin(a_pin(id="second", pinned_at=desk.now))
    desk.tell(ended(30.5))
    assert is_pinned(desk)


def test_a_call_that_is_shorter_than_the_writing_of_its_pin_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a room whose pin still waits for the database is taken when both can be written, and it stays ended."""

    async def away(*_: object) -> NoReturn:
        raise StoreUnavailableError("away")

    ends = bulk([started(), ended(9)])
    with monkeypatch.context() as patched:
        patched.setattr(desk.store, "record", away)
        desk.run(desk.conferences.pin(a_pin()))
        assert desk.post(ends).status_code == 503
    assert desk.post(ends).status_code == 200
    desk.run(desk.written())
    assert not is_pinned(desk)
    desk.run(until(lambda: desk.conferences.live(SESSION, desk.now) is None))


def test_rooms_of_others_are_left_alone(desk: Desk) -> None:
    """The end of a conference that we never served is stored, and nothing is read or ended for it."""
    desk.tell(started(room="meet.alice"), ended(5, room="meet.alice"))
    assert len(stored(desk, "meet.alice")) == 2
    assert desk.store.asked.count("events") == 1
    assert "end" not in desk.store.asked


def test_an_end_that_could_not_be_written_is_written_when_the_message_comes_again(desk: Desk) -> None:
    """503 until the conference is ended; the repeated message is not new and ends it all the same."""
    desk.store_pin()
    desk.tell(started())
    desk.store.away = {"end"}
    last = message(ended(9))
    assert desk.post(last).status_code == 503
    desk.store.away.clear()
    assert desk.post(last).json() == {"received": 1, "new": 0}
    assert not is_pinned(desk)


def test_nobody_waits_long_for_the_end_of_conferences(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """When ending takes too long the node has its 200, and the conference is ended before the sink is closed."""
    monkeypatch.setattr(events_module, "FOLD_PATIENCE", 0.01)
    desk.store_pin()
    desk.store.slow["end"] = asyncio.Event()
    assert desk.post(bulk([started(), ended(9)])).status_code == 200
    assert is_pinned(desk)
    desk.store.slow["end"].set()
    desk.run(desk.sink.close())
    assert not is_pinned(desk)


def test_a_fault_of_ours_does_not_hold_up_the_queue_of_a_node(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Messages that are stored but cannot be folded are answered 200, and the log has the error."""

    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(events_module, "fold", broken)
    desk.store_pin()
    assert desk.post(bulk([started(), ended(9)])).status_code == 200
    assert "conferences.not_ended" in caplog.text


def test_ten_thousand_messages_in_a_bulk(desk: Desk) -> None:
    """10,000 messages about ten conferences on two nodes, in any order, come to what each conference's own say: nine
    are over and their rooms free, in the tenth somebody still is.
    """
    rooms = [f"{SESSION}-{number}" for number in range(10)]
    events: list[Event] = []
    for room in rooms:
        desk.store_pin(a_pin(id=room, name=room, session=room, service={**a_pin().service, "name": room}))
        people = [f"{room}-{number}" for number in range(498)]
        events += (started(room=room), started(2, room=room, node=OTHER), ended(1000, room=room))
        events += (joined(uuid, BEGIN + 3 + number, conference=room) for number, uuid in enumerate(people))
        events += (left(uuid, 501 + number, conference=room) for number, uuid in enumerate(people))
        is_over = room != rooms[-1]
        events.append(ended(1001, room, OTHER) if is_over else joined("last", BEGIN + 900, conference=room))
    random.Random(1).shuffle(events)

    assert desk.post(bulk(events)).json() == {"received": 10_000, "new": 10_000}
    desk.run(desk.sink.close())

    desk.now += timedelta(hours=1)
    over = (NOON + timedelta(seconds=1001)).isoformat(timespec="milliseconds")
    for room in rooms:
        found = desk.run(desk.lookup.look_up(Subject(room)))
        pinned = desk.run(desk.store.pinned(room, desk.now))
        assert found is not None
        state = (found.answer["state"], found.answer["ended_at"], pinned is None, attendance(found.answer))
        assert state == (("active", None, False, (499, 1)) if room == rooms[-1] else ("ended", over, True, (498, 0)))


def test_credentials_are_in_no_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a right nor a wrong password is logged or answered, whatever else is wrong."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "policy_server")
    desk.store.away = {"add_events"}
    wrong = "a planted wrong password"
    texts = [desk.post(FIRST).text, desk.post(b"{").text, desk.post(FIRST, password=wrong).text, caplog.text]
    for text in texts:
        assert SINK_PASSWORD not in text
        assert wrong not in text

"""The event sink: what is taken, when it is durable, and which conferences it ends."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from policy_server.conferences import ending
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.found import Subject
from policy_server.conferences.reader import Reader
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.view import Conference
from policy_server.pexip.events import Event
from policy_server.web import events
from policy_server.web.events import BODY_LIMIT, DRAIN_LIMIT
from policy_server.web.problem import TYPE_ROOT
from tests.conferences.event_histories import OTHER, joined
from tests.conferences.event_histories import updated as updated_at
from tests.genesys.asking import tenant
from tests.rule_sets import NOON
from tests.waiting import until
from tests.web.calls import (
    BEGIN,
    CALL_ID,
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
)

LONG_AGO = NOON - timedelta(days=1)
FIRST = message(started())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An event sink on an empty database."""
    with Desk(tmp_path, tenant("http://127.0.0.1:9")) as started_desk:
        yield started_desk


def stored(desk: Desk, name: str = CALL_ID) -> tuple[Event, ...]:
    """What is in the store about a room."""
    return desk.run(desk.store.read(Reader.events, name, LONG_AGO))


def attendance(answer: Conference) -> tuple[int, int]:
    """How many participants there are in the answer of a lookup, and how many of them are present."""
    found = answer["participants"]
    return len(found), sum(person["is_present"] for person in found)


def is_held(desk: Desk) -> bool:
    """Whether somebody holds the room of the tests."""
    return desk.run(desk.store.read(Reader.holder, CALL_ID, desk.now)) is not None


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("is_bulk", [False, True], ids=["single", "bulk"])
def test_messages_are_stored_as_they_were_sent(desk: Desk, is_bulk: bool, version: int) -> None:
    """Single and bulk messages of both versions are stored with all that they say."""
    event = {**FIRST, "version": version, "data": {**FIRST["data"], "new_field": [1, {"a": None}]}}
    body = {**bulk([]), "data": [event], "version": version} if is_bulk else event
    response = desk.post(body)
    assert (response.status_code, response.json()) == (200, {"received": 1, "new": 1})
    (only,) = stored(desk)
    values = (event["node"], event["seq"], version, event["time"], "conference_started", event["data"])
    assert (only, only.arrived_at) == (Event(*values, arrived_at=NOON), NOON)


@pytest.mark.parametrize(
    "event",
    [
        {**FIRST, "event": "eventsink_started", "data": {}},
        {**FIRST, "event": "eventsink_ended", "data": None},
        {**FIRST, "event": "recording_began", "data": {"anything": 1}},
        {**FIRST, "event": "participant_media_stream_window", "data": {"uuid": "somebody"}},
        {**FIRST, "event": "participant_updated", "data": {"conference": [5], "uuid": ["odd"]}},
    ],
    ids=["sink", "sink-other-spelling", "unknown", "media", "odd-types"],
)
def test_whatever_is_a_message_is_taken(desk: Desk, event: dict[str, Any]) -> None:
    """Events that nobody knows yet, or that are about no conference, are stored and answered 200."""
    assert desk.post(event).json() == {"received": 1, "new": 1}
    (only,) = stored(desk, "")
    assert only.name == event["event"]


def test_repeated_messages_are_stored_once(desk: Desk) -> None:
    """A message that a node sends again, alone or in a bulk, is answered 200 and not stored again."""
    assert desk.post(FIRST).json() == {"received": 1, "new": 1}
    assert desk.post(FIRST).json() == {"received": 1, "new": 0}
    again = {**bulk([]), "data": [FIRST, FIRST, {**FIRST, "seq": FIRST["seq"] + 10**6}]}
    assert desk.post(again).json() == {"received": 3, "new": 0}
    assert len(stored(desk)) == 1


def test_messages_that_differ_are_all_stored(desk: Desk) -> None:
    """Two sinks that count one apart, and a sink that is made again and counts from 1, lose nothing and double nothing."""
    updates = [updated_at(BEGIN + number / 100, name=CALL_ID, is_locked=number % 2 == 0) for number in range(40)]
    counted = [{**message(event), "seq": number} for number, event in enumerate(updates, 1)]
    for one, other in zip(counted, [{**each, "seq": each["seq"] + 1} for each in counted], strict=True):
        assert desk.post(one).json() == {"received": 1, "new": 1}
        assert desk.post(other).json() == {"received": 1, "new": 0}
    begun_again = [{**each, "seq": number, "time": each["time"] + 0.005} for number, each in enumerate(counted, 1)]
    assert desk.post({**bulk([]), "data": begun_again}).json() == {"received": 40, "new": 40}
    assert len(stored(desk)) == 80


def test_an_empty_bulk_is_taken(desk: Desk) -> None:
    """A bulk without messages is nothing to complain about."""
    assert desk.post(bulk([])).json() == {"received": 0, "new": 0}


def test_what_is_answered_is_durable(desk: Desk, tmp_path: Path) -> None:
    """Once 200 is there, another process finds every message of the bulk in the database."""
    desk.tell(started(), customer(), trunk())

    async def look() -> int:
        async with ConferenceStore(f"sqlite:///{tmp_path}/policy.db") as other:
            return len(await other.read(Reader.events, CALL_ID, LONG_AGO))

    assert asyncio.run(look()) == 3


@pytest.mark.parametrize(
    "odd",
    [
        {**FIRST, "event": "participant_layout_changed", "data": ["1:7", {"participants": 3}]},
        {**FIRST, "event": "participant_media_streams_destroyed", "data": {"rx_packet_loss": float("nan")}},
        {**FIRST, "event": "participant_updated", "seq": "2183"},
        {**FIRST, "event": "participant_updated", "time": "2026-11-23T16:00:01Z"},
        bulk([]),
        7,
        None,
        {"data": {}},
    ],
    ids=["data-is-a-list", "nan", "seq-is-a-text", "iso-time", "bulk", "number", "null", "no-name"],
)
def test_an_odd_message_costs_its_neighbours_nothing(desk: Desk, odd: object) -> None:
    """The messages after an odd one in a bulk are stored and end the conference; the odd one is kept or counted."""
    desk.store_hold()
    desk.tell(started(), customer())
    last = [message(left("customer", 60)), message(ended(61))]
    response = desk.post({**bulk([]), "data": [odd, *last]})
    assert response.status_code == 200
    assert {told.name for told in stored(desk)} >= {"participant_disconnected", "conference_ended"}
    assert not is_held(desk)
    is_kept = response.json()["received"] == 3
    assert is_kept == bool({"event", "seq"} <= set(odd if isinstance(odd, dict) else ()) and odd != bulk([]))
    assert desk.sink.unreadable == (0 if is_kept or odd == bulk([]) else 1)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"conference_started"', b"\xff\xfe\x00", b"<xml/>"], ids=repr)
def test_what_nobody_can_read_does_not_come_again(desk: Desk, body: bytes) -> None:
    """A body without a message is answered 200 like any other: a node would repeat it and never go on."""
    assert desk.post(body).status_code == 200
    assert stored(desk) == ()


def test_a_byte_order_mark_does_not_matter(desk: Desk) -> None:
    """A body that begins with the mark of UTF-8 is read."""
    assert desk.post(b"\xef\xbb\xbf" + json.dumps(FIRST).encode()).json() == {"received": 1, "new": 1}


def test_unreadable_messages_are_counted_and_said_once_a_minute(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The log has one line a minute with a reason, and nothing that the message says."""
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        assert desk.post({**bulk([]), "data": [{"planted": "secret"}, FIRST]}).json()["unreadable"] == 1
    desk.now += timedelta(minutes=1)
    desk.post(b"{planted")
    first, second = (record.getMessage() for record in caplog.records if "events.unreadable" in record.getMessage())
    assert first.endswith("1 of 2 messages are not stored, 1 since the start: message 1 has no event name")
    assert "1 of 1 messages are not stored, 4 since the start: message 1 is not JSON" in second
    assert "planted" not in caplog.text


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


def test_of_a_body_beyond_the_limit_the_first_messages_are_taken(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A node would repeat for ever what is refused as too large, so what fits is taken and the rest is said to be lost."""
    text = json.dumps({**bulk([]), "data": [FIRST, message(ended(9))]}).encode()
    monkeypatch.setattr(events, "BODY_LIMIT", len(text) - 3)
    assert desk.post(text).json() == {"received": 1, "new": 1, "unreadable": 1}
    assert "events.too_large" in caplog.text


def test_a_body_of_the_limit_is_taken_whole(desk: Desk) -> None:
    """8 MiB are good."""
    assert desk.post(json.dumps(FIRST).encode().ljust(BODY_LIMIT)).json() == {"received": 1, "new": 1}


def test_a_body_that_never_ends_is_not_read_to_its_end(desk: Desk) -> None:
    """Reading stops at some point, whatever length the headers promise."""
    chunk, taken = b" " * 1024 * 1024, 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield chunk

    response = desk.post(body(), **{"Content-Length": "10"})
    assert (response.status_code, response.json()["type"]) == (413, TYPE_ROOT + "too-large")
    assert "64 MiB" in response.json()["detail"]
    assert taken == DRAIN_LIMIT // len(chunk) + 1


def test_a_node_repeats_what_could_not_be_stored(desk: Desk) -> None:
    """With the database away it is 503 with Retry-After, and the same message is taken when it is back."""
    desk.store.away = {"add_events"}
    response = desk.post(FIRST)
    assert (response.status_code, response.json()["type"]) == (503, TYPE_ROOT + "store-unavailable")
    assert int(response.headers["retry-after"]) > 0
    desk.store.away.clear()
    assert desk.post(FIRST).json() == {"received": 1, "new": 1}


def test_a_conference_ends_with_its_last_node(desk: Desk) -> None:
    """The room is held until every node that started the conference has ended it; over it is when that arrived."""
    desk.store_hold()
    desk.tell(started(), customer(), started(3, node=OTHER))
    assert is_held(desk)
    desk.tell(left("customer", 60), ended(61))
    assert is_held(desk)
    desk.tell(ended(62, node=OTHER))
    assert not is_held(desk)
    conference = desk.run(desk.store.read(Reader.conference_of_call, CALL_ID))
    assert conference is not None
    assert conference.ended_at == NOON


@pytest.mark.parametrize(
    "ahead",
    [253_370_000_000 - BEGIN, 86_400, -86_400, -3_000_000],
    ids=["in the year 9998", "a day ahead", "a day behind", "a month behind"],
)
def test_no_clock_of_a_node_keeps_or_deletes_anything(desk: Desk, ahead: float) -> None:
    """When a call was over, and so how long it is kept, is when we heard of it; what is shown is never far ahead."""
    desk.store_hold()
    desk.tell(started(ahead), ended(ahead + 1))
    conference = desk.run(desk.store.read(Reader.conference_of_call, CALL_ID))
    assert conference is not None
    assert conference.ended_at == desk.now
    found = desk.run(desk.lookup.look_up(Subject(CALL_ID)))
    assert found is not None
    assert (found.answer["state"], found.answer["join"]["pin"]) == ("ended", None)
    shown = [found.answer["ended_at"], *(line["at"] for line in found.answer["timeline"])]
    assert all(at is not None and datetime.fromisoformat(at) <= desk.now + timedelta(hours=1) for at in shown)
    assert desk.run(desk.store.purge(desk.now)) == 0
    assert desk.run(desk.store.purge(desk.now + timedelta(seconds=1))) > 0
    assert desk.run(desk.store.read(Reader.conference_of_call, CALL_ID)) is None


def test_the_end_may_be_known_before_somebody_left(desk: Desk) -> None:
    """When the end of the conference overtakes the last participant's, the latter ends the conference."""
    desk.store_hold()
    desk.tell(started(), customer(), joined("late", BEGIN + 90, conference=CALL_ID), ended(80))
    assert is_held(desk)
    desk.tell(left("late", 91))
    assert not is_held(desk)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [-86_400, -3600, -120, -20, 0, 40, 3600], ids=str)
@pytest.mark.parametrize("says_start", [True, False], ids=["start_time", "no-start_time"])
def test_a_conference_ends_whatever_its_node_takes_the_time_to_be(desk: Desk, seconds: float, says_start: bool) -> None:
    """The end of a conference frees its room when it arrives, of the first life and of the second, and of none before."""

    def life(begin: float) -> list[Event]:
        told: dict[str, Any] = {"start_time": BEGIN + begin + seconds if says_start else ...}
        return [
            started(begin + seconds, CALL_ID, **told),
            customer(begin + 1 + seconds, uuid=f"customer-{begin}"),
            left(f"customer-{begin}", begin + 9 + seconds),
            ended(begin + 10 + seconds, CALL_ID, **told),
        ]

    first, second = life(1), life(21)
    desk.store_hold()
    for event in first:
        assert is_held(desk)
        desk.now += timedelta(seconds=1)
        desk.tell(event)
    assert not is_held(desk)
    desk.now = NOON + timedelta(seconds=20)
    desk.store_hold(a_pin(id="second", held_at=desk.now))
    desk.tell(second[0])
    for event in (*first, replace(first[3], seq=10**6, version=1), *second[1:3]):
        desk.now += timedelta(seconds=1)
        desk.tell(event)
        assert is_held(desk)
    desk.tell(second[3])
    assert not is_held(desk)
    conference = desk.run(desk.store.read(Reader.conference_of_call, CALL_ID))
    assert conference is not None
    assert conference.ended_at is not None
    assert conference.held_at <= conference.ended_at <= conference.expires_at


def test_a_node_whose_clock_is_set_back_ends_its_conference(desk: Desk) -> None:
    """A conference that ends before it starts, by the clock of its node, is over all the same."""
    desk.store_hold()
    start = BEGIN + 3600
    desk.tell(started(3600, start_time=start), customer(3601), left("customer", 60), ended(61, start_time=start))
    desk.tell(customer(62), left("customer", 3700))
    assert not is_held(desk)


def test_late_news_of_an_earlier_life_ends_nothing(desk: Desk) -> None:
    """The end of a conference that was over before the room was asked for again does not end the new one."""
    desk.store_hold()
    desk.tell(started(), ended(30))
    assert not is_held(desk)
    desk.now = NOON + timedelta(seconds=40)
    desk.store_hold(a_pin(id="second", held_at=desk.now))
    desk.tell(ended(30.5))
    assert is_held(desk)


def test_a_breakout_room_is_part_of_the_call(desk: Desk) -> None:
    """Who is moved to a breakout room is still with the call, for lookup and links; the call ends with the room itself
    and the last who is there.
    """
    breakout = f"{CALL_ID}_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5f"

    def state() -> object:
        found = desk.run(desk.lookup.look_up(Subject(CALL_ID)))
        assert found is not None
        return found.answer["state"]

    desk.store_hold()
    desk.tell(started(), customer(), left("customer", 60, disconnect_reason="Transferred"))
    desk.tell(started(60.5, room=breakout), customer(61, conference=breakout, connect_time=None))
    assert (state(), is_held(desk)) == ("active", True)
    desk.tell(ended(70))
    assert (state(), is_held(desk)) == ("active", True)
    desk.tell(left("customer", 80, conference=breakout), ended(81, room=breakout))
    assert (state(), is_held(desk)) == ("ended", False)


def test_a_room_that_is_only_named_like_a_breakout_room_ends_by_itself(desk: Desk) -> None:
    """A room of ours with such a name is held and ended by its own messages."""
    name = "desk_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5f"
    desk.store_hold(a_pin(call=None, id="odd", name=name, service={**a_pin().service, "name": name}))
    desk.tell(started(room=name), joined("u", BEGIN + 2, conference=name))
    assert desk.run(desk.store.read(Reader.holder, name, desk.now)) is not None
    desk.tell(left("u", 3, conference=name), ended(4, room=name))
    assert desk.run(desk.store.read(Reader.holder, name, desk.now)) is None


def test_a_call_that_is_shorter_than_the_writing_of_its_pin_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a room whose hold still waits for the database is taken when both can be written, and it stays ended."""

    async def away(*_: object) -> NoReturn:
        raise StoreUnavailableError("away")

    ends = bulk([started(), ended(9)])
    with monkeypatch.context() as patched:
        patched.setattr(desk.store, "record", away)
        desk.run(desk.conferences.hold(a_pin()))
        assert desk.post(ends).status_code == 503
    assert desk.post(ends).status_code == 200
    desk.run(desk.written())
    assert not is_held(desk)
    desk.run(until(lambda: desk.conferences.live(CALL_ID, desk.now) is None))


def test_rooms_of_others_are_left_alone(desk: Desk) -> None:
    """The end of a conference that we never served is stored, and nothing is read or ended for it."""
    desk.tell(started(room="meet.alice"), ended(5, room="meet.alice"))
    assert len(stored(desk, "meet.alice")) == 2
    assert "holder" in desk.store.asked
    assert not {"events", "end"} & set(desk.store.asked)


def test_an_end_that_could_not_be_written_is_written_when_the_message_comes_again(desk: Desk) -> None:
    """503 until the conference is ended; the repeated message is not new and ends it all the same."""
    desk.store_hold()
    desk.tell(started())
    desk.store.away = {"end"}
    last = message(ended(9))
    assert desk.post(last).status_code == 503
    desk.store.away.clear()
    assert desk.post(last).json() == {"received": 1, "new": 0}
    assert not is_held(desk)


def test_nobody_waits_long_for_the_end_of_conferences(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """When ending takes too long the node has its 200, and the conference is ended before the sink is closed."""
    monkeypatch.setattr(ending, "FOLD_PATIENCE", 0.01)
    desk.store_hold()
    desk.store.slow["end"] = asyncio.Event()
    assert desk.post(bulk([started(), ended(9)])).status_code == 200
    assert is_held(desk)
    desk.store.slow["end"].set()
    desk.run(desk.endings.close())
    assert not is_held(desk)


def test_a_fault_of_ours_does_not_hold_up_the_queue_of_a_node(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Messages that are stored but cannot be folded are answered 200, and the log has the error."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ending, "_is_over", broken)
    desk.store_hold()
    assert desk.post(bulk([started(), ended(9)])).status_code == 200
    assert "conferences.not_ended" in caplog.text


@pytest.mark.slow
def test_ten_thousand_messages_in_a_bulk(desk: Desk) -> None:
    """10,000 messages about ten conferences on two nodes, in any order, come to what each conference's own say: nine
    are over and their rooms free, in the tenth somebody still is.
    """
    rooms = [f"{CALL_ID}-{number}" for number in range(10)]
    events: list[Event] = []
    for room in rooms:
        desk.store_hold(replace(a_pin(id=room, name=room, service={**a_pin().service, "name": room}), call=room))
        people = [f"{room}-{number}" for number in range(498)]
        events += (started(room=room), started(2, room=room, node=OTHER), ended(1000, room=room))
        events += (joined(uuid, BEGIN + 3 + number, conference=room) for number, uuid in enumerate(people))
        events += (left(uuid, 501 + number, conference=room) for number, uuid in enumerate(people))
        is_over = room != rooms[-1]
        events.append(ended(1001, room, OTHER) if is_over else joined("last", BEGIN + 900, conference=room))
    random.Random(1).shuffle(events)

    assert desk.post(bulk(events)).json() == {"received": 10_000, "new": 10_000}
    desk.run(desk.endings.close())

    desk.now += timedelta(hours=1)
    over = (NOON + timedelta(seconds=1001)).isoformat(timespec="milliseconds")
    for room in rooms:
        found = desk.run(desk.lookup.look_up(Subject(room)))
        held = desk.run(desk.store.read(Reader.holder, room, desk.now))
        assert found is not None
        state = (found.answer["state"], found.answer["ended_at"], held is None, attendance(found.answer))
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

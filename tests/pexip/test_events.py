"""Event-sink messages: what is read, what is not and why, and the classes of disconnect reasons."""

import json
import math
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.events import (
    LATEST_TIME,
    MAX_DEPTH,
    MAX_NAME,
    MAX_REASONS,
    MAX_TEXT,
    Data,
    Event,
    Parsed,
    parse_events,
)
from tests.pexip.reference import section

ARRIVED = datetime.fromtimestamp(1760000300, UTC)
LATER = timedelta(seconds=98)

GOLDEN, BULK = (
    next(section(heading).blocks).text.rstrip().encode() for heading in ("Participant events", "Bulk messages")
)


def message(**changes: Any) -> dict[str, Any]:
    """A good message, with changes; ``...`` takes a field away."""
    whole = {
        "node": "10.0.0.1",
        "seq": 7,
        "version": 2,
        "time": 1760000000.25,
        "event": "conference_updated",
        "data": {},
    }
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def bulk(*elements: object) -> bytes:
    """The body of a bulk."""
    return json.dumps({"event": "eventsink_bulk", "data": elements}).encode()


def parse_one(**changes: Any) -> Event:
    """Read one message."""
    (event,) = read(message(**changes))
    return event


def read(*messages: Any) -> tuple[Event, ...]:
    """Read messages, of which nobody is unreadable."""
    parsed = parse_events(json.dumps(messages[0] if len(messages) == 1 else messages).encode(), ARRIVED)
    assert parsed.unreadable == 0
    return parsed.events


def nested(levels: int, value: Any = "x") -> Any:
    """Lists inside each other."""
    for _ in range(levels):
        value = [value]
    return value


def test_documented_example() -> None:
    """The documented message is read with everything in it."""
    (event,) = parse_events(GOLDEN, ARRIVED).events
    assert (event.node, event.seq, event.version, event.time) == ("10.44.34.11", 688, 2, 1760000117.97)
    assert event.name == "participant_disconnected"
    assert event.data == json.loads(GOLDEN)["data"]
    assert event.conference == "3f2a9c5e8b7d4e1fa6c0d9b8e7f61234"
    assert event.participant == "a0ed2c58-f45b-4d96-a1cb-89812ec938ea"
    assert event.is_outgoing
    assert event.protocol == "sip"


def test_documented_bulk() -> None:
    """A bulk is its messages in their order, each with its own node and seq; the wrapper is none of them."""
    assert [(event.node, event.seq, event.time) for event in parse_events(BULK, ARRIVED).events] == [
        ("10.44.34.14", 2183, 1741679792.93),
        ("10.44.34.14", 2184, 1741679794.45),
    ]


def test_wrapper_of_bulk_may_lack_everything_else() -> None:
    """The wrapper's node, seq, version and time carry no information, so nobody asks for them."""
    (event,) = parse_events(bulk(message(seq=3)), ARRIVED).events
    assert event.seq == 3
    assert parse_events(bulk(), ARRIVED) == Parsed(())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"version": 1}, {"version": 1}, id="version 1"),
        pytest.param({"version": 3}, {"version": 3}, id="a version of tomorrow"),
        pytest.param({"event": "participant_sang"}, {"name": "participant_sang"}, id="unknown event"),
        pytest.param({"seq": 12.0, "version": 2.0}, {"seq": 12, "version": 2}, id="whole floats"),
        pytest.param({"time": 1760000000}, {"time": 1760000000.0}, id="whole time"),
        pytest.param({"data": ...}, {"data": {}}, id="no data"),
        pytest.param({"data": None}, {"data": {}}, id="null data"),
        pytest.param({"colour": "blue"}, {"seq": 7, "envelope": {"colour": "blue"}}, id="unknown field"),
        pytest.param({"seq": "12", "version": "2"}, {"seq": 12, "version": 2, "envelope": {}}, id="numbers as texts"),
        pytest.param({"seq": ...}, {"seq": 0}, id="no seq"),
        pytest.param({"seq": -1}, {"seq": 0, "envelope": {"seq": -1}}, id="negative seq"),
        pytest.param({"seq": True}, {"seq": 0, "envelope": {"seq": True}}, id="seq is a boolean"),
        pytest.param({"seq": [7]}, {"seq": 0, "envelope": {"seq": [7]}}, id="seq is a list"),
        pytest.param({"version": "two"}, {"version": 0, "envelope": {"version": "two"}}, id="version is a word"),
        pytest.param({"node": ...}, {"node": "", "envelope": {}}, id="no node"),
        pytest.param({"node": 7}, {"node": "", "envelope": {"node": 7}}, id="node is a number"),
        pytest.param({"node": "n" * 400}, {"node": "n" * MAX_NAME, "envelope": {"node": "n" * 400}}, id="long node"),
        pytest.param({"event": "e" * 400}, {"name": "e" * MAX_NAME, "envelope": {"event": "e" * 400}}, id="long event"),
        pytest.param({"time": "1760000000.5"}, {"time": 1760000000.5, "envelope": {}}, id="time as a text"),
        pytest.param({"time": "2025-10-09T08:53:20.5Z"}, {"time": 1760000000.5, "envelope": {}}, id="ISO time"),
        pytest.param({"time": "2025-10-09T10:53:20+02:00"}, {"time": 1760000000.0}, id="ISO time with a zone"),
        pytest.param({"time": "2025-10-09 08:53:20"}, {"time": 1760000000.0}, id="ISO time without a zone is UTC"),
        pytest.param({"time": ...}, {"time": ARRIVED.timestamp()}, id="no time"),
        pytest.param({"time": "now"}, {"time": ARRIVED.timestamp(), "envelope": {"time": "now"}}, id="time is a word"),
        pytest.param({"time": True}, {"time": ARRIVED.timestamp(), "envelope": {"time": True}}, id="time is a boolean"),
        pytest.param({"time": -1}, {"time": ARRIVED.timestamp(), "envelope": {"time": -1}}, id="before 1970"),
        pytest.param({"time": 1e300}, {"time": ARRIVED.timestamp(), "envelope": {"time": 1e300}}, id="after 9999"),
        pytest.param({"data": [1]}, {"data": {}, "envelope": {"data": [1]}}, id="data is a list"),
        pytest.param({"data": "x"}, {"data": {}, "envelope": {"data": "x"}}, id="data is a text"),
        pytest.param({"data": {"n": math.nan}}, {"data": {"n": "NaN"}}, id="not a number"),
        pytest.param({"data": {"n": [-math.inf]}}, {"data": {"n": ["-Infinity"]}}, id="infinite"),
        pytest.param({"data": {"t": nested(MAX_DEPTH)}}, {"data": {"t": nested(MAX_DEPTH - 1, "…")}}, id="too deep"),
        pytest.param({"data": {"t": nested(900)}}, {"data": {"t": nested(MAX_DEPTH - 1, "…")}}, id="far too deep"),
        pytest.param({"data": {"n": 2**70}}, {"data": {"n": float(2**70)}}, id="number beyond 64 bits"),
        pytest.param({"data": {"t": "x" * (MAX_TEXT + 1)}}, {"data": {"t": "x" * MAX_TEXT}}, id="long text is cut"),
        pytest.param({"data": {"t": ["y" * 20_000]}}, {"data": {"t": ["y" * MAX_TEXT]}}, id="long text inside is cut"),
        pytest.param({"data": {"k" * 20_000: 1}}, {"data": {"k" * MAX_TEXT: 1}}, id="long key is cut"),
        pytest.param({"data": {"t": " a\n\tb\x7f "}}, {"data": {"t": " a\n\tb\x7f "}}, id="text is kept as sent"),
        pytest.param({"data": {"t": "a\0b"}}, {"data": {"t": "a\ufffdb"}}, id="no NUL"),
        pytest.param({"data": {"t": "a\ud800b"}}, {"data": {"t": "a\ufffdb"}}, id="no half surrogate pair"),
        pytest.param({"data": {"\udfff": "😀"}}, {"data": {"\ufffd": "😀"}}, id="no half pair in a key"),
        pytest.param({"data": {"t": nested(MAX_DEPTH - 1)}}, {"data": {"t": nested(MAX_DEPTH - 1)}}, id="deep"),
    ],
)
def test_accepted(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    """What can be kept is kept, also what nobody knows yet, and bounded."""
    event = parse_one(**changes)
    assert {key: getattr(event, key) for key in expected} == expected


@pytest.mark.parametrize("name", ["a" * 21, "mp" + "a2" * 16, "Odd", "a_" * 9, "a\nb", "a\n"])
def test_the_name_of_an_event_is_kept_as_its_data_is(name: str) -> None:
    """Unless it is a few short words, in which nothing can be that is kept otherwise than it came."""

    def kept(data: Data) -> Data:
        return dict.fromkeys(data, "kept")

    bodies = [json.dumps(message(event=each)).encode() for each in (name, "participant_media_streams_destroyed")]
    events = [parse_events(body, ARRIVED, kept).events[0] for body in bodies]
    assert [event.name for event in events] == ["kept", "participant_media_streams_destroyed"]


def test_text_that_is_not_utf8() -> None:
    """A caller's name in another encoding does not hold up the queue of a node."""
    body = json.dumps(message(data={"display_name": "J?rg"})).encode().replace(b"?", b"\xf6")
    (event,) = parse_events(body, ARRIVED).events
    assert event.data == {"display_name": "J\ufffdrg"}


FIRST, LAST = (json.dumps(message(event=name)).encode() for name in ("first", "last"))
DEEP = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize(
    ("between", "names", "reasons"),
    [
        pytest.param(b"7", [], ["is no JSON object"], id="number"),
        pytest.param(b"null", [], ["is no JSON object"], id="null"),
        pytest.param(b'"conference_started"', [], ["is no JSON object"], id="text"),
        pytest.param(b"{}", [], ["has no event name"], id="nothing"),
        pytest.param(b'{"event": ["conference_ended"]}', [], ["has no event name"], id="name is a list"),
        pytest.param(b'{"event": "eventsink_bulk"}', [], ["is a bulk without messages"], id="bulk without data"),
        pytest.param(b'{"event": "x", "data": {,}}', [], ["is not JSON (Expecting"], id="bent"),
        pytest.param(
            b'{"event": "x" "y", "data": [1, 2, {"z": "]"}]}', [], ["is not JSON (Expecting"], id="bent, lists"
        ),
        pytest.param(b'{"event": x}', [], ["is not JSON (Expecting value"], id="no quotes"),
        pytest.param(b'{"event": "x", "data": ' + DEEP + b"}", ["x"], [], id="deep"),
        pytest.param(b'{"event": "x", "data": {"uuid": "u", "n": ' + b"9" * 5000 + b"}}", ["x"], [], id="huge number"),
        pytest.param(b'{"event": "x", "data": {"n": 1e999}}', ["x"], [], id="beyond floats"),
        pytest.param(b'{"event": "x", "data": {"n": NaN, "m": Infinity}}', ["x"], [], id="no number"),
        pytest.param(b'{"event": "x", "data": {"t": "a\nb\x01"}}', ["x"], [], id="line break in a text"),
        pytest.param(b'{"event": "w", "event": "x"}', ["x"], [], id="a key twice: the last counts"),
        pytest.param(b'{"event": "x", "data": {"t": "\\ud800"}}', ["x"], [], id="half a surrogate pair"),
        pytest.param(bulk(message(event="x"), message(event="y")), ["x", "y"], [], id="bulk in a bulk"),
        pytest.param(b'[{"event": "x"}, []]', ["x"], [], id="list in a bulk"),
    ],
)
def test_what_nobody_can_read_costs_its_neighbours_nothing(
    between: bytes, names: list[str], reasons: list[str]
) -> None:
    """In a bulk what is odd is read as far as it goes or counted with a reason, and the others are taken."""
    parsed = parse_events(b'{"event": "eventsink_bulk", "data": [%b, %b,\n%b]}' % (FIRST, between, LAST), ARRIVED)
    assert [event.name for event in parsed.events] == ["first", *names, "last"]
    assert parsed.unreadable == len(reasons) == len(parsed.reasons)
    for told, reason in zip(parsed.reasons, reasons, strict=True):
        assert told.startswith(f"message 2 {reason}")


@pytest.mark.parametrize(
    ("body", "names", "unreadable"),
    [
        pytest.param(b"", [], 1, id="empty"),
        pytest.param(b'{"node"', [], 1, id="cut off"),
        pytest.param(b"\xff\xfe", [], 1, id="no text"),
        pytest.param(b"[" * 100_000, [], 1, id="deep and cut off"),
        pytest.param(b"[%b, %b]" % (FIRST, LAST), ["first", "last"], 0, id="list without wrapper"),
        pytest.param(b"[%b, %b" % (FIRST, LAST[:-5]), ["first"], 1, id="list cut off"),
        pytest.param(b'{"data": [%b, %b' % (FIRST, LAST[:-5]), ["first"], 1, id="bulk cut off"),
        pytest.param(b'{"event": "eventsink_bulk", "data": %b}' % FIRST, ["first"], 0, id="bulk of one, no list"),
        pytest.param(b'{"data": {"data": [%b]}, "data": [%b,' % (FIRST, LAST), ["last"], 0, id="lists elsewhere"),
        pytest.param(b"\xef\xbb\xbf" + FIRST, ["first"], 0, id="byte order mark"),
        pytest.param(FIRST.decode().encode("utf-16"), ["first"], 0, id="another Unicode encoding"),
        pytest.param(b"\n " + FIRST + b"\r\n", ["first"], 0, id="white space"),
        pytest.param(bulk(*[0] * 30_000), [], 30_000, id="many"),
    ],
)
def test_body(body: bytes, names: list[str], unreadable: int) -> None:
    """A body in another dress is read, and of one that broke off what is whole."""
    parsed = parse_events(body, ARRIVED)
    assert ([event.name for event in parsed.events], parsed.unreadable) == (names, unreadable)
    assert len(parsed.reasons) == min(unreadable, MAX_REASONS)


def test_reasons_quote_nothing() -> None:
    """What is said of an unreadable message has nothing of it: it may have names and PINs."""
    secret = "planted"
    for bad in (f'{{"event": "x", "pin": {secret}}}', f'"{secret}"', f'{{"event": {{"{secret}": 1}}}}', f"[{secret}"):
        parsed = parse_events(f'{{"event": "eventsink_bulk", "data": [{bad}]}}'.encode(), ARRIVED)
        assert parsed.unreadable == 1
        assert secret not in str(parsed.reasons)


@pytest.mark.slow
def test_a_large_body_that_is_broken_is_read_in_time() -> None:
    """Megabytes of brackets, quotes and cut messages cost no more than their length."""
    began = time.process_time()
    for part in (b"[", b"{", b'"', b'\\"', b"[],", b'{"data":[', FIRST[:-2] + b","):
        parse_events(b'{"event": "eventsink_bulk", "data": [' + part * (1_000_000 // len(part)), ARRIVED)
    assert time.process_time() - began < 30


@pytest.mark.parametrize(
    ("value", "text", "flag", "moment", "texts"),
    [
        ("1760000000.5", "1760000000.5", None, 1760000000.5, ()),
        ("2025-10-09T08:53:20Z", "2025-10-09T08:53:20Z", None, 1760000000.0, ()),
        (1760000000, "", None, 1760000000.0, ()),
        (True, "", True, None, ()),
        ("True", "True", True, None, ()),
        ("false", "false", False, None, ()),
        (1, "", True, 1.0, ()),
        (0, "", False, None, ()),
        (None, "", None, None, ()),
        ("", "", None, None, ()),
        (["a", 7, "", None, "b"], "", None, None, ("a", "b")),
        ({"a": 1}, "", None, None, ()),
        (-5, "", None, None, ()),
        ("nan", "nan", None, None, ()),
        (1e300, "", None, None, ()),
    ],
    ids=str,
)
def test_field_of_another_type(
    value: object, text: str, flag: bool | None, moment: float | None, texts: tuple[str, ...]
) -> None:
    """A field that is used is read also when it is sent as another type, and is absent when it cannot be read."""
    event = parse_one(data={"k": value})
    assert (event.text("k"), event.flag("k"), event.moment("k"), event.texts("k")) == (text, flag, moment, texts)
    assert event.data == {"k": value}


@pytest.mark.parametrize(
    ("name", "data", "conference", "participant"),
    [
        ("conference_started", {"name": "room", "conference": "no"}, "room", ""),
        ("conference_invented", {"name": "room"}, "room", ""),
        ("participant_connected", {"conference": "room", "name": "no", "uuid": "u"}, "room", "u"),
        ("participant_media_stream_window", {"uuid": "u"}, "", "u"),
        ("eventsink_started", {"name": "room", "conference": "room", "uuid": "u"}, "", ""),
        ("something_else", {"name": "room", "conference": "room", "uuid": "u"}, "", ""),
        ("conference_started", {"name": 7}, "", ""),
        ("conference_started", {"name": ["room"]}, "", ""),
        ("conference_started", {"name": "r" * MAX_NAME}, "r" * MAX_NAME, ""),
        ("conference_started", {"name": "r" * (MAX_NAME + 1)}, "", ""),
        ("participant_connected", {"conference": None, "uuid": None}, "", ""),
    ],
)
def test_what_an_event_is_about(name: str, data: dict[str, Any], conference: str, participant: str) -> None:
    """The conference and the participant come from the field that the kind of event has for them."""
    event = parse_one(event=name, data=data)
    assert (event.conference, event.participant) == (conference, participant)


@pytest.mark.parametrize(
    ("direction", "is_outgoing"),
    [
        ("out", True),
        ("outbound", True),
        ("dial_out", True),
        ("OUT", True),
        ("in", False),
        ("inbound", False),
        ("", False),
        (None, False),
        ("without", False),
    ],
)
def test_call_direction(direction: object, is_outgoing: bool) -> None:
    """Every spelling of an outgoing call is known."""
    assert parse_one(event="participant_connected", data={"call_direction": direction}).is_outgoing is is_outgoing


@pytest.mark.parametrize(("sent", "protocol"), [("SIP", "sip"), ("WebRTC", "webrtc"), ("api", "api"), (None, "")])
def test_protocol_without_regard_to_case(sent: object, protocol: str) -> None:
    """Documentation and field reports spell protocols differently."""
    assert parse_one(data={"protocol": sent}).protocol == protocol


def test_events_are_values() -> None:
    """Two readings of one message are equal and hash alike, so that a set keeps one."""
    assert len({*parse_events(GOLDEN, ARRIVED).events, *parse_events(GOLDEN, ARRIVED + LATER).events}) == 1


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ({}, True),
        ({"seq": 8}, True),
        ({"seq": "odd"}, True),
        ({"version": 2.0}, True),
        ({"time": 1760000000.000001}, False),
        ({"node": "10.0.0.2"}, False),
        ({"event": "conference_ended"}, False),
        ({"data": {"n": 1}}, False),
        ({"version": 1}, False),
        ({"colour": "blue"}, False),
    ],
    ids=str,
)
def test_identity(other: dict[str, Any], is_same: bool) -> None:
    """A message is its content, whatever number a sink gives it."""
    assert (parse_one(**other).identity == parse_one().identity) is is_same


def test_identity_of_a_message_without_a_time() -> None:
    """A message that gives no time, or one that cannot be read, is the same when it comes again later."""
    for time_of_it in (..., None, "now"):
        body = json.dumps(message(time=time_of_it)).encode()
        first, again = (parse_events(body, ARRIVED + after).events[0] for after in (timedelta(), LATER))
        assert (again.time - first.time, first.identity == again.identity) == (LATER.total_seconds(), True)


def test_identities_are_in_the_order_of_time() -> None:
    """What was sent later comes later in an index, by milliseconds; also at the latest time that there is."""
    times = [1.001, 1.002, 255.9, 256.0, 1760000000.5, LATEST_TIME]
    identities = [parse_one(time=time).identity for time in times]
    assert identities == sorted(identities)
    assert len({len(identity) for identity in identities}) == 1


@pytest.mark.parametrize(
    ("service", "room"),
    [
        ("visit", "visit"),
        ("visit_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5f", "visit"),
        ("visit_breakout_5F0D1C2E-8A3B-4C5D-9E6F-0A1B2C3D4E5F", "visit"),
        ("a_breakout_b_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5f", "a_breakout_b"),
        ("visit_breakout_room", "visit_breakout_room"),
        (
            "visit_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5f2",
            "visit_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5f2",
        ),
        ("_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5f", "_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5f"),
        ("", ""),
    ],
)
def test_room_of_a_breakout_room(service: str, room: str) -> None:
    """Pexip names a breakout room after its room and a UUID; what is merely called so is a room of its own."""
    event = parse_one(event="participant_connected", data={"conference": service})
    assert (event.conference, event.room) == (service, room)


json_data = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)
messages = st.builds(
    message,
    node=st.text(min_size=1, max_size=12),
    seq=st.integers(0, 2**63 - 1),
    time=st.floats(0, LATEST_TIME),
    event=st.text(min_size=1, max_size=20).filter(lambda name: name != "eventsink_bulk"),
    data=json_data,
)


@given(st.lists(messages, max_size=5))
def test_single_and_bulk_agree(sent: list[dict[str, Any]]) -> None:
    """A message is read alike alone and in a bulk, and what is read can be written and read again unchanged."""
    events = parse_events(bulk(*sent), ARRIVED).events
    assert events == tuple(read(each)[0] for each in sent)
    for event in events:
        again = message(
            node=event.node, seq=event.seq, version=event.version, time=event.time, event=event.name, data=event.data
        )
        assert parse_events(orjson.dumps(again), ARRIVED).events == (event,)


odd_values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(json_data, max_size=2)
)


@given(
    st.dictionaries(st.sampled_from(["node", "seq", "version", "time", "data", "other"]), odd_values, min_size=1),
    st.booleans(),
)
def test_a_message_with_a_name_is_always_read(changes: dict[str, Any], in_bulk: bool) -> None:
    """A message with anything in its fields is read and can be stored; nothing else can happen."""
    odd = message(**changes)
    (event,) = parse_events(bulk(odd) if in_bulk else json.dumps(odd).encode(), ARRIVED).events
    assert event.name == odd["event"]
    assert orjson.loads(orjson.dumps([event.data, event.envelope]))
    assert 0 <= event.time <= LATEST_TIME
    assert event.identity == replace(event, seq=event.seq + 1).identity


@given(st.lists(messages, min_size=1, max_size=4), st.data())
def test_a_bulk_that_is_broken_somewhere_loses_little(sent: list[dict[str, Any]], data: st.DataObject) -> None:
    """What stands before a cut is taken, wherever the body was cut."""
    texts = [json.dumps(each).encode() for each in sent]
    begin = b'{"event": "eventsink_bulk", "data": ['
    place = data.draw(st.integers(0, len(texts) - 1))
    whole = begin + b"".join(text + b"," for text in texts[:place])
    cut = texts[place][: data.draw(st.integers(1, len(texts[place]) - 1))]
    parsed = parse_events(whole + cut, ARRIVED)
    assert parsed.events == tuple(read(each)[0] for each in sent[:place])
    assert parsed.unreadable == 1


@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{},:"\\\\ 1a'), max_size=60).map(str.encode))
def test_noise_does_no_harm(body: bytes) -> None:
    """Bytes that are no message are counted, whatever they are."""
    assert parse_events(body, ARRIVED).events == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"x" * 8_000_000, id="no JSON at all"),
        pytest.param(b'"' + b"x" * 8_000_000, id="a text that never ends"),
        pytest.param(b'{"a": "' + rb"\"" * 4_000_000, id="a text of nothing but quotes"),
        pytest.param(b"[" * 200_000, id="lists in lists"),
    ],
)
def test_megabytes_of_something_else_are_told_in_no_time(body: bytes) -> None:
    """Whoever has the sink's password and sends rubbish holds no call up for longer than a node waits."""

    def spent() -> float:
        begin = time.process_time()
        parsed = parse_events(body, ARRIVED)
        assert not parsed.events
        assert parsed.unreadable
        return time.process_time() - begin

    # On a busy machine one may take longer than it does by itself.
    assert any(spent() < 1.5 for _ in range(3))

"""Event-sink messages: what is read, what is refused and why, and the classes of disconnect reasons."""

import contextlib
import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.events import (
    LATEST_TIME,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_NAME,
    MAX_TEXT,
    Event,
    EventError,
    LegEnd,
    leg_class,
    parse_events,
)

GOLDEN = b"""{"node": "10.44.34.11", "seq": 688, "version": 2, "time": 1760000117.97, "event": "participant_disconnected",
 "data": {"uuid": "a0ed2c58-f45b-4d96-a1cb-89812ec938ea", "conference": "3f2a9c5e8b7d4e1fa6c0d9b8e7f61234",
  "display_name": "Recording", "call_direction": "out", "protocol": "SIP", "role": "chair",
  "source_alias": "3f2a9c5e8b7d4e1fa6c0d9b8e7f61234@example.com", "destination_alias": "+13175551234@acmevideo.byoc.usw2.pure.cloud",
  "service_type": "conference", "service_tag": "video-escalation", "call_id": "a0ed2c58-f45b-4d96-a1cb-89812ec938ea",
  "conversation_id": "a0ed2c58-f45b-4d96-a1cb-89812ec938ea", "related_uuids": [], "connect_time": 1760000057.7,
  "end_time": 1760000117.97, "duration": 60.2, "disconnect_reason": "Call disconnected", "system_location": "DMZ",
  "media_node": "10.44.34.11", "signalling_node": "10.44.34.15", "remote_address": "198.51.100.20",
  "rx_bandwidth": 64, "tx_bandwidth": 64, "is_presenting": false, "has_media": true}}"""
BULK = b"""{"event": "eventsink_bulk", "node": "127.0.0.1", "seq": 0, "version": 2, "time": 1741679796.951206,
 "data": [
  {"event": "participant_updated", "node": "10.44.34.14", "seq": 2183, "time": 1741679792.93, "version": 2, "data": {}},
  {"event": "participant_updated", "node": "10.44.34.14", "seq": 2184, "time": 1741679794.45, "version": 2, "data": {}}
 ]}"""


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
    (event,) = parse_events(json.dumps(message(**changes)).encode())
    return event


def nested(levels: int) -> Any:
    """Lists inside each other."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def test_documented_example() -> None:
    """The documented message is read with everything in it."""
    (event,) = parse_events(GOLDEN)
    assert (event.node, event.seq, event.version, event.time) == ("10.44.34.11", 688, 2, 1760000117.97)
    assert event.name == "participant_disconnected"
    assert event.data == json.loads(GOLDEN)["data"]
    assert event.conference == "3f2a9c5e8b7d4e1fa6c0d9b8e7f61234"
    assert event.participant == "a0ed2c58-f45b-4d96-a1cb-89812ec938ea"
    assert event.is_outgoing
    assert event.protocol == "sip"
    assert event.identity == ("10.44.34.11", 688, 1760000117)


def test_documented_bulk() -> None:
    """A bulk is its messages in their order, each with its own node and seq; the wrapper is none of them."""
    assert [(event.node, event.seq, event.time) for event in parse_events(BULK)] == [
        ("10.44.34.14", 2183, 1741679792.93),
        ("10.44.34.14", 2184, 1741679794.45),
    ]


def test_wrapper_of_bulk_may_lack_everything_else() -> None:
    """The wrapper's node, seq, version and time carry no information, so nobody asks for them."""
    (event,) = parse_events(bulk(message(seq=3)))
    assert event.seq == 3
    assert parse_events(bulk()) == ()


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
        pytest.param({"colour": "blue"}, {"seq": 7}, id="unknown field of the envelope"),
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


def test_largest_bulk() -> None:
    """A bulk may have as many messages as the limit says."""
    assert len(parse_events(bulk(*[message()] * MAX_ELEMENTS))) == MAX_ELEMENTS


def test_text_that_is_not_utf8() -> None:
    """A caller's name in another encoding does not hold up the queue of a node."""
    body = json.dumps(message(data={"display_name": "J?rg"})).encode().replace(b"?", b"\xf6")
    (event,) = parse_events(body)
    assert event.data == {"display_name": "J\ufffdrg"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "the body is not JSON: ", id="empty"),
        pytest.param(b'{"node"', "the body is not JSON: ", id="cut off"),
        pytest.param(b"\xff\xfe", "the body is not JSON: ", id="no text"),
        pytest.param(b'{"data": NaN}', "the body is not JSON: it has the number NaN", id="NaN"),
        pytest.param(b'{"data": -Infinity}', "the body is not JSON: it has the number -Infinity", id="Infinity"),
        pytest.param(b"[" * 100_000, f"the body is nested deeper than {MAX_DEPTH} levels", id="far too deep"),
        pytest.param(b"[]", "a message must be a JSON object but is a list", id="list"),
        pytest.param(b"7", "a message must be a JSON object but is 7", id="number"),
        pytest.param(b"{}", "event must be a text of 1 to 250 characters but is missing", id="nothing"),
        pytest.param(
            b'{"event": "eventsink_bulk"}',
            "data of eventsink_bulk must be a list of messages but is null",
            id="bulk without data",
        ),
        pytest.param(
            b'{"event": "eventsink_bulk", "data": {}}',
            "data of eventsink_bulk must be a list of messages but is an object",
            id="bulk with one message's data",
        ),
        pytest.param(
            bulk(message(), "x"),
            'message 2 of 2 in the bulk: a message must be a JSON object but is "x"',
            id="bulk element that is none",
        ),
        pytest.param(
            bulk(message(), message(), message(seq=-1)),
            "message 3 of 3 in the bulk: seq must be a whole number from 0 but is -1",
            id="bad bulk element",
        ),
        pytest.param(
            bulk({"event": "eventsink_bulk", "data": []}),
            "message 1 of 1 in the bulk: a bulk cannot be inside a bulk",
            id="nested bulk",
        ),
        pytest.param(
            bulk(*[0] * (MAX_ELEMENTS + 1)),
            f"the bulk has {MAX_ELEMENTS + 1} messages; the limit is {MAX_ELEMENTS}",
            id="too many",
        ),
    ],
)
def test_refused_body(body: bytes, reason: str) -> None:
    """A body that is no event-sink message is refused with the reason."""
    with pytest.raises(EventError) as refused:
        parse_events(body)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"node": ...}, "node must be a text of 1 to 250 characters but is missing", id="no node"),
        pytest.param({"node": ""}, 'node must be a text of 1 to 250 characters but is ""', id="empty node"),
        pytest.param({"node": 7}, "node must be a text of 1 to 250 characters but is 7", id="node is a number"),
        pytest.param(
            {"node": "n" * (MAX_NAME + 1)},
            f'node must be a text of 1 to 250 characters but is "{"n" * 59}…',
            id="long node",
        ),
        pytest.param({"event": None}, "event must be a text of 1 to 250 characters but is null", id="null event"),
        pytest.param({"seq": ...}, "seq must be a whole number from 0 but is missing", id="no seq"),
        pytest.param({"seq": "7"}, 'seq must be a whole number from 0 but is "7"', id="seq is a text"),
        pytest.param({"seq": 7.5}, "seq must be a whole number from 0 but is 7.5", id="seq is a fraction"),
        pytest.param({"seq": True}, "seq must be a whole number from 0 but is true", id="seq is a boolean"),
        pytest.param({"seq": 2**63}, "seq must be a whole number from 0 but is a number that is too large", id="seq"),
        pytest.param({"version": None}, "version must be a whole number from 0 but is null", id="null version"),
        pytest.param({"time": ...}, "time must be a number of seconds since 1970 but is missing", id="no time"),
        pytest.param({"time": True}, "time must be a number of seconds since 1970 but is true", id="time is a boolean"),
        pytest.param({"time": -1}, "time must be a number of seconds since 1970 but is -1", id="before 1970"),
        pytest.param(
            {"time": LATEST_TIME + 1}, "time must be a number of seconds since 1970 but is 253402214401.0", id="late"
        ),
        pytest.param({"data": []}, "data of conference_updated must be an object but is a list", id="data is a list"),
        pytest.param({"data": "x"}, 'data of conference_updated must be an object but is "x"', id="data is a text"),
        pytest.param(
            {"data": {"t": nested(MAX_DEPTH)}},
            "data of conference_updated is nested deeper than 32 levels",
            id="deep data",
        ),
        pytest.param(
            {"data": {"n": 10**400}}, "data of conference_updated has a number that is too large", id="huge number"
        ),
    ],
)
def test_refused_message(changes: dict[str, Any], reason: str) -> None:
    """What is wrong with a message is said with the field and its value."""
    with pytest.raises(EventError) as refused:
        parse_one(**changes)
    assert str(refused.value) == reason


def test_number_that_floats_cannot_hold() -> None:
    """A number that would be read as infinity is refused."""
    with pytest.raises(EventError, match="a number that is too large"):
        parse_events(json.dumps(message(data={"n": "N"})).replace('"N"', "1e999").encode())


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


@pytest.mark.parametrize(("sent", "protocol"), [("SIP", "sip"), ("WebRTC", "webrtc"), ("api", "api"), (7, "")])
def test_protocol_without_regard_to_case(sent: object, protocol: str) -> None:
    """Documentation and field reports spell protocols differently."""
    assert parse_one(data={"protocol": sent}).protocol == protocol


def test_events_are_values() -> None:
    """Two readings of one message are equal and hash alike, so that a set keeps one."""
    assert len({*parse_events(GOLDEN), *parse_events(GOLDEN)}) == 1


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ({"time": 1760000000.99, "data": {"n": 1}}, True),
        ({"time": 1760000001.0}, False),
        ({"seq": 8}, False),
        ({"node": "10.0.0.2"}, False),
    ],
)
def test_identity(other: dict[str, Any], is_same: bool) -> None:
    """Node, seq and the second of time tell duplicates, since seq starts again with the sink."""
    assert (parse_one(**other).identity == parse_one().identity) is is_same


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
    events = parse_events(bulk(*sent))
    assert events == tuple(parse_events(json.dumps(each).encode())[0] for each in sent)
    for event in events:
        again = message(
            node=event.node, seq=event.seq, version=event.version, time=event.time, event=event.name, data=event.data
        )
        assert parse_events(orjson.dumps(again)) == (event,)
        assert math.floor(event.time) == event.identity[2]


odd_values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(json_data, max_size=2)
)


@given(
    st.dictionaries(st.sampled_from(["node", "seq", "version", "time", "event", "data"]), odd_values, min_size=1),
    st.booleans(),
)
def test_odd_message_is_read_or_refused(changes: dict[str, Any], in_bulk: bool) -> None:
    """A message with anything in its fields is read, or refused with a reason; nothing else can happen."""
    odd = message(**changes)
    with contextlib.suppress(EventError):
        for event in parse_events(bulk(odd) if in_bulk else json.dumps(odd).encode()):
            assert event.name == odd["event"].replace("\0", "\ufffd")
            assert event.seq == odd["seq"]


@given(st.binary(max_size=60))
def test_noise_is_refused(body: bytes) -> None:
    """Bytes that are no message are refused, whatever they are."""
    with pytest.raises(EventError):
        parse_events(body)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("Call disconnected", LegEnd.ENDED_BY_FAR_END),
        (" call  DISCONNECTED\n", LegEnd.ENDED_BY_FAR_END),
        ("Call disconnected by remote", LegEnd.ENDED_BY_FAR_END),
        ("Call rejected", LegEnd.REFUSED),
        ("Call rejected: busy", LegEnd.REFUSED),
        ("404 Not Found", LegEnd.REFUSED),
        ("Unexpected Response: 404", LegEnd.REFUSED),
        ("Unexpected Response: 486", LegEnd.REFUSED),
        ("Unexpected Response: 486 Busy Here", LegEnd.REFUSED),
        ("Unexpected Response: 603", LegEnd.REFUSED),
        ("Unexpected Response: 503", LegEnd.TEMPORARY),
        ("unexpected response:500", LegEnd.TEMPORARY),
        ("Unexpected Response: 503 Call rejected", LegEnd.TEMPORARY),
        ("503 Service Unavailable", LegEnd.TEMPORARY),
        ("Unexpected Response: 302", LegEnd.UNKNOWN),
        ("Unexpected Response: 5031", LegEnd.UNKNOWN),
        ("Unexpected Response", LegEnd.UNKNOWN),
        ("Resource unavailable", LegEnd.TEMPORARY),
        ("Out of resource", LegEnd.TEMPORARY),
        ("Out of transcoding resource", LegEnd.TEMPORARY),
        ("Out of proxying resource", LegEnd.TEMPORARY),
        ("Out of some new resource", LegEnd.TEMPORARY),
        ("Signaling node disconnected", LegEnd.TEMPORARY),
        ("Media process disconnected", LegEnd.TEMPORARY),
        ("Media node disconnected", LegEnd.TEMPORARY),
        ("Proxied participant disconnected", LegEnd.TEMPORARY),
        ("System in maintenance mode", LegEnd.TEMPORARY),
        ("Conference host ended the conference with a DTMF command", LegEnd.CONFERENCE_OVER),
        ("Conference terminated by a Host participant", LegEnd.CONFERENCE_OVER),
        ("API initiated conference termination", LegEnd.CONFERENCE_OVER),
        ("Conference terminated by an administrator", LegEnd.CONFERENCE_OVER),
        ("API initiated participant disconnect", LegEnd.CONFERENCE_OVER),
        ("Disconnected by an administrator", LegEnd.CONFERENCE_OVER),
        ("Disconnected by another participant", LegEnd.CONFERENCE_OVER),
        ("Conference terminated by another participant", LegEnd.CONFERENCE_OVER),
        ("Conference terminated by somebody new", LegEnd.CONFERENCE_OVER),
        (
            "Timeout waiting for conference host to join or permit access to locked conference",
            LegEnd.CONFERENCE_OVER,
        ),
        ("No participants can keep conference alive", LegEnd.CONFERENCE_OVER),
        ("All conference hosts departed hosted conference", LegEnd.CONFERENCE_OVER),
        ("Last remaining participant removed from conference after timeout", LegEnd.CONFERENCE_OVER),
        ("Edge node disconnected", LegEnd.TEMPORARY),
        ("Node in maintenance mode", LegEnd.TEMPORARY),
        ("Conference ended", LegEnd.CONFERENCE_OVER),
        ("", LegEnd.UNKNOWN),
        ("Neither conference nor gateway found", LegEnd.UNKNOWN),
        ("invalid gateway routing rule transform", LegEnd.UNKNOWN),
        ("Gateway dial out failed", LegEnd.UNKNOWN),
        ("No direct route between Edge and Transcoding", LegEnd.UNKNOWN),
        ("Insufficient licenses", LegEnd.UNKNOWN),
        ("Participant limit reached", LegEnd.UNKNOWN),
        ("Timer expired awaiting token refresh", LegEnd.UNKNOWN),
        ("User initiated disconnect", LegEnd.UNKNOWN),
    ],
)
def test_classes_of_disconnect_reasons(reason: str, expected: LegEnd) -> None:
    """A reason has its class by the whole text, a SIP status, or the words that make the class."""
    assert leg_class(reason) is expected

"""Event-sink messages of the simulator: their shape is the reference's, and the server makes of them what happened."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

import orjson
import pytest

from policy_server.conferences.fold import Chronicle, Phase
from policy_server.conferences.participants import LegState
from policy_server.conferences.timeline import TimelineEvents
from policy_server.pexip.events import Event, parse_events
from policy_server.pexip.leg_ends import LegEnd
from policy_server.simulator.events import Message, Reporter, browser, bulk, trunk_leg
from tests.conferences.event_histories import fold
from tests.docs.pages import code
from tests.pexip.reference import section

ROOM: Final = {"service_type": "conference", "name": "s1", "service_tag": "visit", "pin": "70421985"}
LEG: Final = {
    "local_alias": "s1@video.example.com",
    "local_display_name": "s1",
    "remote_alias": "99+13129998045",
    "remote_display_name": "Contact centre",
    "protocol": "sip",
    "role": "guest",
}
NOON: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)


def told_of(heading: str) -> set[str]:
    """The fields that the reference lists for an event."""
    return {field for row in section(heading).rows("Field") for field in code(row[0])}


CONFERENCE: Final = told_of("Conference events") - {"end_time"}
PARTICIPANT: Final = told_of("Participant events") - {"license_count"}
"""Licences are in one field report only."""
GOODBYE: Final = {"disconnect_reason", "duration", "end_time"}


def clock() -> Iterator[datetime]:
    """One second passes between two looks."""
    return (NOON + timedelta(seconds=number) for number in count())


def whole_call() -> list[Message]:
    """The messages of a call in which everybody comes and goes."""
    reporter = Reporter(ROOM, clock().__next__, 41)
    people = (*browser("Ada L", "mps1", "guest"), trunk_leg(LEG), *browser("Agent", "hcps1", "chair"))
    return [
        reporter.started(),
        *map(reporter.connected, people),
        *(reporter.disconnected(who, "Call disconnected") for who in people),
        reporter.ended(),
    ]


def parsed(*messages: Message) -> tuple[Event, ...]:
    """The messages as the server reads them."""
    return tuple(event for message in messages for event in parse_events(orjson.dumps(message), NOON).events)


def test_the_envelope() -> None:
    """Every message has the six keys of the reference; seq counts on, and time goes on."""
    messages = whole_call()
    assert {frozenset(message) for message in messages} == {
        frozenset({"node", "seq", "version", "time", "event", "data"})
    }
    events = parsed(*messages)
    assert [event.seq for event in events] == list(range(41, 41 + 12))
    assert [event.time for event in events] == [NOON.timestamp() + second for second in range(12)]
    assert {(event.node, event.version) for event in events} == {("10.144.101.21", 2)}


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("conference_started", CONFERENCE),
        ("conference_ended", CONFERENCE | {"end_time"}),
        ("participant_connected", PARTICIPANT),
        ("participant_disconnected", PARTICIPANT | GOODBYE),
    ],
)
def test_the_fields(event: str, fields: set[str]) -> None:
    """A message has every field that the reference lists for it, no other, and each of its type."""
    told = [each for each in parsed(*whole_call()) if each.name == event]
    assert told
    for each in told:
        assert set(each.data) == fields
        for name, value in each.data.items():
            kind = (
                float
                if name.endswith("_time") or name == "duration"
                else bool
                if name.startswith(("is_", "has_", "guests_"))
                else int
                if name.endswith("_bandwidth")
                else list
                if name == "related_uuids"
                else str
            )
            assert type(value) is kind, name


def test_no_pin_is_reported() -> None:
    """What nodes report holds no PIN."""
    assert ROOM["pin"] not in orjson.dumps(whole_call()).decode()


def test_bulk() -> None:
    """Several messages go in one wrapper, from which the server takes the same messages."""
    messages = whole_call()
    wrapped = bulk(messages)
    assert {name: wrapped[name] for name in ("event", "node", "seq", "version")} == {
        "event": "eventsink_bulk",
        "node": "127.0.0.1",
        "seq": 0,
        "version": 2,
    }
    assert parsed(wrapped) == parsed(*messages)


def test_a_browser_is_two_participants_and_one_person() -> None:
    """The control half has no media; the two name each other, and the server counts one person by the dialled alias."""
    reporter = Reporter(ROOM, clock().__next__, 1)
    control, media = browser("Ada L", "mps1", "guest")
    assert (control.data["protocol"], control.data["has_media"]) == ("API", False)
    assert (media.data["protocol"], media.data["has_media"]) == ("WebRTC", True)
    assert (control.data["related_uuids"], media.data["related_uuids"]) == ([media.uuid], [control.uuid])
    state = fold(parsed(reporter.started(), reporter.connected(control), reporter.connected(media)))
    (person,) = state.people
    assert (state.phase, person.has_media, person.role) == (Phase.ACTIVE, True, "guest")
    assert (person.display_name, person.destination_alias) == ("Ada L", "mps1")


def test_a_leg() -> None:
    """A dialled leg is the contact centre's: the server knows its number, that it is up, and why it ended."""
    reporter = Reporter(ROOM, clock().__next__, 1)
    leg = trunk_leg(LEG)
    messages = [reporter.started(), reporter.connected(leg)]
    (up,) = fold(parsed(*messages)).trunk_legs
    assert (up.number, up.state) == ("+13129998045", LegState.CONNECTED)
    (down,) = fold(parsed(*messages, reporter.disconnected(leg, "Call disconnected"))).trunk_legs
    assert (down.state, down.leg_end) == (LegState.ENDED, LegEnd.ENDED)


def test_a_whole_call() -> None:
    """In the end the conference is over and nobody is there, and the timeline tells it in order."""
    events = parsed(*whole_call())
    state = fold(events)
    assert (state.phase, state.ended_at) == (Phase.ENDED, NOON.timestamp() + 11)
    assert not any(person.is_present for person in state.people)
    assert [line.kind for line in TimelineEvents().of(Chronicle(events))] == [
        "conference_started",
        "joined",
        "trunk_answered",
        "joined",
        "left",
        "trunk_ended",
        "left",
        "conference_ended",
    ]


def test_a_leg_that_says_little() -> None:
    """A leg of which only the alias is known is reported all the same."""
    leg: dict[str, Any] = {"local_alias": "s", "remote_alias": "99+1", "role": "guest"}
    data = trunk_leg(leg).data
    assert (data["protocol"], data["display_name"], data["destination_alias"]) == ("SIP", "99+1", "99+1")

"""The state and the timeline of a conference follow from the set of its messages."""

import itertools
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.fold import Chronicle, Phase
from policy_server.conferences.participants import MAX_PARTICIPANTS, LegState, Participant
from policy_server.conferences.timeline import TimelineEvents
from policy_server.pexip.events import Event, parse_events
from policy_server.pexip.leg_ends import LegEnd
from tests.conferences.event_histories import (
    NUMBER,
    OTHER,
    ROOM,
    VISIT,
    ConferenceState,
    History,
    browser,
    changed,
    delivered,
    ended,
    fold,
    histories,
    joined,
    jumbled,
    left,
    leg,
    message,
    started,
    state_of,
    updated,
)
from tests.conferences.test_timeline import lines
from tests.pexip.test_events import ARRIVED, GOLDEN

WAITING, ACTIVE, ENDED = Phase.WAITING, Phase.ACTIVE, Phase.ENDED


def seen(state: ConferenceState) -> list[Participant]:
    """Who is there to be seen or heard."""
    return [person for person in state.people if person.is_present and person.has_media]


# ------------------------------------------------------------------ phases


@pytest.mark.parametrize(
    ("events", "phase"),
    [
        pytest.param([], WAITING, id="nothing"),
        pytest.param([started(100)], WAITING, id="started, nobody there"),
        pytest.param([started(100), updated(101, is_started=True)], WAITING, id="is_started without media"),
        pytest.param([started(100), browser("Ada", 101)[0]], WAITING, id="control half alone"),
        pytest.param([started(100), *browser("Ada", 101)], ACTIVE, id="browser"),
        pytest.param(browser("Ada", 101), ACTIVE, id="the start was lost"),
        pytest.param([started(100), joined("a", 101, has_media=...)], WAITING, id="media not told"),
        pytest.param([started(100), joined("a", 101, service_type="waiting_room")], WAITING, id="in the lobby"),
        pytest.param([started(100), joined("a", 101, service_type="ivr")], WAITING, id="at the PIN menu"),
        pytest.param([started(100), leg("l", 101, service_type="connecting")], WAITING, id="leg is ringing"),
        pytest.param(
            [started(100), joined("a", 101, service_type="conference", current_service_type="waiting_room")],
            WAITING,
            id="in the lobby by the other field",
        ),
        pytest.param(
            [joined("a", 101, service_type="waiting_room"), changed("a", 102, service_type="conference")],
            ACTIVE,
            id="let in from the lobby",
        ),
        pytest.param([started(100), leg("l", 101)], ACTIVE, id="the leg alone"),
        pytest.param([started(100), joined("a", 101), left("a", 102)], WAITING, id="all left, no end yet"),
        pytest.param([started(100), joined("a", 101), left("a", 102), ended(103)], ENDED, id="ended"),
        pytest.param([ended(103)], ENDED, id="only the end is known"),
        pytest.param([started(100), joined("a", 101), ended(103)], ENDED, id="leaving was lost"),
        pytest.param([started(100), started(101, OTHER), ended(103)], WAITING, id="one of two nodes ended"),
        pytest.param(
            [started(100), started(101, OTHER), joined("a", 102, OTHER), ended(103)], ACTIVE, id="on the other node"
        ),
        pytest.param([started(100), started(101, OTHER), ended(103), ended(104, OTHER)], ENDED, id="both ended"),
        pytest.param([started(100), updated(101, OTHER), ended(103)], WAITING, id="other node's start was lost"),
        pytest.param([started(100), ended(103), started(110)], WAITING, id="started again"),
        pytest.param([started(100), ended(103), started(110), joined("a", 111)], ACTIVE, id="somebody returned"),
        pytest.param(
            [started(100), ended(103), started(110), joined("a", 111), left("a", 112), ended(113)],
            ENDED,
            id="ended again",
        ),
        pytest.param([started(100), ended(103), started(110, OTHER)], WAITING, id="started again on another node"),
        pytest.param([started(100), ended(103), updated(104)], ENDED, id="an update after the end"),
        pytest.param([started(100), ended(103), updated(110, start_time=100)], ENDED, id="an update of the old life"),
        pytest.param([started(100), ended(103), updated(110, start_time=109)], WAITING, id="an update of a new life"),
        pytest.param([ended(103, seq=1), started(103, seq=2)], ENDED, id="tie: ended wins"),
        pytest.param(
            [started(103, end_time=None), started(100), ended(103, OTHER), started(90, OTHER)],
            WAITING,
            id="another's end",
        ),
        pytest.param([started(100), ended(103), joined("a", 104)], ACTIVE, id="joined after the end"),
        pytest.param([started(100), joined("a", 101), ended(103), left("a", 104)], ENDED, id="left after the end"),
        pytest.param([message("eventsink_started", 90), message("eventsink_stopped", 91)], WAITING, id="sink events"),
        pytest.param([started(100), message("conference_sang", 101, name=ROOM)], WAITING, id="unknown event"),
        pytest.param([started(100), message("participant_connected", 101, has_media=True)], WAITING, id="no uuid"),
    ],
)
def test_phase(events: list[Event], phase: Phase) -> None:
    """A conference waits, is active once somebody is in it with media, and ends with its last node."""
    for order in (events, events[::-1]):
        state = fold(order)
        assert state.phase is phase
        assert (state.ended_at is not None) is (phase is ENDED)


@pytest.mark.parametrize(
    ("events", "started_at", "ended_at"),
    [
        pytest.param([], None, None, id="nothing"),
        pytest.param([joined("a", 101)], None, None, id="no start told"),
        pytest.param([started(100)], 100, None, id="started"),
        pytest.param([started(100, start_time=...)], 100, None, id="start_time is missing"),
        pytest.param([started(100, start_time=None)], 100, None, id="start_time is null"),
        pytest.param([started(100, start_time=98.5)], 98.5, None, id="start_time before the message"),
        pytest.param([started(100), started(99, OTHER)], 99, None, id="smallest of two nodes"),
        pytest.param([updated(105, start_time=98), ended(110)], 98, 110, id="told by an update"),
        pytest.param([ended(110, start_time=97)], 97, 110, id="told by the end"),
        pytest.param([started(100), ended(110, end_time=109.5)], 100, 109.5, id="end_time"),
        pytest.param([started(100), ended(110, end_time=...)], 100, 110, id="end_time is missing"),
        pytest.param([started(100), ended(110, end_time="x")], 100, 110, id="end_time is a text"),
        pytest.param([started(100), started(99, OTHER), ended(110), ended(108, OTHER)], 99, 110, id="last end"),
        pytest.param([started(100), ended(110), started(120), ended(130)], 100, 130, id="two lives are one visit"),
        pytest.param([started(100), ended(110), started(120)], 100, None, id="the second life goes on"),
    ],
)
def test_start_and_end(events: list[Event], started_at: float | None, ended_at: float | None) -> None:
    """It starts with the smallest start of its nodes and ends with the last end."""
    state = fold(events)
    assert (state.started_at, state.ended_at) == (started_at, ended_at)


def test_lock_follows_time_and_starts_open_again() -> None:
    """The latest message that tells whether the conference is locked decides, until a new life begins."""
    locked = [started(100), updated(101, is_locked=True), updated(102)]
    assert fold(locked[::-1]).is_locked
    assert not fold([*locked, updated(103, OTHER, is_locked=False)]).is_locked
    assert not fold([*locked, ended(104), started(110, is_locked=...)]).is_locked


def test_nodes_are_those_that_sent_messages_of_the_conference() -> None:
    """Each node once, sorted, whatever kind of message it sent."""
    events = [joined("a", 101, "10.0.0.9"), started(100, OTHER), started(99, OTHER), message("eventsink_started", 1)]
    assert fold(events).nodes == ("10.0.0.2", "10.0.0.9")


# ------------------------------------------------------------------ participants


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([joined("a", 101)], {"connected_at": 101.0, "is_present": True}, id="connected"),
        pytest.param([joined("a", 101, connect_time=100.5)], {"connected_at": 100.5}, id="connect_time"),
        pytest.param([joined("a", 101, connect_time=None)], {"connected_at": 101.0}, id="connect_time is null"),
        pytest.param([joined("a", 101, connect_time=0)], {"connected_at": 101.0}, id="connect_time is zero"),
        pytest.param([joined("a", 101, connect_time=1e300)], {"connected_at": 101.0}, id="connect_time is no time"),
        pytest.param(
            [joined("a", 101, connect_time=None, service_type="connecting")], {"connected_at": None}, id="not answered"
        ),
        pytest.param(
            [
                joined("a", 101, connect_time=None, service_type="connecting"),
                changed("a", 105, service_type="conference"),
            ],
            {"connected_at": 105.0},
            id="answered later",
        ),
        pytest.param([changed("a", 105, connect_time=100)], {"connected_at": 100.0}, id="connected was lost"),
        pytest.param(
            [left("a", 110, connect_time=100)],
            {"connected_at": 100.0, "disconnected_at": 110.0, "is_present": False},
            id="only the end is known",
        ),
        pytest.param([left("a", 110)], {"connected_at": None, "disconnected_at": 110.0}, id="an end and no more"),
        pytest.param([joined("a", 101), left("a", 110, end_time=109.5)], {"disconnected_at": 109.5}, id="end_time"),
        pytest.param(
            [joined("a", 101), left("a", 110, end_time=..., disconnect_time=108)],
            {"disconnected_at": 108.0},
            id="disconnect_time",
        ),
        pytest.param([joined("a", 101), left("a", 110, end_time=...)], {"disconnected_at": 110.0}, id="time of end"),
        pytest.param(
            [joined("a", 101), left("a", 110, disconnect_reason="Browser closed")],
            {"disconnect_reason": "Browser closed"},
            id="reason",
        ),
        pytest.param(
            [joined("a", 101, seq=2), left("a", 101, seq=1)], {"is_present": False}, id="tie: disconnected wins"
        ),
        pytest.param(
            [left("a", 101, seq=1), changed("a", 101, seq=2)], {"is_present": False}, id="tie: over an update too"
        ),
        pytest.param(
            [joined("a", 101, seq=2, is_muted=False), changed("a", 101, seq=1, is_muted=True)],
            {"is_muted": True},
            id="tie: update over connect",
        ),
        pytest.param(
            [changed("a", 101, seq=9, is_muted=True), changed("a", 101, seq=8, is_muted=False)],
            {"is_muted": True},
            id="tie: higher seq",
        ),
        pytest.param(
            [changed("a", 103, OTHER, seq=1, role="chair"), joined("a", 101, seq=50, role="guest")],
            {"role": "chair"},
            id="time decides, not seq",
        ),
        pytest.param(
            [joined("a", 101), left("a", 110), joined("a", 120, connect_time=None)],
            {"is_present": True, "disconnect_reason": "", "connected_at": 101.0},
            id="returned",
        ),
        pytest.param(
            [joined("a", 101, display_name="Ada", role="guest"), changed("a", 102, role="chair")],
            {"display_name": "Ada", "role": "chair"},
            id="only the changed field",
        ),
        pytest.param(
            [joined("a", 101, display_name="Ada", is_muted=True), changed("a", 102, display_name=None, is_muted=None)],
            {"display_name": "Ada", "is_muted": True},
            id="null tells nothing",
        ),
        pytest.param(
            [joined("a", 101, display_name="Ada", is_muted=True), changed("a", 102, display_name=7, is_muted="no")],
            {"display_name": "Ada", "is_muted": True},
            id="another type tells nothing",
        ),
        pytest.param([joined("a", 101, protocol="WebRTC")], {"protocol": "webrtc"}, id="protocol in lower case"),
        pytest.param([joined("a", 101, call_direction="inbound")], {"call_direction": "in"}, id="inbound"),
        pytest.param([joined("a", 101, call_direction="dial_out")], {"call_direction": "out"}, id="dial_out"),
        pytest.param([joined("a", 101, call_direction=...)], {"call_direction": ""}, id="no direction"),
        pytest.param(
            [joined("a", 101, source_alias="far", destination_alias="near")], {"alias": "far"}, id="alias of a caller"
        ),
        pytest.param(
            [joined("a", 101, call_direction="out", source_alias="near", destination_alias="far")],
            {"alias": "far"},
            id="alias of who is called",
        ),
        pytest.param(
            [started(100), joined("a", 101), ended(110)],
            {"disconnected_at": 110.0, "disconnect_reason": ""},
            id="gone with the conference",
        ),
        pytest.param(
            [started(100), joined("a", 101), ended(110), left("a", 111, disconnect_reason="Late")],
            {"disconnected_at": 111.0, "disconnect_reason": "Late"},
            id="the conference ended first",
        ),
        pytest.param(
            [started(100), joined("a", 101), ended(110), started(120)],
            {"disconnected_at": 110.0},
            id="not in the next life",
        ),
        pytest.param(
            [started(100), joined("a", 101), changed("a", 109.9), ended(110, end_time=109)],
            {"disconnected_at": 109.9},
            id="last word between the end and its message",
        ),
        pytest.param(
            [joined("a", 101, is_presenting=True), left("a", 110, is_presenting=True)],
            {"is_presenting": False, "has_media": True},
            id="nobody presents who left",
        ),
        pytest.param(
            [joined("a", 101, service_tag="t", call_tag="c", media_node="10.0.0.5", service_type="lecture")],
            {"service_tag": "t", "call_tag": "c", "media_node": "10.0.0.5", "service_type": "lecture"},
            id="other fields",
        ),
    ],
)
def test_participant(events: list[Event], expected: dict[str, Any]) -> None:
    """A participant is what its messages say, merged by time, and there unless the latest is its end."""
    for order in (events, events[::-1]):
        (participant,) = fold(order).participants
        assert {key: getattr(participant, key) for key in expected} == expected
        assert participant.uuids == ("a",)


def test_documented_example() -> None:
    """The documented message alone tells of a leg that the far end hung up."""
    state = fold(parse_events(GOLDEN, ARRIVED).events)
    (found,) = state.trunk_legs
    assert (found.number, found.state, found.leg_end) == (NUMBER, LegState.ENDED, LegEnd.ENDED)
    assert (found.connected_at, found.ended_at) == (1760000057.7, 1760000117.97)
    assert state.people == ()
    assert state.phase is WAITING
    assert state.participants[0].service_tag == "video-escalation"


def test_two_messages_with_one_seq_at_one_moment() -> None:
    """Messages that differ in nothing but their content, as after a restart of the sink, have a fixed order too."""
    events = [changed("a", 101, seq=1, display_name=name) for name in ("Ada", "Bo", "Cy")]
    names = {fold(order).participants[0].display_name for order in itertools.permutations(events)}
    assert len(names) == 1


# ------------------------------------------------------------------ people


def test_browser_is_one_person() -> None:
    """Control half and media half are one person, who has the media of the one and came with the first."""
    state = fold([started(100), *browser("Ada", 101, role="guest")])
    (ada,) = state.people
    assert ada.uuids == ("Ada-control", "Ada-media")
    assert (ada.display_name, ada.role, ada.protocol, ada.has_media) == ("Ada", "guest", "webrtc", True)
    assert (ada.connected_at, ada.disconnected_at) == (101.0, None)
    assert len(state.participants) == 2
    assert seen(state) == [ada]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        pytest.param([left("Ada-media", 110)], {"has_media": False, "is_present": True}, id="lost its media"),
        pytest.param(
            [left("Ada-media", 110), left("Ada-control", 111, disconnect_reason="Browser closed")],
            {"disconnected_at": 111.0, "disconnect_reason": "Browser closed", "has_media": True},
            id="left",
        ),
        pytest.param(
            [left("Ada-control", 112, disconnect_reason="Bye"), left("Ada-media", 111, related_uuids=[])],
            {"disconnected_at": 112.0, "disconnect_reason": "Bye"},
            id="left in the other order",
        ),
        pytest.param(
            [left("Ada-media", 110), joined("Ada-media2", 111, related_uuids=["Ada-control"])],
            {"has_media": True, "uuids": ("Ada-control", "Ada-media", "Ada-media2"), "connected_at": 101.0},
            id="media again with another uuid",
        ),
        pytest.param([changed("Ada-control", 102, is_presenting=True)], {"is_presenting": True}, id="presents"),
        pytest.param([changed("Ada-media", 102, is_muted=True)], {"is_muted": True}, id="muted media"),
        pytest.param([changed("Ada-media", 102, display_name="")], {"display_name": "Ada"}, id="name from the other"),
        pytest.param(
            [changed("Ada-control", 102, related_uuids=[]), changed("Ada-media", 102, related_uuids=[])],
            {"uuids": ("Ada-control", "Ada-media")},
            id="once siblings, always siblings",
        ),
    ],
)
def test_person_of_two_halves(extra: list[Event], expected: dict[str, Any]) -> None:
    """Whatever happens to either half, they stay one person."""
    (person,) = fold([*browser("Ada", 101), *extra]).people
    assert {key: getattr(person, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("events", "people"),
    [
        pytest.param([joined("a", 1), joined("b", 2)], [("a",), ("b",)], id="strangers"),
        pytest.param([joined("a", 1, related_uuids=["b"]), joined("b", 2)], [("a", "b")], id="named by one side"),
        pytest.param([joined("a", 1), joined("b", 2, related_uuids=["a"])], [("a", "b")], id="named by the other"),
        pytest.param(
            [joined("a", 1, related_uuids=["x"]), joined("b", 2, related_uuids=["x"])],
            [("a", "b")],
            id="through one who is not known",
        ),
        pytest.param([joined("a", 1, related_uuids=["a", "", 7, None])], [("a",)], id="odd siblings"),
        pytest.param([joined("a", 1, related_uuids="b"), joined("b", 2)], [("a",), ("b",)], id="siblings are no list"),
        pytest.param([joined("a", 1), leg("l", 2)], [("a",)], id="the leg is nobody"),
        pytest.param(
            [joined("a", 1, related_uuids=["l"]), joined("b", 2, related_uuids=["l"]), leg("l", 3)],
            [("a",), ("b",)],
            id="the leg joins nobody",
        ),
    ],
)
def test_people(events: list[Event], people: list[tuple[str, ...]]) -> None:
    """Who names whom as related is one person; trunk legs are not people."""
    assert [person.uuids for person in fold(events).people] == people


# ------------------------------------------------------------------ trunk legs


@pytest.mark.parametrize(
    ("destination", "number"),
    [
        (f"{NUMBER}@acmevideo.byoc.usw2.pure.cloud", NUMBER),
        (f"sip:{NUMBER}@acmevideo.byoc.usw2.pure.cloud;transport=tls", NUMBER),
        (f"{NUMBER};tgrp=acmevideo;trunk-context=byoc.usw2.pure.cloud@198.51.100.20", NUMBER),
        (f"99{NUMBER}", NUMBER),
        (f"SIP:99{NUMBER}", NUMBER),
        ("reception@example.com", ""),
        (f"reception@{NUMBER}.example.com", ""),
        ("13175551234@example.com", ""),
        ("+1@example.com", ""),
        ("+131755512341317555@example.com", ""),
        ("", ""),
    ],
)
def test_number_of_a_leg(destination: str, number: str) -> None:
    """The number is found in every form in which a trunk is dialled, and never guessed."""
    (found,) = fold([leg("l", 101, destination_alias=destination)]).trunk_legs
    assert found.number == number


@pytest.mark.parametrize(
    ("events", "state", "connected_at", "ended_at", "leg_end"),
    [
        pytest.param(
            [leg("l", 101, connect_time=None, service_type="connecting", has_media=False)],
            LegState.DIALLING,
            None,
            None,
            None,
            id="rings",
        ),
        pytest.param([leg("l", 101)], LegState.CONNECTED, 101.0, None, None, id="answered"),
        pytest.param([leg("l", 101, connect_time=None)], LegState.CONNECTED, 101.0, None, None, id="no connect_time"),
        pytest.param(
            [leg("l", 101), left("l", 110, disconnect_reason="Call disconnected")],
            LegState.ENDED,
            101.0,
            110.0,
            LegEnd.ENDED,
            id="hung up",
        ),
        pytest.param(
            [
                leg("l", 101, connect_time=None, service_type="connecting"),
                left("l", 110, connect_time=None, disconnect_reason="Unexpected Response: 503"),
            ],
            LegState.ENDED,
            None,
            110.0,
            LegEnd.UNREACHABLE,
            id="never answered",
        ),
        pytest.param([leg("l", 101), ended(110)], LegState.ENDED, 101.0, 110.0, LegEnd.ENDED, id="cut off"),
        pytest.param(
            [leg("l", 101), left("l", 110, disconnect_reason="")], LegState.ENDED, 101.0, 110.0, LegEnd.UNKNOWN, id="?"
        ),
    ],
)
def test_life_of_a_leg(
    events: list[Event],
    state: LegState,
    connected_at: float | None,
    ended_at: float | None,
    leg_end: LegEnd | None,
) -> None:
    """A leg is dialling, connected or ended, and says why it ended."""
    (found,) = fold(events).trunk_legs
    assert (found.state, found.connected_at, found.ended_at, found.leg_end) == (state, connected_at, ended_at, leg_end)


@pytest.mark.parametrize(
    ("changes", "is_leg"),
    [
        ({}, True),
        ({"protocol": "sip", "call_direction": "outbound"}, True),
        ({"call_direction": "in"}, False),
        ({"protocol": "MSSIP"}, False),
        ({"protocol": "RTMP"}, False),
    ],
)
def test_which_calls_are_trunk_legs(changes: dict[str, Any], is_leg: bool) -> None:
    """Outgoing SIP calls, and no others."""
    state = fold([leg("l", 101, **changes)])
    assert (len(state.trunk_legs), len(state.people)) == ((1, 0) if is_leg else (0, 1))


# ------------------------------------------------------------------ bounds


def test_too_many_participants() -> None:
    """Beyond the limit those who are there stay first, then the latest; the rest are counted."""
    gone = [
        event for n in range(MAX_PARTICIPANTS + 5) for event in (joined(f"g{n:04}", n + 1), left(f"g{n:04}", n + 2))
    ]
    there = [joined("first", 0.5)]
    state = fold([*gone, *there])
    assert len(state.participants) == MAX_PARTICIPANTS
    assert state.left_out == 6
    assert state.participants[0].uuids == ("first",)
    assert state.participants[1].uuids == ("g0006",)
    assert state.phase is ACTIVE
    assert fold(gone[:-10]).left_out == 0


def test_ten_thousand_events_fold_quickly() -> None:
    """A full bulk is folded in a fraction of the two seconds that storing and folding may take."""
    example = parse_events(GOLDEN, ARRIVED).events[0].data
    events = [
        message(f"participant_{verb}", 1e9 + n, f"10.0.0.{n % 4}", seq=n, **{**example, "uuid": f"u{n % 700}"})
        for n in range(10_000)
        for verb in [("connected", "updated", "updated", "disconnected")[n // 2_500]]
    ]
    order = random.Random(1)
    order.shuffle(events)
    begin = time.process_time()
    fold(events)
    assert time.process_time() - begin < 1.5


# ------------------------------------------------------------------ a visit


def test_state_of_a_visit() -> None:
    """After a visit nobody is there and everything is known."""
    state = fold(VISIT)
    assert (state.phase, state.started_at, state.ended_at) == (ENDED, 100.0, 156.0)
    assert [person.display_name for person in state.people] == ["Ada L", "Agent: Maria"]
    assert [found.leg_end for found in state.trunk_legs] == [LegEnd.ENDED]
    assert seen(state) == []


# ------------------------------------------------------------------ any order, any duplicates


def both(events: list[Event]) -> tuple[ConferenceState, object]:
    """All that is made of a list of messages."""
    return fold(events), TimelineEvents().of(Chronicle(events))


@given(histories(), st.randoms(use_true_random=False), st.floats(0, 1))
def test_only_the_set_of_messages_counts(history: History, order: random.Random, loss: float) -> None:
    """Any order and any duplicates of the messages that were not lost give the same state and timeline."""
    events = [event for event in history.events if order.random() >= loss * 0.5]
    assert both(jumbled(events, order)) == both(events)


@given(histories(), st.randoms(use_true_random=False), st.floats(0, 1), st.floats(0, 1))
def test_telling_on_is_telling_all(history: History, order: random.Random, loss: float, disorder: float) -> None:
    """Messages that are told as they come, in whatever pieces and however late, come to what all of them come to at once,
    at every moment.
    """
    events = [event for event in delivered(history.events, order) if order.random() >= loss * 0.5]
    events.sort(key=lambda event: event.time + order.random() * disorder * 100)
    told, place = Chronicle(), 0
    while place < len(events):
        after = place + order.randint(1, 3)
        told.tell(events[place:after])
        place = after
        assert (state_of(told), TimelineEvents().of(told)) == both(events[:place])


def test_only_who_was_heard_of_is_made_anew() -> None:
    """Whoever nothing was told of since is the same person as before, and a leg the same leg; an end is about all."""
    control, media = browser("Ada", 101)
    told = Chronicle([started(100), control, media, joined("bob", 102), leg("leg", 103)])
    (ada, bob), (trunk,) = told.people, told.trunk_legs
    told.tell([changed("bob", 104, is_muted=True)])
    assert told.people[0] is ada
    assert told.people[1].whole.is_muted
    assert told.trunk_legs[0] is trunk
    told.tell([changed(media.participant, 105, is_presenting=True)])
    assert told.people[0].whole.is_presenting
    told.tell([ended(106)])
    assert [person.whole.is_present for person in told.people] == [False, False]
    assert told.trunk_legs[0][1].state is LegState.ENDED
    assert not bob.whole.is_muted


@pytest.mark.parametrize("between", [[], [changed("ada", 107, is_muted=True)], [joined("bob", 107)]])
def test_an_end_that_is_told_again_is_told_as_if_at_once(between: list[Event]) -> None:
    """Who was heard of between two ends of one life left with the second, and was not away before."""
    events = [started(100), joined("ada", 101), ended(106), *between, ended(108), updated(109)]
    told = Chronicle()
    for place, event in enumerate(events, 1):
        told.tell([event])
        assert (state_of(told), TimelineEvents().of(told)) == both(events[:place])


@given(histories(), st.randoms(use_true_random=False))
def test_whole_history_is_told_right(history: History, order: random.Random) -> None:
    """When nothing is lost, the state tells what happened: who is there, how many came, and whether it is over."""
    state = fold(jumbled(history.events, order))
    assert (state.phase is ENDED) is history.is_over
    assert len(state.people) == history.people
    assert len(state.trunk_legs) == history.legs
    assert len(seen(state)) == history.still_there
    assert state.started_at == history.starts_at


@given(histories(), st.randoms(use_true_random=False))
def test_whole_timeline_is_told_right(history: History, order: random.Random) -> None:
    """When nothing is lost, everybody joins once, and leaves once when it is over; lines are in order of time."""
    timeline = TimelineEvents().of(Chronicle(jumbled(history.events, order)))
    kinds = [line.kind.value for line in timeline]
    assert kinds.count("joined") == history.people
    assert kinds.count("trunk_answered") == history.legs
    assert kinds.count("conference_started") == 1
    assert kinds.count("conference_ended") == history.is_over
    if history.is_over:
        assert kinds.count("left") == history.people
        assert kinds.count("presentation_started") == kinds.count("presentation_stopped")
    assert [line.time for line in timeline] == sorted(line.time for line in timeline)


@given(histories(), st.randoms(use_true_random=False))
def test_messages_about_nothing_change_nothing(history: History, order: random.Random) -> None:
    """Sink events, media statistics and unknown events leave state and timeline as they are."""
    others = [
        message(name, event.time, "10.9.9.9", **event.data)
        for name in ("eventsink_started", "participant_media_stream_window", "conference_sang")
        for event in history.events
    ]
    assert both(jumbled([*history.events, *others], order)) == both([*history.events])


@given(histories(), st.randoms(use_true_random=False))
def test_two_sinks_in_any_order_tell_what_one_tells(history: History, order: random.Random) -> None:
    """Whatever each sink counts, and whichever copy comes first, a store that keeps each message once with the lowest
    number has all that the copies say: names, people and timeline.
    """
    copies = delivered(history.events, order)
    kept: dict[bytes, Event] = {}
    for copy in copies:
        first = kept.setdefault(copy.identity, copy)
        if copy.seq < first.seq:
            kept[copy.identity] = copy
    assert set(kept) == {event.identity for event in history.events}
    assert fold(kept.values()) == fold(copies)
    assert TimelineEvents().of(Chronicle(kept.values())) == TimelineEvents().of(Chronicle(copies))


# ------------------------------------------------------------------ breakout rooms

ASIDE, BESIDE = (f"{ROOM}_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5{digit}" for digit in "ab")


def moved(uuid: str, time: float, to: str, out_of: str = ROOM) -> list[Event]:
    """A participant is moved into a breakout room, or back."""
    going = left(uuid, time, conference=out_of, disconnect_reason="Transferred")
    return [going, joined(uuid, time + 1, conference=to, connect_time=None, display_name="Ada")]


IN_ASIDE = [started(100), joined("a", 101, display_name="Ada"), started(110, name=ASIDE), *moved("a", 110, ASIDE)]


@pytest.mark.parametrize(
    ("events", "phase", "present"),
    [
        pytest.param(IN_ASIDE, ACTIVE, 1, id="moved"),
        pytest.param([*IN_ASIDE[:3], joined("a", 111, conference=ASIDE)], ACTIVE, 1, id="the going was lost"),
        pytest.param([*IN_ASIDE[:3], *moved("a", 110, ASIDE)[::-1]], ACTIVE, 1, id="out of order"),
        pytest.param(
            [*IN_ASIDE[:3], left("a", 111, disconnect_reason="Transferred"), joined("a", 111, conference=ASIDE)],
            ACTIVE,
            1,
            id="at one moment",
        ),
        pytest.param([*IN_ASIDE, ended(120, name=ASIDE)], WAITING, 0, id="the breakout room ended with who was in it"),
        pytest.param([*IN_ASIDE, *moved("a", 115, ROOM, out_of=ASIDE), ended(120, name=ASIDE)], ACTIVE, 1, id="back"),
        pytest.param([*IN_ASIDE, ended(120)], ACTIVE, 1, id="the room ended, somebody is in a breakout room"),
        pytest.param([*IN_ASIDE, ended(120), ended(121, name=ASIDE)], ENDED, 0, id="both ended"),
        pytest.param(
            [*IN_ASIDE, joined("b", 112), *moved("b", 113, BESIDE), started(112, name=BESIDE), ended(114, name=ASIDE)],
            ACTIVE,
            1,
            id="two breakout rooms",
        ),
        pytest.param([started(100), started(101, name=ASIDE), ended(102, name=ASIDE)], WAITING, 0, id="its end alone"),
        pytest.param([started(100, name=ASIDE), ended(102, name=ASIDE)], ENDED, 0, id="merely named like one"),
    ],
)
def test_whoever_is_in_a_breakout_room_is_with_the_call(events: list[Event], phase: Phase, present: int) -> None:
    """A breakout room neither begins nor ends the call, and who is in it is there until they or it are gone."""
    state = fold(events)
    assert (state.phase, sum(person.is_present for person in state.people)) == (phase, present)


def test_timeline_of_a_breakout_room() -> None:
    """Moving is told; the breakout room's own beginning and end are not the call's."""
    assert lines(*IN_ASIDE, left("a", 120, conference=ASIDE), ended(121, name=ASIDE), ended(130)) == [
        (100.0, "The conference started."),
        (101.0, "Ada joined."),
        (110.0, "Ada left (Transferred)."),
        (111.0, "Ada joined a breakout room."),
        (120.0, "Ada left (User initiated disconnect)."),
        (130.0, "The conference ended."),
    ]


def test_a_clock_that_is_set_back_does_not_keep_a_conference_running() -> None:
    """What a node has ended is over, even if it started later by the clock that the node had then."""
    begun = started(4000, start_time=4000.0)
    assert fold([begun, ended(1500, start_time=4000.0)]).phase is ENDED
    assert fold([begun, ended(1500, start_time=900.0)]).phase is WAITING


@pytest.mark.parametrize(
    ("told", "is_present", "has_media"),
    [
        ({"has_media": "true"}, True, True),
        ({"has_media": 0}, True, False),
        ({"has_media": ["yes"]}, True, False),
        ({"display_name": {"a": 1}, "role": 7, "connect_time": "soon"}, True, True),
        ({"related_uuids": {"odd": 1}, "service_type": None, "protocol": 5}, True, True),
    ],
    ids=str,
)
def test_fields_of_another_type_do_no_harm(told: dict[str, Any], is_present: bool, has_media: bool) -> None:
    """Whatever a field is, the participant is there, and what can be read of it counts."""
    (person,) = fold([started(100), joined("a", 101, **told)]).people
    assert (person.is_present, person.has_media) == (is_present, has_media)

"""What timelines tell, in which words."""

import orjson
import pytest

from policy_server.conferences.fold import Chronicle
from policy_server.conferences.timeline import (
    Doorstep,
    Kind,
    TimelineEvents,
    agent_looked_up,
    link_opened,
    policy_answered,
)
from policy_server.pexip.events import Event
from policy_server.pexip.request_types import RequestType
from policy_server.policy.decisions import Continue, Decision, Fail, Redirect, Reject, Serve
from tests.conferences.event_histories import (
    NUMBER,
    VISIT,
    browser,
    changed,
    ended,
    joined,
    left,
    leg,
    message,
    started,
    updated,
)
from tests.policy.test_answers import TRACE


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        pytest.param(Serve("visit", "", TRACE, {}, ""), "served, by rule 'visit'", id="serve"),
        pytest.param(Redirect("moved", "", TRACE, "other"), "sent to another alias, by rule 'moved'", id="redirect"),
        pytest.param(Reject("closed", "", TRACE, "We are closed."), "refused, by rule 'closed'", id="reject"),
        pytest.param(Continue(None, "", TRACE), "left to Pexip, as no rule matched", id="continue"),
        pytest.param(Fail("bad", "", TRACE), "nothing that Pexip would take, by rule 'bad'", id="fail"),
    ],
)
def test_an_answer_is_told_in_words(decision: Decision, told: str) -> None:
    """A timeline says what became of a question and by which rule, and keeps the record beside it."""
    kind, data = policy_answered(RequestType.SERVICE, decision, "a-1", {"outcome": "x"})
    assert kind == "policy.answered"
    assert data == {
        "text": f"A node asked which service the alias is: {told}.",
        "decision_id": "a-1",
        "outcome": "x",
    }


@pytest.mark.parametrize(
    ("outcome", "told"),
    [("answered", "as 'scheduler' said"), ("late", "as 'scheduler' gave no answer that a node could use")],
)
def test_who_decided_is_told_too(outcome: str, told: str) -> None:
    """Of a question that was forwarded a timeline says to whom, and whether that helped."""
    record = {"upstream": "scheduler", "upstream_outcome": outcome}
    _, data = policy_answered(RequestType.SERVICE, Continue("meet", "", TRACE), "a-1", record)
    assert data["text"] == f"A node asked which service the alias is: left to Pexip, by rule 'meet', {told}."


def test_the_room_asks_for_itself() -> None:
    """The question before the room dials is called that, and not one for an alias."""
    asked = {"call_direction": "dial_out"}
    _, data = policy_answered(RequestType.SERVICE, Serve("visit", "", TRACE, {}, ""), "a-1", asked)
    assert data["text"] == "The node asked before dialling the trunk: served, by rule 'visit'."


@pytest.mark.parametrize("door", Doorstep)
def test_every_state_of_the_door_has_words(door: Doorstep) -> None:
    """An opened link is told in a sentence, and in a word for programs."""
    kind, data = link_opened(door)
    assert (kind, data["door"]) == ("link.opened", door.value)
    assert str(data["text"]).startswith("A customer opened the link ")


@pytest.mark.parametrize(
    ("name", "conversation", "text"),
    [("Maria", "", "Maria looked up the conference."), ("", "c1", "An agent without a name looked up the conference.")],
    ids=["name", "no-name"],
)
def test_an_agent_is_named(name: str, conversation: str, text: str) -> None:
    """An agent without a name is told as such, and the conversation only where there is one."""
    data = agent_looked_up("a1", name, conversation).data
    assert (data["text"], data["agent"]) == (text, {"id": "a1", "name": name})
    assert data.get("conversation", "") == conversation


# ------------------------------------------------------------------ what nodes tell


def lines(*events: Event) -> list[tuple[float, str]]:
    """The timeline as times and sentences."""
    return [(line.time, line.text) for line in TimelineEvents().of(Chronicle(events))]


def test_timeline_of_a_visit() -> None:
    """A visit reads as who came, what was dialled, who presented and why it ended, each once."""
    assert lines(*VISIT) == [
        (100.0, "The conference started."),
        (102.0, "Ada L joined as Guest."),
        (112.0, "+13175551234 was dialled."),
        (114.5, "+13175551234 answered."),
        (120.0, "Agent: Maria joined as Host."),
        (130.0, "Agent: Maria started presenting."),
        (140.0, "Agent: Maria stopped presenting."),
        (150.0, "+13175551234 hung up (Call disconnected)."),
        (152.0, "Agent: Maria left (User initiated disconnect)."),
        (154.0, "Ada L left (Browser closed)."),
        (156.0, "The conference ended."),
    ]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([updated(100), message("participant_media_stream_window", 101, uuid="a")], [], id="nothing"),
        pytest.param(
            [started(100), ended(110), started(120), ended(130)],
            [
                (100, "The conference started."),
                (110, "The conference ended."),
                (120, "The conference started again."),
                (130, "The conference ended."),
            ],
            id="two lives",
        ),
        pytest.param(
            [started(100), joined("a", 101, display_name="Bo"), ended(110)],
            [
                (100, "The conference started."),
                (101, "Bo joined."),
                (110, "Bo left with the conference."),
                (110, "The conference ended."),
            ],
            id="leaving was lost",
        ),
        pytest.param([joined("a", 101)], [(101, "Somebody without a name joined.")], id="no name"),
        pytest.param(
            [joined("a", 101, display_name="B\no\u2028" + "x" * 200)], [(101, f"Bo{'x' * 98} joined.")], id="odd name"
        ),
        pytest.param(
            [left("a", 101, display_name="Bo", disconnect_reason="Invalid\nPIN")],
            [(101, "Bo left (InvalidPIN).")],
            id="never in",
        ),
        pytest.param(
            [
                joined("a", 101, display_name="Bo"),
                left("a", 102, disconnect_reason=""),
                joined("a", 110, connect_time=None),
            ],
            [(101, "Bo joined."), (102, "Bo left."), (110, "Bo joined.")],
            id="returned",
        ),
        pytest.param(
            [joined("a", 101, display_name="Bo", is_presenting=True), left("a", 110, disconnect_reason="")],
            [
                (101, "Bo joined."),
                (101, "Bo started presenting."),
                (110, "Bo stopped presenting."),
                (110, "Bo left."),
            ],
            id="left while presenting",
        ),
        pytest.param(
            [
                *browser("Bo", 101),
                changed("Bo-control", 102, is_presenting=True),
                changed("Bo-media", 103, is_presenting=True),
                changed("Bo-control", 104, is_presenting=False),
                changed("Bo-media", 105, is_presenting=False),
            ],
            [(101, "Bo joined."), (102, "Bo started presenting."), (105, "Bo stopped presenting.")],
            id="both halves present",
        ),
        pytest.param(
            [
                joined("a", 101, display_name="Bo", related_uuids=["b", "c"]),
                joined("b", 102),
                left("b", 103),
                joined("c", 110),
                left("a", 110, disconnect_reason="Moved"),
                left("c", 120, disconnect_reason="Done"),
            ],
            [(101, "Bo joined."), (120, "Bo left (Done).")],
            id="one half after the other",
        ),
        pytest.param(
            [
                joined("a", 101, display_name="Bo", related_uuids=["b", "c"]),
                joined("b", 102),
                left("b", 103),
                joined("c", 104),
                left("c", 105),
                left("a", 110, disconnect_reason="Done"),
            ],
            [(101, "Bo joined."), (110, "Bo left (Done).")],
            id="short halves within a long one",
        ),
        pytest.param([leg("l", 101)], [(101, "+13175551234 answered.")], id="ringing was not told"),
        pytest.param(
            [leg("l", 101, destination_alias="desk@example.com")],
            [(101, "A number that is not known answered.")],
            id="leg without a number",
        ),
        pytest.param(
            [
                leg("l", 101, connect_time=None, service_type="connecting"),
                left("l", 103, disconnect_reason="Call rejected"),
            ],
            [(101, "+13175551234 was dialled."), (103, "+13175551234 refused the call (Call rejected).")],
            id="refused",
        ),
        pytest.param(
            [leg("l", 101), left("l", 103, disconnect_reason="Media node disconnected")],
            [(101, "+13175551234 answered."), (103, "+13175551234 was lost (Media node disconnected).")],
            id="failed",
        ),
        pytest.param(
            [leg("l", 101), ended(110)],
            [(101, "+13175551234 answered."), (110, "+13175551234 was disconnected."), (110, "The conference ended.")],
            id="leg without an end",
        ),
    ],
)
def test_timeline(events: list[Event], expected: list[tuple[float, str]]) -> None:
    """What happened reads as short sentences in the order of time."""
    assert lines(*events) == expected
    assert lines(*events[::-1]) == expected


def test_data_of_timeline() -> None:
    """A line carries what a program needs to know of it, and can be written as JSON."""
    by_kind = {line.kind.value: line.data for line in TimelineEvents().of(Chronicle(VISIT))}
    assert by_kind["trunk_ended"] == {
        "participant": "l",
        "number": NUMBER,
        "disconnect_reason": "Call disconnected",
        "leg_end": "ended",
    }
    assert by_kind["joined"]["participants"] == ["Agent: Maria-control", "Agent: Maria-media"]
    assert by_kind["left"]["disconnect_reason"] == "Browser closed"
    assert set(by_kind) == {kind for kind in Kind if "." not in kind}
    assert orjson.loads(orjson.dumps(by_kind)) == by_kind

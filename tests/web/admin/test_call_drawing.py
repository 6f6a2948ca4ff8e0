"""A call's picture in words and shapes: what a lane says, and what of the axis can be read."""

from datetime import UTC
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.web.admin.call_drawing import Drawing, drawing_of
from tests.conferences.test_call_picture import GOOD, NUMBER, call, came, drawn, leg, line, person, went


def drawing(told: Any, now: float = 3600) -> Drawing:
    """What is drawn of a call, in UTC."""
    return drawing_of(drawn(told, now), told, UTC)


def ended(seconds: float, text: str, uuid: str = "leg", end: str = "busy") -> dict[str, Any]:
    """A leg is over, in the words of timelines."""
    return {**leg(seconds, "ended", uuid, leg_end=end), "text": f"{NUMBER} {text}."}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(GOOD, [("Customer", "Ada L", "there for 100 s"), ("Room", "", "ran for 102 s")], id="stays"),
        pytest.param(call([line(0, "link.opened")]), [("Customer", "Ada L", "did not come in")], id="nobody came"),
        pytest.param(
            call([came(2, "ada", "Ada L")], person("ada", "customer"), state="active"),
            [("Customer", "Ada L", "there since 12:00:02")],
            id="is there",
        ),
        pytest.param(
            call([came(2, "ada", "Ada L")], person("ada", "customer")),
            [("Customer", "Ada L", "there since 12:00:02; nobody said until when")],
            id="nobody said until when",
        ),
        pytest.param(
            call([went(9, "ada", "Ada L")], person("ada", "customer")),
            [("Customer", "Ada L", "there until 12:00:09")],
            id="came before",
        ),
        pytest.param(
            call([came(2, "ada"), went(4, "ada"), came(6, "ada"), went(9, "ada")], person("ada", "customer")),
            [("Customer", "Ada L", "there for 5 s, 2 times")],
            id="came twice",
        ),
        pytest.param(
            call([leg(2, "dialled"), ended(4, "was busy (User busy)")]),
            [("Leg", NUMBER, "was busy (User busy) after 2 s")],
            id="a busy leg",
        ),
        pytest.param(
            call([leg(2, "dialled"), leg(12, "answered"), ended(72, "hung up", end="ended")]),
            [("Leg", NUMBER, "answered after 10 s, hung up after 60 s")],
            id="an answered leg",
        ),
        pytest.param(
            call([leg(2, "dialled", "a"), ended(4, "was busy", "a"), leg(6, "dialled", "b")], state="active"),
            [("Leg 1", NUMBER, "was busy after 2 s"), ("Leg 2", NUMBER, "rings since 12:00:06")],
            id="a leg that rings",
        ),
        pytest.param(
            call([leg(6, "dialled"), leg(9, "answered")], state="active"),
            [("Leg", NUMBER, "answered after 3 s, is up")],
            id="a leg that is up",
        ),
        pytest.param(
            call([leg(6, "dialled")]), [("Leg", NUMBER, "dialled; nobody said how it ended")], id="a leg without an end"
        ),
        pytest.param(
            call([line(0, "policy.answered"), line(1, "policy.answered"), line(2, "agent.looked_up")]),
            [("Questions of nodes", "", "2 answered"), ("Looked up", "", "once")],
            id="moments",
        ),
        pytest.param(
            call([leg(number, "dialled", str(number)) for number in range(12)], state="active"),
            [("Leg 8", NUMBER, "rings since 12:00:07"), ("Leg", "4 more", "")],
            id="more than there are lanes",
        ),
    ],
)
def test_lanes_say_what_they_show(told: Any, expected: list[tuple[str, str, str]]) -> None:
    """Who or what, and for how long or how it ended: the picture can be read without seeing it."""
    rows = [(row.title, row.name, row.told) for row in drawing(told).rows]
    assert [row for row in rows if row in expected] == expected, rows


@pytest.mark.parametrize(
    ("told", "looks"),
    [
        pytest.param(call([leg(2, "dialled"), ended(4, "was busy")]), ["vain", "fails"], id="failed"),
        pytest.param(
            call([leg(2, "dialled"), leg(4, "answered"), ended(9, "hung up")]), ["rings", "talks"], id="answered"
        ),
        pytest.param(call([leg(2, "dialled")], state="active"), ["rings", "after"], id="rings"),
        pytest.param(call([leg(2, "answered")], state="active"), ["rings", "talks", "after"], id="is up"),
        pytest.param(call([ended(9, "was busy")]), ["vain", "fails", "before"], id="only the end"),
    ],
)
def test_ends_that_are_not_known_are_open(told: Any, looks: list[str]) -> None:
    """A leg that was not answered looks other than one that was, and an end that nobody told is marked as such."""
    (row,) = [row for row in drawing(told).rows if row.sort == "leg"]
    assert [shape.look for shape in row.shapes] == looks


def test_a_silence_is_told() -> None:
    """The two hours between link and call are left out, and the axis says so."""
    (label,) = [label for _, _, label in drawing(GOOD).breaks if label is not None]
    assert label.text == "1 h 59 min later"


@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=30))
def test_texts_do_not_overlap(seconds: list[float]) -> None:
    """Whatever the axis, its texts are apart, on a phone too, and lie on it."""
    told = call([line(each, "link.opened") for each in seconds])
    labels = drawing(told).labels
    length = 0.135 if any(" " in label.text for label in labels) else 0.09
    for is_phone, apart in ((False, length), (True, length * 0.26 / 0.09)):
        edges = []
        for label in labels:
            place = float(label.left.rstrip("%")) / 100
            if not (is_phone and label.is_wide):
                edges.append((place - apart, place) if label.is_last else (place, place + apart))
        assert all(first[1] <= second[0] + 1e-4 for first, second in pairwise(edges))

"""A call as a picture: who has which lane, what goes on in it from when to when, and that nothing is lost."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.call_picture import LANES, Bar, Picture, Sort, picture_of
from policy_server.conferences.timeline import Kind
from policy_server.conferences.view import CallDetails

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NUMBER = "+13129998045"


def stamp(seconds: float) -> str:
    """So many seconds after noon, as answers write it."""
    return (NOON + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def line(seconds: float, kind: str, **data: Any) -> dict[str, Any]:
    """A line of a timeline."""
    return {"at": stamp(seconds), "kind": kind, "text": "", "data": data}


def came(seconds: float, who: str, name: str = "") -> dict[str, Any]:
    """Somebody joins."""
    return line(seconds, "joined", participants=[f"{who}-1", f"{who}-2"], display_name=name or who)


def went(seconds: float, who: str, name: str = "") -> dict[str, Any]:
    """Somebody leaves."""
    return line(seconds, "left", participants=[f"{who}-1", f"{who}-2"], display_name=name or who)


def leg(seconds: float, what: str, uuid: str = "leg", **data: Any) -> dict[str, Any]:
    """Something of a leg."""
    return line(seconds, f"trunk_{what}", participant=uuid, number=NUMBER, **data)


def person(who: str, part: str = "other", joined_at: str | None = None, left_at: str | None = None) -> dict[str, Any]:
    """Somebody among the participants."""
    names = {"uuids": [f"{who}-1", f"{who}-2"], "part": part, "display_name": who}
    return {**names, "joined_at": joined_at, "left_at": left_at}


def call(
    timeline: Sequence[dict[str, Any]], *people: dict[str, Any], state: str = "ended", name: str = "Ada L"
) -> CallDetails:
    """What is told of a call, as far as a picture takes it."""
    told: Any = {
        "timeline": timeline,
        "participants": people,
        "state": state,
        "customer": {"name": name},
        "joins": None,
    }
    return told  # type: ignore[no-any-return]


def drawn(told: CallDetails, now: float = 3600) -> Picture:
    """Its picture."""
    picture = picture_of(told, NOON + timedelta(seconds=now))
    assert picture is not None
    return picture


def seconds(at: datetime | None) -> float | None:
    """Seconds after noon."""
    return None if at is None else (at - NOON).total_seconds()


def lanes(picture: Picture) -> list[tuple[str, str, list[tuple[float | None, float | None]], list[float | None]]]:
    """Each lane: sort, name, from when to when its bars go, and its marks."""
    return [
        (
            lane.sort.value,
            lane.name,
            [(seconds(bar.begin), seconds(bar.end)) for bar in lane.bars],
            [seconds(mark.at) for mark in lane.marks],
        )
        for lane in picture.lanes
    ]


GOOD = call(
    [
        line(-7200, "link.created"),
        line(-2, "link.opened"),
        line(0, "policy.answered"),
        line(1, "conference_started"),
        came(2, "ada", "Ada L"),
        line(11, "policy.answered"),
        leg(12, "dialled"),
        leg(16, "answered"),
        line(20, "agent.looked_up"),
        came(22, "maria", "Maria"),
        line(30, "presentation_started", participants=["maria-1", "maria-2"], display_name="Maria"),
        leg(100, "ended", leg_end="ended"),
        went(101, "maria", "Maria"),
        went(102, "ada", "Ada L"),
        line(103, "conference_ended"),
    ],
    person("ada", "customer"),
    person("maria", "agent"),
)


def test_a_good_call() -> None:
    """Customer with the link, questions, leg, lookup, agent with what she shows, and the room, in this order."""
    assert lanes(drawn(GOOD)) == [
        ("customer", "Ada L", [(2, 102)], [-7200, -2]),
        ("questions", "", [], [0, 11]),
        ("leg", NUMBER, [(12, 100)], []),
        ("lookups", "", [], [20]),
        ("agent", "Maria", [(22, 101)], [30]),
        ("room", "", [(1, 103)], []),
    ]
    assert [seconds(bar.answered_at) for lane in drawn(GOOD).lanes for bar in lane.bars] == [None, 16, None, None]


@pytest.mark.parametrize(
    ("timeline", "expected"),
    [
        pytest.param([leg(2, "dialled")], [(2, None)], id="rings"),
        pytest.param([leg(2, "answered")], [(2, None)], id="answered before it was heard of"),
        pytest.param([leg(2, "ended")], [(None, 2)], id="only the end is known"),
        pytest.param(
            [leg(2, "dialled", "a"), leg(4, "ended", "a"), leg(6, "dialled", "b"), leg(9, "answered", "b")],
            [(2, 4), (6, None)],
            id="two legs",
        ),
        pytest.param(
            [leg(2, "dialled"), leg(4, "ended"), leg(4, "dialled"), leg(9, "ended")],
            [(2, 4), (4, 9)],
            id="one id twice",
        ),
        pytest.param(
            [leg(2, "dialled"), leg(4, "dialled"), leg(4, "ended"), leg(9, "ended")],
            [(2, 4), (4, 9)],
            id="the next before the end",
        ),
    ],
)
def test_every_leg_has_a_lane(timeline: list[dict[str, Any]], expected: list[tuple[float, float]]) -> None:
    """Each try, from when it was dialled to its end; what is not known is open."""
    found = lanes(drawn(call(timeline, state="active")))
    assert [bar for sort, _, bars, _ in found if sort == "leg" for bar in bars] == expected
    assert len([1 for sort, *_ in found if sort == "leg"]) == len(expected)


@pytest.mark.parametrize(
    ("timeline", "people", "expected"),
    [
        pytest.param([came(2, "ada")], [person("ada", "customer")], [("customer", [(2, None)])], id="is still there"),
        pytest.param([went(9, "ada")], [person("ada", "customer")], [("customer", [(None, 9)])], id="came earlier"),
        pytest.param(
            [came(2, "ada"), went(4, "ada"), came(6, "ada"), went(9, "ada")],
            [person("ada", "customer")],
            [("customer", [(2, 4), (6, 9)])],
            id="came again",
        ),
        pytest.param(
            [came(2, "x", "Ada"), came(3, "y", "Ada"), went(8, "x", "Ada"), went(9, "y", "Ada")],
            [person("x", "agent"), person("y", "agent")],
            [("agent", [(2, 8)]), ("agent", [(3, 9)])],
            id="two devices at a time",
        ),
        pytest.param(
            [came(2, "x", "Ada"), went(8, "x", "Ada"), came(8, "y", "Ada")],
            [person("x", "agent"), person("y", "agent")],
            [("agent", [(2, 8), (8, None)])],
            id="two devices in turn",
        ),
        pytest.param(
            [came(2, "x", "Ada"), went(4, "x", "Ada"), went(9, "y", "Ada")],
            [person("x", "agent"), person("y", "agent")],
            [("agent", [(2, 4)]), ("agent", [(None, 9)])],
            id="the second came nobody knows when",
        ),
        pytest.param([came(2, "eve")], [], [("other", [(2, None)])], id="nobody knows who"),
        pytest.param(
            [line(0, "link.opened")],
            [person("eve", "agent", stamp(1), stamp(5))],
            [("agent", [(1, 5)])],
            id="no line tells of",
        ),
    ],
)
def test_people_have_lanes(
    timeline: list[dict[str, Any]], people: list[dict[str, Any]], expected: list[tuple[str, list[tuple[float, float]]]]
) -> None:
    """One for each, in which only one thing goes on at a time."""
    found = lanes(drawn(call(timeline, *people, name="")))
    assert [(sort, bars) for sort, _, bars, _ in found if bars] == expected


def test_who_joins_is_no_customer() -> None:
    """The call of a link that joins another has its person, and what became of the link, in a lane of its own."""
    told = call(
        [line(-60, "link.created"), came(2, "maria", "Interpreter Maria")], person("maria", "joining"), name="Maria"
    )
    told["joins"] = "another"
    assert lanes(drawn(told)) == [("other", "Maria", [(2, None)], [-60])]


def test_what_is_too_much_shares_a_lane() -> None:
    """Of three hundred people some have a lane, and all are drawn."""
    crowd = [came(number / 10, f"guest {number}") for number in range(300)]
    picture = drawn(call(crowd, state="active"))
    others = [lane for lane in picture.lanes if lane.sort is Sort.OTHER]
    assert len(others) == LANES + 1
    assert sum(len(lane.bars) for lane in others) == 300
    assert others[-1].sharing == 300 - LANES - 1


@pytest.mark.parametrize(("state", "ends"), [("active", 50.0), ("waiting", 50.0), ("ended", 16.0)])
def test_the_axis_of_a_running_call_ends_now(state: str, ends: float) -> None:
    """One that is over ends with the last that was told."""
    picture = drawn(call([came(2, "ada"), leg(16, "answered")], state=state), now=50)
    assert seconds(picture.axis.pieces[-1].end) == ends


def test_nothing_is_drawn_of_nothing() -> None:
    """A call without a line has no picture."""
    assert picture_of(call([]), NOON) is None


_UUIDS = st.sampled_from(["a-1", "a-2", "b-1", "c-1", ""])
_DATA = st.fixed_dictionaries(
    {},
    optional={
        "participants": st.one_of(st.lists(_UUIDS, max_size=2), st.text(max_size=2), st.none()),
        "participant": st.one_of(_UUIDS, st.integers()),
        "number": st.sampled_from([NUMBER, "", None]),
        "display_name": st.one_of(st.text(max_size=3), st.none()),
        "leg_end": st.sampled_from(["busy", "ended", "?", None]),
    },
)
_LINES = st.lists(
    st.builds(
        lambda at, kind, data: line(at, kind, **data),
        st.one_of(st.integers(0, 20), st.floats(-1e6, 1e6)),
        st.sampled_from([*Kind, "something.new"]),
        _DATA,
    ),
    max_size=60,
)


@given(_LINES, st.sampled_from(["waiting", "active", "ended"]), st.floats(-1e6, 1e6))
def test_any_timeline_can_be_drawn(timeline: list[dict[str, Any]], state: str, now: float) -> None:
    """Every line is in the picture once, every leg is there once, bars begin before they end, and all lies on the axis."""
    people = [person("a", "customer"), person("b", "agent", stamp(3), stamp(1)), person("c")]
    told = call(timeline, *people, state=state)
    picture = drawn(told, now)
    bars = [bar for lane in picture.lanes for bar in lane.bars]
    entries = Counter(entry for bar in bars for entry in bar.entries)
    entries += Counter(mark.entry for lane in picture.lanes for mark in lane.marks)
    assert entries == Counter(range(len(timeline)))
    legs = [bar for lane in picture.lanes if lane.sort is Sort.LEG for bar in lane.bars]
    assert len({id(bar) for bar in legs}) == len(legs)
    dialled = sum(each["kind"] == "trunk_dialled" for each in timeline)
    ended = sum(each["kind"] == "trunk_ended" for each in timeline)
    assert max(dialled, ended) <= len(legs)
    for bar in bars:
        assert_in_order(bar)
    axis = picture.axis
    for at in (at for bar in bars for at in bar.moments):
        assert axis.pieces[0].begin <= at <= axis.pieces[-1].end
        assert any(piece.begin <= at <= piece.end for piece in axis.pieces)


def assert_in_order(bar: Bar) -> None:
    """What is known of a bar is in order."""
    known = list(bar.moments)
    assert known
    assert known == sorted(known)

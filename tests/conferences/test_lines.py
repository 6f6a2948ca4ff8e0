"""The lines of a timeline are the same whether they are made at once or as the conference goes on."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.finished import Finished
from policy_server.conferences.fold import Chronicle
from policy_server.conferences.lines import Lines, TimelineLine
from policy_server.conferences.records import TimelineEntry
from tests.conferences.event_histories import BEGIN, History, browser, changed, delivered, ended, histories, started
from tests.conferences.samples import entry


def texts(lines: list[TimelineLine]) -> list[str]:
    """The sentences of some lines."""
    return [line["text"] for line in lines]


@given(histories(), st.randoms(use_true_random=False), st.booleans())
def test_lines_that_are_kept_are_those_that_are_made_anew(
    history: History, order: random.Random, is_ahead: bool
) -> None:
    """After every few messages, notes and new names, however late they come and whatever nodes take for the time."""
    events = delivered(history.events, order)
    kept, told, place = Lines(), Chronicle(), 0
    entries: list[TimelineEntry] = []
    names: dict[str, str] = {}
    arrived = datetime.fromtimestamp(BEGIN, UTC) - timedelta(hours=2 if is_ahead else 0)
    while place < len(events):
        some = events[place : place + order.randint(1, 3)]
        told.tell(some)
        place += len(some)
        arrived += timedelta(minutes=order.choice([0, 0, 1, 30]))
        if order.random() < 0.5:
            entries.insert(order.randint(0, len(entries)), entry(f"note {place}", at=arrived))
        if order.random() < 0.2:
            names = {f"call{place}": "Interpreter Maria", "": ""}
        assert kept.of(entries, told, arrived, names) == Lines().of(entries, told, arrived, names)


def test_a_line_is_made_once() -> None:
    """As long as what it tells of stands, and with its room and what its person is called."""
    told = Chronicle([started(100), *browser("Ada", 101), *browser("Bob", 102)])
    lines, noted, arrived = Lines(), [entry("note")], datetime.fromtimestamp(110, UTC)
    before = lines.of(noted, told, arrived, {})
    told.tell([changed(told.people[1].halves[1].uuid, 103, is_presenting=True)])
    after = lines.of(noted, told, arrived, {})
    same = [line["text"] for line in after if any(line is other for other in before)]
    assert "Ada joined." in same
    assert "Bob joined." not in same
    assert "The conference started." in same
    assert len(same) == 3, same
    told.tell([ended(104)])
    assert "Ada left with the conference." in texts([*lines.of(noted, told, arrived, {})])


def test_what_was_made_is_forgotten_when_it_is_not_asked_for() -> None:
    """Pieces go with what they were made of, and with what stood beside it."""
    made: list[tuple[str, int]] = []

    def make(source: list[str], beside: int) -> str:
        made.append((source[0], beside))
        return f"{source[0]}{beside}"

    first, second = ["a"], ["b"]
    finished = Finished(make)
    assert finished.each([(first, 1), (second, 1), (first, 1)]) == ["a1", "b1", "a1"]
    assert finished.each([(first, 1)]) == ["a1"]
    assert finished.each([(first, 1), (second, 1)]) == ["a1", "b1"]
    assert finished.each([(first, 2)]) == ["a2"]
    assert made == [("a", 1), ("b", 1), ("a", 1), ("b", 1), ("a", 2)]

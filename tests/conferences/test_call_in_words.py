"""What is told of a call in words, and from when its seconds are counted."""

from datetime import timedelta
from typing import Any

import pytest

from policy_server.conferences.call_in_words import began_at
from tests.conferences.test_call_picture import NOON, call, came, line, person


@pytest.mark.parametrize(
    ("timeline", "people", "expected"),
    [
        pytest.param(
            [
                line(-60, "link.created"),
                line(1, "conference_started"),
                came(2, "maria"),
                came(5, "ada"),
                came(9, "ada"),
            ],
            [person("maria", "agent"), person("ada", "customer")],
            5,
            id="the customer came in",
        ),
        pytest.param(
            [line(-60, "link.created"), line(1, "conference_started"), came(2, "maria")],
            [person("maria", "agent")],
            1,
            id="no customer came",
        ),
        pytest.param([line(-60, "link.created"), line(1, "link.opened")], [], -60, id="no conference"),
        pytest.param([], [], None, id="nothing"),
    ],
)
def test_seconds_are_counted_from(
    timeline: list[dict[str, Any]], people: list[dict[str, Any]], expected: float | None
) -> None:
    """The customer's coming, as verdicts count; else the start of the conference, or the first line."""
    told = call(timeline, *people)
    found = began_at(told["participants"], told["timeline"])
    assert found == (None if expected is None else NOON + timedelta(seconds=expected))

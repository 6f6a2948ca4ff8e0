"""Where playlists lead a caller: from question to question, and not for ever."""

from typing import Any, Final

import pytest

from policy_server.simulator.transfers import MOST_TRANSFERS, Course, alias_after

QUESTION: Final = {"local_alias": "help", "protocol": "api"}


def playlist(name: str, conference: str) -> dict[str, Any]:
    """A service that plays something and leads on."""
    return {"name": name, "on_completion": {"transfer": {"conference": conference, "role": "guest"}}}


@pytest.mark.parametrize(
    "service",
    [
        {},
        {"name": "x", "service_type": "conference"},
        {"on_completion": {"disconnect": True}},
        {"on_completion": None},
        {"on_completion": {"transfer": "room"}},
        {"on_completion": {"transfer": {"conference": 7}}},
        {"on_completion": '{"transfer": {"conference": "room"}}'},
    ],
    ids=["nothing", "a room", "it hangs up", "null", "a text", "a number", "JSON in a text"],
)
def test_the_end_of_the_way(service: dict[str, Any]) -> None:
    """What leads nowhere, or is no answer that a node takes, leaves the caller where they are."""
    course = Course(QUESTION)
    assert (alias_after(service), course.goes_on(service), course.in_circles) == ("", False, False)
    assert course.question == QUESTION


def test_the_next_question() -> None:
    """A caller asks for the alias of the transfer, and says where they come from."""
    course = Course(QUESTION)
    assert course.goes_on(playlist("Hello", "room"))
    assert course.question == {**QUESTION, "local_alias": "room", "previous_service_name": "Hello"}
    assert not course.goes_on({"name": "Room", "service_type": "conference"})
    assert not course.in_circles


@pytest.mark.parametrize(
    ("leads", "asked"),
    [
        ({"help": "help"}, 2),
        ({"help": "b", "b": "help"}, 3),
        ({"help": "b", "b": "c", "c": "b"}, 4),
    ],
    ids=["to itself", "two lead to each other", "a way into a circle"],
)
def test_a_circle(leads: dict[str, str], asked: int) -> None:
    """A question that was asked before is not asked again: the caller goes in circles."""
    course = Course(QUESTION)
    questions = 1
    while course.goes_on(playlist(alias := course.question["local_alias"], leads[alias])):
        questions += 1
    assert (questions, course.in_circles) == (asked, True)


def test_aliases_without_end() -> None:
    """Playlists that lead to ever new aliases are taken for a circle too."""
    course = Course(QUESTION)
    taken = 0
    while course.goes_on(playlist("Hello", f"{course.question['local_alias']}x")):
        taken += 1
    assert (taken, course.in_circles) == (MOST_TRANSFERS, True)

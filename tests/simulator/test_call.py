"""A played call: which questions a node asks, and what each answer must give for the call to go on."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from policy_server.policy.links import CustomerLink
from policy_server.simulator.call import Step, play_call, play_closed_door
from policy_server.simulator.node import ConferencingNode

LINK = CustomerLink(
    type="visit",
    session="s1",
    alias="mps1",
    agent_alias="hcps1",
    url="",
    expires_at=datetime(2026, 11, 23, tzinfo=UTC),
)
LEG = {
    "local_alias": "s1",
    "local_display_name": "s1",
    "remote_alias": "99+13129998045",
    "remote_display_name": "Contact centre",
    "protocol": "sip",
    "role": "chair",
}
ROOM = {
    "service_type": "conference",
    "name": "s1",
    "service_tag": "visit",
    "pin": "12345678",
    "guest_pin": "87654321",
    "allow_guests": True,
}
Answer = Mapping[str, Any]


def good(path: str, query: Mapping[str, str]) -> Answer:
    """The answers under which a call works."""
    if path.endswith("service/configuration"):
        legs = {} if query["local_alias"] == "hcps1" else {"automatic_participants": [LEG]}
        return {"status": "success", "action": "continue", "result": {**ROOM, **legs}}
    if path.endswith("participant/properties"):
        return {"status": "success", "action": "continue", "result": {}}
    return {"status": "success", "action": "continue"}


def play(answer: Callable[[str, Mapping[str, str]], Answer]) -> tuple[list[Step], list[tuple[str, dict[str, str]]]]:
    """The steps of a call against these answers, and the questions that were asked."""
    asked: list[tuple[str, dict[str, str]]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        query = {name: values[0] for name, values in parse_qs(request.url.query.decode(), True).items()}
        asked.append((request.url.path, query))
        return httpx.Response(200, json=answer(request.url.path, query))

    async def run() -> list[Step]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
            return [step async for step in play_call(ConferencingNode(client, "http://p", "a", "b"), LINK)]

    return asyncio.run(run()), asked


def failed(steps: list[Step]) -> list[str]:
    """The checks that failed."""
    return [check.text for step in steps for check in step.checks if not check.passed]


def test_a_good_call() -> None:
    """A call that works: six questions in the order of a real one, every check passed."""
    steps, asked = play(good)
    assert (failed(steps), [step.passed for step in steps]) == ([], [True] * 6)
    assert [
        (path.removeprefix("/policy/v1/"), query["call_direction"], query["local_alias"]) for path, query in asked
    ] == [
        ("service/configuration", "dial_in", "mps1"),
        ("participant/properties", "dial_in", "mps1"),
        ("participant/properties", "dial_in", "mps1"),
        ("participant/location", "dial_in", "mps1"),
        ("service/configuration", "dial_out", "s1"),
        ("service/configuration", "dial_in", "hcps1"),
    ]
    assert [query.get("participant_type") for _, query in asked[1:3]] == ["api", "standard"]
    dialled = asked[4][1]
    assert (dialled["remote_alias"], dialled["service_name"], dialled["service_tag"]) == (
        "99+13129998045",
        "s1",
        "visit",
    )
    assert (dialled["protocol"], dialled["remote_display_name"]) == ("sip", "Contact centre")


def changed(where: str, change: Callable[[dict[str, Any]], Answer]) -> Callable[[str, Mapping[str, str]], Answer]:
    """Good answers, one of them changed: that to the alias, direction or path that ``where`` names."""

    def answer(path: str, query: Mapping[str, str]) -> Answer:
        before = dict(good(path, query))
        names = {query["local_alias"], query["call_direction"], path.rpartition("/")[2]}
        return change(before) if where in names and not (where == "mps1" and "service" not in path) else before

    return answer


def result(**fields: Any) -> Callable[[dict[str, Any]], Answer]:
    """Changes fields of the result."""
    return lambda before: {**before, "result": {**before["result"], **fields}}


@pytest.mark.parametrize(
    ("where", "change", "expected"),
    [
        pytest.param(
            "mps1",
            result(automatic_participants=[]),
            ["with the contact centre's number as automatic participant"],
            id="no leg",
        ),
        pytest.param("dial_out", result(name="other"), ["the same room"], id="leg in another room"),
        pytest.param("dial_out", result(view="four_mains_zero_pips"), ["the same room"], id="leg in another layout"),
        pytest.param("dial_out", result(pin="11112222"), [], id="leg may have another PIN"),
        pytest.param("hcps1", result(name="other"), ["the same room"], id="agent in another room"),
        pytest.param("hcps1", result(pin="11112222"), ["with the same host PIN"], id="agent with another PIN"),
        pytest.param("hcps1", result(automatic_participants=[LEG]), ["and nobody to dial"], id="agent dials"),
        pytest.param(
            "properties",
            lambda _: {"status": "success", "action": "reject", "result": {"reject_reason": "no"}},
            ["the customer may join", "the customer may join"],
            id="customer refused",
        ),
        pytest.param(
            "hcps1",
            lambda _: {"status": "success", "action": "reject", "result": {}},
            ["the same room", "with the same host PIN", "and nobody to dial"],
            id="agent refused",
        ),
    ],
)
def test_what_breaks_a_call(where: str, change: Callable[[dict[str, Any]], Answer], expected: list[str]) -> None:
    """Each way to break a call fails the check that names it, and no other."""
    steps, _ = play(changed(where, change))
    assert failed(steps) == expected
    assert all(step.passed for step in steps) is not bool(expected)


def test_an_answer_that_pexip_discards_fails_its_step() -> None:
    """A step whose answer a node would discard fails even if every check could pass."""
    steps, _ = play(changed("location", lambda before: {**before, "result": {"location": 5}}))
    assert [step.passed for step in steps] == [True, True, True, False, True, True]
    assert steps[3].exchange.verdict.objections


def test_no_room() -> None:
    """A customer who is refused gets no further room: no leg is dialled, and nothing passes by accident."""
    steps, asked = play(lambda *_: {"status": "success", "action": "reject", "result": {}})
    assert "dial_out" not in {query["call_direction"] for _, query in asked}
    assert not any(check.passed for step in steps for check in step.checks)


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        ({"status": "success", "action": "reject", "result": {}}, True),
        ({"status": "success", "action": "continue", "result": ROOM}, False),
        ({"status": "success", "action": "continue"}, False),
        ({"status": "failure", "action": "reject"}, False),
    ],
)
def test_a_closed_door(answer: Answer, passed: bool) -> None:
    """A closed door is a reject; a room, Pexip's own decision, or a failure is none."""

    async def run() -> Step:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
        async with httpx.AsyncClient(transport=transport) as client:
            return await play_closed_door(ConferencingNode(client, "http://p", "a", "b"), LINK, "Closed")

    assert asyncio.run(run()).passed is passed

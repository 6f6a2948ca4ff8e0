"""Every answer about a held room is the service that was held; who dials is still each rule's own."""

from datetime import timedelta
from typing import Any

import pytest

from policy_server.conferences.holding import conference_of, held_to, recalled
from policy_server.conferences.records import Door, HeldConference
from policy_server.policy.decisions import Serve, Trace, no_rows
from policy_server.policy.services import LEGS
from tests.conferences.samples import NOW

LEG: dict[str, object] = {"remote_alias": "99+13129998045", "role": "chair"}
OTHER_LEG: dict[str, object] = {"remote_alias": "99+13125550100", "role": "chair"}
FOR_ALL: dict[str, object] = {"service_type": "conference", "name": "abc", "service_tag": "visit"}
ROOM: dict[str, object] = {**FOR_ALL, "pin": "1234"}


def serve(fields: dict[str, Any], rule: str = "customer") -> Serve:
    """A decision that serves the room; any field of its service can be changed or added."""
    return Serve(rule, "every condition holds", Trace(no_rows), {**ROOM, **fields}, "abc", (OTHER_LEG,))


def held_by(decision: Serve) -> HeldConference:
    """The conference that a decision begins."""
    return conference_of(
        decision,
        conference_id="1",
        alias="mp…",
        aliases={"dialled": "key"},
        link_type="visit",
        revision="r1",
        at=NOW,
        lifetime=timedelta(hours=12),
        asked={"local_alias": "key"},
    )


def test_what_a_decision_pins() -> None:
    """The service without its legs and door, legs, fallbacks and door by themselves, and where they came from."""
    held = held_by(serve({LEGS: [LEG]}))
    assert (held.service, held.legs, held.fallbacks) == (FOR_ALL, (LEG,), (OTHER_LEG,))
    assert held.doors == {"customer": Door({"pin": "1234"}, {"local_alias": "key"})}
    assert (held.name, held.service_tag, held.call, held.alias) == ("abc", "visit", "abc", "mp…")
    assert (held.rule, held.revision, held.expires_at - held.held_at) == (
        "customer",
        "r1",
        timedelta(hours=12),
    )


@pytest.mark.parametrize(
    ("first", "second", "service"),
    [
        pytest.param({LEGS: [LEG]}, {LEGS: [OTHER_LEG], "view": "9"}, {**ROOM, LEGS: [LEG]}, id="the customer again"),
        pytest.param({LEGS: [LEG]}, {"pin": "9999"}, {**ROOM, "pin": "9999"}, id="by another door"),
        pytest.param({"max_callrate_in": 128000}, {"pin": ""}, {**ROOM, "pin": ""}, id="by a door with less"),
        pytest.param({LEGS: [LEG]}, {"view": "new"}, ROOM, id="the agent"),
        pytest.param({}, {LEGS: [LEG]}, {**ROOM, LEGS: [LEG]}, id="the customer after the agent"),
    ],
)
def test_a_later_decision_is_held_to_the_room(
    first: dict[str, Any], second: dict[str, Any], service: dict[str, object]
) -> None:
    """The held service counts, whatever the rules say by now; the held legs go to those whose rule dials.

    The door is that of the rule by which somebody comes.
    """
    held = held_to(held_by(serve(first)), serve(second, "later"))
    assert (held.rule, held.service) == ("later", service)
    assert bool(held.fallbacks) is (LEGS in second)


@pytest.mark.parametrize(("dials", "service"), [(True, {**ROOM, LEGS: [LEG]}), (False, ROOM)], ids=["dials", "joins"])
def test_a_room_without_rules(dials: bool, service: dict[str, object]) -> None:
    """After a reload that took the rules away, or after closing time, the room is answered all the same."""
    answer = recalled(held_by(serve({LEGS: [LEG]})), Trace(no_rows), rule="customer", dials=dials)
    assert (answer.rule, answer.service, answer.call) == ("customer", service, "abc")


def test_an_answer_does_not_share_what_is_held() -> None:
    """Changing an answer on its way out, as a log does to mask it, changes no later answer."""
    held = held_by(serve({LEGS: [dict(LEG)]}))
    answer = held_to(held, serve({LEGS: [LEG]}))
    answer.service["pin"] = "****"
    legs = answer.service[LEGS]
    assert isinstance(legs, list)
    legs[0]["role"] = "guest"
    assert (held.doors["customer"].fields, held.legs) == ({"pin": "1234"}, (LEG,))

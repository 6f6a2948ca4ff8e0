"""Whatever another policy server answers, a node gets a valid answer: its own one as far as that is valid."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy_server.pexip.fields import Named
from policy_server.pexip.request_types import RequestType, question_path
from policy_server.pexip.requests import PolicyRequest, encode_query, parse_request
from policy_server.policy.answers import render_answer
from policy_server.policy.decisions import Decision, Forward, Serve, Trace, no_rows
from policy_server.policy.upstream_answers import AnswerError, instead, read_answer
from policy_server.policy.upstreams import OnFailure, Upstream
from policy_server.simulator.judge import HttpAnswer, judge
from tests.strategies import json_values, names, text, valid_services

ANSWERED = tuple(kind for kind in RequestType if kind not in {RequestType.AVATAR, RequestType.DIRECTORY})
FIELDS: dict[RequestType, dict[str, str]] = {
    RequestType.SERVICE: {"call_direction": "dial_in", "protocol": "sip", "local_alias": "meet.ada"},
    RequestType.PARTICIPANT: {"remote_display_name": "Ada"},
    RequestType.LOCATION: {"remote_address": "10.0.0.1"},
    RequestType.REGISTRATION: {},
}
ROOM = {"name": "meet.ada", "service_tag": "otj", "service_type": "conference"}


def forward(on_failure: OnFailure = "continue") -> Forward:
    """The decision of a rule."""
    return Forward("meet", "", Trace(no_rows), Upstream("scheduler", "https://otj.example.com", on_failure=on_failure))


def question(kind: RequestType, **fields: str) -> PolicyRequest:
    """A question of a node."""
    return parse_request(kind, encode_query(FIELDS[kind] | fields).encode(), "kiosk")


def decide(request: PolicyRequest, status: int, body: bytes, on_failure: OnFailure = "continue") -> Decision:
    """What becomes of the answer."""
    try:
        return read_answer(forward(on_failure), request, status, body).decision
    except AnswerError as error:
        return instead(forward(on_failure), request.type, str(error))


def told(answer: Any, kind: RequestType = RequestType.SERVICE, **fields: str) -> dict[str, object]:
    """The JSON that a node gets when the upstream answers so; AnswerError where it gets something instead."""
    request = question(kind, **fields)
    return render_answer(kind, read_answer(forward(), request, 200, orjson.dumps(answer)).decision, "continue")


GOOD: dict[str, tuple[RequestType, Any, Any]] = {
    "a room": (
        RequestType.SERVICE,
        {"status": "success", "action": "continue", "result": ROOM, "note": "x" * 999},
        {"status": "success", "action": "continue", "result": ROOM},
    ),
    "a room, and an action that is ignored": (
        RequestType.SERVICE,
        {"status": "success", "action": "reject", "result": ROOM},
        {"status": "success", "action": "continue", "result": ROOM},
    ),
    "what Pexip does not know is left out": (
        RequestType.SERVICE,
        {"status": "success", "result": {**ROOM, "colour": "red", "host_view": "one_main_zero_pips"}},
        {"status": "success", "action": "continue", "result": ROOM},
    ),
    "a redirect": (
        RequestType.SERVICE,
        {"status": "success", "action": "redirect", "result": {"new_alias": "sip:b@example.com"}},
        {"status": "success", "action": "redirect", "result": {"new_alias": "sip:b@example.com"}},
    ),
    "a rejection": (
        RequestType.SERVICE,
        {"status": "success", "action": "reject", "result": None},
        {"status": "success", "action": "reject", "result": {}},
    ),
    "not its own": (
        RequestType.SERVICE,
        {"status": "success", "action": "continue", "result": {}},
        {"status": "success", "action": "continue"},
    ),
    "a failure that rejects": (
        RequestType.SERVICE,
        {"status": "fail", "action": "reject"},
        {"status": "success", "action": "reject", "result": {}},
    ),
    "properties": (
        RequestType.PARTICIPANT,
        {"status": "success", "action": "continue", "result": {"preauthenticated_role": "chair", "x": 1}},
        {"status": "success", "action": "continue", "result": {"preauthenticated_role": "chair"}},
    ),
    "a participant who is refused": (
        RequestType.PARTICIPANT,
        {"status": "success", "action": "reject", "result": {"reject_reason": "No."}},
        {"status": "success", "action": "reject", "result": {"reject_reason": "No."}},
    ),
    "a refusal whose text is no text": (
        RequestType.PARTICIPANT,
        {"status": "success", "action": "reject", "result": {"reject_reason": 7, "spotlight": "x"}},
        {"status": "success", "action": "reject", "result": {"reject_reason": ""}},
    ),
    "a location": (
        RequestType.LOCATION,
        {"status": "success", "result": {"location": "Oslo", "overflow_locations": ["London"]}},
        {"status": "success", "result": {"location": "Oslo", "overflow_locations": ["London"]}},
    ),
    "credentials": (
        RequestType.REGISTRATION,
        {"status": "success", "action": "continue", "result": {"username": "kiosk", "password": "s3cret"}},
        {"status": "success", "action": "continue", "result": {"username": "kiosk", "password": "s3cret"}},
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_is_passed_on(name: str) -> None:
    """A node gets what the upstream means, without what is not for it."""
    kind, answer, expected = GOOD[name]
    assert told(answer, kind) == expected


BAD: dict[str, tuple[RequestType, Any, str]] = {
    "no status": (RequestType.SERVICE, {"result": ROOM}, "status is not 'success'"),
    "a failure": (RequestType.SERVICE, {"status": "failure", "result": ROOM}, "status is not 'success'"),
    "an action of nobody": (RequestType.SERVICE, {"status": "success", "action": "drop"}, "action must be one of"),
    "a redirect of a participant": (
        RequestType.PARTICIPANT,
        {"status": "success", "action": "redirect", "result": {"new_alias": "b"}},
        "action must be one of continue, reject but is 'redirect'",
    ),
    "a redirect to nowhere": (RequestType.SERVICE, {"status": "success", "action": "redirect"}, "needs new_alias"),
    "a result that is none": (RequestType.SERVICE, {"status": "success", "result": None}, "result must be an object"),
    "a room without a tag": (
        RequestType.SERVICE,
        {"status": "success", "result": {"name": "a", "service_type": "conference"}},
        "service_tag is missing",
    ),
    "a room without a name": (
        RequestType.SERVICE,
        {"status": "success", "result": {**ROOM, "name": "\u200b "}},
        "name is empty",
    ),
    "half of a room": (
        RequestType.SERVICE,
        {"status": "success", "result": {"pin": "1234"}},
        "service_type is missing",
    ),
    "PINs that are alike": (
        RequestType.SERVICE,
        {"status": "success", "result": {**ROOM, "pin": "99887766", "guest_pin": "99887766", "allow_guests": True}},
        "guest_pin",
    ),
    "a location without a name": (
        RequestType.LOCATION,
        {"status": "success", "result": {"overflow_locations": []}},
        "location is missing",
    ),
    "half of the credentials": (
        RequestType.REGISTRATION,
        {"status": "success", "result": {"username": "kiosk"}},
        "username and password",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_not(name: str) -> None:
    """What a node would discard is told with its reason, and without a PIN."""
    kind, answer, reason = BAD[name]
    with pytest.raises(AnswerError) as error:
        told(answer, kind)
    assert reason in str(error.value)
    assert "99887766" not in str(error.value)


def test_a_call_out_of_a_room_gets_the_room_that_it_goes_out_of() -> None:
    """Another room would cost the call, so it is not passed on."""
    answer = {"status": "success", "result": ROOM}
    for good in ("meet.ada", "meet.ada_breakout_0f8fad5b-d9cb-469f-a165-70867728950e"):
        assert told(answer, call_direction="dial_out", service_name=good)["result"] == ROOM
    with pytest.raises(AnswerError, match=r"the call goes out of 'meet\.bob', and name is 'meet\.ada'"):
        told(answer, call_direction="dial_out", service_name="meet.bob")


@pytest.mark.parametrize(
    ("kind", "result", "reason"),
    [
        (RequestType.SERVICE, {**ROOM, "ivr_theme_name": "Bank"}, "theme 'Bank' is not among themes under pexip"),
        (RequestType.LOCATION, {"location": "Paris"}, "location 'Paris' is not among locations under pexip"),
        (RequestType.LOCATION, {"location": "Oslo", "overflow_locations": ["oslo"]}, "location 'oslo' is not among"),
    ],
)
def test_names_that_the_deployment_does_not_have(kind: RequestType, result: Any, reason: str) -> None:
    """Where rules list the names of the deployment, one that is not there voids the answer, as in our own rules."""
    known = {Named.THEME: frozenset({"Clinic"}), Named.LOCATION: frozenset({"Oslo"})}
    body = orjson.dumps({"status": "success", "result": result})
    with pytest.raises(AnswerError, match=reason):
        read_answer(forward(), question(kind), 200, body, known)
    read_answer(forward(), question(kind), 200, body, {})


_results = st.one_of(
    valid_services(),
    st.builds(
        lambda service, odd: {**service, **odd}, valid_services(), st.dictionaries(names, json_values, max_size=2)
    ),
    st.builds(
        lambda service, key, odd: {**service, key: odd}, valid_services(), st.sampled_from([*ROOM, "pin"]), json_values
    ),
    st.fixed_dictionaries({}, optional={"new_alias": text | json_values, "location": text, "username": text}),
    st.fixed_dictionaries({}, optional={"overflow_locations": st.lists(text, max_size=2), "location": names}),
    st.fixed_dictionaries({}, optional={"password": text, "username": text, "reject_reason": text | json_values}),
    st.fixed_dictionaries({}, optional={"spotlight": json_values, "remote_display_name": text | st.none()}),
    json_values,
)
_answers = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["success"] * 6 + ["failure", "Success", 1]),
        "action": st.sampled_from(["continue", "reject", "redirect", "", None, 7]),
        "result": _results,
        "x": json_values,
    },
)
_bodies = _answers.map(lambda answer: json.dumps(answer).encode()) | st.binary(max_size=60)


@given(
    st.sampled_from(ANSWERED),
    st.sampled_from([200] * 8 + [404, 500]),
    _bodies,
    st.sampled_from(["continue", "reject"]),
    st.sampled_from([{}, {"call_direction": "dial_out", "service_name": "meet.ada"}]),
)
@example(RequestType.SERVICE, 200, orjson.dumps({"status": "success", "result": {**ROOM, "pin": 7}}), "reject", {})
def test_whatever_it_sends_a_node_gets_an_answer_that_it_uses(
    kind: RequestType, status: int, body: bytes, on_failure: OnFailure, further: dict[str, str]
) -> None:
    """The judge, who knows Pexip by itself, finds nothing wrong with what goes out."""
    request = question(kind, **further)
    decision = decide(request, status, body, on_failure)
    sent = orjson.dumps(render_answer(kind, decision, "continue"))
    query = encode_query(FIELDS[kind] | further)
    verdict = judge(question_path(kind, "kiosk"), query, HttpAnswer(200, "application/json", sent))
    assert verdict.used, verdict.objections


@given(valid_services())
def test_a_service_that_is_valid_goes_through_whole(service: dict[str, Any]) -> None:
    """Nothing of a good service is lost on the way."""
    service["name"] = f"Room {service['name']}"[:250]
    body = orjson.dumps({"status": "success", "result": service})
    decision = read_answer(forward(), question(RequestType.SERVICE), 200, body).decision
    assert isinstance(decision, Serve)
    assert decision.service == service

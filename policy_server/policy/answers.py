"""Decisions as Pexip's envelope (pexip/README.md: Envelope, Status and action)."""

from collections.abc import Mapping
from typing import assert_never

from policy_server.pexip.request_types import RequestType
from policy_server.policy.decisions import (
    AllowRegistration,
    Continue,
    Decision,
    Fail,
    Forward,
    ListEntries,
    PlaceMedia,
    Redirect,
    Reject,
    Serve,
    SetProperties,
    ShowPicture,
)
from policy_server.policy.upstream_answers import instead

Answer = dict[str, object]

_EMPTY: Mapping[str, object] = {}


def render_answer(
    request_type: RequestType, decision: Decision, on_failure: str, extra: Mapping[str, object] = _EMPTY
) -> Answer:
    """The JSON object of the answer.

    ``on_failure`` is the action of a failure; ``extra`` are keys for the node's support log.
    """
    match decision:
        # The most frequent come first.
        case Serve():
            return {"status": "success", "action": "continue", "result": decision.service, **extra}
        case Continue():
            unchanged: Answer = {"result": {}} if request_type.about.takes_empty_result else {}
            return {"status": "success", "action": "continue", **unchanged, **extra}
        case Redirect():
            result = {"new_alias": decision.new_alias}
            return {"status": "success", "action": "redirect", "result": result, **extra}
        case Reject():
            return _rejection(request_type, decision, extra)
        case SetProperties():
            return {"status": "success", "action": "continue", "result": decision.properties, **extra}
        case PlaceMedia():
            place: Answer = {"location": decision.location}
            if decision.overflow_locations:
                place["overflow_locations"] = list(decision.overflow_locations)
            return {"status": "success", "result": place, **extra}
        case AllowRegistration():
            credentials = {"username": decision.username, "password": decision.password}
            return {"status": "success", "action": "continue", "result": credentials, **extra}
        case ListEntries():
            entries = [dict(entry) for entry in decision.entries]
            return {"status": "success", "result": entries, "ignore_local": decision.ignore_local, **extra}
        case Fail():
            return failure_answer(on_failure, extra)
        case Forward():
            # Nobody has asked, and to a node that is the same as nobody having answered.
            return render_answer(request_type, instead(decision, request_type, decision.reason), on_failure, extra)
        case ShowPicture():
            return {"status": "success", "picture": decision.picture, **extra}
        case _:
            assert_never(decision)


def answered(request_type: RequestType, decision: Decision) -> Answer:
    """What an answer says, without its envelope: what logs keep of it, and what is compared with another answer.

    Of a failure, whose answer is a setting, it is the reason.
    """
    if isinstance(decision, Fail):
        return {"reason": decision.reason}
    if isinstance(decision, Forward):
        return {"upstream": decision.upstream.name}
    answer = render_answer(request_type, decision, "")
    del answer["status"]
    return answer


def _rejection(request_type: RequestType, decision: Reject, extra: Mapping[str, object]) -> Answer:
    if request_type is RequestType.PARTICIPANT:
        result = {"reject_reason": decision.text}
        return {"status": "success", "action": "reject", "result": result, **extra}
    # Pexip shows callers a text of its own; ours is for whoever reads the node's support log.
    reason = {"reason": decision.text} if decision.text else {}
    return {"status": "success", "action": "reject", "result": {}, **reason, **extra}


def failure_answer(on_failure: str, extra: Mapping[str, object] = _EMPTY) -> Answer:
    """What a node gets when there is no decision: it falls back to ``on_failure``."""
    return {"status": "failure", "action": on_failure, **extra}

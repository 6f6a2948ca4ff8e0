"""What another policy server answers, read as a decision of ours: whatever it sends, a node gets what it can use.

(pexip/README.md: Envelope, Status and action, What voids an answer)
"""

from collections.abc import Callable, Mapping, Set
from typing import Any, Final, Literal, NamedTuple, TypeAlias, assert_never

import orjson

from policy_server.pexip.fields import Fault, Named
from policy_server.pexip.properties import check_media_location, check_properties, check_registration
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import PolicyRequest
from policy_server.pexip.services import check_service, names_of_deployment
from policy_server.policy.decisions import (
    AllowRegistration,
    Continue,
    Decision,
    Forward,
    PlaceMedia,
    Redirect,
    Reject,
    Serve,
    SetProperties,
)
from policy_server.policy.faults import faults_of_answer
from policy_server.policy.services import FIELD_LIMIT, Fields
from policy_server.policy.templates import is_blank
from policy_server.wording.values import shown

KnownNames: TypeAlias = Mapping[Named, Set[str]]
"""The names that exist in the deployment, as far as rules list them."""

_NO_NAMES: Final[KnownNames] = {}
_ENDS: Final = ("continue", "reject")
_MARKS_SERVICE: Final = ("service_type", "name", "service_tag")
"""A result with one of these describes a service, and then the action is ignored (ENV-2)."""

End: TypeAlias = Literal["continue", "reject"]


class AnswerError(ValueError):
    """An answer of which a node could use nothing. The message says why, without the value of any secret field."""


class Read(NamedTuple):
    """The decision that an answer is. ``left_out`` names what it had besides and Pexip does not know, which a node would pass
    over too.
    """

    decision: Decision
    left_out: tuple[str, ...] = ()


def read_answer(
    forward: Forward, request: PolicyRequest, status: int, body: bytes, names: KnownNames = _NO_NAMES
) -> Read:
    """What an answer to ``request`` comes to; raises AnswerError for one that a node would discard.

    HTTP 404 is how policy servers say "not mine", whatever the body (pexip/README.md: Status and action).
    """
    if status == 404:
        return Read(_end("continue", forward, "HTTP 404: not its own"))
    if status != 200:
        raise AnswerError(f"HTTP {status}")
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise AnswerError("the body is not JSON") from None
    if not isinstance(answer, dict):
        raise AnswerError("the body is no JSON object")
    action = answer.get("action", "continue")
    if answer.get("status") != "success":
        # A node then does what the action says, if there is one.
        if "action" in answer and action in _ENDS and action in _actions(request):
            return Read(_end(action, forward, f"it failed, with action {action}"))
        raise AnswerError("status is not 'success'")
    result = answer.get("result", {})
    if action == "reject" and action in _actions(request) and not _is_service(request, result):
        return Read(Reject(forward.rule, _answered(forward), forward.trace, _reject_text(request, result)))
    if not isinstance(result, dict):
        raise AnswerError("result must be an object")
    if (
        not _is_service(request, result)
        and request.type is not RequestType.LOCATION
        and action not in _actions(request)
    ):
        raise AnswerError(f"action must be one of {', '.join(_actions(request))} but is {_shown(action)}")
    if not result and action != "redirect":
        return Read(_end("continue", forward, _answered(forward)))
    left_out: list[str] = []
    decision = _read_result(forward, request, action, result, names, left_out)
    return Read(decision, tuple(left_out))


def instead(forward: Forward, request_type: RequestType, reason: str) -> Decision:
    """What a node is told when there is no answer that it could use: what the upstream's ``on_failure`` says, and
    ``continue`` where a question knows no rejection.
    """
    end = forward.upstream.on_failure
    return _end(end if end in request_type.about.actions else "continue", forward, reason)


def _end(end: End, forward: Forward, reason: str) -> Continue | Reject:
    if end == "reject":
        return Reject(forward.rule, reason, forward.trace, "")
    return Continue(forward.rule, reason, forward.trace)


def _answered(forward: Forward) -> str:
    return f"upstream {shown(forward.upstream.name)} says so"


def _actions(request: PolicyRequest) -> tuple[str, ...]:
    return request.type.about.actions


def _is_service(request: PolicyRequest, result: object) -> bool:
    if request.type is not RequestType.SERVICE or not isinstance(result, dict):
        return False
    return any(name in result for name in _MARKS_SERVICE)


def _reject_text(request: PolicyRequest, result: object) -> str:
    """The text for the participant. A text that no node would show must not let anybody in, so it is left out."""
    if request.type is not RequestType.PARTICIPANT or not isinstance(result, dict):
        return ""
    text = result.get("reject_reason")
    return text[:FIELD_LIMIT] if isinstance(text, str) else ""


def _read_result(
    forward: Forward, request: PolicyRequest, action: object, result: Fields, names: KnownNames, left_out: list[str]
) -> Decision:
    rule, reason, trace = forward.rule, _answered(forward), forward.trace
    match request.type:
        case RequestType.SERVICE if action == "redirect" and not _is_service(request, result):
            alias = result.get("new_alias")
            if not isinstance(alias, str) or not 0 < len(alias) <= FIELD_LIMIT:
                raise AnswerError(f"a redirect needs new_alias of up to {FIELD_LIMIT} characters")
            return Redirect(rule, reason, trace, alias)
        case RequestType.SERVICE:
            left_out += _leave_out(result, check_service)
            _check_service(request, result, names)
            return Serve(rule, reason, trace, result, "")
        case RequestType.PARTICIPANT:
            left_out += _leave_out(result, check_properties)
            return SetProperties(rule, reason, trace, result)
        case RequestType.LOCATION:
            left_out += _leave_out(result, check_media_location)
            location, overflow = str(result["location"]), result.get("overflow_locations", ())
            others = tuple(map(str, overflow)) if isinstance(overflow, list) else ()
            for name in (location, *others):
                _check_name(Named.LOCATION, name, names)
            return PlaceMedia(rule, reason, trace, location, others)
        case RequestType.REGISTRATION:
            left_out += _leave_out(result, check_registration)
            username, password = (result.get(key) for key in ("username", "password"))
            if not isinstance(username, str) or not isinstance(password, str) or bool(username) != bool(password):
                raise AnswerError("a registration needs username and password, or both empty")
            return AllowRegistration(rule, reason, trace, username, password)
        case RequestType.DIRECTORY | RequestType.AVATAR:
            raise AnswerError(f"no rule answers {request.type} questions")
        case _:
            assert_never(request.type)


def _check_service(request: PolicyRequest, service: Fields, names: KnownNames) -> None:
    if is_blank(str(service["name"])):
        raise AnswerError(faults_of_answer(service))
    name, asked = str(service["name"]), request.text("service_name")
    is_same = asked in ("", name) or asked.startswith(f"{name}_breakout_")
    if request.text("call_direction") == "dial_out" and not is_same:
        # SVC-6
        raise AnswerError(f"the call goes out of {_shown(asked)}, and name is {_shown(name)}")
    for _, kind, text in names_of_deployment(service):
        _check_name(kind, text, names)


def _check_name(kind: Named, name: str, names: KnownNames) -> None:
    if kind in names and name not in names[kind]:
        raise AnswerError(f"{kind.replace('_', ' ')} {_shown(name)} is not among {kind.plural} under pexip")


def _leave_out(fields: Fields, check: Callable[[Fields], tuple[Fault, ...]]) -> list[str]:
    """Removes what Pexip does not know from the fields, and returns what that was; raises AnswerError for any other fault."""
    faults = check(fields)
    left_out: list[str] = []
    for fault in faults:
        if fault.kind == "unknown":
            *above, last = fault.path
            holder: Any = fields
            for step in above:
                holder = holder[step]
            del holder[last]
            left_out.append(_shown(last))
    if left_out and not fields:
        raise AnswerError(f"Pexip knows nothing of its result: {', '.join(left_out)}")
    # Most answers have no fault, and are looked at once.
    if faults and (wrong := check(fields)):
        raise AnswerError("; ".join(fault.message for fault in wrong))
    return left_out


def _shown(value: object) -> str:
    return shown(value) if isinstance(value, str) else f"a {type(value).__name__}"

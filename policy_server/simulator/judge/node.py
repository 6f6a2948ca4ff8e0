"""The judge itself: one question, one HTTP answer, one verdict.

(pexip/README.md: Status and action)
"""

from collections.abc import Mapping
from typing import assert_never

from policy_server.pexip.request_types import RequestType
from policy_server.simulator.judge.answers import (
    judge_directory,
    judge_location,
    judge_participant,
    judge_registration,
)
from policy_server.simulator.judge.envelope import check_lengths, check_transport, read_json
from policy_server.simulator.judge.fields import check_record
from policy_server.simulator.judge.findings import Findings, listed, secrets_of, shortened, type_of
from policy_server.simulator.judge.pictures import judge_picture
from policy_server.simulator.judge.question import Question, parse_question
from policy_server.simulator.judge.services import Running, judge_service, warn_left_alone
from policy_server.simulator.judge.tables import REDIRECT
from policy_server.simulator.judge.verdict import Deployment, HttpAnswer, Objection, Outcome, Verdict

_NAMES_UNKNOWN = Deployment()


def judge(
    path: str,
    query: str,
    answer: HttpAnswer,
    *,
    deployment: Deployment = _NAMES_UNKNOWN,
    running: Mapping[str, object] | None = None,
) -> Verdict:
    """What a Conferencing Node does with ``answer`` to the question ``path?query``, and why. Never raises.

    ``path`` and ``query`` are raw, as on the wire; the path may carry the prefix of a profile URL.
    ``running`` is the ``result`` with which the service was started that a dial_out question is about, or that the caller
    comes into.
    """
    question = parse_question(path, query)
    if question is None:
        asked = f"'{shortened(path)}' is not a path of the external policy API; no node asks this question."
        return Verdict("failure", (Objection("FIELD", "", asked),))
    findings = Findings(deployment)
    outcome: Outcome = "failure"
    declined = False
    if check_transport(answer, findings):
        if answer.status == 404:
            warn_left_alone(question, running, findings)
            outcome = "continue"
        elif question.request_type is RequestType.AVATAR:
            outcome = judge_picture(answer, question, findings)
        else:
            outcome, declined = _judge_document(answer, question, running, findings)
    objections = tuple(findings.objections)
    return Verdict("failure" if objections else outcome, objections, tuple(findings.warnings), declined=declined)


def _judge_document(
    answer: HttpAnswer, question: Question, running: Running, findings: Findings
) -> tuple[Outcome, bool]:
    document = read_json(answer, findings)
    if not isinstance(document, Mapping):
        if not findings.objections:
            findings.refuse("ENV-1", "", f"The answer must be a JSON object but is {type_of(document)}.")
        return "failure", False
    findings.secrets = secrets_of(document)
    check_lengths(document, findings)
    status = document.get("status")
    if isinstance(status, str) and status.strip().lower() != "success":
        return "failure", _declines(document, question, findings)
    if status != "success":
        findings.refuse("ENV-1", "status", _not_success(document, findings))
    return _judge_success(document, question, running, findings), False


def _not_success(document: Mapping[str, object], findings: Findings) -> str:
    if "status" not in document:
        return 'status is missing, so the answer counts as failed; write "status": "success".'
    status = document["status"]
    is_what = findings.shown(status) if isinstance(status, str) else type_of(status)
    return f"status must be exactly 'success' but is {is_what}, so the answer counts as failed."


def _declines(document: Mapping[str, object], question: Question, findings: Findings) -> bool:
    """Whether an answer whose status says failure holds no other mistake."""
    action = document.get("action", "continue")
    _check_action(action, question, findings)
    if action == "redirect" and question.request_type is RequestType.SERVICE:
        result = document.get("result")
        check_record(REDIRECT, result if isinstance(result, Mapping) else {}, "result", findings)
    readable = not findings.objections
    follows = "decides as if there were no policy"
    if "action" in document and question.request_type.about.actions:
        follows = f"does what action says, {findings.shown(action)}"
    findings.refuse(
        "ENV-1",
        "status",
        f"status is {findings.shown(document['status'])} and not 'success', so the answer counts as failed and the"
        f" node {follows}.",
    )
    return readable


def _check_action(action: object, question: Question, findings: Findings) -> None:
    allowed = question.request_type.about.actions
    is_what = findings.shown(action) if isinstance(action, str) else type_of(action)
    if not allowed:
        if action != "continue":
            findings.warn(
                "FIELD",
                "action",
                f"A {question.request_type.about.title} answer has no action; {is_what} has no effect.",
            )
    elif action not in allowed:
        findings.refuse("FIELD", "action", f"action must be one of {listed(allowed)} but is {is_what}.")


def _judge_success(document: Mapping[str, object], question: Question, running: Running, findings: Findings) -> Outcome:
    action = document.get("action", "continue")
    if question.request_type is RequestType.DIRECTORY:
        _check_action(action, question, findings)
        return judge_directory(document, findings)
    result = document.get("result", {})
    if not isinstance(result, Mapping):
        findings.refuse("FIELD", "result", f"result must be an object but is {type_of(result)}.")
        return "failure"
    # ENV-2: a service in result makes the action of a service configuration answer irrelevant.
    if question.request_type is not RequestType.SERVICE or not result:
        _check_action(action, question, findings)
    match question.request_type:
        case RequestType.SERVICE:
            return judge_service(action, result, question, running, findings)
        case RequestType.PARTICIPANT:
            return judge_participant(action, result, question, findings)
        case RequestType.LOCATION:
            return judge_location(result, findings)
        case RequestType.REGISTRATION:
            return judge_registration(action, result, question, findings)
        case RequestType.AVATAR:
            return "failure"  # An avatar's body is a picture and never comes here.
        case _:
            assert_never(question.request_type)

"""Answers to service configuration requests: envelope actions and the rules that span several fields.

(pexip/README.md: Status and action, Service fields, Breakouts, What voids an answer)
"""

from collections.abc import Mapping

from policy_server.pexip.request_types import RequestType
from policy_server.simulator.judge.fields import check_record
from policy_server.simulator.judge.findings import Findings, joined
from policy_server.simulator.judge.pins import check_pins
from policy_server.simulator.judge.question import Question
from policy_server.simulator.judge.tables import ANY_SERVICE, REDIRECT, SERVICES, TEAMS_VIEWS
from policy_server.simulator.judge.verdict import Outcome

Running = Mapping[str, object] | None
"""The ``result`` with which the service in question was started; None when it is not known."""

_PIN_SERVICES = frozenset({"conference", "lecture", "media_playback"})
_ROOMS = frozenset({"conference", "lecture"})
# What may differ between callers (pexip/README.md: One service and one configuration), and what only the rule that dials
# has.
_NOT_SHARED = frozenset(
    {
        "allow_guests",
        "automatic_participants",
        "guest_identity_provider_group",
        "guest_pin",
        "host_identity_provider_group",
        "max_callrate_in",
        "max_callrate_out",
        "pin",
    }
)


def judge_service(
    action: object, result: Mapping[str, object], question: Question, running: Running, findings: Findings
) -> Outcome:
    """What the node does with a service configuration answer whose status is success."""
    if any(name in result for name in ("service_type", "name", "service_tag")):
        _check_service(result, findings)
        _check_dial_out(result, question, running, findings)
        _check_same_room(result, question, running, findings)
        if action != "continue":
            findings.warn(
                "ENV-2",
                "action",
                f"result describes a service, so Pexip uses it and ignores the action {findings.shown(action)};"
                " leave result empty if the action is meant.",
            )
        return "service"
    if action == "redirect":
        _check_redirect(result, question, findings)
    elif result and action == "reject":
        findings.warn("ENV-2", "result", "A rejected call has no data; write an empty result, {}.")
    elif result:
        check_record(ANY_SERVICE, result, "result", findings, complete=False)
    warn_left_alone(question, running, findings)
    if action == "redirect":
        return "redirect"
    return "reject" if action == "reject" else "continue"


def warn_left_alone(question: Question, running: Running, findings: Findings) -> None:
    """Warn when the question about a call out of a running service is answered without that service."""
    if running and question.request_type is RequestType.SERVICE and question.dials_out:
        findings.warn(
            "SVC-6",
            "result",
            "Pexip is placing a call out of a service that runs already, and the answer does not repeat that"
            " service; unless Pexip's own configuration has it, the call is not placed.",
        )


def _check_redirect(result: Mapping[str, object], question: Question, findings: Findings) -> None:
    check_record(REDIRECT, result, "result", findings)
    protocol = question.value("protocol")
    if protocol not in {"", "sip"}:
        findings.warn(
            "SVC-7",
            "action",
            "A redirect is documented for SIP callers only, and the protocol of this call is"
            f" {findings.shown(protocol)}.",
        )


def _check_service(result: Mapping[str, object], findings: Findings) -> None:
    service_type = result.get("service_type")
    table = SERVICES.get(service_type) if isinstance(service_type, str) else None
    if table is None:
        check_record(ANY_SERVICE, result, "result", findings, complete=False)
        return
    check_record(table, result, "result", findings)
    if service_type in _PIN_SERVICES:
        check_pins(result, findings)
    if service_type in _ROOMS:
        _check_breakout(result, findings)
        _check_automatic_participants(result, findings)
    if service_type == "gateway":
        _check_teams_view(result, findings)
    if service_type == "media_playback":
        _check_on_completion(result, findings)


def _check_dial_out(result: Mapping[str, object], question: Question, running: Running, findings: Findings) -> None:
    if not question.dials_out:
        return
    effect = "Pexip cannot place the call; give a dial_out question the same service as the dial_in question"
    if running is None:
        name, asked = result.get("name"), question.value("service_name")
        # The service_name of a breakout room is <name of the main room>_breakout_<uuid>.
        if isinstance(name, str) and name and asked and asked != name and not asked.startswith(f"{name}_breakout_"):
            findings.refuse(
                "SVC-6",
                "result.name",
                f"name is {findings.shown(name)}, but the call goes out of the service {findings.shown(asked)}, so"
                f" {effect}.",
            )
        return
    for field in ("name", "service_type"):
        if field in running and field in result and result[field] != running[field]:
            findings.refuse(
                "SVC-6",
                f"result.{field}",
                f"{field} is {findings.shown(result[field])}, but the call goes out of a service that runs with"
                f" {findings.shown(running[field])}, so {effect}.",
            )
    if "service_tag" in running and "service_tag" in result and result["service_tag"] != running["service_tag"]:
        findings.warn(
            "SVC-6",
            "result.service_tag",
            f"service_tag is {findings.shown(result['service_tag'])}, but the running service has"
            f" {findings.shown(running['service_tag'])}; every answer about a service should give the same data.",
        )


def _check_same_room(result: Mapping[str, object], question: Question, running: Running, findings: Findings) -> None:
    """Warn when somebody who comes into a running conference is answered with other data than those before."""
    if running is None or question.dials_out or result.get("name") != running.get("name"):
        return
    if result.get("breakout") is True or running.get("breakout") is True:
        return
    for field in sorted((result.keys() | running.keys()) - _NOT_SHARED):
        if result.get(field) != running.get(field):
            findings.warn(
                "FIELD",
                joined("result", field),
                f"The conference runs already, and {findings.shown(field)} is not what it was started with; every answer about a"
                " service should give the same data, but for PINs, Identity Provider groups and call rates.",
            )


def _check_breakout(result: Mapping[str, object], findings: Findings) -> None:
    rooms = result.get("breakout_rooms") is True
    if result.get("breakout") is True:
        for field in ("breakout_uuid", "breakout_name"):
            if result.get(field, "") == "":
                findings.refuse(
                    "BRK-1",
                    f"result.{field}",
                    f"breakout is true but {field} is missing; a breakout room needs breakout_uuid and breakout_name.",
                )
        if rooms:
            findings.refuse(
                "BRK-2",
                "result.breakout_rooms",
                "breakout and breakout_rooms are both true; a breakout room cannot have breakout rooms itself.",
            )
    if rooms and result.get("direct_media") in ("best_effort", "always"):
        findings.refuse(
            "BRK-3",
            "result.direct_media",
            f"direct_media is {findings.shown(result['direct_media'])}, which does not work with breakout_rooms;"
            " set direct_media to 'never' or breakout_rooms to false.",
        )


def _check_automatic_participants(result: Mapping[str, object], findings: Findings) -> None:
    participants = result.get("automatic_participants")
    seen: dict[str, int] = {}
    for index, participant in enumerate(participants if isinstance(participants, list) else ()):
        alias = participant.get("remote_alias") if isinstance(participant, Mapping) else None
        if not isinstance(alias, str) or not alias:
            continue
        first = seen.setdefault(alias.casefold(), index)
        if first != index:
            findings.warn(
                "ADP-1",
                f"result.automatic_participants[{index}].remote_alias",
                f"Entry {first + 1} has the same remote_alias; Pexip does not dial an alias that is in the"
                " conference already.",
            )


def _check_teams_view(result: Mapping[str, object], findings: Findings) -> None:
    view, protocol = result.get("view"), result.get("outgoing_protocol")
    if view in TEAMS_VIEWS and isinstance(protocol, str) and protocol != "teams":
        findings.refuse(
            "SVC-4",
            "result.view",
            f"view {findings.shown(view)} is for calls to Microsoft Teams only, but outgoing_protocol is"
            f" {findings.shown(protocol)}.",
        )


def _check_on_completion(result: Mapping[str, object], findings: Findings) -> None:
    completion = result.get("on_completion")
    if not isinstance(completion, Mapping):
        return
    given = [name for name in ("disconnect", "transfer") if name in completion]
    if len(given) != 1:
        has = "has both" if given else "has neither"
        findings.refuse(
            "FIELD",
            "result.on_completion",
            f"on_completion needs exactly one of disconnect and transfer but {has}.",
        )

"""Answers to participant, media location, registration and directory requests.

(pexip/README.md: Participant properties, Media location, Registration, Directory, What voids an answer)
"""

from collections.abc import Mapping

from policy_server.simulator.judge.fields import check_record, check_value
from policy_server.simulator.judge.findings import Findings, type_of
from policy_server.simulator.judge.question import Question
from policy_server.simulator.judge.tables import DIRECTORY, LOCATION, PARTICIPANT, REGISTRATION
from policy_server.simulator.judge.verdict import Outcome

_MOST_MIX_LEVELS = 3


def judge_participant(action: object, result: Mapping[str, object], question: Question, findings: Findings) -> Outcome:
    """What the node does with a participant properties answer whose status is success."""
    check_record(PARTICIPANT, result, "result", findings)
    # The wire form of null is not documented: an empty value, "None" and "null" may all be the null of PRT-1.
    has_name = question.value("remote_display_name") not in {"", "None", "null"}
    if has_name and result.get("remote_display_name", "") is None:
        findings.refuse(
            "PRT-1",
            "result.remote_display_name",
            "remote_display_name is null, but the participant has a display name; leave the field out to keep it.",
        )
    mix = result.get("receive_from_audio_mix")
    if isinstance(mix, str) and mix.count(".") >= _MOST_MIX_LEVELS:
        findings.warn(
            "FIELD",
            "result.receive_from_audio_mix",
            f"receive_from_audio_mix has {mix.count('.') + 1} levels; Pexip documents at most {_MOST_MIX_LEVELS}.",
        )
    if action == "reject":
        if any(field != "reject_reason" for field in result):
            findings.warn(
                "FIELD",
                "result",
                "The participant is refused; fields other than reject_reason have no effect, so leave them out.",
            )
        return "reject"
    if "reject_reason" in result:
        findings.warn(
            "FIELD",
            "result.reject_reason",
            "reject_reason has no effect unless action is 'reject', so the participant is let in.",
        )
    return "properties" if result else "continue"


def judge_location(result: Mapping[str, object], findings: Findings) -> Outcome:
    """What the node does with a media location answer whose status is success."""
    if not result:
        findings.warn(
            "FIELD",
            "result",
            "There is no location, so Pexip chooses one itself; some versions log such an answer as invalid,"
            " HTTP 404 is the clean way to say so.",
        )
        return "continue"
    check_record(LOCATION, result, "result", findings)
    return "location"


def judge_registration(action: object, result: Mapping[str, object], question: Question, findings: Findings) -> Outcome:
    """What the node does with a registration answer whose status is success.

    Two empty strings admit the device without authentication. One of the two alone is refused here: no source
    says what Pexip does with half a pair, and it must not be a device let in unchecked.
    """
    check_record(REGISTRATION, result, "result", findings)
    if action == "reject":
        if result:
            findings.warn("FIELD", "result", "A refused registration has no data; write an empty result, {}.")
        return "reject"
    if not result:
        return "continue"
    given = {name: result.get(name, "") != "" for name in ("username", "password")}
    present = [name for name in given if name in result]
    if len(set(given.values())) == 2:
        filled, lacking = ("username", "password") if given["username"] else ("password", "username")
        findings.refuse(
            "FIELD",
            f"result.{lacking}",
            f'There is a {filled} but no {lacking}; give both, or both as "" to let the device in without'
            " authentication.",
        )
    elif len(present) == 1:
        lacking = "password" if present == ["username"] else "username"
        findings.refuse(
            "FIELD",
            f"result.{lacking}",
            f'{present[0]} is empty and {lacking} is missing; write both as "" to let the device in without'
            " authentication, or an empty result, {}, to let Pexip's own configuration decide.",
        )
    if not present:
        return "continue"
    if question.value("auth_type").strip('"').casefold() == "sso":
        findings.warn(
            "FIELD",
            "result",
            "The app registers with single sign-on and is checked elsewhere; an empty result, {}, is the usual answer.",
        )
    return "credentials"


def judge_directory(envelope: Mapping[str, object], findings: Findings) -> Outcome:
    """What the node does with a directory answer whose status is success."""
    ignore_local = envelope.get("ignore_local", False)
    if not isinstance(ignore_local, bool):
        findings.refuse(
            "FIELD",
            "ignore_local",
            f"ignore_local must be a boolean but is {type_of(ignore_local)}; write true or false without quotes.",
        )
    if "result" not in envelope:
        findings.warn(
            "FIELD", "result", "There is no result, so only local entries are shown; write [] for no entries."
        )
        return "continue"
    check_value(DIRECTORY, envelope["result"], "result", "result", findings)
    return "directory"

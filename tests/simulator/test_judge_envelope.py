"""The judge reads the transport and the envelope as a node does: status, time, type, JSON, status and action."""

import pytest

from policy_server.simulator.judge import HttpAnswer, judge
from tests.simulator.judge_samples import (
    AVATAR,
    DIRECTORY,
    JSON_PATHS,
    LOCATION,
    PARTICIPANT,
    REGISTRATION,
    ROOM,
    SERVICE,
    broken,
    http,
    judged,
    reasons,
    rules,
    success,
    warned,
)


@pytest.mark.parametrize("path", [SERVICE, PARTICIPANT, LOCATION, AVATAR, DIRECTORY, REGISTRATION])
@pytest.mark.parametrize("status", [0, 100, 201, 204, 301, 302, 307, 400, 401, 403, 405, 429, 500, 502, 503, 504])
def test_env_4_other_statuses_fail(path: str, status: int) -> None:
    """Any status but 200 and 404 is a failure, however good the body."""
    answer = http(success([] if path == DIRECTORY else {}), status=status)
    verdict = judge(path, "", answer)
    assert (verdict.outcome, broken(verdict), verdict.well_formed) == ("failure", [("ENV-4", "")], False)
    assert f"HTTP {status}" in reasons(verdict)[0]


@pytest.mark.parametrize("path", [SERVICE, PARTICIPANT, LOCATION, AVATAR, DIRECTORY, REGISTRATION])
def test_404_is_not_mine(path: str) -> None:
    """HTTP 404 with any body leaves the decision to Pexip and is used."""
    for body in (b"", b"\xff not JSON", b'{"status": "fail", "action": "continue", "result": {}}'):
        verdict = judge(path, "", HttpAnswer(404, "text/html", body))
        assert (verdict.outcome, verdict.used, verdict.objections, verdict.warnings) == ("continue", True, (), ())


@pytest.mark.parametrize(
    ("seconds", "used"), [(0.0, True), (5.0, True), (5.001, False), (60.0, False), (float("nan"), False)]
)
@pytest.mark.parametrize("status", [200, 404])
def test_env_4_time(seconds: float, used: bool, status: int) -> None:
    """A node waits five seconds; afterwards even a 404 is a failure."""
    verdict = judge(SERVICE, "", http(success({}), status=status, seconds=seconds))
    assert verdict.used is used
    assert rules(verdict) == ([] if used else ["ENV-4"])


def test_env_4_time_comes_first() -> None:
    """Of an answer that came too late, nothing else is judged."""
    assert rules(judge(SERVICE, "", HttpAnswer(500, "", b"", 5.1))) == ["ENV-4"]
    assert rules(judge(SERVICE, "", HttpAnswer(200, "", b"", 5.1))) == ["ENV-4"]
    assert "5.1 seconds" in reasons(judge(SERVICE, "", HttpAnswer(200, "", b"", 5.1)))[0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "The body is not JSON: it is empty."),
        (b" \r\n", "The body is not JSON: it is empty."),
        (b"<!doctype html>", "The body is not JSON: it looks like a web page."),
        (b"{'status': 'success'}", "The body is not JSON: "),
        (b'{"status": "success",}', "The body is not JSON: "),
        (b'{"status": "succ\xe9s"}', "The body is not JSON: it is not UTF-8 text."),
        (b'\xef\xbb\xbf{"status": "success"}', "The body is not JSON: "),
        ('{"status": "success"}'.encode("utf-16"), "The body is not JSON: it is not UTF-8 text."),
        (b'{"status": "success", "n": NaN}', "The body is not usable JSON: NaN is not a JSON number."),
        (b'{"status": "success", "n": -Infinity}', "The body is not usable JSON: -Infinity is not a JSON number."),
        (
            b'{"status": "success", "status": "success"}',
            "The body is not usable JSON: status occurs twice in one object.",
        ),
        (
            b'{"status": "success", "result": {"pin": "864209", "pin": "975310"}}',
            "The body is not usable JSON: pin occurs twice in one object.",
        ),
        (b'{"864209": 1, "864209": 2}', "The body is not usable JSON: a key occurs twice in one object."),
        (b"[" * 100_000, "The body is not usable JSON: it is nested too deeply."),
        (b"9" * 5000, "The body is not usable JSON: a number in it has too many digits."),
    ],
    ids=range(15),
)
def test_env_4_body_is_not_json(body: bytes, reason: str) -> None:
    """A body that is not JSON, or not the same JSON to everybody, is a failure with the parser's reason."""
    verdict = judge(SERVICE, "", HttpAnswer(200, "application/json", body))
    assert rules(verdict) == ["ENV-4"]
    assert reasons(verdict)[0].startswith(reason)
    assert not verdict.well_formed


@pytest.mark.parametrize(
    ("content_type", "used"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("Application/JSON;charset=UTF-8", True),
        ("text/html", False),
        ("text/json", False),
        ("", False),
    ],
)
def test_env_4_content_type(content_type: str, used: bool) -> None:
    """JSON answers carry the media type application/json, with any parameters."""
    verdict = judge(SERVICE, "", http(success(ROOM), content_type=content_type))
    assert verdict.used is used
    assert rules(verdict) == ([] if used else ["ENV-4"])


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/policy/v1/service/configuration", "service"),
        ("//policy/v1/service/configuration", "service"),
        ("/pexip/a%2Fb/policy/v1/service/configuration", "service"),
        ("/policy/v1/policy/v1/service/configuration", "service"),
        ("/policy/v1/service/configuration/", "service"),
        ("policy/v1/service/configuration", "service"),
        ("https://policy.example.com/x/policy/v1/service/configuration", "service"),
        ("/policy/v1/participant/properties", "properties"),
        ("/x//policy/v1/participant/location", "location"),
        ("/policy/v1/registrations", "directory"),
        ("/policy/v1/registrations/jos%C3%A9%40example.com", "credentials"),
        ("/policy/v1/registrations/a%2Fb", "credentials"),
        ("/policy/v1/registrations/registrations", "credentials"),
        ("/policy/v1/service", None),
        ("/policy/v1/service/configuration2", None),
        ("/notpolicy/v1/service/configuration", None),
        ("/policy/v1/participant/avatar", None),
        ("/policy/v1/registrations/a/b", None),
        ("/policy/v1/registrations\n", None),
        ("", None),
    ],
)
def test_the_path_decides_the_request_type(path: str, kind: str | None) -> None:
    """A path with any prefix and doubled slashes is recognised by its raw end; any other path is no question."""
    results: dict[str | None, object] = {
        "service": ROOM,
        "properties": {"call_tag": "x"},
        "location": {"location": "London"},
        "directory": [],
        "credentials": {"username": "", "password": ""},
        None: {},
    }
    verdict = judged(path, success(results[kind]))
    assert verdict.outcome == (kind or "failure")
    assert (verdict.used, verdict.well_formed) == (kind is not None, kind is not None)


@pytest.mark.parametrize("path", JSON_PATHS)
@pytest.mark.parametrize("action", ["continue", "reject"])
@pytest.mark.parametrize("status", ["failure", "fail", "error"])
def test_deliberate_failure_is_well_formed(path: str, action: str, status: str) -> None:
    """A readable envelope that says failure is not used, but it holds no mistake; the node follows its action."""
    verdict = judged(path, {"status": status, "action": action})
    assert (verdict.outcome, broken(verdict)) == ("failure", [("ENV-1", "status")])
    assert (verdict.used, verdict.declined, verdict.well_formed) == (False, True, True)


def test_deliberate_failure_says_what_the_node_does() -> None:
    """The reason for a failure names the action that the node follows, where it has one."""
    assert reasons(judged(SERVICE, {"status": "failure", "action": "reject"})) == [
        "status is 'failure' and not 'success', so the answer counts as failed and the node does what action says,"
        " 'reject'."
    ]
    assert reasons(judged(SERVICE, {"status": "failure"})) == [
        "status is 'failure' and not 'success', so the answer counts as failed and the node decides as if there were"
        " no policy."
    ]


@pytest.mark.parametrize(
    ("path", "document", "expected"),
    [
        (SERVICE, {"status": "failure", "action": "stop"}, ["FIELD", "ENV-1"]),
        (SERVICE, {"status": "failure", "action": None}, ["FIELD", "ENV-1"]),
        (SERVICE, {"status": "failure", "action": "redirect"}, ["SVC-7", "ENV-1"]),
        (PARTICIPANT, {"status": "failure", "action": "redirect"}, ["FIELD", "ENV-1"]),
        (SERVICE, {"status": "failure", "action": "continue", "error": "e" * 251}, ["ENV-3", "ENV-1"]),
        (SERVICE, {"status": " SUCCESS ", "action": "continue"}, ["ENV-1"]),
        (SERVICE, {"action": "continue"}, ["ENV-1"]),
        (SERVICE, {"status": 1, "action": "continue"}, ["ENV-1"]),
        (SERVICE, [], ["ENV-1"]),
        (SERVICE, None, ["ENV-1"]),
        (SERVICE, "success", ["ENV-1"]),
        (SERVICE, {"status": "success", "result": {"name": "x"}}, ["SVC-1", "SVC-1"]),
    ],
)
def test_mistakes_are_not_well_formed(path: str, document: object, expected: list[str]) -> None:
    """An unreadable failure, or a success that is discarded, is a mistake and not a deliberate failure."""
    verdict = judged(path, document)
    assert rules(verdict) == expected
    assert not verdict.well_formed


def test_a_missing_status_does_not_hide_other_mistakes() -> None:
    """All problems are reported at once, behind a missing or misspelt status too."""
    assert rules(judged(SERVICE, {"status": "Success", "result": ROOM | {"pin": "1", "view": "x"}})) == [
        "ENV-1",
        "SVC-4",
        "PIN-6",
    ]


@pytest.mark.parametrize("document", [success(), success(action="continue"), success({}, action="continue")])
@pytest.mark.parametrize("path", [SERVICE, PARTICIPANT, REGISTRATION])
def test_continue_without_data(path: str, document: object) -> None:
    """Success without data leaves the decision to Pexip."""
    verdict = judged(path, document)
    assert (verdict.outcome, verdict.used, verdict.warnings) == ("continue", True, ())


@pytest.mark.parametrize("path", [SERVICE, PARTICIPANT, REGISTRATION])
def test_reject(path: str) -> None:
    """Where the request type has a reject, it is used."""
    for document in (success(action="reject"), success({}, action="reject")):
        verdict = judged(path, document)
        assert (verdict.outcome, verdict.used, verdict.warnings) == ("reject", True, ())


@pytest.mark.parametrize(
    ("path", "action", "used"),
    [
        (SERVICE, "redirect", False),
        (SERVICE, "Reject", False),
        (SERVICE, "", False),
        (SERVICE, None, False),
        (SERVICE, 1, False),
        (PARTICIPANT, "redirect", False),
        (PARTICIPANT, "stop", False),
        (REGISTRATION, "redirect", False),
        (REGISTRATION, ["reject"], False),
        (LOCATION, "reject", True),
        (DIRECTORY, 7, True),
    ],
)
def test_actions_per_request_type(path: str, action: object, used: bool) -> None:
    """An action that the request type does not have is refused; where there is no action at all, it is ignored."""
    result: object = [] if path == DIRECTORY else {"location": "London"} if path == LOCATION else {}
    verdict = judged(path, success(result, action=action))
    assert verdict.used is used
    assert (("FIELD", "action") in warned(verdict)) is used


@pytest.mark.parametrize("path", [SERVICE, PARTICIPANT, LOCATION, REGISTRATION])
@pytest.mark.parametrize("result", ["", "{}", 0, False, []], ids=repr)
def test_result_is_an_object(path: str, result: object) -> None:
    """Outside the directory, result is a JSON object; nothing else passes for an empty one."""
    assert broken(judged(path, {"status": "success", "result": result})) == [("FIELD", "result")]
    assert broken(judged(path, {"status": "success", "result": None})) == [("FIELD", "result")]


def test_extra_top_level_keys_are_welcome() -> None:
    """Keys next to status, action and result draw no warning, whatever they hold."""
    verdict = judged(SERVICE, success(ROOM, decision_id="d-1", rule=None, revision=7, trace={"a": [1]}))
    assert (verdict.outcome, verdict.objections, verdict.warnings) == ("service", (), ())


@pytest.mark.parametrize(
    ("protocol", "warns"), [("sip", False), ("", False), ("api", True), ("webrtc", True), ("h323", True)]
)
def test_redirect_is_for_sip(protocol: str, warns: bool) -> None:
    """A redirect is used, with a warning when the caller does not come by SIP."""
    verdict = judged(SERVICE, success({"new_alias": "sip:b@example.com"}, action="redirect"), f"protocol={protocol}")
    assert (verdict.outcome, verdict.used) == ("redirect", True)
    assert warned(verdict) == ([("SVC-7", "action")] if warns else [])

"""Every decision has its envelope, key by key."""

import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.policy.answers import Answer, failure_answer, render_answer
from policy_server.policy.decisions import (
    AllowRegistration,
    Continue,
    Decision,
    Fail,
    ListEntries,
    PlaceMedia,
    Redirect,
    Reject,
    Serve,
    SetProperties,
    ShowPicture,
    Trace,
    no_rows,
)

TRACE = Trace(no_rows)
SERVICE, PARTICIPANT, LOCATION = RequestType.SERVICE, RequestType.PARTICIPANT, RequestType.LOCATION
REGISTRATION, DIRECTORY, AVATAR = RequestType.REGISTRATION, RequestType.DIRECTORY, RequestType.AVATAR
ROOM: dict[str, object] = {"service_type": "conference", "name": "Room", "service_tag": "t"}
ENTRY = {"alias": "desk", "description": "Desk", "username": ""}


@pytest.mark.parametrize(
    ("kind", "decision", "answer"),
    [
        (
            SERVICE,
            Serve("r", "", TRACE, ROOM, "call", ({"remote_alias": "later"},)),
            {"status": "success", "action": "continue", "result": ROOM},
        ),
        (
            SERVICE,
            Redirect("r", "", TRACE, "sip:other@example.com"),
            {"status": "success", "action": "redirect", "result": {"new_alias": "sip:other@example.com"}},
        ),
        (
            SERVICE,
            Reject("r", "", TRACE, "We are closed"),
            {"status": "success", "action": "reject", "result": {}, "reason": "We are closed"},
        ),
        (SERVICE, Continue("r", "", TRACE), {"status": "success", "action": "continue"}),
        (SERVICE, Continue(None, "", TRACE), {"status": "success", "action": "continue"}),
        (SERVICE, Fail("r", "secret", TRACE), {"status": "failure", "action": "reject"}),
        (
            PARTICIPANT,
            SetProperties("r", "", TRACE, {"preauthenticated_role": None}),
            {"status": "success", "action": "continue", "result": {"preauthenticated_role": None}},
        ),
        (
            PARTICIPANT,
            Reject("r", "", TRACE, "No"),
            {"status": "success", "action": "reject", "result": {"reject_reason": "No"}},
        ),
        (PARTICIPANT, Continue("r", "", TRACE), {"status": "success", "action": "continue", "result": {}}),
        (PARTICIPANT, Fail("r", "secret", TRACE), {"status": "failure", "action": "reject"}),
        (
            LOCATION,
            PlaceMedia("r", "", TRACE, "London", ("Oslo", "DMZ")),
            {"status": "success", "result": {"location": "London", "overflow_locations": ["Oslo", "DMZ"]}},
        ),
        (
            LOCATION,
            PlaceMedia("r", "", TRACE, "London", ()),
            {"status": "success", "result": {"location": "London"}},
        ),
        (LOCATION, Continue(None, "", TRACE), {"status": "success", "action": "continue"}),
        (
            REGISTRATION,
            AllowRegistration("r", "", TRACE, "kiosk", "sesame"),
            {"status": "success", "action": "continue", "result": {"username": "kiosk", "password": "sesame"}},
        ),
        (
            REGISTRATION,
            AllowRegistration("r", "", TRACE, "", ""),
            {"status": "success", "action": "continue", "result": {"username": "", "password": ""}},
        ),
        (REGISTRATION, Reject("r", "", TRACE, ""), {"status": "success", "action": "reject", "result": {}}),
        (REGISTRATION, Continue("r", "", TRACE), {"status": "success", "action": "continue", "result": {}}),
        (
            DIRECTORY,
            ListEntries("directory", "", TRACE, (ENTRY,), ignore_local=True),
            {"status": "success", "result": [ENTRY], "ignore_local": True},
        ),
        (
            DIRECTORY,
            ListEntries("directory", "", TRACE, (), ignore_local=False),
            {"status": "success", "result": [], "ignore_local": False},
        ),
        (
            AVATAR,
            ShowPicture("directory", "", TRACE, "desk.jpg", 40, 30),
            {"status": "success", "picture": "desk.jpg"},
        ),
        (AVATAR, Continue(None, "", TRACE), {"status": "success", "action": "continue"}),
    ],
    ids=lambda value: value.value if isinstance(value, RequestType) else type(value).__name__,
)
def test_envelopes(kind: RequestType, decision: Decision, answer: Answer) -> None:
    """The answer is the envelope of Pexip's documentation, whole, and extra keys come after it."""
    assert render_answer(kind, decision, "reject") == answer
    extra = {"rule": decision.rule, "revision": "abc", "decision_id": "1"}
    rendered = render_answer(kind, decision, "reject", extra)
    assert rendered == answer | extra
    assert list(rendered)[-3:] == ["rule", "revision", "decision_id"]


@pytest.mark.parametrize("action", ["continue", "reject"])
def test_failure(action: str) -> None:
    """A failure says what the node shall do instead, and nothing of what went wrong."""
    assert failure_answer(action) == {"status": "failure", "action": action}
    assert failure_answer(action, {"revision": "abc"}) == {"status": "failure", "action": action, "revision": "abc"}

"""Questions, answers and shorthands that the judge's tests share."""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from PIL import Image

from policy_server.simulator.judge import Deployment, HttpAnswer, Verdict, judge

SERVICE = "/policy/v1/service/configuration"
PARTICIPANT = "/policy/v1/participant/properties"
LOCATION = "/policy/v1/participant/location"
AVATAR = "/policy/v1/participant/avatar/alice%40example.com"
DIRECTORY = "/policy/v1/registrations"
REGISTRATION = "/policy/v1/registrations/room3%40example.com"
JSON_PATHS = (SERVICE, PARTICIPANT, LOCATION, DIRECTORY, REGISTRATION)

ROOM: dict[str, Any] = {"service_type": "conference", "name": "Room", "service_tag": "tag"}
LECTURE: dict[str, Any] = ROOM | {"service_type": "lecture"}
GATEWAY: dict[str, Any] = ROOM | {
    "service_type": "gateway",
    "local_alias": "room@example.com",
    "remote_alias": "+13175551234",
    "outgoing_protocol": "sip",
}
RECEPTION: dict[str, Any] = ROOM | {"service_type": "two_stage_dialing"}
PLAYBACK: dict[str, Any] = ROOM | {"service_type": "media_playback", "media_playlist_name": "Holding"}
TEST_CALL: dict[str, Any] = ROOM | {"service_type": "test_call"}
MINIMAL = {result["service_type"]: result for result in (ROOM, LECTURE, GATEWAY, RECEPTION, PLAYBACK, TEST_CALL)}
LEG: dict[str, Any] = {
    "local_alias": "room@example.com",
    "remote_alias": "99+13175551234",
    "protocol": "sip",
    "role": "chair",
}
BREAKOUT_UUID = "5b0c7d1e-2f3a-4b4c-8d5e-6f7a8b9c0d1e"


def success(result: object = None, **keys: object) -> dict[str, object]:
    """A successful envelope; without a result when it is None."""
    envelope: dict[str, object] = {"status": "success"}
    if result is not None:
        envelope["result"] = result
    return envelope | keys


def http(document: object, **changes: Any) -> HttpAnswer:
    """An HTTP 200 answer with a JSON document as its body."""
    parts: dict[str, Any] = {
        "status": 200,
        "content_type": "application/json",
        "body": json.dumps(document).encode(),
    }
    return HttpAnswer(**parts | changes)


def judged(path: str, document: object, query: str = "", **keywords: Any) -> Verdict:
    """The verdict about an HTTP 200 answer with a JSON document."""
    return judge(path, query, http(document), **keywords)


def judged_service(result: Mapping[str, object], query: str = "", **keywords: Any) -> Verdict:
    """The verdict about a service configuration answer with this result."""
    return judged(SERVICE, success(result, action="continue"), query, **keywords)


def rules(verdict: Verdict) -> list[str]:
    """The rules that the answer broke."""
    return [objection.rule for objection in verdict.objections]


def warned(verdict: Verdict) -> list[tuple[str, str]]:
    """Rule and field of each warning."""
    return [(warning.rule, warning.field) for warning in verdict.warnings]


def broken(verdict: Verdict) -> list[tuple[str, str]]:
    """Rule and field of each objection."""
    return [(objection.rule, objection.field) for objection in verdict.objections]


def reasons(verdict: Verdict) -> list[str]:
    """The sentences of all objections."""
    return [objection.reason for objection in verdict.objections]


def jpeg(size: tuple[int, int] = (100, 100), mode: str = "RGB", form: str = "JPEG") -> bytes:
    """A picture of one colour."""
    buffer = BytesIO()
    Image.new(mode, size).save(buffer, form)
    return buffer.getvalue()


def picture(body: bytes, **changes: Any) -> HttpAnswer:
    """An HTTP 200 answer with a JPEG body."""
    parts: dict[str, Any] = {"status": 200, "content_type": "image/jpeg", "body": body}
    return HttpAnswer(**parts | changes)


def names(**sets: Sequence[str]) -> Deployment:
    """A deployment in which exactly these names exist."""
    return Deployment(**{kind: frozenset(members) for kind, members in sets.items()})

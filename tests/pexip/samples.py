"""Small services to start from, and short forms of what is asked of them."""

from collections.abc import Mapping
from typing import Any

from policy_server.pexip.fields import Fault
from policy_server.pexip.services import check_service

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ADP = {
    "local_alias": "room@example.com",
    "protocol": "sip",
    "remote_alias": "99+13175551234",
    "role": "chair",
}
MINIMAL: dict[str, dict[str, Any]] = {
    "conference": {},
    "lecture": {},
    "gateway": {"local_alias": "a@example.com", "outgoing_protocol": "sip", "remote_alias": "b@example.com"},
    "two_stage_dialing": {},
    "media_playback": {"media_playlist_name": "Holding"},
    "test_call": {},
}
ANY = tuple(MINIMAL)
ROOMS = ("conference", "lecture")
GUARDED = (*ROOMS, "media_playback")


def service(service_type: str, **fields: object) -> dict[str, Any]:
    """The smallest service of a type, with some fields more."""
    smallest = {"service_type": service_type, "name": "Room", "service_tag": "tag", **MINIMAL[service_type]}
    return {**smallest, **fields}


def room(**fields: object) -> dict[str, Any]:
    """The smallest conference, with some fields more."""
    return {**service("conference"), **fields}


def messages(fields: Mapping[str, object]) -> list[str]:
    """What check_service says, message by message."""
    return [fault.message for fault in check_service(fields)]


def only_fault(fields: Mapping[str, object]) -> Fault:
    """The one fault of the fields."""
    (fault,) = check_service(fields)
    return fault

"""How the Management Node tells of meetings: conferences and participants, in the fields of the reference.

(management/README.md: Status)
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import NAMESPACE_URL, uuid5

from policy_server.lab.node.meeting import Meeting
from policy_server.lab.node.people import Participant, Presence
from policy_server.lab.node.views import service_type_of
from policy_server.simulator.node import LOCATION

Entry: TypeAlias = dict[str, object]

_PROTOCOLS = {"api": "API", "webrtc": "WebRTC", "sip": "SIP"}
_KBITS = {"webrtc": 1264, "sip": 64}


def conference_id(meeting: Meeting) -> str:
    """What commands call a conference: another id each time that one of its name runs."""
    return str(uuid5(NAMESPACE_URL, f"{meeting.name} {meeting.status.started_at!r}"))


def conference_entries(meetings: Mapping[str, Meeting]) -> list[Entry]:
    """The conferences that run."""
    return [
        {
            "id": conference_id(meeting),
            "name": meeting.name,
            "service_type": meeting.service_type,
            "tag": str(meeting.service.get("service_tag") or ""),
            "start_time": _time(meeting.status.started_at),
            "is_started": meeting.status.is_started,
            "is_locked": False,
            "guests_muted": meeting.status.guests_muted,
            "direct_media_available": False,
            "resource_uri": f"/api/admin/status/v1/conference/{conference_id(meeting)}/",
        }
        for meeting in meetings.values()
    ]


def participant_entries(meetings: Mapping[str, Meeting], node: str) -> list[Entry]:
    """Everybody who is in one of them; a browser is two, as in the events."""
    return [_participant(meeting, each, node) for meeting in meetings.values() for each in meeting.participants]


def _participant(meeting: Meeting, participant: Participant, node: str) -> Entry:
    ours, theirs = participant.local_alias, participant.remote_alias
    kbits = _KBITS.get(participant.protocol, 0) if participant.has_media else 0
    return {
        "id": participant.uuid,
        "conference": meeting.name,
        "display_name": participant.display_name,
        "call_direction": "out" if participant.is_outgoing else "in",
        "source_alias": ours if participant.is_outgoing else theirs,
        "destination_alias": theirs if participant.is_outgoing else ours,
        "participant_alias": theirs,
        "protocol": _PROTOCOLS.get(participant.protocol, participant.protocol.upper()),
        "role": "unknown" if participant.presence is Presence.WAITING else str(participant.role),
        "service_tag": str(meeting.service.get("service_tag") or ""),
        "service_type": service_type_of(participant, meeting.service_type),
        "call_tag": participant.call_tag,
        "call_uuid": participant.call_id,
        "conversation_id": participant.conversation_id,
        "connect_time": None if participant.connected_at is None else _time(participant.connected_at),
        "has_media": participant.has_media,
        "is_muted": participant.is_muted,
        "is_client_muted": participant.is_client_muted,
        "is_presenting": False,
        "is_streaming": False,
        "is_recording": False,
        "is_transcribing": False,
        "is_on_hold": False,
        "is_direct": False,
        "is_idp_authenticated": False,
        "idp_uuid": "",
        "is_disconnect_supported": True,
        "is_mute_supported": True,
        "is_transfer_supported": True,
        "is_presentation_supported": False,
        "call_quality": "0_unknown",
        "encryption": "On",
        "bandwidth": kbits,
        "rx_bandwidth": kbits,
        "tx_bandwidth": kbits,
        "license_count": 1,
        "license_type": "port",
        "media_node": node,
        "signalling_node": node,
        "proxy_node": "",
        "remote_address": participant.remote_address,
        "remote_port": 0,
        "system_location": LOCATION,
        "transcoding_enabled": True,
        "vendor": participant.vendor,
        "resource_uri": f"/api/admin/status/v1/participant/{participant.uuid}/",
    }


def _time(seconds: float) -> str:
    """As the node writes times: UTC, without a zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()

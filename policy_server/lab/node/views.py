"""What the client API tells of participants and conferences (lab/README.md: Conference functions, Event stream)."""

from dataclasses import dataclass
from typing import Self, TypeAlias

from policy_server.lab.node.happenings import RoomStatus
from policy_server.lab.node.meeting import Meeting
from policy_server.lab.node.people import Participant, Presence, Role

Entry: TypeAlias = dict[str, object]
"""A participant as the client API tells of it (lab/README.md: Conference functions)."""


@dataclass(frozen=True, slots=True)
class View:
    """How participants of a service are told to one of them: Guests do not learn who the others are."""

    service_type: str
    role: Role

    @classmethod
    def of(cls, meeting: Meeting, role: Role) -> Self:
        """What somebody with a role is told of a meeting."""
        return cls(meeting.service_type, role)

    def entry(self, participant: Participant) -> Entry:
        """The complete participant object of the client API: Participant of @pexip/infinity-api 20.0.0."""
        is_host = self.role is Role.CHAIR
        has_media = participant.has_media or participant.has_call
        is_phone = participant.protocol == "sip"
        return {
            "uuid": participant.uuid,
            "api_url": f"/participants/{participant.uuid}",
            "display_name": participant.display_name,
            "overlay_text": participant.display_name,
            "role": str(participant.role),
            "protocol": participant.protocol if is_host else "",
            "call_direction": "out" if participant.is_outgoing else "in",
            "call_tag": participant.call_tag,
            "service_type": service_type_of(participant, self.service_type),
            "start_time": int(participant.came_at),
            "has_media": has_media,
            "encryption": "On",
            "local_alias": participant.local_alias,
            "uri": participant.remote_alias if is_host else "",
            "vendor": participant.vendor if is_host else "",
            "external_node_uuid": "",
            "is_external": False,
            "is_idp_authenticated": False,
            "is_conjoined": False,
            "is_muted": _yes(participant.is_muted),
            "is_client_muted": participant.is_client_muted,
            "is_video_muted": participant.is_video_muted,
            "is_video_silent": False,
            "is_presenting": _yes(False),
            "is_streaming_conference": False,
            "is_transferring": False,
            "is_audio_only_call": _yes(has_media and is_phone),
            "is_video_call": _yes(has_media and not is_phone),
            "buzz_time": 0,
            "spotlight": 0,
            "disconnect_supported": _yes(True),
            "mute_supported": _yes(True),
            "transfer_supported": _yes(False),
            "fecc_supported": _yes(False),
            "presentation_supported": _yes(False),
            "rx_presentation_policy": "ALLOW",
            "supports_direct_chat": False,
            "can_receive_personal_mix": False,
            "receive_from_video_mix": {"mix_name": "main", "timestamp": int(participant.came_at)},
        }


def service_type_of(participant: Participant, service_type: str) -> str:
    """Where somebody is: in the service, or still on the way."""
    return service_type if participant.presence is Presence.IN else str(participant.presence)


def status_entry(status: RoomStatus) -> Entry:
    """The conference status object of the client API."""
    return {
        "locked": False,
        "guests_muted": status.guests_muted,
        "all_muted": False,
        "started": status.is_started,
        "guests_can_unmute": False,
        "guests_can_present": False,
        "presentation_allowed": False,
        "direct_media": False,
        "live_captions_available": False,
        "breakout_rooms": False,
    }


def _yes(flag: bool) -> str:
    return "YES" if flag else "NO"

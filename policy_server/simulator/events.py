"""Event-sink messages as a Conferencing Node writes them (pexip/README.md: Messages, Events), version 2."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Final
from uuid import uuid4

from policy_server.simulator.node import BROWSER, BROWSER_ADDRESS, LOCATION, NODE_ADDRESS

VERSION: Final = 2
TRUNK_ADDRESS: Final = "198.51.100.20"

Message = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant as Pexip counts them; a browser is two. ``data`` is what its messages say of it from first to last."""

    data: Mapping[str, object]
    uuid: str = field(default_factory=lambda: str(uuid4()))


def browser(name: str, alias: str, role: str) -> tuple[Participant, Participant]:
    """Somebody who dials ``alias`` in a browser: the control half and the media half."""
    control, media, conversation = (str(uuid4()) for _ in range(3))
    shared = {
        "display_name": name,
        "source_alias": name,
        "destination_alias": alias,
        "call_direction": "in",
        "role": role,
        "conversation_id": conversation,
        "remote_address": BROWSER_ADDRESS,
        "vendor": BROWSER,
    }
    silent = {"protocol": "API", "has_media": False, "related_uuids": [media], "rx_bandwidth": 0, "tx_bandwidth": 0}
    seen = {"protocol": "WebRTC", "has_media": True, "related_uuids": [control]}
    return (
        Participant({**shared, **silent, "call_id": control}, control),
        Participant({**shared, **seen, "call_id": media, "rx_bandwidth": 1264, "tx_bandwidth": 1264}, media),
    )


def room_system(question: Mapping[str, str], role: str) -> Participant:
    """A room system that asked so for its service: one participant."""
    uuid = str(uuid4())
    return Participant(
        {
            "display_name": question["remote_display_name"],
            "source_alias": question["remote_alias"],
            "destination_alias": question["local_alias"],
            "call_direction": "in",
            "protocol": question["protocol"].upper(),
            "role": role,
            "has_media": True,
            "call_id": uuid,
            "conversation_id": uuid,
            "related_uuids": [],
            "remote_address": question["remote_address"],
            "vendor": question["vendor"],
            "rx_bandwidth": 1264,
            "tx_bandwidth": 1264,
        },
        uuid,
    )


def trunk_leg(leg: Mapping[str, object]) -> Participant:
    """An automatic participant whom Pexip has dialled."""
    uuid = str(uuid4())
    name = leg.get("remote_display_name") or leg.get("remote_alias")
    return Participant(
        {
            "display_name": name,
            "source_alias": leg.get("local_alias"),
            "destination_alias": leg.get("remote_alias"),
            "call_direction": "out",
            "protocol": str(leg.get("protocol", "sip")).upper(),
            "role": leg.get("role"),
            "has_media": True,
            "call_id": uuid,
            "conversation_id": uuid,
            "related_uuids": [],
            "remote_address": TRUNK_ADDRESS,
            "vendor": "",
            "rx_bandwidth": 64,
            "tx_bandwidth": 64,
        },
        uuid,
    )


class Reporter:
    """What one node has to say of one conference, the service that it was answered.

    ``first_seq`` must not come twice within a second of ``clock``: receivers take such messages for copies.
    """

    def __init__(self, service: Mapping[str, object], clock: Callable[[], datetime], first_seq: int) -> None:
        self._name: Final = service.get("name")
        self._type: Final = service.get("service_type")
        self._tag: Final = service.get("service_tag") or ""
        self._clock: Final = clock
        self._seqs: Final = count(first_seq)
        self._started_at = 0.0
        self._connected_at: Final[dict[str, float]] = {}

    def started(self) -> Message:
        """The conference starts."""
        now = self._started_at = self._now()
        return self._message("conference_started", now, self._conference())

    def ended(self) -> Message:
        """The conference ends."""
        now = self._now()
        return self._message("conference_ended", now, {**self._conference(), "end_time": now})

    def connected(self, participant: Participant) -> Message:
        """Somebody connects."""
        now = self._connected_at[participant.uuid] = self._now()
        return self._message("participant_connected", now, self._participant(participant))

    def disconnected(self, participant: Participant, reason: str) -> Message:
        """Somebody who was connected goes. ``reason`` is one of the texts that nodes give.

        (pexip/README.md: Disconnect reasons)
        """
        now = self._now()
        told = {"disconnect_reason": reason, "end_time": now, "duration": now - self._connected_at[participant.uuid]}
        return self._message("participant_disconnected", now, {**self._participant(participant), **told})

    def _conference(self) -> dict[str, object]:
        return {
            "name": self._name,
            "service_type": self._type,
            "start_time": self._started_at,
            "tag": self._tag,
            "is_locked": False,
            "is_started": False,
            "guests_muted": False,
        }

    def _participant(self, participant: Participant) -> dict[str, object]:
        return {
            "uuid": participant.uuid,
            "conference": self._name,
            "service_type": self._type,
            "service_tag": self._tag,
            "call_tag": "",
            "connect_time": self._connected_at[participant.uuid],
            "encryption": "On",
            "is_muted": False,
            "is_client_muted": False,
            "is_presenting": False,
            "is_streaming": False,
            "is_idp_authenticated": False,
            "media_node": NODE_ADDRESS,
            "signalling_node": NODE_ADDRESS,
            "proxy_node": "",
            "system_location": LOCATION,
            **participant.data,
        }

    def _message(self, event: str, at: float, data: Message) -> Message:
        return {
            "node": NODE_ADDRESS,
            "seq": next(self._seqs),
            "version": VERSION,
            "time": at,
            "event": event,
            "data": data,
        }

    def _now(self) -> float:
        return self._clock().timestamp()


def bulk(messages: Sequence[Message]) -> Message:
    """Several messages in one, whose own node and seq carry no information."""
    return {
        "event": "eventsink_bulk",
        "node": "127.0.0.1",
        "seq": 0,
        "version": VERSION,
        "time": messages[-1]["time"],
        "data": list(messages),
    }

"""The event sink of a simulated node: what it reports, in order, until each message is taken.

(pexip/README.md: How events arrive)
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import httpx
import orjson

from policy_server.lab.node.happenings import Came, Changed, Closed, Happening, Opened, RoomChanged, RoomStatus, Went
from policy_server.lab.node.meeting import Meeting
from policy_server.lab.node.people import Participant, Presence
from policy_server.lab.node.views import service_type_of
from policy_server.simulator.events import VERSION, Message, bulk
from policy_server.simulator.exchange import TIMEOUT, basic
from policy_server.simulator.node import LOCATION

RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0)
"""Between two attempts; the last of them again and again. Our choice: the reference has no numbers."""
FAREWELL_SECONDS: Final = 5.0
"""How long a node that stops tries to get rid of what it still has to say."""

_PROTOCOLS: Final = {"api": "API", "webrtc": "WebRTC", "sip": "SIP"}
_KBITS: Final = {"webrtc": 1264, "sip": 64}


@dataclass(frozen=True, slots=True)
class SinkAddress:
    """Where messages go, and with which HTTP Basic credentials."""

    url: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


class EventSink:
    """Sends messages one after the other while it is entered; with ``in_bulk`` what has gathered meanwhile in one."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        address: SinkAddress,
        node: str,
        clock: Callable[[], float],
        *,
        in_bulk: bool = False,
    ) -> None:
        self._client: Final = client
        self._address: Final = address
        self._node: Final = node
        self._clock: Final = clock
        self._in_bulk: Final = in_bulk
        self._seqs: Final = count(1)
        self._waiting: Final[asyncio.Queue[Message]] = asyncio.Queue()
        self._told: Final[dict[str, Message]] = {}
        self._sender: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to send, on the running loop."""
        self._sender = asyncio.create_task(self._send_all())
        self._report("eventsink_started", {})

    async def stop(self) -> None:
        """Sends what is left, for a while."""
        if self._sender is None:
            return
        self._report("eventsink_stopped", {})
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._waiting.join()
        except TimeoutError:
            pass
        finally:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    def tell(self, meeting: Meeting, happening: Happening) -> None:
        """Reports what happened in a meeting."""
        match happening:
            case Opened(status):
                self._report("conference_started", _conference(meeting, status))
            case RoomChanged(status):
                self._report("conference_updated", _conference(meeting, status))
            case Closed(status):
                self._report("conference_ended", {**_conference(meeting, status), "end_time": self._clock()})
            case Came(participant):
                self._report_participant("participant_connected", self._participant(meeting, participant))
            case Changed(participant):
                data = self._participant(meeting, participant)
                # What only the client API tells, such as a control half's call, is no news here.
                if data != self._told.get(participant.uuid):
                    self._report_participant("participant_updated", data)
            case Went(participant, reason):
                self._told.pop(participant.uuid, None)
                now = self._clock()
                lasted = now - (participant.connected_at or now)
                told = {"disconnect_reason": reason, "end_time": now, "duration": lasted}
                self._report("participant_disconnected", {**self._participant(meeting, participant), **told})

    def _report_participant(self, event: str, data: Message) -> None:
        self._told[str(data["uuid"])] = data
        self._report(event, data)

    def _report(self, event: str, data: Message) -> None:
        message = {
            "node": self._node,
            "seq": next(self._seqs),
            "version": VERSION,
            "time": self._clock(),
            "event": event,
            "data": data,
        }
        self._waiting.put_nowait(message)

    async def _send_all(self) -> None:
        while True:
            messages = [await self._waiting.get()]
            while self._in_bulk and not self._waiting.empty():
                messages.append(self._waiting.get_nowait())
            await self._send(bulk(messages) if self._in_bulk else messages[0])
            for _ in messages:
                self._waiting.task_done()

    async def _send(self, message: Message) -> None:
        body = orjson.dumps(message)
        for attempt in count():
            if await self._is_taken(body):
                return
            await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])

    async def _is_taken(self, body: bytes) -> bool:
        address = self._address
        headers = {"content-type": "application/json"}
        if address.username:
            headers["authorization"] = basic(address.username, address.password)
        try:
            answer = await self._client.post(address.url, content=body, headers=headers, timeout=TIMEOUT)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _participant(self, meeting: Meeting, participant: Participant) -> Message:
        kbits = _KBITS.get(participant.protocol, 0) if participant.has_media else 0
        return {
            "uuid": participant.uuid,
            "conference": meeting.name,
            "display_name": participant.display_name,
            "source_alias": participant.local_alias if participant.is_outgoing else participant.remote_alias,
            "destination_alias": participant.remote_alias if participant.is_outgoing else participant.local_alias,
            "call_direction": "out" if participant.is_outgoing else "in",
            "protocol": _PROTOCOLS.get(participant.protocol, participant.protocol.upper()),
            "role": "unknown" if participant.presence is Presence.WAITING else str(participant.role),
            "service_type": service_type_of(participant, meeting.service_type),
            "service_tag": str(meeting.service.get("service_tag") or ""),
            "call_tag": participant.call_tag,
            "call_id": participant.call_id,
            "conversation_id": participant.conversation_id,
            "related_uuids": [] if participant.is_outgoing else list(self._siblings(participant)),
            "connect_time": participant.connected_at,
            "encryption": "On",
            "has_media": participant.has_media,
            "is_muted": participant.is_muted,
            "is_client_muted": participant.is_client_muted,
            "is_presenting": False,
            "is_streaming": False,
            "is_idp_authenticated": False,
            "media_node": self._node,
            "signalling_node": self._node,
            "proxy_node": "",
            "system_location": LOCATION,
            "remote_address": participant.remote_address,
            "rx_bandwidth": kbits,
            "tx_bandwidth": kbits,
            "vendor": participant.vendor,
        }

    def _siblings(self, participant: Participant) -> tuple[str, ...]:
        """The other half; a control half that lost its call still names it."""
        if participant.related:
            return participant.related
        told = self._told.get(participant.uuid, {}).get("related_uuids")
        return tuple(told) if isinstance(told, list) else ()


def _conference(meeting: Meeting, status: RoomStatus) -> dict[str, object]:
    return {
        "name": meeting.name,
        "service_type": meeting.service_type,
        "start_time": status.started_at,
        "tag": str(meeting.service.get("service_tag") or ""),
        "is_locked": False,
        "is_started": status.is_started,
        "guests_muted": status.guests_muted,
    }

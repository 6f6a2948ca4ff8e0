"""What the node asks the policy server about those who call and are called (pexip/README.md: Order during a call)."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from policy_server.lab.node.errors import RefusedError
from policy_server.lab.node.people import Role
from policy_server.pexip.request_types import RequestType
from policy_server.simulator.node import ConferencingNode, Judged, dial_out_question, web_question

NOT_FOUND: Final = "Neither conference nor gateway found"
CALL_REJECTED: Final = "Call rejected"

_OF_SERVICE: Final = ("service_name", "service_tag")

MOST_EXCHANGES: Final = 1000
"""How many questions are kept."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for a token, and from where."""

    display_name: str
    call_tag: str = ""
    vendor: str = ""
    address: str = "127.0.0.1"
    port: int = 0


class Questions:
    """Asks, and keeps each question with its answer and its verdict, the newest ``MOST_EXCHANGES``.

    ``node`` is the address that the node calls itself by. The methods get the parameters that all questions about
    somebody share: what ``about_caller`` or ``about_leg`` tells, and later the service's.
    """

    def __init__(self, asker: ConferencingNode, node: str) -> None:
        self.kept: Final[deque[Judged]] = deque(maxlen=MOST_EXCHANGES)
        self._asker: Final = asker
        self._node: Final = node

    def about_caller(self, alias: str, caller: Caller) -> dict[str, str]:
        """What is told of somebody who dials an alias in a browser."""
        return web_question(
            alias,
            caller.display_name,
            vendor=caller.vendor,
            call_tag=caller.call_tag,
            remote_address=caller.address,
            remote_port=str(caller.port),
            node_ip=self._node,
        )

    def about_leg(self, leg: Mapping[str, object], service: Mapping[str, object]) -> dict[str, str]:
        """What is told of an automatic participant of a service."""
        return {**dial_out_question(leg, service), "node_ip": self._node}

    def about_call(self, leg: Mapping[str, object]) -> dict[str, str]:
        """What is told of somebody whom an alias shall call that no room runs by."""
        return {key: value for key, value in self.about_leg(leg, {}).items() if not key.endswith(_OF_SERVICE)}

    async def service(self, asked: Mapping[str, str], running: Mapping[str, object] | None = None) -> Judged:
        """Which service is that alias? ``running`` is the one that it should be."""
        return await self._ask(RequestType.SERVICE, asked, running)

    async def properties(
        self, asked: Mapping[str, str], participant_type: str, uuid: str, role: Role
    ) -> Mapping[str, object]:
        """What the policy changes about a participant, ``{}`` for nothing. Raises RefusedError with its reason."""
        is_media_half = participant_type == "standard" and asked["protocol"] == "api"
        question = {
            **asked,
            "protocol": "webrtc" if is_media_half else asked["protocol"],
            "participant_type": participant_type,
            "participant_uuid": uuid,
            "call_uuid": uuid,
            "preauthenticated_role": str(role),
            "bypass_lock": "False",
            "receive_from_audio_mix": "main",
            "display_count": "",
            "breakout_uuid": "",
            "send_to_audio_mixes_mix_name": "main",
            "send_to_audio_mixes_prominent": "False",
        }
        answer = await self._ask(RequestType.PARTICIPANT, question)
        if answer.verdict.outcome == "reject":
            raise RefusedError(str(answer.result.get("reject_reason") or CALL_REJECTED))
        return answer.result if answer.verdict.outcome == "properties" else {}

    async def location(self, asked: Mapping[str, str]) -> None:
        """Where shall the media go? Here they go nowhere else, whatever the answer."""
        further = {"proxy_node_address": "", "proxy_node_location": "", "request_id": uuid4().hex[:8]}
        await self._ask(RequestType.LOCATION, {**asked, **further})

    async def _ask(
        self, request_type: RequestType, fields: Mapping[str, str], running: Mapping[str, object] | None = None
    ) -> Judged:
        exchange = await self._asker.ask(request_type, fields, running=running)
        self.kept.append(exchange)
        return exchange

"""A Conferencing Node that only asks: policy questions over HTTP, each answer judged as Pexip would."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from policy_server.pexip.request_types import RequestType, question_path
from policy_server.pexip.requests import encode_query
from policy_server.simulator.exchange import Caller, Exchange, basic
from policy_server.simulator.judge import Verdict, judge

NODE_ADDRESS: Final = "10.144.101.21"
LOCATION: Final = "DMZ"
BROWSER: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36"
BROWSER_ADDRESS: Final = "203.0.113.45"
ROOM_SYSTEM: Final = "Cisco/CE 11.9.2"

Fields = Mapping[str, str | Iterable[str]]


@dataclass(frozen=True, slots=True)
class Judged(Exchange):
    """One question, its answer, and what a node would make of it."""

    verdict: Verdict

    @property
    def result(self) -> Mapping[str, object]:
        """``result`` of a JSON answer, ``{}`` where there is none."""
        result = self.fields.get("result")
        return result if isinstance(result, dict) else {}

    @property
    def forwarded_to(self) -> str:
        """The upstream that a rule of the server forwards the question to; ``""`` when none does."""
        name = self.fields.get("upstream")
        return name if isinstance(name, str) else ""


class ConferencingNode:
    """Asks one policy server, as a node with its policy profile does."""

    def __init__(self, client: httpx.AsyncClient, profile_url: str, username: str, password: str) -> None:
        self._caller: Final = Caller(client, profile_url, basic(username, password))

    async def ask(
        self,
        request_type: RequestType,
        fields: Fields,
        *,
        alias: str = "",
        running: Mapping[str, object] | None = None,
    ) -> Judged:
        """Sends a question. ``running`` is the service that runs already, which it is about."""
        path, query = question_path(request_type, alias), encode_query(fields)
        sent = await self._caller.send("GET", path, query)
        verdict = judge(path, query, sent.answer, running=running)
        return Judged(sent.method, path, query, sent.answer, sent.headers, sent.unreachable, verdict)


def web_question(local_alias: str, display_name: str, **further: str) -> dict[str, str]:
    """The parameters that a browser's questions share, in the words of a v39 node.

    (pexip/README.md: Example questions)
    """
    return {
        "call_direction": "dial_in",
        "protocol": "api",
        "bandwidth": "0",
        "vendor": BROWSER,
        "encryption": "On",
        "registered": "False",
        "trigger": "web",
        "remote_display_name": display_name,
        "remote_alias": display_name,
        "remote_address": BROWSER_ADDRESS,
        "remote_port": "52344",
        "call_tag": "",
        "idp_uuid": "",
        "has_authenticated_display_name": "False",
        "supports_direct_media": "True",
        "teams_tenant_id": "",
        "location": LOCATION,
        "node_ip": NODE_ADDRESS,
        "version_id": "39",
        "pseudo_version_id": "83120.0.0",
        "local_alias": local_alias,
        **further,
    }


def room_system_question(protocol: str, local_alias: str, display_name: str, **further: str) -> dict[str, str]:
    """The parameters that a room system's questions share, before and after it has been asked for a PIN.

    (pexip/README.md: Example questions)
    """
    own = {
        "protocol": protocol,
        "vendor": ROOM_SYSTEM,
        "trigger": "invite" if protocol == "sip" else "setup",
        "remote_alias": f"{protocol}:room-system@example.com",
        "supports_direct_media": "False",
    }
    return web_question(local_alias, display_name, **{**own, **further})


def dial_out_question(leg: Mapping[str, object], service: Mapping[str, object]) -> dict[str, str]:
    """The question before an automatic participant is dialled (pexip/README.md: Calls that Pexip places)."""
    return {
        **web_question(str(leg.get("local_alias", "")), str(leg.get("remote_display_name", ""))),
        "call_direction": "dial_out",
        "protocol": str(leg.get("protocol", "sip")),
        "vendor": "",
        "encryption": "Unknown",
        "trigger": "unspecified",
        "supports_direct_media": "False",
        "remote_alias": str(leg.get("remote_alias", "")),
        "remote_address": "",
        "remote_port": "",
        **service_fields(service),
    }


def service_fields(service: Mapping[str, object]) -> dict[str, str]:
    """How later questions name a service."""
    name = str(service.get("name", ""))
    return {"unique_service_name": name, "service_name": name, "service_tag": str(service.get("service_tag", ""))}

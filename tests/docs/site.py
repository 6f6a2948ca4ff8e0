"""A server on which the calls of the pages are played."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from policy_server.conferences.timeline import Kind
from policy_server.pexip.events import Event
from policy_server.simulator.genesys import StandIn, participant
from policy_server.web.leg_counts import LegCounts
from policy_server.web.metrics import Metrics
from tests.conferences import event_histories as told
from tests.genesys.asking import MARIA, TOKEN, settings
from tests.outbound.receivers import SECRET
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, RealServer
from tests.waiting import eventually
from tests.web.calls import bulk

CREDENTIALS: Final = {
    "POLICY_PEXIP_USERNAME": USERNAME,
    "POLICY_PEXIP_PASSWORD": PASSWORD,
    "POLICY_SECRET_KEY": SECRET_KEY,
}
API_KEY: Final = "the-key-of-the-booking-system"
SETTINGS: Final = {
    **CREDENTIALS,
    "POLICY_API_KEYS": f"booking:{API_KEY}",
    "POLICY_EVENTS_USERNAME": "events",
    "POLICY_EVENTS_PASSWORD": "the password of the sink",
    "POLICY_NODE": "pexip.example.com",
    **settings("http://127.0.0.1:9"),
    "POLICY_MANAGEMENT_URL": "http://127.0.0.1:9",
    "POLICY_MANAGEMENT_USERNAME": "policy",
    "POLICY_MANAGEMENT_PASSWORD": "the password of the manager",
    "POLICY_WEBHOOKS": "crm=http://127.0.0.1:9/hooks",
    "POLICY_WEBHOOK_SECRET": SECRET,
    "POLICY_WIDGET_ORIGINS": "https://widget.example.com",
}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """A server with Genesys Cloud behind it, on which calls can be played."""

    server: RealServer
    genesys: StandIn
    settings: Mapping[str, str]

    def make_link(self, **fields: object) -> Json:
        """A customer's link, as the booking system asks for it."""
        headers = {"authorization": f"Bearer {API_KEY}"}
        with self.server.client(auth=None, headers=headers) as client:
            response = client.post("/api/v1/links", json={"type": "visit", **fields})
        assert response.status_code == 201, response.text
        made = response.json()
        assert isinstance(made, dict)
        return made

    def ask_service(self, alias: str) -> Json:
        """What a node is told of an alias."""
        question = {"call_direction": "dial_in", "protocol": "api", "location": "DMZ", "local_alias": alias}
        with self.server.client() as client:
            answer = client.get("/policy/v1/service/configuration", params=question).json()
        assert isinstance(answer, dict)
        return answer

    def tell(self, *events: Event) -> None:
        """What a node reports."""
        auth = (self.settings["POLICY_EVENTS_USERNAME"], self.settings["POLICY_EVENTS_PASSWORD"])
        with self.server.client(auth=auth) as client:
            assert client.post("/events/v1/pexip", json=bulk(events)).status_code == 200

    def look_up(self, call: "Call") -> Json:
        """What the agent's widget sees."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        with self.server.client(auth=None, headers=headers) as client:
            response = client.get(f"/agent/v1/conferences/{call.id}", params={"conversation": call.conversation})
        assert response.status_code == 200, response.text
        answer = response.json()
        assert isinstance(answer, dict)
        return answer

    def play(self) -> "Call":
        """A call in which the customer talks to an agent."""
        made = self.make_link(name="Ada L", attributes={"language": "es"}, ttl="2h")
        call = Call(made["call"], str(uuid4()), made["session"])
        with self.server.client(auth=None) as client:
            assert client.get(f"/join/{made['session']}").status_code == 303
        assert self.ask_service(made["alias"])["action"] == "continue"
        now, room = time.time(), {"conference": call.id}
        came = {**room, "role": "guest", "source_alias": "Ada L", "destination_alias": made["alias"]}
        self.tell(
            told.started(now, name=call.id),
            *told.browser("Ada L", now, **came),
            told.leg(f"leg-{call.id}", now + 1, **{**room, "destination_alias": "99+13129998045"}),
        )
        people = [
            participant("customer", aniName=call.id, dnis="tel:+13129998045"),
            participant("agent", userId=MARIA.id),
        ]
        self.genesys.conversations[call.conversation] = people
        # What a node asked and what a customer opened is written beside the answers.
        wanted = {
            Kind.LINK_OPENED,
            Kind.POLICY_ANSWERED,
            Kind.LINK_CREATED,
            Kind.TRUNK_ANSWERED,
            Kind.AGENT_LOOKED_UP,
        }
        eventually(lambda: wanted <= {line["kind"] for line in self.look_up(call)["timeline"]})
        return call


@dataclass(frozen=True, slots=True)
class Call:
    """A call id, and the conversation in Genesys Cloud that it led to."""

    id: str
    conversation: str
    session: str

    @property
    def variables(self) -> dict[str, str]:
        """The variables of the examples."""
        return {
            "CALL": self.id,
            "SESSION": self.session,
            "CONVERSATION": self.conversation,
            "API_KEY": API_KEY,
            "TOKEN": TOKEN,
        }


def samples_of_work() -> str:
    """The metrics that a server has when it has forwarded a question, and when a call is over that it watched."""
    metrics = Metrics()
    metrics.forwarded("scheduler", "answered", 0.1)
    LegCounts(metrics).count("clinic", "answered", 3.0)
    return metrics.render().decode()

"""A bank's server in this process, at a time that is told, and what is around it: nodes, bookings, Genesys, Management Node."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, chdir
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any, Final
from unittest.mock import patch

import httpx

from policy_server.app import Application, create_app
from policy_server.conferences.agenda import Agenda
from policy_server.lab.serving import serving
from policy_server.outbound.exchange import Exchange
from policy_server.pexip.request_types import RequestType
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import read_settings
from policy_server.simulator.exchange import Caller, basic, bearer
from policy_server.simulator.exchange import Exchange as Answered
from policy_server.simulator.genesys import ORGANIZATION, StandIn, User
from policy_server.simulator.node import ConferencingNode, Judged
from policy_server.web.call_gauges import CallGauges
from policy_server.web.decision_log import DecisionLog
from tests.afternoon.management import Management

BANK: Final = Path(__file__).parents[2] / "examples" / "rules" / "bank"
PASSWORDS: Final = {"KIOSK_PASSWORD": "the password of kiosks", "SCHEDULER_PASSWORD": "the password of the scheduler"}
ADMIN: Final = ("admin", "the password of the admin")

COUNT_SECONDS: Final = 0.5
"""How often it counts calls."""
PATIENCE: Final = 20.0
"""Seconds that something may take."""

ROOT: Final = "https://policy.bank.example.com"
GENESYS: Final = "https://api.euc2.pure.cloud"
MANAGER: Final = "https://manager.bank.example.com"
"""Where others are supposed to be; what is sent there comes to whoever stands in for them."""
RULES: Final = "rules"

_SINK: Final = ("sink", "the password of the sink")
_PROFILE: Final = ("pexip", "the password of the profile")
_KEY: Final = "the-key-of-the-booking-system"

SETTINGS: Final = {
    "POLICY_RULES": RULES,
    "POLICY_PEXIP_USERNAME": _PROFILE[0],
    "POLICY_PEXIP_PASSWORD": _PROFILE[1],
    "POLICY_SECRET_KEY": "the secret key of the bank, which is long enough",
    "POLICY_API_KEYS": f"booking:{_KEY}",
    "POLICY_PUBLIC_URL": "https://visit.bank.example.com",
    "POLICY_DATABASE_URL": "sqlite:///var/policy.db",
    "POLICY_EVENTS_USERNAME": _SINK[0],
    "POLICY_EVENTS_PASSWORD": _SINK[1],
    "POLICY_NODE": "pexip.bank.example.com",
    "POLICY_GENESYS_API": GENESYS,
    "POLICY_GENESYS_ORGANIZATION": ORGANIZATION,
    "POLICY_MANAGEMENT_URL": MANAGER,
    "POLICY_MANAGEMENT_USERNAME": "policy",
    "POLICY_MANAGEMENT_PASSWORD": "the password of the manager",
    "POLICY_MANAGEMENT_RATE": "1000",
    "POLICY_ADMIN_USERNAME": ADMIN[0],
    "POLICY_ADMIN_PASSWORD": ADMIN[1],
}


@dataclass
class Clock:
    """The time, which only moves when it is set."""

    now: datetime

    def __call__(self) -> datetime:
        """The time."""
        return self.now


class Diary(Agenda):
    """The server's agenda, which looks when it is told to: the time may not move on meanwhile."""

    def start(self) -> None:
        """Nothing by itself."""

    async def look(self) -> None:
        """Does what is due."""
        for kind, handler in self._handlers.items():
            await self._look(kind, handler)
            while working := set(self._working[kind]):
                await asyncio.gather(*working)
                await self._look(kind, handler)


class Bank:
    """Who asks the server, and what the time is. ``judged`` has every question of nodes with its answer, and ``faults`` what was
    answered otherwise than it should be.
    """

    def __init__(self, app: Application, clock: Clock, agenda: Diary, management: Management, genesys: StandIn) -> None:
        self.app: Final = app
        self.clock: Final = clock
        self.agenda: Final = agenda
        self.management: Final = management
        self.genesys: Final = genesys
        self.judged: Final[list[Judged]] = []
        self.faults: Final[list[str]] = []
        self._clients: Final[dict[str, httpx.AsyncClient]] = {}
        self._sink: Final = Caller(self.client(), ROOT, basic(*_SINK))
        self._booking: Final = Caller(self.client(), ROOT, bearer(_KEY))
        self._customer: Final = Caller(self.client(), ROOT)

    def client(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """How somebody with that address asks."""
        if address not in self._clients:
            transport = httpx.ASGITransport(app=self.app, client=(address, 50_000))
            self._clients[address] = httpx.AsyncClient(transport=transport, base_url=ROOT)
        return self._clients[address]

    async def close(self) -> None:
        """Lets go of everybody."""
        for client in self._clients.values():
            await client.aclose()

    async def ask(self, question: RequestType, fields: Mapping[str, str], *, alias: str = "") -> Judged:
        """The node asks that the question names."""
        node = ConferencingNode(self.client(fields["node_ip"]), ROOT, *_PROFILE)
        judged = await node.ask(question, fields, alias=alias)
        self.judged.append(judged)
        self.faults.extend(f"{judged.query}: {objection.reason}" for objection in judged.verdict.objections)
        return judged

    async def tell(self, message: Mapping[str, object]) -> None:
        """A node tells something."""
        self._expect(200, await self._sink.send("POST", "/events/v1/pexip", body=message))

    async def link(self, kind: str, name: str, attributes: Mapping[str, str], **further: object) -> Mapping[str, Any]:
        """The booking system makes a link."""
        wanted = {"type": kind, "name": name, "attributes": attributes, **further}
        return self._expect(201, await self._booking.send("POST", "/api/v1/links", body=wanted))

    async def follow(self, link: Mapping[str, Any], status: int = 303) -> None:
        """A customer opens a link, and is led on to the web app, or told why not."""
        self._expect(status, await self._customer.send("GET", f"/join/{link['session']}"))

    async def look_up(self, agent: str, caller: tuple[str, str], dialled: str, path: str) -> Mapping[str, Any]:
        """An agent has taken the call of a caller with this name and address, and the widget finds the conference."""
        token = _token(agent)
        conversation = self.genesys.connect(caller[0], dialled, self.genesys.users[token], caller[1])
        widget = Caller(self.client(), ROOT, bearer(token))
        return self._expect(
            200, await widget.send("GET", f"/agent/v1/conferences/{path}", f"conversation={conversation}")
        )

    def told_to_dial(self, alias: str) -> Mapping[str, Any]:
        """Whom the Management Node was told to call last from a room that has this alias."""
        return next(each for each in reversed(self.management.dialled) if each["conference_alias"] == alias)

    async def calls(self) -> Sequence[Mapping[str, Any]]:
        """The last hundred calls, as the booking system finds them."""
        found = self._expect(200, await self._booking.send("GET", "/api/v1/conferences", "limit=100"))["conferences"]
        return found if isinstance(found, list) else []

    def _expect(self, status: int, exchange: Answered) -> Mapping[str, Any]:
        if exchange.status != status:
            said = exchange.unreachable or exchange.problem or exchange.status
            self.faults.append(f"{exchange.method} {exchange.path}: {said}")
        return exchange.fields


def _token(agent: str) -> str:
    return f"token-of-{agent.lower().replace(' ', '-')}"


@asynccontextmanager
async def running_bank(folder: Path, clock: Clock, agents: Sequence[str]) -> AsyncIterator[Bank]:
    """A bank whose server has rules and database in a folder, which is the current one meanwhile. It runs on this loop, by a
    clock that whoever plays sets.
    """
    copytree(BANK, folder / RULES)
    (folder / "var").mkdir()
    management, genesys = Management(), StandIn()
    genesys.users = {_token(name): User(name) for name in agents}
    diaries: list[Diary] = []

    def diary(*given: Any) -> Diary:
        diaries.append(Diary(*given))
        return diaries[-1]

    with genesys.serving() as genesys_url, chdir(folder):
        async with serving(management.app) as management_url:
            stand_ins = {GENESYS: genesys_url, MANAGER: management_url}

            def exchange(base: str, *given: Any, **further: Any) -> Exchange:
                return Exchange(stand_ins[base], *given, **further)

            with (
                patch("policy_server.app.Agenda", diary),
                patch("policy_server.app.CallGauges", partial(CallGauges, count_seconds=COUNT_SECONDS)),
                patch("policy_server.genesys.exchange.AnyExchange", exchange),
                patch("policy_server.management.requests.Exchange", exchange),
            ):
                settings, _ = read_settings(SETTINGS)
                rules = RuleStore(settings.rules, clock, {**SETTINGS, **PASSWORDS})
                log = DecisionLog("json", write=lambda lines: None)
                app = create_app(settings, rules, log, clock, forwards=False)
            bank = Bank(app, clock, diaries[0], management, genesys)
            try:
                async with app.running():
                    yield bank
            finally:
                await bank.close()

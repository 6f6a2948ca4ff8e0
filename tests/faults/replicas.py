"""Two replicas of the policy server in processes of their own, of which one may be killed, on PostgreSQL."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx

from policy_server.app import utc_now
from policy_server.lab.serving import serving
from policy_server.rulefiles.store import RuleStore
from tests.conferences.postgres import Postgres
from tests.faults.manager import ACCOUNT, Fate, Manager, Strike
from tests.faults.stage import API_KEY, EVENTS, PEXIP, SECRET_KEY, Lines, Stage, around, rules_with
from tests.servers import RealServer, real_server

REPLICAS: Final = 2
WHEREVER: Final = "http://policy.example.com"


class Balancer(httpx.AsyncBaseTransport):
    """What nodes have before two replicas: a request goes to the first that takes it."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls: Final = [httpx.URL(url) for url in urls]
        self._transport: Final = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Passes one request on."""
        for url in self._urls:
            request.url = request.url.copy_with(scheme=url.scheme, host=url.host, port=url.port)
            try:
                return await self._transport.handle_async_request(request)
            except httpx.TransportError:
                continue
        raise httpx.ConnectError("no replica answers")

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._transport.aclose()


@asynccontextmanager
async def replicated(
    folder: Path,
    postgres: Postgres,
    dial_out: str,
    assurance: str,
    lines: Lines,
    kill: tuple[str, Fate],
    killed_after: str,
) -> AsyncIterator[Stage]:
    """Everything with two replicas. The one that is at a step (path, and what becomes of the request) is killed with SIGKILL."""
    rules = RuleStore(rules_with(folder, dial_out, assurance), utc_now, {"POLICY_MANAGEMENT_URL": "set"})
    schema = f"faults_{uuid4().hex}"
    postgres.execute(f"CREATE SCHEMA {schema}")
    database_url = postgres.url(schema)
    async with AsyncExitStack() as stack:
        management = Manager()
        servers: list[RealServer] = []
        for replica in range(REPLICAS):
            door = await stack.enter_async_context(serving(management.door(replica)))
            servers.append(await _started(stack, folder, replica, door, database_url))

        def hit(replica: int) -> None:
            os.kill(servers[replica].process.pid, signal.SIGKILL)

        management.strikes = (Strike(*kill, hit, killed_after),)
        http = httpx.AsyncClient(transport=Balancer([server.url for server in servers]), timeout=20)
        await stack.enter_async_context(http)
        yield await stack.enter_async_context(
            around(folder, management, WHEREVER, http, database_url, rules, lines),
        )


async def _started(stack: AsyncExitStack, folder: Path, replica: int, door: str, database_url: str) -> RealServer:
    own = folder / f"replica-{replica}"
    own.mkdir()
    environment = {
        "POLICY_RULES": str(folder / "rules"),
        "POLICY_PEXIP_USERNAME": PEXIP.username,
        "POLICY_PEXIP_PASSWORD": PEXIP.password,
        "POLICY_SECRET_KEY": SECRET_KEY,
        "POLICY_API_KEYS": f"faults:{API_KEY}",
        "POLICY_DATABASE_URL": database_url,
        "POLICY_EVENTS_USERNAME": EVENTS.username,
        "POLICY_EVENTS_PASSWORD": EVENTS.password,
        "POLICY_MANAGEMENT_URL": door,
        "POLICY_MANAGEMENT_USERNAME": ACCOUNT.username,
        "POLICY_MANAGEMENT_PASSWORD": ACCOUNT.password,
    }
    server = real_server(own, environment=environment)
    found = await asyncio.to_thread(server.__enter__)
    stack.push_async_callback(asyncio.to_thread, server.__exit__, None, None, None)
    return found

"""Genesys Cloud in tests: a stand-in that knows one agent, what a server needs to ask it, and a client for it."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from policy_server.genesys.client import GenesysClient
from policy_server.genesys.results import AgentResult, ConversationResult
from policy_server.genesys.tenant import Tenant, parse_tenant
from policy_server.simulator.genesys import ORGANIZATION, Json, StandIn, User
from tests.waiting import WHOLE_PATIENCE

TOKEN: Final = "S3cr3t-t0ken_of.Maria~+/=="
OTHER_TOKEN: Final = "another-t0ken"
MARIA: Final = User("Maria Silva", id="8f3c1c52-58a5-4b7d-9a6e-0d4e2f7b9c11")
CONVERSATION: Final = "c3b1f6de-8f0b-4c5e-9a77-2f4f0c1d5e90"
SESSION: Final = "3f2a9c5e8b7d4e1fa6c0d9b8e7f61234"

T = TypeVar("T")


def tenant(url: str, divisions: Iterable[str] = ()) -> Tenant:
    """The organisation of the tests at an address."""
    parsed, faults = parse_tenant(url, ORGANIZATION, divisions)
    assert parsed is not None, faults
    return parsed


@dataclass
class Genesys:
    """The stand-in as it is served."""

    stand_in: StandIn
    url: str

    def prepare(self) -> None:
        """Leaves one agent and nothing else."""
        self.stand_in.reset()
        self.stand_in.users[TOKEN] = MARIA

    def client(self, *, divisions: Iterable[str] = (), **options: Any) -> GenesysClient:
        """A client of its own; the timeout is one that a slow machine does not reach."""
        return GenesysClient(tenant(self.url, divisions), **{"timeout": 20.0, **options})

    def agent(self, token: str = TOKEN, **options: Any) -> AgentResult:
        """One question of a fresh client."""

        async def ask() -> AgentResult:
            async with self.client(**options) as client:
                return await client.agent(token, 0.0)

        return run(ask())

    def conversation(self, *people: Json, token: str = TOKEN, identifier: str = CONVERSATION) -> ConversationResult:
        """One question of a fresh client about the conversation of these people; without any there is none."""
        if people:
            self.stand_in.conversations[CONVERSATION] = list(people)

        async def ask() -> ConversationResult:
            async with self.client() as client:
                return await client.conversation(token, identifier, 0.0)

        return run(ask())

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [seen.path for seen in self.stand_in.requests]

    async def arrived(self, count: int) -> None:
        """Waits until so many requests are there."""
        await asyncio.to_thread(self.stand_in.wait_for, count)


@contextmanager
def standing_in() -> Iterator[Genesys]:
    """A stand-in that knows the agent of the tests, served."""
    stand_in = StandIn()
    with stand_in.serving() as url:
        served = Genesys(stand_in, url)
        served.prepare()
        yield served


def settings(url: str) -> dict[str, str]:
    """The settings of a server that asks the stand-in at an address."""
    return {"POLICY_GENESYS_API": url, "POLICY_GENESYS_ORGANIZATION": ORGANIZATION}


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs something on a loop of its own, for a minute at most."""

    async def bounded() -> T:
        async with asyncio.timeout(WHOLE_PATIENCE):
            return await work

    return asyncio.run(bounded())

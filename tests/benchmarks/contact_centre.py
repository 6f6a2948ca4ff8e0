"""A version of the service with all that calls need: rules, a Genesys Cloud, an event sink's password, keys."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from policy_server.simulator.genesys import ORGANIZATION
from tests.benchmarks.callers import agents
from tests.benchmarks.genesys import GenesysCloud
from tests.benchmarks.material import API_KEY, SINK_PASSWORD, SINK_USERNAME, write_call_rules
from tests.benchmarks.servers import Server, serving
from tests.benchmarks.versions import Version

AGENTS: Final = 400
"""Each has one call at a time."""

RULES: Final = 1000


@dataclass(frozen=True, slots=True)
class ContactCentre:
    """A Genesys Cloud that is there, and how to start a server that asks it."""

    version: Version
    rules: Path
    genesys: GenesysCloud
    settings: Mapping[str, str]

    @contextmanager
    def serving(self, further: Mapping[str, str] | None = None) -> Iterator[Server]:
        """A server, on the same database each time."""
        with serving(self.rules, self.version.checkout, {**self.settings, **(further or {})}) as server:
            yield server


@asynccontextmanager
async def contact_centre(
    version: Version, folder: Path, *, rules: int = RULES, number_of_agents: int = AGENTS, database: str = ""
) -> AsyncIterator[ContactCentre]:
    """A contact centre in a folder of its own. ``database`` is a URL; without it, SQLite in that folder."""
    genesys = GenesysCloud(agents(number_of_agents))
    async with genesys.serving() as api:
        settings = {
            "POLICY_EVENTS_USERNAME": SINK_USERNAME,
            "POLICY_EVENTS_PASSWORD": SINK_PASSWORD,
            "POLICY_API_KEYS": f"bench:{API_KEY}",
            "POLICY_GENESYS_API": api,
            "POLICY_GENESYS_ORGANIZATION": ORGANIZATION,
            "POLICY_NODE": "node.example.com",
            "POLICY_PUBLIC_URL": "https://join.example.com",
            "POLICY_WIDGET_ORIGINS": "https://widget.example.com",
            "POLICY_AGENT_BINDING": "required",
            **({"POLICY_DATABASE_URL": database} if database else {}),
        }
        written = write_call_rules(folder, rules, is_first_version=version.is_first)
        yield ContactCentre(version, written, genesys, settings)

"""What the service remembers of calls: nothing that grows with each but their links, and those until they expire."""

import asyncio
import gc
import os
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from policy_server import app
from policy_server.conferences import figures, follower, lookup, mirror, running
from policy_server.genesys import client
from policy_server.genesys.tenant import Tenant
from policy_server.lab.serving import serving
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.simulator.genesys import ORGANIZATION
from policy_server.web import agents
from policy_server.web.admin import hits
from policy_server.web.api_keys import ApiKeys
from policy_server.web.decision_log import DecisionLog
from policy_server.web.recent_decisions import RecentDecisions
from tests.benchmarks.callers import Callers
from tests.benchmarks.callers import agents as some_agents
from tests.benchmarks.genesys import GenesysCloud
from tests.benchmarks.material import (
    API_KEY,
    PASSWORD,
    SECRET,
    SINK_PASSWORD,
    SINK_USERNAME,
    USERNAME,
    write_call_rules,
)
from tests.benchmarks.servers import Server
from tests.conferences.samples import Place
from tests.waiting import until

CALLS: Final = 16
"""More than what is kept of one call has parts of a kind."""

FEW: Final = 5
"""What is kept of calls at the most, where there is a limit to that."""

BEGIN: Final = datetime(2026, 7, 20, 12, tzinfo=UTC)


class Clock:
    """Goes on by hand."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@pytest.mark.slow
def test_nothing_but_links_grows_with_each_call(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where limits are small, whatever an object of the service holds is not more after twice as many calls."""
    monkeypatch.setattr(agents, "OWN_LIMIT", FEW)
    monkeypatch.setattr(figures, "MOST", FEW)
    monkeypatch.setattr(follower, "KEYS_LIMIT", FEW)
    monkeypatch.setattr(lookup, "FEW", FEW)
    monkeypatch.setattr(mirror, "_FEW", FEW)
    monkeypatch.setattr(running, "QUIET_ROWS", FEW)
    # The clock of what is known of Genesys Cloud goes on by itself.
    monkeypatch.setattr(client, "SHORT_CACHE_SECONDS", 0.001)
    monkeypatch.setattr(hits, "STRIP_MINUTES", FEW)
    monkeypatch.setattr(app, "RecentDecisions", partial(RecentDecisions, most=FEW))
    asyncio.run(_play(tmp_path, place.url))


async def _play(folder: Path, database_url: str) -> None:
    """Plays so many calls, every five minutes, and as many more, and compares what there is then."""
    genesys, clock = GenesysCloud(some_agents(2)), Clock()
    rules = RuleStore(write_call_rules(folder / "rules", 10), clock, {})
    async with genesys.serving() as api:
        settings = Settings(
            rules=folder / "rules",
            pexip=Credentials(USERNAME, PASSWORD),
            secret_key=SECRET,
            database_url=database_url,
            admin=Credentials("admin", PASSWORD),
            events=Credentials(SINK_USERNAME, SINK_PASSWORD),
            api_keys=ApiKeys({"bench": API_KEY}),
            tenant=Tenant(api, ORGANIZATION),
            node="node.example.com",
            public_url="https://join.example.com",
        )
        service = app.create_app(settings, rules, DecisionLog("json", write=len), clock=clock)
        async with serving(service) as url:
            port = urlsplit(url).port
            assert port is not None
            callers = Callers(Server(port, os.getpid(), 0.0, Path(os.devnull)), genesys, 0.0)
            before: Counter[str] = Counter()
            for number in range(2 * CALLS):
                if number == CALLS:
                    before = _held()
                await callers.call(number)
                clock.now += timedelta(minutes=5)
            callers.close()
            assert callers.seen.faults == []
            assert callers.seen.finished == 2 * CALLS
            # What is written or counted a moment later is there until then.
            with suppress(AssertionError):
                await until(lambda: _grown(before) == {"Mirror._links"})
            assert _grown(before) == {"Mirror._links"}


def _grown(before: Counter[str]) -> set[str]:
    """What has grown by something for each of so many calls."""
    return {name for name, size in (_held() - before).items() if size >= CALLS}


def _held() -> Counter[str]:
    """By class and attribute, how much is in the largest collection that an object of the service has there."""
    found: Counter[str] = Counter()
    gc.collect()
    for each in gc.get_objects():
        kind = type(each)
        if str(kind.__module__).startswith("policy_server."):
            for name, value in _attributes(each):
                if isinstance(value, dict | list | set | deque):
                    held = f"{kind.__name__}.{name}"
                    found[held] = max(found[held], len(value))
    return found


def _attributes(each: object) -> Iterator[tuple[str, object]]:
    yield from getattr(each, "__dict__", {}).items()
    for kind in type(each).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(each, name):
                yield name, getattr(each, name)

"""What is due and which customers wait is counted from the database."""

import asyncio
from datetime import timedelta
from pathlib import Path

from policy_server.conferences import assuring
from policy_server.conferences.agenda import Agenda
from policy_server.conferences.assurance_memory import Memory
from policy_server.conferences.due import DueAction
from policy_server.conferences.store import ConferenceStore
from policy_server.web.due_gauges import DueGauges
from policy_server.web.metrics import Metrics
from tests.conferences.samples import NOW, SECOND


def watched(name: str, due_in: float, **memory: object) -> DueAction:
    """A call that is watched, and what is remembered of it."""
    plain = Memory(**memory).plain() if memory else {}  # type: ignore[arg-type]
    return DueAction(
        f"assurance:{name}", assuring.KIND, name, NOW + timedelta(seconds=due_in), {"memory": plain, "plan": {}}
    )


CALLS = [
    watched("new", 8),
    watched("waits", -30, has_come=True, came_at=NOW - 40 * SECOND),
    watched("waits longer", 2, has_come=True, came_at=NOW - 90 * SECOND, is_exhausted=True),
    watched("answered", 90, has_come=True, came_at=NOW - 300 * SECOND, is_answered=True),
    watched("gone", 3, has_come=True, came_at=NOW - 400 * SECOND, left_since=NOW),
]


def test_what_is_due_and_who_waits_is_counted(tmp_path: Path) -> None:
    """Actions count by kind, the first that is overdue says how late, and customers wait who are there and unanswered."""
    metrics = Metrics()

    async def run() -> None:
        async with ConferenceStore(f"sqlite:///{tmp_path}/policy.db") as store:
            await store.prepare()
            agenda = Agenda(store, {}, "me", lambda: NOW)
            agenda.failed = 3
            gauges = DueGauges(store, agenda, (assuring.KIND, "telling"), lambda: NOW)
            gauges.watch_gauges(metrics)
            await store.record([], [], actions=CALLS)
            await gauges.count()

    asyncio.run(run())
    lines = metrics.render().decode().splitlines()
    for line in (
        'policy_actions_due{kind="assurance"} 5.0',
        'policy_actions_due{kind="telling"} 0.0',
        'policy_actions_late_seconds{kind="assurance"} 30.0',
        'policy_actions_late_seconds{kind="telling"} 0.0',
        "policy_actions_failed 3.0",
        "policy_customers_waiting 2.0",
        "policy_customers_waiting_seconds 90.0",
    ):
        assert line in lines

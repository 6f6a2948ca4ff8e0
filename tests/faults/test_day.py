"""Some minutes of the simulated day of ``make day``, and that it would tell if customers were stranded, or others not told."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from policy_server.conferences import telling
from policy_server.conferences.due import DueAction
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.webhook_messages import Event
from tests.faults import day as days
from tests.faults.day import Day, play, report
from tests.faults.processes import STEPS, Replica

pytestmark = pytest.mark.slow

CRM = telling.delivery_kind("crm")


def played(day: Day, folder: Path) -> tuple[list[str], bool]:
    """What became of it, with both replicas on one database."""
    asyncio.run(play(day, f"sqlite:///{folder}/policy.db"))
    return report(day)


def some_calls() -> Day:
    """Calls of a few minutes, of which half fail."""
    return Day(20, 3, (0, 300), failing=0.5, away=60, killed_every=40)


def test_calls_whose_legs_fail_are_answered_and_told_of_though_replicas_die(tmp_path: Path) -> None:
    """No customer is stranded, no trunk is rung twice, no room stays, and everybody hears of each call in order."""
    day = Day(60, 3, (0, 1300), failing=0.5, away=400, killed_every=40)
    lines, is_good = played(day, tmp_path)
    assert is_good, lines
    assert sum(call.fails for call in day.calls.values()) > 15
    assert any(call.is_hopeless for call in day.calls.values())
    assert set(day.killed) == set(STEPS)
    well, ill = day.systems
    assert well.copies + ill.copies
    assert ill.tries > well.tries + 60


def test_customers_who_are_stranded_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody does what is due, those whose first leg failed are stranded."""

    async def nothing(_: Replica, __: object) -> None:
        pass

    monkeypatch.setattr(Replica, "work", nothing)
    monkeypatch.setattr(days, "RETRIES", 10)
    lines, is_good = played(Day(20, 3, (0, 100), failing=1.0, away=10), tmp_path)
    assert not is_good
    assert "customers stranded: 0" not in lines[3]


def test_a_message_that_is_lost_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one row of those that are to be sent is not there, whoever did not get it says so."""
    schedule = ConferenceStore.schedule
    lost: list[str] = []

    async def losing(store: ConferenceStore, actions: Sequence[DueAction]) -> int:
        kept = []
        for action in actions:
            if action.kind == CRM and action.data["event"] == Event.ANSWERED and (not lost or action.id in lost):
                lost.append(action.id)
            else:
                kept.append(action)
        return await schedule(store, kept)

    monkeypatch.setattr(ConferenceStore, "schedule", losing)
    day = some_calls()
    lines, is_good = played(day, tmp_path)
    assert not is_good
    assert lost
    assert "bi: 0 wrong []" in lines
    missing = "['call.started', 'call.ended'] instead of ['call.started', 'call.answered', 'call.ended']"
    conference = lost[0].split(":")[2]
    assert lines[-1] == f"crm: 1 wrong {[f'{conference}: {missing}']}"


def test_messages_out_of_order_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what is sent of one call does not wait for what came before, whoever gets it says so."""
    monkeypatch.setattr(telling, "_PLACES", dict.fromkeys(Event, 0))
    monkeypatch.setattr(days, "TROUBLE", 0.8)
    lines, is_good = played(some_calls(), tmp_path)
    assert not is_good
    assert "out of order: [" in lines[-1]

"""Some minutes of the simulated day of ``make day``, and that it would tell if customers were stranded."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.day import Day, Replica, play, report

pytestmark = pytest.mark.slow

HOURS = (0, 1300)


def test_calls_whose_legs_fail_are_answered_though_replicas_die(tmp_path: Path) -> None:
    """No customer is stranded, no trunk is rung twice, and no room stays, with both replicas on one database."""
    day = Day(60, 3, HOURS, failing=0.5)
    asyncio.run(play(day, f"sqlite:///{tmp_path}/policy.db"))
    lines, is_good = report(day)
    assert is_good, lines
    assert sum(call.fails for call in day.calls.values()) > 15
    assert day.killed


def test_customers_who_are_stranded_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody does what is due, those whose first leg failed are stranded."""

    async def nothing(_: Replica) -> None:
        pass

    monkeypatch.setattr(Replica, "work", nothing)
    day = Day(20, 3, (0, 100), failing=1.0)

    asyncio.run(play(day, f"sqlite:///{tmp_path}/policy.db"))
    lines, is_good = report(day)
    assert not is_good
    assert "customers stranded: 0" not in lines[3]

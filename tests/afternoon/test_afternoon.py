"""The afternoon that is photographed for the READMEs is one that nodes, customers and agents could have."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from policy_server.conferences.verdict import Code
from tests.afternoon.bank import Clock, running_bank
from tests.afternoon.played import AGENTS, BEGINS, FEATURED, play

pytestmark = pytest.mark.slow

VISITS = 4


@pytest.fixture(scope="module")
def afternoon(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of a quiet one: faults, rules that answered, and calls by the customer's name and verdict."""

    async def played() -> dict[str, Any]:
        async with running_bank(tmp_path_factory.mktemp("bank"), Clock(BEGINS), AGENTS) as bank:
            await play(bank, VISITS)
            rules = Counter(str(each.fields.get("rule")) for each in bank.judged)
            return {"faults": bank.faults, "rules": rules, "calls": await bank.calls()}

    return asyncio.run(played())


def test_nothing_goes_wrong(afternoon: dict[str, Any]) -> None:
    """A node would use every answer, links are made and followed, and agents find their rooms."""
    assert afternoon["faults"] == []


def test_pages_have_something_of_each_kind(afternoon: dict[str, Any]) -> None:
    """Calls that wait, go on, were answered and failed are there, and one whose first leg was busy and second answered."""
    verdicts = Counter(call["verdict"]["code"] for call in afternoon["calls"])
    assert verdicts[Code.WAITING] == 1
    assert verdicts[Code.IN_PROGRESS] == 2
    assert (verdicts[Code.NO_AGENT], verdicts[Code.LEG_BUSY]) == (1, 1)
    assert verdicts[Code.ANSWERED] > VISITS
    (featured,) = (call for call in afternoon["calls"] if call["customer"]["name"] == FEATURED)
    assert (featured["verdict"]["code"], featured["verdict"]["attempts"]) == (Code.ANSWERED, 2)
    assert {"help-refused", "kiosk-closed", "interpreter", "scanners"} <= afternoon["rules"].keys()

"""A trunk that fails strands nobody: the whole service, with a node, a Management Node and trunks of SIPp."""

import asyncio
import time
from pathlib import Path

import pytest

from policy_server.conferences.timeline import Kind
from policy_server.conferences.verdict import Code
from tests.faults.stage import BUSY, KEPT, NUMBERS, overlap, staged, until
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow


def test_a_customer_whose_trunk_is_busy_is_connected_through_the_next(tmp_path: Path) -> None:
    """The second trunk is called once, by the same caller's name and address, as the timeline tells; the room ends when the
    customer has left.
    """

    async def scene() -> None:
        async with staged(tmp_path, KEPT, "end_leg_with_customer: 3s", {"first": BUSY}) as stage:
            customer = await stage.customer()
            await until(lambda: stage.is_with(customer.call, "second"), PATIENCE)
            first, second = stage.of(customer.call)
            assert [ring.trunk for ring in (first, second)] == ["first", "second"]
            assert second.invite.request_uri == f"sip:{NUMBERS['second']}@byoc.example"
            callers = {(ring.invite.from_display_name, ring.invite.from_user) for ring in (first, second)}
            assert callers == {(customer.call, first.invite.from_user)}
            assert overlap([first, second]) == 0
            await stage.agent(customer)
            stage.node.leave(customer.session)
            left_at = time.monotonic()
            assert 3 <= await until(lambda: not stage.is_running(customer.call), PATIENCE) - left_at < 15
            found = await stage.ended(customer.call)
            assert found["verdict"]["code"] == Code.ANSWERED
            assert found["verdict"]["attempts"] == 2
            told = [line["text"] for line in found["timeline"] if line["kind"] == Kind.ASSURANCE_ACTED]
            assert told == [
                "No agent was reached, so trunk 'second' is dialled.",
                "The room is ended: the customer is gone.",
            ]
            for exchange in stage.node.exchanges:
                assert not exchange.verdict.objections, exchange

    asyncio.run(scene())

"""How a call is played whose leg fails, and what can become of its customer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from policy_server.lab.management.troubles import Dials
from policy_server.lab.node.questions import Caller
from tests.faults.manager import DIAL, DROP, Fate, Strike
from tests.faults.stage import Customer, Ring, Stage, until

PATIENCE: Final = 120.0
"""Seconds after which a row has failed."""


class Outcome(StrEnum):
    """What became of the customer."""

    FIRST = "talks, by the first trunk"
    SECOND = "talks, by the second trunk"
    THIRD = "talks, by the third trunk"
    WAITS = "waits in the room"
    RELEASED = "the room ended"
    MOVED = "moved to another service"
    LEFT = "left, and so did the leg"
    STAYED = "stayed with those who were there; then the room ended"


TALKS: Final = {"first": Outcome.FIRST, "second": Outcome.SECOND, "third": Outcome.THIRD}

Play = Callable[[Stage, Customer], Awaitable[tuple[Outcome, float]]]
"""Plays a call to where nothing more is to be expected: the outcome, and the seconds that it took from the fault on."""


async def reached(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """Until the customer talks; an agent comes by video, too."""

    def by() -> str:
        return next((trunk for trunk in TALKS if stage.is_with(customer.call, trunk)), "")

    at = await until(by, PATIENCE)
    outcome = TALKS[by()]
    if stage.has_sink:
        await stage.agent(customer)
    return outcome, at - stage.of(customer.call)[0].at


async def given_up(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """Until the timeline tells that nobody can be reached, or that the Management Node cannot be asked."""
    since = (await _first(stage, customer)).at
    async with asyncio.timeout(PATIENCE):
        while not {"exhausted", "hindered"} & set(await stage.steps(customer.call)):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.3)
    took = time.monotonic() - since
    await asyncio.sleep(5)
    assert stage.is_running(customer.call)
    return Outcome.WAITS, took


async def released(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """Until the room is over."""
    since = (await _first(stage, customer)).at
    return Outcome.RELEASED, await until(lambda: not stage.is_running(customer.call), PATIENCE) - since


async def moved(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """Until the browser is told where to go, once, and has gone there."""
    since = (await _first(stage, customer)).at
    referrals = []
    async with asyncio.timeout(PATIENCE):
        while (told := await customer.told.get()) is None or told[0] != "refer":
            pass
    at = time.monotonic()
    referrals.append(told[1])
    await asyncio.sleep(1)
    while not customer.told.empty():
        told = customer.told.get_nowait()
        referrals += [told[1]] if told is not None and told[0] == "refer" else []
    (referral,) = referrals
    assert isinstance(referral, dict)
    await stage.node.request_token(referral["alias"], Caller("Ada L"), None, referral["token"])
    stage.node.leave(customer.session, "Call transferred")
    assert "sorry" in stage.node.meetings
    return Outcome.MOVED, at - since


async def hung_up(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """The contact centre answers and hangs up; until the room is over."""
    await until(lambda: any(ring.answered_at and ring.over_at for ring in stage.of(customer.call)), PATIENCE)
    since = time.monotonic()
    return Outcome.RELEASED, await until(lambda: not stage.is_running(customer.call), PATIENCE) - since


async def customer_leaves(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """The customer leaves while the second trunk rings."""
    await until(lambda: len(stage.of(customer.call)) == 2, PATIENCE)
    since = time.monotonic()
    stage.node.leave(customer.session)
    at = await until(lambda: all(ring.over_at for ring in stage.of(customer.call)), PATIENCE)
    assert not stage.is_running(customer.call)
    return Outcome.LEFT, at - since


async def customer_leaves_a_talk(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """The customer leaves, and the leg would keep the room running."""
    await reached(stage, customer)
    since = time.monotonic()
    stage.node.leave(customer.session)
    at = await until(lambda: all(ring.over_at for ring in stage.of(customer.call)), PATIENCE)
    return Outcome.LEFT, at - since


async def agent_stays(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """The first leg ends, by a transfer, while an agent is there by video, who leaves after longer than the grace."""
    await until(lambda: stage.is_with(customer.call, "first"), PATIENCE)
    agent = await stage.agent(customer)
    (ring,) = stage.of(customer.call)
    stage.hang_up(ring)
    await asyncio.sleep(14)
    assert stage.is_running(customer.call)
    stage.node.leave(agent)
    since = time.monotonic()
    return Outcome.STAYED, await until(lambda: not stage.is_running(customer.call), PATIENCE) - since


async def another_leg_stays(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """The first leg ends while somebody else is there whom the agent had called into the room."""
    await until(lambda: stage.is_with(customer.call, "first"), PATIENCE)
    agent = await stage.agent(customer)
    (ring,) = stage.of(customer.call)
    leg = {"local_alias": ring.invite.from_user, "remote_alias": "99+13129998099", "routing": "routing_rule"}
    await stage.node.call_out(customer.session.asked["local_alias"], leg)
    await until(lambda: any(each.trunk == "far" and each.answered_at for each in stage.rings), PATIENCE)
    stage.node.leave(agent)
    stage.hang_up(ring)
    await asyncio.sleep(14)
    assert stage.is_running(customer.call)
    stage.hang_up(next(each for each in stage.rings if each.trunk == "far"))
    since = time.monotonic()
    return Outcome.STAYED, await until(lambda: not stage.is_running(customer.call), PATIENCE) - since


def during(begin: Callable[[Stage], Awaitable[None]], seconds: float, play: Play = reached) -> Play:
    """With a trouble of the Management Node from the beginning until so long after the first INVITE."""

    async def troubled(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
        await begin(stage)
        await _first(stage, customer)

        async def end() -> None:
            await asyncio.sleep(seconds)
            stage.management.troubles.clear()
            await stage.management.come_up()

        ending = asyncio.create_task(end())
        try:
            return await play(stage, customer)
        finally:
            ending.cancel()

    return troubled


async def down(stage: Stage) -> None:
    """The Management Node refuses connections."""
    await stage.management.go_down()


def trouble(**troubles: object) -> Callable[[Stage], Awaitable[None]]:
    """Something is wrong with the Management Node."""

    async def begin(stage: Stage) -> None:
        for name, value in troubles.items():
            setattr(stage.management.troubles, name, value)

    return begin


def once(dials: Dials) -> Play:
    """The first dial that is accepted goes wrong."""

    async def play(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
        stage.management.troubles.dials = dials

        async def end() -> None:
            await until(lambda: any(asked.path.endswith(DIAL) for asked in stage.management.requests), PATIENCE)
            await asyncio.sleep(0.2)
            stage.management.troubles.clear()

        ending = asyncio.create_task(end())
        try:
            return await reached(stage, customer)
        finally:
            ending.cancel()

    return play


def losing_the_answer(path: str, play: Play) -> Play:
    """What is asked is done, and the answer is lost."""

    async def played(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
        stage.management.strikes = (Strike(path, Fate.UNANSWERED),)
        return await play(stage, customer)

    return played


async def answered_as_it_is_ended(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """The far end picks up as the Management Node is told to end the leg."""
    ring = await _first(stage, customer)
    stage.management.strikes = (Strike(DROP, Fate.ANSWERED, lambda _: stage.pick_up(ring)),)
    await until(lambda: ring.over_at, PATIENCE)
    assert ring.answered_at is not None
    return await reached(stage, customer)


async def dialled_by_both(stage: Stage, customer: Customer) -> tuple[Outcome, float]:
    """A node dials its first leg, for which nobody waits any more, as the Management Node is told to dial it."""

    def dial(_: int) -> None:
        room = customer.session.room
        stage.node._dialler.call(room, room.meeting.legs_to_dial()[0])

    stage.management.strikes = (Strike(DIAL, Fate.ANSWERED, dial),)
    return await reached(stage, customer)


async def _first(stage: Stage, customer: Customer) -> Ring:
    await until(lambda: stage.of(customer.call), PATIENCE)
    return stage.of(customer.call)[0]

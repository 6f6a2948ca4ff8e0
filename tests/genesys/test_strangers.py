"""Tokens that nobody has vouched for: how many are asked about, and that agents do not wait for them."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.genesys.results import Agent, AgentForbidden, GenesysUnavailable, TokenRefused, TooManyTokens
from policy_server.genesys.strangers import (
    AT_ONCE,
    AT_ONCE_OF_ADDRESS,
    BAD_A_MINUTE,
    BAD_A_MINUTE_OF_ADDRESS,
    MINUTE,
    RETRY_SECONDS,
    WAITING_LIMIT,
    Strangers,
)
from policy_server.simulator.genesys import User
from tests.genesys.asking import CONVERSATION, TOKEN, Genesys, run

HERE = "192.0.2.1"
THERE = "198.51.100.7"


def test_made_up_tokens_of_one_address(genesys: Genesys) -> None:
    """So many tokens of an address may turn out to be nobody's within a minute; then unknown ones are not asked about
    until it is over, those of other addresses and of verified agents are.
    """

    async def work() -> None:
        async with genesys.client(cache_seconds=0.0) as client:
            agent = await client.agent(TOKEN, 0.0, HERE)
            assert isinstance(agent, Agent)
            for number in range(BAD_A_MINUTE_OF_ADDRESS):
                assert await client.agent(f"made-up-{number}", 0.0, HERE) == TokenRefused("rejected")
            asked = len(genesys.paths)
            assert await client.agent("one-more", 20.0, HERE) == TooManyTokens(40)
            assert await client.conversation("one-more", CONVERSATION, 20.0, HERE) == TooManyTokens(40)
            assert len(genesys.paths) == asked, "Genesys was asked"
            assert await client.agent(TOKEN, 20.0, HERE) == agent
            assert await client.agent("one-more", 20.0, THERE) == TokenRefused("rejected")
            assert await client.agent("another", MINUTE, HERE) == TokenRefused("rejected")

    run(work())


def test_good_tokens_have_no_limit(genesys: Genesys) -> None:
    """An office of many agents behind one address signs in, and an agent of a division that is not let in costs nobody."""
    tokens = [f"agent-{number}" for number in range(3 * BAD_A_MINUTE_OF_ADDRESS)]
    for number, token in enumerate(tokens):
        genesys.stand_in.users[token] = User(f"Agent {number}", state="active" if number % 2 else "inactive")

    async def work() -> None:
        async with genesys.client() as client:
            found = [await client.agent(token, 0.0, HERE) for token in tokens]
            assert {type(each) for each in found} == {Agent, AgentForbidden}

    run(work())


def test_unknown_tokens_keep_no_agent_waiting(genesys: Genesys) -> None:
    """While Genesys takes its time over a flood of unknown tokens, few are asked about at a time, and an agent who was
    verified before is asked about at once; when enough of the flood have turned out to be nobody's, the rest is refused.
    """

    async def work() -> None:
        async with genesys.client(cache_seconds=0.0) as client:
            await client.agent(TOKEN, 0.0, HERE)
            genesys.stand_in.trouble(how="hang", times=AT_ONCE_OF_ADDRESS)
            flood = [asyncio.create_task(client.agent(f"made-up-{number}", 1.0, HERE)) for number in range(500)]
            await genesys.arrived(1 + AT_ONCE_OF_ADDRESS)
            assert isinstance(await client.agent(TOKEN, 1.0, HERE), Agent)
            assert len(genesys.paths) == 2 + AT_ONCE_OF_ADDRESS
            assert not any(task.done() for task in flood)
            genesys.stand_in.clear()
            found = await asyncio.gather(*flood)
            assert found.count(TokenRefused("rejected")) == BAD_A_MINUTE_OF_ADDRESS
            assert found.count(TooManyTokens(60)) == 500 - BAD_A_MINUTE_OF_ADDRESS

    run(work())


def test_all_agents_come_at_once(genesys: Genesys) -> None:
    """After a restart every token is unknown: all agents of an office and some from elsewhere are let in, one after the
    other, however many come.
    """
    tokens = [f"agent-{number}" for number in range(20 * AT_ONCE)]
    genesys.stand_in.users |= {token: User(token) for token in tokens}

    async def work() -> None:
        async with genesys.client() as client:
            came = (client.agent(token, 0.0, THERE if number % 10 else HERE) for number, token in enumerate(tokens))
            assert {type(each) for each in await asyncio.gather(*came)} == {Agent}

    run(work())


def test_waiting_has_an_end() -> None:
    """Who gets no turn in time, or when too many wait, is told to come back, and takes no turn from those behind."""

    async def work() -> None:
        strangers = Strangers(patience=0.01)
        assert [await strangers.enter(HERE, 0.0) for _ in range(AT_ONCE_OF_ADDRESS)] == [0] * AT_ONCE_OF_ADDRESS
        assert await strangers.enter(HERE, 0.0) == RETRY_SECONDS
        assert await strangers.enter(THERE, 0.0) == 0
        waiting = [asyncio.create_task(strangers.enter(HERE, 0.0)) for _ in range(WAITING_LIMIT)]
        await asyncio.sleep(0)
        assert await strangers.enter(HERE, 0.0) == RETRY_SECONDS
        strangers.leave(HERE, 0.0, is_bad=False)
        assert sorted(await asyncio.gather(*waiting)) == [0] + [RETRY_SECONDS] * (WAITING_LIMIT - 1)

    run(work())


def test_an_address_that_is_full_keeps_no_other_waiting() -> None:
    """Who waits for a place of another address is passed over until there is one."""

    async def work() -> None:
        strangers = Strangers(patience=50.0)
        for address in [HERE] * AT_ONCE_OF_ADDRESS + [THERE] * (AT_ONCE - AT_ONCE_OF_ADDRESS):
            assert await strangers.enter(address, 0.0) == 0
        here, elsewhere = (asyncio.create_task(strangers.enter(each, 0.0)) for each in (HERE, "203.0.113.9"))
        await asyncio.sleep(0)
        strangers.leave(THERE, 0.0, is_bad=False)
        assert await elsewhere == 0
        assert not here.done()
        strangers.leave(HERE, 0.0, is_bad=False)
        assert await here == 0

    run(work())


@pytest.mark.parametrize("later", range(3))
def test_who_goes_takes_no_place_along(later: int) -> None:
    """Whenever somebody who waits goes, so many rounds after the turn came, the place is the next one's."""

    async def work() -> None:
        strangers = Strangers(patience=50.0)
        for _ in range(AT_ONCE_OF_ADDRESS):
            await strangers.enter(HERE, 0.0)
        waiting = [asyncio.create_task(strangers.enter(HERE, 0.0)) for _ in range(2)]
        await asyncio.sleep(0)
        strangers.leave(HERE, 0.0, is_bad=False)
        for _ in range(later):
            await asyncio.sleep(0)
        if waiting[0].done():
            strangers.leave(HERE, 0.0, is_bad=False)
        waiting[0].cancel()
        assert await waiting[1] == 0

    run(work())


def test_the_same_unknown_token_is_one_question(genesys: Genesys) -> None:
    """Many callers with one token that is under way take one place."""

    async def work() -> None:
        async with genesys.client() as client:
            genesys.stand_in.trouble(how="hang")
            callers = [asyncio.create_task(client.agent(TOKEN, 0.0, HERE)) for _ in range(5 * AT_ONCE)]
            await genesys.arrived(1)
            genesys.stand_in.clear()
            assert {type(each) for each in await asyncio.gather(*callers)} == {Agent}

    run(work())


def test_a_token_that_is_good_no_more_is_unknown_again(genesys: Genesys) -> None:
    """Once Genesys refuses a token, it has no place among those of agents any more."""

    async def work() -> None:
        async with genesys.client(cache_seconds=0.0) as client:
            await client.agent(TOKEN, 0.0, HERE)
            del genesys.stand_in.users[TOKEN]
            assert await client.agent(TOKEN, 1.0, HERE) == TokenRefused("rejected")
            for number in range(BAD_A_MINUTE_OF_ADDRESS):
                await client.agent(f"made-up-{number}", 2.0, HERE)
            assert isinstance(await client.agent(TOKEN, 10.0, HERE), TooManyTokens)

    run(work())


def test_trouble_of_genesys_is_nobodys_fault(genesys: Genesys) -> None:
    """While Genesys fails, unknown tokens are not held against their address."""
    genesys.stand_in.trouble(status=500)

    async def work() -> None:
        async with genesys.client() as client:
            for number in range(2 * BAD_A_MINUTE_OF_ADDRESS):
                assert isinstance(await client.agent(f"agent-{number}", 0.0, HERE), GenesysUnavailable)

    run(work())


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnopqrst"), st.sampled_from(["enter", "good", "bad"]))))
def test_the_limits_hold_whatever_comes(steps: list[tuple[str, str]]) -> None:
    """At no time are more questions under way, or more bad ones let through in a minute, than the limits say; and nobody
    waits while there is a place.
    """
    under_way, bad = Counter[str](), Counter[str]()

    async def come(strangers: Strangers, address: str) -> None:
        if not await strangers.enter(address, 0.0):
            under_way[address] += 1

    async def work() -> None:
        strangers, waiting = Strangers(patience=50.0), list[asyncio.Task[None]]()
        # Each step eight times over, or no limit would ever be reached.
        for address, step in (each for each in steps for _ in range(AT_ONCE_OF_ADDRESS)):
            if step == "enter":
                waiting.append(asyncio.create_task(come(strangers, address)))
            elif under_way[address]:
                under_way[address] -= 1
                bad[address] += step == "bad"
                strangers.leave(address, 0.0, is_bad=step == "bad")
            for _ in range(3):
                await asyncio.sleep(0)
            assert under_way[address] <= AT_ONCE_OF_ADDRESS
            assert bad[address] <= BAD_A_MINUTE_OF_ADDRESS
            assert under_way.total() <= AT_ONCE
            assert bad.total() <= BAD_A_MINUTE
        while under_way.total():
            address = next(iter(+under_way))
            under_way[address] -= 1
            strangers.leave(address, 0.0, is_bad=False)
            for _ in range(3):
                await asyncio.sleep(0)
        assert all(task.done() for task in waiting)

    run(work())


def test_bad_tokens_of_many_addresses() -> None:
    """Also from ever new addresses only so many bad tokens are asked about within a minute."""

    async def work() -> None:
        strangers, let_in = Strangers(), 0
        for number in range(2 * BAD_A_MINUTE):
            if not await strangers.enter(str(number), 0.0):
                let_in += 1
                strangers.leave(str(number), 0.0, is_bad=True)
        assert let_in == BAD_A_MINUTE
        assert await strangers.enter("new", 59.0) == 1
        assert await strangers.enter("new", MINUTE) == 0

    run(work())


@pytest.mark.parametrize("token", ["", " ", "a b", "a\tb", "ü", "a" * 5000, '"quoted"', "a,b", "<token>", "{{token}}"])
def test_what_is_no_token_is_not_asked_about(genesys: Genesys, token: str) -> None:
    """What cannot be an access token never reaches Genesys."""
    assert genesys.agent(token) == TokenRefused("malformed")
    assert genesys.paths == []

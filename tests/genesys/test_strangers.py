"""Tokens that nobody has vouched for: how many are asked about, and that agents do not wait for them."""

import asyncio

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
    """While Genesys takes its time over a flood of unknown tokens, what exceeds the limit is refused at once, and an
    agent who was verified before is asked about at once.
    """

    async def work() -> None:
        async with genesys.client(cache_seconds=0.0) as client:
            await client.agent(TOKEN, 0.0, HERE)
            genesys.stand_in.trouble(how="hang", times=5)
            flood = [asyncio.create_task(client.agent(f"made-up-{number}", 1.0, HERE)) for number in range(500)]
            await genesys.arrived(1 + 5)
            turned_away = [task.result() for task in flood if task.done()]
            assert turned_away == [TooManyTokens(1)] * (500 - AT_ONCE_OF_ADDRESS)
            assert isinstance(await client.agent(TOKEN, 1.0, HERE), Agent)
            assert not all(task.done() for task in flood)
            genesys.stand_in.clear()
            await asyncio.gather(*flood)

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
    """At no time are more questions under way, or more bad ones let through in a minute, than the limits say."""
    strangers, under_way, bad = Strangers(), dict[str, int](), dict[str, int]()
    # Each step eight times over, or no limit would ever be reached.
    for address, step in steps:
        for _ in range(AT_ONCE_OF_ADDRESS):
            if step == "enter":
                if not strangers.enter(address, 0.0):
                    under_way[address] = under_way.get(address, 0) + 1
            elif under_way.get(address):
                under_way[address] -= 1
                bad[address] = bad.get(address, 0) + (step == "bad")
                strangers.leave(address, 0.0, is_bad=step == "bad")
            assert under_way.get(address, 0) <= AT_ONCE_OF_ADDRESS
            assert bad.get(address, 0) <= BAD_A_MINUTE_OF_ADDRESS
        assert sum(under_way.values()) <= AT_ONCE
        assert sum(bad.values()) <= BAD_A_MINUTE


def test_bad_tokens_of_many_addresses() -> None:
    """Also from ever new addresses only so many bad tokens are asked about within a minute."""
    strangers = Strangers()
    let_in = 0
    for number in range(2 * BAD_A_MINUTE):
        if not strangers.enter(str(number), 0.0):
            let_in += 1
            strangers.leave(str(number), 0.0, is_bad=True)
    assert let_in == BAD_A_MINUTE
    assert strangers.enter("new", 59.0) == 1
    assert strangers.enter("new", MINUTE) == 0


@pytest.mark.parametrize("token", ["", " ", "a b", "a\tb", "ü", "a" * 5000, '"quoted"', "a,b", "<token>", "{{token}}"])
def test_what_is_no_token_is_not_asked_about(genesys: Genesys, token: str) -> None:
    """What cannot be an access token never reaches Genesys."""
    assert genesys.agent(token) == TokenRefused("malformed")
    assert genesys.paths == []

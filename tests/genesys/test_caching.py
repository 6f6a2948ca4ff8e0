"""What is asked once and remembered: how long, for whom, and what happens when many ask at the same time."""

import asyncio

import pytest

from policy_server.genesys import client as client_module
from policy_server.genesys.results import Agent, AgentResult, Binding, GenesysUnavailable, TokenRefused
from policy_server.simulator.genesys import User, participant
from tests.genesys.asking import CONVERSATION, MARIA, OTHER_TOKEN, SESSION, TOKEN, Genesys, run


def test_an_agent_is_asked_about_once(genesys: Genesys) -> None:
    """A hundred questions within the cache's time are one request, the next one after it another."""

    async def work() -> None:
        async with genesys.client(cache_seconds=60.0) as client:
            answers = {await client.agent(TOKEN, 1000.0 + tick * 0.599) for tick in range(100)}
            assert len(answers) == 1
            assert len(genesys.paths) == 1
            await client.agent(TOKEN, 1059.999)
            assert len(genesys.paths) == 1
            await client.agent(TOKEN, 1060.0)
            assert len(genesys.paths) == 2

    run(work())


def test_without_a_cache(genesys: Genesys) -> None:
    """With no seconds to remember, every question is asked."""

    async def work() -> None:
        async with genesys.client(cache_seconds=0.0) as client:
            assert await client.agent(TOKEN, 5.0) == await client.agent(TOKEN, 5.0)

    run(work())
    assert len(genesys.paths) == 2


def test_genesys_gone(genesys: Genesys) -> None:
    """While Genesys fails, a token verified within the cache's time is accepted, and not a second longer."""

    async def work() -> None:
        async with genesys.client(cache_seconds=60.0) as client:
            agent = await client.agent(TOKEN, 0.0)
            genesys.stand_in.trouble(status=500)
            assert await client.agent(TOKEN, 59.0) == agent
            assert await client.agent(OTHER_TOKEN, 59.0) == GenesysUnavailable(5, "status")
            assert await client.agent(TOKEN, 60.0) == GenesysUnavailable(5, "status")

    run(work())


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(None, id="401"),
        pytest.param(User(kind="unscoped"), id="403"),
        pytest.param(User(state="inactive"), id="inactive"),
    ],
)
def test_who_is_turned_away_is_remembered_briefly(genesys: Genesys, user: User | None) -> None:
    """A refusal holds for five seconds; then a token that became good is let in."""
    if user is None:
        del genesys.stand_in.users[TOKEN]
    else:
        genesys.stand_in.users[TOKEN] = user

    async def work() -> None:
        async with genesys.client() as client:
            refusal = await client.agent(TOKEN, 0.0)
            assert not isinstance(refusal, Agent | GenesysUnavailable)
            genesys.stand_in.users[TOKEN] = MARIA
            assert await client.agent(TOKEN, 4.999) == refusal
            assert len(genesys.paths) == 1
            assert isinstance(await client.agent(TOKEN, 5.0), Agent)

    run(work())


def test_a_conversation_is_remembered_briefly(genesys: Genesys) -> None:
    """A conversation changes: after five seconds it is read again."""
    people = [participant("customer", aniName=SESSION), participant("agent", userId=MARIA.id)]
    genesys.stand_in.conversations[CONVERSATION] = people

    async def connected(client: client_module.GenesysClient, now: float) -> bool:
        binding = await client.conversation(TOKEN, CONVERSATION, now)
        assert isinstance(binding, Binding)
        return binding.agent_connected

    async def work() -> None:
        async with genesys.client() as client:
            assert await connected(client, 0.0)
            people[1]["calls"][0]["state"] = "disconnected"
            assert await connected(client, 4.999)
            assert len(genesys.paths) == 2
            assert not await connected(client, 5.0)
            assert len(genesys.paths) == 3

    run(work())


def test_a_conversation_is_remembered_per_agent(genesys: Genesys) -> None:
    """What one agent may see is not shown to another from memory."""
    genesys.stand_in.users[OTHER_TOKEN] = User("Somebody Else")
    genesys.stand_in.conversations[CONVERSATION] = [participant("agent", userId=MARIA.id)]

    async def work() -> None:
        async with genesys.client() as client:
            assert isinstance(await client.conversation(TOKEN, CONVERSATION, 0.0), Binding)
            assert not isinstance(await client.conversation(OTHER_TOKEN, CONVERSATION, 0.0), Binding)

    run(work())


def test_fifty_at_the_same_time(genesys: Genesys) -> None:
    """Fifty concurrent questions about one token are one request, and all get its answer."""

    async def work() -> list[AgentResult]:
        async with genesys.client() as client:
            genesys.stand_in.trouble(how="hang")
            callers = [asyncio.create_task(client.agent(TOKEN, 0.0)) for _ in range(50)]
            await genesys.arrived(1)
            genesys.stand_in.clear()
            return list(await asyncio.gather(*callers))

    answers = run(work())
    assert len(genesys.paths) == 1
    assert len(set(answers)) == 1
    assert isinstance(answers[0], Agent)


def test_fifty_at_the_same_conversation(genesys: Genesys) -> None:
    """Fifty concurrent questions about one conversation are one request for the agent and one for the conversation."""
    genesys.stand_in.conversations[CONVERSATION] = [participant("agent", userId=MARIA.id)]

    async def work() -> set[bool]:
        async with genesys.client() as client:
            answers = await asyncio.gather(*(client.conversation(TOKEN, CONVERSATION, 0.0) for _ in range(50)))
            return {isinstance(answer, Binding) for answer in answers}

    assert run(work()) == {True}
    assert len(genesys.paths) == 2


def test_different_tokens_do_not_wait_for_each_other(genesys: Genesys) -> None:
    """A request that hangs for one token keeps no other waiting."""
    genesys.stand_in.users[OTHER_TOKEN] = User("Somebody Else")

    async def work() -> None:
        async with genesys.client() as client:
            genesys.stand_in.trouble(how="hang", times=1)
            first = asyncio.create_task(client.agent(TOKEN, 0.0))
            await genesys.arrived(1)
            assert isinstance(await client.agent(OTHER_TOKEN, 0.0), Agent)
            assert not first.done()
            genesys.stand_in.clear()
            assert isinstance(await first, Agent)

    run(work())


@pytest.mark.parametrize("who", [pytest.param(0, id="the first"), pytest.param(1, id="a later one")])
def test_a_caller_who_gives_up(genesys: Genesys, who: int) -> None:
    """A cancelled caller takes the answer from nobody else, and no second request is made."""

    async def work() -> None:
        async with genesys.client() as client:
            genesys.stand_in.trouble(how="hang")
            callers = [asyncio.create_task(client.agent(TOKEN, 0.0)) for _ in range(3)]
            await genesys.arrived(1)
            callers.pop(who).cancel()
            await asyncio.sleep(0)
            genesys.stand_in.clear()
            for caller in callers:
                assert isinstance(await caller, Agent)

    run(work())
    assert len(genesys.paths) == 1


def test_everybody_gives_up(genesys: Genesys) -> None:
    """An answer that nobody waits for any more is remembered all the same."""

    async def work() -> None:
        async with genesys.client() as client:
            genesys.stand_in.trouble(how="hang")
            caller = asyncio.create_task(client.agent(TOKEN, 0.0))
            await genesys.arrived(1)
            caller.cancel()
            await asyncio.wait((caller,))
            assert caller.cancelled()
            genesys.stand_in.clear()
            assert isinstance(await client.agent(TOKEN, 0.0), Agent)

    run(work())
    assert len(genesys.paths) == 1


def test_made_up_tokens(genesys: Genesys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused tokens, however many, do not push out an agent who was verified."""
    monkeypatch.setattr(client_module, "CACHE_ENTRIES", 3)

    async def work() -> None:
        async with genesys.client() as client:
            agent = await client.agent(TOKEN, 0.0)
            for number in range(5):
                assert await client.agent(f"made-up-{number}", 0.0) == TokenRefused("rejected")
            genesys.stand_in.trouble(status=500)
            assert await client.agent(TOKEN, 0.0) == agent

    run(work())


def test_too_many_questions(genesys: Genesys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions about verified agents beyond the limit are turned away at once; one about a token under way is not."""
    monkeypatch.setattr(client_module, "FLIGHTS", 2)
    genesys.stand_in.users[OTHER_TOKEN] = User("Somebody Else")

    genesys.stand_in.users["third-token"] = User("A Third")

    async def work() -> None:
        async with genesys.client(cache_seconds=0.0) as client:
            for token in (TOKEN, OTHER_TOKEN, "third-token"):
                await client.agent(token, 0.0)
            genesys.stand_in.trouble(how="hang")
            callers = [asyncio.create_task(client.agent(token, 0.0)) for token in (TOKEN, OTHER_TOKEN, TOKEN)]
            await genesys.arrived(3 + 2)
            assert await client.agent("third-token", 0.0) == GenesysUnavailable(1, "busy")
            genesys.stand_in.clear()
            assert all(isinstance(answer, Agent) for answer in await asyncio.gather(*callers))

    run(work())


def test_closing(genesys: Genesys) -> None:
    """Closing answers those who wait, and later questions, with unavailable."""

    async def work() -> None:
        client = genesys.client()
        genesys.stand_in.trouble(how="hang")
        caller = asyncio.create_task(client.agent(TOKEN, 0.0))
        await genesys.arrived(1)
        await client.close()
        assert await caller == GenesysUnavailable(1, "busy")
        assert await client.agent(OTHER_TOKEN, 0.0) == GenesysUnavailable(1, "busy")

    run(work())

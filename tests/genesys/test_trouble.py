"""When Genesys fails: nobody is let in, it is known within the timeout, and when to come back is said."""

import asyncio
import gzip
import socket
import time
from typing import Any

import pytest

from policy_server.genesys.client import STRANGERS_CONNECTIONS, GenesysClient
from policy_server.genesys.results import Agent, AgentResult, Binding, GenesysUnavailable, UnavailableReason
from policy_server.outbound.exchange import BODY_LIMIT
from policy_server.simulator.genesys import User, participant
from tests.genesys.asking import CONVERSATION, MARIA, OTHER_TOKEN, TOKEN, Genesys, run, tenant

SHORT = 0.25
"""A timeout that is meant to be reached."""

LATE = 10.0
"""Seconds after which a timeout was not kept, however slow the machine is."""


@pytest.mark.parametrize(
    ("status", "headers", "retry_after", "reason"),
    [
        pytest.param(429, {"Retry-After": "30"}, 30, "rate_limited", id="429 with Retry-After"),
        pytest.param(429, {}, 47, "rate_limited", id="429 with the reset of the count alone"),
        pytest.param(429, {"inin-ratelimit-reset": "x"}, 10, "rate_limited", id="429 that says nothing"),
        pytest.param(429, {"Retry-After": "0"}, 1, "rate_limited", id="Retry-After zero"),
        pytest.param(429, {"Retry-After": "-5"}, 47, "rate_limited", id="Retry-After negative"),
        pytest.param(429, {"Retry-After": "99999999999"}, 47, "rate_limited", id="Retry-After absurd"),
        pytest.param(429, {"Retry-After": "999999"}, 3600, "rate_limited", id="Retry-After very long"),
        pytest.param(
            429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 47, "rate_limited", id="Retry-After a date"
        ),
        pytest.param(500, {}, 5, "status", id="500"),
        pytest.param(502, {}, 5, "status", id="502"),
        pytest.param(503, {}, 5, "status", id="503"),
        pytest.param(503, {"Retry-After": "60"}, 60, "status", id="503 with Retry-After"),
        pytest.param(302, {"Location": "/api/v2/users/me"}, 5, "status", id="redirect"),
        pytest.param(201, {}, 5, "status", id="201"),
        pytest.param(418, {}, 5, "status", id="a status nobody expects"),
    ],
)
def test_statuses(
    genesys: Genesys, status: int, headers: dict[str, str], retry_after: int, reason: UnavailableReason
) -> None:
    """A status that is no answer is unavailable, asked for once, with seconds to wait."""
    genesys.stand_in.trouble(status=status, headers=headers)
    assert genesys.agent() == GenesysUnavailable(retry_after, reason)
    assert len(genesys.paths) == 1


def test_a_good_body_with_a_bad_status(genesys: Genesys) -> None:
    """What would be a good answer does not count with the status of a failure."""
    body = '{"id":"x","state":"active","organization":{"id":"0f1e2d3c-4b5a-4697-8877-665544332211"}}'
    genesys.stand_in.trouble(status=500, body=body)
    assert genesys.agent() == GenesysUnavailable(5, "status")


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_timeouts(genesys: Genesys, how: str) -> None:
    """No answer, and an answer that drips, both end at the timeout; the next question is answered."""

    async def work() -> float:
        async with genesys.client(timeout=SHORT) as client:
            genesys.stand_in.trouble(how=how)
            started = time.monotonic()
            assert await client.agent(TOKEN, 0.0) == GenesysUnavailable(5, "timeout")
            return time.monotonic() - started

    assert SHORT <= run(work()) < LATE


def test_a_conversation_that_hangs(genesys: Genesys) -> None:
    """The agent and the conversation are answered within one timeout together."""

    async def work() -> float:
        async with genesys.client(timeout=SHORT) as client:
            genesys.stand_in.trouble(how="hang")
            started = time.monotonic()
            assert await client.conversation(TOKEN, CONVERSATION, 0.0) == GenesysUnavailable(5, "timeout")
            return time.monotonic() - started

    assert SHORT <= run(work()) < LATE


def test_a_slow_agent_and_a_conversation_that_hangs(genesys: Genesys) -> None:
    """The conversation has what the agent left of the timeout; its answer, when it comes, is for the next question."""
    genesys.stand_in.conversations[CONVERSATION] = [participant("agent", userId=MARIA.id)]

    async def work() -> None:
        async with genesys.client(timeout=3.0) as client:
            genesys.stand_in.trouble(how="hang")
            # Trouble set anew answers what hung before.
            asyncio.get_running_loop().call_later(1.0, lambda: genesys.stand_in.trouble(how="hang"))
            assert await client.conversation(TOKEN, CONVERSATION, 0.0) == GenesysUnavailable(5, "timeout")
            assert len(genesys.paths) == 2
            genesys.stand_in.clear()
            assert isinstance(await client.conversation(TOKEN, CONVERSATION, 0.0), Binding)
            assert len(genesys.paths) == 2

    run(work())


def test_connections_are_given_back(genesys: Genesys) -> None:
    """More hanging requests than there are connections leave connections for the next question."""
    tokens = [f"token-{number}" for number in range(STRANGERS_CONNECTIONS + 5)]

    async def work() -> AgentResult:
        async with genesys.client(timeout=SHORT) as client:
            genesys.stand_in.trouble(how="hang")
            answers = await asyncio.gather(*(client.agent(token, 0.0, address=token) for token in tokens))
            assert set(answers) == {GenesysUnavailable(5, "timeout")}
            genesys.stand_in.clear()
            tries = [await client.agent(TOKEN, 0.0)]
            while isinstance(tries[-1], GenesysUnavailable) and len(tries) < 20:
                # Only a machine too slow for the short timeout needs a second try.
                tries.append(await client.agent(TOKEN, 0.0))
            return tries[-1]

    assert isinstance(run(work()), Agent)


def test_a_huge_body(genesys: Genesys) -> None:
    """A body beyond the limit is not read to the end; one at the limit is read."""
    body = '{"id":"x","padding":"%s"}'
    genesys.stand_in.trouble(body=body % ("x" * (BODY_LIMIT - len(body) + 3)))
    assert genesys.agent() == GenesysUnavailable(5, "too_large")
    genesys.stand_in.trouble(body=body % ("x" * (BODY_LIMIT - len(body) + 2)), status=404)
    assert genesys.agent() != GenesysUnavailable(5, "too_large")


def test_a_refused_connection() -> None:
    """An address where nobody listens is unavailable."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert asked(f"http://127.0.0.1:{bound.getsockname()[1]}") == GenesysUnavailable(5, "connection")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        pytest.param(b"", "connection", id="closed at once"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", "connection", id="not HTTP"),
        pytest.param(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"id":', "connection", id="body cut"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "connection", id="header without end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"0" * 9_000_000),
            "malformed",
            id="compressed though asked for plain",
        ),
    ],
)
def test_broken_answers(sent: bytes, reason: UnavailableReason) -> None:
    """What is no whole answer in HTTP is unavailable."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.write_eof()
        await reader.read()
        writer.close()

    async def work() -> AgentResult:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with GenesysClient(tenant(f"http://127.0.0.1:{port}"), timeout=20.0) as client:
                return await client.agent(TOKEN, 0.0)

    assert run(work()) == GenesysUnavailable(5, reason)


def test_https_to_a_server_without(genesys: Genesys) -> None:
    """Nothing is sent to a server that does not prove who it is."""
    assert asked(genesys.url.replace("http:", "https:")) == GenesysUnavailable(5, "connection")
    assert genesys.paths == []


@pytest.mark.parametrize(("left_out", "reason"), [("", "connection"), ("api.usw2.pure.cloud", "timeout")])
def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, left_out: str, reason: UnavailableReason) -> None:
    """Over HTTPS the API is asked through the proxy that the environment names, unless it leaves it out; the proxy hears
    where to, and no token.
    """
    heard: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    async def work() -> AgentResult:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            monkeypatch.setenv("NO_PROXY", left_out)
            if left_out:
                # Nobody outside is asked.
                monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
            async with GenesysClient(tenant("https://api.usw2.pure.cloud"), timeout=SHORT) as client:
                return await client.agent(TOKEN, 0.0)

    assert run(work()) == GenesysUnavailable(5, reason)
    assert [each.split(b"\r\n")[0] for each in heard] == (
        [] if left_out else [b"CONNECT api.usw2.pure.cloud:443 HTTP/1.1"]
    )
    assert TOKEN.encode() not in b"".join(heard)


def test_a_rate_limit_pauses_its_token(genesys: Genesys) -> None:
    """Until Retry-After has passed nothing is asked with that token, and others are asked about as before."""
    genesys.stand_in.users[OTHER_TOKEN] = User("Somebody Else")

    async def work() -> None:
        async with genesys.client() as client:
            genesys.stand_in.trouble(status=429, headers={"Retry-After": "30"}, times=1)
            assert await client.agent(TOKEN, 100.0) == GenesysUnavailable(30, "rate_limited")
            assert await client.agent(TOKEN, 100.5) == GenesysUnavailable(30, "paused")
            assert await client.conversation(TOKEN, CONVERSATION, 129.0) == GenesysUnavailable(1, "paused")
            assert len(genesys.paths) == 1
            assert isinstance(await client.agent(OTHER_TOKEN, 101.0), Agent)
            assert isinstance(await client.agent(TOKEN, 130.0), Agent)

    run(work())


def test_a_rate_limit_on_a_conversation(genesys: Genesys) -> None:
    """A pause begins with any question; an agent who was verified stays verified."""
    genesys.stand_in.conversations[CONVERSATION] = [participant("agent", userId=MARIA.id)]

    async def work() -> None:
        async with genesys.client() as client:
            agent = await client.agent(TOKEN, 0.0)
            genesys.stand_in.trouble(status=429, headers={"Retry-After": "20"}, times=1)
            assert await client.conversation(TOKEN, CONVERSATION, 1.0) == GenesysUnavailable(20, "rate_limited")
            assert await client.conversation(TOKEN, CONVERSATION, 2.0) == GenesysUnavailable(19, "paused")
            assert await client.agent(TOKEN, 2.0) == agent
            assert len(genesys.paths) == 2

    run(work())


def test_a_service_that_asks_for_a_pause(genesys: Genesys) -> None:
    """A 503 with Retry-After stops every question until then, but not the answers that are known."""
    genesys.stand_in.users[OTHER_TOKEN] = User("Somebody Else")

    async def work() -> None:
        async with genesys.client() as client:
            known = await client.agent(OTHER_TOKEN, 0.0)
            genesys.stand_in.trouble(status=503, headers={"Retry-After": "30"}, times=1)
            assert await client.agent(TOKEN, 1.0) == GenesysUnavailable(30, "status")
            assert await client.agent("third-token", 11.0) == GenesysUnavailable(20, "paused")
            assert await client.agent(OTHER_TOKEN, 11.0) == known
            assert len(genesys.paths) == 2
            assert isinstance(await client.agent(TOKEN, 31.0), Agent)

    run(work())


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 503}, id="503"),
        pytest.param({"body": "{"}, id="malformed"),
        pytest.param({"status": 302}, id="redirect"),
    ],
)
def test_trouble_is_not_remembered(genesys: Genesys, trouble: dict[str, Any]) -> None:
    """The next question after a failure is asked at once."""

    async def work() -> tuple[AgentResult, AgentResult]:
        async with genesys.client() as client:
            genesys.stand_in.trouble(**trouble, times=1)
            return await client.agent(TOKEN, 0.0), await client.agent(TOKEN, 0.0)

    first, second = run(work())
    assert isinstance(first, GenesysUnavailable)
    assert isinstance(second, Agent)


def asked(url: str) -> AgentResult:
    """What a client of another address gets."""

    async def work() -> AgentResult:
        async with GenesysClient(tenant(url), timeout=20.0) as client:
            return await client.agent(TOKEN, 0.0)

    return run(work())


def test_what_came_of_each_request_is_told(genesys: Genesys) -> None:
    """What keeps Genesys from answering is told, and an answer that lets nobody in is one."""
    told: list[str] = []

    async def work() -> None:
        async with genesys.client(tell=told.append, timeout=SHORT, cache_seconds=0.0) as client:
            for now, status in enumerate([200, 401, 429, 503]):
                if status != 200:
                    genesys.stand_in.trouble(status=status)
                await client.agent(TOKEN, now * 100.0)
            genesys.stand_in.trouble(how="hang")
            await client.agent(TOKEN, 1000.0)

    run(work())
    assert told == ["", "", "", "it answered 503", f"no whole answer within {SHORT:g} s"]

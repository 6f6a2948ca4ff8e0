"""A token is nowhere but in the request: not in a result, a log, an error or the memory of the client."""

import gc
import logging
import socket
from collections.abc import Callable

import pytest

from policy_server.genesys.client import GenesysClient, hash_token
from policy_server.simulator.genesys import StandIn, participant
from tests.genesys.asking import CONVERSATION, MARIA, OTHER_TOKEN, TOKEN, Genesys, run, tenant


def good(_: StandIn) -> None:
    """Every answer is good."""


def unknown(stand_in: StandIn) -> None:
    """The token is refused."""
    stand_in.users.clear()


def echo(stand_in: StandIn) -> None:
    """An error that repeats the token wherever it can."""
    body = f'{{"message":"{TOKEN}","code":"Bearer {TOKEN}","contextId":"{TOKEN}","status":403}}'
    stand_in.trouble(status=403, body=body)


def limited(stand_in: StandIn) -> None:
    """Too many requests."""
    stand_in.trouble(status=429)


def malformed(stand_in: StandIn) -> None:
    """A good status with the token for a body."""
    stand_in.trouble(body=f'{{"id":"{TOKEN}"}}')


def slow(stand_in: StandIn) -> None:
    """No answer."""
    stand_in.trouble(how="hang")


@pytest.mark.parametrize("situation", [good, unknown, echo, limited, malformed, slow])
def test_tokens_are_not_shown(
    genesys: Genesys, caplog: pytest.LogCaptureFixture, situation: Callable[[StandIn], None]
) -> None:
    """No result and no line of any log, libraries' included, holds the token or its hash, whatever happens."""
    caplog.set_level(logging.DEBUG)
    genesys.stand_in.conversations[CONVERSATION] = [participant("agent", userId=MARIA.id)]
    situation(genesys.stand_in)

    async def work() -> list[object]:
        async with genesys.client(timeout=0.25 if situation is slow else 20.0) as client:
            return [await client.agent(TOKEN, 0.0), await client.conversation(TOKEN, CONVERSATION, 0.0), client]

    shown = repr(run(work())) + caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert TOKEN not in shown
    assert hash_token(TOKEN) not in shown
    assert ("GET" in caplog.text) is (situation is not good)


def test_tokens_are_not_shown_without_a_connection(caplog: pytest.LogCaptureFixture) -> None:
    """A failed connection is told of without the token, but with its reason."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))

        async def work() -> None:
            async with GenesysClient(tenant(f"http://127.0.0.1:{bound.getsockname()[1]}"), timeout=20.0) as client:
                await client.agent(TOKEN, 0.0)

        run(work())
    assert TOKEN not in caplog.text
    assert "genesys.unanswered: GET /api/v2/users/me" in caplog.text
    assert "cannot connect" in caplog.text


def test_the_memory_holds_no_token(genesys: Genesys) -> None:
    """What is remembered about a token is its hash."""
    unusual = "a-token-that-nothing-else-holds-"
    genesys.stand_in.users[unusual + "good"] = MARIA

    async def work() -> None:
        async with genesys.client() as client:
            for kind in ("good", "bad"):
                await client.agent(unusual + kind, 0.0)
            genesys.stand_in.reset()
            held: list[object] = [client]
            for _ in range(6):
                held = [*held, *gc.get_referents(*held)]
            texts = {text for text in held if isinstance(text, str | bytes)}
            assert hash_token(unusual + "good") in texts
            assert not [
                text for text in texts if unusual in (text if isinstance(text, str) else text.decode("latin-1"))
            ]

    run(work())


def test_errors_are_traceable(genesys: Genesys, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal is logged with Genesys's code, context and correlation, which its support asks for."""
    caplog.set_level(logging.INFO, "policy_server")
    genesys.agent(OTHER_TOKEN)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("policy_server")] == [
        "genesys.refused: GET /api/v2/users/me?expand=organization,authorization: status 401, code bad.credentials, "
        "context context-0001, correlation c0ffee00-0000-4000-8000-000000000001"
    ]


@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_errors_that_repeat_the_token(genesys: Genesys, caplog: pytest.LogCaptureFixture, status: int) -> None:
    """An answer that gives the token back as its code or ids gets it into no line of ours."""
    caplog.set_level(logging.INFO)
    body = f'{{"code":"{OTHER_TOKEN}","contextId":"x.{OTHER_TOKEN}"}}'
    genesys.stand_in.trouble(status=status, body=body, headers={"inin-correlation-id": OTHER_TOKEN})
    genesys.agent(OTHER_TOKEN)
    assert "correlation -" in caplog.text
    assert OTHER_TOKEN not in caplog.text


def test_errors_forge_no_line(genesys: Genesys, caplog: pytest.LogCaptureFixture) -> None:
    """What is not a plain code is left out of the log."""
    genesys.stand_in.trouble(status=500, body='{"code":"x\\n2026 forged","contextId":"a b"}')
    genesys.agent()
    line = "genesys.refused: GET /api/v2/users/me?expand=organization,authorization: status 500, code -, context -, correlation -"
    assert line in [record.getMessage() for record in caplog.records]

"""Whose token is this: only an active user of our organisation and divisions is let in."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from policy_server.genesys.client import hash_token
from policy_server.genesys.results import (
    Agent,
    AgentForbidden,
    AgentResult,
    GenesysUnavailable,
    RefusalReason,
    TokenRefused,
)
from policy_server.simulator.genesys import DIVISION, ORGANIZATION, Seen, User
from tests.genesys.asking import MARIA, OTHER_TOKEN, TOKEN, Genesys, run

ELSEWHERE = "99999999-0000-4000-8000-000000000000"


def test_an_agent(genesys: Genesys) -> None:
    """A good token gives the agent, asked for once, with organisation and authorisation expanded."""
    assert genesys.agent() == Agent(MARIA.id, "Maria Silva", ORGANIZATION, DIVISION, hash_token(TOKEN))
    assert genesys.stand_in.requests == [Seen("/api/v2/users/me?expand=organization,authorization", TOKEN, "")]


@pytest.mark.parametrize(
    ("user", "divisions", "expected"),
    [
        pytest.param(MARIA, [DIVISION], None, id="division listed"),
        pytest.param(MARIA, [ELSEWHERE, DIVISION.upper()], None, id="one of several, in capitals"),
        pytest.param(replace(MARIA, division_id=DIVISION.upper()), [DIVISION], None, id="Genesys writes capitals"),
        pytest.param(MARIA, [ELSEWHERE], AgentForbidden("division"), id="division not listed"),
        pytest.param(
            replace(MARIA, organization_id=ELSEWHERE), [], AgentForbidden("organization"), id="foreign organisation"
        ),
        pytest.param(
            replace(MARIA, organization_id=ELSEWHERE),
            [DIVISION],
            AgentForbidden("organization"),
            id="foreign organisation with our division",
        ),
        pytest.param(replace(MARIA, state="inactive"), [], AgentForbidden("inactive"), id="inactive"),
        pytest.param(replace(MARIA, state="deleted"), [], AgentForbidden("inactive"), id="deleted"),
        pytest.param(replace(MARIA, state=""), [], AgentForbidden("inactive"), id="no state"),
        pytest.param(replace(MARIA, kind="unscoped"), [], AgentForbidden("permission"), id="403"),
        pytest.param(replace(MARIA, kind="client"), [], TokenRefused("no_user"), id="token without a user"),
    ],
)
def test_who_is_let_in(genesys: Genesys, user: User, divisions: list[str], expected: AgentResult | None) -> None:
    """Organisation, division and state decide; each refusal says which."""
    genesys.stand_in.users[TOKEN] = user
    answer = genesys.agent(divisions=divisions)
    if expected is None:
        assert isinstance(answer, Agent)
    else:
        assert answer == expected


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(400, "no_user", id="400"),
        pytest.param(401, "rejected", id="401"),
        pytest.param(404, "no_user", id="404"),
    ],
)
def test_refused_tokens(genesys: Genesys, status: int, reason: RefusalReason) -> None:
    """These statuses mean that the token stands for nobody, whatever the body is."""
    genesys.stand_in.trouble(status=status, body="<html>no</html>")
    assert genesys.agent() == TokenRefused(reason)


def test_an_unknown_token(genesys: Genesys) -> None:
    """A token that Genesys does not know is refused."""
    assert genesys.agent(OTHER_TOKEN) == TokenRefused("rejected")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("two words", id="space"),
        pytest.param(f"{TOKEN}\r\nX-Evil: 1", id="line break"),
        pytest.param(f"{TOKEN}\n", id="line break at the end"),
        pytest.param("tökén", id="not ASCII"),
        pytest.param("\udcff", id="bytes that are no text"),
        pytest.param("a" * 5000, id="too long"),
        pytest.param("=", id="padding alone"),
    ],
)
def test_what_is_no_token(genesys: Genesys, token: str) -> None:
    """What cannot be a token is refused without asking Genesys."""
    assert genesys.agent(token) == TokenRefused("malformed")
    assert genesys.paths == []


LEFT_OUT: Final = object()


def body(**changes: object) -> str:
    """The least that a good answer can hold, with changes."""
    fields = {"id": MARIA.id, "state": "active", "organization": {"id": ORGANIZATION}, "division": {"id": DIVISION}}
    return json.dumps({name: value for name, value in {**fields, **changes}.items() if value is not LEFT_OUT})


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        pytest.param(body(), None, id="the least there can be"),
        pytest.param(body(name=None, new=[{}]), None, id="null, and a field nobody knows"),
        pytest.param(body(organization=LEFT_OUT), AgentForbidden("organization"), id="organisation left out"),
        pytest.param(body(organization=None), AgentForbidden("organization"), id="organisation null"),
        pytest.param(body(division=LEFT_OUT), AgentForbidden("division"), id="division left out"),
        pytest.param(body(state=LEFT_OUT), AgentForbidden("inactive"), id="state left out"),
        pytest.param(body(state="ACTIVE"), AgentForbidden("inactive"), id="another state"),
    ],
)
def test_what_an_answer_leaves_out(genesys: Genesys, answered: str, expected: AgentResult | None) -> None:
    """What the answer leaves out counts against the agent; what it has beyond does not matter."""
    genesys.stand_in.trouble(body=answered)
    answer = genesys.agent(divisions=[DIVISION])
    assert answer == expected if expected else isinstance(answer, Agent)


@pytest.mark.parametrize(
    "answered",
    [
        pytest.param("", id="empty"),
        pytest.param(body()[:-1], id="cut"),
        pytest.param("<html>log in to the wireless network</html>", id="a page"),
        pytest.param("[]", id="a list"),
        pytest.param("null", id="null"),
        pytest.param(body(id=LEFT_OUT), id="no id"),
        pytest.param(body(id=7), id="id is a number"),
        pytest.param(body(id=""), id="id is empty"),
        pytest.param(body(id="x y"), id="id has a space"),
        pytest.param(body(organization=ORGANIZATION), id="organisation a text"),
        pytest.param(body(state=True), id="state is a truth value"),
        pytest.param(body(name="\ud800"), id="half a character, escaped"),
        pytest.param(body(name="?").replace("?", "\ud800"), id="half a character"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_malformed_answers(genesys: Genesys, answered: str) -> None:
    """A 200 that is not what Genesys sends lets nobody in."""
    genesys.stand_in.trouble(body=answered)
    assert genesys.agent() == GenesysUnavailable(5, "malformed")


def test_names_for_display(genesys: Genesys) -> None:
    """A name loses control characters and has an end."""
    genesys.stand_in.users[TOKEN] = replace(MARIA, name=" Zoë\x00\x1b[31m\u202e  \n Åkesson " + "x" * 1000)
    answer = genesys.agent()
    assert isinstance(answer, Agent)
    assert answer.name.startswith("Zoë [31m Åkesson xxx")
    assert len(answer.name) == 250


def test_cookies_are_not_kept(genesys: Genesys) -> None:
    """A cookie that came with one agent's answer does not go out with another agent's token."""
    genesys.stand_in.users[OTHER_TOKEN] = User("Somebody Else")

    async def ask_twice() -> tuple[Any, Any]:
        async with genesys.client() as client:
            return await client.agent(TOKEN, 0.0), await client.agent(OTHER_TOKEN, 0.0)

    first, second = run(ask_twice())
    assert (first.name, second.name) == ("Maria Silva", "Somebody Else")
    assert [seen.cookie for seen in genesys.stand_in.requests] == ["", ""]

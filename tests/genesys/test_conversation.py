"""Is this agent on that conversation, and who called: read from the conversation as Genesys gives it."""

from dataclasses import replace
from typing import Any

import pytest

from policy_server.genesys.client import hash_token
from policy_server.genesys.results import (
    Agent,
    AgentForbidden,
    Binding,
    GenesysUnavailable,
    InvalidConversationId,
    NoSuchConversation,
    TokenRefused,
)
from policy_server.simulator.genesys import DIVISION, ORGANIZATION, Json, participant
from tests.genesys.asking import CONVERSATION, MARIA, OTHER_TOKEN, SESSION, TOKEN, Genesys, run

AGENT = Agent(MARIA.id, MARIA.name, ORGANIZATION, DIVISION, hash_token(TOKEN))
CUSTOMER = participant("customer", aniName=SESSION, ani="sip:99@example.com")
OWN = participant("agent", userId=MARIA.id)
OTHER = participant("agent", userId="aaaaaaaa-0000-4000-8000-000000000001")
LEFT = participant("agent", "disconnected", userId=MARIA.id, endTime="2026-01-15T10:05:00Z")
QUEUE = participant("acd", "disconnected")


def test_an_agent_on_the_conversation(genesys: Genesys) -> None:
    """An agent whose call is connected is bound to the caller's name; the agent is asked for first."""
    binding = genesys.conversation(CUSTOMER, participant("ivr", "terminated"), QUEUE, OWN)
    seen = ("customer (connected)", "ivr (terminated)", "acd (disconnected)", "agent (connected, this agent)")
    assert binding == Binding(CONVERSATION, AGENT, True, True, SESSION, "sip:99@example.com", seen)
    assert genesys.paths == [
        "/api/v2/users/me?expand=organization,authorization",
        f"/api/v2/conversations/{CONVERSATION}",
    ]


@pytest.mark.parametrize(
    ("people", "connected", "listed"),
    [
        pytest.param([OWN], True, True, id="connected"),
        pytest.param([participant("agent", userId=MARIA.id.upper())], True, True, id="id in capitals"),
        pytest.param([OTHER, OWN], True, True, id="a second agent"),
        pytest.param([OWN, OTHER], True, True, id="a second agent behind"),
        pytest.param([OTHER], False, False, id="somebody else's"),
        pytest.param([QUEUE], False, False, id="still in the queue"),
        pytest.param([LEFT], False, True, id="left"),
        pytest.param([LEFT, OTHER], False, True, id="transferred to another agent"),
        pytest.param([LEFT, OTHER, OWN], True, True, id="transferred and back"),
        pytest.param([{**OWN, "endTime": "2026-01-15T10:05:00Z"}], False, True, id="ended, call said to be connected"),
        pytest.param([{**OWN, "endTime": None}], True, True, id="null for no end"),
        pytest.param([participant("agent", "alerting", userId=MARIA.id)], False, True, id="ringing"),
        pytest.param([{**OWN, "calls": []}], False, True, id="no call"),
        pytest.param([{**OWN, "calls": None}], False, True, id="null for calls"),
        pytest.param(
            [{**OWN, "calls": [{"state": "disconnected"}, {"state": "connected"}]}], True, True, id="second call"
        ),
        pytest.param([participant("user", userId=MARIA.id)], True, True, id="handed straight to a colleague"),
        pytest.param([participant("User", userId=MARIA.id)], True, True, id="a purpose in capitals"),
        pytest.param([LEFT, participant("user", userId=MARIA.id)], True, True, id="an agent, then as a colleague"),
        pytest.param(
            [participant("user", "alerting", userId=MARIA.id)], False, True, id="a colleague who is being rung"
        ),
        pytest.param([participant("user", userId=OTHER["userId"])], False, False, id="another colleague"),
        pytest.param([{**OWN, "calls": [{"state": "connected", "held": True}]}], True, True, id="on hold"),
        pytest.param([{**OWN, "calls": [], "state": "connected"}], True, True, id="connected, by itself"),
        pytest.param([{**OWN, "calls": None, "state": "alerting"}], False, True, id="ringing, by itself"),
        pytest.param([{**OWN, "calls": [{}], "state": "connected"}], True, True, id="connected, its call says nothing"),
        pytest.param(
            [{**OWN, "calls": [{"state": "disconnected"}], "state": "connected"}], False, True, id="its call is over"
        ),
        pytest.param(
            [{**OWN, "calls": [], "state": "connected", "endTime": "2026-01-15T10:05:00Z"}],
            False,
            True,
            id="ended, by itself",
        ),
        pytest.param([participant("external", userId=MARIA.id)], False, False, id="purpose external"),
        pytest.param([participant("customer", userId=MARIA.id)], False, False, id="purpose customer"),
        pytest.param([participant("agent")], False, False, id="an agent without a user"),
    ],
)
def test_who_is_on_it(genesys: Genesys, people: list[Json], connected: bool, listed: bool) -> None:
    """Only an own entry of purpose agent or user counts, and only without an end and with a connected call."""
    genesys.stand_in.users[TOKEN] = replace(MARIA, sees_all=True)
    binding = genesys.conversation(CUSTOMER, *people)
    assert isinstance(binding, Binding)
    assert (binding.agent_connected, binding.agent_listed) == (connected, listed)


@pytest.mark.parametrize(
    ("customers", "expected"),
    [
        pytest.param([CUSTOMER], SESSION, id="one"),
        pytest.param([], None, id="no customer"),
        pytest.param([participant("customer")], None, id="no name"),
        pytest.param([participant("customer", aniName=None)], None, id="null"),
        pytest.param([participant("customer", aniName="  ")], None, id="blank"),
        pytest.param([participant("customer", aniName=f" {SESSION} ")], SESSION, id="spaces around"),
        pytest.param([participant("customer"), CUSTOMER], SESSION, id="the second has it"),
        pytest.param([CUSTOMER, participant("customer", aniName="other")], SESSION, id="the first counts"),
        pytest.param([participant("external", aniName="other"), CUSTOMER], SESSION, id="a consultant before"),
        pytest.param([{**CUSTOMER, "endTime": "2026-01-15T10:05:00Z", "calls": []}], SESSION, id="hung up"),
    ],
)
def test_who_called(genesys: Genesys, customers: list[Json], expected: str | None) -> None:
    """The caller's name is that of the first customer who has one."""
    binding = genesys.conversation(OWN, *customers)
    assert isinstance(binding, Binding)
    assert binding.ani_name == expected


BY_ADDRESS = participant("customer", ani="sip:them@example.com")


@pytest.mark.parametrize(
    ("people", "name", "address"),
    [
        pytest.param([participant("external", aniName=SESSION)], SESSION, None, id="a direct number"),
        pytest.param(
            [participant("external", ani="tel:+1"), CUSTOMER], SESSION, "sip:99@example.com", id="a customer first"
        ),
        pytest.param([BY_ADDRESS], None, "sip:them@example.com", id="an address alone"),
        pytest.param([BY_ADDRESS, CUSTOMER], SESSION, "sip:99@example.com", id="a name before an address"),
        pytest.param(
            [BY_ADDRESS, participant("external", aniName="Bob")],
            None,
            "sip:them@example.com",
            id="a consultant with a name",
        ),
        pytest.param([participant("customer", aniName=" ", ani=" ")], None, None, id="blanks"),
        pytest.param([participant("ivr", aniName=SESSION)], None, None, id="somebody else"),
    ],
)
def test_whose_name_and_address_count(
    genesys: Genesys, people: list[Json], name: str | None, address: str | None
) -> None:
    """The caller is a customer, or else an external; both texts are of one participant."""
    binding = genesys.conversation(OWN, *people)
    assert isinstance(binding, Binding)
    assert (binding.ani_name, binding.ani) == (name, address)


@pytest.mark.parametrize(
    ("person", "shown"),
    [
        pytest.param(CUSTOMER, "customer (connected)", id="connected"),
        pytest.param(OTHER, "agent (connected)", id="another agent"),
        pytest.param(LEFT, "agent (ended, this agent)", id="this agent, gone"),
        pytest.param(
            {**OTHER, "calls": [{"state": "connected", "held": True}]}, "agent (connected, on hold)", id="on hold"
        ),
        pytest.param(
            {**OTHER, "calls": [{"state": "alerting"}, {"state": "disconnected"}]}, "agent (alerting)", id="ringing"
        ),
        pytest.param({**OTHER, "calls": []}, "agent (without a call)", id="no call"),
        pytest.param({"purpose": "voicemail", "state": "dialing"}, "voicemail (dialing)", id="a state of its own"),
        pytest.param({"purpose": "<b>", "state": "x y"}, "unknown (in an unknown state)", id="no codes"),
        pytest.param({}, "unknown (without a call)", id="nothing"),
    ],
)
def test_who_was_seen_is_told_without_names(genesys: Genesys, person: Json, shown: str) -> None:
    """Purpose and state of each participant, and which of them asks."""
    binding = genesys.conversation(OWN, person)
    assert isinstance(binding, Binding)
    assert binding.participants == ("agent (connected, this agent)", shown)


def test_of_many_participants_the_latest_are_told(genesys: Genesys) -> None:
    """A conversation that was passed on for hours does not make a page of a refusal."""
    binding = genesys.conversation(*[QUEUE] * 30, OWN)
    assert isinstance(binding, Binding)
    assert (len(binding.participants), binding.participants[-1]) == (20, "agent (connected, this agent)")


def test_a_conversation_of_somebody_else(genesys: Genesys) -> None:
    """A conversation that Genesys does not show to this agent is forbidden."""
    assert genesys.conversation(CUSTOMER, OTHER) == AgentForbidden("conversation")


def test_no_such_conversation(genesys: Genesys) -> None:
    """A conversation that Genesys does not know is a result of its own."""
    assert genesys.conversation() == NoSuchConversation(CONVERSATION)


@pytest.mark.parametrize(
    "identifier",
    [
        pytest.param("", id="empty"),
        pytest.param("x", id="a letter"),
        pytest.param(CONVERSATION.replace("-", ""), id="no dashes"),
        pytest.param(f"{{{CONVERSATION}}}", id="braces"),
        pytest.param(f"urn:uuid:{CONVERSATION}", id="URN"),
        pytest.param(f"{CONVERSATION}\n", id="line break"),
        pytest.param(f"{CONVERSATION}/participants", id="further path"),
        pytest.param(f"../users/{CONVERSATION}", id="another path"),
        pytest.param("٣" * 8 + CONVERSATION[8:], id="digits of another script"),
    ],
)
def test_ids_that_are_none(genesys: Genesys, identifier: str) -> None:
    """What is no UUID is refused without asking Genesys anything."""
    assert genesys.conversation(OWN, identifier=identifier) == InvalidConversationId()
    assert genesys.paths == []


def test_an_id_in_capitals(genesys: Genesys) -> None:
    """A UUID in capitals is the same conversation."""
    assert isinstance(genesys.conversation(OWN, identifier=CONVERSATION.upper()), Binding)


def test_an_agent_who_is_not_let_in(genesys: Genesys) -> None:
    """Without an agent the conversation is not asked for."""
    assert genesys.conversation(OWN, token=OTHER_TOKEN) == TokenRefused("rejected")
    assert len(genesys.paths) == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("{}", id="empty"),
        pytest.param(f'{{"id":"{CONVERSATION}"}}', id="no participants"),
        pytest.param(f'{{"id":"{CONVERSATION}","participants":{{}}}}', id="participants are no list"),
        pytest.param(f'{{"id":"{CONVERSATION}","participants":[1]}}', id="a participant is a number"),
        pytest.param(f'{{"id":"{CONVERSATION}","participants":[{{"aniName":7}}]}}', id="a name is a number"),
        pytest.param(f'{{"id":"{MARIA.id}","participants":[]}}', id="another conversation"),
    ],
)
def test_malformed_conversations(genesys: Genesys, body: str) -> None:
    """A 200 that is not this conversation binds nobody."""
    assert after_the_agent(genesys, body=body) == GenesysUnavailable(5, "malformed")


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        pytest.param(400, {}, NoSuchConversation(CONVERSATION), id="400"),
        pytest.param(401, {}, TokenRefused("rejected"), id="401"),
        pytest.param(403, {}, AgentForbidden("conversation"), id="403"),
        pytest.param(404, {}, NoSuchConversation(CONVERSATION), id="404"),
        pytest.param(429, {"retry-after": "7"}, GenesysUnavailable(7, "rate_limited"), id="429"),
        pytest.param(500, {}, GenesysUnavailable(5, "status"), id="500"),
    ],
)
def test_statuses(genesys: Genesys, status: int, headers: dict[str, str], expected: object) -> None:
    """What a conversation's status means once the agent is known."""
    assert after_the_agent(genesys, status=status, headers=headers) == expected


def test_a_token_that_ended(genesys: Genesys) -> None:
    """A 401 on a conversation makes the agent unknown at once, whatever was remembered."""

    async def work() -> None:
        async with genesys.client() as client:
            assert isinstance(await client.agent(TOKEN, 0.0), Agent)
            del genesys.stand_in.users[TOKEN]
            assert await client.conversation(TOKEN, CONVERSATION, 1.0) == TokenRefused("rejected")
            assert await client.agent(TOKEN, 2.0) == TokenRefused("rejected")

    run(work())
    assert len(genesys.paths) == 2


def after_the_agent(genesys: Genesys, **trouble: Any) -> object:
    """The answer about a conversation when there is trouble after the agent was found."""

    async def work() -> object:
        async with genesys.client() as client:
            await client.agent(TOKEN, 0.0)
            genesys.stand_in.trouble(**trouble)
            return await client.conversation(TOKEN, CONVERSATION, 0.0)

    return run(work())

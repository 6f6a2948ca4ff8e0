"""The stand-in of the benchmarks answers what the simulator's does, as far as a server can tell."""

from policy_server.genesys.client import GenesysClient
from policy_server.genesys.results import Agent, Binding, ConversationResult, NoSuchConversation, TokenRefused
from policy_server.simulator.genesys import StandIn, User
from tests.benchmarks.genesys import GenesysCloud
from tests.genesys.asking import run, tenant

TOKEN = "a-token"
OTHERS = "the-token-of-a-stranger"
USER = User("Agent 1")
UNKNOWN = "c3b1f6de-8f0b-4c5e-9a77-2f4f0c1d5e90"


async def _ask(url: str, conversation: str) -> list[object]:
    """What a client makes of an agent, a stranger, the agent's conversation and one that does not exist."""
    async with GenesysClient(tenant(url)) as client:
        return [
            await client.agent(TOKEN, 0.0),
            await client.agent(OTHERS, 0.0),
            _fixed(await client.conversation(TOKEN, conversation, 0.0)),
            await client.conversation(TOKEN, UNKNOWN, 0.0),
        ]


def _fixed(result: ConversationResult) -> object:
    """Without its id, which is another each time."""
    assert isinstance(result, Binding)
    return result.agent, result.ani_name, result.dialled, result.agent_connected


def test_answers_as_the_simulator_does() -> None:
    """Agents, strangers and conversations are told apart alike."""

    async def cheap() -> list[object]:
        genesys = GenesysCloud({TOKEN: USER})
        async with genesys.serving() as url:
            return await _ask(url, genesys.connect("Ada", "+13129998045", TOKEN))

    stand_in = StandIn()
    stand_in.users[TOKEN] = USER
    with stand_in.serving() as url:
        expected = run(_ask(url, stand_in.connect("Ada", "+13129998045", USER)))
    found = run(cheap())
    assert found == expected
    assert [type(one) for one in found] == [Agent, TokenRefused, tuple, NoSuchConversation]

"""Genesys Cloud for a widget in a browser: agents who sign in, notification channels, and CORS for its pages."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from policy_server.lab.genesys.channels import Channel, Channels
from policy_server.lab.genesys.oauth import SignIn, WidgetCors
from policy_server.simulator.genesys import StandIn, User, json_answer, json_error

AGENTS: Final[Mapping[str, User]] = {
    "maria": User("Maria Silva", id="8f3c1c52-58a5-4b7d-9a6e-0d4e2f7b9c11"),
    "tom": User("Tom Becker", id="2c7f0f3e-6b1d-4d52-8f0a-5a9c3e1b7d24"),
    "aiko": User("Aiko Tanaka", id="b45d9a10-93c8-4f6e-a1d7-7e2f8c6b0a35"),
}
"""Three agents of one organisation and division, by the words that commands and addresses call them by."""

HEARTBEAT_SECONDS: Final = 30.0
"""About how often Genesys Cloud sends one (genesys/README.md: Notifications)."""

CHANNEL_LIFE: Final = timedelta(hours=24)


class GenesysCloud(StandIn):
    """The stand-in with all that a widget needs: agents who sign in by PKCE, notifications, CORS for its pages.

    A widget's client and redirect URI have to be registered with ``sign_in``; its origin is let in with that.
    """

    def __init__(self, agents: Mapping[str, User] = AGENTS, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        super().__init__()
        self.agents: Final = dict(agents)
        self.sign_in: Final = SignIn({agent: user.name for agent, user in agents.items()}, self._issue)
        self.channels: Final = Channels(heartbeat_seconds)
        channels = "/api/v2/notifications/channels"
        self.app.router.routes += [
            *self.sign_in.routes,
            Route(channels, self._open_channel, methods=["POST"]),
            Route(channels + "/{id}/subscriptions", self._subscribe, methods=["POST", "PUT"]),
            WebSocketRoute("/channels/{id}", self.channels.serve),
        ]
        self.app.add_middleware(WidgetCors, sign_in=self.sign_in)

    def agent(self, agent: str) -> User:
        """An agent by word. Raises LookupError."""
        if agent not in self.agents:
            raise LookupError(f"there is no agent {agent!r}; the agents are {', '.join(self.agents)}")
        return self.agents[agent]

    def reset(self) -> None:
        """Forgets everything but agents and clients; sockets are closed."""
        super().reset()
        self.channels.reset()

    def expire_token(self, agent: str) -> None:
        """Ends all tokens of an agent, who has to sign in again."""
        user = self.agent(agent)
        for token in [token for token, owner in self.users.items() if owner.id == user.id]:
            del self.users[token]

    def deaf_channel(self, agent: str, deaf: bool = True) -> None:
        """An agent's channels, later ones too, stay open, send heartbeats and deliver nothing, until ``deaf=False``."""
        self.channels.deafen(self.agent(agent).id, deaf)

    def drop_channel(self, agent: str) -> None:
        """Closes an agent's WebSockets."""
        self.channels.drop(self.agent(agent).id)

    def _issue(self, agent: str, client_id: str) -> str:
        token = token_urlsafe(32)
        self.users[token], self.clients[token] = self.agents[agent], client_id
        return token

    async def _open_channel(self, request: Request) -> Response:
        user = await self._owner(request)
        if isinstance(user, Response):
            return user
        channel = self.channels.open(user.id)
        streaming = str(request.base_url.replace(scheme="wss" if request.url.scheme == "https" else "ws"))
        expires = (datetime.now(UTC) + CHANNEL_LIFE).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json_answer({"id": channel.id, "connectUri": f"{streaming}channels/{channel.id}", "expires": expires})

    async def _subscribe(self, request: Request) -> Response:
        user = await self._owner(request)
        if isinstance(user, Response):
            return user
        channel = self.channels.find(request.path_params["id"], user.id)
        if channel is None:
            return json_error(404, "not.found")
        try:
            topics = [str(topic["id"]) for topic in await request.json()]
        except (ValueError, TypeError, KeyError):
            return json_error(400, "bad.request")
        if not all(topic.startswith(f"v2.users.{user.id}.") for topic in topics):
            return json_error(403, "notification.topic.not.permitted")
        return json_answer({"entities": [{"id": topic} for topic in _put_topics(channel, topics, request.method)]})


def _put_topics(channel: Channel, topics: list[str], method: str) -> list[str]:
    """PUT replaces what was subscribed to, POST adds to it."""
    channel.topics = dict.fromkeys(topics if method == "PUT" else [*channel.topics, *topics])
    return list(channel.topics)

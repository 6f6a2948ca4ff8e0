"""Genesys Cloud for benchmarks: the answers of ``simulator.genesys``, as cheap as they can be made.

Hundreds of agents ask at once through the server that is measured, and must wait for that, not for this.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

from policy_server.simulator.genesys import DIVISION, ORGANIZATION, User, participant

_BEARER: Final = re.compile(rb"\r\nauthorization: *bearer +([^\r]+)", re.IGNORECASE)
_PATH: Final = re.compile(rb"GET /api/v2/(users|conversations)/([^ ?]+)")


class GenesysCloud:
    """Agents by their tokens, and conversations that they are on. Belongs to one event loop."""

    def __init__(self, agents: dict[str, User]) -> None:
        self.agents: Final = agents
        self._users: Final = {token.encode(): _described(user) for token, user in agents.items()}
        self._conversations: Final[dict[bytes, bytes]] = {}

    def connect(self, ani_name: str, dnis: str, token: str) -> str:
        """Makes the conversation of a caller with this name, who dialled this, and an agent; returns its id."""
        identifier = str(uuid4())
        people = [
            participant("customer", aniName=ani_name, dnis=dnis),
            participant("agent", userId=self.agents[token].id),
        ]
        answer = {"id": identifier, "startTime": "2026-01-15T10:02:11.120Z", "participants": people}
        self._conversations[identifier.encode()] = json.dumps(answer).encode()
        return identifier

    def answer(self, head: bytes) -> bytes:
        """The response to a request."""
        token, path = _BEARER.search(head), _PATH.match(head)
        user = self._users.get(token[1]) if token else None
        if user is None or path is None:
            return _response(b"401 Unauthorized" if user is None else b"404 Not Found", b"{}")
        body = user if path[1] == b"users" else self._conversations.get(path[2])
        return _response(b"404 Not Found", b"{}") if body is None else _response(b"200 OK", body)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serves on this loop; yields the address."""
        listener = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), "127.0.0.1", 0, backlog=1000
        )
        try:
            yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        finally:
            listener.close()


class _Connection(asyncio.Protocol):
    """One connection, kept alive; requests have no bodies."""

    def __init__(self, genesys: GenesysCloud) -> None:
        self._genesys: Final = genesys
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._received = (self._received + data).split(b"\r\n\r\n")
        assert self._transport is not None
        for head in heads:
            self._transport.write(self._genesys.answer(head))


def _described(user: User) -> bytes:
    answer = {
        "id": user.id,
        "name": user.name,
        "state": user.state,
        "division": {"id": DIVISION, "name": "Home"},
        "organization": {"id": ORGANIZATION, "name": "Example"},
        "authorization": {"roles": [], "permissions": ["conversation:call:view"]},
    }
    return json.dumps(answer).encode()


def _response(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)

"""One GET of the Genesys API on behalf of the owner of a token."""

from dataclasses import dataclass, field
from typing import Final

from policy_server.genesys.replies import code_or_nothing
from policy_server.outbound.exchange import CONNECTIONS, NoReply, seconds
from policy_server.outbound.exchange import Exchange as AnyExchange


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, whatever its status.

    ``retry_after`` is whole seconds, None if the answer has none. ``rate_reset`` is when Genesys counts requests anew,
    which answers without any trouble say too.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: int | None
    rate_reset: int | None
    correlation_id: str


class Exchange:
    """Sends requests to one API over connections that it keeps.

    The largest body that is read is above the 512,000 bytes at which Genesys itself stops (genesys/README.md: Access
    tokens).
    """

    def __init__(self, api: str, timeout: float, connections: int = CONNECTIONS) -> None:
        self._exchange: Final = AnyExchange(api, timeout, connections=connections)

    async def get(self, path: str, token: str) -> Reply | NoReply:
        """Asks for a path. Never raises for what the other side does."""
        reply = await self._exchange.send("GET", path, {"authorization": f"Bearer {token}"})
        if isinstance(reply, NoReply):
            return reply
        return Reply(
            reply.status,
            reply.body,
            reply.retry_after,
            seconds(reply.headers.get("inin-ratelimit-reset")),
            code_or_nothing(reply.headers.get("inin-correlation-id")),
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._exchange.close()

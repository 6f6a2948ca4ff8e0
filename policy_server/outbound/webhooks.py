"""Webhooks: how a message is signed and sent, as https://www.standardwebhooks.com says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from standardwebhooks import Webhook

from policy_server.outbound.exchange import Exchange, NoReply
from policy_server.outbound.receivers import Receiver

TIMEOUT: Final = 10.0
"""Seconds that a receiver has to answer."""

AT_ONCE: Final = 8
"""Requests to one receiver at a time, of one process."""

GONE: Final = 410
"""The status by which a receiver says that it wants nothing any more."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The receiver has taken it."""

    status: int


@dataclass(frozen=True, slots=True)
class Refused:
    """It has not, or nobody knows: ``reason`` is for people and quotes nothing of the message. ``pause`` is how many seconds
    it asked to be left alone for, and ``is_gone`` that it wants nothing any more.
    """

    reason: str
    pause: int | None = None
    is_gone: bool = False


class Sender:
    """Sends messages to one receiver, over connections that it keeps; follows no redirect."""

    def __init__(self, receiver: Receiver, timeout: float = TIMEOUT) -> None:
        self._signers: Final = [Webhook(key) for key in receiver.keys]
        self._exchange: Final = Exchange(receiver.url, timeout, connections=AT_ONCE)

    async def send(self, message: str, body: str, at: datetime) -> Taken | Refused:
        """Sends a message once. The same ``message`` (its id) and ``body`` may be sent again, each time as of that time."""
        headers = {
            "content-type": "application/json",
            "webhook-id": message,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signer.sign(message, at, body) for signer in self._signers),
        }
        reply = await self._exchange.send("POST", "", headers, body.encode())
        if isinstance(reply, NoReply):
            return Refused(reply.detail)
        if 200 <= reply.status < 300:
            return Taken(reply.status)
        reason = f"it answered {reply.status}"
        if 300 <= reply.status < 400:
            reason += ", and redirects are not followed: write the address that it leads to"
        return Refused(reason, reply.retry_after, is_gone=reply.status == GONE)

    async def close(self) -> None:
        """Closes the connections."""
        await self._exchange.close()

"""A Management Node at which somebody strikes at a chosen step."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from policy_server.lab.management.doors import Administrator
from policy_server.lab.management.node import ManagementNode
from policy_server.management.access import Account

ACCOUNT: Final = Account("policy", "password of the administrator")

LOOK: Final = "/status/v1/participant/"
DIAL: Final = "/participant/dial/"
DROP: Final = "/participant/disconnect/"
END: Final = "/conference/disconnect/"
MOVE: Final = "/participant/transfer/"

MOMENT: Final = 0.1


class Fate(Enum):
    """What becomes of a request at which somebody strikes."""

    LOST = auto()
    """Nothing is done."""
    UNANSWERED = auto()
    """It is done, and nobody is told so."""
    ANSWERED = auto()
    """It is done a moment later, and answered."""


@dataclass(frozen=True, slots=True)
class Strike:
    """At the first request of a path, ``hit`` is called with the number of the replica that asks, as soon as it is clear what
    will not be undone any more. ``after`` is the path of a request that must have come before, ``""`` for none.
    """

    path: str
    fate: Fate
    hit: Callable[[int], None] = lambda replica: None
    after: str = ""


class Manager(ManagementNode):
    """A Management Node. The next of ``strikes`` is for the next request of its path."""

    def __init__(self) -> None:
        super().__init__(Administrator(ACCOUNT.username, ACCOUNT.password))
        self.strikes: Sequence[Strike] = ()

    def door(self, replica: int) -> ASGIApp:
        """The way in for one replica, by which it is known."""

        async def door(scope: Scope, receive: Receive, send: Send) -> None:
            await self._let_in(replica, scope, receive, send)

        return door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, unless somebody strikes."""
        await self._let_in(0, scope, receive, send)

    async def _let_in(self, replica: int, scope: Scope, receive: Receive, send: Send) -> None:
        strike = self.strikes[0] if self.strikes else None
        if strike is None or scope["type"] != "http" or not self._is_for(scope["path"], strike):
            await super().__call__(scope, receive, send)
            return
        self.strikes = self.strikes[1:]
        if strike.fate is Fate.ANSWERED:
            strike.hit(replica)
            await asyncio.sleep(MOMENT)
            await super().__call__(scope, receive, send)
            return
        if strike.fate is Fate.UNANSWERED:
            await super().__call__(scope, receive, _swallow)
        strike.hit(replica)
        # More is promised than comes, so the connection is cut.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})

    def _is_for(self, path: str, strike: Strike) -> bool:
        is_due = not strike.after or any(asked.path.endswith(strike.after) for asked in self.requests)
        return path.endswith(strike.path) and is_due


async def _swallow(_: Message) -> None:
    pass

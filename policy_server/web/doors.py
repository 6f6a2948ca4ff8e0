"""The way in: who asks, whether the path is one that can be asked, and whether it is a policy question.

A proxy that lets only some paths through decides by the path as it reads it, and may pass on the path as it was written.
So that both always mean the same, a path with ``.`` or ``..`` among its segments, or with anything encoded in its first
segment, leads nowhere.
"""

from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

from policy_server.pexip.request_types import ROOT, below_root
from policy_server.web.callers import Proxies
from policy_server.web.headers import with_safe_headers
from policy_server.web.problem import ProblemResponse
from policy_server.web.refusals import Refusals

_CLIMBING: Final = frozenset({b".", b".."})
_DOT, _PERCENT = b".%"


def nothing_here() -> ProblemResponse:
    """The answer to a path that there is not."""
    return ProblemResponse(404, "not-found", "There is nothing here")


def is_plain(raw_path: bytes) -> bool:
    """Whether every proxy on the way understands a raw path as this server does."""
    if _DOT not in raw_path and _PERCENT not in raw_path:
        return True
    if _PERCENT in raw_path.lstrip(b"/").partition(b"/")[0]:
        return False
    return _CLIMBING.isdisjoint(unquote_to_bytes(raw_path).split(b"/"))


class Doors:
    """What lies behind one listener: policy questions, unless it takes none, and all else.

    ``refusals`` notes connections that are refused before anything can be asked.
    """

    def __init__(
        self, policy: ASGIApp | None, others: ASGIApp, prefix: str, proxies: Proxies, refusals: Refusals
    ) -> None:
        self._policy: Final = policy
        self._others: Final = others
        self._prefix: Final = prefix.encode()
        self.proxies: Final = proxies
        self.refusals: Final = refusals

    def is_question(self, raw_path: bytes) -> bool:
        """Whether a path is the policy endpoint's to answer."""
        if self._policy is None:
            return False
        return raw_path.startswith(ROOT) or below_root(raw_path, self._prefix) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request, or the lifespan, on."""
        if scope["type"] == "http":
            self.proxies.see_through(scope)
            path = scope.get("raw_path") or scope["path"].encode()
            is_known = is_plain(path)
            # The plain endpoint, before all others.
            if is_known and self._policy is not None and self.is_question(path):
                await self._policy(scope, receive, send)
                return
            send = with_safe_headers(scope, send)
            if not is_known:
                await nothing_here()(scope, receive, send)
                return
        await self._others(scope, receive, send)

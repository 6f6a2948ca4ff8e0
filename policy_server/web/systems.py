"""The door of the organisation's own systems: who comes with an API key is let in, and told what any of them may be told."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.web.api_keys import ApiKeys
from policy_server.web.problem import ProblemResponse, Refused
from policy_server.web.refusals import Door, Refusals

RETRY_SECONDS: Final = 5
"""What ``Retry-After`` says when the database is away."""

NO_STORE: Final = {"cache-control": "no-store"}

_CHALLENGE: Final = 'Bearer realm="policy-server"'


class SystemsDoor:
    """Lets requests in that have a key, and answers the others."""

    def __init__(self, api_keys: ApiKeys, refusals: Refusals | None = None) -> None:
        self._keys: Final = api_keys
        self._refusals: Final = refusals or Refusals(Door.API)

    async def answer(self, request: Request, work: Callable[[Request, str], Awaitable[Response]]) -> Response:
        """What ``work`` answers, which is given the name of the key; or a problem."""
        given = request.headers.get("authorization")
        caller = self._keys.name_of(None if given is None else given.encode("latin-1"))
        if caller is None:
            return await self._refuse(request, given is not None)
        try:
            return await work(request, caller)
        except Refused as refused:
            return refused.problem
        except StoreUnavailableError:
            detail = "the database cannot be reached; try again, with the same Idempotency-Key if you sent one"
            headers = {"retry-after": str(RETRY_SECONDS), **NO_STORE}
            return ProblemResponse(503, "store-unavailable", "The database is away at the moment", detail, headers)

    async def _refuse(self, request: Request, with_credentials: bool) -> Response:
        reason = "wrong API key" if with_credentials else "no API key"
        answer = await self._refusals.refuse(request.scope, reason, is_guess=with_credentials)
        if answer is not None:
            return answer
        challenge = f'{_CHALLENGE}, error="invalid_token"' if with_credentials else _CHALLENGE
        detail = "send Authorization: Bearer <API key>" if self._keys else "no API keys are set in POLICY_API_KEYS"
        return ProblemResponse(401, "unauthorized", "Wrong or no API key", detail, {"www-authenticate": challenge})

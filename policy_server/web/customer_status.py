"""For the organisation's own page: how the customer's call goes, by the session in their link."""

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from policy_server.conferences.customer_status import CustomerStatuses
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.web.admission import Admission
from policy_server.web.problem import ProblemResponse, Refused
from policy_server.web.systems import NO_STORE, RETRY_SECONDS

_HEADERS: Final = {**NO_STORE, "referrer-policy": "no-referrer", "x-content-type-options": "nosniff"}


class CustomerStatusEndpoint:
    """``/join/{session}/status``. Pages of other origins cannot read it: their server asks, or a proxy joins the two."""

    def __init__(self, statuses: CustomerStatuses, admission: Admission | None = None) -> None:
        self._statuses: Final = statuses
        self._admission: Final = admission or Admission()

    def routes(self) -> list[Route]:
        """The routes, for the application; they go before those of the link's page, which takes every path."""
        return [Route("/{join:join}/{session}/status", self.status, methods=["GET"])]

    async def status(self, request: Request) -> Response:
        """Says how the call goes, in a word."""
        try:
            async with self._admission:
                status = await self._statuses.of(request.path_params["session"])
        except Refused as refused:
            return refused.problem
        except StoreUnavailableError:
            headers = {"retry-after": str(RETRY_SECONDS), **_HEADERS}
            return ProblemResponse(503, "store-unavailable", "The database is away at the moment", "try again", headers)
        if status is None:
            return ProblemResponse(404, "unknown-link", "There is no such link", headers=_HEADERS)
        return JSONResponse({"status": status.value}, headers=_HEADERS)

"""For the organisation's own systems: find calls, and look at what became of one."""

from collections.abc import Callable
from typing import Annotated, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import TypedDict

from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.search import CallSummary, ConferenceSearch, SearchError, read_wanted
from policy_server.conferences.shapes import means
from policy_server.conferences.tables import NAME_LENGTH
from policy_server.web.admission import Admission
from policy_server.web.api_keys import ApiKeys
from policy_server.web.problem import ProblemResponse, Refused
from policy_server.web.refusals import Refusals
from policy_server.web.systems import NO_STORE, SystemsDoor

PATH: Final = "/api/v1/conferences"


class CallPage(TypedDict):
    """Calls, the latest first."""

    conferences: list[CallSummary]
    next: Annotated[
        str | None,
        means("The `cursor` of the next page, which may be there although this one is short; `null` at the end.", None),
    ]


class ConferenceEndpoints:
    """``/api/v1/conferences`` and ``/api/v1/conferences/{id}``. Keys for their own links see the calls of those alone."""

    def __init__(
        self,
        lookup: ConferenceLookup,
        api_keys: ApiKeys,
        refusals: Refusals | None = None,
        audit: Callable[..., None] = lambda *_, **__: None,
        admission: Admission | None = None,
    ) -> None:
        self._search: Final = ConferenceSearch(lookup)
        self._own: Final = api_keys.own
        self._door: Final = SystemsDoor(api_keys, refusals)
        self._audit: Final = audit
        self._admission: Final = admission or Admission()

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route(PATH, self.conferences, methods=["GET"]),
            Route(f"{PATH}/{{id}}", self.conference, methods=["GET"]),
        ]

    async def conferences(self, request: Request) -> Response:
        """Finds calls."""
        return await self._door.answer(request, self._find)

    async def conference(self, request: Request) -> Response:
        """Shows one."""
        return await self._door.answer(request, self._show)

    async def _find(self, request: Request, caller: str) -> Response:
        try:
            wanted = read_wanted(request.query_params.multi_items(), self._made_by(caller))
        except SearchError as error:
            problem = ProblemResponse(422, "invalid-search", "The question cannot be understood", str(error), NO_STORE)
            raise Refused(problem) from None
        async with self._admission:
            found = await self._search.find(wanted)
        self._audit("conferences.found", by=caller, count=str(len(found.calls)))
        content: CallPage = {"conferences": found.calls, "next": found.next}
        return JSONResponse(content, headers=NO_STORE)

    async def _show(self, request: Request, caller: str) -> Response:
        call_id = request.path_params["id"]
        async with self._admission:
            usable = 0 < len(call_id) <= NAME_LENGTH
            answer = await self._search.show(call_id, self._made_by(caller)) if usable else None
        if answer is None:
            return ProblemResponse(404, "unknown-conference", "There is no such conference", headers=NO_STORE)
        self._audit("conference.read", by=caller, call=answer["call"] or answer["name"])
        return JSONResponse(answer, headers=NO_STORE)

    def _made_by(self, caller: str) -> str | None:
        return caller if caller in self._own else None

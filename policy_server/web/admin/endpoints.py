"""The pages Rules and Try a call."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from policy_server.policy.upstreams import Upstream
from policy_server.rulefiles.store import RuleStore
from policy_server.telephony.trunks import Load
from policy_server.upstreams.client import UpstreamState
from policy_server.web.admin.door import HEADERS, ROOT, AdminDoor, cross_site_refusal, read_body
from policy_server.web.admin.hits import HITS, added_up
from policy_server.web.admin.rules_page import LONGEST_FILTER, ON_A_PAGE, Wanted, rules_page
from policy_server.web.admin.siblings import Siblings
from policy_server.web.admin.trunks import LEGS, last_of_all, loads, trunk_rows
from policy_server.web.admin.try_page import Tries
from policy_server.web.problem import ProblemResponse, Refused

FORM: Final = "application/x-www-form-urlencoded"
FORM_LIMIT: Final = 65_536
"""Bytes of a form that are read."""

FURTHEST: Final = 1_000_000
"""The highest number of a rule that a page can begin with."""


class AdminEndpoints:
    """What the rules are, and what they would answer."""

    def __init__(
        self,
        door: AdminDoor,
        rules: RuleStore,
        siblings: Siblings,
        tries: Tries,
        upstreams: Callable[[Mapping[str, Upstream]], list[UpstreamState]],
        load: Callable[[str, datetime], Load],
        clock: Callable[[], datetime],
    ) -> None:
        self._door: Final = door
        self._rules: Final = rules
        self._siblings: Final = siblings
        self._tries: Final = tries
        self._upstreams: Final = upstreams
        self._load: Final = load
        self._clock: Final = clock

    def routes(self) -> list[Route]:
        """The routes, for the door."""
        return [
            Route(ROOT + "/rules", self.rules),
            Route(ROOT + "/try", self.try_call, methods=["GET", "POST"]),
        ]

    async def rules(self, request: Request) -> Response:
        """The rules that run, and what they did."""
        query = request.query_params
        start = query.get("from", "")
        wanted = Wanted(
            query.get("q", "").strip().lower()[:LONGEST_FILTER],
            min(int(start), FURTHEST) if start.isdecimal() and start.isascii() and len(start) < 10 else 0,
        )

        async def page() -> Response:
            heard, legs = await self._siblings.ask(HITS), await self._siblings.ask(LEGS)
            ruleset, now = self._rules.ruleset, self._clock()
            # Of what is counted on this loop.
            through = loads(ruleset, lambda alias: self._load(alias, now), ON_A_PAGE)

            def values() -> Mapping[str, Any]:
                of_all = {"processes": len(heard.answers), "silent": heard.silent}
                found = added_up(heard.answers)
                trunks = trunk_rows(ruleset, through, last_of_all(legs.answers))
                return of_all | rules_page(self._rules, found, self._upstreams, trunks, wanted, now)

            return await self._door.page("rules.html", "Rules", values)

        return await self._door.answer(request, page)

    async def try_call(self, request: Request) -> Response:
        """What the server would answer to a question, and why. The question is in the URL; one that is posted is put there,
        without what opens doors.
        """
        return await self._door.answer(request, lambda: self._try(request))

    async def _try(self, request: Request) -> Response:
        if refusal := cross_site_refusal(request):
            return refusal
        found = (
            await run_sync(self._tries.asked, await read_form(request))
            if request.method == "POST"
            else await self._tries.explain(request.query_params.multi_items())
        )
        if isinstance(found, str):
            return RedirectResponse(f"try?{found}#result", 303, HEADERS)
        return await self._door.page("try.html", "Try a call", found)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, of one that is there twice the first. Raises Refused for one that is none, or too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refused(ProblemResponse(415, "unsupported-media-type", "This is no form", f"send {FORM}"))
    too_large = ProblemResponse(413, "too-large", "Too much text", f"at most {FORM_LIMIT} bytes are read")
    body = await read_body(request, FORM_LIMIT, too_large)
    fields: dict[str, str] = {}
    for name, value in parse_qsl(body.decode("utf-8", "replace"), errors="replace"):
        fields.setdefault(name, value)
    return fields

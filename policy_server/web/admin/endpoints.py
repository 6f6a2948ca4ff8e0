"""``/admin/``: who may see the pages, what a browser may do with them, and how they are made.

What a page costs is taken from no call: few are made at a time, in threads that give way, and everything on one is bounded.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

from anyio.to_thread import run_sync
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from policy_server.policy.upstreams import Upstream
from policy_server.rulefiles.store import RuleStore
from policy_server.upstreams.client import UpstreamState
from policy_server.web.admin.hits import RuleHits
from policy_server.web.admin.rules_page import LONGEST_FILTER, Wanted, rules_page
from policy_server.web.admission import Admission
from policy_server.web.basic import BasicAuthentication
from policy_server.web.doors import nothing_here
from policy_server.web.problem import Refused
from policy_server.web.refusals import Refusals

ROOT: Final = "/admin"

PAGES_AT_ONCE: Final = 2
"""Pages that are made at a time."""

FURTHEST: Final = 1_000_000
"""The highest number of a rule that a page can begin with."""

PAGES: Final = (("rules", "Rules"),)
"""The pages that there are, in the order in which they are shown, by their paths below ``/admin/``."""

_ASSETS: Final = {"admin.css": "text/css; charset=utf-8"}

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}


class AdminEndpoints:
    """The pages. ``several`` processes answer, each with counts of its own."""

    def __init__(
        self,
        rules: RuleStore,
        hits: RuleHits,
        upstreams: Callable[[Mapping[str, Upstream]], list[UpstreamState]],
        authentication: BasicAuthentication | None,
        refusals: Refusals,
        admission: Admission,
        clock: Callable[[], datetime],
        *,
        several: bool = False,
    ) -> None:
        self._rules: Final = rules
        self._hits: Final = hits
        self._upstreams: Final = upstreams
        self._authentication: Final = authentication
        self._clock: Final = clock
        self._refusals: Final = refusals
        self._admission: Final = admission
        self._several: Final = several
        self._templates: Final = _templates()

    def routes(self) -> list[Route]:
        """The routes, for the application; none while nobody is let in."""
        if self._authentication is None:
            return []
        return [
            Route(ROOT, self.front),
            Route(ROOT + "/", self.front),
            Route(ROOT + "/rules", self.rules),
            Route(ROOT + "/assets/{name}", self.asset),
        ]

    async def front(self, request: Request) -> Response:
        """Leads to the first page, wherever below a proxy this is."""
        if refusal := await self._refusal(request):
            return refusal
        beside = "" if request.url.path.endswith("/") else "admin/"
        return RedirectResponse(beside + PAGES[0][0], 303, _HEADERS)

    async def rules(self, request: Request) -> Response:
        """The rules that run, and what they did."""
        query = request.query_params
        start = query.get("from", "")
        wanted = Wanted(
            query.get("q", "").strip().lower()[:LONGEST_FILTER],
            min(int(start), FURTHEST) if start.isdecimal() and start.isascii() and len(start) < 10 else 0,
        )
        return await self._page(
            request,
            "rules.html",
            "Rules",
            lambda: rules_page(self._rules, self._hits, self._upstreams, wanted, self._clock()),
        )

    async def asset(self, request: Request) -> Response:
        """What pages are dressed with."""
        if refusal := await self._refusal(request):
            return refusal
        name = request.path_params["name"]
        if name not in _ASSETS:
            return nothing_here()
        return Response(files(__package__).joinpath("assets", name).read_bytes(), 200, _HEADERS, _ASSETS[name])

    async def _page(
        self, request: Request, template: str, title: str, values: Callable[[], Mapping[str, Any]]
    ) -> Response:
        if refusal := await self._refusal(request):
            return refusal

        def make() -> str:
            return self._templates.get_template(template).render(
                title=title, pages=PAGES, several=self._several, **values()
            )

        try:
            async with self._admission:
                return HTMLResponse(await run_sync(make), 200, _HEADERS)
        except Refused as refused:
            return refused.problem

    async def _refusal(self, request: Request) -> Response | None:
        if self._authentication is None:
            return nothing_here()
        if self._authentication.accepts(request.scope["headers"]):
            return None
        return await self._authentication.refuse(self._refusals, request.scope)


def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["at"] = _at
    return made


def _at(moment: datetime | str) -> Markup:
    """A time as people read it, in UTC."""
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    text = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), text)

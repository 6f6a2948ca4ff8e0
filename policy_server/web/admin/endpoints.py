"""``/admin/``: who may see the pages, what a browser may do with them, and how they are made.

What a page costs is taken from no call: few are made at a time, in threads that give way, and everything on one is bounded.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

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
from policy_server.web.admin.try_page import Tries
from policy_server.web.admission import Admission
from policy_server.web.basic import BasicAuthentication
from policy_server.web.doors import nothing_here
from policy_server.web.problem import ProblemResponse, Refused
from policy_server.web.refusals import Refusals

ROOT: Final = "/admin"

PAGES_AT_ONCE: Final = 2
"""Pages that are made at a time."""

FORM: Final = "application/x-www-form-urlencoded"
FORM_LIMIT: Final = 65_536
"""Bytes of a form that are read."""

FURTHEST: Final = 1_000_000
"""The highest number of a rule that a page can begin with."""

PAGES: Final = (("rules", "Rules"), ("try", "Try a call"))
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
        tries: Tries,
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
        self._tries: Final = tries
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
            Route(ROOT + "/try", self.try_call, methods=["GET", "POST"]),
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

    async def try_call(self, request: Request) -> Response:
        """What the server would answer to a question, and why. The question is in the URL; one that is posted is put there,
        without what opens doors.
        """
        if refusal := await self._refusal(request):
            return refusal
        if request.method == "POST" and is_cross_site(request):
            return ProblemResponse(
                403, "forbidden", "This was sent by another site", headers={"cache-control": "no-store"}
            )
        try:
            async with self._admission:
                found = (
                    await run_sync(self._tries.asked, await read_form(request))
                    if request.method == "POST"
                    else await self._tries.explain(request.query_params.multi_items())
                )
                if isinstance(found, str):
                    return RedirectResponse(f"try?{found}#result", 303, _HEADERS)
                return HTMLResponse(await run_sync(self._render, "try.html", "Try a call", found), 200, _HEADERS)
        except Refused as refused:
            return refused.problem

    def _render(self, template: str, title: str, values: Callable[[], Mapping[str, Any]]) -> str:
        made = self._templates.get_template(template)
        return made.render(title=title, pages=PAGES, several=self._several, **values())

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
        try:
            async with self._admission:
                return HTMLResponse(await run_sync(self._render, template, title, values), 200, _HEADERS)
        except Refused as refused:
            return refused.problem

    async def _refusal(self, request: Request) -> Response | None:
        if self._authentication is None:
            return nothing_here()
        if self._authentication.accepts(request.scope["headers"]):
            return None
        return await self._authentication.refuse(self._refusals, request.scope)


def is_cross_site(request: Request) -> bool:
    """Whether a browser sent this from a page of another site. What says nothing of it is no browser of this decade."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, of one that is there twice the first. Raises Refused for one that is none, or too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refused(ProblemResponse(415, "unsupported-media-type", "This is no form", f"send {FORM}"))
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_LIMIT:
            raise Refused(ProblemResponse(413, "too-large", "Too much text", f"at most {FORM_LIMIT} bytes are read"))
    fields: dict[str, str] = {}
    for name, value in parse_qsl(body.decode("utf-8", "replace"), errors="replace"):
        fields.setdefault(name, value)
    return fields


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

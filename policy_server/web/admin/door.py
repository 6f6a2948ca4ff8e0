"""The door of ``/admin/``: who may see the pages, what a browser may do with them, and what all of them have in common.

What a page costs is taken from no call: few are made at a time, in threads that give way, and everything on one is bounded.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.web.admission import Admission
from policy_server.web.basic import BasicAuthentication
from policy_server.web.doors import nothing_here
from policy_server.web.problem import ProblemResponse, Refused
from policy_server.web.refusals import Refusals

ROOT: Final = "/admin"

PAGES_AT_ONCE: Final = 2
"""Pages that are made at a time."""

PAGES: Final = (
    ("now", "Now"),
    ("decisions", "Decisions"),
    ("calls", "Calls"),
    ("rules", "Rules"),
    ("try", "Try a call"),
    ("compare", "Compare rules"),
)
"""The pages that there are, in the order in which they are shown, by their paths below ``/admin/``."""

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
"""Those of every answer below ``/admin/``."""

_SCRIPT: Final = "text/javascript; charset=utf-8"
_ASSETS: Final = {
    "admin.css": "text/css; charset=utf-8",
    "now.js": _SCRIPT,
    "calls.js": _SCRIPT,
    "decisions.js": _SCRIPT,
}
_RETRY_SECONDS: Final = "5"


class Pages(Protocol):
    """Some of the pages."""

    def routes(self) -> list[Route]:
        """Their routes."""
        ...


class AdminDoor:
    """Lets the admin in, and gives every page its frame."""

    def __init__(
        self,
        authentication: BasicAuthentication | None,
        refusals: Refusals,
        admission: Admission,
    ) -> None:
        self._authentication: Final = authentication
        self._refusals: Final = refusals
        self._admission: Final = admission
        self._templates: Final = _templates()

    def routes(self, pages: Iterable[Pages]) -> list[Route]:
        """The routes of all pages, for the application; none while nobody is let in."""
        if self._authentication is None:
            return []
        return [
            Route(ROOT, self.front),
            Route(ROOT + "/", self.front),
            Route(ROOT + "/assets/{name}", self.asset),
            *(route for each in pages for route in each.routes()),
        ]

    async def answer(self, request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
        """What ``work`` makes in its turn, for an admin; for anybody else a refusal."""
        if refusal := await self.refusal(request):
            return refusal
        try:
            async with self._admission:
                return await work()
        except Refused as refused:
            return refused.problem
        except StoreUnavailableError:
            answer = await self.page("away.html", "The database is away", dict, root=root_of(request), status=503)
            answer.headers["retry-after"] = _RETRY_SECONDS
            return answer

    async def page(
        self, template: str, title: str, values: Callable[[], Mapping[str, Any]], *, root: str = "", status: int = 200
    ) -> HTMLResponse:
        """A page of its template and of what ``values`` gathers, both in a thread. ``root`` leads from it to ``/admin/``."""
        return HTMLResponse(await run_sync(self._render, template, title, values, root), status, HEADERS)

    def part(self, template: str, **values: object) -> str:
        """A part of a page, without its frame; for a thread."""
        return self._templates.get_template(template).render(**values)

    def _render(self, template: str, title: str, values: Callable[[], Mapping[str, Any]], root: str) -> str:
        made = self._templates.get_template(template)
        return made.render(title=title, pages=PAGES, root=root, **values())

    async def front(self, request: Request) -> Response:
        """Leads to the first page, wherever below a proxy this is."""
        if refusal := await self.refusal(request):
            return refusal
        beside = "" if request.url.path.endswith("/") else "admin/"
        return RedirectResponse(beside + PAGES[0][0], 303, HEADERS)

    async def asset(self, request: Request) -> Response:
        """What pages are dressed with."""
        if refusal := await self.refusal(request):
            return refusal
        name = request.path_params["name"]
        if name not in _ASSETS:
            return nothing_here()
        return Response(files(__package__).joinpath("assets", name).read_bytes(), 200, HEADERS, _ASSETS[name])

    async def refusal(self, request: Request) -> Response | None:
        """The answer to whoever is not let in."""
        if self._authentication is None:
            return nothing_here()
        if self._authentication.accepts(request.scope["headers"]):
            return None
        return await self._authentication.refuse(self._refusals, request.scope)


def cross_site_refusal(request: Request) -> Response | None:
    """The answer to what a browser sent from a page of another site. What says nothing of it is no browser of this decade."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_cross_site = site not in {"same-origin", "none"}
    else:
        is_cross_site = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if request.method != "POST" or not is_cross_site:
        return None
    return ProblemResponse(403, "forbidden", "This was sent by another site", headers={"cache-control": "no-store"})


async def read_body(request: Request, limit: int, too_large: ProblemResponse) -> bytes:
    """What was sent. Raises Refused with ``too_large`` for more than so many bytes."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise Refused(too_large)
    return bytes(body)


def root_of(request: Request) -> str:
    """What leads from a page to ``/admin/``, wherever below a proxy that is."""
    return "../" * (request.url.path.rpartition(ROOT + "/")[2].count("/"))


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

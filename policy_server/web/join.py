"""The customer's own URL: redirects to Pexip's web app, or says why not before Pexip would (README.md: Links).

The pages about a shut door have the status 200 when it will open again, since a load balancer takes a server that
answers 5xx for a broken one; 410 when the link has expired; 404 when it is none of ours or was revoked. A preview
(``previews.py``) gets a page of its own whether the door is open or not.
"""

import math
from datetime import datetime
from typing import Final, assert_never

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from policy_server.conferences.joining import (
    Closed,
    CustomersDoor,
    Early,
    Expired,
    LetIn,
    Moved,
    NoLink,
    Previewed,
    Visitor,
)
from policy_server.policy.ruleset import PageTemplates
from policy_server.web.admission import Admission
from policy_server.web.links import JOIN_PATH
from policy_server.web.pages import shipped_pages
from policy_server.web.previews import previewer
from policy_server.web.problem import Refused

_PURPOSES: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

LONGEST_REFRESH: Final = 86_400
"""Seconds after which a page looks again at the latest: timers of browsers are not for weeks."""

AS_CUSTOMER: Final = "join"
"""The parameter in the link of the page for previews, for a browser that is taken for one."""


class _RestOfPath(StringConvertor):
    """All that follows, slashes and line ends too: a link that a mail program spoilt gets a page like any other."""

    regex = "(?s:.*)"


class _Join(StringConvertor):
    """The beginning of the path. In a dense QR code the whole URL is in capitals."""

    regex = f"(?i:{JOIN_PATH.strip('/')})"


register_url_convertor("rest_of_path", _RestOfPath())
register_url_convertor("join", _Join())


class JoinEndpoint:
    """``/join/{session}``; the customer's alias may stand for the session."""

    def __init__(self, door: CustomersDoor, admission: Admission | None = None) -> None:
        self._door: Final = door
        self._admission: Final = admission or Admission()
        self._shipped: Final = shipped_pages()

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [Route("/{join:join}/{session:rest_of_path}", self.join, methods=["GET"])]

    async def join(self, request: Request) -> Response:
        """Opens the door, or shows a page."""
        try:
            async with self._admission:
                arrival = await self._door.arrive(request.path_params["session"], _visitor(request))
        except Refused as refused:
            return refused.problem
        match arrival:
            case LetIn():
                return RedirectResponse(arrival.url, 303, _HEADERS)
            case NoLink():
                return self._page(request, arrival.templates, "invalid", 404)
            case Previewed():
                return self._page(request, arrival.templates, "preview", 200)
            case Expired():
                return self._page(request, arrival.templates, "expired", 410)
            case Moved():
                starts, link = arrival.starts_at, _beside(request, arrival.session)
                return self._page(request, arrival.templates, "moved", 200, starts=starts, now=arrival.now, link=link)
            case Early():
                return self._early(request, arrival)
            case Closed(opening=None):
                return self._page(request, arrival.templates, "closed-for-now", 200)
            case Closed():
                page = "closed" if arrival.is_in_time else "closed-link-ends"
                return self._page(request, arrival.templates, page, 200, arrival.opening)
            case _:
                assert_never(arrival)

    def _early(self, request: Request, arrival: Early) -> Response:
        page, starts = "early-opening" if arrival.starts_at is None else "early", arrival.starts_at
        return self._page(request, arrival.templates, page, 200, arrival.opening, starts=starts, now=arrival.now)

    def _page(
        self,
        request: Request,
        templates: PageTemplates,
        name: str,
        status: int,
        opening: datetime | None = None,
        *,
        starts: datetime | None = None,
        now: datetime | None = None,
        link: str = "",
    ) -> Response:
        languages = ",".join(request.headers.getlist("accept-language"))
        page = self._shipped.with_own(templates).render(name, languages, opening, starts=starts, now=now, link=link)
        headers = {
            **_HEADERS,
            "content-language": page.language,
            "content-security-policy": page.content_policy,
            "vary": "accept-language",
        }
        if opening is not None and now is not None:
            # Looks again when it is time, also without a script.
            seconds = math.ceil((opening - now).total_seconds()) + 1
            headers["refresh"] = str(min(max(seconds, 1), LONGEST_REFRESH))
        return HTMLResponse(page.html, status, headers)


def _beside(request: Request, session: str) -> str:
    """Where the page of another session is from the one that was asked for, whatever stands before both."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return "../" * max(0, path.partition(b"?")[0].count(b"/") - 2) + session


def _visitor(request: Request) -> Visitor:
    is_customer = AS_CUSTOMER in request.query_params
    purposes = ",".join(request.headers.get(name, "") for name in _PURPOSES).lower()
    return Visitor(
        previews="" if is_customer else previewer(request.headers.get("user-agent", "")),
        is_guess=request.method == "HEAD" or "prefetch" in purposes or "preview" in purposes,
    )

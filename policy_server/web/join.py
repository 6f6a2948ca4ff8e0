"""The customer's own URL: redirects to Pexip's web app, or says why not before Pexip would (README.md: Links).

The pages about a shut door have the status 200 when it will open again, since a load balancer takes a server that
answers 5xx for a broken one; 410 when the link has expired; 404 when it is none of ours or was revoked. A preview
(``previews.py``) gets a page of its own whether the door is open or not, because a messenger keeps it, and never the URL
with the guest PIN.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from anyio.to_thread import run_sync
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.holding import held_to, rule_of_orphan
from policy_server.conferences.records import HeldConference, Link, alias_key
from policy_server.policy.decisions import Serve
from policy_server.policy.doors import Door, guest_pin_of
from policy_server.policy.facts import attributes_of
from policy_server.policy.links import link_of, web_app_url
from policy_server.policy.names import Call, Keyring, LinkState, Role
from policy_server.policy.ruleset import NO_TEMPLATES, LinkType, PageTemplates
from policy_server.web.agent_answers import LINK_OPENED, LINK_PREVIEWED
from policy_server.web.link_reading import read_link
from policy_server.web.links import JOIN_PATH, Conferences
from policy_server.web.once import OnceAMinute
from policy_server.web.pages import shipped_pages
from policy_server.web.policy import Rules
from policy_server.web.previews import previewer

PATIENCE: Final = 1.0
"""Seconds that a customer waits for the database."""

_TOLD: Final[Mapping[str, str]] = {
    "open": "A customer opened the link and was let in.",
    "closed": "A customer opened the link outside opening hours.",
    "expired": "A customer opened the link after it had expired.",
    "revoked": "A customer opened the link after it was revoked.",
}
"""What the timeline says of each state of the door."""

NOTED_LIMIT: Final = 4096
"""Openings that are remembered so that none is noted twice within a minute."""

_PURPOSES: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


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
    """``/join/{session}``; the customer's alias may stand for the session.

    Pages about a link are those of its type (``templates``). Whoever has no link of ours has no type either, and gets
    the templates that all link types with a URL share; where they differ, the pages that come with the server.
    """

    def __init__(self, rules: Rules, keyring: Keyring, conferences: Conferences) -> None:
        self._rules: Final = rules
        self._keyring: Final = keyring
        self._conferences: Final = conferences
        self._shipped: Final = shipped_pages()
        self._noted: Final = OnceAMinute()
        self._previewed: Final[set[tuple[str, str]]] = set()

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [Route("/{join:join}/{session:rest_of_path}", self.join, methods=["GET"])]

    async def join(self, request: Request) -> Response:
        """Opens the door, or shows a page."""
        ruleset, now = self._rules.ruleset, self._conferences.clock()
        shared = _shared_templates(ruleset.links)
        session, dialled = read_link(ruleset.links, request.path_params["session"])
        types = ruleset.links if dialled is None else (dialled.name,)
        call = self._keyring.open(session, Role.SESSION, types)
        # Asked for a session that nobody signed too, so that the answer takes as long.
        link = await self._find_link(session if call is None else call.id)
        link_type = ruleset.links[call.type] if call is not None else None
        if call is None or link_type is None or link_type.url is None:
            return self._page(request, shared, "invalid", 404)
        if link is not None and link.revoked_at is not None:
            self._note(request, call, "revoked", now)
            return self._page(request, shared, "invalid", 404)
        own = link_type.templates
        if by := _previewer(request):
            self._note_preview(call, by, now)
            return self._page(request, own, "preview", 200)
        door = Door(ruleset, self._keyring, link_type, call, attributes_of(link))
        is_expired = call.state(now) is LinkState.EXPIRED
        # Once a conference has begun, every later question gets its room, whatever the hour (README.md: Held rooms).
        running = self._conferences.live_of_call(call.id, now)
        if running is not None or (not is_expired and isinstance(door.decide(now), Serve)):
            self._note(request, call, "open", now)
            made = link_of(link_type, call)
            pin = door.guest_pin(now) if running is None else _held_pin(running, door, made.alias)
            name = link.name if link is not None else ""
            return RedirectResponse(web_app_url(link_type, made, name=name, guest_pin=pin), 303, _HEADERS)
        if is_expired:
            self._note(request, call, "expired", now)
            return self._page(request, own, "expired", 410)
        self._note(request, call, "closed", now)
        # Milliseconds, when many calendars open and close in vain: no policy answer shall wait for that.
        opening = await run_sync(door.next_opening, now)
        if opening is None:
            return self._page(request, own, "closed-for-now", 200)
        page = "closed" if opening < call.expires_at else "closed-link-ends"
        return self._page(request, own, page, 200, opening=opening)

    async def _find_link(self, call: str) -> Link | None:
        """The link of a call, as far as it is known."""
        if not call:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._conferences.store.link(call)
        except (StoreUnavailableError, TimeoutError):
            return self._conferences.link(call)

    def _page(
        self,
        request: Request,
        templates: PageTemplates,
        name: str,
        status: int,
        opening: datetime | None = None,
    ) -> Response:
        languages = ",".join(request.headers.getlist("accept-language"))
        page = self._shipped.with_own(templates).render(name, languages, opening)
        headers = {
            **_HEADERS,
            "content-language": page.language,
            "content-security-policy": page.content_policy,
            "vary": "accept-language",
        }
        return HTMLResponse(page.html, status, headers)

    def _note(self, request: Request, call: Call, door: str, now: datetime) -> None:
        """Puts on the timeline that a customer opened the link; a mail scanner's HEAD and a browser's guess are not that.

        Once a minute is enough: a timeline is not for whoever holds down the key for reloading.
        """
        if by := _previewer(request):
            self._note_preview(call, by, now)
            return
        purposes = ",".join(request.headers.get(name, "") for name in _PURPOSES).lower()
        if request.method == "HEAD" or "prefetch" in purposes or "preview" in purposes:
            return
        if self._noted.is_first((call.id, door), now, NOTED_LIMIT):
            self._conferences.note(call.id, LINK_OPENED, {"text": _TOLD[door], "door": door}, now)

    def _note_preview(self, call: Call, by: str, now: datetime) -> None:
        """Puts on the timeline that somebody's preview was fetched; once, as far as this server remembers."""
        if (call.id, by) in self._previewed:
            return
        if len(self._previewed) >= NOTED_LIMIT:
            self._previewed.clear()
        self._previewed.add((call.id, by))
        text = f"A preview of the link was fetched ({by}). That was not the customer."
        self._conferences.note(call.id, LINK_PREVIEWED, {"text": text, "by": by}, now)


def _previewer(request: Request) -> str:
    """Who fetches this for a preview, ``""`` for a customer."""
    return "" if AS_CUSTOMER in request.query_params else previewer(request.headers.get("user-agent", ""))


def _held_pin(running: HeldConference, door: Door, alias: str) -> str:
    """The guest PIN of a room that runs: of the door that a node would be told for the customer's alias."""
    decision = door.decide(running.held_at)
    if isinstance(decision, Serve):
        return guest_pin_of(held_to(running, decision).service)
    rule = rule_of_orphan(running, {"local_alias": alias_key(alias.lower())})
    return guest_pin_of({**running.service, **running.doors[rule].fields}) if rule is not None else ""


def _shared_templates(links: Mapping[str, LinkType]) -> PageTemplates:
    """The templates that every link type with a URL has; of one folder they are one object."""
    (first, *others) = [each.templates for each in links.values() if each.url is not None] or [NO_TEMPLATES]
    return first if all(other is first for other in others) else NO_TEMPLATES

"""Signing in to the stand-in of Genesys Cloud: OAuth 2.0 Authorization Code with PKCE for public clients.

RFC 6749 and RFC 7636 (genesys/README.md: OAuth for the widget). Who signs in is, in this order: ``agent=`` in the address, the
cookie of an agent desktop on the same host (as a browser is logged in to Genesys), ``default``, else whom a page lets
choose.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from html import escape
from secrets import token_urlsafe
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import URL
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

COOKIE: Final = "genesys-agent"
"""Names the agent who is at work in this browser; an agent desktop sets it."""

EXPIRES_IN: Final = 86_400
"""Seconds that a token is said to be good for. It ends on command only."""

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_NO_STORE: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class _Grant:
    """What a code stands for."""

    agent: str
    client_id: str
    redirect_uri: str
    challenge: str = field(repr=False)


class SignIn:
    """The login host: its clients, its page, and the codes that are not redeemed yet.

    ``agents`` are their names by the words that addresses call them by; ``issue`` makes a token for an agent and a
    client. ``default`` is the agent who signs in where nothing else is said.
    """

    def __init__(self, agents: Mapping[str, str], issue: Callable[[str, str], str]) -> None:
        self.default = ""
        self._agents: Final = agents
        self._issue: Final = issue
        self._redirect_uris: Final[dict[str, set[str]]] = {}
        self._grants: Final[dict[str, _Grant]] = {}
        self.routes: Final = (
            Route("/oauth/authorize", self._authorize),
            Route("/oauth/token", self._redeem, methods=["POST"]),
        )

    def register(self, client_id: str, redirect_uri: str) -> None:
        """Makes a client known, and one more place that it may be led back to. Raises ValueError for what is no URL."""
        parts = urlsplit(redirect_uri)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.fragment:
            raise ValueError(
                f"client {client_id!r}: the redirect URI must be an absolute URL without a fragment, "
                f"such as http://127.0.0.1:8000/agent/, but is {redirect_uri!r}"
            )
        self._redirect_uris.setdefault(client_id, set()).add(redirect_uri)

    @property
    def origins(self) -> frozenset[str]:
        """Where clients' pages come from."""
        uris = (urlsplit(uri) for registered in self._redirect_uris.values() for uri in registered)
        return frozenset(f"{uri.scheme}://{uri.netloc}" for uri in uris)

    async def _authorize(self, request: Request) -> Response:
        asked = request.query_params
        client_id, redirect_uri = asked.get("client_id", ""), asked.get("redirect_uri", "")
        if client_id not in self._redirect_uris:
            return _page(
                "Unknown application", f"<p>There is no OAuth client <code>{escape(client_id)}</code>.</p>", 400
            )
        if redirect_uri not in self._redirect_uris[client_id]:
            said = f"<p><code>{escape(redirect_uri)}</code> is not registered exactly so for this application.</p>"
            return _page("Wrong redirect URI", said, 400)
        back = URL(redirect_uri)
        if "state" in asked:
            back = back.include_query_params(state=asked["state"])
        if asked.get("response_type") != "code":
            return _refuse(back, "unsupported_response_type", "response_type must be code")
        if asked.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(asked.get("code_challenge", "")):
            return _refuse(back, "invalid_request", "code_challenge with code_challenge_method=S256 is needed")
        agent = asked.get("agent") or request.cookies.get(COOKIE) or self.default
        if agent not in self._agents:
            return self._let_choose(request)
        code = token_urlsafe(24)
        self._grants[code] = _Grant(agent, client_id, redirect_uri, asked["code_challenge"])
        return RedirectResponse(str(back.include_query_params(code=code)), 302, _NO_STORE)

    def _let_choose(self, request: Request) -> Response:
        query = [pair for pair in request.query_params.multi_items() if pair[0] != "agent"]
        choices = "".join(
            f'<li><a data-testid="sign-in-{escape(agent)}" href="?{escape(urlencode([*query, ("agent", agent)]))}">'
            f"{escape(name)}</a></li>"
            for agent, name in self._agents.items()
        )
        return _page("Sign in to Genesys Cloud", f"<p>This is a stand-in. Who are you?</p><ul>{choices}</ul>")

    async def _redeem(self, request: Request) -> Response:
        sent = dict(parse_qsl((await request.body()).decode("ascii", "replace")))
        if sent.get("grant_type") != "authorization_code":
            return _invalid("unsupported_grant_type", "grant_type must be authorization_code")
        # Whatever comes of it, a code is good for one attempt.
        grant = self._grants.pop(sent.get("code", ""), None)
        if grant is None:
            return _invalid("invalid_grant", "the code is unknown or was used already")
        if (sent.get("client_id"), sent.get("redirect_uri")) != (grant.client_id, grant.redirect_uri):
            return _invalid(
                "invalid_grant", "client_id and redirect_uri must be those that the code was asked for with"
            )
        if not _is_verified(sent.get("code_verifier", ""), grant.challenge):
            return _invalid("invalid_grant", "code_verifier does not belong to the code_challenge")
        token = self._issue(grant.agent, grant.client_id)
        answer = {"access_token": token, "token_type": "bearer", "expires_in": EXPIRES_IN}
        return JSONResponse(answer, headers=_NO_STORE)


class WidgetCors(CORSMiddleware):
    """Lets the pages of registered clients in, those too that are registered while it runs."""

    def __init__(self, app: ASGIApp, sign_in: SignIn) -> None:
        super().__init__(
            app,
            allow_methods=("GET", "POST", "PUT"),
            allow_headers=("Authorization", "Content-Type"),
            expose_headers=("Retry-After", "inin-correlation-id", "inin-ratelimit-reset"),
        )
        self._sign_in: Final = sign_in

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether a page of this origin may read answers."""
        return origin in self._sign_in.origins


def _is_verified(verifier: str, challenge: str) -> bool:
    hashed = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return _VERIFIER.fullmatch(verifier) is not None and compare_digest(hashed, challenge)


def _refuse(back: URL, error: str, description: str) -> Response:
    return RedirectResponse(str(back.include_query_params(error=error, error_description=description)), 302, _NO_STORE)


def _invalid(error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, 400, _NO_STORE)


def _page(title: str, text: str, status: int = 200) -> Response:
    html = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>{text}</html>'
    return HTMLResponse(html, status, _NO_STORE)

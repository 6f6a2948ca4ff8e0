"""A page that gives a customer a video visit: asks for name and language, makes the link, and opens it.

The API key stays here; the browser gets nothing but the link. Run it as the README beside this file says.
"""

import os
from pathlib import Path
from urllib.parse import parse_qs

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

PAGE = Path(__file__).with_name("index.html").read_text(encoding="utf-8")
MESSAGE = "<!-- message -->"
MOST_BYTES = 4096
"""Of a form: a name and a language."""
MOST_NAME = 100
LANGUAGES = ("en", "es", "no")
HEADERS = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


def create_app(policy_server: str, api_key: str, link_type: str) -> Starlette:
    """The page and the route behind it. ``link_type`` is one of ``links`` in the rules."""

    async def show(_: Request) -> Response:
        return HTMLResponse(PAGE, headers=HEADERS)

    async def make(request: Request) -> Response:
        name, language = await read_form(request)
        if not name or language not in LANGUAGES:
            return refuse(400, "Please tell us your name.")
        wanted = {"type": link_type, "name": name, "attributes": {"language": language}}
        try:
            # The policy server is one of ours, whatever proxy leads out of the house.
            async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
                answer = await client.post(
                    f"{policy_server}/api/v1/links", json=wanted, headers={"authorization": f"Bearer {api_key}"}
                )
            url = answer.json()["url"] if answer.status_code == 201 else None
        except (httpx.HTTPError, ValueError, KeyError):
            url = None
        if not isinstance(url, str):
            return refuse(502, "The visit cannot be made at the moment. Please try again in a minute.")
        return RedirectResponse(url, 303, HEADERS)

    return Starlette(routes=[Route("/", show), Route("/", make, methods=["POST"])])


def from_environment() -> Starlette:
    """The application with its settings from ``LINKS_SERVER``, ``API_KEY_FILE`` and ``LINK_TYPE``."""
    api_key = Path(os.environ["API_KEY_FILE"]).read_text(encoding="utf-8").strip()
    return create_app(os.environ["LINKS_SERVER"].rstrip("/"), api_key, os.environ.get("LINK_TYPE", "visit"))


async def read_form(request: Request) -> tuple[str, str]:
    """Name and language, ``""`` for what is not there. A body that is too long is none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return "", ""
    form = parse_qs(body.decode("ascii", "replace"))
    return form.get("name", [""])[0].strip()[:MOST_NAME], form.get("language", [""])[0]


def refuse(status: int, message: str) -> Response:
    """The page again, with a sentence."""
    return HTMLResponse(PAGE.replace(MESSAGE, f'<p role="alert">{message}</p>'), status, HEADERS)

"""A page that shows what the trunk saw."""

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from policy_server.lab.sip.trunk import SipTrunk

_PAGE: Final = Path(__file__).with_name("trunk.html")
_NO_ROWS: Final = '<tr><td colspan="5">No call so far.</td></tr>'
_NO_STORE: Final = {"cache-control": "no-store"}


def trunk_page(trunk: SipTrunk) -> Starlette:
    """What the trunk saw: ``/`` for people, ``/invites.json`` for programs."""

    def rows() -> Iterator[dict[str, str]]:
        for invite in trunk.invites:
            yield {
                "request_uri": invite.request_uri,
                "from_display_name": invite.from_display_name,
                "from_user": invite.from_user,
                "to": invite.to,
                "call_id": invite.call_id,
            }

    async def for_people(_: Request) -> Response:
        html = _PAGE.read_text(encoding="utf-8").replace("ROWS", "".join(map(_row, rows())) or _NO_ROWS)
        return HTMLResponse(html, headers=_NO_STORE)

    async def for_programs(_: Request) -> Response:
        return JSONResponse(list(rows()), headers=_NO_STORE)

    return Starlette(routes=[Route("/", for_people), Route("/invites.json", for_programs)])


def _row(invite: Mapping[str, str]) -> str:
    return f"<tr>{''.join(f'<td>{escape(value)}</td>' for value in invite.values())}</tr>"

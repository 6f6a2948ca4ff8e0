"""What an agent looks at in place of the Genesys Cloud desktop: calls that ring, and the widget inside the interaction.

One page of plain JavaScript, opened as ``/?agent=maria``. It shows what ``conversations/{id}`` says and sends commands
of ``genesys_calls.py``; it says by a cookie which agent is at work in this browser, for the stand-in's login.
"""

from importlib.resources import files
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from policy_server.lab.genesys.calls import GenesysCalls
from policy_server.lab.genesys.oauth import COOKIE

PLACE: Final = "{conversationid}"
"""Where the id of the conversation goes, as ``{{pcConversationId}}`` does in an integration of Genesys Cloud."""


def agent_desktop(calls: GenesysCalls, widget_url: str) -> Starlette:
    """The desktop's page and the commands behind it. Serve it from the event loop of ``calls``.

    Raises ValueError when the widget's URL has no place for the conversation.
    """
    if PLACE not in widget_url:
        raise ValueError(f"the widget's URL must hold {PLACE}, as in …/agent/?conversationid={PLACE}: {widget_url!r}")
    html = files(__package__ or "").joinpath("desktop.html").read_text(encoding="utf-8")

    async def page(_: Request) -> Response:
        return HTMLResponse(html, headers={"Cache-Control": "no-store"})

    async def settings(_: Request) -> Response:
        return JSONResponse({"widgetUrl": widget_url, "place": PLACE, "cookie": COOKIE})

    return Starlette(routes=[Route("/", page), Route("/settings.json", settings), *calls.routes])

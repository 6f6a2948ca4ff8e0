"""The floor: a bare Starlette endpoint that reads one parameter and returns ready-made bytes."""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BODY = Path(os.environ["BENCH_BODY"]).read_bytes() if "BENCH_BODY" in os.environ else b"{}"


async def service_configuration(request: Request) -> Response:
    """Answer with the bytes that the whole service would have made."""
    _ = request.query_params["local_alias"]
    return Response(BODY, media_type="application/json")


app = Starlette(routes=[Route("/policy/v1/service/configuration", service_configuration)])

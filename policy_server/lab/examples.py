"""The applications of customer and agent, which are examples of the repository and no part of the package."""

from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from policy_server.lab.errors import LabError

EXAMPLES: Final = Path(__file__).parents[2] / "examples"


def check_examples(examples: Path) -> None:
    """Raises LabError when they are not there, or not built."""
    if not (examples / "customer-app" / "app.py").is_file():
        raise LabError(
            f"there is no customer-app/app.py in {examples}: name the folder examples of the repository with --examples"
        )
    if not (examples / "agent-app" / "dist" / "index.html").is_file():
        raise LabError(
            f"{examples}/agent-app is not built: run 'npm ci && npm run build' there, which makes its folder dist"
        )


def agent_app(examples: Path, settings: Mapping[str, str]) -> Starlette:
    """The agents' widget at ``/agent/``, with what its config.json holds."""

    async def config(_: Request) -> Response:
        return JSONResponse(settings)

    files = StaticFiles(directory=examples / "agent-app" / "dist", html=True)
    return Starlette(routes=[Route("/agent/config.json", config), Mount("/agent", files)])


def customer_app(examples: Path, policy_url: str, api_key: str, link_type: str) -> ASGIApp:
    """The customer's page, which makes links of a type. Raises LabError."""
    spec = spec_from_file_location("customer_app", examples / "customer-app" / "app.py")
    if spec is None or spec.loader is None:
        raise LabError(f"{examples}/customer-app/app.py cannot be loaded")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    app: ASGIApp = module.create_app(policy_url, api_key, link_type)
    return app

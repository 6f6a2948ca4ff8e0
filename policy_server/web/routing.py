"""Which endpoint answers a path. Routes, requests and answers are Starlette's; its layers around an endpoint (two of
middleware, a search through all routes, exit stacks) cost more than what most endpoints here do.
"""

import inspect
from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from policy_server.web.doors import nothing_here
from policy_server.web.problem import ProblemResponse


class Routing:
    """Passes requests on to the endpoints of routes. No such path or method, and an error of ours, are problem+json.

    An error is raised again once it is answered, so that the server logs it.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        known = [(route, _app_of(route)) for route in routes]
        # Most requests are for a path without parameters.
        self._fixed: Final = {route.path: (route, app) for route, app in known if not route.param_convertors}
        self._patterns: Final = tuple((route, app) for route, app in known if route.param_convertors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        route, app = self._fixed.get(scope["path"]) or self._match(scope)
        if route is not None and route.methods is not None and scope["method"] not in route.methods:
            app = _other_method(route.methods)
        await app(scope, receive, send)

    def _match(self, scope: Scope) -> tuple[Route | None, ASGIApp]:
        for route, app in self._patterns:
            if found := route.path_regex.match(scope["path"]):
                convertors = route.param_convertors
                scope["path_params"] = {
                    name: convertors[name].convert(text) for name, text in found.groupdict().items()
                }
                return route, app
        return None, nothing_here()


def _app_of(route: Route) -> ASGIApp:
    # An endpoint that is no function sends its answer itself.
    return partial(_respond if inspect.isroutine(route.endpoint) else _run, route.endpoint)


async def _respond(endpoint: Any, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        response = await endpoint(Request(scope, receive, send))
    except Exception:
        await _own_problem()(scope, receive, send)
        raise
    await response(scope, receive, send)


async def _run(endpoint: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    has_begun = False

    def send_and_know(message: Message) -> Awaitable[None]:
        nonlocal has_begun
        has_begun = True
        return send(message)

    try:
        await endpoint(scope, receive, send_and_know)
    except Exception:
        if not has_begun:
            await _own_problem()(scope, receive, send)
        raise


def _other_method(methods: Iterable[str]) -> ProblemResponse:
    headers = {"allow": ", ".join(sorted(methods))}
    return ProblemResponse(405, "method-not-allowed", "Method not allowed", headers=headers)


def _own_problem() -> ProblemResponse:
    return ProblemResponse(500, "internal", "An error of ours", "it is in the log")


def unset(path: str, settings: str) -> Route:
    """A route that says which settings are missing."""

    async def answer(_: Request) -> Response:
        return ProblemResponse(503, "not-configured", "This is not set up", f"{settings} must be set on the server")

    return Route(path, answer, methods=["GET", "POST"])

"""Which endpoint answers: by path and method, with the parameters of the path, and what becomes of its failures."""

import asyncio
from typing import Final

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from policy_server.web.problem import TYPE_ROOT
from policy_server.web.routing import Routing


async def say(request: Request) -> Response:
    """Says what it was asked by."""
    return JSONResponse({"path": request.url.path, **request.path_params})


class Late:
    """Fails once its answer has begun."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begins an answer."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("late")


class Early:
    """Fails before its answer begins."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begins no answer."""
        raise RuntimeError("early")


ROUTES: Final = [
    Route("/things", say, methods=["GET", "POST"]),
    Route("/things/{name}", say, methods=["DELETE"]),
    Route("/things/{name}/{part}", say),
    Route("/early", Early()),
    Route("/late", Late()),
]


def ask(method: str, path: str, *, raises: bool = False) -> httpx.Response:
    """One request to the routes."""
    transport = httpx.ASGITransport(Routing(ROUTES), raise_app_exceptions=raises)

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://policy.example.com") as client:
            return await client.request(method, path)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("method", "path", "parameters"),
    [
        ("GET", "/things", {}),
        ("POST", "/things", {}),
        ("DELETE", "/things/a%20b", {"name": "a b"}),
        ("GET", "/things/a/b", {"name": "a", "part": "b"}),
    ],
)
def test_an_endpoint_gets_what_its_path_says(method: str, path: str, parameters: dict[str, str]) -> None:
    """Paths with and without parameters lead to their endpoint, by each of their methods."""
    answer = ask(method, path)
    assert answer.status_code == 200
    assert {key: value for key, value in answer.json().items() if key != "path"} == parameters


def test_who_may_get_may_ask_for_the_head() -> None:
    """HEAD is taken wherever GET is."""
    assert ask("HEAD", "/things").status_code == 200


@pytest.mark.parametrize(("path", "allowed"), [("/things", "GET, HEAD, POST"), ("/things/a", "DELETE")])
def test_another_method_is_told_which_there_are(path: str, allowed: str) -> None:
    """A path that has not that method says which it has."""
    answer = ask("PUT", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/", "/things/", "/things/a/b/c", "/Things", "/things/a%2Fb/c/d"])
def test_other_paths_lead_nowhere(path: str) -> None:
    """What is no path of an endpoint is 404, and never a redirect to one that nearly is."""
    answer = ask("GET", path)
    assert (answer.status_code, answer.json()["type"]) == (404, f"{TYPE_ROOT}not-found")


def test_a_failure_is_answered_while_nothing_was() -> None:
    """An endpoint that sends its answer itself and fails: 500 as long as nothing went out, and then no second answer."""
    answer = ask("GET", "/early")
    assert (answer.status_code, answer.json()["type"]) == (500, f"{TYPE_ROOT}internal")
    assert ask("GET", "/late").status_code == 200
    for path, cause in (("/early", "early"), ("/late", "late")):
        with pytest.raises(RuntimeError, match=cause):
            ask("GET", path, raises=True)

"""One request of somebody in a played call: what is sent, and what is told of the answer."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from policy_server.simulator.exchange import MOST_SAID, TIMEOUT, Caller, Exchange, basic, bearer

PROBLEM = "application/problem+json"


def send(handle: Callable[[httpx.Request], httpx.Response], *arguments: Any, **further: Any) -> Exchange:
    """One request to a server that answers like this."""

    async def run() -> Exchange:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
            return await Caller(client, "http://p.example.com/", bearer("k3y")).send(*arguments, **further)

    return asyncio.run(run())


def answered(**answer: Any) -> Exchange:
    """What a caller makes of an answer."""
    return send(lambda _: httpx.Response(**{"status_code": 200, **answer}), "GET", "/a")


def test_what_is_sent() -> None:
    """Method, path, query, credentials and a body of JSON, with a limit on the time."""
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(201, json={"a": 1})

    exchange = send(handle, "POST", "/a/b", "c=d%2F", body={"name": "ü"})
    (request,) = sent
    assert (request.method, str(request.url)) == ("POST", "http://p.example.com/a/b?c=d%2F")
    assert request.headers["authorization"] == "Bearer k3y"
    assert (request.headers["content-type"], request.content) == ("application/json", '{"name":"ü"}'.encode())
    assert request.extensions["timeout"] == dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT)
    assert (exchange.method, exchange.path, exchange.query, exchange.status) == ("POST", "/a/b", "c=d%2F", 201)
    assert (exchange.fields, exchange.problem, exchange.unreachable) == ({"a": 1}, "", "")


def test_a_request_without_body_or_credentials() -> None:
    """Nothing is sent that nobody gave; a redirect is not followed."""
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(303, headers={"Location": "/elsewhere"})

    async def run() -> Exchange:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
            return await Caller(client, "http://p.example.com").send("GET", "/join/x")

    exchange = asyncio.run(run())
    (request,) = sent
    assert not {"authorization", "content-type"} & set(request.headers)
    assert (exchange.status, exchange.headers.get("location")) == (303, "/elsewhere")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            {"status_code": 401, "json": {"title": "No", "detail": "why"}, "headers": {"content-type": PROBLEM}},
            "No: why",
        ),
        ({"json": {"title": "No"}, "headers": {"content-type": f"{PROBLEM}; charset=utf-8"}}, "No"),
        ({"json": {"title": "a\x1b[31m\nb"}, "headers": {"content-type": PROBLEM}}, "a [31m b"),
        ({"json": {"title": "x" * 1000}, "headers": {"content-type": PROBLEM}}, "x" * MOST_SAID),
        ({"json": {"title": 5, "detail": None}, "headers": {"content-type": PROBLEM}}, ""),
        ({"content": b"no JSON", "headers": {"content-type": PROBLEM}}, ""),
        ({"json": {"title": "No"}}, ""),
    ],
    ids=["whole", "title alone", "control characters", "long", "no texts", "no JSON", "no problem"],
)
def test_what_the_server_says_is_wrong(answer: dict[str, Any], problem: str) -> None:
    """A problem is told in one line, of bounded length; other answers tell none."""
    assert answered(**answer).problem == problem


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[1]", b"null", b"\xff", b"[" * 2_000])
def test_a_body_that_is_no_object(body: bytes) -> None:
    """A body that is no JSON object has no fields."""
    assert answered(content=body).fields == {}


def test_no_answer() -> None:
    """A server that cannot be reached is told with the reason, and nothing of it looks like an answer."""

    def handle(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    exchange = send(handle, "GET", "/a")
    assert (exchange.status, exchange.unreachable, exchange.problem) == (0, "ConnectError: refused", "")
    assert exchange.headers.get("location", "") == ""


def test_nothing_secret_is_shown() -> None:
    """Neither credentials nor what came back is in what Python shows."""
    caller = Caller(httpx.AsyncClient(), "http://p.example.com", basic("me", "p4ssword"))
    exchange = answered(json={"pin": "12345678"}, headers={"location": "/?pin=12345678"})
    assert "12345678" not in repr(exchange)
    assert caller.authorization not in repr(caller)

"""Cross-origin requests: which pages may read what lies under /agent/."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from policy_server.web.cors import MAX_AGE, AgentCors, check_origin
from policy_server.web.problem import TYPE_ROOT, ProblemResponse

GOOD = "https://widget.example.com"
OTHER = "https://apps.usw2.pure.cloud:8443"
AGENT_PATHS = ["/agent/v1/conferences/abc", "/agent/v1/conferences/abc/events", "/agent/"]
CORS_HEADERS = {"access-control-allow-origin", "access-control-expose-headers", "access-control-allow-methods"}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """A stream of two pieces; a problem where the path says so."""
    if scope["path"].endswith("problem"):
        await ProblemResponse(401, "unauthorized", "No")(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"two"})


CORS = AgentCors(app, [GOOD, OTHER])


def ask(method: str, path: str, **headers: str) -> httpx.Response:
    """One request; underscores in the names of headers stand for hyphens."""

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(CORS), base_url="http://server") as client:
            return await client.request(
                method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
            )

    return asyncio.run(send())


def preflight(origin: str, path: str = AGENT_PATHS[0], **headers: str) -> httpx.Response:
    """What a browser asks before it sends a token."""
    asked = {"access_control_request_method": "GET", "access_control_request_headers": "authorization,last-event-id"}
    return ask("OPTIONS", path, origin=origin, **{**asked, **headers})


@pytest.mark.parametrize("path", AGENT_PATHS)
@pytest.mark.parametrize("origin", [GOOD, OTHER])
def test_a_configured_page_may_ask(origin: str, path: str) -> None:
    """The preflight of a configured origin is answered here: GET with the token and the last event's id, for an hour."""
    response = preflight(origin, path)
    assert response.status_code == 204
    assert response.content == b""
    assert response.headers["access-control-allow-origin"] == origin
    assert response.headers["access-control-allow-methods"] == "GET"
    assert response.headers["access-control-allow-headers"] == "Authorization, Last-Event-ID"
    assert response.headers["access-control-max-age"] == str(MAX_AGE)
    assert response.headers["vary"] == "Origin"
    assert "x-own" not in response.headers


@pytest.mark.parametrize("path", [*AGENT_PATHS, "/agent/problem"])
def test_a_configured_page_may_read(path: str) -> None:
    """Answers and problems to a configured origin may be read, with the headers that say when to come back."""
    response = ask("GET", path, origin=GOOD)
    assert response.headers["access-control-allow-origin"] == GOOD
    assert response.headers["access-control-expose-headers"] == "Retry-After, WWW-Authenticate"
    assert response.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com",
        "http://widget.example.com",
        "https://widget.example.com:443",
        "https://widget.example.com:8443",
        "https://WIDGET.example.com",
        "https://widget.example.com.evil.example",
        "https://widget.example.com/",
        "null",
        "*",
        "",
    ],
)
def test_other_pages_may_not(origin: str) -> None:
    """Any other origin, however near, gets no permission: its preflight is 403, its request has no CORS headers."""
    refused = preflight(origin)
    assert refused.status_code == 403
    assert refused.json()["type"] == TYPE_ROOT + "origin"
    answered = ask("GET", AGENT_PATHS[0], origin=origin)
    assert answered.status_code == 200
    for response in (refused, answered):
        assert not CORS_HEADERS & set(response.headers)
        assert response.headers["vary"] == "Origin"


def test_two_origins_are_none() -> None:
    """A request that claims two origins is no configured page's."""

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(CORS), base_url="http://server") as client:
            return await client.get(AGENT_PATHS[0], headers=[("Origin", GOOD), ("Origin", "https://evil.example")])

    assert not CORS_HEADERS & set(asyncio.run(send()).headers)


def test_what_is_no_cross_origin_request_passes() -> None:
    """Without an origin, and with an OPTIONS that is no preflight, the application answers; caches are warned."""
    for response in (ask("GET", AGENT_PATHS[0]), ask("OPTIONS", AGENT_PATHS[0], origin=GOOD)):
        assert response.headers["x-own"] == "1"
        assert response.headers["vary"] == "Origin"
    assert not CORS_HEADERS & set(ask("GET", AGENT_PATHS[0]).headers)


@pytest.mark.parametrize(
    "path", ["/", "/agents/v1", "/agent", "/api/v1/links", "/policy/v1/service/configuration", "/x/agent/y"]
)
def test_nothing_else_is_open_to_pages(path: str) -> None:
    """Outside /agent/ even a configured origin gets no permission, and answers are unchanged."""
    for response in (ask("GET", path, origin=GOOD), preflight(GOOD, path)):
        assert not CORS_HEADERS & set(response.headers)
        assert "vary" not in response.headers
        assert response.headers["x-own"] == "1"


def test_streams_are_not_held_back() -> None:
    """Each message of the application is passed on at once, and only the first is changed."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the body of the request is not for this layer")

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": AGENT_PATHS[1],
        "headers": [(b"origin", GOOD.encode())],
    }
    asyncio.run(CORS(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", *["http.response.body"] * 2]
    assert [message.get("body") for message in sent[1:]] == [b"one", b"two"]
    assert sent[0]["headers"][0] == (b"x-own", b"1")


def test_the_lifespan_passes() -> None:
    """Messages that are not HTTP reach the application."""
    seen: list[str] = []

    async def inner(scope: Scope, _: Receive, __: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    asyncio.run(AgentCors(inner, [])({"type": "lifespan"}, nothing, nothing))
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    "origin",
    [GOOD, OTHER, "http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:8080", "https://a.b-c.example"],
)
def test_good_origins(origin: str) -> None:
    """Scheme, host and port as browsers write them are taken."""
    assert check_origin(origin) is None


@pytest.mark.parametrize(
    ("origin", "remedy"),
    [
        ("*", "must name every origin"),
        ("null", "must name every origin"),
        ("", "write scheme and host alone, such as https://"),
        ("widget.example.com", "write scheme and host alone, such as https://"),
        ("https://widget.example.com/", "write https://widget.example.com"),
        ("https://widget.example.com/path?x", "write https://widget.example.com"),
        ("https://Widget.Example.com", "write https://widget.example.com"),
        ("https://widget.example.com:443", "write https://widget.example.com"),
        ("http://widget.example.com:80", "write http://widget.example.com"),
        ("https://*.example.com", "write scheme and host alone"),
        ("ftp://widget.example.com", "write scheme and host alone"),
        ("https://widget.example.com:0", "write scheme and host alone"),
        ("https://w\n.example", "write scheme and host alone"),
        ("https://bücher.example", "write scheme and host alone"),
    ],
)
def test_bad_origins(origin: str, remedy: str) -> None:
    """What no browser would send is reported with what to write instead, and refused by the layer itself."""
    fault = check_origin(origin)
    assert fault is not None
    assert remedy in fault
    with pytest.raises(ValueError, match="an origin must"):
        AgentCors(app, [GOOD, origin])


def test_a_long_origin_is_not_repeated_whole() -> None:
    """A message shows the beginning of what was configured."""
    for end in ("!", "/"):
        fault = check_origin("https://" + "x" * 5000 + end)
        assert fault is not None
        assert len(fault) < 300

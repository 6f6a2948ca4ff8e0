"""The Conferencing Node that only asks: what it sends, how long it waits, and what it makes of what comes."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import parse_request
from policy_server.simulator.exchange import TIMEOUT
from policy_server.simulator.node import (
    NODE_ADDRESS,
    ConferencingNode,
    Judged,
    dial_out_question,
    service_fields,
    web_question,
)
from tests.servers import basic

CONTINUE = {"status": "success", "action": "continue"}


def ask(
    handle: Callable[[httpx.Request], httpx.Response],
    request_type: RequestType = RequestType.SERVICE,
    url: str = "http://policy.example.com",
    fields: Any = None,
    **further: Any,
) -> Judged:
    """One question to a server that answers like this."""

    async def run() -> Judged:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
            node = ConferencingNode(client, url, "user", "pass:wörd")
            return await node.ask(request_type, fields or {"local_alias": "a b+ü"}, **further)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("request_type", "alias", "path"),
    [
        (RequestType.SERVICE, "", "/policy/v1/service/configuration"),
        (RequestType.PARTICIPANT, "", "/policy/v1/participant/properties"),
        (RequestType.LOCATION, "", "/policy/v1/participant/location"),
        (RequestType.AVATAR, "a/b@c", "/policy/v1/participant/avatar/a%2Fb%40c"),
        (RequestType.DIRECTORY, "", "/policy/v1/registrations"),
        (RequestType.REGISTRATION, "ü+", "/policy/v1/registrations/%C3%BC%2B"),
    ],
)
@pytest.mark.parametrize(
    "profile", ["https://p.example.com:8443", "https://p.example.com:8443/", "https://p.example.com/a"]
)
def test_what_it_sends(request_type: RequestType, alias: str, path: str, profile: str) -> None:
    """A GET below the profile URL with HTTP Basic, the alias as one encoded segment, the parameters form-encoded."""
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=CONTINUE)

    exchange = ask(handle, request_type, profile, alias=alias)
    (request,) = sent
    assert str(request.url) == f"{profile.rstrip('/')}{path}?local_alias=a+b%2B%C3%BC"
    assert (request.method, request.headers["authorization"]) == ("GET", basic("user", "pass:wörd"))
    assert (exchange.path, exchange.query) == (path, "local_alias=a+b%2B%C3%BC")
    assert request.extensions["timeout"] == dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT)


def test_a_good_answer() -> None:
    """An answer comes with status, type, body, time and verdict."""
    room = {"service_type": "conference", "name": "a", "service_tag": "t"}
    exchange = ask(lambda _: httpx.Response(200, json={**CONTINUE, "result": room}))
    assert (exchange.answer.status, exchange.answer.content_type) == (200, "application/json")
    assert (exchange.verdict.outcome, exchange.verdict.used, exchange.unreachable) == ("service", True, "")
    assert exchange.result == room
    assert 0 < exchange.answer.seconds < TIMEOUT


@pytest.mark.parametrize(
    "body", [b"", b"not JSON", b"[1]", b'{"result": [1]}', b'{"result": null}', b"\xff", b"[" * 2_000]
)
def test_an_answer_without_result(body: bytes) -> None:
    """An answer without an object as result has an empty one, whatever the body is."""
    assert ask(lambda _: httpx.Response(200, content=body)).result == {}


def test_redirects_are_not_followed() -> None:
    """An HTTP redirect is a failure, as for a real node, and is not followed."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(302, headers={"location": "/elsewhere"})

    exchange = ask(handle)
    assert (len(asked), exchange.answer.status, exchange.verdict.outcome) == (1, 302, "failure")


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout(""),
        httpx.RemoteProtocolError("gone"),
        httpx.InvalidURL("bad"),
        httpx.UnsupportedProtocol("which?"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_answer_at_all(error: Exception) -> None:
    """A server that cannot be reached, or breaks off, is a failure with the reason, not an exception."""

    def handle(_: httpx.Request) -> httpx.Response:
        raise error

    exchange = ask(handle)
    assert (exchange.verdict.used, exchange.answer.status, exchange.result) == (False, 0, {})
    assert exchange.unreachable.startswith(type(error).__name__)
    assert not exchange.unreachable.endswith((" ", ":"))


def test_a_browsers_question() -> None:
    """A browser's question has the parameters of a real one, and is understood."""
    fields = web_question("mp1", "Ada L", protocol="webrtc", extra="1")
    query = str(httpx.QueryParams(fields)).encode()
    request = parse_request(RequestType.SERVICE, query)
    assert (request.text("local_alias"), request.text("remote_display_name")) == ("mp1", "Ada L")
    assert (request.choice("call_direction"), request.choice("protocol"), request.choice("trigger")) == (
        "dial_in",
        "webrtc",
        "web",
    )
    assert str(request.address("node_ip")) == NODE_ADDRESS
    assert fields["extra"] == "1"


def test_the_question_before_a_leg_is_dialled() -> None:
    """The dial_out question names the leg and the room, and needs neither to be complete."""
    leg = {"local_alias": "s", "remote_alias": "99+1", "protocol": "h323", "remote_display_name": "CC"}
    fields = dial_out_question(leg, {"name": "room", "service_tag": "tag"})
    expected = {
        "call_direction": "dial_out",
        "protocol": "h323",
        "local_alias": "s",
        "remote_alias": "99+1",
        "remote_display_name": "CC",
        "service_name": "room",
        "unique_service_name": "room",
        "service_tag": "tag",
    }
    assert {name: fields[name] for name in expected} == expected
    assert dial_out_question({}, {})["protocol"] == "sip"


def test_how_later_questions_name_a_service() -> None:
    """A service is named by name and tag; a tag that is absent is empty."""
    assert service_fields({"name": "a"}) == {"unique_service_name": "a", "service_name": "a", "service_tag": ""}

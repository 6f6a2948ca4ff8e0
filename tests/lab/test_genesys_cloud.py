"""The stand-in of Genesys Cloud as a widget meets it: signing in by PKCE, the API, channels, and each way of failing."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from policy_server.lab.genesys.cloud import AGENTS, GenesysCloud
from policy_server.lab.genesys.oauth import COOKIE, EXPIRES_IN, SignIn
from policy_server.simulator.genesys import DIVISION, ORGANIZATION, Json, participant
from tests.lab.genesys_widget import (
    ASKED,
    CLIENT_ID,
    ORIGIN,
    REDIRECT_URI,
    VERIFIER,
    Genesys,
    Stage,
    Widget,
    genesys,
    play_alone,
)
from tests.waiting import PATIENCE

CONVERSATION = "c3b1f6de-8f0b-4c5e-9a77-2f4f0c1d5e90"
EVENT = {"id": CONVERSATION, "participants": [], "recordingState": "active"}
MARIA, TOM = AGENTS["maria"], AGENTS["tom"]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A stand-in for all tests of this module."""
    with Stage() as stage:
        yield stage


def query_of(answer: httpx.Response) -> dict[str, list[str]]:
    """The parameters that the browser is led back with."""
    location = answer.headers["location"]
    assert location.startswith(REDIRECT_URI + "?")
    return parse_qs(urlsplit(location).query)


def by_address(genesys: Genesys) -> dict[str, str]:
    """The address names the agent, whatever the cookie and the default say."""
    genesys.http.cookies.set(COOKIE, "aiko")
    genesys.cloud.sign_in.default = "aiko"
    return {"agent": "tom"}


def by_cookie(genesys: Genesys) -> dict[str, str]:
    """A desktop on the same host has named the agent, whatever the default says."""
    genesys.http.cookies.set(COOKIE, "tom")
    genesys.cloud.sign_in.default = "aiko"
    return {}


def by_default(genesys: Genesys) -> dict[str, str]:
    """Nobody is named."""
    genesys.cloud.sign_in.default = "tom"
    return {}


@pytest.mark.parametrize("named", [by_address, by_cookie, by_default])
def test_signs_in_at_once(stage: Stage, named: Callable[[Genesys], dict[str, str]]) -> None:
    """An agent who is named signs in without a click, and the token is that agent's."""

    async def scene(served: Genesys) -> None:
        answer = await served.http.get("/oauth/authorize", params={**ASKED, **named(served)})
        assert answer.status_code == 302
        back = query_of(answer)
        assert back.keys() == {"code", "state"}
        assert back["state"] == ["a state & more"]
        redeemed = await served.redeem(back["code"][0])
        assert redeemed.headers["cache-control"] == "no-store"
        token = redeemed.json()
        assert {**token, "access_token": ""} == {"access_token": "", "token_type": "bearer", "expires_in": EXPIRES_IN}
        me = await Widget(served, "tom", token["access_token"]).ask("users/me")
        assert (me.json()["id"], me.json()["name"]) == (TOM.id, "Tom Becker")

    stage.play(scene)


def test_page_lets_choose(stage: Stage) -> None:
    """Where nobody is named, a page lists the agents, and the link of one leads on as that agent."""

    async def scene(served: Genesys) -> None:
        page = await served.http.get("/oauth/authorize", params={**ASKED, "agent": "<nobody>"})
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        links = re.findall(r'data-testid="sign-in-(\w+)" href="([^"]*)">([^<]*)', page.text)
        assert [(agent, name) for agent, _, name in links] == [(agent, user.name) for agent, user in AGENTS.items()]
        answer = await served.http.get("/oauth/authorize" + unescape(links[1][1]))
        back = query_of(answer)
        assert back["state"] == ["a state & more"]
        token = (await served.redeem(back["code"][0])).json()["access_token"]
        assert (await Widget(served, "tom", token).ask("users/me")).json()["id"] == TOM.id

    stage.play(scene)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"client_id": "another"}, "no OAuth client <code>another</code>", id="client"),
        pytest.param({"client_id": "<b>"}, "no OAuth client <code>&lt;b&gt;</code>", id="client escaped"),
        pytest.param({"redirect_uri": REDIRECT_URI + "x"}, "not registered exactly", id="longer redirect URI"),
        pytest.param({"redirect_uri": REDIRECT_URI + "?a=b"}, "not registered exactly", id="with a query"),
        pytest.param({"redirect_uri": ""}, "not registered exactly", id="no redirect URI"),
    ],
)
def test_leads_nobody_elsewhere(stage: Stage, changed: dict[str, str], said: str) -> None:
    """A client or a redirect URI that is not registered gets a page and is not led anywhere."""

    async def scene(served: Genesys) -> None:
        answer = await served.http.get("/oauth/authorize", params={**ASKED, "agent": "maria", **changed})
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert said in answer.text

    stage.play(scene)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        pytest.param({"response_type": "token"}, "unsupported_response_type", id="implicit grant"),
        pytest.param({"code_challenge": ""}, "invalid_request", id="no challenge"),
        pytest.param({"code_challenge": VERIFIER}, "invalid_request", id="no hash"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain"),
        pytest.param({"code_challenge_method": ""}, "invalid_request", id="no method"),
    ],
)
def test_refuses_without_pkce(stage: Stage, changed: dict[str, str], error: str) -> None:
    """The implicit grant and a code without S256 are refused, and the widget learns why."""

    async def scene(served: Genesys) -> None:
        answer = await served.http.get("/oauth/authorize", params={**ASKED, "agent": "maria", **changed})
        assert answer.status_code == 302
        back = query_of(answer)
        assert back.keys() == {"error", "error_description", "state"}
        assert back["error"] == [error]

    stage.play(scene)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        pytest.param({"code_verifier": VERIFIER + "x"}, "invalid_grant", id="wrong verifier"),
        pytest.param({"code_verifier": ASKED["code_challenge"]}, "invalid_grant", id="the challenge itself"),
        pytest.param({"code_verifier": ""}, "invalid_grant", id="no verifier"),
        pytest.param({"client_id": "another"}, "invalid_grant", id="another client"),
        pytest.param({"redirect_uri": REDIRECT_URI + "x"}, "invalid_grant", id="another redirect URI"),
        pytest.param({"code": "made-up"}, "invalid_grant", id="unknown code"),
        pytest.param({"grant_type": "client_credentials"}, "unsupported_grant_type", id="another grant"),
    ],
)
def test_refuses_tokens(stage: Stage, changed: dict[str, str], error: str) -> None:
    """No token for who cannot show what the code was asked for with; nobody is let in by it."""

    async def scene(served: Genesys) -> None:
        answer = await served.redeem(**{"code": await served.code("maria"), **changed})
        assert answer.status_code == 400
        assert answer.json()["error"] == error
        assert served.cloud.users == {}

    stage.play(scene)


@pytest.mark.parametrize(
    "first", [pytest.param({}, id="after a token"), pytest.param({"code_verifier": "x" * 43}, id="after a refusal")]
)
def test_code_is_good_once(stage: Stage, first: dict[str, str]) -> None:
    """A second attempt with a code gets no token."""

    async def scene(served: Genesys) -> None:
        code = await served.code("maria")
        await served.redeem(code, **first)
        second = await served.redeem(code)
        assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")

    stage.play(scene)


@pytest.mark.parametrize("uri", ["/agent/", "ftp://127.0.0.1/", "http:///agent/", "http://127.0.0.1/#here", ""])
def test_registers_absolute_uris(uri: str) -> None:
    """A redirect URI that no browser could be led to is refused with an example."""
    with pytest.raises(ValueError, match=r"client 'w': the redirect URI must be .* such as http://"):
        SignIn({}, lambda agent, client: agent + client).register("w", uri)


def test_tells_who_the_agent_is(stage: Stage) -> None:
    """``users/me`` and ``tokens/me`` answer in the shapes of Genesys, with what is expanded and nothing else."""

    async def scene(served: Genesys) -> None:
        widget = await served.sign_in("maria")
        plain = (await widget.ask("users/me")).json()
        assert plain["division"]["id"] == DIVISION
        assert plain["selfUri"] == f"/api/v2/users/{MARIA.id}"
        assert (plain["email"], plain["state"]) == ("maria.silva@example.com", "active")
        assert not plain.keys() & {"organization", "authorization", "token"}
        whole = (await widget.ask("users/me?expand=organization,authorization,token")).json()
        assert whole.keys() - plain.keys() == {"organization", "authorization", "token"}
        token = (await widget.ask("tokens/me")).json()
        assert token == whole["token"]
        assert (token["organization"]["id"], token["OAuthClient"]["id"]) == (ORGANIZATION, CLIENT_ID)

    stage.play(scene)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "users/me"),
        ("GET", "tokens/me"),
        ("GET", f"conversations/{CONVERSATION}"),
        ("POST", "notifications/channels"),
        ("PUT", "notifications/channels/x/subscriptions"),
    ],
)
def test_expired_token(stage: Stage, method: str, path: str) -> None:
    """After ``expire_token`` an agent's tokens are refused everywhere, in Genesys' words; others' are not."""

    async def scene(served: Genesys) -> None:
        maria, again, tom = [await served.sign_in(agent) for agent in ("maria", "maria", "tom")]
        served.cloud.expire_token("maria")
        for widget in (maria, again):
            answer = await widget.ask(path, method)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad.credentials")
        assert (await tom.ask(path, method)).status_code != 401
        assert (await (await served.sign_in("maria")).ask("users/me")).status_code == 200

    stage.play(scene)


def test_too_many_requests(stage: Stage) -> None:
    """A 429 for some paths, so many times, tells a page of the widget when to come back."""

    async def scene(served: Genesys) -> None:
        widget = await served.sign_in("maria")
        served.cloud.trouble(status=429, headers={"Retry-After": "30"}, times=1, only="/api/v2/conversations/")
        assert (await widget.ask("users/me")).status_code == 200
        limited = await widget.ask(f"conversations/{CONVERSATION}")
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "30")
        assert "Retry-After" in limited.headers["access-control-expose-headers"]
        assert (await widget.ask(f"conversations/{CONVERSATION}")).status_code == 404

    stage.play(scene)


@pytest.mark.parametrize("path", ["/api/v2/users/me", "/oauth/token", "/api/v2/notifications/channels/x/subscriptions"])
@pytest.mark.parametrize(("origin", "is_ours"), [(ORIGIN, True), ("http://127.0.0.1:10", False)])
def test_pages_of_registered_clients_may_ask(stage: Stage, path: str, origin: str, is_ours: bool) -> None:
    """Only the origin of a registered redirect URI is let in, in the preflight and in the answer."""

    async def scene(served: Genesys) -> None:
        headers = {
            "origin": origin,
            "access-control-request-method": "PUT",
            "access-control-request-headers": "authorization,content-type",
        }
        preflight = await served.http.options(path, headers=headers)
        answer = await served.http.get(path, headers={"origin": origin})
        assert preflight.status_code == (200 if is_ours else 400)
        for each in (preflight, answer):
            assert each.headers.get("access-control-allow-origin") == (origin if is_ours else None)
        assert "Authorization" in preflight.headers["access-control-allow-headers"]

    stage.play(scene)


def test_conversations_are_for_their_agents(stage: Stage) -> None:
    """An agent on a conversation sees it, also after leaving it; others are refused, and what is not there is 404."""

    async def scene(served: Genesys) -> None:
        left = participant("agent", "disconnected", userId=TOM.id, endTime="2026-01-15T10:05:00.000Z")
        here = participant("agent", userId=MARIA.id)
        served.cloud.conversations[CONVERSATION] = [participant("customer", aniName="x"), left, here]
        seen = {}
        for agent in AGENTS:
            widget = await served.sign_in(agent)
            seen[agent] = (await widget.ask(f"conversations/{CONVERSATION}")).status_code
            assert (await widget.ask(f"conversations/{CONVERSATION[:-1]}1")).status_code == 404
        assert seen == {"maria": 200, "tom": 200, "aiko": 403}

    stage.play(scene)


def test_channel_delivers_calls(stage: Stage) -> None:
    """What happens is told in Genesys' frame to the user of the topic, on each channel, and not to others."""

    async def scene(served: Genesys) -> None:
        maria, tom = await served.sign_in("maria"), await served.sign_in("tom")
        channel = await maria.channel()
        assert channel.keys() == {"id", "connectUri", "expires"}
        assert channel["connectUri"] == served.url.replace("http://", "ws://") + f"/channels/{channel['id']}"
        async with maria.listening(channel) as first, maria.listening() as second, tom.listening() as other:
            served.cloud.channels.publish(MARIA.id, EVENT)
            for ear in (first, second):
                (message,) = await ear.news()
                assert message.pop("metadata").keys() == {"CorrelationId"}
                topic = f"v2.users.{MARIA.id}.conversations.calls"
                assert message == {"topicName": topic, "version": "2", "eventBody": EVENT}
            assert await other.news() == []

    stage.play(scene)


def test_subscriptions(stage: Stage) -> None:
    """POST adds topics and PUT replaces them; a channel without the topic is told nothing."""

    async def scene(served: Genesys) -> None:
        maria = await served.sign_in("maria")
        presence, calls = (f"v2.users.{MARIA.id}.{what}" for what in ("presence", "conversations.calls"))
        channel = await maria.channel(presence)
        path = f"notifications/channels/{channel['id']}/subscriptions"
        heard = []
        async with maria.listening(channel) as ear:
            for method, topic in [("POST", calls), ("PUT", presence), ("PUT", calls)]:
                answer = await maria.ask(path, method, json=[{"id": topic}])
                served.cloud.channels.publish(MARIA.id, EVENT)
                heard.append(([each["id"] for each in answer.json()["entities"]], len(await ear.news())))
        assert heard == [([presence, calls], 1), ([presence], 0), ([calls], 1)]

    stage.play(scene)


@pytest.mark.parametrize(
    ("agent", "body", "status"),
    [
        pytest.param("tom", [], 404, id="somebody else's channel"),
        pytest.param("maria", [{"id": f"v2.users.{TOM.id}.conversations.calls"}], 403, id="somebody else's calls"),
        pytest.param("maria", [{"name": "x"}], 400, id="no id"),
        pytest.param("maria", 5, 400, id="no list"),
    ],
)
def test_refuses_subscriptions(stage: Stage, agent: str, body: object, status: int) -> None:
    """Nobody subscribes on a channel or to calls of somebody else; nonsense is a bad request."""

    async def scene(served: Genesys) -> None:
        channel = await (await served.sign_in("maria")).channel()
        widget = await served.sign_in(agent)
        answer = await widget.ask(f"notifications/channels/{channel['id']}/subscriptions", "POST", json=body)
        assert answer.status_code == status

    stage.play(scene)


def test_unknown_channel_is_refused(stage: Stage) -> None:
    """A socket at a channel that nobody opened does not open."""

    async def scene(served: Genesys) -> None:
        with pytest.raises(InvalidStatus):
            await connect(served.url.replace("http://", "ws://") + "/channels/made-up", proxy=None)

    stage.play(scene)


def test_heartbeats() -> None:
    """A channel that has nothing to tell sends heartbeats, and goes on with them; nonsense does not disturb it."""

    async def scene(served: Genesys) -> None:
        async with (await served.sign_in("maria")).listening() as ear:
            await ear.socket.send("nonsense")
            await ear.socket.send(b"\xff")
            for _ in range(3):
                beat = await ear.message()
                assert beat == {"topicName": "channel.metadata", "eventBody": {"message": "WebSocket Heartbeat"}}

    play_alone(scene, heartbeat_seconds=0.01)


def test_deaf_channel() -> None:
    """A deaf channel, later ones too, stays open, sends heartbeats and delivers nothing, until it hears again."""

    async def scene(served: Genesys) -> None:
        maria, tom = await served.sign_in("maria"), await served.sign_in("tom")
        async with maria.listening() as ear, tom.listening() as other:
            served.cloud.deaf_channel("maria")
            async with maria.listening() as later:
                for user in (MARIA, TOM):
                    served.cloud.channels.publish(user.id, EVENT)
                assert [await each.news() for each in (ear, later)] == [[], []]
                assert len(await other.news()) == 1
                assert (await ear.message())["eventBody"] == {"message": "WebSocket Heartbeat"}
                served.cloud.deaf_channel("maria", deaf=False)
                served.cloud.channels.publish(MARIA.id, EVENT)
                assert [len(await each.news()) for each in (ear, later)] == [1, 1]

    play_alone(scene, heartbeat_seconds=0.05)


def test_dropped_channel(stage: Stage) -> None:
    """A dropped socket is closed and what happens meanwhile is lost; the channel may be connected to again."""

    async def scene(served: Genesys) -> None:
        maria, tom = await served.sign_in("maria"), await served.sign_in("tom")
        channel = await maria.channel()
        async with tom.listening() as other:
            async with maria.listening(channel) as ear:
                served.cloud.drop_channel("maria")
                assert await ear.closed() == 1001
            served.cloud.channels.publish(MARIA.id, EVENT)
            async with maria.listening(channel) as ear:
                served.cloud.channels.publish(MARIA.id, {**EVENT, "id": "second"})
                assert [each["eventBody"]["id"] for each in await ear.news()] == ["second"]
            assert await other.news() == []

    stage.play(scene)


def test_second_socket_takes_over(stage: Stage) -> None:
    """A channel has one socket: a second one closes the first and hears what happens."""

    async def scene(served: Genesys) -> None:
        maria = await served.sign_in("maria")
        channel = await maria.channel()
        async with maria.listening(channel) as first, maria.listening(channel) as second:
            await first.closed()
            served.cloud.channels.publish(MARIA.id, EVENT)
            assert len(await second.news()) == 1
            assert served.cloud.channels.is_listening(MARIA.id)

    stage.play(scene)


def test_reset_forgets(stage: Stage) -> None:
    """A reset closes sockets and ends tokens and channels; agents may sign in again."""

    async def scene(served: Genesys) -> None:
        maria = await served.sign_in("maria")
        channel = await maria.channel()
        async with maria.listening(channel) as ear:
            served.cloud.reset()
            await ear.closed()
        assert (await maria.ask("users/me")).status_code == 401
        with pytest.raises(InvalidStatus):
            await connect(channel["connectUri"], proxy=None)
        assert (await (await served.sign_in("maria")).ask("users/me")).status_code == 200

    stage.play(scene)


def test_unknown_agents_are_named() -> None:
    """A failure for an agent who does not exist says who does."""
    with pytest.raises(LookupError, match="there is no agent 'eve'; the agents are maria, tom, aiko"):
        GenesysCloud().expire_token("eve")


def test_serves_from_a_thread_too() -> None:
    """Served from a thread, it delivers what another thread publishes, and an open socket does not keep it from ending."""
    cloud = GenesysCloud()
    cloud.sign_in.register(CLIENT_ID, REDIRECT_URI)

    async def scene(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            widget = await Genesys(cloud, url, http).sign_in("maria")
            async with widget.listening() as ear:
                cloud.channels.publish(MARIA.id, EVENT)
                message: Json = await ear.message()
                assert message["eventBody"] == EVENT

    with cloud.serving() as url:
        asyncio.run(scene(url))


def test_stops_with_open_sockets() -> None:
    """Sockets that are open when the stand-in stops are closed, and none of its tasks is left."""

    async def run() -> None:
        async with asyncio.timeout(PATIENCE):
            async with genesys() as served:
                widget = await served.sign_in("maria")
                socket = await connect((await widget.channel())["connectUri"], proxy=None)
            await socket.wait_closed()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_secrets_are_not_shown(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """No log of the stand-in and no repr holds a token, a code or a verifier."""
    caplog.set_level(logging.DEBUG)
    secrets: list[str] = [VERIFIER]
    shown: list[str] = []

    async def scene(served: Genesys) -> None:
        code = await served.code("maria")
        shown.append(repr(served.cloud.sign_in))
        refused = await served.redeem(code, code_verifier="x" * 43)
        widget = await served.sign_in("maria")
        async with widget.listening():
            shown.extend((repr(served.cloud), repr(widget), repr(served.cloud.requests), refused.text))
        secrets.extend((code, widget.token))

    stage.play(scene)
    # Those of the client tell what it sent itself.
    ours = [
        record for record in caplog.records if not record.name.startswith(("httpcore", "httpx", "websockets.client"))
    ]
    shown.extend(f"{record.getMessage()} {vars(record)!r}" for record in ours)
    assert not any(secret in text for secret in secrets for text in shown)

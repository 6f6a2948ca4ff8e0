"""The client API of the simulated node, over real HTTP, as @pexip/infinity 20.0.0 uses it."""

import asyncio
import time
from typing import Any

import pytest

from policy_server.lab.node.happenings import LEFT, REMOVED_BY_HOST, TOKEN_EXPIRED
from tests.lab.lab_node import CLINIC, DIALLING, ROOM, Lab, World, lab, root
from tests.waiting import until

HOST_PIN, GUEST_PIN = "123456", "654321"
NOT_FOUND = {"status": "failed", "result": "Neither conference nor gateway found"}


@pytest.mark.parametrize(
    ("service", "pin", "expected"),
    [
        pytest.param(CLINIC, None, "required", id="a PIN is needed"),
        pytest.param({**CLINIC, "guest_pin": ""}, None, "none", id="Guests need none"),
        pytest.param({**ROOM, "pin": "1234"}, None, "required", id="no Guests"),
        pytest.param(CLINIC, "999999", "Invalid PIN", id="a wrong PIN"),
        pytest.param(CLINIC, "none", "Invalid PIN", id="a Guest without the PIN"),
        pytest.param({**ROOM, "pin": "1234"}, "none", "Invalid PIN", id="a Guest where there are none"),
        pytest.param(CLINIC, GUEST_PIN, "GUEST", id="a Guest"),
        pytest.param(CLINIC, HOST_PIN, "HOST", id="a Host"),
        pytest.param({**CLINIC, "guest_pin": ""}, "none", "GUEST", id="a Guest without PIN"),
        pytest.param(ROOM, None, "HOST", id="an open room"),
    ],
)
def test_the_pin_dance(service: dict[str, Any], pin: str | None, expected: str) -> None:
    """Without a PIN there is 403 and what to send next, which counts as success; with a wrong one a failure in words;
    with a good one a token and the role that goes with it.
    """

    async def scenario() -> None:
        async with lab(World(service=service)) as it:
            answer = await it.request_token("customer", pin)
            result = answer.json()["result"]
            if expected in {"GUEST", "HOST"}:
                assert (answer.status_code, result["role"], result["expires"]) == (200, expected, "120")
            elif expected == "Invalid PIN":
                assert (answer.status_code, answer.json()) == (403, {"status": "failed", "result": "Invalid PIN"})
            else:
                assert (answer.status_code, answer.json()["status"]) == (403, "success")
                assert (result["pin"], result["guest_pin"]) == ("required", expected)
                assert isinstance(result["version"], dict)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"status": "success", "action": "reject", "result": {}}, id="rejected"),
        pytest.param({"status": "success", "action": "continue"}, id="not ours"),
        pytest.param(
            {"status": "success", "action": "continue", "result": {**CLINIC, "view": "1:7"}}, id="one bad field"
        ),
        pytest.param(
            {"status": "success", "result": {"service_type": "test_call", "name": "t", "service_tag": ""}},
            id="a service that is not played",
        ),
    ],
)
def test_what_pexip_would_not_find(answer: object) -> None:
    """A refusal, an answer that Pexip discards and an empty one are all 404 for whoever dials."""

    async def scenario() -> None:
        async with lab(World(by_alias={"customer": answer})) as it:
            refused = await it.request_token("customer")
            assert (refused.status_code, refused.json()) == (404, NOT_FOUND)
            assert not it.node.meetings

    asyncio.run(scenario())


def test_a_participant_whom_the_policy_refuses() -> None:
    """The reason of participant properties reaches the caller, who is not let in."""

    async def scenario() -> None:
        world = World(properties={"status": "success", "action": "reject", "result": {"reject_reason": "Not you."}})
        async with lab(world) as it:
            refused = await it.request_token("customer", GUEST_PIN)
            assert (refused.status_code, refused.json()["result"]) == (403, "Not you.")
            assert not it.node.meetings

    asyncio.run(scenario())


def test_a_full_room() -> None:
    """The participant limit of the service holds."""

    async def scenario() -> None:
        async with lab(World(service={**ROOM, "participant_limit": 1})) as it:
            await it.join(pin=None)
            refused = await it.request_token("customer")
            assert (refused.status_code, refused.json()["result"]) == (403, "Participant limit reached")

    asyncio.run(scenario())


def test_the_roster_and_the_event_stream() -> None:
    """A stream begins with the whole roster, its owner included, and goes on with what happens."""

    async def scenario() -> None:
        async with lab(World(DIALLING, may_dial=(may_dial := asyncio.Event()))) as it:
            customer = await it.join()
            assert customer.granted["current_service_type"] == "waiting_room"
            async with customer.listening() as stream:
                assert stream.names[:4] == [
                    "participant_sync_begin",
                    "participant_create",
                    "participant_sync_end",
                    "conference_update",
                ]
                assert stream.events[0][1] is None
                (me,) = stream.told("participant_create")
                assert (me["uuid"], me["role"], me["service_type"]) == (customer.uuid, "guest", "waiting_room")
                may_dial.set()
                (call,) = await until(lambda: it.trunk.placed)
                created = await until(lambda: stream.told("participant_create")[1:])
                assert (created[0]["display_name"], created[0]["service_type"]) == ("Contact centre", "connecting")
                call.on_answered()
                await until(lambda: len(stream.told("participant_update")) == 2)
                leg, me = stream.told("participant_update")
                assert (leg["call_direction"], leg["has_media"], leg["is_audio_only_call"]) == ("out", True, "YES")
                assert (me["uuid"], me["service_type"]) == (customer.uuid, "conference")
                assert stream.told("conference_update")[-1]["started"] is True
                agent = await it.join("agent", HOST_PIN, display_name="Agent: Maria", call_tag="agent.1.2")
                await until(lambda: stream.told("participant_create")[2:])
                assert stream.told("participant_create")[2]["call_tag"] == "agent.1.2"
                assert (await agent.post("/release_token", {"reason": "Transfer"})).json()["result"] is True
                assert await until(lambda: stream.told("participant_delete")) == [{"uuid": agent.uuid}]

    asyncio.run(scenario())


def test_guests_do_not_learn_who_the_others_are() -> None:
    """Addresses, protocols and devices are for Hosts."""

    async def scenario() -> None:
        async with lab() as it:
            customer, agent = await it.join(), await it.join("agent", HOST_PIN)
            for shown, client in (("api", agent), ("", customer)):
                assert {each["protocol"] for each in await client.roster()} == {shown}
            assert {each["uri"] for each in await customer.roster()} == {""}
            assert (await customer.get("/conference_status"))["started"] is False

    asyncio.run(scenario())


def test_no_empty_lists_of_servers() -> None:
    """An answer names no STUN or TURN servers rather than none of them: the library makes an empty address of ``[]``."""

    async def scenario() -> None:
        async with lab() as it:
            customer = await it.join()
            assert not {"stun", "turn"} & customer.granted.keys()

    asyncio.run(scenario())


def test_refreshed_tokens() -> None:
    """A refreshed token takes the place of the old one, which is refused from then on; streams stay open meanwhile."""

    async def scenario() -> None:
        async with lab() as it:
            customer = await it.join()
            old = customer.granted["token"]

            async def check_is_refused(token: str) -> None:
                customer.granted["token"] = token
                for path in ("/refresh_token", "/release_token", "/disconnect"):
                    refused = await customer.post(path)
                    told = (refused.status_code, refused.json())
                    assert told == (403, {"status": "failed", "result": "Invalid token"})

            async with customer.listening() as stream:
                fresh = (await customer.post("/refresh_token")).json()["result"]
                assert (fresh["expires"], fresh["token"] != old) == ("120", True)
                await check_is_refused(old)
                customer.granted["token"] = fresh["token"]
                newest = (await customer.post("/refresh_token")).json()["result"]["token"]
                await check_is_refused(fresh["token"])
                customer.granted["token"] = newest
                other = await it.join("agent", HOST_PIN)
                await until(lambda: len(stream.told("participant_create")) == 2)
                assert {each["uuid"] for each in stream.told("participant_create")} == {customer.uuid, other.uuid}
            assert (await customer.post("/release_token", {})).json() == {"status": "success", "result": True}
            await check_is_refused(newest)

    asyncio.run(scenario())


def test_a_token_that_is_not_refreshed() -> None:
    """Whoever vanishes is removed when the token expires, and their stream ends."""

    async def scenario() -> None:
        async with lab(token_seconds=1.0) as it:
            customer = await it.join()
            async with customer.listening() as stream:
                assert await until(lambda: stream.told("disconnect")) == [{"reason": TOKEN_EXPIRED}]
                await until(lambda: stream.is_over)
            gone = await until(
                lambda: [each for each in it.world.events if each["event"] == "participant_disconnected"]
            )
            assert gone[0]["data"]["disconnect_reason"] == TOKEN_EXPIRED
            assert not it.node.meetings

    asyncio.run(scenario())


def test_a_token_that_is_refreshed_in_time() -> None:
    """Its owner stays for as long as that goes on."""

    async def scenario() -> None:
        seconds = 1.5
        async with lab(token_seconds=seconds) as it:
            customer = await it.join()
            until_when = time.monotonic() + 2 * seconds
            while time.monotonic() < until_when:
                fresh = await customer.post("/refresh_token")
                assert fresh.status_code == 200
                customer.granted["token"] = fresh.json()["result"]["token"]
            assert len(await customer.roster()) == 1

    asyncio.run(scenario())


def test_a_page_that_is_closed() -> None:
    """A beacon carries the token in its query, and the browser may send it from any origin with credentials."""

    async def scenario() -> None:
        async with lab() as it:
            customer = await it.join()
            path = f"{root('customer')}/release_token?token={customer.granted['token']}"
            origin = {"origin": "https://agents.example.com"}
            preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
            allowed = await it.http.options(path, headers={**origin, **preflight})
            told = await it.http.post(path, json={"reason": "Browser closed"}, headers=origin)
            for answer in (allowed, told):
                assert answer.status_code == 200
                assert answer.headers["access-control-allow-origin"] == origin["origin"]
                assert answer.headers["access-control-allow-credentials"] == "true"
            await until(lambda: "conference_ended" in it.world.names())
            (gone,) = (each["data"] for each in it.world.events if each["event"] == "participant_disconnected")
            assert gone["disconnect_reason"] == "Browser closed"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("action", "field", "value"),
    [
        ("mute", "is_muted", "YES"),
        ("unmute", "is_muted", "NO"),
        ("client_mute", "is_client_muted", True),
        ("client_unmute", "is_client_muted", False),
        ("video_muted", "is_video_muted", True),
        ("video_unmuted", "is_video_muted", False),
    ],
)
def test_muting(action: str, field: str, value: object) -> None:
    """A Host mutes anybody, a Guest nobody but themselves, and everybody is told."""

    async def scenario() -> None:
        async with lab() as it:
            customer, agent = await it.join(), await it.join("agent", HOST_PIN)
            if value in {"NO", False}:
                undone = action.replace("un", "")
                await agent.post(f"/participants/{customer.uuid}/{undone}")
            async with agent.listening() as stream:
                answer = await agent.post(f"/participants/{customer.uuid}/{action}")
                assert answer.json() == {"status": "success", "result": True}
                (told,) = await until(lambda: stream.told("participant_update"))
                assert (told["uuid"], told[field]) == (customer.uuid, value)
            refused = await customer.post(f"/participants/{agent.uuid}/{action}")
            assert (refused.status_code, refused.json()["result"]) == (403, "Invalid role")
            assert (await customer.post(f"/participants/{customer.uuid}/{action}")).status_code == 200

    asyncio.run(scenario())


def test_removing_one_and_ending_it_for_all() -> None:
    """Only Hosts remove others or end the conference; whoever goes is told why."""

    async def scenario() -> None:
        async with lab() as it:
            customer, old, agent = [await it.join(pin=pin) for pin in (GUEST_PIN, HOST_PIN, HOST_PIN)]
            for path in (f"/participants/{agent.uuid}/disconnect", "/disconnect", "/start_conference"):
                assert (await customer.post(path)).status_code == 403
            async with old.listening() as stream:
                assert (await agent.post(f"/participants/{old.uuid}/disconnect")).json()["result"] is True
                assert await until(lambda: stream.told("disconnect")) == [{"reason": REMOVED_BY_HOST}]
            async with customer.listening() as stream:
                assert (await agent.post("/disconnect")).json() == {"status": "success", "result": True}
                assert await until(lambda: stream.told("disconnect"))
            assert not it.node.meetings

    asyncio.run(scenario())


def test_a_host_without_media_starts_the_conference() -> None:
    """Guests need not wait for a Host with media then."""

    async def scenario() -> None:
        async with lab() as it:
            customer, agent = await it.join(), await it.join("agent", HOST_PIN)
            assert (await agent.post("/start_conference")).json()["result"] is True
            assert (await customer.get("/conference_status"))["started"] is True
            assert {each["service_type"] for each in await customer.roster()} == {"conference"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/participants"),
        ("GET", "/conference_status"),
        ("GET", "/theme/"),
        ("GET", "/events"),
        ("POST", "/refresh_token"),
        ("POST", "/release_token"),
        ("POST", "/disconnect"),
        ("POST", "/participants/x/calls"),
        ("POST", "/participants/x/calls/y/ack"),
        ("POST", "/participants/x/calls/y/new_candidate"),
        ("POST", "/participants/x/calls/y/update"),
        ("POST", "/participants/x/calls/y/disconnect"),
        ("POST", "/participants/x/video_muted"),
        ("POST", "/participants/x/disconnect"),
    ],
)
def test_nothing_without_a_token(method: str, path: str) -> None:
    """Whatever is asked without a good token is refused, in words that the library knows."""

    async def scenario() -> None:
        async with lab() as it:
            await it.join()
            answer = await it.http.request(method, root("customer") + path, headers={"token": "made-up"})
            assert (answer.status_code, answer.json()) == (403, {"status": "failed", "result": "Invalid token"})

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/webapp3/m/mpabc/express?name=Ada&pin=1234", "text/html", id="join page"),
        pytest.param("/webapp3/m/mpabc", "text/html", id="short join page"),
        pytest.param("/webapp3/lab/customer.js", "text/javascript", id="script"),
        pytest.param("/webapp3/lab/customer.css", "text/css", id="styles"),
        pytest.param("/webapp3/lab/customer.py", None, id="no such file"),
        pytest.param("/webapp3/lab/..%2Fmeeting.js", None, id="outside"),
    ],
)
def test_the_pages_of_the_lab(path: str, expected: str | None) -> None:
    """The customer's page is served by the node, and nothing else is."""

    async def scenario() -> None:
        async with lab() as it:
            answer = await it.http.get(path)
            if expected is None:
                assert answer.status_code == 404
            else:
                assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, expected)

    asyncio.run(scenario())


def test_streams_end_with_the_node() -> None:
    """A node that stops tells everybody, so that its server can stop."""

    async def scenario() -> None:
        async def end(it: Lab) -> None:
            it.node.disconnect_all("System in maintenance mode")

        async with lab() as it:
            customer = await it.join()
            async with customer.listening() as stream:
                await end(it)
                await until(lambda: stream.is_over)
                assert stream.told("disconnect") == [{"reason": "System in maintenance mode"}]

    asyncio.run(scenario())


def test_leaving_by_ones_own_uuid() -> None:
    """Who removes themselves has left."""

    async def scenario() -> None:
        async with lab() as it:
            customer = await it.join()
            await customer.post(f"/participants/{customer.uuid}/disconnect")
            gone = await until(
                lambda: [each for each in it.world.events if each["event"] == "participant_disconnected"]
            )
            assert gone[0]["data"]["disconnect_reason"] == LEFT

    asyncio.run(scenario())

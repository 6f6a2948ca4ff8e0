"""The simulated Management Node, asked by the client: it sees and changes the meetings of the node, and fails on command."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from policy_server.lab.management.doors import ASSERTION_TYPE, GRANT, Administrator, Doors
from policy_server.lab.management.doors import Client as RegisteredClient
from policy_server.lab.management.node import LIMIT, ManagementNode
from policy_server.lab.management.troubles import Dials
from policy_server.lab.node.happenings import (
    ENDED_BY_ADMINISTRATOR,
    REMOVED_BY_ADMINISTRATOR,
    TRANSFERRED,
)
from policy_server.management.access import Access, Account, OAuthClient
from policy_server.management.assertions import LIFETIME, sign_assertion
from policy_server.management.client import ManagementClient
from policy_server.management.requests import Requests
from policy_server.management.results import (
    Absent,
    Accepted,
    Call,
    Conference,
    Gone,
    NotDone,
    Participant,
    Unanswered,
    Unknown,
)
from tests.lab.lab_node import CLINIC, DIALLING, LEG, Lab, World, lab
from tests.management.keys import private_key, public_key
from tests.waiting import WHOLE_PATIENCE, until

PASSWORD: Final = "a password: of the manager"
KEY: Final = private_key()
CLIENT_ID: Final = "a1b2c3"
AGAIN: Final = Call(
    "customer",
    "99+13125550100",
    "keep_conference_alive_never",
    system_location="DMZ",
    role="chair",
    routing="routing_rule",
    local_display_name="session-1",
    remote_display_name="Contact centre again",
)


@dataclass
class Site:
    """A node with its Management Node, and a client."""

    lab: Lab
    manager: ManagementNode
    client: ManagementClient
    time: "Time"

    def names(self) -> list[str]:
        """What the event sink was told."""
        return self.lab.world.names()

    async def conference(self, name: str = "visit-1") -> Conference:
        """The conference, which runs."""
        found = await self.client.conference(name)
        assert isinstance(found, Conference)
        return found

    def raw(self) -> httpx.AsyncClient:
        """A client of HTTP alone."""
        return httpx.AsyncClient(base_url=self.manager.url, auth=("policy", PASSWORD), trust_env=False)


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        """What it says."""
        return self.now


@asynccontextmanager
async def site(world: World | None, is_oauth: bool, patience: float, **options: Any) -> AsyncIterator[Site]:
    """All of it on this loop."""
    clock = Time()
    registered = RegisteredClient(CLIENT_ID, public_key(KEY))
    manager = ManagementNode(Administrator("policy", PASSWORD), registered, token_seconds=600, clock=clock)
    async with lab(world, **options) as it, manager:
        manager.oversee(it.node)
        login = OAuthClient(CLIENT_ID, KEY) if is_oauth else Account("policy", PASSWORD)
        access = Access(manager.url, login)
        requests = Requests(access, 1000, timeout=patience, clock=clock, sleep=lambda _: asyncio.sleep(0))
        async with ManagementClient(access, requests=requests) as client:
            yield Site(it, manager, client, clock)


def run(
    scenario: Callable[[Site], Coroutine[Any, Any, None]],
    world: World | None = None,
    *,
    is_oauth: bool = False,
    timeout: float = 20.0,
    **options: Any,
) -> None:
    """Plays a scenario."""

    async def play() -> None:
        async with asyncio.timeout(WHOLE_PATIENCE), site(world, is_oauth, timeout, **options) as it:
            await scenario(it)

    asyncio.run(play())


def legs(conference: Conference) -> list[Participant]:
    """Whom the conference called."""
    return [each for each in conference.participants if each.is_outgoing]


def test_who_is_in_a_conference() -> None:
    """The node's meetings as they are: ids of the events, roles, who was called and whether they answered."""

    async def scenario(it: Site) -> None:
        assert await it.client.conference("visit-1") == Absent()
        customer = await it.lab.join()
        (call,) = await until(lambda: it.lab.trunk.placed)
        found = await it.conference()
        assert (found.tag, found.is_started) == ("visits", False)
        (leg,) = legs(found)
        assert (leg.source_alias, leg.destination_alias) == (LEG["local_alias"], LEG["remote_alias"])
        assert (leg.has_media, leg.connect_time) == (False, None)
        call.on_answered()
        found = await it.conference()
        (leg,) = legs(found)
        assert (found.is_started, leg.has_media, leg.role) == (True, True, "chair")
        assert {each.id for each in found.participants} == {customer.uuid, leg.id}
        told = {each["data"]["uuid"] for each in it.lab.world.events if each["event"].startswith("participant")}
        await until(
            lambda: {leg.id, customer.uuid} <= told | {each["data"].get("uuid") for each in it.lab.world.events}
        )
        assert await it.client.participant(leg.id) == leg
        assert await it.client.participant("nobody") == Absent()

    run(scenario, World(DIALLING))


def test_a_dial_is_a_real_leg() -> None:
    """It is asked about, placed by the routing rules, told to the event sink, and ends as any leg."""

    async def scenario(it: Site) -> None:
        await it.lab.join()
        accepted = await it.client.dial(AGAIN)
        assert isinstance(accepted, Accepted)
        (call,) = await until(lambda: it.lab.trunk.placed)
        assert (call.uri, call.from_display_name) == ("sip:+13125550100@trunk.example", "session-1")
        asked = [each.url.params for each in it.lab.world.asked if each.url.params["call_direction"] == "dial_out"]
        assert {each["local_alias"] for each in asked} == {"customer"}
        (leg,) = legs(await it.conference())
        assert (leg.id, leg.display_name) == (accepted.participant_id, "Contact centre again")
        call.on_answered()
        (leg,) = legs(await it.conference())
        assert leg.has_media
        call.on_ended("Call disconnected")
        assert legs(await it.conference()) == []
        await until(lambda: "participant_disconnected" in it.names())

    run(scenario)


def test_a_dial_for_an_alias_that_nobody_dialled() -> None:
    """The policy is asked whose alias it is; the room begins, and nobody's alias is refused."""

    async def scenario(it: Site) -> None:
        it.lab.world.by_alias["nobody"] = {"status": "success", "action": "reject", "result": {}}
        refused = await it.client.dial(Call("nobody", "99+13125550100", "keep_conference_alive", node="127.0.0.1"))
        assert isinstance(refused, NotDone)
        assert refused.reason == "refused"
        accepted = await it.client.dial(Call("customer", "99+13125550100", "keep_conference_alive", node="127.0.0.1"))
        assert isinstance(accepted, Accepted)
        await until(lambda: it.lab.trunk.placed)
        (leg,) = legs(await it.conference())
        assert leg.id == accepted.participant_id
        await until(lambda: it.names()[:2] == ["conference_started", "participant_connected"])

    run(scenario, routing_rules=())


@pytest.mark.parametrize(
    ("dials", "placed", "told"),
    [(Dials.FORGOTTEN, 0, []), (Dials.FAILED, 0, ["participant_connected", "participant_disconnected"])],
)
def test_a_dial_that_is_accepted_and_comes_to_nothing(dials: Dials, placed: int, told: list[str]) -> None:
    """The answer is the same; events, if there are any, say the rest."""

    async def scenario(it: Site) -> None:
        await it.lab.join()
        await until(lambda: len(it.names()) == 2)
        it.manager.troubles.dials = dials
        accepted = await it.client.dial(AGAIN)
        assert isinstance(accepted, Accepted)
        assert accepted.participant_id
        await until(lambda: it.names()[2:] == told)
        assert len(it.lab.trunk.placed) == placed
        assert await it.client.participant(accepted.participant_id) == Absent()

    run(scenario)


def test_a_participant_is_disconnected() -> None:
    """The call is hung up, the event sink told why, and the second time there is nobody."""

    async def scenario(it: Site) -> None:
        await it.lab.join()
        (call,) = await until(lambda: it.lab.trunk.placed)
        (leg,) = legs(await it.conference())
        assert await it.client.disconnect_participant(leg.id) == Accepted()
        await until(lambda: call.is_hung_up)
        await until(lambda: "participant_disconnected" in it.names())
        assert it.lab.world.events[-1]["data"]["disconnect_reason"] == REMOVED_BY_ADMINISTRATOR
        assert await it.client.disconnect_participant(leg.id) == Gone()

    run(scenario, World(DIALLING))


def test_a_conference_is_disconnected() -> None:
    """Everybody leaves, and the next one of its name has another id."""

    async def scenario(it: Site) -> None:
        customer = await it.lab.join()
        async with customer.listening() as stream:
            first = await it.conference()
            assert await it.client.disconnect_conference(first.id) == Accepted()
            await until(lambda: stream.is_over)
            assert stream.told("disconnect") == [{"reason": ENDED_BY_ADMINISTRATOR}]
        assert await it.client.disconnect_conference(first.id) == Gone()
        await until(lambda: "conference_ended" in it.names())
        await it.lab.join()
        assert (await it.conference()).id != first.id

    run(scenario)


def test_a_leg_is_transferred() -> None:
    """It goes on in the other room, with its call; and what becomes of it then is told of that room."""

    async def scenario(it: Site) -> None:
        it.lab.world.by_alias["other"] = {"status": "success", "result": {**CLINIC, "name": "visit-2"}}
        await it.lab.join()
        (call,) = await until(lambda: it.lab.trunk.placed)
        call.on_answered()
        (leg,) = legs(await it.conference())
        assert await it.client.transfer(leg.id, "other", "chair") == Accepted()
        assert legs(await it.conference()) == []
        (moved,) = legs(await it.conference("visit-2"))
        assert (moved.id, moved.has_media, call.is_hung_up) == (leg.id, True, False)
        reasons = [each["data"].get("disconnect_reason") for each in it.lab.world.events]
        await until(lambda: TRANSFERRED in reasons or TRANSFERRED in str(it.lab.world.events))
        call.on_ended("Call disconnected")
        assert await it.client.conference("visit-2") == Absent()
        nobody = await it.client.transfer("nobody", "other", "chair")
        assert isinstance(nobody, NotDone)

    run(scenario, World(DIALLING))


def test_somebody_in_a_browser_is_transferred() -> None:
    """They are told where to go, with a token that stands for the PIN once."""

    async def scenario(it: Site) -> None:
        customer = await it.lab.join()
        async with customer.listening() as stream:
            assert await it.client.transfer(customer.uuid, "other", "chair") == Accepted()
            (refer,) = await until(lambda: stream.told("refer"))
        assert refer["alias"] == "other"
        moved = await it.lab.join("other", None, token=refer["token"])
        assert moved.granted["role"] == "HOST"
        again = await it.lab.request_token("other", None, token=refer["token"])
        assert again.json()["result"]["pin"] == "required"

    run(scenario)


# ---------------------------------------------------------------------- troubles


def test_a_dial_whose_answer_is_lost() -> None:
    """The leg is there, and the client says that it does not know."""

    async def scenario(it: Site) -> None:
        await it.lab.join()
        it.manager.troubles.loses_answers = True
        result = await it.client.dial(AGAIN)
        assert isinstance(result, Unknown)
        it.manager.troubles.clear()
        await until(lambda: it.lab.trunk.placed)
        assert len(legs(await it.conference())) == 1
        assert [each.path for each in it.manager.requests].count("/api/admin/command/v1/participant/dial/") == 1

    run(scenario)


def test_a_slow_node() -> None:
    """What takes longer than the timeout is unknown for a dial, and nothing for a question."""

    async def scenario(it: Site) -> None:
        await it.lab.join()
        it.manager.troubles.delay = 30.0
        assert (await it.client.dial(AGAIN)).reason == "timeout"  # type: ignore[union-attr]  # It is not Accepted.

    run(scenario, timeout=0.25)


def test_a_node_that_is_down_and_comes_back() -> None:
    """While it is down nothing is carried out, and its address is the same when it is back."""

    async def scenario(it: Site) -> None:
        await it.lab.join()
        url = it.manager.url
        await it.manager.go_down()
        result = await it.client.dial(AGAIN)
        assert isinstance(result, NotDone)
        assert result.reason == "connection"
        await it.manager.come_up()
        assert it.manager.url == url
        assert isinstance(await it.client.dial(AGAIN), Accepted)

    run(scenario)


@pytest.mark.parametrize(
    ("status", "reason"), [(401, "credentials"), (403, "forbidden"), (429, "busy"), (500, "status")]
)
def test_answers_on_command(status: int, reason: str) -> None:
    """Every request is answered so until all is well again."""

    async def scenario(it: Site) -> None:
        it.manager.troubles.status, it.manager.troubles.retry_after = status, 9
        found = await it.client.conference("visit-1")
        assert isinstance(found, Unanswered)
        assert found.reason == reason
        it.manager.troubles.clear()
        it.time.now += 60
        assert await it.client.conference("visit-1") == Absent()

    run(scenario)


def test_a_status_that_is_behind() -> None:
    """Within the lag it is what it was; who has left is still there, and a command for them finds nobody."""

    async def scenario(it: Site) -> None:
        customer = await it.lab.join()
        it.manager.troubles.lag = 5.0
        assert len((await it.conference()).participants) == 1
        await customer.post("/release_token")
        assert len((await it.conference()).participants) == 1
        it.time.now += 5
        assert await it.client.conference("visit-1") == Absent()

    run(scenario)


def test_a_thousand_requests_a_minute() -> None:
    """The next is refused until the first has been a minute ago."""

    async def scenario(it: Site) -> None:
        async with it.raw() as http:
            for _ in range(LIMIT):
                await http.get("/api/admin/status/v1/conference/?limit=1")
            it.time.now += 20
            refused = await http.get("/api/admin/status/v1/conference/")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "40")
            it.time.now += 40
            assert (await http.get("/api/admin/status/v1/conference/")).status_code == 200

    run(scenario)


# ---------------------------------------------------------------------- the API itself


def test_pages() -> None:
    """Twenty objects unless asked otherwise, with the address of the next page and the number of all."""

    async def scenario(it: Site) -> None:
        it.lab.world.service = {**CLINIC, "participant_limit": 60}
        for number in range(25):
            await it.lab.join(display_name=f"Ada {number}")
        assert len((await it.conference()).participants) == 25
        async with it.raw() as http:
            first = (await http.get("/api/admin/status/v1/participant/?conference=visit-1")).json()
            meta = {"limit": 20, "offset": 0, "previous": None, "total_count": 25}
            assert first["meta"] == {
                **meta,
                "next": "/api/admin/status/v1/participant/?conference=visit-1&limit=20&offset=20",
            }
            second = (await http.get(first["meta"]["next"])).json()
            assert (len(first["objects"]), len(second["objects"]), second["meta"]["next"]) == (20, 5, None)
            nobody = (await http.get("/api/admin/status/v1/participant/?conference=visit-2")).json()
            assert nobody["objects"] == []

    run(scenario)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/admin/status/v1/conference", 404),
        ("/api/admin/status/v1/conference/?limit=many", 400),
        ("/api/admin/status/v1/conference/nobody/", 404),
        ("/api/admin/configuration/v1/conference/", 404),
    ],
)
def test_what_is_not_there(path: str, status: int) -> None:
    """A path without its slash leads nowhere, and so do what nobody has and what is not played."""

    async def scenario(it: Site) -> None:
        async with it.raw() as http:
            assert (await http.get(path)).status_code == status

    run(scenario)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "conference_alias is required"),
        ({"conference_alias": "customer", "destination": "b"}, "system_location or node is required"),
        (
            {"conference_alias": "customer", "destination": "b", "node": "n", "role": "host"},
            "role must be one of guest, chair",
        ),
        (
            {"conference_alias": "x" * 251, "destination": "b", "node": "n"},
            "conference_alias has more than 250 characters",
        ),
        ({"conference_alias": "customer", "destination": "b", "node": "n", "pin": "1"}, "pin is not a field"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_dials_that_are_refused(body: dict[str, str], message: str) -> None:
    """What is absent, wrong or too long is said."""

    async def scenario(it: Site) -> None:
        async with it.raw() as http:
            answer = await http.post("/api/admin/command/v1/participant/dial/", json=body)
            assert (answer.status_code, answer.json()) == (400, {"status": "failed", "message": message})

    run(scenario)


# ---------------------------------------------------------------------- OAuth2


def tokens(it: Site) -> int:
    """How often a token was asked for."""
    return [each.path for each in it.manager.requests].count("/oauth/token/")


def test_an_oauth2_client() -> None:
    """Its assertion is verified with its public key; one token serves everybody who asks at once, until its last tenth."""

    async def scenario(it: Site) -> None:
        found = await asyncio.gather(*(it.client.conference("visit-1") for _ in range(10)))
        assert found == [Absent()] * 10
        assert tokens(it) == 1
        it.time.now += 539
        assert await it.client.conference("visit-1") == Absent()
        assert tokens(it) == 1
        it.time.now += 1
        assert await it.client.conference("visit-1") == Absent()
        assert tokens(it) == 2

    run(scenario, is_oauth=True)


def test_a_token_that_was_revoked() -> None:
    """A 401 gets one new token, and the command is carried out once."""

    async def scenario(it: Site) -> None:
        await it.lab.join()
        assert isinstance(await it.conference(), Conference)
        it.manager.doors.revoke_tokens()
        assert isinstance(await it.client.dial(AGAIN), Accepted)
        await until(lambda: it.lab.trunk.placed)
        assert (tokens(it), len(it.lab.trunk.placed)) == (2, 1)

    run(scenario, is_oauth=True)


def test_a_node_that_accepts_no_token() -> None:
    """After one new token it is given up: the credentials do not do."""

    async def scenario(it: Site) -> None:
        it.manager.troubles.status = 401
        found = await it.client.conference("visit-1")
        assert isinstance(found, Unanswered)
        assert (found.reason, tokens(it)) == ("credentials", 2)

    run(scenario, is_oauth=True)


@pytest.mark.parametrize("wrong", ["key", "client"])
def test_a_client_that_the_node_does_not_know(wrong: str) -> None:
    """A foreign key or id gets no token, nothing else is sent, and neither is told."""
    key, client_id = (private_key(), CLIENT_ID) if wrong == "key" else (KEY, "nobody-we-know")

    async def scenario(it: Site) -> None:
        access = Access(it.manager.url, OAuthClient(client_id, key))
        async with ManagementClient(access) as client:
            result = await client.dial(AGAIN)
        assert isinstance(result, NotDone)
        assert result.reason == "credentials"
        assert client_id not in repr(result)
        assert [each.path for each in it.manager.requests] == ["/oauth/token/"]

    run(scenario)


def test_an_assertion_is_good_once_and_for_one_endpoint() -> None:
    """The same one again gets no token, nor does one for another endpoint or one that has expired."""
    registered = RegisteredClient(CLIENT_ID, public_key(KEY))
    doors = Doors(Administrator("policy", PASSWORD), registered, 600, time.time)
    fixed = {"grant_type": GRANT, "client_assertion_type": ASSERTION_TYPE, "scope": "is_admin use_api"}

    def granted(audience: str, now: float, identifier: str) -> bool:
        form = {**fixed, "client_assertion": sign_assertion(CLIENT_ID, KEY, audience, now, identifier)}
        return isinstance(doors.grant(form, "https://manager.example.com/oauth/token/"), dict)

    ours, now = "https://manager.example.com/oauth/token/", time.time()
    assert granted(ours, now, "1")
    assert not granted(ours, now, "1")
    assert not granted("https://other.example.com/oauth/token/", now, "2")
    assert not granted(ours, now - 2 * LIFETIME, "3")
    assert granted(ours, now, "4")

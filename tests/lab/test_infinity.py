"""The simulated node: what it asks, whom it dials, and what it reports; also against the real application."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from secrets import token_bytes
from typing import Any

import httpx
import orjson
import pytest

from policy_server.app import utc_now
from policy_server.conferences.fold import Chronicle, Phase
from policy_server.conferences.timeline import TimelineEvents
from policy_server.lab.node.dialling import RoutingRule
from policy_server.lab.node.happenings import LEFT, NOBODY_KEEPS_IT
from policy_server.lab.node.infinity import Infinity
from policy_server.lab.node.sink import SinkAddress
from policy_server.pexip.events import parse_events
from policy_server.policy.links import CustomerLink, make_link
from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.settings import Credentials
from policy_server.simulator.judge import judge
from tests.conferences.event_histories import fold
from tests.lab.lab_node import DIALLING, LEG, Lab, Trunk, World, lab, questions, serving
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, InProcess, write_rules
from tests.waiting import until

SESSION_ROOM = "visit-1"
EVENTS = Credentials("events", "an event password")
KEYRING = Keyring.from_text(SECRET_KEY, ())


def run(scenario: Callable[[Lab], Coroutine[Any, Any, None]], world: World | None = None, **options: Any) -> None:
    """Plays a scenario with a node."""

    async def play() -> None:
        async with lab(world, **options) as it:
            await scenario(it)

    asyncio.run(play())


def test_the_questions_and_their_order() -> None:
    """Service, participant properties of the control half; of the media half, location; the same again for the leg."""

    async def scenario(it: Lab) -> None:
        refused = await it.request_token("customer")
        assert refused.status_code == 403
        customer = await it.join(display_name="Ada L", call_tag="tag")
        await customer.post(f"/participants/{customer.uuid}/calls", {"call_type": "WEBRTC", "sdp": ""})
        before = len(it.world.asked)
        it.world.may_dial.set()  # type: ignore[union-attr]
        await until(lambda: it.trunk.placed)
        asked = questions(it.world.asked)
        # The question about the leg had been asked while the customer was coming in, and waited for its answer.
        legs = [each for each in asked if each[1]["call_direction"] == "dial_out"]
        people = [each for each in asked if each[1]["call_direction"] == "dial_in"]
        assert before >= 5
        assert [(path, fields["protocol"], fields.get("participant_type")) for path, fields in people] == [
            ("configuration", "api", None),
            ("configuration", "api", None),
            ("properties", "api", "api"),
            ("properties", "webrtc", "standard"),
            ("location", "webrtc", None),
        ]
        assert [(path, fields["protocol"], fields.get("participant_type")) for path, fields in legs] == [
            ("configuration", "sip", None),
            ("properties", "sip", "standard"),
            ("location", "sip", None),
        ]
        for path, fields in asked:
            assert fields["local_alias"] == (
                "customer" if fields["call_direction"] == "dial_in" else LEG["local_alias"]
            )
            is_named = path != "configuration" or fields["call_direction"] == "dial_out"
            assert fields.get("service_name") == (SESSION_ROOM if is_named else None)
        shared = {"remote_display_name": "Ada L", "call_tag": "tag", "trigger": "web", "node_ip": "127.0.0.1"}
        assert shared.items() <= people[1][1].items()
        assert people[2][1]["preauthenticated_role"] == "guest"
        assert people[2][1]["participant_uuid"] == customer.uuid
        assert [each.verdict.outcome for each in it.node.exchanges if each.path.endswith("configuration")] == [
            "service"
        ] * 3

    run(scenario, World(DIALLING, may_dial=asyncio.Event()))


def test_every_question_is_one_that_a_node_asks() -> None:
    """The judge, which knows the questions of the reference, finds no answer odd."""

    async def scenario(it: Lab) -> None:
        await it.join()
        await until(lambda: it.trunk.placed)
        for exchange in it.node.exchanges:
            again = judge(exchange.path, exchange.query, exchange.answer, running=DIALLING)
            assert (again.objections, again.warnings) == ((), ())

    run(scenario, World(DIALLING))


def test_the_leg_to_the_contact_centre() -> None:
    """It is dialled once, by its routing rule, with the leg's names, and its answer lets the customer in."""

    async def scenario(it: Lab) -> None:
        await it.join()
        await it.join()
        (call,) = await until(lambda: it.trunk.placed)
        assert call.uri == "sip:+13129998045@trunk.example"
        assert (call.from_display_name, call.from_user) == ("session-1", "visit@video.example.com")
        meeting = it.node.meetings[SESSION_ROOM]
        assert not meeting.status.is_started
        call.on_answered()
        assert meeting.status.is_started
        assert len(it.trunk.placed) == 1

    run(scenario, World(DIALLING))


@pytest.mark.parametrize(
    ("changed", "service", "expected"),
    [
        pytest.param({}, {}, ("sip:+13129998045@trunk.example", "session-1"), id="by rule"),
        pytest.param(
            {"routing": "manual", "remote_alias": "sip:+1312@byoc.example"},
            {},
            ("sip:+1312@byoc.example", "session-1"),
            id="manual",
        ),
        pytest.param(
            {"local_display_name": ""},
            {"local_display_name": "The clinic"},
            ("sip:+13129998045@trunk.example", "The clinic"),
            id="the service's name",
        ),
        pytest.param(
            {"local_display_name": ""}, {}, ("sip:+13129998045@trunk.example", LEG["local_alias"]), id="no name at all"
        ),
    ],
)
def test_where_a_leg_goes(changed: dict[str, Any], service: dict[str, Any], expected: tuple[str, str]) -> None:
    """A Call Routing Rule or the alias itself; the far end is shown the leg's name, or else the service's."""

    async def scenario(it: Lab) -> None:
        await it.join()
        (call,) = await until(lambda: it.trunk.placed)
        assert (call.uri, call.from_display_name) == expected

    run(scenario, World({**DIALLING, **service, "automatic_participants": [{**LEG, **changed}]}))


@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        ("99+13129998045", "+13129998045@trunk.example"),
        ("sip:99+13129998045;transport=tls", "+13129998045@trunk.example"),
        ("99+1312999804", None),
        ("99+131299980450", None),
        ("x99+13129998045", None),
    ],
)
def test_call_routing_rules(alias: str, expected: str | None) -> None:
    """The whole alias must match, without scheme and parameters."""
    assert RoutingRule(r"99(\+\d{11})", r"\1@trunk.example").route(alias) == expected


def test_a_rule_regards_no_case() -> None:
    """Pexip's rules match whatever the case is."""
    assert RoutingRule(r"desk(\d)", r"\1@x").route("DESK7") == "7@x"


REJECT = {"status": "success", "action": "reject", "result": {}}


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        pytest.param(World(DIALLING, dial_out=REJECT), "Neither conference nor gateway found", id="refused by policy"),
        pytest.param(
            World(DIALLING, dial_out={"status": "success", "result": {**DIALLING, "name": "other"}}),
            "Neither conference nor gateway found",
            id="answered with another room",
        ),
        pytest.param(
            World({**DIALLING, "automatic_participants": [{**LEG, "remote_alias": "77"}]}),
            "Neither conference nor gateway found",
            id="no routing rule",
        ),
    ],
)
def test_a_leg_that_is_not_placed(world: World, reason: str) -> None:
    """It is reported as dialled and lost, with the reason, and the conference goes on."""

    async def scenario(it: Lab) -> None:
        await it.join()
        gone = await until(lambda: [each for each in world.events if each["event"] == "participant_disconnected"])
        assert (gone[0]["data"]["disconnect_reason"], gone[0]["data"]["connect_time"]) == (reason, None)
        assert (it.trunk.placed, list(it.node.meetings)) == ([], [SESSION_ROOM])

    run(scenario, world)


def test_a_trunk_that_is_out_of_order() -> None:
    """A call that cannot even be placed is a leg that failed."""

    async def scenario(it: Lab) -> None:
        it.trunk.trouble = OSError("no sipp here")
        await it.join()
        gone = await until(lambda: [each for each in it.world.events if each["event"] == "participant_disconnected"])
        assert gone[0]["data"]["disconnect_reason"] == "Call failed"

    run(scenario, World(DIALLING))


@pytest.mark.parametrize("reason", ["Call rejected", "Unexpected Response: 503", "Connection timed out"])
def test_a_contact_centre_that_does_not_answer(reason: str) -> None:
    """The far end's reason is reported, the leg is not dialled again, and the customer stays."""

    async def scenario(it: Lab) -> None:
        customer = await it.join()
        (call,) = await until(lambda: it.trunk.placed)
        call.on_ended(reason)
        gone = await until(lambda: [each for each in it.world.events if each["event"] == "participant_disconnected"])
        assert gone[0]["data"]["disconnect_reason"] == reason
        assert [each["uuid"] for each in await customer.roster()] == [customer.uuid]
        assert len(it.trunk.placed) == 1

    run(scenario, World(DIALLING))


def test_the_end_of_a_conference() -> None:
    """When the people have left, the leg is hung up, and a customer who returns has a new conference that dials again."""

    async def scenario(it: Lab) -> None:
        customer = await it.join()
        (call,) = await until(lambda: it.trunk.placed)
        call.on_answered()
        await customer.post("/release_token", {"reason": LEFT})
        await until(lambda: call.is_hung_up)
        assert not it.node.meetings
        await it.join()
        await until(lambda: len(it.trunk.placed) == 2)
        await until(lambda: it.world.names().count("conference_started") == 2)
        reasons = {
            each["data"]["call_direction"]: each["data"]["disconnect_reason"]
            for each in it.world.events
            if each["event"] == "participant_disconnected"
        }
        assert reasons == {"in": LEFT, "out": NOBODY_KEEPS_IT}

    run(scenario, World(DIALLING))


def test_a_customer_who_leaves_before_the_leg_is_dialled() -> None:
    """Then nobody is called."""

    async def scenario(it: Lab) -> None:
        customer = await it.join()
        await until(lambda: any("dial_out" in str(request.url) for request in it.world.asked))
        await customer.post("/release_token", {})
        it.world.may_dial.set()  # type: ignore[union-attr]
        await until(lambda: any(each.query.startswith("call_direction=dial_out") for each in it.node.exchanges))
        await until(lambda: "conference_ended" in it.world.names())
        assert it.trunk.placed == []

    run(scenario, World(DIALLING, may_dial=asyncio.Event()))


def test_events_in_order() -> None:
    """Every message has the node, version 2, the next number and a time; together they tell the call."""

    async def scenario(it: Lab) -> None:
        customer = await it.join()
        (call,) = await until(lambda: it.trunk.placed)
        call.on_answered()
        await customer.post("/release_token", {})
        await until(lambda: "conference_ended" in it.world.names())
        assert it.world.names() == [
            "conference_started",
            "participant_connected",
            "participant_connected",
            "participant_updated",
            "conference_updated",
            "participant_updated",
            "participant_disconnected",
            "participant_disconnected",
            "conference_ended",
        ]
        events = it.world.events
        assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
        assert {(each["node"], each["version"]) for each in events} == {("127.0.0.1", 2)}
        assert [each["time"] for each in events] == sorted(each["time"] for each in events)
        assert events[0]["event"] == "eventsink_started"
        ringing, answered = (
            each["data"]
            for each in events
            if each["data"].get("call_direction") == "out" and "end_time" not in each["data"]
        )
        assert (ringing["service_type"], ringing["connect_time"]) == ("connecting", None)
        assert (answered["service_type"], answered["has_media"], answered["role"]) == ("conference", True, "chair")
        assert answered["destination_alias"] == LEG["remote_alias"]
        told = [event for body in it.world.posted for event in parse_events(orjson.dumps(body), utc_now()).events]
        about = [event for event in told if not event.name.startswith("eventsink")]
        assert fold(about).phase is Phase.ENDED
        assert [line.kind for line in TimelineEvents().of(Chronicle(about))] == [
            "conference_started",
            "joined",
            "trunk_dialled",
            "trunk_answered",
            "left",
            "trunk_ended",
            "conference_ended",
        ]

    run(scenario, World(DIALLING))


def test_a_sink_that_is_away_gets_everything_later() -> None:
    """A message is repeated until it is taken, and none overtakes it; in bulk what has gathered comes in one."""

    async def scenario(it: Lab) -> None:
        it.world.is_sink_down = True
        customer = await it.join()
        await customer.post("/release_token", {})
        await until(lambda: it.world.attempts > 2)
        assert it.world.events == []
        it.world.is_sink_down = False
        await until(lambda: "conference_ended" in it.world.names())
        events = it.world.events
        assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
        assert {body["event"] for body in it.world.posted} == {"eventsink_bulk"}
        assert len(it.world.posted) < len(events)

    run(scenario, bulk=True)


def test_a_node_that_stops() -> None:
    """It ends its conferences, hangs up, reports all of it, and leaves no task behind."""

    async def play() -> None:
        world = World(DIALLING)
        async with lab(world) as it:
            await it.join()
            (call,) = await until(lambda: it.trunk.placed)
        assert call.is_hung_up
        assert world.names()[-1] == "conference_ended"
        assert world.events[-1]["event"] == "eventsink_stopped"
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others

    asyncio.run(play())


def test_a_policy_server_that_cannot_be_reached() -> None:
    """Nobody is found then; the exchange says why."""

    async def scenario(it: Lab) -> None:
        refused = await it.request_token("customer")
        assert refused.status_code == 404
        assert it.node.exchanges[-1].unreachable

    async def play() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            node = Infinity("http://127.0.0.1:9", ("x", "y"), client=client, dial=Trunk())
            async with serving(node) as http, node:
                await scenario(Lab(node, World(), Trunk(), http))

    asyncio.run(play())


# ------------------------------------------------------------------ with the real application


@pytest.fixture
def clinic(tmp_path: Path) -> Any:
    """The application with the example's rules, always open."""
    rules = (
        (Path(__file__).parents[2] / "rules" / "genesys.yaml")
        .read_text(encoding="utf-8")
        .replace('["2026-12-25", "2027-01-01"]', "[]")
    )
    write_rules(tmp_path / "rules", rules)
    with InProcess(tmp_path / "rules", events=EVENTS) as server:
        yield server


def link_of(server: InProcess) -> CustomerLink:
    """A good link."""
    link_type = server.rules.ruleset.links["visit"]
    return make_link(link_type, KEYRING, utc_now() + timedelta(hours=1), token_bytes(NONCE_BYTES))


@asynccontextmanager
async def beside(server: InProcess) -> AsyncIterator[Lab]:
    """A node that asks and reports to the application."""
    trunk = Trunk()
    transport = httpx.ASGITransport(app=server.app)
    sink = SinkAddress("http://policy.example.com/events/v1/pexip", EVENTS.username, EVENTS.password)
    async with httpx.AsyncClient(transport=transport) as client:
        node = Infinity(
            "http://policy.example.com",
            (USERNAME, PASSWORD),
            dial=trunk,
            event_sink=sink,
            adp_delay=0.05,
            client=client,
        )
        async with serving(node) as http, node:
            yield Lab(node, World(), trunk, http)


def test_a_whole_call_with_the_application(clinic: InProcess) -> None:
    """Customer, contact centre, agent: every answer is used, PINs are those of the link, and the end is the end."""

    async def scenario() -> None:
        link = link_of(clinic)
        pins = link.call.pins
        async with beside(clinic) as it:
            wrong = await it.request_token(link.alias, "0000")
            assert (wrong.status_code, wrong.json()["result"]) == (403, "Invalid PIN")
            customer = await it.join(link.alias, pins.guest)
            assert (customer.granted["role"], customer.granted["conference_name"]) == ("GUEST", link.call.id)
            (call,) = await until(lambda: it.trunk.placed)
            assert call.uri == "sip:+13129998045@trunk.example"
            assert (call.from_display_name, call.from_user) == ("Video visitor", f"{link.call.id}@video.example.com")
            call.on_answered()
            assert link.agent_alias
            agent = await it.join(link.agent_alias, pins.host, display_name="Agent: Maria")
            roster = {each["display_name"]: each["role"] for each in await agent.roster()}
            assert roster == {"Ada L": "guest", "Contact centre": "chair", "Agent: Maria": "chair"}
            for client in (agent, customer):
                await client.post("/release_token", {"reason": LEFT})
            await until(lambda: call.is_hung_up)
            assert [each.path for each in it.node.exchanges if not each.verdict.used] == []
            assert not it.node.meetings

    clinic.run(scenario())


def test_a_closed_door(clinic: InProcess) -> None:
    """Who has no good link finds nothing."""

    async def scenario() -> None:
        async with beside(clinic) as it:
            refused = await it.request_token("mp" + "a" * 32)
            assert (refused.status_code, refused.json()["result"]) == (404, "Neither conference nor gateway found")
            assert it.node.exchanges[-1].verdict.outcome == "reject"

    clinic.run(scenario())


def test_what_the_policy_says_of_a_participant(clinic: InProcess) -> None:
    """A customer is a Guest whatever PIN they know: participant properties decide."""

    async def scenario() -> None:
        link = link_of(clinic)
        async with beside(clinic) as it:
            customer = await it.join(link.alias, link.call.pins.host)
            assert customer.granted["role"] == "GUEST"

    clinic.run(scenario())


def test_no_secret_is_shown(clinic: InProcess) -> None:
    """Neither PIN nor token nor password is in what Python shows of node, exchanges and sessions."""

    async def scenario() -> None:
        link = link_of(clinic)
        pins = link.call.pins
        async with beside(clinic) as it:
            customer = await it.join(link.alias, pins.guest)
            session = it.node.session(customer.granted["token"])
            shown = repr(list(it.node.exchanges)) + repr(session) + repr(SinkAddress("http://x", *_credentials()))
            for secret in (pins.guest, pins.host, customer.granted["token"], PASSWORD, EVENTS.password):
                assert secret not in shown

    clinic.run(scenario())


def _credentials() -> tuple[str, str]:
    return EVENTS.username, EVENTS.password

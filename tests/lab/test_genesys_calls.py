"""Calls of the Genesys stand-in: what each command makes of a conversation, in REST, in notifications and on the trunk."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from policy_server.lab import genesys as genesys_package
from policy_server.lab.genesys.calls import GenesysCalls
from policy_server.lab.genesys.cloud import AGENTS, GenesysCloud
from policy_server.lab.genesys.conversations import Conversation
from policy_server.lab.genesys.desktop import agent_desktop
from policy_server.lab.genesys.oauth import COOKIE
from policy_server.lab.sip.trunk import Answer, Invite, SipCall, SipTrunk
from policy_server.simulator.genesys import Json
from tests.lab.genesys_widget import Ear, Genesys, Stage
from tests.waiting import PATIENCE

SESSION: Final = "3f2a9c5e8b7d4e1fa6c0d9b8e7f61234"
WIDGET_URL: Final = "http://127.0.0.1:9/agent/?conversationid={conversationid}"
INVITE: Final = Invite(
    "sip:+13129998045@clinic.byoc.example:5061;transport=tls", SESSION, "node", "sip:+13129998045@x", "call-1"
)
BY_ID: Final = {user.id: agent for agent, user in AGENTS.items()}


@dataclass
class FakeTrunk:
    """The contact centre's end of a trunk on which calls come and go as a test says."""

    answer: Answer = Answer.ANSWER
    hung_up: list[str] = field(default_factory=list)
    invited: list[Callable[[Invite], None]] = field(default_factory=list)
    ended: list[Callable[[Invite], None]] = field(default_factory=list)

    def on_invite(self, callback: Callable[[Invite], None]) -> None:
        """As the trunk's."""
        self.invited.append(callback)

    def on_end(self, callback: Callable[[Invite], None]) -> None:
        """As the trunk's."""
        self.ended.append(callback)

    async def hang_up(self, call_id: str) -> None:
        """As the trunk's."""
        self.hung_up.append(call_id)

    def call(self, invite: Invite = INVITE) -> None:
        """A call arrives."""
        for callback in self.invited:
            callback(invite)

    def end(self, invite: Invite = INVITE) -> None:
        """The caller hangs up."""
        for callback in self.ended:
            callback(invite)


@dataclass
class Office:
    """The stand-in, its trunk and calls, and the desktop's server."""

    genesys: Genesys
    trunk: FakeTrunk
    calls: GenesysCalls
    desk: httpx.AsyncClient

    @property
    def id(self) -> str:
        """The conversation that began last."""
        return self.calls.conversations[-1].id

    async def send(self, command: str, **arguments: str) -> httpx.Response:
        """A command about the conversation, as the desktop sends it."""
        return await self.desk.post(f"/lab/conversations/{self.id}/{command}", json=arguments)

    async def do(self, *commands: str) -> None:
        """Commands that must succeed, such as ``maria transfer to=tom``; ``call`` and ``bye`` are the trunk's."""
        for words in commands:
            agent, *rest = words.split()
            if agent == "call":
                self.trunk.call()
            elif agent == "bye":
                self.trunk.end()
            else:
                arguments = dict(word.split("=") for word in rest[1:])
                answer = await self.send(rest[0], agent=agent, **arguments)
                assert answer.status_code == 200, answer.text


Play = Callable[[Callable[[Office], Awaitable[None]]], None]


class Changeable:
    """An application that stands for another."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on."""
        if scope["type"] == "http":
            await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Stage, Changeable, str]]:
    """A stand-in for all tests of this module, and a server for the desktop of each."""
    changeable = Changeable()
    with Stage() as stage:
        yield stage, changeable, stage.serve(changeable)


@pytest.fixture
def play(stage: tuple[Stage, Changeable, str]) -> Play:
    """Plays a scene in an office of its own."""
    shared, changeable, url = stage

    def play(scene: Callable[[Office], Awaitable[None]]) -> None:
        async def in_office(genesys: Genesys) -> None:
            trunk = FakeTrunk()
            calls = GenesysCalls(genesys.cloud, trunk)
            changeable.app = agent_desktop(calls, WIDGET_URL)
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False) as desk:
                await scene(Office(genesys, trunk, calls, desk))

        shared.play(in_office)

    return play


def words_of(who: Json, leg: Json) -> str:
    """A leg in a few words, such as ``maria disconnected transfer``."""
    user = who.get("userId") or who.get("user", {}).get("id")
    flags = [name for name in ("held", "muted", "confined") if leg[name]]
    words = (BY_ID.get(user, who["purpose"]), leg["state"], leg.get("disconnectType"), *flags)
    ended = [] if ("endTime" in who) == (leg["state"] in {"disconnected", "terminated"}) else ["with a wrong endTime"]
    return " ".join([*filter(None, words), *ended])


def seen_in_rest(conversation: Json) -> list[str]:
    """Customer and agents of ``conversations/{id}``."""
    people = conversation["participants"]
    return [words_of(each, each["calls"][0]) for each in people if each["purpose"] in {"customer", "agent"}]


def seen_in_event(message: Json) -> list[str]:
    """Customer and agents of a notification."""
    people = message["eventBody"]["participants"]
    return [words_of(each, each) for each in people if each["purpose"] in {"customer", "agent"}]


def all_keys(value: object) -> set[str]:
    """Every key in a JSON value."""
    if isinstance(value, dict):
        return set(value) | set().union(*map(all_keys, value.values()))
    return set().union(*map(all_keys, value)) if isinstance(value, list) else set()


def test_call_becomes_a_conversation(play: Play) -> None:
    """A call that the trunk has recorded is a conversation with its name and numbers, and rings at an agent."""

    async def scene(office: Office) -> None:
        office.trunk.call()
        found = await (await office.genesys.sign_in("maria")).conversation(office.id)
        assert found["startTime"] == found["participants"][0]["startTime"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["startTime"])
        customer, ivr, acd, agent = found["participants"]
        assert [each["purpose"] for each in (customer, ivr, acd, agent)] == ["customer", "ivr", "acd", "agent"]
        shown = {name: customer[name] for name in ("aniName", "name", "ani", "dnis", "participantType", "attributes")}
        assert shown == {
            "aniName": SESSION,
            "name": SESSION,
            "ani": "sip:node@pexip.example.com",
            "dnis": "tel:+13129998045",
            "participantType": "External",
            "attributes": {},
        }
        assert customer["calls"][0]["self"]["addressRaw"] == "sip:node@pexip.example.com"
        assert [each["calls"][0]["state"] for each in (ivr, acd)] == ["disconnected", "disconnected"]
        assert seen_in_rest(found) == ["customer connected", "maria alerting"]
        assert (agent["userId"], agent["name"]) == (AGENTS["maria"].id, "Maria Silva")
        assert agent["consultParticipantId"] is None
        assert "connectedTime" not in agent

    play(scene)


@pytest.mark.parametrize(
    ("name", "user", "uri", "expected"),
    [
        pytest.param(
            "", "+13175550100", "sip:+1312@x", (None, "+13175550100", "tel:+13175550100", "tel:+1312"), id="number only"
        ),
        pytest.param(
            "Ada",
            "ada@home.example",
            "sip:+1312;tgrp=a;trunk-context=b@10.0.0.1",
            ("Ada", "Ada", "sip:ada@home.example", "tel:+1312"),
            id="tgrp",
        ),
        pytest.param(
            "Ada", "ada", "sip:desk@x", ("Ada", "Ada", "sip:ada@pexip.example.com", "sip:desk@x"), id="no number"
        ),
    ],
)
def test_callers_are_shown(
    play: Play, name: str, user: str, uri: str, expected: tuple[str | None, str, str, str]
) -> None:
    """Numbers are shown as ``tel:``, other addresses as ``sip:``; a caller without a name has no ``aniName``."""

    async def scene(office: Office) -> None:
        office.trunk.call(Invite(uri, name, user, "", "call-2"))
        customer = (await (await office.genesys.sign_in("maria")).conversation(office.id))["participants"][0]
        assert tuple(customer.get(key) for key in ("aniName", "name", "ani", "dnis")) == expected

    play(scene)


@pytest.mark.parametrize("answer", [Answer.BUSY, Answer.UNAVAILABLE, Answer.SILENT])
def test_refused_calls_do_not_arrive(play: Play, answer: Answer) -> None:
    """A call that the trunk does not answer is no conversation, and its end changes nothing."""

    async def scene(office: Office) -> None:
        office.trunk.answer = answer
        office.trunk.call()
        office.trunk.end()
        assert office.calls.conversations == ()

    play(scene)


def test_rings_at_the_agent_with_the_fewest_calls(play: Play) -> None:
    """Calls are shared out in the order of the agents, unless one agent is set to get them."""

    async def scene(office: Office) -> None:
        for number, ring_at in enumerate(("", "", "", "", "aiko", "")):
            office.calls.ring_at = ring_at
            office.trunk.call(Invite("sip:+1312@x", SESSION, "node", "", f"call-{number}"))
        rings = [BY_ID[each.agents[0].user_id] for each in office.calls.conversations]
        assert rings == ["maria", "tom", "aiko", "maria", "aiko", "tom"]

    play(scene)


ANSWERED: Final = ("call", "maria answer")
TRANSFERRED: Final = (*ANSWERED, "maria transfer to=tom", "tom answer")
CONSULTING: Final = (*ANSWERED, "maria consult to=tom", "tom answer")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("commands", "expected", "is_bye_sent"),
    [
        pytest.param(ANSWERED, ["customer connected", "maria connected"], False, id="answer"),
        pytest.param(
            (*ANSWERED, "maria hold", "maria mute"),
            ["customer connected", "maria connected held muted"],
            False,
            id="hold and mute",
        ),
        pytest.param(
            (*ANSWERED, "maria hold", "maria mute", "maria unhold"),
            ["customer connected", "maria connected muted"],
            False,
            id="unhold",
        ),
        pytest.param(
            (*ANSWERED, "maria mute", "maria unmute"), ["customer connected", "maria connected"], False, id="unmute"
        ),
        pytest.param(
            (*ANSWERED, "maria disconnect"),
            ["customer disconnected peer", "maria disconnected client"],
            True,
            id="agent hangs up",
        ),
        pytest.param(
            (*ANSWERED, "bye"),
            ["customer disconnected endpoint", "maria disconnected peer"],
            False,
            id="customer hangs up",
        ),
        pytest.param(
            ("call", "bye"),
            ["customer disconnected endpoint", "maria disconnected peer"],
            False,
            id="customer hangs up while it rings",
        ),
        pytest.param(
            (*ANSWERED, "maria transfer to=tom"),
            ["customer connected", "maria disconnected transfer", "tom alerting"],
            False,
            id="transfer rings",
        ),
        pytest.param(
            TRANSFERRED,
            ["customer connected", "maria disconnected transfer", "tom connected"],
            False,
            id="transfer answered",
        ),
        pytest.param(
            (*TRANSFERRED, "tom transfer_back", "maria answer"),
            ["customer connected", "maria disconnected transfer", "tom disconnected transfer", "maria connected"],
            False,
            id="transfer back",
        ),
        pytest.param(
            (*TRANSFERRED, "tom disconnect"),
            ["customer disconnected peer", "maria disconnected transfer", "tom disconnected client"],
            True,
            id="second agent hangs up",
        ),
        pytest.param(
            (*TRANSFERRED, "bye"),
            ["customer disconnected endpoint", "maria disconnected transfer", "tom disconnected peer"],
            False,
            id="customer hangs up after a transfer",
        ),
        pytest.param(
            (*ANSWERED, "maria consult to=tom"),
            ["customer connected confined", "maria connected", "tom alerting"],
            False,
            id="consult rings",
        ),
        pytest.param(
            (*CONSULTING, "maria speak_to listener=customer"),
            ["customer connected", "maria connected", "tom connected confined"],
            False,
            id="back to the customer for a moment",
        ),
        pytest.param(
            (*CONSULTING, "maria speak_to listener=customer", "maria speak_to listener=agent"),
            ["customer connected confined", "maria connected", "tom connected"],
            False,
            id="back to the other agent",
        ),
        pytest.param(
            (*CONSULTING, "maria speak_to listener=both"),
            ["customer connected", "maria connected", "tom connected"],
            False,
            id="all three",
        ),
        pytest.param(
            (*CONSULTING, "maria complete_consult"),
            ["customer connected", "maria disconnected transfer.consult", "tom connected"],
            False,
            id="consult completed",
        ),
        pytest.param(
            (*CONSULTING, "maria cancel_consult"),
            ["customer connected", "maria connected", "tom disconnected peer"],
            False,
            id="consult cancelled",
        ),
        pytest.param(
            (*CONSULTING, "maria speak_to listener=customer", "maria complete_consult"),
            ["customer connected", "maria disconnected transfer.consult", "tom connected"],
            False,
            id="completed while the other agent hears music",
        ),
        pytest.param(
            (*CONSULTING, "tom disconnect"),
            ["customer connected", "maria connected", "tom disconnected client"],
            False,
            id="consulted agent hangs up",
        ),
        pytest.param(
            (*CONSULTING, "maria disconnect"),
            ["customer connected", "maria disconnected client", "tom connected"],
            False,
            id="consulting agent hangs up",
        ),
        pytest.param(
            (*CONSULTING, "maria complete_consult", "tom transfer_back", "maria answer", "maria disconnect"),
            [
                "customer disconnected peer",
                "maria disconnected transfer.consult",
                "tom disconnected transfer",
                "maria disconnected client",
            ],
            True,
            id="there and back, then the end",
        ),
        pytest.param(
            (*ANSWERED, "maria disconnect", "maria wrap_up"),
            ["customer disconnected peer", "maria terminated client"],
            True,
            id="wrap-up",
        ),
    ],
)
def test_commands(play: Play, commands: tuple[str, ...], expected: list[str], is_bye_sent: bool) -> None:
    """Each command leaves the legs in Genesys' words, the same in REST and in the last notification to each agent."""

    async def scene(office: Office) -> None:
        maria, tom = await office.genesys.sign_in("maria"), await office.genesys.sign_in("tom")
        async with maria.listening() as ear, tom.listening() as other:
            await office.do(*commands)
            heard, heard_by_other = await ear.news(), await other.news()
        assert seen_in_rest(await maria.conversation(office.id)) == expected
        assert seen_in_event(heard[-1]) == expected
        assert len(heard) == len(commands), "each command is told once"
        if any(each.startswith("tom ") for each in expected):
            assert heard_by_other[-1]["eventBody"] == heard[-1]["eventBody"]
        else:
            assert heard_by_other == []
        assert office.trunk.hung_up == (["call-1"] if is_bye_sent else [])

    play(scene)


def test_notifications_are_not_rest(play: Play) -> None:
    """A notification repeats all participants in its own shape: state on them, ids nested, no caller's name."""

    async def scene(office: Office) -> None:
        async with (await office.genesys.sign_in("maria")).listening() as ear:
            await office.do(*ANSWERED)
            body = (await ear.news())[-1]["eventBody"]
        assert (body["id"], body["recordingState"]) == (office.id, "active")
        assert not all_keys(body) & {"aniName", "calls", "userId", "queueId"}
        customer, ivr, acd, agent = body["participants"]
        assert (customer["ani"], customer["dnis"]) == ("sip:node@pexip.example.com", "tel:+13129998045")
        assert agent["user"] == {"id": AGENTS["maria"].id}
        assert acd["queue"] == agent["queue"]
        assert (ivr["state"], agent["state"], agent["initialState"]) == ("disconnected", "connected", "alerting")

    play(scene)


def test_consult_names_both_sides(play: Play) -> None:
    """In a consult each agent's leg names the other, and only the one who asked is the initiator; then neither is."""

    async def scene(office: Office) -> None:
        maria = await office.genesys.sign_in("maria")

        async def links() -> list[tuple[bool, Any]]:
            people = (await maria.conversation(office.id))["participants"]
            first, second = (one for one in people if one["purpose"] == "agent")
            named = (first["consultParticipantId"] == second["id"], second["consultParticipantId"] == first["id"])
            attributes = (first["attributes"].get("consultInitiator"), second["attributes"].get("consultInitiator"))
            return list(zip(named, attributes, strict=True))

        await office.do(*CONSULTING)
        assert await links() == [(True, "true"), (True, None)]
        await office.do("maria cancel_consult")
        assert (await links())[0] == (False, None)

    play(scene)


def test_caller_hangs_up_once(play: Play) -> None:
    """The end of a call that is over, or of another call, changes nothing and is not told."""

    async def scene(office: Office) -> None:
        async with (await office.genesys.sign_in("maria")).listening() as ear:
            await office.do(*ANSWERED, "maria disconnect")
            before = office.calls.conversations
            await ear.news()
            office.trunk.end()
            office.trunk.end(Invite("sip:+1312@x", SESSION, "node", "", "another-call"))
            assert await ear.news() == []
            assert office.calls.conversations == before

    play(scene)


def test_same_event_twice(play: Play) -> None:
    """``repeat`` tells the last state once more, and with ``copies`` each change is told so often."""

    async def scene(office: Office) -> None:
        async with (await office.genesys.sign_in("maria")).listening() as ear:
            await office.do("call")
            await office.send("repeat")
            first, second = await ear.news()
            assert first["eventBody"] == second["eventBody"]
            office.calls.copies = 3
            await office.do("maria answer")
            assert [seen_in_event(each)[1] for each in await ear.news()] == ["maria connected"] * 3

    play(scene)


def test_rest_is_up_to_date_when_the_news_comes(play: Play) -> None:
    """Who asks on a notification finds what it told: also a listener in this program, which may answer at once."""

    async def scene(office: Office) -> None:
        told: list[str] = []

        def answer(conversation: Conversation) -> None:
            told.append(conversation.agents[0].state)
            if told == ["alerting"]:
                office.calls.answer(conversation.id, "maria")

        office.calls.on_change(answer)
        office.trunk.call()
        assert told == ["alerting", "connected"]
        maria = await office.genesys.sign_in("maria")
        assert seen_in_rest(await maria.conversation(office.id))[1] == "maria connected"

    play(scene)


def test_caller_name_changes_on_the_way(play: Play) -> None:
    """A caller's name can be changed or taken away, as a caller name service would."""

    async def scene(office: Office) -> None:
        maria = await office.genesys.sign_in("maria")
        await office.do("call")
        names = []
        for name in ("SPRINGFIELD IL", ""):
            assert (await office.send("rename_caller", ani_name=name)).status_code == 200
            names.append((await maria.conversation(office.id))["participants"][0].get("aniName"))
        assert names == ["SPRINGFIELD IL", None]

    play(scene)


@pytest.mark.parametrize(
    ("before", "command", "arguments", "status", "said"),
    [
        pytest.param(
            "call", "hold", {"agent": "maria"}, 409, "but alerting; the agent has to answer first", id="rings"
        ),
        pytest.param("call", "answer", {"agent": "tom"}, 409, "no alerting leg .* but none at all", id="not theirs"),
        pytest.param("call,maria answer", "answer", {"agent": "maria"}, 409, "but connected", id="answered already"),
        pytest.param("call", "wrap_up", {"agent": "maria"}, 409, "no disconnected leg", id="not over"),
        pytest.param("call,maria answer", "transfer_back", {"agent": "maria"}, 409, "is the first agent", id="first"),
        pytest.param(
            "call,maria answer",
            "transfer",
            {"agent": "maria", "to": "maria"},
            409,
            "Maria Silva is on",
            id="to oneself",
        ),
        pytest.param(
            "call,maria answer,maria consult to=tom",
            "transfer",
            {"agent": "maria", "to": "aiko"},
            409,
            "complete_consult or cancel_consult first",
            id="in a consult",
        ),
        pytest.param(
            "call,maria answer",
            "complete_consult",
            {"agent": "maria"},
            409,
            "consults nobody .* consult first",
            id="no consult",
        ),
        pytest.param(
            "call,maria answer,maria consult to=tom,tom answer",
            "complete_consult",
            {"agent": "tom"},
            409,
            "Tom Becker consults nobody",
            id="the consulted one",
        ),
        pytest.param(
            "call,maria answer,maria consult to=tom",
            "speak_to",
            {"agent": "maria", "listener": "all"},
            409,
            "agent, customer or both, but is 'all'",
            id="listener",
        ),
        pytest.param("call", "answer", {"agent": "eve"}, 404, "the agents are maria, tom, aiko", id="unknown agent"),
        pytest.param("call", "explode", {"agent": "maria"}, 404, "the commands are answer, hold", id="unknown command"),
        pytest.param("call", "transfer", {"agent": "maria"}, 400, "transfer: missing .* 'to'", id="missing"),
        pytest.param(
            "call", "answer", {"agent": "maria", "x": "y"}, 400, "answer: .* unexpected .* 'x'", id="unexpected"
        ),
        pytest.param("call", "answer", {"agent": 5}, 400, "answer: agent must be text", id="no text"),
        pytest.param("call", "answer", ["maria"], 400, "must be a JSON object", id="no object"),
    ],
)
def test_refused_commands(play: Play, before: str, command: str, arguments: object, status: int, said: str) -> None:
    """A command that cannot be says what is there and what to do first, and changes nothing."""

    async def scene(office: Office) -> None:
        await office.do(*before.split(","))
        unchanged = office.calls.conversations
        answer = await office.desk.post(f"/lab/conversations/{office.id}/{command}", json=arguments)
        assert answer.status_code == status, answer.text
        assert re.search(said, answer.json()["error"])
        assert office.calls.conversations == unchanged

    play(scene)


def test_no_such_conversation(play: Play) -> None:
    """A command about a conversation that is not there, or with a body that is no JSON, says so."""

    async def scene(office: Office) -> None:
        for path, body, status in [
            ("x/answer", b'{"agent": "maria"}', 404),
            ("x/repeat", b"", 404),
            ("x/answer", b"{", 400),
        ]:
            answer = await office.desk.post(f"/lab/conversations/{path}", content=body)
            assert (answer.status_code, list(answer.json())) == (status, ["error"])

    play(scene)


def test_failures_on_command(play: Play) -> None:
    """Over HTTP too: a channel that is deaf, one that hears again, one that is dropped, and tokens that end."""

    async def fail(office: Office, failure: str, agent: str = "maria") -> int:
        return (await office.desk.post(f"/lab/agents/{agent}/{failure}")).status_code

    async def heard(office: Office, ear: Ear) -> int:
        await office.send("repeat")
        return len(await ear.news())

    async def scene(office: Office) -> None:
        maria = await office.genesys.sign_in("maria")
        await office.do("call")
        async with maria.listening() as ear:
            assert await fail(office, "deaf_channel") == 204
            assert await heard(office, ear) == 0
            assert await fail(office, "hearing_channel") == 204
            assert await heard(office, ear) == 1
            assert await fail(office, "drop_channel") == 204
            assert await ear.closed() == 1001
        assert await fail(office, "expire_token") == 204
        assert (await maria.ask(f"conversations/{office.id}")).status_code == 401
        assert await fail(office, "explode") == 404
        assert await fail(office, "drop_channel", "eve") == 404

    play(scene)


def test_state_for_the_desktop(play: Play) -> None:
    """The state names the agents, who of them listens, and all conversations as REST shows them; and no token."""

    async def scene(office: Office) -> None:
        maria = await office.genesys.sign_in("maria")
        await office.do(*ANSWERED)
        async with maria.listening():
            answer = await office.desk.get("/lab/state")
        state = answer.json()
        assert {one["agent"]: one["listening"] for one in state["agents"]} == {
            "maria": True,
            "tom": False,
            "aiko": False,
        }
        assert state["conversations"] == [await maria.conversation(office.id)]
        assert maria.token not in answer.text

    play(scene)


def test_desktop_page(play: Play) -> None:
    """The page comes with where the widget is and which cookie names the agent; each of its buttons is a command."""

    async def scene(office: Office) -> None:
        page = await office.desk.get("/?agent=maria")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        settings = (await office.desk.get("/settings.json")).json()
        assert settings == {"widgetUrl": WIDGET_URL, "place": "{conversationid}", "cookie": COOKIE}
        await office.do("call")
        for button in re.findall(r'<button[^>]*data-testid="(\w+)"', page.text):
            assert (await office.send(button, agent="nobody")).status_code in {400, 404}
            assert "no command" not in (await office.send(button, agent="nobody")).text

    play(scene)


def test_desktop_loads_nothing_from_elsewhere() -> None:
    """The page is whole in itself: no address of another host is in it, so it works without internet."""
    html = files(genesys_package).joinpath("desktop.html").read_text(encoding="utf-8")
    assert re.findall(r"(?:https?:)?//[a-z][\w.]+", html) == []
    assert 'allow = "camera; microphone"' in html


def test_desktop_needs_a_place_for_the_conversation(play: Play) -> None:
    """A widget's URL without the conversation's place is refused with an example."""

    async def scene(office: Office) -> None:
        with pytest.raises(ValueError, match=r"must hold \{conversationid\}, as in"):
            agent_desktop(office.calls, "http://127.0.0.1/agent/")

    play(scene)


def test_time_and_ids_are_arguments() -> None:
    """The same calls with the same clock and ids are the same conversations."""

    async def play_once() -> tuple[Conversation, ...]:
        numbers, trunk = count(1), FakeTrunk()
        now = datetime(2026, 1, 15, 10, 2, 11, 120_000, UTC)
        calls = GenesysCalls(GenesysCloud(), trunk, now=lambda: now, new_id=lambda: f"id-{next(numbers)}")
        trunk.call()
        calls.answer(calls.conversations[0].id, "maria")
        await calls.disconnect(calls.conversations[0].id, "maria")
        return calls.conversations

    first, second = asyncio.run(play_once()), asyncio.run(play_once())
    assert first == second
    assert first[0].customer.ended == first[0].customer.started


@pytest.mark.sipp
@pytest.mark.parametrize("who", ["agent", "caller"])
def test_real_trunk(stage: tuple[Stage, Changeable, str], tmp_path: Path, who: str) -> None:
    """A real INVITE becomes a conversation; an agent's hang-up is a BYE on the trunk, a caller's ends all legs."""

    async def scene(genesys: Genesys) -> None:
        answered, ended = asyncio.Event(), asyncio.Event()
        changes: asyncio.Queue[Conversation] = asyncio.Queue()
        async with SipTrunk(tmp_path) as trunk:
            calls = GenesysCalls(genesys.cloud, trunk)
            calls.on_change(changes.put_nowait)
            async with await SipCall.place(
                "sip:+13129998045@clinic.byoc.example",
                from_display_name=SESSION,
                from_user="node",
                proxy=trunk.address,
                folder=tmp_path,
                on_ringing=lambda: None,
                on_answered=answered.set,
                on_ended=lambda _: ended.set(),
            ) as call:
                await answered.wait()
                rings = await changes.get()
                assert (rings.customer.ani_name, rings.customer.dnis) == (SESSION, "tel:+13129998045")
                calls.answer(rings.id, "maria")
                await changes.get()
                if who == "agent":
                    await calls.disconnect(rings.id, "maria")
                    await ended.wait()
                else:
                    await call.hang_up()
                over = await changes.get()
        assert over.customer.disconnect_type == ("peer" if who == "agent" else "endpoint")
        assert changes.empty()

    stage[0].play(scene)

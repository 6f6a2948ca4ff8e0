"""Rooms that no link led to, such as a kiosk's: how agents find them, who gets the PIN, and how agents come in."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from policy_server.conferences.bindings import AMBIGUOUS
from policy_server.conferences.rooms import Rooms, Settled
from policy_server.policy.decisions import Continue, Serve
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.services import uri_user
from policy_server.simulator.genesys import participant
from policy_server.web.problem import TYPE_ROOT
from tests.genesys.asking import CONVERSATION, MARIA, Genesys, tenant
from tests.rule_sets import KEYRING, SECRET, load, request
from tests.waiting import until
from tests.web.calls import CALL_ID, NUMBER, Desk, ended, left, started, trunk
from tests.web.calls import customer as came
from tests.web.test_streams import Stream

ON_IT: Final = participant("agent", userId=MARIA.id)
ANOTHER: Final = CONVERSATION[:-1] + "1"
CALLER: Final = "sip:Kiosk%20kiosk-007@video.example.com"


def kiosks(leg: str = "", when: str = "local_alias: advisor, remote_alias: '(?P<kiosk>.+)'") -> Ruleset:
    """Kiosks that dial one alias, each into a room of its own, from which the contact centre is called."""
    return load(f"""
domains: [video.example.com]
trunks: {{ centre: {{ number: "+1 312 999 8045", dial_prefix: "99" }} }}
rooms:
  kiosk: {{ name: "Kiosk {{kiosk}}", service_tag: kiosk, pin: derived, guest_pin: derived, allow_guests: true }}
service:
  - id: kiosk
    when: {{ {when}, protocol: sip }}
    room: kiosk
    dial_out: [{{ trunk: centre {leg} }}]
""")


@pytest.fixture
def desk(genesys: Genesys, tmp_path: Path) -> Iterator[Desk]:
    """Agents' endpoints with the rules of kiosks, and a conversation that has to be named."""
    with Desk(tmp_path, tenant(genesys.url), binding_required=True) as started_desk:
        started_desk.rules.ruleset = kiosks()
        yield started_desk


NUMBERS: Final = count(1)


def settled(desk: Desk, alias: str, **fields: str) -> Settled:
    """What is decided about a question for the service of an alias."""
    rooms = Rooms(desk.conferences, KEYRING, lambda: f"room{next(NUMBERS)}")
    asked = {"call_direction": "dial_in", "local_alias": alias, **fields}
    return desk.run(rooms.settle(desk.rules.ruleset, request("service", asked), desk.now))


def dial(desk: Desk, kiosk: str = "kiosk-007", alias: str = "sip:advisor@video.example.com") -> Mapping[str, Any]:
    """The service that a kiosk gets which dials the advisor."""
    decision = settled(desk, alias, protocol="sip", remote_alias=kiosk).decision
    assert isinstance(decision, Serve), decision
    return decision.service


def shows(genesys: Genesys, conversation: str = CONVERSATION, **customer: str) -> None:
    """What Genesys shows of the customer who is on the phone with the agent."""
    genesys.stand_in.conversations[conversation] = [participant("customer", dnis=f"tel:{NUMBER}", **customer), ON_IT]


def refusal(desk: Desk, alias: str, conversation: str = CONVERSATION) -> str:
    """Why an agent is not let in."""
    response = desk.ask(alias, conversation=conversation)
    assert (response.status_code, response.json()["type"]) == (403, TYPE_ROOT + "not-bound"), response.text
    return str(response.json()["detail"])


ASKED: Final = (
    "Kiosk kiosk-007",
    "KIOSK KIOSK-007",
    "advisor",
    "sip:Advisor@video.example.com",
    "Kiosk%20kiosk-007",
    CALLER,
)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    ("customer", "found_by"),
    [
        pytest.param({"aniName": "Branch Zürich", "ani": CALLER}, "ani", id="by the address"),
        pytest.param({"ani": CALLER.upper() + ";transport=tls"}, "ani", id="in capitals"),
        pytest.param({"ani": "Kiosk kiosk-007@10.0.0.5"}, "ani", id="decoded"),
        pytest.param({"aniName": "Kiosk kiosk-007", "ani": "tel:+13125550100"}, "aniName", id="by the name"),
        pytest.param({"aniName": f'"Kiosk" <{CALLER}>', "ani": "sip:99@x"}, "aniName", id="an address for a name"),
    ],
)
def test_a_kiosk_is_found_through_the_conversation(
    desk: Desk, genesys: Genesys, asked: str, customer: Mapping[str, str], found_by: str
) -> None:
    """By the room's name, the alias that was dialled or the From of its leg, whichever of the caller carries the From; the
    answer says which, and has the door.
    """
    dial(desk, "kiosk-001")
    room = dial(desk)
    dial(desk, "kiosk-003")
    shows(genesys, **customer)
    answer = desk.found(asked, conversation=CONVERSATION)
    assert (answer["call"], answer["name"], answer["found_by"]) == (None, "Kiosk kiosk-007", found_by)
    assert answer["join"]["pin"] == room["pin"] == KEYRING.room_pins("Kiosk kiosk-007").host


def test_the_agent_comes_in_by_an_alias_of_this_room_alone(desk: Desk, genesys: Genesys) -> None:
    """The kiosks' alias leads each caller elsewhere, so agents have one for the room, which dials nobody and ends with it."""
    room = dial(desk)
    dial(desk, "kiosk-001")
    shows(genesys, ani=CALLER)
    join = desk.found("advisor", conversation=CONVERSATION)["join"]
    assert re.fullmatch(r"room-agent\.[a-z2-7]{32}", join["alias"])
    asked = settled(desk, f"sip:{join['alias'].upper()}@video.example.com", protocol="api", remote_alias="Maria")
    assert isinstance(asked.decision, Serve)
    service = dict(room)
    del service["automatic_participants"]
    assert (asked.decision.service, asked.key) == (service, "Kiosk kiosk-007")
    assert isinstance(settled(desk, "advisor", protocol="api", remote_alias="Maria").decision, Continue)
    desk.now += timedelta(hours=13)
    assert isinstance(settled(desk, join["alias"], protocol="api", remote_alias="Maria").decision, Continue)


def test_an_alias_that_leads_a_browser_into_the_room_is_the_agents_too(desk: Desk, genesys: Genesys) -> None:
    """Where a rule serves the room to whoever dials, and dials nobody, agents dial the same alias, and get that rule's PIN."""
    desk.rules.ruleset = load("""
trunks: { centre: { number: "+1 312 999 8045" } }
rooms:
  own: { name: "VMR {n}", service_tag: vmr, allow_guests: false }
  vmr: { name: "VMR {n}", service_tag: vmr, pin: "482913", guest_pin: "582914", allow_guests: true }
service:
  - id: own
    when: { local_alias: 'meet(?P<n>[0-9]+)', registered: true }
    room: own
    dial_out: [{ trunk: centre }]
  - { id: everybody, when: { local_alias: 'meet(?P<n>[0-9]+)' }, room: vmr }
""")
    settled(desk, "meet5", registered="True")
    shows(genesys, ani="sip:VMR%205@x")
    join = desk.found("meet5", conversation=CONVERSATION)["join"]
    assert (join["alias"], join["pin"]) == ("meet5", "482913")
    decision = settled(desk, "meet5", protocol="api").decision
    assert isinstance(decision, Serve)
    assert decision.service["pin"] == "482913"


def test_the_agents_alias_outlives_a_change_of_keys(desk: Desk, genesys: Genesys) -> None:
    """It is the one that the room was held with."""
    dial(desk)
    shows(genesys, ani=CALLER)
    alias = desk.found("advisor", conversation=CONVERSATION)["join"]["alias"]
    desk.lookup._keyring = type(KEYRING)(b"another key that signs from now on", (SECRET,))  # type: ignore[misc]
    assert desk.found("Kiosk kiosk-007", conversation=CONVERSATION)["join"]["alias"] == alias


@pytest.mark.parametrize("asked", ["Kiosk kiosk-001", "Kiosk%20kiosk-001", "advisor", "Ada L", "nobody", CALL_ID])
@pytest.mark.parametrize(
    "customer",
    [
        pytest.param({"aniName": "Ada L", "ani": "tel:+13125550100"}, id="a telephone"),
        pytest.param({"aniName": "advisor", "ani": "sip:advisor@x"}, id="named like the alias"),
        pytest.param({"aniName": "Kiosk kiosk-001, please"}, id="more than the name"),
        pytest.param({"aniName": "Kiosk", "ani": "sip:kiosk-001@x"}, id="parts of the name"),
    ],
)
def test_no_pin_for_who_is_not_on_the_conversation(
    desk: Desk, genesys: Genesys, asked: str, customer: Mapping[str, str]
) -> None:
    """Whatever else the customer is called: 403, or 404 for a name that the caller has and no room."""
    dial(desk, "kiosk-001")
    shows(genesys, **customer)
    response = desk.ask(asked, conversation=CONVERSATION)
    assert response.status_code in {403, 404}
    assert "pin" not in response.text
    assert response.status_code == 403 or asked in customer.values()


def test_a_conversation_of_another_kiosk(desk: Desk, genesys: Genesys) -> None:
    """An agent on one kiosk's conversation gets nothing of another's, also where its caller has the other's name."""
    for kiosk in ("kiosk-001", "kiosk-007"):
        dial(desk, kiosk)
    shows(genesys, aniName="Kiosk kiosk-001", ani=CALLER)
    assert refusal(desk, "Kiosk kiosk-001") == (
        "the customer of that conversation is in another conference: neither aniName nor ani is this one"
    )
    # What the caller is called is understood as whoever it is.
    assert desk.found("advisor", conversation=CONVERSATION)["name"] == "Kiosk kiosk-007"


def test_rooms_that_call_out_under_one_address_are_told_apart_by_name_or_not_at_all(
    desk: Desk, genesys: Genesys
) -> None:
    """Nobody gets a PIN by an address that several rooms have."""
    desk.rules.ruleset = kiosks(', local_alias: "kiosks@video.example.com"')
    for number in range(9):
        dial(desk, f"kiosk-00{number}")
    shows(genesys, aniName="Reception", ani="sip:kiosks@video.example.com")
    assert refusal(desk, "Kiosk kiosk-007") == refusal(desk, "advisor") == AMBIGUOUS
    shows(genesys, ANOTHER, aniName="Kiosk kiosk-000", ani="sip:kiosks@video.example.com")
    answer = desk.found("Kiosk kiosk-000", conversation=ANOTHER)
    assert (answer["name"], answer["found_by"]) == ("Kiosk kiosk-000", "aniName")
    assert "another conference" in refusal(desk, "Kiosk kiosk-007", ANOTHER)


def test_the_leg_of_its_own_from(desk: Desk, genesys: Genesys) -> None:
    """A rule may say what its leg is called from; the room is found by that, also when it is over if it was before."""
    desk.rules.ruleset = kiosks(', display_name: "Branch", local_alias: "{kiosk}@branches.example.com"')
    dial(desk, "Kiosk-7")
    shows(genesys, aniName="Branch", ani="sip:kiosk-7@branches.example.com")
    for asked in ("kiosk-7", "Branch", "advisor"):
        assert desk.found(asked, conversation=CONVERSATION)["name"] == "Kiosk kiosk-7"
    room = "Kiosk kiosk-7"
    desk.tell(
        started(room=room), came(2, uuid="k", conference=room), left("k", 3, conference=room), ended(4, room=room)
    )
    answer = desk.found("kiosk-7", conversation=CONVERSATION)
    assert (answer["state"], answer["join"]["pin"]) == ("ended", None)


def test_a_room_that_is_over_is_found_by_the_default_from(desk: Desk, genesys: Genesys) -> None:
    """By whatever agent asks first, with no PIN; its timeline stays."""
    dial(desk)
    room = "Kiosk kiosk-007"
    leg = trunk(3, uuid="leg", conference=room)
    desk.tell(started(room=room), came(2, uuid="k", conference=room), leg)
    desk.tell(left("k", 4, conference=room), left("leg", 4, conference=room), ended(5, room=room))
    shows(genesys, ani=CALLER)
    for asked in ("Kiosk%20kiosk-007", room):
        answer = desk.found(asked, conversation=CONVERSATION)
        assert (answer["name"], answer["state"], answer["join"]["pin"]) == (room, "ended", None)


def test_the_first_conversation_is_the_rooms(desk: Desk, genesys: Genesys) -> None:
    """Whoever calls the same number under the room's name later finds it taken."""
    dial(desk)
    shows(genesys, ani=CALLER)
    assert desk.found("advisor", conversation=CONVERSATION)["join"]["pin"]
    shows(genesys, ANOTHER, aniName="Kiosk kiosk-007")
    assert "came first" in refusal(desk, "advisor", ANOTHER)


def test_a_stream_outlives_the_room(genesys: Genesys, tmp_path: Path) -> None:
    """It tells by what the room was found, and that it ended, though the agent is asked for again and again meanwhile."""
    room = "Kiosk kiosk-7"
    with Desk(tmp_path, tenant(genesys.url), binding_required=True, pause_seconds=0.001, check_seconds=0.001) as desk:
        desk.rules.ruleset = kiosks(', local_alias: "{kiosk}@branches.example.com"')
        dial(desk, "kiosk-7")
        shows(genesys, aniName="Branch", ani="sip:kiosk-7@branches.example.com")

        async def scenario() -> None:
            async with Stream(desk, "Branch", query=f"conversation={CONVERSATION}") as stream:
                told = await stream.next()
                assert (told.data["name"], told.data["found_by"], told.data["state"]) == (room, "ani", "waiting")
                assert await desk.conferences.store.end(room, desk.now)
                asked = len(genesys.stand_in.requests)
                told = await stream.next()
                assert (told.data["name"], told.data["state"], told.data["join"]["pin"]) == (room, "ended", None)
                await until(lambda: len(genesys.stand_in.requests) > asked)
                await desk.conferences.store.add_events([started(room="another room")])
                assert not stream.task.done()

        desk.run(scenario())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=244), min_size=1, max_size=3, unique=True
    ),
    with_domain=st.booleans(),
)
@example(names=["."], with_domain=True)
@example(names=[".."], with_domain=False)
@example(names=["Ñ"], with_domain=True)
def test_the_from_of_any_room_is_a_valid_address_that_leads_back(
    desk: Desk, genesys: Genesys, names: list[str], with_domain: bool
) -> None:
    """Whatever rooms are called, the From of their legs is a SIP URI, and through it agents find the very room.

    Not where one is called what another calls from: then it cannot be told which is meant, and the lookup says so.
    """
    desk.rules.ruleset = (
        kiosks()
        if with_domain
        else load("""
trunks: { centre: { number: "+1 312 999 8045" } }
service:
  - id: kiosk
    when: { remote_alias.raw: '(?s)(?P<kiosk>.*)' }
    service: { service_type: conference, name: "{kiosk.raw}", service_tag: kiosk, pin: derived }
    dial_out: [{ trunk: centre }]
""")
    )
    served: dict[str, str] = {}
    for name in names:
        decision = settled(desk, "advisor", protocol="sip", remote_alias=name).decision
        if isinstance(decision, Serve):
            legs: Any = decision.service["automatic_participants"]
            served[str(decision.service["name"])] = legs[0]["local_alias"]
    callers = {caller.partition("@")[0] for caller in served.values()}
    assume(served and not any(room in callers and uri_user(room) != room for room in served))
    for room, caller in served.items():
        assert re.fullmatch(USER + ("@video[.]example[.]com" if with_domain else ""), caller)
        shows(genesys, ani=f"sip:{caller}" if with_domain else f"sip:{caller}@node.example.com", conversation=fresh())
        for asked in (caller, caller.partition("@")[0]):
            answer = desk.found(asked, conversation=LATEST[0])
            assert (answer["name"], answer["join"]["pin"]) == (room, KEYRING.room_pins(room).host)
    for room in served:
        desk.run(desk.conferences.store.end(room, desk.now))


USER: Final = r"(?:[A-Za-z0-9_.!~*'()&=+$,;?/-]|%[0-9A-Fa-f]{2})+"
"""The user part of a SIP URI (RFC 3261, section 25.1)."""
LATEST: Final = [CONVERSATION]


def fresh() -> str:
    """The id of a conversation that nobody has had."""
    LATEST[0] = f"{next(NUMBERS):08x}-0000-4000-8000-000000000000"
    return LATEST[0]

"""One room, one service: from the first decision until the conference ends, whatever happens to rules, hours and links."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final, TypeVar

import pytest

from policy_server.conferences.live import Conferences
from policy_server.conferences.mirror import NEARBY_LIMIT
from policy_server.conferences.pace import Pace
from policy_server.conferences.records import HeldConference, alias_key
from policy_server.conferences.rooms import Rooms, Settled, conference_ids
from policy_server.conferences.store import ConferenceStore
from policy_server.policy.decisions import Continue, Decision, Redirect, Reject, Serve
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.services import LEGS
from tests.conferences.samples import Place, conference, link
from tests.conferences.test_live import true
from tests.rule_sets import AGENT_KEY, CALL, CALL_ID, KEYRING, NOON, SESSION, load, request, served

T = TypeVar("T")

CUSTOMER: Final = f"mp{SESSION}"
AGENT: Final = f"hcp{AGENT_KEY}"
LEG: Final = "99+13129998045"
SPANISH_LEG: Final = "99+13125550100"

TEXT: Final = """
trunks:
  clinic: { number: "+1 312 999 8045", dial_prefix: "99" }
  clinica: { number: "+1 312 555 0100", dial_prefix: "99" }
calendars:
  hours: { timezone: America/Chicago, open: { mon-fri: ["08:00-18:00"] } }
rooms:
  visit:
    name: "{call}"
    service_tag: telehealth
    description: "Visit of {remote_display_name}"
    pin: derived
    guest_pin: derived
    allow_guests: true
  advice: { name: "advice {call}" }
  lobby: { name: "the lobby", description: "Opened by {remote_display_name}" }
  desk: { name: "desk of {remote_alias}" }
service:
  - { id: blocked, when: { remote_address: 203.0.113.0/24 }, reject: Not you. }
  - { id: advice, when: { link_type: patient, door: customer, vendor: advisor, link: valid, open: hours }, room: advice }
  - id: spanish
    when: { link_type: patient, door: customer, link: valid, link_attributes: { language: es } }
    room: visit
    dial_out: [{ trunk: clinica, display_name: "{call}" }]
  - id: patient
    when: { link_type: patient, door: customer, link: valid, open: hours }
    room: visit
    dial_out: [{ trunk: clinic, display_name: "{call}" }]
  - id: agent
    when: { link_type: patient, door: agent, link: [valid, expired] }
    room: visit
  - { id: lobby, when: { local_alias: lobby, open: hours }, room: lobby }
  - { id: desk, when: { local_alias: desk }, room: desk }
  - id: gateway
    when: { local_alias: 'call-(?P<name>.+)' }
    service:
      service_type: gateway
      name: "{name}"
      service_tag: calls
      local_alias: us
      remote_alias: "sip:{name}@example.com"
      outgoing_protocol: sip
  - { id: refused, when: { local_alias: '(mp|adv|hcp).{32}' }, reject: We are closed. }
links:
  patient: { alias: "mp{session}", agent_alias: "hcp{agent}", ttl: 4h }
  advice: { alias: "adv{session}" }
"""
RULES: Final = load(TEXT)
CHANGED: Final = load(TEXT.replace("allow_guests: true", "allow_guests: true\n    view: one_main_zero_pips"))
RENAMED: Final = load(TEXT.replace('name: "{call}"', 'name: "new {call}"'))
OTHER_TRUNK: Final = load(TEXT.replace("dial_out: [{ trunk: clinic,", "dial_out: [{ trunk: clinica,"))
NO_CUSTOMERS: Final = load(
    TEXT[: TEXT.index("  - { id: advice")] + TEXT[TEXT.index("  - id: agent\n") :].replace("(mp|adv|hcp)", "(mp|adv)")
)
LOST: Final = load("service: [{ id: refused, when: { local_alias: '(mp|hcp).{32}' }, reject: We are closed. }]")
OTHERS: Final = load("service: [{ id: other, when: { local_alias: other }, continue: true }]")
"""Rules that know nothing of any of it."""

LINK: Final = link(CALL_ID, attributes={}, created_at=NOON - timedelta(hours=1), expires_at=NOON + timedelta(hours=4))


@dataclass
class House:
    """The rooms of one replica, whose rules and clock can be changed."""

    conferences: Conferences
    ruleset: Ruleset = RULES
    now: datetime = NOON
    rooms: Rooms = field(init=False)

    def __post_init__(self) -> None:
        ids = count(1)
        self.rooms = Rooms(self.conferences, KEYRING, lambda: f"{id(self)}-{next(ids)}")

    async def settle(self, local_alias: str = CUSTOMER, **fields: str) -> Settled:
        """What becomes of a question about an alias."""
        asked = {"call_direction": "dial_in", "protocol": "api", "local_alias": local_alias, **fields}
        return await self.rooms.settle(self.ruleset, request("service", asked), self.now)

    async def ask(self, local_alias: str = CUSTOMER, **fields: str) -> Decision:
        """The decision about an alias."""
        return (await self.settle(local_alias, **fields)).decision

    async def call_out(self, name: str = CALL_ID, tag: str = "telehealth", to: str = LEG) -> Decision:
        """The decision about a call out of a room."""
        fields = {"call_direction": "dial_out", "service_name": name, "service_tag": tag, "remote_alias": to}
        return (await self.rooms.settle(self.ruleset, request("service", fields), self.now)).decision

    async def serve(self, local_alias: str = CUSTOMER, **fields: str) -> dict[str, object]:
        """The service that an alias gets."""
        return served(await self.ask(local_alias, **fields))


@asynccontextmanager
async def house(url: str, tidy: float = Pace().tidy, **changed: Any) -> AsyncIterator[House]:
    """A replica that runs, and knows what is in the store."""
    store = ConferenceStore(url, patience=20.0)
    known = House(Conferences(store, lambda: known.now, timedelta(hours=12), pace=Pace(tidy=tidy)), **changed)
    await known.conferences.start()
    try:
        yield known
    finally:
        await known.conferences.stop()


def play(url: str, scenario: Callable[[House], Awaitable[T]], ruleset: Ruleset = RULES) -> T:
    """What a scenario in one replica comes to."""

    async def run() -> T:
        async with house(url, ruleset=ruleset) as one:
            return await scenario(one)

    return asyncio.run(run())


def legs(service: dict[str, object]) -> list[str]:
    """Who is dialled."""
    found = service.get(LEGS, [])
    assert isinstance(found, list)
    return [leg["remote_alias"] for leg in found]


def without_legs(service: dict[str, object]) -> dict[str, object]:
    """The room itself."""
    return {name: value for name, value in service.items() if name != LEGS}


LATER: Final = [
    pytest.param(RULES, timedelta(0), id="again"),
    pytest.param(RULES, timedelta(hours=5), id="after the link expired"),
    pytest.param(RULES, timedelta(hours=7), id="after closing time"),
    pytest.param(CHANGED, timedelta(0), id="the room changed"),
    pytest.param(RENAMED, timedelta(0), id="the room has another name"),
    pytest.param(OTHER_TRUNK, timedelta(0), id="the trunk changed"),
    pytest.param(NO_CUSTOMERS, timedelta(0), id="the customer's rules are gone"),
    pytest.param(LOST, timedelta(0), id="the rules are gone"),
    pytest.param(OTHERS, timedelta(hours=7), id="the rules, the links and the hours are gone"),
]


@pytest.mark.parametrize(("ruleset", "later"), LATER)
def test_the_service_of_a_room_stays(sqlite_place: Place, ruleset: Ruleset, later: timedelta) -> None:
    """Customer, leg and agent get what the first question got, whatever rules, hours and link have become."""

    async def scenario(one: House) -> None:
        first = await one.serve(remote_display_name="Ada")
        assert (first["description"], legs(first)) == ("Visit of Ada", [LEG])
        one.ruleset, one.now = ruleset, NOON + later
        assert await one.serve(remote_display_name="Ada again") == first
        assert served(await one.call_out()) == first
        assert await one.serve(AGENT) == without_legs(first)

    play(sqlite_place.url, scenario)


@pytest.mark.parametrize(("ruleset", "later"), LATER)
def test_the_service_of_a_room_outlives_the_process(sqlite_place: Place, ruleset: Ruleset, later: timedelta) -> None:
    """After a restart the room is what it was, with other rules and later too."""

    async def first(one: House) -> dict[str, object]:
        return await one.serve(remote_display_name="Ada")

    before = play(sqlite_place.url, first)

    async def scenario() -> None:
        async with house(sqlite_place.url, ruleset=ruleset, now=NOON + later) as other:
            assert await other.serve() == before
            assert served(await other.call_out()) == before

    asyncio.run(scenario())


def test_a_second_replica_gives_the_same_room(place: Place) -> None:
    """What one replica served another serves too, although its rules are newer; and what ended here has ended there."""

    async def scenario() -> None:
        async with house(place.url) as one, house(place.url, ruleset=CHANGED) as other:
            first = await one.serve(remote_display_name="Ada")
            await true(lambda: other.conferences.live(CALL_ID, NOON) is not None)
            assert await other.serve(remote_display_name="Bob") == first
            assert await other.serve(AGENT) == without_legs(first)
            assert served(await other.call_out()) == first
            await one.conferences.store.end(CALL_ID, NOON)
            await true(lambda: not (one.conferences.live_count or other.conferences.live_count))
            again = await other.serve(remote_display_name="Bob")
            assert (again["description"], again["view"]) == ("Visit of Bob", "one_main_zero_pips")

    asyncio.run(scenario())


def test_two_replicas_that_are_asked_at_once_agree(place: Place) -> None:
    """However many ask both replicas at the same moment, all get the room of whoever was first in the database."""

    async def scenario() -> None:
        async with house(place.url) as one, house(place.url, ruleset=CHANGED) as other:
            asked = [
                where.serve(remote_display_name=f"{name} of {number}")
                for name, where in (("Ada", one), ("Bob", other))
                for number in range(4)
            ]
            answers = await asyncio.gather(*asked)
            assert one.conferences.late == other.conferences.late == 0
            assert len({str(answer["description"]) for answer in answers}) == 1
            assert len({answer.get("view") for answer in answers}) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["ended", "expired"])
def test_an_ended_room_begins_again_by_the_rules_of_today(sqlite_place: Place, how: str) -> None:
    """After conference_ended or the TTL the room is forgotten: the next question gets what the rules say by then."""

    async def scenario(one: House) -> None:
        await one.serve(AGENT, remote_display_name="Ada")
        one.ruleset = CHANGED
        if how == "ended":
            await one.conferences.store.end(CALL_ID, NOON)
            await true(lambda: not one.conferences.live_count)
        else:
            one.now = NOON + timedelta(hours=12)
        again = await one.serve(AGENT, remote_display_name="Bob")
        assert (again["description"], again["view"]) == ("Visit of Bob", "one_main_zero_pips")
        later = await one.ask()
        assert isinstance(later, Serve) is (how == "ended")

    play(sqlite_place.url, scenario)


def test_the_agent_before_the_customer(sqlite_place: Place) -> None:
    """An agent who comes first holds the room without a leg; the customer's rule brings it."""

    async def scenario(one: House) -> None:
        room = await one.serve(AGENT, remote_display_name="Maria")
        assert LEGS not in room
        customers = await one.serve(remote_display_name="Ada")
        assert (without_legs(customers), legs(customers)) == (room, [LEG])
        assert legs(served(await one.call_out())) == [LEG]

    play(sqlite_place.url, scenario)


def test_a_revoked_link(place: Place) -> None:
    """The customer is refused from the next question on, here and on every replica; the agent keeps the room."""

    async def scenario() -> None:
        async with house(place.url) as one, house(place.url) as other:
            await one.conferences.store.create_link(LINK)
            one.conferences.learn(LINK)
            room = await one.serve()
            await one.conferences.store.revoke_link(CALL_ID, NOON)
            one.conferences.learn(replace(LINK, revoked_at=NOON))
            assert isinstance(await one.ask(), Reject)
            await true(lambda: (there := other.conferences.link(CALL_ID)) is not None and there.revoked_at is not None)
            await true(lambda: other.conferences.live(CALL_ID, NOON))
            for where in (one, other):
                assert isinstance(await where.ask(), Reject)
                assert isinstance(await where.ask(f"adv{SESSION}"), Reject)
                assert await where.serve(AGENT) == without_legs(room)
                assert served(await where.call_out()) == room

    asyncio.run(scenario())


def test_a_moved_link(place: Place) -> None:
    """From the next question on, here and on every replica, nobody begins a room by it; a room that runs stays open to its
    customer and its agent until it ends.
    """
    new = link("b" * 32, expires_at=NOON + timedelta(days=2))

    async def scenario() -> None:
        async with house(place.url) as one, house(place.url) as other:
            await one.conferences.store.create_link(LINK)
            one.conferences.learn(LINK)
            room = await one.serve()
            moved = await one.conferences.store.move_link(CALL_ID, new, NOON + timedelta(minutes=1))
            assert moved is not None
            one.conferences.learn(moved)
            await true(lambda: (there := other.conferences.link(CALL_ID)) is not None and there.moved_to == new.call)
            await true(lambda: other.conferences.link(new.call) == new)
            await true(lambda: other.conferences.live(CALL_ID, NOON))
            for where in (one, other):
                where.now = NOON + timedelta(minutes=2)
                assert await where.serve() == room
                assert await where.serve(AGENT) == without_legs(room)
                assert served(await where.call_out()) == room
            await one.conferences.store.end(CALL_ID, NOON + timedelta(minutes=2))
            await true(lambda: not one.conferences.live_count and not other.conferences.live_count)
            for where in (one, other):
                assert isinstance(await where.ask(), Reject)
                assert isinstance(await where.ask(AGENT), Reject)

    asyncio.run(scenario())


@pytest.mark.parametrize("ruleset", [RULES, OTHERS], ids=["the same rules", "rules without the link"])
def test_a_revocation_outlives_the_link(sqlite_place: Place, ruleset: Ruleset) -> None:
    """When a revoked link expires while its room runs, the customer stays shut out, after a restart too."""

    async def scenario() -> None:
        async with house(sqlite_place.url, tidy=0.01) as one:
            await one.conferences.store.create_link(LINK)
            await one.conferences.store.create_link(link("other", expires_at=LINK.expires_at))
            await one.serve()
            await one.conferences.store.revoke_link(CALL_ID, NOON)
            await true(lambda: (here := one.conferences.link(CALL_ID)) is not None and here.revoked_at is not None)
            one.now = NOON + timedelta(hours=5)
            await true(lambda: one.conferences.link("other") is None)
            one.ruleset = ruleset
            assert not isinstance(await one.ask(), Serve)
        async with house(sqlite_place.url, now=NOON + timedelta(hours=5), ruleset=ruleset) as again:
            assert again.conferences.live_count == 1
            assert not isinstance(await again.ask(), Serve)

    asyncio.run(scenario())


def test_a_link_that_was_revoked_before_the_room_began(sqlite_place: Place) -> None:
    """Without a running room a revoked link opens none, for nobody."""

    async def scenario(one: House) -> None:
        one.conferences.learn(replace(LINK, revoked_at=NOON - timedelta(minutes=1)))
        assert isinstance(await one.ask(), Reject)
        assert isinstance(await one.ask(AGENT), Reject)
        assert one.conferences.live_count == 0

    play(sqlite_place.url, scenario)


def test_a_call_out_of_a_room_without_record(sqlite_place: Place) -> None:
    """Whose record was lost is derived again from name, tag and rules; whose name was never ours is left to Pexip."""

    async def scenario(one: House) -> None:
        again = served(await one.call_out())
        assert (again["name"], again["pin"], legs(again)) == (CALL_ID, CALL.pins.host, [LEG])
        assert legs(served(await one.call_out(to=SPANISH_LEG))) == [SPANISH_LEG]
        assert isinstance(await one.call_out("meet.alice", ""), Continue)
        assert isinstance(await one.call_out(CALL_ID, "another tag"), Continue)
        assert one.conferences.live_count == 0

    play(sqlite_place.url, scenario)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"call_direction": "non_dial"}, id="no call"),
        pytest.param({"local_alias": "call-bob"}, id="a gateway call"),
        pytest.param({"remote_address": "203.0.113.7"}, id="a reject"),
        pytest.param({"local_alias": "nobody"}, id="nothing"),
    ],
)
def test_what_is_no_conference_is_not_held(sqlite_place: Place, fields: dict[str, str]) -> None:
    """Only a call that is served a room begins a conference."""

    async def scenario(one: House) -> None:
        assert isinstance(await one.ask(**fields), Serve | Reject | Continue)
        assert (one.conferences.live_count, one.conferences.waiting) == (0, 0)

    play(sqlite_place.url, scenario)


def test_a_question_without_a_call_about_a_running_room(sqlite_place: Place) -> None:
    """A look-up without a call gets the running room too."""

    async def scenario(one: House) -> None:
        room = await one.serve(remote_display_name="Ada")
        assert await one.serve(call_direction="non_dial") == room

    play(sqlite_place.url, scenario)


@pytest.mark.parametrize("ruleset", [RULES, CHANGED], ids=["the same rules", "rules that refuse as well"])
def test_whom_the_rules_refuse_a_running_room_does_not_let_in(sqlite_place: Place, ruleset: Ruleset) -> None:
    """A caller who was refused when the room began stays refused, by name and by static alias."""

    async def scenario(one: House) -> None:
        await one.serve()
        await one.serve("lobby")
        one.ruleset = ruleset
        assert isinstance(await one.ask("lobby", remote_address="203.0.113.7"), Reject)
        if ruleset is RULES:
            assert isinstance(await one.ask(remote_address="203.0.113.7"), Reject)
        assert isinstance(await one.ask("adv" + "a" * 32), Reject)

    play(sqlite_place.url, scenario)


@pytest.mark.parametrize(
    ("ruleset", "later"),
    [
        pytest.param(RULES, timedelta(hours=7), id="after closing time"),
        pytest.param(load(TEXT.replace("name: the lobby", "name: the hall")), timedelta(0), id="other rules"),
        pytest.param(OTHERS, timedelta(hours=7), id="the rule is gone"),
    ],
)
def test_a_room_without_call(sqlite_place: Place, ruleset: Ruleset, later: timedelta) -> None:
    """A static room is known by its alias: everybody who dials it gets what the first got."""

    async def scenario(one: House) -> None:
        first = await one.serve("lobby", remote_display_name="Ada")
        one.ruleset, one.now = ruleset, NOON + later
        assert await one.serve("sip:LOBBY", remote_display_name="Bob") == first
        assert served(await one.call_out("the lobby", "")) == first

    play(sqlite_place.url, scenario)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        pytest.param("room: hall", Serve, id="another room"),
        pytest.param("redirect: elsewhere", Redirect, id="a redirect"),
        pytest.param("reject: Full.", Reject, id="a reject"),
    ],
)
def test_what_the_rules_of_today_say_of_a_static_alias(sqlite_place: Place, outcome: str, kind: type[Decision]) -> None:
    """Everybody dials it, so new rules that send callers elsewhere or away are meant for who comes from now on."""
    hall = (
        load(f"""
        rooms: {{ hall: {{ name: the hall }} }}
        service: [{{ id: lobby, when: {{ local_alias: lobby }}, {outcome} }}]
        """)
        if "hall" in outcome
        else load(f"service: [{{ id: lobby, when: {{ local_alias: lobby }}, {outcome} }}]")
    )

    async def scenario(one: House) -> None:
        await one.serve("lobby")
        one.ruleset = hall
        answer = await one.ask("lobby")
        assert isinstance(answer, kind)
        assert not isinstance(answer, Serve) or answer.service["name"] == "the hall"

    play(sqlite_place.url, scenario)


@pytest.mark.parametrize("ruleset", [RULES, CHANGED], ids=["the same rules", "a reload"])
def test_one_alias_of_many_rooms(sqlite_place: Place, ruleset: Ruleset) -> None:
    """Where each caller has a room of its own behind one alias, nobody is led into somebody else's."""

    async def scenario(one: House) -> None:
        callers = [f"caller-{number}" for number in range(NEARBY_LIMIT + 3)]
        for caller in callers:
            await one.serve("desk", remote_alias=caller)
        one.ruleset = ruleset
        for caller in (*callers, "a new one"):
            assert (await one.serve("desk", remote_alias=caller))["name"] == f"desk of {caller}"
        assert len(one.conferences.nearby("", alias_key("desk"))) == NEARBY_LIMIT

    play(sqlite_place.url, scenario)


@pytest.mark.parametrize("ended", ["advice", "visit"])
def test_two_rooms_of_one_call(sqlite_place: Place, ended: str) -> None:
    """Each of a call's rooms is held for itself, after closing time and when the other has ended."""
    names = {"visit": CALL_ID, "advice": f"advice {CALL_ID}"}
    vendors = {"visit": "", "advice": "advisor"}

    async def scenario(one: House) -> None:
        rooms = {name: await one.serve(vendor=vendor) for name, vendor in vendors.items()}
        assert {name: room["name"] for name, room in rooms.items()} == names
        one.now = NOON + timedelta(hours=7)
        for name, vendor in vendors.items():
            assert await one.serve(vendor=vendor) == rooms[name]
        assert await one.serve(AGENT) == without_legs(rooms["visit"])
        await one.conferences.store.end(names.pop(ended), NOON)
        await true(lambda: one.conferences.live_count == 1)
        (left,) = names
        assert await one.serve(vendor=vendors[left]) == rooms[left]
        assert isinstance(await one.ask(vendor=vendors[ended]), Reject)

    play(sqlite_place.url, scenario)


def test_another_call_has_another_room(sqlite_place: Place) -> None:
    """A running room does not draw in who comes with a link of his own."""

    async def scenario(one: House) -> None:
        await one.serve()
        other = KEYRING.sign("patient", NOON + timedelta(hours=1), b"next")
        assert (await one.serve(f"mp{other.session}"))["name"] == other.id
        one.now = NOON + timedelta(hours=2)
        third = KEYRING.sign("patient", NOON + timedelta(hours=1), b"last")
        assert isinstance(await one.ask(f"mp{third.session}"), Reject)

    play(sqlite_place.url, scenario)


def test_the_timeline_that_a_decision_belongs_to(sqlite_place: Place) -> None:
    """Whatever is asked about a call's room is told under its id; of strangers nothing is told."""

    async def scenario(one: House) -> None:
        assert (await one.settle()).key == CALL_ID
        assert (await one.settle(AGENT)).key == CALL_ID
        assert (await one.settle("lobby")).key == "the lobby"
        for kind in ("participant", "location"):
            for name, key in ((CALL_ID, CALL_ID), ("the lobby", "the lobby"), ("meet.alice", "")):
                question = request(kind, {"call_direction": "dial_in", "service_name": name, "local_alias": "x"})
                assert (await one.rooms.settle(RULES, question, NOON)).key == key
        one.now = NOON + timedelta(hours=30)
        assert (await one.settle()).key == CALL_ID
        assert (await one.settle("mp" + "a" * 32)).key == ""
        assert (await one.settle("nobody")).key == ""

    play(sqlite_place.url, scenario)


def elsewhere(service: Mapping[str, object], expires_at: datetime) -> HeldConference:
    """The call's room, begun on another replica."""
    fields: dict[str, Any] = {"legs": (), "fallbacks": (), "held_at": NOON, "expires_at": expires_at, "doors": {}}
    return conference(CALL_ID, id="x", service_tag="", service=service, revision="1", aliases={}, **fields)


def test_a_refusal_does_not_outlast_a_room_that_began_elsewhere(sqlite_place: Place) -> None:
    """Who was told that we are closed gets in by the next question, once it is known that the room began before that."""

    async def scenario(one: House) -> None:
        one.now = NOON + timedelta(hours=7)
        refused = await one.settle()
        assert isinstance(refused.decision, Reject)
        service = {"service_type": "conference", "name": CALL_ID}
        held = elsewhere(service, NOON + timedelta(hours=12))
        await one.conferences.store.hold(held)
        await true(lambda: one.conferences.live(CALL_ID, NOON))
        assert (await one.serve()).items() >= service.items()

    play(sqlite_place.url, scenario)


def test_attributes_choose_the_trunk(sqlite_place: Place) -> None:
    """A rule for Spanish speakers dials their trunk, and the room keeps it when the attributes are forgotten."""

    async def scenario(one: House) -> None:
        one.conferences.learn(replace(LINK, attributes={"language": "es"}))
        first = await one.serve()
        assert legs(first) == [SPANISH_LEG]
        one.conferences.learn(LINK)
        assert await one.serve() == first

    play(sqlite_place.url, scenario)


def test_conferences_get_ids_in_order() -> None:
    """No two are alike, of one process or of two, and they come in order."""
    one, other = conference_ids("a" * 20), conference_ids("b" * 20)
    ids = [new_id() for _ in range(20) for new_id in (one, other)]
    assert ids[::2] == sorted(set(ids[::2]))
    assert len(set(ids)) == 40
    assert {len(each) for each in ids} == {32}


LIMITED: Final = load(
    TEXT.replace(
        'clinic: { number: "+1 312 999 8045", dial_prefix: "99" }',
        'clinic: { number: "+1 312 999 8045", dial_prefix: "99", limits: { calls_per_minute: 1 } }',
    ).replace(
        'dial_out: [{ trunk: clinic, display_name: "{call}" }]',
        "dial_out: [{ trunk: clinic }, { trunk: clinica, when: failed }]",
    )
)
"""Rules by which the clinic takes a call a minute, and the Spanish clinic what is more."""


def test_the_trunk_that_was_chosen_stays(place: Place) -> None:
    """A call over the limit of a trunk gets the next, and keeps it when the trunk is free again, on every replica; another
    replica's calls count too.
    """

    second_call = KEYRING.sign("patient", NOON + timedelta(hours=4), b"5678")

    async def scenario() -> None:
        async with house(place.url, ruleset=LIMITED) as one, house(place.url, ruleset=LIMITED) as other:
            assert legs(await one.serve()) == [LEG]

            await true(lambda: other.conferences.load(LEG, NOON).calls == 1)
            second = await other.settle(f"mp{second_call.session}")
            assert legs(served(second.decision)) == [SPANISH_LEG]
            one.now = other.now = NOON + timedelta(minutes=2)
            assert legs(await other.serve(f"mp{second_call.session}")) == [SPANISH_LEG]
            assert legs(served(await other.call_out(second.room, to=SPANISH_LEG))) == [SPANISH_LEG]
            assert legs(await one.serve()) == [LEG]

    asyncio.run(scenario())


def test_a_leg_is_of_the_rule_that_made_its_room(place: Place) -> None:
    """Where an earlier rule has the same room and dials the same number if its own fails, that is not the leg's rule."""
    both = 'dial_out: [{ trunk: clinica, display_name: "{call}" }, { trunk: clinic, when: failed }]'
    shared = load(TEXT.replace('dial_out: [{ trunk: clinica, display_name: "{call}" }]', both))

    async def scenario() -> None:
        async with house(place.url, ruleset=shared) as one:
            assert (await one.ask()).rule == "patient"
            assert (await one.call_out()).rule == "patient"

    asyncio.run(scenario())

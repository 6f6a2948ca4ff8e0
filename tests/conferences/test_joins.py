"""People who join people: an interpreter, a relative or a specialist in the room of somebody else's link."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.conferences.records import Link
from policy_server.conferences.rehearsal import rehearse
from policy_server.policy.decisions import Fail, Reject, Serve
from policy_server.policy.names import Call
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.services import LEGS
from tests.conferences.samples import Place
from tests.conferences.test_live import true
from tests.conferences.test_rooms import House, house, legs, play, without_legs
from tests.rule_sets import KEYRING, NOON, load, request, served

TEXT: Final = """
trunks:
  centre: { number: "+1 312 999 8045", dial_prefix: "99" }
rooms:
  advice:
    name: "advice {link.booking} {call}"
    service_tag: advice
    description: "Advice for {link.name}"
    pin: derived
    guest_pin: derived
    allow_guests: true
service:
  - id: customer
    when: { link_type: advice, door: customer, link: valid }
    room: advice
    dial_out: [{ trunk: centre, display_name: "{link.name}" }]
  - { id: agent, when: { link_type: advice, door: agent, link: [valid, expired] }, room: advice }
  - id: specialist
    when: { link_type: interpreter, link: valid, link_attributes: { subject: law } }
    service: { service_type: conference, name: "advice {link.booking} {call}", service_tag: advice, pin: "98765432" }
  - { id: interpreter, when: { link_type: interpreter, link: valid }, room: advice }
  - { id: refused, when: { link_type: [advice, interpreter] }, reject: Not now. }
links:
  advice: { alias: "adv{session}", agent_alias: "agt{agent}" }
  interpreter: { alias: "itp{session}", joins: advice }
"""
RULES: Final = load(TEXT)
CHANGED: Final = load(
    TEXT.replace("service_tag: advice\n    desc", "service_tag: advice\n    view: one_main_zero_pips\n    desc")
)
NO_INTERPRETERS: Final = load(TEXT.replace("  - { id: interpreter,", "  - { id: interpreter, enabled: false,"))
LEG: Final = "99+13129998045"
HOUR: Final = timedelta(hours=1)


def signed(link_type: str, nonce: bytes, hours: float = 4) -> Call:
    """A call whose door is open for some hours from NOON."""
    return KEYRING.sign(link_type, NOON + hours * HOUR, nonce)


def link_of(call: Call, name: str, joins: str = "", **attributes: str) -> Link:
    """The record of a link that was made an hour before NOON."""
    return Link.of(call, name=name, attributes=attributes, created_at=NOON - HOUR, created_by="booking", joins=joins)


VISIT: Final = signed("advice", b"1111")
MARIA: Final = signed("interpreter", b"2222")
LEE: Final = signed("interpreter", b"3333")
AHMED: Final = signed("interpreter", b"4444", hours=-0.5)
ADAS: Final = link_of(VISIT, "Ada L", booking="B42")
MARIAS: Final = link_of(MARIA, "Maria R", VISIT.id, booking="none", language="it")
LEES: Final = link_of(LEE, "Dr Lee", VISIT.id, subject="law")
AHMEDS: Final = link_of(AHMED, "Ahmed", VISIT.id)

CUSTOMER: Final = f"adv{VISIT.session}"
AGENT: Final = f"agt{VISIT.agent}"
INTERPRETER: Final = f"itp{MARIA.session}"
SPECIALIST: Final = f"itp{LEE.session}"
EVERYBODY: Final = (CUSTOMER, AGENT, INTERPRETER, SPECIALIST)
SHORT: Final = dict(zip(EVERYBODY, ("customer", "agent", "interpreter", "specialist"), strict=True))
ROOM: Final = f"advice B42 {VISIT.id}"


async def knowing(one: House, *links: Link) -> None:
    """Puts links where this replica and all others find them."""
    for each in links or (ADAS, MARIAS, LEES):
        await one.conferences.store.create_link(each)
        one.conferences.learn(each)


@pytest.mark.parametrize(
    "order", list(permutations(EVERYBODY)), ids=lambda order: "-".join(SHORT[alias] for alias in order)
)
def test_whoever_comes_first(sqlite_place: Place, order: Sequence[str]) -> None:
    """In whichever order they come all are in one room, each by the door of their rule; the trunk is dialled for the
    customer alone, and for the call out of the room there is exactly that leg.
    """

    async def scenario(one: House) -> None:
        await knowing(one)
        got = {alias: await one.serve(alias) for alias in order}
        rooms = {alias: {k: v for k, v in without_legs(room).items() if "pin" not in k} for alias, room in got.items()}
        assert {room["name"] for room in got.values()} == {ROOM}
        assert len({room["service_tag"] for room in got.values()}) == 1
        held = one.conferences.live(ROOM, NOON)
        assert held is not None
        assert (held.call, held.link_type) == (VISIT.id, "advice")
        assert {alias: legs(room) for alias, room in got.items()} == {
            alias: [LEG] if alias == CUSTOMER else [] for alias in EVERYBODY
        }
        described = {room.get("description") for room in rooms.values()}
        assert len(described) == 1
        pins = {alias: room["pin"] for alias, room in got.items()}
        assert pins == dict.fromkeys(EVERYBODY, VISIT.pins.host) | {SPECIALIST: "98765432"}
        out = served(await one.call_out(ROOM, "advice"))
        assert legs(out) == [LEG]
        # The legs are the customer's, whose name they show.
        assert [leg["local_display_name"] for leg in out[LEGS]] == ["Ada L"]  # type: ignore[attr-defined]

    play(sqlite_place.url, scenario, RULES)


ALIASES: Final = st.lists(st.sampled_from(EVERYBODY), min_size=1, max_size=7)


@given(ALIASES)
@settings(max_examples=60, deadline=None)
def test_any_visits_are_in_one_room(aliases: list[str]) -> None:
    """However often whoever comes again, the answer about somebody is the one that was given before."""
    links = {each.call: each for each in (ADAS, MARIAS, LEES)}
    asked = [request("service", {"call_direction": "dial_in", "protocol": "api", "local_alias": a}) for a in aliases]
    answers = [served(rehearse(RULES, asked[: number + 1], NOON, KEYRING, {}, links)) for number in range(len(aliases))]
    assert {answer["name"] for answer in answers} == {ROOM}
    first: dict[str, dict[str, object]] = {}
    for alias, answer in zip(aliases, answers, strict=True):
        assert first.setdefault(alias, answer) == answer
        assert legs(answer) == ([LEG] if alias == CUSTOMER else [])


def test_attributes_of_conditions_are_the_joining_links_own(sqlite_place: Place) -> None:
    """A condition asks for what the interpreter's link was given; the room is filled in with what the visit's was."""

    async def scenario(one: House) -> None:
        await knowing(one)
        assert (await one.ask(SPECIALIST)).rule == "specialist"
        assert (await one.ask(INTERPRETER)).rule == "interpreter"
        assert (await one.serve(INTERPRETER))["name"] == ROOM

    play(sqlite_place.url, scenario, RULES)


@pytest.mark.parametrize("alias", [INTERPRETER, SPECIALIST])
def test_a_link_that_nobody_knows_opens_no_room(sqlite_place: Place, alias: str) -> None:
    """Which call it joins is not signed. As long as that is not known the question fails: never a room of its own."""

    async def scenario(one: House) -> None:
        await knowing(one, ADAS)
        decision = await one.ask(alias)
        assert isinstance(decision, Fail)
        assert "which one is not known here" in decision.reason
        assert one.conferences.live_count == 0
        await one.serve(CUSTOMER)
        assert isinstance(await one.ask(alias), Fail)

    play(sqlite_place.url, scenario, RULES)


def test_another_replica_learns_of_it(place: Place) -> None:
    """A link that one replica made lets in at the other as soon as that has heard of it."""

    async def scenario() -> None:
        async with house(place.url, ruleset=RULES) as one, house(place.url, ruleset=RULES) as other:
            await knowing(one)
            first = await one.serve(INTERPRETER)
            await true(lambda: other.conferences.link(MARIA.id) is not None)
            await true(lambda: other.conferences.live(ROOM, NOON) is not None)
            assert await other.serve(INTERPRETER) == first
            assert without_legs(await other.serve(CUSTOMER)) == first

    asyncio.run(scenario())


def test_a_revoked_link_shuts_out_that_person_alone(sqlite_place: Place) -> None:
    """Customer, agent and the other who joins stay, in a room that runs and in one that begins."""

    async def scenario(one: House) -> None:
        await knowing(one)
        await one.serve(CUSTOMER)
        await one.serve(INTERPRETER)
        one.conferences.learn(replace(MARIAS, revoked_at=NOON))
        assert isinstance(await one.ask(INTERPRETER), Reject)
        for alias in (CUSTOMER, AGENT, SPECIALIST):
            assert isinstance(await one.ask(alias), Serve)

    play(sqlite_place.url, scenario, RULES)


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "begins"])
def test_a_revoked_visit_shuts_out_all_who_join(sqlite_place: Place, runs: bool) -> None:
    """Whoever joins comes no further than the customer: when the visit is revoked, only its agents get into its room."""

    async def scenario(one: House) -> None:
        await knowing(one)
        if runs:
            await one.serve(CUSTOMER)
            await one.serve(INTERPRETER)
        one.conferences.learn(replace(ADAS, revoked_at=NOON - HOUR / 2 if not runs else NOON))
        for alias in (CUSTOMER, INTERPRETER, SPECIALIST):
            assert isinstance(await one.ask(alias), Reject)
        assert isinstance(await one.ask(AGENT), Serve) is runs

    play(sqlite_place.url, scenario, RULES)


def test_the_links_own_times_count(sqlite_place: Place) -> None:
    """A joining link that has expired lets nobody in; one that is good does although the visit's has, if its room runs."""

    async def scenario(one: House) -> None:
        short = signed("advice", b"5555", hours=1)
        late = signed("interpreter", b"6666", hours=6)
        await knowing(one, link_of(short, "Ada", booking="B1"), link_of(late, "Maria", short.id), ADAS, AHMEDS)
        assert isinstance(await one.ask(f"itp{AHMED.session}"), Reject)
        first = await one.serve(f"adv{short.session}")
        one.now = NOON + 2 * HOUR
        assert await one.serve(f"itp{late.session}") == without_legs(first)

    play(sqlite_place.url, scenario, RULES)


@pytest.mark.parametrize("alias", [INTERPRETER, CUSTOMER], ids=["interpreter", "customer"])
@pytest.mark.parametrize(
    ("ruleset", "later"),
    [
        pytest.param(CHANGED, 0, id="the room changed"),
        pytest.param(NO_INTERPRETERS, 0, id="the rule is gone"),
        pytest.param(RULES, 5, id="the links expired"),
    ],
)
def test_a_room_that_somebody_joined_outlives_rules_links_and_process(
    sqlite_place: Place, alias: str, ruleset: Ruleset, later: float
) -> None:
    """Whoever was first, after a restart with other rules and later the interpreter gets the room as it was."""

    async def first(one: House) -> dict[str, object]:
        await knowing(one)
        await one.serve(alias)
        return await one.serve(INTERPRETER)

    before = play(sqlite_place.url, first, RULES)

    async def scenario() -> None:
        async with house(sqlite_place.url, ruleset=ruleset, now=NOON + later * HOUR) as other:
            assert await other.serve(INTERPRETER) == before

    asyncio.run(scenario())


def test_links_that_a_room_needs_are_remembered(sqlite_place: Place) -> None:
    """The expired links of those who are in a room that runs are not forgotten, nor is that of a call that somebody joins."""

    async def scenario() -> None:
        async with house(sqlite_place.url, ruleset=RULES, tidy=0.01) as one:
            other = signed("advice", b"7777", hours=1)
            late = signed("interpreter", b"8888", hours=9)
            await knowing(one, ADAS, MARIAS, link_of(other, "Bo"), link_of(late, "Eve", other.id))
            over = signed("advice", b"9999", hours=1)
            await knowing(one, link_of(over, "Cy"))
            room = await one.serve(INTERPRETER)
            one.now = NOON + 5 * HOUR
            await true(lambda: one.conferences.link(over.id) is None)
            assert await one.serve(INTERPRETER) == room
            assert one.conferences.link(other.id) is not None

    asyncio.run(scenario())


def test_the_timelines_of_a_question(sqlite_place: Place) -> None:
    """What a node asks about somebody who joins belongs on the visit's timeline and on their own."""

    async def scenario(one: House) -> None:
        await knowing(one)
        settled = await one.settle(INTERPRETER)
        assert (settled.key, settled.call, settled.joining, settled.room) == (VISIT.id, MARIA.id, MARIA.id, ROOM)
        one.conferences.learn(replace(MARIAS, revoked_at=NOON))
        refused = await one.settle(INTERPRETER)
        assert (refused.key, refused.call, refused.joining, refused.room) == (VISIT.id, MARIA.id, MARIA.id, "")
        customer = await one.settle(CUSTOMER)
        assert (customer.key, customer.call, customer.joining) == (VISIT.id, VISIT.id, "")

    play(sqlite_place.url, scenario, RULES)

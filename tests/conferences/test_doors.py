"""Doors: how callers enter a running room is each rule's own, and nobody's way in becomes another's."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.pexip.field_facts import DOOR_FIELDS
from policy_server.policy.decisions import Continue, Serve
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.services import LEGS
from tests.conferences.samples import Place
from tests.conferences.test_live import true
from tests.conferences.test_rooms import House, house, play
from tests.rule_sets import NOON, load, request, served

PINS: Final = 'pin: "482913", guest_pin: "582914", allow_guests: true'
OPEN: Final = "allow_guests: false"
DESK: Final = {"remote_alias": "desk5@example.com", "registered": "True", "location": "Inside"}
STRANGER: Final = {"remote_alias": "stranger@other.example.org", "registered": "False", "location": "Edge"}
LOCKED: Final = {"pin": "482913", "guest_pin": "582914", "allow_guests": True}

OWN: Final = "id: own, when: { local_alias: 'meet(?P<n>[0-9]+)', remote_alias: 'desk[0-9]+@.*', registered: true }"
INSIDE: Final = "id: inside, when: { local_alias: 'meet(?P<n>[0-9]+)', location: Inside }"
EVERYBODY: Final = "id: everybody, when: { local_alias: 'meet(?P<n>[0-9]+)' }"


def rules(*rooms: tuple[str, str]) -> Ruleset:
    """Rules that all serve the room of one name, each with fields of its own."""
    return load(
        "service:\n"
        + "".join(
            f'  - {{ {heading}, service: {{ service_type: conference, name: "VMR {{n}}", service_tag: vmr, {fields} }} }}\n'
            for heading, fields in rooms
        )
    )


HOUSE: Final = rules((OWN, OPEN), (EVERYBODY, PINS))


def door(service: Mapping[str, object]) -> dict[str, object]:
    """What may differ between callers."""
    return {name: value for name, value in service.items() if name in DOOR_FIELDS}


def for_everybody(service: Mapping[str, object]) -> dict[str, object]:
    """What may not."""
    return {name: value for name, value in service.items() if name not in DOOR_FIELDS}


CASES: Final = [
    pytest.param(OWN, OPEN, {"allow_guests": False}, id="no PIN"),
    pytest.param(INSIDE, OPEN, {"allow_guests": False}, id="no PIN by location"),
    pytest.param(
        INSIDE,
        'pin: "", host_identity_provider_group: staff',
        {"pin": "", "host_identity_provider_group": "staff"},
        id="sign-on",
    ),
    pytest.param(INSIDE, "max_callrate_in: 4096000", {"max_callrate_in": 4096000}, id="call rate in"),
    pytest.param(INSIDE, "max_callrate_out: 4096000", {"max_callrate_out": 4096000}, id="call rate out"),
    pytest.param(INSIDE, 'pin: "999999"', {"pin": "999999"}, id="a PIN of its own"),
]


@pytest.mark.parametrize("strangers_first", [False, True], ids=["the device first", "the stranger first"])
@pytest.mark.parametrize(("rule", "fields", "own"), CASES)
def test_the_stranger_behind_a_device_of_the_house_meets_the_pin(
    sqlite_place: Place, rule: str, fields: str, own: dict[str, object], strangers_first: bool
) -> None:
    """In either order each caller gets the door of their own rule, again and again and after a restart."""
    ruleset = rules((rule, fields), (EVERYBODY, PINS))
    order = [(DESK, own), (STRANGER, LOCKED)]

    async def scenario(one: House) -> None:
        for caller, wanted in (order[::-1] if strangers_first else order) * 2:
            assert door(await one.serve("meet5", **caller)) == wanted
        assert one.conferences.live_count == 1

    async def run() -> None:
        for _ in range(2):
            async with house(sqlite_place.url, ruleset=ruleset) as one:
                await scenario(one)

    asyncio.run(run())


def test_a_door_that_was_held_stays_through_a_reload(sqlite_place: Place) -> None:
    """Who comes by a rule that has served the room gets its held door; who comes by another gets that one's of today."""
    later = rules((OWN, 'pin: "111111"'), (EVERYBODY, 'pin: "222222"'))

    async def scenario(one: House) -> None:
        await one.serve("meet5", **DESK)
        one.ruleset = later
        assert door(await one.serve("meet5", **DESK)) == {"allow_guests": False}
        assert door(await one.serve("meet5", **STRANGER)) == {"pin": "222222"}
        one.ruleset = HOUSE
        assert door(await one.serve("meet5", **STRANGER)) == {"pin": "222222"}

    play(sqlite_place.url, scenario, HOUSE)


@pytest.mark.parametrize("left", ["nothing", "another rule"])
def test_an_open_door_does_not_outlive_its_rule(sqlite_place: Place, left: str) -> None:
    """When the rules are gone, who had it goes on to have it, and a stranger has it no more than before."""
    gone = load("service: [{ id: other, when: { local_alias: other }, continue: true }]")
    locked = rules(("id: locked, when: { local_alias: 'meet(?P<n>[0-9]+)', location: Edge }", PINS))

    async def scenario(one: House) -> None:
        await one.serve("meet5", **DESK)
        one.ruleset = gone if left == "nothing" else locked
        assert door(await one.serve("meet5", **DESK)) == {"allow_guests": False}
        stranger = await one.ask("meet5", **STRANGER)
        if left == "nothing":
            assert isinstance(stranger, Continue)
        else:
            assert door(served(stranger)) == LOCKED

    play(sqlite_place.url, scenario, HOUSE)


def test_replicas_hold_one_door_for_a_rule(place: Place) -> None:
    """What one replica answered first holds on the other, whose rules give another door by now."""
    other_pins = rules((OWN, OPEN), (EVERYBODY, 'pin: "222222"'))

    async def scenario() -> None:
        async with house(place.url, ruleset=HOUSE) as one, house(place.url, ruleset=other_pins) as other:
            await one.serve("meet5", **DESK)
            await true(lambda: other.conferences.live("VMR 5", NOON) is not None)
            assert door(await other.serve("meet5", **STRANGER)) == {"pin": "222222"}
            await true(lambda: "everybody" in getattr(one.conferences.live("VMR 5", NOON), "doors", ()))
            assert door(await one.serve("meet5", **STRANGER)) == {"pin": "222222"}
            assert door(await other.serve("meet5", **DESK)) == {"allow_guests": False}

    asyncio.run(scenario())


def test_replicas_that_are_asked_at_once_agree_on_doors(place: Place) -> None:
    """However many callers ask both replicas at the same moment, those of one rule get one door."""
    other_pins = rules((OWN, 'pin: "111111"'), (EVERYBODY, 'pin: "222222"'))

    async def scenario() -> None:
        async with house(place.url, ruleset=HOUSE) as one, house(place.url, ruleset=other_pins) as other:
            callers = (DESK, STRANGER) * 4
            asked = [where.serve("meet5", **caller) for caller in callers for where in (one, other)]
            answers = await asyncio.gather(*asked)
            assert one.conferences.late == other.conferences.late == 0
            doors = [door(answer) for answer in answers]
            for rule in (0, 1):
                assert len({str(one) for one in (*doors[rule * 2 :: 4], *doors[rule * 2 + 1 :: 4])}) == 1
            assert len({str(for_everybody(answer)) for answer in answers}) == 1

    asyncio.run(scenario())


def test_the_leg_to_the_contact_centre_meets_the_first_door(sqlite_place: Place) -> None:
    """A call out of the room is answered with its service, whoever else has come by another door since."""
    ruleset = load(
        f"""
        trunks: {{ clinic: {{ number: "+1 312 999 8045", dial_prefix: "99" }} }}
        rooms:
          vmr: {{ name: "VMR {{n}}", service_tag: vmr, {PINS} }}
          own: {{ name: "VMR {{n}}", service_tag: vmr, {OPEN} }}
        service:
          - {{ {OWN}, room: own }}
          - {{ {EVERYBODY}, room: vmr, dial_out: [{{ trunk: clinic }}] }}
        """
    )

    async def scenario(one: House) -> None:
        await one.serve("meet5", **STRANGER)
        await one.serve("meet5", **DESK)
        out = served(await one.call_out("VMR 5", "vmr", "99+13129998045"))
        assert (door(out), LEGS in out) == (LOCKED, True)

    play(sqlite_place.url, scenario, ruleset)


def test_a_look_without_a_call_holds_no_door(sqlite_place: Place) -> None:
    """A non_dial question sees the door that its rule gives, and holds nothing."""

    async def scenario(one: House) -> None:
        await one.serve("meet5", **DESK)
        assert door(await one.serve("meet5", call_direction="non_dial", **STRANGER)) == LOCKED
        room = one.conferences.live("VMR 5", NOON)
        assert room is not None
        assert list(room.doors) == ["own"]

    play(sqlite_place.url, scenario, HOUSE)


def test_a_breakout_is_a_room_of_its_own(sqlite_place: Place) -> None:
    """It bears its main room's name, and is not held to the main room."""
    uuid = "0f8fad5b-d9cb-469f-a165-70867728950e"
    ruleset = rules(
        (
            "id: breakout, when: { local_alias: 'out(?P<n>[0-9]+)' }",
            f'breakout: true, breakout_uuid: "{uuid}", breakout_name: A',
        ),
        (EVERYBODY, "breakout_rooms: true"),
    )

    async def scenario(one: House) -> None:
        main = await one.serve("meet5")
        out = await one.serve("out5")
        assert (main["name"], main["breakout_rooms"], "breakout" in main) == ("VMR 5", True, False)
        assert (out["name"], out["breakout"], "breakout_rooms" in out) == ("VMR 5", True, False)
        assert one.conferences.live(f"VMR 5_breakout_{uuid}", NOON) is not None

    play(sqlite_place.url, scenario, ruleset)


# ------------------------------------------------------------------ whatever the order

_DOORS: Final = (
    OPEN,
    PINS,
    'pin: "111111"',
    "max_callrate_in: 1024000",
    'pin: "", host_identity_provider_group: staff',
)
_HEADINGS: Final = (OWN, INSIDE, EVERYBODY)
_VIEWS: Final = ("view: one_main_zero_pips", "view: one_main_seven_pips", "description: again")
_CALLERS: Final = (DESK, {**DESK, "registered": "False"}, STRANGER, {**STRANGER, "remote_alias": "desk7@example.com"})


@dataclass(frozen=True)
class Step:
    """A caller asks a replica that has got some rules by now; sometimes it is restarted before."""

    replica: int
    caller: int
    doors: tuple[int, int, int]
    order: tuple[int, ...]
    view: int
    restart: bool


steps: Final = st.builds(
    Step,
    replica=st.integers(0, 1),
    caller=st.integers(0, len(_CALLERS) - 1),
    doors=st.tuples(*[st.integers(0, len(_DOORS) - 1)] * 3),
    order=st.sampled_from([order for size in (1, 2, 3) for order in permutations(range(3), size)]),
    view=st.integers(0, len(_VIEWS) - 1),
    restart=st.booleans(),
)


def ruleset_of(step: Step) -> Ruleset:
    """Some of the rules, in some order, each with one of the doors."""
    return rules(*((_HEADINGS[n], f"{_DOORS[step.doors[n]]}, {_VIEWS[step.view]}") for n in step.order))


def _knows(replica: House, rules: set[str]) -> bool:
    room = replica.conferences.live("VMR 5", NOON)
    return room is not None and set(room.doors) >= rules


@contextmanager
def database() -> Iterator[str]:
    """A new SQLite file."""
    with TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder, 'doors.db')}"


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(steps, min_size=1, max_size=7))
def test_nobody_gets_a_door_that_is_not_their_own(history: Sequence[Step]) -> None:
    """Whatever the order of callers, rules, reloads, restarts and replicas: a caller gets the door that their rule gives
    now or gave when it was held, and the fields for everybody are the same in all answers of a conference.
    """

    async def run(url: str) -> None:
        held: dict[str, list[dict[str, object]]] = {}
        common: list[dict[str, object]] = []
        async with AsyncExitStack() as stack:
            replicas = [await stack.enter_async_context(house(url)) for _ in range(2)]
            for step in history:
                if step.restart:
                    replicas[step.replica] = await stack.enter_async_context(house(url))
                one = replicas[step.replica]
                one.ruleset = ruleset_of(step)
                decision = await one.ask("meet5", **_CALLERS[step.caller])
                if not isinstance(decision, Serve):
                    continue
                alone = one.rooms._evaluate(  # What the rules of now say without any room.
                    one.ruleset,
                    request("service", {"local_alias": "meet5", "call_direction": "dial_in", **_CALLERS[step.caller]}),
                    NOON,
                )
                own = [door(alone.service)] if isinstance(alone, Serve) and alone.rule == decision.rule else []
                got = door(decision.service)
                assert got in [*own, *held.get(decision.rule, [])]
                if not isinstance(alone, Serve):
                    assert decision.rule in held
                held.setdefault(decision.rule, []).append(got)
                assert len({str(sorted(one.items())) for one in held[decision.rule]}) == 1
                common.append(for_everybody(decision.service))
                room = one.conferences.live("VMR 5", NOON)
                assert room is not None
                for other in replicas:
                    await true(partial(_knows, other, set(room.doors)))
        assert all(fields == common[0] for fields in common)

    with database() as url:
        asyncio.run(run(url))

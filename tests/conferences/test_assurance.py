"""A leg that fails strands nobody: what the watch over legs does, with real time replaced by that of a simulated world."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.conferences.assurance import Leg, LegState, Picture, Wait, plan
from policy_server.conferences.assurance_memory import Memory
from policy_server.conferences.assuring import CALM
from policy_server.conferences.assuring import SILENT as SILENCE
from policy_server.policy.assurance import Assurance, Assured, Disconnect, Entry, Keep, Transfer
from tests.conferences.event_histories import BEGIN
from tests.conferences.watched_world import BUSY, LEASE, SILENT, Faults, Moment, Trunk, World, answers

DEAD = Trunk(0.2, "Unexpected Response: 503")


def said(world: World) -> list[str]:
    """The commands that were given, in order."""
    return [f"{what} {whom}" if what in {"dial", "move"} else what for _, what, whom in world.commands]


def when(world: World, what: str) -> float:
    """When a command was first given."""
    return next(at for at, name, _ in world.commands if name == what)


CASES = {
    "the first leg answers": (World([answers(), BUSY]), []),
    "busy": (World([BUSY, answers()]), ["dial 1"]),
    "unreachable, and the second too": (World([DEAD, DEAD, answers()]), ["dial 1", "dial 2"]),
    "silence": (World([SILENT, answers()]), ["drop", "dial 1"]),
    "answered just in time": (World([answers(24), answers()]), []),
    "answered while it is being ended": (World([answers(26.1), answers()]), ["drop", "dial 1"]),
    "answered too late": (World([answers(28), answers()]), ["drop", "dial 1"]),
    "hung up after a second": (World([answers(2, 1.0), answers()]), ["end"]),
    "the agent hangs up": (World([answers(2, 60), answers()]), ["end"]),
    "the customer leaves a talk": (World([answers(), answers()], customer_leaves=40), ["end"]),
    "the customer leaves before the node dials": (World([answers(), answers()], customer_leaves=5), []),
    "the customer leaves during a redial": (World([BUSY, SILENT], customer_leaves=18), ["dial 1", "end"]),
    "an agent by video stays when the leg is gone": (World([answers(2, 5), answers()], agent=(12, 100)), ["end"]),
    "nobody, and the customer stays": (World([BUSY, BUSY, BUSY]), ["dial 1", "dial 2"]),
    "nobody, and the room ends": (World([BUSY, BUSY], Assurance(on_exhausted=Disconnect())), ["dial 1", "end"]),
    "nobody, and the customer is moved": (
        World([BUSY, BUSY], Assurance(on_exhausted=Transfer("sorry"))),
        ["dial 1", "move sorry"],
    ),
    "each entry three times": (World([BUSY, BUSY], Assurance(attempts=3)), ["dial 1", "dial 1", "dial 1"]),
    "nothing ends that is not to end": (
        World([answers(2, 5)], Assurance(end_room_with_leg=None, end_leg_with_customer=None), customer_leaves=200),
        [],
    ),
    "a leg keeps nobody when the customer is not to end it": (
        World([answers()], Assurance(end_leg_with_customer=None), customer_leaves=40),
        [],
    ),
    "the node never dials": (World([answers(), answers()], node_dials_after=None), ["dial 0"]),
    "the node never dials, and the trunk is busy": (
        World([BUSY, answers()], node_dials_after=None),
        ["dial 0", "dial 1"],
    ),
    "the node dials late": (World([answers(), answers()], node_dials_after=29.0), ["dial 0", "drop"]),
    "no event is heard": (World([BUSY, answers()], faults=Faults(has_sink=False)), ["dial 1"]),
    "no event is heard, and all is well": (World([answers(5), answers()], faults=Faults(has_sink=False)), []),
    "the Management Node is away for a while": (
        World([BUSY, answers()], faults=Faults(outages=((5, 60),))),
        ["dial 1"],
    ),
    "a dial is refused": (World([BUSY, BUSY, answers()], faults=Faults(dials={1: "refused"})), ["dial 1", "dial 2"]),
    "a dial is accepted and nobody is called": (
        World([BUSY, BUSY, answers()], faults=Faults(dials={1: "accepted only"})),
        ["dial 1", "dial 2"],
    ),
    "the answer to a dial is lost": (
        World([BUSY, answers(), answers()], faults=Faults(dials={1: "lost answer"})),
        ["dial 1"],
    ),
    "it dies before it remembers": (
        World([BUSY, answers(), answers()], faults=Faults(crashes={0: "before"})),
        ["dial 1"],
    ),
    "it dies before it dials": (World([BUSY, answers(), answers()], faults=Faults(crashes={0: "between"})), ["dial 2"]),
    "it dies before it dials the last": (World([BUSY, answers()], faults=Faults(crashes={0: "between"})), ["dial 1"]),
    "the last is not dialled, and nobody knows": (
        World([BUSY, answers()], faults=Faults(dials={1: "not carried out", 2: "not carried out"})),
        ["dial 1", "dial 1"],
    ),
    "it dies before it moves the customer": (
        World([BUSY, BUSY], Assurance(on_exhausted=Transfer("sorry")), faults=Faults(crashes={1: "between"})),
        ["dial 1", "move sorry"],
    ),
    "it dies after it moved the customer": (
        World([BUSY, BUSY], Assurance(on_exhausted=Transfer("sorry")), faults=Faults(crashes={1: "after"})),
        ["dial 1", "move sorry"],
    ),
    "it dies after it dialled": (World([BUSY, answers(), answers()], faults=Faults(crashes={0: "after"})), ["dial 1"]),
}


@pytest.mark.parametrize(("world", "commands"), CASES.values(), ids=CASES)
def test_what_is_done_for_a_call(world: World, commands: Sequence[str]) -> None:
    """For each way in which a call can go, these commands are given to the Management Node, and no others."""
    world.run(400)
    assert said(world) == commands


def test_how_long_it_takes() -> None:
    """A trunk that is busy costs some seconds, one that is silent its time, and a call that is over ends in its grace."""
    busy, silent = World([BUSY, answers()]).run(), World([SILENT, answers()]).run()
    assert when(busy, "dial") <= 11 + 2 + 2
    assert 10 + 25 <= when(silent, "drop") <= 10 + 25 + 2
    assert when(silent, "dial") <= when(silent, "drop") + 4
    talk = World([answers()], customer_leaves=40).run()
    assert 50 <= when(talk, "end") <= 52


def test_a_leg_that_a_node_dials_late_has_its_whole_time() -> None:
    """The time to answer runs from when the node asked, though it was expected before that."""
    came = datetime(2026, 11, 27, 14, 0, tzinfo=UTC)
    dialled_at, now = came + timedelta(seconds=22), came + timedelta(seconds=41)
    memory = Memory(began_at=came + timedelta(seconds=15), has_come=True)
    picture = Picture(
        is_over=False,
        customers=frozenset({"customer"}),
        legs=[Leg("leg", LegState.RINGING, dialled_at.timestamp())],
        dialled_at=dialled_at,
    )
    assert plan(Assurance(), [True], memory, picture, now).step == Wait(dialled_at + timedelta(seconds=25))


def test_what_was_done_is_told_in_the_timeline() -> None:
    """A redial, a customer whom nobody answers and a Management Node that is away are each told once."""
    world = World([BUSY, BUSY], faults=Faults(outages=((5, 60),))).run()
    texts = [note.partition(" ")[2] for note in world.notes]
    assert texts == [
        "The Management Node cannot be asked: it does not answer",
        "No agent was reached, so trunk 'trunk-1' is dialled.",
        "Nobody could be reached. The customer stays in the room.",
    ]


def test_settings_and_memory_survive_as_json() -> None:
    """What is to be known of a call is the same after it lay in the database."""
    for exhausted in (Keep(), Disconnect(), Transfer("sorry")):
        assurance = Assurance(5.0, 3, 1.0, exhausted, None, 7.5)
        whole = Assured(assurance, {"99+13129998045": "clinic"}, ("rec",), (Entry("north", "hours"), Entry()))
        assert Assured.of(whole.plain()) == whole
    world = World([BUSY, SILENT], faults=Faults(crashes={1: "after"})).run(50)
    memory = Memory.of(world.action.data["memory"])  # type: ignore[arg-type]
    assert memory != Memory()
    assert Memory.of(memory.plain()) == memory


# ------------------------------------------------------------------ whatever happens

TRUNKS = st.one_of(
    st.just(BUSY),
    st.just(SILENT),
    st.just(DEAD),
    st.builds(answers, st.floats(0.5, 40), st.none() | st.floats(0.5, 60)),
)
FAULTS = st.builds(
    Faults,
    event_delay=st.sampled_from([0.0, 0.5, 3.0]),
    events_lost=st.sampled_from([0.0, 0.0, 0.2]),
    events_doubled=st.sampled_from([0.0, 0.5]),
    has_sink=st.sampled_from([True, True, True, False]),
    outages=st.lists(st.tuples(st.floats(0, 60), st.floats(0, 30)).map(lambda of: (of[0], sum(of))), max_size=2),
    dials=st.dictionaries(
        st.integers(1, 3), st.sampled_from(["lost answer", "not carried out", "refused", "accepted only"]), max_size=2
    ),
    crashes=st.dictionaries(st.integers(0, 4), st.sampled_from(["before", "between", "after"]), max_size=2),
)
WORLDS = st.builds(
    World,
    st.lists(TRUNKS, min_size=1, max_size=4),
    st.builds(
        Assurance,
        attempts=st.integers(1, 2),
        on_exhausted=st.sampled_from([Keep(), Disconnect(), Transfer("sorry")]),
    ),
    node_dials_after=st.none() | st.floats(10, 15),
    customer_leaves=st.none() | st.floats(1, 200),
    agent=st.none() | st.tuples(st.floats(11, 60), st.floats(60, 200)),
    faults=FAULTS,
    seed=st.integers(0, 9),
)
LATE = 12.0
"""Seconds by which news, looks and commands may be late when nothing is broken."""


def slack(faults: Faults) -> float:
    """Seconds more by which it may be late for what is broken: nothing can be done without the Management Node, and who
    dies holds what he had for a while.
    """
    return LATE + sum(end - begin for begin, end in faults.outages) + len(faults.crashes) * (LEASE + 2)


def asked_by(faults: Faults) -> float:
    """When the Management Node has been asked who is there, and that is remembered; a customer who is gone by then may have
    been seen by nobody. Where some events come it is first asked when no node has dialled.
    """
    first = 30.0 if faults.events_lost else 15.0
    return max([first, *(end + 5 for _, end in faults.outages)]) + len(faults.crashes) * (LEASE + 2)


def longest(history: Sequence[Moment], end: float) -> dict[str, float]:
    """For how long, at most, two legs talked, two lived, and a room ran without a customer after there was one."""
    found = {"talked": 0.0, "lived": 0.0, "empty": 0.0}
    since: dict[str, float | None] = dict.fromkeys(found)
    for moment in [*history, replace(history[-1], at=end)]:
        is_so = {
            "talked": moment.connected > 1,
            "lived": moment.connected + moment.ringing > 1,
            "empty": not moment.customers and not moment.is_over,
        }
        for name, holds in is_so.items():
            began = since[name]
            if began is not None:
                found[name] = max(found[name], moment.at - began)
            since[name] = (moment.at if began is None else began) if holds else None
    return found


def heard_while_empty(world: World, over: float) -> float:
    """For how long messages still came of a room that the customer had left, about others, until it was over: so much later
    nobody has been heard of for long enough.
    """
    emptied = next((moment.at for moment in world.history if not moment.customers), over)
    arrivals = (told.arrived_at.timestamp() - BEGIN for told in world.messages)
    return max((at - emptied for at in arrivals if emptied < at < over), default=0.0)


def test_a_message_that_comes_twice_does_not_put_off_the_look_at_the_management_node() -> None:
    """Where no event says that the customer left, the Management Node is asked two minutes after the last message, also when
    that was a copy that came after the last look.
    """
    faults = Faults(event_delay=0.5, events_lost=0.2, events_doubled=0.5)
    world = World([answers(0.5)], node_dials_after=None, customer_leaves=29.0, faults=faults, seed=8).run(600)
    # This seed loses the customer's leaving, and the copy comes after the leg was answered.
    (copy,) = [told for told in world.messages[-5:-4] if told.name == "participant_updated"]
    assert copy.arrived_at is not None
    asked_at = copy.arrived_at.timestamp() - BEGIN + CALM.total_seconds()
    assert asked_at + 10 <= when(world, "end") <= asked_at + 10 + 2


@settings(max_examples=400, deadline=None)
@given(world=WORLDS)
def test_whatever_happens_nobody_is_rung_twice_and_no_room_lingers(world: World) -> None:
    """Events late, lost and doubled, a Management Node that is away or says one thing and does another, processes that die at
    each step: two legs never live for longer than it takes to see them, a room without a customer ends, nothing is done
    after the end, and each entry is dialled as often as it may be.
    """
    faults = world.faults
    world.run(600)
    most, spare = longest(world.history, 600), slack(faults)
    over = next((moment.at for moment in world.history if moment.is_over), 600.0)
    # What no event tells, the Management Node does when it is asked.
    unheard = CALM.total_seconds() + heard_while_empty(world, over) if faults.events_lost else SILENCE.total_seconds()
    is_seen = world.stays > asked_by(faults) or (faults.has_sink and not faults.events_lost)
    assert most["lived"] <= spare, "two legs"
    assert not is_seen or most["empty"] <= 10 + 25 + spare + unheard, "an empty room"
    dials = [whom for _, what, whom in world.commands if what == "dial"]
    # What no node dials is dialled once for it, and so is what nobody knows of and what no leg was seen of.
    unknown = len(faults.crashes) + sum(fault != "refused" for fault in faults.dials.values())
    assert len(dials) <= world.entries * world.assurance.attempts + 1 + unknown
    # A customer is told to go elsewhere once, and once more where nobody knows whether they were.
    assert sum(what == "move" for _, what, _ in world.commands) <= 1 + bool(faults.crashes)
    assert all(at <= over + spare for at, what, _ in world.commands if what in {"dial", "move"})
    if is_seen and over < 600.0 - 2 * (spare + unheard):
        assert world.action.outcome == "over"

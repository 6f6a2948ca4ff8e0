"""Others are told of each call once, in order, and whatever happens they get it or somebody is told that they did not."""

import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_type_hints

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.conferences.assurance_memory import Memory
from policy_server.conferences.assuring import KIND as ASSURANCE
from policy_server.conferences.assuring import watched_id
from policy_server.conferences.deliveries import (
    DEAD,
    LASTS,
    LONGEST_PAUSE,
    SENT,
    dead_letters,
    pause_after,
    send_again,
)
from policy_server.conferences.due import DueAction
from policy_server.conferences.life import life_of
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.telling import ENDS, delivery_kind
from policy_server.conferences.webhook_messages import Event as Kind
from policy_server.conferences.webhook_messages import WebhookCall, WebhookMessage
from policy_server.outbound.webhooks import Refused, Taken
from policy_server.pexip.events import Event
from tests.conferences.event_histories import BEGIN, changed, ended, joined, left, leg, started
from tests.conferences.samples import Place
from tests.conferences.told_world import ATTRIBUTES, CALL, LEASE, RULES, Box, Clock, Office, at, held, told, visit
from tests.rule_sets import KEYRING

CRM = delivery_kind("crm")
DOWN = Refused("it answered 503")
Scenario = Callable[[Office, Box], Awaitable[None]]


def played(folder: Path, scenario: Scenario, box: Box | None = None) -> Box:
    """What a receiver got."""
    got = box or Box()

    async def play(store: ConferenceStore) -> None:
        await scenario(Office(store, {"crm": got}, Clock()), got)

    Place(f"sqlite:///{folder}/policy.db", "sqlite").run(play)
    return got


def bodies(box: Box) -> list[dict[str, Any]]:
    """The messages of a receiver."""
    return [orjson.loads(body) for _, body, _ in box.got]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(visit(), ["started", "answered", "ended"], id="answered"),
        pytest.param(visit(answered=None), ["started", "failed", "ended"], id="busy"),
        pytest.param(
            told(
                started(BEGIN + 1),
                joined("ada", BEGIN + 1, destination_alias="mp…"),
                left("ada", BEGIN + 5),
                ended(BEGIN + 6),
            ),
            ["started", "failed", "ended"],
            id="left before anybody was called",
        ),
        pytest.param(told(started(BEGIN + 1), ended(BEGIN + 6)), ["ended"], id="nobody came"),
        pytest.param(
            told(
                started(BEGIN + 1),
                joined("ada", BEGIN + 1, destination_alias="mp…"),
                joined("maria", BEGIN + 5, destination_alias="hcp…"),
                left("maria", BEGIN + 6),
                left("ada", BEGIN + 6),
                ended(BEGIN + 7),
            ),
            ["started", "answered", "ended"],
            id="answered by video",
        ),
        pytest.param(visit(answered=None)[:-2], ["started", "failed", "ended"], id="whose end nobody tells"),
    ],
)
def test_what_is_told(tmp_path: Path, events: list[Event], expected: list[str]) -> None:
    """Each event once, in order, and a call whose end nobody tells ends when its room is no longer held."""

    async def scenario(office: Office, box: Box) -> None:
        await office.begin()
        await office.hear(events)
        await office.wait(at(50_000))
        assert not await office.store.count_due()

    assert played(tmp_path, scenario).events == expected


def test_when_it_is_told(tmp_path: Path) -> None:
    """At once, but for what late news could change: that nobody answered, and that it is over."""

    async def scenario(office: Office, box: Box) -> None:
        await office.begin()
        await office.hear(visit(answered=None)[:4])
        assert box.events == ["started"]
        await office.wait(at(22))
        assert box.events == ["started"]
        await office.wait(at(23))
        assert box.events == ["started", "failed"]
        await office.hear(visit(answered=None)[4:])
        await office.wait(at(70))
        assert box.events == ["started", "failed"]
        await office.wait(at(71))
        assert box.events == ["started", "failed", "ended"]

    played(tmp_path, scenario)


def test_an_answer_is_told_at_once_also_where_an_update_says_it(tmp_path: Path) -> None:
    """Nodes may tell of a leg while it rings, and that it was answered with an update."""
    update = changed("leg", BEGIN + 12, service_type="conference", connect_time=BEGIN + 12)

    async def scenario(office: Office, box: Box) -> None:
        await office.begin()
        await office.hear([*visit()[:3], *told(update)])
        assert box.events == ["started", "answered"]

    played(tmp_path, scenario)


def test_what_a_message_says(tmp_path: Path) -> None:
    """The call, the verdict of that moment and the attributes of its link, and no name that opens a door."""

    async def scenario(office: Office, box: Box) -> None:
        await office.begin(held(service={"name": CALL.id, "pin": "70421985"}))
        await office.hear(visit())
        await office.wait(at(100))

    begun, answered, over = bodies(played(tmp_path, scenario))
    assert begun["timestamp"] == begun["data"]["joined_at"] == at(1).isoformat(timespec="milliseconds")
    assert begun["data"]["verdict"]["code"] == "waiting"
    assert answered["data"]["answered_at"] == answered["timestamp"] == at(12).isoformat(timespec="milliseconds")
    assert over == {
        "type": "call.ended",
        "timestamp": at(61).isoformat(timespec="milliseconds"),
        "data": {
            "call": CALL.id,
            "conference": "conference0",
            "room": CALL.id,
            "link_type": "patient",
            "service_tag": "telehealth",
            "rule": "customer",
            "customer": "Ada L",
            "attributes": ATTRIBUTES,
            "verdict": {
                "code": "no_agent",
                "text": "Genesys answered after 11 s and hung up; the customer waited 59 s and left; no agent joined.",
                "waited": 59.0,
                "talked": 0.0,
                "answered_after": 11.0,
                "attempts": 1,
            },
            "created_at": at(-60).isoformat(timespec="milliseconds"),
            "joined_at": at(1).isoformat(timespec="milliseconds"),
            "answered_at": at(12).isoformat(timespec="milliseconds"),
            "ended_at": at(61).isoformat(timespec="milliseconds"),
        },
    }
    assert over.keys() == get_type_hints(WebhookMessage).keys()
    assert over["data"].keys() == get_type_hints(WebhookCall).keys()
    for secret in (CALL.session, CALL.agent, "70421985"):
        assert secret not in str((begun, answered, over))


@pytest.mark.parametrize("exhausted", [False, True])
def test_a_call_that_is_watched_has_not_failed_before_all_was_tried(tmp_path: Path, exhausted: bool) -> None:
    """While somebody may still have another leg dialled, nobody is told that it failed."""

    async def scenario(office: Office, box: Box) -> None:
        await office.begin()
        memory = Memory(is_exhausted=exhausted).plain()
        await office.store.schedule([DueAction(watched_id(held()), ASSURANCE, CALL.id, at(90_000), {"memory": memory})])
        await office.hear(visit(answered=None)[:4])
        await office.wait(at(50))
        assert box.events == (["started", "failed"] if exhausted else ["started"])
        await office.hear(told(leg("second", BEGIN + 51)))
        assert box.events == [*(["started", "failed"] if exhausted else ["started"]), "answered"]

    played(tmp_path, scenario)


def test_a_room_that_is_no_call_is_nobodys_business(tmp_path: Path) -> None:
    """People who meet in a room that dials nobody and that no link led to are not told of."""

    async def scenario(office: Office, box: Box) -> None:
        await office.store.hold(replace(held(), name="lounge", call="", legs=(), alias="lounge"))
        assert not await office.store.count_due()
        await office.hear(
            told(started(BEGIN + 1), joined("a", BEGIN + 1), left("a", BEGIN + 9), ended(BEGIN + 10), room="lounge")
        )
        await office.wait(at(50_000))

    assert played(tmp_path, scenario).got == []


def test_who_comes_back_is_another_conference_of_the_call(tmp_path: Path) -> None:
    """The first is told to its end, whatever happens in the room afterwards."""

    async def scenario(office: Office, box: Box) -> None:
        await office.begin()
        await office.hear(visit())
        await office.store.end(CALL.id, at(62))
        await office.store.hold(held(1, held_at=at(63)))
        await office.hear(
            told(
                started(BEGIN + 64),
                joined("again", BEGIN + 64, destination_alias="mp…"),
                left("again", BEGIN + 400),
                ended(BEGIN + 401),
            )
        )
        await office.wait(at(1000))

    box = played(tmp_path, scenario)
    conferences = [(body["data"]["conference"], body["type"]) for body in bodies(box)]
    assert sorted(conferences) == [
        *(("conference0", f"call.{event}") for event in ("answered", "ended", "started")),
        *(("conference1", f"call.{event}") for event in ("ended", "failed", "started")),
    ]


@given(st.permutations(visit()), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_the_order_of_messages_and_their_doubles_change_nothing(events: list[Event], doubled: int) -> None:
    """Whatever comes first, and however often, each event is told once."""

    async def scenario(office: Office, box: Box) -> None:
        await office.begin()
        for number, event in enumerate([*events, *events[:doubled]]):
            # All of them arrive within the time that news may be on their way.
            office.clock.now = at(61 + number / 2)
            await office.store.add_events([replace(event, arrived_at=office.clock.now)])
            await office.work()
        await office.wait(at(200))

    with TemporaryDirectory() as folder:
        assert played(Path(folder), scenario).events == ["started", "answered", "ended"]


@pytest.mark.parametrize(
    ("late", "expected", "codes"),
    [
        pytest.param([], ["started", "failed", "ended"], ["leg_busy"], id="nothing"),
        pytest.param(
            told(leg("second", BEGIN + 20), left("second", BEGIN + 59, disconnect_reason="Call disconnected")),
            ["started", "failed", "ended", "ended_2"],
            ["leg_busy", "no_agent"],
            id="that it was answered",
        ),
        pytest.param(
            told(joined("maria", BEGIN + 20, destination_alias="hcp…"), left("maria", BEGIN + 50)),
            ["started", "failed", "ended", "ended_2"],
            ["leg_busy", "answered"],
            id="that an agent came by video",
        ),
        pytest.param(
            told(changed("ada", BEGIN + 30, is_muted=True)),
            ["started", "failed", "ended"],
            ["leg_busy"],
            id="trifles",
        ),
        pytest.param(
            told(joined("grace", BEGIN + 61.5, destination_alias="mp…"), left("grace", BEGIN + 90), ended(BEGIN + 91)),
            ["started", "failed", "ended", "ended_2"],
            ["leg_busy", "leg_busy"],
            id="that it went on",
        ),
    ],
)
@pytest.mark.parametrize("after", [80, 3600])
def test_what_is_heard_after_the_end_was_told(
    tmp_path: Path, late: list[Event], expected: list[str], codes: list[str], after: float
) -> None:
    """The end is told again where what the call came to is another by then, and nothing else is told after an end."""

    async def scenario(office: Office, box: Box) -> None:
        await office.begin()
        await office.hear(visit(answered=None))
        await office.wait(at(after))
        await office.store.add_events([replace(event, arrived_at=at(after)) for event in late])
        await office.wait(at(20_000))
        assert not await office.store.count_due()

    box = played(tmp_path, scenario)
    assert box.events == expected
    ends = [body for body in bodies(box) if body["type"] == "call.ended"]
    assert [body["data"]["verdict"]["code"] for body in ends] == codes
    assert all((body["data"]["answered_at"] is None) == (body is ends[0] or codes[0] == codes[-1]) for body in ends)


def test_an_end_that_is_told_again_comes_after_the_first(tmp_path: Path) -> None:
    """Also where the first was not taken when the second was known."""
    box = Box(lambda message, now: DOWN if message.endswith("ended") and now < at(400) else Taken(204))

    async def scenario(office: Office, _: Box) -> None:
        await office.begin()
        await office.hear(visit(answered=None))
        await office.wait(at(80))
        late = told(joined("maria", BEGIN + 20, destination_alias="hcp…"), left("maria", BEGIN + 50))
        await office.store.add_events([replace(event, arrived_at=at(80)) for event in late])
        await office.wait(at(20_000))

    assert played(tmp_path, scenario, box).events == ["started", "failed", "ended", "ended_2"]


@given(
    st.permutations(visit()),
    st.lists(st.sampled_from([0.0, 0.5, 5.0, 30.0, 200.0]), min_size=7, max_size=7),
    st.sets(st.integers(0, 7)),
)
@settings(max_examples=40, deadline=None)
def test_the_last_end_is_what_the_call_came_to(events: list[Event], pauses: list[float], deaths: set[int]) -> None:
    """Whatever is heard when, and whoever dies over it: the last that is told of a call is its end, as it is known at last."""

    async def scenario(office: Office, box: Box) -> None:
        await office.begin()
        now = 61.0
        for number, (event, pause) in enumerate(zip(events, pauses, strict=True)):
            now += pause
            await office.wait(at(now))
            await office.store.add_events([replace(event, arrived_at=at(now))])
            await office.work(crash=lambda number=number: number in deaths)  # type: ignore[misc]
        # What the dead had is taken over when their time is up.
        for _ in range(5):
            await office.wait(office.clock.now + LEASE)
            await office.work()
        await office.wait(at(40_000))
        assert not await office.store.count_due()
        life = await office.store.read(life_of, "conference0", RULES, KEYRING, office.clock.now)
        assert life is not None
        last = bodies(box)[-1]
        assert last["type"] == "call.ended"
        assert last["data"]["verdict"] == life.answer["verdict"]
        assert last["data"]["answered_at"] == at(12).isoformat(timespec="milliseconds")
        firsts = list(dict.fromkeys(box.events))
        order = ["started", "failed", "answered", "ended", *(f"ended_{number}" for number in range(2, ENDS + 1))]
        assert firsts == sorted(firsts, key=order.index)

    with TemporaryDirectory() as folder:
        played(Path(folder), scenario)


# ------------------------------------------------------------------ deliveries


def test_a_try_that_fails_is_made_again_as_it_was(tmp_path: Path) -> None:
    """The same id and the same bytes, after growing pauses; what comes later waits for it."""
    box = Box(lambda message, now: DOWN if now < at(600) else Taken(204))

    async def scenario(office: Office, _: Box) -> None:
        await office.begin()
        await office.hear(visit())
        await office.wait(at(2000))

    played(tmp_path, scenario, box)
    assert box.events == ["started", "answered", "ended"]
    tries = [(message, body) for message, body, _ in box.got if message.endswith("started")]
    times = [moment for message, _, moment in box.got if message.endswith("started")]
    assert len(set(tries)) == 1
    assert [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)] == [
        5,
        15,
        45,
        135,
        405,
    ]


@pytest.mark.parametrize(
    ("refused", "tries", "error"),
    [
        (DOWN, range(25, 40), "it answered 503"),
        (Refused("it answered 410", is_gone=True), range(1, 2), "it answered 410"),
        (Refused("it answered 429", pause=3600 * 3), range(8, 10), "it answered 429"),
    ],
    ids=["down", "gone", "told to wait"],
)
def test_what_nobody_takes_is_a_dead_letter(tmp_path: Path, refused: Refused, tries: range, error: str) -> None:
    """After a day, or at once when the receiver is gone; then the next of the call has its turn. By hand it is sent again."""
    box = Box(lambda message, now: refused)

    async def scenario(office: Office, _: Box) -> None:
        await office.begin()
        await office.hear(visit())
        await office.wait(at(3 * 86400))
        dead = await dead_letters(office.store, CRM)
        assert {letter.data["event"] for letter in dead} == {"call.started", "call.answered", "call.ended"}
        assert {letter.data["error"] for letter in dead} == {error}
        assert all(letter.done_at is not None and letter.done_at <= at(100) + LASTS for letter in dead)
        assert len([message for message, *_ in box.got if message.endswith("started")]) in tries
        assert await office.store.count_done(DEAD, at(0)) == {CRM: 3}
        assert [key for key, _ in office.notes] == [CALL.id] * 3
        texts = [str(note.data["text"]) for _, note in office.notes]
        assert [text.partition(": given up")[0] for text in texts] == [
            "The receiver 'crm' was not told that the customer has come",
            "The receiver 'crm' was not told that the contact centre answered",
            "The receiver 'crm' was not told that the call is over",
        ]
        assert all(text.endswith(f"({error}).") for text in texts)
        before = list(box.got)
        box.answer = lambda message, now: Taken(204)
        for letter in sorted(dead, key=lambda one: -one.place):
            assert await send_again(office.store, letter, office.clock.now)
        await office.work()
        assert box.events == ["started", "answered", "ended"]
        assert {got[:2] for got in box.got} == {got[:2] for got in before}
        assert await dead_letters(office.store, CRM) == ()
        sent = await office.store.done_due(CRM, SENT, at(0))
        # What was taken is not kept.
        assert {letter.data["body"] for letter in sent} == {""}

    played(tmp_path, scenario, box)


def test_pauses_grow_and_differ() -> None:
    """Never shorter than the one before by more than chance, never much longer than an hour, and never the same for all."""
    middle = [pause_after(sends, 0.5) for sends in range(1, 40)]
    assert middle == sorted(middle)
    assert middle[-1] == LONGEST_PAUSE
    assert pause_after(1, 0.0) < pause_after(1, 0.5) < pause_after(1, 1.0) < pause_after(2, 0.0)


def test_a_receiver_that_is_down_holds_up_no_other(tmp_path: Path) -> None:
    """Each has its own deliveries, of which those of one call wait for one another and no others."""
    crm, bi = Box(lambda message, now: DOWN if "conference0" in message else Taken(204)), Box()

    async def play(store: ConferenceStore) -> None:
        office = Office(store, {"crm": crm, "bi": bi}, Clock())
        await office.begin()
        await office.store.hold(replace(held(1), name="kiosk", call="", alias="kiosk"))
        await office.hear(visit())
        await office.hear(
            told(
                started(BEGIN + 62),
                joined("b", BEGIN + 62, destination_alias="kiosk"),
                leg("c", BEGIN + 70),
                room="kiosk",
            )
        )

    Place(f"sqlite:///{tmp_path}/policy.db", "sqlite").run(play)
    assert crm.taken == ["msg_conference1_started", "msg_conference1_answered"]
    assert {message for message, *_ in crm.got} - set(crm.taken) == {"msg_conference0_started"}
    assert bi.taken[:2] == ["msg_conference0_started", "msg_conference0_answered"]


def test_two_replicas_tell_once_and_one_goes_on_for_the_other(place: Place) -> None:
    """Whoever heard what, each event is sent once; what a dead process had is sent by the other after its time."""
    box = Box()

    async def scenario(one: ConferenceStore, other: ConferenceStore) -> None:
        clock = Clock()
        offices = [Office(one, {"crm": box}, clock, "a"), Office(other, {"crm": box}, clock, "b")]
        await offices[0].begin()
        *before, last = visit()
        for number, event in enumerate(before):
            clock.now = event.arrived_at
            await offices[number % 2].store.add_events([event])
            await offices[1 - number % 2].work()
        assert box.events == ["started", "answered"]
        clock.now = last.arrived_at
        await offices[1].store.add_events([last])
        clock.now += timedelta(seconds=10)
        await offices[0].work(crash=lambda: True)
        assert box.events == ["started", "answered", "ended"]
        await offices[1].work()
        assert box.events == ["started", "answered", "ended"]
        clock.now += timedelta(seconds=21)
        await offices[1].work()
        # Nobody can know that it arrived: at least once.
        assert box.events == ["started", "answered", "ended", "ended"]
        assert CRM not in await one.count_due()

    place.run_two(scenario)


@given(st.lists(st.sampled_from(["works", "fails", "dies"]), max_size=30), st.booleans(), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_whatever_fails_each_event_arrives_in_order_or_is_dead(steps: list[str], stays_down: bool, seed: int) -> None:
    """Any sequence of refusals and crashes: every event is taken at least once, first in order, or dead with a reason."""
    chance, coming = random.Random(seed), list(steps)

    def answer(message: str, now: datetime) -> Taken | Refused:
        if coming and coming[0] == "fails":
            coming.pop(0)
            return DOWN
        return DOWN if stays_down and not coming and message.endswith("answered") else Taken(204)

    def crash() -> bool:
        if coming and coming[0] in {"dies", "works"}:
            return coming.pop(0) == "dies"
        return False

    box = Box(answer)

    async def scenario(store: ConferenceStore) -> None:
        office = Office(store, {"crm": box}, Clock(), chance=chance.random)
        await office.begin()
        for event in visit():
            office.clock.now = event.arrived_at
            await office.store.add_events([event])
            await office.work(crash)
        for _ in range(300):
            if not await office.store.count_due():
                break
            office.clock.now += timedelta(minutes=15)
            await office.work(crash)
        dead = {str(letter.data["message"]): letter.data["error"] for letter in await dead_letters(office.store, CRM)}
        expected = [f"msg_conference0_{event.name.lower()}" for event in (Kind.STARTED, Kind.ANSWERED, Kind.ENDED)]
        assert set(box.taken) | dead.keys() == set(expected)
        assert set(dead.values()) <= {DOWN.reason}
        firsts = list(dict.fromkeys(box.taken))
        assert firsts == [message for message in expected if message in firsts]
        assert not await office.store.count_due()
        assert len({got[:2] for got in box.got}) == len(expected)

    with TemporaryDirectory() as folder:
        Place(f"sqlite:///{folder}/policy.db", "sqlite").run(scenario)

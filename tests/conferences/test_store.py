"""What the store of conferences keeps and finds again, on SQLite and on PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_server.conferences.errors import CallTakenError, IdempotencyConflictError
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import Change, HeldConference
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.events import MAX_NAME, Event
from tests.conferences.samples import CALL, HOST_PIN, HOUR, NOW, SECOND, Place, conference, entry, link, stored_event

OTHER_SESSION = "b" * 32

ODD_TEXTS = ("Ada L", "A\u030a \U0001f600 \u202e", "a'b\"c;--%s :x {y}", "a\0b", "a\ud800b", "")
"""Texts as callers may send them; one database or the other does not hold NUL and half characters."""

ODD_VALUES: tuple[dict[str, object], ...] = (
    {"a": "\0"},
    {"\u00fc": "\U0001f600"},
    {"a": "\ud800"},
    {"a": 2**70},
    {"a": [True, None, 1e300, -0.5, {"b": []}]},
)
"""JSON that a column of JSON, or a fast reader of JSON, refuses."""


def test_a_link_comes_back_as_it_was_stored(place: Place) -> None:
    """Every field of a link is found again; what a database cannot hold of a name becomes U+FFFD."""

    async def scenario(store: ConferenceStore) -> None:
        for number, text in enumerate(ODD_TEXTS):
            made = link(f"call-{number}", name=text, attributes={"queue": text})
            held = text.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
            assert await store.create_link(made) == replace(made, name=held)
            assert await store.link(f"call-{number}") == replace(made, name=held)
        assert await store.link(OTHER_SESSION) is None

    place.run(scenario)


def test_what_all_links_have_is_one_text_for_all(place: Place) -> None:
    """Of as many links as are valid in memory, what is the same in nearly all takes room once."""

    async def scenario(store: ConferenceStore) -> None:
        for call in (CALL, f"b{CALL[1:]}"):
            await store.create_link(link(call))
        first, second = await store.good_links(NOW)
        assert first.type is second.type
        assert first.created_by is second.created_by

    place.run(scenario)


def test_the_same_idempotency_key_returns_the_first_link(place: Place) -> None:
    """A repeated request gets the link of the first, also at the same time; another API key has keys of its own."""

    async def scenario(store: ConferenceStore) -> None:
        first = await store.create_link(link(), "key-1", "digest-1")
        repeated = [link(OTHER_SESSION, created_at=NOW + SECOND), link("c" * 32), link("d" * 32)]
        assert (
            await asyncio.gather(*(store.create_link(again, "key-1", "digest-1") for again in repeated)) == [first] * 3
        )
        assert await store.link(OTHER_SESSION) is None
        foreign = link(OTHER_SESSION, created_by="portal")
        assert await store.create_link(foreign, "key-1", "digest-1") == foreign
        keyless = [link("e" * 32), link("f" * 32)]
        assert [await store.create_link(one) for one in keyless] == keyless

    place.run(scenario)


def test_an_idempotency_key_for_another_request_is_refused(place: Place) -> None:
    """The same key with another digest raises, and stores nothing."""

    async def scenario(store: ConferenceStore) -> None:
        await store.create_link(link(), "key-1", "digest-1")
        with pytest.raises(IdempotencyConflictError, match="used for another request"):
            await store.create_link(link(OTHER_SESSION), "key-1", "digest-2")
        assert await store.link(OTHER_SESSION) is None

    place.run(scenario)


@pytest.mark.parametrize("key", ["", "k" * 256], ids=["empty", "too long"])
def test_an_unusable_idempotency_key_is_refused(place: Place, key: str) -> None:
    """An idempotency key has from 1 to 255 characters."""

    async def scenario(store: ConferenceStore) -> None:
        with pytest.raises(ValueError, match="1 to 255 characters"):
            await store.create_link(link(), key, "digest")

    place.run(scenario)


def test_a_session_belongs_to_one_link(place: Place) -> None:
    """A link written twice is itself; another link with its call is refused and changes nothing."""

    async def scenario(store: ConferenceStore) -> None:
        first = await store.create_link(link())
        assert await store.create_link(link()) == first
        with pytest.raises(CallTakenError):
            await store.create_link(link(name="Eve", created_by="portal"))
        assert await store.link(CALL) == first

    place.run(scenario)


def test_a_revoked_link_stays_revoked_since_the_first_time(place: Place) -> None:
    """Revoking says whether there is such a link; doing it again, or making the link again, changes nothing."""

    async def scenario(store: ConferenceStore) -> None:
        assert not await store.revoke_link(CALL, NOW)
        await store.create_link(link(), "key-1", "digest-1")
        assert await store.revoke_link(CALL, NOW + SECOND)
        assert await store.revoke_link(CALL, NOW + HOUR)
        revoked = link(revoked_at=NOW + SECOND)
        assert await store.link(CALL) == revoked
        assert await store.create_link(link(), "key-1", "digest-1") == revoked

    place.run(scenario)


def test_a_held_conference_comes_back_as_it_was_stored(place: Place) -> None:
    """Every field of a held conference is found again, by room name and by call."""
    odd = {"pin": "70421985", "text": "a\0b\ud800", "number": 2**70, "nothing": None, "list": [1, 2.5, {"x": []}]}
    made = conference("visit 12", call=CALL, service=odd, fallbacks=({"remote_alias": "x"}, {}))

    async def scenario(store: ConferenceStore) -> list[HeldConference | None]:
        return [
            await store.hold(made),
            await store.read(Reader.holder, "visit 12", NOW),
            await store.read(Reader.conference_of_call, CALL),
        ]

    assert [found and replace(found, service=odd) for found in place.run(scenario)] == [made] * 3
    assert place.run(lambda store: store.read(Reader.holder, CALL, NOW)) is None


def test_json_survives(place: Place) -> None:
    """Any value of JSON comes back equal, also what one database or the other could not hold as JSON."""

    async def scenario(store: ConferenceStore) -> list[object]:
        entries = [entry(at=NOW + number * SECOND, data=value) for number, value in enumerate(ODD_VALUES)]
        assert await store.add_timeline(entries) == len(entries)
        return [found.data for found in await store.read(Reader.timeline, CALL)]

    assert place.run(scenario) == list(ODD_VALUES)


def test_the_first_pin_holds_the_room(place: Place) -> None:
    """Whoever holds a room later gets the first conference, until it expires, and then the new one."""

    async def scenario(store: ConferenceStore) -> None:
        first = await store.hold(conference())
        late = conference(id="2", rule="clinician", held_at=first.expires_at - SECOND, expires_at=NOW + 24 * HOUR)
        assert await store.hold(late) == first
        assert await store.read(Reader.holder, CALL, first.expires_at - SECOND) == first
        assert await store.read(Reader.holder, CALL, first.expires_at) is None
        later = replace(late, id="3", held_at=first.expires_at)
        assert await store.hold(later) == later
        assert await store.read(Reader.conference_of_call, CALL) == later

    place.run(scenario)


def test_an_ended_conference_leaves_the_room(place: Place) -> None:
    """After the end a room is free, the end is kept, and ending it again changes nothing."""

    async def scenario(store: ConferenceStore) -> None:
        first = await store.hold(conference())
        assert await store.end(CALL, NOW + HOUR)
        assert not await store.end(CALL, NOW + 2 * HOUR)
        assert await store.read(Reader.holder, CALL, NOW + HOUR) is None
        ended = replace(first, ended_at=NOW + HOUR, doors={})
        assert await store.read(Reader.conference_of_call, CALL) == ended
        assert await store.hold(first) == ended, "a write made again must not bring it back"
        second = conference(id="2", held_at=NOW + 2 * HOUR)
        assert await store.hold(second) == second
        assert not await store.end(CALL, NOW + HOUR), "an old end must not end the new conference"
        assert await store.read(Reader.holder, CALL, NOW + 3 * HOUR) == second
        assert await store.hold(first) == ended, "nor may it be taken for the new one"

    place.run(scenario)


def test_several_pins_at_once_come_back_in_their_order(place: Place) -> None:
    """Holds made together are told apart, the same room twice and a room that is held among them."""

    async def scenario(store: ConferenceStore) -> None:
        held = await store.hold(conference("held"))
        rooms = [conference("z"), conference("held", id="late"), conference("a"), conference("z", id="z-2")]
        assert await store.hold_all(rooms) == (rooms[0], held, rooms[2], rooms[0])
        assert await store.hold_all([]) == ()

    place.run(scenario)


def test_a_room_without_a_session_is_not_found_by_session(place: Place) -> None:
    """Rooms that no link led to do not share a call."""

    async def scenario(store: ConferenceStore) -> HeldConference | None:
        await store.hold(conference(call=""))
        assert await store.read(Reader.change_number, ("",)) == 0
        return await store.read(Reader.conference_of_call, "")

    assert place.run(scenario) is None


def test_events_come_back_by_the_clocks_of_their_nodes(place: Place) -> None:
    """A room has its events in order of the nodes' clocks, and those of a period by when they arrived."""
    late = [
        stored_event(number, time=NOW.timestamp() - number, arrived_at=NOW + number * SECOND) for number in range(3)
    ]
    elsewhere = stored_event(7, room="")

    async def scenario(store: ConferenceStore) -> None:
        assert await store.add_events([*late, elsewhere]) == 4
        assert await store.add_events([]) == 0
        assert await store.read(Reader.events, CALL, NOW - HOUR) == tuple(reversed(late))
        assert await store.read(Reader.events, CALL, NOW, NOW + 2 * SECOND) == (late[1], late[0])
        assert await store.read(Reader.events, "", NOW - HOUR) == (elsewhere,)

    place.run(scenario)


def test_a_message_is_stored_once_whatever_counts_it(place: Place) -> None:
    """The same content is one message with the lowest of its numbers; one number is several messages if they differ."""
    first = stored_event(5)

    def counted(seq: int) -> Event:
        return replace(first, seq=seq, arrived_at=NOW + seq * SECOND)

    different = [
        replace(first, time=first.time + 0.000001),
        replace(first, node="10.44.34.15"),
        replace(first, name="participant_sang"),
        replace(first, data={**first.data, "is_muted": True}),
    ]

    async def scenario(store: ConferenceStore) -> None:
        assert await store.add_events([counted(9), counted(8), counted(8)]) == 1
        assert await store.add_events([counted(7), counted(10), *different]) == 4
        assert await store.add_events([counted(1), *different]) == 0
        stored = await store.read(Reader.events, CALL, NOW - HOUR)
        assert sorted(told.seq for told in stored) == [1, 5, 5, 5, 5]
        assert {told.identity for told in stored} == {told.identity for told in [first, *different]}

    place.run(scenario)


def test_a_breakout_room_is_with_its_room(place: Place) -> None:
    """What is told of a breakout room is found by the room's name, and by its own for one that is merely named so."""
    breakout = f"{CALL}_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5f"
    main, aside = stored_event(1), stored_event(2, room=breakout)

    async def scenario(store: ConferenceStore) -> None:
        await store.add_events([main, aside])
        assert await store.read(Reader.events, CALL, NOW) == (main, aside)
        assert await store.read(Reader.events, breakout, NOW) == (aside,)

    place.run(scenario)


def test_an_event_with_any_name_is_stored(place: Place) -> None:
    """No text of a stranger keeps an event out, and its conference is found by that same text."""

    async def scenario(store: ConferenceStore) -> None:
        # As long as text gets, and not to be packed into an index.
        endless = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(5000))
        for seq, odd in enumerate((*ODD_TEXTS, *(text * 200 for text in ODD_TEXTS[:-1]), endless)):
            await store.add_events([stored_event(seq, odd, node=odd, name=f"participant_{odd}")])
            found = await store.read(Reader.events, odd if len(odd) <= MAX_NAME else "", NOW)
            assert seq in [told.seq for told in found]

    place.run(scenario)


def test_ten_thousand_events_are_stored_in_bulk(place: Place) -> None:
    """A bulk of ten thousand events of many conferences is stored whole."""
    bulk = [stored_event(seq, room=f"room-{seq % 200}") for seq in range(10_000)]

    async def scenario(store: ConferenceStore) -> tuple[int, int]:
        return await store.add_events(bulk), len(await store.read(Reader.events, "room-7", NOW))

    assert place.run(scenario) == (10_000, 50)


def test_a_timeline_comes_back_by_time_and_once(place: Place) -> None:
    """Entries are ordered by time, then as they were stored; an equal entry is the same entry."""
    opened, asked, dialled = entry("link_opened"), entry("asked"), entry("dialled", at=NOW - SECOND, data={})

    async def scenario(store: ConferenceStore) -> None:
        assert await store.add_timeline([opened, asked, dialled, entry(key="other")]) == 4
        assert await store.add_timeline([opened, entry("asked", data={"by": "portal"}), dialled]) == 1
        assert await store.add_timeline([]) == 0
        assert await store.read(Reader.timeline, CALL) == (
            dialled,
            opened,
            asked,
            entry("asked", data={"by": "portal"}),
        )
        assert await store.read(Reader.timeline, "nobody") == ()

    place.run(scenario)


def test_a_page_of_a_timeline_comes_back_as_its_entries(place: Place) -> None:
    """Entries that were written together are in the order of their times all the same; an equal page is the same page."""
    first, last, between = entry("first"), entry("last", at=NOW + 2 * SECOND), entry("between", at=NOW + SECOND)

    async def scenario(store: ConferenceStore) -> None:
        pages = [[first, last], [entry(key="other")]]
        assert (await store.record((), pages)).noted == 3
        assert (await store.record((), [*pages, [between]])).noted == 1
        assert await store.read(Reader.timeline, CALL) == (first, between, last)

    place.run(scenario)


def test_what_is_written_is_acknowledged_whoever_fails_to_hear_of_it(
    sqlite_place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault in what takes note of a transaction is logged, and neither its callers nor the next ones wait for it."""

    def fail(news: object) -> None:
        raise RuntimeError("a mistake of ours")

    async def scenario(store: ConferenceStore) -> None:
        store.tell_news(fail)
        for seq in range(2):
            assert await store.add_events([stored_event(seq, node=str(seq))]) == 1

    sqlite_place.run(scenario)
    assert [record.getMessage().partition(":")[0] for record in caplog.records].count("store.untold") == 2


def test_a_time_without_a_zone_is_refused(place: Place) -> None:
    """A naive datetime is the caller's mistake and no failure of the database."""
    naive = NOW.replace(tzinfo=None)

    async def scenario(store: ConferenceStore) -> None:
        with pytest.raises(ValueError, match="must have a zone"):
            await store.revoke_link(CALL, naive)
        with pytest.raises(ValueError, match="must have a zone"):
            await store.read(Reader.holder, CALL, naive)
        with pytest.raises(TypeError, match="object cannot be stored as JSON"):
            await store.add_timeline([entry(data={"by": object()})])

    place.run(scenario)


def test_every_change_is_counted(place: Place) -> None:
    """What is written about a call or a room name raises its number; what changes nothing does not."""

    async def scenario(store: ConferenceStore) -> None:
        numbers = [await store.read(Reader.change_number, ("visit", CALL))]

        async def grows(written: bool) -> None:
            numbers.append(await store.read(Reader.change_number, ("visit", CALL)))
            assert (numbers[-1] > numbers[-2]) is written, numbers

        room = conference("visit", call=CALL)
        for written in (True, False):
            await store.create_link(link())
            await grows(written)
            await store.revoke_link(CALL, NOW)
            await grows(written)
            await store.hold(room)
            await grows(written)
            await store.add_events([stored_event(room="visit")])
            await grows(written)
            await store.add_timeline([entry()])
            await grows(written)
            await store.end("visit", NOW)
            await grows(written)
        assert (
            await store.read(Reader.change_number, ("visit",)) + await store.read(Reader.change_number, (CALL,))
            == numbers[-1]
        )
        assert await store.read(Reader.change_number, ()) == 0

    place.run(scenario)


def test_no_record_shows_what_is_secret() -> None:
    """Neither a PIN nor a call, name or alias is in the text of a record, which may be logged."""
    shown = f"{link()} {conference()} {stored_event()} {entry()} {Change(CALL, 1)}"
    for secret in (CALL, "Ada L", HOST_PIN, "{", "3129998045"):
        assert secret not in shown
    assert "telehealth" in shown


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pin"), st.lists(st.integers(0, 1), min_size=1, max_size=4)),
        st.tuples(st.just("end"), st.lists(st.integers(0, 1), min_size=1, max_size=2)),
        st.tuples(st.just("wait"), st.just([0])),
    ),
    min_size=1,
    max_size=8,
)


def test_each_life_of_a_room_has_one_winner(place: Place) -> None:
    """However two stores hold, end and let expire one room, at the same time or in turn, all agree who holds it."""
    rooms = iter(range(1_000_000))
    with asyncio.Runner() as runner:
        stores = (ConferenceStore(place.url), ConferenceStore(place.url))

        @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
        @given(STEPS)
        def check(steps: list[tuple[str, list[int]]]) -> None:
            runner.run(_play_lives(stores, f"room-{next(rooms)}", steps))

        check()
        for store in stores:
            runner.run(store.close())


async def _play_lives(
    stores: tuple[ConferenceStore, ConferenceStore], name: str, steps: list[tuple[str, list[int]]]
) -> None:
    holder: str | None = None
    now, number = NOW, 0
    past: set[str] = set()
    for step, who in steps:
        now += SECOND
        if step == "pin":
            rivals = [
                conference(name, id=f"{name}-{number + n}", held_at=now, expires_at=now + HOUR) for n in range(len(who))
            ]
            number += len(who)
            won = await asyncio.gather(*(stores[n].hold(rival) for n, rival in zip(who, rivals, strict=True)))
            (winner,) = {held.id for held in won}
            assert winner == holder if holder else winner in {rival.id for rival in rivals} - past
            holder = winner
        elif step == "end":
            ended = await asyncio.gather(*(stores[n].end(name, now) for n in who))
            assert sum(ended) == (holder is not None)
            past |= {holder} if holder else set()
            holder = None
        else:
            now += HOUR
            # An end ends an expired conference as well, so one that nobody replaces is ended here.
            await stores[0].end(name, now)
            past |= {holder} if holder else set()
            holder = None
        for store in stores:
            found = await store.read(Reader.holder, name, now)
            assert (found and found.id) == holder

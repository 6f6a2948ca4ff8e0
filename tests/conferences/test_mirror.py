"""What a replica knows in memory: links as long as they matter, and how much goes through a trunk."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.mirror import Mirror
from policy_server.conferences.reading import Snapshot
from policy_server.conferences.records import Ended, HeldConference, Link
from policy_server.conferences.store import ConferenceStore
from policy_server.telephony.trunks import Load
from tests.conferences.samples import HOUR, NOW, SECOND, conference, link

ALIASES = ("+13129998041", "+13129998042")


def room(number: int, at: datetime = NOW, dials: tuple[str, ...] = ALIASES[:1]) -> HeldConference:
    """A room that begins at a time and dials somebody."""
    legs = tuple({"remote_alias": alias} for alias in dials)
    return conference(f"room-{number}", id=f"{number}-{at}", held_at=at, legs=legs)


def test_a_room_counts_with_its_legs_until_it_ends() -> None:
    """Legs are those of rooms that are held, and calls those of rooms that began within a minute; a door more adds none."""
    mirror = Mirror()
    first, second = room(1), room(2, NOW + 30 * SECOND)
    for each in (first, second, first):
        mirror.keep(each)
    assert mirror.load(ALIASES[0], NOW + 30 * SECOND) == Load(2, 2)
    assert mirror.load(ALIASES[1], NOW) == Load()
    assert mirror.load(ALIASES[0], NOW + 60 * SECOND) == Load(2, 1)
    mirror.end(Ended(first.id, first.name, first.call, None))
    assert mirror.load(ALIASES[0], NOW + 60 * SECOND) == Load(1, 1)
    mirror.drop(second.name)
    assert mirror.load(ALIASES[0], NOW + 90 * SECOND) == Load()


def test_rooms_that_ended_are_not_kept_until_they_would_have_expired() -> None:
    """A day of calls leaves no more behind than an hour of them, and the room that goes on counts until it expires."""
    mirror = Mirror()
    mirror.keep(lasting := room(0))
    for number in range(1, 1000):
        mirror.keep(room(number))
        mirror.drop(f"room-{number}")
    assert len(mirror._expiring) < 100
    assert mirror.load(ALIASES[0], lasting.expires_at - SECOND).legs == 1
    assert mirror.load(ALIASES[0], lasting.expires_at).legs == 0


steps = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 50), st.lists(st.sampled_from(ALIASES), max_size=2, unique=True)),
    max_size=30,
)


@given(steps)
def test_the_mirror_counts_as_whoever_looks_at_all_rooms(begun: list[tuple[int, int, list[str]]]) -> None:
    """Whatever begins again, the legs of a trunk are as many as the rooms that are held have."""
    mirror, now = Mirror(), NOW
    held: dict[str, HeldConference] = {}
    for number, pause, dials in begun:
        now += pause * SECOND
        if pause % 3:
            mirror.keep(kept := room(number, now, tuple(dials)))
            held[kept.name] = kept
        else:
            mirror.drop(f"room-{number}")
            held.pop(f"room-{number}", None)
        counted = Snapshot(rooms=held.values())
        for alias in ALIASES:
            found, expected = mirror.load(alias, now), counted.load(alias, now)
            assert found.legs == expected.legs
            # A room that is over was a call all the same.
            assert found.calls >= expected.calls


def _link(**changes: Any) -> Link:
    return link("a", expires_at=NOW + HOUR, **changes)


@pytest.mark.parametrize(
    ("known", "rooms", "after", "is_known"),
    [
        pytest.param([_link()], [], 0 * HOUR, True, id="good"),
        pytest.param([_link()], [], HOUR, False, id="expired"),
        pytest.param([_link()], [conference("r", call="a", held_at=NOW)], HOUR, True, id="expired while its room runs"),
        pytest.param(
            [_link()], [conference("r", call="a", held_at=NOW + HOUR)], HOUR, False, id="expired before its room"
        ),
        pytest.param([_link(revoked_at=NOW)], [], 24 * HOUR, True, id="revoked and expired"),
        pytest.param([_link(revoked_at=NOW)], [], 25 * HOUR, False, id="a day later"),
        pytest.param([_link(), link("b", joins="a", expires_at=NOW + 9 * HOUR)], [], 8 * HOUR, True, id="joined"),
        pytest.param(
            [_link(), link("b", joins="a", expires_at=NOW + 9 * HOUR)], [], 9 * HOUR, False, id="joined no more"
        ),
    ],
)
@pytest.mark.parametrize("is_tidied", [False, True], ids=["untidied", "tidied"])
def test_a_link_is_known_as_long_as_it_matters(
    known: list[Link], rooms: list[HeldConference], after: timedelta, is_known: bool, is_tidied: bool
) -> None:
    """Whether somebody tidied up makes no difference to any answer, nor does who reads it from the database."""
    mirror, at = Mirror(), NOW + after
    for each in known:
        mirror.learn(each)
    for room in rooms:
        mirror.keep(room)
    if is_tidied:
        mirror.forget_expired(at)
    assert (mirror.link("a", at) is not None) is is_known


def test_who_joins_comes_along_when_a_visit_is_moved() -> None:
    """From then on the new visit is needed as long as the link that joins it, and the old one is not."""
    mirror, late = Mirror(), NOW + 2 * HOUR
    joining = link("b", joins="a", expires_at=NOW + 9 * HOUR)
    for each in (_link(), link("c", expires_at=NOW + HOUR), joining, replace(joining, joins="c")):
        mirror.learn(each)
    assert [mirror.link(call, late) is not None for call in "abc"] == [False, True, True]
    for at in (late, NOW + 10 * HOUR):
        mirror.forget_expired(at)
    assert [mirror.link(call, NOW) for call in "abc"] == [None, None, None]


@pytest.mark.parametrize("revoked_at", [None, NOW], ids=["good", "revoked"])
@pytest.mark.parametrize("held_at", [None, NOW, NOW + 2 * HOUR], ids=["no-room", "room-before", "room-after"])
def test_the_store_and_the_mirror_agree_on_what_matters(
    tmp_path: Path, revoked_at: datetime | None, held_at: datetime | None
) -> None:
    """What a server reads when it starts is what one knows that was there all the time."""
    own = _link(revoked_at=revoked_at)
    rooms = [] if held_at is None else [conference("r", call="a", held_at=held_at)]
    mirror = Mirror()
    mirror.learn(own)
    for room in rooms:
        mirror.keep(room)

    async def read(at: datetime) -> bool:
        async with ConferenceStore(f"sqlite:///{tmp_path}/policy.db") as store:
            return bool(
                await store.links_that_matter(at, [room for room in rooms if room.held_at <= at < room.expires_at])
            )

    async def write() -> None:
        async with ConferenceStore(f"sqlite:///{tmp_path}/policy.db") as store:
            await store.create_link(own)
            if revoked_at is not None:
                await store.revoke_link("a", revoked_at)

    asyncio.run(write())
    for hours in (0, 1, 3, 24, 26):
        at = NOW + hours * HOUR + SECOND
        assert asyncio.run(read(at)) is (mirror.link("a", at) is not None), hours

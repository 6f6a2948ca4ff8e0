"""What a replica knows in memory: how much goes through a trunk."""

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.mirror import Mirror
from policy_server.conferences.reading import Snapshot
from policy_server.conferences.records import Ended, HeldConference
from policy_server.telephony.trunks import Load
from tests.conferences.samples import NOW, SECOND, conference

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

"""Places of connections: limits, who makes room for whom, and that none is ever lost."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.web.places import MOST_CONNECTIONS, Place, Places, connection_limit

STRANGER, NODE = "198.51.100.7", "10.0.0.1"


def taken(places: Places, address: str, ended: list[str] | None = None) -> Place:
    """A place, which notes when it has to make room."""
    place = places.take(address)
    assert place is not None
    place.end = lambda: ended.append(address) if ended is not None else None
    return place


@pytest.mark.parametrize(
    ("files", "listeners", "each"),
    [(65_536, 1, MOST_CONNECTIONS), (65_536, 2, MOST_CONNECTIONS // 2), (1024, 2, 384), (64, 1, 32), (1, 2, 1)],
)
def test_places_are_fewer_than_files(files: int, listeners: int, each: int) -> None:
    """What the process needs for itself is kept free, and each listener has its own share."""
    assert connection_limit(files, listeners) == each
    assert each * listeners < files or files == 1


def test_whoever_has_waited_longest_makes_room() -> None:
    """An address that has its share pushes out its own oldest connection, never somebody else's."""
    places, ended = Places(16), list[str]()
    taken(places, NODE, ended)
    for number in range(40):
        ended_before = len(ended)
        place = places.take(STRANGER)
        assert place is not None
        place.end = lambda number=number: ended.append(str(number))  # type: ignore[misc]
        assert len(ended) - ended_before == (number >= 4)
    assert ended == [str(number) for number in range(36)]
    assert len(places) == 5


def test_when_all_places_are_taken_the_oldest_goes() -> None:
    """Many addresses push out each other's waiting connections, but none that has a request."""
    places, ended = Places(8), list[str]()
    taken(places, NODE, ended).work()
    for number in range(20):
        taken(places, f"198.51.100.{number}", ended)
    assert len(places) == 8
    assert ended == [f"198.51.100.{number}" for number in range(13)]


def test_connections_with_a_request_keep_their_place() -> None:
    """When all of an address are being answered, a further one is refused; one that rests again may go."""
    places, ended = Places(8), list[str]()
    busy = [taken(places, STRANGER, ended) for _ in range(2)]
    for place in busy:
        place.work()
    assert places.take(STRANGER) is None
    busy[1].rest()
    assert places.take(STRANGER) is not None
    assert ended == [STRANGER]


def test_a_proxy_may_have_all() -> None:
    """Behind the address of a proxy of ours are all the others."""
    places = Places(8, (ip_network(NODE),))
    assert all(places.take(NODE) for _ in range(8))
    assert len(places) == 8


def test_an_ipv6_network_is_one_caller() -> None:
    """Whoever has an address of a network of 64 bits has all of them, so they share the places of one."""
    places, ended = Places(8), list[str]()
    for number in range(10):
        taken(places, f"2001:db8::{number:x}", ended)
    assert len(places) == 2


@given(st.lists(st.tuples(st.sampled_from(["take", "work", "rest", "leave"]), st.integers(0, 5)), max_size=60))
def test_no_place_is_lost(steps: list[tuple[str, int]]) -> None:
    """Whatever the order in which connections come, ask, rest and go, all places are free once all have gone."""
    places, known = Places(6), list[Place]()
    for what, which in steps:
        if what == "take":
            if (place := places.take(f"192.0.2.{which}")) is not None:
                known.append(place)
        elif which < len(known):
            getattr(known[which], what)()
        assert 0 <= len(places) <= 6
    for place in known:
        place.leave()
        place.rest()
    assert len(places) == 0
    assert all(places.take(f"198.51.100.{number}") for number in range(6))

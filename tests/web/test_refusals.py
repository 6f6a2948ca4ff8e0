"""Refused at the event sink: who, at which door and why, without the credentials, and not too often."""

import asyncio
import logging
from collections import Counter

import pytest
from starlette.types import Scope

from policy_server.web.callers import caller_address, caller_network
from policy_server.web.refusals import (
    ADDRESSES_LIMIT,
    FREE_GUESSES,
    LINES_A_MINUTE,
    LONGEST_WAIT,
    MINUTE,
    WAITING_LIMIT,
    WAITING_OF_ADDRESS,
    Door,
    Guesses,
    Refusals,
)

SCANNER: Scope = {"client": ("198.51.100.7", 40123)}


@pytest.mark.parametrize(
    ("scope", "address"),
    [
        (SCANNER, "198.51.100.7"),
        ({"client": ("2001:db8::7", 1)}, "2001:db8::7"),
        ({"client": None}, "unknown"),
        ({}, "unknown"),
        ({"client": ("a\nb\u202e", 0)}, r"a\nb\u202e"),
        ({"client": ("x" * 100, 0)}, "x" * 64),
    ],
    ids=["IPv4", "IPv6", "a socket without addresses", "nothing", "what a proxy was sent", "a long one"],
)
def test_the_address_of_the_caller(scope: Scope, address: str) -> None:
    """Who asks is said on one line, whatever a proxy passes on."""
    assert caller_address(scope) == address


def test_a_door_counts_what_it_leaves_out(caplog: pytest.LogCaptureFixture) -> None:
    """A door writes so many lines a minute, says at its end how many more there were, and then begins again."""

    async def scenario() -> None:
        door, other = Refusals(Door.EVENTS, minute=0), Refusals(Door.API, minute=0)
        for _ in range(LINES_A_MINUTE + 5):
            door.note(SCANNER, "wrong user name or password")
        other.note(SCANNER, "no API key")
        # The minute is over as soon as the loop has a turn.
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(0, over.set)
        await over.wait()
        door.note(SCANNER, "no API key")

    asyncio.run(scenario())
    assert caplog.messages == [
        *["access.refused: 198.51.100.7 at the event sink: wrong user name or password"] * LINES_A_MINUTE,
        "access.refused: 198.51.100.7 at the API: no API key",
        "access.refused: 5 more within a minute at the event sink",
        "access.refused: 198.51.100.7 at the event sink: no API key",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def caller(address: str) -> Scope:
    """Somebody who asks from an address."""
    return {"client": (address, 40123)}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("unix:", "unix:"),
    ],
    ids=["IPv4", "IPv4 through an IPv6 socket", "IPv6", "another address of it", "no address"],
)
def test_whoever_has_a_network_is_one_caller(address: str, network: str) -> None:
    """Limits count an IPv4 address, however it is written, and all addresses of an IPv6 network together."""
    assert caller_network(caller(address)) == network


class Clock:
    """A time that only moves when somebody waits or a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    async def pause(self, seconds: float) -> None:
        """Notes the wait, which is over at once."""
        self.waits.append(seconds)

    def guesses(self) -> Guesses:
        """Those of this clock."""
        return Guesses(lambda: self.now, self.pause)


def test_guesses_of_one_address_get_slower() -> None:
    """The first refusals of a minute come at once, later ones wait longer and longer, up to a limit; not those of other
    addresses, and not those of the next minute.
    """
    clock = Clock()
    guesses = clock.guesses()

    async def scenario() -> None:
        for _ in range(FREE_GUESSES):
            assert await guesses.hold_up(SCANNER)
        assert clock.waits == []
        for _ in range(6):
            assert await guesses.hold_up(SCANNER)
        assert clock.waits == [0.25, 0.5, 1.0, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
        assert await guesses.hold_up(caller("192.0.2.1"))
        clock.now = MINUTE
        assert await guesses.hold_up(SCANNER)
        assert len(clock.waits) == 6

    asyncio.run(scenario())


def test_only_so_many_refusals_wait() -> None:
    """Of one address, and in all, only so many refusals wait; the next is turned away at once, until one is over."""
    gate = asyncio.Event()

    async def pause(_: float) -> None:
        await gate.wait()

    async def scenario() -> None:
        guesses = Guesses(lambda: 0.0, pause)
        addresses = [f"192.0.2.{number}" for number in range(WAITING_LIMIT // WAITING_OF_ADDRESS)]
        for address in (*addresses, "198.51.100.7"):
            for _ in range(FREE_GUESSES):
                assert await guesses.hold_up(caller(address))
        waiting = [
            asyncio.create_task(guesses.hold_up(caller(address)))
            for address in addresses
            for _ in range(WAITING_OF_ADDRESS)
        ]
        await asyncio.sleep(0)
        assert not await guesses.hold_up(caller(addresses[0])), "too many of this address"
        assert not await guesses.hold_up(SCANNER), "too many in all"
        gate.set()
        assert await asyncio.gather(*waiting) == [True] * WAITING_LIMIT
        assert await guesses.hold_up(SCANNER)

    asyncio.run(scenario())


def test_memory_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a million addresses makes us remember no more than the limit, and not forget who guesses right now."""
    monkeypatch.setattr("policy_server.web.refusals.ADDRESSES_LIMIT", 3)
    assert ADDRESSES_LIMIT == 10_000
    clock = Clock()
    guesses = clock.guesses()

    async def scenario() -> None:
        for number in range(100):
            await guesses.hold_up(caller(f"192.0.2.{number}"))
            await guesses.hold_up(SCANNER)

    asyncio.run(scenario())
    assert len(clock.waits) == 100 - FREE_GUESSES


def test_what_a_door_answers() -> None:
    """A refusal is counted at its door; one without credentials is no guess; one too many is told when to come back."""
    counted: Counter[str] = Counter()

    async def pause(_: float) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        refusals = Refusals(Door.API, Guesses(lambda: 0.0, pause), lambda door: counted.update([door.name]))
        for _ in range(FREE_GUESSES + 5):
            assert await refusals.refuse(SCANNER, "no API key", is_guess=False) is None
        for _ in range(FREE_GUESSES):
            assert await refusals.refuse(SCANNER, "wrong API key", is_guess=True) is None
        waiting = [
            asyncio.create_task(refusals.refuse(SCANNER, "wrong API key", is_guess=True))
            for _ in range(WAITING_OF_ADDRESS)
        ]
        await asyncio.sleep(0)
        answer = await refusals.refuse(SCANNER, "wrong API key", is_guess=True)
        assert answer is not None
        assert (answer.status_code, answer.headers["retry-after"], answer.headers["connection"]) == (429, "2", "close")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(scenario())
    assert counted == {"API": 5 + 2 * FREE_GUESSES + WAITING_OF_ADDRESS + 1}

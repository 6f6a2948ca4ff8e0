"""Refused at the door: who, at which door and why, without the credentials, and not too often."""

import asyncio
import logging

import pytest
from starlette.types import Scope

from policy_server.web.refusals import LINES_A_MINUTE, Refusals, caller_address

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
        door, other = Refusals("the door", minute=0), Refusals("another door", minute=0)
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
        *["access.refused: 198.51.100.7 at the door: wrong user name or password"] * LINES_A_MINUTE,
        "access.refused: 198.51.100.7 at another door: no API key",
        "access.refused: 5 more within a minute at the door",
        "access.refused: 198.51.100.7 at the door: no API key",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}

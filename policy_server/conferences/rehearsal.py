"""Questions one after the other, without a server: what is served to the first is held for those that follow."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from policy_server.conferences.reading import Snapshot
from policy_server.conferences.records import Door, HeldConference, Link
from policy_server.conferences.rooms import Rooms
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.decisions import Decision
from policy_server.policy.facts import KnownLink
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset

_NO_LINKS: Final[Mapping[str, KnownLink]] = {}


class _Stage(Snapshot):
    """A server that knew nothing, and remembers the rooms of those who came."""

    async def hold(self, conference: HeldConference) -> HeldConference:
        """The conference that holds the room from now on."""
        held = await super().hold(conference)
        self.rooms.pop(held.name, None)  # The latest comes last.
        self.rooms[held.name] = held
        return held

    async def open_door(self, held: HeldConference, rule: str, door: Door) -> HeldConference:
        """The conference with one more door."""
        opened = self.rooms[held.name] = await super().open_door(held, rule, door)
        return opened


def rehearse(
    ruleset: Ruleset,
    questions: Sequence[PolicyRequest],
    at: datetime,
    keyring: Keyring,
    link_attributes: Mapping[str, str],
    links: Mapping[str, KnownLink] = _NO_LINKS,
) -> Decision:
    """The decision about the last of some questions, all asked at one time, of a server that knew nothing before but
    ``links``, by their calls.

    There must be one. ``link_attributes`` are those of every link. Not for use inside an event loop.
    """

    begin = at - timedelta(hours=1)
    kept = [Link(call, "", link.name, link.attributes, begin, at, "", joins=link.joins) for call, link in links.items()]

    async def play() -> Decision:
        numbers = count(1)
        rooms = Rooms(_Stage(kept), keyring, lambda: str(next(numbers)), link_attributes)
        settled = [await rooms.settle(ruleset, question, at) for question in questions]
        return settled[-1].decision

    return asyncio.run(play())

"""Questions one after the other, without a server: what is served to the first is held for those that follow."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from policy_server.conferences.mirror import NEARBY_LIMIT
from policy_server.conferences.reading import Snapshot
from policy_server.conferences.records import Door, HeldConference, Link
from policy_server.conferences.rooms import Rooms
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.decisions import Decision
from policy_server.policy.facts import KnownLink
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset

_NO_LINKS: Final[Mapping[str, KnownLink]] = {}


class Stage(Snapshot):
    """A server that knew nothing, and remembers the rooms of those who came.

    However many came, a room is found by what leads into it.
    """

    def __init__(self, lifetime: timedelta = timedelta(1)) -> None:
        super().__init__(lifetime=lifetime)
        self._led: Final[defaultdict[str, dict[str, None]]] = defaultdict(dict)

    def nearby(self, call: str, alias: str) -> tuple[HeldConference, ...]:
        """The rooms that began when somebody dialled an alias, and those that a call's link led to, the latest first."""
        ways = (way for way in (alias and f"alias {alias}", call and f"call {call}") if way in self._led)
        found = ([self.rooms[name] for name in reversed(self._led[way])] for way in ways)
        return tuple(room for rooms in found for room in rooms[:NEARBY_LIMIT])

    def forget(self, room: HeldConference) -> None:
        """Lets go of a room: its conference is over."""
        for way in _ways(self.rooms.pop(room.name)):
            self._led[way].pop(room.name, None)

    async def hold(self, conference: HeldConference) -> HeldConference:
        """The conference that holds the room from now on."""
        held = await super().hold(conference)
        if held.name in self.rooms:
            self.forget(self.rooms[held.name])
        self.rooms[held.name] = held
        for way in _ways(held):
            self._led[way][held.name] = None  # The latest comes last.
        return held

    async def open_door(self, held: HeldConference, rule: str, door: Door) -> HeldConference:
        """The conference with one more door."""
        opened = self.rooms[held.name] = await super().open_door(held, rule, door)
        return opened


def _ways(room: HeldConference) -> Iterator[str]:
    yield from (f"alias {alias}" for alias in set(room.aliases.values()))
    if room.call:
        yield f"call {room.call}"


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
        stage = Stage()
        stage.links.update({link.call: link for link in kept})
        rooms = Rooms(stage, keyring, lambda: str(next(numbers)), link_attributes)
        settled = [await rooms.settle(ruleset, question, at) for question in questions]
        return settled[-1].decision

    return asyncio.run(play())

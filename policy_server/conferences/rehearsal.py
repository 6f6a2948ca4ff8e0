"""Questions one after the other, without a server: what is served to the first is held for those that follow."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count

from policy_server.conferences.reading import Snapshot
from policy_server.conferences.rooms import Rooms
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.decisions import Decision
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.sessions import Keyring


def rehearse(
    ruleset: Ruleset,
    questions: Sequence[PolicyRequest],
    at: datetime,
    keyring: Keyring,
    link_attributes: Mapping[str, str],
) -> Decision:
    """The decision about the last of some questions, all asked at one time, of a server that knew nothing before.

    There must be one. ``link_attributes`` are those of every link. Not for use inside an event loop.
    """

    async def play() -> Decision:
        numbers = count(1)
        rooms = Rooms(Snapshot(), keyring, lambda: str(next(numbers)), link_attributes)
        settled = [await rooms.settle(ruleset, question, at) for question in questions]
        return settled[-1].decision

    return asyncio.run(play())

"""When a conference is over, by what nodes tell and what is held."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from policy_server.conferences.ending import Endings, phase_of
from policy_server.conferences.fold import Phase
from policy_server.conferences.reader import Reader
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.events import Event
from tests.conferences.event_histories import fold
from tests.conferences.samples import CALL, NOW, Place, conference, stored_event
from tests.conferences.test_live import replica
from tests.conferences.test_running import look
from tests.rule_sets import NOON
from tests.web.calls import a_pin, customer, ended, left, started

ACTIVE = (started(), customer())
OVER = (*ACTIVE, left("customer", 60), ended(61))
BEFORE = (started(-90), ended(-30))


@pytest.mark.parametrize(
    ("events", "pin", "at", "expected"),
    [
        ((), None, 10, Phase.WAITING),
        ((), {}, 10, Phase.WAITING),
        (ACTIVE, None, 10, Phase.ACTIVE),
        (ACTIVE, {}, 10, Phase.ACTIVE),
        (OVER, None, 70, Phase.ENDED),
        (OVER, {}, 70, Phase.ENDED),
        (OVER, {"ended_at": NOON + timedelta(seconds=61)}, 70, Phase.ENDED),
        ((), {"ended_at": NOON + timedelta(seconds=61)}, 70, Phase.ENDED),
        (ACTIVE, {"ended_at": NOON + timedelta(seconds=61)}, 70, Phase.ACTIVE),
        (BEFORE, None, 10, Phase.ENDED),
        ((*BEFORE, *ACTIVE), {}, 10, Phase.ACTIVE),
        (ACTIVE, {}, 12 * 3600, Phase.ENDED),
        (ACTIVE, {}, 12 * 3600 - 1, Phase.ACTIVE),
        ((), {}, 12 * 3600, Phase.ENDED),
    ],
    ids=[
        "nothing",
        "held",
        "active-without-pin",
        "active",
        "over-without-pin",
        "over",
        "over-and-ended",
        "ended-without-events",
        "somebody-is-back",
        "over-before",
        "second-life",
        "expired",
        "about-to-expire",
        "expired-without-events",
    ],
)
def test_the_state_by_events_and_pin(
    events: tuple[Event, ...], pin: dict[str, Any] | None, at: float, expected: Phase
) -> None:
    """What nodes say and what is held make one state; whoever is there makes it active until the hold expires."""
    conference = None if pin is None else a_pin(**pin)
    assert phase_of(fold(events).phase, conference, NOON + timedelta(seconds=at)) is expected


@pytest.mark.parametrize("has_changed", [False, True])
def test_an_end_that_another_replica_knows_better_is_none(
    place: Place, monkeypatch: pytest.MonkeyPatch, has_changed: bool
) -> None:
    """What is kept of a call says that it is over, and holds unless another has stored something meanwhile."""
    ada, bob = (
        stored_event(seq, data={"uuid": name}, name="participant_connected") for seq, name in ((1, "a"), (9, "b"))
    )
    start, end = (
        stored_event(seq, time=NOW.timestamp() + seq, name=f"conference_{what}", data={"name": CALL})
        for seq, what in ((2, "started"), (4, "ended"))
    )
    bob = replace(bob, time=NOW.timestamp() + 5)

    async def scenario() -> bool:
        async with replica(place.url) as one, ConferenceStore(place.url) as other:
            # It has not heard of it yet.
            monkeypatch.setattr(one.running, "hear", lambda *_: None)
            await one.hold(conference())
            await one.store.hold(conference())
            await one.store.add_events([ada, start])
            await look(one)
            await one.store.add_events([end])
            if has_changed:
                await other.add_events([bob])
            with monkeypatch.context() as patched:
                if not has_changed:
                    # Nothing has to be read.
                    patched.delattr(ConferenceStore, "read")
                await Endings(one).end_in_time([end])
            found = await one.store.read(Reader.conference_of_call, CALL)
        return found is not None and found.ended_at is not None

    assert asyncio.run(scenario()) is not has_changed

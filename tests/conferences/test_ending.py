"""When a conference is over, by what nodes tell and what is held."""

from datetime import timedelta
from typing import Any

import pytest

from policy_server.conferences.ending import phase_of
from policy_server.conferences.fold import Phase
from policy_server.pexip.events import Event
from tests.conferences.event_histories import fold
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

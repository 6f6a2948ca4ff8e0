"""One room, one service: decisions made to agree with the conference that holds the room (DESIGN section 7).

What a pinned conference fixes is its service and its legs. Which of the two a question gets is still its own: the
customer's rule dials, the agent's does not.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from policy_server.conferences.records import PinnedConference
from policy_server.policy.decisions import Serve, Trace
from policy_server.policy.services import Fields

LEGS: Final = "automatic_participants"
REASON: Final = "the room is held, whatever the rules say now"


def conference_of(
    decision: Serve, *, conference_id: str, alias: str, revision: str, at: datetime, lifetime: timedelta
) -> PinnedConference:
    """The conference that a decision begins."""
    service = {name: value for name, value in decision.service.items() if name != LEGS}
    return PinnedConference(
        id=conference_id,
        name=str(decision.service["name"]),
        session=decision.session,
        service_tag=str(decision.service.get("service_tag", "")),
        service=service,
        legs=_legs(decision.service),
        fallbacks=decision.fallbacks,
        rule=decision.rule,
        revision=revision,
        alias=alias,
        pinned_at=at,
        expires_at=at + lifetime,
    )


def held_to(pinned: PinnedConference, decision: Serve) -> Serve:
    """A decision for a room that is pinned: the room's service, and its legs if the decision dials.

    When the agent came first, the room was pinned without legs, and the customer's rule brings its own.
    """
    wanted = _legs(decision.service)
    legs = (pinned.legs or wanted) if wanted else ()
    fallbacks = (tuple(map(dict, pinned.fallbacks)) or decision.fallbacks) if wanted else ()
    return Serve(decision.rule, decision.reason, decision.trace, _service(pinned, legs), decision.session, fallbacks)


def recalled(pinned: PinnedConference, trace: Trace, *, dials: bool) -> Serve:
    """The answer about a pinned room where the rules of today would give none."""
    legs, fallbacks = (pinned.legs, pinned.fallbacks) if dials else ((), ())
    return Serve(pinned.rule, REASON, trace, _service(pinned, legs), pinned.session, tuple(map(dict, fallbacks)))


def _legs(service: Mapping[str, object]) -> tuple[Fields, ...]:
    legs = service.get(LEGS)
    return tuple(leg for leg in legs if isinstance(leg, dict)) if isinstance(legs, list) else ()


def _service(pinned: PinnedConference, legs: tuple[Mapping[str, object], ...]) -> Fields:
    service = dict(pinned.service)
    if legs:
        service[LEGS] = [dict(leg) for leg in legs]
    return service
